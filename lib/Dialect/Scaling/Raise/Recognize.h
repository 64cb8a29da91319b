//===- Recognize.h - Iterations in formulas ---------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef LIB_DIALECT_SCALING_RAISE_RECOGNIZE_H
#define LIB_DIALECT_SCALING_RAISE_RECOGNIZE_H

#include "Expression.h"

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include <string>

namespace mlir::scaling::raise {

/// What half-steps along one axis do. `reduced` is the axis they sum along:
/// their factor belongs to the other one.
struct HalfStep {
  Label reduced = 0;
  /// A vector (its logarithm in the log domain) or none, then `number`.
  Term target;
  double number = 1.0;
};

/// What the half-steps bring to their targets.
enum class Measure {
  sum,       // sums
  norm,      // roots of sums of squares
  deviation, // unbiased standard deviations
};

/// When an iteration stops that has no fixed count.
struct Tolerance {
  double tol = 0.0;
  What what = What::marginal;
  /// The axis that is judged.
  Label judged = 0;
  Norm norm = Norm::l1;
  /// In half-steps.
  int64_t every = 0, start = 0, limit = 0;
};

/// A scaled matrix: `count` half-steps, alternating, `first` and `second`.
struct Iteration {
  bool log = false;
  Measure measure = Measure::sum;
  /// The logarithm of the kernel, or the kernel.
  Term matrix;
  HalfStep first, second;
  int64_t count = 0;
  /// Then `count` is that of what is repeated.
  std::optional<Tolerance> tolerance;
  /// What the factor of `second` is at first, where it is not neutral.
  Term start;
  Guard guard = Guard::none;
  double guardEps = 0.0;
  /// What the statistics are clamped to.
  std::optional<std::pair<double, double>> limit;
  /// What is divided by is clamped to these, each time.
  std::optional<std::pair<double, double>> clamp;
  /// What the half-steps of `first` and of `second` have made in the end.
  Term factors[2];
  /// What the formula is times the scaled matrix of these half-steps.
  double factor = 1.0;
  /// The statistics met, the last one first.
  SmallVector<const Node *> statistics;
};

/// What stopped a recognition: nothing where there was no iteration at all.
struct Obstacle {
  std::string reason;
  SmallVector<const Node *> statistics;
};

/// The iteration that a formula (the plan, or in the log domain its logarithm)
/// is the result of, if it is exactly that.
std::optional<Iteration> recognize(Expressions &expressions,
                                   const Term &formula, bool log,
                                   Obstacle &obstacle);

/// Writes the iteration's result as a formula, and its factors; none where a
/// size would have to be known.
Term writeResult(Expressions &expressions, Iteration &iteration);

/// A target's entries, not their logarithms.
Term getTarget(Expressions &expressions, const HalfStep &step, bool log);

/// The variance along an axis of this size, times the size less 1; none where
/// the size is not known.
Term writeSpread(Expressions &expressions, const Term &x, Label label,
                 int64_t extent);

/// The size of an axis of a term.
int64_t getSize(const Term &term, Label label);

} // namespace mlir::scaling::raise

#endif // LIB_DIALECT_SCALING_RAISE_RECOGNIZE_H
