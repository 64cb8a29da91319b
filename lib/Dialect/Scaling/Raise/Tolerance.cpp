//===- Tolerance.cpp - Loops that stop by a tolerance ---------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One round is looked at, from a state that can be anything. Where it is the
// half-steps of an iteration that goes on from that state, all rounds are.
//
//===----------------------------------------------------------------------===//

#include "Tolerance.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cmath>

using namespace mlir;
using namespace mlir::scaling;
using namespace mlir::scaling::raise;

namespace {
class LoopRecognizer {
public:
  LoopRecognizer(Expressions &expressions, Evaluator &evaluator,
                 scf::WhileOp loop)
      : e(expressions), loop(loop), step(evaluator.evaluateStep(loop)) {
    for (Value init : loop.getInits())
      inits.push_back(evaluator.getTerm(init));
  }

  std::optional<ToleranceLoop> run(Obstacle &obstacle);

private:
  void readBatch();
  bool readCondition(const Term &condition);
  bool readLimit();
  std::optional<unsigned> findArgument(const Term &term);
  bool dependsOnState(const Node *node);
  bool isSameInAllRounds();
  bool stopsByItself(const Term &state, size_t rank, Obstacle &obstacle);
  bool recognizePotentials(Obstacle &obstacle);
  bool recognizeMatrix(Obstacle &obstacle);
  bool startsNeutral(unsigned argument, int axis);
  bool assignPotentials();
  bool assignPlan();
  bool readError();
  bool isMeasure(const Term &measured, const Term &plan);

  Expressions &e;
  scf::WhileOp loop;
  Evaluator::LoopStep step;
  SmallVector<Term> inits;
  /// The labels of a batch whose elements stop by themselves.
  SmallVector<Label> batch;

  /// The condition: an error above a number, and a count below one.
  Term error, counter;
  double tol = 0.0, bound = 0.0;
  int64_t rounds = 0;
  /// Which argument is the potential that is made last, or the matrix.
  unsigned state = 0;
  double weight = 1.0;
  /// What the factor that is made last starts from.
  double gauge = 1.0;
  ToleranceLoop result;
  /// The nodes looked at by `dependsOnState`.
  DenseMap<const Node *, bool> dependent;
};
} // namespace

static bool isNamed(const Term &term, StringRef name) {
  return term.node->kind == Kind::Other && term.node->name &&
         term.node->name->getStringRef() == name;
}

/// Where each element of a batch stops by itself, as `vmap` makes loops, a
/// round keeps what has stopped, and there are rounds as long as there is one
/// that has not: the condition is that of each element then, and so is the
/// round.
void LoopRecognizer::readBatch() {
  Term condition = step.goesOn;
  SmallVector<Label> labels;
  if (condition.node->kind == Kind::Max && condition.at.empty()) {
    // Their labels are the first ones.
    for (size_t i = 0; i < condition.node->operands[0].term.at.size(); ++i)
      labels.push_back(static_cast<Label>(i));
    condition = getOperand(condition, 0, labels);
  }
  SmallVector<Term> next;
  for (auto [argument, term] : llvm::zip_equal(step.arguments, step.next)) {
    bool keeps = term.node->kind == Kind::Choice &&
                 getOperand(term, 0) == condition &&
                 getOperand(term, 2) == argument;
    if (!keeps && !(term == argument))
      return;
    next.push_back(keeps ? getOperand(term, 1) : term);
  }
  step.goesOn = condition;
  step.next = next;
  batch = labels;
}

/// `error > tol` and `count < bound`, in either order.
bool LoopRecognizer::readCondition(const Term &condition) {
  if (condition.node->kind == Kind::Product) {
    bool readable = true;
    for (unsigned i = 0, end = condition.node->operands.size(); i < end; ++i)
      readable &= readCondition(getOperand(condition, i));
    return readable;
  }
  if (condition.node->kind != Kind::Greater)
    return false;
  Term x = getOperand(condition, 0), y = getOperand(condition, 1);
  if (std::optional<double> number = getConstant(y)) {
    if (error || *number < 0.0 || !isa_and_present<FloatType>(x.node->type))
      return false;
    error = x;
    tol = *number;
    return true;
  }
  std::optional<double> number = getConstant(x);
  if (counter || !number ||
      !isa_and_present<IntegerType, IndexType>(y.node->type))
    return false;
  counter = y;
  bound = *number;
  return true;
}

std::optional<unsigned> LoopRecognizer::findArgument(const Term &term) {
  for (auto [i, argument] : llvm::enumerate(step.arguments))
    if (argument == term)
      return i;
  return std::nullopt;
}

/// The count starts at a number, and every round adds a number to it.
bool LoopRecognizer::readLimit() {
  std::optional<unsigned> i = findArgument(counter);
  if (!i || !isNamed(step.next[*i], "arith.addi"))
    return false;
  const Term &sum = step.next[*i];
  std::optional<double> first = getConstant(inits[*i]), by;
  for (unsigned j : {0u, 1u})
    if (getOperand(sum, j) == counter)
      by = getConstant(getOperand(sum, 1 - j));
  if (!first || !by || *by <= 0.0 || *first < 0.0 || bound < 0.0)
    return false;
  rounds = static_cast<int64_t>(std::ceil((bound - *first) / *by));
  return rounds > 0;
}

bool LoopRecognizer::dependsOnState(const Node *node) {
  if (llvm::any_of(step.arguments,
                   [&](const Term &argument) { return argument.node == node; }))
    return true;
  if (auto it = dependent.find(node); it != dependent.end())
    return it->second;
  bool depends = llvm::any_of(node->operands, [&](const Operand &operand) {
    return dependsOnState(operand.term.node);
  });
  dependent[node] = depends;
  return depends;
}

/// Whether a round repeats the same half-steps, whole pairs of them.
bool LoopRecognizer::isSameInAllRounds() {
  const Iteration &iteration = result.iteration;
  return iteration.count % 2 == 0 && !dependsOnState(iteration.matrix.node) &&
         llvm::none_of(ArrayRef{iteration.first, iteration.second},
                       [&](const HalfStep &rule) {
                         return rule.target && dependsOnState(rule.target.node);
                       });
}

/// Whether the loop's condition is one for each element of a batch of vectors
/// or matrices.
bool LoopRecognizer::stopsByItself(const Term &state, size_t rank,
                                   Obstacle &obstacle) {
  if (state.at.size() == rank + batch.size() &&
      llvm::all_of(batch, [&](Label label) { return state.has(label); }))
    return true;
  obstacle.reason = "the loop around them stops for a whole batch at once, and "
                    "'until' for each of its elements";
  return false;
}

/// Potentials, or factors, are carried from round to round.
bool LoopRecognizer::recognizePotentials(Obstacle &obstacle) {
  const Node *last = nullptr;
  bool log = false;
  Term sum;
  for (auto [i, next] : llvm::enumerate(step.next)) {
    std::optional<unsigned> own = findLogSumExp(next);
    Term made = own ? getOperand(next, *own) : findScaledSum(next);
    if (!made || (last && made.node->id < last->id))
      continue;
    last = made.node;
    state = i;
    log = own.has_value();
    sum = made;
    weight = own ? -next.node->operands[*own].weight : 1.0;
  }
  if (!last)
    return false;
  const Term &next = step.next[state], &before = step.arguments[state];
  Term argument = getOperand(sum, 0, getFreshLabel(next));
  Term formula = log ? e.add(argument, e.scale(1.0 / weight, next))
                     : e.product({Operand{argument}, Operand{next}});
  if (!log && isMultiple(formula))
    formula = getOperand(formula, 0);
  std::optional<Iteration> found = recognize(e, formula, log, obstacle);
  if (!found)
    return false;
  result.iteration = *found;
  Iteration &iteration = result.iteration;
  iteration.start = log ? e.scale(1.0 / weight, before) : before;
  iteration.matrix = log ? e.subtract(iteration.matrix, iteration.start)
                         : e.product({Operand{iteration.matrix},
                                      Operand{iteration.start, -1.0}});
  if (!isSameInAllRounds()) {
    obstacle.reason = "a round does not go on from where the last one ended";
    return false;
  }
  std::optional<double> first = getConstant(inits[state]);
  if (log ? first != 0.0
          : !first || *first <= 0.0 ||
                (iteration.guard != Guard::none && first != 1.0)) {
    obstacle.reason = log ? "the loop around them starts from potentials that "
                            "are not 0"
                          : "the loop around them starts from factors that "
                            "are not 1";
    return false;
  }
  if (!log)
    gauge = *first;
  return stopsByItself(next, 1, obstacle);
}

/// The scaled matrix itself is carried.
bool LoopRecognizer::recognizeMatrix(Obstacle &obstacle) {
  for (auto [i, next] : llvm::enumerate(step.next)) {
    bool log = next.node->kind == Kind::Linear;
    if (next.at.size() < 2 || (!log && next.node->kind != Kind::Product))
      continue;
    std::optional<Iteration> found = recognize(e, next, log, obstacle);
    if (!found)
      continue;
    result.iteration = *found;
    Iteration &iteration = result.iteration;
    state = i;
    bool goesOn = iteration.matrix == step.arguments[i] &&
                  std::abs(iteration.factor - 1.0) <= 1e-9;
    iteration.matrix = inits[i];
    if (!goesOn || !isSameInAllRounds() || iteration.measure != Measure::sum ||
        iteration.limit || iteration.guard == Guard::add_kernel) {
      obstacle.reason = "a round does not go on from where the last one ended";
      return false;
    }
    return stopsByItself(next, 2, obstacle);
  }
  return false;
}

/// Whether a potential, or the factor of an axis, that comes out after no round
/// is that of no half-step.
bool LoopRecognizer::startsNeutral(unsigned argument, int axis) {
  std::optional<double> first = getConstant(inits[argument]);
  if (result.iteration.log)
    return first == 0.0;
  // An error that is carried is above the tolerance at first.
  if (axis == 1 || findArgument(error))
    return first.has_value();
  return first && std::abs(*first * gauge - 1.0) <= 1e-9;
}

/// The results that are used are the potentials, with targets that are plain.
bool LoopRecognizer::assignPotentials() {
  Iteration &iteration = result.iteration;
  Iteration general = iteration;
  for (bool firstUniform : {false, true})
    for (bool secondUniform : {false, true}) {
      iteration = general;
      result.potentials.clear();
      bool fits = true;
      auto set = [&](bool uniform, HalfStep &rule, Label own) {
        if (iteration.guard != Guard::none) {
          fits &= !uniform;
          return;
        }
        int64_t extent = getSize(iteration.matrix, own);
        fits &= !uniform || (!rule.target && !ShapedType::isDynamic(extent));
        rule.number = uniform ? 1.0 / static_cast<double>(extent) : 1.0;
      };
      set(firstUniform, iteration.first, iteration.second.reduced);
      set(secondUniform, iteration.second, iteration.first.reduced);
      if (!fits || !writeResult(e, iteration))
        continue;
      Term own[] = {e.scale(weight, iteration.factors[0]),
                    e.scale(weight, iteration.factors[1])};
      if (!(step.next[state] == own[1]))
        continue;
      for (OpResult value : loop.getResults()) {
        if (value.use_empty())
          continue;
        std::optional<unsigned> i =
            findArgument(step.handedOut[value.getResultNumber()]);
        int axis = i && step.next[*i].node == own[1].node   ? 1
                   : i && step.next[*i].node == own[0].node ? 0
                                                            : -1;
        fits &= axis >= 0 && startsNeutral(*i, axis);
        if (!fits)
          break;
        // The other factor makes up for what one of them starts from.
        double number = axis == 1 ? gauge : 1.0 / gauge;
        result.potentials.push_back({value, e.scale(number, own[axis]), weight,
                                     e.scale(number, step.next[*i])});
      }
      if (fits)
        return true;
    }
  return false;
}

/// The one result that is used is the matrix.
bool LoopRecognizer::assignPlan() {
  for (OpResult value : loop.getResults()) {
    if (value.use_empty())
      continue;
    if (result.plan ||
        findArgument(step.handedOut[value.getResultNumber()]) != state)
      return false;
    result.plan = value;
  }
  return static_cast<bool>(result.plan);
}

/// Whether a formula is a measure of a plan that `until` knows, times a number.
bool LoopRecognizer::isMeasure(const Term &measured, const Term &plan) {
  Iteration &iteration = result.iteration;
  Tolerance &tolerance = *iteration.tolerance;
  auto judge = [&](What what, Label own, const Term &difference) {
    int64_t extent = getSize(plan, own);
    double count = static_cast<double>(extent);
    Term squares = e.power(difference, 2.0);
    Term magnitudes = e.power(squares, 0.5);
    Term total = e.sum(magnitudes, own, {extent});
    std::pair<Norm, Term> norms[] = {
        {Norm::l1, total},
        {Norm::l2, e.power(e.sum(squares, own, {extent}), 0.5)},
        {Norm::linf, e.max(magnitudes, own)},
        {Norm::mean, total ? e.scale(1.0 / count, total) : Term()}};
    for (bool plain : {true, false})
      for (const auto &[norm, term] : norms) {
        if (!term || (norm == Norm::mean && ShapedType::isDynamic(extent)))
          continue;
        std::optional<double> multiple =
            getConstant(e.product({Operand{measured}, Operand{term, -1.0}}));
        if (!multiple || *multiple <= 0.0 ||
            (plain && std::abs(*multiple - 1.0) > 1e-9))
          continue;
        tolerance.tol = plain ? tol : tol / *multiple;
        if (what == What::change)
          tolerance.tol /= gauge;
        tolerance.what = what;
        tolerance.judged = own;
        tolerance.norm = norm;
        return true;
      }
    return false;
  };
  // The half-step that comes next sees how far its sums are from its targets.
  Term target = getTarget(e, iteration.first, iteration.log);
  Term sums = e.sum(plan, iteration.first.reduced,
                    {getSize(plan, iteration.first.reduced)});
  if (sums &&
      judge(What::marginal, iteration.second.reduced, e.subtract(sums, target)))
    return true;
  // What the last half-step has changed; a matrix has no factors.
  return iteration.start && tolerance.start > 0 &&
         judge(What::change, iteration.first.reduced,
               e.subtract(iteration.factors[1], iteration.start));
}

/// The error is one of the state a round leaves, or of the state it begins
/// with.
bool LoopRecognizer::readError() {
  Iteration &iteration = result.iteration;
  iteration.tolerance = Tolerance{};
  Tolerance &tolerance = *iteration.tolerance;
  tolerance.every = iteration.count;
  tolerance.limit = iteration.count * rounds;
  std::optional<unsigned> carried = findArgument(error);
  auto join = [&](const Term &x, const Term &y) {
    return iteration.log
               ? e.add(iteration.matrix, e.add(x, y))
               : e.product({Operand{iteration.matrix}, Operand{x}, Operand{y}});
  };
  Term plan;
  if (carried) {
    std::optional<double> first = getConstant(inits[*carried]);
    if (!first || !(*first > tol))
      return false;
    tolerance.start = iteration.count;
    plan = step.next[state];
    if (iteration.start)
      plan = join(iteration.factors[0], iteration.factors[1]);
    return isMeasure(step.next[*carried], iteration.log ? e.exp(plan) : plan);
  }
  plan = step.arguments[state];
  if (iteration.start) {
    // The other potential is an argument too.
    Term other = e.scale(weight, iteration.factors[0]);
    for (auto [i, next] : llvm::enumerate(step.next)) {
      if (next.node != other.node || i == state)
        continue;
      Term before = step.arguments[i];
      if (!startsNeutral(i, 0) || before.at.size() != next.at.size())
        return false;
      for (Label &label : before.at)
        label = other.at[llvm::find(next.at, label) - next.at.begin()];
      plan = join(iteration.start, e.scale(1.0 / weight, before));
      return isMeasure(error, iteration.log ? e.exp(plan) : plan);
    }
    return false;
  }
  return isMeasure(error, iteration.log ? e.exp(plan) : plan);
}

std::optional<ToleranceLoop> LoopRecognizer::run(Obstacle &obstacle) {
  readBatch();
  // Without an error it is another loop.
  bool readable = readCondition(step.goesOn);
  if (!error)
    return std::nullopt;
  bool potentials = recognizePotentials(obstacle);
  if (!potentials && !obstacle.reason.empty())
    return std::nullopt;
  if (!potentials && !recognizeMatrix(obstacle))
    return std::nullopt;
  if (!readable || !counter || !readLimit())
    obstacle.reason = "the loop around them has no limit that is known";
  else if (!(potentials ? assignPotentials() : assignPlan()))
    obstacle.reason = "other results of the loop around them are used";
  else if (!readError())
    obstacle.reason = "the loop around them stops by another measure";
  else
    return result;
  return std::nullopt;
}

std::optional<ToleranceLoop> raise::recognizeLoop(Expressions &expressions,
                                                  Evaluator &evaluator,
                                                  scf::WhileOp loop,
                                                  Obstacle &obstacle) {
  return LoopRecognizer(expressions, evaluator, loop).run(obstacle);
}
