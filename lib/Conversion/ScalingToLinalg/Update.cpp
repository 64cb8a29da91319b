//===- Update.cpp - Rules to linalg ---------------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Generic.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// One elementwise op with one or two results.
struct UpdateToLinalg final : OpRewritePattern<UpdateOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(UpdateOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "not on tensors");
    Location loc = op.getLoc();
    FloatType compute = getComputeType(op.getOwn());

    // The own factor is the first input, which always stays.
    OperandReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    SmallVector<MappedOperand> states = reader.read(op.getStates());
    SmallVector<MappedOperand> inputs{reader.read(op.getOwn())};
    inputs.push_back(reader.read(op.getTarget()));
    inputs.push_back(reader.read(op.getMask()));
    inputs.push_back(reader.read(op.getOmega()));
    llvm::append_range(inputs, states);
    SmallVector<MappedOperand> outs = reader.read(op.getOuts());

    auto body = [&](OpBuilder &b, Location loc, ValueRange entries,
                    ValueRange) -> SmallVector<Value> {
      auto extended = [&](Value value) {
        return value ? castFloat(b, loc, value, compute) : value;
      };
      SmallVector<Value> statistic =
          llvm::map_to_vector(entries.drop_front(4), extended);
      Value own = extended(entries[0]);
      Updated updated =
          createUpdate(b, loc, op.getRule(), op.getDomain(), statistic, own,
                       extended(entries[1]), entries[2], extended(entries[3]));
      SmallVector<Value> results{updated.factor};
      if (outs.size() == 2)
        results.push_back(updated.planStatistic);
      for (auto [result, out] : llvm::zip_equal(results, outs))
        result = castFloat(b, loc, result, getElementTypeOrSelf(out.value));
      return results;
    };
    rewriter.replaceOp(op, createGeneric(rewriter, loc,
                                         op.getStructuredIteratorTypes(),
                                         inputs, outs, body));
    return success();
  }
};
} // namespace

void scaling::populateUpdateToLinalgPatterns(RewritePatternSet &patterns) {
  patterns.add<UpdateToLinalg>(patterns.getContext());
}
