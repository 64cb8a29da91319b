//===- ExpandMath.cpp - Patterns and pass ---------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ExpandMath/ExpandMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGEXPANDMATHPASS
#include "scaling/Conversion/ExpandMath/ExpandMath.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

namespace {

template <typename OpTy, Value (*Build)(OpBuilder &, Location, Value)>
struct ExpandLog final : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if (!isExpandableMathType(op.getType()))
      return rewriter.notifyMatchFailure(op, "not a supported float type");
    rewriter.replaceOp(op, Build(rewriter, op.getLoc(), op.getOperand()));
    return success();
  }
};

template <typename OpTy, Value (*Build)(OpBuilder &, Location, Value, bool)>
struct ExpandExp final : OpRewritePattern<OpTy> {
  ExpandExp(MLIRContext *context, bool useScalef)
      : OpRewritePattern<OpTy>(context), useScalef(useScalef) {}

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if (!isExpandableMathType(op.getType()))
      return rewriter.notifyMatchFailure(op, "not a supported float type");
    rewriter.replaceOp(
        op, Build(rewriter, op.getLoc(), op.getOperand(), useScalef));
    return success();
  }

private:
  bool useScalef;
};

struct ExpandPow final : OpRewritePattern<math::PowFOp> {
  ExpandPow(MLIRContext *context, bool useScalef)
      : OpRewritePattern(context), useScalef(useScalef) {}

  LogicalResult matchAndRewrite(math::PowFOp op,
                                PatternRewriter &rewriter) const override {
    if (!isExpandableMathType(op.getType()))
      return rewriter.notifyMatchFailure(op, "not a supported float type");
    rewriter.replaceOp(op, buildPow(rewriter, op.getLoc(), op.getLhs(),
                                    op.getRhs(), useScalef));
    return success();
  }

private:
  bool useScalef;
};

/// f64 to bf16 or f16: round to odd, then to nearest.
struct SplitTruncation final : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::TruncFOp op,
                                PatternRewriter &rewriter) const override {
    Type to = getElementTypeOrSelf(op.getType());
    if (!isExpandableMathType(op.getIn().getType()) ||
        !getElementTypeOrSelf(op.getIn().getType()).isF64() ||
        !(to.isF16() || to.isBF16()))
      return rewriter.notifyMatchFailure(op, "not f64 to bf16 or f16");
    if (op.getRoundingmodeAttr())
      return rewriter.notifyMatchFailure(op, "explicit rounding mode");
    Value odd = buildTruncToOddF32(rewriter, op.getLoc(), op.getIn());
    rewriter.replaceOpWithNewOp<arith::TruncFOp>(op, op.getType(), odd);
    return success();
  }
};

/// bf16 to f64: both steps are exact.
struct SplitExtension final : OpRewritePattern<arith::ExtFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::ExtFOp op,
                                PatternRewriter &rewriter) const override {
    Type from = op.getIn().getType();
    if (!isExpandableMathType(from) || !getElementTypeOrSelf(from).isBF16() ||
        !getElementTypeOrSelf(op.getType()).isF64())
      return rewriter.notifyMatchFailure(op, "not bf16 to f64");
    Type single = rewriter.getF32Type();
    if (auto vector = dyn_cast<VectorType>(from))
      single = vector.clone(single);
    Value extended =
        arith::ExtFOp::create(rewriter, op.getLoc(), single, op.getIn());
    rewriter.replaceOpWithNewOp<arith::ExtFOp>(op, op.getType(), extended);
    return success();
  }
};

struct ExpandMathPass final
    : mlir::scaling::impl::ScalingExpandMathPassBase<ExpandMathPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateExpandMathPatterns(patterns, useScalef);
    if (expandBF16)
      arith::populateExpandBFloat16Patterns(patterns);
    GreedyRewriteConfig config;
    config.setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
    if (failed(
            applyPatternsGreedily(getOperation(), std::move(patterns), config)))
      signalPassFailure();
  }
};

} // namespace

void mlir::scaling::populateExpandMathPatterns(RewritePatternSet &patterns,
                                               bool useScalef) {
  MLIRContext *context = patterns.getContext();
  patterns.add<ExpandExp<math::Exp2Op, buildExp2>,
               ExpandExp<math::ExpOp, buildExp>, ExpandPow>(context, useScalef);
  patterns
      .add<ExpandLog<math::Log2Op, buildLog2>, ExpandLog<math::LogOp, buildLog>,
           SplitTruncation, SplitExtension>(context);
}
