//===- Marginals.cpp - Sums along both axes as loops over vectors ---------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorEmitter.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <limits>

using namespace mlir;
using namespace mlir::scaling;

/// Coordinates up to this many are written out; sums over more are a loop,
/// for which two vectors of columns are taken at once.
static constexpr int64_t kShallow = 8;

namespace {
/// Lowers one marginals. Its domain is the batch, rows, columns, and the
/// coordinates of points. A block of rows walks along the columns: sums of rows
/// are in registers, those of columns in memory, where a block adds to them
/// once.
class MarginalsLowering {
public:
  MarginalsLowering(MarginalsOp op, RewriterBase &builder,
                    const ScalingToVectorPassOptions &options)
      : metric(op.getMetric()), largest(op.getLargest()), loc(op.getLoc()),
        rank(op.getStructuredIteratorTypes().size() + 1), rowDim(rank - 3),
        colDim(rank - 2), depthDim(rank - 1),
        e(builder, loc, getArithmeticType(SmallVector<Value>(op.getOperands())),
          colDim, options),
        at(rank) {
    BufferReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    matrix = reader.read(op.getMatrix());
    x = reader.read(op.getX());
    y = reader.read(op.getY());
    row = reader.read(op.getRow());
    col = reader.read(op.getCol());
    rowMask = reader.read(op.getRowMask());
    colMask = reader.read(op.getColMask());
    scale = reader.read(op.getScale());
    rowOut = reader.read(op.getOuts()[0]);
    colOut = reader.read(op.getOuts()[1]);
    if (metric) {
      x.dims.back() = depthDim;
      y.dims[y.dims.size() - 2] = depthDim;
    }
    SmallVector<MappedBuffer> buffers{matrix,  x,       y,      row,   col,
                                      rowMask, colMask, rowOut, colOut};
    e.chooseLanes(buffers);
    for (int64_t dim = 0; dim < (metric ? rank : rank - 1); ++dim)
      sizes.push_back(e.sizeOf(dim, buffers));
    if (metric)
      depth = VectorEmitter::known(sizes[depthDim]);
  }

  void lower() {
    auto batch = llvm::to_vector(llvm::seq<int64_t>(rowDim));
    e.nest(at, batch, ArrayRef(sizes).take_front(rowDim), [&] {
      // Sums are of powers of two: the logarithms' base is changed in vectors
      // that are read anyway, not in every entry.
      Value toBase = largest ? Value() : e.constant(1.4426950408889634);
      Value factor = e.splat(e.loadScalar(scale, at));
      if (toBase)
        factor =
            factor ? arith::MulFOp::create(e.b, loc, factor, toBase).getResult()
                   : toBase;
      e.blocks(sizes[rowDim], e.getRowBlock(), [&](Value first, int64_t count) {
        lowerRows(first, count, factor, toBase);
      });
    });
    e.eraseDead();
  }

private:
  using Values = SmallVector<Value>;

  Value identity(int64_t count) {
    if (!largest)
      return e.constant(0.0, count);
    return e.constant(e.compute.isF64()
                          ? std::numeric_limits<double>::lowest()
                          : double(std::numeric_limits<float>::lowest()),
                      count);
  }

  Value fma(Value a, Value b, Value c) {
    if (!a)
      return c ? arith::AddFOp::create(e.b, loc, b, c).getResult() : b;
    if (!c)
      return arith::MulFOp::create(e.b, loc, a, b);
    if (e.contract)
      return math::FmaOp::create(e.b, loc, a, b, c);
    return arith::AddFOp::create(e.b, loc,
                                 arith::MulFOp::create(e.b, loc, a, b), c);
  }

  void lowerRows(Value first, int64_t count, Value factor, Value toBase) {
    Position block = at;
    Values rows(count), parts(count);
    for (int64_t i = 0; i < count; ++i) {
      at[rowDim] = e.add(first, e.index(i));
      rows[i] = e.load(row, at);
      if (rows[i] && toBase)
        rows[i] = arith::MulFOp::create(e.b, loc, rows[i], toBase);
      parts[i] = e.splat(e.loadScalar(rowMask, at));
    }
    int64_t unroll = metric && (!depth || *depth > kShallow) ? 2 : 1;
    Values sums = e.vectors(
        e.index(0), sizes[colDim], unroll, Values(count, identity(e.lanes)),
        [&](ArrayRef<Value> begins, ArrayRef<Value> masks,
            ValueRange carried) -> Values {
          Values costs = createCosts(first, count, begins, masks);
          Values sums(carried);
          for (auto [v, begin] : llvm::enumerate(begins))
            addColumn(ArrayRef(costs).slice(v * count, count), begin, masks[v],
                      rows, parts, factor, toBase, sums);
          return sums;
        });
    at = block;
    at[rowDim] = first;
    Value old = e.loadAlong(rowOut, at, rowDim, count);
    Value added = e.foldLanes(largest, sums);
    e.storeAlong(rowOut, at, rowDim, count, e.combine(largest, old, added));
    at = block;
  }

  /// The entries of a block of rows in one vector of columns.
  void addColumn(ArrayRef<Value> costs, Value begin, Value mask,
                 ArrayRef<Value> rows, ArrayRef<Value> parts, Value factor,
                 Value toBase, MutableArrayRef<Value> sums) {
    at[colDim] = begin;
    Value other = e.load(col, at, mask);
    if (other && toBase)
      other = arith::MulFOp::create(e.b, loc, other, toBase);
    Value inside = e.both(e.load(colMask, at, mask), mask);
    Values chains;
    for (auto [i, cost] : llvm::enumerate(costs)) {
      Value entry = fma(factor, cost, other);
      if (rows[i])
        entry = arith::AddFOp::create(e.b, loc, entry, rows[i]);
      if (!largest)
        entry = math::Exp2Op::create(e.b, loc, entry);
      // Lanes that do not count are neutral before anything is added.
      entry = e.select(e.both(parts[i], inside), entry, identity(e.lanes));
      sums[i] = e.combine(largest, sums[i], entry);
      if (chains.size() < 2)
        chains.push_back(entry);
      else
        chains[i % 2] = e.combine(largest, chains[i % 2], entry);
    }
    Value added = chains.size() == 2 ? e.combine(largest, chains[0], chains[1])
                                     : chains[0];
    Value old = e.load(colOut, at, mask);
    e.store(colOut, at, e.combine(largest, old, added), mask);
  }

  //===--- Costs ----------------------------------------------------------===//

  /// The costs of a block of rows in some vectors of columns, by vector.
  Values createCosts(Value first, int64_t count, ArrayRef<Value> begins,
                     ArrayRef<Value> masks) {
    Position place = at;
    if (!metric) {
      Values costs;
      for (auto [begin, mask] : llvm::zip_equal(begins, masks))
        for (int64_t i = 0; i < count; ++i) {
          place[rowDim] = e.add(first, e.index(i));
          place[colDim] = begin;
          costs.push_back(e.load(matrix, place, mask));
        }
      return costs;
    }
    Values costs(begins.size() * count);
    if (depth && *depth <= kShallow) {
      for (int64_t k = 0; k < *depth; ++k)
        costs = addCoordinate(e.index(k), first, count, begins, masks, costs);
      if (*depth == 0)
        costs.assign(costs.size(), e.constant(0.0));
    } else {
      costs.assign(costs.size(), e.constant(0.0));
      costs = e.loop(e.index(0), sizes[depthDim], 1, costs,
                     [&](Value k, ValueRange carried) {
                       return addCoordinate(k, first, count, begins, masks,
                                            carried);
                     });
    }
    if (metric == Metric::euclidean)
      for (Value &cost : costs)
        cost = math::SqrtOp::create(e.b, loc, cost);
    return costs;
  }

  /// What one coordinate adds; null sums are empty.
  Values addCoordinate(Value k, Value first, int64_t count,
                       ArrayRef<Value> begins, ArrayRef<Value> masks,
                       ValueRange sums) {
    Position place = at;
    place[depthDim] = k;
    Values others, points;
    for (auto [begin, mask] : llvm::zip_equal(begins, masks)) {
      place[colDim] = begin;
      others.push_back(e.load(y, place, mask));
    }
    for (int64_t i = 0; i < count; ++i) {
      place[rowDim] = e.add(first, e.index(i));
      points.push_back(e.splat(e.loadScalar(x, place)));
    }
    Values next;
    for (Value other : others)
      for (Value point : points) {
        Value sum = sums[next.size()];
        if (metric == Metric::dot) {
          next.push_back(fma(point, other, sum));
          continue;
        }
        Value difference = arith::SubFOp::create(e.b, loc, point, other);
        if (metric != Metric::l1) {
          next.push_back(fma(difference, difference, sum));
          continue;
        }
        Value distance = math::AbsFOp::create(e.b, loc, difference);
        next.push_back(
            sum ? arith::AddFOp::create(e.b, loc, sum, distance).getResult()
                : distance);
      }
    return next;
  }

  std::optional<Metric> metric;
  bool largest;
  Location loc;
  int64_t rank, rowDim, colDim, depthDim;
  VectorEmitter e;
  Position at;
  MappedBuffer matrix, x, y, row, col, rowMask, colMask, scale, rowOut, colOut;
  Values sizes;
  /// How many coordinates, where that is known.
  std::optional<int64_t> depth;
};

struct MarginalsToVector final : OpRewritePattern<MarginalsOp> {
  MarginalsToVector(MLIRContext *context,
                    const ScalingToVectorPassOptions &options)
      : OpRewritePattern(context), options(options) {}

  LogicalResult matchAndRewrite(MarginalsOp op,
                                PatternRewriter &rewriter) const override {
    if (!isOnBuffers(op))
      return rewriter.notifyMatchFailure(op, "not on memrefs");
    MarginalsLowering(op, rewriter, options).lower();
    rewriter.eraseOp(op);
    return success();
  }

  ScalingToVectorPassOptions options;
};
} // namespace

void scaling::populateMarginalsToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options) {
  patterns.add<MarginalsToVector>(patterns.getContext(), options);
}
