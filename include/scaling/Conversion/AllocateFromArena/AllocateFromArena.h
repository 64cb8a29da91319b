//===- AllocateFromArena.h - Memory from the runtime ------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_ALLOCATEFROMARENA_ALLOCATEFROMARENA_H
#define SCALING_CONVERSION_ALLOCATEFROMARENA_ALLOCATEFROMARENA_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGALLOCATEFROMARENAPASS
#include "scaling/Conversion/AllocateFromArena/AllocateFromArena.h.inc"

/// The runtime's entries (include/scaling/Runtime/Runtime.h).
inline constexpr llvm::StringLiteral kAcquireName = "scaling_workspace_acquire";
inline constexpr llvm::StringLiteral kReleaseName = "scaling_workspace_release";

/// Replaces the C library's allocation functions by the runtime's.
LogicalResult allocateFromArena(ModuleOp module);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/AllocateFromArena/AllocateFromArena.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_ALLOCATEFROMARENA_ALLOCATEFROMARENA_H
