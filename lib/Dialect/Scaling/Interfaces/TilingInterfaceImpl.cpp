//===- TilingInterfaceImpl.cpp - Tiling of the structured ops ---*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Interfaces/TilingInterfaceImpl.h"

#include "Slicing.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/TilingInterface.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

/// Takes over the offsets and sizes that a tile of an operand gives the domain.
/// Fails where two operands disagree and where a part of a dimension that is
/// never tiled is asked for. Dimensions no operand has stay empty.
static LogicalResult mapOperandTile(ScalingStructuredOpInterface op,
                                    unsigned operandNumber,
                                    ArrayRef<OpFoldResult> offsets,
                                    ArrayRef<OpFoldResult> sizes,
                                    MutableArrayRef<OpFoldResult> domainOffsets,
                                    MutableArrayRef<OpFoldResult> domainSizes) {
  SmallVector<int64_t> dims = op.getOperandDims()[operandNumber];
  if (dims.size() != offsets.size())
    return failure();
  Value value = op->getOperand(operandNumber);
  for (auto [position, dim] : llvm::enumerate(dims)) {
    OpFoldResult offset = offsets[position], size = sizes[position];
    if (dim < 0) {
      if (!isWholeDim(offset, size, value, position))
        return failure();
      continue;
    }
    if (domainSizes[dim] &&
        !(isEqualConstantIntOrValue(domainOffsets[dim], offset) &&
          isEqualConstantIntOrValue(domainSizes[dim], size)))
      return failure();
    domainOffsets[dim] = offset;
    domainSizes[dim] = size;
  }
  return success();
}

/// The same for several operands. A consumer that reduces along a dimension
/// cannot be computed from a part of it.
static LogicalResult
mapOperandTiles(ScalingStructuredOpInterface op,
                ArrayRef<unsigned> operandNumbers,
                ArrayRef<SmallVector<OpFoldResult>> allOffsets,
                ArrayRef<SmallVector<OpFoldResult>> allSizes,
                SmallVectorImpl<OpFoldResult> &domainOffsets,
                SmallVectorImpl<OpFoldResult> &domainSizes) {
  SmallVector<IteratorType> types = op.getStructuredIteratorTypes();
  domainOffsets.assign(types.size(), {});
  domainSizes.assign(types.size(), {});
  for (auto [number, offsets, sizes] :
       llvm::zip_equal(operandNumbers, allOffsets, allSizes))
    if (failed(mapOperandTile(op, number, offsets, sizes, domainOffsets,
                              domainSizes)))
      return failure();
  for (auto [dim, type] : llvm::enumerate(types))
    if (type == IteratorType::reduction && domainSizes[dim] &&
        !isWholeDomainDim(op, dim, domainOffsets[dim], domainSizes[dim]))
      return failure();
  return success();
}

/// Dimensions without a tile are taken whole.
static void fillWithDomain(OpBuilder &builder, ScalingStructuredOpInterface op,
                           MutableArrayRef<OpFoldResult> offsets,
                           MutableArrayRef<OpFoldResult> sizes) {
  if (llvm::all_of(sizes, [](OpFoldResult size) { return !size.isNull(); }))
    return;
  SmallVector<OpFoldResult> whole = getDomainSizes(builder, op);
  for (auto [offset, size, wholeSize] :
       llvm::zip_equal(offsets, sizes, whole)) {
    if (size)
      continue;
    offset = builder.getIndexAttr(0);
    size = wholeSize;
  }
}

namespace {
/// Written from `ScalingStructuredOpInterface` alone.
template <typename OpTy>
struct StructuredTiling
    : public TilingInterface::ExternalModel<StructuredTiling<OpTy>, OpTy> {
  SmallVector<IteratorType> getLoopIteratorTypes(Operation *op) const {
    return cast<ScalingStructuredOpInterface>(op).getStructuredIteratorTypes();
  }

  SmallVector<Range> getIterationDomain(Operation *op,
                                        OpBuilder &builder) const {
    auto structured = cast<ScalingStructuredOpInterface>(op);
    return llvm::map_to_vector(
        getDomainSizes(builder, structured), [&](OpFoldResult size) {
          return Range{builder.getIndexAttr(0), size, builder.getIndexAttr(1)};
        });
  }

  FailureOr<TilingResult>
  getTiledImplementation(Operation *op, OpBuilder &builder,
                         ArrayRef<OpFoldResult> offsets,
                         ArrayRef<OpFoldResult> sizes) const {
    auto structured = cast<ScalingStructuredOpInterface>(op);
    auto dps = cast<DestinationStyleOpInterface>(op);
    TilingResult result;
    SmallVector<Value> operands;
    SmallVector<Type> types;
    for (OpOperand &operand : op->getOpOperands()) {
      operands.push_back(sliceOperand(builder, structured, operand, offsets,
                                      sizes, result.generatedSlices));
      if (dps.isDpsInit(&operand) &&
          isa<RankedTensorType>(operand.get().getType()))
        types.push_back(operands.back().getType());
    }
    Operation *tiled = mlir::clone(builder, op, types, operands);
    adjustOffsets(builder, tiled, offsets);
    result.tiledOps.push_back(tiled);
    llvm::append_range(result.tiledValues, tiled->getResults());
    return result;
  }

  LogicalResult
  getResultTilePosition(Operation *op, OpBuilder &, unsigned resultNumber,
                        ArrayRef<OpFoldResult> offsets,
                        ArrayRef<OpFoldResult> sizes,
                        SmallVector<OpFoldResult> &resultOffsets,
                        SmallVector<OpFoldResult> &resultSizes) const {
    for (int64_t dim : initDims(op, resultNumber)) {
      resultOffsets.push_back(offsets[dim]);
      resultSizes.push_back(sizes[dim]);
    }
    return success();
  }

  LogicalResult getIterationDomainTileFromResultTile(
      Operation *op, OpBuilder &builder, unsigned resultNumber,
      ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
      SmallVectorImpl<OpFoldResult> &domainOffsets,
      SmallVectorImpl<OpFoldResult> &domainSizes) const {
    auto structured = cast<ScalingStructuredOpInterface>(op);
    size_t rank = structured.getStructuredIteratorTypes().size();
    domainOffsets.assign(rank, {});
    domainSizes.assign(rank, {});
    for (auto [dim, offset, size] :
         llvm::zip_equal(initDims(op, resultNumber), offsets, sizes)) {
      domainOffsets[dim] = offset;
      domainSizes[dim] = size;
    }
    fillWithDomain(builder, structured, domainOffsets, domainSizes);
    return success();
  }

  FailureOr<TilingResult>
  generateResultTileValue(Operation *op, OpBuilder &builder,
                          unsigned resultNumber, ArrayRef<OpFoldResult> offsets,
                          ArrayRef<OpFoldResult> sizes) const {
    SmallVector<OpFoldResult> domainOffsets, domainSizes;
    if (failed(getIterationDomainTileFromResultTile(
            op, builder, resultNumber, offsets, sizes, domainOffsets,
            domainSizes)))
      return failure();
    FailureOr<TilingResult> tiled =
        getTiledImplementation(op, builder, domainOffsets, domainSizes);
    if (failed(tiled))
      return failure();
    return TilingResult{tiled->tiledOps,
                        {tiled->tiledValues[resultNumber]},
                        tiled->generatedSlices};
  }

  LogicalResult getIterationDomainTileFromOperandTiles(
      Operation *op, OpBuilder &builder, ArrayRef<unsigned> operandNumbers,
      ArrayRef<SmallVector<OpFoldResult>> allOffsets,
      ArrayRef<SmallVector<OpFoldResult>> allSizes,
      SmallVectorImpl<OpFoldResult> &domainOffsets,
      SmallVectorImpl<OpFoldResult> &domainSizes) const {
    auto structured = cast<ScalingStructuredOpInterface>(op);
    if (failed(mapOperandTiles(structured, operandNumbers, allOffsets, allSizes,
                               domainOffsets, domainSizes)))
      return failure();
    fillWithDomain(builder, structured, domainOffsets, domainSizes);
    return success();
  }

  FailureOr<TilingResult> getTiledImplementationFromOperandTiles(
      Operation *op, OpBuilder &builder, ArrayRef<unsigned> operandNumbers,
      ArrayRef<SmallVector<OpFoldResult>> allOffsets,
      ArrayRef<SmallVector<OpFoldResult>> allSizes) const {
    SmallVector<OpFoldResult> domainOffsets, domainSizes;
    if (failed(getIterationDomainTileFromOperandTiles(
            op, builder, operandNumbers, allOffsets, allSizes, domainOffsets,
            domainSizes)))
      return failure();
    return getTiledImplementation(op, builder, domainOffsets, domainSizes);
  }

  bool isOpFusableWithConsumerSlice(Operation *, unsigned,
                                    ArrayRef<OpFoldResult>,
                                    ArrayRef<OpFoldResult>) const {
    return true;
  }

  bool isOpFusableWithProducerSlices(
      Operation *op, ArrayRef<unsigned> operandNumbers,
      ArrayRef<SmallVector<OpFoldResult>> allOffsets,
      ArrayRef<SmallVector<OpFoldResult>> allSizes) const {
    SmallVector<OpFoldResult> domainOffsets, domainSizes;
    return succeeded(mapOperandTiles(cast<ScalingStructuredOpInterface>(op),
                                     operandNumbers, allOffsets, allSizes,
                                     domainOffsets, domainSizes));
  }

private:
  static SmallVector<int64_t> initDims(Operation *op, unsigned resultNumber) {
    auto dps = cast<DestinationStyleOpInterface>(op);
    unsigned operand = dps.getDpsInitOperand(resultNumber)->getOperandNumber();
    return cast<ScalingStructuredOpInterface>(op).getOperandDims()[operand];
  }
};
} // namespace

template <typename... OpTys> static void attach(MLIRContext *context) {
  (OpTys::template attachInterface<StructuredTiling<OpTys>>(*context), ...);
}

void scaling::registerTilingInterfaceExternalModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, ScalingDialect *) {
    context->loadDialect<affine::AffineDialect, memref::MemRefDialect,
                         tensor::TensorDialect>();
    attach<ReduceOp, UpdateOp, PlanOp, ApplyOp, MarginalsOp, PairwiseOp>(
        context);
    attachPartialReductionModels(context);
  });
}
