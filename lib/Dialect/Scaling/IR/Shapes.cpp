//===- Shapes.cpp - Batches, what goes with rows and columns ----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/IR/Shapes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace mlir::scaling;

SmallVector<int64_t> ProblemShape::with(ArrayRef<Size> tail) const {
  SmallVector<int64_t> shape(batch);
  for (Size size : tail)
    shape.push_back((*this)[size]);
  return shape;
}

static StringRef nameOf(Size size) {
  switch (size) {
  case Size::rows:
    return "rows";
  case Size::cols:
    return "columns";
  case Size::depth:
    return "coordinates";
  case Size::width:
    return "value columns";
  }
  llvm_unreachable("a size");
}

/// Takes over a static size; false when two static sizes differ.
static bool merge(int64_t &known, int64_t size) {
  if (ShapedType::isDynamic(size) || known == size)
    return true;
  if (!ShapedType::isDynamic(known))
    return false;
  known = size;
  return true;
}

FailureOr<ProblemShape>
scaling::inferProblemShape(ArrayRef<BatchedOperand> operands,
                           StringRef constraint,
                           function_ref<InFlightDiagnostic()> emitError) {
  ProblemShape shape;
  size_t batchRank = 0;
  for (const BatchedOperand &operand : operands) {
    if (!operand.value)
      continue;
    auto type = dyn_cast<RankedTensorType>(operand.value.getType());
    size_t tail = operand.tail.size();
    if (!type || type.getRank() < static_cast<int64_t>(tail)) {
      if (emitError)
        emitError() << "'" << operand.name << "' must have rank at least "
                    << tail << " (" << (tail == 2 ? "C1" : constraint) << ")";
      return failure();
    }
    batchRank = std::max(batchRank, type.getRank() - tail);
  }
  shape.batch.assign(batchRank, ShapedType::kDynamic);

  for (const BatchedOperand &operand : operands) {
    if (!operand.value)
      continue;
    auto type = cast<RankedTensorType>(operand.value.getType());
    ArrayRef<int64_t> own = type.getShape().drop_back(operand.tail.size());
    ArrayRef<int64_t> rest = type.getShape().take_back(operand.tail.size());
    for (auto [index, size] : llvm::enumerate(own)) {
      int64_t &known = shape.batch[batchRank - own.size() + index];
      if (merge(known, size))
        continue;
      if (emitError)
        emitError() << "'" << operand.name << "' has batch size " << size
                    << " where others have " << known << " (" << constraint
                    << ")";
      return failure();
    }
    for (auto [label, size] : llvm::zip_equal(operand.tail, rest)) {
      int64_t whole = ShapedType::isDynamic(size) ? size : size + operand.extra;
      if (merge(shape[label], whole))
        continue;
      if (emitError)
        emitError() << "'" << operand.name << "' has " << whole
                    << " entries where there are " << shape[label] << ' '
                    << nameOf(label) << " (" << constraint << ")";
      return failure();
    }
  }
  return shape;
}

OpFoldResult scaling::getProblemSize(OpBuilder &builder, Location loc,
                                     ArrayRef<BatchedOperand> operands,
                                     const ProblemShape &shape, Size size) {
  if (!ShapedType::isDynamic(shape[size]))
    return builder.getIndexAttr(shape[size]);
  for (const BatchedOperand &operand : operands) {
    const auto *it = llvm::find(operand.tail, size);
    if (!operand.value || it == operand.tail.end())
      continue;
    auto type = cast<RankedTensorType>(operand.value.getType());
    int64_t position = type.getRank() - (operand.tail.end() - it);
    OpFoldResult own =
        tensor::getMixedSize(builder, loc, operand.value, position);
    if (operand.extra == 0)
      return own;
    Value dynamic = getValueOrCreateConstantIndexOp(builder, loc, own);
    Value extra = arith::ConstantIndexOp::create(builder, loc, operand.extra);
    return arith::AddIOp::create(builder, loc, dynamic, extra).getResult();
  }
  llvm_unreachable("every size of a problem is an operand's");
}

OpFoldResult scaling::getBatchSize(OpBuilder &builder, Location loc,
                                   ArrayRef<BatchedOperand> operands,
                                   const ProblemShape &shape, int64_t dim) {
  if (!ShapedType::isDynamic(shape.batch[dim]))
    return builder.getIndexAttr(shape.batch[dim]);
  for (const BatchedOperand &operand : operands) {
    if (!operand.value)
      continue;
    auto type = cast<RankedTensorType>(operand.value.getType());
    int64_t own = type.getRank() - operand.tail.size();
    int64_t position = dim - (static_cast<int64_t>(shape.batch.size()) - own);
    if (position >= 0)
      return tensor::getMixedSize(builder, loc, operand.value, position);
  }
  llvm_unreachable("every batch dimension is an operand's");
}
