//===- ImportTorch.h - Ops in torch-mlir text -------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_IMPORTTORCH_IMPORTTORCH_H
#define SCALING_CONVERSION_IMPORTTORCH_IMPORTTORCH_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGIMPORTTORCHPASS
#include "scaling/Conversion/ImportTorch/ImportTorch.h.inc"

/// Replaces the ops of scaling.torch.
void importTorch(ModuleOp module);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ImportTorch/ImportTorch.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_IMPORTTORCH_IMPORTTORCH_H
