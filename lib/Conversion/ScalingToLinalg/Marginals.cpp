//===- Marginals.cpp - Sums along both axes as linalg ---------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Generic.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

namespace {
/// Points become a matrix first; then one reduction for each axis.
class MarginalsLowering {
public:
  MarginalsLowering(MarginalsOp op, OpBuilder &builder)
      : op(op), builder(builder), loc(op.getLoc()),
        compute(getComputeType(SmallVector<Value>(op.getOperands()))),
        iterators(op.getStructuredIteratorTypes()) {
    OperandReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    MappedOperand matrix = reader.read(op.getMatrix());
    x = reader.read(op.getX());
    y = reader.read(op.getY());
    inputs.push_back(matrix);
    for (Value value :
         {op.getRow(), op.getCol(), op.getRowMask(), op.getColMask()})
      inputs.push_back(reader.read(value));
    reader.read(op.getScale());
    outs = reader.read(op.getOuts());
    if (op.getMetric())
      inputs[0] = createCosts(*op.getMetric());
  }

  SmallVector<Value> lower() {
    SmallVector<Value> results;
    for (auto [index, out] : llvm::enumerate(outs)) {
      SmallVector<IteratorType> along(iterators);
      along[iterators.size() - 2 + index] = IteratorType::parallel;
      Value init = castTensor(builder, loc, out.value, compute);
      Value result = createGeneric(
          builder, loc, along, inputs, MappedOperand{init, out.dims},
          [&](OpBuilder &b, Location loc, ValueRange entries,
              ValueRange states) -> SmallVector<Value> {
            Value entry = createEntry(b, loc, entries);
            if (op.getLargest())
              return {arith::MaximumFOp::create(b, loc, states[0], entry)};
            return {arith::AddFOp::create(b, loc, states[0], entry)};
          })[0];
      results.push_back(castInto(builder, loc, result, out.value));
    }
    return results;
  }

private:
  MappedOperand createCosts(Metric metric) {
    int64_t rank = iterators.size();
    SmallVector<IteratorType> parallel(rank, IteratorType::parallel);
    x.dims.back() = rank;
    y.dims[y.dims.size() - 2] = rank;
    MappedOperand costs;
    costs.dims = llvm::to_vector(llvm::seq<int64_t>(rank));
    SmallVector<MappedOperand> sized{x, y};
    llvm::append_range(sized, outs);
    MappedOperand zeros = costs;
    zeros.value = createZeros(
        builder, loc, createEmpty(builder, loc, costs.dims, sized, compute));
    costs.value =
        createMetricSums(builder, loc, metric, parallel, x, y, zeros, compute);
    return costs;
  }

  /// exp(F + s·C + G), or the exponent; neutral where masked.
  Value createEntry(OpBuilder &b, Location loc, ValueRange entries) {
    Value entry = castFloat(b, loc, entries[0], compute);
    if (Value scale = op.getScale())
      entry = arith::MulFOp::create(b, loc, entry,
                                    castFloat(b, loc, scale, compute));
    for (Value factor : {entries[1], entries[2]})
      if (factor)
        entry = arith::AddFOp::create(b, loc, entry,
                                      castFloat(b, loc, factor, compute));
    bool largest = op.getLargest();
    if (!largest)
      entry = math::ExpOp::create(b, loc, entry);
    double lowest = compute.isF64()
                        ? std::numeric_limits<double>::lowest()
                        : double(std::numeric_limits<float>::lowest());
    for (Value mask : {entries[3], entries[4]})
      if (mask)
        entry = arith::SelectOp::create(
            b, loc, mask, entry,
            createConstant(b, loc, compute, largest ? lowest : 0.0));
    return entry;
  }

  MarginalsOp op;
  OpBuilder &builder;
  Location loc;
  FloatType compute;
  SmallVector<IteratorType> iterators;
  MappedOperand x, y;
  /// The matrix, factors and masks.
  SmallVector<MappedOperand> inputs;
  SmallVector<MappedOperand> outs;
};

struct MarginalsToLinalg final : OpRewritePattern<MarginalsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MarginalsOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "not on tensors");
    rewriter.replaceOp(op, MarginalsLowering(op, rewriter).lower());
    return success();
  }
};
} // namespace

void scaling::populateMarginalsToLinalgPatterns(RewritePatternSet &patterns) {
  patterns.add<MarginalsToLinalg>(patterns.getContext());
}
