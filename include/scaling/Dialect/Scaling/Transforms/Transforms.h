//===- Transforms.h - What the passes are shells over --------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_TRANSFORMS_TRANSFORMS_H
#define SCALING_DIALECT_SCALING_TRANSFORMS_TRANSFORMS_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/IR/PatternMatch.h"

namespace mlir::scaling {

/// Writes a named op as core ops and ordinary tensor code before the op;
/// returns what replaces its results.
FailureOr<SmallVector<Value>> generalize(OpBuilder &builder, Operation *op);

/// Writes an `iterate` as a loop over reduce and update before the op; returns
/// what replaces its results.
FailureOr<SmallVector<Value>> decomposeIterate(OpBuilder &builder,
                                               IterateOp op);

/// Patterns that replace named ops by their generalization.
void populateGeneralizePatterns(RewritePatternSet &patterns);

/// Patterns that replace `iterate` by its loop.
void populateDecomposePatterns(RewritePatternSet &patterns);

} // namespace mlir::scaling

#endif // SCALING_DIALECT_SCALING_TRANSFORMS_TRANSFORMS_H
