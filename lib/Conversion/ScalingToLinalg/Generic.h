//===- Generic.h - What the patterns build linalg with ----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_SCALINGTOLINALG_GENERIC_H
#define SCALING_LIB_CONVERSION_SCALINGTOLINALG_GENERIC_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/IR/PatternMatch.h"

namespace mlir::scaling {

/// A tensor or scalar with the domain dimensions its own run along. A null
/// value stands for an optional operand that is not there.
struct MappedOperand {
  Value value;
  SmallVector<int64_t> dims;
};

/// Pairs an op's operands with their dimensions; operands are asked for in
/// their order, those that are not there included.
class OperandReader {
public:
  explicit OperandReader(ScalingStructuredOpInterface op)
      : dims(op.getOperandDims()) {}

  MappedOperand read(Value value);
  SmallVector<MappedOperand> read(ValueRange values);

private:
  SmallVector<SmallVector<int64_t>> dims;
  unsigned next = 0;
};

/// The body of a generic: the entries of inputs (null where the input is) and
/// of destinations to what is yielded.
using GenericBody = function_ref<SmallVector<Value>(
    OpBuilder &, Location, ValueRange inputs, ValueRange destinations)>;

/// A `linalg.generic`. Inputs the body does not look at are left out, but for
/// the first, which together with the destinations gives the loop bounds.
SmallVector<Value> createGeneric(OpBuilder &builder, Location loc,
                                 ArrayRef<utils::IteratorType> iterators,
                                 ArrayRef<MappedOperand> inputs,
                                 ArrayRef<MappedOperand> destinations,
                                 GenericBody body);

/// An elementwise `linalg.generic` on tensors of one shape.
Value createElementwise(
    OpBuilder &builder, Location loc, ValueRange inputs, Value destination,
    function_ref<Value(OpBuilder &, Location, ValueRange)> body);

/// The widest of the values' float element types, and at least f32; null
/// values are left out.
FloatType getComputeType(ArrayRef<Value> values);

/// `tensor` with its entries in another float type.
Value castTensor(OpBuilder &builder, Location loc, Value tensor,
                 FloatType element);

/// `source` cast into `destination`, or as it is where the types are the same.
Value castInto(OpBuilder &builder, Location loc, Value source,
               Value destination);

/// A tensor to compute what becomes of `destination` in: itself, or an empty
/// one of its shape where it has another element type.
Value createScratchFor(OpBuilder &builder, Location loc, Value destination,
                       FloatType element);

/// An empty tensor whose sizes are those the operands have along `dims`.
Value createEmpty(OpBuilder &builder, Location loc, ArrayRef<int64_t> dims,
                  ArrayRef<MappedOperand> operands, FloatType element);

/// `destination` filled with zeros.
Value createZeros(OpBuilder &builder, Location loc, Value destination);

/// An entry of the plan in the compute type, of the entries of the
/// matrix, the row and column factor and the weights (null where there is
/// none).
Value createPlanBody(OpBuilder &builder, Location loc, Domain domain,
                     bool logarithm, FloatType compute, ValueRange entries);

/// The distances of pairs of points, or their products where the metric is made
/// of these. `parallel` are the loops over pairs; the coordinates, in `x` and
/// `y`, are one more, the last; `zeros` is where the sums begin.
Value createMetricSums(OpBuilder &builder, Location loc, Metric metric,
                       ArrayRef<utils::IteratorType> parallel,
                       const MappedOperand &x, const MappedOperand &y,
                       const MappedOperand &zeros, FloatType compute);

void populateReduceToLinalgPatterns(RewritePatternSet &patterns);
void populateUpdateToLinalgPatterns(RewritePatternSet &patterns);
void populatePlanToLinalgPatterns(RewritePatternSet &patterns);
void populateApplyToLinalgPatterns(RewritePatternSet &patterns);
void populateLanesToLinalgPatterns(RewritePatternSet &patterns);
void populateMarginalsToLinalgPatterns(RewritePatternSet &patterns);
void populatePairwiseToLinalgPatterns(RewritePatternSet &patterns);

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_SCALINGTOLINALG_GENERIC_H
