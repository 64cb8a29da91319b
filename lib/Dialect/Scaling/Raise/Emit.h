//===- Emit.h - From formulas to operations ---------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef LIB_DIALECT_SCALING_RAISE_EMIT_H
#define LIB_DIALECT_SCALING_RAISE_EMIT_H

#include "Evaluate.h"

#include "mlir/IR/Builders.h"

namespace mlir::scaling::raise {

/// Finds, or writes, values that hold formulas.
class Emitter {
public:
  Emitter(OpBuilder &builder, Location loc, Evaluator &evaluator,
          Operation *user)
      : builder(builder), loc(loc), evaluator(evaluator), user(user) {}

  /// A tensor whose dimensions are the labels of `layout`; those that the term
  /// lacks have size 1. None when it cannot be written.
  Value emit(const Term &term, ArrayRef<Label> layout, Type element);

  /// A copy of `x`, whose dimensions have these labels, with the dimensions of
  /// `layout`; −1 names a dimension of size 1. None where a label is missing.
  Value arrange(Value x, ArrayRef<Label> labels, ArrayRef<Label> layout);

  /// `x` with its dimensions in another order, each named by its place in `x`.
  Value transpose(Value x, ArrayRef<int64_t> permutation);

  /// Every entry times (plus, when `adds`) a number.
  Value applyNumber(Value x, double number, bool adds);

  /// One over every entry.
  Value invert(Value x);

private:
  struct Found {
    Value value;
    /// The label of every dimension; −1 where it has size 1.
    SmallVector<Label> labels;
  };
  std::optional<Found> find(const Term &term);
  std::optional<Found> compute(const Term &term, Type element);
  Value map(Value x,
            function_ref<Value(OpBuilder &, Location, Value)> function);

  OpBuilder &builder;
  Location loc;
  Evaluator &evaluator;
  Operation *user;
};

} // namespace mlir::scaling::raise

#endif // LIB_DIALECT_SCALING_RAISE_EMIT_H
