//===- DecomposeIterate.cpp - iterate to half-steps -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// One function per way of stopping. Each keeps the loop rolled and its body a
// row half-step followed by a column half-step wherever the convention allows,
// because that is what fuses into one read of the matrix.
//
//===----------------------------------------------------------------------===//

#include "TensorEmitter.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <limits>

using namespace mlir;
using namespace mlir::scaling;

static constexpr double kInfinity = std::numeric_limits<double>::infinity();

namespace {

/// The two factors, indexed by axis.
struct Factors {
  Value row, col;
  Value &operator[](Axis axis) { return axis == Axis::rows ? row : col; }
  Value operator[](Axis axis) const { return axis == Axis::rows ? row : col; }
};

enum class StatusCode : int { fixed, converged, limit, diverged };

Axis other(Axis axis) { return axis == Axis::rows ? Axis::cols : Axis::rows; }

class IterateDecomposer {
public:
  IterateDecomposer(OpBuilder &builder, IterateOp op);

  FailureOr<SmallVector<Value>> run();

private:
  using Sizes = TensorEmitter::Sizes;
  using Body = TensorEmitter::Body;

  /// The results: factors, half-steps, residual, status.
  struct Outcome {
    Factors factors;
    Value steps, residual, status;
  };

  Outcome fixed();
  Outcome annealed();
  Outcome until();
  Outcome best();

  // Pieces of an iteration.
  RuleAttr rule(Axis axis) {
    return axis == Axis::rows ? op.getRows() : op.getCols();
  }
  Value target(Axis axis) {
    return axis == Axis::rows ? op.getRowTarget() : op.getColTarget();
  }
  Value mask(Axis axis) {
    return axis == Axis::rows ? op.getRowMask() : op.getColMask();
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
  /// The axis' next factor: over `own`, whose buffer serves again, or beside
  /// it where a check may still want the old one.
  Value update(Axis axis, ValueRange states, Value own, bool keep = false);
  /// A half-step on `factors`.
  void halfStep(Axis axis, Factors &factors, Value scale = Value());
  /// Both axes from the same factors.
  void jacobiStep(Factors &factors, Value scale = Value());
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

  // Per batch element.
  Value batchFilled(Value scalar) { return e.filled(batchSizes, scalar); }
  Value batchInt(int64_t value) {
    return batchFilled(
        arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(value)));
  }
  Value batchFloat(double value) {
    return batchFilled(e.scalar(accumulate, value));
  }
  Value batchBool(bool value) {
    return batchFilled(arith::ConstantOp::create(b, loc, b.getBoolAttr(value)));
  }
  Value onBatch(Type element, ValueRange values, Body body) {
    SmallVector<EmitterInput> inputs;
    for (Value value : values)
      inputs.push_back({value, {}});
    return e.elementwise(batchSizes, 0, element, inputs, body);
  }
  Value onBatch(Type element, std::initializer_list<Value> values, Body body) {
    return onBatch(element, ValueRange(ArrayRef<Value>(values)), body);
  }
  /// `state`, but `next` where the batch element's flag is true; in place.
  Value replace(Value state, Value flag, Value next);
  Factors replace(Factors state, Value flag, const Factors &next,
                  std::initializer_list<Axis> axes = {Axis::rows, Axis::cols});
  /// A per batch element state, made anew in place: `body` gets the values,
  /// then the state.
  Value revise(Value state, std::initializer_list<Value> values, Body body) {
    SmallVector<EmitterInput> inputs;
    for (Value value : values)
      inputs.push_back({value, {}});
    return e.inPlace(state, 0, inputs, body);
  }
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
  Factors start;

  friend class UntilLoop;
};

} // namespace

IterateDecomposer::IterateDecomposer(OpBuilder &builder, IterateOp op)
    : b(builder), op(op), loc(op.getLoc()), e(builder, loc),
      domain(op.getNumerics().getDomain()), isLog(op.getNumerics().isLog()),
      accumulate(op.getAccumulateType()), stop(op.getStop()) {
  SmallVector<BatchedOperand> operands = getBatchedOperands(op);
  ProblemShape shape = *inferProblemShape(operands, "", nullptr);
  for (int64_t i = 0, end = shape.batch.size(); i < end; ++i)
    batchSizes.push_back(getBatchSize(b, loc, operands, shape, i));
  rows = getProblemSize(b, loc, operands, shape, Size::rows);
  cols = getProblemSize(b, loc, operands, shape, Size::cols);
}

//===----------------------------------------------------------------------===//
// Half-steps
//===----------------------------------------------------------------------===//

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
  ReduceOp reduce =
      e.states(axis, statistic, vectorSizes(axis), accumulate, op.getMatrix(),
               otherFactor, mask(other(axis)), scale);
  if (ScheduleAttr schedule = op.getScheduleAttr())
    setScheduleOf(reduce, schedule);
  return SmallVector<Value>(reduce.getResults());
}

Value IterateDecomposer::update(Axis axis, ValueRange states, Value own,
                                bool keep) {
  Value out = keep ? e.empty(vectorSizes(axis), accumulate) : own;
  return UpdateOp::create(b, loc, own.getType(), states, own, target(axis),
                          mask(axis), out, rule(axis), domain, IntegerAttr())
      .getResult(0);
}

void IterateDecomposer::halfStep(Axis axis, Factors &factors, Value scale) {
  SmallVector<Value> states = read(axis, factors[other(axis)], scale);
  factors[axis] = update(axis, states, factors[axis]);
}

void IterateDecomposer::jacobiStep(Factors &factors, Value scale) {
  SmallVector<Value> rowStates = read(Axis::rows, factors.col, scale);
  SmallVector<Value> colStates = read(Axis::cols, factors.row, scale);
  factors.row = update(Axis::rows, rowStates, factors.row);
  factors.col = update(Axis::cols, colStates, factors.col);
}

Factors IterateDecomposer::halfSteps(Factors factors, int64_t count) {
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

//===----------------------------------------------------------------------===//
// Measures
//===----------------------------------------------------------------------===//

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
    if (stop.getAxis() != Judged::both &&
        (stop.getAxis() == Judged::rows) != (axis == Axis::rows))
      continue;
    Value residual =
        marginal(axis, read(axis, factors[other(axis)]), factors[axis]);
    total = total
                ? onBatch(accumulate, {total, residual},
                          [&](OpBuilder &inner, Location l, ValueRange in) {
                            return arith::AddFOp::create(inner, l, in[0], in[1])
                                .getResult();
                          })
                : residual;
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
// Selections per batch element
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// fixed
//===----------------------------------------------------------------------===//

IterateDecomposer::Outcome IterateDecomposer::fixed() {
  Outcome out;
  out.factors = halfSteps(start, stop.getLimit());
  out.steps = batchInt(stop.getLimit());
  out.residual =
      stop.getMeasureLast() ? measuredMarginal(out.factors) : batchFloat(-1.0);
  out.status = batchInt(static_cast<int>(StatusCode::fixed));
  return out;
}

IterateDecomposer::Outcome IterateDecomposer::annealed() {
  Value betas = op.getAnneal();
  bool jacobi = op.getOrder() == Order::jacobi;
  Axis first = op.getOrder() == Order::cols_first ? Axis::cols : Axis::rows;
  auto loop = scf::ForOp::create(
      b, loc, e.index(0), e.index(stop.getLimit() / 2), e.index(1),
      ValueRange{start.row, start.col},
      [&](OpBuilder &, Location, Value pair, ValueRange carried) {
        Factors factors{carried[0], carried[1]};
        // The pair before; the first has none, and its ratio is 1.
        Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                              pair, e.index(0));
        Value before = arith::SelectOp::create(
            b, loc, isFirst, pair,
            arith::SubIOp::create(b, loc, pair, e.index(1)));
        Value beta = tensor::ExtractOp::create(b, loc, betas, pair);
        Value ratio = arith::DivFOp::create(
            b, loc, beta, tensor::ExtractOp::create(b, loc, betas, before));
        for (Axis axis : {Axis::rows, Axis::cols}) {
          SmallVector<EmitterInput> inputs;
          if (Value t = target(axis))
            inputs.push_back({t, {0}});
          factors[axis] = e.inPlace(
              factors[axis], 1, inputs,
              [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                Value factor = in.back();
                if (!target(axis))
                  return arith::MulFOp::create(inner, l, factor, ratio);
                Value weight = math::LogOp::create(inner, l, in[0]);
                Value density = arith::SubFOp::create(inner, l, factor, weight);
                Value scaled = arith::MulFOp::create(inner, l, density, ratio);
                Value moved = arith::AddFOp::create(inner, l, scaled, weight);
                // Zero weight: −∞ − −∞ is not a number.
                Value none = createConstant(inner, l, accumulate, -kInfinity);
                Value isNone = arith::CmpFOp::create(
                    inner, l, arith::CmpFPredicate::OEQ, factor, none);
                return arith::SelectOp::create(inner, l, isNone, none, moved);
              });
        }
        if (jacobi) {
          jacobiStep(factors, beta);
        } else {
          halfStep(first, factors, beta);
          halfStep(other(first), factors, beta);
        }
        scf::YieldOp::create(b, loc, ValueRange{factors.row, factors.col});
      });
  Outcome out;
  out.factors = {loop.getResult(0), loop.getResult(1)};
  out.steps = batchInt(stop.getLimit());
  out.residual =
      stop.getMeasureLast() ? measuredMarginal(out.factors) : batchFloat(-1.0);
  out.status = batchInt(static_cast<int>(StatusCode::fixed));
  return out;
}

//===----------------------------------------------------------------------===//
// until
//===----------------------------------------------------------------------===//

namespace {
/// The state of an `until` iteration: everything per batch element but the
/// half-step count, which is the same for all that still run.
struct UntilState {
  Factors factors;
  Value rowChange, colChange; // of successive factors; null for marginals
  Value steps, residual, status, done;

  SmallVector<Value> values() const {
    SmallVector<Value> all{factors.row, factors.col};
    if (rowChange)
      llvm::append_values(all, rowChange, colChange);
    llvm::append_values(all, steps, residual, status, done);
    return all;
  }
  static UntilState from(ValueRange values, bool changes) {
    UntilState state;
    state.factors = {values[0], values[1]};
    if (changes) {
      state.rowChange = values[2];
      state.colChange = values[3];
    }
    ValueRange rest = values.drop_front(changes ? 4 : 2);
    state.steps = rest[0];
    state.residual = rest[1];
    state.status = rest[2];
    state.done = rest[3];
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
  /// Stops the elements whose residual passes, if a check is due.
  UntilState check(UntilState state, Value due, Value residual, Value k);
  /// Whether `k` is a half-step count of the cadence.
  Value isDue(Value k);
  bool judges(Axis axis) {
    return stop.getAxis() == Judged::both ||
           (stop.getAxis() == Judged::rows) == (axis == Axis::rows);
  }
  /// The judged axes' last changes, combined.
  Value combinedChange(const UntilState &state);
  /// Runs `body` while an element is not done, else passes the state on.
  UntilState unlessDone(UntilState state,
                        function_ref<UntilState(UntilState)> body);
  Value sum(Value a, Value b, double weight = 1.0);

  IterateDecomposer &d;
  StopAttr stop;
  bool marginals;
};
} // namespace

Value UntilLoop::sum(Value a, Value b, double weight) {
  return d.onBatch(d.accumulate, {a, b},
                   [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                     Value total =
                         arith::AddFOp::create(inner, l, in[0], in[1]);
                     if (weight == 1.0)
                       return total;
                     Value factor =
                         createConstant(inner, l, d.accumulate, weight);
                     return arith::MulFOp::create(inner, l, total, factor);
                   });
}

UntilState UntilLoop::initial() {
  UntilState state;
  state.factors = d.start;
  if (!marginals) {
    state.rowChange = d.batchFloat(kInfinity);
    state.colChange = d.batchFloat(kInfinity);
  }
  state.steps = d.batchInt(0);
  state.residual = d.batchFloat(kInfinity);
  state.status = d.batchInt(static_cast<int>(StatusCode::limit));
  state.done = d.batchBool(false);
  return state;
}

Value UntilLoop::isDue(Value k) {
  OpBuilder &b = d.b;
  Location loc = d.loc;
  Value begun = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, k,
                                      d.e.index(stop.getStart()));
  Value since = arith::SubIOp::create(b, loc, k, d.e.index(stop.getStart()));
  Value rest =
      arith::RemSIOp::create(b, loc, since, d.e.index(stop.getEvery()));
  Value onBeat = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, rest,
                                       d.e.index(0));
  return arith::AndIOp::create(b, loc, begun, onBeat);
}

UntilState UntilLoop::check(UntilState state, Value due, Value residual,
                            Value k) {
  OpBuilder &b = d.b;
  Location loc = d.loc;
  Type i1 = b.getI1Type(), i32 = b.getI32Type();
  Value count = arith::IndexCastOp::create(b, loc, i32, k);
  // The check changes nothing for elements that are done.
  Value judged =
      d.onBatch(i1, {state.done},
                [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  Value yes = arith::ConstantOp::create(
                      inner, l, inner.getBoolAttr(true));
                  Value running = arith::XOrIOp::create(inner, l, in[0], yes);
                  return arith::AndIOp::create(inner, l, running, due);
                });
  Value verdict = d.revise(
      state.status, {judged, residual},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        auto code = [&](StatusCode status) -> Value {
          return arith::ConstantOp::create(
              inner, l, inner.getI32IntegerAttr(static_cast<int>(status)));
        };
        Value tol = createConstant(inner, l, d.accumulate, stop.getTol());
        Value nan = arith::CmpFOp::create(inner, l, arith::CmpFPredicate::UNO,
                                          in[1], in[1]);
        Value passes = arith::CmpFOp::create(
            inner, l, arith::CmpFPredicate::OLE, in[1], tol);
        Value found = arith::SelectOp::create(
            inner, l, passes, code(StatusCode::converged),
            arith::SelectOp::create(inner, l, nan, code(StatusCode::diverged),
                                    code(StatusCode::limit)));
        return arith::SelectOp::create(inner, l, in[0], found, in[2]);
      });
  state.residual = d.replace(state.residual, judged, residual);
  state.status = verdict;
  state.steps =
      d.revise(state.steps, {judged},
               [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                 return arith::SelectOp::create(inner, l, in[0], count, in[1]);
               });
  state.done = d.revise(
      state.done, {verdict},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value limit = arith::ConstantOp::create(
            inner, l,
            inner.getI32IntegerAttr(static_cast<int>(StatusCode::limit)));
        Value stopped = arith::CmpIOp::create(
            inner, l, arith::CmpIPredicate::ne, in[0], limit);
        return arith::OrIOp::create(inner, l, in[1], stopped);
      });
  return state;
}

Value UntilLoop::combinedChange(const UntilState &state) {
  switch (stop.getAxis()) {
  case Judged::rows:
    return state.rowChange;
  case Judged::cols:
    return state.colChange;
  case Judged::both:
    return sum(state.rowChange, state.colChange,
               stop.getWhat() == What::relative_change ? 0.5 : 1.0);
  }
  llvm_unreachable("a judged axis");
}

UntilState UntilLoop::halfStep(Axis axis, UntilState state, Value k) {
  Axis second = other(axis);
  SmallVector<Value> states = d.read(axis, state.factors[second]);
  Value own = state.factors[axis];
  // The new factor is made before the check, so that it can be used in the
  // same sweep; the check may discard it.
  Factors next = state.factors;
  next[axis] = d.update(axis, states, own, /*keep=*/true);
  if (marginals) {
    if (judges(axis)) {
      Value residual = d.marginal(axis, states, own);
      if (stop.getAxis() == Judged::both) {
        Value across =
            d.marginal(second, d.read(second, own), state.factors[second]);
        residual = sum(residual, across);
      }
      state = check(state, isDue(k), residual, k);
    }
    state.factors =
        d.replace(state.factors, d.negate(state.done), next, {axis});
    return state;
  }
  Value running = d.negate(state.done);
  Value change = d.change(axis, own, next[axis]);
  Value &kept = axis == Axis::rows ? state.rowChange : state.colChange;
  kept = d.replace(kept, running, change);
  state.factors = d.replace(state.factors, running, next, {axis});
  Value after = arith::AddIOp::create(d.b, d.loc, k, d.e.index(1));
  // Both: judged at the end of the pair only.
  Axis last = d.op.getOrder() == Order::cols_first ? Axis::rows : Axis::cols;
  if (stop.getAxis() == Judged::both ? axis == last : judges(axis))
    state = check(state, isDue(after), combinedChange(state), after);
  return state;
}

UntilState UntilLoop::jacobiPair(UntilState state, Value k) {
  SmallVector<Value> rowStates = d.read(Axis::rows, state.factors.col);
  SmallVector<Value> colStates = d.read(Axis::cols, state.factors.row);
  Factors next{
      d.update(Axis::rows, rowStates, state.factors.row, /*keep=*/true),
      d.update(Axis::cols, colStates, state.factors.col, /*keep=*/true)};
  if (marginals) {
    Value residual;
    if (judges(Axis::rows))
      residual = d.marginal(Axis::rows, rowStates, state.factors.row);
    if (judges(Axis::cols)) {
      Value cols = d.marginal(Axis::cols, colStates, state.factors.col);
      residual = residual ? sum(residual, cols) : cols;
    }
    state = check(state, isDue(k), residual, k);
    state.factors = d.replace(state.factors, d.negate(state.done), next);
    return state;
  }
  Value running = d.negate(state.done);
  state.rowChange =
      d.replace(state.rowChange, running,
                d.change(Axis::rows, state.factors.row, next.row));
  state.colChange =
      d.replace(state.colChange, running,
                d.change(Axis::cols, state.factors.col, next.col));
  state.factors = d.replace(state.factors, running, next);
  Value after = arith::AddIOp::create(d.b, d.loc, k, d.e.index(2));
  return check(state, isDue(after), combinedChange(state), after);
}

UntilState UntilLoop::unlessDone(UntilState state,
                                 function_ref<UntilState(UntilState)> body) {
  SmallVector<Value> values = state.values();
  Value running = d.e.any(d.negate(state.done));
  auto conditional = scf::IfOp::create(
      d.b, d.loc, running,
      [&](OpBuilder &, Location) {
        scf::YieldOp::create(d.b, d.loc, body(state).values());
      },
      [&](OpBuilder &, Location) { scf::YieldOp::create(d.b, d.loc, values); });
  return UntilState::from(conditional.getResults(), !marginals);
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
          UntilState inside =
              UntilState::from(carried.drop_front(), !marginals);
          Value running = d.e.any(d.negate(inside.done));
          Value below = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                              carried[0], d.e.index(lastPair));
          Value go = arith::AndIOp::create(b, loc, running, below);
          scf::ConditionOp::create(b, loc, go, carried);
        },
        [&](OpBuilder &, Location, ValueRange carried) {
          Value k = carried[0];
          UntilState inside =
              UntilState::from(carried.drop_front(), !marginals);
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
    state = UntilState::from(loop.getResults().drop_front(), !marginals);
  }
  if (lastPair < limit)
    state = unlessDone(state, [&](UntilState inside) {
      return halfStep(first, inside, d.e.index(lastPair));
    });
  // The last check, due or not.
  state = unlessDone(state, [&](UntilState inside) {
    Value residual =
        marginals ? d.measuredMarginal(inside.factors) : combinedChange(inside);
    Value due = arith::ConstantOp::create(b, loc, b.getBoolAttr(true));
    return check(inside, due, residual, d.e.index(limit));
  });
  return {state.factors, state.steps, state.residual, state.status};
}

IterateDecomposer::Outcome IterateDecomposer::until() {
  return UntilLoop(*this).run();
}

//===----------------------------------------------------------------------===//
// best
//===----------------------------------------------------------------------===//

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
        SmallVector<Value> rowStates = read(Axis::rows, inside.factors.col);
        SmallVector<Value> colStates = read(Axis::cols, inside.factors.row);
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
  if (stop.getLast())
    state = judge(state, read(Axis::rows, state.factors.col),
                  read(Axis::cols, state.factors.row), e.index(2 * pairs));

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

//===----------------------------------------------------------------------===//
// All together
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<Value>> IterateDecomposer::run() {
  start = startFactors();
  Outcome out;
  switch (stop.getMode()) {
  case StopMode::fixed:
    out = op.getAnneal() ? annealed() : fixed();
    break;
  case StopMode::until:
    out = until();
    break;
  case StopMode::best:
    out = best();
    break;
  }
  // Divergence: the start factors come out, and the residual says so.
  Value diverged = notFinite(out.factors);
  Value marked = onBatch(
      b.getI1Type(), {diverged, out.status},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value code = arith::ConstantOp::create(
            inner, l,
            inner.getI32IntegerAttr(static_cast<int>(StatusCode::diverged)));
        Value already = arith::CmpIOp::create(
            inner, l, arith::CmpIPredicate::eq, in[1], code);
        return arith::OrIOp::create(inner, l, in[0], already);
      });
  out.factors = replace(out.factors, marked, start);
  out.residual = replace(out.residual, marked, batchFloat(kInfinity));
  out.status = replace(out.status, marked,
                       batchInt(static_cast<int>(StatusCode::diverged)));
  SmallVector<Value> results{out.factors.row, out.factors.col, out.steps,
                             out.residual, out.status};
  // Static sizes known only from another operand: cast to the op's types.
  for (auto [value, type] : llvm::zip_equal(results, op->getResultTypes()))
    if (value.getType() != type)
      value = tensor::CastOp::create(b, loc, type, value);
  return results;
}

FailureOr<SmallVector<Value>> scaling::decomposeIterate(OpBuilder &builder,
                                                        IterateOp op) {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op);
  return IterateDecomposer(builder, op).run();
}

namespace {
struct DecomposeIteratePattern : OpRewritePattern<IterateOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(IterateOp op,
                                PatternRewriter &rewriter) const override {
    FailureOr<SmallVector<Value>> results = decomposeIterate(rewriter, op);
    if (failed(results))
      return failure();
    rewriter.replaceOp(op, *results);
    return success();
  }
};
} // namespace

void scaling::populateDecomposePatterns(RewritePatternSet &patterns) {
  patterns.add<DecomposeIteratePattern>(patterns.getContext());
}
