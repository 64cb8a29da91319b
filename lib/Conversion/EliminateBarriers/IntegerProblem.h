//===- IntegerProblem.h - Linear constraints and choices --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_ELIMINATEBARRIERS_INTEGERPROBLEM_H
#define SCALING_LIB_CONVERSION_ELIMINATEBARRIERS_INTEGERPROBLEM_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/SmallVector.h"
#include <cstdint>
#include <map>
#include <optional>

namespace mlir::scaling {

/// A sum of multiples of variables and a constant.
struct Linear {
  std::map<unsigned, int64_t> terms;
  int64_t constant = 0;

  static Linear of(int64_t constant) { return {{}, constant}; }
  static Linear variable(unsigned number) { return {{{number, 1}}, 0}; }
  bool isConstant() const { return terms.empty(); }
  bool operator==(const Linear &other) const {
    return terms == other.terms && constant == other.constant;
  }
};

/// Empty where a number does not fit 64 bits.
std::optional<Linear> add(const Linear &lhs, const Linear &rhs);
std::optional<Linear> multiply(const Linear &value, int64_t factor);

/// That a sum is zero, or that it is not negative.
struct Constraint {
  Linear sum;
  bool isEquality = false;
};
using Constraints = SmallVector<Constraint, 2>;

/// Whether integers exist that fulfil constraints, of some only one of several
/// alternatives.
class IntegerProblem {
public:
  unsigned addVariable() { return numVariables++; }
  void add(const Constraint &constraint) { facts.push_back(constraint); }
  void addChoice(SmallVector<Constraints> alternatives) {
    choices.push_back(std::move(alternatives));
  }

  /// lhs == rhs, lhs <= rhs. None where numbers are too large: then nothing is
  /// known.
  static Constraints equal(const Linear &lhs, const Linear &rhs);
  static Constraints atMost(const Linear &lhs, const Linear &rhs);
  static Constraints less(const Linear &lhs, const Linear &rhs);
  void require(const Constraints &constraints) {
    facts.append(constraints.begin(), constraints.end());
  }

  /// False only if there are none.
  bool mayHaveSolution() const;

private:
  bool search(SmallVectorImpl<Constraint> &known, size_t choice,
              unsigned &left) const;
  /// Whether no integers fulfil them; otherwise than exactly, it may be said
  /// that there are some.
  bool isEmpty(ArrayRef<Constraint> constraints, bool exactly = false) const;

  unsigned numVariables = 0;
  SmallVector<Constraint> facts;
  SmallVector<SmallVector<Constraints>> choices;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_ELIMINATEBARRIERS_INTEGERPROBLEM_H
