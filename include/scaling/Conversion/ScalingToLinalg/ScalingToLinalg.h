//===- ScalingToLinalg.h - Core ops to linalg -------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_SCALINGTOLINALG_SCALINGTOLINALG_H
#define SCALING_CONVERSION_SCALINGTOLINALG_SCALINGTOLINALG_H

#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGTOLINALGPASS
#include "scaling/Conversion/ScalingToLinalg/ScalingToLinalg.h.inc"

/// The structured core ops on tensors to linalg, arith, math and tensor.
void populateScalingToLinalgPatterns(RewritePatternSet &patterns);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ScalingToLinalg/ScalingToLinalg.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_SCALINGTOLINALG_SCALINGTOLINALG_H
