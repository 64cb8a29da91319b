//===- GeneralizeMatrix.cpp - The matrix on its way in ----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Standardization, slack, temperature, map, shift, entry guard, total.
//
//===----------------------------------------------------------------------===//

#include "Generalizer.h"
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
static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

//===----------------------------------------------------------------------===//
// The matrix on its way in
//===----------------------------------------------------------------------===//

Value Generalizer::appendSlack(Value matrix, Value slack) {
  Sizes batch = joinedBatch({{matrix, 2}, {slack, 0}});
  Sizes inner = sizesOf(matrix);
  Value lastRow = e.indexValue(inner[inner.size() - 2]);
  Value lastCol = e.indexValue(inner.back());
  Sizes whole = batch;
  whole.push_back(size(Size::rows));
  whole.push_back(size(Size::cols));
  int64_t batchRank = batch.size();
  Type element = getElementTypeOrSelf(matrix);
  int64_t matrixBatch = inner.size() - 2;
  // Read inside the matrix, α outside; the index is clamped so that the read
  // stays in bounds also for an empty matrix' slack.
  return e.elementwise(
      whole, 2, element, {{slack, {}}},
      [&](OpBuilder &nested, Location l, ValueRange in) -> Value {
        Value row = linalg::IndexOp::create(nested, l, batchRank);
        Value col = linalg::IndexOp::create(nested, l, batchRank + 1);
        Value isRow = arith::CmpIOp::create(nested, l, arith::CmpIPredicate::eq,
                                            row, lastRow);
        Value isCol = arith::CmpIOp::create(nested, l, arith::CmpIPredicate::eq,
                                            col, lastCol);
        Value isSlack = arith::OrIOp::create(nested, l, isRow, isCol);
        // Indices are the structured op's own, not the conditional's.
        SmallVector<Value> at;
        for (int64_t i = batchRank - matrixBatch; i < batchRank; ++i)
          at.push_back(linalg::IndexOp::create(nested, l, i));
        llvm::append_values(at, row, col);
        auto choose = scf::IfOp::create(
            nested, l, isSlack,
            [&](OpBuilder &yes, Location yl) {
              scf::YieldOp::create(yes, yl, castFloat(yes, yl, in[0], element));
            },
            [&](OpBuilder &no, Location nl) {
              Value entry = tensor::ExtractOp::create(no, nl, matrix, at);
              scf::YieldOp::create(no, nl, entry);
            });
        return choose.getResult(0);
      });
}

namespace {
/// Inputs of a computation on the matrix that may be masked.
struct MaskedInputs {
  SmallVector<EmitterInput> inputs;
  SmallVector<std::pair<Value, int64_t>> batched;
  bool rows = false, cols = false;

  MaskedInputs(Value matrix, Value rowMask, Value colMask) {
    inputs.push_back({matrix, {0, 1}});
    batched.push_back({matrix, 2});
    if (rowMask) {
      rows = true;
      inputs.push_back({rowMask, {0}});
      batched.push_back({rowMask, 1});
    }
    if (colMask) {
      cols = true;
      inputs.push_back({colMask, {1}});
      batched.push_back({colMask, 1});
    }
  }
  /// Whether the entry takes part; null when all do.
  Value takesPart(OpBuilder &b, Location l, ValueRange in) const {
    if (rows && cols)
      return arith::AndIOp::create(b, l, in[1], in[2]);
    return rows || cols ? in[1] : Value();
  }
};
} // namespace

Value Generalizer::standardized(Value matrix, Value rowMask, Value colMask) {
  MaskedInputs masked(matrix, rowMask, colMask);
  Sizes all = joinedBatch(masked.batched);
  Sizes matrixSizes = sizesOf(matrix);
  all.append(matrixSizes.end() - 2, matrixSizes.end());
  auto over =
      [&](Combine combine, double neutral, ArrayRef<EmitterInput> more,
          function_ref<Value(OpBuilder &, Location, Value, ValueRange)> lift) {
        SmallVector<EmitterInput> inputs(masked.inputs);
        llvm::append_range(inputs, more);
        return e.reduce(
            all, 2, accumulate, inputs, combine,
            [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
              Value entry = castFloat(inner, l, in[0], accumulate);
              Value value =
                  lift(inner, l, entry, in.drop_front(masked.inputs.size()));
              Value part = masked.takesPart(inner, l, in);
              if (!part)
                return value;
              return arith::SelectOp::create(
                  inner, l, part, value,
                  createConstant(inner, l, accumulate, neutral));
            });
      };
  Value entries = over(Combine::add, 0.0, {},
                       [&](OpBuilder &inner, Location l, Value, ValueRange) {
                         return createConstant(inner, l, accumulate, 1.0);
                       });
  Value sum = over(
      Combine::add, 0.0, {},
      [&](OpBuilder &, Location, Value entry, ValueRange) { return entry; });
  Value mean =
      onBatch({sum, entries},
              [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                Value one = createConstant(inner, l, accumulate, 1.0);
                Value n = arith::MaximumFOp::create(inner, l, in[1], one);
                return arith::DivFOp::create(inner, l, in[0], n);
              });
  Value squares =
      over(Combine::add, 0.0, {{mean, {}}},
           [&](OpBuilder &inner, Location l, Value entry, ValueRange in) {
             Value d = arith::SubFOp::create(inner, l, entry, in[0]);
             return arith::MulFOp::create(inner, l, d, d).getResult();
           });
  Value least = over(
      Combine::min, kInfinity, {},
      [&](OpBuilder &, Location, Value entry, ValueRange) { return entry; });
  // (A − mean)/(std + 1e-6) − min of that = (A − min A)/(std + 1e-6).
  return e.elementwise(
      all, 2, accumulate,
      {{matrix, {0, 1}}, {least, {}}, {squares, {}}, {entries, {}}},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value entry = castFloat(inner, l, in[0], accumulate);
        Value one = createConstant(inner, l, accumulate, 1.0);
        Value freedom = arith::MaximumFOp::create(
            inner, l, arith::SubFOp::create(inner, l, in[3], one), one);
        Value deviation = math::SqrtOp::create(
            inner, l, arith::DivFOp::create(inner, l, in[2], freedom));
        Value scale = arith::AddFOp::create(
            inner, l, deviation, createConstant(inner, l, accumulate, 1e-6));
        return arith::DivFOp::create(
            inner, l, arith::SubFOp::create(inner, l, entry, in[1]), scale);
      });
}

Value Generalizer::epsilonOf(const Problem &problem, OpBuilder &inner,
                             Location l, Value operand, double otherwise) {
  if (!problem.epsilon)
    return createConstant(inner, l, accumulate, problem.formEpsilon());
  Value epsilon = castFloat(inner, l, operand, accumulate);
  Value positive =
      arith::CmpFOp::create(inner, l, arith::CmpFPredicate::OGT, epsilon,
                            createConstant(inner, l, accumulate, 0.0));
  return arith::SelectOp::create(
      inner, l, positive, epsilon,
      createConstant(inner, l, accumulate, otherwise));
}

Value Generalizer::withoutSlack(const Problem &problem, Value mask) {
  if (!problem.slack || !mask)
    return mask;
  Sizes all = sizesOf(mask);
  SmallVector<OpFoldResult> offsets(all.size(), b.getIndexAttr(0));
  SmallVector<OpFoldResult> strides(all.size(), b.getIndexAttr(1));
  if (std::optional<int64_t> known = getConstantIntValue(all.back()))
    all.back() = b.getIndexAttr(*known - 1);
  else
    all.back() =
        arith::SubIOp::create(b, loc, e.indexValue(all.back()), e.index(1))
            .getResult();
  return tensor::ExtractSliceOp::create(b, loc, mask, offsets, all, strides);
}

std::tuple<Value, Value, Value>
Generalizer::softmaxParts(Value x, ArrayRef<OpFoldResult> all,
                          ArrayRef<OpFoldResult> vector) {
  Sizes sizes(vector), whole(all);
  auto isBetween = [&](OpBuilder &inner, Location l, Value value, double low) {
    auto compare = [&](arith::CmpFPredicate predicate, double bound) {
      return arith::CmpFOp::create(inner, l, predicate, value,
                                   createConstant(inner, l, accumulate, bound));
    };
    return arith::AndIOp::create(inner, l,
                                 compare(arith::CmpFPredicate::OGT, low),
                                 compare(arith::CmpFPredicate::OLT, kInfinity));
  };
  double lowest = llvm::APFloat::getLargest(accumulate.getFloatSemantics(),
                                            /*Negative=*/true)
                      .convertToDouble();
  Value maxima = e.states(Axis::rows, MaxAttr::get(b.getContext()), sizes,
                          accumulate, x, Value(), Value(), Value())
                     .getResult(0);
  // Where nothing takes part or all is −∞, nothing is subtracted or divided.
  Value top =
      e.elementwise(sizes, 1, accumulate, {{maxima, {0}}},
                    [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                      return arith::SelectOp::create(
                          inner, l, isBetween(inner, l, in[0], lowest), in[0],
                          createConstant(inner, l, accumulate, 0.0));
                    });
  Value exponentials = e.elementwise(
      whole, 2, accumulate, {{x, {0, 1}}, {top, {0}}},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        return math::ExpOp::create(
            inner, l, arith::SubFOp::create(inner, l, in[0], in[1]));
      });
  Value sums = e.states(Axis::rows, SumAttr::get(b.getContext()), sizes,
                        accumulate, exponentials, Value(), Value(), Value())
                   .getResult(0);
  auto positive = [&](OpBuilder &inner, Location l, Value sum) -> Value {
    return arith::SelectOp::create(inner, l, isBetween(inner, l, sum, 0.0), sum,
                                   createConstant(inner, l, accumulate, 1.0));
  };
  Value share =
      e.elementwise(sizes, 1, accumulate, {{sums, {0}}},
                    [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                      return arith::DivFOp::create(
                          inner, l, createConstant(inner, l, accumulate, 1.0),
                          positive(inner, l, in[0]));
                    });
  Value shift = e.elementwise(
      sizes, 1, accumulate, {{top, {0}}, {sums, {0}}},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value log = math::LogOp::create(inner, l, positive(inner, l, in[1]));
        return arith::AddFOp::create(inner, l, in[0], log);
      });
  return {exponentials, share, shift};
}

PreparedMatrix Generalizer::prepare(const Problem &problem) {
  FormAttr form = problem.form;
  PreparedMatrix prepared;
  Value matrix = problem.matrix;
  if (form.getStandardize())
    matrix = standardized(matrix, withoutSlack(problem, problem.rowMask),
                          withoutSlack(problem, problem.colMask));
  if (problem.slack)
    matrix = appendSlack(matrix, problem.slack);

  bool unscaled = problem.isUnscaled();
  bool softmax = form.getMap() == Map::softmax_rows;
  bool kernelInput = form.getInput() == scaling::Input::kernel;
  bool plainExp = form.getMap() == Map::exp && form.getShift() == Shift::none;
  // Logits and kernels that need nothing are read as they are stored.
  bool asIs = (kernelInput || (isLog && plainExp && unscaled &&
                               form.getInput() == scaling::Input::logits)) &&
              form.getNormalizeTotal().empty() && form.getEntryEps() == 0.0;
  if (asIs) {
    prepared.matrix = matrix;
    return prepared;
  }

  // ±A/ε (softmax: ±A; its power 1/ε comes later).
  bool divides = !unscaled && !softmax && !kernelInput;
  bool masks = softmax || form.getShift() != Shift::none ||
               !form.getNormalizeTotal().empty() || form.getEntryEps() != 0.0;
  MaskedInputs masked(matrix, masks ? problem.rowMask : Value(),
                      masks ? problem.colMask : Value());
  SmallVector<EmitterInput> inputs(masked.inputs);
  SmallVector<std::pair<Value, int64_t>> batched(masked.batched);
  if (problem.epsilon) {
    inputs.push_back({problem.epsilon, {}});
    batched.push_back({problem.epsilon, 0});
  }
  Sizes all = joinedBatch(batched);
  Sizes tail = sizesOf(matrix);
  all.append(tail.end() - 2, tail.end());
  bool exponentiates = !isLog && plainExp;
  auto takesPart = [&](OpBuilder &inner, Location l, ValueRange in, Value value,
                       double otherwise) -> Value {
    Value part = masked.takesPart(inner, l, in);
    if (!part)
      return value;
    return arith::SelectOp::create(
        inner, l, part, value, createConstant(inner, l, accumulate, otherwise));
  };
  Value x = e.elementwise(
      all, 2, accumulate, inputs,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value value = castFloat(inner, l, in[0], accumulate);
        if (kernelInput)
          return takesPart(inner, l, in, value, 0.0);
        if (form.getInput() == scaling::Input::cost)
          value = arith::NegFOp::create(inner, l, value);
        if (divides)
          value = arith::DivFOp::create(
              inner, l, value, epsilonOf(problem, inner, l, in.back(), kNaN));
        value = takesPart(inner, l, in, value, -kInfinity);
        if (form.getMap() == Map::sigmoid) {
          Value one = createConstant(inner, l, accumulate, 1.0);
          Value decay = math::ExpOp::create(
              inner, l, arith::NegFOp::create(inner, l, value));
          return arith::DivFOp::create(
              inner, l, one, arith::AddFOp::create(inner, l, one, decay));
        }
        return exponentiates ? math::ExpOp::create(inner, l, value).getResult()
                             : value;
      });
  Sizes batch(all.begin(), all.end() - 2);

  // Row or column maxima are the first state of a log-sum-exp, a softmax is
  // both.
  Value shift, share;
  bool colMax = form.getShift() == Shift::col_max;
  bool isTiny = schedule && schedule.getRegime() == Regime::tiny_batched;
  if (softmax && unscaled && !isLog && isTiny) {
    // The matrix is at hand: exponentials are kept, not taken twice.
    Sizes vector(ArrayRef(all).drop_back());
    std::tie(x, share, prepared.rowShift) = softmaxParts(x, all, vector);
  } else if (softmax || form.getShift() != Shift::none) {
    Axis axis = colMax ? Axis::cols : Axis::rows;
    Sizes vector = batch;
    vector.push_back(colMax ? all.back() : all[all.size() - 2]);
    auto statistic = LogSumExpAttr::get(b.getContext());
    ReduceOp states = e.states(axis, statistic, vector, accumulate, x, Value(),
                               Value(), Value());
    TypedAttr lowest = b.getFloatAttr(
        accumulate, statistic.getIdentity(0, accumulate.getFloatSemantics()));
    shift = e.elementwise(
        vector, 1, accumulate,
        {{states.getResult(0), {0}}, {states.getResult(1), {0}}},
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value value = softmax ? statistic.finalize(inner, l, in) : in[0];
          // Where nothing takes part or all is −∞, nothing is subtracted.
          auto within = [&](arith::CmpFPredicate predicate, Value bound) {
            return arith::CmpFOp::create(inner, l, predicate, value, bound);
          };
          Value usable = arith::AndIOp::create(
              inner, l,
              within(arith::CmpFPredicate::OGT,
                     arith::ConstantOp::create(inner, l, lowest)),
              within(arith::CmpFPredicate::OLT,
                     createConstant(inner, l, accumulate, kInfinity)));
          return arith::SelectOp::create(
              inner, l, usable, value,
              createConstant(inner, l, accumulate, 0.0));
        });
    (colMax ? prepared.colShift : prepared.rowShift) = shift;
  }

  bool exponentiatesLate =
      !isLog && shift && (softmax || form.getMap() == Map::exp);
  if (shift || share || form.getEntryEps() != 0.0) {
    MaskedInputs late(x, form.getEntryEps() != 0.0 ? problem.rowMask : Value(),
                      form.getEntryEps() != 0.0 ? problem.colMask : Value());
    SmallVector<EmitterInput> more(late.inputs);
    if (shift)
      more.push_back({shift, {colMax ? 1 : 0}});
    if (share)
      more.push_back({share, {0}});
    if (problem.epsilon)
      more.push_back({problem.epsilon, {}});
    x = e.elementwise(
        all, 2, accumulate, more,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value value = in[0];
          if (shift)
            value =
                arith::SubFOp::create(inner, l, value, in[late.inputs.size()]);
          if (share)
            value =
                arith::MulFOp::create(inner, l, value, in[late.inputs.size()]);
          if (softmax && !unscaled)
            value = arith::DivFOp::create(
                inner, l, value, epsilonOf(problem, inner, l, in.back(), kNaN));
          if (exponentiatesLate)
            value = math::ExpOp::create(inner, l, value);
          if (form.getEntryEps() == 0.0)
            return value;
          value = arith::AddFOp::create(
              inner, l, value,
              createConstant(inner, l, accumulate, form.getEntryEps()));
          Value part = late.takesPart(inner, l, in);
          if (!part)
            return value;
          return arith::SelectOp::create(
              inner, l, part, value, createConstant(inner, l, accumulate, 0.0));
        });
  }
  prepared.matrix = x;
  if (form.getNormalizeTotal().empty())
    return prepared;

  // The total, or its logarithm with the maximum taken out.
  double delta = form.getNormalizeTotal()[0];
  Value largest;
  if (isLog)
    largest =
        e.reduce(all, 2, accumulate, {{x, {0, 1}}}, Combine::max,
                 [](OpBuilder &, Location, ValueRange in) { return in[0]; });
  Value total;
  if (isLog) {
    total =
        e.reduce(all, 2, accumulate, {{x, {0, 1}}, {largest, {}}}, Combine::add,
                 [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                   return math::ExpOp::create(
                       inner, l, arith::SubFOp::create(inner, l, in[0], in[1]));
                 });
  } else {
    // By rows: a reduction that is vectorized and given to threads, and whose
    // error grows with n + m instead of n·m.
    Sizes rows(ArrayRef(all).drop_back());
    ReduceOp sums =
        e.states(Axis::rows, SumAttr::get(b.getContext()), rows, accumulate, x,
                 /*factor=*/Value(), /*mask=*/Value(), /*scale=*/Value());
    if (schedule)
      setScheduleOf(sums, schedule);
    total =
        e.reduce(rows, 1, accumulate, {{sums.getResult(0), {0}}}, Combine::add,
                 [](OpBuilder &, Location, ValueRange in) { return in[0]; });
  }
  SmallVector<Value> parts{total};
  if (isLog)
    parts.push_back(largest);
  prepared.totalShift =
      onBatch(parts, [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value sum = in[0];
        Value more = createConstant(inner, l, accumulate, delta);
        if (isLog) {
          Value decay = math::ExpOp::create(
              inner, l, arith::NegFOp::create(inner, l, in[1]));
          more = arith::MulFOp::create(inner, l, more, decay);
        }
        if (delta != 0.0)
          sum = arith::AddFOp::create(inner, l, sum, more);
        Value log = math::LogOp::create(inner, l, sum);
        return isLog ? arith::AddFOp::create(inner, l, log, in[1]).getResult()
                     : log;
      });
  prepared.matrix = e.elementwise(
      all, 2, accumulate,
      {{x, {0, 1}}, {isLog ? prepared.totalShift : total, {}}},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        if (isLog)
          return arith::SubFOp::create(inner, l, in[0], in[1]);
        Value divisor = in[1];
        if (delta != 0.0)
          divisor = arith::AddFOp::create(
              inner, l, divisor, createConstant(inner, l, accumulate, delta));
        return arith::DivFOp::create(inner, l, in[0], divisor);
      });
  return prepared;
}
