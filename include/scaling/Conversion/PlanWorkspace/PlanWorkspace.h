//===- PlanWorkspace.h - One buffer for all scratch -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE_H
#define SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE_H

#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGPLANWORKSPACEPASS
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h.inc"

/// Makes the allocations of the block views of one buffer, as far as their
/// sizes are known before the first of them. One allocation alone stays.
void planWorkspace(RewriterBase &rewriter, Block &block);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE_H
