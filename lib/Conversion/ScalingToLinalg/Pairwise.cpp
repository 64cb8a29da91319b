//===- Pairwise.cpp - Costs between points to linalg ----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Generic.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

/// What one coordinate of two points adds to a metric's sum.
static Value createMetricTerm(OpBuilder &b, Location loc, Metric metric,
                              Value x, Value y) {
  switch (metric) {
  case Metric::dot:
  case Metric::cosine:
    return arith::MulFOp::create(b, loc, x, y);
  case Metric::l1: {
    Value difference = arith::SubFOp::create(b, loc, x, y);
    return math::AbsFOp::create(b, loc, difference);
  }
  case Metric::sqeuclidean:
  case Metric::euclidean: {
    Value difference = arith::SubFOp::create(b, loc, x, y);
    return arith::MulFOp::create(b, loc, difference, difference);
  }
  }
  llvm_unreachable("a metric");
}

Value scaling::createMetricSums(OpBuilder &builder, Location loc, Metric metric,
                                ArrayRef<IteratorType> parallel,
                                const MappedOperand &x, const MappedOperand &y,
                                const MappedOperand &zeros, FloatType compute) {
  SmallVector<IteratorType> iterators(parallel);
  iterators.push_back(IteratorType::reduction);
  Value sums = createGeneric(
      builder, loc, iterators, {x, y}, zeros,
      [&](OpBuilder &b, Location loc, ValueRange entries,
          ValueRange states) -> SmallVector<Value> {
        Value term = createMetricTerm(b, loc, metric,
                                      castFloat(b, loc, entries[0], compute),
                                      castFloat(b, loc, entries[1], compute));
        return {arith::AddFOp::create(b, loc, states[0], term)};
      })[0];
  if (metric != Metric::euclidean)
    return sums;
  return createElementwise(builder, loc, sums, sums,
                           [](OpBuilder &b, Location loc, ValueRange entries) {
                             return math::SqrtOp::create(b, loc, entries[0]);
                           });
}

/// The 2-norm of every point.
static Value createNorms(OpBuilder &builder, Location loc, Value points,
                         FloatType compute) {
  int64_t rank = cast<ShapedType>(points.getType()).getRank();
  auto dims = llvm::to_vector(llvm::seq<int64_t>(rank));
  MappedOperand input{points, dims};
  MappedOperand sums;
  sums.dims = llvm::to_vector(llvm::seq<int64_t>(rank - 1));
  sums.value = createZeros(
      builder, loc, createEmpty(builder, loc, sums.dims, input, compute));
  SmallVector<IteratorType> iterators(rank, IteratorType::parallel);
  iterators.back() = IteratorType::reduction;
  sums.value =
      createGeneric(builder, loc, iterators, input, sums,
                    [&](OpBuilder &b, Location loc, ValueRange entries,
                        ValueRange states) -> SmallVector<Value> {
                      Value entry = castFloat(b, loc, entries[0], compute);
                      Value square =
                          arith::MulFOp::create(b, loc, entry, entry);
                      return {arith::AddFOp::create(b, loc, states[0], square)};
                    })[0];
  return createElementwise(builder, loc, sums.value, sums.value,
                           [](OpBuilder &b, Location loc, ValueRange entries) {
                             return math::SqrtOp::create(b, loc, entries[0]);
                           });
}

/// 1 − x·y / (‖x‖ ‖y‖), 1 where a norm is 0.
static Value createCosine(OpBuilder &b, Location loc, Value dot, Value xNorm,
                          Value yNorm) {
  Type type = dot.getType();
  Value zero = createConstant(b, loc, type, 0.0);
  Value one = createConstant(b, loc, type, 1.0);
  // One division after the other: the norms' product may underflow.
  Value similarity = arith::DivFOp::create(b, loc, dot, xNorm);
  similarity = arith::DivFOp::create(b, loc, similarity, yNorm);
  Value cost = arith::SubFOp::create(b, loc, one, similarity);
  for (Value norm : {xNorm, yNorm}) {
    Value isZero =
        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, norm, zero);
    cost = arith::SelectOp::create(b, loc, isZero, one, cost);
  }
  return cost;
}

namespace {
/// A reduction over the coordinates, and what the metric makes of the sum.
struct PairwiseToLinalg final : OpRewritePattern<PairwiseOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PairwiseOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "not on tensors");
    Location loc = op.getLoc();
    Metric metric = op.getMetric();
    FloatType compute = getComputeType(SmallVector<Value>(op.getOperands()));

    OperandReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    MappedOperand x = reader.read(op.getX());
    MappedOperand y = reader.read(op.getY());
    MappedOperand out = reader.read(op.getOuts());
    // The coordinates are no dimension of the op's domain; here they are the
    // last one.
    SmallVector<IteratorType> parallel = op.getStructuredIteratorTypes();
    x.dims.back() = y.dims.back() = parallel.size();

    MappedOperand sums{
        createZeros(rewriter, loc,
                    createScratchFor(rewriter, loc, out.value, compute)),
        out.dims};
    sums.value =
        createMetricSums(rewriter, loc, metric, parallel, x, y, sums, compute);

    if (metric == Metric::cosine) {
      MappedOperand xNorms{createNorms(rewriter, loc, x.value, compute),
                           SmallVector<int64_t>(ArrayRef(x.dims).drop_back())};
      MappedOperand yNorms{createNorms(rewriter, loc, y.value, compute),
                           SmallVector<int64_t>(ArrayRef(y.dims).drop_back())};
      sums.value = createGeneric(
          rewriter, loc, parallel, {sums, xNorms, yNorms}, sums,
          [](OpBuilder &b, Location loc, ValueRange entries,
             ValueRange) -> SmallVector<Value> {
            return {createCosine(b, loc, entries[0], entries[1], entries[2])};
          })[0];
    }
    rewriter.replaceOp(op, castInto(rewriter, loc, sums.value, out.value));
    return success();
  }
};
} // namespace

void scaling::populatePairwiseToLinalgPatterns(RewritePatternSet &patterns) {
  patterns.add<PairwiseToLinalg>(patterns.getContext());
}
