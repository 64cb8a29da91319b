//===- MatrixBlocks.cpp - Parts of a matrix of costs ----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MatrixBlocks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::scaling;

/// Matrices of up to this many entries are no burden.
static constexpr int64_t kSmallMatrix = 1 << 14;

/// Matrices of a batch are not, up to this many: they are made side by side.
static constexpr int64_t kTinyMatrix = 1 << 8;

/// Rows that are made at a time.
static constexpr int64_t kBlockRows = 64;

MatrixBlocks::Tail MatrixBlocks::vector(Axis axis) {
  static constexpr Along rows[] = {Along::rows}, cols[] = {Along::other};
  return axis == Axis::rows ? Tail(rows) : Tail(cols);
}

MatrixBlocks::Tail MatrixBlocks::matrix() { return lines(Axis::rows); }

MatrixBlocks::Tail MatrixBlocks::lines(Axis axis) {
  static constexpr Along rows[] = {Along::rows, Along::other},
                         cols[] = {Along::other, Along::other};
  return axis == Axis::rows ? Tail(rows) : Tail(cols);
}

std::optional<MatrixBlocks> MatrixBlocks::create(OpBuilder &builder,
                                                 Location loc,
                                                 ArrayRef<Value> matrices,
                                                 ArrayRef<OpFoldResult> batch) {
  auto type = cast<RankedTensorType>(matrices.front().getType());
  auto known = [](int64_t size) { return !ShapedType::isDynamic(size); };
  int64_t n = type.getShape()[type.getRank() - 2], m = type.getShape().back();
  bool isKnown = known(n) && known(m);
  int64_t all = isKnown ? n * m : ShapedType::kDynamic;
  for (OpFoldResult size : batch)
    if (std::optional<int64_t> constant = getConstantIntValue(size);
        constant && known(all))
      all *= *constant;
    else
      all = ShapedType::kDynamic;
  if ((known(all) && all <= kSmallMatrix) ||
      (!batch.empty() && isKnown && n * m <= kTinyMatrix))
    return std::nullopt;

  MatrixBlocks blocks(builder, loc, batch);
  if (failed(blocks.collect(matrices.front())) ||
      llvm::none_of(blocks.ops, llvm::IsaPred<PairwiseOp>))
    return std::nullopt;
  for (Value matrix : matrices) {
    blocks.matrices.push_back(matrix);
    if (llvm::is_contained(blocks.ops, matrix.getDefiningOp()))
      continue;
    SmallVector<Operation *> ops(blocks.ops);
    SmallVector<Source> sources(blocks.sources);
    if (succeeded(blocks.collect(matrix)))
      continue;
    blocks.ops = ops;
    blocks.sources = sources;
    blocks.addSource(blocks.sourceOfMatrix(matrix));
  }
  blocks.chooseSteps(type);
  return blocks;
}

MatrixBlocks::Source MatrixBlocks::sourceOf(Value value, AffineMap map) {
  Source source{value, {}};
  // The matrix may lack batch dimensions in front.
  int64_t missing = static_cast<int64_t>(batchRank) + 2 - map.getNumDims();
  for (AffineExpr result : map.getResults()) {
    unsigned loop = cast<AffineDimExpr>(result).getPosition() + missing;
    source.loops.push_back(loop <= batchRank ? std::optional<unsigned>(loop)
                                             : std::nullopt);
  }
  return source;
}

MatrixBlocks::Source MatrixBlocks::sourceOfMatrix(Value value) {
  int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
  return sourceOf(value, b->getMultiDimIdentityMap(rank));
}

void MatrixBlocks::addSource(Source source) {
  if (!llvm::is_contained(sources, source))
    sources.push_back(std::move(source));
}

SmallVector<Value> MatrixBlocks::getSources() const {
  return llvm::map_to_vector(sources,
                             [](const Source &source) { return source.value; });
}

/// Whether a map reads a matrix entry by entry, perhaps one that several batch
/// elements have in common.
static bool readsMatrix(AffineMap map) {
  return map.getNumResults() >= 2 && map.isMinorIdentity();
}

/// Where the points' dimensions are among those of the costs.
static std::array<AffineMap, 2> pointMaps(PairwiseOp op) {
  MLIRContext *context = op.getContext();
  int64_t rank = cast<RankedTensorType>(op.getResult().getType()).getRank();
  std::array<AffineMap, 2> maps;
  Value both[] = {op.getX(), op.getY()};
  for (auto [index, points] : llvm::enumerate(both)) {
    int64_t own = cast<RankedTensorType>(points.getType()).getRank();
    SmallVector<AffineExpr> dims;
    for (int64_t i = rank - own; i < rank - 2; ++i)
      dims.push_back(getAffineDimExpr(i, context));
    // Coordinates run along no dimension of the costs, but neither do they
    // along that of the rows: the columns stand for what is whole.
    AffineExpr whole = getAffineDimExpr(rank - 1, context);
    dims.push_back(index == 0 ? getAffineDimExpr(rank - 2, context) : whole);
    dims.push_back(whole);
    maps[index] = AffineMap::get(rank, 0, dims, context);
  }
  return maps;
}

LogicalResult MatrixBlocks::collect(Value value) {
  Operation *op = value.getDefiningOp();
  if (op && llvm::is_contained(ops, op))
    return success();
  if (auto points = dyn_cast_or_null<PairwiseOp>(op)) {
    auto [x, y] = pointMaps(points);
    addSource(sourceOf(points.getX(), x));
    addSource(sourceOf(points.getY(), y));
    ops.push_back(op);
    return success();
  }
  auto generic = dyn_cast_or_null<linalg::GenericOp>(op);
  if (!generic || generic.getNumResults() != 1 ||
      generic.getNumReductionLoops() > 0 || generic.getNumLoops() < 2 ||
      generic.getNumLoops() > batchRank + 2 ||
      !generic.getIndexingMapsArray().back().isIdentity() ||
      generic.payloadUsesValueFromOperand(generic.getDpsInitOperand(0)))
    return failure();
  bool looksUp = false;
  generic.walk([&](Operation *inner) {
    looksUp |= isa<tensor::ExtractOp, linalg::IndexOp>(inner);
  });
  if (looksUp)
    return failure();
  for (OpOperand *input : generic.getDpsInputOperands()) {
    if (!isa<RankedTensorType>(input->get().getType()))
      continue;
    AffineMap map = generic.getMatchingIndexingMap(input);
    if (!map.isProjectedPermutation())
      return failure();
    if (readsMatrix(map)) {
      if (failed(collect(input->get())))
        return failure();
      continue;
    }
    addSource(sourceOf(input->get(), map));
  }
  ops.push_back(op);
  return success();
}

void MatrixBlocks::chooseSteps(RankedTensorType type) {
  ArrayRef<int64_t> sizes = type.getShape().take_back(2);
  steps.assign(batchRank, 1);
  bool isKnown =
      !ShapedType::isDynamic(sizes[0]) && !ShapedType::isDynamic(sizes[1]);
  int64_t several =
      isKnown ? kSmallMatrix / std::max<int64_t>(sizes[0] * sizes[1], 1) : 0;
  if (batchRank > 0 && several > 1) {
    if (std::optional<int64_t> last = getConstantIntValue(totals.back()))
      several = std::min(several, std::max<int64_t>(*last, 1));
    steps.back() = several;
  }
  steps.push_back(several > 1 && batchRank > 0 ? 0 : kBlockRows);
  // Sizes of what is there anyway, rather than of what is computed from it.
  totals.push_back(OpFoldResult());
  for (const Source &source : sources)
    for (auto [dim, loop] : llvm::enumerate(source.loops))
      if (loop && !(totals[*loop] && getConstantIntValue(totals[*loop])))
        totals[*loop] = tensor::getMixedSize(*b, loc, source.value, dim);
}

MatrixBlocks::Loops MatrixBlocks::loopsOf(Value tensor, Tail tail) const {
  unsigned own = cast<RankedTensorType>(tensor.getType()).getRank() -
                 static_cast<unsigned>(tail.size());
  Loops loops;
  for (unsigned loop = batchRank - own; loop < batchRank; ++loop)
    loops.push_back(loop);
  for (Along along : tail)
    loops.push_back(along == Along::rows ? std::optional<unsigned>(batchRank)
                                         : std::nullopt);
  return loops;
}

namespace {
/// Where a block is in a tensor.
struct Place {
  SmallVector<OpFoldResult> offsets, sizes, strides;
  /// Its type, without the dimensions that are not there.
  RankedTensorType type;
};
} // namespace

static Place placeOf(OpBuilder &b, Location loc, Value tensor,
                     const MatrixBlocks::Block &block,
                     ArrayRef<std::optional<unsigned>> loops) {
  Place place;
  place.sizes = tensor::getMixedSizes(b, loc, tensor);
  place.offsets.assign(place.sizes.size(), b.getIndexAttr(0));
  place.strides.assign(place.sizes.size(), b.getIndexAttr(1));
  SmallVector<int64_t> shape;
  for (auto [dim, loop] : llvm::enumerate(loops)) {
    if (loop) {
      place.offsets[dim] = block.offsets[*loop];
      place.sizes[dim] = block.sizes[*loop];
    }
    if (loop && *loop < block.dropped.size() && block.dropped[*loop])
      continue;
    shape.push_back(
        getConstantIntValue(place.sizes[dim]).value_or(ShapedType::kDynamic));
  }
  place.type = RankedTensorType::get(shape, getElementTypeOrSelf(tensor));
  return place;
}

/// Whether nothing of a tensor's dimensions runs along a loop.
static bool isWhole(ArrayRef<std::optional<unsigned>> loops) {
  return llvm::none_of(loops, [](auto loop) { return loop.has_value(); });
}

Value MatrixBlocks::slice(Value tensor, const Block &block,
                          const Loops &loops) {
  if (isWhole(loops))
    return tensor;
  Place place = placeOf(*b, loc, tensor, block, loops);
  return tensor::ExtractSliceOp::create(
      *b, loc, place.type, tensor, place.offsets, place.sizes, place.strides);
}

Value MatrixBlocks::insert(Value part, Value tensor, const Block &block,
                           const Loops &loops) {
  if (isWhole(loops))
    return part;
  Place place = placeOf(*b, loc, tensor, block, loops);
  return tensor::InsertSliceOp::create(*b, loc, part, tensor, place.offsets,
                                       place.sizes, place.strides);
}

Value MatrixBlocks::part(Value tensor, const Block &block, Tail tail) {
  return slice(tensor, block, loopsOf(tensor, tail));
}

Value MatrixBlocks::store(Value part, Value tensor, const Block &block,
                          Tail tail) {
  return insert(part, tensor, block, loopsOf(tensor, tail));
}

Value MatrixBlocks::partOf(const Source &source, const Block &block) const {
  const Source *found = llvm::find(sources, source);
  assert(found != sources.end() && "a source that was collected");
  return block.parts[found - sources.begin()];
}

/// A map without the dimensions that are not there.
static AffineMap withoutDims(AffineMap map, ArrayRef<bool> dropped) {
  MLIRContext *context = map.getContext();
  SmallVector<AffineExpr> dims;
  unsigned left = 0;
  for (unsigned dim = 0; dim < map.getNumDims(); ++dim)
    dims.push_back(dim < dropped.size() && dropped[dim]
                       ? AffineExpr()
                       : getAffineDimExpr(left++, context));
  SmallVector<AffineExpr> results;
  for (AffineExpr result : map.getResults())
    if (AffineExpr dim = dims[cast<AffineDimExpr>(result).getPosition()])
      results.push_back(dim);
  return AffineMap::get(left, 0, results, context);
}

Value MatrixBlocks::make(Operation *op, const Block &block) {
  Value whole = op->getResult(0);
  auto type = cast<RankedTensorType>(whole.getType());
  unsigned missing = batchRank + 2 - type.getRank();
  ArrayRef<bool> dropped = ArrayRef(block.dropped).drop_front(missing);
  SmallVector<OpFoldResult> sizes;
  for (unsigned loop = missing; loop <= batchRank; ++loop)
    if (loop == batchRank || !block.dropped[loop])
      sizes.push_back(block.sizes[loop]);
  sizes.push_back(tensor::getMixedSize(*b, loc, whole, type.getRank() - 1));
  Value out = tensor::EmptyOp::create(*b, loc, sizes, type.getElementType());
  if (auto points = dyn_cast<PairwiseOp>(op)) {
    auto [x, y] = pointMaps(points);
    return PairwiseOp::create(*b, loc, out.getType(),
                              partOf(sourceOf(points.getX(), x), block),
                              partOf(sourceOf(points.getY(), y), block), out,
                              points.getMetric())
        .getResult();
  }
  auto generic = cast<linalg::GenericOp>(op);
  SmallVector<Value> operands;
  for (OpOperand *input : generic.getDpsInputOperands()) {
    AffineMap map = generic.getMatchingIndexingMap(input);
    if (!isa<RankedTensorType>(input->get().getType()))
      operands.push_back(input->get());
    else if (readsMatrix(map))
      operands.push_back(block.matrices.lookup(input->get()));
    else
      operands.push_back(partOf(sourceOf(input->get(), map), block));
  }
  operands.push_back(out);
  auto here =
      cast<linalg::GenericOp>(mlir::clone(*b, op, {out.getType()}, operands));
  SmallVector<AffineMap> maps = generic.getIndexingMapsArray();
  for (AffineMap &map : maps)
    map = withoutDims(map, dropped);
  here.setIndexingMapsAttr(b->getAffineMapArrayAttr(maps));
  here.setIteratorTypesAttr(
      b->getArrayAttr(generic.getIteratorTypes().getValue().take_front(
          maps.back().getNumDims())));
  return here.getResult(0);
}

SmallVector<Value> MatrixBlocks::loopOver(unsigned loop, Block block,
                                          ValueRange carried, Body body) {
  if (loop > batchRank) {
    for (const Source &source : sources)
      block.parts.push_back(slice(source.value, block, source.loops));
    for (Value matrix : matrices)
      if (!llvm::is_contained(ops, matrix.getDefiningOp()))
        block.matrices.map(matrix, partOf(sourceOfMatrix(matrix), block));
    for (Operation *op : ops) {
      Value made = make(op, block);
      block.matrices.map(op->getResult(0), made);
      block.ops.push_back(made.getDefiningOp());
    }
    return body(block, carried);
  }
  int64_t step = steps[loop];
  auto within = [&](OpFoldResult first, OpFoldResult count, ValueRange values) {
    Block inner = block;
    inner.offsets.push_back(first);
    inner.sizes.push_back(count);
    if (loop < batchRank)
      inner.dropped.push_back(step == 1);
    return loopOver(loop + 1, inner, values, body);
  };
  OpFoldResult total = totals[loop];
  if (step == 0)
    return within(b->getIndexAttr(0), total, carried);
  // Sizes are shown where they are known: a rest goes by itself.
  std::optional<int64_t> known = getConstantIntValue(total);
  SmallVector<Value> values(carried);
  if (!known || *known >= step) {
    Value end =
        known ? arith::ConstantIndexOp::create(*b, loc, *known / step * step)
              : getValueOrCreateConstantIndexOp(*b, loc, total);
    Value zero = arith::ConstantIndexOp::create(*b, loc, 0);
    Value by = arith::ConstantIndexOp::create(*b, loc, step);
    auto blocks = scf::ForOp::create(
        *b, loc, zero, end, by, values,
        [&](OpBuilder &, Location, Value first, ValueRange in) {
          OpFoldResult count = b->getIndexAttr(step);
          if (!known && step > 1) {
            Value left = arith::SubIOp::create(*b, loc, end, first);
            count = arith::MinUIOp::create(*b, loc, left, by).getResult();
          }
          scf::YieldOp::create(*b, loc, within(first, count, in));
        });
    values = SmallVector<Value>(blocks.getResults());
  }
  if (known && *known % step != 0)
    values = within(b->getIndexAttr(*known / step * step),
                    b->getIndexAttr(*known % step), values);
  return values;
}

SmallVector<Value> MatrixBlocks::forEach(ArrayRef<Value> init, Body body) {
  return loopOver(0, Block(), init, body);
}

LogicalResult
MatrixBlocks::addToSources(const Block &block, ArrayRef<Value> adjoints,
                           MutableArrayRef<Value> sourceAdjoints) {
  TensorAdjoint local(*b);
  // The same points may be both: each then has a part of its own.
  for (auto [source, own, adjoint] :
       llvm::zip_equal(sources, block.parts, sourceAdjoints)) {
    if (!adjoint)
      continue;
    local.markActive(own);
    local.set(own, slice(adjoint, block, source.loops));
  }
  local.propagateActivity(block.ops);
  for (auto [matrix, adjoint] : llvm::zip_equal(matrices, adjoints))
    if (adjoint)
      local.add(loc, block.matrices.lookup(matrix), adjoint);
  if (failed(local.run(block.ops)))
    return failure();
  for (auto [source, own, adjoint] :
       llvm::zip_equal(sources, block.parts, sourceAdjoints))
    if (adjoint)
      adjoint = insert(local.get(own), adjoint, block, source.loops);
  return success();
}
