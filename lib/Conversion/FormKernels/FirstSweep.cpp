//===- FirstSweep.cpp - The sweep that makes the matrix -------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KeptRows.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// A parallel loop over blocks of rows that makes a matrix entry by entry.
struct Maker {
  scf::ForallOp loop;
  linalg::GenericOp op;
  /// The rows of an iteration.
  memref::SubViewOp rows;
};
} // namespace

/// The dimension of a view whose offset is a value, if all else is from outside
/// of the loop.
static std::optional<unsigned> findRowDim(memref::SubViewOp view, Value iv,
                                          scf::ForallOp loop) {
  std::optional<unsigned> found;
  if (view.getType().getRank() != view.getSourceType().getRank() ||
      loop->isAncestor(view.getSource().getParentRegion()->getParentOp()))
    return std::nullopt;
  for (auto [dim, offset] : llvm::enumerate(view.getMixedOffsets())) {
    if (dyn_cast<Value>(offset) == iv) {
      if (found)
        return std::nullopt;
      found = dim;
      continue;
    }
    auto size = dyn_cast<Value>(view.getMixedSizes()[dim]);
    if (!getConstantIntValue(offset) ||
        (size && loop->isAncestor(size.getParentRegion()->getParentOp())))
      return std::nullopt;
  }
  return found;
}

static std::optional<Maker> findMaker(scf::ForallOp loop) {
  if (loop.getRank() != 1 || !loop.getOutputs().empty())
    return std::nullopt;
  Maker maker;
  maker.loop = loop;
  for (Operation &op : loop.getBody()->without_terminator()) {
    if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
      if (maker.op)
        return std::nullopt;
      maker.op = generic;
    } else if (!isa<memref::SubViewOp>(op) && !isMemoryEffectFree(&op)) {
      return std::nullopt;
    }
  }
  linalg::GenericOp op = maker.op;
  if (!op || op.getNumLoops() != 2 || op.getNumReductionLoops() != 0 ||
      op.getNumDpsInits() != 1 || op.hasIndexSemantics())
    return std::nullopt;
  OpOperand &out = *op.getDpsInitOperand(0);
  maker.rows = out.get().getDefiningOp<memref::SubViewOp>();
  if (!maker.rows || op.payloadUsesValueFromOperand(&out) ||
      !op.getMatchingIndexingMap(&out).isIdentity())
    return std::nullopt;
  // What depends on the row is a view of these rows.
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!map.isProjectedPermutation())
      return std::nullopt;
    auto view = operand.get().getDefiningOp<memref::SubViewOp>();
    if (!map.isFunctionOfDim(0)) {
      if (loop->isAncestor(operand.get().getParentRegion()->getParentOp()))
        return std::nullopt;
      continue;
    }
    std::optional<unsigned> dim =
        view ? findRowDim(view, loop.getInductionVar(0), loop) : std::nullopt;
    if (!dim || map.getResult(*dim) != getAffineDimExpr(0, op.getContext()))
      return std::nullopt;
  }
  return maker;
}

/// Whether two loops go over the same rows in the same blocks.
static bool haveSameBlocks(scf::ForallOp lhs, scf::ForallOp rhs) {
  return rhs.getRank() == 1 && rhs.getOutputs().empty() &&
         lhs.getMixedLowerBound() == rhs.getMixedLowerBound() &&
         lhs.getMixedUpperBound() == rhs.getMixedUpperBound() &&
         lhs.getMixedStep() == rhs.getMixedStep();
}

/// The parts of the matrix that a sweep reads, if that is all it does to it,
/// and its rows stay in registers.
static SmallVector<memref::SubViewOp>
findTiles(Maker maker, scf::ForallOp sweep, int64_t threads,
          function_ref<void *(Value)> getBuffer) {
  if (!haveSameBlocks(maker.loop, sweep))
    return {};
  SmallVector<memref::SubViewOp> tiles;
  memref::SubViewOp rows;
  for (Operation *user : maker.rows.getSource().getUsers()) {
    if (!sweep->isProperAncestor(user))
      continue;
    if (rows)
      return {};
    rows = dyn_cast<memref::SubViewOp>(user);
    if (!rows || rows->getBlock() != sweep.getBody() ||
        rows.getType() != maker.rows.getType() ||
        findRowDim(rows, sweep.getInductionVar(0), sweep) != 0u ||
        !isConstantIntValue(rows.getMixedOffsets()[1], 0) ||
        rows.getMixedSizes()[1] != maker.rows.getMixedSizes()[1])
      return {};
  }
  if (!rows)
    return {};
  bool areKept = false;
  for (Operation *user : rows->getUsers()) {
    auto tile = dyn_cast<memref::SubViewOp>(user);
    if (!tile || tile.getType().getRank() != 2 ||
        !isConstantIntValue(tile.getMixedOffsets()[1], 0) ||
        tile.getMixedSizes()[1] != rows.getMixedSizes()[1] ||
        !llvm::all_of(tile->getUsers(), [&](Operation *reader) {
          return isa<linalg::GenericOp>(reader) &&
                 reader->getBlock() == tile->getBlock() &&
                 !llvm::is_contained(
                     cast<linalg::GenericOp>(reader).getOutputs(),
                     tile.getResult());
        }))
      return {};
    if (auto loop = dyn_cast<scf::ForOp>(tile->getParentOp()))
      areKept |= loop->getBlock() == sweep.getBody() &&
                 KeptRows::find(loop, threads, getBuffer).has_value();
    tiles.push_back(tile);
  }
  return areKept ? tiles : SmallVector<memref::SubViewOp>();
}

/// Makes the entries of parts of the sweep's rows where they are first read.
static void makeTiles(RewriterBase &b, Maker maker,
                      ArrayRef<memref::SubViewOp> tiles) {
  memref::SubViewOp tile = tiles.front();
  auto rows = tile.getSource().getDefiningOp<memref::SubViewOp>();
  // Views of the same rows of what entries are made from, and parts of them.
  auto createView = [&](memref::SubViewOp like, Value source,
                        memref::SubViewOp part) -> Value {
    unsigned dim = *findRowDim(like, maker.loop.getInductionVar(0), maker.loop);
    SmallVector<OpFoldResult> offsets = like.getMixedOffsets(),
                              sizes = like.getMixedSizes(),
                              steps = like.getMixedStrides();
    bool isWhole = source == like.getSource();
    if (!isWhole) {
      offsets.assign(offsets.size(), b.getIndexAttr(0));
      steps.assign(steps.size(), b.getIndexAttr(1));
    }
    offsets[dim] = part.getMixedOffsets()[0];
    sizes[dim] = part.getMixedSizes()[0];
    return memref::SubViewOp::create(b, like.getLoc(), source, offsets, sizes,
                                     steps);
  };
  IRMapping ofRows;
  b.setInsertionPointAfter(rows);
  SmallVector<memref::SubViewOp> views;
  for (Value input : maker.op.getInputs()) {
    auto view = input.getDefiningOp<memref::SubViewOp>();
    if (!view || !maker.loop->isProperAncestor(view) || ofRows.contains(input))
      continue;
    views.push_back(view);
    ofRows.map(input, createView(view, view.getSource(), rows));
  }
  for (memref::SubViewOp tile : tiles) {
    IRMapping mapping;
    mapping.map(maker.rows.getResult(), tile.getResult());
    b.setInsertionPointAfter(tile);
    for (memref::SubViewOp view : views)
      mapping.map(view.getResult(),
                  createView(view, ofRows.lookup(view.getResult()), tile));
    b.clone(*maker.op, mapping);
  }
}

void scaling::makeInFirstSweep(RewriterBase &b, Block &block, int64_t threads,
                               function_ref<void *(Value)> getBuffer) {
  OpBuilder::InsertionGuard guard(b);
  for (auto loop : llvm::to_vector(block.getOps<scf::ForallOp>())) {
    std::optional<Maker> maker = findMaker(loop);
    if (!maker)
      continue;
    Value matrix = maker->rows.getSource();
    // Whoever comes to the matrix next is a loop, whose first iteration there
    // is.
    Operation *next = nullptr;
    for (Operation *user : matrix.getUsers()) {
      Operation *top = block.findAncestorOpInBlock(*user);
      if (top && loop->isBeforeInBlock(top) &&
          (!next || top->isBeforeInBlock(next)))
        next = top;
    }
    auto steps = dyn_cast_or_null<scf::ForOp>(next);
    if (!steps || steps.getNumResults() != 0)
      continue;
    std::optional<llvm::APInt> trips = steps.getStaticTripCount();
    if (!trips || trips->isZero())
      continue;
    Operation *reader = nullptr;
    for (Operation *user : matrix.getUsers()) {
      Operation *top = steps.getBody()->findAncestorOpInBlock(*user);
      if (top && (!reader || top->isBeforeInBlock(reader)))
        reader = top;
    }
    auto sweep = dyn_cast_or_null<scf::ForallOp>(reader);
    if (!sweep)
      continue;
    SmallVector<memref::SubViewOp> tiles =
        findTiles(*maker, sweep, threads, getBuffer);
    if (tiles.empty())
      continue;
    // What entries are made from stays what it is until then, and nobody comes
    // to the matrix under another name.
    llvm::SmallDenseSet<void *> inputs;
    for (Value input : maker->op.getInputs())
      if (isa<MemRefType>(input.getType()))
        inputs.insert(getBuffer(input));
    void *made = getBuffer(matrix);
    bool isSafe = made && !inputs.contains(nullptr) && !inputs.contains(made);
    auto isHidden = [&](Value value, bool isWritten) {
      if (!isa<BaseMemRefType>(value.getType()))
        return false;
      void *buffer = getBuffer(value);
      return !buffer || (isWritten && inputs.contains(buffer));
    };
    for (Operation *op = loop->getNextNode();
         isSafe && op != steps->getNextNode(); op = op->getNextNode())
      op->walk([&](Operation *inner) {
        if (auto structured = dyn_cast<linalg::LinalgOp>(inner)) {
          for (OpOperand &operand : inner->getOpOperands())
            isSafe &= !isHidden(operand.get(), structured.isDpsInit(&operand));
        } else if (auto copy = dyn_cast<memref::CopyOp>(inner)) {
          isSafe &= !isHidden(copy.getSource(), false) &&
                    !isHidden(copy.getTarget(), true);
        } else if (auto store = dyn_cast<memref::StoreOp>(inner)) {
          isSafe &= !isHidden(store.getMemRef(), true);
        }
      });
    if (!isSafe)
      continue;

    b.setInsertionPoint(steps);
    IRMapping mapping;
    mapping.map(steps.getInductionVar(), steps.getLowerBound());
    for (Operation &op : steps.getBody()->without_terminator())
      b.clone(op, mapping);
    for (memref::SubViewOp &tile : tiles)
      tile = cast<memref::SubViewOp>(mapping.lookup(tile.getOperation()));
    makeTiles(b, *maker, tiles);
    b.setInsertionPoint(steps);
    Value second = arith::ConstantIndexOp::create(
        b, steps.getLoc(),
        *getConstantIntValue(steps.getLowerBound()) +
            *getConstantIntValue(steps.getStep()));
    b.modifyOpInPlace(steps, [&] { steps.setLowerBound(second); });
    b.eraseOp(loop);
  }
}
