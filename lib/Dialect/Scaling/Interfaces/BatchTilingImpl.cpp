//===- BatchTilingImpl.cpp - Tiling of whole problems by batch --*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Interfaces/BatchTilingImpl.h"

#include "Slicing.h"

#include "scaling/Dialect/Scaling/IR/Shapes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/TilingInterface.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

namespace {
/// The domain is the batch; results have no destinations, the drivers make them
/// from the reified shapes.
template <typename OpTy>
struct BatchTiling
    : public TilingInterface::ExternalModel<BatchTiling<OpTy>, OpTy> {
  SmallVector<IteratorType> getLoopIteratorTypes(Operation *op) const {
    return SmallVector<IteratorType>(
        cast<ScalingBatchedOpInterface>(op).getBatchRank(),
        IteratorType::parallel);
  }

  SmallVector<Range> getIterationDomain(Operation *op,
                                        OpBuilder &builder) const {
    SmallVector<BatchedOperand> operands = getBatchedOperands(op);
    FailureOr<ProblemShape> shape = inferProblemShape(operands, "", nullptr);
    assert(succeeded(shape) && "a verified op has a shape");
    SmallVector<Range> domain;
    for (int64_t dim :
         llvm::seq(cast<ScalingBatchedOpInterface>(op).getBatchRank()))
      domain.push_back(
          {builder.getIndexAttr(0),
           getBatchSize(builder, op->getLoc(), operands, *shape, dim),
           builder.getIndexAttr(1)});
    return domain;
  }

  FailureOr<TilingResult>
  getTiledImplementation(Operation *op, OpBuilder &builder,
                         ArrayRef<OpFoldResult> offsets,
                         ArrayRef<OpFoldResult> sizes) const {
    auto batched = cast<ScalingBatchedOpInterface>(op);
    int64_t batchRank = batched.getBatchRank();
    TilingResult result;
    SmallVector<Value> operands;
    for (auto [operand, tail] :
         llvm::zip_equal(op->getOperands(), batched.getOperandTailRanks())) {
      int64_t rank = cast<RankedTensorType>(operand.getType()).getRank();
      int64_t ownBatch = rank - tail;
      if (ownBatch == 0) {
        operands.push_back(operand);
        continue;
      }
      // Missing leading batch dimensions broadcast: aligned to the right.
      SmallVector<OpFoldResult> ownOffsets(
          offsets.drop_front(batchRank - ownBatch));
      SmallVector<OpFoldResult> ownSizes(
          sizes.drop_front(batchRank - ownBatch));
      for (int64_t dim : llvm::seq(ownBatch, rank)) {
        ownOffsets.push_back(builder.getIndexAttr(0));
        ownSizes.push_back(getShapedSize(builder, op->getLoc(), operand, dim));
      }
      result.generatedSlices.push_back(
          createSlice(builder, op->getLoc(), operand, ownOffsets, ownSizes));
      operands.push_back(result.generatedSlices.back()->getResult(0));
    }
    SmallVector<Type> types;
    if (failed(cast<InferTypeOpInterface>(op).inferReturnTypes(
            op->getContext(), op->getLoc(), operands,
            op->getRawDictionaryAttrs(), op->getPropertiesStorage(),
            op->getRegions(), types)))
      return failure();
    Operation *tiled = mlir::clone(builder, op, types, operands);
    result.tiledOps.push_back(tiled);
    llvm::append_range(result.tiledValues, tiled->getResults());
    return result;
  }

  LogicalResult
  getResultTilePosition(Operation *op, OpBuilder &builder,
                        unsigned resultNumber, ArrayRef<OpFoldResult> offsets,
                        ArrayRef<OpFoldResult> sizes,
                        SmallVector<OpFoldResult> &resultOffsets,
                        SmallVector<OpFoldResult> &resultSizes) const {
    llvm::append_range(resultOffsets, offsets);
    llvm::append_range(resultSizes, sizes);
    for (OpFoldResult size : cast<ScalingBatchedOpInterface>(op).getResultTail(
             builder, resultNumber)) {
      resultOffsets.push_back(builder.getIndexAttr(0));
      resultSizes.push_back(size);
    }
    return success();
  }

  LogicalResult getIterationDomainTileFromResultTile(
      Operation *op, OpBuilder &builder, unsigned resultNumber,
      ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
      SmallVectorImpl<OpFoldResult> &domainOffsets,
      SmallVectorImpl<OpFoldResult> &domainSizes) const {
    auto batched = cast<ScalingBatchedOpInterface>(op);
    size_t batchRank = batched.getBatchRank();
    // A part of a result behind the batch would need the whole problem again.
    SmallVector<OpFoldResult> tail =
        batched.getResultTail(builder, resultNumber);
    for (auto [index, offset, size, whole] : llvm::enumerate(
             offsets.drop_front(batchRank), sizes.drop_front(batchRank), tail))
      if (!isWholeDim(offset, size, op->getResult(resultNumber),
                      batchRank + index) &&
          !(isConstantIntValue(offset, 0) && areEqual(size, whole)))
        return failure();
    domainOffsets.assign(offsets.begin(), offsets.begin() + batchRank);
    domainSizes.assign(sizes.begin(), sizes.begin() + batchRank);
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

private:
  static bool areEqual(OpFoldResult a, OpFoldResult b) {
    FailureOr<bool> equal = ValueBoundsConstraintSet::areEqual(a, b);
    return succeeded(equal) && *equal;
  }
};
} // namespace

template <typename... OpTys> static void attach(MLIRContext *context) {
  (OpTys::template attachInterface<BatchTiling<OpTys>>(*context), ...);
}

void scaling::registerBatchTilingExternalModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, ScalingDialect *) {
    context->loadDialect<affine::AffineDialect, tensor::TensorDialect>();
    attach<IterateOp, SinkhornOp, ProjectOp, BalanceOp, NormalizeOp,
           AttentionOp, SimilarityBalanceOp>(context);
  });
}
