//===- EmitPTX.cpp - From the NVVM dialect to PTX -------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/GPU/EmitGPU.h"

#include "scaling/Conversion/FormKernels/FormKernels.h"
#include "scaling/Conversion/SplitLaunches/SplitLaunches.h"
#include "scaling/Target/MachineCode/MachineCode.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;
using namespace mlir::scaling;

static constexpr llvm::StringLiteral kTriple = "nvptx64-nvidia-cuda";

static llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createTargetMachine(const GPUChip &chip) {
  LLVMInitializeNVPTXTargetInfo();
  LLVMInitializeNVPTXTarget();
  LLVMInitializeNVPTXTargetMC();
  LLVMInitializeNVPTXAsmPrinter();
  llvm::Triple triple(kTriple);
  std::string message;
  const llvm::Target *target =
      llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return llvm::createStringError(message);
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      triple, chip.name, chip.features, llvm::TargetOptions(),
      /*RM=*/std::nullopt, /*CM=*/std::nullopt,
      llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return llvm::createStringError("no code generator for " + kTriple);
  return machine;
}

std::unique_ptr<llvm::Module>
mlir::scaling::translateKernels(gpu::GPUModuleOp kernels, const GPUChip &chip,
                                llvm::LLVMContext &context) {
  DialectRegistry registry;
  registerBuiltinDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  kernels.getContext()->appendDialectRegistry(registry);

  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(kernels, context, kernels.getName());
  if (!module)
    return nullptr;
  auto machine = createTargetMachine(chip);
  if (!machine) {
    kernels.emitError(llvm::toString(machine.takeError()));
    return nullptr;
  }
  module->setTargetTriple(llvm::Triple(kTriple));
  module->setDataLayout((*machine)->createDataLayout());
  for (auto kernel : kernels.getOps<LLVM::LLVMFuncOp>()) {
    llvm::Function *function = module->getFunction(kernel.getSymName());
    if (!function || function->isDeclaration())
      continue;
    if (auto bytes = kernel->getAttrOfType<IntegerAttr>(kSharedBytesAttrName))
      function->addFnAttr("scaling.shared-bytes",
                          std::to_string(bytes.getInt()));
    if (auto bytes = kernel->getAttrOfType<IntegerAttr>(kStateBytesAttrName))
      function->addFnAttr("scaling.state-bytes",
                          std::to_string(bytes.getInt()));
    if (kernel->hasAttr(kCooperativeAttrName))
      function->addFnAttr("scaling.cooperative");
  }
  return module;
}

llvm::Error mlir::scaling::optimizeKernels(llvm::Module &module,
                                           const GPUChip &chip) {
  auto machine = createTargetMachine(chip);
  if (!machine)
    return machine.takeError();
  llvm::PipelineTuningOptions tuning;
  tuning.LoopUnrolling = false;
  return optimizeModule(module, **machine, tuning);
}

llvm::Error mlir::scaling::emitPTX(llvm::Module &module, const GPUChip &chip,
                                   llvm::SmallVectorImpl<char> &ptx) {
  auto machine = createTargetMachine(chip);
  if (!machine)
    return machine.takeError();
  return emitModule(module, **machine, llvm::CodeGenFileType::AssemblyFile,
                    ptx);
}
