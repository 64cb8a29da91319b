//===- IterateDecomposer.h - iterate to half-steps --------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The pieces an iteration is made of, on tensors around the core ops. One
// function per way of stopping; each keeps the loop rolled and its body a row
// half-step followed by a column half-step wherever the convention allows,
// because that is what fuses into one read of the matrix.
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_TRANSFORMS_ITERATEDECOMPOSER_H
#define SCALING_LIB_TRANSFORMS_ITERATEDECOMPOSER_H

#include "MarginalsReader.h"
#include "TensorEmitter.h"

#include <limits>

namespace mlir::scaling {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The two factors, indexed by axis.
struct Factors {
  Value row, col;
  Value &operator[](Axis axis) { return axis == Axis::rows ? row : col; }
  Value operator[](Axis axis) const { return axis == Axis::rows ? row : col; }
};

enum class StatusCode : int { fixed, converged, limit, diverged };

inline Axis other(Axis axis) {
  return axis == Axis::rows ? Axis::cols : Axis::rows;
}

/// How an `until` iteration stands, per batch element.
struct Verdict {
  Value steps, residual, status, done;

  SmallVector<Value> values() const { return {steps, residual, status, done}; }
  static constexpr size_t kNumValues = 4;
  static Verdict from(ValueRange values) {
    return {values[0], values[1], values[2], values[3]};
  }
};

/// The over-relaxation of an `until` iteration, per batch element; all null
/// where there is none.
struct Relaxation {
  Value omega; // of the half-steps that follow
  /// What ω is but for sweeps that are to be plain.
  Value learned;
  /// The smallest residual; the residual of a sample, and the rate up to it.
  Value best, sample, rate;
  /// What both axes' residuals are to be at most for a plain sweep.
  Value bound;
  /// The residual of the axis that is not judged; where both are, of the one
  /// that was updated last.
  Value across;

  explicit operator bool() const { return omega != nullptr; }
  SmallVector<Value> values() const {
    if (!omega)
      return {};
    return {omega, learned, best, sample, rate, bound, across};
  }
  static constexpr size_t kNumValues = 7;
  static Relaxation from(ValueRange values) {
    return {values[0], values[1], values[2], values[3],
            values[4], values[5], values[6]};
  }
};

/// The memory of Anderson's steps along one axis; all null where there is none.
struct Acceleration {
  /// What the last plain step made of the factor, and its logarithm over that
  /// of the factor it was made from.
  Value made, residual;
  /// Per batch element: the smallest square of a residual, and how many
  /// residuals there are.
  Value best, count;
  /// Differences of successive residuals, and of the logarithms of what was
  /// made; the latest in the place of the oldest.
  SmallVector<Value> turns, moves;

  explicit operator bool() const { return made != nullptr; }
  SmallVector<Value> values() const {
    if (!made)
      return {};
    SmallVector<Value> all{made, residual, best, count};
    llvm::append_range(all, turns);
    llvm::append_range(all, moves);
    return all;
  }
  static Acceleration from(ValueRange values) {
    Acceleration state{values[0], values[1], values[2], values[3], {}, {}};
    values = values.drop_front(4);
    state.turns = llvm::to_vector(values.take_front(values.size() / 2));
    state.moves = llvm::to_vector(values.drop_front(values.size() / 2));
    return state;
  }
};

class IterateDecomposer {
public:
  IterateDecomposer(OpBuilder &builder, IterateOp op);

  /// `mayAbsorb`: whether the domain `absorb` is more than a name for `log`.
  SmallVector<Value> run(bool mayAbsorb);

  using Sizes = TensorEmitter::Sizes;
  using Body = TensorEmitter::Body;

  /// The results: factors, half-steps, residual, status.
  struct Outcome {
    Factors factors;
    Value steps, residual, status;
    /// Where the iteration has one: a kernel and the factors it makes the same
    /// plan with, and the logarithms of the factors in f64.
    Value kernel;
    Factors kernelFactors, logarithms;
    /// What `notFinite` says, where that is known without the factors.
    Value diverged;
  };

  /// What makes the plan without an exponential, and the logarithms of the
  /// factors; those of the start where the iteration diverged.
  struct KernelPlan {
    Value kernel;
    Factors factors, logarithms;
  };
  KernelPlan kernelPlan(const Outcome &out, Value diverged);
  /// The plans of the iteration's matrix and results, applied or not.
  SmallVector<Operation *> getPlans();

  Outcome iterate(bool mayAbsorb);
  /// Whether the iteration is one that `absorb` writes with kernel arithmetic.
  bool canAbsorb();

  Outcome absorb();
  Outcome fixed();
  Outcome annealed();
  Outcome until();
  Outcome best();

  // Pieces of an iteration.
  RuleAttr rule(Axis axis) {
    return axis == Axis::rows ? op.getRows() : op.getCols();
  }
  Value target(Axis axis) const { return targets[axis]; }
  Value mask(Axis axis) const { return masks[axis]; }
  /// Whether an `until` judges the axis.
  bool judges(Axis axis) {
    return stop.getAxis() == Judged::both ||
           (stop.getAxis() == Judged::rows) == (axis == Axis::rows);
  }
  Sizes vectorSizes(Axis axis) {
    Sizes sizes = batchSizes;
    sizes.push_back(axis == Axis::rows ? rows : cols);
    return sizes;
  }
  StatisticAttrInterface stat(Axis axis) {
    return rule(axis).getReducedStat(domain);
  }
  Factors startFactors();
  /// The states of an axis' statistic under the other factor; `scale` (may be
  /// null) multiplies the matrix.
  SmallVector<Value> read(Axis axis, Value otherFactor, Value scale = Value());
  /// Those of both axes under one pair of factors.
  BothStates readBoth(const Factors &factors, Value scale = Value());
  /// The axis' next factor: over `own`, whose buffer serves again, or beside
  /// it where a check may still want the old one.
  Value update(Axis axis, ValueRange states, Value own, bool keep = false,
               Value omega = Value());
  /// Before a pair of half-steps with an ε of its own: the factors, in place or
  /// beside the old ones, in terms of that ε. Returns what the matrix is taken
  /// times.
  Value anneal(Value pair, Factors &factors, bool inPlace);
  /// A half-step on `factors`.
  void halfStep(Axis axis, Factors &factors, Value scale = Value());
  /// Both axes from the same factors.
  void jacobiStep(Factors &factors, Value scale = Value());
  /// Whether one factor serves both axes.
  bool isSymmetric() { return op.getOrder() == Order::symmetric; }
  /// The factor's next value with `order(symmetric)`, given its states under
  /// itself.
  Value updateMean(ValueRange states, Value own, bool keep = false);
  /// `count` half-steps from `factors`, the loop rolled.
  Factors halfSteps(Factors factors, int64_t count);

  // Measures; all per batch element.
  /// Inputs of an elementwise computation on an axis' vectors that tell
  /// whether an entry has weight, and the condition from their values.
  void addWeightInputs(Axis axis, SmallVectorImpl<EmitterInput> &inputs);
  Value hasWeight(OpBuilder &builder, Location loc, Axis axis,
                  ValueRange values);
  /// The norm over an axis of what `body` gives for entries with weight; the
  /// body's values are those of `inputs`.
  Value norm(Axis axis, Norm norm, ArrayRef<EmitterInput> inputs, Body body);
  /// ‖σ − t‖ of an axis, given its states under the other factor.
  Value marginal(Axis axis, ValueRange states, Value own);
  /// The residual of factors by reading the judged axes anew.
  Value measuredMarginal(const Factors &factors);
  /// How far the axis' factor moved.
  Value change(Axis axis, Value before, Value after);
  /// Largest or smallest plan statistic of an axis.
  Value extreme(Axis axis, ValueRange states, Value own, bool largest);
  Value imbalance(const Factors &factors, ValueRange rowStates,
                  ValueRange colStates);
  /// Whether a factor holds what no weight explains.
  Value notFinite(const Factors &factors);

  // Checks of `until`.
  Verdict undecided();
  /// Whether `k` is a half-step count of the cadence.
  Value isDue(Value k);
  /// Stops the elements whose residual passes, if a check is due; `may`, per
  /// batch element, excludes others from it.
  Verdict check(Verdict verdict, Value due, Value residual, Value k,
                Value may = Value());
  /// Whether an `until` over-relaxes.
  bool relaxes() {
    return stop.relaxes(op.getRows(), op.getCols(), op.getOrder());
  }
  /// The axis whose half-steps begin the sweeps that over-relaxation counts.
  Axis watchedAxis();
  /// `across` is the residual of the axis that is not watched, of the start.
  Relaxation unrelaxed(Value across);
  /// What a check judges of factors that the relaxation led to.
  Value judgedResidual(const Relaxation &relaxation, Value residual);
  /// Chooses ω at the half-step of the watched axis that `k` are done before.
  Relaxation observe(Relaxation relaxation, Value residual, Value due, Value k);
  /// The residual that an over-relaxed half-step leaves along its own axis.
  Value leftResidual(Axis axis, Value own, Value next, Value omega);
  /// Notes it for the elements that run.
  Relaxation noteAcross(Relaxation relaxation, Value running, Value residual);
  /// Whether an `until` takes Anderson's steps, and along which axis.
  bool accelerates() { return stop.getRelax() == Relax::anderson; }
  Axis acceleratedAxis() {
    return stop.getAxis() == Judged::rows ? Axis::rows : Axis::cols;
  }
  Acceleration unaccelerated();
  /// Replaces `next`, which a plain half-step along the accelerated axis makes
  /// of `own` when `k` are done, by Anderson's factor.
  Acceleration accelerate(Acceleration memory, Value own, Value &next, Value k);
  /// (a + b)·weight.
  Value sum(Value a, Value b, double weight = 1.0);

  // Per batch element.
  Value batchFilled(Value scalar) { return e.filled(batchSizes, scalar); }
  Value batchInt(int64_t value);
  Value batchFloat(double value);
  Value batchBool(bool value);
  Value onBatch(Type element, ValueRange values, Body body);
  Value onBatch(Type element, std::initializer_list<Value> values, Body body) {
    return onBatch(element, ValueRange(ArrayRef<Value>(values)), body);
  }
  /// `state`, but `next` where the batch element's flag is true; in place.
  Value replace(Value state, Value flag, Value next);
  Factors replace(Factors state, Value flag, const Factors &next,
                  std::initializer_list<Axis> axes = {Axis::rows, Axis::cols});
  /// A per batch element state, made anew in place: `body` gets the values,
  /// then the state.
  Value revise(Value state, std::initializer_list<Value> values, Body body);
  Value either(Value a, Value b);
  Value negate(Value flag);

  OpBuilder &b;
  IterateOp op;
  Location loc;
  TensorEmitter e;
  Domain domain;
  bool isLog;
  FloatType accumulate;
  StopAttr stop;
  Sizes batchSizes;
  OpFoldResult rows, cols;
  Value matrix;
  Factors targets, masks, start;
  /// Set by `run` where there are plans to read it.
  std::optional<KernelPlan> plan;
  /// Where both axes are read at once.
  std::optional<MarginalsReader> reader;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_TRANSFORMS_ITERATEDECOMPOSER_H
