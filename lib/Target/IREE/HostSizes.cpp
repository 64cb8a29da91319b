//===- HostSizes.cpp - What is computed before a dispatch -----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/FormWorkgroups/FormWorkgroups.h"
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h"
#include "scaling/Target/IREE/IREE.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// Makes one function on sizes of the companions of an entry point, which look
/// at the sizes of arrays only.
class HostFunction {
public:
  HostFunction(const EntryPoint &entry, MLIRContext *context)
      : entry(entry), b(context) {
    SmallVector<Type> inputs;
    for (const EntryValue &input : entry.inputs)
      if (auto shaped = dyn_cast<ShapedType>(input.type))
        inputs.append(shaped.getNumDynamicDims(), b.getIndexType());
    function = func::FuncOp::create(entry.loc, entry.name,
                                    b.getFunctionType(inputs, {}));
    Block *body = function->addEntryBlock();
    b.setInsertionPointToEnd(body);
    auto *next = body->args_begin();
    for (const EntryValue &input : entry.inputs)
      addArray(input.type, [&] { return *next++; });
  }

  /// The numbers that a companion stores in its last argument.
  FailureOr<SmallVector<Value>> inlineCompanion(func::FuncOp companion);

  /// The sizes of the results, once they are known.
  void addResults(ArrayRef<Value> dims) {
    const Value *next = dims.begin();
    for (const EntryValue &result : entry.results)
      addArray(result.type, [&] { return *next++; });
  }

  Value makeOne() { return arith::ConstantIndexOp::create(b, entry.loc, 1); }

  Value toIndex(Value value) {
    return b.createOrFold<arith::IndexCastOp>(entry.loc, b.getIndexType(),
                                              value);
  }

  HostSizes print(ArrayRef<Value> resultDims, Value workgroups, Value bytes);

private:
  void addArray(Type type, function_ref<Value()> nextDynamic) {
    SmallVector<Value> &dims = arrays.emplace_back();
    auto shaped = dyn_cast<ShapedType>(type);
    if (!shaped)
      return;
    for (int64_t size : shaped.getShape())
      dims.push_back(ShapedType::isDynamic(size)
                         ? nextDynamic()
                         : arith::ConstantIndexOp::create(b, entry.loc, size));
  }

  const EntryPoint &entry;
  OpBuilder b;
  OwningOpRef<func::FuncOp> function;
  /// The sizes of each argument of the companions, as far as they are known.
  SmallVector<SmallVector<Value>> arrays;
};
} // namespace

FailureOr<SmallVector<Value>>
HostFunction::inlineCompanion(func::FuncOp companion) {
  auto refuse = [&](Operation *op) {
    return emitError(entry.loc)
           << "function '" << entry.name
           << "': the sizes of its results and of its scratch must follow from "
              "the sizes of its arguments, and '"
           << op->getName() << "' looks at more";
  };
  IRMapping mapping;
  SmallVector<Value> stored;
  for (Operation &op : companion.front().without_terminator()) {
    if (auto dim = dyn_cast<memref::DimOp>(op)) {
      auto argument = dyn_cast<BlockArgument>(dim.getSource());
      std::optional<int64_t> index = dim.getConstantIndex();
      if (!argument || !index || argument.getArgNumber() >= arrays.size())
        return refuse(&op);
      mapping.map(dim.getResult(), arrays[argument.getArgNumber()][*index]);
    } else if (auto store = dyn_cast<memref::StoreOp>(op)) {
      std::optional<int64_t> index =
          getConstantIntValue(store.getIndices().front());
      Value value = mapping.lookupOrNull(store.getValueToStore());
      if (!index || !value)
        return refuse(&op);
      stored.resize(std::max<size_t>(stored.size(), *index + 1));
      stored[*index] = value;
    } else if (isa<memref::AllocOp, memref::AllocaOp, memref::DeallocOp,
                   memref::CopyOp>(op)) {
      // The numbers may be gathered in memory and copied from there.
    } else if (op.getNumRegions() == 0 && isPure(&op) &&
               llvm::all_of(op.getOperands(), [&](Value operand) {
                 return mapping.contains(operand);
               })) {
      b.clone(op, mapping);
    } else {
      return refuse(&op);
    }
  }
  return stored;
}

HostSizes HostFunction::print(ArrayRef<Value> resultDims, Value workgroups,
                              Value bytes) {
  HostSizes sizes;
  AsmState state(*function, OpPrintingFlags().printGenericOpForm());
  auto nameOf = [&](Value value) {
    std::string name;
    llvm::raw_string_ostream os(name);
    value.printAsOperand(os, state);
    return name;
  };
  llvm::raw_string_ostream os(sizes.code);
  for (Operation &op : function->front()) {
    op.print(os, state);
    os << '\n';
  }
  for (Value dim : resultDims)
    sizes.resultDims.push_back(nameOf(dim));
  sizes.workgroups = nameOf(workgroups);
  sizes.workspaceBytes = nameOf(bytes);
  return sizes;
}

FailureOr<std::vector<HostSizes>>
mlir::scaling::takeHostSizes(ModuleOp module, ArrayRef<EntryPoint> entries) {
  // Companions in a module of their own, in the simplest of ops.
  OwningOpRef<ModuleOp> companions = ModuleOp::create(module.getLoc());
  SymbolTable symbols(module);
  for (const EntryPoint &entry : entries)
    for (StringRef suffix :
         {kResultDimsSuffix, kWorkgroupsSuffix, kWorkspaceSizeSuffix})
      if (auto companion =
              symbols.lookup<func::FuncOp>((entry.name + suffix).str())) {
        companion->remove();
        companions->push_back(companion);
      }
  PassManager pm(module.getContext(), ModuleOp::getOperationName());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  if (failed(pm.run(*companions)))
    return failure();

  SymbolTable found(*companions);
  std::vector<HostSizes> all;
  for (const EntryPoint &entry : entries) {
    HostFunction host(entry, module.getContext());
    auto inlineNumbers =
        [&](StringRef suffix) -> FailureOr<SmallVector<Value>> {
      auto companion = found.lookup<func::FuncOp>((entry.name + suffix).str());
      if (!companion)
        return SmallVector<Value>();
      FailureOr<SmallVector<Value>> values = host.inlineCompanion(companion);
      if (succeeded(values))
        for (Value &value : *values)
          value = host.toIndex(value);
      return values;
    };
    FailureOr<SmallVector<Value>> dims = inlineNumbers(kResultDimsSuffix);
    if (failed(dims))
      return failure();
    host.addResults(*dims);
    FailureOr<SmallVector<Value>> workgroups = inlineNumbers(kWorkgroupsSuffix);
    if (failed(workgroups))
      return failure();
    // How many blocks a GPU has is not a matter of sizes.
    if (workgroups->empty())
      workgroups->push_back(host.makeOne());
    FailureOr<SmallVector<Value>> bytes = inlineNumbers(kWorkspaceSizeSuffix);
    if (failed(bytes))
      return failure();
    all.push_back(host.print(*dims, workgroups->front(), bytes->front()));
  }
  return all;
}
