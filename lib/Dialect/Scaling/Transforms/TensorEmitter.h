//===- TensorEmitter.h - Tensor code around the core ops --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_TRANSFORMS_TENSOREMITTER_H
#define SCALING_LIB_TRANSFORMS_TENSOREMITTER_H

#include "scaling/Dialect/Scaling/IR/Shapes.h"

#include "mlir/IR/Builders.h"

namespace mlir::scaling {

/// A tensor as an input of an elementwise computation on `[batch, tail]`: the
/// positions behind the batch that its own tail runs along. Its batch
/// dimensions are the trailing ones of the computation's.
struct EmitterInput {
  Value value;
  SmallVector<int64_t, 2> tail;
};

/// Emits elementwise computations and reductions on the tensors of one
/// batched problem.
class TensorEmitter {
public:
  using Sizes = SmallVector<OpFoldResult>;
  using Body = function_ref<Value(OpBuilder &, Location, ValueRange)>;
  enum class Combine { add, max, min, any };

  TensorEmitter(OpBuilder &builder, Location loc) : b(builder), loc(loc) {}

  Value scalar(Type type, double value);
  Value index(int64_t value);
  /// An index as a float.
  Value toFloat(Value index, Type type);
  Value indexValue(OpFoldResult size);

  Value empty(ArrayRef<OpFoldResult> sizes, Type element);
  /// The same for a matrix that is read again and again: its rows, if they are
  /// long, begin on a cache line each, as a vector that lies in two is two
  /// loads, and neighbours in different places of L1.
  Value emptyInLines(ArrayRef<OpFoldResult> sizes, FloatType element);
  Value filled(ArrayRef<OpFoldResult> sizes, Value scalar);

  /// `body` at every point of `sizes` = batch sizes followed by tail sizes
  /// (`tailRank` of them).
  Value elementwise(ArrayRef<OpFoldResult> sizes, int64_t tailRank,
                    Type element, ArrayRef<EmitterInput> inputs, Body body);

  /// As `elementwise`, but over the elements of `out`, whose own value is the
  /// last of the body's: a loop's state is updated in place.
  Value inPlace(Value out, int64_t tailRank, ArrayRef<EmitterInput> inputs,
                Body body);

  /// `lift` at every point of `sizes`, combined along the last `tailRank`
  /// dimensions into a tensor of the batch sizes: into `init`, if given.
  Value reduce(ArrayRef<OpFoldResult> sizes, int64_t tailRank, Type element,
               ArrayRef<EmitterInput> inputs, Combine combine, Body lift,
               Value init = Value());

  /// The states of a statistic of each row or column, from neutral ones: a
  /// `reduce` into new tensors of `sizes`. Factor, mask and scale may be null.
  ReduceOp states(Axis axis, StatisticAttrInterface statistic,
                  ArrayRef<OpFoldResult> sizes, FloatType accumulate,
                  Value matrix, Value factor, Value mask, Value scale);

  /// Points over their norms; those without a norm are 0.
  Value normalized(Value points, FloatType accumulate);

  /// The only element of a tensor of rank 0.
  Value extract(Value tensor);

  /// Whether any element of an i1 tensor is true.
  Value any(Value flags);

  OpBuilder &b;
  Location loc;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_TRANSFORMS_TENSOREMITTER_H
