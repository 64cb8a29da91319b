//===- IntegerProblem.cpp - Linear constraints and choices ----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IntegerProblem.h"

#include "mlir/Analysis/Presburger/IntegerRelation.h"
#include "mlir/Analysis/Presburger/Simplex.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/MathExtras.h"
#include <numeric>

using namespace mlir;
using namespace mlir::scaling;

/// How many systems one question may take.
static constexpr unsigned kMostSystems = 512;
/// Of how many variables a system may be to be searched for integers by a
/// better basis, and how many parts of a larger one are looked at.
static constexpr unsigned kMostReduced = 12, kMostHalves = 64;

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

namespace {
/// Constraints as rows of factors, the constant last: without what elimination
/// that is exact for integers takes away.
class Rows {
public:
  Rows(ArrayRef<Constraint> constraints, size_t numColumns,
       llvm::function_ref<unsigned(unsigned)> getColumn)
      : numColumns(numColumns) {
    for (const Constraint &constraint : constraints) {
      Row row{SmallVector<int64_t>(numColumns + 1), constraint.isEquality};
      for (auto [variable, factor] : constraint.sum.terms)
        row.factors[getColumn(variable)] = factor;
      row.factors.back() = constraint.sum.constant;
      rows.push_back(std::move(row));
    }
  }

  /// Eliminates while there is no more to do by it. False where it is known
  /// whether there are solutions: `isEmpty` then says whether there are none.
  bool eliminate(bool &isEmpty);

  presburger::IntegerPolyhedron getSystem() const;

  /// Whether no integers fulfil them; of many variables by halves at numbers
  /// that are not whole, where it may be said that there are some.
  bool isIntegerEmpty(unsigned &left);

private:
  struct Row {
    SmallVector<int64_t> factors;
    bool isEquality;
  };
  /// False if there is a contradiction.
  bool normalize();
  unsigned countVariables() const;
  bool substitute();
  bool project();
  /// lhs * a + rhs * b, unless a number is too large.
  static bool combine(const Row &lhs, int64_t a, const Row &rhs, int64_t b,
                      Row &result);

  size_t numColumns;
  std::vector<Row> rows;
};
} // namespace

bool Rows::combine(const Row &lhs, int64_t a, const Row &rhs, int64_t b,
                   Row &result) {
  for (auto [one, other, sum] :
       llvm::zip_equal(lhs.factors, rhs.factors, result.factors)) {
    int64_t first, second;
    if (llvm::MulOverflow(one, a, first) ||
        llvm::MulOverflow(other, b, second) ||
        llvm::AddOverflow(first, second, sum))
      return false;
  }
  return true;
}

/// Takes away rows that say nothing; divides the others by what their factors
/// have in common.
bool Rows::normalize() {
  for (size_t i = 0; i < rows.size();) {
    Row &row = rows[i];
    int64_t common = 0;
    for (int64_t factor : ArrayRef(row.factors).drop_back())
      common = std::gcd(common, factor);
    int64_t &constant = row.factors.back();
    if (common == 0) {
      if (row.isEquality ? constant != 0 : constant < 0)
        return false;
      std::swap(row, rows.back());
      rows.pop_back();
      continue;
    }
    if (row.isEquality && constant % common != 0)
      return false;
    constant = llvm::divideFloorSigned(constant, common);
    for (int64_t &factor : MutableArrayRef(row.factors).drop_back())
      factor /= common;
    ++i;
  }
  return true;
}

/// How many variables occur.
unsigned Rows::countVariables() const {
  return llvm::count_if(llvm::seq(numColumns), [&](size_t column) {
    return llvm::any_of(
        rows, [&](const Row &row) { return row.factors[column] != 0; });
  });
}

/// Takes away an equality and one of its variables, once.
bool Rows::substitute() {
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].isEquality)
      continue;
    for (size_t column = 0; column < numColumns; ++column) {
      int64_t own = rows[i].factors[column];
      if (own != 1 && own != -1)
        continue;
      SmallVector<std::pair<size_t, Row>> changed;
      bool fits = true;
      for (size_t j = 0; j < rows.size() && fits; ++j) {
        int64_t factor = rows[j].factors[column];
        if (j == i || factor == 0)
          continue;
        changed.push_back({j, rows[j]});
        fits = combine(rows[j], 1, rows[i], own > 0 ? -factor : factor,
                       changed.back().second);
      }
      if (!fits)
        continue;
      for (auto &[j, row] : changed)
        rows[j] = std::move(row);
      std::swap(rows[i], rows.back());
      rows.pop_back();
      return true;
    }
  }
  return false;
}

/// Takes away a variable that has only lower or only upper bounds, or of which
/// each lower one goes with each upper one without more of them.
bool Rows::project() {
  for (size_t column = 0; column < numColumns; ++column) {
    SmallVector<size_t> lower, upper;
    bool isEqual = false, isUnit[2] = {true, true};
    for (auto [i, row] : llvm::enumerate(rows)) {
      int64_t factor = row.factors[column];
      if (factor == 0)
        continue;
      isEqual |= row.isEquality;
      (factor > 0 ? lower : upper).push_back(i);
      isUnit[factor > 0] &= factor == 1 || factor == -1;
    }
    if (isEqual || lower.size() + upper.size() == 0 ||
        lower.size() * upper.size() > lower.size() + upper.size() ||
        (!lower.empty() && !upper.empty() && !isUnit[0] && !isUnit[1]))
      continue;
    SmallVector<Row> combined;
    bool fits = true;
    for (size_t low : lower) {
      for (size_t high : upper) {
        Row both{SmallVector<int64_t>(numColumns + 1), false};
        fits &= combine(rows[low], -rows[high].factors[column], rows[high],
                        rows[low].factors[column], both);
        combined.push_back(std::move(both));
      }
    }
    if (!fits)
      continue;
    llvm::erase_if(rows,
                   [&](const Row &row) { return row.factors[column] != 0; });
    llvm::append_range(rows, combined);
    return true;
  }
  return false;
}

bool Rows::eliminate(bool &isEmpty) {
  do {
    isEmpty = !normalize();
    if (isEmpty || rows.empty())
      return false;
  } while (substitute() || project());
  return true;
}

presburger::IntegerPolyhedron Rows::getSystem() const {
  presburger::IntegerPolyhedron system(
      presburger::PresburgerSpace::getSetSpace(numColumns));
  for (const Row &row : rows) {
    if (row.isEquality)
      system.addEquality(row.factors);
    else
      system.addInequality(row.factors);
  }
  return system;
}

bool Rows::isIntegerEmpty(unsigned &left) {
  bool result;
  if (!eliminate(result))
    return result;
  if (countVariables() <= kMostReduced)
    return getSystem().isIntegerEmpty();
  if (left == 0)
    return false;
  --left;
  presburger::Simplex simplex(getSystem());
  if (simplex.isEmpty())
    return true;
  auto sample = *simplex.getRationalSample();
  auto *broken = llvm::find_if(sample, [](const presburger::Fraction &value) {
    return value.num % value.den != 0;
  });
  if (broken == sample.end())
    return false;
  int64_t below(presburger::floor(*broken));
  for (bool isUpper : {false, true}) {
    Row half{SmallVector<int64_t>(numColumns + 1), false};
    half.factors[broken - sample.begin()] = isUpper ? 1 : -1;
    half.factors.back() = isUpper ? -below - 1 : below;
    Rows halved = *this;
    halved.rows.push_back(std::move(half));
    if (!halved.isIntegerEmpty(left))
      return false;
  }
  return true;
}

bool IntegerProblem::isEmpty(ArrayRef<Constraint> constraints,
                             bool exactly) const {
  // Only of the variables that occur.
  llvm::SmallDenseMap<unsigned, unsigned> columns;
  for (const Constraint &constraint : constraints)
    for (auto [variable, factor] : constraint.sum.terms)
      columns.try_emplace(variable, columns.size());
  Rows rows(constraints, columns.size(),
            [&](unsigned variable) { return columns.lookup(variable); });
  unsigned left = kMostHalves;
  if (exactly)
    return rows.isIntegerEmpty(left);
  bool result;
  return rows.eliminate(result) ? rows.getSystem().isEmpty() : result;
}

bool IntegerProblem::search(SmallVectorImpl<Constraint> &known, size_t choice,
                            unsigned &left) const {
  if (left == 0)
    return true;
  --left;
  if (choice == choices.size())
    return !isEmpty(known, /*exactly=*/true);
  // The first choice is which is the lower of two numbers that differ: without
  // it there is always a solution.
  if (choice > 0 && isEmpty(known))
    return false;
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
