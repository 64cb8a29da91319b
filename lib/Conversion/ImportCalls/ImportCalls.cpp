//===- ImportCalls.cpp - Calls to named ops -------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ImportCalls/ImportCalls.h"

#include "scaling/Conversion/ImportNamedOps/ImportNamedOps.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGIMPORTCALLSPASS
#include "scaling/Conversion/ImportCalls/ImportCalls.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

static constexpr llvm::StringLiteral kOpAttrName = "scaling.op";
static constexpr llvm::StringLiteral kOperandsAttrName = "scaling.operands";
static constexpr llvm::StringLiteral kAttributesAttrName = "scaling.attributes";

/// All types as ranked tensors; failure where one is something else.
static FailureOr<SmallVector<RankedTensorType>> getTensors(TypeRange types) {
  SmallVector<RankedTensorType> tensors;
  for (Type type : types) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor)
      return failure();
    tensors.push_back(tensor);
  }
  return tensors;
}

/// What the declaration stands for; on failure `message` says why nothing.
static FailureOr<NamedOpImport> read(func::FuncOp func, StringRef op,
                                     std::string &message) {
  auto names = func->getAttrOfType<ArrayAttr>(kOperandsAttrName);
  auto attributes = func->getAttrOfType<StringAttr>(kAttributesAttrName);
  auto inputs = getTensors(func.getArgumentTypes());
  auto results = getTensors(func.getResultTypes());
  if (failed(inputs) || failed(results))
    message = "all arguments and results must be ranked tensors";
  else if (!names || names.size() != inputs->size() ||
           !llvm::all_of(names, llvm::IsaPred<StringAttr>))
    message = "'" + kOperandsAttrName.str() +
              "' must be an array of one name per argument";
  else if (!attributes)
    message = "'" + kAttributesAttrName.str() + "' must be a string";
  if (!message.empty())
    return failure();
  NamedOpImport import(func.getContext(), op);
  for (auto [name, type] : llvm::zip(names, *inputs))
    import.addOperand(cast<StringAttr>(name).getValue(), type);
  import.setAttributes(attributes.getValue());
  if (failed(import.check(*results, message)))
    return failure();
  return import;
}

void mlir::scaling::importCalls(ModuleOp module) {
  for (auto func : llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
    auto op = func->getAttrOfType<StringAttr>(kOpAttrName);
    if (!op || !func.isExternal())
      continue;
    std::string message;
    FailureOr<NamedOpImport> import = read(func, op.getValue(), message);
    if (failed(import)) {
      func.emitWarning("'")
          << func.getSymName() << "' is not made a scaling op: " << message;
      continue;
    }
    module.walk([&](func::CallOp call) {
      if (call.getCallee() != func.getSymName())
        return;
      OpBuilder builder(call);
      call.replaceAllUsesWith(
          import->build(builder, call.getLoc(), call.getOperands()));
      call.erase();
    });
    if (SymbolTable::symbolKnownUseEmpty(func, module))
      func.erase();
  }
}

namespace {
struct ScalingImportCallsPass final
    : scaling::impl::ScalingImportCallsPassBase<ScalingImportCallsPass> {
  using Base::Base;

  void runOnOperation() override { importCalls(getOperation()); }
};
} // namespace
