//===- ImportCalls.h - Calls to named ops -----------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_IMPORTCALLS_IMPORTCALLS_H
#define SCALING_CONVERSION_IMPORTCALLS_IMPORTCALLS_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGIMPORTCALLSPASS
#include "scaling/Conversion/ImportCalls/ImportCalls.h.inc"

/// Replaces the calls, and erases the functions that nothing calls any more.
void importCalls(ModuleOp module);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ImportCalls/ImportCalls.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_IMPORTCALLS_IMPORTCALLS_H
