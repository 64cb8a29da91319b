//===- DifferentiatePass.cpp - The pass -----------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Differentiate/Differentiate.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGDIFFERENTIATEPASS
#include "scaling/Dialect/Scaling/Differentiate/Differentiate.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

static bool isFloatTensor(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa<FloatType>(tensor.getElementType());
}

namespace {
struct DifferentiatePass final
    : scaling::impl::ScalingDifferentiatePassBase<DifferentiatePass> {
  using Base::Base;

  void runOnOperation() override {
    if (checkpoints < 0) {
      getOperation().emitError("'checkpoints' must not be negative");
      return signalPassFailure();
    }
    // Of a residual that is not a number, neither.
    if (!(residual >= 0.0) || maxSolverSteps < 0) {
      getOperation().emitError("'residual' and 'max-solver-steps' must not be "
                               "negative");
      return signalPassFailure();
    }
    SmallVector<func::FuncOp> chosen;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      bool named = llvm::is_contained(functions, function.getName());
      if (!function.isDeclaration() &&
          (functions.empty() ? function.isPublic() : named))
        chosen.push_back(function);
    }
    for (const std::string &name : functions)
      if (!getOperation().lookupSymbol<func::FuncOp>(name)) {
        getOperation().emitError("has no function '") << name << "'";
        return signalPassFailure();
      }
    for (func::FuncOp function : chosen)
      if (failed(run(function)))
        return signalPassFailure();
  }

  LogicalResult run(func::FuncOp function) {
    SmallVector<int64_t> positions;
    for (int64_t position : wrt) {
      if (position < 0 || position >= function.getNumArguments() ||
          !isFloatTensor(function.getArgument(position).getType()))
        return function.emitError("'")
               << function.getName() << "' has no float tensor at position "
               << position;
      positions.push_back(position);
    }
    for (auto [position, type] : llvm::enumerate(function.getArgumentTypes()))
      if (wrt.empty() && isFloatTensor(type))
        positions.push_back(position);
    DifferentiateOptions options;
    options.mode = mode;
    options.checkpoints = checkpoints;
    options.residual = residual;
    options.maxSolverSteps = maxSolverSteps;
    return differentiate(function, positions, options);
  }
};
} // namespace
