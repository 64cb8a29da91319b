//===- DecomposeAnderson.cpp - Anderson's steps -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A pair of half-steps is a map of one factor's logarithm to itself. Of its
// last steps the combination is taken whose residual is smallest (the section
// "Anderson's steps" of docs/semantics.md). All of it is on short vectors; the
// small system of equations is solved in f64 without a loop.
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::scaling;

/// The square of how far above its best the residual may rise.
static constexpr double kWorse = 4.0;
/// What the system's diagonal is raised by, as a part of its sum.
static constexpr double kRidge = 1e-10;
/// How far Anderson's logarithm may be from the plain one.
static constexpr double kReach = 16.0;

/// `value`, but zero where it is not finite: entries without weight or support.
static Value finiteOrZero(OpBuilder &b, Location loc, Value value) {
  Type type = value.getType();
  Value size = math::AbsFOp::create(b, loc, value);
  Value isFinite =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, size,
                            createConstant(b, loc, type, kInfinity));
  return arith::SelectOp::create(b, loc, isFinite, value,
                                 createConstant(b, loc, type, 0.0));
}

/// The logarithm of `after` over `before`, two factors of a domain.
static Value logRatio(OpBuilder &b, Location loc, bool isLog, Value after,
                      Value before) {
  if (isLog)
    return finiteOrZero(b, loc, arith::SubFOp::create(b, loc, after, before));
  Value ratio = arith::DivFOp::create(b, loc, after, before);
  return finiteOrZero(b, loc, math::LogOp::create(b, loc, ratio));
}

/// The γ with Mγ = v for the symmetric M whose lower half `in` begins with, row
/// by row, v behind it; by the factors of M = LDLᵀ.
static SmallVector<Value> solve(OpBuilder &b, Location loc, ValueRange in,
                                int64_t size) {
  auto mul = [&](Value x, Value y) -> Value {
    return arith::MulFOp::create(b, loc, x, y);
  };
  auto sub = [&](Value x, Value y) -> Value {
    return arith::SubFOp::create(b, loc, x, y);
  };
  auto at = [](int64_t i, int64_t j) { return i * (i + 1) / 2 + j; };
  SmallVector<Value> m = llvm::to_vector(in.take_front(at(size, 0)));
  SmallVector<Value> v = llvm::to_vector(in.drop_front(at(size, 0)));
  Type type = v[0].getType();
  // Positive also where M is zero, that is where no step is remembered yet.
  Value ridge = createConstant(b, loc, type, 1e-300);
  for (int64_t i = 0; i < size; ++i)
    ridge = arith::AddFOp::create(
        b, loc, ridge, mul(createConstant(b, loc, type, kRidge), m[at(i, i)]));
  for (int64_t j = 0; j < size; ++j) {
    Value &pivot = m[at(j, j)];
    pivot = arith::AddFOp::create(b, loc, pivot, ridge);
    // Here m[j, k] is L·D for k < j.
    SmallVector<Value> lower;
    for (int64_t k = 0; k < j; ++k) {
      lower.push_back(arith::DivFOp::create(b, loc, m[at(j, k)], m[at(k, k)]));
      pivot = sub(pivot, mul(lower[k], m[at(j, k)]));
      v[j] = sub(v[j], mul(lower[k], v[k]));
    }
    for (int64_t i = j + 1; i < size; ++i)
      for (int64_t k = 0; k < j; ++k)
        m[at(i, j)] = sub(m[at(i, j)], mul(m[at(i, k)], lower[k]));
  }
  for (int64_t j = size; j-- > 0;) {
    for (int64_t i = j + 1; i < size; ++i)
      v[j] = sub(v[j], mul(m[at(i, j)], v[i]));
    v[j] = arith::DivFOp::create(b, loc, v[j], m[at(j, j)]);
  }
  return v;
}

Acceleration IterateDecomposer::unaccelerated() {
  Acceleration memory;
  auto zeros = [&] {
    return e.filled(vectorSizes(acceleratedAxis()), e.scalar(accumulate, 0.0));
  };
  memory.made = zeros();
  memory.residual = zeros();
  memory.best = batchFilled(e.scalar(b.getF64Type(), kInfinity));
  memory.count = batchInt(0);
  for (int64_t i = 0; i < stop.getDepth(); ++i) {
    memory.turns.push_back(zeros());
    memory.moves.push_back(zeros());
  }
  return memory;
}

Acceleration IterateDecomposer::accelerate(Acceleration memory, Value own,
                                           Value &next, Value k) {
  FloatType f64 = b.getF64Type();
  Type i1 = b.getI1Type(), i32 = b.getI32Type();
  int64_t depth = stop.getDepth();
  Sizes sizes = vectorSizes(acceleratedAxis());
  auto product = [&](Value x, Value y) {
    return e.reduce(sizes, 1, f64, {{x, {0}}, {y, {0}}},
                    TensorEmitter::Combine::add,
                    [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                      return arith::MulFOp::create(
                          inner, l, castFloat(inner, l, in[0], f64),
                          castFloat(inner, l, in[1], f64));
                    });
  };
  Value residual =
      e.elementwise(sizes, 1, accumulate, {{next, {0}}, {own, {0}}},
                    [&](OpBuilder &inner, Location l, ValueRange in) {
                      return logRatio(inner, l, isLog, in[0], in[1]);
                    });
  Value square = product(residual, residual);

  // The first half-step need not be one of the map.
  Value begun =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, k, e.index(2));
  // What is returned at the limit is the result of a plain half-step.
  Value goesOn = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, k,
                                       e.index(stop.getLimit() - 3));
  Value worse =
      onBatch(i1, {square, memory.best},
              [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                Value bound = arith::MulFOp::create(
                    inner, l, in[1], createConstant(inner, l, f64, kWorse));
                return arith::CmpFOp::create(
                    inner, l, arith::CmpFPredicate::OGT, in[0], bound);
              });
  // Where the newest differences belong; -1: there are none.
  Value place = onBatch(
      i32, {worse, memory.count},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        auto number = [&](int64_t value) -> Value {
          return arith::ConstantOp::create(inner, l,
                                           inner.getI32IntegerAttr(value));
        };
        Value none = arith::CmpIOp::create(inner, l, arith::CmpIPredicate::eq,
                                           in[1], number(0));
        none = arith::OrIOp::create(inner, l, none, in[0]);
        Value latest = arith::RemSIOp::create(
            inner, l, arith::SubIOp::create(inner, l, in[1], number(1)),
            number(depth));
        return arith::SelectOp::create(inner, l, none, number(-1), latest);
      });
  auto remember = [&](Value &memorized, int64_t i, Value after, Value before,
                      bool ofFactors) {
    memorized = e.inPlace(
        memorized, 1, {{after, {0}}, {before, {0}}, {place, {}}, {worse, {}}},
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value difference =
              ofFactors
                  ? logRatio(inner, l, isLog, in[0], in[1])
                  : arith::SubFOp::create(inner, l, in[0], in[1]).getResult();
          Value index =
              arith::ConstantOp::create(inner, l, inner.getI32IntegerAttr(i));
          Value isHere = arith::CmpIOp::create(
              inner, l, arith::CmpIPredicate::eq, in[2], index);
          Value kept = arith::SelectOp::create(
              inner, l, in[3], createConstant(inner, l, accumulate, 0.0),
              in[4]);
          return arith::SelectOp::create(inner, l, isHere, difference, kept);
        });
  };
  for (int64_t i = 0; i < depth; ++i) {
    remember(memory.turns[i], i, residual, memory.residual, false);
    remember(memory.moves[i], i, next, memory.made, true);
  }

  SmallVector<Value> system;
  for (int64_t i = 0; i < depth; ++i)
    for (int64_t j = 0; j <= i; ++j)
      system.push_back(product(memory.turns[i], memory.turns[j]));
  for (int64_t i = 0; i < depth; ++i)
    system.push_back(product(memory.turns[i], residual));
  SmallVector<Value> weights(depth);
  for (Value &weight : weights)
    weight = e.empty(batchSizes, f64);
  int64_t rank = batchSizes.size();
  SmallVector<AffineMap> maps(system.size() + depth,
                              b.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  auto solved = linalg::GenericOp::create(
      b, loc, ValueRange(weights).getTypes(), system, weights, maps, iterators,
      [&](OpBuilder &inner, Location l, ValueRange in) {
        SmallVector<Value> found =
            solve(inner, l, in.take_front(system.size()), depth);
        // No system that has no solution counts, and no last step.
        Value total = createConstant(inner, l, f64, 0.0);
        for (Value weight : found)
          total = arith::AddFOp::create(inner, l, total,
                                        math::AbsFOp::create(inner, l, weight));
        Value counts =
            arith::CmpFOp::create(inner, l, arith::CmpFPredicate::OLT, total,
                                  createConstant(inner, l, f64, kInfinity));
        counts = arith::AndIOp::create(inner, l, counts, goesOn);
        for (Value &weight : found)
          weight = arith::SelectOp::create(inner, l, counts, weight,
                                           createConstant(inner, l, f64, 0.0));
        linalg::YieldOp::create(inner, l, found);
      });

  SmallVector<EmitterInput> inputs{{next, {0}}};
  for (auto [weight, move] :
       llvm::zip_equal(solved.getResults(), memory.moves)) {
    inputs.push_back({weight, {}});
    inputs.push_back({move, {0}});
  }
  Value made = next;
  next = e.elementwise(
      sizes, 1, accumulate, inputs,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value shift = createConstant(inner, l, f64, 0.0);
        for (int64_t i = 0; i < depth; ++i)
          shift = arith::AddFOp::create(
              inner, l, shift,
              arith::MulFOp::create(inner, l, in[1 + 2 * i],
                                    castFloat(inner, l, in[2 + 2 * i], f64)));
        shift = arith::MinimumFOp::create(
            inner, l, shift, createConstant(inner, l, f64, kReach));
        shift = arith::MaximumFOp::create(
            inner, l, shift, createConstant(inner, l, f64, -kReach));
        shift = castFloat(inner, l, shift, accumulate);
        if (isLog)
          return arith::SubFOp::create(inner, l, in[0], shift);
        Value inverse = math::ExpOp::create(
            inner, l, arith::NegFOp::create(inner, l, shift));
        return arith::MulFOp::create(inner, l, in[0], inverse);
      });

  memory.best =
      revise(memory.best, {square, worse},
             [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
               Value least = arith::MinimumFOp::create(inner, l, in[0], in[2]);
               Value best =
                   arith::SelectOp::create(inner, l, in[1], in[0], least);
               return arith::SelectOp::create(inner, l, begun, best, in[2]);
             });
  memory.count = revise(
      memory.count, {worse},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value one =
            arith::ConstantOp::create(inner, l, inner.getI32IntegerAttr(1));
        Value none =
            arith::ConstantOp::create(inner, l, inner.getI32IntegerAttr(0));
        Value more = arith::AddIOp::create(inner, l, in[1], one);
        Value counted = arith::SelectOp::create(inner, l, in[0], one, more);
        return arith::SelectOp::create(inner, l, begun, counted, none);
      });
  auto replaced = [&](Value value, Value place) {
    return linalg::CopyOp::create(b, loc, value, place).getResult(0);
  };
  memory.made = replaced(made, memory.made);
  memory.residual = replaced(residual, memory.residual);
  return memory;
}
