//===- SimilarityBalance.h - gebal as loops ---------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_TRANSFORMS_SIMILARITYBALANCE_H
#define SCALING_LIB_TRANSFORMS_SIMILARITYBALANCE_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

namespace mlir::scaling {

/// The loops of `similarity_balance`, written before the op; returns what
/// replaces its results.
SmallVector<Value> generalizeSimilarityBalance(OpBuilder &builder,
                                               SimilarityBalanceOp op);

} // namespace mlir::scaling

#endif // SCALING_LIB_TRANSFORMS_SIMILARITYBALANCE_H
