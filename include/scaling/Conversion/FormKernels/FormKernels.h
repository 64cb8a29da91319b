//===- FormKernels.h - Functions to GPU kernels -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FORMKERNELS_FORMKERNELS_H
#define SCALING_CONVERSION_FORMKERNELS_FORMKERNELS_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGFORMKERNELSPASS
#include "scaling/Conversion/FormKernels/FormKernels.h.inc"

/// The module that all kernels are in.
inline constexpr llvm::StringLiteral kKernelModuleName = "kernels";

/// On a kernel: its blocks meet at grid barriers and must all be resident.
inline constexpr llvm::StringLiteral kCooperativeAttrName =
    "scaling.cooperative";

/// On the branch in which one thread of a block meets those of all others, a
/// barrier of the block before it and after it.
inline constexpr llvm::StringLiteral kGridBarrierAttrName =
    "scaling.grid_barrier";

/// On a kernel: bytes of dynamic shared memory of a block.
inline constexpr llvm::StringLiteral kSharedBytesAttrName =
    "scaling.shared_bytes";

/// Assembly that copies its operand: the compiler does not see which value its
/// result is.
inline constexpr llvm::StringLiteral kCopyAssembly = "mov.b32 $0, $1;";

/// Makes a kernel of every public function.
LogicalResult formKernels(ModuleOp module,
                          const ScalingFormKernelsPassOptions &options);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/FormKernels/FormKernels.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_FORMKERNELS_FORMKERNELS_H
