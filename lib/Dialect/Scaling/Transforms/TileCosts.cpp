//===- TileCosts.cpp - Costs between points in parallel ----------*- C++
//-*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/TileSweep/TileSweep.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/TilingInterface.h"

using namespace mlir;
using namespace mlir::scaling;

/// Rows per tile where they are unknown, the number of tiles where they are
/// known, and the entries below which one thread does. Tiles are deep: points
/// of the other side are turned once for each.
static constexpr int64_t kTileRows = 64;
static constexpr int64_t kMaxTiles = 16;
static constexpr int64_t kLeastEntries = 1 << 16;

/// Whether every entry of the result is made by itself, in the order of the
/// result's dimensions.
static bool isElementwise(Operation *op) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return generic && generic->getNumResults() == 1 &&
         generic.hasPureTensorSemantics() &&
         generic.getNumParallelLoops() == generic.getNumLoops() &&
         generic.getMatchingIndexingMap(generic.getDpsInitOperand(0))
             .isIdentity();
}

/// Whether an op makes costs between points, by itself or from what only it
/// reads; `chain` collects what is between.
static bool makesCosts(Operation *op,
                       llvm::SmallPtrSetImpl<Operation *> &chain) {
  if (isa<PairwiseOp>(op))
    return true;
  auto plan = dyn_cast<PlanOp>(op);
  if (!(plan && !plan.getDims()) && !isElementwise(op))
    return false;
  bool makes = false;
  for (Value operand : op->getOperands()) {
    Operation *producer = operand.getDefiningOp();
    if (producer && producer->hasOneUse() &&
        producer->getBlock() == op->getBlock() && !isa<PlanOp>(producer) &&
        makesCosts(producer, chain)) {
      chain.insert(producer);
      makes = true;
    }
  }
  return makes;
}

/// Whether there is work for several threads. A batch is taken matrix by
/// matrix, which is not for small ones.
static bool isLarge(Operation *op) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  int64_t entries = 1;
  for (int64_t size : type.getShape().take_back(2)) {
    if (ShapedType::isDynamic(size))
      return type.getRank() == 2;
    entries *= size;
  }
  return entries >= kLeastEntries;
}

static LogicalResult tileRows(RewriterBase &rewriter, TilingInterface op) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  int64_t rowDim = type.getRank() - 2;
  int64_t tile = kTileRows;
  if (int64_t rows = type.getDimSize(rowDim); !ShapedType::isDynamic(rows))
    tile = std::max<int64_t>(
        8, llvm::alignTo(llvm::divideCeil(rows, kMaxTiles), 8));
  SmallVector<OpFoldResult> sizes(op.getLoopIteratorTypes().size(),
                                  rewriter.getIndexAttr(0));
  for (int64_t dim = 0; dim < rowDim; ++dim)
    sizes[dim] = rewriter.getIndexAttr(1);
  sizes[rowDim] = rewriter.getIndexAttr(tile);
  scf::SCFTilingOptions tiling;
  tiling.setTileSizes(sizes).setLoopType(
      scf::SCFTilingOptions::LoopType::ForallOp);
  scf::SCFTileAndFuseOptions options;
  options.setTilingOptions(tiling);
  // What only this op reads is made tile by tile.
  llvm::SmallPtrSet<Operation *, 4> chain;
  makesCosts(op, chain);
  options.setFusionControlFn(
      [&](tensor::ExtractSliceOp, OpResult producer,
          bool) -> std::optional<scf::SCFTileAndFuseOptions::ControlFnResult> {
        if (!chain.contains(producer.getOwner()))
          return std::nullopt;
        return scf::SCFTileAndFuseOptions::ControlFnResult{};
      });
  rewriter.setInsertionPoint(op);
  FailureOr<scf::SCFTileAndFuseResult> tiled =
      scf::tileConsumerAndFuseProducersUsingSCF(rewriter, op, options);
  if (failed(tiled) || tiled->loops.empty())
    return failure();
  Operation *loop = tiled->loops.front();
  SmallVector<Value> inputs(op->getOperands());
  rewriter.replaceOp(op, tiled->replacements.lookup(op->getResult(0)));
  // Producers that are made in the tiles are no longer wanted whole.
  while (!inputs.empty()) {
    Operation *producer = inputs.pop_back_val().getDefiningOp();
    if (!producer || !isOpTriviallyDead(producer))
      continue;
    llvm::append_range(inputs, producer->getOperands());
    rewriter.eraseOp(producer);
  }
  makeScratchLocal(rewriter, &loop->getRegion(0).front());
  return success();
}

LogicalResult scaling::tileCosts(RewriterBase &rewriter, Operation *root) {
  // Consumers first: they take their producers along.
  SmallVector<Operation *> candidates;
  llvm::SmallPtrSet<Operation *, 4> chain;
  root->walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (isa<scf::ForallOp>(op))
      return WalkResult::skip();
    if (op->getNumResults() == 1 &&
        isa<RankedTensorType>(op->getResult(0).getType()) &&
        makesCosts(op, chain) && isLarge(op))
      candidates.push_back(op);
    return WalkResult::advance();
  });
  llvm::SmallPtrSet<Operation *, 8> gone;
  struct Listener : RewriterBase::Listener {
    explicit Listener(llvm::SmallPtrSet<Operation *, 8> &gone) : gone(gone) {}
    void notifyOperationErased(Operation *op) override { gone.insert(op); }
    llvm::SmallPtrSet<Operation *, 8> &gone;
  } listener(gone);
  rewriter.setListener(&listener);
  for (Operation *op : llvm::reverse(candidates)) {
    if (gone.contains(op))
      continue;
    if (failed(tileRows(rewriter, cast<TilingInterface>(op))))
      return op->emitOpError("cannot be tiled along its rows");
  }
  rewriter.setListener(nullptr);
  return success();
}
