//===- Clock.h - What happened before what ----------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Vector clocks over all threads of a grid. A clock is shared by the threads of
// a CTA after a barrier, and its part for one CTA by all clocks that know the
// same about that CTA: a join costs as much as there is news.
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_SIMT_CLOCK_H
#define SCALING_LIB_SIMT_CLOCK_H

#include "llvm/ADT/IntrusiveRefCntPtr.h"
#include "llvm/ADT/STLExtras.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace scaling {
namespace simt {

/// The epochs known of the threads of one CTA.
struct CtaEpochs : llvm::RefCountedBase<CtaEpochs> {
  explicit CtaEpochs(size_t size) : epochs(size) {}
  explicit CtaEpochs(const std::vector<uint32_t> &epochs) : epochs(epochs) {}
  std::vector<uint32_t> epochs;
};
using CtaEpochsRef = llvm::IntrusiveRefCntPtr<const CtaEpochs>;

/// An immutable clock: epochs by CTA, in the order of the CTAs. CTAs that are
/// not in it are not known.
struct Clock : llvm::RefCountedBase<Clock> {
  std::vector<std::pair<uint32_t, CtaEpochsRef>> parts;

  const CtaEpochs *find(uint32_t cta) const {
    auto it = llvm::lower_bound(parts, cta, [](const auto &part, uint32_t cta) {
      return part.first < cta;
    });
    return it != parts.end() && it->first == cta ? it->second.get() : nullptr;
  }
};
using ClockRef = llvm::IntrusiveRefCntPtr<const Clock>;

/// The least clock that knows what both know. Null knows nothing.
ClockRef join(const ClockRef &a, const ClockRef &b);

/// The clock with the epochs of one CTA replaced.
ClockRef withPart(const ClockRef &clock, uint32_t cta, CtaEpochsRef epochs);

} // namespace simt
} // namespace scaling

#endif // SCALING_LIB_SIMT_CLOCK_H
