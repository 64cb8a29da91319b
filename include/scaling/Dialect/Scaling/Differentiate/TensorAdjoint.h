//===- TensorAdjoint.h - Derivatives of tensor code -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_DIFFERENTIATE_TENSORADJOINT_H
#define SCALING_DIALECT_SCALING_DIFFERENTIATE_TENSORADJOINT_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

namespace mlir::scaling {

/// What is differentiated of an iteration.
enum class GradientMode {
  /// The half-steps that were taken.
  unrolled,
  /// Nothing: the value that is differentiated is stationary in its factors.
  envelope,
  /// What the factors solve where it converged, else its half-steps.
  implicit
};

/// How derivatives are taken.
struct DifferentiateOptions {
  GradientMode mode = GradientMode::unrolled;
  /// Into how many segments an iteration is divided, what each starts from
  /// being kept; 0: by how long it is.
  int64_t checkpoints = 0;
  /// Up to where an iteration counts as converged: the sum of what its row sums
  /// (column sums) are off by, over the sum of what they are to be.
  double residual = 1e-4;
  /// Steps of conjugate gradients at most.
  int64_t maxSolverSteps = 200;
};

/// A tensor and the loops its dimensions run along.
struct MappedTensor {
  Value value;
  AffineMap map;
};

/// `body` of the inputs' entries, summed over the loops that `out` does not run
/// along, on top of `out`. A null sum adds nothing.
using EntryBody = function_ref<Value(OpBuilder &, Location, ValueRange)>;
Value sumInto(OpBuilder &builder, Location loc, Value out, AffineMap map,
              ArrayRef<MappedTensor> inputs, EntryBody body);

/// An adjoint shared among the entries that are the extreme one: over how many
/// there are. `lifted` is what is compared with the result.
Value sharedAdjoint(OpBuilder &builder, Location loc, MappedTensor adjoint,
                    MappedTensor result, ArrayRef<MappedTensor> inputs,
                    EntryBody lifted);

/// Reverse-mode derivatives of straight-line tensor code: `linalg` on tensors,
/// a few `tensor` ops, and ops with the `DifferentiableOpInterface`. Code that
/// computes the adjoints is written at the builder's insertion point, behind
/// the code itself.
class TensorAdjoint {
public:
  explicit TensorAdjoint(OpBuilder &builder,
                         const DifferentiateOptions &options = {})
      : b(builder), options(options) {}

  /// What derivatives are asked for, and what depends on it.
  void markActive(Value value) { active.insert(value); }
  void propagateActivity(ArrayRef<Operation *> ops);
  bool isActive(Value value) const { return active.contains(value); }

  /// Adds to the adjoint of a value that is active; others have none.
  void add(Location loc, Value value, Value adjoint);
  /// The adjoint so far, null where it is zero.
  Value get(Value value) const { return adjoints.lookup(value); }
  Value getOrZero(Location loc, Value value);
  void set(Value value, Value adjoint) { adjoints[value] = adjoint; }
  /// Puts a value in another's place, adjoint included.
  void replace(Value old, Value by);

  /// Goes back over the ops, the last one first; an op without a derivative is
  /// an error at its location.
  LogicalResult run(ArrayRef<Operation *> ops);

  /// Goes back over the code that the patterns make of an op: it is in the op's
  /// place then.
  LogicalResult runThrough(Operation *op,
                           function_ref<void(RewritePatternSet &)> populate);

  /// Adds `body` of the inputs' entries, summed over the loops that `value`
  /// does not run along, to the adjoint of `value`.
  void accumulate(Location loc, Value value, AffineMap map,
                  ArrayRef<MappedTensor> inputs, EntryBody body);

  OpBuilder &b;
  DifferentiateOptions options;
  /// How the gradient of each iteration was found, per batch element, where
  /// that is not known before.
  SmallVector<Value> reports;

private:
  /// The same of several values, none of which is there twice, that all loops
  /// run over one to one: by one op.
  void accumulateTogether(
      Location loc, ArrayRef<MappedTensor> values,
      ArrayRef<MappedTensor> inputs,
      function_ref<SmallVector<Value>(OpBuilder &, Location, ValueRange)> body);

  LogicalResult differentiate(Operation *op);
  LogicalResult differentiate(linalg::GenericOp op);
  LogicalResult differentiateLookups(linalg::GenericOp op);

  llvm::DenseMap<Value, Value> adjoints;
  llvm::DenseSet<Value> active;
};

/// Adjoints of what a product with the plan, or a sum over it, reads.
LogicalResult differentiateApply(TensorAdjoint &adjoint, ApplyOp op);

/// Adjoints of what a plan reads.
LogicalResult differentiatePlan(TensorAdjoint &adjoint, PlanOp op);

/// Adjoints of what an iteration reads, given those of its factors, in the mode
/// that the options say.
LogicalResult differentiateIterate(TensorAdjoint &adjoint, IterateOp op);

/// By going back over the half-steps that were taken. Of the batch elements
/// that `skipped` (i1, known at the builder; may be null) names, whose factors'
/// adjoints are zero, none is.
LogicalResult differentiateUnrolled(TensorAdjoint &adjoint, IterateOp op,
                                    Value skipped = Value());

/// From what the factors solve where the iteration converged, and by its
/// half-steps where it did not; which it was is reported.
LogicalResult differentiateImplicitly(TensorAdjoint &adjoint, IterateOp op);

} // namespace mlir::scaling

#endif // SCALING_DIALECT_SCALING_DIFFERENTIATE_TENSORADJOINT_H
