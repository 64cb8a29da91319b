//===- Expression.h - What tensors hold, as formulas ------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Tensors as formulas over named axes, in a normal form: equal formulas are the
// same node. Sums are flat linear combinations, products flat with powers, and
// what does not depend on the axes of a sum or of a log-sum-exp stands outside
// of it. So x − logsumexp(x), repeated, and potentials u and v are the same
// formula, whatever order a program takes its additions in, and a subtracted
// maximum is gone where it makes no difference.
//
// The formulas are exact in real numbers; constants are compared by 12 digits.
//
//===----------------------------------------------------------------------===//

#ifndef LIB_DIALECT_SCALING_RAISE_EXPRESSION_H
#define LIB_DIALECT_SCALING_RAISE_EXPRESSION_H

#include "mlir/IR/Attributes.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/IR/Value.h"

#include "llvm/ADT/FoldingSet.h"

#include <deque>

namespace mlir::scaling::raise {

/// Names an axis in a surrounding index space: a tensor's dimension or a loop.
using Label = int;

enum class Kind {
  Leaf,      // a value, as it is
  Constant,  // a number
  Linear,    // number + Σ weight · operand
  Product,   // Π operand^weight
  Exp,       // exp(operand)
  Log,       // log(operand)
  Sum,       // Σ of the operand along the lost axes
  Max,       // its maximum
  LogSumExp, // log Σ exp
  Larger,    // the larger of both operands
  Smaller,   // the smaller of both
  Concat,    // operands one behind the other along the first axis
  Greater,   // 1 where the first is greater than the second, else 0
  Choice,    // the second where the first is 1, else the third
  Other,     // any other function of its operands, entry by entry
};

struct Node;

/// A node whose axis i is the label `at[i]`.
struct Term {
  const Node *node = nullptr;
  SmallVector<Label, 4> at;

  explicit operator bool() const { return node; }
  bool operator==(const Term &other) const {
    return node == other.node && at == other.at;
  }
  bool has(Label label) const { return llvm::is_contained(at, label); }
};

/// An operand and its weight: the factor in a sum, the power in a product.
struct Operand {
  Term term;
  double weight = 1.0;
};

/// What makes two nodes equal.
struct Formula {
  explicit Formula(Kind kind, ArrayRef<Operand> operands = {})
      : kind(kind), operands(operands) {}

  Kind kind;
  /// Their labels are the node's axes; a reduction's lost axes are −1, −2, ….
  SmallVector<Operand, 2> operands;
  /// The number of a constant, the additive one of a linear combination.
  double number = 0.0;
  Value leaf;
  /// Of `Other`: the operation.
  std::optional<OperationName> name;
  Attribute attributes;
  /// Of `Concat`: the operands' sizes along the first axis.
  SmallVector<int64_t, 2> parts;
  /// The element type; none for constants.
  Type type;
};

struct Node : llvm::FastFoldingSetNode, Formula {
  Node(const llvm::FoldingSetNodeID &profile, Formula formula)
      : FastFoldingSetNode(profile), Formula(std::move(formula)) {}

  /// Nodes are numbered as they are made: operands before their users.
  unsigned id = 0;
  /// Of each axis; dynamic where it is not known.
  SmallVector<int64_t, 4> sizes;
  /// Whether no entry is negative, as far as is known.
  bool nonNegative = false;
};

/// All formulas of a function.
class Expressions {
public:
  Term leaf(Value value, Type element, ArrayRef<Label> labels,
            ArrayRef<int64_t> sizes);
  Term constant(double number);
  Term linear(ArrayRef<Operand> operands, double number = 0.0);
  Term product(ArrayRef<Operand> operands);
  Term exp(const Term &x);
  Term log(const Term &x);
  /// Sums along `labels`, whose sizes are given for those that `x` lacks; none
  /// when such a size is dynamic.
  Term sum(const Term &x, ArrayRef<Label> labels, ArrayRef<int64_t> sizes);
  Term max(const Term &x, ArrayRef<Label> labels);
  Term min(const Term &x, ArrayRef<Label> labels) {
    return scale(-1, max(scale(-1, x), labels));
  }
  Term larger(const Term &x, const Term &y);
  Term smaller(const Term &x, const Term &y);
  /// Conditions are 0 or 1. "And" is their product, "not" 1 − x.
  Term greater(const Term &x, const Term &y);
  Term negate(const Term &condition) {
    return linear({Operand{condition, -1}}, 1.0);
  }
  Term either(ArrayRef<Term> conditions);
  Term choose(const Term &condition, const Term &x, const Term &y);
  Term concat(ArrayRef<Term> operands, Label along, ArrayRef<int64_t> parts);
  Term other(OperationName name, Attribute attributes, Type type,
             ArrayRef<Term> operands);

  Term add(const Term &x, const Term &y) {
    return linear({Operand{x, 1}, Operand{y, 1}});
  }
  Term subtract(const Term &x, const Term &y) {
    return linear({Operand{x, 1}, Operand{y, -1}});
  }
  Term scale(double weight, const Term &x) {
    return linear({Operand{x, weight}});
  }
  Term power(const Term &x, double power) {
    return product({Operand{x, power}});
  }

  /// How much there is, to bound the work.
  size_t getSize() const { return size; }

private:
  Term make(Formula formula, bool ordered = false, ArrayRef<Label> lost = {});
  Term find(Formula formula, ArrayRef<Label> labels, ArrayRef<int64_t> sizes);
  Term reduce(Kind kind, const Term &x, ArrayRef<Label> labels);
  Term logSumExp(const Term &x, ArrayRef<Label> labels);

  llvm::FoldingSet<Node> nodes;
  std::deque<Node> storage;
  size_t size = 0;
};

/// The operand of a node, seen from a term of that node; labels of axes that a
/// reduction loses become `lost`.
Term getOperand(const Term &term, unsigned index, ArrayRef<Label> lost = {});

/// Whether a node is a linear combination of one operand, without a number.
bool isMultiple(const Term &term);

std::optional<double> getConstant(const Term &term);

/// A label that a term does not have.
Label getFreshLabel(const Term &term);

/// Whether it is 0 or 1.
bool isCondition(const Term &term);

} // namespace mlir::scaling::raise

#endif // LIB_DIALECT_SCALING_RAISE_EXPRESSION_H
