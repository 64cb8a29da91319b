//===- MarginalsReader.cpp - Both axes from one sweep ---------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MarginalsReader.h"

#include "scaling/Dialect/Scaling/Transforms/Transforms.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

/// Sums of the plan are as good as log-sum-exps between these: far from where
/// single entries vanish or overflow.
static constexpr double kLeastSum = 0x1p-60, kLargestSum = 0x1p60;

/// Transposed points are this many entries apart from line to line, more than
/// there are points: lines of a power of two would share few cache sets.
static constexpr int64_t kLinePadding = 16;

std::optional<MarginalsReader> MarginalsReader::create(TensorEmitter &emitter,
                                                       IterateOp op) {
  ScheduleAttr schedule = op.getScheduleAttr();
  bool readsBoth = op.getOrder() == Order::jacobi ||
                   op.getStop().getMode() == StopMode::best;
  if (!schedule || schedule.getRegime() == Regime::tiny_batched ||
      !op.getNumerics().isLog() || !readsBoth)
    return std::nullopt;
  // There, sweeps of either axis have tiles of their own.
  if (schedule.getRegime() == Regime::cloud && targetsGPU(op))
    return std::nullopt;
  return MarginalsReader(emitter, op);
}

MarginalsReader::MarginalsReader(TensorEmitter &emitter, IterateOp op)
    : e(&emitter), op(op), accumulate(op.getAccumulateType()),
      source(findMatrixSource(emitter.b, emitter.loc, op.getMatrix(),
                              accumulate)) {
  // Points of which batch dimensions were taken off are two matrices.
  PairwiseOp pairwise = findPairwise(source.matrix);
  if (pairwise && op.getScheduleAttr().getRecompute())
    setPoints(pairwise);
}

//===----------------------------------------------------------------------===//
// Points
//===----------------------------------------------------------------------===//

void MarginalsReader::setPoints(PairwiseOp pairwise) {
  int64_t rank = cast<RankedTensorType>(source.matrix.getType()).getRank();
  auto collapsed = [&](Value points) -> Value {
    auto type = cast<RankedTensorType>(points.getType());
    if (type.getRank() <= rank)
      return points;
    SmallVector<ReassociationIndices> groups(rank);
    for (int64_t dim = 0; dim < type.getRank(); ++dim)
      groups[std::max<int64_t>(0, dim - (type.getRank() - rank))].push_back(
          dim);
    return tensor::CollapseShapeOp::create(e->b, e->loc, points, groups);
  };
  x = collapsed(pairwise.getX());
  y = collapsed(pairwise.getY());
  metric = pairwise.getMetric();
  if (metric == Metric::cosine) {
    x = e->normalized(x, accumulate);
    y = e->normalized(y, accumulate);
    metric = Metric::dot;
    complement = true;
  }
  y = transposed(y);
}

/// `[..., d, m]` of `[..., m, d]`, in the accumulate type.
Value MarginalsReader::transposed(Value points) {
  OpBuilder &b = e->b;
  Location loc = e->loc;
  Sizes sizes = tensor::getMixedSizes(b, loc, points);
  int64_t rank = sizes.size();
  std::swap(sizes[rank - 2], sizes[rank - 1]);
  Sizes padded(sizes);
  AffineExpr size = b.getAffineSymbolExpr(0);
  padded.back() = affine::makeComposedFoldedAffineApply(
      b, loc, size + kLinePadding, {sizes.back()});
  SmallVector<OpFoldResult> zeros(rank, b.getIndexAttr(0));
  SmallVector<OpFoldResult> ones(rank, b.getIndexAttr(1));
  Value out = tensor::ExtractSliceOp::create(
      b, loc, e->empty(padded, accumulate), zeros, sizes, ones);
  SmallVector<AffineExpr> read;
  for (int64_t dim = 0; dim < rank; ++dim)
    read.push_back(b.getAffineDimExpr(dim));
  std::swap(read[rank - 2], read[rank - 1]);
  SmallVector<AffineMap> maps{AffineMap::get(rank, 0, read, b.getContext()),
                              b.getMultiDimIdentityMap(rank)};
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, out.getType(), points, out, maps, iterators,
             [&](OpBuilder &inner, Location l, ValueRange in) {
               linalg::YieldOp::create(inner, l,
                                       castFloat(inner, l, in[0], accumulate));
             })
      .getResult(0);
}

//===----------------------------------------------------------------------===//
// Sweeps
//===----------------------------------------------------------------------===//

SmallVector<Value> MarginalsReader::sweep(bool largest, Value row, Value col,
                                          Value scale, Value rowOut,
                                          Value colOut) {
  OpBuilder &b = e->b;
  FloatAttr identity = b.getFloatAttr(
      accumulate,
      largest ? llvm::APFloat::getLargest(accumulate.getFloatSemantics(), true)
              : llvm::APFloat::getZero(accumulate.getFloatSemantics()));
  Value neutral = arith::ConstantOp::create(b, e->loc, identity);
  SmallVector<Value> outs;
  for (Value out : {rowOut, colOut})
    outs.push_back(
        linalg::FillOp::create(b, e->loc, neutral, out).getResult(0));
  MetricAttr metricAttr =
      metric ? MetricAttr::get(b.getContext(), *metric) : MetricAttr();
  auto sums = MarginalsOp::create(b, e->loc, TypeRange(ValueRange(outs)),
                                  metric ? Value() : source.matrix, x, y, row,
                                  col, op.getRowMask(), op.getColMask(), scale,
                                  outs, largest, metricAttr);
  setScheduleOf(sums, op.getScheduleAttr());
  return SmallVector<Value>(sums.getResults());
}

/// −F; another number where F is a certain one.
Value MarginalsReader::negated(Value factor, llvm::APFloat unless,
                               llvm::APFloat instead) {
  return e->elementwise(
      tensor::getMixedSizes(e->b, e->loc, factor), 1, accumulate,
      {{factor, {0}}}, [&](OpBuilder &b, Location l, ValueRange in) -> Value {
        auto constant = [&](const llvm::APFloat &value) -> Value {
          return arith::ConstantOp::create(b, l,
                                           b.getFloatAttr(accumulate, value));
        };
        Value isNone = arith::CmpFOp::create(b, l, arith::CmpFPredicate::OEQ,
                                             in[0], constant(unless));
        return arith::SelectOp::create(b, l, isNone, constant(instead),
                                       arith::NegFOp::create(b, l, in[0]));
      });
}

/// The maximum that goes with sums of the plan: −F, and that of nothing where F
/// is −∞.
Value MarginalsReader::asMaximum(Value factor) {
  const llvm::fltSemantics &type = accumulate.getFloatSemantics();
  return negated(factor, llvm::APFloat::getInf(type, /*Negative=*/true),
                 llvm::APFloat::getLargest(type, /*Negative=*/true));
}

/// What takes the maximum off: its negative, and 0 where there was nothing,
/// whose entries are −∞ anyway and must meet no +∞.
Value MarginalsReader::asShift(Value maximum) {
  const llvm::fltSemantics &type = accumulate.getFloatSemantics();
  return negated(maximum, llvm::APFloat::getLargest(type, /*Negative=*/true),
                 llvm::APFloat::getZero(type));
}

/// Whether any sum that counts is out of range or not a number.
Value MarginalsReader::isLost(Value sums, Value target, Value mask) {
  SmallVector<EmitterInput> inputs{{sums, {0}}};
  if (target)
    inputs.push_back({target, {0}});
  if (mask)
    inputs.push_back({mask, {0}});
  Value flags = e->reduce(
      tensor::getMixedSizes(e->b, e->loc, sums), 1, e->b.getI1Type(), inputs,
      TensorEmitter::Combine::any,
      [&](OpBuilder &b, Location l, ValueRange in) -> Value {
        auto outside = [&](arith::CmpFPredicate predicate, double bound) {
          return arith::CmpFOp::create(b, l, predicate, in[0],
                                       createConstant(b, l, accumulate, bound))
              .getResult();
        };
        Value lost = arith::OrIOp::create(
            b, l, outside(arith::CmpFPredicate::ULT, kLeastSum),
            outside(arith::CmpFPredicate::UGT, kLargestSum));
        if (target) {
          Value zero = createConstant(b, l, accumulate, 0.0);
          Value counts = arith::CmpFOp::create(b, l, arith::CmpFPredicate::UNE,
                                               in[1], zero);
          lost = arith::AndIOp::create(b, l, lost, counts);
        }
        if (mask)
          lost = arith::AndIOp::create(b, l, lost, in.back());
        return lost;
      });
  return e->any(flags);
}

BothStates MarginalsReader::read(Value row, Value col, Value scale) {
  OpBuilder &b = e->b;
  Location loc = e->loc;
  Value number = source.coefficient;
  if (scale)
    number = number ? arith::MulFOp::create(b, loc, number, scale).getResult()
                    : scale;
  // exp(F + s·(1 − d) + G) = exp((F + s) − s·d + G).
  Value offset;
  if (complement) {
    offset = number ? number : createConstant(b, loc, accumulate, 1.0);
    number = arith::NegFOp::create(b, loc, offset);
  }
  auto shifted = [&](Value factor) -> Value {
    if (!offset)
      return factor;
    return e->elementwise(
        tensor::getMixedSizes(b, loc, factor), 1, accumulate, {{factor, {0}}},
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          return arith::AddFOp::create(inner, l, in[0], offset);
        });
  };
  auto vector = [&](Value like) {
    return e->empty(tensor::getMixedSizes(b, loc, like), accumulate);
  };

  Value rowMax = asMaximum(row), colMax = asMaximum(col);
  SmallVector<Value> sums =
      sweep(false, shifted(row), col, number, vector(row), vector(col));
  Value lost = arith::OrIOp::create(
      b, loc, isLost(sums[0], op.getRowTarget(), op.getRowMask()),
      isLost(sums[1], op.getColTarget(), op.getColMask()));
  auto states = scf::IfOp::create(
      b, loc, lost,
      [&](OpBuilder &, Location) {
        // Without the own factor, as a log-sum-exp is.
        Value rowLarge =
            sweep(true, Value(), shifted(col), number, rowMax, vector(col))[0];
        Value colLarge =
            sweep(true, shifted(row), Value(), number, vector(row), colMax)[1];
        Value rowSum = sweep(false, asShift(rowLarge), shifted(col), number,
                             sums[0], vector(col))[0];
        Value colSum = sweep(false, shifted(row), asShift(colLarge), number,
                             vector(row), sums[1])[1];
        scf::YieldOp::create(b, loc,
                             ValueRange{rowLarge, rowSum, colLarge, colSum});
      },
      [&](OpBuilder &, Location) {
        scf::YieldOp::create(b, loc,
                             ValueRange{rowMax, sums[0], colMax, sums[1]});
      });
  return {{states.getResult(0), states.getResult(1)},
          {states.getResult(2), states.getResult(3)}};
}
