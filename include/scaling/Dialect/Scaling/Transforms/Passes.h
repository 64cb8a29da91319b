//===- Passes.h - Passes on the scaling dialect -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_TRANSFORMS_PASSES_H
#define SCALING_DIALECT_SCALING_TRANSFORMS_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir::scaling {

#define GEN_PASS_DECL
#include "scaling/Dialect/Scaling/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "scaling/Dialect/Scaling/Transforms/Passes.h.inc"

} // namespace mlir::scaling

#endif // SCALING_DIALECT_SCALING_TRANSFORMS_PASSES_H
