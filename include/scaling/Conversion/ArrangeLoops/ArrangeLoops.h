//===- ArrangeLoops.h - Contractions along vectors --------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_ARRANGELOOPS_ARRANGELOOPS_H
#define SCALING_CONVERSION_ARRANGELOOPS_ARRANGELOOPS_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGARRANGELOOPSPASS
#include "scaling/Conversion/ArrangeLoops/ArrangeLoops.h.inc"

/// Interchanges the loops of every op where that makes vectors possible.
void arrangeLoops(ModuleOp module);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ArrangeLoops/ArrangeLoops.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_ARRANGELOOPS_ARRANGELOOPS_H
