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
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallPtrSet.h"

using namespace mlir;
using namespace mlir::scaling;

/// From so many coordinates on, squared distances are made of products.
static constexpr int64_t kLeastProduct = 16;

/// Rows of a block of 256 threads, of f32 and of f64.
static constexpr int64_t kBlockRows = 128, kWideBlockRows = 64;

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
  /// The same of rows and columns, which one sweep makes.
  bool sweep(ReduceOp rows, ReduceOp columns);
  /// The same, of costs that statistics are taken of from the points.
  bool sweep(ApplyOp apply);
  bool sweepProduct(ApplyOp apply, PairwiseOp pairwise);
  bool sweepSum(ApplyOp apply, PairwiseOp pairwise);
  bool sweepDual(ApplyOp apply, PairwiseOp pairwise);
  bool sweepArgMax(ApplyOp apply, PairwiseOp pairwise);
  SumPointsOp createSums(TensorEmitter &e, ApplyOp apply,
                         ArrayRef<OpFoldResult> sizes);

private:
  bool canSweep(ReduceOp reduce);
  /// Before `place`; `other`, which may be null, is along the other axis.
  void createSweep(Operation *place, ReduceOp reduce, ReduceOp other);
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

/// Of the buffers of an op that starts from nothing, which need not be there
/// yet.
static SmallVector<OpFoldResult> sizesOf(TensorEmitter &e, ReduceOp reduce) {
  auto fill = reduce.getOuts()[0].getDefiningOp<linalg::FillOp>();
  if (auto empty = fill.getOutputs()[0].getDefiningOp<tensor::EmptyOp>())
    return empty.getMixedSizes();
  return tensor::getMixedSizes(e.b, e.loc, fill.getOutputs()[0]);
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

bool PointSweeper::canSweep(ReduceOp reduce) {
  auto schedule = reduce->getAttrOfType<ScheduleAttr>(kScheduleAttrName);
  FloatType type = typeOf(reduce.getMatrix());
  return schedule && schedule.getRegime() == Regime::cloud &&
         findSwept(reduce.getMatrix()).costs &&
         isa<LogSumExpAttr>(reduce.getStat()) && !reduce.getDims() &&
         reduce.hasPureTensorSemantics() && startsNeutral(reduce) &&
         isOf(type, reduce.getFactor()) && isOf(type, reduce.getScale()) &&
         isOf(type, reduce.getOuts()[0]);
}

bool PointSweeper::sweep(ReduceOp reduce) {
  if (!canSweep(reduce))
    return false;
  createSweep(reduce, reduce, ReduceOp());
  return true;
}

bool PointSweeper::sweep(ReduceOp rows, ReduceOp columns) {
  if (rows->getBlock() != columns->getBlock() ||
      rows.getMatrix() != columns.getMatrix() ||
      rows.getScale() != columns.getScale() || !canSweep(rows) ||
      !canSweep(columns))
    return false;
  Operation *place = rows->isBeforeInBlock(columns) ? rows : columns;
  auto isKnown = [&](Value value) {
    Operation *maker = value ? value.getDefiningOp() : nullptr;
    return !maker || maker->getBlock() != place->getBlock() ||
           maker->isBeforeInBlock(place);
  };
  auto areSizesKnown = [&](ReduceOp reduce) {
    auto fill = reduce.getOuts()[0].getDefiningOp<linalg::FillOp>();
    auto empty = fill.getOutputs()[0].getDefiningOp<tensor::EmptyOp>();
    return empty ? llvm::all_of(empty.getDynamicSizes(), isKnown)
                 : isKnown(fill.getOutputs()[0]);
  };
  for (ReduceOp reduce : {rows, columns})
    if (!isKnown(reduce.getFactor()) || !isKnown(reduce.getMask()) ||
        !isKnown(reduce.getScale()) || !areSizesKnown(reduce))
      return false;
  // Where there are more columns, these are the rows of the sweep: of more
  // rows, more blocks have some.
  auto matrix = cast<ShapedType>(rows.getMatrix().getType());
  ArrayRef<int64_t> sizes = matrix.getShape().take_back(2);
  if (llvm::none_of(sizes, ShapedType::isDynamic) && sizes[1] > sizes[0])
    std::swap(rows, columns);
  createSweep(place, rows, columns);
  return true;
}

/// What blocks of rows found of every column, `[..., p, m]`, joined in their
/// order, on `inits`; the scaled term is added to the largest ones.
static SmallVector<Value> joinBlocks(TensorEmitter &e, ValueRange parts,
                                     Value term, Value scale,
                                     ValueRange inits) {
  MLIRContext *context = e.b.getContext();
  int64_t rank = cast<ShapedType>(parts[0].getType()).getRank();
  SmallVector<AffineExpr> outDims;
  for (int64_t dim = 0; dim < rank; ++dim)
    if (dim != rank - 2)
      outDims.push_back(e.b.getAffineDimExpr(dim));
  AffineMap all = e.b.getMultiDimIdentityMap(rank);
  AffineMap outMap = AffineMap::get(rank, 0, outDims, context);
  SmallVector<Value> inputs(parts);
  SmallVector<AffineMap> maps(2, all);
  if (term) {
    int64_t own = cast<ShapedType>(term.getType()).getRank();
    inputs.push_back(term);
    maps.push_back(AffineMap::get(
        rank, 0, ArrayRef<AffineExpr>(outDims).take_back(own), context));
  }
  maps.append(2, outMap);
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators[rank - 2] = utils::IteratorType::reduction;
  auto generic = linalg::GenericOp::create(
      e.b, e.loc, inits.getTypes(), inputs, inits, maps, iterators,
      [&](OpBuilder &b, Location l, ValueRange in) {
        Value most = in[0], sum = in[1];
        Value allMost = in[in.size() - 2], allSum = in.back();
        if (term)
          most = arith::AddFOp::create(
              b, l, most, arith::MulFOp::create(b, l, in[2], scale));
        Value both = arith::MaximumFOp::create(b, l, allMost, most);
        auto move = [&](Value part, Value from) -> Value {
          Value distance = arith::SubFOp::create(b, l, from, both);
          return arith::MulFOp::create(b, l, part,
                                       math::ExpOp::create(b, l, distance));
        };
        Value joined =
            arith::AddFOp::create(b, l, move(allSum, allMost), move(sum, most));
        linalg::YieldOp::create(b, l, ValueRange{both, joined});
      });
  return SmallVector<Value>(generic.getResults());
}

void PointSweeper::createSweep(Operation *place, ReduceOp reduce,
                               ReduceOp other) {
  FloatType type = typeOf(reduce.getMatrix());
  Prepared points = prepare(findSwept(reduce.getMatrix()).costs);
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(place);
  Location loc = reduce.getLoc();
  TensorEmitter e(rewriter, loc);
  if (reduce.getAxis() == Axis::cols) {
    std::swap(points.x, points.y);
    std::swap(points.xTerm, points.yTerm);
  }
  BiasedPairwise swept =
      createScales(e, reduce.getMatrix(), reduce.getScale(), points);
  Value scale = swept.scale;
  auto factorOf = [&](ReduceOp op, Value term) {
    Value factor = op.getFactor();
    if (Value mask = op.getMask())
      factor = masked(e, type, factor, mask);
    return withTerm(e, factor, term, scale);
  };
  Value factor = factorOf(reduce, points.yTerm), rowFactor;
  SmallVector<OpFoldResult> sizes = sizesOf(e, reduce);
  SmallVector<Value> outs{e.empty(sizes, type), e.empty(sizes, type)};
  IntegerAttr block;
  if (other) {
    int64_t rows = type.isF32() ? kBlockRows : kWideBlockRows;
    block = rewriter.getI64IntegerAttr(rows);
    rowFactor = factorOf(other, points.xTerm);
    SmallVector<OpFoldResult> parts = sizesOf(e, other);
    AffineExpr size = rewriter.getAffineSymbolExpr(0);
    parts.insert(std::prev(parts.end()),
                 affine::makeComposedFoldedAffineApply(
                     rewriter, loc, size.ceilDiv(rows), {sizes.back()}));
    outs.append({e.empty(parts, type), e.empty(parts, type)});
  }
  SmallVector<Type> types;
  for (Value out : outs)
    types.push_back(out.getType());
  auto sums = ReducePointsOp::create(
      rewriter, loc, types, points.x, points.y, factor, rowFactor,
      scaleOfSweep(e, scale, points), swept.bias, swept.biasScale, outs,
      points.metric, block, swept.bias && reduce.getAxis() == Axis::cols,
      points.products);
  SmallVector<Value> results(sums.getResults().take_front(2));
  if (points.xTerm)
    results[0] =
        e.inPlace(results[0], 1, {{points.xTerm, {0}}},
                  [&](OpBuilder &b, Location l, ValueRange in) -> Value {
                    Value term = arith::MulFOp::create(b, l, in[0], scale);
                    return arith::AddFOp::create(b, l, in[1], term);
                  });
  rewriter.replaceOp(reduce, results);
  if (!other)
    return;
  rewriter.setInsertionPoint(other);
  rewriter.replaceOp(other, joinBlocks(e, sums.getResults().drop_front(2),
                                       points.yTerm, scale, other.getOuts()));
}

bool PointSweeper::sweep(ApplyOp apply) {
  FloatType type = typeOf(apply.getMatrix());
  PairwiseOp pairwise = findSwept(apply.getMatrix()).costs;
  if (!pairwise || !prepared.contains(pairwise) ||
      apply.getDomain() == Domain::kernel || !apply.hasPureTensorSemantics() ||
      !isOf(type, apply.getRow()) || !isOf(type, apply.getCol()) ||
      !isOf(type, apply.getOuts()[0]))
    return false;
  if (apply.getKind() == ApplyKind::dual)
    return sweepDual(apply, pairwise);
  if (apply.getRowWeight() || apply.getColWeight())
    return false;
  switch (apply.getKind()) {
  case ApplyKind::product:
    return sweepProduct(apply, pairwise);
  case ApplyKind::value:
  case ApplyKind::mass:
    return sweepSum(apply, pairwise);
  case ApplyKind::argmax:
    return sweepArgMax(apply, pairwise);
  default:
    return false;
  }
}

/// Of the plan: those of the batch, rows and columns.
static SmallVector<OpFoldResult> matrixSizes(TensorEmitter &e, ApplyOp apply,
                                             PairwiseOp costs) {
  auto sizes = tensor::getMixedSizes(e.b, e.loc, apply.getOuts()[0]);
  for (Value points : {costs.getX(), costs.getY()}) {
    int64_t rank = cast<ShapedType>(points.getType()).getRank();
    sizes.push_back(tensor::getMixedSize(e.b, e.loc, points, rank - 2));
  }
  return sizes;
}

SumPointsOp PointSweeper::createSums(TensorEmitter &e, ApplyOp apply,
                                     ArrayRef<OpFoldResult> sizes) {
  FloatType type = typeOf(apply.getMatrix());
  Prepared points = prepare(findSwept(apply.getMatrix()).costs);
  BiasedPairwise swept = createScales(e, apply.getMatrix(), Value(), points);
  SmallVector<Value> outs{e.empty(sizes, type), e.empty(sizes, type)};
  return SumPointsOp::create(rewriter, e.loc, TypeRange(ValueRange(outs)),
                             points.x, points.y, apply.getRow(), apply.getCol(),
                             withTerm(e, {}, points.xTerm, swept.scale),
                             withTerm(e, {}, points.yTerm, swept.scale),
                             scaleOfSweep(e, swept.scale, points), swept.bias,
                             swept.biasScale, outs, points.metric,
                             /*transposed=*/false, points.products);
}

bool PointSweeper::sweepSum(ApplyOp apply, PairwiseOp pairwise) {
  FloatType type = typeOf(apply.getMatrix());
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(apply);
  TensorEmitter e(rewriter, apply.getLoc());
  // What the costs are times, for the matrix.
  Value factor;
  if (Value operand = apply.getOperand()) {
    MatrixSource costs = findMatrixSource(rewriter, e.loc, operand, type);
    MatrixSource matrix =
        findMatrixSource(rewriter, e.loc, apply.getMatrix(), type);
    if (costs.matrix != matrix.matrix)
      return false;
    factor = costs.coefficient ? costs.coefficient : e.scalar(type, 1.0);
    if (matrix.coefficient)
      factor =
          arith::DivFOp::create(rewriter, e.loc, factor, matrix.coefficient);
  }
  SmallVector<OpFoldResult> sizes = matrixSizes(e, apply, pairwise);
  sizes.pop_back();
  SumPointsOp sums = createSums(e, apply, sizes);
  Value total = e.reduce(
      sizes, 1, type, {{sums.getResult(factor ? 1 : 0), {0}}},
      TensorEmitter::Combine::add,
      [&](OpBuilder &b, Location l, ValueRange in) -> Value {
        return factor ? arith::MulFOp::create(b, l, in[0], factor).getResult()
                      : in[0];
      },
      apply.getOuts()[0]);
  rewriter.replaceOp(apply, total);
  return true;
}

bool PointSweeper::sweepDual(ApplyOp apply, PairwiseOp pairwise) {
  FloatType type = typeOf(apply.getMatrix());
  if (!isOf(type, apply.getRowWeight()) || !isOf(type, apply.getColWeight()) ||
      apply.getOffset() || apply.getRowOffset())
    return false;
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(apply);
  TensorEmitter e(rewriter, apply.getLoc());
  SmallVector<OpFoldResult> sizes = matrixSizes(e, apply, pairwise);
  SmallVector<OpFoldResult> rowSizes(sizes), colSizes(sizes);
  rowSizes.pop_back();
  colSizes.erase(std::prev(colSizes.end(), 2));
  SumPointsOp sums = createSums(e, apply, rowSizes);
  auto sum = [&](ArrayRef<OpFoldResult> of, Value vector) {
    return e.reduce(of, 1, type, {{vector, {0}}}, TensorEmitter::Combine::add,
                    [](OpBuilder &, Location, ValueRange in) { return in[0]; });
  };
  Value none = e.scalar(type, 0.0);
  auto terms = [&](ArrayRef<OpFoldResult> of, Value factor, Value weight) {
    return e.reduce(of, 1, type, {{factor, {0}}, {weight, {0}}},
                    TensorEmitter::Combine::add,
                    [&](OpBuilder &b, Location l, ValueRange in) -> Value {
                      Value own = arith::SubFOp::create(
                          b, l, in[0], math::LogOp::create(b, l, in[1]));
                      own = arith::MulFOp::create(b, l, in[1], own);
                      Value isNone = arith::CmpFOp::create(
                          b, l, arith::CmpFPredicate::OEQ, in[1], none);
                      return arith::SelectOp::create(b, l, isNone, none, own);
                    });
  };
  // A matrix without entries adds nothing.
  Value entries =
      arith::MulIOp::create(rewriter, e.loc, e.indexValue(rowSizes.back()),
                            e.indexValue(colSizes.back()));
  Value isEmpty = arith::CmpIOp::create(
      rewriter, e.loc, arith::CmpIPredicate::eq, entries, e.index(0));
  rewriter.replaceOp(
      apply,
      e.inPlace(apply.getOuts()[0], 0,
                {{terms(rowSizes, apply.getRow(), apply.getRowWeight()), {}},
                 {terms(colSizes, apply.getCol(), apply.getColWeight()), {}},
                 {sum(rowSizes, apply.getRowWeight()), {}},
                 {sum(colSizes, apply.getColWeight()), {}},
                 {sum(rowSizes, sums.getResult(0)), {}}},
                [&](OpBuilder &b, Location l, ValueRange in) -> Value {
                  Value both = arith::MulFOp::create(b, l, in[2], in[3]);
                  Value rest = arith::SubFOp::create(b, l, both, in[4]);
                  Value dual = arith::AddFOp::create(b, l, in[0], in[1]);
                  dual = arith::AddFOp::create(b, l, dual, rest);
                  dual = arith::SelectOp::create(b, l, isEmpty, none, dual);
                  return arith::AddFOp::create(b, l, in[5], dual);
                }));
  return true;
}

bool PointSweeper::sweepArgMax(ApplyOp apply, PairwiseOp pairwise) {
  FloatType type = typeOf(apply.getMatrix());
  Prepared points = prepare(pairwise);
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(apply);
  TensorEmitter e(rewriter, apply.getLoc());
  BiasedPairwise swept = createScales(e, apply.getMatrix(), Value(), points);
  Value ownMost = apply.getOuts()[0], ownColumns = apply.getOuts()[1];
  auto sizes = tensor::getMixedSizes(rewriter, e.loc, ownMost);
  SmallVector<Value> outs{e.empty(sizes, type),
                          e.empty(sizes, rewriter.getI64Type())};
  auto found = ArgMaxPointsOp::create(
      rewriter, e.loc, TypeRange(ValueRange(outs)), points.x, points.y,
      withTerm(e, apply.getCol(), points.yTerm, swept.scale),
      scaleOfSweep(e, swept.scale, points), swept.bias, swept.biasScale, outs,
      points.metric, /*transposed=*/false, points.products);
  SmallVector<EmitterInput> inputs{{found.getResult(0), {0}},
                                   {found.getResult(1), {0}}};
  if (Value row = withTerm(e, apply.getRow(), points.xTerm, swept.scale))
    inputs.push_back({row, {0}});
  int64_t rank = cast<ShapedType>(points.y.getType()).getRank();
  Value numColumns =
      e.indexValue(tensor::getMixedSize(rewriter, e.loc, points.y, rank - 2));
  Value isEmpty = arith::CmpIOp::create(
      rewriter, e.loc, arith::CmpIPredicate::eq, numColumns, e.index(0));
  Value none = e.scalar(type, -1.0);
  Value zero = e.scalar(type, 0.0);
  // The largest entry, and whether a row's own is smaller.
  auto entryOf = [&](OpBuilder &b, Location l, ValueRange in) -> Value {
    Value exponent = in[0];
    if (inputs.size() > 2)
      exponent = arith::AddFOp::create(b, l, exponent, in[2]);
    Value entry = math::ExpOp::create(b, l, exponent);
    return arith::SelectOp::create(b, l, isEmpty, none, entry);
  };
  auto isLarger = [](OpBuilder &b, Location l, Value entry, Value own) {
    return arith::CmpFOp::create(b, l, arith::CmpFPredicate::OGT, entry, own);
  };
  Value first = arith::ConstantIntOp::create(rewriter, e.loc, 0, 64);
  Value offset;
  if (apply.getOffset())
    offset = arith::IndexCastOp::create(rewriter, e.loc, rewriter.getI64Type(),
                                        apply.getOffset());
  SmallVector<EmitterInput> withOwn(inputs);
  withOwn.push_back({ownMost, {0}});
  Value columns = e.inPlace(
      ownColumns, 1, withOwn,
      [&](OpBuilder &b, Location l, ValueRange in) -> Value {
        Value entry = entryOf(b, l, in);
        // Of entries that are all zero, the first is the first of all.
        Value isZero =
            arith::CmpFOp::create(b, l, arith::CmpFPredicate::OEQ, entry, zero);
        Value column = arith::SelectOp::create(b, l, isZero, first, in[1]);
        if (offset)
          column = arith::AddIOp::create(b, l, column, offset);
        Value takes = isLarger(b, l, entry, in[in.size() - 2]);
        return arith::SelectOp::create(b, l, takes, column, in.back());
      });
  Value most =
      e.inPlace(ownMost, 1, inputs,
                [&](OpBuilder &b, Location l, ValueRange in) -> Value {
                  Value entry = entryOf(b, l, in);
                  return arith::SelectOp::create(
                      b, l, isLarger(b, l, entry, in.back()), entry, in.back());
                });
  rewriter.replaceOp(apply, {most, columns});
  return true;
}

bool PointSweeper::sweepProduct(ApplyOp apply, PairwiseOp pairwise) {
  FloatType type = typeOf(apply.getMatrix());
  if (!fits(type, apply.getOperand()))
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
  // Rows and columns of one matrix in pairs, whichever comes first.
  llvm::SmallPtrSet<Operation *, 8> paired;
  for (auto [i, first] : llvm::enumerate(reduces))
    for (ReduceOp second : ArrayRef(reduces).drop_front(i + 1)) {
      if (paired.contains(first) || paired.contains(second) ||
          first.getAxis() == second.getAxis())
        continue;
      bool isRows = first.getAxis() == Axis::rows;
      Operation *maker = first.getMatrix().getDefiningOp();
      if (!sweeper.sweep(isRows ? first : second, isRows ? second : first))
        continue;
      paired.insert({first, second});
      makers.insert(maker);
    }
  llvm::erase_if(reduces, [&](ReduceOp op) { return paired.contains(op); });
  llvm::for_each(reduces, sweep);
  llvm::for_each(applies, sweep);
  eraseUnread(rewriter, makers);
}
