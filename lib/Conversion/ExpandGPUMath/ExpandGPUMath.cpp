//===- ExpandGPUMath.cpp - Functions by NVVM intrinsics -------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ExpandGPUMath/ExpandGPUMath.h"

#include "scaling/Conversion/DescribeGPU/DescribeGPU.h"
#include "scaling/Conversion/ExpandMath/ExpandMath.h"
#include "scaling/Conversion/ExpandOtherMath/ExpandOtherMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGEXPANDGPUMATHPASS
#include "scaling/Conversion/ExpandGPUMath/ExpandGPUMath.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// The patterns of `scaling-expand-math` take what these leave.
static constexpr unsigned short kApproximateBenefit = 2;

static constexpr double kLog2E = 0x1.715476p+0;
/// What is missing in f32 of log2(e).
static constexpr double kLog2ERest = 0x1.4ae0bf8p-26;
static constexpr double kLn2 = 0x1.62e42fefa39efp-1;

static constexpr float kSmallestNormal = 0x1p-126f;
/// Where a number or a product all but cancels a constant, what is left is a
/// multiple of 2^-50 of it: of such a constant, a normal number.
static constexpr float kLeastOffset = 0x1p-60f;

static Value createIntrinsic(OpBuilder &b, Location loc, StringRef name,
                             ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, loc, b.getF32Type(),
                                       b.getStringAttr(name), operands)
      .getResults();
}

static Value createF32(OpBuilder &b, Location loc, double value) {
  return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
}

static Value approximateExp2(OpBuilder &b, Location loc, Value x) {
  return createIntrinsic(b, loc, "llvm.nvvm.ex2.approx.ftz.f", x);
}

/// 2^(y + r) with y + r = x log2(e), y in f32 and r small: 2^y (1 + r ln 2).
/// Where x is infinite, r is NaN and left out.
static Value approximateExp(OpBuilder &b, Location loc, Value x) {
  Value log2E = createF32(b, loc, kLog2E);
  Value product = arith::MulFOp::create(b, loc, x, log2E);
  Value negated = arith::NegFOp::create(b, loc, product);
  Value error = math::FmaOp::create(b, loc, x, log2E, negated);
  Value rest =
      math::FmaOp::create(b, loc, x, createF32(b, loc, kLog2ERest), error);
  Value power = approximateExp2(b, loc, product);
  Value scaled = arith::MulFOp::create(b, loc, rest, createF32(b, loc, kLn2));
  Value better = math::FmaOp::create(b, loc, power, scaled, power);
  // Ordered: a NaN among the inputs is in `power` as well.
  Value isNumber =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::ORD, better, better);
  return arith::SelectOp::create(b, loc, isNumber, better, power);
}

static Value approximateLog2(OpBuilder &b, Location loc, Value x) {
  return createIntrinsic(b, loc, "llvm.nvvm.lg2.approx.f", x);
}

static Value approximateLog(OpBuilder &b, Location loc, Value x) {
  return arith::MulFOp::create(b, loc, approximateLog2(b, loc, x),
                               createF32(b, loc, kLn2));
}

static LogicalResult checkNotStrict(Operation *op, RewriterBase &rewriter) {
  auto function = op->getParentOfType<FunctionOpInterface>();
  if (function && function->hasAttr(kStrictAttrName))
    return rewriter.notifyMatchFailure(op, "in a strict function");
  return success();
}

/// The f32 scalars of functions that are not strict.
static LogicalResult checkApproximate(Operation *op, RewriterBase &rewriter) {
  if (!op->getResult(0).getType().isF32())
    return rewriter.notifyMatchFailure(op, "not an f32 scalar");
  return checkNotStrict(op, rewriter);
}

/// Upstream's expansions of these are exact enough.
static constexpr StringRef kExpanded[] = {"cosh", "rsqrt", "sinh", "tan",
                                          "tanh"};

/// Whether what is left of the math dialect is instructions.
static LogicalResult checkNoLibrary(Operation *root) {
  WalkResult result =
      root->walk([](Operation *op) {
        if (!isa<math::AcosOp, math::AcoshOp, math::AsinOp, math::AsinhOp,
                 math::AtanOp, math::Atan2Op, math::AtanhOp, math::CbrtOp,
                 math::CosOp, math::ErfOp, math::ErfcOp, math::ExpM1Op,
                 math::Log10Op, math::Log1pOp, math::SinOp, math::SincosOp>(op))
          return WalkResult::advance();
        op->emitOpError("on ")
            << op->getOperandTypes().front()
            << " has no form on the GPU without a device library";
        return WalkResult::interrupt();
      });
  return failure(result.wasInterrupted());
}

/// Whether a value is known to be no subnormal number: it has been clamped, or
/// a constant has been added.
static bool isNeverSubnormal(Value value) {
  auto isAtLeast = [](Value bound, float least) {
    APFloat number(APFloat::IEEEsingle());
    return matchPattern(bound, m_ConstantFloat(&number)) &&
           number.convertToFloat() >= least;
  };
  if (auto most = value.getDefiningOp<arith::MaximumFOp>())
    return isAtLeast(most.getRhs(), kSmallestNormal);
  if (auto sum = value.getDefiningOp<arith::AddFOp>())
    return isAtLeast(sum.getRhs(), kLeastOffset);
  if (auto sum = value.getDefiningOp<math::FmaOp>())
    return isAtLeast(sum.getC(), kLeastOffset);
  return false;
}

namespace {
template <typename OpTy, Value (*Build)(OpBuilder &, Location, Value)>
struct Approximate final : OpRewritePattern<OpTy> {
  explicit Approximate(MLIRContext *context)
      : OpRewritePattern<OpTy>(context, kApproximateBenefit) {}

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if (failed(checkApproximate(op, rewriter)))
      return failure();
    rewriter.replaceOp(op, Build(rewriter, op.getLoc(), op.getOperand()));
    return success();
  }
};

struct ApproximateDivision final : OpRewritePattern<arith::DivFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::DivFOp op,
                                PatternRewriter &rewriter) const override {
    if (failed(checkApproximate(op, rewriter)))
      return failure();
    if (matchPattern(op.getLhs(), m_OneFloat())) {
      if (isNeverSubnormal(op.getRhs())) {
        rewriter.replaceOp(op, createIntrinsic(rewriter, op.getLoc(),
                                               "llvm.nvvm.rcp.approx.ftz.f",
                                               op.getRhs()));
        return success();
      }
      // The back end has `rcp.approx` for that, which is shorter and more
      // exact, and no intrinsic that keeps subnormal numbers.
      if (bitEnumContainsAll(op.getFastmath(), arith::FastMathFlags::afn))
        return rewriter.notifyMatchFailure(op, "already approximate");
      rewriter.modifyOpInPlace(op, [&] {
        op.setFastmath(op.getFastmath() | arith::FastMathFlags::afn);
      });
      return success();
    }
    rewriter.replaceOp(op, createIntrinsic(rewriter, op.getLoc(),
                                           "llvm.nvvm.div.full",
                                           op->getOperands()));
    return success();
  }
};

/// A product that is only added to something: one instruction, which rounds
/// once. `mul` and `add` of PTX would stay two.
struct ContractSum final : OpRewritePattern<arith::AddFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::AddFOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.getType().isF32() && !op.getType().isF64())
      return rewriter.notifyMatchFailure(op, "not an f32 or f64 scalar");
    if (failed(checkNotStrict(op, rewriter)))
      return failure();
    for (unsigned i : {0, 1}) {
      auto product = op->getOperand(i).getDefiningOp<arith::MulFOp>();
      if (!product || !product->hasOneUse())
        continue;
      rewriter.replaceOpWithNewOp<math::FmaOp>(
          op, product.getLhs(), product.getRhs(), op->getOperand(1 - i));
      return success();
    }
    return rewriter.notifyMatchFailure(op, "adds no product of its own");
  }
};

/// What PTX has an instruction for, but `convert-gpu-to-nvvm` calls a library
/// for.
template <typename OpTy> struct UseIntrinsic final : OpRewritePattern<OpTy> {
  UseIntrinsic(MLIRContext *context, StringRef name)
      : OpRewritePattern<OpTy>(context), name(name) {}

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if (!isa<FloatType>(op.getType()))
      return rewriter.notifyMatchFailure(op, "not a scalar");
    rewriter.replaceOpWithNewOp<LLVM::CallIntrinsicOp>(
        op, op.getType(), rewriter.getStringAttr(name), op->getOperands());
    return success();
  }

private:
  StringRef name;
};

struct ExpandGPUMathPass final
    : scaling::impl::ScalingExpandGPUMathPassBase<ExpandGPUMathPass> {
  using Base::Base;

  void runOnOperation() override {
    // What programs around the ops have becomes exponentials and roots first.
    RewritePatternSet others(&getContext());
    populateExpandOtherMathPatterns(others);
    math::populateExpansionPatterns(others, kExpanded);
    RewritePatternSet patterns(&getContext());
    if (approximate)
      populateExpandGPUMathPatterns(patterns);
    populateExpandMathPatterns(patterns, /*useScalef=*/false);
    populateNVVMIntrinsicPatterns(patterns);
    GreedyRewriteConfig config;
    config.setRegionSimplificationLevel(GreedySimplifyRegionLevel::Disabled);
    if (failed(
            applyPatternsGreedily(getOperation(), std::move(others), config)) ||
        failed(applyPatternsGreedily(getOperation(), std::move(patterns),
                                     config)) ||
        failed(checkNoLibrary(getOperation())))
      signalPassFailure();
  }
};
} // namespace

void scaling::populateNVVMIntrinsicPatterns(RewritePatternSet &patterns) {
  MLIRContext *context = patterns.getContext();
  patterns.add<UseIntrinsic<math::AbsFOp>>(context, "llvm.fabs");
  patterns.add<UseIntrinsic<math::CeilOp>>(context, "llvm.ceil");
  patterns.add<UseIntrinsic<math::FloorOp>>(context, "llvm.floor");
  patterns.add<UseIntrinsic<math::RoundEvenOp>>(context, "llvm.roundeven");
  patterns.add<UseIntrinsic<math::SqrtOp>>(context, "llvm.sqrt");
}

void scaling::populateExpandGPUMathPatterns(RewritePatternSet &patterns) {
  patterns.add<Approximate<math::Exp2Op, approximateExp2>,
               Approximate<math::ExpOp, approximateExp>,
               Approximate<math::Log2Op, approximateLog2>,
               Approximate<math::LogOp, approximateLog>, ApproximateDivision,
               ContractSum>(patterns.getContext());
}
