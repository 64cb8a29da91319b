//===- Lanes.cpp - Layout changes of a batch as linalg --------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Generic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

/// One elementwise op over `outs`; the body is given where an entry is.
static Value createAtEachPlace(
    OpBuilder &builder, Location loc, Value outs,
    llvm::function_ref<Value(OpBuilder &, ValueRange place, Value old)> body) {
  auto type = cast<RankedTensorType>(outs.getType());
  AffineMap identity = builder.getMultiDimIdentityMap(type.getRank());
  SmallVector<IteratorType> iterators(type.getRank(), IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, type, ValueRange{}, outs, identity, iterators,
             [&](OpBuilder &b, Location l, ValueRange old) {
               SmallVector<Value> place;
               for (int64_t dim = 0; dim < type.getRank(); ++dim)
                 place.push_back(linalg::IndexOp::create(b, l, dim));
               linalg::YieldOp::create(b, l, body(b, place, old[0]));
             })
      .getResult(0);
}

static Value extract(OpBuilder &b, Location loc, Value source, Value first,
                     ValueRange middle, Value last) {
  SmallVector<Value> indices;
  if (first)
    indices.push_back(first);
  llvm::append_range(indices, middle);
  if (last)
    indices.push_back(last);
  return tensor::ExtractOp::create(b, loc, source, indices);
}

namespace {
struct ToLanesToLinalg final : OpRewritePattern<ToLanesOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ToLanesOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getResult())
      return rewriter.notifyMatchFailure(op, "on memrefs");
    Location loc = op.getLoc();
    Value source = op.getSource();
    Value zero = arith::ConstantIndexOp::create(rewriter, loc, 0);
    Value one = arith::ConstantIndexOp::create(rewriter, loc, 1);
    Value size = tensor::DimOp::create(rewriter, loc, source, zero);
    Value last = arith::SubIOp::create(rewriter, loc, size, one);
    Value lanes = createAtEachPlace(
        rewriter, loc, op.getOuts(),
        [&](OpBuilder &b, ValueRange place, Value) {
          Value element =
              arith::AddIOp::create(b, loc, op.getOffset(), place.back());
          element = arith::MinSIOp::create(b, loc, element, last);
          return extract(b, loc, source, element, place.drop_back(), Value());
        });
    rewriter.replaceOp(op, lanes);
    return success();
  }
};

/// Every element of the batch looks whether a lane holds it.
struct FromLanesToLinalg final : OpRewritePattern<FromLanesOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(FromLanesOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getResult())
      return rewriter.notifyMatchFailure(op, "on memrefs");
    Location loc = op.getLoc();
    int64_t count =
        cast<ShapedType>(op.getSource().getType()).getShape().back();
    Value zero = arith::ConstantIndexOp::create(rewriter, loc, 0);
    Value lanes = arith::ConstantIndexOp::create(rewriter, loc, count);
    Value batch = createAtEachPlace(
        rewriter, loc, op.getOuts(),
        [&](OpBuilder &b, ValueRange place, Value old) -> Value {
          Value lane =
              arith::SubIOp::create(b, loc, place.front(), op.getOffset());
          // A negative lane is a large number.
          Value held = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                             lane, lanes);
          Value inside = arith::SelectOp::create(b, loc, held, lane, zero);
          Value entry = extract(b, loc, op.getSource(), Value(),
                                place.drop_front(), inside);
          return arith::SelectOp::create(b, loc, held, entry, old);
        });
    rewriter.replaceOp(op, batch);
    return success();
  }
};
} // namespace

void scaling::populateLanesToLinalgPatterns(RewritePatternSet &patterns) {
  patterns.add<ToLanesToLinalg, FromLanesToLinalg>(patterns.getContext());
}
