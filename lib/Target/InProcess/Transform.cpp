//===- Transform.cpp - Passes in this process -----------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/InitAll.h"
#include "scaling/Target/Driver/Driver.h"
#include "scaling/Target/InProcess/InProcess.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;
using namespace mlir::scaling;

std::optional<std::string>
mlir::scaling::transformInProcess(std::string_view text, std::string_view name,
                                  std::string_view passes,
                                  std::string &messages) {
  // Passes are found by name.
  static const bool registered = [] {
    scaling::registerAllPasses();
    registerTransformsPasses();
    return true;
  }();
  (void)registered;
  DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  scaling::registerAllDialects(registry);
  MLIRContext context(registry);
  context.printOpOnDiagnostic(false);
  // Ops of other compilers pass through.
  context.allowUnregisteredDialects();

  llvm::raw_string_ostream os(messages);
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(
      llvm::MemoryBuffer::getMemBufferCopy(text, StringRef(name)),
      llvm::SMLoc());
  SourceMgrDiagnosticHandler diagnostics(sources, &context, os);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(sources, &context);
  if (!module)
    return std::nullopt;
  PassManager pm(&context, ModuleOp::getOperationName());
  if (failed(parsePassPipeline(passes, pm, os)))
    return std::nullopt;
  if (failed(pm.run(*module))) {
    if (messages.empty())
      printError("the passes failed", &os);
    return std::nullopt;
  }
  std::string result;
  llvm::raw_string_ostream out(result);
  // `<<` leaves out the resources, which weights may be.
  module->print(out);
  return result;
}
