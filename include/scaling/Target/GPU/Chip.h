//===- Chip.h - Descriptions of GPUs ----------------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TARGET_GPU_CHIP_H
#define SCALING_TARGET_GPU_CHIP_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace mlir {
namespace scaling {

/// What the compiler knows about a GPU.
struct GPUChip {
  /// As LLVM and ptxas call it.
  std::string name;
  /// `+ptxNN`.
  std::string features;
  /// The most shared memory that a block may take.
  int64_t sharedBytes = 0;
};

/// The chip called `name`. `features` is `auto`, or a version of PTX that the
/// chip is in.
llvm::Expected<GPUChip> getGPUChip(llvm::StringRef name,
                                   llvm::StringRef features = "auto");

} // namespace scaling
} // namespace mlir

#endif // SCALING_TARGET_GPU_CHIP_H
