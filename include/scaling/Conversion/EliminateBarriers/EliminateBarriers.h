//===- EliminateBarriers.h - Only barriers that order -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_ELIMINATEBARRIERS_ELIMINATEBARRIERS_H
#define SCALING_CONVERSION_ELIMINATEBARRIERS_ELIMINATEBARRIERS_H

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGELIMINATEBARRIERSPASS
#include "scaling/Conversion/EliminateBarriers/EliminateBarriers.h.inc"

/// Erases the barriers of a kernel that order nothing.
void eliminateBarriers(gpu::GPUFuncOp kernel);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/EliminateBarriers/EliminateBarriers.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_ELIMINATEBARRIERS_ELIMINATEBARRIERS_H
