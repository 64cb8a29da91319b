//===- ShapeReification.cpp - Shapes of results at run time -----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Interfaces/ShapeReification.h"

#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/Dialect/Scaling/IR/Shapes.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// A result has the shape of its init.
template <typename OpTy>
struct StructuredReification
    : public ReifyRankedShapedTypeOpInterface::ExternalModel<
          StructuredReification<OpTy>, OpTy> {
  LogicalResult reifyResultShapes(Operation *op, OpBuilder &builder,
                                  ReifiedRankedShapedTypeDims &shapes) const {
    auto dps = cast<DestinationStyleOpInterface>(op);
    for (OpResult result : op->getResults())
      shapes.push_back(tensor::getMixedSizes(
          builder, op->getLoc(), dps.getTiedOpOperand(result)->get()));
    return success();
  }
};

/// A result has the problem's batch in front and its own sizes behind.
template <typename OpTy>
struct BatchedReification
    : public ReifyRankedShapedTypeOpInterface::ExternalModel<
          BatchedReification<OpTy>, OpTy> {
  LogicalResult reifyResultShapes(Operation *op, OpBuilder &builder,
                                  ReifiedRankedShapedTypeDims &shapes) const {
    auto batched = cast<ScalingBatchedOpInterface>(op);
    SmallVector<BatchedOperand> operands = getBatchedOperands(op);
    FailureOr<ProblemShape> shape = inferProblemShape(operands, "", nullptr);
    if (failed(shape))
      return failure();
    SmallVector<OpFoldResult> batch;
    for (int64_t dim : llvm::seq(batched.getBatchRank()))
      batch.push_back(
          getBatchSize(builder, op->getLoc(), operands, *shape, dim));
    for (unsigned result : llvm::seq(op->getNumResults())) {
      SmallVector<OpFoldResult> &sizes = shapes.emplace_back(batch);
      llvm::append_range(sizes, batched.getResultTail(builder, result));
    }
    return success();
  }
};
} // namespace

template <typename... OpTys>
static void attachStructured(MLIRContext *context) {
  (OpTys::template attachInterface<StructuredReification<OpTys>>(*context),
   ...);
}
template <typename... OpTys> static void attachBatched(MLIRContext *context) {
  (OpTys::template attachInterface<BatchedReification<OpTys>>(*context), ...);
}

void scaling::registerShapeReificationExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, ScalingDialect *) {
    context->loadDialect<arith::ArithDialect, tensor::TensorDialect>();
    attachStructured<ReduceOp, UpdateOp, PlanOp, ApplyOp, MarginalsOp,
                     PairwiseOp>(context);
    attachBatched<IterateOp, SinkhornOp, ProjectOp, BalanceOp, NormalizeOp,
                  AttentionOp, SimilarityBalanceOp>(context);
  });
}
