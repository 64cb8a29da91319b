//===- ExpandOtherMath.cpp - Math of other programs -----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ExpandOtherMath/ExpandOtherMath.h"

#include "mlir/Conversion/MathToLibm/MathToLibm.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Transforms/DialectConversion.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGEXPANDOTHERMATHPASS
#include "scaling/Conversion/ExpandOtherMath/ExpandOtherMath.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// Constant exponents up to this become multiplications.
static constexpr uint64_t kLargestPower = 32;

/// `type` with another element type.
static Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}

namespace {
struct ExpandFPowI final : OpRewritePattern<math::FPowIOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(math::FPowIOp op,
                                PatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Value base = op.getLhs();
    APInt exponent;
    if (!matchPattern(op.getRhs(), m_ConstantInt(&exponent)) ||
        exponent.abs().ugt(kLargestPower)) {
      Value real =
          arith::SIToFPOp::create(rewriter, loc, base.getType(), op.getRhs());
      rewriter.replaceOpWithNewOp<math::PowFOp>(op, base, real);
      return success();
    }
    Type type = base.getType();
    Value one = arith::ConstantOp::create(rewriter, loc, type,
                                          rewriter.getOneAttr(type));
    Value result, power = base;
    for (uint64_t rest = exponent.abs().getZExtValue(); rest != 0; rest >>= 1) {
      if (rest & 1)
        result =
            result ? Value(arith::MulFOp::create(rewriter, loc, result, power))
                   : power;
      if (rest > 1)
        power = arith::MulFOp::create(rewriter, loc, power, power);
    }
    if (!result)
      result = one;
    else if (exponent.isNegative())
      result = arith::DivFOp::create(rewriter, loc, one, result);
    rewriter.replaceOp(op, result);
    return success();
  }
};

/// bf16 through f32, for which there is an expansion.
struct ExtendErf final : OpRewritePattern<math::ErfOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(math::ErfOp op,
                                PatternRewriter &rewriter) const override {
    Type type = op.getType();
    if (!getElementTypeOrSelf(type).isBF16())
      return rewriter.notifyMatchFailure(op, "not bf16");
    Value wide = arith::ExtFOp::create(rewriter, op.getLoc(),
                                       withElement(type, rewriter.getF32Type()),
                                       op.getOperand());
    wide = math::ErfOp::create(rewriter, op.getLoc(), wide);
    rewriter.replaceOpWithNewOp<arith::TruncFOp>(op, type, wide);
    return success();
  }
};
} // namespace

void mlir::scaling::populateExpandOtherMathPatterns(
    RewritePatternSet &patterns) {
  patterns.add<ExpandFPowI, ExtendErf>(patterns.getContext());
  populatePolynomialApproximateErfPattern(patterns);
  populateMathAlgebraicSimplificationPatterns(patterns);
}

LogicalResult mlir::scaling::expandOtherMath(ModuleOp module) {
  MLIRContext *context = module.getContext();
  RewritePatternSet expansions(context);
  populateExpandOtherMathPatterns(expansions);
  GreedyRewriteConfig config;
  config.setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
  if (failed(applyPatternsGreedily(module, std::move(expansions), config)))
    return failure();

  RewritePatternSet calls(context);
  populateMathToLibmConversionPatterns(calls);
  ConversionTarget target(*context);
  target.addIllegalOp<math::AcoshOp, math::AsinhOp, math::AtanhOp, math::CbrtOp,
                      math::ErfOp, math::ErfcOp>();
  target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
  return applyPartialConversion(module, target, std::move(calls));
}

namespace {
struct ScalingExpandOtherMathPass final
    : scaling::impl::ScalingExpandOtherMathPassBase<
          ScalingExpandOtherMathPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(expandOtherMath(getOperation())))
      signalPassFailure();
  }
};
} // namespace
