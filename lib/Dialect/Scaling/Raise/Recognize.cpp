//===- Recognize.cpp - Iterations in formulas -----------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// In two steps: statistics are followed inwards from the last half-step to the
// first, which says what the iteration would have to be; then that iteration is
// written as a formula. Only when this is the same formula, up to a number, is
// it what the program computes.
//
//===----------------------------------------------------------------------===//

#include "Recognize.h"

#include "mlir/IR/BuiltinTypeInterfaces.h"

#include <cmath>

using namespace mlir;
using namespace mlir::scaling;
using namespace mlir::scaling::raise;

int64_t raise::getSize(const Term &term, Label label) {
  const auto *it = llvm::find(term.at, label);
  return it == term.at.end() ? ShapedType::kDynamic
                             : term.node->sizes[it - term.at.begin()];
}

namespace {
/// A factor (summand, in the log domain) that a half-step has made.
struct Statistic {
  Term factor;
  Label reduced = 0;
  /// What is summed (whose exponentials are).
  Term argument;
  Measure measure = Measure::sum;
  Guard guard = Guard::none;
  double guardEps = 0.0;
  std::optional<std::pair<double, double>> limit, clamp;

  /// The first of several factors in bounds is no product yet: what it looks
  /// like is compared with the rest.
  bool isGuardedAs(const Statistic &other) const {
    return other.clamp || (guard == other.guard && guardEps == other.guardEps &&
                           limit == other.limit);
  }
  /// Whether all of it is a factor of the result.
  bool isPlain() const { return guard == Guard::none && !limit; }
};

class Recognizer {
public:
  Recognizer(Expressions &expressions, const Term &formula, bool log)
      : e(expressions), formula(formula), log(log) {}

  std::optional<Iteration> run(Obstacle &obstacle);

private:
  std::optional<Statistic> readStatistic(const Term &factor);
  bool readSum(Term sum, ArrayRef<Label> missing, Statistic &statistic);
  /// `power` is that of the factors: −1, or −2 in squares.
  std::optional<Statistic> findLast(const Term &term, ArrayRef<Label> allowed,
                                    double power);
  Term findTarget(const Term &term, Label reduced, const Node *statistic);
  bool isIt(Iteration &iteration);

  Expressions &e;
  Term formula;
  bool log;
};
} // namespace

Term raise::writeSpread(Expressions &e, const Term &x, Label label,
                        int64_t extent) {
  if (ShapedType::isDynamic(extent))
    return {};
  Term mean =
      e.scale(1.0 / static_cast<double>(extent), e.sum(x, label, {extent}));
  return e.sum(e.power(e.subtract(x, mean), 2.0), label, {extent});
}

static bool losesOneAxis(const Term &term) {
  return term.node->operands[0].term.at.size() == term.at.size() + 1;
}

std::optional<Statistic> Recognizer::readStatistic(const Term &factor) {
  SmallVector<Label> missing;
  for (Label label : formula.at)
    if (!factor.has(label))
      missing.push_back(label);
  if (missing.size() != 1)
    return std::nullopt;
  Statistic statistic;
  statistic.factor = factor;
  statistic.reduced = missing[0];
  const Node &node = *factor.node;
  if (log) {
    if (node.kind != Kind::LogSumExp || !losesOneAxis(factor))
      return std::nullopt;
    statistic.argument = getOperand(factor, 0, missing);
    return statistic;
  }
  Term sum = factor;
  if (node.kind == Kind::Linear && node.operands.size() == 1 &&
      node.operands[0].weight > 0.0 && node.number > 0.0) {
    statistic.guard = Guard::add_plan;
    statistic.guardEps = node.number;
    sum = getOperand(factor, 0);
  } else if (node.kind == Kind::Larger) {
    std::optional<double> least = getConstant(getOperand(factor, 1));
    if (!least || *least <= 0.0)
      return std::nullopt;
    statistic.guard = Guard::clamp_plan;
    statistic.guardEps = *least;
    sum = getOperand(factor, 0);
  } else if (node.kind == Kind::Smaller &&
             getOperand(factor, 0).node->kind == Kind::Larger) {
    Term larger = getOperand(factor, 0);
    std::optional<double> least = getConstant(getOperand(larger, 1));
    std::optional<double> most = getConstant(getOperand(factor, 1));
    if (!least || !most || *least <= 0.0 || *most < *least)
      return std::nullopt;
    sum = getOperand(larger, 0);
    // A factor and a statistic, both in bounds.
    Term inner;
    for (unsigned i = 0, end = sum.node->operands.size();
         sum.node->kind == Kind::Product && i < end; ++i)
      if (Term operand = getOperand(sum, i);
          sum.node->operands[i].weight == 1.0 &&
          operand.node->kind == Kind::Smaller &&
          getOperand(operand, 0).node->kind == Kind::Larger &&
          (!inner || operand.node->id > inner.node->id))
        inner = operand;
    if (inner) {
      std::optional<Statistic> own = readStatistic(inner);
      if (!own || own->clamp)
        return std::nullopt;
      own->factor = factor;
      own->clamp = {*least, *most};
      return own;
    }
    statistic.limit = {*least, *most};
  }
  if (isMultiple(sum))
    sum = getOperand(sum, 0);
  if (!readSum(sum, missing, statistic))
    return std::nullopt;
  return statistic;
}

bool Recognizer::readSum(Term sum, ArrayRef<Label> missing,
                         Statistic &statistic) {
  // The plan's sums: the kernel's times the own factors so far.
  if (sum.node->kind == Kind::Product) {
    Term last;
    for (unsigned i = 0, end = sum.node->operands.size(); i < end; ++i) {
      Term inner = getOperand(sum, i);
      double power = sum.node->operands[i].weight;
      if ((power == 1.0 || power == 0.5) && inner.node->kind == Kind::Sum &&
          (!last || inner.node->id > last.node->id)) {
        last = inner;
        statistic.measure = power == 0.5 ? Measure::norm : Measure::sum;
      }
    }
    if (!last || (statistic.measure != Measure::sum && statistic.isPlain()))
      return false;
    sum = last;
  }
  if (sum.node->kind != Kind::Sum || !losesOneAxis(sum))
    return false;
  statistic.argument = getOperand(sum, 0, missing);
  if (statistic.measure == Measure::sum)
    return true;
  // Squares of what has lost its mean.
  const Term &square = statistic.argument;
  if (square.node->kind != Kind::Product || square.node->operands.size() != 1 ||
      square.node->operands[0].weight != 2.0)
    return true;
  Term centred = getOperand(square, 0);
  if (centred.node->kind != Kind::Linear)
    return true;
  SmallVector<Operand> entries;
  for (unsigned i = 0, end = centred.node->operands.size(); i < end; ++i)
    if (Term entry = getOperand(centred, i); entry.has(missing[0]))
      entries.push_back({entry, centred.node->operands[i].weight});
  Term x = e.linear(entries, centred.node->number);
  if (writeSpread(e, x, missing[0], getSize(formula, missing[0])) == sum) {
    statistic.measure = Measure::deviation;
    statistic.argument = x;
  }
  return true;
}

/// The statistic of the last half-step along one of the axes.
std::optional<Statistic>
Recognizer::findLast(const Term &term, ArrayRef<Label> allowed, double power) {
  if (term.node->kind != (log ? Kind::Linear : Kind::Product))
    return std::nullopt;
  std::optional<Statistic> last;
  for (unsigned i = 0, end = term.node->operands.size(); i < end; ++i) {
    if (term.node->operands[i].weight != power)
      continue;
    Term factor = getOperand(term, i);
    if (last && factor.node->id < last->factor.node->id)
      continue;
    std::optional<Statistic> statistic = readStatistic(factor);
    if (statistic && llvm::is_contained(allowed, statistic->reduced))
      last = statistic;
  }
  return last;
}

/// What a half-step's factor holds beside its own statistic.
Term Recognizer::findTarget(const Term &term, Label reduced,
                            const Node *statistic) {
  SmallVector<Operand> operands;
  for (unsigned i = 0, end = term.node->operands.size(); i < end; ++i) {
    Term factor = getOperand(term, i);
    if (!factor.has(reduced) && factor.node != statistic)
      operands.push_back({factor, term.node->operands[i].weight});
  }
  if (operands.empty())
    return {};
  return log ? e.linear(operands) : e.product(operands);
}

Term raise::getTarget(Expressions &e, const HalfStep &step, bool log) {
  const Term &target = step.target;
  if (!target)
    return e.constant(step.number);
  if (!log)
    return target;
  return target.node->kind == Kind::Log ? getOperand(target, 0) : e.exp(target);
}

/// In the way of `docs/semantics.md`.
Term raise::writeResult(Expressions &e, Iteration &iteration) {
  bool log = iteration.log;
  Label labels[] = {iteration.first.reduced, iteration.second.reduced};
  Term(&factors)[2] = iteration.factors;
  factors[0] = factors[1] = e.constant(log ? 0.0 : 1.0);
  if (iteration.start)
    factors[1] = iteration.start;
  auto join = [&](const Term &x, const Term &y) {
    return log ? e.add(x, y) : e.product({Operand{x}, Operand{y}});
  };
  for (int64_t step = 0; step < iteration.count; ++step) {
    int own = step % 2;
    const HalfStep &rule = own ? iteration.second : iteration.first;
    Term scaled = join(iteration.matrix, factors[1 - own]);
    Term statistic, sigma;
    if (iteration.measure == Measure::deviation) {
      // The plan's: its own factor does not stand outside of the formula.
      scaled = join(scaled, factors[own]);
      int64_t extent = getSize(iteration.matrix, labels[own]);
      statistic = writeSpread(e, scaled, labels[own], extent);
      if (!statistic || extent < 2)
        return {};
      sigma = e.power(e.scale(1.0 / static_cast<double>(extent - 1), statistic),
                      0.5);
    } else {
      if (iteration.measure == Measure::norm)
        scaled = e.power(scaled, 2.0);
      statistic = e.sum(log ? e.exp(scaled) : scaled, labels[own],
                        {ShapedType::kDynamic});
      if (!statistic)
        return {};
      if (iteration.measure == Measure::norm)
        statistic = e.power(statistic, 0.5);
      sigma = join(factors[own], statistic);
    }
    if (log) {
      Term target =
          rule.target ? rule.target : e.constant(std::log(rule.number));
      factors[own] = e.subtract(target, e.log(statistic));
      continue;
    }
    if (iteration.limit)
      sigma = e.smaller(e.larger(sigma, e.constant(iteration.limit->first)),
                        e.constant(iteration.limit->second));
    Term target = getTarget(e, rule, log);
    Term eps = e.constant(iteration.guardEps);
    Term old = factors[own];
    switch (iteration.guard) {
    case Guard::none:
      if (iteration.limit)
        factors[own] =
            e.product({Operand{old}, Operand{target}, Operand{sigma, -1.0}});
      else
        factors[own] = e.product({Operand{target}, Operand{statistic, -1.0}});
      break;
    case Guard::add_plan:
      factors[own] = e.product(
          {Operand{old}, Operand{target}, Operand{e.add(sigma, eps), -1.0}});
      break;
    case Guard::clamp_plan:
      factors[own] = e.product(
          {Operand{old}, Operand{target}, Operand{e.larger(sigma, eps), -1.0}});
      break;
    case Guard::add_kernel:
      factors[own] =
          e.product({Operand{target}, Operand{e.add(statistic, eps), -1.0}});
      break;
    }
    if (iteration.clamp) {
      Term divisor = e.larger(e.power(factors[own], -1.0),
                              e.constant(iteration.clamp->first));
      divisor = e.smaller(divisor, e.constant(iteration.clamp->second));
      factors[own] = e.power(divisor, -1.0);
    }
  }
  return join(join(iteration.matrix, factors[0]), factors[1]);
}

bool Recognizer::isIt(Iteration &iteration) {
  Term result = writeResult(e, iteration);
  if (!result)
    return false;
  Term rest = log ? e.subtract(formula, result)
                  : e.product({Operand{formula}, Operand{result, -1.0}});
  std::optional<double> number = getConstant(rest);
  if (!number)
    return false;
  iteration.factor = log ? std::exp(*number) : *number;
  return iteration.factor > 0.0 && std::isfinite(iteration.factor);
}

std::optional<Iteration> Recognizer::run(Obstacle &obstacle) {
  SmallVector<Label> allowed(formula.at.begin(), formula.at.end());
  SmallVector<Statistic> steps;
  Term current = formula;
  double power = -1.0;
  while (std::optional<Statistic> last = findLast(current, allowed, power)) {
    if (!steps.empty() && !last->isGuardedAs(steps[0])) {
      // A softmax, say, is part of how the matrix is made.
      if (last->isPlain() || steps[0].isPlain())
        break;
      obstacle.reason = "the sums have different guards";
    }
    if (!steps.empty() && last->measure != steps[0].measure)
      obstacle.reason = "the statistics are not all the same";
    power = last->measure == Measure::norm ? -2.0 : -1.0;
    steps.push_back(*last);
    current = last->argument;
    // From the second on, the axes alternate.
    if (steps.size() == 1)
      llvm::erase(allowed, last->reduced);
    else
      allowed.assign({steps[steps.size() - 2].reduced});
  }
  if (steps.size() < 2)
    return std::nullopt;
  for (const Statistic &step : steps)
    obstacle.statistics.push_back(step.factor.node);
  if (!obstacle.reason.empty())
    return std::nullopt;

  Iteration iteration;
  iteration.log = log;
  iteration.count = static_cast<int64_t>(steps.size());
  iteration.measure = steps[0].measure;
  iteration.guard = steps[0].guard;
  iteration.guardEps = steps[0].guardEps;
  iteration.limit = steps[0].limit;
  iteration.clamp = steps[0].clamp;
  iteration.first.reduced = steps.back().reduced;
  iteration.second.reduced = steps[steps.size() - 2].reduced;
  iteration.statistics = obstacle.statistics;
  if (steps[0].isPlain()) {
    iteration.matrix = current;
    bool even = steps.size() % 2 == 0;
    HalfStep &last = even ? iteration.second : iteration.first;
    HalfStep &before = even ? iteration.first : iteration.second;
    auto set = [&](HalfStep &step, Term target) {
      if (target && !getConstant(target))
        step.target = target;
    };
    set(last, findTarget(formula, last.reduced, steps[0].factor.node));
    set(before,
        findTarget(steps[0].argument, before.reduced, steps[1].factor.node));
    if (isIt(iteration))
      return iteration;
    obstacle.reason = "the half-steps, or what they start from, are not those "
                      "of one iteration";
    return std::nullopt;
  }
  // Every guarded sum is a factor of the result; what is left is the matrix.
  SmallVector<Operand> rest;
  for (unsigned i = 0, end = formula.node->operands.size(); i < end; ++i)
    if (!llvm::is_contained(obstacle.statistics,
                            formula.node->operands[i].term.node))
      rest.push_back(
          {getOperand(formula, i), formula.node->operands[i].weight});
  iteration.matrix = e.product(rest);
  SmallVector<Guard> guards = {iteration.guard};
  if (iteration.guard == Guard::add_plan)
    guards.push_back(Guard::add_kernel);
  for (Guard guard : guards)
    for (bool uniform : {false, true}) {
      iteration.guard = guard;
      for (HalfStep *step : {&iteration.first, &iteration.second}) {
        Label own = step == &iteration.first ? iteration.second.reduced
                                             : iteration.first.reduced;
        int64_t extent = getSize(formula, own);
        if (uniform && ShapedType::isDynamic(extent))
          continue;
        step->number = uniform ? 1.0 / static_cast<double>(extent) : 1.0;
      }
      if (guard == Guard::add_kernel && iteration.measure == Measure::sum) {
        // The factors have no part in these: the matrix is the first sum's.
        iteration.matrix = current;
      }
      if (isIt(iteration))
        return iteration;
    }
  obstacle.reason =
      "the half-steps, or what they start from, are not those of one iteration "
      "with one guard";
  return std::nullopt;
}

std::optional<Iteration> raise::recognize(Expressions &expressions,
                                          const Term &formula, bool log,
                                          Obstacle &obstacle) {
  return Recognizer(expressions, formula, log).run(obstacle);
}
