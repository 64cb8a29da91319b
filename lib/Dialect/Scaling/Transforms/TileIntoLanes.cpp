//===- TileIntoLanes.cpp - Tiny matrices side by side -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/IR/Shapes.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::scaling;

/// What a thread takes at a time: enough that handing it out costs nothing,
/// little enough that what goes in and out of it stays in the core's cache.
static constexpr int64_t kChunkBytes = 64 * 1024;

/// A batch is cut into at least so many chunks, if it has the matrices.
static constexpr int64_t kMinChunks = 16;

bool scaling::takesLanes(Operation *op) {
  ScheduleAttr schedule = getScheduleOf(op);
  if (!schedule || schedule.getRegime() != Regime::tiny_batched ||
      schedule.getLanes() < 2)
    return false;
  // These are not made of half-steps alone.
  if (isa<AttentionOp, SimilarityBalanceOp>(op))
    return false;
  ProblemShape shape = *inferProblemShape(getBatchedOperands(op), "", nullptr);
  return !shape.batch.empty() && !ShapedType::isDynamic(shape[Size::rows]) &&
         !ShapedType::isDynamic(shape[Size::cols]);
}

namespace {
/// Tiles one op.
class LaneTiling {
public:
  LaneTiling(RewriterBase &builder, Operation *op);
  LogicalResult run();

private:
  using Sizes = SmallVector<OpFoldResult>;

  void showSizes();
  /// The operand with a single batch dimension; as it is where it has none.
  Value flattened(Value operand, int64_t tail);
  /// `[first, count]` of a batch.
  Value part(Value batch, OpFoldResult first, OpFoldResult count);
  /// A batch' elements from `offset` as `[?, ...]`.
  Value load(Value batch, Value offset);
  Value store(Value tile, Value batch, Value offset);
  Value index(OpFoldResult size) {
    return getValueOrCreateConstantIndexOp(b, loc, size);
  }
  int64_t getChunk();

  RewriterBase &b;
  Operation *op;
  Location loc;
  ScalingBatchedOpInterface batched;
  int64_t lanes;
  Sizes batchSizes;
  OpFoldResult total;
};
} // namespace

LaneTiling::LaneTiling(RewriterBase &builder, Operation *op)
    : b(builder), op(op), loc(op->getLoc()),
      batched(cast<ScalingBatchedOpInterface>(op)),
      lanes(getScheduleOf(op).getLanes()) {
  b.setInsertionPoint(op);
  showSizes();
  SmallVector<BatchedOperand> operands = getBatchedOperands(op);
  ProblemShape shape = *inferProblemShape(operands, "", nullptr);
  for (int64_t dim : llvm::seq(batched.getBatchRank())) {
    OpFoldResult size = getBatchSize(b, loc, operands, shape, dim);
    if (auto value = dyn_cast<Value>(size))
      size = getAsOpFoldResult(value);
    batchSizes.push_back(size);
  }
  total = batchSizes.front();
  AffineExpr x, y;
  bindDims(b.getContext(), x, y);
  for (OpFoldResult size : llvm::drop_begin(batchSizes))
    total = affine::makeComposedFoldedAffineApply(b, loc, x * y, {total, size});
}

/// Casts operands to the sizes that others know.
void LaneTiling::showSizes() {
  SmallVector<BatchedOperand> operands = getBatchedOperands(op);
  ProblemShape shape = *inferProblemShape(operands, "", nullptr);
  llvm::erase_if(operands,
                 [](const BatchedOperand &operand) { return !operand.value; });
  for (auto [use, operand] : llvm::zip_equal(op->getOpOperands(), operands)) {
    auto type = cast<RankedTensorType>(use.get().getType());
    SmallVector<int64_t> sizes(type.getShape());
    int64_t batchRank = type.getRank() - operand.tail.size();
    for (auto [dim, size] : llvm::enumerate(operand.tail))
      if (!ShapedType::isDynamic(shape[size]))
        sizes[batchRank + dim] = shape[size] - operand.extra;
    if (ArrayRef(sizes) == type.getShape())
      continue;
    Value cast = tensor::CastOp::create(b, loc, type.clone(sizes), use.get());
    OpOperand &shown = use;
    b.modifyOpInPlace(op, [&] { shown.set(cast); });
  }
}

Value LaneTiling::flattened(Value operand, int64_t tail) {
  auto type = cast<RankedTensorType>(operand.getType());
  int64_t own = type.getRank() - tail, batchRank = batchSizes.size();
  if (own == 0 || batchRank == 1)
    return operand;
  if (own < batchRank) {
    // Missing leading batch dimensions broadcast: aligned to the right.
    Sizes sizes(batchSizes);
    for (int64_t dim : llvm::seq(own, type.getRank()))
      sizes.push_back(b.getIndexAttr(type.getDimSize(dim)));
    Value init = tensor::EmptyOp::create(b, loc, sizes, type.getElementType());
    operand = linalg::BroadcastOp::create(
                  b, loc, operand, init,
                  llvm::to_vector(llvm::seq<int64_t>(batchRank - own)))
                  .getResults()[0];
  }
  SmallVector<ReassociationIndices> groups(1);
  llvm::append_range(groups[0], llvm::seq(batchRank));
  for (int64_t dim : llvm::seq(batchRank, batchRank + tail))
    groups.push_back({dim});
  return tensor::CollapseShapeOp::create(b, loc, operand, groups);
}

Value LaneTiling::part(Value batch, OpFoldResult first, OpFoldResult count) {
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

Value LaneTiling::load(Value batch, Value offset) {
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

Value LaneTiling::store(Value tile, Value batch, Value offset) {
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

int64_t LaneTiling::getChunk() {
  auto matrix = cast<RankedTensorType>(op->getOperand(0).getType());
  int64_t bytes = llvm::divideCeil(matrix.getElementTypeBitWidth(), 8) * lanes;
  for (int64_t size : matrix.getShape().take_back(2))
    bytes *= std::max<int64_t>(size, 1);
  int64_t tiles = std::max<int64_t>(kChunkBytes / bytes, 1);
  if (std::optional<int64_t> known = getConstantIntValue(total))
    tiles = std::clamp<int64_t>(*known / (lanes * kMinChunks), 1, tiles);
  return tiles * lanes;
}

LogicalResult LaneTiling::run() {
  SmallVector<Value> operands;
  SmallVector<bool> hasBatch;
  for (auto [operand, tail] :
       llvm::zip_equal(op->getOperands(), batched.getOperandTailRanks())) {
    operands.push_back(flattened(operand, tail));
    hasBatch.push_back(cast<RankedTensorType>(operand.getType()).getRank() >
                       tail);
  }
  // What nobody reads is not stored.
  SmallVector<OpResult> read;
  llvm::copy_if(op->getResults(), std::back_inserter(read),
                [](OpResult result) { return !result.use_empty(); });
  SmallVector<Value> destinations;
  for (OpResult result : read) {
    Sizes sizes{total};
    llvm::append_range(sizes,
                       batched.getResultTail(b, result.getResultNumber()));
    destinations.push_back(tensor::EmptyOp::create(
        b, loc, sizes, getElementTypeOrSelf(result.getType())));
  }

  int64_t chunk = getChunk();
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
  for (auto [input, batch] : llvm::zip_equal(inputs, hasBatch))
    if (batch)
      input = part(input, first, count);
  for (BlockArgument output : forall.getRegionIterArgs())
    outputs.push_back(part(output, first, count));

  auto loop = scf::ForOp::create(b, loc, index(b.getIndexAttr(0)), index(count),
                                 index(b.getIndexAttr(lanes)), outputs);
  b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> tiles(inputs);
  for (auto [tile, batch] : llvm::zip_equal(tiles, hasBatch))
    if (batch)
      tile = load(tile, loop.getInductionVar());
  SmallVector<Type> types;
  if (failed(cast<InferTypeOpInterface>(op).inferReturnTypes(
          op->getContext(), loc, tiles, op->getRawDictionaryAttrs(),
          op->getPropertiesStorage(), op->getRegions(), types)))
    return failure();
  Operation *tiled = mlir::clone(b, op, types, tiles);
  SmallVector<Value> stored;
  for (auto [result, batch] : llvm::zip_equal(read, loop.getRegionIterArgs()))
    stored.push_back(store(tiled->getResult(result.getResultNumber()), batch,
                           loop.getInductionVar()));
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

  b.setInsertionPointAfter(forall);
  for (auto [value, result] : llvm::zip_equal(forall.getResults(), read)) {
    Value whole = value;
    auto type = cast<RankedTensorType>(result.getType());
    int64_t batchRank = batchSizes.size();
    if (batchRank > 1) {
      SmallVector<ReassociationIndices> groups(1);
      llvm::append_range(groups[0], llvm::seq(batchRank));
      Sizes sizes(batchSizes);
      for (int64_t dim : llvm::seq(batchRank, type.getRank())) {
        groups.push_back({dim});
        sizes.push_back(b.getIndexAttr(type.getDimSize(dim)));
      }
      // Sizes may be known that the op's type does not show.
      auto [shape, dynamic] = decomposeMixedValues(sizes);
      whole = tensor::ExpandShapeOp::create(
          b, loc, RankedTensorType::get(shape, type.getElementType()), whole,
          groups, sizes);
    }
    if (whole.getType() != type)
      whole = tensor::CastOp::create(b, loc, type, whole);
    b.replaceAllUsesWith(result, whole);
  }
  b.eraseOp(op);
  return success();
}

LogicalResult scaling::tileIntoLanes(RewriterBase &rewriter, Operation *op) {
  OpBuilder::InsertionGuard guard(rewriter);
  return LaneTiling(rewriter, op).run();
}
