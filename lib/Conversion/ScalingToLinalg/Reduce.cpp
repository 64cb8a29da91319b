//===- Reduce.cpp - Statistics to linalg ----------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Generic.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::scaling;

/// Whether a pass' state depends on pivots, the finished states before it.
static bool needsRebase(Location loc, StatisticAttrInterface stat,
                        unsigned pass, FloatType type) {
  // Asked of the statistic itself: a state that stays comes back as it is.
  Block block;
  OpBuilder builder(loc.getContext());
  builder.setInsertionPointToEnd(&block);
  SmallVector<Type> types(pass, type);
  SmallVector<Location> locs(pass, loc);
  Value state = block.addArgument(type, loc);
  SmallVector<Value> before(block.addArguments(types, locs));
  SmallVector<Value> after(block.addArguments(types, locs));
  return stat.rebase(builder, loc, pass, state, before, after) != state;
}

/// Whether a destination holds a pass' neutral state everywhere.
static bool isNeutral(Value destination, StatisticAttrInterface stat,
                      unsigned pass) {
  Value splat = destination;
  if (auto fill = destination.getDefiningOp<linalg::FillOp>())
    splat = fill.getInputs()[0];
  llvm::APFloat value(0.0);
  if (!matchPattern(splat, m_ConstantFloat(&value)))
    return false;
  return value.bitwiseIsEqual(stat.getIdentity(pass, value.getSemantics()));
}

namespace {
/// One reduction per pass, over entries times the factor.
struct ReduceToLinalg final : OpRewritePattern<ReduceOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReduceOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "not on tensors");
    Location loc = op.getLoc();
    StatisticAttrInterface stat = op.getStat();
    FloatType compute = getComputeType(op.getOuts()[0]);

    OperandReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    MappedOperand matrix = reader.read(op.getMatrix());
    MappedOperand factor = reader.read(op.getFactor());
    MappedOperand mask = reader.read(op.getMask());
    reader.read(op.getScale());
    SmallVector<MappedOperand> outs = reader.read(op.getOuts());
    Value scale = op.getScale();
    if (scale)
      scale = castFloat(rewriter, loc, scale, compute);

    // A reduction that starts from nothing has nothing to move; looking at the
    // old states would cost a copy of each when they become buffers.
    bool startsNeutral = llvm::all_of(llvm::enumerate(outs), [&](auto out) {
      return isNeutral(out.value().value, stat, out.index());
    });
    SmallVector<Value> before, after;
    for (auto [index, out] : llvm::enumerate(outs)) {
      unsigned pass = index;
      Value start = castTensor(rewriter, loc, out.value, compute);
      Value init = start;
      if (!startsNeutral && needsRebase(loc, stat, pass, compute))
        init = createRebased(rewriter, loc, stat, pass, start, before, after);

      SmallVector<MappedOperand> inputs{matrix, factor, mask};
      for (Value finished : after)
        inputs.push_back({finished, out.dims});
      auto body = [&](OpBuilder &b, Location loc, ValueRange entries,
                      ValueRange states) -> SmallVector<Value> {
        Value other =
            entries[1] ? castFloat(b, loc, entries[1], compute) : Value();
        Value entry = createScaledEntry(b, loc, stat.isLog(),
                                        castFloat(b, loc, entries[0], compute),
                                        other, scale);
        Value lifted = stat.lift(b, loc, pass, entry, entries.drop_front(3));
        if (Value takesPart = entries[2]) {
          llvm::APFloat identity =
              stat.getIdentity(pass, compute.getFloatSemantics());
          Value neutral = arith::ConstantOp::create(
              b, loc, b.getFloatAttr(compute, identity));
          lifted = arith::SelectOp::create(b, loc, takesPart, lifted, neutral);
        }
        // The maximum is the one that keeps NaN, so that divergence is seen.
        if (stat.isMaxPass(pass))
          return {arith::MaximumFOp::create(b, loc, states[0], lifted)};
        return {arith::AddFOp::create(b, loc, states[0], lifted)};
      };
      Value state =
          createGeneric(rewriter, loc, op.getStructuredIteratorTypes(), inputs,
                        MappedOperand{init, out.dims}, body)[0];
      before.push_back(start);
      after.push_back(state);
    }

    SmallVector<Value> results;
    for (auto [state, out] : llvm::zip_equal(after, outs))
      results.push_back(castInto(rewriter, loc, state, out.value));
    rewriter.replaceOp(op, results);
    return success();
  }

private:
  /// The state that came in, moved from its own pivots to the new ones.
  static Value createRebased(OpBuilder &builder, Location loc,
                             StatisticAttrInterface stat, unsigned pass,
                             Value state, ArrayRef<Value> before,
                             ArrayRef<Value> after) {
    SmallVector<Value> inputs{state};
    llvm::append_range(inputs, before);
    llvm::append_range(inputs, after);
    return createElementwise(
        builder, loc, inputs, state,
        [&](OpBuilder &b, Location loc, ValueRange entries) {
          ValueRange finished = entries.drop_front();
          return stat.rebase(b, loc, pass, entries[0],
                             finished.take_front(pass),
                             finished.drop_front(pass));
        });
  }
};
} // namespace

void scaling::populateReduceToLinalgPatterns(RewritePatternSet &patterns) {
  patterns.add<ReduceToLinalg>(patterns.getContext());
}
