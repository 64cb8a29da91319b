//===- TileIntoLanes.cpp - Tiny matrices side by side -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LaneLoops.h"
#include "scaling/Dialect/Scaling/IR/Shapes.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::scaling;

bool scaling::takesLanes(Operation *op) {
  ScheduleAttr schedule = getScheduleOf(op);
  if (!schedule || schedule.getRegime() != Regime::tiny_batched ||
      schedule.getLanes() < 2)
    return false;
  // These are not made of half-steps alone.
  if (isa<AttentionOp, SimilarityBalanceOp>(op))
    return false;
  ProblemShape shape = *inferProblemShape(getBatchedOperands(op), "", nullptr);
  return !shape.batch.empty() && !ShapedType::isDynamic(shape[Size::rows]) &&
         !ShapedType::isDynamic(shape[Size::cols]);
}

namespace {
/// Tiles one op.
class LaneTiling {
public:
  LaneTiling(RewriterBase &builder, Operation *op);
  LogicalResult run();

private:
  using Sizes = SmallVector<OpFoldResult>;

  void showSizes();
  /// The operand with a single batch dimension; as it is where it has none.
  Value flattened(Value operand, int64_t tail);
  RewriterBase &b;
  Operation *op;
  Location loc;
  ScalingBatchedOpInterface batched;
  int64_t lanes;
  Sizes batchSizes;
  OpFoldResult total;
};
} // namespace

LaneTiling::LaneTiling(RewriterBase &builder, Operation *op)
    : b(builder), op(op), loc(op->getLoc()),
      batched(cast<ScalingBatchedOpInterface>(op)),
      lanes(getScheduleOf(op).getLanes()) {
  b.setInsertionPoint(op);
  showSizes();
  SmallVector<BatchedOperand> operands = getBatchedOperands(op);
  ProblemShape shape = *inferProblemShape(operands, "", nullptr);
  for (int64_t dim : llvm::seq(batched.getBatchRank())) {
    OpFoldResult size = getBatchSize(b, loc, operands, shape, dim);
    if (auto value = dyn_cast<Value>(size))
      size = getAsOpFoldResult(value);
    batchSizes.push_back(size);
  }
  total = batchSizes.front();
  AffineExpr x, y;
  bindDims(b.getContext(), x, y);
  for (OpFoldResult size : llvm::drop_begin(batchSizes))
    total = affine::makeComposedFoldedAffineApply(b, loc, x * y, {total, size});
}

/// Casts operands to the sizes that others know.
void LaneTiling::showSizes() {
  SmallVector<BatchedOperand> operands = getBatchedOperands(op);
  ProblemShape shape = *inferProblemShape(operands, "", nullptr);
  llvm::erase_if(operands,
                 [](const BatchedOperand &operand) { return !operand.value; });
  // The ε of an annealed iteration come last; no other size is theirs.
  for (auto [use, operand] : llvm::zip(op->getOpOperands(), operands)) {
    auto type = cast<RankedTensorType>(use.get().getType());
    SmallVector<int64_t> sizes(type.getShape());
    int64_t batchRank = type.getRank() - operand.tail.size();
    for (auto [dim, size] : llvm::enumerate(operand.tail))
      if (!ShapedType::isDynamic(shape[size]))
        sizes[batchRank + dim] = shape[size] - operand.extra;
    if (ArrayRef(sizes) == type.getShape())
      continue;
    Value cast = tensor::CastOp::create(b, loc, type.clone(sizes), use.get());
    OpOperand &shown = use;
    b.modifyOpInPlace(op, [&] { shown.set(cast); });
  }
}

Value LaneTiling::flattened(Value operand, int64_t tail) {
  auto type = cast<RankedTensorType>(operand.getType());
  int64_t own = type.getRank() - tail, batchRank = batchSizes.size();
  if (own == 0 || batchRank == 1)
    return operand;
  if (own < batchRank) {
    // Missing leading batch dimensions broadcast: aligned to the right.
    Sizes sizes(batchSizes);
    for (int64_t dim : llvm::seq(own, type.getRank()))
      sizes.push_back(b.getIndexAttr(type.getDimSize(dim)));
    Value init = tensor::EmptyOp::create(b, loc, sizes, type.getElementType());
    operand = linalg::BroadcastOp::create(
                  b, loc, operand, init,
                  llvm::to_vector(llvm::seq<int64_t>(batchRank - own)))
                  .getResults()[0];
  }
  SmallVector<ReassociationIndices> groups(1);
  llvm::append_range(groups[0], llvm::seq(batchRank));
  for (int64_t dim : llvm::seq(batchRank, batchRank + tail))
    groups.push_back({dim});
  return tensor::CollapseShapeOp::create(b, loc, operand, groups);
}

LogicalResult LaneTiling::run() {
  SmallVector<Value> operands;
  SmallVector<bool> hasBatch;
  for (auto [operand, tail] :
       llvm::zip_equal(op->getOperands(), batched.getOperandTailRanks())) {
    operands.push_back(flattened(operand, tail));
    hasBatch.push_back(cast<RankedTensorType>(operand.getType()).getRank() >
                       tail);
  }
  // What nobody reads is not stored.
  SmallVector<OpResult> read;
  llvm::copy_if(op->getResults(), std::back_inserter(read),
                [](OpResult result) { return !result.use_empty(); });
  SmallVector<RankedTensorType> types;
  for (OpResult result : read) {
    SmallVector<int64_t> shape;
    for (OpFoldResult size : batched.getResultTail(b, result.getResultNumber()))
      shape.push_back(*getConstantIntValue(size));
    types.push_back(
        RankedTensorType::get(shape, getElementTypeOrSelf(result.getType())));
  }
  auto matrix = cast<RankedTensorType>(op->getOperand(0).getType());
  int64_t bytes = llvm::divideCeil(matrix.getElementTypeBitWidth(), 8);
  for (int64_t size : matrix.getShape().take_back(2))
    bytes *= std::max<int64_t>(size, 1);
  FailureOr<SmallVector<Value>> values =
      LaneLoops(b, loc, lanes, total)
          .run(
              operands, hasBatch, types, bytes,
              [&](ArrayRef<Value> tiles) -> FailureOr<SmallVector<Value>> {
                SmallVector<Type> tileTypes;
                if (failed(cast<InferTypeOpInterface>(op).inferReturnTypes(
                        op->getContext(), loc, tiles,
                        op->getRawDictionaryAttrs(), op->getPropertiesStorage(),
                        op->getRegions(), tileTypes)))
                  return failure();
                Operation *tiled = mlir::clone(b, op, tileTypes, tiles);
                return llvm::map_to_vector(read, [&](OpResult result) -> Value {
                  return tiled->getResult(result.getResultNumber());
                });
              });
  if (failed(values))
    return failure();

  for (auto [value, result] : llvm::zip_equal(*values, read)) {
    Value whole = value;
    auto type = cast<RankedTensorType>(result.getType());
    int64_t batchRank = batchSizes.size();
    if (batchRank > 1) {
      SmallVector<ReassociationIndices> groups(1);
      llvm::append_range(groups[0], llvm::seq(batchRank));
      Sizes sizes(batchSizes);
      for (int64_t dim : llvm::seq(batchRank, type.getRank())) {
        groups.push_back({dim});
        sizes.push_back(b.getIndexAttr(type.getDimSize(dim)));
      }
      // Sizes may be known that the op's type does not show.
      auto [shape, dynamic] = decomposeMixedValues(sizes);
      whole = tensor::ExpandShapeOp::create(
          b, loc, RankedTensorType::get(shape, type.getElementType()), whole,
          groups, sizes);
    }
    if (whole.getType() != type)
      whole = tensor::CastOp::create(b, loc, type, whole);
    b.replaceAllUsesWith(result, whole);
  }
  b.eraseOp(op);
  return success();
}

LogicalResult scaling::tileIntoLanes(RewriterBase &rewriter, Operation *op) {
  OpBuilder::InsertionGuard guard(rewriter);
  return LaneTiling(rewriter, op).run();
}
