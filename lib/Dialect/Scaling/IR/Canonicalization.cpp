//===- Canonicalization.cpp - Folds and canonical forms ---------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Casts before the destination-style core ops are folded by the tensor
// dialect's own patterns, and two equal ops are merged by CSE: neither needs
// anything here.
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/Dialect/Scaling/IR/Shapes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::scaling;

//===----------------------------------------------------------------------===//
// Operands that say nothing
//===----------------------------------------------------------------------===//

/// The one number a value holds everywhere, if that is known: a scalar
/// constant, a splat, or a tensor filled with a constant.
static Attribute constantFill(Value value) {
  if (auto fill = value.getDefiningOp<linalg::FillOp>())
    value = fill.getInputs()[0];
  else if (auto splat = value.getDefiningOp<tensor::SplatOp>())
    value = splat.getInput();
  Attribute constant;
  if (!matchPattern(value, m_Constant(&constant)))
    return {};
  if (auto elements = dyn_cast<DenseElementsAttr>(constant))
    return elements.isSplat() ? elements.getSplatValue<Attribute>()
                              : Attribute();
  return constant;
}

static bool isFilledWith(Value value, double number) {
  if (!value)
    return false;
  auto constant = dyn_cast_or_null<FloatAttr>(constantFill(value));
  return constant && constant.getValueAsDouble() == number;
}

static bool isTrueEverywhere(Value mask) {
  if (!mask)
    return false;
  auto constant = dyn_cast_or_null<IntegerAttr>(constantFill(mask));
  return constant && constant.getType().isInteger(1) &&
         constant.getValue().isOne();
}

/// Removes an optional operand of an op.
static void dropOperand(PatternRewriter &rewriter, Operation *op,
                        MutableOperandRange operand) {
  rewriter.modifyOpInPlace(op, [&] { operand.clear(); });
}

/// Whether the shape of a problem is the same without one of its operands: a
/// batch may come from a mask alone.
static bool isShapeWithout(Operation *op, Value dropped) {
  SmallVector<BatchedOperand> operands = getBatchedOperands(op);
  FailureOr<ProblemShape> whole = inferProblemShape(operands, "", nullptr);
  bool done = false;
  for (BatchedOperand &operand : operands)
    if (operand.value == dropped && !std::exchange(done, true))
      operand.value = Value();
  FailureOr<ProblemShape> rest = inferProblemShape(operands, "", nullptr);
  return succeeded(whole) && succeeded(rest) && whole->batch == rest->batch &&
         llvm::equal(whole->sizes, rest->sizes);
}

static LogicalResult dropFromProblem(PatternRewriter &rewriter, Operation *op,
                                     MutableOperandRange operand) {
  // Two equal operands: the shape is looked at without either, once.
  if (!isShapeWithout(op, OperandRange(operand)[0]))
    return failure();
  dropOperand(rewriter, op, operand);
  return success();
}

static FormAttr withEpsilon(FormAttr form, double epsilon) {
  return FormAttr::get(form.getContext(), form.getInput(), form.getMap(),
                       form.getShift(), epsilon, form.getStandardize(),
                       form.getEntryEps(), form.getNormalizeTotal(),
                       form.getStart(), form.getOutput(), form.getScale(),
                       form.getAnneal(), form.getExtrapolate());
}

namespace {

/// A mask that is true everywhere goes.
template <typename OpTy> struct DropTrueMasks final : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if constexpr (std::is_same_v<OpTy, NormalizeOp>) {
      return success(
          isTrueEverywhere(op.getMask()) &&
          succeeded(dropFromProblem(rewriter, op, op.getMaskMutable())));
    } else {
      if (isTrueEverywhere(op.getRowMask()) &&
          succeeded(dropFromProblem(rewriter, op, op.getRowMaskMutable())))
        return success();
      return success(
          isTrueEverywhere(op.getColMask()) &&
          succeeded(dropFromProblem(rewriter, op, op.getColMaskMutable())));
    }
  }
};

/// Starts that are neutral and targets that are one where the rule says so go.
template <typename OpTy>
struct DropNeutralVectors final : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    double neutral = op.getNumerics().isLog() ? 0.0 : 1.0;
    auto drop = [&](Value value, MutableOperandRange operand, double number) {
      return isFilledWith(value, number) &&
             succeeded(dropFromProblem(rewriter, op, operand));
    };
    auto [row, col, rowRange, colRange] = [&] {
      if constexpr (std::is_same_v<OpTy, IterateOp>)
        return std::tuple(op.getRowStart(), op.getColStart(),
                          op.getRowStartMutable(), op.getColStartMutable());
      else
        return std::tuple(op.getRowInit(), op.getColInit(),
                          op.getRowInitMutable(), op.getColInitMutable());
    }();
    return success(drop(row, rowRange, neutral) ||
                   drop(col, colRange, neutral) ||
                   (op.getRows().getTarget() == Target::one &&
                    drop(op.getRowTarget(), op.getRowTargetMutable(), 1.0)) ||
                   (op.getCols().getTarget() == Target::one &&
                    drop(op.getColTarget(), op.getColTargetMutable(), 1.0)));
  }
};

/// A constant ε becomes the form's. (An annealed form's own ε is its last.)
template <typename OpTy>
struct FoldConstantEpsilon final : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if (!op.getEpsilon() || !op.getForm().getAnneal().empty())
      return failure();
    auto constant = dyn_cast_or_null<FloatAttr>(constantFill(op.getEpsilon()));
    if (!constant || !isShapeWithout(op, op.getEpsilon()))
      return failure();
    double epsilon = constant.getValueAsDouble();
    if (!(epsilon > 0 && std::isfinite(epsilon)))
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      op.setFormAttr(withEpsilon(op.getForm(), epsilon));
      op.getEpsilonMutable().clear();
    });
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Casts
//===----------------------------------------------------------------------===//

/// A cast to a less static type before an op on a whole problem moves behind
/// it.
template <typename OpTy> struct FoldCasts final : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    SmallVector<Value> operands(op->getOperands());
    bool changed = false;
    // The length of `anneal` goes with the count, not with the shapes.
    MutableArrayRef<Value> shaped = operands;
    if constexpr (std::is_same_v<OpTy, IterateOp>)
      shaped = shaped.drop_back(op.getAnneal() ? 1 : 0);
    for (Value &operand : shaped)
      if (auto cast = operand.getDefiningOp<tensor::CastOp>();
          cast && tensor::canFoldIntoConsumerOp(cast)) {
        operand = cast.getSource();
        changed = true;
      }
    if (!changed)
      return failure();
    OperationState state(op.getLoc(), op->getName(), operands, TypeRange(),
                         op->getAttrs());
    SmallVector<Type> types;
    auto properties = op.getProperties();
    // Sources that contradict each other are left to fail at run time.
    if (failed(OpTy::inferReturnTypes(op.getContext(), std::nullopt, operands,
                                      op->getDiscardableAttrDictionary(),
                                      &properties, RegionRange(), types)))
      return failure();
    state.addTypes(types);
    Operation *more = rewriter.create(state);
    SmallVector<Value> results;
    for (auto [result, old] :
         llvm::zip_equal(more->getResults(), op->getResultTypes())) {
      Value value = result;
      if (value.getType() != old)
        value = tensor::CastOp::create(rewriter, op.getLoc(), old, value);
      results.push_back(value);
    }
    rewriter.replaceOp(op, results);
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Counts of zero and one
//===----------------------------------------------------------------------===//

/// An iteration of no half-steps gives its starts. Status and residual tell of
/// starts that are not finite, so that with starts they must not be looked at.
struct FoldEmptyIteration final : OpRewritePattern<IterateOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(IterateOp op,
                                PatternRewriter &rewriter) const override {
    StopAttr stop = op.getStop();
    if (!stop.isFixed() || stop.getLimit() != 0 || stop.getMeasureLast() ||
        op.getRowTarget() || op.getColTarget() || op.getRowMask() ||
        op.getColMask() || op.getAnneal())
      return failure();
    bool started = op.getRowStart() || op.getColStart();
    bool reported = !op.getHalfSteps().use_empty() ||
                    !op.getResidual().use_empty() ||
                    !op.getStatus().use_empty();
    if (started && reported)
      return failure();
    double neutral = op.getNumerics().isLog() ? 0.0 : 1.0;
    // What each result is; null where nobody asks.
    SmallVector<Value> results(op->getNumResults());
    SmallVector<Attribute> constants(op->getNumResults());
    for (OpResult result : op->getResults()) {
      auto type = cast<RankedTensorType>(result.getType());
      unsigned number = result.getResultNumber();
      if (result.use_empty())
        continue;
      bool one = op.getOrder() == Order::symmetric;
      Value start = number == 0   ? op.getRowStart()
                    : number == 1 ? one ? op.getRowStart() : op.getColStart()
                                  : Value();
      if (start) {
        if (!tensor::CastOp::areCastCompatible(start.getType(), type))
          return failure();
        results[number] = start;
        continue;
      }
      if (!type.hasStaticShape())
        return failure();
      Type element = type.getElementType();
      Attribute value = isa<IntegerType>(element)
                            ? Attribute(rewriter.getIntegerAttr(element, 0))
                            : Attribute(rewriter.getFloatAttr(
                                  element, number == 3 ? -1.0 : neutral));
      constants[number] = DenseElementsAttr::get(type, value);
    }
    for (OpResult result : op->getResults()) {
      unsigned number = result.getResultNumber();
      Value &value = results[number];
      if (constants[number])
        value = arith::ConstantOp::create(rewriter, op.getLoc(),
                                          cast<TypedAttr>(constants[number]));
      else if (value && value.getType() != result.getType())
        value = tensor::CastOp::create(rewriter, op.getLoc(), result.getType(),
                                       value);
      if (value)
        rewriter.replaceAllUsesWith(result, value);
    }
    rewriter.eraseOp(op);
    return success();
  }
};

/// One half-step of a projection, whose residual and status nobody asks for,
/// is a `normalize`. (Where it diverges the projection gives its start; the
/// status says so.)
struct ProjectToNormalize final : OpRewritePattern<ProjectOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ProjectOp op,
                                PatternRewriter &rewriter) const override {
    StopAttr stop = op.getStop();
    if (!stop.isFixed() || stop.getLimit() != 1 ||
        op.getOrder() == Order::jacobi || op.getOrder() == Order::symmetric ||
        op.getRowInit() || op.getColInit() || op.getSlack() ||
        op.getForm().getStart() != Start::neutral)
      return rewriter.notifyMatchFailure(op, "not one half-step from neutral");
    if (!op.getResidual().use_empty() || !op.getStatus().use_empty() ||
        (!op.getHalfSteps().use_empty() &&
         !op.getHalfSteps().getType().hasStaticShape()))
      return rewriter.notifyMatchFailure(op, "its report is looked at");
    bool rows = op.getOrder() == Order::rows_first;
    Value target = rows ? op.getRowMarginal() : op.getColMarginal();
    // A mask on the own axis and zeros in the other's marginal have no place.
    if (rows ? op.getColMarginal() || op.getRowMask()
             : op.getRowMarginal() || op.getColMask())
      return rewriter.notifyMatchFailure(op, "more than one axis takes part");
    auto normalize = NormalizeOp::create(
        rewriter, op.getLoc(), op.getPlan().getType(), op.getMatrix(), target,
        rows ? op.getColMask() : op.getRowMask(), op.getEpsilon(),
        rows ? Axis::rows : Axis::cols, op.getForm(),
        rows ? op.getRows() : op.getCols(), op.getNumerics());
    if (!op.getHalfSteps().use_empty()) {
      auto one = DenseElementsAttr::get(op.getHalfSteps().getType(),
                                        rewriter.getI32IntegerAttr(1));
      Value count = arith::ConstantOp::create(rewriter, op.getLoc(), one);
      rewriter.replaceAllUsesWith(op.getHalfSteps(), count);
    }
    rewriter.replaceAllUsesWith(op.getPlan(), normalize.getResult());
    rewriter.eraseOp(op);
    return success();
  }
};

/// Attention of one half-step, whose residual is not measured, in the form
/// that softmax attention has: the rule of the axis that is never updated
/// plain; targets 1/n times a scale n as targets 1; one reading in the log
/// domain instead of the machinery of `absorb`.
struct SoftmaxAttention final : OpRewritePattern<AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(AttentionOp op,
                                PatternRewriter &rewriter) const override {
    StopAttr stop = op.getStop();
    FormAttr form = op.getForm();
    if (!stop.isFixed() || stop.getLimit() != 1 || stop.getMeasureLast() ||
        op.getOrder() == Order::jacobi || form.getStart() != Start::neutral)
      return failure();
    bool isRows = op.getOrder() == Order::rows_first;
    RuleAttr rule = isRows ? op.getRows() : op.getCols();
    NumericsAttr numerics = op.getNumerics();
    RuleAttr plain =
        RuleAttr::getPlain(op.getContext(), SumAttr::get(op.getContext()));
    OutputScale own = isRows ? OutputScale::rows : OutputScale::cols;
    if (rule.isPlain() && rule.getTarget() == Target::uniform &&
        form.getScale() == own) {
      rule = RuleAttr::getPlain(op.getContext(), rule.getStat());
      form = FormAttr::get(
          op.getContext(), form.getInput(), form.getMap(), form.getShift(),
          form.getEpsilon(), form.getStandardize(), form.getEntryEps(),
          form.getNormalizeTotal(), form.getStart(), form.getOutput(),
          OutputScale::one, form.getAnneal(), form.getExtrapolate());
    }
    if (numerics.getDomain() == Domain::absorb)
      numerics = NumericsAttr::get(
          op.getContext(), Domain::log, numerics.getAccumulate(),
          numerics.getStrict(), numerics.getProducts());
    RuleAttr rows = isRows ? rule : plain, cols = isRows ? plain : rule;
    if (rows == op.getRows() && cols == op.getCols() && form == op.getForm() &&
        numerics == op.getNumerics())
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      op.setRowsAttr(rows);
      op.setColsAttr(cols);
      op.setFormAttr(form);
      op.setNumericsAttr(numerics);
    });
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Core ops
//===----------------------------------------------------------------------===//

/// Neutral factors and weights of one go.
template <typename OpTy>
struct DropNeutralFactors final : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    double neutral = op.getDomain() == Domain::kernel ? 1.0 : 0.0;
    auto drop = [&](Value value, MutableOperandRange operand, double number) {
      if (!isFilledWith(value, number))
        return false;
      dropOperand(rewriter, op, operand);
      return true;
    };
    return success(drop(op.getRow(), op.getRowMutable(), neutral) ||
                   drop(op.getCol(), op.getColMutable(), neutral) ||
                   drop(op.getRowWeight(), op.getRowWeightMutable(), 1.0) ||
                   drop(op.getColWeight(), op.getColWeightMutable(), 1.0));
  }
};

/// A neutral factor, a scale of one and a mask of all go.
struct SimplifyReduce final : OpRewritePattern<ReduceOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(ReduceOp op,
                                PatternRewriter &rewriter) const override {
    if (isFilledWith(op.getFactor(), op.getStat().isLog() ? 0.0 : 1.0))
      dropOperand(rewriter, op, op.getFactorMutable());
    else if (isFilledWith(op.getScale(), 1.0))
      dropOperand(rewriter, op, op.getScaleMutable());
    else if (isTrueEverywhere(op.getMask()))
      dropOperand(rewriter, op, op.getMaskMutable());
    else
      return failure();
    return success();
  }
};

/// A target of one and a mask of all go.
struct SimplifyUpdate final : OpRewritePattern<UpdateOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(UpdateOp op,
                                PatternRewriter &rewriter) const override {
    if (isTrueEverywhere(op.getMask())) {
      dropOperand(rewriter, op, op.getMaskMutable());
      return success();
    }
    if (op.getRule().getTarget() != Target::one ||
        !isFilledWith(op.getTarget(), 1.0))
      return failure();
    dropOperand(rewriter, op, op.getTargetMutable());
    return success();
  }
};

/// The plan of a plan, where no axis has a factor in both, is one plan.
struct MergePlans final : OpRewritePattern<PlanOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(PlanOp op,
                                PatternRewriter &rewriter) const override {
    auto inner = op.getMatrix().getDefiningOp<PlanOp>();
    if (!inner || !inner->hasOneUse())
      return failure();
    // What comes out must be a matrix of the outer domain.
    bool isLog = op.getDomain() != Domain::kernel;
    if ((inner.getDomain() != Domain::kernel) != isLog ||
        inner.getLogarithm() != isLog)
      return rewriter.notifyMatchFailure(op, "another domain");
    // A storage type in between would round.
    Type element = getElementTypeOrSelf(inner.getOuts());
    if (element != getElementTypeOrSelf(op.getOuts()) ||
        !(element.isF32() || element.isF64()))
      return rewriter.notifyMatchFailure(op, "rounds in between");
    if (inner.getMatrixDims() != op.getMatrixDims() ||
        cast<ShapedType>(inner.getOuts().getType()).getRank() !=
            cast<ShapedType>(op.getOuts().getType()).getRank() ||
        (op.getDims() &&
         cast<ShapedType>(inner.getMatrix().getType()).getRank() !=
             cast<ShapedType>(op.getOuts().getType()).getRank()))
      return rewriter.notifyMatchFailure(op, "another layout");
    auto one = [](Value a, Value b) { return a ? a : b; };
    if ((op.getRow() && inner.getRow()) || (op.getCol() && inner.getCol()) ||
        (op.getRowWeight() && inner.getRowWeight()) ||
        (op.getColWeight() && inner.getColWeight()) ||
        (op.getLogarithm() && (inner.getRowWeight() || inner.getColWeight())))
      return rewriter.notifyMatchFailure(op, "an axis has two factors");
    rewriter.replaceOpWithNewOp<PlanOp>(
        op, op->getResultTypes(), inner.getMatrix(),
        one(op.getRow(), inner.getRow()), one(op.getCol(), inner.getCol()),
        one(op.getRowWeight(), inner.getRowWeight()),
        one(op.getColWeight(), inner.getColWeight()), op.getOuts(),
        op.getDomain(), op.getLogarithm(), op.getDimsAttr());
    return success();
  }
};

} // namespace

//===----------------------------------------------------------------------===//
// Which op has which
//===----------------------------------------------------------------------===//

void IterateOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                            MLIRContext *context) {
  patterns.add<FoldCasts<IterateOp>, DropTrueMasks<IterateOp>,
               DropNeutralVectors<IterateOp>, FoldEmptyIteration>(context);
}
void ReduceOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                           MLIRContext *context) {
  patterns.add<SimplifyReduce>(context);
}
void UpdateOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                           MLIRContext *context) {
  patterns.add<SimplifyUpdate>(context);
}
void PlanOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                         MLIRContext *context) {
  patterns.add<DropNeutralFactors<PlanOp>, MergePlans>(context);
}
void ApplyOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                          MLIRContext *context) {
  patterns.add<DropNeutralFactors<ApplyOp>>(context);
}
void SinkhornOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                             MLIRContext *context) {
  patterns.add<FoldCasts<SinkhornOp>, DropTrueMasks<SinkhornOp>,
               FoldConstantEpsilon<SinkhornOp>>(context);
}
void ProjectOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                            MLIRContext *context) {
  patterns.add<FoldCasts<ProjectOp>, DropTrueMasks<ProjectOp>,
               FoldConstantEpsilon<ProjectOp>, ProjectToNormalize>(context);
}
void BalanceOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                            MLIRContext *context) {
  patterns.add<FoldCasts<BalanceOp>, DropTrueMasks<BalanceOp>,
               DropNeutralVectors<BalanceOp>>(context);
}
void NormalizeOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<FoldCasts<NormalizeOp>, DropTrueMasks<NormalizeOp>,
               FoldConstantEpsilon<NormalizeOp>>(context);
}
void AttentionOp::getCanonicalizationPatterns(RewritePatternSet &patterns,
                                              MLIRContext *context) {
  patterns.add<FoldCasts<AttentionOp>, DropTrueMasks<AttentionOp>,
               FoldConstantEpsilon<AttentionOp>, SoftmaxAttention>(context);
}
void SimilarityBalanceOp::getCanonicalizationPatterns(
    RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<FoldCasts<SimilarityBalanceOp>>(context);
}
