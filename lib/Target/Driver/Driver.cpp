//===- Driver.cpp - What the compiling tools share ------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/Driver/Driver.h"

#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/Dialect/Scaling/Transforms/Passes.h"
#include "scaling/InitAll.h"
#include "scaling/Pipelines/LinalgToLLVM.h"
#include "scaling/Pipelines/ToCPU.h"
#include "scaling/Pipelines/ToLinalg.h"
#include "scaling/Pipelines/ToNVVM.h"
#include "scaling/Target/GPU/EmitGPU.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/DLTI/DLTI.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/WithColor.h"

using namespace mlir;
using namespace mlir::scaling;

static DialectRegistry createRegistry() {
  DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  scaling::registerAllDialects(registry);
  return registry;
}

Program::Program(llvm::raw_ostream *messages)
    : messages(messages ? *messages : llvm::errs()), context(createRegistry()) {
  // A note with the whole module helps nobody.
  context.printOpOnDiagnostic(false);
}
Program::~Program() = default;

void mlir::scaling::printError(const llvm::Twine &message,
                               llvm::raw_ostream *messages) {
  llvm::WithColor::error(messages ? *messages : llvm::errs())
      << message << '\n';
}

LogicalResult Program::load(StringRef path, StringRef cpu) {
  std::string message;
  std::unique_ptr<llvm::MemoryBuffer> file = openInputFile(path, &message);
  if (!file) {
    printError(message, &messages);
    return failure();
  }
  return load(std::move(file), cpu);
}

LogicalResult Program::loadText(StringRef text, StringRef name, StringRef cpu) {
  return load(llvm::MemoryBuffer::getMemBufferCopy(text, name), cpu);
}

LogicalResult Program::load(std::unique_ptr<llvm::MemoryBuffer> buffer,
                            StringRef cpu) {
  llvm::Expected<CPUTarget> found = getCPUTarget(cpu);
  if (!found) {
    printError(llvm::toString(found.takeError()), &messages);
    return failure();
  }
  target = *found;
  sources.AddNewSourceBuffer(std::move(buffer), llvm::SMLoc());
  diagnostics =
      std::make_unique<SourceMgrDiagnosticHandler>(sources, &context, messages);
  module = parseSourceFile<ModuleOp>(sources, &context);
  if (!module)
    return failure();
  FailureOr<SmallVector<EntryPoint>> collected = collectEntryPoints(*module);
  if (failed(collected))
    return failure();
  entries = std::move(*collected);
  attachTargetDescription(*module, target);
  return success();
}

/// Replaces the numerics of every op.
static void
replaceNumerics(ModuleOp module,
                function_ref<NumericsAttr(NumericsAttr)> replacement) {
  module->walk([&](Operation *op) {
    // Inherent attributes are properties.
    for (NamedAttribute named : op->getAttrDictionary())
      if (auto numerics = dyn_cast<NumericsAttr>(named.getValue()))
        op->setAttr(named.getName(), replacement(numerics));
  });
}

void Program::setStrict() {
  replaceNumerics(*module, [](NumericsAttr numerics) {
    return NumericsAttr::get(numerics.getContext(), numerics.getDomain(),
                             numerics.getAccumulate(), /*strict=*/true,
                             Products::f32);
  });
}

void Program::setProducts(Products products) {
  replaceNumerics(*module, [&](NumericsAttr numerics) {
    if (numerics.getStrict())
      return numerics;
    return NumericsAttr::get(numerics.getContext(), numerics.getDomain(),
                             numerics.getAccumulate(), /*strict=*/false,
                             products);
  });
}

LogicalResult Program::transform(StringRef passes) {
  static const bool registered = [] {
    scaling::registerAllPasses();
    registerTransformsPasses();
    return true;
  }();
  (void)registered;
  PassManager pm(&context, ModuleOp::getOperationName());
  if (failed(parsePassPipeline(passes, pm, messages)) || failed(run(pm)))
    return failure();
  FailureOr<SmallVector<EntryPoint>> collected = collectEntryPoints(*module);
  if (failed(collected))
    return failure();
  entries = std::move(*collected);
  return success();
}

LogicalResult Program::lower(Route route, bool threads,
                             bool workspaceArgument) {
  PassManager pm(&context, ModuleOp::getOperationName());
  // First of all: the ops of the dialect still tell their result shapes.
  pm.addPass(createScalingEntryABIPass());
  if (route == Route::CPU) {
    ToCPUOptions options;
    options.threads = threads;
    options.workspaceArgument = workspaceArgument;
    options.vectorBits = target.vectorBits;
    // 512-bit registers come with AVX-512F and VL wherever they are worth
    // using.
    options.useScalef = target.vectorBits >= 512;
    buildToCPUPipeline(pm, options);
  } else {
    buildToLinalgPipeline(pm);
    LinalgToLLVMOptions options;
    options.threads = threads;
    options.workspaceArgument = workspaceArgument;
    buildLinalgToLLVMPipeline(pm, options);
  }

  return run(pm);
}

LogicalResult Program::lowerToKernels(const GPUChip &chip, bool plainLaunches) {
  PassManager pm(&context, ModuleOp::getOperationName());
  // First of all: the ops of the dialect still tell their result shapes.
  pm.addPass(createScalingEntryABIPass());
  ToNVVMOptions options;
  options.chip = chip.name;
  options.features = chip.features;
  options.plainLaunches = plainLaunches;
  buildToNVVMPipeline(pm, options);
  return run(pm);
}

LogicalResult Program::lowerToLaunches(const GPUChip &chip,
                                       bool plainLaunches) {
  PassManager pm(&context, ModuleOp::getOperationName());
  pm.addPass(createScalingEntryABIPass());
  ToNVVMOptions options;
  options.chip = chip.name;
  options.features = chip.features;
  options.plainLaunches = plainLaunches;
  options.format = kFatbinFormat.str();
  buildToNVVMPipeline(pm, options);
  LinalgToLLVMOptions host;
  host.threads = false;
  buildMemRefToLLVMPipeline(pm, host);
  return run(pm);
}

LogicalResult Program::prepareForIREE() {
  if (entries.empty()) {
    printError("there is no public function to make a dispatch of", &messages);
    return failure();
  }
  if (failed(checkForIREE(entries)))
    return failure();
  // IREE decides what may be overwritten.
  for (auto function : module->getOps<func::FuncOp>())
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      function.removeArgAttr(
          i, bufferization::BufferizationDialect::kWritableAttrName);
  return success();
}

LogicalResult Program::emitIREELibrary(StringRef objectName,
                                       IREEFunctions functions,
                                       llvm::raw_ostream &os,
                                       SmallVectorImpl<char> &object) {
  if (failed(prepareForIREE()))
    return failure();
  ToCPUOptions options;
  options.threads = false;
  options.workspaceArgument = true;
  options.workgroups = true;
  options.vectorBits = target.vectorBits;
  options.useScalef = target.vectorBits >= 512;
  PassManager buffers(&context, ModuleOp::getOperationName());
  // First of all: the ops of the dialect still tell their result shapes.
  buffers.addPass(createScalingEntryABIPass());
  buildToCPUBuffersPipeline(buffers, options);
  if (failed(run(buffers)))
    return failure();
  FailureOr<std::vector<HostSizes>> sizes = takeHostSizes(*module, entries);
  if (failed(sizes))
    return failure();
  PassManager rest(&context, ModuleOp::getOperationName());
  buildCPUBuffersToLLVMPipeline(rest, options);
  if (failed(run(rest)))
    return failure();
  if (llvm::Error error =
          emitFreestandingObject(*module, entries, target, object)) {
    printError(llvm::toString(std::move(error)), &messages);
    return failure();
  }
  printIREELibrary(entries, *sizes, objectName, functions, target, os);
  return success();
}

LogicalResult Program::emitIREELibrary(const GPUChip &chip,
                                       StringRef objectName,
                                       IREEFunctions functions,
                                       llvm::raw_ostream &os,
                                       SmallVectorImpl<char> &ptx) {
  if (failed(prepareForIREE()) || failed(checkForIREEOnCUDA(entries)) ||
      failed(lowerToKernels(chip)))
    return failure();
  FailureOr<std::vector<HostSizes>> sizes = takeHostSizes(*module, entries);
  if (failed(sizes))
    return failure();
  auto kernels = module->getOps<gpu::GPUModuleOp>();
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> code =
      translateKernels(*kernels.begin(), chip, llvmContext);
  if (!code)
    return failure();
  std::vector<CUDAKernel> bound = bindCUDAKernels(*code, entries);
  llvm::Error error = optimizeKernels(*code, chip);
  if (!error)
    error = emitPTX(*code, chip, ptx);
  if (error) {
    printError(llvm::toString(std::move(error)), &messages);
    return failure();
  }
  printIREELibrary(entries, *sizes, bound, objectName, functions, os);
  return success();
}

LogicalResult Program::lowerToLinalg() {
  PassManager pm(&context, ModuleOp::getOperationName());
  buildToLinalgPipeline(pm);
  return run(pm);
}

LogicalResult Program::outline(llvm::raw_ostream &os) {
  PassManager pm(&context, ModuleOp::getOperationName());
  pm.addPass(createScalingOutlinePass());
  if (failed(run(pm)))
    return failure();
  auto library = SymbolTable(*module).lookup<ModuleOp>("scaling");
  if (library)
    library->remove();
  else
    library = ModuleOp::create(module->getLoc());
  printGeneric(os);
  module = library;
  attachTargetDescription(*module, target);
  FailureOr<SmallVector<EntryPoint>> collected = collectEntryPoints(*module);
  if (failed(collected))
    return failure();
  entries = std::move(*collected);
  return success();
}

void Program::printGeneric(llvm::raw_ostream &os) {
  // What compiles it next has its own description of the target.
  module->getOperation()->removeAttr(DLTIDialect::kTargetSystemDescAttrName);
  module->print(os, OpPrintingFlags().printGenericOpForm());
}

LogicalResult Program::run(PassManager &pm) {
  // A pass that fails without a word would leave the user with nothing.
  bool explained = false;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    explained |= diagnostic.getSeverity() == DiagnosticSeverity::Error;
    return failure();
  });
  if (succeeded(pm.run(*module)))
    return success();
  if (!explained)
    printError("the program cannot be compiled", &messages);
  return failure();
}
