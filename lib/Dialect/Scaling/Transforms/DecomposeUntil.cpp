//===- DecomposeUntil.cpp - Iterations until a check passes -----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::scaling;

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

Value IterateDecomposer::sum(Value a, Value b, double weight) {
  return onBatch(accumulate, {a, b},
                 [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                   Value total = arith::AddFOp::create(inner, l, in[0], in[1]);
                   if (weight == 1.0)
                     return total;
                   Value factor = createConstant(inner, l, accumulate, weight);
                   return arith::MulFOp::create(inner, l, total, factor);
                 });
}

Verdict IterateDecomposer::undecided() {
  Verdict verdict;
  verdict.steps = batchInt(0);
  verdict.residual = batchFloat(kInfinity);
  verdict.status = batchInt(static_cast<int>(StatusCode::limit));
  verdict.done = batchBool(false);
  return verdict;
}

Value IterateDecomposer::isDue(Value k) {
  Value begun = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, k,
                                      e.index(stop.getStart()));
  Value since = arith::SubIOp::create(b, loc, k, e.index(stop.getStart()));
  Value rest = arith::RemSIOp::create(b, loc, since, e.index(stop.getEvery()));
  Value onBeat =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, rest, e.index(0));
  return arith::AndIOp::create(b, loc, begun, onBeat);
}

Verdict IterateDecomposer::check(Verdict verdict, Value due, Value residual,
                                 Value k, Value may) {
  Type i1 = b.getI1Type(), i32 = b.getI32Type();
  Value count = arith::IndexCastOp::create(b, loc, i32, k);
  // The check changes nothing for elements that are done.
  SmallVector<Value> flags{verdict.done};
  if (may)
    flags.push_back(may);
  Value judged = onBatch(
      i1, flags, [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value yes =
            arith::ConstantOp::create(inner, l, inner.getBoolAttr(true));
        Value running = arith::XOrIOp::create(inner, l, in[0], yes);
        if (may)
          running = arith::AndIOp::create(inner, l, running, in[1]);
        return arith::AndIOp::create(inner, l, running, due);
      });
  Value found = revise(
      verdict.status, {judged, residual},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        auto code = [&](StatusCode status) -> Value {
          return arith::ConstantOp::create(
              inner, l, inner.getI32IntegerAttr(static_cast<int>(status)));
        };
        Value tol = createConstant(inner, l, accumulate, stop.getTol());
        Value nan = arith::CmpFOp::create(inner, l, arith::CmpFPredicate::UNO,
                                          in[1], in[1]);
        Value passes = arith::CmpFOp::create(
            inner, l, arith::CmpFPredicate::OLE, in[1], tol);
        Value outcome = arith::SelectOp::create(
            inner, l, passes, code(StatusCode::converged),
            arith::SelectOp::create(inner, l, nan, code(StatusCode::diverged),
                                    code(StatusCode::limit)));
        return arith::SelectOp::create(inner, l, in[0], outcome, in[2]);
      });
  verdict.residual = replace(verdict.residual, judged, residual);
  verdict.status = found;
  verdict.steps =
      revise(verdict.steps, {judged},
             [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
               return arith::SelectOp::create(inner, l, in[0], count, in[1]);
             });
  verdict.done = revise(
      verdict.done, {found},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value limit = arith::ConstantOp::create(
            inner, l,
            inner.getI32IntegerAttr(static_cast<int>(StatusCode::limit)));
        Value stopped = arith::CmpIOp::create(
            inner, l, arith::CmpIPredicate::ne, in[0], limit);
        return arith::OrIOp::create(inner, l, in[1], stopped);
      });
  return verdict;
}

//===----------------------------------------------------------------------===//
// The loop
//===----------------------------------------------------------------------===//

namespace {
/// The state of an `until` iteration: everything per batch element but the
/// half-step count, which is the same for all that still run.
struct UntilState {
  Factors factors;
  Value rowChange, colChange; // of successive factors; null for marginals
  Verdict verdict;
  Relaxation relaxation;
  Acceleration acceleration;

  SmallVector<Value> values() const {
    SmallVector<Value> all{factors.row, factors.col};
    if (rowChange)
      llvm::append_values(all, rowChange, colChange);
    llvm::append_range(all, verdict.values());
    llvm::append_range(all, relaxation.values());
    llvm::append_range(all, acceleration.values());
    return all;
  }
  /// The same of other values.
  UntilState with(ValueRange values) const {
    UntilState state;
    bool changes = rowChange != nullptr;
    state.factors = {values[0], values[1]};
    if (changes) {
      state.rowChange = values[2];
      state.colChange = values[3];
    }
    values = values.drop_front(changes ? 4 : 2);
    state.verdict = Verdict::from(values.take_front(Verdict::kNumValues));
    values = values.drop_front(Verdict::kNumValues);
    if (relaxation)
      state.relaxation = Relaxation::from(values);
    if (acceleration)
      state.acceleration = Acceleration::from(values);
    return state;
  }
};

/// Emits the half-steps of an `until` iteration.
class UntilLoop {
public:
  explicit UntilLoop(IterateDecomposer &d)
      : d(d), stop(d.stop), marginals(stop.getWhat() == What::marginal) {}

  IterateDecomposer::Outcome run();

private:
  UntilState initial();
  /// A half-step with the checks that fall due; `k` half-steps are done.
  UntilState halfStep(Axis axis, UntilState state, Value k);
  UntilState jacobiPair(UntilState state, Value k);
  /// The same with one factor for both axes, which is carried as the rows'.
  UntilState symmetricStep(UntilState state, Value k);
  /// Stops the elements whose residual passes, if a check is due.
  UntilState check(UntilState state, Value due, Value residual, Value k) {
    state.verdict = d.check(state.verdict, due, residual, k);
    return state;
  }
  /// The judged axes' last changes, combined.
  Value combinedChange(const UntilState &state);
  /// Runs `body` while an element is not done, else passes the state on.
  UntilState unlessDone(UntilState state,
                        function_ref<UntilState(UntilState)> body);

  IterateDecomposer &d;
  StopAttr stop;
  bool marginals;
};
} // namespace

UntilState UntilLoop::initial() {
  UntilState state;
  state.factors = d.start;
  if (!marginals) {
    state.rowChange = d.batchFloat(kInfinity);
    state.colChange = d.batchFloat(kInfinity);
  }
  state.verdict = d.undecided();
  if (d.relaxes()) {
    // Only a check of the start looks at it.
    Axis first = d.watchedAxis(), second = other(first);
    bool looks = stop.getAxis() == Judged::both && stop.getStart() == 0;
    Value across = looks ? d.marginal(second, d.read(second, d.start[first]),
                                      d.start[second])
                         : d.batchFloat(0.0);
    state.relaxation = d.unrelaxed(across);
  }
  if (d.accelerates())
    state.acceleration = d.unaccelerated();
  return state;
}

Value UntilLoop::combinedChange(const UntilState &state) {
  switch (stop.getAxis()) {
  case Judged::rows:
    return state.rowChange;
  case Judged::cols:
    return state.colChange;
  case Judged::both:
    return d.sum(state.rowChange, state.colChange,
                 stop.getWhat() == What::relative_change ? 0.5 : 1.0);
  }
  llvm_unreachable("a judged axis");
}

UntilState UntilLoop::halfStep(Axis axis, UntilState state, Value k) {
  if (d.isSymmetric())
    return symmetricStep(state, k);
  Axis second = other(axis);
  SmallVector<Value> states = d.read(axis, state.factors[second]);
  Value own = state.factors[axis];
  // The new factor is made before the check, so that it can be used in the
  // same sweep; the check may discard it.
  Factors next = state.factors;
  next[axis] =
      d.update(axis, states, own, /*keep=*/true, state.relaxation.omega);
  if (state.acceleration && axis == d.acceleratedAxis())
    state.acceleration = d.accelerate(state.acceleration, own, next[axis], k);
  if (marginals) {
    if (d.judges(axis)) {
      Value watched = d.marginal(axis, states, own), residual = watched;
      if (stop.getAxis() == Judged::both) {
        // What the other axis was left with is known, but only where it is
        // carried along.
        Value across = state.relaxation
                           ? state.relaxation.across
                           : d.marginal(second, d.read(second, own),
                                        state.factors[second]);
        residual = d.sum(residual, across);
      }
      Value due = d.isDue(k);
      Value judged = state.relaxation
                         ? d.judgedResidual(state.relaxation, residual)
                         : residual;
      state = check(state, due, judged, k);
      if (state.relaxation && axis == d.watchedAxis())
        state.relaxation = d.observe(state.relaxation, watched, due, k);
      if (state.relaxation && stop.getAxis() == Judged::both)
        state.relaxation =
            d.noteAcross(state.relaxation, d.negate(state.verdict.done),
                         d.marginal(axis, states, next[axis]));
    } else if (state.relaxation) {
      Value left =
          d.leftResidual(axis, own, next[axis], state.relaxation.omega);
      state.relaxation =
          d.noteAcross(state.relaxation, d.negate(state.verdict.done), left);
    }
    state.factors =
        d.replace(state.factors, d.negate(state.verdict.done), next, {axis});
    return state;
  }
  Value running = d.negate(state.verdict.done);
  Value change = d.change(axis, own, next[axis]);
  Value &kept = axis == Axis::rows ? state.rowChange : state.colChange;
  kept = d.replace(kept, running, change);
  state.factors = d.replace(state.factors, running, next, {axis});
  Value after = arith::AddIOp::create(d.b, d.loc, k, d.e.index(1));
  // Both: judged at the end of the pair only.
  Axis last = d.op.getOrder() == Order::cols_first ? Axis::rows : Axis::cols;
  if (stop.getAxis() == Judged::both ? axis == last : d.judges(axis))
    state = check(state, d.isDue(after), combinedChange(state), after);
  return state;
}

UntilState UntilLoop::jacobiPair(UntilState state, Value k) {
  auto [rowStates, colStates] = d.readBoth(state.factors);
  Factors next{
      d.update(Axis::rows, rowStates, state.factors.row, /*keep=*/true),
      d.update(Axis::cols, colStates, state.factors.col, /*keep=*/true)};
  if (marginals) {
    Value residual;
    if (d.judges(Axis::rows))
      residual = d.marginal(Axis::rows, rowStates, state.factors.row);
    if (d.judges(Axis::cols)) {
      Value cols = d.marginal(Axis::cols, colStates, state.factors.col);
      residual = residual ? d.sum(residual, cols) : cols;
    }
    state = check(state, d.isDue(k), residual, k);
    state.factors =
        d.replace(state.factors, d.negate(state.verdict.done), next);
    return state;
  }
  Value running = d.negate(state.verdict.done);
  state.rowChange =
      d.replace(state.rowChange, running,
                d.change(Axis::rows, state.factors.row, next.row));
  state.colChange =
      d.replace(state.colChange, running,
                d.change(Axis::cols, state.factors.col, next.col));
  state.factors = d.replace(state.factors, running, next);
  Value after = arith::AddIOp::create(d.b, d.loc, k, d.e.index(2));
  return check(state, d.isDue(after), combinedChange(state), after);
}

UntilState UntilLoop::symmetricStep(UntilState state, Value k) {
  Value own = state.factors.row;
  SmallVector<Value> states = d.read(Axis::rows, own);
  Factors next{d.updateMean(states, own, /*keep=*/true), Value()};
  auto advanced = [&] {
    Value running = d.negate(state.verdict.done);
    return d.replace(state.factors, running, next, {Axis::rows});
  };
  if (marginals) {
    Value residual = d.marginal(Axis::rows, states, own);
    if (stop.getAxis() == Judged::both)
      residual = d.sum(residual, residual);
    state = check(state, d.isDue(k), residual, k);
    state.factors = advanced();
    return state;
  }
  Value running = d.negate(state.verdict.done);
  Value change = d.change(Axis::rows, own, next.row);
  state.rowChange = d.replace(state.rowChange, running, change);
  state.colChange = d.replace(state.colChange, running, change);
  state.factors = advanced();
  Value after = arith::AddIOp::create(d.b, d.loc, k, d.e.index(1));
  return check(state, d.isDue(after), combinedChange(state), after);
}

UntilState UntilLoop::unlessDone(UntilState state,
                                 function_ref<UntilState(UntilState)> body) {
  SmallVector<Value> values = state.values();
  Value running = d.e.any(d.negate(state.verdict.done));
  auto conditional = scf::IfOp::create(
      d.b, d.loc, running,
      [&](OpBuilder &, Location) {
        scf::YieldOp::create(d.b, d.loc, body(state).values());
      },
      [&](OpBuilder &, Location) { scf::YieldOp::create(d.b, d.loc, values); });
  return state.with(conditional.getResults());
}

IterateDecomposer::Outcome UntilLoop::run() {
  OpBuilder &b = d.b;
  Location loc = d.loc;
  int64_t limit = stop.getLimit();
  Order order = d.op.getOrder();
  UntilState state = initial();
  int64_t done = 0;
  Axis first = order == Order::cols_first ? Axis::cols : Axis::rows;
  // A comparison of successive pairs wants whole pairs; marginals do not care,
  // and rows, columns in the loop's body fuse into one sweep.
  if (order == Order::cols_first && marginals && limit > 0) {
    state = halfStep(Axis::cols, state, d.e.index(0));
    done = 1;
    first = Axis::rows;
  }
  int64_t lastPair = done + (limit - done) / 2 * 2;
  if (lastPair > done) {
    SmallVector<Value> inits = state.values();
    inits.insert(inits.begin(), d.e.index(done));
    SmallVector<Type> types =
        llvm::map_to_vector(inits, [](Value value) { return value.getType(); });
    auto loop = scf::WhileOp::create(
        b, loc, types, inits,
        [&](OpBuilder &, Location, ValueRange carried) {
          UntilState inside = state.with(carried.drop_front());
          Value running = d.e.any(d.negate(inside.verdict.done));
          Value below = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                              carried[0], d.e.index(lastPair));
          Value go = arith::AndIOp::create(b, loc, running, below);
          scf::ConditionOp::create(b, loc, go, carried);
        },
        [&](OpBuilder &, Location, ValueRange carried) {
          Value k = carried[0];
          UntilState inside = state.with(carried.drop_front());
          if (order == Order::jacobi) {
            inside = jacobiPair(inside, k);
          } else {
            inside = halfStep(first, inside, k);
            Value next = arith::AddIOp::create(b, loc, k, d.e.index(1));
            inside = halfStep(other(first), inside, next);
          }
          SmallVector<Value> yielded = inside.values();
          yielded.insert(yielded.begin(),
                         arith::AddIOp::create(b, loc, k, d.e.index(2)));
          scf::YieldOp::create(b, loc, yielded);
        });
    state = state.with(loop.getResults().drop_front());
  }
  if (lastPair < limit)
    state = unlessDone(state, [&](UntilState inside) {
      return halfStep(first, inside, d.e.index(lastPair));
    });
  auto factors = [&](const UntilState &inside) {
    return d.isSymmetric() ? Factors{inside.factors.row, inside.factors.row}
                           : inside.factors;
  };
  // The last check, due or not.
  state = unlessDone(state, [&](UntilState inside) {
    Value residual = marginals ? d.measuredMarginal(factors(inside))
                               : combinedChange(inside);
    Value due = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
    return check(inside, due, residual, d.e.index(limit));
  });
  IterateDecomposer::Outcome out;
  out.factors = factors(state);
  out.steps = state.verdict.steps;
  out.residual = state.verdict.residual;
  out.status = state.verdict.status;
  return out;
}

IterateDecomposer::Outcome IterateDecomposer::until() {
  return UntilLoop(*this).run();
}
