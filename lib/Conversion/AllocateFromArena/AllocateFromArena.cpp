//===- AllocateFromArena.cpp - Memory from the runtime --------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/AllocateFromArena/AllocateFromArena.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGALLOCATEFROMARENAPASS
#include "scaling/Conversion/AllocateFromArena/AllocateFromArena.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

LogicalResult mlir::scaling::allocateFromArena(ModuleOp module) {
  SymbolTable symbols(module);
  auto replace = [&](StringRef from, StringRef to) -> LogicalResult {
    auto function = symbols.lookup<LLVM::LLVMFuncOp>(from);
    if (!function || !function.isExternal())
      return success();
    if (symbols.lookup(to) || failed(symbols.rename(function, to)))
      return function.emitError("the name '") << to << "' is taken";
    // LLVM knows this of malloc.
    if (to == kAcquireName)
      function.setResultAttr(0, LLVM::LLVMDialect::getNoAliasAttrName(),
                             UnitAttr::get(module.getContext()));
    return success();
  };
  return success(succeeded(replace("malloc", kAcquireName)) &&
                 succeeded(replace("free", kReleaseName)));
}

namespace {
struct ScalingAllocateFromArenaPass final
    : scaling::impl::ScalingAllocateFromArenaPassBase<
          ScalingAllocateFromArenaPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(allocateFromArena(getOperation())))
      signalPassFailure();
  }
};
} // namespace
