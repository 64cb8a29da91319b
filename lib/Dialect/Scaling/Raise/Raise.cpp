//===- Raise.cpp - Plain programs to named ops ----------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Raise/Raise.h"

#include "Evaluate.h"
#include "Replace.h"
#include "Tolerance.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace mlir::scaling;
using namespace mlir::scaling::raise;

namespace {
/// Raises what a block computes, from its end to its beginning: a whole
/// iteration is met before the parts of it.
class BlockRaiser {
public:
  BlockRaiser(Expressions &expressions, Evaluator &evaluator,
              const RaiseOptions &options)
      : e(expressions), evaluator(evaluator), options(options) {}

  void run(Block &block);

private:
  void raise(OpResult value);
  bool look(OpResult value, const Term &formula, bool log, Found found);
  bool raisePotential(OpResult value, const Term &term);
  bool raiseLoop(scf::WhileOp loop);
  void report(Operation *op, const Raised &raised, const Twine &count);
  bool raiseBest(OpResult value, const Term &term);
  SmallVector<OpResult> findUsedElsewhere(ArrayRef<OpResult> values,
                                          ArrayRef<const Node *> statistics,
                                          SmallVectorImpl<Operation *> &parts);
  void explain(Operation *op, const Obstacle &obstacle);
  std::optional<Term> findPlan(const Term &total);

  Expressions &e;
  Evaluator &evaluator;
  const RaiseOptions &options;
  /// Whether an iteration is a part of one that was refused.
  bool isPartOfRefused(ArrayRef<const Node *> statistics);

  /// What has been replaced. Its assertions (torch-mlir asserts that divisors
  /// are not 0) go with it.
  DenseSet<Operation *> replaced;
  /// Statistics of iterations that were not raised, and the last ones of them.
  DenseSet<const Node *> refused, refusedLast;
  /// Choices of the best that were looked at.
  DenseSet<const Node *> chosen;
};
} // namespace

/// Whether an op does nothing to the world but stop it.
static bool onlyAsserts(Operation *op) {
  return !op->walk([](Operation *inner) {
              bool silent =
                  isa<cf::AssertOp>(inner) ||
                  inner->hasTrait<OpTrait::HasRecursiveMemoryEffects>() ||
                  isMemoryEffectFree(inner);
              return silent ? WalkResult::advance() : WalkResult::interrupt();
            }).wasInterrupted();
}

void BlockRaiser::run(Block &block) {
  evaluator.evaluate(block);
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
    if (auto loop = dyn_cast<scf::WhileOp>(op); loop && !loop.use_empty())
      raiseLoop(loop);
    // What a loop made last comes first.
    SmallVector<OpResult> results(op.getResults());
    if (results.size() > 1)
      llvm::sort(results, [&](OpResult x, OpResult y) {
        unsigned xAge = evaluator.getTerm(x).node->id;
        unsigned yAge = evaluator.getTerm(y).node->id;
        return xAge != yAge ? xAge > yAge
                            : x.getResultNumber() < y.getResultNumber();
      });
    for (OpResult result : results)
      if (!result.use_empty())
        raise(result);
    if (isOpTriviallyDead(&op) ||
        (op.use_empty() && replaced.contains(&op) && onlyAsserts(&op))) {
      replaced.erase(&op);
      evaluator.forget(&op);
      op.erase();
    }
  }
  for (Operation &op : block)
    for (Region &region : op.getRegions())
      if (!isa<linalg::LinalgOp>(op))
        for (Block &inner : region)
          run(inner);
}

void BlockRaiser::explain(Operation *op, const Obstacle &obstacle) {
  if (obstacle.statistics.empty())
    return;
  bool isNew = refusedLast.insert(obstacle.statistics[0]).second;
  refused.insert_range(obstacle.statistics);
  if (options.explain && isNew)
    op->emitRemark("not raised: ")
        << obstacle.statistics.size() << " half-steps were found, but "
        << obstacle.reason;
}

/// What comes of the same last half-step may be an iteration where another
/// value, which holds more, was none.
bool BlockRaiser::isPartOfRefused(ArrayRef<const Node *> statistics) {
  return !statistics.empty() && !refusedLast.contains(statistics[0]) &&
         llvm::any_of(statistics, [&](const Node *statistic) {
           return refused.contains(statistic);
         });
}

/// Whether a formula is made of one of the statistics.
static bool dependsOn(const Node *node, ArrayRef<const Node *> statistics,
                      unsigned oldest, DenseMap<const Node *, bool> &known) {
  if (node->id < oldest)
    return false;
  if (llvm::is_contained(statistics, node))
    return true;
  if (auto it = known.find(node); it != known.end())
    return it->second;
  bool result = llvm::any_of(node->operands, [&](const Operand &operand) {
    return dependsOn(operand.term.node, statistics, oldest, known);
  });
  known[node] = result;
  return result;
}

/// The parts of the iteration that something else uses: they would have to be
/// computed twice. `own` are all ops that have a part in it.
SmallVector<OpResult>
BlockRaiser::findUsedElsewhere(ArrayRef<OpResult> values,
                               ArrayRef<const Node *> statistics,
                               SmallVectorImpl<Operation *> &own) {
  SmallVector<OpResult> used;
  Block *block = values[0].getOwner()->getBlock();
  unsigned oldest = statistics.back()->id;
  DenseMap<const Node *, bool> known;
  SetVector<Operation *> parts;
  for (OpResult value : values)
    parts.insert(value.getOwner());
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i]->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands()) {
        Operation *definition = operand.getDefiningOp();
        if (definition && definition->getBlock() == block)
          parts.insert(definition);
      }
    });
  }
  for (Operation *part : parts) {
    bool isOwn = false;
    for (OpResult result : part->getResults()) {
      if (llvm::is_contained(values, result)) {
        isOwn = true;
        continue;
      }
      if (!dependsOn(evaluator.getTerm(result).node, statistics, oldest, known))
        continue;
      isOwn = true;
      if (llvm::any_of(result.getUsers(), [&](Operation *user) {
            Operation *ancestor = block->findAncestorOpInBlock(*user);
            return !ancestor ||
                   (!parts.contains(ancestor) && !isOpTriviallyDead(ancestor));
          }))
        used.push_back(result);
    }
    if (isOwn)
      own.push_back(part);
  }
  return used;
}

void BlockRaiser::report(Operation *op, const Raised &raised,
                         const Twine &count) {
  InFlightDiagnostic remark = op->emitRemark("raised to '")
                              << raised.op->getName() << "': " << count
                              << " half-steps";
  if (raised.preset)
    remark << ", preset " << *raised.preset;
}

/// A loop that stops by a tolerance.
bool BlockRaiser::raiseLoop(scf::WhileOp loop) {
  Obstacle obstacle;
  std::optional<ToleranceLoop> found =
      recognizeLoop(e, evaluator, loop, obstacle);
  Raised raised;
  SmallVector<Value> results;
  SmallVector<OpResult> values;
  if (found && found->plan) {
    Found plan;
    plan.iteration = found->iteration;
    plan.isLogarithm = found->iteration.log;
    values = {found->plan};
    if (Value result = writeNamedOp(e, evaluator, found->plan, plan,
                                    options.logDomain, raised, obstacle.reason))
      results = {result};
  } else if (found) {
    Found potentials;
    potentials.iteration = found->iteration;
    values = llvm::map_to_vector(found->potentials,
                                 [](const Potential &p) { return p.value; });
    results = writePotentials(e, evaluator, found->potentials, potentials,
                              options.logDomain, loop, raised, obstacle.reason);
  }
  if (results.empty()) {
    explain(loop, obstacle);
    return false;
  }
  report(loop, raised, "at most " + Twine(found->iteration.tolerance->limit));
  for (auto [value, result] : llvm::zip_equal(values, results))
    value.replaceAllUsesWith(result);
  replaced.insert(loop);
  return true;
}

bool BlockRaiser::look(OpResult value, const Term &formula, bool log,
                       Found found) {
  Obstacle obstacle;
  std::optional<Iteration> iteration = recognize(e, formula, log, obstacle);
  Operation *op = value.getOwner();
  if (isPartOfRefused(obstacle.statistics))
    return false;
  if (!iteration) {
    explain(op, obstacle);
    return false;
  }
  double outer = found.iteration.factor;
  found.iteration = *iteration;
  found.iteration.factor *= outer;
  SmallVector<Operation *> parts;
  if (!findUsedElsewhere(value, obstacle.statistics, parts).empty()) {
    obstacle.reason = "a part of them is used elsewhere";
    explain(op, obstacle);
    return false;
  }
  Raised raised;
  Value replacement = writeNamedOp(e, evaluator, value, found,
                                   options.logDomain, raised, obstacle.reason);
  if (!replacement) {
    explain(op, obstacle);
    return false;
  }
  report(op, raised, Twine(found.iteration.count));
  value.replaceAllUsesWith(replacement);
  replaced.insert_range(parts);
  return true;
}

/// Whether a value is a tensor that is no larger than what it holds.
static bool holdsAll(Value value, const Term &term) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return false;
  for (auto [dim, extent] : llvm::enumerate(type.getShape()))
    if (extent != 1 && !term.has(static_cast<Label>(dim)))
      return false;
  return true;
}

/// A factor or potential, its axes named as those of the iteration; none where
/// it is none of these.
static std::optional<Potential> readPotential(Expressions &e, OpResult value,
                                              const Term &term,
                                              const Iteration &iteration) {
  if (!holdsAll(value, term))
    return std::nullopt;
  if (!iteration.log) {
    auto split = [](const Term &product) {
      return isMultiple(product) ? std::pair(getOperand(product, 0),
                                             product.node->operands[0].weight)
                                 : std::pair(product, 1.0);
    };
    auto [own, number] = split(term);
    for (const Term &factor : iteration.factors)
      if (Term monic = split(factor).first; monic.node == own.node)
        return Potential{value, e.scale(number, monic), 1.0, term};
    return std::nullopt;
  }
  std::optional<unsigned> last = findLogSumExp(term);
  if (!last)
    return std::nullopt;
  double weight = -term.node->operands[*last].weight;
  for (const Term &factor : iteration.factors) {
    Term scaled = e.scale(weight, factor);
    double shift = term.node->number - scaled.node->number;
    Term shifted = e.linear({Operand{scaled}}, shift);
    if (shifted.node == term.node)
      return Potential{value, shifted, weight, term};
  }
  return std::nullopt;
}

namespace {
/// Finds the potentials that values are made of which are used outside of an
/// iteration, entry by entry and with what is no part of it: these values stay,
/// and the potentials are replaced.
class PotentialFinder {
public:
  PotentialFinder(Expressions &expressions, Evaluator &evaluator,
                  const Iteration &iteration, ArrayRef<const Node *> statistics,
                  SmallVectorImpl<Potential> &potentials)
      : e(expressions), evaluator(evaluator), iteration(iteration),
        statistics(statistics), potentials(potentials) {
    for (const Potential &potential : potentials)
      looked[potential.value] = true;
  }

  /// Whether a value is made of potentials.
  bool find(Value value) {
    if (auto it = looked.find(value); it != looked.end())
      return it->second;
    bool found = look(value);
    looked[value] = found;
    return found;
  }

private:
  bool look(Value value) {
    if (!depends(value))
      return true;
    auto result = dyn_cast<OpResult>(value);
    if (!result)
      return false;
    Operation *op = result.getOwner();
    // Before a potential that only has another shape comes the potential.
    bool reshapes = isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op);
    if (reshapes && find(op->getOperand(0)))
      return true;
    if (std::optional<Potential> potential =
            readPotential(e, result, evaluator.getTerm(value), iteration)) {
      potentials.push_back(*potential);
      return true;
    }
    auto structured = dyn_cast<linalg::LinalgOp>(op);
    // What depends on them where no operand does is a part of them.
    return structured && structured.getNumReductionLoops() == 0 &&
           llvm::any_of(op->getOperands(),
                        [&](Value x) { return depends(x); }) &&
           llvm::all_of(op->getOperands(), [&](Value x) { return find(x); });
  }

  bool depends(Value value) {
    return dependsOn(evaluator.getTerm(value).node, statistics,
                     statistics.back()->id, dependent);
  }

  Expressions &e;
  Evaluator &evaluator;
  const Iteration &iteration;
  ArrayRef<const Node *> statistics;
  SmallVectorImpl<Potential> &potentials;
  DenseMap<Value, bool> looked;
  DenseMap<const Node *, bool> dependent;
};
} // namespace

/// Potentials or factors that come out, of rows, of columns or of both: the
/// plan that the last one of them completes says what iteration it is.
bool BlockRaiser::raisePotential(OpResult value, const Term &term) {
  // Where dimensions of size 1 were added, what was there before is looked at.
  if (auto expand = value.getDefiningOp<tensor::ExpandShapeOp>();
      expand && evaluator.getTerm(expand.getSrc()).node == term.node)
    return false;
  Term formula;
  double weight = 1.0;
  bool log = true;
  // A dimension of size 1 has a name too.
  auto rank = cast<RankedTensorType>(value.getType()).getRank();
  Label lost = std::max(getFreshLabel(term), static_cast<Label>(rank));
  if (std::optional<unsigned> last = findLogSumExp(term)) {
    weight = -term.node->operands[*last].weight;
    formula = e.add(getOperand(getOperand(term, *last), 0, lost),
                    e.scale(1.0 / weight, term));
  } else if (Term sum = findScaledSum(term)) {
    log = false;
    formula = e.product({Operand{getOperand(sum, 0, lost)}, Operand{term}});
    if (isMultiple(formula))
      formula = getOperand(formula, 0);
  } else {
    return false;
  }
  Obstacle obstacle;
  std::optional<Iteration> iteration = recognize(e, formula, log, obstacle);
  Operation *op = value.getOwner();
  if (isPartOfRefused(obstacle.statistics))
    return false;
  if (!iteration) {
    explain(op, obstacle);
    return false;
  }
  Found found;
  found.iteration = *iteration;
  SmallVector<Operation *> parts;
  SmallVector<Potential> potentials = {{value, term, weight, term}};
  Operation *first = op;
  SmallVector<OpResult> used =
      findUsedElsewhere(value, obstacle.statistics, parts);
  PotentialFinder finder(e, evaluator, *iteration, obstacle.statistics,
                         potentials);
  for (OpResult other : used)
    if (!finder.find(other)) {
      obstacle.reason = "a part of them is used elsewhere";
      explain(op, obstacle);
      return false;
    }
  for (const Potential &potential : potentials)
    if (potential.value.getOwner()->isBeforeInBlock(first))
      first = potential.value.getOwner();
  Raised raised;
  SmallVector<Value> results =
      writePotentials(e, evaluator, potentials, found, options.logDomain, first,
                      raised, obstacle.reason);
  if (results.empty()) {
    explain(op, obstacle);
    return false;
  }
  report(op, raised, Twine(iteration->count));
  // What stays is no iteration of its own.
  refused.insert_range(obstacle.statistics);
  for (auto [potential, result] : llvm::zip_equal(potentials, results))
    potential.value.replaceAllUsesWith(result);
  replaced.insert_range(parts);
  return true;
}

/// What divides the rows and the columns, one of them or both, and the matrix
/// that is divided, of an iteration that keeps the best of its pairs.
bool BlockRaiser::raiseBest(OpResult value, const Term &term) {
  SmallVector<Term> divisors;
  if (term.node->kind == Kind::Choice)
    divisors.push_back(term);
  for (unsigned i = 0, end = term.node->operands.size();
       term.node->kind == Kind::Product && i < end; ++i)
    if (term.node->operands[i].weight == -1.0)
      if (Term operand = getOperand(term, i);
          operand.node->kind == Kind::Choice)
        divisors.push_back(operand);
  if (divisors.empty() || !chosen.insert(divisors[0].node).second)
    return false;
  // What is chosen from is no iteration of its own.
  for (Term older = divisors[0]; older.node->kind == Kind::Choice;
       older = getOperand(older, 1))
    chosen.insert(older.node);
  Obstacle obstacle;
  std::optional<BestOfPairs> best = recognizeBest(e, divisors[0], obstacle);
  Operation *op = value.getOwner();
  if (!best) {
    explain(op, obstacle);
    return false;
  }
  Term scaled = best->writeScaled(e);
  SmallVector<BestPart> found;
  SmallVector<OpResult> values;
  for (Operation &other : *op->getBlock())
    for (OpResult result : other.getResults()) {
      Term own = evaluator.getTerm(result);
      if (result.use_empty() || !holdsAll(result, own))
        continue;
      auto match = [&](const Term &formula, int axis, bool inverse) {
        if (own.node != formula.node)
          return;
        found.push_back({result, formula, axis, inverse});
        values.push_back(result);
      };
      match(scaled, -1, false);
      for (int axis : {0, 1}) {
        match(best->divisors[axis], axis, false);
        match(e.power(best->divisors[axis], -1.0), axis, true);
      }
    }
  obstacle.statistics = best->statistics;
  SmallVector<Operation *> parts;
  Raised raised;
  SmallVector<Value> results;
  if (!llvm::is_contained(values, value))
    obstacle.reason = "more is made of what divides its rows and columns";
  else if (!findUsedElsewhere(values, best->statistics, parts).empty())
    obstacle.reason = "a part of them is used elsewhere";
  else
    results = writeBest(e, evaluator, found, *best, raised, obstacle.reason);
  if (results.empty()) {
    explain(op, obstacle);
    return false;
  }
  int64_t limit = cast<BalanceOp>(raised.op).getStop().getLimit();
  report(op, raised, "the best of " + Twine(limit));
  for (auto [old, result] : llvm::zip_equal(values, results))
    old.replaceAllUsesWith(result);
  replaced.insert_range(parts);
  return true;
}

/// The plan in a product of the plan and another matrix.
std::optional<Term> BlockRaiser::findPlan(const Term &total) {
  if (total.node->kind != Kind::Sum ||
      total.node->operands[0].term.at.size() != total.at.size() + 1)
    return std::nullopt;
  Label lost = 0;
  for (Label label : total.at)
    lost = std::max(lost, label + 1);
  Term product = getOperand(total, 0, lost);
  if (product.node->kind != Kind::Product ||
      product.node->operands.size() != 2 ||
      product.node->operands[0].weight != 1.0 ||
      product.node->operands[1].weight != 1.0)
    return std::nullopt;
  for (unsigned i : {0u, 1u})
    if (Term plan = getOperand(product, i); plan.node->kind == Kind::Exp)
      return plan;
  return std::nullopt;
}

void BlockRaiser::raise(OpResult value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || !isa<FloatType>(type.getElementType()) || type.getRank() < 1)
    return;
  Term term = evaluator.getTerm(value);
  if (term.node->type != type.getElementType())
    return;
  if (!holdsAll(value, term))
    return;
  if (raiseBest(value, term) || raisePotential(value, term) ||
      type.getRank() < 2)
    return;
  Found found;
  if (term.node->kind == Kind::Linear) {
    found.isLogarithm = true;
    if (look(value, term, /*log=*/true, found))
      return;
    found.isLogarithm = false;
  }
  if (isMultiple(term)) {
    found.iteration.factor = term.node->operands[0].weight;
    term = getOperand(term, 0);
  }
  if (found.iteration.factor <= 0.0)
    return;
  if (term.node->kind == Kind::Exp) {
    look(value, getOperand(term, 0), /*log=*/true, found);
  } else if (term.node->kind == Kind::Product) {
    look(value, term, /*log=*/false, found);
  } else if (std::optional<Term> plan = findPlan(term)) {
    found.plan = *plan;
    found.iteration.factor = 1.0;
    look(value, getOperand(*plan, 0), /*log=*/true, found);
  }
}

void scaling::raisePlainPrograms(Operation *root, const RaiseOptions &options) {
  root->walk([&](FunctionOpInterface function) {
    if (function.isExternal())
      return;
    Expressions expressions;
    Evaluator evaluator(expressions);
    BlockRaiser raiser(expressions, evaluator, options);
    for (Block &block : function.getFunctionBody())
      raiser.run(block);
  });
}
