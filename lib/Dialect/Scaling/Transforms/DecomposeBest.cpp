//===- DecomposeBest.cpp - The factors of least imbalance -------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::scaling;

IterateDecomposer::Outcome IterateDecomposer::best() {
  Type i1 = b.getI1Type(), i32 = b.getI32Type();
  int64_t pairs = stop.getLimit() / 2;
  bool patienceFirst = stop.getPatienceFirst();

  struct State {
    Factors factors, bestFactors;
    Value best, steps, worsened, diverged;
    SmallVector<Value> values() const {
      return {factors.row, factors.col, bestFactors.row, bestFactors.col,
              best,        steps,       worsened,        diverged};
    }
    static State from(ValueRange v) {
      return {{v[0], v[1]}, {v[2], v[3]}, v[4], v[5], v[6], v[7]};
    }
  };
  auto judge = [&](State state, ValueRange rowStates, ValueRange colStates,
                   Value k) {
    Value measure = imbalance(state.factors, rowStates, colStates);
    Value count = arith::IndexCastOp::create(b, loc, i32, k);
    // Once diverged, or worse where that ends it, nothing new is seen.
    Value sees = negate(patienceFirst ? either(state.diverged, state.worsened)
                                      : state.diverged);
    Value lost =
        onBatch(i1, {measure, notFinite(state.factors), sees},
                [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  Value nan = arith::CmpFOp::create(
                      inner, l, arith::CmpFPredicate::UNO, in[0], in[0]);
                  Value bad = arith::OrIOp::create(inner, l, nan, in[1]);
                  return arith::AndIOp::create(inner, l, bad, in[2]);
                });
    state.diverged =
        revise(state.diverged, {lost},
               [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                 return arith::OrIOp::create(inner, l, in[0], in[1]);
               });
    Value better =
        onBatch(i1, {measure, state.best, sees, lost},
                [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  Value notWorse = arith::CmpFOp::create(
                      inner, l, arith::CmpFPredicate::OLE, in[0], in[1]);
                  Value seen = arith::AndIOp::create(inner, l, notWorse, in[2]);
                  Value yes = arith::ConstantOp::create(
                      inner, l, inner.getBoolAttr(true));
                  Value kept = arith::XOrIOp::create(inner, l, in[3], yes);
                  return arith::AndIOp::create(inner, l, seen, kept);
                });
    state.worsened =
        revise(state.worsened, {measure, state.best},
               [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                 Value worse = arith::CmpFOp::create(
                     inner, l, arith::CmpFPredicate::UGT, in[0], in[1]);
                 return arith::OrIOp::create(inner, l, worse, in[2]);
               });
    state.bestFactors = replace(state.bestFactors, better, state.factors);
    state.steps =
        revise(state.steps, {better, lost},
               [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                 Value here = arith::OrIOp::create(inner, l, in[0], in[1]);
                 return arith::SelectOp::create(inner, l, here, count, in[2]);
               });
    state.best = replace(state.best, better, measure);
    return state;
  };

  State state{start,
              start,
              batchFloat(kInfinity),
              batchInt(0),
              batchBool(false),
              batchBool(false)};
  bool jacobi = op.getOrder() == Order::jacobi;
  Axis first = op.getOrder() == Order::cols_first ? Axis::cols : Axis::rows;
  auto loop = scf::ForOp::create(
      b, loc, e.index(0), e.index(pairs), e.index(1), state.values(),
      [&](OpBuilder &, Location, Value pair, ValueRange carried) {
        State inside = State::from(carried);
        auto [rowStates, colStates] = readBoth(inside.factors);
        Value k = arith::MulIOp::create(b, loc, pair, e.index(2));
        inside = judge(inside, rowStates, colStates, k);
        // The measure's statistics serve the first half-step (both, with
        // Jacobi).
        Factors next = inside.factors;
        Axis second = other(first);
        next[first] = update(first, first == Axis::rows ? rowStates : colStates,
                             next[first], /*keep=*/patienceFirst);
        next[second] =
            update(second, jacobi ? colStates : read(second, next[first]),
                   next[second], /*keep=*/patienceFirst);
        inside.factors = patienceFirst ? replace(inside.factors,
                                                 negate(inside.worsened), next)
                                       : next;
        scf::YieldOp::create(b, loc, inside.values());
      });
  state = State::from(loop.getResults());
  if (stop.getLast()) {
    auto [rowStates, colStates] = readBoth(state.factors);
    state = judge(state, rowStates, colStates, e.index(2 * pairs));
  }

  Outcome out;
  out.factors = state.bestFactors;
  out.steps = state.steps;
  out.residual = state.best;
  out.status = onBatch(
      i32, {state.diverged},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        auto code = [&](StatusCode status) -> Value {
          return arith::ConstantOp::create(
              inner, l, inner.getI32IntegerAttr(static_cast<int>(status)));
        };
        return arith::SelectOp::create(inner, l, in[0],
                                       code(StatusCode::diverged),
                                       code(StatusCode::limit));
      });
  return out;
}
