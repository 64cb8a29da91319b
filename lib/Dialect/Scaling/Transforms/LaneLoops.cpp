//===- LaneLoops.cpp - Loops over a batch, a tile at a time ---------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LaneLoops.h"

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::scaling;

/// What a thread takes at a time: enough that handing it out costs nothing,
/// little enough that what goes in and out of it stays in the core's cache.
static constexpr int64_t kChunkBytes = 64 * 1024;

/// A batch is cut into at least so many chunks, if it has the matrices.
static constexpr int64_t kMinChunks = 16;

Value LaneLoops::index(OpFoldResult size) {
  return getValueOrCreateConstantIndexOp(b, loc, size);
}

Value LaneLoops::part(Value batch, OpFoldResult first, OpFoldResult count) {
  auto type = cast<RankedTensorType>(batch.getType());
  Sizes offsets(type.getRank(), b.getIndexAttr(0)), sizes{count};
  offsets[0] = first;
  for (int64_t size : type.getShape().drop_front())
    sizes.push_back(b.getIndexAttr(size));
  Sizes strides(type.getRank(), b.getIndexAttr(1));
  return tensor::ExtractSliceOp::create(b, loc, batch, offsets, sizes, strides);
}

/// `first, …, rank - 1, 0, …, first - 1`.
static SmallVector<int64_t> rotation(int64_t rank, int64_t first) {
  SmallVector<int64_t> permutation;
  for (int64_t i : llvm::seq(rank))
    permutation.push_back((first + i) % rank);
  return permutation;
}

Value LaneLoops::load(Value batch, Value offset) {
  auto type = cast<RankedTensorType>(batch.getType());
  SmallVector<int64_t> shape(type.getShape().drop_front());
  shape.push_back(lanes);
  Value empty = tensor::EmptyOp::create(b, loc, shape, type.getElementType());
  Value tile = ToLanesOp::create(b, loc, empty.getType(), batch, offset, empty)
                   .getResult();
  int64_t rank = type.getRank();
  SmallVector<int64_t> front = rotation(rank, rank - 1);
  if (rank > 1) {
    Value init = tensor::EmptyOp::create(
        b, loc, applyPermutation(ArrayRef<int64_t>(shape), front),
        type.getElementType());
    tile =
        linalg::TransposeOp::create(b, loc, tile, init, front).getResults()[0];
  }
  SmallVector<int64_t> dynamic(
      cast<RankedTensorType>(tile.getType()).getShape());
  dynamic[0] = ShapedType::kDynamic;
  return tensor::CastOp::create(
      b, loc, RankedTensorType::get(dynamic, type.getElementType()), tile);
}

Value LaneLoops::store(Value tile, Value batch, Value offset) {
  auto type = cast<RankedTensorType>(tile.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = lanes;
  tile = tensor::CastOp::create(
      b, loc, RankedTensorType::get(shape, type.getElementType()), tile);
  int64_t rank = type.getRank();
  SmallVector<int64_t> back = rotation(rank, 1);
  if (rank > 1) {
    Value init = tensor::EmptyOp::create(
        b, loc, applyPermutation(ArrayRef<int64_t>(shape), back),
        type.getElementType());
    tile =
        linalg::TransposeOp::create(b, loc, tile, init, back).getResults()[0];
  }
  return FromLanesOp::create(b, loc, batch.getType(), tile, offset, batch)
      .getResult();
}

int64_t LaneLoops::getChunk(int64_t matrixBytes) {
  int64_t bytes = std::max<int64_t>(matrixBytes, 1) * lanes;
  int64_t tiles = std::max<int64_t>(kChunkBytes / bytes, 1);
  if (std::optional<int64_t> known = getConstantIntValue(total))
    tiles = std::clamp<int64_t>(*known / (lanes * kMinChunks), 1, tiles);
  return tiles * lanes;
}

FailureOr<SmallVector<Value>> LaneLoops::run(
    ArrayRef<Value> operands, ArrayRef<bool> batched,
    ArrayRef<RankedTensorType> results, int64_t matrixBytes,
    function_ref<FailureOr<SmallVector<Value>>(ArrayRef<Value>)> body) {
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Value> destinations;
  for (RankedTensorType type : results) {
    Sizes sizes{total};
    for (int64_t size : type.getShape())
      sizes.push_back(b.getIndexAttr(size));
    destinations.push_back(
        tensor::EmptyOp::create(b, loc, sizes, type.getElementType()));
  }

  int64_t chunk = getChunk(matrixBytes);
  auto forall = scf::ForallOp::create(
      b, loc, ArrayRef<OpFoldResult>{b.getIndexAttr(0)}, ArrayRef{total},
      ArrayRef<OpFoldResult>{b.getIndexAttr(chunk)}, destinations,
      /*mapping=*/std::nullopt);
  b.setInsertionPointToStart(forall.getBody());
  OpFoldResult first = forall.getInductionVar(0);
  AffineExpr from, end;
  bindDims(b.getContext(), from, end);
  OpFoldResult count = affine::makeComposedFoldedAffineMin(
      b, loc,
      AffineMap::get(2, 0, {b.getAffineConstantExpr(chunk), end - from},
                     b.getContext()),
      {first, total});
  SmallVector<Value> inputs(operands), outputs;
  for (auto [input, isBatch] : llvm::zip_equal(inputs, batched))
    if (isBatch)
      input = part(input, first, count);
  for (BlockArgument output : forall.getRegionIterArgs())
    outputs.push_back(part(output, first, count));

  auto loop = scf::ForOp::create(b, loc, index(b.getIndexAttr(0)), index(count),
                                 index(b.getIndexAttr(lanes)), outputs);
  b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> tiles(inputs);
  for (auto [tile, isBatch] : llvm::zip_equal(tiles, batched))
    if (isBatch)
      tile = load(tile, loop.getInductionVar());
  FailureOr<SmallVector<Value>> made = body(tiles);
  if (failed(made))
    return failure();
  SmallVector<Value> stored;
  for (auto [tile, batch] : llvm::zip_equal(*made, loop.getRegionIterArgs()))
    stored.push_back(store(tile, batch, loop.getInductionVar()));
  scf::YieldOp::create(b, loc, stored);

  b.setInsertionPointToEnd(forall.getTerminator().getBody());
  for (auto [value, output] :
       llvm::zip_equal(loop.getResults(), forall.getRegionIterArgs())) {
    auto type = cast<RankedTensorType>(output.getType());
    Sizes offsets(type.getRank(), b.getIndexAttr(0)), sizes{count};
    offsets[0] = first;
    for (int64_t size : type.getShape().drop_front())
      sizes.push_back(b.getIndexAttr(size));
    Sizes strides(type.getRank(), b.getIndexAttr(1));
    tensor::ParallelInsertSliceOp::create(b, loc, value, output, offsets, sizes,
                                          strides);
  }
  return SmallVector<Value>(forall.getResults());
}
