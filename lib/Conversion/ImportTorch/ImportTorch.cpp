//===- ImportTorch.cpp - Ops in torch-mlir text ---------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ImportTorch/ImportTorch.h"

#include "scaling/Conversion/ImportNamedOps/ImportNamedOps.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGIMPORTTORCHPASS
#include "scaling/Conversion/ImportTorch/ImportTorch.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// The operands of the ops of scaling.torch, in the order of their schemas; the
/// attributes' text comes behind them.
static ArrayRef<StringRef> getOperandNames(StringRef op) {
  static constexpr StringRef transport[] = {
      "matrix",   "row_marginal", "col_marginal", "row_init", "col_init",
      "row_mask", "col_mask",     "slack",        "epsilon"};
  static constexpr StringRef attention[] = {
      "query", "key", "value", "bias", "row_mask", "col_mask", "epsilon"};
  if (op == "project" || op == "sinkhorn")
    return transport;
  if (op == "attention")
    return attention;
  return {};
}

/// Between the attributes and the mode of the gradient.
static constexpr StringLiteral kGradientSeparator = " gradient ";

/// `!torch.vtensor<[?,4],f32>` as `tensor<?x4xf32>`; null for other types and
/// where rank or elements are unknown.
static RankedTensorType getBuiltinType(Type type) {
  auto opaque = dyn_cast<OpaqueType>(type);
  if (!opaque || opaque.getDialectNamespace() != "torch")
    return nullptr;
  StringRef text = opaque.getTypeData();
  if (!text.consume_front("vtensor<[") || !text.consume_back(">"))
    return nullptr;
  auto [sizes, element] = text.split("],");
  SmallVector<int64_t> shape;
  SmallVector<StringRef> words;
  sizes.split(words, ',', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
  for (StringRef word : words) {
    int64_t size = ShapedType::kDynamic;
    if (word != "?" && word.getAsInteger(10, size))
      return nullptr;
    shape.push_back(size);
  }
  // Signs are not of interest outside the torch dialect.
  element.consume_front("s");
  MLIRContext *context = type.getContext();
  for (Type known :
       {Type(Float16Type::get(context)), Type(BFloat16Type::get(context)),
        Type(Float32Type::get(context)), Type(Float64Type::get(context)),
        Type(IntegerType::get(context, 1)), Type(IntegerType::get(context, 32)),
        Type(IntegerType::get(context, 64))}) {
    std::string name;
    llvm::raw_string_ostream(name) << known;
    if (name == element)
      return RankedTensorType::get(shape, known);
  }
  return nullptr;
}

static bool isOp(Value value, StringRef name) {
  Operation *op = value.getDefiningOp();
  return op && op->getName().getStringRef() == name;
}

/// An op of the torch dialect in generic form, without its definition.
static Value createCast(OpBuilder &builder, Location loc, StringRef name,
                        Type type, Value value) {
  OperationState state(loc, name, value, type);
  return builder.create(state)->getResult(0);
}

static LogicalResult importOp(Operation *op, StringRef name,
                              std::string &message) {
  ArrayRef<StringRef> names = getOperandNames(name);
  if (names.empty()) {
    message = "there is no op '" + name.str() + "' that can be imported";
    return failure();
  }
  if (op->getNumOperands() != names.size() + 1 || op->getNumRegions() != 0) {
    message = "it has " + std::to_string(op->getNumOperands()) +
              " operands where " + std::to_string(names.size() + 1) +
              " are needed";
    return failure();
  }
  NamedOpImport import(op->getContext(), name);
  Value last = op->getOperands().back();
  StringAttr text =
      isOp(last, "torch.constant.str")
          ? last.getDefiningOp()->getAttrOfType<StringAttr>("value")
          : StringAttr();
  if (!text) {
    message = "its last operand must be a torch.constant.str";
    return failure();
  }
  // What the gradient would be of does not matter to the value.
  auto [attributes, gradient] = text.getValue().split(kGradientSeparator);
  if (!gradient.empty() && gradient != "implicit") {
    message = "its gradient is '" + gradient.str() +
              "', where 'implicit' or nothing is known";
    return failure();
  }
  import.setAttributes(attributes);
  SmallVector<Value> given;
  SmallVector<RankedTensorType> types, results;
  for (auto [operandName, value] : llvm::zip(names, op->getOperands())) {
    if (isOp(value, "torch.constant.none"))
      continue;
    types.push_back(getBuiltinType(value.getType()));
    if (!types.back()) {
      llvm::raw_string_ostream(message)
          << "'" << operandName << "' is " << value.getType()
          << ", which is no tensor of known rank and elements";
      return failure();
    }
    given.push_back(value);
    import.addOperand(operandName, types.back());
  }
  for (Type type : op->getResultTypes()) {
    results.push_back(getBuiltinType(type));
    if (!results.back()) {
      llvm::raw_string_ostream(message)
          << "a result is " << type
          << ", which is no tensor of known rank and elements";
      return failure();
    }
  }
  if (failed(import.check(results, message)))
    return failure();

  OpBuilder builder(op);
  for (auto [value, type] : llvm::zip(given, types))
    value = createCast(builder, op->getLoc(), "torch_c.to_builtin_tensor", type,
                       value);
  for (auto [built, result] :
       llvm::zip(import.build(builder, op->getLoc(), given), op->getResults()))
    if (!result.use_empty())
      result.replaceAllUsesWith(createCast(builder, op->getLoc(),
                                           "torch_c.from_builtin_tensor",
                                           result.getType(), built));
  op->erase();
  return success();
}

void mlir::scaling::importTorch(ModuleOp module) {
  module.walk([](Operation *op) {
    if (op->getName().getStringRef() != "torch.operator")
      return;
    auto attr = op->getAttrOfType<StringAttr>("name");
    StringRef name = attr ? attr.getValue() : "";
    if (!name.consume_front("torch.scaling."))
      return;
    std::string message;
    Location loc = op->getLoc();
    if (failed(importOp(op, name, message)))
      emitWarning(loc) << "'torch.scaling." << name
                       << "' is not made a scaling op: " << message;
  });
}

namespace {
struct ScalingImportTorchPass final
    : scaling::impl::ScalingImportTorchPassBase<ScalingImportTorchPass> {
  using Base::Base;

  void runOnOperation() override { importTorch(getOperation()); }
};
} // namespace
