//===- TileAndFuse.cpp - Sweeps that read the matrix once -------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/TileSweep/TileSweep.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/DenseSet.h"

using namespace mlir;
using namespace mlir::scaling;

/// Rows per partial result. A function of the shape alone, so that results do
/// not depend on how many threads share them; and so many that merging the
/// partials costs little beside reading their rows.
static constexpr int64_t kGroupRows = 64;
static constexpr int64_t kMaxGroups = 64;

/// The same for a GPU, whose multiprocessors are more.
static constexpr int64_t kGPUGroupRows = 32;
static constexpr int64_t kMaxGPUGroups = 256;

/// Fewer entries are not worth waking threads for.
static constexpr int64_t kParallelEntries = 1 << 14;

/// Rows of a parallel loop's item: a function of the shape alone.
static int64_t groupRows(Operation *op, int64_t rows, int64_t block) {
  bool onGPU = targetsGPU(op);
  int64_t group = onGPU ? kGPUGroupRows : kGroupRows;
  if (!ShapedType::isDynamic(rows))
    group = std::max<int64_t>(
        group, llvm::divideCeil(rows, onGPU ? kMaxGPUGroups : kMaxGroups));
  return llvm::alignTo(group, std::max<int64_t>(block, 1));
}

/// The schedule of an op whose matrix occupies all threads by itself, outside
/// of loops that are parallel already.
static ScheduleAttr getStreaming(Operation *op) {
  auto schedule = op->getAttrOfType<ScheduleAttr>(kScheduleAttrName);
  if (!schedule ||
      (schedule.getRegime() != Regime::streaming &&
       schedule.getRegime() != Regime::cloud) ||
      op->getParentOfType<scf::ForallOp>())
    return nullptr;
  return schedule;
}

namespace {
/// How the column reduction's factor comes from a row reduction.
enum class Link {
  none,
  /// Row by row: a row's factor wants that row's statistic only.
  rowwise,
  /// Something on the way wants all rows.
  whole
};
} // namespace

static Link findLink(Value factor, Operation *rows) {
  Link link = Link::none;
  SmallVector<std::pair<Value, unsigned>> worklist{{factor, true}};
  llvm::DenseSet<std::pair<Value, unsigned>> seen;
  while (!worklist.empty()) {
    auto [value, isRowwise] = worklist.pop_back_val();
    Operation *op = value ? value.getDefiningOp() : nullptr;
    if (!op || op->getBlock() != rows->getBlock() ||
        !seen.insert({value, isRowwise}).second)
      continue;
    if (op == rows) {
      if (!isRowwise)
        return Link::whole;
      link = Link::rowwise;
      continue;
    }
    bool keepsRows = isRowwise && isa<UpdateOp>(op);
    if (auto generic = dyn_cast<linalg::GenericOp>(op))
      keepsRows = isRowwise && generic.getNumParallelLoops() > 0 &&
                  generic.getNumReductionLoops() == 0;
    for (Value operand : op->getOperands())
      worklist.emplace_back(operand, keepsRows);
    op->walk([&](Operation *nested) {
      if (nested != op)
        for (Value operand : nested->getOperands())
          worklist.emplace_back(operand, false);
    });
  }
  return link;
}

/// The row reduction that shares a read with the column reduction: the one its
/// factor comes from, or one that is independent of it.
static ReduceOp findRowReduce(ReduceOp cols, Link &link) {
  for (Operation &op : *cols->getBlock()) {
    if (&op == cols)
      break;
    auto rows = dyn_cast<ReduceOp>(op);
    if (!rows || rows.getAxis() != Axis::rows ||
        rows.getMatrix() != cols.getMatrix() || !getStreaming(rows))
      continue;
    link = findLink(cols.getFactor(), rows);
    if (link != Link::whole)
      return rows;
  }
  link = Link::none;
  return nullptr;
}

/// Whether an op makes a whole matrix entry by entry, outside of any parallel
/// loop.
static bool isWholeElementwise(Operation *op) {
  if (op->getParentOfType<scf::ForallOp>() || op->getNumResults() != 1)
    return false;
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!type || type.getRank() < 2 ||
      (type.hasStaticShape() && type.getNumElements() < kParallelEntries))
    return false;
  if (isa<PlanOp>(op))
    return true;
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return generic && generic.getNumReductionLoops() == 0 &&
         generic.getIndexingMapsArray().back().isIdentity();
}

/// Writes over the matrix an entry is made from, where nobody reads it after:
/// memory of a matrix' size costs page faults when it is new.
static void writeInPlace(RewriterBase &rewriter, Operation *op) {
  auto dps = cast<DestinationStyleOpInterface>(op);
  OpOperand *init = dps.getDpsInitOperand(0);
  if (!init->get().getDefiningOp<tensor::EmptyOp>())
    return;
  for (OpOperand *input : dps.getDpsInputOperands()) {
    Operation *producer = input->get().getDefiningOp();
    if (!producer || producer->getBlock() != op->getBlock() ||
        isa<tensor::EmptyOp>(producer) ||
        input->get().getType() != init->get().getType())
      continue;
    if (auto generic = dyn_cast<linalg::GenericOp>(op);
        generic && !generic.getMatchingIndexingMap(input).isIdentity())
      continue;
    bool isLast = llvm::all_of(input->get().getUsers(), [&](Operation *user) {
      Operation *top = op->getBlock()->findAncestorOpInBlock(*user);
      return top && (top == op || top->isBeforeInBlock(op));
    });
    if (!isLast)
      continue;
    rewriter.modifyOpInPlace(op, [&] { init->set(input->get()); });
    return;
  }
}

/// Gives parts of the outermost dimension to threads.
static LogicalResult tileElementwise(RewriterBase &rewriter, Operation *op) {
  ArrayRef<int64_t> shape =
      cast<RankedTensorType>(op->getResult(0).getType()).getShape();
  const auto *outer =
      llvm::find_if(shape, [](int64_t size) { return size != 1; });
  if (outer == shape.end())
    return success();
  bool isRow = outer == std::prev(shape.end(), 2);
  int64_t size = isRow ? groupRows(op, *outer, /*block=*/1) : 1;
  if (!ShapedType::isDynamic(*outer) && *outer <= size)
    return success();
  return tileParallel(rewriter, op, outer - shape.begin(), size);
}

LogicalResult scaling::tileSweeps(RewriterBase &rewriter, Operation *root) {
  SmallVector<MarginalsOp> marginals;
  root->walk([&](MarginalsOp op) {
    if (getStreaming(op) &&
        cast<ShapedType>(op.getOuts()[0].getType()).getRank() == 1)
      marginals.push_back(op);
  });
  for (MarginalsOp op : marginals)
    if (failed(tileMarginals(rewriter, op)))
      return op.emitOpError("cannot be tiled along its rows");

  SmallVector<ReduceOp> colReduces;
  root->walk([&](ReduceOp reduce) {
    if (reduce.getAxis() == Axis::cols && getStreaming(reduce))
      colReduces.push_back(reduce);
  });
  for (ReduceOp reduce : colReduces) {
    ScheduleAttr schedule = getStreaming(reduce);
    auto shape = cast<ShapedType>(reduce.getMatrix().getType()).getShape();
    TileSweepOptions options;
    Link link;
    ReduceOp rows = findRowReduce(reduce, link);
    options.fuseFactor = link == Link::rowwise;
    if (rows && link == Link::none)
      options.sibling = rows;
    options.block = std::max<int64_t>(schedule.getRowBlock(), 1);
    options.group = groupRows(reduce, shape[shape.size() - 2], options.block);
    options.recomputeMatrix = schedule.getRecompute();
    rewriter.setInsertionPoint(reduce);
    // Where the second level of tiling fails, the first has erased the op.
    Location loc = reduce.getLoc();
    if (failed(tileSweep(rewriter, reduce, options)))
      return emitError(loc, "'scaling.reduce' op cannot be fused into a sweep");
  }

  // What reads the matrix on its own: rows that nobody's sweep took.
  SmallVector<ReduceOp> alone;
  root->walk([&](ReduceOp reduce) {
    if (getStreaming(reduce))
      alone.push_back(reduce);
  });
  for (ReduceOp reduce : alone) {
    auto shape = cast<ShapedType>(reduce.getMatrix().getType()).getShape();
    ScheduleAttr schedule = getStreaming(reduce);
    int64_t block = std::max<int64_t>(schedule.getRowBlock(), 1);
    int64_t group = groupRows(reduce, shape[shape.size() - 2], block);
    // What is made anew is as much as stays in cache.
    if (failed(tileParallel(rewriter, reduce, reduce.getMatrixDims().first,
                            schedule.getRecompute() ? block : group,
                            schedule.getRecompute())))
      return reduce.emitOpError("cannot be tiled by rows");
  }

  // Costs between points, with what they alone become, before the rest.
  if (failed(tileCosts(rewriter, root)))
    return failure();

  SmallVector<Operation *> elementwise;
  root->walk([&](Operation *op) {
    if (isWholeElementwise(op))
      elementwise.push_back(op);
  });
  for (Operation *op : elementwise)
    writeInPlace(rewriter, op);
  for (Operation *op : elementwise)
    if (failed(tileElementwise(rewriter, op)))
      return op->emitOpError("cannot be tiled by rows");
  return success();
}
