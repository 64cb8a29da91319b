//===- FuseElementwise.h - Around the ops of the dialect --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FUSEELEMENTWISE_FUSEELEMENTWISE_H
#define SCALING_CONVERSION_FUSEELEMENTWISE_FUSEELEMENTWISE_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGFUSEELEMENTWISEPASS
#include "scaling/Conversion/FuseElementwise/FuseElementwise.h.inc"

/// Patterns that make fewer passes over memory of what is around the ops of the
/// dialect, on tensors.
void populateFuseElementwisePatterns(RewritePatternSet &patterns);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/FuseElementwise/FuseElementwise.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_FUSEELEMENTWISE_FUSEELEMENTWISE_H
