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
// their norms. Points of a type narrower than f32 are cast once.
//
//===----------------------------------------------------------------------===//

#include "MatrixSource.h"
#include "TensorEmitter.h"

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
  Value xTerm, yTerm;
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
  /// What makes the matrix, if it is from points, times a number.
  PairwiseOp findSwept(Value matrix);
  /// That number times the op's own, which may be null.
  Value findScale(TensorEmitter &e, Value matrix, Value own,
                  const Prepared &points);
  Prepared &prepare(PairwiseOp pairwise);
  /// Squares along the last dimension.
  Value squares(TensorEmitter &e, Value points);
  void centre(TensorEmitter &e, Prepared &points);
  /// The nearest numbers of tf32.
  Value rounded(TensorEmitter &e, Value points);

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

static bool isF32(Value value) {
  return !value || getElementTypeOrSelf(value).isF32();
}

/// Whether f32 has every number of the value's type.
static bool fitsF32(Value value) {
  Type type = getElementTypeOrSelf(value);
  return type.isF32() || type.isF16() || type.isBF16();
}

static Value castToF32(TensorEmitter &e, Value tensor) {
  if (isF32(tensor))
    return tensor;
  auto sizes = tensor::getMixedSizes(e.b, e.loc, tensor);
  FloatType type = e.b.getF32Type();
  return e.elementwise(sizes, 1, type, {{tensor, {0}}},
                       [&](OpBuilder &b, Location l, ValueRange in) {
                         return castFloat(b, l, in[0], type);
                       });
}

Value PointSweeper::squares(TensorEmitter &e, Value points) {
  auto sizes = tensor::getMixedSizes(e.b, e.loc, points);
  return e.reduce(sizes, 1, e.b.getF32Type(), {{points, {0}}},
                  TensorEmitter::Combine::add,
                  [](OpBuilder &b, Location l, ValueRange in) -> Value {
                    return arith::MulFOp::create(b, l, in[0], in[0]);
                  });
}

/// Moves both sides, without batch dimensions, by the mean of a few points.
void PointSweeper::centre(TensorEmitter &e, Prepared &points) {
  OpBuilder &b = e.b;
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
  Value count = e.toFloat(e.indexValue(sizes[0]), b.getF32Type());
  count =
      arith::MaximumFOp::create(b, e.loc, count, e.scalar(b.getF32Type(), 1.0));
  Value none = e.filled({sizes[1]}, e.scalar(b.getF32Type(), 0.0));
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
        e.elementwise(all, 2, b.getF32Type(), {{*side, {0, 1}}, {middle, {1}}},
                      [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                        return arith::SubFOp::create(inner, l, in[0], in[1]);
                      });
  }
}

Value PointSweeper::rounded(TensorEmitter &e, Value points) {
  auto sizes = tensor::getMixedSizes(e.b, e.loc, points);
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
  FloatType type = rewriter.getF32Type();
  auto yType = cast<RankedTensorType>(points.y.getType());
  int64_t depth = yType.getShape().back();
  bool isLarge = ShapedType::isDynamic(depth) || depth >= kLeastProduct;
  auto function = pairwise->getParentOfType<FunctionOpInterface>();
  isLarge &= !(function && function->hasAttr(kStrictFunctionAttrName));
  bool isSquared = points.metric == Metric::sqeuclidean && isLarge;
  if (points.metric == Metric::cosine) {
    auto sizes = tensor::getMixedSizes(rewriter, e.loc, points.x);
    sizes.pop_back();
    points = {e.normalized(points.x, type), e.normalized(points.y, type),
              Metric::dot, -1.0, e.filled(sizes, e.scalar(type, 1.0))};
  } else {
    points.x = castToF32(e, points.x);
    points.y = castToF32(e, points.y);
  }
  // A middle for every matrix of a batch would be another for either side.
  if (isSquared && yType.getRank() == 2)
    centre(e, points);
  StringAttr products;
  if (function && isLarge && (isSquared || points.metric == Metric::dot))
    products = function->getAttrOfType<StringAttr>(kProductsFunctionAttrName);
  if (products)
    points.products = symbolizeProducts(products).value_or(Products::f32);
  if (points.products != Products::f32) {
    bool isSame = points.x == points.y;
    points.x = rounded(e, points.x);
    points.y = isSame ? points.x : rounded(e, points.y);
  }
  if (isSquared) {
    points.xTerm = squares(e, points.x);
    points.yTerm = squares(e, points.y);
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
static Value masked(TensorEmitter &e, Value factor, Value mask) {
  Type type = e.b.getF32Type();
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
  return e.elementwise(joinedSizes(e, term, factor), 1, e.b.getF32Type(),
                       inputs,
                       [&](OpBuilder &b, Location l, ValueRange in) -> Value {
                         Value own = arith::MulFOp::create(b, l, in[0], scale);
                         if (in.size() == 1)
                           return own;
                         return arith::AddFOp::create(b, l, in[1], own);
                       });
}

PairwiseOp PointSweeper::findSwept(Value matrix) {
  PairwiseOp pairwise = findScaledPairwise(matrix);
  if (!pairwise || pairwise.getOuts().getType() != matrix.getType() ||
      !fitsF32(pairwise.getX()) || !fitsF32(pairwise.getY()) || !isF32(matrix))
    return {};
  return pairwise;
}

Value PointSweeper::findScale(TensorEmitter &e, Value matrix, Value own,
                              const Prepared &points) {
  FloatType type = e.b.getF32Type();
  Value scale = findMatrixSource(e.b, e.loc, matrix, type).coefficient;
  if (own)
    scale =
        scale ? arith::MulFOp::create(e.b, e.loc, scale, own).getResult() : own;
  return !scale && points.coefficient != 1.0 ? e.scalar(type, 1.0) : scale;
}

/// Of the metric in the sweeps.
static Value scaleOfSweep(TensorEmitter &e, Value scale,
                          const Prepared &points) {
  if (points.coefficient == 1.0)
    return scale;
  return arith::MulFOp::create(e.b, e.loc, scale,
                               e.scalar(e.b.getF32Type(), points.coefficient));
}

bool PointSweeper::sweep(ReduceOp reduce) {
  auto schedule = reduce->getAttrOfType<ScheduleAttr>(kScheduleAttrName);
  PairwiseOp pairwise = findSwept(reduce.getMatrix());
  if (!schedule || schedule.getRegime() != Regime::cloud || !pairwise ||
      !isa<LogSumExpAttr>(reduce.getStat()) || reduce.getDims() ||
      !reduce.hasPureTensorSemantics() || !startsNeutral(reduce) ||
      !isF32(reduce.getFactor()) || !isF32(reduce.getScale()) ||
      !isF32(reduce.getOuts()[0]))
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
  Value scale = findScale(e, reduce.getMatrix(), reduce.getScale(), points);
  Value factor = reduce.getFactor();
  if (Value mask = reduce.getMask())
    factor = masked(e, factor, mask);
  factor = withTerm(e, factor, points.yTerm, scale);
  SmallVector<Value> outs;
  for (Value out : reduce.getOuts())
    outs.push_back(e.empty(tensor::getMixedSizes(rewriter, loc, out),
                           rewriter.getF32Type()));
  auto swept = ReducePointsOp::create(
      rewriter, loc, reduce.getResultTypes(), points.x, points.y, factor,
      scaleOfSweep(e, scale, points), outs, points.metric, points.products);
  SmallVector<Value> results(swept.getResults());
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
  PairwiseOp pairwise = findSwept(apply.getMatrix());
  if (!pairwise || !prepared.contains(pairwise) ||
      apply.getKind() != ApplyKind::product ||
      apply.getDomain() == Domain::kernel || apply.getRowWeight() ||
      apply.getColWeight() || !apply.hasPureTensorSemantics() ||
      !isF32(apply.getRow()) || !isF32(apply.getCol()) ||
      !fitsF32(apply.getOperand()) || !isF32(apply.getOuts()[0]))
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
  Value scale = findScale(e, apply.getMatrix(), Value(), points);
  row = withTerm(e, row, points.xTerm, scale);
  col = withTerm(e, col, points.yTerm, scale);
  Value out = e.empty(tensor::getMixedSizes(rewriter, loc, apply.getOuts()[0]),
                      rewriter.getF32Type());
  rewriter.replaceOpWithNewOp<ApplyPointsOp>(
      apply, apply.getResultTypes(), points.x, points.y, row, col,
      scaleOfSweep(e, scale, points), castToF32(e, apply.getOperand()), out,
      points.metric, points.products);
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
