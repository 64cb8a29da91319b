//===- TileAndFuse.cpp - Sweeps that read the matrix once -------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/TileSweep/TileSweep.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

using namespace mlir;
using namespace mlir::scaling;

/// Rows per partial result. A function of the shape alone, so that results do
/// not depend on how many threads share them; and so many that merging the
/// partials costs little beside reading their rows.
static constexpr int64_t kGroupRows = 64;
static constexpr int64_t kMaxGroups = 64;

/// Whether the reduce's factor comes, through an update, from a reduce along
/// the other axis in the same block: the pair that shares one read.
static bool endsSweep(ReduceOp reduce) {
  auto update = reduce.getFactor()
                    ? reduce.getFactor().getDefiningOp<UpdateOp>()
                    : UpdateOp();
  if (!update || update->getBlock() != reduce->getBlock())
    return false;
  auto first = update.getStates()[0].getDefiningOp<ReduceOp>();
  return first && first->getBlock() == reduce->getBlock() &&
         first.getMatrix() == reduce.getMatrix() &&
         first.getAxis() != reduce.getAxis();
}

LogicalResult scaling::tileSweeps(RewriterBase &rewriter, Operation *root) {
  SmallVector<ReduceOp> reduces;
  root->walk([&](ReduceOp reduce) {
    auto schedule = reduce->getAttrOfType<ScheduleAttr>(kScheduleAttrName);
    if (schedule && schedule.getRegime() == Regime::streaming &&
        reduce.getAxis() == Axis::cols && endsSweep(reduce))
      reduces.push_back(reduce);
  });
  for (ReduceOp reduce : reduces) {
    auto schedule = reduce->getAttrOfType<ScheduleAttr>(kScheduleAttrName);
    auto shape = cast<ShapedType>(reduce.getMatrix().getType()).getShape();
    TileSweepOptions options;
    options.block = std::max<int64_t>(schedule.getRowBlock(), 1);
    int64_t rows = shape[shape.size() - 2];
    int64_t group = kGroupRows;
    if (!ShapedType::isDynamic(rows))
      group = std::max<int64_t>(group, llvm::divideCeil(rows, kMaxGroups));
    options.group = llvm::alignTo(group, options.block);
    options.recomputeMatrix = schedule.getRecompute();
    rewriter.setInsertionPoint(reduce);
    // Where the second level of tiling fails, the first has erased the op.
    Location loc = reduce.getLoc();
    if (failed(tileSweep(rewriter, reduce, options)))
      return emitError(loc, "'scaling.reduce' op cannot be fused into a sweep");
  }
  return success();
}
