//===- TileBatch.cpp - One matrix of a batch at a time ----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MatrixSource.h"
#include "scaling/Dialect/Scaling/IR/Shapes.h"
#include "scaling/Dialect/Scaling/TileSweep/TileSweep.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/Transforms/Transforms.h"
#include "mlir/Interfaces/TilingInterface.h"

using namespace mlir;
using namespace mlir::scaling;

/// Costs between points that nobody else reads, times a number, are made matrix
/// by matrix.
static void makePerMatrix(RewriterBase &rewriter, tensor::ExtractSliceOp part) {
  while (part) {
    Operation *producer = part.getSource().getDefiningOp();
    if (!isa_and_nonnull<PairwiseOp, linalg::GenericOp>(producer) ||
        !producer->hasOneUse() || !findScaledPairwise(part.getSource()))
      return;
    rewriter.setInsertionPoint(part);
    FailureOr<TilingResult> tiled =
        tensor::replaceExtractSliceWithTiledProducer(
            rewriter, part, cast<OpResult>(part.getSource()));
    if (failed(tiled))
      return;
    rewriter.replaceOp(part, tiled->tiledValues.front());
    rewriter.eraseOp(producer);
    part = {};
    for (Operation *slice : tiled->generatedSlices)
      if (auto of = dyn_cast<tensor::ExtractSliceOp>(slice);
          of && findScaledPairwise(of.getSource()))
        part = of;
  }
}

LogicalResult scaling::tileBatch(RewriterBase &rewriter, Operation *op,
                                 bool sideBySide) {
  // Loops are made for what they return.
  if (isOpTriviallyDead(op)) {
    rewriter.eraseOp(op);
    return success();
  }
  int64_t batchRank = cast<ScalingBatchedOpInterface>(op).getBatchRank();
  ScheduleAttr schedule = getScheduleOf(op);
  if (batchRank == 0 || !schedule)
    return success();
  // Nothing is in the matrices, and slices of nothing are out of its bounds.
  ProblemShape shape = *inferProblemShape(getBatchedOperands(op), "", nullptr);
  if (shape[Size::rows] == 0 || shape[Size::cols] == 0)
    return success();
  // There, a sweep from points is of all matrices at once.
  if (schedule.getRegime() == Regime::cloud && targetsGPU(op))
    return success();
  if (takesLanes(op))
    return tileIntoLanes(rewriter, op);
  // A large matrix occupies all threads by itself.
  sideBySide |= schedule.getRegime() != Regime::streaming &&
                schedule.getRegime() != Regime::cloud;
  scf::SCFTilingOptions options;
  options.setTileSizes(
      SmallVector<OpFoldResult>(batchRank, rewriter.getIndexAttr(1)));
  options.setLoopType(sideBySide ? scf::SCFTilingOptions::LoopType::ForallOp
                                 : scf::SCFTilingOptions::LoopType::ForOp);
  if (sideBySide && targetsGPU(op)) {
    // A matrix for a thread, or for all threads of a block.
    bool perThread = schedule.getRegime() == Regime::tiny_batched;
    SmallVector<Attribute> mapping;
    for (int64_t dim : llvm::seq(batchRank)) {
      auto id = static_cast<gpu::MappingId>(
          static_cast<uint64_t>(gpu::MappingId::LinearDim0) + dim);
      if (perThread)
        mapping.push_back(
            gpu::GPUThreadMappingAttr::get(rewriter.getContext(), id));
      else
        mapping.push_back(
            gpu::GPUBlockMappingAttr::get(rewriter.getContext(), id));
    }
    options.setMapping(mapping);
  }
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(op);
  FailureOr<scf::SCFTilingResult> tiled =
      scf::tileUsingSCF(rewriter, cast<TilingInterface>(op), options);
  if (failed(tiled))
    return op->emitOpError("cannot be tiled along its batch");
  rewriter.replaceOp(op, tiled->replacements);
  for (Operation *slice : tiled->generatedSlices)
    if (auto part = dyn_cast<tensor::ExtractSliceOp>(slice))
      makePerMatrix(rewriter, part);
  makeScratchLocal(rewriter, &tiled->loops.front()->getRegion(0).front());
  return success();
}
