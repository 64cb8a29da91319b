//===- Passes.cpp - C interface of passes and pipelines ---------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling-c/Passes.h"

#include "scaling/InitAll.h"

#include "mlir/CAPI/IR.h"
#include "mlir/CAPI/Support.h"
#include "mlir/IR/Operation.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

void scalingRegisterAllPasses(void) {
  static const bool registered = [] {
    registerAllPasses();
    scaling::registerAllPasses();
    return true;
  }();
  (void)registered;
}

MlirLogicalResult scalingRunPipeline(MlirOperation operation,
                                     MlirStringRef pipeline) {
  Operation *op = unwrap(operation);
  StringRef anchor = op->getName().getStringRef();
  // The text may name the anchor itself.
  std::string text = unwrap(pipeline).trim().str();
  if (!StringRef(text).starts_with((anchor + "(").str()))
    text = (anchor + "(" + text + ")").str();
  std::string errors;
  llvm::raw_string_ostream os(errors);
  FailureOr<OpPassManager> parsed = parsePassPipeline(text, os);
  if (failed(parsed)) {
    emitError(op->getLoc()) << "pipeline '" << text << "': " << errors;
    return mlirLogicalResultFailure();
  }
  PassManager manager(op->getContext(), anchor);
  static_cast<OpPassManager &>(manager) = *parsed;
  return wrap(manager.run(op));
}
