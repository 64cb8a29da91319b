//===- Plan.cpp - The scaled matrix to linalg -----------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Generic.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

using namespace mlir;
using namespace mlir::scaling;

Value scaling::createPlanBody(OpBuilder &builder, Location loc, Domain domain,
                              bool logarithm, FloatType compute,
                              ValueRange entries) {
  SmallVector<Value> parts = llvm::map_to_vector(entries, [&](Value value) {
    return value ? castFloat(builder, loc, value, compute) : value;
  });
  return createPlanEntry(builder, loc, domain != Domain::kernel, logarithm,
                         parts[0], parts[1], parts[2], parts[3], parts[4]);
}

namespace {
/// One elementwise op.
struct PlanToLinalg final : OpRewritePattern<PlanOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PlanOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "not on tensors");
    FloatType compute = getComputeType(SmallVector<Value>(op.getOperands()));

    OperandReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    SmallVector<MappedOperand> inputs;
    for (Value value : {op.getMatrix(), op.getRow(), op.getCol(),
                        op.getRowWeight(), op.getColWeight()})
      inputs.push_back(reader.read(value));
    MappedOperand out = reader.read(op.getOuts());

    auto body = [&](OpBuilder &b, Location loc, ValueRange entries,
                    ValueRange) -> SmallVector<Value> {
      Value entry = createPlanBody(b, loc, op.getDomain(), op.getLogarithm(),
                                   compute, entries);
      return {castFloat(b, loc, entry, getElementTypeOrSelf(out.value))};
    };
    rewriter.replaceOp(op, createGeneric(rewriter, op.getLoc(),
                                         op.getStructuredIteratorTypes(),
                                         inputs, out, body));
    return success();
  }
};
} // namespace

void scaling::populatePlanToLinalgPatterns(RewritePatternSet &patterns) {
  patterns.add<PlanToLinalg>(patterns.getContext());
}
