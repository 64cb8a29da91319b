//===- DecomposeRelax.cpp - Automatic over-relaxation -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The rate at which the residual falls tells the ω that makes it fall fastest
// (docs/semantics.md, "Over-relaxation"). What is chosen at a half-step holds
// from the next one on: an update that depended on its own axis' residual could
// not share a sweep with the half-step that follows.
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::scaling;

/// Sweeps from sample to sample.
static constexpr int64_t kSweeps = 10;
static constexpr double kLargestOmega = 1.985;
/// How steady the rate has to be, as a part of its distance from one.
static constexpr double kSteady = 0.3;
/// How far above its best the residual may rise.
static constexpr double kWorse = 100.0;

namespace {
/// Arithmetic on the numbers of a batch element.
struct Numbers {
  OpBuilder &b;
  Location loc;
  Type type;

  Value constant(double value) { return createConstant(b, loc, type, value); }
  Value is(arith::CmpFPredicate predicate, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, predicate, x, y);
  }
  Value less(Value x, Value y) { return is(arith::CmpFPredicate::OLT, x, y); }
  Value atMost(Value x, Value y) { return is(arith::CmpFPredicate::OLE, x, y); }
  Value isOne(Value x) {
    return is(arith::CmpFPredicate::OEQ, x, constant(1.0));
  }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, loc, x, y); }
  Value either(Value x, Value y) { return arith::OrIOp::create(b, loc, x, y); }
  Value negate(Value x) {
    Value yes = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
    return arith::XOrIOp::create(b, loc, x, yes);
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, loc, condition, x, y);
  }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, loc, x, y); }
  Value min(Value x, Value y) {
    return arith::MinimumFOp::create(b, loc, x, y);
  }
  Value max(Value x, Value y) {
    return arith::MaximumFOp::create(b, loc, x, y);
  }
  Value power(Value x, Value exponent) {
    return math::ExpOp::create(b, loc,
                               mul(math::LogOp::create(b, loc, x), exponent));
  }
  /// The ω that is best where plain sweeps converge as the rate µ that was
  /// seen under `omega` says.
  Value bestOmega(Value rate, Value omega) {
    Value one = constant(1.0), two = constant(2.0);
    Value shifted = sub(add(rate, omega), one);
    Value theta = div(mul(shifted, shifted), mul(rate, mul(omega, omega)));
    Value root =
        math::SqrtOp::create(b, loc, max(sub(one, theta), constant(0.0)));
    return min(div(two, add(one, root)), constant(kLargestOmega));
  }
};
} // namespace

Axis IterateDecomposer::watchedAxis() {
  switch (stop.getAxis()) {
  case Judged::rows:
    return Axis::rows;
  case Judged::cols:
    return Axis::cols;
  case Judged::both:
    return op.getOrder() == Order::cols_first ? Axis::cols : Axis::rows;
  }
  llvm_unreachable("a judged axis");
}

Relaxation IterateDecomposer::unrelaxed(Value across) {
  double none = std::numeric_limits<double>::quiet_NaN();
  Relaxation relaxation;
  relaxation.omega = batchFloat(1.0);
  relaxation.learned = batchFloat(1.0);
  relaxation.best = batchFloat(kInfinity);
  relaxation.sample = batchFloat(none);
  relaxation.rate = batchFloat(none);
  relaxation.bound = batchFloat(stop.getTol());
  relaxation.across = across;
  return relaxation;
}

Value IterateDecomposer::judgedResidual(const Relaxation &relaxation,
                                        Value residual) {
  if (stop.getAxis() == Judged::both)
    return residual;
  // The axis that is not judged is exact behind a plain half-step only.
  return onBatch(accumulate, {relaxation.omega, residual},
                 [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                   Numbers n{inner, l, accumulate};
                   Value counts =
                       n.either(n.isOne(in[0]),
                                n.is(arith::CmpFPredicate::UNO, in[1], in[1]));
                   return n.select(counts, in[1], n.constant(kInfinity));
                 });
}

Relaxation IterateDecomposer::observe(Relaxation relaxation, Value residual,
                                      Value due, Value k) {
  Value sweep = arith::DivSIOp::create(b, loc, k, e.index(2));
  Value rest = arith::RemSIOp::create(b, loc, sweep, e.index(kSweeps));
  Value onBeat =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, rest, e.index(0));
  // What is returned at the limit is the result of a plain half-step.
  Value ending = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, k,
                                       e.index(stop.getLimit() - 3));
  auto body = [&](OpBuilder &inner, Location l, ValueRange in) {
    Numbers n{inner, l, accumulate};
    Value now = in[0], across = in[1], omega = in[2], learned = in[3],
          best = in[4], sample = in[5], rate = in[6], bound = in[7];
    Value one = n.constant(1.0);
    Value none = n.constant(std::numeric_limits<double>::quiet_NaN());
    // A plain sweep that was not enough: the next one waits for more.
    Value isPlain = n.isOne(omega);
    Value held = n.both(isPlain, n.less(one, learned));
    Value failed = n.both(held, due);
    bound = n.select(failed, n.mul(bound, n.constant(0.5)), bound);
    Value holds = n.both(held, n.negate(due));
    if (stop.getAxis() != Judged::both) {
      Value small = n.both(n.atMost(now, in[7]), n.atMost(across, in[7]));
      Value tries = n.both(n.both(due, n.negate(isPlain)), small);
      holds = n.either(holds, tries);
    }
    // Too large a step. Each step that is made larger raises the residual for
    // a while; only far more than that counts.
    best = n.select(n.less(now, best), now, best);
    Value worse = n.less(n.mul(n.constant(kWorse), best), now);
    best = n.select(worse, now, best);
    Value halfway = n.mul(n.constant(0.5), n.add(one, learned));
    learned = n.select(worse, halfway, learned);
    holds = n.both(holds, n.negate(worse));
    Value forgets = n.either(failed, worse);
    sample = n.select(forgets, none, sample);
    rate = n.select(forgets, none, rate);

    Value learns = n.both(onBeat, n.negate(n.either(worse, holds)));
    Value seen = n.power(n.div(now, sample), n.constant(1.0 / kSweeps));
    Value moved = math::AbsFOp::create(inner, l, n.sub(seen, rate));
    Value steady = n.less(moved, n.mul(n.constant(kSteady), n.sub(one, seen)));
    Value slow = n.less(n.sub(learned, one), seen);
    Value raised = n.max(learned, n.bestOmega(seen, learned));
    learned = n.select(n.both(learns, n.both(steady, slow)), raised, learned);
    rate = n.select(learns, seen, rate);
    sample = n.select(learns, now, sample);
    omega = n.select(n.either(holds, ending), one, learned);
    linalg::YieldOp::create(
        inner, l, ValueRange{omega, learned, best, sample, rate, bound});
  };
  SmallVector<Value> outs{relaxation.omega, relaxation.learned,
                          relaxation.best,  relaxation.sample,
                          relaxation.rate,  relaxation.bound};
  int64_t rank = batchSizes.size();
  SmallVector<AffineMap> maps(outs.size() + 2, b.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  ValueRange results =
      linalg::GenericOp::create(b, loc, ValueRange(outs).getTypes(),
                                ValueRange{residual, relaxation.across}, outs,
                                maps, iterators, body)
          .getResults();
  return {results[0], results[1], results[2],       results[3],
          results[4], results[5], relaxation.across};
}

Value IterateDecomposer::leftResidual(Axis axis, Value own, Value next,
                                      Value omega) {
  // h = g·(h1/g)^ω left the sum at t·h/h1 = t·(h/g)^((ω−1)/ω).
  SmallVector<EmitterInput> inputs{{own, {0}}, {next, {0}}, {omega, {}}};
  if (Value t = target(axis))
    inputs.push_back({t, {0}});
  return norm(axis, stop.getNorm(), inputs,
              [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                Numbers n{inner, l, accumulate};
                Value one = n.constant(1.0);
                Value exponent = n.div(n.sub(in[2], one), in[2]);
                Value left =
                    isLog ? math::ExpOp::create(
                                inner, l, n.mul(n.sub(in[1], in[0]), exponent))
                                .getResult()
                          : n.power(n.div(in[1], in[0]), exponent);
                Value off = n.sub(left, one);
                if (target(axis))
                  off = n.mul(in[3], off);
                // Plain, or without support.
                Value none =
                    n.either(n.isOne(in[2]),
                             n.is(arith::CmpFPredicate::OEQ, in[0], in[1]));
                return n.select(none, n.constant(0.0), off);
              });
}

Relaxation IterateDecomposer::noteAcross(Relaxation relaxation, Value running,
                                         Value residual) {
  relaxation.across = replace(relaxation.across, running, residual);
  return relaxation;
}
