//===- EmbedKernels.h - Cubins and PTX in host code -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EMBEDKERNELS_EMBEDKERNELS_H
#define SCALING_CONVERSION_EMBEDKERNELS_EMBEDKERNELS_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGEMBEDKERNELSPASS
#include "scaling/Conversion/EmbedKernels/EmbedKernels.h.inc"

/// Turns the compiled kernels of a module into constants of its host code.
LogicalResult embedKernels(ModuleOp module);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/EmbedKernels/EmbedKernels.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_EMBEDKERNELS_EMBEDKERNELS_H
