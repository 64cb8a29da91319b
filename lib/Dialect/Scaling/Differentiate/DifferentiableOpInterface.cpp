//===- DifferentiableOpInterface.cpp - Derivatives of ops -----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Differentiate/DifferentiableOpInterface.h"

#include "scaling/Conversion/ScalingToLinalg/ScalingToLinalg.h"
#include "scaling/Dialect/Scaling/Differentiate/TensorAdjoint.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

#include "scaling/Dialect/Scaling/Differentiate/DifferentiableOpInterface.cpp.inc"

namespace {
template <typename ConcreteModel, typename OpTy>
using Model = DifferentiableOpInterface::ExternalModel<ConcreteModel, OpTy>;

/// A named op: the derivative of what it stands for.
template <typename OpTy>
struct NamedModel final : Model<NamedModel<OpTy>, OpTy> {
  LogicalResult buildVectorJacobianProduct(Operation *op,
                                           TensorAdjoint &adjoint) const {
    if (isa<SimilarityBalanceOp>(op))
      return op->emitOpError("has no derivative here: its factors are powers "
                             "of two");
    return adjoint.runThrough(op, populateGeneralizePatterns);
  }
};

/// A core op: the derivative of its loops.
template <typename OpTy> struct CoreModel final : Model<CoreModel<OpTy>, OpTy> {
  LogicalResult buildVectorJacobianProduct(Operation *op,
                                           TensorAdjoint &adjoint) const {
    return adjoint.runThrough(op, populateScalingToLinalgPatterns);
  }
};

struct ApplyModel final : Model<ApplyModel, ApplyOp> {
  LogicalResult buildVectorJacobianProduct(Operation *op,
                                           TensorAdjoint &adjoint) const {
    return differentiateApply(adjoint, cast<ApplyOp>(op));
  }
};

struct PlanModel final : Model<PlanModel, PlanOp> {
  LogicalResult buildVectorJacobianProduct(Operation *op,
                                           TensorAdjoint &adjoint) const {
    return differentiatePlan(adjoint, cast<PlanOp>(op));
  }
};

struct IterateModel final : Model<IterateModel, IterateOp> {
  LogicalResult buildVectorJacobianProduct(Operation *op,
                                           TensorAdjoint &adjoint) const {
    return differentiateIterate(adjoint, cast<IterateOp>(op));
  }
};
} // namespace

template <template <typename> typename ModelTy, typename... OpTys>
static void attach(MLIRContext *context) {
  (OpTys::template attachInterface<ModelTy<OpTys>>(*context), ...);
}

void scaling::registerDifferentiableOpInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, ScalingDialect *) {
    context->loadDialect<arith::ArithDialect, linalg::LinalgDialect,
                         math::MathDialect, scf::SCFDialect,
                         tensor::TensorDialect>();
    attach<NamedModel, SinkhornOp, ProjectOp, BalanceOp, NormalizeOp,
           AttentionOp, SimilarityBalanceOp>(context);
    attach<CoreModel, ReduceOp, UpdateOp, MarginalsOp, PairwiseOp>(context);
    ApplyOp::attachInterface<ApplyModel>(*context);
    PlanOp::attachInterface<PlanModel>(*context);
    IterateOp::attachInterface<IterateModel>(*context);
  });
}
