//===- ScalingToVector.h - Core ops to vector code --------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_SCALINGTOVECTOR_SCALINGTOVECTOR_H
#define SCALING_CONVERSION_SCALINGTOVECTOR_SCALINGTOVECTOR_H

#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGTOVECTORPASS
#include "scaling/Conversion/ScalingToVector/ScalingToVector.h.inc"

/// The structured core ops on memrefs to loops over vectors.
void populateScalingToVectorPatterns(RewritePatternSet &patterns,
                                     const ScalingToVectorPassOptions &options);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ScalingToVector/ScalingToVector.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_SCALINGTOVECTOR_SCALINGTOVECTOR_H
