//===- AggregatedOpInterfaceImpl.cpp - Decomposition ------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Interfaces/AggregatedOpInterfaceImpl.h"

#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
template <typename OpTy>
struct Decomposition
    : public linalg::AggregatedOpInterface::ExternalModel<Decomposition<OpTy>,
                                                          OpTy> {
  FailureOr<SmallVector<Value>> decomposeOperation(Operation *op,
                                                   OpBuilder &builder) const {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(op);
    if (auto iterate = dyn_cast<IterateOp>(op))
      return decomposeIterate(builder, iterate);
    return generalize(builder, op);
  }
};
} // namespace

template <typename... OpTys> static void attach(MLIRContext *context) {
  (OpTys::template attachInterface<Decomposition<OpTys>>(*context), ...);
}

void scaling::registerAggregatedOpInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, ScalingDialect *) {
    context->loadDialect<arith::ArithDialect, linalg::LinalgDialect,
                         math::MathDialect, scf::SCFDialect,
                         tensor::TensorDialect>();
    attach<IterateOp, SinkhornOp, ProjectOp, BalanceOp, NormalizeOp,
           AttentionOp, SimilarityBalanceOp>(context);
  });
}
