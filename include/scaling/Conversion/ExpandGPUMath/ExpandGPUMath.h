//===- ExpandGPUMath.h - Functions by NVVM intrinsics -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EXPANDGPUMATH_EXPANDGPUMATH_H
#define SCALING_CONVERSION_EXPANDGPUMATH_EXPANDGPUMATH_H

#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGEXPANDGPUMATHPASS
#include "scaling/Conversion/ExpandGPUMath/ExpandGPUMath.h.inc"

/// exp, log and division of f32 scalars by approximate instructions.
void populateExpandGPUMathPatterns(RewritePatternSet &patterns);

/// Functions of scalars that are one instruction or few: absolute value,
/// rounding to integers, square root.
void populateNVVMIntrinsicPatterns(RewritePatternSet &patterns);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ExpandGPUMath/ExpandGPUMath.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_EXPANDGPUMATH_EXPANDGPUMATH_H
