//===- Lanes.cpp - Layout changes as transpositions in registers ----------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::scaling;

/// So many transpositions are written out; more make a loop.
static constexpr int64_t kUnrolledBlocks = 4;

namespace {
/// Lowers one layout change between `batch` = `[B, ...]` and `tile` =
/// `[..., L]`: `[B, E]` and `[E, L]` where entries of an element are neighbours
/// in memory, else so for every row of them.
class LanesLowering {
public:
  LanesLowering(Location loc, Value batch, Value tile, Value offset,
                RewriterBase &rewriter,
                const ScalingToVectorPassOptions &options);
  void lower(bool intoLanes);

private:
  using Values = SmallVector<Value>;

  void lowerEntries(bool intoLanes);
  /// Entries `begin` to `begin + count` of `width` elements from lane `lane`.
  void transpose(bool intoLanes, Value begin, int64_t count, int64_t lane);
  /// A square of vectors, transposed.
  Values transposed(Values square);
  /// Where the element in a lane is; the last where there is none.
  Value rowOf(int64_t lane);
  Values indices(Value first, Value last);

  Location loc;
  RewriterBase &b;
  VectorEmitter e;
  Value batch, tile, offset, lastRow;
  /// The vectors' element type and the entries and lanes of a square.
  Type element;
  int64_t lanes, entries, width;
  /// Of what is in front of the rows, where there is no contiguous whole.
  Values outer;
};
} // namespace

LanesLowering::LanesLowering(Location loc, Value batch, Value tile,
                             Value offset, RewriterBase &rewriter,
                             const ScalingToVectorPassOptions &options)
    : loc(loc), b(rewriter),
      e(rewriter, loc, rewriter.getF32Type(), 0, options), batch(batch),
      tile(tile), offset(offset) {
  element = getElementTypeOrSelf(batch);
  if (element.isInteger(1)) {
    this->batch = e.asBytes(batch);
    this->tile = e.asBytes(tile);
    element = b.getI8Type();
  }
  lanes = cast<MemRefType>(tile.getType()).getShape().back();
  int64_t most = std::max<int64_t>(
      options.vectorBits / element.getIntOrFloatBitWidth(), 1);
  // A power of two that divides the lanes.
  width = std::min<int64_t>(lanes & -lanes, llvm::bit_floor<uint64_t>(most));
}

Value LanesLowering::rowOf(int64_t lane) {
  return e.minimum(e.add(offset, e.index(lane)), lastRow);
}

SmallVector<Value> LanesLowering::indices(Value first, Value last) {
  Values all{first};
  llvm::append_range(all, outer);
  all.push_back(last);
  return all;
}

SmallVector<Value> LanesLowering::transposed(Values square) {
  // Squares of 2, 4, …: each step exchanges the off-diagonal quarters.
  for (int64_t half = 1; half < width; half *= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < width; ++lane) {
      bool second = lane & half;
      low.push_back(second ? width + lane - half : lane);
      high.push_back(second ? width + lane : lane + half);
    }
    for (int64_t i = 0; i < width; ++i) {
      if (i & half)
        continue;
      Value upper = square[i], lower = square[i + half];
      square[i] = vector::ShuffleOp::create(b, loc, upper, lower, low);
      square[i + half] = vector::ShuffleOp::create(b, loc, upper, lower, high);
    }
  }
  return square;
}

void LanesLowering::transpose(bool intoLanes, Value begin, int64_t count,
                              int64_t lane) {
  auto type = VectorType::get(width, element);
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  Value mask;
  if (count < width)
    mask = vector::CreateMaskOp::create(
        b, loc, VectorType::get(width, b.getI1Type()), e.index(count));
  Values square;
  if (intoLanes) {
    for (int64_t i = 0; i < width; ++i) {
      // What predicts addresses has forgotten them when it is the next tile's
      // turn. Behind the last row nothing is read: it is no access.
      Value next = e.add(offset, e.index(lanes + lane + i));
      memref::PrefetchOp::create(b, loc, batch, indices(next, begin),
                                 /*isWrite=*/false, /*localityHint=*/3,
                                 /*isDataCache=*/true);
      Values at = indices(rowOf(lane + i), begin);
      square.push_back(
          mask ? vector::MaskedLoadOp::create(b, loc, type, batch, at, mask,
                                              zero)
                     .getResult()
               : vector::LoadOp::create(b, loc, type, batch, at).getResult());
    }
    square = transposed(square);
  }
  auto tileIndices = [&](int64_t entry) {
    Values at(outer);
    at.push_back(e.add(begin, e.index(entry)));
    at.push_back(e.index(lane));
    return at;
  };
  if (intoLanes) {
    for (int64_t entry = 0; entry < count; ++entry)
      vector::StoreOp::create(b, loc, square[entry], tile, tileIndices(entry));
    return;
  }
  for (int64_t entry = 0; entry < width; ++entry)
    square.push_back(entry < count ? vector::LoadOp::create(b, loc, type, tile,
                                                            tileIndices(entry))
                                         .getResult()
                                   : zero);
  square = transposed(square);
  // From the last lane down: those without an element write where the last
  // element will be written over them.
  for (int64_t i = width - 1; i >= 0; --i) {
    Values at = indices(rowOf(lane + i), begin);
    if (mask)
      vector::MaskedStoreOp::create(b, loc, batch, at, mask, square[i]);
    else
      vector::StoreOp::create(b, loc, square[i], batch, at);
  }
}

void LanesLowering::lowerEntries(bool intoLanes) {
  int64_t whole = entries / width * width;
  auto all = [&](Value begin, int64_t count) {
    for (int64_t lane = lanes - width; lane >= 0; lane -= width)
      transpose(intoLanes, begin, count, lane);
  };
  if (whole / width <= kUnrolledBlocks)
    for (int64_t begin = 0; begin < whole; begin += width)
      all(e.index(begin), width);
  else
    e.loop(e.index(0), e.index(whole), width,
           [&](Value begin) { all(begin, width); });
  if (entries > whole)
    all(e.index(whole), entries - whole);
}

void LanesLowering::lower(bool intoLanes) {
  auto type = cast<MemRefType>(batch.getType());
  int64_t rank = type.getRank();
  Value size = e.sizeOf(0, MappedBuffer{batch, {0}});
  lastRow = e.sub(size, e.index(1));

  // One entry per element: neighbours are already side by side.
  if (rank == 1) {
    auto vector = VectorType::get(lanes, element);
    Value mask = vector::CreateMaskOp::create(
        b, loc, VectorType::get(lanes, b.getI1Type()), e.sub(size, offset));
    Value first = e.index(0);
    if (intoLanes) {
      Value last = memref::LoadOp::create(b, loc, batch, lastRow);
      Value loaded = vector::MaskedLoadOp::create(b, loc, vector, batch, offset,
                                                  mask, e.splat(last, lanes));
      vector::StoreOp::create(b, loc, loaded, tile, first);
    } else {
      Value loaded = vector::LoadOp::create(b, loc, vector, tile, first);
      vector::MaskedStoreOp::create(b, loc, batch, offset, mask, loaded);
    }
    return;
  }

  SmallVector<ReassociationIndices> batchGroups{{0}, {}}, tileGroups{{}, {}};
  for (int64_t dim = 1; dim < rank; ++dim) {
    batchGroups[1].push_back(dim);
    tileGroups[0].push_back(dim - 1);
  }
  tileGroups[1].push_back(rank - 1);
  ArrayRef<int64_t> shape = type.getShape();
  entries = shape.back();
  if (llvm::is_contained(shape.drop_front(), 0))
    return;
  if (rank == 2)
    return lowerEntries(intoLanes);
  if (memref::CollapseShapeOp::isGuaranteedCollapsible(type, batchGroups) &&
      memref::CollapseShapeOp::isGuaranteedCollapsible(
          cast<MemRefType>(tile.getType()), tileGroups)) {
    batch = memref::CollapseShapeOp::create(b, loc, batch, batchGroups);
    tile = memref::CollapseShapeOp::create(b, loc, tile, tileGroups);
    entries = ShapedType::getNumElements(shape.drop_front());
    return lowerEntries(intoLanes);
  }
  Position at(rank);
  SmallVector<int64_t> dims;
  Values sizes;
  for (int64_t dim = 1; dim < rank - 1; ++dim) {
    dims.push_back(dim);
    sizes.push_back(e.index(shape[dim]));
  }
  e.nest(at, dims, sizes, [&] {
    outer.assign(at.begin() + 1, at.end() - 1);
    lowerEntries(intoLanes);
  });
}

namespace {
template <typename OpTy> struct LanesToVector final : OpRewritePattern<OpTy> {
  LanesToVector(MLIRContext *context, const ScalingToVectorPassOptions &options)
      : OpRewritePattern<OpTy>(context), options(options) {}

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if (!isOnBuffers(op))
      return rewriter.notifyMatchFailure(op, "not on memrefs");
    constexpr bool intoLanes = std::is_same_v<OpTy, ToLanesOp>;
    Value batch = intoLanes ? op.getSource() : op.getOuts();
    Value tile = intoLanes ? op.getOuts() : op.getSource();
    LanesLowering(op.getLoc(), batch, tile, op.getOffset(), rewriter, options)
        .lower(intoLanes);
    rewriter.eraseOp(op);
    return success();
  }

  ScalingToVectorPassOptions options;
};
} // namespace

void scaling::populateLanesToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options) {
  patterns.add<LanesToVector<ToLanesOp>, LanesToVector<FromLanesOp>>(
      patterns.getContext(), options);
}
