//===- Slicing.cpp - Tiles of operands --------------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Slicing.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"

using namespace mlir;
using namespace mlir::scaling;

OpFoldResult scaling::getShapedSize(OpBuilder &builder, Location loc,
                                    Value shaped, int64_t dim) {
  // An init knows the size without the op that writes it.
  while (auto dps = shaped.getDefiningOp<DestinationStyleOpInterface>())
    shaped = dps.getTiedOpOperand(cast<OpResult>(shaped))->get();
  if (isa<RankedTensorType>(shaped.getType()))
    return tensor::getMixedSize(builder, loc, shaped, dim);
  return memref::getMixedSize(builder, loc, shaped, dim);
}

Operation *scaling::createSlice(OpBuilder &builder, Location loc, Value shaped,
                                ArrayRef<OpFoldResult> offsets,
                                ArrayRef<OpFoldResult> sizes,
                                RankedTensorType type) {
  SmallVector<OpFoldResult> strides(offsets.size(), builder.getIndexAttr(1));
  if (isa<MemRefType>(shaped.getType()))
    return memref::SubViewOp::create(builder, loc, shaped, offsets, sizes,
                                     strides);
  if (type)
    return tensor::ExtractSliceOp::create(builder, loc, type, shaped, offsets,
                                          sizes, strides);
  return tensor::ExtractSliceOp::create(builder, loc, shaped, offsets, sizes,
                                        strides);
}

bool scaling::isWholeDim(OpFoldResult offset, OpFoldResult size, Value shaped,
                         int64_t dim) {
  if (!isConstantIntValue(offset, 0))
    return false;
  int64_t whole = cast<ShapedType>(shaped.getType()).getDimSize(dim);
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return *constant == whole;
  if (!ShapedType::isDynamic(whole))
    return false;
  FailureOr<bool> equal =
      ValueBoundsConstraintSet::areEqual({size}, {shaped, dim});
  return succeeded(equal) && *equal;
}

bool scaling::isWholeDomainDim(ScalingStructuredOpInterface op, int64_t dim,
                               OpFoldResult offset, OpFoldResult size) {
  for (auto [operand, dims] :
       llvm::zip_equal(op->getOperands(), op.getOperandDims()))
    for (auto [position, domainDim] : llvm::enumerate(dims))
      if (domainDim == dim && isWholeDim(offset, size, operand, position))
        return true;
  return false;
}

SmallVector<OpFoldResult>
scaling::getDomainSizes(OpBuilder &builder, ScalingStructuredOpInterface op) {
  SmallVector<SmallVector<int64_t>> all = op.getOperandDims();
  // Any operand knows a size; one that knows it statically is asked first.
  auto sizeOf = [&](int64_t dim, bool onlyStatic) -> OpFoldResult {
    for (auto [operand, dims] : llvm::zip_equal(op->getOperands(), all)) {
      for (auto [position, domainDim] : llvm::enumerate(dims)) {
        if (domainDim != dim)
          continue;
        if (onlyStatic &&
            cast<ShapedType>(operand.getType()).isDynamicDim(position))
          continue;
        return getShapedSize(builder, op->getLoc(), operand, position);
      }
    }
    return {};
  };
  SmallVector<OpFoldResult> sizes;
  int64_t rank = op.getStructuredIteratorTypes().size();
  for (int64_t dim : llvm::seq(rank)) {
    OpFoldResult size = sizeOf(dim, /*onlyStatic=*/true);
    sizes.push_back(size ? size : sizeOf(dim, /*onlyStatic=*/false));
  }
  return sizes;
}

Value scaling::sliceOperand(OpBuilder &builder, ScalingStructuredOpInterface op,
                            OpOperand &operand, ArrayRef<OpFoldResult> offsets,
                            ArrayRef<OpFoldResult> sizes,
                            SmallVectorImpl<Operation *> &slices) {
  SmallVector<int64_t> dims = op.getOperandDims()[operand.getOperandNumber()];
  Value value = operand.get();
  // An init is sliced even if whole: the loop inserts the result where the
  // slice was, and bufferization sees that this is the same place.
  bool whole =
      !cast<DestinationStyleOpInterface>(op.getOperation()).isDpsInit(&operand);
  SmallVector<OpFoldResult> ownOffsets, ownSizes;
  for (auto [position, dim] : llvm::enumerate(dims)) {
    if (dim < 0) {
      ownOffsets.push_back(builder.getIndexAttr(0));
      ownSizes.push_back(getShapedSize(builder, op->getLoc(), value, position));
      continue;
    }
    whole = whole && isWholeDomainDim(op, dim, offsets[dim], sizes[dim]);
    ownOffsets.push_back(offsets[dim]);
    ownSizes.push_back(sizes[dim]);
  }
  if (whole)
    return value;
  slices.push_back(
      createSlice(builder, op->getLoc(), value, ownOffsets, ownSizes));
  return slices.back()->getResult(0);
}

void scaling::adjustOffsets(OpBuilder &builder, Operation *tiled,
                            ArrayRef<OpFoldResult> offsets) {
  auto apply = dyn_cast<ApplyOp>(tiled);
  if (!apply || (apply.getKind() != ApplyKind::argmax &&
                 apply.getKind() != ApplyKind::dual))
    return;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(apply);
  auto adjust = [&](MutableOperandRange operand, OpFoldResult offset) {
    if (isConstantIntValue(offset, 0))
      return;
    if (!operand.empty()) {
      AffineExpr a, b;
      bindSymbols(builder.getContext(), a, b);
      Value before = operand[0].get();
      offset = affine::makeComposedFoldedAffineApply(
          builder, apply.getLoc(), a + b, {OpFoldResult(before), offset});
    }
    operand.assign(
        getValueOrCreateConstantIndexOp(builder, apply.getLoc(), offset));
  };
  // Both have rows and columns last.
  adjust(apply.getOffsetMutable(), offsets.back());
  if (apply.getKind() == ApplyKind::dual)
    adjust(apply.getRowOffsetMutable(), offsets[offsets.size() - 2]);
}
