//===- Replace.h - A value computed by a named op ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef LIB_DIALECT_SCALING_RAISE_REPLACE_H
#define LIB_DIALECT_SCALING_RAISE_REPLACE_H

#include "Best.h"
#include "Convention.h"
#include "Evaluate.h"

namespace mlir::scaling::raise {

/// What there is to replace.
struct Found {
  Iteration iteration;
  /// Whether the value is the logarithm of the plan.
  bool isLogarithm = false;
  /// The plan's term where the value is its product with another matrix.
  Term plan;
};

/// What has been written, and whose convention it is. The numerics are written
/// behind that: presets on logarithms say `log`.
struct Raised {
  Operation *op = nullptr;
  std::optional<StringRef> preset;
};

/// A value that is a multiple of a row's or column's factor: on logarithms, of
/// the factor's logarithm, plus a number.
struct Potential {
  OpResult value;
  /// Its formula; the axes are named as those of the iteration.
  Term term;
  /// The multiple.
  double weight = 1.0;
  /// Its formula; the axes are named as the value's dimensions.
  Term own;
};

/// A value that is what an axis is divided by, or the inverse of that, or the
/// matrix over both.
struct BestPart {
  OpResult value;
  /// Its formula; the axes are named as those of the iteration.
  Term term;
  /// Which divisor; −1 for the matrix.
  int axis = 0;
  bool inverse = false;
};

/// Writes the named op that chooses the best of an iteration's pairs, in front
/// of the first of `parts`, which are in the order of their block; none, and
/// the reason, as below.
SmallVector<Value> writeBest(Expressions &expressions, Evaluator &evaluator,
                             ArrayRef<BestPart> parts, const BestOfPairs &best,
                             Raised &raised, std::string &reason);

/// −ε·logsumexp(…) + …: the log-sum-exp that was made last, as an index; none
/// where a formula is no such sum.
std::optional<unsigned> findLogSumExp(const Term &term);

/// … / (a sum along one axis): the sum that was made last; none where a formula
/// is no such quotient.
Term findScaledSum(const Term &term);

/// Writes the named op that computes potentials, or factors, all of one
/// iteration, in front of `before`; none, and the reason, as below.
SmallVector<Value> writePotentials(Expressions &expressions,
                                   Evaluator &evaluator,
                                   ArrayRef<Potential> potentials,
                                   const Found &found, Domain logDomain,
                                   Operation *before, Raised &raised,
                                   std::string &reason);

/// Writes the named op that computes `value`, in front of it; none, and the
/// reason, when no op says what the iteration does. The op is `raised`.
Value writeNamedOp(Expressions &expressions, Evaluator &evaluator, Value value,
                   Found found, Domain logDomain, Raised &raised,
                   std::string &reason);

} // namespace mlir::scaling::raise

#endif // LIB_DIALECT_SCALING_RAISE_REPLACE_H
