//===- ExpandOtherMath.h - Math of other programs ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EXPANDOTHERMATH_EXPANDOTHERMATH_H
#define SCALING_CONVERSION_EXPANDOTHERMATH_EXPANDOTHERMATH_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGEXPANDOTHERMATHPASS
#include "scaling/Conversion/ExpandOtherMath/ExpandOtherMath.h.inc"

/// Patterns that expand the ops, without those that become calls.
void populateExpandOtherMathPatterns(RewritePatternSet &patterns);

/// Expands the ops, or turns them into calls.
LogicalResult expandOtherMath(ModuleOp module);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ExpandOtherMath/ExpandOtherMath.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_EXPANDOTHERMATH_EXPANDOTHERMATH_H
