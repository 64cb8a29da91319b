//===- ImportStableHLO.h - Ops out of StableHLO -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_IMPORTSTABLEHLO_IMPORTSTABLEHLO_H
#define SCALING_CONVERSION_IMPORTSTABLEHLO_IMPORTSTABLEHLO_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGIMPORTSTABLEHLOPASS
#include "scaling/Conversion/ImportStableHLO/ImportStableHLO.h.inc"

/// Replaces the composites and custom calls of StableHLO that are ours by our
/// ops. What cannot be replaced stays, with a remark.
void importStableHLO(ModuleOp module);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ImportStableHLO/ImportStableHLO.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_IMPORTSTABLEHLO_IMPORTSTABLEHLO_H
