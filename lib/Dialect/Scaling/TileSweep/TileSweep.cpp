//===- TileSweep.cpp - One read of the matrix per iteration -----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/TileSweep/TileSweep.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/SCF/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/TilingInterface.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

using namespace mlir;
using namespace mlir::scaling;

using FusionResult = scf::SCFTileAndFuseOptions::ControlFnResult;

/// The domain dimension a reduction runs along.
static unsigned reducedDim(ReduceOp reduce) {
  auto [row, col] = reduce.getMatrixDims();
  return reduce.getAxis() == Axis::rows ? col : row;
}

/// The domain dimension its states run along.
static unsigned keptDim(ReduceOp reduce) {
  auto [row, col] = reduce.getMatrixDims();
  return reduce.getAxis() == Axis::rows ? row : col;
}

static Axis otherAxis(Axis axis) {
  return axis == Axis::rows ? Axis::cols : Axis::rows;
}

/// Tiles the reduction and fuses what its factor is computed from.
static FailureOr<scf::SCFTileAndFuseResult>
tileAndFuse(RewriterBase &rewriter, ReduceOp reduce,
            const scf::SCFTilingOptions &tiling, bool fuseFactor) {
  Block *home = reduce->getBlock();
  Value matrix = reduce.getMatrix();
  // Where the reduction starts from is set once, not in every tile.
  auto isStart = [&](Operation *op) {
    return isa<linalg::FillOp>(op) &&
           llvm::all_of(op->getUsers(),
                        llvm::IsaPred<scf::ForallOp, scf::ForOp>);
  };
  scf::SCFTileAndFuseOptions options;
  options.setTilingOptions(tiling);
  options.setFusionControlFn([&](tensor::ExtractSliceOp slice,
                                 OpResult producer,
                                 bool) -> std::optional<FusionResult> {
    Operation *op = producer.getOwner();
    // What a tile takes whole would be made anew in every tile, perhaps when
    // its operands have been written over.
    bool isWhole = slice.getSourceType().hasStaticShape() &&
                   slice.getType() == slice.getSourceType() &&
                   !isa<linalg::FillOp>(op);
    // What is made outside was put outside to be made once.
    if (!fuseFactor || op->getBlock() != home || producer == matrix ||
        isWhole || isStart(op) ||
        llvm::is_contained(reduce.getOuts(), producer))
      return std::nullopt;
    llvm::SmallPtrSet<Operation *, 4> readers;
    for (Operation *user : op->getUsers())
      readers.insert(home->findAncestorOpInBlock(*user));
    readers.erase(home->findAncestorOpInBlock(*slice));
    return FusionResult{
        /*yieldProducerReplacement=*/isa<UpdateOp>(op) ||
        (isa<ReduceOp, linalg::GenericOp>(op) && readers.size() > 1)};
  });
  rewriter.setInsertionPoint(reduce);
  return scf::tileConsumerAndFuseProducersUsingSCF(
      rewriter, cast<TilingInterface>(reduce.getOperation()), options);
}

/// Moves what uses the values before the loop behind it, so that it can read
/// the loop's results; what the loop itself needs stays.
static void moveUsersBehind(RewriterBase &rewriter, Operation *loop,
                            ArrayRef<Value> values) {
  Block *home = loop->getBlock();
  llvm::SetVector<Operation *> users;
  // What was fused itself has no say: it dies.
  llvm::SmallPtrSet<Operation *, 4> fused;
  for (Value value : values)
    fused.insert(value.getDefiningOp());
  SmallVector<Value> worklist(values);
  while (!worklist.empty())
    for (Operation *user : worklist.pop_back_val().getUsers()) {
      Operation *top = home->findAncestorOpInBlock(*user);
      if (top && top->isBeforeInBlock(loop) && !fused.contains(top) &&
          users.insert(top))
        llvm::append_range(worklist, top->getResults());
    }
  // A factor updated in place is gone behind the loop: who reads the old one
  // stays in front.
  ValueRange overwritten = cast<LoopLikeOpInterface>(loop).getInits();
  bool stay = llvm::any_of(users, [&](Operation *op) {
    return !isMemoryEffectFree(op) ||
           llvm::any_of(op->getOperands(),
                        [&](Value operand) {
                          return llvm::is_contained(overwritten, operand);
                        }) ||
           llvm::any_of(op->getUsers(), [&](Operation *user) {
             return loop->isAncestor(user);
           });
  });
  if (stay)
    return;
  SmallVector<Operation *> ordered = users.takeVector();
  llvm::sort(ordered,
             [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  for (Operation *op : llvm::reverse(ordered))
    rewriter.moveOpAfter(op, loop);
}

/// Uses behind the loop read what it returns.
static void replaceOutside(RewriterBase &rewriter, Operation *loop,
                           const llvm::DenseMap<Value, Value> &replacements,
                           ReduceOp tiledAway) {
  SmallVector<Value> fused;
  for (auto [from, to] : replacements)
    if (from.getDefiningOp() != tiledAway)
      fused.push_back(from);
  auto isBehind = [&](OpOperand &use) {
    Operation *top = loop->getBlock()->findAncestorOpInBlock(*use.getOwner());
    return top && loop->isBeforeInBlock(top);
  };
  for (auto [from, to] : replacements)
    rewriter.replaceUsesWithIf(from, to, isBehind);
  moveUsersBehind(rewriter, loop, fused);
  for (auto [from, to] : replacements)
    rewriter.replaceUsesWithIf(from, to, isBehind);
}

/// Erases what nobody reads any more, from the end.
static void eraseDead(RewriterBase &rewriter, Block *block, Operation *keep) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*block)))
    if (&op != keep && isOpTriviallyDead(&op))
      rewriter.eraseOp(&op);
}

/// One slice for every part of a tensor: fusion made one for each reader.
static void mergeSlices(RewriterBase &rewriter, Block *block) {
  SmallVector<Operation *> seen;
  for (Operation &op : llvm::make_early_inc_range(*block)) {
    if (!isa<tensor::ExtractSliceOp, affine::AffineApplyOp,
             affine::AffineMinOp>(op))
      continue;
    auto *same = llvm::find_if(seen, [&](Operation *other) {
      return OperationEquivalence::isEquivalentTo(
          &op, other, OperationEquivalence::IgnoreLocations);
    });
    if (same == seen.end())
      seen.push_back(&op);
    else
      rewriter.replaceOp(&op, (*same)->getResults());
  }
}

/// Whether two values are the same, or made alike from the same ones.
static bool isMadeAlike(Value a, Value b) {
  if (a == b)
    return true;
  Operation *opA = a.getDefiningOp(), *opB = b.getDefiningOp();
  if (!opA || !opB ||
      cast<OpResult>(a).getResultNumber() !=
          cast<OpResult>(b).getResultNumber())
    return false;
  // Its region is always the same one.
  if (isa<linalg::FillOp>(opA) && isa<linalg::FillOp>(opB))
    return llvm::all_of(
        llvm::zip_equal(opA->getOperands(), opB->getOperands()), [](auto pair) {
          return isMadeAlike(std::get<0>(pair), std::get<1>(pair));
        });
  // Two empty tensors are two places.
  if (opA->getNumRegions() != 0 || isa<tensor::EmptyOp>(opA) ||
      !isMemoryEffectFree(opA))
    return false;
  return OperationEquivalence::isEquivalentTo(
      opA, opB, [](Value x, Value y) { return success(isMadeAlike(x, y)); },
      /*markEquivalent=*/nullptr, OperationEquivalence::IgnoreLocations);
}

/// Fusion makes a reduction once for each of its states that is read.
static void mergeReductions(RewriterBase &rewriter, Block *block) {
  SmallVector<ReduceOp> seen;
  for (auto reduce : llvm::make_early_inc_range(block->getOps<ReduceOp>())) {
    auto *same = llvm::find_if(seen, [&](ReduceOp other) {
      return isMadeAlike(reduce.getResult(0), other.getResult(0));
    });
    if (same == seen.end())
      seen.push_back(reduce);
    else
      rewriter.replaceOp(reduce, same->getResults());
  }
}

/// A factor updated in place: the loop's iterations touch their own parts only,
/// so that what they read of the start is what they read of the result.
static void readFromIterArgs(RewriterBase &rewriter, LoopLikeOpInterface loop) {
  for (BlockArgument arg : loop.getRegionIterArgs()) {
    Value init = loop.getTiedLoopInit(arg)->get();
    SmallVector<tensor::ExtractSliceOp> written;
    for (Operation *user : arg.getUsers())
      if (auto slice = dyn_cast<tensor::ExtractSliceOp>(user))
        written.push_back(slice);
    for (OpOperand &use : llvm::make_early_inc_range(init.getUses())) {
      auto slice = dyn_cast<tensor::ExtractSliceOp>(use.getOwner());
      if (!slice || slice->getBlock() != arg.getParentBlock())
        continue;
      bool samePart = llvm::any_of(written, [&](tensor::ExtractSliceOp other) {
        return slice.getType() == other.getType() &&
               isEqualConstantIntOrValueArray(slice.getMixedOffsets(),
                                              other.getMixedOffsets()) &&
               isEqualConstantIntOrValueArray(slice.getMixedSizes(),
                                              other.getMixedSizes());
      });
      if (samePart)
        rewriter.modifyOpInPlace(slice, [&] { use.set(arg); });
    }
  }
}

/// Neutral elements are written by the iteration that adds to them.
static void fillInside(RewriterBase &rewriter, scf::ForallOp loop,
                       ReduceOp tiled) {
  for (OpOperand &init : tiled.getDpsInitsMutable()) {
    auto slice = init.get().getDefiningOp<tensor::ExtractSliceOp>();
    auto arg = slice ? dyn_cast<BlockArgument>(slice.getSource()) : nullptr;
    if (!arg || arg.getOwner() != loop.getBody())
      continue;
    OpOperand *outer = loop.getTiedLoopInit(arg);
    auto fill = outer->get().getDefiningOp<linalg::FillOp>();
    if (!fill)
      continue;
    rewriter.setInsertionPoint(tiled);
    auto inner = linalg::FillOp::create(rewriter, fill.getLoc(), fill.value(),
                                        init.get());
    rewriter.modifyOpInPlace(tiled, [&] { init.set(inner.getResult(0)); });
    rewriter.modifyOpInPlace(loop, [&] { outer->set(fill.getDpsInits()[0]); });
  }
}

/// A state that is moved to new pivots is written when the old ones are still
/// read. The copies say where the states live in the end; they vanish where the
/// reduction can work in place.
static void storeInPlace(RewriterBase &rewriter, ReduceOp tiled) {
  rewriter.setInsertionPointAfter(tiled);
  for (OpResult result : tiled->getResults()) {
    Value init = tiled.getTiedOpOperand(result)->get();
    auto copy = linalg::CopyOp::create(rewriter, tiled.getLoc(), result, init);
    rewriter.replaceAllUsesExcept(result, copy.getResult(0), copy);
  }
}

/// Whether a tensor holds nothing yet.
static bool isScratch(Value value) {
  while (true) {
    if (auto slice = value.getDefiningOp<tensor::ExtractSliceOp>()) {
      value = slice.getSource();
      continue;
    }
    auto arg = dyn_cast<BlockArgument>(value);
    auto forall =
        arg ? dyn_cast<scf::ForallOp>(arg.getOwner()->getParentOp()) : nullptr;
    if (!forall || !forall.getTiedLoopInit(arg))
      return value.getDefiningOp<tensor::EmptyOp>() != nullptr;
    value = forall.getTiedLoopInit(arg)->get();
  }
}

/// What several fused ops are made in began as one empty tensor. Each has its
/// own, or bufferization copies what nobody has written: where its result goes
/// in the end, or a new one.
static void separateScratch(RewriterBase &rewriter, LoopLikeOpInterface loop) {
  rewriter.setInsertionPoint(loop);
  for (auto [init, result] :
       llvm::zip_equal(loop.getInitsMutable(), loop->getResults())) {
    Value start = init.get();
    if (!start.getDefiningOp() || start.hasOneUse() || !isScratch(start))
      continue;
    auto insert = llvm::find_if(result.getUsers(),
                                llvm::IsaPred<tensor::ParallelInsertSliceOp>);
    Value own;
    if (insert != result.user_end()) {
      auto end = cast<tensor::ParallelInsertSliceOp>(*insert);
      auto slice = start.getDefiningOp<tensor::ExtractSliceOp>();
      if ((slice && slice.getSource() == end.getDest()) ||
          !isScratch(end.getDest()))
        continue;
      own = tensor::ExtractSliceOp::create(
          rewriter, start.getLoc(), cast<RankedTensorType>(start.getType()),
          end.getDest(), end.getMixedOffsets(), end.getMixedSizes(),
          end.getMixedStrides());
    } else {
      own = tensor::EmptyOp::create(
          rewriter, start.getLoc(),
          tensor::getMixedSizes(rewriter, start.getLoc(), start),
          cast<ShapedType>(start.getType()).getElementType());
    }
    rewriter.modifyOpInPlace(loop, [&, &use = init] { use.set(own); });
  }
}

/// Makes the matrix' part from parts of what it is made from, as far back as
/// these have the matrix' shape.
static void recompute(RewriterBase &rewriter, ReduceOp tiled) {
  auto start = tiled.getMatrix().getDefiningOp<tensor::ExtractSliceOp>();
  if (!start)
    return;
  ArrayRef<int64_t> shape = start.getSourceType().getShape();
  SmallVector<tensor::ExtractSliceOp> worklist = {start};
  llvm::SmallPtrSet<Operation *, 8> made;
  while (!worklist.empty()) {
    tensor::ExtractSliceOp slice = worklist.pop_back_val();
    Operation *producer = slice.getSource().getDefiningOp();
    if (!producer || slice.getSourceType().getShape() != shape ||
        !made.insert(producer).second)
      continue;
    std::optional<scf::SCFFuseProducerOfSliceResult> fused =
        scf::tileAndFuseProducerOfSlice(rewriter, slice, /*loops=*/{});
    if (!fused)
      continue;
    rewriter.replaceAllUsesWith(slice.getResult(),
                                fused->tiledAndFusedProducer);
    for (Operation *next : fused->generatedSlices) {
      auto nextSlice = dyn_cast<tensor::ExtractSliceOp>(next);
      if (!nextSlice)
        continue;
      // The part is made where the whole would have been, not in the whole.
      if (nextSlice.getSource() == fused->origProducer)
        if (auto dps = dyn_cast<DestinationStyleOpInterface>(producer))
          rewriter.modifyOpInPlace(nextSlice, [&] {
            nextSlice.getSourceMutable().assign(
                dps.getTiedOpOperand(fused->origProducer)->get());
          });
      worklist.push_back(nextSlice);
    }
  }
}

void scaling::makeScratchLocal(RewriterBase &rewriter, Block *block) {
  for (auto slice :
       llvm::make_early_inc_range(block->getOps<tensor::ExtractSliceOp>())) {
    Value source = slice.getSource();
    while (auto outer = source.getDefiningOp<tensor::ExtractSliceOp>())
      source = outer.getSource();
    auto empty = source.getDefiningOp<tensor::EmptyOp>();
    if (!empty || empty->getBlock() == block || slice.getDroppedDims().any())
      continue;
    SmallVector<int64_t> shape;
    for (OpFoldResult size : slice.getMixedSizes()) {
      FailureOr<int64_t> bound = ValueBoundsConstraintSet::computeConstantBound(
          presburger::BoundType::UB, {size}, /*stopCondition=*/nullptr,
          /*closedUB=*/true);
      if (failed(bound))
        break;
      shape.push_back(*bound);
    }
    if (shape.size() != slice.getMixedSizes().size())
      continue;
    rewriter.setInsertionPoint(slice);
    Value local = tensor::EmptyOp::create(rewriter, empty.getLoc(), shape,
                                          slice.getType().getElementType());
    SmallVector<OpFoldResult> zeros(shape.size(), rewriter.getIndexAttr(0));
    rewriter.replaceOpWithNewOp<tensor::ExtractSliceOp>(
        slice, slice.getType(), local, zeros, slice.getMixedSizes(),
        slice.getMixedStrides());
  }
}

/// The reduction along an axis that a block holds.
static ReduceOp findReduce(Block *block, Axis axis) {
  for (auto reduce : block->getOps<ReduceOp>())
    if (reduce.getAxis() == axis)
      return reduce;
  return nullptr;
}

/// Tiles the sibling in parts as large as those of the loop, and makes one loop
/// of both.
static LogicalResult fuseSibling(RewriterBase &rewriter, ReduceOp sibling,
                                 int64_t size,
                                 scf::SCFTilingOptions::LoopType loopType,
                                 LoopLikeOpInterface &loop) {
  rewriter.moveOpBefore(sibling, loop);
  moveUsersBehind(rewriter, loop,
                  llvm::to_vector_of<Value>(sibling.getResults()));
  SmallVector<OpFoldResult> sizes(sibling.getStructuredIteratorTypes().size(),
                                  rewriter.getIndexAttr(0));
  sizes[keptDim(sibling)] = rewriter.getIndexAttr(size);
  scf::SCFTilingOptions tiling;
  tiling.setTileSizes(sizes).setLoopType(loopType);
  rewriter.setInsertionPoint(sibling);
  FailureOr<scf::SCFTilingResult> tiled = scf::tileUsingSCF(
      rewriter, cast<TilingInterface>(sibling.getOperation()), tiling);
  if (failed(tiled) || tiled->loops.size() != 1)
    return failure();
  rewriter.replaceOp(sibling, tiled->replacements);
  Operation *other = tiled->loops.front();
  if (auto forall = dyn_cast<scf::ForallOp>(other))
    loop = fuseIndependentSiblingForallLoops(
        forall, cast<scf::ForallOp>(loop.getOperation()), rewriter);
  else
    loop = fuseIndependentSiblingForLoops(cast<scf::ForOp>(other),
                                          cast<scf::ForOp>(loop.getOperation()),
                                          rewriter);
  return success();
}

/// One level of tiling; the reduction on a tile comes out.
static FailureOr<ReduceOp> sweepLevel(RewriterBase &rewriter, ReduceOp reduce,
                                      const scf::SCFTilingOptions &tiling,
                                      int64_t size,
                                      const TileSweepOptions &options,
                                      ReduceOp &sibling,
                                      LoopLikeOpInterface &loop) {
  Axis axis = reduce.getAxis();
  FailureOr<scf::SCFTileAndFuseResult> fused =
      tileAndFuse(rewriter, reduce, tiling, options.fuseFactor);
  if (failed(fused) || fused->loops.empty())
    return failure();
  auto tiled = dyn_cast<ReduceOp>(fused->tiledAndFusedOps.front());
  if (!tiled)
    return failure();
  loop = fused->loops.front();
  replaceOutside(rewriter, loop, fused->replacements, reduce);
  eraseDead(rewriter, loop->getBlock(), loop);
  if (sibling) {
    if (failed(fuseSibling(rewriter, sibling, size, tiling.loopType, loop)))
      return failure();
    Block *both = &loop->getRegion(0).front();
    tiled = findReduce(both, axis);
    sibling = findReduce(both, otherAxis(axis));
  }
  Block *body = tiled->getBlock();
  if (auto forall = dyn_cast<scf::ForallOp>(loop.getOperation()))
    fillInside(rewriter, forall, tiled);
  else if (tiled.getStat().getNumPasses() > 1)
    storeInPlace(rewriter, tiled);
  eraseDead(rewriter, body, tiled);
  readFromIterArgs(rewriter, loop);
  mergeSlices(rewriter, body);
  mergeReductions(rewriter, body);
  eraseDead(rewriter, body, tiled);
  if (options.recomputeMatrix) {
    recompute(rewriter, tiled);
    eraseDead(rewriter, body, tiled);
  }
  separateScratch(rewriter, loop);
  eraseDead(rewriter, loop->getBlock(), loop);
  return tiled;
}

FailureOr<TileSweepResult> scaling::tileSweep(RewriterBase &rewriter,
                                              ReduceOp reduce,
                                              const TileSweepOptions &options) {
  if (!reduce.hasPureTensorSemantics())
    return rewriter.notifyMatchFailure(reduce, "expected tensors");
  OpBuilder::InsertionGuard guard(rewriter);
  // The first level erases the op; the tiled one has as many loops.
  unsigned dim = reducedDim(reduce);
  size_t numLoops = reduce.getStructuredIteratorTypes().size();
  auto tileSizes = [&](int64_t size) {
    SmallVector<OpFoldResult> sizes(numLoops, rewriter.getIndexAttr(0));
    sizes[dim] = rewriter.getIndexAttr(size);
    return sizes;
  };

  scf::SCFTilingOptions parallel;
  parallel
      .setTileSizes(tileSizes(options.group ? options.group : options.block))
      .setLoopType(scf::SCFTilingOptions::LoopType::ForallOp)
      .setReductionTilingStrategy(
          ReductionTilingStrategy::PartialReductionOuterParallel)
      .setReductionDims({dim});
  LoopLikeOpInterface loop;
  ReduceOp sibling = options.sibling;
  FailureOr<ReduceOp> tiled = sweepLevel(
      rewriter, reduce, parallel, options.group ? options.group : options.block,
      options, sibling, loop);
  if (failed(tiled))
    return failure();
  TileSweepResult result;
  result.parallel = cast<scf::ForallOp>(loop.getOperation());
  result.tiled = *tiled;
  if (options.group <= options.block) {
    makeScratchLocal(rewriter, result.tiled->getBlock());
    return result;
  }

  scf::SCFTilingOptions sequential;
  sequential.setTileSizes(tileSizes(options.block));
  tiled = sweepLevel(rewriter, *tiled, sequential, options.block, options,
                     sibling, loop);
  if (failed(tiled))
    return failure();
  result.sequential = cast<scf::ForOp>(loop.getOperation());
  result.tiled = *tiled;
  makeScratchLocal(rewriter, result.tiled->getBlock());
  eraseDead(rewriter, result.parallel.getBody(), result.sequential);
  return result;
}

LogicalResult scaling::tileParallel(RewriterBase &rewriter, Operation *op,
                                    unsigned dim, int64_t size,
                                    bool recomputeMatrix) {
  OpBuilder::InsertionGuard guard(rewriter);
  auto target = cast<TilingInterface>(op);
  rewriter.setInsertionPoint(op);
  SmallVector<OpFoldResult> sizes(target.getLoopIteratorTypes().size(),
                                  rewriter.getIndexAttr(0));
  sizes[dim] = rewriter.getIndexAttr(size);
  scf::SCFTilingOptions tiling;
  tiling.setTileSizes(sizes).setLoopType(
      scf::SCFTilingOptions::LoopType::ForallOp);
  FailureOr<scf::SCFTilingResult> tiled =
      scf::tileUsingSCF(rewriter, target, tiling);
  if (failed(tiled))
    return failure();
  rewriter.replaceOp(op, tiled->replacements);
  for (LoopLikeOpInterface loop : tiled->loops) {
    readFromIterArgs(rewriter, loop);
    mergeSlices(rewriter, &loop->getRegion(0).front());
  }
  auto reduce = dyn_cast<ReduceOp>(tiled->tiledOps.front());
  if (recomputeMatrix && reduce) {
    Block *body = reduce->getBlock();
    recompute(rewriter, reduce);
    eraseDead(rewriter, body, reduce);
    makeScratchLocal(rewriter, body);
  }
  return success();
}
