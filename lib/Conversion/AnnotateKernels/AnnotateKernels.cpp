//===- AnnotateKernels.cpp - Promises of callers --------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/AnnotateKernels/AnnotateKernels.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Builders.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGANNOTATEKERNELSPASS
#include "scaling/Conversion/AnnotateKernels/AnnotateKernels.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

void mlir::scaling::annotateKernel(LLVM::LLVMFuncOp kernel) {
  Builder b(kernel.getContext());
  auto isPointer = [&](unsigned index) {
    return isa<LLVM::LLVMPointerType>(kernel.getArgumentTypes()[index]);
  };
  for (unsigned index = 1; index < kernel.getNumArguments(); ++index) {
    if (!isPointer(index - 1) || !isPointer(index))
      continue;
    kernel.setArgAttr(index, LLVM::LLVMDialect::getAlignAttrName(),
                      b.getI64IntegerAttr(kKernelDataAlignment));
    kernel.setArgAttr(index, LLVM::LLVMDialect::getNoAliasAttrName(),
                      b.getUnitAttr());
    ++index;
  }
  // Otherwise ptxas spills to have more blocks side by side.
  kernel->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                  b.getI32IntegerAttr(1));
}

/// An array without elements is what the launch gives; a definition would be an
/// empty one.
static void declareDynamicShared(LLVM::GlobalOp global) {
  auto array = dyn_cast<LLVM::LLVMArrayType>(global.getGlobalType());
  if (array && array.getNumElements() == 0 &&
      global.getAddrSpace() ==
          static_cast<unsigned>(NVVM::NVVMMemorySpace::Shared))
    global.setLinkage(LLVM::Linkage::External);
}

namespace {
struct ScalingAnnotateKernelsPass final
    : scaling::impl::ScalingAnnotateKernelsPassBase<
          ScalingAnnotateKernelsPass> {
  using Base::Base;

  void runOnOperation() override {
    getOperation()->walk([](LLVM::LLVMFuncOp func) {
      if (func->hasAttr(NVVM::NVVMDialect::getKernelFuncAttrName()))
        annotateKernel(func);
    });
    getOperation()->walk(declareDynamicShared);
  }
};
} // namespace
