//===- TileCodeIntoLanes.cpp - Code on tiny matrices side by side ---------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Derivatives are no op that could be tiled as a whole, but straight-line code
// and loops around core ops, each of which runs over the whole batch. What of
// it keeps batch elements apart becomes one loop over tiles, so that nothing
// but the ends is ever written to memory for all elements.
//
//===----------------------------------------------------------------------===//

#include "LaneLoops.h"

#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::scaling;

/// A tile's entries of the matrix on a CPU; more of them leave the cache
/// between one step back and the next.
static constexpr int64_t kEntriesWithDerivatives = 256;

/// A GPU's thread has the matrix and its gradient.
static constexpr int64_t kMatricesWithDerivatives = 2;

namespace {
/// Code of one block that runs over one batch.
class BatchCode {
public:
  /// Without lanes, a tile is one element.
  BatchCode(RewriterBase &rewriter, ReduceOp anchor, int64_t lanes = 0)
      : b(rewriter), anchor(anchor), lanes(lanes) {}

  /// Whether there is a loop over tiles for it.
  bool collect();
  /// One loop over tiles of as many elements as there are lanes.
  LogicalResult tile();
  /// One loop whose iterations are elements, for what the mapping says.
  void tileByElement(Attribute mapping);
  /// What the code in a tile writes to, at most, in bytes.
  int64_t countBytes();

private:
  bool isBatched(Value value) const { return batched.contains(value); }
  /// Notes that the first dimension of a value is the batch.
  void mark(Value value) {
    if (isa<RankedTensorType>(value.getType()))
      changed |= batched.insert(value);
  }
  /// Values that have the batch in front together or not at all.
  void markTogether(ArrayRef<Value> values) {
    if (llvm::any_of(values, [&](Value value) { return isBatched(value); }))
      llvm::for_each(values, [&](Value value) { mark(value); });
  }
  void propagate(Operation *op);
  void propagate(linalg::LinalgOp op);
  /// Whether all the op does with the batch, it does to each element alone.
  bool keepsElementsApart(Operation *op);
  bool keepsElementsApart(linalg::LinalgOp op);
  /// Whether a value's type becomes that of a tile that is told by it.
  bool isTileable(Value value);
  /// Sizes of the batch come from where they are known before all of it.
  bool showTotal();

  RankedTensorType tileType(Value value);
  void retype(Operation *original, Operation *copy, OpFoldResult width);
  void moveLaterBehind();
  /// The code on these tiles of the inputs.
  SmallVector<Value> cloneOn(ArrayRef<Value> tiles, OpFoldResult width);
  void replaceOutputs(ValueRange values);

  RewriterBase &b;
  ReduceOp anchor;
  int64_t lanes;
  Block *block = nullptr;
  OpFoldResult total;
  bool changed = false;
  llvm::SetVector<Value> batched;
  SmallVector<Operation *> ops;
  SmallVector<Value> inputs, outputs;
  /// What uses results and is in between: it goes behind.
  SmallVector<Operation *> later;
};
} // namespace

void BatchCode::propagate(linalg::LinalgOp op) {
  std::optional<unsigned> loop;
  auto inFront = [&](OpOperand &operand) -> std::optional<unsigned> {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (map.getNumResults() == 0)
      return std::nullopt;
    if (auto dim = dyn_cast<AffineDimExpr>(map.getResult(0)))
      return dim.getPosition();
    return std::nullopt;
  };
  for (OpOperand &operand : op->getOpOperands()) {
    bool isInFront = isBatched(operand.get());
    if (op.isDpsInit(&operand) && op->getNumResults() > 0)
      isInFront |= isBatched(op.getTiedOpResult(&operand));
    if (isInFront)
      loop = inFront(operand);
  }
  if (!loop)
    return;
  for (OpOperand &operand : op->getOpOperands()) {
    if (inFront(operand) != loop)
      continue;
    mark(operand.get());
    if (op.isDpsInit(&operand))
      mark(op.getTiedOpResult(&operand));
  }
}

void BatchCode::propagate(Operation *op) {
  if (auto generic = dyn_cast<linalg::LinalgOp>(op))
    return propagate(generic);
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return markTogether({cast.getSource(), cast.getDest()});
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return markTogether({slice.getSource(), slice.getResult()});
  if (auto slice = dyn_cast<tensor::InsertSliceOp>(op))
    return markTogether(
        {slice.getSource(), slice.getDest(), slice.getResult()});
  if (auto loop = dyn_cast<scf::ForOp>(op)) {
    for (auto [init, inside, yielded, result] :
         llvm::zip_equal(loop.getInitArgs(), loop.getRegionIterArgs(),
                         loop.getYieldedValues(), loop.getResults()))
      markTogether({init, inside, yielded, result});
    return;
  }
  if (isa<ScalingStructuredOpInterface>(op) &&
      llvm::any_of(op->getOperands(), [&](Value v) { return isBatched(v); })) {
    auto structured = cast<ScalingStructuredOpInterface>(op);
    int64_t rank = structured.getStructuredIteratorTypes().size();
    for (auto [operand, dims] :
         llvm::zip_equal(op->getOperands(), structured.getOperandDims()))
      if (rank > 0 && !dims.empty() && dims.front() == 0)
        mark(operand);
    for (Value result : op->getResults())
      mark(result);
  }
}

bool BatchCode::isTileable(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return type.getRank() > 0 && type.getNumDynamicDims() <= 1 &&
         (type.getNumDynamicDims() == 0 || type.isDynamicDim(0));
}

bool BatchCode::keepsElementsApart(linalg::LinalgOp op) {
  bool looksUp = false;
  op->walk([&](tensor::ExtractOp) { looksUp = true; });
  if (looksUp || op->getNumResults() == 0)
    return false;
  std::optional<unsigned> loop;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!map.isProjectedPermutation())
      return false;
    if (!isBatched(operand.get()))
      continue;
    unsigned own = cast<AffineDimExpr>(map.getResult(0)).getPosition();
    if (loop && loop != own)
      return false;
    loop = own;
  }
  // Others do not run along the batch.
  for (OpOperand &operand : op->getOpOperands())
    if (!isBatched(operand.get()) &&
        op.getMatchingIndexingMap(&operand).isFunctionOfDim(*loop))
      return false;
  return op.getIteratorTypesArray()[*loop] == utils::IteratorType::parallel &&
         llvm::all_of(op->getResults(), [&](Value v) { return isBatched(v); });
}

bool BatchCode::keepsElementsApart(Operation *op) {
  auto isWhole = [&](ArrayRef<OpFoldResult> offsets,
                     ArrayRef<OpFoldResult> strides, Value whole, Value part) {
    auto type = cast<RankedTensorType>(whole.getType());
    auto partType = cast<RankedTensorType>(part.getType());
    return getConstantIntValue(offsets[0]) == 0 &&
           getConstantIntValue(strides[0]) == 1 &&
           type.getDimSize(0) == partType.getDimSize(0);
  };
  if (auto generic = dyn_cast<linalg::LinalgOp>(op))
    return keepsElementsApart(generic);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return isWhole(slice.getMixedOffsets(), slice.getMixedStrides(),
                   slice.getSource(), slice.getResult());
  if (auto slice = dyn_cast<tensor::InsertSliceOp>(op))
    return isWhole(slice.getMixedOffsets(), slice.getMixedStrides(),
                   slice.getDest(), slice.getSource());
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return llvm::all_of(*loop.getBody(), [&](Operation &inner) {
      bool concerned = llvm::any_of(inner.getOperands(),
                                    [&](Value v) { return isBatched(v); }) ||
                       llvm::any_of(inner.getResults(),
                                    [&](Value v) { return isBatched(v); });
      return isa<scf::YieldOp>(inner) || !concerned ||
             keepsElementsApart(&inner);
    });
  if (auto reduce = dyn_cast<ReduceOp>(op))
    return cast<RankedTensorType>(reduce.getMatrix().getType()).getRank() ==
               3 &&
           !reduce.getDims();
  return isa<tensor::CastOp, tensor::EmptyOp>(op);
}

bool BatchCode::showTotal() {
  auto type = cast<RankedTensorType>(anchor.getMatrix().getType());
  if (!type.isDynamicDim(0)) {
    total = b.getIndexAttr(type.getDimSize(0));
    return true;
  }
  const auto *known = llvm::find_if(batched, [&](Value value) {
    return isa<BlockArgument>(value) && value.getParentBlock() == block;
  });
  if (known == batched.end())
    return false;
  b.setInsertionPointToStart(block);
  Value size = tensor::DimOp::create(b, anchor.getLoc(), *known, 0);
  SmallVector<tensor::DimOp> sizes;
  block->walk([&](tensor::DimOp dim) {
    if (dim != size.getDefiningOp() && isBatched(dim.getSource()) &&
        dim.getConstantIndex() == 0)
      sizes.push_back(dim);
  });
  for (tensor::DimOp dim : sizes)
    b.replaceOp(dim, size);
  total = size;
  return true;
}

bool BatchCode::collect() {
  // The block that has the batch whole.
  Operation *outermost = anchor;
  while (!isa<FunctionOpInterface>(outermost->getParentOp())) {
    outermost = outermost->getParentOp();
    if (!isa<scf::ForOp>(outermost))
      return false;
  }
  block = outermost->getBlock();
  mark(anchor.getMatrix());
  do {
    changed = false;
    block->walk([&](Operation *op) { propagate(op); });
  } while (changed);
  if (!llvm::all_of(batched, [&](Value value) { return isTileable(value); }) ||
      !showTotal())
    return false;

  llvm::SetVector<Operation *> inside;
  llvm::DenseSet<Operation *> behind;
  for (Operation &op : block->without_terminator()) {
    bool concerned =
        llvm::any_of(op.getResults(), [&](Value v) { return isBatched(v); });
    auto comesFrom = [&](auto contains) {
      bool found = false;
      op.walk([&](Operation *inner) {
        for (Value operand : inner->getOperands())
          if (Operation *def = operand.getDefiningOp())
            if (Operation *top = block->findAncestorOpInBlock(*def))
              found |= contains(top);
      });
      return found;
    };
    bool waits =
        comesFrom([&](Operation *def) { return behind.contains(def); });
    if (concerned && !waits && keepsElementsApart(&op)) {
      inside.insert(&op);
      continue;
    }
    if (waits ||
        comesFrom([&](Operation *def) { return inside.contains(def); })) {
      behind.insert(&op);
      later.push_back(&op);
    }
  }
  if (!inside.contains(outermost))
    return false;
  // Numbers that loops inside return are of no use to a tile's neighbours.
  for (Operation *op : inside)
    for (Value result : op->getResults())
      if (!isBatched(result) && !result.use_empty())
        return false;
  ops = inside.takeVector();

  llvm::SetVector<Value> read;
  llvm::DenseSet<Operation *> members(ops.begin(), ops.end());
  for (Operation *op : ops)
    op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands()) {
        Operation *def = operand.getDefiningOp();
        Operation *top = def ? block->findAncestorOpInBlock(*def) : nullptr;
        bool isOutside =
            def ? !members.contains(top) : operand.getParentBlock() == block;
        // Destinations are made anew, and what all share stays where it is.
        if (isOutside && isBatched(operand))
          read.insert(operand);
      }
    });
  inputs = read.takeVector();
  for (Operation *op : ops)
    for (Value result : op->getResults())
      if (llvm::any_of(result.getUsers(), [&](Operation *user) {
            return !members.contains(block->findAncestorOpInBlock(*user));
          }))
        outputs.push_back(result);
  return !inputs.empty() && !outputs.empty();
}

RankedTensorType BatchCode::tileType(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = lanes == 0 ? 1 : ShapedType::kDynamic;
  return RankedTensorType::get(shape, type.getElementType());
}

void BatchCode::retype(Operation *original, Operation *copy,
                       OpFoldResult width) {
  for (auto [was, is] :
       llvm::zip_equal(original->getResults(), copy->getResults()))
    if (isBatched(was))
      is.setType(tileType(was));
  for (auto [wasRegion, isRegion] :
       llvm::zip_equal(original->getRegions(), copy->getRegions())) {
    for (auto [wasBlock, isBlock] : llvm::zip_equal(wasRegion, isRegion)) {
      for (auto [was, is] :
           llvm::zip_equal(wasBlock.getArguments(), isBlock.getArguments()))
        if (isBatched(was))
          is.setType(tileType(was));
      SmallVector<std::pair<Operation *, Operation *>> pairs;
      for (auto [was, is] : llvm::zip_equal(wasBlock, isBlock))
        pairs.emplace_back(&was, &is);
      for (auto [was, is] : pairs)
        retype(was, is, width);
    }
  }
  // What has sizes of its own is made anew.
  b.setInsertionPoint(copy);
  if (auto empty = dyn_cast<tensor::EmptyOp>(copy);
      empty && isBatched(original->getResult(0))) {
    SmallVector<Value> sizes;
    if (auto size = dyn_cast<Value>(width))
      sizes.push_back(size);
    b.replaceOpWithNewOp<tensor::EmptyOp>(
        copy, tileType(original->getResult(0)), sizes);
    return;
  }
  auto sizesOf = [&](auto slice) {
    SmallVector<OpFoldResult> sizes = slice.getMixedSizes();
    sizes[0] = width;
    return sizes;
  };
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(copy);
      slice && isBatched(original->getResult(0)))
    b.replaceOpWithNewOp<tensor::ExtractSliceOp>(
        copy, tileType(original->getResult(0)), slice.getSource(),
        slice.getMixedOffsets(), sizesOf(slice), slice.getMixedStrides());
  if (auto slice = dyn_cast<tensor::InsertSliceOp>(copy);
      slice && isBatched(original->getResult(0)))
    b.replaceOpWithNewOp<tensor::InsertSliceOp>(
        copy, slice.getSource(), slice.getDest(), slice.getMixedOffsets(),
        sizesOf(slice), slice.getMixedStrides());
}

void BatchCode::moveLaterBehind() {
  // All it needs is there in front of what waits for it.
  Operation *end = ops.back();
  Operation *at = end;
  for (Operation *op : later)
    if (op->isBeforeInBlock(end)) {
      b.moveOpAfter(op, at);
      at = op;
    }
  b.setInsertionPointAfter(end);
}

SmallVector<Value> BatchCode::cloneOn(ArrayRef<Value> tiles,
                                      OpFoldResult width) {
  IRMapping mapping;
  mapping.map(inputs, tiles);
  for (Operation *op : ops) {
    Operation *copy = b.clone(*op, mapping);
    Block *within = copy->getBlock();
    Block::iterator after = std::next(copy->getIterator());
    {
      OpBuilder::InsertionGuard guard(b);
      retype(op, copy, width);
    }
    // It may be another now.
    copy = &*std::prev(after);
    mapping.map(op->getResults(), copy->getResults());
    b.setInsertionPoint(within, after);
  }
  return llvm::map_to_vector(
      outputs, [&](Value value) { return mapping.lookup(value); });
}

void BatchCode::replaceOutputs(ValueRange values) {
  for (auto [old, value] : llvm::zip_equal(outputs, values)) {
    if (value.getType() != old.getType())
      value = tensor::CastOp::create(b, anchor.getLoc(), old.getType(), value);
    b.replaceAllUsesWith(old, value);
  }
  for (Operation *op : llvm::reverse(ops))
    b.eraseOp(op);
}

LogicalResult BatchCode::tile() {
  moveLaterBehind();
  auto matrix = cast<RankedTensorType>(anchor.getMatrix().getType());
  int64_t bytes = llvm::divideCeil(matrix.getElementTypeBitWidth(), 8);
  for (int64_t size : matrix.getShape().take_back(2))
    bytes *= std::max<int64_t>(size, 1);
  auto types = llvm::map_to_vector(outputs, [](Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    return RankedTensorType::get(type.getShape().drop_front(),
                                 type.getElementType());
  });
  SmallVector<bool> areBatched(inputs.size(), true);
  Location loc = anchor.getLoc();
  FailureOr<SmallVector<Value>> values =
      LaneLoops(b, loc, lanes, total)
          .run(inputs, areBatched, types, bytes,
               [&](ArrayRef<Value> tiles) -> FailureOr<SmallVector<Value>> {
                 Value width = tensor::DimOp::create(b, loc, tiles.front(), 0);
                 return cloneOn(tiles, width);
               });
  if (failed(values))
    return failure();
  replaceOutputs(*values);
  return success();
}

void BatchCode::tileByElement(Attribute mapping) {
  moveLaterBehind();
  Location loc = anchor.getLoc();
  OpFoldResult one = b.getIndexAttr(1);
  auto sizesOf = [&](Value batch, OpFoldResult first) {
    auto type = cast<RankedTensorType>(batch.getType());
    SmallVector<OpFoldResult> sizes{first};
    for (int64_t size : type.getShape().drop_front())
      sizes.push_back(b.getIndexAttr(size));
    return sizes;
  };
  SmallVector<Value> destinations;
  for (Value output : outputs)
    destinations.push_back(tensor::EmptyOp::create(
        b, loc, sizesOf(output, total), getElementTypeOrSelf(output)));
  auto loop = scf::ForallOp::create(
      b, loc, ArrayRef<OpFoldResult>{b.getIndexAttr(0)}, ArrayRef{total},
      ArrayRef<OpFoldResult>{one}, destinations, b.getArrayAttr(mapping));
  b.setInsertionPoint(loop.getTerminator());
  auto placeOf = [&](Value batch) {
    SmallVector<OpFoldResult> offsets = sizesOf(batch, loop.getInductionVar(0));
    for (OpFoldResult &offset : MutableArrayRef(offsets).drop_front())
      offset = b.getIndexAttr(0);
    return offsets;
  };
  auto stridesOf = [&](Value batch) {
    return SmallVector<OpFoldResult>(
        cast<RankedTensorType>(batch.getType()).getRank(), one);
  };
  SmallVector<Value> tiles;
  for (Value input : inputs)
    tiles.push_back(tensor::ExtractSliceOp::create(
        b, loc, tileType(input), input, placeOf(input), sizesOf(input, one),
        stridesOf(input)));
  SmallVector<Value> made = cloneOn(tiles, one);
  b.setInsertionPointToEnd(loop.getTerminator().getBody());
  for (auto [value, output] : llvm::zip_equal(made, loop.getRegionIterArgs()))
    tensor::ParallelInsertSliceOp::create(b, loc, value, output,
                                          placeOf(output), sizesOf(output, one),
                                          stridesOf(output));
  b.setInsertionPointAfter(loop);
  replaceOutputs(loop.getResults());
}

int64_t BatchCode::countBytes() {
  int64_t bytes = 0;
  for (Operation *op : ops)
    op->walk([&](tensor::EmptyOp empty) {
      if (isBatched(empty)) {
        RankedTensorType type = tileType(empty);
        bytes += type.getNumElements() *
                 llvm::divideCeil(type.getElementTypeBitWidth(), 8);
      }
    });
  return bytes;
}

LogicalResult scaling::tileCodeIntoLanes(RewriterBase &rewriter,
                                         ReduceOp anchor) {
  auto type = dyn_cast<RankedTensorType>(anchor.getMatrix().getType());
  if (!type || type.getRank() != 3 || type.isDynamicDim(1) ||
      type.isDynamicDim(2) || (!type.isDynamicDim(0) && type.getDimSize(0) < 2))
    return success();
  OpBuilder::InsertionGuard guard(rewriter);
  if (targetsGPU(anchor)) {
    BatchCode code(rewriter, anchor);
    if (!code.collect())
      return success();
    auto id = gpu::MappingId::LinearDim0;
    int64_t bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8) *
                    type.getDimSize(1) * type.getDimSize(2);
    if (kMatricesWithDerivatives * bytes <= kThreadBytes)
      code.tileByElement(
          gpu::GPUThreadMappingAttr::get(rewriter.getContext(), id));
    else if (code.countBytes() <= getBlockBytes(anchor))
      code.tileByElement(
          gpu::GPUBlockMappingAttr::get(rewriter.getContext(), id));
    return success();
  }
  if (type.getDimSize(1) * type.getDimSize(2) > kEntriesWithDerivatives)
    return success();
  // The way back has enough to do for one vector to wait for another, and the
  // matrix, its gradient and the factors stay in registers.
  int64_t lanes = getTinyLanes(anchor, type.getDimSize(1), type.getDimSize(2),
                               type.getElementType(), /*mayPair=*/false);
  if (lanes < 2)
    return success();
  BatchCode code(rewriter, anchor, lanes);
  if (!code.collect())
    return success();
  return code.tile();
}
