//===- Buffers.cpp - What is known of sizes and alignments ----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Buffers.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::scaling;

bool scaling::isMultiple(OpFoldResult value, int64_t factor) {
  if (std::optional<int64_t> known = getConstantIntValue(value))
    return *known % factor == 0;
  auto dynamic = dyn_cast<Value>(value);
  if (auto argument = dyn_cast<BlockArgument>(dynamic)) {
    if (auto forall =
            dyn_cast<scf::ForallOp>(argument.getOwner()->getParentOp())) {
      unsigned dim = argument.getArgNumber();
      return dim < forall.getRank() &&
             isMultiple(forall.getMixedLowerBound()[dim], factor) &&
             isMultiple(forall.getMixedStep()[dim], factor);
    }
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    return loop && argument == loop.getInductionVar() &&
           isMultiple(loop.getLowerBound(), factor) &&
           isMultiple(loop.getStep(), factor);
  }
  if (auto apply = dynamic.getDefiningOp<affine::AffineApplyOp>())
    return apply.getAffineMap().getResult(0).isMultipleOf(factor);
  if (auto least = dynamic.getDefiningOp<affine::AffineMinOp>())
    return llvm::all_of(least.getMap().getResults(), [&](AffineExpr result) {
      return result.isMultipleOf(factor);
    });
  if (auto product = dynamic.getDefiningOp<arith::MulIOp>())
    return isMultiple(product.getLhs(), factor) ||
           isMultiple(product.getRhs(), factor);
  if (auto dim = dynamic.getDefiningOp<memref::DimOp>()) {
    auto cast = dim.getSource().getDefiningOp<memref::ReinterpretCastOp>();
    std::optional<int64_t> position = dim.getConstantIndex();
    return cast && position &&
           isMultiple(cast.getMixedSizes()[*position], factor);
  }
  return false;
}

std::optional<int64_t> scaling::getUpperBound(OpFoldResult value) {
  if (std::optional<int64_t> known = getConstantIntValue(value))
    return known;
  if (auto dim = cast<Value>(value).getDefiningOp<memref::DimOp>()) {
    auto cast = dim.getSource().getDefiningOp<memref::ReinterpretCastOp>();
    std::optional<int64_t> position = dim.getConstantIndex();
    if (!cast || !position)
      return std::nullopt;
    return getUpperBound(cast.getMixedSizes()[*position]);
  }
  auto least = cast<Value>(value).getDefiningOp<affine::AffineMinOp>();
  std::optional<int64_t> bound;
  if (!least)
    return bound;
  for (AffineExpr result : least.getMap().getResults())
    if (auto constant = dyn_cast<AffineConstantExpr>(result))
      bound =
          std::min(bound.value_or(constant.getValue()), constant.getValue());
  return bound;
}

SmallVector<OpFoldResult> scaling::getSizes(Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  SmallVector<OpFoldResult> sizes =
      getAsIndexOpFoldResult(buffer.getContext(), type.getShape());
  if (type.hasStaticShape())
    return sizes;
  if (auto cast = buffer.getDefiningOp<memref::ReinterpretCastOp>())
    return cast.getMixedSizes();
  if (auto view = buffer.getDefiningOp<memref::ViewOp>()) {
    auto known = view.getSizes().begin();
    for (OpFoldResult &size : sizes)
      if (*getConstantIntValue(size) == ShapedType::kDynamic)
        size = *known++;
    return sizes;
  }
  auto view = buffer.getDefiningOp<memref::SubViewOp>();
  if (!view)
    return {};
  sizes.clear();
  llvm::SmallBitVector dropped = view.getDroppedDims();
  for (auto [dim, size] : llvm::enumerate(view.getMixedSizes()))
    if (!dropped.test(dim))
      sizes.push_back(size);
  return sizes;
}

std::optional<int64_t> scaling::getMostElements(Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  if (type.hasStaticShape())
    return type.getNumElements();
  SmallVector<OpFoldResult> sizes = getSizes(buffer);
  if (sizes.empty())
    return std::nullopt;
  int64_t elements = 1;
  for (OpFoldResult size : sizes) {
    std::optional<int64_t> most = getUpperBound(size);
    if (!most)
      return std::nullopt;
    elements *= *most;
  }
  return elements;
}

Value scaling::createPart(OpBuilder &b, Location loc, Value buffer, Value begin,
                          ArrayRef<OpFoldResult> sizes) {
  SmallVector<OpFoldResult> strides(sizes.size(), b.getIndexAttr(1));
  AffineExpr d0, d1;
  bindDims(b.getContext(), d0, d1);
  for (int64_t dim = int64_t(sizes.size()) - 2; dim >= 0; --dim)
    strides[dim] = affine::makeComposedFoldedAffineApply(
        b, loc, d0 * d1, {strides[dim + 1], sizes[dim + 1]});
  auto [shape, dynamicSizes] = decomposeMixedValues(sizes);
  auto [steps, dynamicStrides] = decomposeMixedValues(strides);
  auto type = MemRefType::get(
      shape, cast<MemRefType>(buffer.getType()).getElementType(),
      StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic, steps));
  return memref::ReinterpretCastOp::create(b, loc, type, buffer,
                                           OpFoldResult(begin), sizes, strides);
}

/// Whether the strides but the last one, of which some are known at run time
/// only, are multiples of a number.
static bool areStridesMultiples(Value buffer, ArrayRef<int64_t> strides,
                                int64_t factor) {
  if (llvm::any_of(strides, [&](int64_t stride) {
        return !ShapedType::isDynamic(stride) && stride % factor != 0;
      }))
    return false;
  if (!llvm::is_contained(strides, ShapedType::kDynamic))
    return true;
  // A view's are among its source's, which are looked at next.
  if (buffer.getDefiningOp<memref::SubViewOp>())
    return true;
  if (auto cast = buffer.getDefiningOp<memref::ReinterpretCastOp>())
    return llvm::all_of(
        ArrayRef(cast.getMixedStrides()).drop_back(),
        [&](OpFoldResult stride) { return isMultiple(stride, factor); });
  // Products of sizes, the last one among them.
  auto type = cast<MemRefType>(buffer.getType());
  if (!type.getLayout().isIdentity())
    return false;
  int64_t last = type.getShape().back();
  if (!ShapedType::isDynamic(last))
    return last % factor == 0;
  auto view = buffer.getDefiningOp<memref::ViewOp>();
  return view && isMultiple(view.getSizes().back(), factor);
}

bool scaling::isAligned(Value buffer, int64_t factor) {
  auto type = cast<MemRefType>(buffer.getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) || strides.empty() ||
      strides.back() != 1 ||
      !areStridesMultiples(buffer, ArrayRef(strides).drop_back(), factor))
    return false;
  if (auto view = buffer.getDefiningOp<memref::SubViewOp>()) {
    // Offsets along other dimensions are multiples of their strides.
    OpFoldResult last = view.getMixedOffsets().back();
    return view.getSourceType().getRank() > 0 && isMultiple(last, factor) &&
           isAligned(view.getSource(), factor);
  }
  // Buffers begin where any access may.
  auto isWhole = [](Value buffer) {
    if (auto argument = dyn_cast<BlockArgument>(buffer))
      return isa<gpu::GPUFuncOp>(argument.getOwner()->getParentOp());
    return isa<memref::AllocOp, memref::ViewOp>(buffer.getDefiningOp());
  };
  if (auto cast = buffer.getDefiningOp<memref::ReinterpretCastOp>())
    return isMultiple(cast.getMixedOffsets()[0], factor) &&
           isWhole(cast.getSource());
  return offset == 0 && isWhole(buffer);
}

int64_t scaling::getVector(linalg::GenericOp op, int64_t dim,
                           OpFoldResult size) {
  int64_t vector = kAccessBytes;
  auto narrow = [&](auto fits) {
    while (vector > 1 && !fits())
      vector /= 2;
  };
  narrow([&] { return isMultiple(size, vector); });
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    if (!type)
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!map.isFunctionOfDim(dim))
      continue;
    bool isLast =
        isa<AffineDimExpr>(map.getResults().back()) &&
        llvm::none_of(map.getResults().drop_back(), [&](AffineExpr expr) {
          return expr.isFunctionOfDim(dim);
        });
    narrow([&] {
      return isLast && type.getElementType().isIntOrFloat() &&
             vector * type.getElementTypeBitWidth() <= 8 * kAccessBytes &&
             isAligned(operand.get(), vector);
    });
  }
  return vector;
}

int64_t scaling::getBytes(MemRefType type) {
  return llvm::divideCeil(type.getElementTypeBitWidth(), 8) *
         type.getNumElements();
}
