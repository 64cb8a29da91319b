//===- Chip.cpp - Descriptions of GPUs ------------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/GPU/Chip.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir::scaling;

namespace {
struct ChipRecord {
  llvm::StringLiteral name;
  /// The version of PTX, times ten: what `auto` is, and the oldest that there
  /// may be.
  unsigned ptx;
  int64_t sharedBytes;
};
} // namespace

/// The newest that LLVM 22 writes.
static constexpr unsigned kNewestPTX = 88;

static constexpr ChipRecord kChips[] = {{"sm_80", 80, 163 << 10},
                                        {"sm_90", 80, 227 << 10},
                                        {"sm_100", 86, 227 << 10}};

llvm::Expected<GPUChip> mlir::scaling::getGPUChip(llvm::StringRef name,
                                                  llvm::StringRef features) {
  const ChipRecord *chip = llvm::find_if(
      kChips, [&](const ChipRecord &record) { return record.name == name; });
  if (chip == std::end(kChips)) {
    auto names = llvm::map_range(
        kChips, [](const ChipRecord &record) { return record.name; });
    return llvm::createStringError("unknown chip '" + name + "': there are " +
                                   llvm::join(names, ", "));
  }
  unsigned ptx = chip->ptx;
  llvm::StringRef version = features;
  if (features != "auto" &&
      (!version.consume_front("+ptx") || version.getAsInteger(10, ptx) ||
       ptx < chip->ptx || ptx > kNewestPTX))
    return llvm::createStringError(
        "unknown features '" + features + "' for " + name +
        ": 'auto', or one version of PTX from '+ptx" + llvm::Twine(chip->ptx) +
        "' to '+ptx" + llvm::Twine(kNewestPTX) + "'");
  return GPUChip{name.str(), "+ptx" + std::to_string(ptx), chip->sharedBytes};
}
