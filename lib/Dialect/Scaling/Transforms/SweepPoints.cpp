//===- SweepPoints.cpp - Statistics from points -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A squared distance is |x|² + |y|² − 2 x·y: half the arithmetic of adding up
// squared differences, and a product of matrices. What it loses to rounding is
// of the size of the points, so that these are moved first: near the origin,
// they are as large as their distances are. Cosines are products of points over
// their norms. Points of a type narrower than the costs are cast once.
//
//===----------------------------------------------------------------------===//

#include "MatrixSource.h"
#include "TensorEmitter.h"

#include "scaling/Dialect/Scaling/IR/AttributeNames.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::scaling;

/// From so many coordinates on, squared distances are made of products.
static constexpr int64_t kLeastProduct = 16;

/// Points whose mean is taken for the middle of all.
static constexpr int64_t kMiddlePoints = 32;

namespace {
/// Points as the sweeps take them.
struct Prepared {
  Value x, y;
  /// The metric in the sweeps, and by what its costs are multiplied.
  Metric metric;
  double coefficient = 1.0;
  /// What is added to the costs of a point, or null.
  Value xTerm = Value(), yTerm = Value();
  Products products = Products::f32;
};

class PointSweeper {
public:
  explicit PointSweeper(RewriterBase &rewriter) : rewriter(rewriter) {}

  /// False where the op stays.
  bool sweep(ReduceOp reduce);
  /// The same, of costs that statistics are taken of from the points.
  bool sweep(ApplyOp apply);

private:
  /// What makes the matrix, if it is from points.
  BiasedPairwise findSwept(Value matrix);
  /// The same with its numbers times the op's own, which may be null.
  BiasedPairwise createScales(TensorEmitter &e, Value matrix, Value own,
                              const Prepared &points);
  Prepared &prepare(PairwiseOp pairwise);
  /// Squares of a type along the last dimension.
  Value squares(FloatType type, TensorEmitter &e, Value points);
  void centre(TensorEmitter &e, Prepared &points);
  /// The nearest numbers of tf32, or as bf16 or f16.
  Value rounded(TensorEmitter &e, Value points, Products products);

  RewriterBase &rewriter;
  llvm::DenseMap<Operation *, Prepared> prepared;
};
} // namespace

/// Whether an axis' statistics start from nothing.
static bool startsNeutral(ReduceOp reduce) {
  StatisticAttrInterface stat = reduce.getStat();
  for (auto [pass, out] : llvm::enumerate(reduce.getOuts())) {
    auto fill = out.getDefiningOp<linalg::FillOp>();
    llvm::APFloat value(0.0);
    if (!fill || !matchPattern(fill.getInputs()[0], m_ConstantFloat(&value)) ||
        !value.bitwiseIsEqual(stat.getIdentity(pass, value.getSemantics())))
      return false;
  }
  return true;
}

static FloatType typeOf(Value value) {
  return cast<FloatType>(getElementTypeOrSelf(value));
}

static bool isOf(FloatType type, Value value) {
  return !value || getElementTypeOrSelf(value) == type;
}

/// Whether the type has every number of the value's.
static bool fits(FloatType type, Value value) {
  return isOf(type, value) || typeOf(value).getWidth() < type.getWidth();
}

static Value castTo(FloatType type, TensorEmitter &e, Value tensor) {
  if (isOf(type, tensor))
    return tensor;
  auto sizes = tensor::getMixedSizes(e.b, e.loc, tensor);
  return e.elementwise(sizes, 1, type, {{tensor, {0}}},
                       [&](OpBuilder &b, Location l, ValueRange in) {
                         return castFloat(b, l, in[0], type);
                       });
}

/// Numbers of 16 bits are read as pairs.
static bool isOfPairs(Products products) {
  return products == Products::bf16 || products == Products::f16;
}

/// Whether rows are known to be pairs.
static bool isPaired(Value rows) {
  int64_t size = cast<ShapedType>(rows.getType()).getShape().back();
  return !ShapedType::isDynamic(size) && size % 2 == 0;
}

Value PointSweeper::squares(FloatType type, TensorEmitter &e, Value points) {
  auto sizes = tensor::getMixedSizes(e.b, e.loc, points);
  return e.reduce(sizes, 1, type, {{points, {0}}}, TensorEmitter::Combine::add,
                  [&](OpBuilder &b, Location l, ValueRange in) -> Value {
                    Value own = castFloat(b, l, in[0], type);
                    return arith::MulFOp::create(b, l, own, own);
                  });
}

/// Moves both sides, without batch dimensions, by the mean of a few points.
void PointSweeper::centre(TensorEmitter &e, Prepared &points) {
  OpBuilder &b = e.b;
  FloatType type = typeOf(points.y);
  auto sizes = tensor::getMixedSizes(b, e.loc, points.y);
  AffineExpr size = b.getAffineSymbolExpr(0);
  sizes[0] = affine::makeComposedFoldedAffineMin(
      b, e.loc,
      AffineMap::get(0, 1, {size, b.getAffineConstantExpr(kMiddlePoints)},
                     b.getContext()),
      {sizes[0]});
  SmallVector<OpFoldResult> zeros(2, b.getIndexAttr(0)),
      ones(2, b.getIndexAttr(1));
  Value few =
      tensor::ExtractSliceOp::create(b, e.loc, points.y, zeros, sizes, ones);
  Value count = e.toFloat(e.indexValue(sizes[0]), type);
  count = arith::MaximumFOp::create(b, e.loc, count, e.scalar(type, 1.0));
  Value none = e.filled({sizes[1]}, e.scalar(type, 0.0));
  AffineExpr coordinate, point;
  bindDims(b.getContext(), coordinate, point);
  SmallVector<AffineMap> maps{
      AffineMap::get(2, 0, {point, coordinate}, b.getContext()),
      AffineMap::get(2, 0, coordinate)};
  Value middle = linalg::GenericOp::create(
                     b, e.loc, none.getType(), few, none, maps,
                     ArrayRef{utils::IteratorType::parallel,
                              utils::IteratorType::reduction},
                     [&](OpBuilder &inner, Location l, ValueRange in) {
                       Value part =
                           arith::DivFOp::create(inner, l, in[0], count);
                       Value sum = arith::AddFOp::create(inner, l, in[1], part);
                       linalg::YieldOp::create(inner, l, sum);
                     })
                     .getResult(0);
  for (Value *side : {&points.x, &points.y}) {
    auto all = tensor::getMixedSizes(b, e.loc, *side);
    *side =
        e.elementwise(all, 2, type, {{*side, {0, 1}}, {middle, {1}}},
                      [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                        return arith::SubFOp::create(inner, l, in[0], in[1]);
                      });
  }
}

Value PointSweeper::rounded(TensorEmitter &e, Value points, Products products) {
  auto sizes = tensor::getMixedSizes(e.b, e.loc, points);
  if (products == Products::bf16)
    return castTo(e.b.getBF16Type(), e, points);
  if (products == Products::f16)
    return castTo(e.b.getF16Type(), e, points);
  Type bits = e.b.getI32Type();
  auto round = [&](OpBuilder &b, Location l, ValueRange in) -> Value {
    Value half = arith::ConstantIntOp::create(b, l, bits, 0x1000);
    Value kept = arith::ConstantIntOp::create(b, l, bits, ~0x1fff);
    Value whole = arith::BitcastOp::create(b, l, bits, in[0]);
    whole = arith::AddIOp::create(b, l, whole, half);
    whole = arith::AndIOp::create(b, l, whole, kept);
    Value found = arith::BitcastOp::create(b, l, b.getF32Type(), whole);
    // The bits of what is not a number could become those of one.
    Value isNumber =
        arith::CmpFOp::create(b, l, arith::CmpFPredicate::ORD, in[0], in[0]);
    return arith::SelectOp::create(b, l, isNumber, found, in[0]);
  };
  return e.elementwise(sizes, 1, e.b.getF32Type(), {{points, {0}}}, round);
}

Prepared &PointSweeper::prepare(PairwiseOp pairwise) {
  auto [it, isNew] = prepared.try_emplace(pairwise);
  Prepared &points = it->second;
  if (!isNew)
    return points;
  points = {pairwise.getX(), pairwise.getY(), pairwise.getMetric()};
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPointAfter(pairwise);
  TensorEmitter e(rewriter, pairwise.getLoc());
  FloatType type = typeOf(pairwise.getOuts());
  auto yType = cast<RankedTensorType>(points.y.getType());
  int64_t depth = yType.getShape().back();
  bool isLarge = ShapedType::isDynamic(depth) || depth >= kLeastProduct;
  auto function = pairwise->getParentOfType<FunctionOpInterface>();
  isLarge &= !(function && function->hasAttr(kStrictAttrName));
  bool isSquared = points.metric == Metric::sqeuclidean && isLarge;
  if (points.metric == Metric::cosine) {
    auto sizes = tensor::getMixedSizes(rewriter, e.loc, points.x);
    sizes.pop_back();
    points = {e.normalized(points.x, type), e.normalized(points.y, type),
              Metric::dot, -1.0, e.filled(sizes, e.scalar(type, 1.0))};
  } else {
    points.x = castTo(type, e, points.x);
    points.y = castTo(type, e, points.y);
  }
  // A middle for every matrix of a batch would be another for either side.
  if (isSquared && yType.getRank() == 2)
    centre(e, points);
  StringAttr products;
  if (function && type.isF32() && isLarge &&
      (isSquared || points.metric == Metric::dot))
    products = function->getAttrOfType<StringAttr>(kProductsAttrName);
  if (products)
    points.products = symbolizeProducts(products).value_or(Products::f32);
  if (isOfPairs(points.products) &&
      (!isPaired(points.x) || !isPaired(points.y)))
    points.products = Products::tf32;
  if (points.products != Products::f32) {
    bool isSame = points.x == points.y;
    points.x = rounded(e, points.x, points.products);
    points.y = isSame ? points.x : rounded(e, points.y, points.products);
  }
  if (isSquared) {
    points.xTerm = squares(type, e, points.x);
    points.yTerm = squares(type, e, points.y);
    points.metric = Metric::dot;
    points.coefficient = -2.0;
  }
  return points;
}

/// The sizes of the vector of higher rank; the second may be null.
static SmallVector<OpFoldResult> joinedSizes(TensorEmitter &e, Value first,
                                             Value second) {
  auto rankOf = [](Value value) {
    return cast<ShapedType>(value.getType()).getRank();
  };
  Value full = second && rankOf(second) > rankOf(first) ? second : first;
  return tensor::getMixedSizes(e.b, e.loc, full);
}

/// The factor where the mask is set, and −inf elsewhere.
static Value masked(TensorEmitter &e, FloatType type, Value factor,
                    Value mask) {
  Value none = e.scalar(type, -std::numeric_limits<double>::infinity());
  Value zero = e.scalar(type, 0.0);
  SmallVector<EmitterInput> inputs{{mask, {0}}};
  if (factor)
    inputs.push_back({factor, {0}});
  return e.elementwise(joinedSizes(e, mask, factor), 1, type, inputs,
                       [&](OpBuilder &b, Location l, ValueRange in) -> Value {
                         Value own = in.size() > 1 ? in[1] : zero;
                         return arith::SelectOp::create(b, l, in[0], own, none);
                       });
}

/// The factor plus the scaled term of the costs; either may be null.
static Value withTerm(TensorEmitter &e, Value factor, Value term, Value scale) {
  if (!term)
    return factor;
  SmallVector<EmitterInput> inputs{{term, {0}}};
  if (factor)
    inputs.push_back({factor, {0}});
  return e.elementwise(joinedSizes(e, term, factor), 1, typeOf(term), inputs,
                       [&](OpBuilder &b, Location l, ValueRange in) -> Value {
                         Value own = arith::MulFOp::create(b, l, in[0], scale);
                         if (in.size() == 1)
                           return own;
                         return arith::AddFOp::create(b, l, in[1], own);
                       });
}

BiasedPairwise PointSweeper::findSwept(Value matrix) {
  BiasedPairwise swept = findBiasedPairwise(matrix);
  FloatType type = typeOf(matrix);
  if (type.getWidth() < 32 || !swept.costs ||
      swept.costs.getOuts().getType() != matrix.getType() ||
      !fits(type, swept.costs.getX()) || !fits(type, swept.costs.getY()) ||
      (swept.bias && !fits(type, swept.bias)))
    return {};
  return swept;
}

BiasedPairwise PointSweeper::createScales(TensorEmitter &e, Value matrix,
                                          Value own, const Prepared &points) {
  FloatType type = typeOf(matrix);
  BiasedPairwise swept = findBiasedPairwise(e.b, e.loc, matrix, type);
  if (own)
    for (Value *scale : {&swept.scale, &swept.biasScale})
      *scale = *scale ? arith::MulFOp::create(e.b, e.loc, *scale, own) : own;
  if (!swept.bias)
    swept.biasScale = Value();
  if (!swept.scale && points.coefficient != 1.0)
    swept.scale = e.scalar(type, 1.0);
  return swept;
}

/// Of the metric in the sweeps.
static Value scaleOfSweep(TensorEmitter &e, Value scale,
                          const Prepared &points) {
  if (points.coefficient == 1.0)
    return scale;
  return arith::MulFOp::create(e.b, e.loc, scale,
                               e.scalar(scale.getType(), points.coefficient));
}

bool PointSweeper::sweep(ReduceOp reduce) {
  auto schedule = reduce->getAttrOfType<ScheduleAttr>(kScheduleAttrName);
  FloatType type = typeOf(reduce.getMatrix());
  PairwiseOp pairwise = findSwept(reduce.getMatrix()).costs;
  if (!schedule || schedule.getRegime() != Regime::cloud || !pairwise ||
      !isa<LogSumExpAttr>(reduce.getStat()) || reduce.getDims() ||
      !reduce.hasPureTensorSemantics() || !startsNeutral(reduce) ||
      !isOf(type, reduce.getFactor()) || !isOf(type, reduce.getScale()) ||
      !isOf(type, reduce.getOuts()[0]))
    return false;
  Prepared points = prepare(pairwise);
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(reduce);
  Location loc = reduce.getLoc();
  TensorEmitter e(rewriter, loc);
  if (reduce.getAxis() == Axis::cols) {
    std::swap(points.x, points.y);
    std::swap(points.xTerm, points.yTerm);
  }
  BiasedPairwise swept =
      createScales(e, reduce.getMatrix(), reduce.getScale(), points);
  Value scale = swept.scale;
  Value factor = reduce.getFactor();
  if (Value mask = reduce.getMask())
    factor = masked(e, type, factor, mask);
  factor = withTerm(e, factor, points.yTerm, scale);
  SmallVector<Value> outs;
  for (Value out : reduce.getOuts())
    outs.push_back(e.empty(tensor::getMixedSizes(rewriter, loc, out), type));
  auto sums = ReducePointsOp::create(
      rewriter, loc, reduce.getResultTypes(), points.x, points.y, factor,
      scaleOfSweep(e, scale, points), swept.bias, swept.biasScale, outs,
      points.metric, swept.bias && reduce.getAxis() == Axis::cols,
      points.products);
  SmallVector<Value> results(sums.getResults());
  if (points.xTerm)
    results[0] =
        e.inPlace(results[0], 1, {{points.xTerm, {0}}},
                  [&](OpBuilder &b, Location l, ValueRange in) -> Value {
                    Value term = arith::MulFOp::create(b, l, in[0], scale);
                    return arith::AddFOp::create(b, l, in[1], term);
                  });
  rewriter.replaceOp(reduce, results);
  return true;
}

bool PointSweeper::sweep(ApplyOp apply) {
  FloatType type = typeOf(apply.getMatrix());
  PairwiseOp pairwise = findSwept(apply.getMatrix()).costs;
  if (!pairwise || !prepared.contains(pairwise) ||
      apply.getKind() != ApplyKind::product ||
      apply.getDomain() == Domain::kernel || apply.getRowWeight() ||
      apply.getColWeight() || !apply.hasPureTensorSemantics() ||
      !isOf(type, apply.getRow()) || !isOf(type, apply.getCol()) ||
      !fits(type, apply.getOperand()) || !isOf(type, apply.getOuts()[0]))
    return false;
  auto fill = apply.getOuts()[0].getDefiningOp<linalg::FillOp>();
  if (!fill || !matchPattern(fill.getInputs()[0], m_AnyZeroFloat()))
    return false;
  Prepared points = prepare(pairwise);
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(apply);
  Location loc = apply.getLoc();
  TensorEmitter e(rewriter, loc);
  Value row = apply.getRow(), col = apply.getCol();
  if (apply.getTransposed()) {
    std::swap(points.x, points.y);
    std::swap(points.xTerm, points.yTerm);
    std::swap(row, col);
  }
  BiasedPairwise swept = createScales(e, apply.getMatrix(), Value(), points);
  Value scale = swept.scale;
  row = withTerm(e, row, points.xTerm, scale);
  col = withTerm(e, col, points.yTerm, scale);
  Value operand = apply.getOperand();
  bool isNarrow = points.products == Products::bf16 && isPaired(operand);
  if (!isNarrow || !isOf(rewriter.getBF16Type(), operand)) {
    operand = castTo(type, e, operand);
    if (points.products != Products::f32)
      operand = rounded(e, operand, isNarrow ? Products::bf16 : Products::tf32);
  }
  Value out =
      e.empty(tensor::getMixedSizes(rewriter, loc, apply.getOuts()[0]), type);
  rewriter.replaceOpWithNewOp<ApplyPointsOp>(
      apply, apply.getResultTypes(), points.x, points.y, row, col,
      scaleOfSweep(e, scale, points), swept.bias, swept.biasScale, operand, out,
      points.metric, swept.bias && apply.getTransposed(), points.products);
  return true;
}

/// Erases what made matrices that nobody reads anymore.
static void eraseUnread(RewriterBase &rewriter,
                        llvm::SetVector<Operation *> &makers) {
  while (!makers.empty()) {
    Operation *maker = makers.pop_back_val();
    if (!isOpTriviallyDead(maker))
      continue;
    for (Value input : maker->getOperands())
      if (Operation *before = input.getDefiningOp())
        makers.insert(before);
    rewriter.eraseOp(maker);
  }
}

void scaling::sweepPoints(RewriterBase &rewriter, Operation *root) {
  SmallVector<ReduceOp> reduces;
  SmallVector<ApplyOp> applies;
  root->walk([&](Operation *op) {
    if (auto reduce = dyn_cast<ReduceOp>(op))
      reduces.push_back(reduce);
    else if (auto apply = dyn_cast<ApplyOp>(op))
      applies.push_back(apply);
  });
  PointSweeper sweeper(rewriter);
  llvm::SetVector<Operation *> makers;
  auto sweep = [&](auto op) {
    Operation *maker = op.getMatrix().getDefiningOp();
    if (sweeper.sweep(op))
      makers.insert(maker);
  };
  llvm::for_each(reduces, sweep);
  llvm::for_each(applies, sweep);
  eraseUnread(rewriter, makers);
}
