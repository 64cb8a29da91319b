//===- Clock.cpp - What happened before what ------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Clock.h"

using namespace scaling::simt;

static CtaEpochsRef join(const CtaEpochsRef &a, const CtaEpochsRef &b) {
  if (a == b)
    return a;
  bool aLeads = false, bLeads = false;
  size_t size = a->epochs.size();
  for (size_t i = 0; i < size; ++i) {
    aLeads |= a->epochs[i] > b->epochs[i];
    bLeads |= b->epochs[i] > a->epochs[i];
  }
  if (!bLeads)
    return a;
  if (!aLeads)
    return b;
  auto joined = llvm::makeIntrusiveRefCnt<CtaEpochs>(a->epochs);
  for (size_t i = 0; i < size; ++i)
    joined->epochs[i] = std::max(a->epochs[i], b->epochs[i]);
  return joined;
}

ClockRef scaling::simt::join(const ClockRef &a, const ClockRef &b) {
  if (!b || a == b)
    return a;
  if (!a)
    return b;
  auto joined = llvm::makeIntrusiveRefCnt<Clock>();
  joined->parts.reserve(std::max(a->parts.size(), b->parts.size()));
  bool isA = true, isB = true;
  auto ia = a->parts.begin(), ib = b->parts.begin();
  while (ia != a->parts.end() || ib != b->parts.end()) {
    if (ib == b->parts.end() ||
        (ia != a->parts.end() && ia->first < ib->first)) {
      isB = false;
      joined->parts.push_back(*ia++);
    } else if (ia == a->parts.end() || ib->first < ia->first) {
      isA = false;
      joined->parts.push_back(*ib++);
    } else {
      CtaEpochsRef both = ::join(ia->second, ib->second);
      isA &= both == ia->second;
      isB &= both == ib->second;
      joined->parts.emplace_back(ia->first, std::move(both));
      ++ia;
      ++ib;
    }
  }
  // Keeping one of the two lets later joins find out that nothing is new.
  if (isA)
    return a;
  if (isB)
    return b;
  return joined;
}

ClockRef scaling::simt::withPart(const ClockRef &clock, uint32_t cta,
                                 CtaEpochsRef epochs) {
  auto result = llvm::makeIntrusiveRefCnt<Clock>();
  if (clock)
    result->parts = clock->parts;
  auto it =
      llvm::lower_bound(result->parts, cta, [](const auto &part, uint32_t cta) {
        return part.first < cta;
      });
  if (it != result->parts.end() && it->first == cta)
    it->second = std::move(epochs);
  else
    result->parts.insert(it, {cta, std::move(epochs)});
  return result;
}
