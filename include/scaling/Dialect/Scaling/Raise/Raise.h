//===- Raise.h - Plain programs to named ops --------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_RAISE_RAISE_H
#define SCALING_DIALECT_SCALING_RAISE_RAISE_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGRAISEPASS
#include "scaling/Dialect/Scaling/Raise/Raise.h.inc"

struct RaiseOptions {
  /// Say by remarks what stopped an iteration from being raised.
  bool explain = false;
  /// What iterations on logarithms compute in: `log` or `absorb`.
  Domain logDomain = Domain::absorb;
};

/// Replaces iterations that functions under `root` write in plain operations on
/// tensors by named ops that compute the same up to rounding. A remark says
/// what was found.
void raisePlainPrograms(Operation *root, const RaiseOptions &options);

#define GEN_PASS_REGISTRATION
#include "scaling/Dialect/Scaling/Raise/Raise.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_DIALECT_SCALING_RAISE_RAISE_H
