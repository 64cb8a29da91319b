//===- Generalize.cpp - Named ops to core ops -------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// What the form, the targets and the starts of a named op mean, written as
// ordinary tensor code around `iterate`, `plan` and `apply`.
//
//===----------------------------------------------------------------------===//

#include "SimilarityBalance.h"
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
static constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

namespace {

/// The matrix of an iteration, and what undoes its preparation.
struct PreparedMatrix {
  Value matrix;
  /// What was subtracted from the logarithm of each row and column (null:
  /// nothing), and from every entry.
  Value rowShift, colShift, totalShift;
};

/// The operands named ops on transport problems have in common; values may be
/// null.
struct Problem {
  Value matrix;
  Value rowMarginal, colMarginal;
  Value rowInit, colInit;
  Value rowMask, colMask;
  Value slack, epsilon;
  FormAttr form;
  RuleAttr rows, cols;
  Order order;
  StopAttr stop;
  NumericsAttr numerics;
};

class Generalizer {
public:
  using Sizes = TensorEmitter::Sizes;
  using Combine = TensorEmitter::Combine;

  /// Takes the problem's sizes from the op; with slack they are those with
  /// the slack row and column.
  Generalizer(OpBuilder &builder, Operation *op, NumericsAttr numerics,
              Type element);

  SmallVector<Value> sinkhorn(SinkhornOp op);
  SmallVector<Value> project(ProjectOp op);
  SmallVector<Value> balance(BalanceOp op);
  SmallVector<Value> normalize(NormalizeOp op);
  SmallVector<Value> attention(AttentionOp op);

private:
  Sizes sizes(ArrayRef<Size> tail);
  Sizes sizesOf(Value value) { return tensor::getMixedSizes(b, loc, value); }
  OpFoldResult size(Size which) {
    return getProblemSize(b, loc, operands, shape, which);
  }
  /// The batch sizes a computation on these values needs: those of the
  /// largest batch among them. `tails` are their ranks behind the batch.
  Sizes joinedBatch(ArrayRef<std::pair<Value, int64_t>> values);

  Value cast(Value tensor, Type element);
  /// How many rows (columns) take part: a scalar of the accumulate type, or a
  /// tensor per batch element where a mask says so. Without the slack entry.
  Value count(Size which, Value mask, bool slack);
  /// `a` (scalar or per batch) as an elementwise operand.
  Value onBatch(ArrayRef<Value> values, TensorEmitter::Body body);

  PreparedMatrix prepare(const Problem &problem);
  Value appendSlack(Value matrix, Value slack);
  Value standardized(Value matrix, Value rowMask, Value colMask);
  /// A mask's entries for the input's own rows or columns.
  Value withoutSlack(const Problem &problem, Value mask);
  Value target(const Problem &problem, Axis axis);
  Value start(const Problem &problem, Axis axis, const PreparedMatrix &prepared,
              Value target);
  /// The iteration, annealed or not.
  SmallVector<Value> iterate(const Problem &problem, Value matrix,
                             Value rowStart, Value colStart, Value rowTarget,
                             Value colTarget);
  Value rescaled(Value factor, Value target, Value ratio);
  /// The tensor times the form's scale; a logarithm plus its logarithm.
  Value scaleOutput(Value tensor, const Problem &problem, Size rowSize,
                    Size colSize, bool logarithm);
  Value potential(const Problem &problem, Axis axis, Value factor,
                  const PreparedMatrix &prepared);
  /// The temperature; `otherwise` where the operand is not positive. What
  /// makes the matrix takes NaN, so that the iteration diverges, and what
  /// takes potentials to factors and back 1.
  Value epsilonOf(const Problem &problem, OpBuilder &inner, Location l,
                  Value operand, double otherwise);

  OpBuilder &b;
  Location loc;
  TensorEmitter e;
  SmallVector<BatchedOperand> operands;
  ProblemShape shape;
  NumericsAttr numerics;
  ScheduleAttr schedule;
  bool isLog;
  Type storage;
  FloatType accumulate;
};

} // namespace

Generalizer::Generalizer(OpBuilder &builder, Operation *op,
                         NumericsAttr numerics, Type element)
    : b(builder), loc(op->getLoc()), e(builder, loc),
      operands(getBatchedOperands(op)),
      shape(*inferProblemShape(operands, "", nullptr)), numerics(numerics),
      schedule(getScheduleOf(op)), isLog(numerics.isLog()), storage(element),
      accumulate(numerics.getAccumulateType(element)) {}

Generalizer::Sizes Generalizer::sizes(ArrayRef<Size> tail) {
  Sizes all;
  for (int64_t i = 0, end = shape.batch.size(); i < end; ++i)
    all.push_back(getBatchSize(b, loc, operands, shape, i));
  for (Size which : tail)
    all.push_back(size(which));
  return all;
}

Generalizer::Sizes
Generalizer::joinedBatch(ArrayRef<std::pair<Value, int64_t>> values) {
  int64_t largest = 0;
  for (auto [value, tail] : values)
    if (value)
      largest = std::max(
          largest,
          llvm::cast<RankedTensorType>(value.getType()).getRank() - tail);
  Sizes all;
  for (int64_t i = shape.batch.size() - largest, end = shape.batch.size();
       i < end; ++i)
    all.push_back(getBatchSize(b, loc, operands, shape, i));
  return all;
}

Value Generalizer::cast(Value tensor, Type element) {
  if (getElementTypeOrSelf(tensor) == element)
    return tensor;
  Sizes all = sizesOf(tensor);
  SmallVector<int64_t, 2> tail =
      llvm::to_vector<2>(llvm::seq<int64_t>(all.size()));
  return e.elementwise(all, all.size(), element, {{tensor, tail}},
                       [&](OpBuilder &inner, Location l, ValueRange in) {
                         return castFloat(inner, l, in[0], element);
                       });
}

Value Generalizer::onBatch(ArrayRef<Value> values, TensorEmitter::Body body) {
  SmallVector<EmitterInput> inputs;
  SmallVector<std::pair<Value, int64_t>> batched;
  SmallVector<std::optional<size_t>> position;
  for (Value value : values) {
    if (isa<ShapedType>(value.getType())) {
      position.push_back(inputs.size());
      inputs.push_back({value, {}});
      batched.push_back({value, 0});
    } else {
      position.push_back(std::nullopt);
    }
  }
  auto emit = [&](OpBuilder &inner, Location l, ValueRange in) {
    SmallVector<Value> scalars;
    for (auto [value, at] : llvm::zip_equal(values, position))
      scalars.push_back(at ? in[*at] : value);
    return body(inner, l, scalars);
  };
  if (inputs.empty())
    return emit(b, loc, {});
  return e.elementwise(joinedBatch(batched), 0, accumulate, inputs, emit);
}

Value Generalizer::count(Size which, Value mask, bool slack) {
  Value number;
  if (!mask) {
    OpFoldResult whole = size(which);
    if (std::optional<int64_t> known = getConstantIntValue(whole))
      return e.scalar(accumulate,
                      static_cast<double>(*known - (slack ? 1 : 0)));
    number = e.toFloat(e.indexValue(whole), accumulate);
  } else {
    number =
        e.reduce(sizesOf(mask), 1, accumulate, {{mask, {0}}}, Combine::add,
                 [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                   return arith::UIToFPOp::create(inner, l, accumulate, in[0]);
                 });
  }
  if (!slack)
    return number;
  return onBatch({number}, [&](OpBuilder &inner, Location l, ValueRange in) {
    Value one = createConstant(inner, l, accumulate, 1.0);
    return arith::SubFOp::create(inner, l, in[0], one).getResult();
  });
}

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

/// The temperature where no operand gives one: the last of a schedule.
static double formEpsilon(FormAttr form) {
  ArrayRef<Number> anneal = form.getAnneal();
  return anneal.empty() ? double(form.getEpsilon()) : double(anneal.back());
}

/// Whether the temperature is known to be 1.
static bool isUnscaled(const Problem &problem) {
  return !problem.epsilon && formEpsilon(problem.form) == 1.0;
}

Value Generalizer::epsilonOf(const Problem &problem, OpBuilder &inner,
                             Location l, Value operand, double otherwise) {
  if (!problem.epsilon)
    return createConstant(inner, l, accumulate, formEpsilon(problem.form));
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

PreparedMatrix Generalizer::prepare(const Problem &problem) {
  FormAttr form = problem.form;
  PreparedMatrix prepared;
  Value matrix = problem.matrix;
  if (form.getStandardize())
    matrix = standardized(matrix, withoutSlack(problem, problem.rowMask),
                          withoutSlack(problem, problem.colMask));
  if (problem.slack)
    matrix = appendSlack(matrix, problem.slack);

  bool unscaled = isUnscaled(problem);
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
  Value shift;
  bool colMax = form.getShift() == Shift::col_max;
  if (softmax || form.getShift() != Shift::none) {
    Axis axis = colMax ? Axis::cols : Axis::rows;
    Sizes vector = batch;
    vector.push_back(colMax ? all.back() : all[all.size() - 2]);
    auto statistic = LogSumExpAttr::get(b.getContext());
    SmallVector<Value> inits;
    for (unsigned pass = 0; pass < 2; ++pass) {
      Value identity = arith::ConstantOp::create(
          b, loc,
          b.getFloatAttr(
              accumulate,
              statistic.getIdentity(pass, accumulate.getFloatSemantics())));
      inits.push_back(e.filled(vector, identity));
    }
    auto states = ReduceOp::create(
        b, loc, TypeRange{inits[0].getType(), inits[1].getType()}, x, Value(),
        Value(), Value(), inits, axis, statistic, DenseI64ArrayAttr());
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
  if (shift || form.getEntryEps() != 0.0) {
    MaskedInputs late(x, form.getEntryEps() != 0.0 ? problem.rowMask : Value(),
                      form.getEntryEps() != 0.0 ? problem.colMask : Value());
    SmallVector<EmitterInput> more(late.inputs);
    if (shift)
      more.push_back({shift, {colMax ? 1 : 0}});
    if (problem.epsilon)
      more.push_back({problem.epsilon, {}});
    x = e.elementwise(
        all, 2, accumulate, more,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value value = in[0];
          if (shift)
            value =
                arith::SubFOp::create(inner, l, value, in[late.inputs.size()]);
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
  SmallVector<EmitterInput> summed{{x, {0, 1}}};
  if (isLog)
    summed.push_back({largest, {}});
  Value total =
      e.reduce(all, 2, accumulate, summed, Combine::add,
               [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                 if (!isLog)
                   return in[0];
                 return math::ExpOp::create(
                     inner, l, arith::SubFOp::create(inner, l, in[0], in[1]));
               });
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

//===----------------------------------------------------------------------===//
// Targets and starts
//===----------------------------------------------------------------------===//

Value Generalizer::target(const Problem &problem, Axis axis) {
  bool isRow = axis == Axis::rows;
  Value given = isRow ? problem.rowMarginal : problem.colMarginal;
  if (given) {
    // A negative weight has no meaning: NaN makes the iteration diverge.
    Sizes all = sizesOf(given);
    return e.elementwise(
        all, 1, accumulate, {{given, {0}}},
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value weight = castFloat(inner, l, in[0], accumulate);
          Value negative =
              arith::CmpFOp::create(inner, l, arith::CmpFPredicate::OLT, weight,
                                    createConstant(inner, l, accumulate, 0.0));
          return arith::SelectOp::create(
              inner, l, negative, createConstant(inner, l, accumulate, kNaN),
              weight);
        });
  }
  RuleAttr rule = isRow ? problem.rows : problem.cols;
  Size own = isRow ? Size::rows : Size::cols;
  Size across = isRow ? Size::cols : Size::rows;
  Value ownMask = isRow ? problem.rowMask : problem.colMask;
  Value acrossMask = isRow ? problem.colMask : problem.rowMask;
  auto reciprocal = [&](Value number) {
    return onBatch({number}, [&](OpBuilder &inner, Location l, ValueRange in) {
      Value one = createConstant(inner, l, accumulate, 1.0);
      // Nothing takes part: nothing is divided.
      Value safe = arith::MaximumFOp::create(inner, l, in[0], one);
      return arith::DivFOp::create(inner, l, one, safe).getResult();
    });
  };
  // A vector of a number that may vary with the batch.
  auto vector = [&](Value number,
                    function_ref<Value(OpBuilder &, Location, Value)> body) {
    SmallVector<EmitterInput> inputs;
    Sizes all;
    if (isa<ShapedType>(number.getType())) {
      inputs.push_back({number, {}});
      all = joinedBatch({{number, 0}});
    }
    all.push_back(size(own));
    return e.elementwise(all, 1, accumulate, inputs,
                         [&](OpBuilder &inner, Location l, ValueRange in) {
                           return body(inner, l,
                                       inputs.empty() ? number : in[0]);
                         });
  };
  switch (rule.getTarget()) {
  case Target::one:
  case Target::min_stat:
    return Value();
  case Target::uniform: {
    Value share = reciprocal(count(own, ownMask, /*slack=*/false));
    return vector(share,
                  [](OpBuilder &, Location, Value value) { return value; });
  }
  case Target::slack: {
    Value mine = count(own, ownMask, true);
    Value theirs = count(across, acrossMask, true);
    Value both =
        onBatch({mine, theirs},
                [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  return arith::AddFOp::create(inner, l, in[0], in[1]);
                });
    Value share = reciprocal(both);
    Value rest =
        onBatch({share, theirs},
                [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  return arith::MulFOp::create(inner, l, in[0], in[1]);
                });
    SmallVector<EmitterInput> inputs;
    SmallVector<std::pair<Value, int64_t>> batched;
    for (Value value : {share, rest})
      if (isa<ShapedType>(value.getType())) {
        inputs.push_back({value, {}});
        batched.push_back({value, 0});
      }
    Sizes all = joinedBatch(batched);
    int64_t axisDim = all.size();
    all.push_back(size(own));
    Value last =
        arith::SubIOp::create(b, loc, e.indexValue(size(own)), e.index(1));
    return e.elementwise(
        all, 1, accumulate, inputs,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value position = linalg::IndexOp::create(inner, l, axisDim);
          Value isSlack = arith::CmpIOp::create(
              inner, l, arith::CmpIPredicate::eq, position, last);
          size_t next = 0;
          Value s = isa<ShapedType>(share.getType()) ? in[next++] : share;
          Value r = isa<ShapedType>(rest.getType()) ? in[next] : rest;
          return arith::SelectOp::create(inner, l, isSlack, r, s);
        });
  }
  }
  llvm_unreachable("a target");
}

Value Generalizer::start(const Problem &problem, Axis axis,
                         const PreparedMatrix &prepared, Value target) {
  bool isRow = axis == Axis::rows;
  Value given = isRow ? problem.rowInit : problem.colInit;
  if (given) {
    // F = f/ε, plus what the matrix was shifted by: a softmax before the
    // division by ε, other maps after it.
    bool divideShift = problem.form.getMap() == Map::softmax_rows;
    SmallVector<EmitterInput> inputs{{given, {0}}};
    SmallVector<std::pair<Value, int64_t>> batched{{given, 1}};
    Value shift = isRow ? prepared.rowShift : prepared.colShift;
    if (shift) {
      inputs.push_back({shift, {0}});
      batched.push_back({shift, 1});
    }
    Value total = isRow ? prepared.totalShift : Value();
    bool totalIsTensor = total && isa<ShapedType>(total.getType());
    if (totalIsTensor) {
      inputs.push_back({total, {}});
      batched.push_back({total, 0});
    }
    if (problem.epsilon) {
      inputs.push_back({problem.epsilon, {}});
      batched.push_back({problem.epsilon, 0});
    }
    Sizes all = joinedBatch(batched);
    all.push_back(sizesOf(given).back());
    return e.elementwise(
        all, 1, accumulate, inputs,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value value = castFloat(inner, l, in[0], accumulate);
          Value epsilon = epsilonOf(problem, inner, l, in.back(), 1.0);
          size_t next = 1;
          if (shift && divideShift)
            value = arith::AddFOp::create(inner, l, value, in[next++]);
          value = arith::DivFOp::create(inner, l, value, epsilon);
          if (shift && !divideShift)
            value = arith::AddFOp::create(inner, l, value, in[next++]);
          if (total)
            value = arith::AddFOp::create(inner, l, value,
                                          totalIsTensor ? in[next] : total);
          // A schedule starts with the matrix of its first temperature.
          if (ArrayRef<Number> anneal = problem.form.getAnneal();
              !anneal.empty())
            value = arith::MulFOp::create(
                inner, l, value,
                createConstant(inner, l, accumulate,
                               anneal.back() / anneal.front()));
          return isLog ? value : math::ExpOp::create(inner, l, value);
        });
  }
  switch (problem.form.getStart()) {
  case Start::neutral:
    return Value();
  case Start::uniform: {
    OpFoldResult length = size(isRow ? Size::rows : Size::cols);
    Value number =
        count(isRow ? Size::rows : Size::cols,
              isRow ? problem.rowMask : problem.colMask, /*slack=*/false);
    Sizes all;
    SmallVector<EmitterInput> inputs;
    if (isa<ShapedType>(number.getType())) {
      inputs.push_back({number, {}});
      all = joinedBatch({{number, 0}});
    }
    all.push_back(length);
    return e.elementwise(
        all, 1, accumulate, inputs,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value one = createConstant(inner, l, accumulate, 1.0);
          Value n = arith::MaximumFOp::create(
              inner, l, inputs.empty() ? number : in[0], one);
          Value share = arith::DivFOp::create(inner, l, one, n);
          return isLog ? math::LogOp::create(inner, l, share).getResult()
                       : share;
        });
  }
  case Start::targets: {
    if (!target || !isLog)
      return target;
    return e.elementwise(
        sizesOf(target), 1, accumulate, {{target, {0}}},
        [&](OpBuilder &inner, Location l, ValueRange in) {
          return math::LogOp::create(inner, l, in[0]).getResult();
        });
  }
  }
  llvm_unreachable("a start");
}

//===----------------------------------------------------------------------===//
// The iteration
//===----------------------------------------------------------------------===//

Value Generalizer::rescaled(Value factor, Value target, Value ratio) {
  SmallVector<EmitterInput> inputs{{factor, {0}}};
  if (target)
    inputs.push_back({target, {0}});
  return e.elementwise(
      sizesOf(factor), 1, accumulate, inputs,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        if (!target)
          return arith::MulFOp::create(inner, l, in[0], ratio);
        Value weight = math::LogOp::create(inner, l, in[1]);
        Value density = arith::SubFOp::create(inner, l, in[0], weight);
        Value scaled = arith::MulFOp::create(inner, l, density, ratio);
        Value moved = arith::AddFOp::create(inner, l, scaled, weight);
        // Zero weight: −∞ − −∞ is not a number.
        Value none = createConstant(inner, l, accumulate, -kInfinity);
        Value isNone = arith::CmpFOp::create(
            inner, l, arith::CmpFPredicate::OEQ, in[0], none);
        return arith::SelectOp::create(inner, l, isNone, none, moved);
      });
}

static RuleAttr withOmegaOne(RuleAttr rule) {
  return RuleAttr::get(rule.getContext(), rule.getStat(), rule.getGuard(),
                       rule.getGuardEps(), rule.getTarget(), rule.getExponent(),
                       rule.getTau(), rule.getReference(), 1.0, rule.getLimit(),
                       rule.getStep(), rule.getClamp(), rule.getRoundPow2());
}

SmallVector<Value> Generalizer::iterate(const Problem &problem, Value matrix,
                                        Value rowStart, Value colStart,
                                        Value rowTarget, Value colTarget) {
  auto emit = [&](Value row, Value col, Value anneal, RuleAttr rows,
                  RuleAttr cols, Order order, StopAttr stop) {
    auto op = IterateOp::create(b, loc, matrix, row, col, rowTarget, colTarget,
                                problem.rowMask, problem.colMask, anneal, rows,
                                cols, order, stop, problem.numerics, schedule);
    return SmallVector<Value>(op.getResults());
  };
  ArrayRef<Number> anneal = problem.form.getAnneal();
  if (anneal.empty())
    return emit(rowStart, colStart, Value(), problem.rows, problem.cols,
                problem.order, problem.stop);

  // One iteration per ω: the first pair, the annealed ones, the last pair.
  RuleAttr rows = withOmegaOne(problem.rows), cols = withOmegaOne(problem.cols);
  double final = anneal.back();
  auto betas = [&](ArrayRef<Number> epsilons) -> Value {
    SmallVector<Attribute> values =
        llvm::map_to_vector(epsilons, [&](double epsilon) -> Attribute {
          return b.getFloatAttr(accumulate, final / epsilon);
        });
    auto type = RankedTensorType::get({static_cast<int64_t>(values.size())},
                                      accumulate);
    return arith::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(type, values));
  };
  bool measured = problem.stop.getMeasureLast();
  bool extrapolate = problem.form.getExtrapolate();
  auto fixed = [&](int64_t halfSteps, bool isLast) {
    StopAttr stop = problem.stop;
    return StopAttr::get(b.getContext(), StopMode::fixed, halfSteps,
                         measured && isLast, stop.getTol(), stop.getWhat(),
                         stop.getAxis(), stop.getNorm(), stop.getEvery(),
                         stop.getStart(), false, true);
  };
  bool more = anneal.size() > 1;
  SmallVector<Value> results =
      emit(rowStart, colStart, betas(anneal.take_front(1)), rows, cols,
           problem.order, fixed(2, !more && !extrapolate));
  SmallVector<Value> statuses{results[4]};
  int64_t done = 2;
  if (more) {
    Value ratio = e.scalar(accumulate, anneal[0] / anneal[1]);
    Value row = rescaled(results[0], rowTarget, ratio);
    Value col = rescaled(results[1], colTarget, ratio);
    int64_t halfSteps = 2 * (static_cast<int64_t>(anneal.size()) - 1);
    results = emit(row, col, betas(anneal.drop_front()), problem.rows,
                   problem.cols, problem.order, fixed(halfSteps, !extrapolate));
    statuses.push_back(results[4]);
    done += halfSteps;
  }
  if (extrapolate) {
    results = emit(results[0], results[1], Value(), rows, cols, Order::jacobi,
                   fixed(2, true));
    statuses.push_back(results[4]);
    done += 2;
  }
  auto stepsType = llvm::cast<RankedTensorType>(results[2].getType());
  Sizes batch = sizesOf(results[2]);
  Value total = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(done));
  results[2] = e.filled(batch, total);
  if (results[2].getType() != stepsType)
    results[2] = tensor::CastOp::create(b, loc, stepsType, results[2]);
  // Diverged in any stage: diverged.
  Value status = statuses[0];
  for (Value next : ArrayRef(statuses).drop_front())
    status = e.elementwise(
        batch, 0, b.getI32Type(), {{status, {}}, {next, {}}},
        [](OpBuilder &inner, Location l, ValueRange in) {
          return arith::MaxSIOp::create(inner, l, in[0], in[1]).getResult();
        });
  if (status.getType() != stepsType)
    status = tensor::CastOp::create(b, loc, stepsType, status);
  results[4] = status;
  if (statuses.size() == 1)
    return results;
  // A stage that diverged left its own start, not the iteration's.
  SmallVector<Value> first = emit(rowStart, colStart, Value(), rows, cols,
                                  problem.order, fixed(0, false));
  auto unlessDiverged = [&](unsigned result, int64_t rank, Value otherwise) {
    auto type = llvm::cast<RankedTensorType>(results[result].getType());
    SmallVector<EmitterInput> inputs{{status, {}}, {results[result], {}}};
    if (rank == 1)
      inputs[1].tail = {0};
    if (isa<ShapedType>(otherwise.getType()))
      inputs.push_back({otherwise, {0}});
    Value chosen = e.elementwise(
        sizesOf(results[result]), rank, accumulate, inputs,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value code =
              arith::ConstantOp::create(inner, l, inner.getI32IntegerAttr(3));
          Value diverged = arith::CmpIOp::create(
              inner, l, arith::CmpIPredicate::eq, in[0], code);
          return arith::SelectOp::create(
              inner, l, diverged, in.size() > 2 ? in[2] : otherwise, in[1]);
        });
    if (chosen.getType() != type)
      chosen = tensor::CastOp::create(b, loc, type, chosen);
    results[result] = chosen;
  };
  unlessDiverged(0, 1, first[0]);
  unlessDiverged(1, 1, first[1]);
  unlessDiverged(3, 0, e.scalar(accumulate, kInfinity));
  return results;
}

//===----------------------------------------------------------------------===//
// The plan on its way out
//===----------------------------------------------------------------------===//

Value Generalizer::scaleOutput(Value tensor, const Problem &problem,
                               Size rowSize, Size colSize, bool logarithm) {
  bool slack = static_cast<bool>(problem.slack);
  Value factor;
  switch (problem.form.getScale()) {
  case OutputScale::one:
    return tensor;
  case OutputScale::rows:
    factor = count(rowSize, problem.rowMask, slack);
    break;
  case OutputScale::cols:
    factor = count(colSize, problem.colMask, slack);
    break;
  case OutputScale::rows_plus_cols:
    factor = onBatch({count(rowSize, problem.rowMask, slack),
                      count(colSize, problem.colMask, slack)},
                     [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                       return arith::AddFOp::create(inner, l, in[0], in[1]);
                     });
    break;
  }
  SmallVector<EmitterInput> inputs{{tensor, {0, 1}}};
  if (isa<ShapedType>(factor.getType()))
    inputs.push_back({factor, {}});
  return e.elementwise(
      sizesOf(tensor), 2, accumulate, inputs,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value number = inputs.size() > 1 ? in[1] : factor;
        if (logarithm)
          return arith::AddFOp::create(inner, l, in[0],
                                       math::LogOp::create(inner, l, number));
        return arith::MulFOp::create(inner, l, in[0], number);
      });
}

Value Generalizer::potential(const Problem &problem, Axis axis, Value factor,
                             const PreparedMatrix &prepared) {
  Value shift = axis == Axis::rows ? prepared.rowShift : prepared.colShift;
  Value total = axis == Axis::rows ? prepared.totalShift : Value();
  bool unscaled = isUnscaled(problem);
  if (isLog && !shift && !total && unscaled)
    return factor;
  SmallVector<EmitterInput> inputs{{factor, {0}}};
  if (shift)
    inputs.push_back({shift, {0}});
  bool totalIsTensor = total && isa<ShapedType>(total.getType());
  if (totalIsTensor)
    inputs.push_back({total, {}});
  if (problem.epsilon)
    inputs.push_back({problem.epsilon, {}});
  return e.elementwise(
      sizesOf(factor), 1, accumulate, inputs,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value value =
            isLog ? in[0] : math::LogOp::create(inner, l, in[0]).getResult();
        size_t next = 1;
        if (shift)
          value = arith::SubFOp::create(inner, l, value, in[next++]);
        if (total)
          value = arith::SubFOp::create(inner, l, value,
                                        totalIsTensor ? in[next] : total);
        if (unscaled)
          return value;
        return arith::MulFOp::create(
            inner, l, value, epsilonOf(problem, inner, l, in.back(), 1.0));
      });
}

//===----------------------------------------------------------------------===//
// The named ops
//===----------------------------------------------------------------------===//

template <typename OpTy> static Problem transportProblem(OpTy op) {
  return {op.getMatrix(),  op.getRowMarginal(), op.getColMarginal(),
          op.getRowInit(), op.getColInit(),     op.getRowMask(),
          op.getColMask(), op.getSlack(),       op.getEpsilon(),
          op.getForm(),    op.getRows(),        op.getCols(),
          op.getOrder(),   op.getStop(),        op.getNumerics()};
}

SmallVector<Value> Generalizer::sinkhorn(SinkhornOp op) {
  Problem problem = transportProblem(op);
  PreparedMatrix prepared = prepare(problem);
  Value rowTarget = target(problem, Axis::rows);
  Value colTarget = target(problem, Axis::cols);
  SmallVector<Value> results = iterate(
      problem, prepared.matrix, start(problem, Axis::rows, prepared, rowTarget),
      start(problem, Axis::cols, prepared, colTarget), rowTarget, colTarget);
  results[0] = potential(problem, Axis::rows, results[0], prepared);
  results[1] = potential(problem, Axis::cols, results[1], prepared);
  return results;
}

SmallVector<Value> Generalizer::project(ProjectOp op) {
  Problem problem = transportProblem(op);
  PreparedMatrix prepared = prepare(problem);
  Value rowTarget = target(problem, Axis::rows);
  Value colTarget = target(problem, Axis::cols);
  SmallVector<Value> results = iterate(
      problem, prepared.matrix, start(problem, Axis::rows, prepared, rowTarget),
      start(problem, Axis::cols, prepared, colTarget), rowTarget, colTarget);
  bool logarithm = op.getForm().getOutput() == Output::log_plan;
  bool scaled = op.getForm().getScale() != OutputScale::one;
  Value init = e.empty(sizes({Size::rows, Size::cols}),
                       scaled ? Type(accumulate) : storage);
  Value plan =
      PlanOp::create(b, loc, init.getType(), prepared.matrix, results[0],
                     results[1], Value(), Value(), init, numerics.getDomain(),
                     logarithm, DenseI64ArrayAttr())
          .getResult();
  plan = cast(scaleOutput(plan, problem, Size::rows, Size::cols, logarithm),
              storage);
  return {plan, results[2], results[3], results[4]};
}

SmallVector<Value> Generalizer::balance(BalanceOp op) {
  Problem problem{op.getMatrix(),
                  op.getRowTarget(),
                  op.getColTarget(),
                  Value(),
                  Value(),
                  op.getRowMask(),
                  op.getColMask(),
                  Value(),
                  Value(),
                  FormAttr::getDefault(op.getContext(), scaling::Input::kernel),
                  op.getRows(),
                  op.getCols(),
                  op.getOrder(),
                  op.getStop(),
                  op.getNumerics()};
  Value rowTarget = target(problem, Axis::rows);
  Value colTarget = target(problem, Axis::cols);
  auto factor = [&](Value given) {
    return given ? cast(given, accumulate) : Value();
  };
  Value rowStart = factor(op.getRowInit()), colStart = factor(op.getColInit());
  if (op.getRows().getTarget() == Target::min_stat && !rowTarget &&
      !colTarget) {
    // One number: the smallest statistic of the start, each within its limit.
    Value least;
    for (Axis axis : {Axis::rows, Axis::cols}) {
      bool isRow = axis == Axis::rows;
      RuleAttr rule = isRow ? op.getRows() : op.getCols();
      StatisticAttrInterface statistic = rule.getStat();
      Size own = isRow ? Size::rows : Size::cols;
      Value ownStart = isRow ? rowStart : colStart;
      Value otherStart = isRow ? colStart : rowStart;
      Value ownMask = isRow ? op.getRowMask() : op.getColMask();
      Value otherMask = isRow ? op.getColMask() : op.getRowMask();
      Sizes vector =
          joinedBatch({{op.getMatrix(), 2}, {otherStart, 1}, {otherMask, 1}});
      vector.push_back(size(own));
      SmallVector<Value> inits;
      SmallVector<Type> types;
      for (unsigned pass = 0; pass < statistic.getNumPasses(); ++pass) {
        Value identity = arith::ConstantOp::create(
            b, loc,
            b.getFloatAttr(
                accumulate,
                statistic.getIdentity(pass, accumulate.getFloatSemantics())));
        inits.push_back(e.filled(vector, identity));
        types.push_back(inits.back().getType());
      }
      auto states = ReduceOp::create(b, loc, types, op.getMatrix(), otherStart,
                                     otherMask, Value(), inits, axis, statistic,
                                     DenseI64ArrayAttr());
      SmallVector<EmitterInput> inputs;
      SmallVector<std::pair<Value, int64_t>> batched;
      auto add = [&](Value value) {
        inputs.push_back({value, {0}});
        batched.push_back({value, 1});
      };
      for (Value state : states.getResults())
        add(state);
      if (ownStart)
        add(ownStart);
      if (ownMask)
        add(ownMask);
      Sizes all = joinedBatch(batched);
      all.push_back(size(own));
      Value smallest = e.reduce(
          all, 1, accumulate, inputs, Combine::min,
          [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
            size_t passes = types.size();
            Value sigma = statistic.finalize(inner, l, in.take_front(passes));
            if (ownStart)
              for (unsigned d = 0; d < statistic.getDegree(); ++d)
                sigma = arith::MulFOp::create(inner, l, in[passes], sigma);
            auto bound = [&](unsigned i) {
              return createConstant(inner, l, accumulate, rule.getLimit()[i]);
            };
            Value isBelow = arith::CmpFOp::create(
                inner, l, arith::CmpFPredicate::OLT, sigma, bound(0));
            Value capped = arith::MinimumFOp::create(inner, l, sigma, bound(1));
            Value within =
                arith::SelectOp::create(inner, l, isBelow, bound(2), capped);
            if (!ownMask)
              return within;
            return arith::SelectOp::create(
                inner, l, in.back(), within,
                createConstant(inner, l, accumulate, kInfinity));
          });
      least = least ? onBatch({least, smallest},
                              [](OpBuilder &inner, Location l,
                                 ValueRange in) -> Value {
                                return arith::MinimumFOp::create(inner, l,
                                                                 in[0], in[1]);
                              })
                    : smallest;
    }
    auto vector = [&](Size own) {
      Sizes all = sizesOf(least);
      all.push_back(size(own));
      return e.elementwise(
          all, 1, accumulate, {{least, {}}},
          [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
            return arith::AddFOp::create(
                inner, l, in[0], createConstant(inner, l, accumulate, 1e-6));
          });
    };
    rowTarget = vector(Size::rows);
    colTarget = vector(Size::cols);
  }
  return iterate(problem, op.getMatrix(), rowStart, colStart, rowTarget,
                 colTarget);
}

SmallVector<Value> Generalizer::normalize(NormalizeOp op) {
  bool isRow = op.getAxis() == Axis::rows;
  RuleAttr rule = op.getRule();
  Problem problem{op.getMatrix(),
                  isRow ? op.getTarget() : Value(),
                  isRow ? Value() : op.getTarget(),
                  Value(),
                  Value(),
                  isRow ? Value() : op.getMask(),
                  isRow ? op.getMask() : Value(),
                  Value(),
                  op.getEpsilon(),
                  op.getForm(),
                  rule,
                  rule,
                  Order::rows_first,
                  StopAttr::getFixed(op.getContext(), 1),
                  op.getNumerics()};
  PreparedMatrix prepared = prepare(problem);
  Value goal = target(problem, op.getAxis());
  Size own = isRow ? Size::rows : Size::cols;
  Size across = isRow ? Size::cols : Size::rows;

  // The other factor: neutral, and none where the mask says so.
  Value otherFactor;
  double neutral = isLog ? 0.0 : 1.0, none = isLog ? -kInfinity : 0.0;
  if (op.getMask()) {
    Sizes vector = joinedBatch({{op.getMask(), 1}});
    vector.push_back(size(across));
    otherFactor = e.elementwise(
        vector, 1, accumulate, {{op.getMask(), {0}}},
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          return arith::SelectOp::create(
              inner, l, in[0], createConstant(inner, l, accumulate, neutral),
              createConstant(inner, l, accumulate, none));
        });
  }
  StatisticAttrInterface statistic = rule.getReducedStat(numerics.getDomain());
  Sizes vector = sizes({own});
  SmallVector<Value> inits;
  SmallVector<Type> types;
  for (unsigned pass = 0; pass < statistic.getNumPasses(); ++pass) {
    Value identity = arith::ConstantOp::create(
        b, loc,
        b.getFloatAttr(accumulate, statistic.getIdentity(
                                       pass, accumulate.getFloatSemantics())));
    inits.push_back(e.filled(vector, identity));
    types.push_back(inits.back().getType());
  }
  auto states = ReduceOp::create(b, loc, types, prepared.matrix, otherFactor,
                                 op.getMask(), Value(), inits, op.getAxis(),
                                 statistic, DenseI64ArrayAttr());
  Value start = e.filled(vector, e.scalar(accumulate, neutral));
  Value factor = UpdateOp::create(b, loc, start.getType(), states.getResults(),
                                  start, goal, Value(), start, rule,
                                  numerics.getDomain(), IntegerAttr())
                     .getResult(0);
  bool logarithm = op.getForm().getOutput() == Output::log_plan;
  bool scaled = op.getForm().getScale() != OutputScale::one;
  Value init = e.empty(sizes({Size::rows, Size::cols}),
                       scaled ? Type(accumulate) : storage);
  Value plan =
      PlanOp::create(b, loc, init.getType(), prepared.matrix,
                     isRow ? factor : otherFactor, isRow ? otherFactor : factor,
                     Value(), Value(), init, numerics.getDomain(), logarithm,
                     DenseI64ArrayAttr())
          .getResult();
  return {cast(scaleOutput(plan, problem, Size::rows, Size::cols, logarithm),
               storage)};
}

SmallVector<Value> Generalizer::attention(AttentionOp op) {
  // The logits in the accumulate type.
  Sizes batch = joinedBatch({{op.getQuery(), 2}, {op.getKey(), 2}});
  Sizes all = batch;
  all.push_back(size(Size::rows));
  all.push_back(size(Size::cols));
  Value init = e.empty(all, accumulate);
  Value logits = PairwiseOp::create(b, loc, init.getType(), op.getQuery(),
                                    op.getKey(), init, Metric::dot)
                     .getResult();
  SmallVector<EmitterInput> inputs{{logits, {0, 1}}};
  SmallVector<std::pair<Value, int64_t>> batched{{logits, 2}};
  if (op.getBias()) {
    inputs.push_back({op.getBias(), {0, 1}});
    batched.push_back({op.getBias(), 2});
  }
  Sizes biased = joinedBatch(batched);
  biased.push_back(size(Size::rows));
  biased.push_back(size(Size::cols));
  // 1/√d, a constant where d is known.
  Value factor;
  if (op.getLogitScale()) {
    factor = e.scalar(accumulate, op.getLogitScale()->convertToDouble());
  } else {
    OpFoldResult depth = size(Size::depth);
    if (std::optional<int64_t> known = getConstantIntValue(depth)) {
      factor = e.scalar(accumulate,
                        *known > 0 ? 1.0 / std::sqrt(double(*known)) : 1.0);
    } else {
      Value number = e.toFloat(e.indexValue(depth), accumulate);
      factor = arith::DivFOp::create(b, loc, e.scalar(accumulate, 1.0),
                                     math::SqrtOp::create(b, loc, number));
    }
  }
  logits = e.elementwise(
      biased, 2, accumulate, inputs,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value value = arith::MulFOp::create(inner, l, in[0], factor);
        if (!op.getBias())
          return value;
        return arith::AddFOp::create(inner, l, value,
                                     castFloat(inner, l, in[1], accumulate));
      });
  Problem problem{logits,          Value(),      Value(),
                  Value(),         Value(),      op.getRowMask(),
                  op.getColMask(), Value(),      op.getEpsilon(),
                  op.getForm(),    op.getRows(), op.getCols(),
                  op.getOrder(),   op.getStop(), op.getNumerics()};
  PreparedMatrix prepared = prepare(problem);
  Value rowTarget = target(problem, Axis::rows);
  Value colTarget = target(problem, Axis::cols);
  SmallVector<Value> results = iterate(
      problem, prepared.matrix, start(problem, Axis::rows, prepared, rowTarget),
      start(problem, Axis::cols, prepared, colTarget), rowTarget, colTarget);
  Value zeros =
      e.filled(sizes({Size::rows, Size::width}), e.scalar(accumulate, 0.0));
  Value output =
      ApplyOp::create(b, loc, zeros.getType(), prepared.matrix, results[0],
                      results[1], Value(), Value(), op.getValue(), Value(),
                      zeros, ApplyKind::product, /*transposed=*/false,
                      numerics.getDomain())
          .getResult(0);
  output = cast(
      scaleOutput(output, problem, Size::rows, Size::cols, /*logarithm=*/false),
      storage);
  return {output, results[2], results[3], results[4]};
}

FailureOr<SmallVector<Value>> scaling::generalize(OpBuilder &builder,
                                                  Operation *op) {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op);
  auto with = [&](auto named, Value matrix) {
    return Generalizer(builder, op, named.getNumerics(),
                       getElementTypeOrSelf(matrix));
  };
  SmallVector<Value> results;
  if (auto sinkhorn = dyn_cast<SinkhornOp>(op))
    results = with(sinkhorn, sinkhorn.getMatrix()).sinkhorn(sinkhorn);
  else if (auto project = dyn_cast<ProjectOp>(op))
    results = with(project, project.getMatrix()).project(project);
  else if (auto balance = dyn_cast<BalanceOp>(op))
    results = with(balance, balance.getMatrix()).balance(balance);
  else if (auto normalize = dyn_cast<NormalizeOp>(op))
    results = with(normalize, normalize.getMatrix()).normalize(normalize);
  else if (auto attention = dyn_cast<AttentionOp>(op))
    results = with(attention, attention.getQuery()).attention(attention);
  else if (auto similarity = dyn_cast<SimilarityBalanceOp>(op))
    results = generalizeSimilarityBalance(builder, similarity);
  else
    return failure();
  for (auto [value, type] : llvm::zip_equal(results, op->getResultTypes()))
    if (value.getType() != type)
      value = tensor::CastOp::create(builder, op->getLoc(), type, value);
  return results;
}

namespace {
template <typename OpTy> struct GeneralizePattern : OpRewritePattern<OpTy> {
  using OpRewritePattern<OpTy>::OpRewritePattern;
  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    FailureOr<SmallVector<Value>> results = generalize(rewriter, op);
    if (failed(results))
      return failure();
    rewriter.replaceOp(op, *results);
    return success();
  }
};
} // namespace

void scaling::populateGeneralizePatterns(RewritePatternSet &patterns) {
  patterns.add<GeneralizePattern<SinkhornOp>, GeneralizePattern<ProjectOp>,
               GeneralizePattern<BalanceOp>, GeneralizePattern<NormalizeOp>,
               GeneralizePattern<AttentionOp>,
               GeneralizePattern<SimilarityBalanceOp>>(patterns.getContext());
}
