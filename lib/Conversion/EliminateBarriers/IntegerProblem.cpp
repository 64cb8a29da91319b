//===- IntegerProblem.cpp - Linear constraints and choices ----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IntegerProblem.h"

#include "mlir/Analysis/Presburger/IntegerRelation.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::scaling;

/// How many systems one question may take.
static constexpr unsigned kMostSystems = 512;

std::optional<Linear> scaling::add(const Linear &lhs, const Linear &rhs) {
  Linear sum = lhs;
  if (llvm::AddOverflow(lhs.constant, rhs.constant, sum.constant))
    return std::nullopt;
  for (auto [variable, factor] : rhs.terms) {
    int64_t &own = sum.terms[variable];
    if (llvm::AddOverflow(own, factor, own))
      return std::nullopt;
    if (own == 0)
      sum.terms.erase(variable);
  }
  return sum;
}

std::optional<Linear> scaling::multiply(const Linear &value, int64_t factor) {
  Linear product;
  if (factor == 0)
    return product;
  if (llvm::MulOverflow(value.constant, factor, product.constant))
    return std::nullopt;
  for (auto [variable, own] : value.terms)
    if (llvm::MulOverflow(own, factor, product.terms[variable]))
      return std::nullopt;
  return product;
}

static std::optional<Linear> subtract(const Linear &lhs, const Linear &rhs) {
  std::optional<Linear> negated = multiply(rhs, -1);
  return negated ? add(lhs, *negated) : std::nullopt;
}

Constraints IntegerProblem::equal(const Linear &lhs, const Linear &rhs) {
  std::optional<Linear> difference = subtract(lhs, rhs);
  return difference ? Constraints{{*difference, true}} : Constraints();
}

Constraints IntegerProblem::atMost(const Linear &lhs, const Linear &rhs) {
  std::optional<Linear> difference = subtract(rhs, lhs);
  return difference ? Constraints{{*difference, false}} : Constraints();
}

Constraints IntegerProblem::less(const Linear &lhs, const Linear &rhs) {
  std::optional<Linear> next = scaling::add(lhs, Linear::of(1));
  return next ? atMost(*next, rhs) : Constraints();
}

bool IntegerProblem::isEmpty(ArrayRef<Constraint> constraints,
                             bool exactly) const {
  // Only of the variables that occur.
  llvm::SmallDenseMap<unsigned, unsigned> columns;
  for (const Constraint &constraint : constraints)
    for (auto [variable, factor] : constraint.sum.terms)
      columns.try_emplace(variable, columns.size());
  presburger::IntegerPolyhedron system(
      presburger::PresburgerSpace::getSetSpace(columns.size()));
  for (const Constraint &constraint : constraints) {
    SmallVector<int64_t> row(columns.size() + 1);
    for (auto [variable, factor] : constraint.sum.terms)
      row[columns.lookup(variable)] = factor;
    row.back() = constraint.sum.constant;
    if (constraint.isEquality)
      system.addEquality(row);
    else
      system.addInequality(row);
  }
  return exactly ? system.isIntegerEmpty() : system.isEmpty();
}

bool IntegerProblem::search(SmallVectorImpl<Constraint> &known, size_t choice,
                            unsigned &left) const {
  if (left == 0)
    return true;
  --left;
  // The first choice is which is the lower of two numbers that differ: without
  // it there is always a solution.
  if ((choice > 0 || choices.empty()) && isEmpty(known))
    return false;
  if (choice == choices.size())
    return !isEmpty(known, /*exactly=*/true);
  for (const Constraints &alternative : choices[choice]) {
    size_t size = known.size();
    known.append(alternative.begin(), alternative.end());
    if (search(known, choice + 1, left))
      return true;
    known.truncate(size);
  }
  return false;
}

bool IntegerProblem::mayHaveSolution() const {
  SmallVector<Constraint> known(facts);
  unsigned left = kMostSystems;
  return search(known, 0, left);
}
