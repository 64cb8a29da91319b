//===- ForallToTeam.h - Parallel loops to runtime calls ---------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FORALLTOTEAM_FORALLTOTEAM_H
#define SCALING_CONVERSION_FORALLTOTEAM_FORALLTOTEAM_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGFORALLTOTEAMPASS
#include "scaling/Conversion/ForallToTeam/ForallToTeam.h.inc"

/// The runtime's entry (include/scaling/Runtime/Runtime.h).
inline constexpr llvm::StringLiteral kParallelForName = "scaling_parallel_for";

/// Converts every `scf.forall` of the module; sequentially when `threads` is
/// false.
LogicalResult convertForallToTeam(ModuleOp module, bool threads);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ForallToTeam/ForallToTeam.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_FORALLTOTEAM_FORALLTOTEAM_H
