//===- FormLanes.cpp - The batch dimension goes last ------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

/// The type as a tensor of a tile, whose batch dimension is dynamic as no other
/// is; null for other types.
static RankedTensorType tileType(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || tensor.getRank() == 0 || !tensor.isDynamicDim(0) ||
      tensor.getNumDynamicDims() != 1)
    return nullptr;
  return tensor;
}
static bool isTile(Value value) { return !!tileType(value.getType()); }

namespace {
/// Rewrites what one block computes on a tile.
class LaneFormer {
public:
  LaneFormer(RewriterBase &rewriter, Block *block)
      : rewriter(rewriter), block(block) {
    auto load = *block->getOps<ToLanesOp>().begin();
    lanes = cast<RankedTensorType>(load.getOuts().getType()).getShape().back();
  }

  /// Whether there is a layout with lanes for all that is computed.
  bool isSupported();
  void run();

private:
  template <typename T> static SmallVector<T> rotated(ArrayRef<T> dims) {
    SmallVector<T> result(dims.drop_front());
    result.push_back(dims.front());
    return result;
  }
  RankedTensorType laneType(RankedTensorType type) {
    SmallVector<int64_t> shape(type.getShape().drop_front());
    shape.push_back(lanes);
    return RankedTensorType::get(shape, type.getElementType());
  }
  void convertType(Value value) {
    if (RankedTensorType type = tileType(value.getType()))
      value.setType(laneType(type));
  }
  void convert(Operation *op);
  void convertGeneric(linalg::GenericOp op);
  /// Operands that all matrices of the tile share are needed in every lane:
  /// those with another rank than what goes with them.
  void broadcastOperands(Operation *op,
                         ArrayRef<std::pair<Value, int64_t>> ranks);
  /// Makes an op anew whose attributes depend on its types.
  void remake(Operation *op);
  void eraseBorders();
  /// The value in every lane.
  Value broadcast(Value value);

  RewriterBase &rewriter;
  Block *block;
  int64_t lanes;
  llvm::DenseMap<Value, Value> broadcasts;
};
} // namespace

/// The loop of a generic that runs along the batch.
static std::optional<unsigned> batchLoop(linalg::GenericOp op) {
  for (OpOperand &operand : op->getOpOperands())
    if (isTile(operand.get()))
      return cast<AffineDimExpr>(
                 op.getMatchingIndexingMap(&operand).getResult(0))
          .getPosition();
  return std::nullopt;
}

/// Whether the indexing maps only choose dimensions, and all tiles run along
/// the batch in one loop.
static bool isSupportedGeneric(linalg::GenericOp op) {
  std::optional<unsigned> loop;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!map.isProjectedPermutation(/*allowZeroInResults=*/false))
      return false;
    if (!isTile(operand.get()))
      continue;
    unsigned own = cast<AffineDimExpr>(map.getResult(0)).getPosition();
    if (loop && *loop != own)
      return false;
    loop = own;
  }
  return true;
}

/// What the transposition of a value is made from; the value itself where it
/// has no transposition.
static Value beforeTranspose(Value value) {
  if (auto transpose = value.getDefiningOp<linalg::TransposeOp>())
    return transpose.getInput();
  return value;
}

bool LaneFormer::isSupported() {
  // Others than those of tiles put side by side bring no casts.
  for (auto store : block->getOps<FromLanesOp>())
    if (!beforeTranspose(store.getSource()).getDefiningOp<tensor::CastOp>())
      return false;
  WalkResult result = block->getParentOp()->walk([&](Operation *op) {
    if (op == block->getParentOp() || isa<FromLanesOp, ToLanesOp>(op) ||
        op == block->getTerminator())
      return WalkResult::advance();
    bool concerned = llvm::any_of(op->getOperands(), isTile) ||
                     llvm::any_of(op->getResults(), isTile);
    if (!concerned)
      return WalkResult::advance();
    if (auto generic = dyn_cast<linalg::GenericOp>(op))
      return WalkResult(success(isSupportedGeneric(generic)));
    return WalkResult(success(
        isa<linalg::FillOp, linalg::CopyOp, linalg::YieldOp, tensor::EmptyOp,
            tensor::DimOp, tensor::CastOp, tensor::ExtractOp,
            tensor::ExtractSliceOp, tensor::InsertSliceOp, scf::ForOp,
            scf::WhileOp, scf::IfOp, scf::YieldOp, scf::ConditionOp, ReduceOp,
            UpdateOp, PlanOp>(op)));
  });
  return !result.wasInterrupted();
}

Value LaneFormer::broadcast(Value value) {
  Value &wide = broadcasts[value];
  if (wide)
    return wide;
  OpBuilder::InsertionGuard guard(rewriter);
  Operation *def = value.getDefiningOp();
  Operation *within = def ? block->findAncestorOpInBlock(*def) : nullptr;
  if (within == def && def)
    rewriter.setInsertionPointAfter(def);
  else if (within)
    rewriter.setInsertionPointAfterValue(value);
  else
    rewriter.setInsertionPointToStart(block);
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape.push_back(lanes);
  Location loc = value.getLoc();
  Value init =
      tensor::EmptyOp::create(rewriter, loc, shape, type.getElementType());
  wide = linalg::BroadcastOp::create(rewriter, loc, value, init,
                                     ArrayRef<int64_t>{type.getRank()})
             .getResults()[0];
  return wide;
}

void LaneFormer::convertGeneric(linalg::GenericOp op) {
  std::optional<unsigned> batch = batchLoop(op);
  if (!batch)
    return;
  MLIRContext *context = op.getContext();
  unsigned loops = op.getNumLoops();
  auto moved = [&](unsigned loop) {
    return loop == *batch ? loops - 1 : loop > *batch ? loop - 1 : loop;
  };
  SmallVector<Attribute> maps;
  for (OpOperand &operand : op->getOpOperands()) {
    SmallVector<AffineExpr> results;
    for (AffineExpr result : op.getMatchingIndexingMap(&operand).getResults())
      results.push_back(getAffineDimExpr(
          moved(cast<AffineDimExpr>(result).getPosition()), context));
    if (isTile(operand.get()))
      results = rotated<AffineExpr>(results);
    maps.push_back(
        AffineMapAttr::get(AffineMap::get(loops, 0, results, context)));
  }
  SmallVector<Attribute> iterators(op.getIteratorTypes().getValue());
  Attribute own = iterators[*batch];
  iterators.erase(iterators.begin() + *batch);
  iterators.push_back(own);
  rewriter.modifyOpInPlace(op, [&] {
    op.setIndexingMapsAttr(rewriter.getArrayAttr(maps));
    op.setIteratorTypesAttr(rewriter.getArrayAttr(iterators));
    op.getBody()->walk(
        [&](linalg::IndexOp index) { index.setDim(moved(index.getDim())); });
  });
}

void LaneFormer::broadcastOperands(Operation *op,
                                   ArrayRef<std::pair<Value, int64_t>> ranks) {
  for (auto [value, rank] : ranks) {
    if (!value || isTile(value) ||
        cast<RankedTensorType>(value.getType()).getRank() == rank)
      continue;
    op->replaceUsesOfWith(value, broadcast(value));
  }
}

void LaneFormer::convert(Operation *op) {
  rewriter.setInsertionPoint(op);
  // Matrices of a tile are [n, m, lanes], vectors [n, lanes].
  constexpr int64_t matrixRank = 3, vectorRank = 2;
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return convertGeneric(generic);
  if (auto reduce = dyn_cast<ReduceOp>(op)) {
    if (!llvm::all_of(reduce.getOuts(), isTile))
      return;
    reduce.setDims(ArrayRef<int64_t>{0, 1});
    return broadcastOperands(op, {{reduce.getMatrix(), matrixRank},
                                  {reduce.getFactor(), vectorRank},
                                  {reduce.getMask(), vectorRank}});
  }
  if (auto update = dyn_cast<UpdateOp>(op)) {
    if (!llvm::all_of(update.getOuts(), isTile))
      return;
    update.setDim(0);
    return broadcastOperands(
        op, {{update.getTarget(), vectorRank}, {update.getMask(), vectorRank}});
  }
  if (auto plan = dyn_cast<PlanOp>(op)) {
    if (!isTile(plan.getOuts()))
      return;
    plan.setDims(ArrayRef<int64_t>{0, 1});
    return broadcastOperands(op, {{plan.getMatrix(), matrixRank},
                                  {plan.getRow(), vectorRank},
                                  {plan.getCol(), vectorRank},
                                  {plan.getRowWeight(), vectorRank},
                                  {plan.getColWeight(), vectorRank}});
  }
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    RankedTensorType type = tileType(dim.getSource().getType());
    std::optional<int64_t> index = dim.getConstantIndex();
    if (!type || !index)
      return;
    rewriter.replaceOpWithNewOp<arith::ConstantIndexOp>(
        op, *index == 0 ? lanes : type.getDimSize(*index));
    return;
  }
  if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
    if (!isTile(extract.getTensor()))
      return;
    SmallVector<Value> indices(extract.getIndices());
    rewriter.modifyOpInPlace(op, [&] {
      extract.getIndicesMutable().assign(rotated<Value>(indices));
    });
    return;
  }
}

void LaneFormer::remake(Operation *op) {
  rewriter.setInsertionPoint(op);
  if (auto empty = dyn_cast<tensor::EmptyOp>(op)) {
    rewriter.replaceOpWithNewOp<tensor::EmptyOp>(
        op, empty.getType().getShape(), empty.getType().getElementType());
    return;
  }
  auto place = cast<OffsetSizeAndStrideOpInterface>(op);
  SmallVector<OpFoldResult> offsets =
      rotated<OpFoldResult>(place.getMixedOffsets());
  SmallVector<OpFoldResult> sizes =
      rotated<OpFoldResult>(place.getMixedSizes());
  SmallVector<OpFoldResult> strides =
      rotated<OpFoldResult>(place.getMixedStrides());
  sizes.back() = rewriter.getIndexAttr(lanes);
  if (auto slice = dyn_cast<tensor::InsertSliceOp>(op)) {
    rewriter.replaceOpWithNewOp<tensor::InsertSliceOp>(
        op, slice.getSource(), slice.getDest(), offsets, sizes, strides);
    return;
  }
  auto slice = cast<tensor::ExtractSliceOp>(op);
  rewriter.replaceOpWithNewOp<tensor::ExtractSliceOp>(
      op, cast<RankedTensorType>(slice.getType()), slice.getSource(), offsets,
      sizes, strides);
}

void LaneFormer::eraseBorders() {
  // At the ends, what brought the batch dimension to the front and back has
  // nothing left to do.
  for (auto store : block->getOps<FromLanesOp>()) {
    auto cast =
        beforeTranspose(store.getSource()).getDefiningOp<tensor::CastOp>();
    store.getSourceMutable().assign(cast.getSource());
  }
  for (auto cast :
       llvm::make_early_inc_range(block->getOps<tensor::CastOp>())) {
    Value source = beforeTranspose(cast.getSource());
    if (source.getType() == cast.getType())
      rewriter.replaceOp(cast, source);
  }
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*block)))
    if (isa<tensor::CastOp, linalg::TransposeOp, tensor::EmptyOp>(op) &&
        isOpTriviallyDead(&op))
      rewriter.eraseOp(&op);
}

void LaneFormer::run() {
  OpBuilder::InsertionGuard guard(rewriter);
  SmallVector<Operation *> ops, remade;
  block->walk([&](Operation *op) {
    if (!isa<FromLanesOp, ToLanesOp>(op))
      ops.push_back(op);
  });
  for (Operation *op : ops)
    if (isa<tensor::EmptyOp, tensor::ExtractSliceOp, tensor::InsertSliceOp>(
            op) &&
        isTile(op->getResult(0)))
      remade.push_back(op);
  // Ops are told by types which of their operands belong to the tile, so that
  // these change last.
  llvm::erase_if(ops, [&](Operation *op) {
    bool isDim = isa<tensor::DimOp>(op);
    convert(op);
    return isDim;
  });
  for (Operation *op : ops) {
    for (Value result : op->getResults())
      convertType(result);
    for (Region &region : op->getRegions())
      for (Block &inner : region)
        for (BlockArgument argument : inner.getArguments())
          convertType(argument);
  }
  for (Operation *op : remade)
    remake(op);
  eraseBorders();
}

void scaling::formLanes(RewriterBase &rewriter, Block *block) {
  LaneFormer former(rewriter, block);
  if (former.isSupported())
    former.run();
}
