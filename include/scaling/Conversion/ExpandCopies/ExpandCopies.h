//===- ExpandCopies.h - Strided copies as loops -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EXPANDCOPIES_EXPANDCOPIES_H
#define SCALING_CONVERSION_EXPANDCOPIES_EXPANDCOPIES_H

#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGEXPANDCOPIESPASS
#include "scaling/Conversion/ExpandCopies/ExpandCopies.h.inc"

/// Strided `memref.copy` to `linalg.generic`.
void populateExpandCopiesPatterns(RewritePatternSet &patterns);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ExpandCopies/ExpandCopies.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_EXPANDCOPIES_EXPANDCOPIES_H
