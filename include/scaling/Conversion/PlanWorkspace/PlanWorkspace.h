//===- PlanWorkspace.h - One buffer for all scratch -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE_H
#define SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGPLANWORKSPACEPASS
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h.inc"

/// The suffix of the companion that tells the size of a workspace.
inline constexpr llvm::StringLiteral kWorkspaceSizeSuffix = "_workspace_size";

/// Blocks of threads that a GPU's kernel is launched with at most: so many may
/// have scratch in global memory.
inline constexpr int64_t kMaxBlocks = 1024;

/// Builds scratch in the destination it ends up in, and puts the rest of every
/// function's into one buffer; public functions get it as their last argument
/// when `argument` says so. Where `sharedBytes` is not 0, the code is for a GPU
/// whose blocks have that much shared memory.
LogicalResult planWorkspaces(ModuleOp module, bool argument,
                             int64_t sharedBytes = 0);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE_H
