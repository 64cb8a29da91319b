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

/// On the branch in which one thread of a block meets those of all others, or
/// the call that ends a launch: a barrier of the block before it and after it.
inline constexpr llvm::StringLiteral kGridBarrierAttrName =
    "scaling.grid_barrier";

/// On a kernel: its blocks do not meet. It is launched until it is done, a
/// launch for what is between barriers of the grid, once it is split.
inline constexpr llvm::StringLiteral kRelaunchedAttrName = "scaling.relaunched";

/// What such a kernel calls where its blocks would meet.
inline constexpr llvm::StringLiteral kLaunchEndsName = "scaling_launch_ends";

/// The constant of that name with this at its end is how many bytes of state a
/// block of such a kernel has.
inline constexpr llvm::StringLiteral kStateBytesSuffix = ".state_bytes";

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
