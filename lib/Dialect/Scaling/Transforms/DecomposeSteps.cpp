//===- DecomposeSteps.cpp - Starts and half-steps ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::scaling;

void IterateDecomposer::addWeightInputs(Axis axis,
                                        SmallVectorImpl<EmitterInput> &inputs) {
  if (Value t = target(axis))
    inputs.push_back({t, {0}});
  if (Value m = mask(axis))
    inputs.push_back({m, {0}});
}

Value IterateDecomposer::hasWeight(OpBuilder &builder, Location loc, Axis axis,
                                   ValueRange values) {
  Value weight;
  if (target(axis)) {
    Value zero = createConstant(builder, loc, accumulate, 0.0);
    weight = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::UNE,
                                   values[0], zero);
  }
  if (mask(axis)) {
    Value takesPart = values.back();
    weight = weight ? arith::AndIOp::create(builder, loc, weight, takesPart)
                    : takesPart;
  }
  if (!weight)
    weight = arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true));
  return weight;
}

Factors IterateDecomposer::startFactors() {
  Factors factors;
  for (Axis axis : {Axis::rows, Axis::cols}) {
    if (axis == Axis::cols && isSymmetric()) {
      factors.col = factors.row;
      continue;
    }
    Value given = axis == Axis::rows ? op.getRowStart() : op.getColStart();
    Value neutral = e.scalar(accumulate, isLog ? 0.0 : 1.0);
    Value none = e.scalar(accumulate, isLog ? -kInfinity : 0.0);
    SmallVector<EmitterInput> inputs;
    addWeightInputs(axis, inputs);
    if (inputs.empty() && !given) {
      factors[axis] = e.filled(vectorSizes(axis), neutral);
      continue;
    }
    size_t numWeights = inputs.size();
    if (given)
      inputs.push_back({given, {0}});
    factors[axis] = e.elementwise(
        vectorSizes(axis), 1, accumulate, inputs,
        [&](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
          Value value = given ? in.back() : neutral;
          if (numWeights == 0)
            return value;
          Value weight =
              hasWeight(inner, innerLoc, axis, in.take_front(numWeights));
          return arith::SelectOp::create(inner, innerLoc, weight, value, none);
        });
  }
  return factors;
}

SmallVector<Value> IterateDecomposer::read(Axis axis, Value otherFactor,
                                           Value scale) {
  StatisticAttrInterface statistic = stat(axis);
  ReduceOp reduce = e.states(axis, statistic, vectorSizes(axis), accumulate,
                             matrix, otherFactor, mask(other(axis)), scale);
  if (ScheduleAttr schedule = op.getScheduleAttr())
    setScheduleOf(reduce, schedule);
  return SmallVector<Value>(reduce.getResults());
}

BothStates IterateDecomposer::readBoth(const Factors &factors, Value scale) {
  if (reader)
    return reader->read(factors.row, factors.col, scale);
  return {read(Axis::rows, factors.col, scale),
          read(Axis::cols, factors.row, scale)};
}

Value IterateDecomposer::update(Axis axis, ValueRange states, Value own,
                                bool keep, Value omega) {
  Value out = keep ? e.empty(vectorSizes(axis), accumulate) : own;
  return UpdateOp::create(b, loc, own.getType(), states, own, target(axis),
                          mask(axis), omega, out, rule(axis), domain,
                          IntegerAttr())
      .getResult(0);
}

void IterateDecomposer::halfStep(Axis axis, Factors &factors, Value scale) {
  SmallVector<Value> states = read(axis, factors[other(axis)], scale);
  factors[axis] = update(axis, states, factors[axis]);
}

void IterateDecomposer::jacobiStep(Factors &factors, Value scale) {
  BothStates states = readBoth(factors, scale);
  factors.row = update(Axis::rows, states.row, factors.row);
  factors.col = update(Axis::cols, states.col, factors.col);
}

Value IterateDecomposer::updateMean(ValueRange states, Value own, bool keep) {
  return update(Axis::rows, states, own, keep, batchFloat(0.5));
}

Factors IterateDecomposer::halfSteps(Factors factors, int64_t count) {
  if (isSymmetric()) {
    auto loop = scf::ForOp::create(
        b, loc, e.index(0), e.index(count), e.index(1), factors.row,
        [&](OpBuilder &, Location, Value, ValueRange carried) {
          Value next = updateMean(read(Axis::rows, carried[0]), carried[0]);
          scf::YieldOp::create(b, loc, next);
        });
    return {loop.getResult(0), loop.getResult(0)};
  }
  bool jacobi = op.getOrder() == Order::jacobi;
  // Columns first: one column half-step, then the loop is rows, columns again.
  if (op.getOrder() == Order::cols_first && count > 0) {
    halfStep(Axis::cols, factors);
    --count;
  }
  if (count / 2 > 0) {
    auto loop = scf::ForOp::create(
        b, loc, e.index(0), e.index(count / 2), e.index(1),
        ValueRange{factors.row, factors.col},
        [&](OpBuilder &, Location, Value, ValueRange carried) {
          Factors inside{carried[0], carried[1]};
          if (jacobi) {
            jacobiStep(inside);
          } else {
            halfStep(Axis::rows, inside);
            halfStep(Axis::cols, inside);
          }
          scf::YieldOp::create(b, loc, ValueRange{inside.row, inside.col});
        });
    factors = {loop.getResult(0), loop.getResult(1)};
  }
  if (count % 2 != 0)
    halfStep(Axis::rows, factors);
  return factors;
}
