//===- DecomposeAbsorb.cpp - Kernel arithmetic that is safe -----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The logarithms of the factors are split in two: a gauge in f64 that is part
// of a stored kernel, K_ij = exp(F_i + X_ij + G_j), and what the factors have
// moved by since, which are factors of K and carry the targets. The gauge is
// one of densities: in it the sums that a half-step reads are near one whatever
// the targets are.
//
// A half-step on K is as good as one in the log domain if what the kernel lost
// to underflow does not count: entries below the smallest normal number, each
// times a factor that is known to be within 2^reach of its target. Sums far
// enough above that say so; where one does not, the half-steps are discarded
// done on logarithms. All of this looks at short vectors only.
//
// In a batch every element is judged by itself. Where one of those that are
// side by side needs logarithms or a new kernel, all compute them, and only
// that one takes them: its neighbours cannot be told from what they are alone.
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;
using namespace mlir::scaling;

static constexpr Axis kAxes[] = {Axis::rows, Axis::cols};

namespace {
/// What the loop carries.
struct AbsorbState {
  /// Of the kernel; 0 for entries without weight or support.
  Factors factors;
  /// In f64; −∞ for entries without weight or support, for good.
  Factors gauge;
  Value kernel;
  Verdict verdict; // null for a fixed count
  Relaxation relaxation;

  SmallVector<Value> shortValues() const {
    SmallVector<Value> all{factors.row, factors.col, gauge.row, gauge.col};
    if (verdict.done)
      llvm::append_range(all, verdict.values());
    llvm::append_range(all, relaxation.values());
    return all;
  }
  SmallVector<Value> values() const {
    SmallVector<Value> all = shortValues();
    all.push_back(kernel);
    return all;
  }
  void setShort(ValueRange values) {
    factors = {values[0], values[1]};
    gauge = {values[2], values[3]};
    if (verdict.done)
      verdict = Verdict::from(values.slice(4, Verdict::kNumValues));
    if (relaxation)
      relaxation = Relaxation::from(values.take_back(Relaxation::kNumValues));
  }
  void set(ValueRange values) {
    setShort(values.drop_back());
    kernel = values.back();
  }
};

class AbsorbLoop {
public:
  explicit AbsorbLoop(IterateDecomposer &d);

  IterateDecomposer::Outcome run();

private:
  AbsorbState start();
  /// The start factor for a gauge.
  void startFrom(AbsorbState &state, Axis axis);
  /// The maxima over the other axis' start for a gauge: sums are near one from
  /// the start.
  void startFromMaxima(AbsorbState &state, Axis axis);
  /// Half-steps along `axes`, one after the other; `k` are done before, which
  /// matters to `until` only.
  AbsorbState advance(AbsorbState state, ArrayRef<Axis> axes, Value k);
  /// The same on logarithms; the kernel is left to be made anew.
  AbsorbState advanceOnLogarithms(AbsorbState state, ArrayRef<Axis> axes,
                                  Value lost, Value k);
  /// The whole iteration, half-steps checked as they are done.
  AbsorbState iterate(AbsorbState state);
  /// The same for a fixed count and plain rules in a batch: first on the
  /// kernel of the start alone, with one flag for all sums. Elements whose sums
  /// leave the range in which `iterate` would do the same are iterated anew.
  AbsorbState speculate(AbsorbState state);
  bool speculates() {
    return isBatched && !isUntil && d.rule(Axis::rows).isPlain() &&
           d.rule(Axis::cols).isPlain();
  }
  /// The check before the half-step along `axis` that `states` are for and that
  /// makes `next`, for the elements that the flag `may` is of.
  AbsorbState judge(IterateDecomposer &on, AbsorbState state, Axis axis,
                    ValueRange states, const Factors &factors, Value next,
                    Value may, Value k);
  /// What `on` computed, in the type of the iteration.
  Value narrow(IterateDecomposer &on, Value value);
  /// In the type that `on` computes in.
  Value omega(IterateDecomposer &on, const Relaxation &relaxation);
  /// `from` in the place of `to`.
  Relaxation copied(const Relaxation &from, const Relaxation &to);
  /// `from` in the place of `to` for the elements that the flag is of.
  Relaxation merged(const Relaxation &from, const Relaxation &to, Value flag);
  /// Places for another relaxation.
  Relaxation newPlaces();
  /// The axis' next factor of the kernel.
  Value update(Axis axis, ValueRange states, const AbsorbState &state);
  /// The largest of the sums and their inverses, and, where the rule is not
  /// t/s, of the factors over their targets and the inverse; infinite where a
  /// factor, new or judged, has no place among normal numbers.
  Value spread(Axis axis, Value sum, Value own, Value next, Value gauge);
  /// The logarithm of the axis' whole factor, in f64.
  Value logarithm(Axis axis, const AbsorbState &state);
  /// Whether the factors hold what no weight explains, per batch element.
  Value notFinite(const AbsorbState &state);
  /// The kernel of a gauge, in the place of `kernel`.
  Value makeKernel(const Factors &gauge, Value kernel);
  /// The same for the elements that the flag is of.
  Value renewKernel(const Factors &gauge, Value kernel, Value flag);

  // A flag or number per batch element is a scalar where there is no batch.
  Value onElements(Type element, ArrayRef<Value> values,
                   TensorEmitter::Body body);
  Value onElements(Value tensor) {
    return isBatched ? tensor : e.extract(tensor);
  }
  Value both(Value x, Value y);
  Value either(Value x, Value y);
  Value negated(Value flag);
  /// Whether a flag is of any element.
  Value any(Value flag) { return isBatched ? e.any(flag) : flag; }

  /// Short vectors; the values that `body` gets begin with those of `flags`.
  Value vector(Axis axis, Type element, ArrayRef<Value> inputs,
               TensorEmitter::Body body, ArrayRef<Value> flags = {});
  Value inPlace(Value out, ArrayRef<Value> inputs, TensorEmitter::Body body,
                ArrayRef<Value> flags = {});
  /// The targets with the masked entries zero; null where all are one.
  Value maskedTarget(Axis axis, FloatType type);
  Value isRunning(const Verdict &verdict);

  bool isGaugeFree(Axis axis) {
    RuleAttr rule = d.rule(axis);
    return rule.getGuard() != Guard::add_kernel && rule.getTau() == 1.0 &&
           rule.getClamp().empty();
  }

  IterateDecomposer &d;
  IterateDecomposer kernel; // on factors of the kernel
  IterateDecomposer wide;   // on logarithms, in f64
  OpBuilder &b;
  Location loc;
  TensorEmitter &e;
  FloatType f64;
  bool isUntil, isBatched;
  /// How far the factors may be from their targets before the gauge takes them
  /// over, as a power of two.
  int reach;
  /// The bits between a factor of a target of one and what a sum may lose.
  int room;
  /// What `spread` may be for the half-step to count.
  Factors bound;
  Factors start64;
  /// The elements that `iterate` is for; null for all.
  Value active;
};

/// Arithmetic on scalars of one type.
struct Scalars {
  OpBuilder &b;
  Location loc;
  Type type;

  Value constant(double value) { return createConstant(b, loc, type, value); }
  Value is(arith::CmpFPredicate predicate, Value value, double number) {
    return arith::CmpFOp::create(b, loc, predicate, value, constant(number));
  }
  Value isNone(Value value) {
    return is(arith::CmpFPredicate::OEQ, value, -kInfinity);
  }
  Value select(Value condition, Value a, Value other) {
    return arith::SelectOp::create(b, loc, condition, a, other);
  }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, loc, x, y); }
  Value max(Value x, Value y) {
    return arith::MaximumFOp::create(b, loc, x, y);
  }
  Value log(Value x) { return math::LogOp::create(b, loc, cast(x)); }
  Value exp(Value x) { return math::ExpOp::create(b, loc, x); }
  Value cast(Value x) { return castFloat(b, loc, x, type); }
  Value either(Value x, Value y) { return arith::OrIOp::create(b, loc, x, y); }
};
} // namespace

//===----------------------------------------------------------------------===//
// Short vectors
//===----------------------------------------------------------------------===//

static SmallVector<EmitterInput> alongVectors(ArrayRef<Value> values) {
  SmallVector<EmitterInput> inputs;
  for (Value value : values)
    inputs.push_back({value, {0}});
  return inputs;
}

Value AbsorbLoop::inPlace(Value out, ArrayRef<Value> inputs,
                          TensorEmitter::Body body, ArrayRef<Value> flags) {
  SmallVector<EmitterInput> all;
  if (isBatched)
    for (Value flag : flags)
      all.push_back({flag, {}});
  llvm::append_range(all, alongVectors(inputs));
  return e.inPlace(out, 1, all,
                   [&](OpBuilder &inner, Location l, ValueRange in) {
                     if (isBatched)
                       return body(inner, l, in);
                     SmallVector<Value> values(flags);
                     llvm::append_range(values, in);
                     return body(inner, l, values);
                   });
}

Value AbsorbLoop::vector(Axis axis, Type element, ArrayRef<Value> inputs,
                         TensorEmitter::Body body, ArrayRef<Value> flags) {
  return inPlace(
      e.empty(d.vectorSizes(axis), element), inputs,
      [&](OpBuilder &inner, Location l, ValueRange in) {
        return body(inner, l, in.drop_back());
      },
      flags);
}

Value AbsorbLoop::onElements(Type element, ArrayRef<Value> values,
                             TensorEmitter::Body body) {
  if (isBatched)
    return d.onBatch(element, values, body);
  return body(b, loc, values);
}

Value AbsorbLoop::both(Value x, Value y) {
  return onElements(b.getI1Type(), {x, y},
                    [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                      return arith::AndIOp::create(inner, l, in[0], in[1]);
                    });
}

Value AbsorbLoop::either(Value x, Value y) {
  return onElements(b.getI1Type(), {x, y},
                    [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                      return arith::OrIOp::create(inner, l, in[0], in[1]);
                    });
}

Value AbsorbLoop::negated(Value flag) {
  return onElements(b.getI1Type(), {flag},
                    [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                      Value yes = arith::ConstantOp::create(
                          inner, l, inner.getBoolAttr(true));
                      return arith::XOrIOp::create(inner, l, in[0], yes);
                    });
}

Value AbsorbLoop::maskedTarget(Axis axis, FloatType type) {
  Value target = d.target(axis), mask = d.mask(axis);
  if (!target && !mask)
    return Value();
  if (!mask && getElementTypeOrSelf(target) == type)
    return target;
  SmallVector<Value> inputs;
  if (target)
    inputs.push_back(target);
  if (mask)
    inputs.push_back(mask);
  return vector(axis, type, inputs,
                [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  Scalars s{inner, l, type};
                  Value value = target ? s.cast(in[0]) : s.constant(1.0);
                  return mask ? s.select(in.back(), value, s.constant(0.0))
                              : value;
                });
}

Value AbsorbLoop::isRunning(const Verdict &verdict) {
  return negated(onElements(verdict.done));
}

//===----------------------------------------------------------------------===//
// The gauge
//===----------------------------------------------------------------------===//

AbsorbLoop::AbsorbLoop(IterateDecomposer &d)
    : d(d), kernel(d), wide(d), b(d.b), loc(d.loc), e(d.e),
      f64(d.b.getF64Type()), isUntil(d.stop.getMode() == StopMode::until),
      isBatched(!d.batchSizes.empty()) {
  kernel.domain = Domain::kernel;
  kernel.isLog = false;
  wide.accumulate = f64;
  for (Axis axis : kAxes) {
    // The kernel is zero where nothing takes part: no read needs the masks.
    kernel.targets[axis] = maskedTarget(axis, d.accumulate);
    kernel.masks[axis] = Value();
    wide.targets[axis] = maskedTarget(axis, f64);
    start64[axis] = vector(axis, f64, {d.start[axis]},
                           [&](OpBuilder &inner, Location l, ValueRange in) {
                             return castFloat(inner, l, in[0], f64);
                           });
  }
  // What a sum may have lost is at most the smallest normal number times the
  // other factors' sum, and these are within 2^reach of their targets.
  const llvm::fltSemantics &semantics = d.accumulate.getFloatSemantics();
  room = -llvm::APFloat::semanticsMinExponent(semantics) -
         static_cast<int>(llvm::APFloat::semanticsPrecision(semantics)) - 1;
  reach = room * 2 / 5;
  for (Axis axis : kAxes) {
    Axis second = other(axis);
    Value total;
    if (Value target = kernel.target(second)) {
      total = onElements(
          e.reduce(d.vectorSizes(second), 1, d.accumulate,
                   alongVectors({target}), TensorEmitter::Combine::add,
                   [](OpBuilder &, Location, ValueRange in) { return in[0]; }));
    } else {
      total =
          e.toFloat(e.indexValue(d.vectorSizes(second).back()), d.accumulate);
      if (isBatched)
        total = d.batchFilled(total);
    }
    bound[axis] =
        onElements(d.accumulate, {total},
                   [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                     Scalars s{inner, l, d.accumulate};
                     return s.div(s.constant(std::ldexp(1.0, room - reach)),
                                  s.max(in[0], s.constant(1.0)));
                   });
  }
}

Value AbsorbLoop::makeKernel(const Factors &gauge, Value into) {
  return PlanOp::create(b, loc, into.getType(), d.matrix, gauge.row, gauge.col,
                        Value(), Value(), into, Domain::absorb,
                        /*logarithm=*/false, DenseI64ArrayAttr())
      .getResult();
}

Value AbsorbLoop::renewKernel(const Factors &gauge, Value kernel, Value flag) {
  bool isAlone = llvm::all_of(d.batchSizes, [](OpFoldResult size) {
    return isConstantIntValue(size, 1);
  });
  if (isAlone)
    return makeKernel(gauge, kernel);
  TensorEmitter::Sizes sizes(d.batchSizes);
  sizes.append({d.rows, d.cols});
  Value fresh = makeKernel(gauge, e.empty(sizes, d.accumulate));
  return e.inPlace(kernel, 2, {{flag, {}}, {fresh, {0, 1}}},
                   [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                     return arith::SelectOp::create(inner, l, in[0], in[1],
                                                    in[2]);
                   });
}

void AbsorbLoop::startFrom(AbsorbState &state, Axis axis) {
  SmallVector<Value> inputs{start64[axis]};
  if (Value target = wide.target(axis))
    inputs.push_back(target);
  state.gauge[axis] =
      vector(axis, f64, inputs,
             [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
               Scalars s{inner, l, f64};
               // A start of zero is a factor of zero, not a gauge.
               Value gauge = s.select(s.isNone(in[0]), s.constant(0.0), in[0]);
               if (in.size() == 1)
                 return gauge;
               Value none = s.is(arith::CmpFPredicate::OEQ, in[1], 0.0);
               return s.select(none, s.constant(-kInfinity),
                               s.sub(gauge, s.log(in[1])));
             });
  SmallVector<Value> parts{start64[axis]};
  if (Value target = kernel.target(axis))
    parts.push_back(target);
  state.factors[axis] =
      vector(axis, d.accumulate, parts,
             [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
               Scalars s{inner, l, d.accumulate};
               Value value = in.size() > 1 ? in[1] : s.constant(1.0);
               return s.select(Scalars{inner, l, f64}.isNone(in[0]),
                               s.constant(0.0), value);
             });
}

void AbsorbLoop::startFromMaxima(AbsorbState &state, Axis axis) {
  SmallVector<Value> inputs;
  ReduceOp tops = e.states(axis, MaxAttr::get(b.getContext()),
                           d.vectorSizes(axis), d.accumulate, d.matrix,
                           d.start[other(axis)], d.mask(other(axis)), Value());
  if (ScheduleAttr schedule = d.op.getScheduleAttr())
    setScheduleOf(tops, schedule);
  inputs.push_back(tops.getResult(0));
  if (Value target = wide.target(axis))
    inputs.push_back(target);
  double lowest = llvm::APFloat::getLargest(d.accumulate.getFloatSemantics(),
                                            /*Negative=*/true)
                      .convertToDouble();
  state.gauge[axis] = vector(
      axis, f64, inputs,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Scalars s{inner, l, f64};
        Value top = s.cast(in[0]);
        Value none = s.is(arith::CmpFPredicate::OLE, top, lowest);
        if (in.size() > 1)
          none = s.either(none, s.is(arith::CmpFPredicate::OEQ, in[1], 0.0));
        // NaN for an infinite maximum: −∞ says that there is no support.
        Value zero = s.sub(top, top);
        return s.select(none, s.constant(-kInfinity), s.sub(zero, top));
      });
  state.factors[axis] =
      vector(axis, d.accumulate, {start64[axis], state.gauge[axis]},
             [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
               Scalars s{inner, l, f64};
               Value factor = castFloat(inner, l, s.exp(s.sub(in[0], in[1])),
                                        d.accumulate);
               return Scalars{inner, l, d.accumulate}.select(
                   s.isNone(in[1]), createConstant(inner, l, d.accumulate, 0.0),
                   factor);
             });
}

AbsorbState AbsorbLoop::start() {
  AbsorbState state;
  Axis first = d.op.getOrder() == Order::cols_first ? Axis::cols : Axis::rows;
  startFrom(state, other(first));
  // The first factor is forgotten at once if its rule is t/s.
  if (d.rule(first).isPlain())
    startFromMaxima(state, first);
  else
    startFrom(state, first);

  TensorEmitter::Sizes sizes(d.batchSizes);
  sizes.append({d.rows, d.cols});
  Factors gauge = state.gauge;
  // A row comes to its maximum before anything else joins it, and a gauge of
  // fewer digits is one as well: f32 is enough, but from a start far off.
  if (isBatched && first == Axis::rows && !d.op.getColStart() &&
      d.rule(first).isPlain())
    for (Axis axis : kAxes) {
      gauge[axis] =
          vector(axis, d.accumulate, gauge[axis],
                 [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                   return castFloat(inner, l, in[0], d.accumulate);
                 });
      state.gauge[axis] =
          vector(axis, f64, gauge[axis],
                 [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                   return castFloat(inner, l, in[0], f64);
                 });
    }
  ScheduleAttr schedule = d.op.getScheduleAttr();
  bool streams = schedule && schedule.getRegime() == Regime::streaming;
  state.kernel = makeKernel(gauge, streams ? e.emptyInLines(sizes, d.accumulate)
                                           : e.empty(sizes, d.accumulate));
  if (isUntil)
    state.verdict = kernel.undecided();
  if (d.relaxes()) {
    // Only a check of the start looks at it.
    Value across = kernel.batchFloat(0.0);
    if (d.stop.getAxis() == Judged::both && d.stop.getStart() == 0) {
      Axis second = other(first);
      across =
          narrow(wide, wide.marginal(second, wide.read(second, start64[first]),
                                     start64[second]));
    }
    state.relaxation = kernel.unrelaxed(across);
  }
  return state;
}

Value AbsorbLoop::logarithm(Axis axis, const AbsorbState &state) {
  return vector(
      axis, f64, {state.gauge[axis], state.factors[axis], start64[axis]},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Scalars s{inner, l, f64};
        // Without support the factor is the start's.
        return s.select(s.isNone(in[0]), in[2], s.add(in[0], s.log(in[1])));
      });
}

//===----------------------------------------------------------------------===//
// Half-steps
//===----------------------------------------------------------------------===//

Value AbsorbLoop::update(Axis axis, ValueRange states,
                         const AbsorbState &state) {
  if (isGaugeFree(axis))
    return kernel.update(axis, states, state.factors[axis], /*keep=*/true,
                         state.relaxation.omega);
  // The rule looks at the whole factor: its logarithm, in f64.
  SmallVector<Value> inputs{states[0], state.factors[axis], state.gauge[axis]};
  Value target = wide.target(axis);
  if (target)
    inputs.push_back(target);
  return vector(axis, d.accumulate, inputs,
                [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  Scalars s{inner, l, f64};
                  Value gauge = in[2];
                  Value own = s.add(gauge, s.log(in[1]));
                  // A log-sum-exp with the gauge for its maximum.
                  SmallVector<Value> logStates{s.sub(s.constant(0.0), gauge),
                                               s.cast(in[0])};
                  Value next =
                      createUpdate(inner, l, d.rule(axis), Domain::absorb,
                                   logStates, own, target ? in[3] : Value(),
                                   /*mask=*/Value())
                          .factor;
                  Value factor = castFloat(inner, l, s.exp(s.sub(next, gauge)),
                                           d.accumulate);
                  return Scalars{inner, l, d.accumulate}.select(
                      s.isNone(gauge),
                      createConstant(inner, l, d.accumulate, 0.0), factor);
                });
}

Value AbsorbLoop::spread(Axis axis, Value sum, Value own, Value next,
                         Value gauge) {
  bool isPlain = d.rule(axis).isPlain() && !d.relaxes();
  Value target = kernel.target(axis);
  SmallVector<Value> inputs{sum, gauge, next, own};
  if (target)
    inputs.push_back(target);
  double normal =
      llvm::APFloat::getSmallestNormalized(d.accumulate.getFloatSemantics())
          .convertToDouble();
  return onElements(e.reduce(
      d.vectorSizes(axis), 1, d.accumulate, alongVectors(inputs),
      TensorEmitter::Combine::max,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Scalars s{inner, l, d.accumulate};
        Value one = s.constant(1.0);
        Value far = s.max(in[0], s.div(one, in[0]));
        if (!isPlain) {
          Value moved = target ? s.div(in[2], in[4]) : in[2];
          far = s.max(far, s.max(moved, s.div(one, moved)));
        }
        // Where targets are one the sum says it.
        if (target)
          far = s.select(s.is(arith::CmpFPredicate::ULT, in[2], normal),
                         s.constant(kInfinity), far);
        if (isUntil) {
          Value held = arith::AndIOp::create(
              inner, l, s.is(arith::CmpFPredicate::OGE, in[3], normal),
              s.is(arith::CmpFPredicate::OLT, in[3], kInfinity));
          far = s.select(held, far, s.constant(kInfinity));
        }
        return s.select(Scalars{inner, l, f64}.isNone(in[1]), one, far);
      }));
}

Value AbsorbLoop::narrow(IterateDecomposer &on, Value value) {
  if (on.accumulate == d.accumulate)
    return value;
  return kernel.onBatch(d.accumulate, {value},
                        [&](OpBuilder &inner, Location l, ValueRange in) {
                          return castFloat(inner, l, in[0], d.accumulate);
                        });
}

AbsorbState AbsorbLoop::judge(IterateDecomposer &on, AbsorbState state,
                              Axis axis, ValueRange states,
                              const Factors &factors, Value next, Value may,
                              Value k) {
  if (!d.judges(axis)) {
    if (state.relaxation) {
      Value left = on.leftResidual(axis, factors[axis], next,
                                   omega(on, state.relaxation));
      state.relaxation =
          kernel.noteAcross(state.relaxation, kernel.negate(state.verdict.done),
                            narrow(on, left));
    }
    return state;
  }
  Value watched = on.marginal(axis, states, factors[axis]);
  Value residual = narrow(on, watched);
  bool both = d.stop.getAxis() == Judged::both;
  if (both && state.relaxation) {
    // What the other axis was left with is known.
    residual = kernel.sum(residual, state.relaxation.across);
  } else if (both) {
    Axis second = other(axis);
    SmallVector<Value> across = on.read(second, factors[axis]);
    Value rest = on.marginal(second, across, factors[second]);
    residual = kernel.sum(residual, narrow(on, rest));
  }
  Value due = d.isDue(k);
  Value judged = residual;
  if (state.relaxation)
    judged = kernel.judgedResidual(state.relaxation, judged);
  state.verdict =
      isBatched
          ? kernel.check(state.verdict, due, judged, k, may)
          : kernel.check(state.verdict, arith::AndIOp::create(b, loc, due, may),
                         judged, k);
  if (state.relaxation && axis == d.watchedAxis())
    state.relaxation =
        kernel.observe(state.relaxation, narrow(on, watched), due, k);
  if (state.relaxation && both)
    state.relaxation =
        kernel.noteAcross(state.relaxation, kernel.negate(state.verdict.done),
                          narrow(on, on.marginal(axis, states, next)));
  return state;
}

Relaxation AbsorbLoop::copied(const Relaxation &from, const Relaxation &to) {
  SmallVector<Value> values;
  for (auto [source, place] : llvm::zip_equal(from.values(), to.values()))
    values.push_back(
        linalg::CopyOp::create(b, loc, source, place).getResult(0));
  return Relaxation::from(values);
}

Relaxation AbsorbLoop::merged(const Relaxation &from, const Relaxation &to,
                              Value flag) {
  auto choose = [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
    Value chosen = isBatched ? in[0] : flag;
    return arith::SelectOp::create(inner, l, chosen, in.drop_back().back(),
                                   in.back());
  };
  SmallVector<Value> values;
  for (auto [source, place] : llvm::zip_equal(from.values(), to.values())) {
    SmallVector<EmitterInput> inputs;
    if (isBatched)
      inputs.push_back({flag, {}});
    inputs.push_back({source, {}});
    values.push_back(e.inPlace(place, 0, inputs, choose));
  }
  return Relaxation::from(values);
}

Relaxation AbsorbLoop::newPlaces() {
  SmallVector<Value> values(Relaxation::kNumValues);
  for (Value &value : values)
    value = e.empty(d.batchSizes, d.accumulate);
  return Relaxation::from(values);
}

Value AbsorbLoop::omega(IterateDecomposer &on, const Relaxation &relaxation) {
  if (!relaxation || on.accumulate == d.accumulate)
    return relaxation.omega;
  return on.onBatch(on.accumulate, {relaxation.omega},
                    [&](OpBuilder &inner, Location l, ValueRange in) {
                      return castFloat(inner, l, in[0], on.accumulate);
                    });
}

AbsorbState AbsorbLoop::advanceOnLogarithms(AbsorbState state,
                                            ArrayRef<Axis> axes, Value lost,
                                            Value k) {
  Relaxation before = state.relaxation;
  if (before)
    state.relaxation = copied(before, newPlaces());
  Factors whole{logarithm(Axis::rows, state), logarithm(Axis::cols, state)};
  Factors sums;
  Factors seen = whole; // what a sweep reads: the update, taken or not
  for (auto [i, axis] : llvm::enumerate(axes)) {
    SmallVector<Value> states = wide.read(axis, seen[other(axis)]);
    sums[axis] = states[1];
    seen[axis] = wide.update(axis, states, whole[axis], /*keep=*/true,
                             omega(wide, state.relaxation));
    if (!isUntil) {
      whole[axis] = seen[axis];
      continue;
    }
    Value done = arith::AddIOp::create(b, loc, k, e.index(i));
    state =
        judge(wide, state, axis, states, whole, seen[axis], /*may=*/lost, done);
    whole[axis] = vector(
        axis, f64, {seen[axis], whole[axis]},
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          return arith::SelectOp::create(inner, l, in[0], in[1], in[2]);
        },
        isRunning(state.verdict));
  }
  if (before)
    // Without a batch this is where it is lost: a copy, which nothing forwards.
    state.relaxation = isBatched ? merged(state.relaxation, before, lost)
                                 : copied(state.relaxation, before);
  for (Axis axis : kAxes) {
    Value target = wide.target(axis);
    SmallVector<Value> inputs{whole[axis]};
    if (target)
      inputs.push_back(target);
    if (sums[axis])
      inputs.push_back(sums[axis]);
    state.gauge[axis] = inPlace(
        state.gauge[axis], inputs,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Scalars s{inner, l, f64};
          Value none = s.isNone(in.back());
          if (sums[axis])
            none = s.either(
                none, s.is(arith::CmpFPredicate::OEQ, in[in.size() - 2], 0.0));
          Value gauge = s.select(s.isNone(in[1]), s.constant(0.0), in[1]);
          if (target)
            gauge = s.sub(gauge, s.log(in[2]));
          gauge = s.select(none, s.constant(-kInfinity), gauge);
          return s.select(in[0], gauge, in.back());
        },
        lost);
    SmallVector<Value> parts{state.gauge[axis], whole[axis]};
    if (Value own = kernel.target(axis))
      parts.push_back(own);
    state.factors[axis] = inPlace(
        state.factors[axis], parts,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Scalars s{inner, l, d.accumulate}, logs{inner, l, f64};
          Value none = s.either(logs.isNone(in[1]), logs.isNone(in[2]));
          Value factor = s.select(none, s.constant(0.0),
                                  in.size() > 4 ? in[3] : s.constant(1.0));
          return s.select(in[0], factor, in.back());
        },
        lost);
  }
  return state;
}

AbsorbState AbsorbLoop::advance(AbsorbState state, ArrayRef<Axis> axes,
                                Value k) {
  kernel.matrix = state.kernel;
  Factors next = state.factors;
  // What is chosen on the kernel counts only where its half-steps do.
  Relaxation before = state.relaxation;
  if (before)
    state.relaxation = copied(before, newPlaces());
  Value trusted, far, runs;
  DenseMap<Axis, Value> taken;
  for (auto [i, axis] : llvm::enumerate(axes)) {
    SmallVector<Value> states = kernel.read(axis, next[other(axis)]);
    Value own = next[axis];
    next[axis] = update(axis, states, state);
    Value most = spread(axis, states[0], own, next[axis], state.gauge[axis]);
    Value within =
        onElements(b.getI1Type(), {most, bound[axis]},
                   [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                     return arith::CmpFOp::create(
                         inner, l, arith::CmpFPredicate::OLE, in[0], in[1]);
                   });
    Value beyond = onElements(
        b.getI1Type(), most,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          return Scalars{inner, l, d.accumulate}.is(
              arith::CmpFPredicate::UGT, in[0], std::ldexp(1.0, reach));
        });
    trusted = trusted ? both(trusted, within) : within;
    far = far ? either(far, beyond) : beyond;
    if (!isUntil)
      continue;
    Factors judged = next;
    judged[axis] = own;
    Value done = arith::AddIOp::create(b, loc, k, e.index(i));
    state =
        judge(kernel, state, axis, states, judged, next[axis], trusted, done);
    runs = isRunning(state.verdict);
    taken[axis] = runs;
  }
  Value lost = negated(trusted);
  if (runs) {
    lost = both(lost, runs);
    far = both(far, runs);
  }
  if (active) {
    lost = both(lost, active);
    far = both(far, active);
  }

  auto yield = [&](const AbsorbState &result) {
    scf::YieldOp::create(b, loc, result.shortValues());
  };
  // The kernel's half-steps; the loop's state stays where it is.
  auto commit = [&] {
    AbsorbState result = state;
    if (before)
      result.relaxation = copied(state.relaxation, before);
    for (Axis axis : kAxes) {
      // A copy, which no canonicalization forwards.
      if (auto it = taken.find(axis); it != taken.end())
        result.factors[axis] = inPlace(
            state.factors[axis], next[axis],
            [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
              return arith::SelectOp::create(inner, l, in[0], in[1], in[2]);
            },
            it->second);
      else if (llvm::is_contained(axes, axis))
        result.factors[axis] =
            linalg::CopyOp::create(b, loc, next[axis], state.factors[axis])
                .getResult(0);
    }
    return result;
  };
  // The same where nothing is lost, the gauge taking over factors that are
  // far from their targets.
  auto absorb = [&] {
    AbsorbState result = state;
    Value kept = negated(lost), moves = both(far, kept);
    if (before)
      result.relaxation = merged(state.relaxation, before, kept);
    for (Axis axis : kAxes) {
      auto it = taken.find(axis);
      SmallVector<Value> flags{moves, kept};
      if (it != taken.end())
        flags.push_back(it->second);
      // What the half-step leaves, of the values behind the flags.
      auto chosen = [&](Scalars s, ValueRange in, Value own) -> Value {
        Value after = in[flags.size()];
        return it == taken.end() ? after : s.select(in[2], after, own);
      };
      size_t numFlags = flags.size();
      Value target = wide.target(axis);
      SmallVector<Value> inputs{next[axis], state.factors[axis]};
      if (target)
        inputs.push_back(target);
      result.gauge[axis] = inPlace(
          state.gauge[axis], inputs,
          [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
            Scalars s{inner, l, f64}, narrow{inner, l, d.accumulate};
            Value factor = chosen(narrow, in, in[numFlags + 1]);
            Value moved = s.add(in.back(), s.log(factor));
            if (target)
              moved = s.sub(moved, s.log(in[numFlags + 2]));
            Value zero = narrow.is(arith::CmpFPredicate::OEQ, factor, 0.0);
            moved = s.select(zero, in.back(), moved);
            return s.select(in[0], moved, in.back());
          },
          flags);
      Value own = kernel.target(axis);
      SmallVector<Value> parts{next[axis]};
      if (own)
        parts.push_back(own);
      result.factors[axis] = inPlace(
          state.factors[axis], parts,
          [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
            Scalars s{inner, l, d.accumulate};
            Value factor = chosen(s, in, in.back());
            Value zero = s.is(arith::CmpFPredicate::OEQ, factor, 0.0);
            Value fresh = s.select(zero, s.constant(0.0),
                                   own ? in[numFlags + 1] : s.constant(1.0));
            return s.select(in[0], fresh, s.select(in[1], factor, in.back()));
          },
          flags);
    }
    return result;
  };
  Value renewed = either(lost, far);
  auto branch = scf::IfOp::create(
      b, loc, any(renewed),
      [&](OpBuilder &, Location) {
        AbsorbState result = absorb();
        auto inner = scf::IfOp::create(
            b, loc, any(lost),
            [&](OpBuilder &, Location) {
              yield(advanceOnLogarithms(result, axes, lost, k));
            },
            [&](OpBuilder &, Location) { yield(result); });
        result.setShort(inner.getResults());
        result.kernel = renewKernel(result.gauge, state.kernel, renewed);
        scf::YieldOp::create(b, loc, result.values());
      },
      [&](OpBuilder &, Location) {
        scf::YieldOp::create(b, loc, commit().values());
      });
  state.set(branch.getResults());
  return state;
}

//===----------------------------------------------------------------------===//
// The loop
//===----------------------------------------------------------------------===//

AbsorbState AbsorbLoop::iterate(AbsorbState state) {
  int64_t limit = d.stop.getLimit(), done = 0;
  auto resume = [&](ValueRange values) {
    AbsorbState inside = state;
    inside.set(values);
    return inside;
  };
  // Half-steps outside of the loop, unless the iteration has ended.
  auto advanceOnce = [&](Axis axis, int64_t k) {
    if (!isUntil) {
      state = advance(state, axis, Value());
      return;
    }
    auto conditional = scf::IfOp::create(
        b, loc, any(isRunning(state.verdict)),
        [&](OpBuilder &, Location) {
          scf::YieldOp::create(b, loc,
                               advance(state, axis, e.index(k)).values());
        },
        [&](OpBuilder &, Location) {
          scf::YieldOp::create(b, loc, state.values());
        });
    state = resume(conditional.getResults());
  };

  // Rows, then columns in the loop's body, whatever comes first: one sweep.
  if (d.op.getOrder() == Order::cols_first && limit > 0) {
    advanceOnce(Axis::cols, 0);
    done = 1;
  }
  int64_t lastPair = done + (limit - done) / 2 * 2;
  if (lastPair > done && !isUntil) {
    auto loop = scf::ForOp::create(
        b, loc, e.index(0), e.index((lastPair - done) / 2), e.index(1),
        state.values(), [&](OpBuilder &, Location, Value, ValueRange carried) {
          AbsorbState inside = advance(resume(carried), kAxes, Value());
          scf::YieldOp::create(b, loc, inside.values());
        });
    state = resume(loop.getResults());
  }
  if (lastPair > done && isUntil) {
    SmallVector<Value> inits = state.values();
    inits.insert(inits.begin(), e.index(done));
    auto loop = scf::WhileOp::create(
        b, loc, ValueRange(inits).getTypes(), inits,
        [&](OpBuilder &, Location, ValueRange carried) {
          Value running = any(isRunning(resume(carried.drop_front()).verdict));
          Value below = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                              carried[0], e.index(lastPair));
          Value go = arith::AndIOp::create(b, loc, running, below);
          scf::ConditionOp::create(b, loc, go, carried);
        },
        [&](OpBuilder &, Location, ValueRange carried) {
          AbsorbState inside =
              advance(resume(carried.drop_front()), kAxes, carried[0]);
          SmallVector<Value> yielded = inside.values();
          yielded.insert(yielded.begin(),
                         arith::AddIOp::create(b, loc, carried[0], e.index(2)));
          scf::YieldOp::create(b, loc, yielded);
        });
    state = resume(loop.getResults().drop_front());
  }
  if (lastPair < limit)
    advanceOnce(Axis::rows, lastPair);
  return state;
}

AbsorbState AbsorbLoop::speculate(AbsorbState state) {
  const llvm::fltSemantics &semantics = d.accumulate.getFloatSemantics();
  auto bits = [&](double value) {
    llvm::APFloat number(value);
    bool losesInfo;
    number.convert(semantics, llvm::APFloat::rmNearestTiesToEven, &losesInfo);
    return number.bitcastToAPInt();
  };
  // Half of the room for the factors, half for the sums, but for targets of
  // some size.
  constexpr int targetRoom = 12;
  int half = (room - targetRoom) / 2;
  double most = std::ldexp(1.0, half);
  double least = std::ldexp(1.0, 2 * half - reach);
  llvm::APInt lowest = bits(1.0 / most), range = bits(most) - lowest;
  auto integer = b.getIntegerType(d.accumulate.getWidth());

  // What a kernel may have lost must not be worth more than its sums allow.
  Value doubt = d.onBatch(
      b.getI1Type(), {bound.row, bound.col},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Scalars s{inner, l, d.accumulate};
        return s.either(s.is(arith::CmpFPredicate::ULT, in[0], least),
                        s.is(arith::CmpFPredicate::ULT, in[1], least));
      });
  Factors tried, idle;
  for (Axis axis : kAxes) {
    tried[axis] =
        linalg::CopyOp::create(b, loc, state.factors[axis],
                               e.empty(d.vectorSizes(axis), d.accumulate))
            .getResult(0);
    Value target = kernel.target(axis);
    if (!target)
      continue;
    // A factor is at most so much smaller than its target.
    double smallest =
        most *
        llvm::APFloat::getSmallestNormalized(semantics).convertToDouble();
    doubt = e.reduce(
        d.vectorSizes(axis), 1, b.getI1Type(), alongVectors({target}),
        TensorEmitter::Combine::any,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Scalars s{inner, l, d.accumulate};
          return arith::AndIOp::create(
              inner, l, s.is(arith::CmpFPredicate::UNE, in[0], 0.0),
              s.is(arith::CmpFPredicate::ULT, in[0], smallest));
        },
        doubt);
    // Sums of what takes no part are zero: one is added.
    idle[axis] =
        vector(axis, d.accumulate, state.gauge[axis],
               [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                 Scalars s{inner, l, d.accumulate};
                 return s.select(Scalars{inner, l, f64}.isNone(in[0]),
                                 s.constant(1.0), s.constant(0.0));
               });
  }
  kernel.matrix = state.kernel;
  auto halfStep = [&](Axis axis) {
    SmallVector<Value> sums = kernel.read(axis, tried[other(axis)]);
    SmallVector<Value> inputs{sums[0]};
    if (idle[axis])
      inputs.push_back(idle[axis]);
    doubt = e.reduce(
        d.vectorSizes(axis), 1, b.getI1Type(), alongVectors(inputs),
        TensorEmitter::Combine::any,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Scalars s{inner, l, d.accumulate};
          Value sum = in.size() > 1 ? s.add(in[0], in[1]) : in[0];
          // Positive numbers are in the order of their bits; whatever is none
          // comes behind them.
          auto number = [&](const llvm::APInt &value) -> Value {
            return arith::ConstantOp::create(
                inner, l, inner.getIntegerAttr(integer, value));
          };
          Value raw = arith::BitcastOp::create(inner, l, integer, sum);
          Value above = arith::SubIOp::create(inner, l, raw, number(lowest));
          return arith::CmpIOp::create(inner, l, arith::CmpIPredicate::ugt,
                                       above, number(range));
        },
        doubt);
    tried[axis] = kernel.update(axis, sums, tried[axis]);
  };
  int64_t count = d.stop.getLimit();
  if (d.op.getOrder() == Order::cols_first) {
    halfStep(Axis::cols);
    --count;
  }
  if (count / 2 > 0) {
    auto loop = scf::ForOp::create(
        b, loc, e.index(0), e.index(count / 2), e.index(1),
        ValueRange{tried.row, tried.col, doubt},
        [&](OpBuilder &, Location, Value, ValueRange carried) {
          tried = {carried[0], carried[1]};
          doubt = carried[2];
          halfStep(Axis::rows);
          halfStep(Axis::cols);
          scf::YieldOp::create(b, loc, ValueRange{tried.row, tried.col, doubt});
        });
    tried = {loop.getResult(0), loop.getResult(1)};
    doubt = loop.getResult(2);
  }
  if (count % 2 != 0)
    halfStep(Axis::rows);

  auto result = scf::IfOp::create(
      b, loc, any(doubt),
      [&](OpBuilder &, Location) {
        active = doubt;
        AbsorbState full = iterate(state);
        full.factors = kernel.replace(tried, doubt, full.factors);
        scf::YieldOp::create(b, loc, full.values());
      },
      [&](OpBuilder &, Location) {
        AbsorbState same = state;
        same.factors = tried;
        scf::YieldOp::create(b, loc, same.values());
      });
  state.set(result.getResults());
  return state;
}

Value AbsorbLoop::notFinite(const AbsorbState &state) {
  Value found;
  for (Axis axis : kAxes) {
    SmallVector<EmitterInput> inputs;
    d.addWeightInputs(axis, inputs);
    size_t numWeights = inputs.size();
    llvm::append_range(
        inputs,
        alongVectors({state.factors[axis], state.gauge[axis], start64[axis]}));
    Value flags = e.reduce(
        d.vectorSizes(axis), 1, b.getI1Type(), inputs,
        TensorEmitter::Combine::any,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Scalars s{inner, l, d.accumulate}, logs{inner, l, f64};
          auto isNumber = [&](Scalars in, Value value) {
            Value magnitude = math::AbsFOp::create(inner, l, value);
            return in.is(arith::CmpFPredicate::OLT, magnitude, kInfinity);
          };
          Value factor = in[numWeights], gauge = in[numWeights + 1];
          Value good = arith::AndIOp::create(
              inner, l, isNumber(s, factor),
              s.is(arith::CmpFPredicate::ONE, factor, 0.0));
          good = arith::AndIOp::create(inner, l, good, isNumber(logs, gauge));
          // Without support the factor is the start's.
          good = s.select(logs.isNone(gauge), isNumber(logs, in.back()), good);
          Value yes =
              arith::ConstantOp::create(inner, l, inner.getBoolAttr(true));
          Value bad = arith::XOrIOp::create(inner, l, good, yes);
          if (numWeights == 0)
            return bad;
          Value weight = d.hasWeight(inner, l, axis, in.take_front(numWeights));
          return arith::AndIOp::create(inner, l, bad, weight);
        });
    found = found ? d.either(found, flags) : flags;
  }
  return found;
}

IterateDecomposer::Outcome AbsorbLoop::run() {
  AbsorbState state = start();
  state = speculates() ? speculate(state) : iterate(state);

  int64_t limit = d.stop.getLimit();
  IterateDecomposer::Outcome out;
  kernel.matrix = state.kernel;
  if (isUntil) {
    // The last check, due or not.
    SmallVector<Value> before = state.verdict.values();
    auto conditional = scf::IfOp::create(
        b, loc, any(isRunning(state.verdict)),
        [&](OpBuilder &, Location) {
          Value residual = kernel.measuredMarginal(state.factors);
          Value due = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
          Verdict last =
              kernel.check(state.verdict, due, residual, e.index(limit));
          scf::YieldOp::create(b, loc, last.values());
        },
        [&](OpBuilder &, Location) { scf::YieldOp::create(b, loc, before); });
    Verdict verdict = Verdict::from(conditional.getResults());
    out.steps = verdict.steps;
    out.residual = verdict.residual;
    out.status = verdict.status;
  } else {
    out.steps = kernel.batchInt(limit);
    out.residual = d.stop.getMeasureLast()
                       ? kernel.measuredMarginal(state.factors)
                       : kernel.batchFloat(-1.0);
    out.status = kernel.batchInt(static_cast<int>(StatusCode::fixed));
  }
  out.kernel = state.kernel;
  out.kernelFactors = state.factors;
  out.diverged = notFinite(state);
  for (Axis axis : kAxes) {
    out.logarithms[axis] = logarithm(axis, state);
    out.factors[axis] =
        vector(axis, d.accumulate, {out.logarithms[axis]},
               [&](OpBuilder &inner, Location l, ValueRange in) {
                 return castFloat(inner, l, in[0], d.accumulate);
               });
  }
  return out;
}

bool IterateDecomposer::canAbsorb() {
  ScheduleAttr schedule = op.getScheduleAttr();
  bool stores = !schedule || !schedule.getRecompute();
  bool stops =
      stop.getMode() == StopMode::fixed ||
      (stop.getMode() == StopMode::until && stop.getWhat() == What::marginal);
  return domain == Domain::absorb && stop.getLimit() > 1 && !op.getAnneal() &&
         op.getOrder() != Order::jacobi && !isSymmetric() && !accelerates() &&
         stores && stops;
}

IterateDecomposer::Outcome IterateDecomposer::absorb() {
  return AbsorbLoop(*this).run();
}
