//===- Convention.h - What named ops say of an iteration --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef LIB_DIALECT_SCALING_RAISE_CONVENTION_H
#define LIB_DIALECT_SCALING_RAISE_CONVENTION_H

#include "Recognize.h"

namespace mlir::scaling::raise {

/// The matrix of an iteration as the input of a named op.
struct Matrix {
  explicit Matrix(Term input, Map map = Map::exp, Input kind = Input::logits)
      : input(std::move(input)), kind(kind), map(map) {}

  Term input;
  Input kind;
  Map map;
  Shift shift = Shift::none;
  double epsilon = 1.0;
  double entryEps = 0.0;
  std::optional<double> normalizeTotal;
  /// The value of a row and a column behind the input.
  Term slack;
};

/// The ways in which the matrix can be given, for rows and columns of these
/// names, the best first.
SmallVector<Matrix> readMatrix(Expressions &expressions,
                               const Iteration &iteration, Label row,
                               Label col);

/// A form's choices that leave the formula as it is.
struct Convention {
  Target rowTarget = Target::one, colTarget = Target::one;
  OutputScale scale = OutputScale::one;
  std::optional<double> normalizeTotal;
  /// What the result of the op is still to be multiplied by.
  double factor = 1.0;
};

/// The conventions an iteration on an `n × m` input can be said in, the
/// plainest first; none where there is a slack and the targets are not those of
/// it.
SmallVector<Convention> findConventions(const Iteration &iteration,
                                        const Matrix &matrix, Label row,
                                        int64_t n, int64_t m);

} // namespace mlir::scaling::raise

#endif // LIB_DIALECT_SCALING_RAISE_CONVENTION_H
