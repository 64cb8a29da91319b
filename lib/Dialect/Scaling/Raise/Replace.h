//===- Replace.h - A value computed by a named op ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef LIB_DIALECT_SCALING_RAISE_REPLACE_H
#define LIB_DIALECT_SCALING_RAISE_REPLACE_H

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

/// Writes the named op that computes `value`, in front of it; none, and the
/// reason, when no op says what the iteration does. The op is `raised`.
Value writeNamedOp(Expressions &expressions, Evaluator &evaluator, Value value,
                   Found found, Domain logDomain, Raised &raised,
                   std::string &reason);

} // namespace mlir::scaling::raise

#endif // LIB_DIALECT_SCALING_RAISE_REPLACE_H
