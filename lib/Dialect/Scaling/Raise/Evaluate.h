//===- Evaluate.h - From operations to formulas -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef LIB_DIALECT_SCALING_RAISE_EVALUATE_H
#define LIB_DIALECT_SCALING_RAISE_EVALUATE_H

#include "Expression.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Block.h"

namespace mlir::scaling::raise {

/// Finds what the values of a block hold. The labels of a value's formula are
/// its dimensions; dimensions of size 1, and those along which it is constant,
/// are missing.
class Evaluator {
public:
  explicit Evaluator(Expressions &expressions) : expressions(expressions) {}

  void evaluate(Block &block);

  Term getTerm(Value value);

  /// A value that holds a node, made before everything that was evaluated
  /// later, with the node's axes as its dimensions; none where there is none.
  Value findValue(const Node *node) const { return values.lookup(node); }

  /// What a loop does: its condition, what it hands out, and what it starts
  /// again from, as formulas of its arguments.
  struct LoopStep {
    Term goesOn;
    SmallVector<Term> arguments, handedOut, next;
  };
  LoopStep evaluateStep(scf::WhileOp loop);

  /// To be called before an op is erased.
  void forget(Operation *op);

private:
  void evaluate(Operation *op);
  void setTerm(Value value, Term term);
  void evaluateStructured(linalg::LinalgOp op);
  Term evaluateResult(linalg::LinalgOp op, unsigned result);
  void evaluateReshape(Operation *op, ArrayRef<ReassociationIndices> groups,
                       Value narrow, Value wide, bool expands);
  void evaluateConcat(Operation *op, int64_t dim);
  void evaluateLoop(LoopLikeOpInterface op,
                    function_ref<bool(SmallVector<Term> &)> iterate);
  void forgetWithin(Operation *loop);
  void evaluateFor(scf::ForOp op);
  void evaluateWhile(scf::WhileOp op);
  Term makeLeaf(Value value);
  /// A term in f64 in f32: of sums of numbers that were f32.
  Term narrow(const Term &wide, bool summed);
  /// A function of numbers, entry by entry.
  Term apply(Operation *op, ArrayRef<Term> operands);

  Expressions &expressions;
  DenseMap<Value, Term> terms;
  DenseMap<const Node *, Value> values;
  /// The outermost loop that is being followed, and whether something in it is
  /// not a formula of what is outside.
  Operation *followed = nullptr;
  bool unknown = false;
};

} // namespace mlir::scaling::raise

#endif // LIB_DIALECT_SCALING_RAISE_EVALUATE_H
