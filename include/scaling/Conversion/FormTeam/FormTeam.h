//===- FormTeam.h - Parallel loops to runtime calls ---------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FORMTEAM_FORMTEAM_H
#define SCALING_CONVERSION_FORMTEAM_FORMTEAM_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGFORMTEAMPASS
#include "scaling/Conversion/FormTeam/FormTeam.h.inc"

/// The runtime's entries (include/scaling/Runtime/Runtime.h).
inline constexpr llvm::StringLiteral kParallelForName = "scaling_parallel_for";
inline constexpr llvm::StringLiteral kTeamBeginName = "scaling_team_begin";
inline constexpr llvm::StringLiteral kTeamForName = "scaling_team_for";
inline constexpr llvm::StringLiteral kTeamEndName = "scaling_team_end";

/// Converts every `scf.forall` of the module; sequentially when `threads` is
/// false.
LogicalResult formTeams(ModuleOp module, bool threads);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/FormTeam/FormTeam.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_FORMTEAM_FORMTEAM_H
