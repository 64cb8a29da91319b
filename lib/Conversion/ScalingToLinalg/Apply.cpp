//===- Apply.cpp - What the scaled matrix does to linalg ------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Generic.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

namespace {
/// A contraction with the plan, a sum over it, or the largest entry of rows.
class ApplyLowering {
public:
  ApplyLowering(ApplyOp op, OpBuilder &builder)
      : op(op), builder(builder), loc(op.getLoc()),
        compute(getComputeType(SmallVector<Value>(op.getOperands()))),
        iterators(op.getStructuredIteratorTypes()),
        rowDim(iterators.size() - (op.getKind() == ApplyKind::product ? 3 : 2)),
        colDim(rowDim + 1) {
    OperandReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    for (Value value : {op.getMatrix(), op.getRow(), op.getCol(),
                        op.getRowWeight(), op.getColWeight()})
      plan.push_back(reader.read(value));
    operand = reader.read(op.getOperand());
    reader.read(op.getOffset());
    reader.read(op.getRowOffset());
    outs = reader.read(op.getOuts());
  }

  SmallVector<Value> lower() {
    switch (op.getKind()) {
    case ApplyKind::product:
      return createProduct();
    case ApplyKind::value:
    case ApplyKind::mass:
    case ApplyKind::dual:
      return createSum();
    case ApplyKind::argmax:
      return createArgMax();
    }
    llvm_unreachable("a kind of apply");
  }

private:
  bool isDual() { return op.getKind() == ApplyKind::dual; }

  /// The entry of the plan; of a dual value, what it lacks to the product of
  /// the marginals, which the plan is without.
  Value createEntry(OpBuilder &b, Location loc, ValueRange entries) {
    SmallVector<Value> parts(entries.take_front(plan.size()));
    Value product;
    if (isDual()) {
      product =
          arith::MulFOp::create(b, loc, castFloat(b, loc, parts[3], compute),
                                castFloat(b, loc, parts[4], compute));
      parts[3] = parts[4] = Value();
    }
    Value entry = createPlanBody(b, loc, op.getDomain(), /*logarithm=*/false,
                                 compute, parts);
    return product ? arith::SubFOp::create(b, loc, product, entry) : entry;
  }

  /// The plan in memory, with no more batch dimensions than it depends on.
  MappedOperand materializePlan() {
    int64_t first = rowDim;
    for (const MappedOperand &part : plan)
      if (part.value)
        first = std::min(first, part.dims.front());
    MappedOperand result;
    for (int64_t dim = first; dim <= colDim; ++dim)
      result.dims.push_back(dim);
    result.value = createEmpty(builder, loc, result.dims, plan, compute);

    // Its own domain starts at its first dimension.
    SmallVector<MappedOperand> parts = plan;
    MappedOperand destination = result;
    for (MappedOperand &part : parts)
      for (int64_t &dim : part.dims)
        dim -= first;
    for (int64_t &dim : destination.dims)
      dim -= first;
    SmallVector<IteratorType> parallel(result.dims.size(),
                                       IteratorType::parallel);
    result.value =
        createGeneric(builder, loc, parallel, parts, destination,
                      [&](OpBuilder &b, Location loc, ValueRange entries,
                          ValueRange) -> SmallVector<Value> {
                        return {createEntry(b, loc, entries)};
                      })[0];
    return result;
  }

  SmallVector<Value> createProduct() {
    MappedOperand made = materializePlan();
    Value init = castTensor(builder, loc, outs[0].value, compute);
    Value result = createGeneric(
        builder, loc, iterators, {made, operand},
        MappedOperand{init, outs[0].dims},
        [&](OpBuilder &b, Location loc, ValueRange entries,
            ValueRange sums) -> SmallVector<Value> {
          Value value = castFloat(b, loc, entries[1], compute);
          Value product = arith::MulFOp::create(b, loc, entries[0], value);
          return {arith::AddFOp::create(b, loc, sums[0], product)};
        })[0];
    return {castInto(builder, loc, result, outs[0].value)};
  }

  /// Sums of rows first: the error grows with n + m, not with n·m.
  SmallVector<Value> createSum() {
    SmallVector<MappedOperand> inputs = plan;
    inputs.push_back(operand);
    SmallVector<MappedOperand> sized = inputs;
    llvm::append_range(sized, outs);
    MappedOperand rows;
    rows.dims = outs[0].dims;
    rows.dims.push_back(rowDim);
    rows.value = createZeros(
        builder, loc, createEmpty(builder, loc, rows.dims, sized, compute));
    SmallVector<IteratorType> alongRows(iterators);
    alongRows[rowDim] = IteratorType::parallel;
    rows.value = createGeneric(
        builder, loc, alongRows, inputs, rows,
        [&](OpBuilder &b, Location loc, ValueRange entries,
            ValueRange sums) -> SmallVector<Value> {
          Value term = createEntry(b, loc, entries);
          if (Value cost = entries.back())
            term = createTerm(b, loc, term, castFloat(b, loc, cost, compute));
          return {arith::AddFOp::create(b, loc, sums[0], term)};
        })[0];

    MappedOperand sum = outs[0];
    sum.value = castTensor(builder, loc, sum.value, compute);
    sum.value = createGeneric(
        builder, loc, ArrayRef(iterators).drop_back(), rows, sum,
        [](OpBuilder &b, Location loc, ValueRange entries,
           ValueRange sums) -> SmallVector<Value> {
          return {arith::AddFOp::create(b, loc, sums[0], entries[0])};
        })[0];
    if (isDual()) {
      sum.value = addTerms(sum, plan[3], plan[1],
                           isFirst(op.getOffset(), plan[2], plan[4]));
      sum.value = addTerms(sum, plan[4], plan[2],
                           isFirst(op.getRowOffset(), plan[1], plan[3]));
    }
    return {castInto(builder, loc, sum.value, outs[0].value)};
  }

  /// The dual value's terms of the rows or the columns, where `condition`, if
  /// there is one.
  Value addTerms(MappedOperand sum, MappedOperand marginal,
                 MappedOperand factor, Value condition) {
    // Their domain has one dimension behind the batch.
    marginal.dims.back() = factor.dims.back() = rowDim;
    return createGeneric(
        builder, loc, ArrayRef(iterators).drop_back(), {marginal, factor}, sum,
        [&](OpBuilder &b, Location loc, ValueRange entries,
            ValueRange sums) -> SmallVector<Value> {
          Value term = createDualTerm(b, loc, op.getDomain() != Domain::kernel,
                                      castFloat(b, loc, entries[0], compute),
                                      castFloat(b, loc, entries[1], compute));
          if (condition)
            term = arith::SelectOp::create(
                b, loc, condition, term, createConstant(b, loc, compute, 0.0));
          return {arith::AddFOp::create(b, loc, sums[0], term)};
        })[0];
  }

  /// Whether the tile begins where the whole matrix does and has an entry
  /// there; null where that is known. Both operands have the size.
  Value isFirst(Value begin, const MappedOperand &a, const MappedOperand &b) {
    Value result, zero = arith::ConstantIndexOp::create(builder, loc, 0);
    auto also = [&](arith::CmpIPredicate predicate, Value value) {
      Value holds = arith::CmpIOp::create(builder, loc, predicate, value, zero);
      result =
          result ? arith::AndIOp::create(builder, loc, result, holds) : holds;
    };
    if (begin)
      also(arith::CmpIPredicate::eq, begin);
    int64_t known = ShapedType::kDynamic;
    for (const MappedOperand *operand : {&a, &b}) {
      int64_t size =
          cast<ShapedType>(operand->value.getType()).getShape().back();
      if (!ShapedType::isDynamic(size))
        known = size;
    }
    if (known == 0 || ShapedType::isDynamic(known))
      also(arith::CmpIPredicate::ne,
           tensor::DimOp::create(builder, loc, a.value, a.dims.size() - 1));
    return result;
  }

  /// P·C, 0 where P is 0: a forbidden pair may cost ∞.
  Value createTerm(OpBuilder &b, Location loc, Value entry, Value cost) {
    Value zero = createConstant(b, loc, compute, 0.0);
    Value isZero =
        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, entry, zero);
    Value product = arith::MulFOp::create(b, loc, entry, cost);
    return arith::SelectOp::create(b, loc, isZero, zero, product);
  }

  SmallVector<Value> createArgMax() {
    Value best = castTensor(builder, loc, outs[0].value, compute);
    SmallVector<Value> results = createGeneric(
        builder, loc, iterators, plan,
        {MappedOperand{best, outs[0].dims}, outs[1]},
        [&](OpBuilder &b, Location loc, ValueRange entries,
            ValueRange states) -> SmallVector<Value> {
          Value entry = createEntry(b, loc, entries);
          Value col = linalg::IndexOp::create(b, loc, colDim);
          if (Value offset = op.getOffset())
            col = arith::AddIOp::create(b, loc, col, offset);
          Value index = arith::IndexCastOp::create(b, loc, b.getI64Type(), col);
          Value larger = arith::CmpFOp::create(
              b, loc, arith::CmpFPredicate::OGT, entry, states[0]);
          return {arith::SelectOp::create(b, loc, larger, entry, states[0]),
                  arith::SelectOp::create(b, loc, larger, index, states[1])};
        });
    return {castInto(builder, loc, results[0], outs[0].value), results[1]};
  }

  ApplyOp op;
  OpBuilder &builder;
  Location loc;
  FloatType compute;
  SmallVector<IteratorType> iterators;
  int64_t rowDim, colDim;
  /// Matrix, factors and weights, in the order of `createPlanBody`.
  SmallVector<MappedOperand> plan;
  MappedOperand operand;
  SmallVector<MappedOperand> outs;
};

struct ApplyToLinalg final : OpRewritePattern<ApplyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ApplyOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "not on tensors");
    rewriter.replaceOp(op, ApplyLowering(op, rewriter).lower());
    return success();
  }
};
} // namespace

void scaling::populateApplyToLinalgPatterns(RewritePatternSet &patterns) {
  patterns.add<ApplyToLinalg>(patterns.getContext());
}
