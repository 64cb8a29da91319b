//===- DifferentiatePass.cpp - The pass -----------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ScalingToLinalg/ScalingToLinalg.h"
#include "scaling/Dialect/Scaling/Differentiate/Differentiate.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGDIFFERENTIATEPASS
#include "scaling/Dialect/Scaling/Differentiate/Differentiate.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// The function in the form that derivatives are taken of.
static void prepare(func::FuncOp function) {
  auto apply = [&](auto populate) {
    RewritePatternSet patterns(function.getContext());
    populate(patterns);
    walkAndApplyPatterns(function, std::move(patterns));
  };
  apply(populateGeneralizePatterns);
  apply(populateScalingToLinalgPatterns);
  apply(linalg::populateLinalgNamedOpsGeneralizationPatterns);
  // Which steps a relaxation would take is not known here.
  function.walk([](IterateOp op) {
    StopAttr stop = op.getStop();
    if (!stop.relaxes(op.getRows(), op.getCols(), op.getOrder()))
      return;
    op.setStopAttr(StopAttr::get(
        op.getContext(), stop.getMode(), stop.getLimit(), stop.getMeasureLast(),
        stop.getTol(), stop.getWhat(), stop.getAxis(), stop.getNorm(),
        stop.getEvery(), stop.getStart(), stop.getPatienceFirst(),
        stop.getLast(), Relax::none, /*depth=*/0));
  });
}

static bool isFloatTensor(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa<FloatType>(tensor.getElementType());
}

namespace {
struct DifferentiatePass final
    : scaling::impl::ScalingDifferentiatePassBase<DifferentiatePass> {
  using Base::Base;

  void runOnOperation() override {
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
    // What there was stays as it was.
    func::FuncOp general = function.clone();
    OpBuilder builder(function);
    builder.setInsertionPointAfter(function);
    builder.insert(general);
    prepare(general);
    FailureOr<func::FuncOp> vjp = differentiate(general, positions);
    general.erase();
    return vjp;
  }
};
} // namespace
