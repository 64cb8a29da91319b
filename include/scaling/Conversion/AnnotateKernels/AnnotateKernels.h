//===- AnnotateKernels.h - Promises of callers ------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_ANNOTATEKERNELS_ANNOTATEKERNELS_H
#define SCALING_CONVERSION_ANNOTATEKERNELS_ANNOTATEKERNELS_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGANNOTATEKERNELSPASS
#include "scaling/Conversion/AnnotateKernels/AnnotateKernels.h.inc"

/// How the data of every memref that a kernel takes is aligned, in bytes.
inline constexpr int64_t kKernelDataAlignment = 16;

/// Puts the promises on the pointers of a kernel's memref arguments.
void annotateKernel(LLVM::LLVMFuncOp kernel);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/AnnotateKernels/AnnotateKernels.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_ANNOTATEKERNELS_ANNOTATEKERNELS_H
