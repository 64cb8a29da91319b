//===- Pairwise.cpp - Costs between points as loops over vectors ----------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorEmitter.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::scaling;

/// Points of x whose sums are on the stack at a time, and coordinates of y
/// that are turned at a time.
static constexpr int64_t kPoints = 64, kDepth = 64;
/// Vectors of points of y side by side.
static constexpr int64_t kVectors = 2;

namespace {
/// Lowers one pairwise. Its domain is the batch, the points of x, those of y,
/// and the coordinates. Lanes are points of y, whose coordinates are turned on
/// the stack; each is used for a block of points of x.
class PairwiseLowering {
public:
  PairwiseLowering(PairwiseOp op, RewriterBase &builder,
                   const ScalingToVectorPassOptions &options)
      : metric(op.getMetric()), loc(op.getLoc()),
        rank(op.getStructuredIteratorTypes().size() + 1), xDim(rank - 3),
        yDim(rank - 2), depthDim(rank - 1),
        e(builder, loc, getArithmeticType(SmallVector<Value>(op.getOperands())),
          yDim, options),
        at(rank) {
    BufferReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    x = reader.read(op.getX());
    y = reader.read(op.getY());
    out = reader.read(op.getOuts());
    x.dims.back() = y.dims.back() = depthDim;
    e.chooseLanes(out);
    for (int64_t dim = 0; dim < rank; ++dim)
      sizes.push_back(e.sizeOf(dim, {x, y, out}));
    std::optional<int64_t> depth = VectorEmitter::known(sizes[depthDim]);
    isShallow = depth && *depth <= kDepth;
    int64_t width = e.lanes * kVectors;
    turned = {
        e.scratch({isShallow ? std::max<int64_t>(*depth, 1) : kDepth, width}),
        {depthDim, yDim}};
    if (!isShallow)
      sums = {e.scratch({kPoints, width}), {xDim, yDim}};
  }

  void lower() {
    auto batch = llvm::to_vector(llvm::seq<int64_t>(xDim));
    e.nest(at, batch, ArrayRef(sizes).take_front(xDim), [&] {
      e.vectors(e.index(0), sizes[yDim], kVectors, {},
                [&](ArrayRef<Value> begins, ArrayRef<Value> masks,
                    ValueRange) -> Values {
                  lowerPoints(begins, masks);
                  return {};
                });
    });
    e.eraseDead();
  }

private:
  using Values = SmallVector<Value>;

  /// The costs of all points of x to some vectors of points of y.
  void lowerPoints(ArrayRef<Value> begins, ArrayRef<Value> masks) {
    Values yNorms;
    if (metric == Metric::cosine)
      yNorms = createNorms(begins, masks);
    if (isShallow) {
      // All coordinates fit: sums never leave registers.
      turn(begins, masks, e.index(0), sizes[depthDim]);
      e.blocks(sizes[xDim], e.getRowBlock(), [&](Value first, int64_t count) {
        Values zeros(count * begins.size(), e.constant(0.0));
        Values done = addCoordinates(e.index(0), sizes[depthDim], first, count,
                                     begins, zeros);
        finish(first, count, begins, masks, yNorms, done);
      });
      return;
    }
    e.loop(e.index(0), sizes[xDim], kPoints, [&](Value points) {
      Value count = e.minimum(e.sub(sizes[xDim], points), e.index(kPoints));
      forBlocks(count, begins, [&](Value, int64_t rows, ArrayRef<Position>) {
        return Values(rows * begins.size(), e.constant(0.0));
      });
      e.loop(e.index(0), sizes[depthDim], kDepth, [&](Value depth) {
        Value end = e.minimum(e.add(depth, e.index(kDepth)), sizes[depthDim]);
        turn(begins, masks, depth, end);
        forBlocks(count, begins,
                  [&](Value first, int64_t rows, ArrayRef<Position> places) {
                    return addCoordinates(depth, end, e.add(points, first),
                                          rows, begins, loadSums(places));
                  });
      });
      e.blocks(count, e.getRowBlock(), [&](Value first, int64_t rows) {
        finish(e.add(points, first), rows, begins, masks, yNorms,
               loadSums(placesOf(first, rows, begins.size())));
      });
    });
  }

  /// Where the sums of a block of points are on the stack.
  SmallVector<Position> placesOf(Value first, int64_t rows, int64_t vectors) {
    SmallVector<Position> places;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t v = 0; v < vectors; ++v) {
        Position place(rank);
        place[xDim] = e.add(first, e.index(i));
        place[yDim] = e.index(v * e.lanes);
        places.push_back(place);
      }
    return places;
  }

  Values loadSums(ArrayRef<Position> places) {
    return llvm::map_to_vector(
        places, [&](const Position &place) { return e.load(sums, place); });
  }

  void
  forBlocks(Value count, ArrayRef<Value> begins,
            function_ref<Values(Value, int64_t, ArrayRef<Position>)> body) {
    e.blocks(count, e.getRowBlock(), [&](Value first, int64_t rows) {
      SmallVector<Position> places = placesOf(first, rows, begins.size());
      for (auto [place, sum] :
           llvm::zip_equal(places, body(first, rows, places)))
        e.store(sums, place, sum);
    });
  }

  /// Coordinates [depth, end) of the points of y, a vector of points for each.
  /// Lanes beyond the last point hold what was there: nobody stores them.
  void turn(ArrayRef<Value> begins, ArrayRef<Value> masks, Value depth,
            Value end) {
    for (size_t v = 0; v < begins.size(); ++v) {
      Value whole = depth;
      if (!masks[v] && e.lanes > 1 && e.isContiguousAlong(y, depthDim)) {
        whole = e.add(depth, e.roundDown(e.sub(end, depth), e.lanes));
        e.loop(depth, whole, e.lanes, [&](Value coordinate) {
          turnSquare(begins[v], v, depth, coordinate);
        });
      }
      Value left = e.sub(sizes[yDim], begins[v]);
      Value count =
          masks[v] ? e.minimum(left, e.index(e.lanes)) : e.index(e.lanes);
      e.loop(e.index(0), count, 1, [&](Value point) {
        Position from = at, to(rank);
        from[yDim] = e.add(begins[v], point);
        to[yDim] = e.add(point, e.index(v * e.lanes));
        e.loop(whole, end, 1, [&](Value coordinate) {
          from[depthDim] = coordinate;
          to[depthDim] = e.sub(coordinate, depth);
          e.store(turned, to, e.loadScalar(y, from));
        });
      });
    }
  }

  /// As many coordinates as there are lanes, of a vector of points, in
  /// registers: blocks on either side of the diagonal change places, halves
  /// first, single entries last.
  void turnSquare(Value begin, size_t v, Value depth, Value coordinate) {
    Position from = at, to(rank);
    Values lines(e.lanes);
    from[depthDim] = coordinate;
    for (int64_t point = 0; point < e.lanes; ++point) {
      from[yDim] = e.add(begin, e.index(point));
      lines[point] = e.loadAlong(y, from, depthDim, e.lanes);
    }
    for (int64_t size = e.lanes / 2; size > 0; size /= 2) {
      SmallVector<int64_t> low, high;
      for (int64_t lane = 0; lane < e.lanes; ++lane) {
        bool isOdd = lane / size % 2 != 0;
        low.push_back(isOdd ? e.lanes + lane - size : lane);
        high.push_back(isOdd ? e.lanes + lane : lane + size);
      }
      for (int64_t line = 0; line < e.lanes; ++line) {
        if (line / size % 2 != 0)
          continue;
        Value upper = lines[line], lower = lines[line + size];
        lines[line] = vector::ShuffleOp::create(e.b, loc, upper, lower, low);
        lines[line + size] =
            vector::ShuffleOp::create(e.b, loc, upper, lower, high);
      }
    }
    to[yDim] = e.index(v * e.lanes);
    Value first = e.sub(coordinate, depth);
    for (int64_t line = 0; line < e.lanes; ++line) {
      to[depthDim] = e.add(first, e.index(line));
      e.store(turned, to, lines[line]);
    }
  }

  Values loadTurned(Value depth, Value coordinate, size_t vectors) {
    Values values;
    Position place(rank);
    place[depthDim] = e.sub(coordinate, depth);
    for (size_t v = 0; v < vectors; ++v) {
      place[yDim] = e.index(v * e.lanes);
      values.push_back(e.load(turned, place));
    }
    return values;
  }

  /// The sums of a block of points of x after coordinates [depth, end).
  Values addCoordinates(Value depth, Value end, Value first, int64_t rows,
                        ArrayRef<Value> begins, Values starts) {
    return e.loop(
        depth, end, 1, starts, [&](Value coordinate, ValueRange carried) {
          Values ys = loadTurned(depth, coordinate, begins.size()), next;
          Position place = at;
          place[depthDim] = coordinate;
          for (int64_t i = 0; i < rows; ++i) {
            place[xDim] = e.add(first, e.index(i));
            Value point = e.splat(e.loadScalar(x, place));
            for (Value other : ys)
              next.push_back(
                  add(carried[next.size()], createTerm(point, other)));
          }
          return next;
        });
  }

  Value add(Value sum, Value term) {
    return e.accumulate(/*isMax=*/false, sum, term, /*mask=*/nullptr,
                        /*inside=*/nullptr, /*identity=*/nullptr);
  }

  /// What one coordinate adds.
  Value createTerm(Value a, Value b) {
    if (metric == Metric::dot || metric == Metric::cosine)
      return arith::MulFOp::create(e.b, loc, a, b);
    Value difference = arith::SubFOp::create(e.b, loc, a, b);
    if (metric == Metric::l1)
      return math::AbsFOp::create(e.b, loc, difference);
    return arith::MulFOp::create(e.b, loc, difference, difference);
  }

  /// The 2-norms of vectors of points of y.
  Values createNorms(ArrayRef<Value> begins, ArrayRef<Value> masks) {
    Values squares = e.loop(
        e.index(0), sizes[depthDim], kDepth,
        Values(begins.size(), e.constant(0.0)),
        [&](Value depth, ValueRange carried) {
          Value end = e.minimum(e.add(depth, e.index(kDepth)), sizes[depthDim]);
          turn(begins, masks, depth, end);
          return e.loop(
              depth, end, 1, carried,
              [&](Value coordinate, ValueRange carried) {
                Values next;
                for (auto [sum, value] : llvm::zip_equal(
                         carried, loadTurned(depth, coordinate, begins.size())))
                  next.push_back(add(sum, createTerm(value, value)));
                return next;
              });
        });
    for (Value &norm : squares)
      norm = math::SqrtOp::create(e.b, loc, norm);
    return squares;
  }

  /// The 2-norms of a block of points of x, each in every lane.
  Values createNorms(Value first, int64_t rows) {
    Position place = at;
    Value zero = createConstant(e.b, loc, e.compute, 0.0);
    Values norms =
        e.loop(e.index(0), sizes[depthDim], 1, Values(rows, zero),
               [&](Value coordinate, ValueRange carried) {
                 Values next;
                 place[depthDim] = coordinate;
                 for (int64_t i = 0; i < rows; ++i) {
                   place[xDim] = e.add(first, e.index(i));
                   Value value = e.loadScalar(x, place);
                   next.push_back(add(carried[i], createTerm(value, value)));
                 }
                 return next;
               });
    for (Value &norm : norms)
      norm = e.splat(math::SqrtOp::create(e.b, loc, norm));
    return norms;
  }

  /// Costs from sums, to where they go.
  void finish(Value first, int64_t rows, ArrayRef<Value> begins,
              ArrayRef<Value> masks, ArrayRef<Value> yNorms, Values done) {
    Position place = at;
    Values xNorms;
    if (metric == Metric::cosine)
      xNorms = createNorms(first, rows);
    for (int64_t i = 0; i < rows; ++i) {
      place[xDim] = e.add(first, e.index(i));
      for (auto [v, begin] : llvm::enumerate(begins)) {
        place[yDim] = begin;
        Value cost = done[i * begins.size() + v];
        if (metric == Metric::euclidean)
          cost = math::SqrtOp::create(e.b, loc, cost);
        if (metric == Metric::cosine)
          cost = createCosine(cost, xNorms[i], yNorms[v]);
        e.store(out, place, cost, masks[v]);
      }
    }
  }

  /// 1 − x·y / (‖x‖ ‖y‖), 1 where a norm is 0.
  Value createCosine(Value dot, Value xNorm, Value yNorm) {
    Value zero = e.constant(0.0), one = e.constant(1.0);
    // One division after the other: the norms' product may underflow.
    Value similarity = arith::DivFOp::create(e.b, loc, dot, xNorm);
    similarity = arith::DivFOp::create(e.b, loc, similarity, yNorm);
    Value cost = arith::SubFOp::create(e.b, loc, one, similarity);
    for (Value norm : {xNorm, yNorm}) {
      Value isZero = arith::CmpFOp::create(e.b, loc, arith::CmpFPredicate::OEQ,
                                           norm, zero);
      cost = e.select(isZero, one, cost);
    }
    return cost;
  }

  Metric metric;
  Location loc;
  int64_t rank, xDim, yDim, depthDim;
  VectorEmitter e;
  Position at;
  MappedBuffer x, y, out;
  Values sizes;
  /// Whether the number of coordinates is known and small.
  bool isShallow = false;
  /// On the stack: coordinates of y, and sums where there are many.
  MappedBuffer turned, sums;
};

struct PairwiseToVector final : OpRewritePattern<PairwiseOp> {
  PairwiseToVector(MLIRContext *context,
                   const ScalingToVectorPassOptions &options)
      : OpRewritePattern(context), options(options) {}

  LogicalResult matchAndRewrite(PairwiseOp op,
                                PatternRewriter &rewriter) const override {
    if (!isOnBuffers(op))
      return rewriter.notifyMatchFailure(op, "not on memrefs");
    PairwiseLowering(op, rewriter, options).lower();
    rewriter.eraseOp(op);
    return success();
  }

  ScalingToVectorPassOptions options;
};
} // namespace

void scaling::populatePairwiseToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options) {
  patterns.add<PairwiseToVector>(patterns.getContext(), options);
}
