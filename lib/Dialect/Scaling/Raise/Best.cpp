//===- Best.cpp - The best of several iterations --------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// As SINQ and KVarN balance a matrix: the last of the choices says what its
// numbers are, the first one what the matrix is. All of it is then written as a
// formula, which has to be the one that was found.
//
//===----------------------------------------------------------------------===//

#include "Best.h"

#include "mlir/IR/BuiltinTypeInterfaces.h"

#include <cmath>

using namespace mlir;
using namespace mlir::scaling;
using namespace mlir::scaling::raise;

namespace {
class BestRecognizer {
public:
  BestRecognizer(Expressions &expressions, const Term &divisor)
      : e(expressions), divisor(divisor) {}

  std::optional<BestOfPairs> run(Obstacle &obstacle);

private:
  bool readChoices();
  bool readMatrix(const Term &measure);
  bool readNumbers(Term last);
  bool readStep(Term bounded);
  Term clip(const Term &x, std::pair<double, double> bounds);
  Term writeDeviations(const Term &x, unsigned axis);
  Term writeMeasure(const Term &x);
  bool writeDivisors();

  Expressions &e;
  Term divisor;
  BestOfPairs best;
};
} // namespace

/// What is within two numbers, and these.
static std::optional<std::pair<double, double>> readBounds(const Term &term,
                                                           Term &inner) {
  if (term.node->kind != Kind::Smaller ||
      getOperand(term, 0).node->kind != Kind::Larger)
    return std::nullopt;
  Term larger = getOperand(term, 0);
  std::optional<double> least = getConstant(getOperand(larger, 1));
  std::optional<double> most = getConstant(getOperand(term, 1));
  if (!least || !most)
    return std::nullopt;
  inner = getOperand(larger, 0);
  return std::pair(*least, *most);
}

/// Choices between what the newest pair has made and the best one before, down
/// to 1.
bool BestRecognizer::readChoices() {
  Term current = divisor, first, newest;
  while (current.node->kind == Kind::Choice) {
    first = current;
    if (!newest)
      newest = getOperand(current, 2);
    current = getOperand(current, 1);
    ++best.pairs;
  }
  // One pair alone does not show all of its numbers.
  if (getConstant(current) != 1.0 || best.pairs < 2)
    return false;
  Term condition = getOperand(first, 0);
  if (condition.node->kind != Kind::Greater)
    return false;
  return readMatrix(getOperand(condition, 1)) && readNumbers(newest);
}

/// What a largest or smallest sum is the sum of, the axes that are lost by
/// these names.
static Term findSquares(const Term &term, ArrayRef<Label> names) {
  const Node &node = *term.node;
  if (node.kind == Kind::Max || node.kind == Kind::Sum) {
    if (names.empty() || node.operands[0].term.at.size() != term.at.size() + 1)
      return {};
    Term inner = getOperand(term, 0, names[0]);
    return node.kind == Kind::Sum ? inner
                                  : findSquares(inner, names.drop_front());
  }
  for (unsigned i = 0, end = node.operands.size(); i < end; ++i)
    if (Term found = findSquares(getOperand(term, i), names))
      return found;
  return {};
}

/// The matrix is what the first measure's sums of squares are of. The label
/// that is the divisor's keeps its name.
bool BestRecognizer::readMatrix(const Term &measure) {
  Label own = -1, fresh = 0;
  for (Label label : divisor.at) {
    fresh = std::max(fresh, label + 1);
    if (measure.has(label))
      continue;
    if (own >= 0)
      return false;
    own = label;
  }
  if (own < 0)
    return false;
  Label other = fresh;
  Term current = findSquares(measure, {own, other});
  if (!current)
    return false;
  // (x − mean)², and only x has all labels.
  if (current.node->kind != Kind::Product ||
      current.node->operands.size() != 1 ||
      getOperand(current, 0).node->kind != Kind::Linear)
    return false;
  Term centred = getOperand(current, 0);
  SmallVector<Operand> entries;
  for (unsigned i = 0, end = centred.node->operands.size(); i < end; ++i)
    if (Term entry = getOperand(centred, i); entry.has(own) && entry.has(other))
      entries.push_back({entry, centred.node->operands[i].weight});
  if (entries.empty())
    return false;
  best.matrix = e.linear(entries, centred.node->number);
  best.axes[0] = own;
  best.axes[1] = other;
  return true;
}

/// What one step multiplies by: a deviation within its limits, or its ratio to
/// the smallest one.
bool BestRecognizer::readStep(Term bounded) {
  Term inner;
  std::optional<std::pair<double, double>> bounds = readBounds(bounded, inner);
  if (!bounds)
    return false;
  if (isMultiple(inner))
    inner = getOperand(inner, 0);
  if (inner.node->kind == Kind::Product)
    for (unsigned i = 0, end = inner.node->operands.size(); i < end; ++i)
      if (Term ignored; std::optional<std::pair<double, double>> limit =
                            readBounds(getOperand(inner, i), ignored)) {
        best.step = bounds;
        best.limit = *limit;
        best.least = true;
        return true;
      }
  best.limit = *bounds;
  return true;
}

/// A number whose exponential was taken.
static double readLogarithm(double x) {
  double logarithm = std::log(x);
  double digits = std::round(logarithm * 1e9) / 1e9;
  return std::abs(digits - logarithm) < 1e-11 ? digits : logarithm;
}

bool BestRecognizer::readNumbers(Term last) {
  Term inner;
  if (last.node->kind == Kind::Exp) {
    // A sum of logarithms, the last one times whether it still counts.
    Term logarithm = getOperand(last, 0);
    best.clamp = readBounds(logarithm, inner);
    if (!best.clamp)
      inner = logarithm;
    if (inner.node->kind != Kind::Linear)
      return false;
    for (unsigned i = 0, end = inner.node->operands.size(); i < end; ++i) {
      Term product = getOperand(inner, i);
      if (product.node->kind != Kind::Product)
        continue;
      for (unsigned j = 0; j < product.node->operands.size(); ++j)
        if (Term factor = getOperand(product, j);
            factor.node->kind == Kind::Log) {
          best.gated = true;
          return readStep(getOperand(factor, 0));
        }
    }
    return false;
  }
  if (std::optional<std::pair<double, double>> clamp = readBounds(last, inner))
    best.clamp = {readLogarithm(clamp->first), readLogarithm(clamp->second)};
  else
    inner = last;
  if (inner.node->kind != Kind::Product)
    return false;
  Term youngest;
  for (unsigned i = 0, end = inner.node->operands.size(); i < end; ++i)
    if (Term factor = getOperand(inner, i), ignored;
        readBounds(factor, ignored) &&
        (!youngest || factor.node->id > youngest.node->id))
      youngest = factor;
  return youngest && readStep(youngest);
}

Term BestRecognizer::clip(const Term &x, std::pair<double, double> bounds) {
  return e.smaller(e.larger(x, e.constant(bounds.first)),
                   e.constant(bounds.second));
}

/// The unbiased standard deviations that belong to an axis.
Term BestRecognizer::writeDeviations(const Term &x, unsigned axis) {
  Label reduced = best.axes[1 - axis];
  int64_t extent = getSize(x, reduced);
  Term spread = writeSpread(e, x, reduced, extent);
  if (!spread || extent < 2)
    return {};
  return e.power(e.scale(1.0 / static_cast<double>(extent - 1), spread), 0.5);
}

Term BestRecognizer::writeMeasure(const Term &x) {
  Term deviations[] = {writeDeviations(x, 0), writeDeviations(x, 1)};
  if (!deviations[0] || !deviations[1])
    return {};
  Term least[2], most[2];
  for (unsigned axis : {0u, 1u}) {
    least[axis] = e.min(deviations[axis], best.axes[axis]);
    most[axis] = e.max(deviations[axis], best.axes[axis]);
  }
  auto divide = [&](const Term &x, const Term &y, double floor) {
    return e.product(
        {Operand{x}, Operand{e.larger(y, e.constant(floor)), -1.0}});
  };
  if (best.what == What::imbalance)
    return divide(e.larger(most[0], most[1]), e.smaller(least[0], least[1]),
                  1e-12);
  return e.add(divide(most[0], least[0], 1e-8),
               divide(most[1], least[1], 1e-8));
}

/// In the way of `docs/semantics.md`.
bool BestRecognizer::writeDivisors() {
  Term target = e.constant(1.0);
  if (best.least) {
    Term least[2];
    for (unsigned axis : {0u, 1u})
      least[axis] = e.min(clip(writeDeviations(best.matrix, axis), best.limit),
                          best.axes[axis]);
    target = e.add(e.smaller(least[0], least[1]), e.constant(1e-6));
  }
  Term logarithms[] = {e.constant(0.0), e.constant(0.0)};
  Term chosen[] = {e.constant(1.0), e.constant(1.0)};
  Term goesOn = e.constant(1.0);
  auto writeCurrent = [&] {
    return e.product({Operand{best.matrix}, Operand{e.exp(logarithms[0]), -1.0},
                      Operand{e.exp(logarithms[1]), -1.0}});
  };
  auto update = [&](const Term &current, unsigned axis) {
    Term ratio =
        e.product({Operand{clip(writeDeviations(current, axis), best.limit)},
                   Operand{target, -1.0}});
    if (best.step)
      ratio = clip(ratio, *best.step);
    Term next = e.add(logarithms[axis],
                      e.product({Operand{e.log(ratio)}, Operand{goesOn}}));
    return best.clamp ? clip(next, *best.clamp) : next;
  };
  Term least = writeMeasure(best.matrix);
  for (int64_t pair = 0; pair < best.pairs; ++pair) {
    Term current = writeCurrent();
    if (best.first) {
      unsigned first = best.axes[1] == *best.first;
      logarithms[first] = update(current, first);
      logarithms[1 - first] = update(writeCurrent(), 1 - first);
    } else {
      Term next[] = {update(current, 0), update(current, 1)};
      logarithms[0] = next[0];
      logarithms[1] = next[1];
    }
    Term measure = writeMeasure(writeCurrent());
    Term worse = e.greater(measure, least);
    for (unsigned axis : {0u, 1u})
      chosen[axis] = e.choose(worse, chosen[axis], e.exp(logarithms[axis]));
    least = e.smaller(least, measure);
    if (best.gated)
      goesOn = e.product({Operand{goesOn}, Operand{e.negate(worse)}});
  }
  best.divisors[0] = chosen[0];
  best.divisors[1] = chosen[1];
  return chosen[0] == divisor;
}

std::optional<BestOfPairs> BestRecognizer::run(Obstacle &obstacle) {
  if (!readChoices())
    return std::nullopt;
  for (unsigned axis : {0u, 1u}) {
    Term deviations = writeDeviations(best.matrix, axis);
    if (!deviations)
      return std::nullopt;
    if (isMultiple(deviations))
      deviations = getOperand(deviations, 0);
    best.statistics.push_back(deviations.node->operands[0].term.node);
  }
  // The oldest one is the last.
  llvm::sort(best.statistics,
             [](const Node *x, const Node *y) { return x->id > y->id; });
  Term matrix = best.matrix;
  for (bool swaps : {false, true}) {
    // Which of its axes the divisor belongs to is not known.
    best.matrix = matrix;
    for (Label &label : best.matrix.at)
      if (swaps && llvm::is_contained(best.axes, label))
        label = best.axes[label == best.axes[0]];
    for (What what : {What::imbalance, What::imbalance_sum})
      for (std::optional<Label> first :
           {std::optional<Label>(), std::optional(best.axes[0]),
            std::optional(best.axes[1])}) {
        best.what = what;
        best.first = first;
        if (writeDivisors())
          return best;
      }
  }
  obstacle.statistics = best.statistics;
  obstacle.reason = "the best of the pairs is not chosen, or they are not "
                    "done, as 'best' does";
  return std::nullopt;
}

Term BestOfPairs::writeScaled(Expressions &e) const {
  return e.product({Operand{matrix}, Operand{divisors[0], -1.0},
                    Operand{divisors[1], -1.0}});
}

std::optional<BestOfPairs> raise::recognizeBest(Expressions &expressions,
                                                const Term &divisor,
                                                Obstacle &obstacle) {
  if (divisor.node->kind != Kind::Choice)
    return std::nullopt;
  return BestRecognizer(expressions, divisor).run(obstacle);
}
