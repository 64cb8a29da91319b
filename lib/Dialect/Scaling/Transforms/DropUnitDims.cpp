//===- DropUnitDims.cpp - Batches of one ------------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Transforms/Passes.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace mlir::scaling {
#define GEN_PASS_DEF_SCALINGDROPUNITDIMSPASS
#include "scaling/Dialect/Scaling/Transforms/Passes.h.inc"
} // namespace mlir::scaling

using namespace mlir;
using namespace mlir::scaling;

/// The groups that a reshape merges when it leaves out the dropped dimensions;
/// none when nothing is left.
static SmallVector<ReassociationIndices>
reassociationWithout(int64_t rank, const llvm::SmallBitVector &dropped) {
  SmallVector<ReassociationIndices> groups;
  ReassociationIndices pending;
  for (int64_t dim = 0; dim < rank; ++dim) {
    pending.push_back(dim);
    if (!dropped[dim])
      groups.push_back(std::exchange(pending, {}));
  }
  if (!groups.empty())
    groups.back().append(pending);
  return groups;
}

static RankedTensorType without(RankedTensorType type,
                                const llvm::SmallBitVector &dropped) {
  SmallVector<int64_t> shape;
  for (auto [dim, size] : llvm::enumerate(type.getShape()))
    if (!dropped[dim])
      shape.push_back(size);
  return RankedTensorType::get(shape, type.getElementType());
}

namespace {
struct DropUnitBatchDims final
    : OpInterfaceRewritePattern<ScalingBatchedOpInterface> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;

  LogicalResult matchAndRewrite(ScalingBatchedOpInterface op,
                                PatternRewriter &rewriter) const override {
    int64_t batchRank = op.getBatchRank();
    auto first = cast<RankedTensorType>(op->getResult(0).getType());
    llvm::SmallBitVector unit(batchRank);
    for (int64_t dim = 0; dim < batchRank; ++dim)
      unit[dim] = first.getDimSize(dim) == 1;
    if (unit.none())
      return failure();
    auto infer = dyn_cast<InferTypeOpInterface>(op.getOperation());
    if (!infer)
      return failure();

    // A value of smaller batch rank has the last batch dimensions only.
    auto droppedOf = [&](RankedTensorType type, int64_t tail) {
      int64_t own = type.getRank() - tail;
      llvm::SmallBitVector dropped(type.getRank());
      for (int64_t dim = 0; dim < own; ++dim)
        dropped[dim] = unit[batchRank - own + dim];
      return dropped;
    };

    Location loc = op.getLoc();
    SmallVector<Value> operands;
    for (auto [operand, tail] :
         llvm::zip_equal(op->getOperands(), op.getOperandTailRanks())) {
      auto type = cast<RankedTensorType>(operand.getType());
      llvm::SmallBitVector dropped = droppedOf(type, tail);
      Value value = operand;
      if (dropped.any()) {
        // What others know to be one is one here.
        SmallVector<int64_t> shape(type.getShape());
        for (unsigned dim : dropped.set_bits())
          shape[dim] = 1;
        auto known = RankedTensorType::get(shape, type.getElementType());
        if (known != type)
          value = tensor::CastOp::create(rewriter, loc, known, value);
        value = tensor::CollapseShapeOp::create(
            rewriter, loc, without(known, dropped), value,
            reassociationWithout(type.getRank(), dropped));
      }
      operands.push_back(value);
    }

    OperationState state(loc, op->getName(), operands, TypeRange(),
                         op->getAttrs());
    SmallVector<Type> types;
    if (failed(infer.inferReturnTypes(
            op.getContext(), loc, operands, op->getDiscardableAttrDictionary(),
            op->getPropertiesStorage(), op->getRegions(), types)))
      return failure();
    state.addTypes(types);
    Operation *dense = rewriter.create(state);

    SmallVector<Value> results;
    for (auto [result, old] :
         llvm::zip_equal(dense->getResults(), op->getResultTypes())) {
      auto type = cast<RankedTensorType>(old);
      llvm::SmallBitVector dropped =
          droppedOf(type, type.getRank() - batchRank);
      auto own = cast<RankedTensorType>(result.getType());
      // The old shape, as far as the new op knows it.
      SmallVector<int64_t> shape;
      int64_t next = 0;
      for (int64_t dim = 0; dim < type.getRank(); ++dim)
        shape.push_back(dropped[dim] ? 1 : own.getDimSize(next++));
      auto whole = RankedTensorType::get(shape, type.getElementType());
      Value value = tensor::ExpandShapeOp::create(
          rewriter, loc, whole, result,
          reassociationWithout(type.getRank(), dropped));
      if (whole != type)
        value = tensor::CastOp::create(rewriter, loc, type, value);
      results.push_back(value);
    }
    rewriter.replaceOp(op, results);
    return success();
  }
};

struct DropUnitDimsPass
    : scaling::impl::ScalingDropUnitDimsPassBase<DropUnitDimsPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateDropUnitBatchDimsPatterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace

void scaling::populateDropUnitBatchDimsPatterns(RewritePatternSet &patterns) {
  patterns.add<DropUnitBatchDims>(patterns.getContext());
}
