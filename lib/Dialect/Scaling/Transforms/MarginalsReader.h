//===- MarginalsReader.h - Both axes from one sweep -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_TRANSFORMS_MARGINALSREADER_H
#define SCALING_LIB_TRANSFORMS_MARGINALSREADER_H

#include "MatrixSource.h"
#include "TensorEmitter.h"

namespace mlir::scaling {

/// The log-sum-exps of both axes under one pair of factors.
struct BothStates {
  SmallVector<Value> row, col;
};

/// Reads them from the row and column sums of the plan those factors make: one
/// exponential per entry, where two log-sum-exps have two. Where a sum leaves
/// the range in which it says as much, the sums are taken again, the maxima
/// first.
class MarginalsReader {
public:
  /// None where the iteration is better read axis by axis: it has another
  /// statistic, or no schedule that says otherwise. What does not change from
  /// half-step to half-step is emitted at once.
  static std::optional<MarginalsReader> create(TensorEmitter &emitter,
                                               IterateOp op);

  /// `scale` (may be null) multiplies the matrix.
  BothStates read(Value row, Value col, Value scale);

private:
  using Sizes = TensorEmitter::Sizes;

  MarginalsReader(TensorEmitter &emitter, IterateOp op);

  void setPoints(PairwiseOp pairwise);
  Value transposed(Value points);
  SmallVector<Value> sweep(bool largest, Value row, Value col, Value scale,
                           Value rowOut, Value colOut);
  Value negated(Value factor, llvm::APFloat unless, llvm::APFloat instead);
  Value asMaximum(Value factor);
  Value asShift(Value maximum);
  Value isLost(Value sums, Value target, Value mask);

  TensorEmitter *e;
  IterateOp op;
  FloatType accumulate;
  MatrixSource source;
  /// Points instead of the source's matrix; y transposed.
  Value x, y;
  std::optional<Metric> metric;
  /// Costs are one minus what the metric gives.
  bool complement = false;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_TRANSFORMS_MARGINALSREADER_H
