//===- Best.h - The best of several iterations ------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef LIB_DIALECT_SCALING_RAISE_BEST_H
#define LIB_DIALECT_SCALING_RAISE_BEST_H

#include "Recognize.h"

namespace mlir::scaling::raise {

/// Rows and columns divided by what brings their standard deviations to 1, or
/// to the smallest of them, of as many pairs as there are the best.
struct BestOfPairs {
  Term matrix;
  /// The axis that is updated first; both at once where there is none.
  std::optional<Label> first;
  Label axes[2] = {0, 0};
  /// Whether the targets are the smallest deviation, or 1.
  bool least = false;
  std::pair<double, double> limit;
  /// Of what one step multiplies by, and of what all of them do.
  std::optional<std::pair<double, double>> step, clamp;
  /// Whether nothing is done any more after the first that is worse.
  bool gated = false;
  What what = What::imbalance;
  /// The pairs that are done and looked at.
  int64_t pairs = 0;
  /// What the axes are divided by: what has lost the other one.
  Term divisors[2];
  /// The deviations of the matrix: the oldest part of it.
  SmallVector<const Node *> statistics;

  /// The matrix over both divisors.
  Term writeScaled(Expressions &expressions) const;
};

/// The iterations the divisor of one axis is chosen from, if it is exactly
/// that.
std::optional<BestOfPairs> recognizeBest(Expressions &expressions,
                                         const Term &divisor,
                                         Obstacle &obstacle);

} // namespace mlir::scaling::raise

#endif // LIB_DIALECT_SCALING_RAISE_BEST_H
