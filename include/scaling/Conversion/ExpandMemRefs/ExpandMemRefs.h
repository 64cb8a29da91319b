//===- ExpandMemRefs.h - What upstream has no way down for ------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EXPANDMEMREFS_EXPANDMEMREFS_H
#define SCALING_CONVERSION_EXPANDMEMREFS_EXPANDMEMREFS_H

#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGEXPANDMEMREFSPASS
#include "scaling/Conversion/ExpandMemRefs/ExpandMemRefs.h.inc"

/// Strided `memref.copy` to `linalg.generic`, and `memref.expand_shape` with
/// several unknown sizes in a group to `memref.reinterpret_cast`.
void populateExpandMemRefsPatterns(RewritePatternSet &patterns);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ExpandMemRefs/ExpandMemRefs.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_EXPANDMEMREFS_EXPANDMEMREFS_H
