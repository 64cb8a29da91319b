//===- EnvelopeAdjoint.cpp - What the envelope theorem is about -----------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The dual value D(F, G; X, a, b) that `scaling.apply dual` computes has the
// derivatives ∂D/∂F_i = a_i − Σ_j P_ij and ∂D/∂G_j = b_j − Σ_i P_ij, which are
// zero for the factors of a balanced problem. So its gradient is that at fixed
// factors: nothing goes through the iteration. Of anything else that is not so,
// and it is refused before it can be wrong.
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Differentiate/Differentiate.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// A transport problem whose factors are followed to what is made of them.
struct Problem {
  Operation *op;
  Value matrix, rowMarginal, colMarginal;
  RuleAttr rows, cols;
};
} // namespace

/// Whether the op makes each entry of its result of one of each operand.
static bool isEntrywise(Operation *op) {
  if (auto generic = dyn_cast<linalg::GenericOp>(op))
    return generic.getNumReductionLoops() == 0;
  return isa<tensor::CastOp, tensor::CollapseShapeOp, tensor::ExpandShapeOp>(
      op);
}

/// Whether `value` is `source`, or made of it entry by entry.
static bool dependsOn(Value value, Value source) {
  llvm::SetVector<Value> seen;
  seen.insert(value);
  for (size_t i = 0; i < seen.size(); ++i) {
    if (seen[i] == source)
      return true;
    Operation *op = seen[i].getDefiningOp();
    if (op && isEntrywise(op))
      seen.insert(op->operand_begin(), op->operand_end());
  }
  return false;
}

static LogicalResult verifyRule(const Problem &problem, RuleAttr rule) {
  bool balanced = isa<SumAttr>(rule.getStat()) &&
                  rule.getGuard() == Guard::none && rule.getTau() == 1.0 &&
                  rule.getLimit().empty() && rule.getStep().empty() &&
                  rule.getClamp().empty() && !rule.getRoundPow2();
  if (balanced)
    return success();
  return problem.op->emitOpError("has no envelope derivative: with the rule ")
         << rule << " the sums of the plan are not the marginals";
}

static LogicalResult verifyDual(const Problem &problem, ApplyOp dual,
                                Value factor) {
  auto refuse = [&](const Twine &why) {
    InFlightDiagnostic error = dual.emitOpError(
        "has no envelope derivative: it is not the dual value of the "
        "iteration that made its factors, ");
    error << why;
    error.attachNote(problem.op->getLoc()) << "this iteration";
    return error;
  };
  for (Value other :
       {dual.getMatrix(), dual.getRowWeight(), dual.getColWeight()})
    if (other == factor)
      return refuse("which are more of it than factors");
  if (!dependsOn(dual.getMatrix(), problem.matrix))
    return refuse("whose matrix is another one");
  for (auto [weight, marginal] :
       {std::pair(dual.getRowWeight(), problem.rowMarginal),
        std::pair(dual.getColWeight(), problem.colMarginal)})
    if (marginal && !dependsOn(weight, marginal) &&
        !dependsOn(marginal, weight))
      return refuse("whose marginals are others");
  return success();
}

/// Follows the factors to what uses them.
static LogicalResult verifyUses(const Problem &problem) {
  llvm::SetVector<Value> made;
  made.insert(problem.op->getResult(0));
  made.insert(problem.op->getResult(1));
  for (size_t i = 0; i < made.size(); ++i)
    for (Operation *user : made[i].getUsers()) {
      if (isOpTriviallyDead(user))
        continue;
      auto apply = dyn_cast<ApplyOp>(user);
      if (apply && apply.getKind() == ApplyKind::dual) {
        if (failed(verifyDual(problem, apply, made[i])))
          return failure();
        continue;
      }
      if (isEntrywise(user)) {
        made.insert(user->result_begin(), user->result_end());
        continue;
      }
      InFlightDiagnostic error = user->emitOpError(
          "has no envelope derivative: it depends on the factors of an "
          "iteration otherwise than by 'scaling.apply dual'");
      error.attachNote(problem.op->getLoc()) << "this iteration";
      return error;
    }
  return success();
}

LogicalResult scaling::verifyEnvelope(func::FuncOp function) {
  WalkResult result = function.walk([](Operation *op) -> WalkResult {
    std::optional<Problem> problem =
        llvm::TypeSwitch<Operation *, std::optional<Problem>>(op)
            .Case<SinkhornOp>([](SinkhornOp sinkhorn) {
              return Problem{sinkhorn,
                             sinkhorn.getMatrix(),
                             sinkhorn.getRowMarginal(),
                             sinkhorn.getColMarginal(),
                             sinkhorn.getRows(),
                             sinkhorn.getCols()};
            })
            .Case<IterateOp>([](IterateOp iterate) {
              return Problem{iterate,
                             iterate.getMatrix(),
                             iterate.getRowTarget(),
                             iterate.getColTarget(),
                             iterate.getRows(),
                             iterate.getCols()};
            })
            .Default([](Operation *) { return std::nullopt; });
    if (!problem) {
      if (isa<ProjectOp, BalanceOp, AttentionOp>(op) &&
          !isOpTriviallyDead(op)) {
        op->emitOpError("has no envelope derivative: what it computes is no "
                        "dual value");
        return WalkResult::interrupt();
      }
      return WalkResult::advance();
    }
    if (failed(verifyRule(*problem, problem->rows)) ||
        failed(verifyRule(*problem, problem->cols)) ||
        failed(verifyUses(*problem)))
      return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return failure(result.wasInterrupted());
}
