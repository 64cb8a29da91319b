//===- PartialReductionImpl.cpp - Reductions in parts -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Partial results keep the reduced dimensions they are split along, in their
// place in the domain: column statistics by blocks of rows are `[blocks, m]`.
// They are merged in index order, pass by pass.
//
//===----------------------------------------------------------------------===//

#include "Slicing.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/TilingInterface.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

static bool isLogDomain(Domain domain) { return domain != Domain::kernel; }

static Type initElementType(Operation *op) {
  return getElementTypeOrSelf(
      cast<DestinationStyleOpInterface>(op).getDpsInits()[0]);
}

//===----------------------------------------------------------------------===//
// What an op adds to its state
//===----------------------------------------------------------------------===//

static Value combine(OpBuilder &builder, Location loc, bool isMax, Value a,
                     Value b) {
  if (isMax)
    return arith::MaximumFOp::create(builder, loc, a, b);
  return arith::AddFOp::create(builder, loc, a, b);
}

/// The states after one more entry. `values` are the op's operands at a point
/// of the domain.
static SmallVector<Value> accumulate(OpBuilder &builder, ReduceOp op,
                                     ReduceOp::Adaptor values,
                                     ValueRange states) {
  Location loc = op.getLoc();
  StatisticAttrInterface stat = op.getStat();
  Type type = initElementType(op);
  auto cast = [&](Value value) {
    return value ? castFloat(builder, loc, value, type) : value;
  };
  Value entry =
      createScaledEntry(builder, loc, stat.isLog(), cast(values.getMatrix()),
                        cast(values.getFactor()), cast(values.getScale()));
  SmallVector<Value> next;
  for (unsigned pass : llvm::seq(stat.getNumPasses())) {
    ValueRange before = states.take_front(pass);
    SmallVector<Value> finished = next;
    Value kept =
        stat.rebase(builder, loc, pass, states[pass], before, finished);
    Value added = stat.lift(builder, loc, pass, entry, finished);
    Value value = combine(builder, loc, stat.isMaxPass(pass), kept, added);
    next.push_back(value);
  }
  if (Value mask = values.getMask())
    for (auto [value, state] : llvm::zip_equal(next, states))
      value = arith::SelectOp::create(builder, loc, mask, value, state);
  return next;
}

static SmallVector<Value> accumulate(OpBuilder &builder, ApplyOp op,
                                     ApplyOp::Adaptor values,
                                     ValueRange states) {
  Location loc = op.getLoc();
  Type type = initElementType(op);
  auto cast = [&](Value value) {
    return value ? castFloat(builder, loc, value, type) : value;
  };
  Value entry = createPlanEntry(
      builder, loc, isLogDomain(op.getDomain()), /*logarithm=*/false,
      cast(values.getMatrix()), cast(values.getRow()), cast(values.getCol()),
      cast(values.getRowWeight()), cast(values.getColWeight()));
  Value added = entry;
  if (Value operand = cast(values.getOperand())) {
    added = arith::MulFOp::create(builder, loc, entry, operand);
    if (op.getKind() == ApplyKind::value) {
      // An entry of the plan that is zero counts as zero at infinite cost.
      Value zero = createConstant(builder, loc, type, 0.0);
      Value isZero = arith::CmpFOp::create(
          builder, loc, arith::CmpFPredicate::OEQ, entry, zero);
      added = arith::SelectOp::create(builder, loc, isZero, zero, added);
    }
  }
  return {arith::AddFOp::create(builder, loc, states[0], added)};
}

//===----------------------------------------------------------------------===//
// The op's statistic: that of `apply` is a sum
//===----------------------------------------------------------------------===//

static StatisticAttrInterface statisticOf(ReduceOp op) { return op.getStat(); }
static StatisticAttrInterface statisticOf(ApplyOp op) {
  return SumAttr::get(op.getContext());
}

/// Columns and their largest entries are no sums: tiles of the columns follow
/// each other instead.
static bool isMergeable(ReduceOp) { return true; }
static bool isMergeable(ApplyOp op) {
  return op.getKind() != ApplyKind::argmax;
}

/// Whether every entry adds the same formula. The first row and column of a
/// dual value add more, which vectors of entries would compute for all.
static bool hasEqualEntries(ReduceOp) { return true; }
static bool hasEqualEntries(ApplyOp op) {
  return op.getKind() != ApplyKind::dual;
}

/// Whether the states are known to be neutral: rebasing leaves them so.
static bool areNeutral(ValueRange states, StatisticAttrInterface stat) {
  for (auto [pass, state] : llvm::enumerate(states)) {
    auto fill = state.getDefiningOp<linalg::FillOp>();
    APFloat value(0.0);
    if (!fill || !matchPattern(fill.value(), m_ConstantFloat(&value)) ||
        !value.bitwiseIsEqual(stat.getIdentity(pass, value.getSemantics())))
      return false;
  }
  return true;
}

/// Whether a state of a pass depends on the finished states at all; asked of
/// the builder itself, on a block nobody sees.
static bool dependsOnFinished(Location loc, StatisticAttrInterface stat,
                              unsigned pass, Type type) {
  Block block;
  SmallVector<Type> types(2 * pass + 1, type);
  block.addArguments(types, SmallVector<Location>(types.size(), loc));
  OpBuilder builder(type.getContext());
  builder.setInsertionPointToEnd(&block);
  ValueRange args = block.getArguments();
  return stat.rebase(builder, loc, pass, args.back(), args.take_front(pass),
                     args.slice(pass, pass)) != args.back();
}

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

using DimSet = llvm::SetVector<unsigned>;

namespace {
/// The structure of an op. The drivers ask a clone whose inits are the partial
/// results already; the result types are still the op's own, and so is the
/// structure with inits of these.
class OwnStructure {
public:
  explicit OwnStructure(Operation *op) : view(op->clone()) {
    auto dps = cast<DestinationStyleOpInterface>(view);
    for (OpOperand &init : dps.getDpsInitsMutable())
      init.set(inits.addArgument(dps.getTiedOpResult(&init).getType(),
                                 op->getLoc()));
  }
  OwnStructure(const OwnStructure &) = delete;
  OwnStructure &operator=(const OwnStructure &) = delete;
  ~OwnStructure() { view->destroy(); }

  operator ScalingStructuredOpInterface() const {
    return cast<ScalingStructuredOpInterface>(view);
  }
  /// The operand of the structure in the place of the op's.
  OpOperand &getOperand(OpOperand &operand) const {
    return view->getOpOperand(operand.getOperandNumber());
  }

private:
  Block inits;
  Operation *view;
};
} // namespace

static SmallVector<int64_t> initDims(ScalingStructuredOpInterface op) {
  auto dps = cast<DestinationStyleOpInterface>(op.getOperation());
  return op.getOperandDims()[dps.getDpsInitOperand(0)->getOperandNumber()];
}

/// The domain dimensions of a partial result.
static SmallVector<int64_t> partialDims(ScalingStructuredOpInterface op,
                                        const DimSet &reductionDims) {
  SmallVector<int64_t> dims = initDims(op);
  llvm::append_range(dims, reductionDims);
  llvm::sort(dims);
  return dims;
}

/// The map to the given dimensions out of a domain of `rank`.
static AffineMap mapTo(ArrayRef<int64_t> dims, int64_t rank,
                       MLIRContext *context) {
  SmallVector<AffineExpr> exprs;
  for (int64_t dim : dims)
    exprs.push_back(getAffineDimExpr(dim, context));
  return AffineMap::get(rank, 0, exprs, context);
}

namespace {
/// Where a partial result lies, and its tile's shape.
struct PartialTile {
  SmallVector<OpFoldResult> offsets, sizes, tileSizes;
};
} // namespace

static PartialTile
partialTile(OpBuilder &builder, ScalingStructuredOpInterface op,
            ReductionTilingStrategy strategy, ArrayRef<OpFoldResult> offsets,
            ArrayRef<OpFoldResult> sizes, const DimSet &reductionDims,
            ArrayRef<OpFoldResult> splitIvs) {
  bool outerParallel =
      strategy == ReductionTilingStrategy::PartialReductionOuterParallel;
  PartialTile tile;
  for (int64_t dim : partialDims(op, reductionDims)) {
    const auto *split = llvm::find(reductionDims, static_cast<unsigned>(dim));
    if (split == reductionDims.end()) {
      tile.offsets.push_back(offsets[dim]);
      tile.sizes.push_back(sizes[dim]);
      tile.tileSizes.push_back(sizes[dim]);
    } else if (outerParallel) {
      tile.offsets.push_back(splitIvs[split - reductionDims.begin()]);
      tile.sizes.push_back(builder.getIndexAttr(1));
    } else {
      // Every tile adds to the same part.
      tile.offsets.push_back(builder.getIndexAttr(0));
      tile.sizes.push_back(sizes[dim]);
      tile.tileSizes.push_back(sizes[dim]);
    }
  }
  return tile;
}

namespace {
template <typename OpTy>
struct PartialReduction
    : public PartialReductionOpInterface::ExternalModel<PartialReduction<OpTy>,
                                                        OpTy> {
  FailureOr<SmallVector<Value>> generateInitialTensorForPartialReduction(
      Operation *op, OpBuilder &builder, Location loc,
      ArrayRef<OpFoldResult> sizes, const DimSet &reductionDims) const {
    if (!isMergeable(cast<OpTy>(op)))
      return op->emitOpError("'argmax' has no partial results to merge");
    auto type = cast<FloatType>(initElementType(op));
    SmallVector<OpFoldResult> shape;
    for (int64_t dim : partialDims(OwnStructure(op), reductionDims))
      shape.push_back(sizes[dim]);
    StatisticAttrInterface stat = statisticOf(cast<OpTy>(op));
    SmallVector<Value> tensors;
    for (unsigned pass : llvm::seq(stat.getNumPasses())) {
      Value empty = tensor::EmptyOp::create(builder, loc, shape, type);
      Value identity = arith::ConstantOp::create(
          builder, loc,
          builder.getFloatAttr(
              type, stat.getIdentity(pass, type.getFloatSemantics())));
      tensors.push_back(
          linalg::FillOp::create(builder, loc, identity, empty).getResult(0));
    }
    return tensors;
  }

  FailureOr<TilingResult> tileToPartialReduction(
      Operation *op, OpBuilder &builder, Location loc,
      ReductionTilingStrategy strategy, ValueRange init,
      ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
      const DimSet &reductionDims, ArrayRef<OpFoldResult> splitIvs) const {
    bool outerParallel =
        strategy == ReductionTilingStrategy::PartialReductionOuterParallel;
    if (!outerParallel && !hasEqualEntries(cast<OpTy>(op)))
      return op->emitOpError("'dual' has no partial results entry by entry");
    OwnStructure structured(op);
    auto dps = cast<DestinationStyleOpInterface>(op);
    TilingResult result;
    SmallVector<Value> inputs, inits;
    for (OpOperand *operand : dps.getDpsInputOperands())
      inputs.push_back(sliceOperand(builder, structured,
                                    structured.getOperand(*operand), offsets,
                                    sizes, result.generatedSlices));
    PartialTile tile = partialTile(builder, structured, strategy, offsets,
                                   sizes, reductionDims, splitIvs);
    auto type = RankedTensorType::get(
        decomposeMixedValues(tile.tileSizes).first, initElementType(op));
    for (Value partial : init) {
      result.generatedSlices.push_back(
          createSlice(builder, loc, partial, tile.offsets, tile.sizes, type));
      inits.push_back(result.generatedSlices.back()->getResult(0));
    }

    Operation *tiled =
        outerParallel
            ? mlir::clone(builder, op, ValueRange(inits).getTypes(),
                          llvm::to_vector(llvm::concat<Value>(inputs, inits)))
            : accumulateElementwise(cast<OpTy>(op), builder, inputs, inits,
                                    reductionDims);
    if (outerParallel)
      adjustOffsets(builder, tiled, offsets);
    result.tiledOps.push_back(tiled);
    llvm::append_range(result.tiledValues, tiled->getResults());
    return result;
  }

  FailureOr<MergeResult> mergeReductions(Operation *op, OpBuilder &builder,
                                         Location loc, ValueRange partials,
                                         const DimSet &reductionDims) const {
    OwnStructure structured(op);
    StatisticAttrInterface stat = statisticOf(cast<OpTy>(op));
    SmallVector<Value> before(
        cast<DestinationStyleOpInterface>(op).getDpsInits());
    MLIRContext *context = op->getContext();

    // The merge's own domain is the partial result's.
    SmallVector<int64_t> kept;
    SmallVector<IteratorType> types;
    for (auto [index, dim] :
         llvm::enumerate(partialDims(structured, reductionDims))) {
      bool reduced = reductionDims.contains(dim);
      types.push_back(reduced ? IteratorType::reduction
                              : IteratorType::parallel);
      if (!reduced)
        kept.push_back(index);
    }
    int64_t rank = types.size();
    AffineMap whole = AffineMap::getMultiDimIdentityMap(rank, context);
    AffineMap merged = mapTo(kept, rank, context);
    bool neutral = areNeutral(before, stat);

    MergeResult result;
    for (unsigned pass : llvm::seq(stat.getNumPasses())) {
      Value start = before[pass];
      if (!neutral && dependsOnFinished(loc, stat, pass, initElementType(op)))
        start = rebaseStart(builder, loc, stat, pass, before,
                            result.replacements, result.mergeOps);
      SmallVector<Value> inputs(partials.take_front(pass + 1));
      SmallVector<AffineMap> maps(inputs.size(), whole);
      llvm::append_range(inputs, result.replacements);
      maps.resize(inputs.size() + 1, merged);
      auto generic = linalg::GenericOp::create(
          builder, loc, start.getType(), inputs, start, maps, types,
          [&](OpBuilder &b, Location bodyLoc, ValueRange args) {
            Value part =
                stat.rebase(b, bodyLoc, pass, args[pass], args.take_front(pass),
                            args.slice(pass + 1, pass));
            Value sum =
                combine(b, bodyLoc, stat.isMaxPass(pass), args.back(), part);
            linalg::YieldOp::create(b, bodyLoc, sum);
          });
      result.mergeOps.push_back(generic);
      result.replacements.push_back(generic.getResult(0));
    }
    return result;
  }

  LogicalResult getPartialResultTilePosition(
      Operation *op, OpBuilder &builder, unsigned,
      ReductionTilingStrategy strategy, ArrayRef<OpFoldResult> offsets,
      ArrayRef<OpFoldResult> sizes, const DimSet &reductionDims,
      ArrayRef<OpFoldResult> splitIvs, SmallVector<OpFoldResult> &resultOffsets,
      SmallVector<OpFoldResult> &resultSizes) const {
    PartialTile tile = partialTile(builder, OwnStructure(op), strategy, offsets,
                                   sizes, reductionDims, splitIvs);
    resultOffsets = std::move(tile.offsets);
    resultSizes = std::move(tile.sizes);
    return success();
  }

private:
  /// The op on a tile whose split dimensions are parallel.
  static Operation *accumulateElementwise(OpTy op, OpBuilder &builder,
                                          ValueRange inputs, ValueRange inits,
                                          const DimSet &reductionDims) {
    OwnStructure own(op);
    ScalingStructuredOpInterface structured = own;
    MLIRContext *context = op.getContext();
    SmallVector<IteratorType> types = structured.getStructuredIteratorTypes();
    int64_t rank = types.size();
    for (unsigned dim : reductionDims)
      types[dim] = IteratorType::parallel;
    SmallVector<SmallVector<int64_t>> dims = structured.getOperandDims();
    SmallVector<AffineMap> maps;
    for (size_t index : llvm::seq(inputs.size()))
      maps.push_back(mapTo(dims[index], rank, context));
    maps.append(inits.size(),
                mapTo(partialDims(structured, reductionDims), rank, context));
    return linalg::GenericOp::create(
        builder, op.getLoc(), inits.getTypes(), inputs, inits, maps, types,
        [&](OpBuilder &b, Location loc, ValueRange args) {
          typename OpTy::Adaptor values(args, op);
          linalg::YieldOp::create(
              b, loc, accumulate(b, op, values, args.take_back(inits.size())));
        });
  }

  /// The op's own start of a pass, moved to the finished states.
  static Value rebaseStart(OpBuilder &builder, Location loc,
                           StatisticAttrInterface stat, unsigned pass,
                           ArrayRef<Value> before, ArrayRef<Value> finished,
                           SmallVectorImpl<Operation *> &mergeOps) {
    Value start = before[pass];
    int64_t rank = cast<RankedTensorType>(start.getType()).getRank();
    SmallVector<Value> inputs(before.take_front(pass));
    llvm::append_range(inputs, finished);
    SmallVector<AffineMap> maps(
        inputs.size() + 1,
        AffineMap::getMultiDimIdentityMap(rank, builder.getContext()));
    auto generic = linalg::GenericOp::create(
        builder, loc, start.getType(), inputs, start, maps,
        SmallVector<IteratorType>(rank, IteratorType::parallel),
        [&](OpBuilder &b, Location bodyLoc, ValueRange args) {
          Value state =
              stat.rebase(b, bodyLoc, pass, args.back(), args.take_front(pass),
                          args.slice(pass, pass));
          linalg::YieldOp::create(b, bodyLoc, state);
        });
    mergeOps.push_back(generic);
    return generic.getResult(0);
  }
};
} // namespace

void scaling::attachPartialReductionModels(MLIRContext *context) {
  context->loadDialect<arith::ArithDialect, linalg::LinalgDialect,
                       tensor::TensorDialect>();
  ReduceOp::attachInterface<PartialReduction<ReduceOp>>(*context);
  ApplyOp::attachInterface<PartialReduction<ApplyOp>>(*context);
}
