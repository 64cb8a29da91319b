//===- DecomposeMeasures.cpp - What an iteration is judged by ---*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace mlir::scaling;

Value IterateDecomposer::norm(Axis axis, Norm kind,
                              ArrayRef<EmitterInput> inputs, Body body) {
  SmallVector<EmitterInput> all;
  addWeightInputs(axis, all);
  size_t numWeights = all.size();
  llvm::append_range(all, inputs);
  Sizes sizes = vectorSizes(axis);
  auto counted = [&](OpBuilder &inner, Location innerLoc, ValueRange in,
                     Value value) -> Value {
    if (numWeights == 0)
      return value;
    Value weight = hasWeight(inner, innerLoc, axis, in.take_front(numWeights));
    Value zero = createConstant(inner, innerLoc, accumulate, 0.0);
    return arith::SelectOp::create(inner, innerLoc, weight, value, zero);
  };
  Value total = e.reduce(
      sizes, 1, accumulate, all,
      kind == Norm::linf ? TensorEmitter::Combine::max
                         : TensorEmitter::Combine::add,
      [&](OpBuilder &inner, Location innerLoc, ValueRange in) {
        Value value = body(inner, innerLoc, in.drop_front(numWeights));
        value = kind == Norm::l2
                    ? arith::MulFOp::create(inner, innerLoc, value, value)
                          .getResult()
                    : math::AbsFOp::create(inner, innerLoc, value).getResult();
        return counted(inner, innerLoc, in, value);
      });
  if (kind == Norm::l1)
    return total;
  if (kind == Norm::mean) {
    // Without weights nothing would say how long the reduction is.
    Value count =
        numWeights == 0
            ? batchFilled(e.toFloat(e.indexValue(sizes.back()), accumulate))
            : e.reduce(sizes, 1, accumulate,
                       ArrayRef(all).take_front(numWeights),
                       TensorEmitter::Combine::add,
                       [&](OpBuilder &inner, Location innerLoc, ValueRange in) {
                         Value one =
                             createConstant(inner, innerLoc, accumulate, 1.0);
                         return counted(inner, innerLoc, in, one);
                       });
    return onBatch(
        accumulate, {total, count},
        [&](OpBuilder &inner, Location innerLoc, ValueRange in) {
          Value one = createConstant(inner, innerLoc, accumulate, 1.0);
          Value entries =
              arith::MaximumFOp::create(inner, innerLoc, in[1], one);
          return arith::DivFOp::create(inner, innerLoc, in[0], entries)
              .getResult();
        });
  }
  return onBatch(
      accumulate, {total},
      [&](OpBuilder &inner, Location innerLoc, ValueRange in) {
        if (kind == Norm::l2)
          return math::SqrtOp::create(inner, innerLoc, in[0]).getResult();
        // No entries: the maximum of nothing is 0.
        Value zero = createConstant(inner, innerLoc, accumulate, 0.0);
        return arith::MaximumFOp::create(inner, innerLoc, in[0], zero)
            .getResult();
      });
}

Value IterateDecomposer::marginal(Axis axis, ValueRange states, Value own) {
  SmallVector<EmitterInput> inputs;
  for (Value state : states)
    inputs.push_back({state, {0}});
  inputs.push_back({own, {0}});
  if (Value t = target(axis))
    inputs.push_back({t, {0}});
  return norm(axis, stop.getNorm(), inputs,
              [&](OpBuilder &inner, Location innerLoc, ValueRange in) -> Value {
                size_t count = states.size();
                Updated updated = createUpdate(
                    inner, innerLoc,
                    RuleAttr::getPlain(op.getContext(), rule(axis).getStat()),
                    domain, in.take_front(count), in[count], Value(), Value());
                Value goal = target(axis) ? in.back()
                                          : createConstant(inner, innerLoc,
                                                           accumulate, 1.0);
                return arith::SubFOp::create(inner, innerLoc,
                                             updated.planStatistic, goal);
              });
}

Value IterateDecomposer::measuredMarginal(const Factors &factors) {
  Value total;
  for (Axis axis : {Axis::rows, Axis::cols}) {
    if (!judges(axis))
      continue;
    Value residual =
        marginal(axis, read(axis, factors[other(axis)]), factors[axis]);
    total = total ? sum(total, residual) : residual;
  }
  return total;
}

Value IterateDecomposer::change(Axis axis, Value before, Value after) {
  if (stop.getWhat() == What::relative_change) {
    // Kernel units; over the targets where damping refers to their product.
    bool overTarget =
        rule(axis).getReference() == Reference::product && target(axis);
    auto size = [&](OpBuilder &inner, Location l, Value factor, Value t) {
      if (isLog) {
        if (overTarget)
          factor = arith::SubFOp::create(inner, l, factor,
                                         math::LogOp::create(inner, l, t));
        return math::ExpOp::create(inner, l, factor).getResult();
      }
      if (overTarget)
        factor = arith::DivFOp::create(inner, l, factor, t);
      return factor;
    };
    SmallVector<EmitterInput> inputs{{before, {0}}, {after, {0}}};
    if (overTarget)
      inputs.push_back({target(axis), {0}});
    Value difference =
        norm(axis, Norm::linf, inputs,
             [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
               return arith::SubFOp::create(inner, l,
                                            size(inner, l, in[1], in.back()),
                                            size(inner, l, in[0], in.back()));
             });
    auto largest = [&](unsigned which) {
      return norm(axis, Norm::linf, inputs,
                  [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                    return size(inner, l, in[which], in.back());
                  });
    };
    return onBatch(
        accumulate, {difference, largest(0), largest(1)},
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value one = createConstant(inner, l, accumulate, 1.0);
          Value scale = arith::MaximumFOp::create(
              inner, l, arith::MaximumFOp::create(inner, l, in[1], in[2]), one);
          return arith::DivFOp::create(inner, l, in[0], scale);
        });
  }
  SmallVector<EmitterInput> inputs{{before, {0}}, {after, {0}}};
  return norm(
      axis, stop.getNorm(), inputs,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        if (stop.getWhat() == What::change)
          return arith::SubFOp::create(inner, l, in[1], in[0]);
        Value one = createConstant(inner, l, accumulate, 1.0);
        Value ratio =
            isLog ? math::ExpOp::create(
                        inner, l, arith::SubFOp::create(inner, l, in[0], in[1]))
                        .getResult()
                  : arith::DivFOp::create(inner, l, in[0], in[1]).getResult();
        return arith::SubFOp::create(inner, l, ratio, one);
      });
}

Value IterateDecomposer::extreme(Axis axis, ValueRange states, Value own,
                                 bool largest) {
  SmallVector<EmitterInput> inputs;
  addWeightInputs(axis, inputs);
  size_t numWeights = inputs.size();
  for (Value state : states)
    inputs.push_back({state, {0}});
  inputs.push_back({own, {0}});
  return e.reduce(
      vectorSizes(axis), 1, accumulate, inputs,
      largest ? TensorEmitter::Combine::max : TensorEmitter::Combine::min,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        ValueRange rest = in.drop_front(numWeights);
        Value sigma =
            createUpdate(
                inner, l,
                RuleAttr::getPlain(op.getContext(), rule(axis).getStat()),
                domain, rest.drop_back(), rest.back(), Value(), Value())
                .planStatistic;
        if (numWeights == 0)
          return sigma;
        Value weight = hasWeight(inner, l, axis, in.take_front(numWeights));
        Value neutral = createConstant(inner, l, accumulate,
                                       largest ? -kInfinity : kInfinity);
        return arith::SelectOp::create(inner, l, weight, sigma, neutral);
      });
}

Value IterateDecomposer::imbalance(const Factors &factors, ValueRange rowStates,
                                   ValueRange colStates) {
  Value rowMax = extreme(Axis::rows, rowStates, factors.row, true);
  Value rowMin = extreme(Axis::rows, rowStates, factors.row, false);
  Value colMax = extreme(Axis::cols, colStates, factors.col, true);
  Value colMin = extreme(Axis::cols, colStates, factors.col, false);
  bool sum = stop.getWhat() == What::imbalance_sum;
  return onBatch(
      accumulate, {rowMax, rowMin, colMax, colMin},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        auto ratio = [&](Value high, Value low, double floor) -> Value {
          Value bound = createConstant(inner, l, accumulate, floor);
          Value safe = arith::MaximumFOp::create(inner, l, low, bound);
          Value quotient = arith::DivFOp::create(inner, l, high, safe);
          // No entries: nothing is out of balance.
          Value none = createConstant(inner, l, accumulate, -kInfinity);
          Value isEmpty = arith::CmpFOp::create(
              inner, l, arith::CmpFPredicate::OEQ, high, none);
          return arith::SelectOp::create(
              inner, l, isEmpty, createConstant(inner, l, accumulate, 0.0),
              quotient);
        };
        if (sum)
          return arith::AddFOp::create(inner, l, ratio(in[2], in[3], 1e-8),
                                       ratio(in[0], in[1], 1e-8));
        Value high = arith::MaximumFOp::create(inner, l, in[0], in[2]);
        Value low = arith::MinimumFOp::create(inner, l, in[1], in[3]);
        return ratio(high, low, 1e-12);
      });
}

Value IterateDecomposer::notFinite(const Factors &factors) {
  Value found;
  for (Axis axis : {Axis::rows, Axis::cols}) {
    SmallVector<EmitterInput> inputs;
    addWeightInputs(axis, inputs);
    size_t numWeights = inputs.size();
    inputs.push_back({factors[axis], {0}});
    Value flags = e.reduce(
        vectorSizes(axis), 1, b.getI1Type(), inputs,
        TensorEmitter::Combine::any,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value infinity = createConstant(inner, l, accumulate, kInfinity);
          Value magnitude = math::AbsFOp::create(inner, l, in.back());
          Value bad = arith::CmpFOp::create(inner, l, arith::CmpFPredicate::UGE,
                                            magnitude, infinity);
          if (numWeights == 0)
            return bad;
          Value weight = hasWeight(inner, l, axis, in.take_front(numWeights));
          return arith::AndIOp::create(inner, l, bad, weight);
        });
    found = found ? either(found, flags) : flags;
  }
  return found;
}

//===----------------------------------------------------------------------===//
// Values per batch element
//===----------------------------------------------------------------------===//

Value IterateDecomposer::batchInt(int64_t value) {
  return batchFilled(
      arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value)));
}

Value IterateDecomposer::batchFloat(double value) {
  return batchFilled(e.scalar(accumulate, value));
}

Value IterateDecomposer::batchBool(bool value) {
  return batchFilled(arith::ConstantOp::create(b, loc, b.getBoolAttr(value)));
}

Value IterateDecomposer::onBatch(Type element, ValueRange values, Body body) {
  SmallVector<EmitterInput> inputs;
  for (Value value : values)
    inputs.push_back({value, {}});
  return e.elementwise(batchSizes, 0, element, inputs, body);
}

Value IterateDecomposer::revise(Value state,
                                std::initializer_list<Value> values,
                                Body body) {
  SmallVector<EmitterInput> inputs;
  for (Value value : values)
    inputs.push_back({value, {}});
  return e.inPlace(state, 0, inputs, body);
}

Value IterateDecomposer::replace(Value state, Value flag, Value next) {
  return revise(state, {flag, next},
                [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  return arith::SelectOp::create(inner, l, in[0], in[1], in[2]);
                });
}

Factors IterateDecomposer::replace(Factors state, Value flag,
                                   const Factors &next,
                                   std::initializer_list<Axis> axes) {
  for (Axis axis : axes)
    state[axis] = e.inPlace(
        state[axis], 1, {{flag, {}}, {next[axis], {0}}},
        [](OpBuilder &inner, Location l, ValueRange in) -> Value {
          return arith::SelectOp::create(inner, l, in[0], in[1], in[2]);
        });
  return state;
}

Value IterateDecomposer::either(Value a, Value b) {
  return onBatch(getElementTypeOrSelf(a), {a, b},
                 [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                   return arith::OrIOp::create(inner, l, in[0], in[1]);
                 });
}

Value IterateDecomposer::negate(Value flag) {
  return onBatch(getElementTypeOrSelf(flag), {flag},
                 [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                   Value yes = arith::ConstantOp::create(
                       inner, l, inner.getBoolAttr(true));
                   return arith::XOrIOp::create(inner, l, in[0], yes);
                 });
}
