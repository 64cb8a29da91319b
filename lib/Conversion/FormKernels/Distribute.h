//===- Distribute.h - linalg ops on GPU threads -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_FORMKERNELS_DISTRIBUTE_H
#define SCALING_LIB_CONVERSION_FORMKERNELS_DISTRIBUTE_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::scaling {

inline constexpr int64_t kWarpThreads = 32;

/// The threads that share an op's work, as index values.
struct Workers {
  Value thread;
  Value numThreads;
  Value warp;
  Value numWarps;
  Value lane;
};

/// Gives the entries of an op on memrefs to threads, before the op.
void distribute(OpBuilder &b, linalg::GenericOp op, const Workers &workers);

/// Does all of an op on memrefs, before the op; of static shape it is straight
/// code.
void unroll(OpBuilder &b, linalg::GenericOp op);

/// All threads of the grid meet: whatever one wrote before, all see after.
/// `counter`, `memref<1xi64>`, counts arrivals; it holds a multiple of the
/// number of blocks between two barriers.
void createGridBarrier(OpBuilder &b, Location loc, Value thread,
                       Value numBlocks, Value counter);

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_FORMKERNELS_DISTRIBUTE_H
