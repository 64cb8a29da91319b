//===- ReductionAdjoint.h - Derivatives of a statistic ----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_DIFFERENTIATE_REDUCTIONADJOINT_H
#define SCALING_LIB_DIFFERENTIATE_REDUCTIONADJOINT_H

#include "scaling/Dialect/Scaling/Differentiate/TensorAdjoint.h"

namespace mlir::scaling {

/// A statistic of the rows or columns of a matrix under the other factor, as a
/// half-step of an iteration reads it.
struct ReductionStep {
  Axis axis;
  int64_t batchRank;
  StatisticAttrInterface stat;
  Type accumulate;
  Value matrix, factor;
  /// Of the entries along the rows or columns; may be null.
  Value mask;
  SmallVector<Value> states;
  /// Null where they are zero.
  SmallVector<Value> adjoints;
  /// What the matrix is taken times; may be null.
  Value scale;
};

/// What a reduction's states have to do with entries and factors. The states a
/// pass looks at are pivots (a maximum, a mean), the derivative along which is
/// zero.
class ReductionAdjoint {
public:
  ReductionAdjoint(OpBuilder &builder, Location loc, const ReductionStep &step);

  /// Adds to the adjoint of the factor.
  void addToFactor(TensorAdjoint &adjoint) const;
  /// The matrix' adjoint with what the reductions add to it, in one go.
  static Value addToMatrix(OpBuilder &builder, Location loc, Value sum,
                           ArrayRef<ReductionAdjoint> reductions);

private:
  Value lift(unsigned pass, OpBuilder &builder, Location loc,
             ValueRange in) const;
  Value onlyUnmasked(OpBuilder &builder, Location loc, ValueRange in,
                     Value value, double instead) const;
  /// The derivative along the entry (0) or the factor (1), given what `inputs`
  /// are there.
  Value derivative(unsigned argument, OpBuilder &builder, Location loc,
                   ValueRange in) const;

  Location loc;
  ReductionStep step;
  /// Those whose adjoints there are.
  SmallVector<unsigned> passes;
  /// Matrix, factor, mask if there is one, states, adjoints of `passes`.
  SmallVector<MappedTensor> inputs;
  size_t firstState;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_DIFFERENTIATE_REDUCTIONADJOINT_H
