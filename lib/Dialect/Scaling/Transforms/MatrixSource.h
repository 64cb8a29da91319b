//===- MatrixSource.h - What an iteration's matrix is made from -*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_TRANSFORMS_MATRIXSOURCE_H
#define SCALING_LIB_TRANSFORMS_MATRIXSOURCE_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

namespace mlir::scaling {

/// A matrix as a number times another one: `−C/ε` is C and `−1/ε`.
struct MatrixSource {
  Value matrix;
  /// A scalar of the accumulate type; null: one.
  Value coefficient;
};

/// Sees through elementwise computations that multiply by a number. Scalars
/// are emitted at the builder's insertion point.
MatrixSource findMatrixSource(OpBuilder &builder, Location loc, Value matrix,
                              FloatType accumulate);

/// The pairwise costs a matrix is, up to casts and batch dimensions of one.
PairwiseOp findPairwise(Value matrix);

/// The same, up to multiplication by a number, too; emits nothing.
PairwiseOp findScaledPairwise(Value matrix);

/// Costs between points, maybe with another matrix added: `scale · C` or
/// `scale · C + biasScale · B`. B may leave out leading batch dimensions, and
/// its elements may be of a narrower type.
struct BiasedPairwise {
  PairwiseOp costs;
  Value bias;
  /// Scalars of the accumulate type; null: one.
  Value scale, biasScale;
};

/// What such a matrix is made of; no costs where it is none. Without a builder
/// there are no scalars.
BiasedPairwise findBiasedPairwise(Value matrix);
BiasedPairwise findBiasedPairwise(OpBuilder &builder, Location loc,
                                  Value matrix, FloatType accumulate);

} // namespace mlir::scaling

#endif // SCALING_LIB_TRANSFORMS_MATRIXSOURCE_H
