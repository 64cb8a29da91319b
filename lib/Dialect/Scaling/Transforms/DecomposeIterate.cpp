//===- DecomposeIterate.cpp - iterate to half-steps -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

IterateDecomposer::IterateDecomposer(OpBuilder &builder, IterateOp op)
    : b(builder), op(op), loc(op.getLoc()), e(builder, loc),
      domain(op.getNumerics().getDomain()), isLog(op.getNumerics().isLog()),
      accumulate(op.getAccumulateType()), stop(op.getStop()) {
  SmallVector<BatchedOperand> operands = getBatchedOperands(op);
  ProblemShape shape = *inferProblemShape(operands, "", nullptr);
  for (int64_t i = 0, end = shape.batch.size(); i < end; ++i)
    batchSizes.push_back(getBatchSize(b, loc, operands, shape, i));
  rows = getProblemSize(b, loc, operands, shape, Size::rows);
  cols = getProblemSize(b, loc, operands, shape, Size::cols);
}

FailureOr<SmallVector<Value>> IterateDecomposer::run() {
  start = startFactors();
  Outcome out;
  switch (stop.getMode()) {
  case StopMode::fixed:
    out = op.getAnneal() ? annealed() : fixed();
    break;
  case StopMode::until:
    out = until();
    break;
  case StopMode::best:
    out = best();
    break;
  }
  // Divergence: the start factors come out, and the residual says so.
  Value diverged = notFinite(out.factors);
  Value marked = onBatch(
      b.getI1Type(), {diverged, out.status},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value code = arith::ConstantOp::create(
            inner, l,
            inner.getI32IntegerAttr(static_cast<int>(StatusCode::diverged)));
        Value already = arith::CmpIOp::create(
            inner, l, arith::CmpIPredicate::eq, in[1], code);
        return arith::OrIOp::create(inner, l, in[0], already);
      });
  out.factors = replace(out.factors, marked, start);
  out.residual = replace(out.residual, marked, batchFloat(kInfinity));
  out.status = replace(out.status, marked,
                       batchInt(static_cast<int>(StatusCode::diverged)));
  SmallVector<Value> results{out.factors.row, out.factors.col, out.steps,
                             out.residual, out.status};
  // Static sizes known only from another operand: cast to the op's types.
  for (auto [value, type] : llvm::zip_equal(results, op->getResultTypes()))
    if (value.getType() != type)
      value = tensor::CastOp::create(b, loc, type, value);
  return results;
}

FailureOr<SmallVector<Value>> scaling::decomposeIterate(OpBuilder &builder,
                                                        IterateOp op) {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op);
  return IterateDecomposer(builder, op).run();
}

namespace {
struct DecomposeIteratePattern : OpRewritePattern<IterateOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(IterateOp op,
                                PatternRewriter &rewriter) const override {
    FailureOr<SmallVector<Value>> results = decomposeIterate(rewriter, op);
    if (failed(results))
      return failure();
    rewriter.replaceOp(op, *results);
    return success();
  }
};
} // namespace

void scaling::populateDecomposePatterns(RewritePatternSet &patterns) {
  patterns.add<DecomposeIteratePattern>(patterns.getContext());
}
