//===- Tolerance.h - Loops that stop by a tolerance -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef LIB_DIALECT_SCALING_RAISE_TOLERANCE_H
#define LIB_DIALECT_SCALING_RAISE_TOLERANCE_H

#include "Replace.h"

namespace mlir::scaling::raise {

/// A loop that repeats half-steps until an error is small.
struct ToleranceLoop {
  Iteration iteration;
  /// The results that are used: the plan (in the log domain its logarithm), or
  /// else potentials.
  OpResult plan;
  SmallVector<Potential> potentials;
};

/// What a loop does, if it is exactly that: each round is half-steps on what
/// the one before it has left, and stops as `until` does.
std::optional<ToleranceLoop> recognizeLoop(Expressions &expressions,
                                           Evaluator &evaluator,
                                           scf::WhileOp loop,
                                           Obstacle &obstacle);

} // namespace mlir::scaling::raise

#endif // LIB_DIALECT_SCALING_RAISE_TOLERANCE_H
