//===- Generalize.cpp - Named ops to core ops -------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Generalizer.h"
#include "SimilarityBalance.h"
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
  // A matrix, or a vector of the batch.
  int64_t tailRank = llvm::cast<RankedTensorType>(tensor.getType()).getRank() -
                     static_cast<int64_t>(shape.batch.size());
  SmallVector<EmitterInput> inputs{
      {tensor, llvm::to_vector<2>(llvm::seq<int64_t>(tailRank))}};
  if (isa<ShapedType>(factor.getType()))
    inputs.push_back({factor, {}});
  return e.elementwise(
      sizesOf(tensor), tailRank, accumulate, inputs,
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
  bool unscaled = problem.isUnscaled();
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

/// With one factor for both axes what belongs to the rows serves the columns.
static Problem completed(Problem problem) {
  if (problem.order != Order::symmetric)
    return problem;
  problem.colMarginal = problem.rowMarginal;
  problem.colInit = problem.rowInit;
  problem.colMask = problem.rowMask;
  return problem;
}

template <typename OpTy> static Problem transportProblem(OpTy op) {
  return completed({op.getMatrix(), op.getRowMarginal(), op.getColMarginal(),
                    op.getRowInit(), op.getColInit(), op.getRowMask(),
                    op.getColMask(), op.getSlack(), op.getEpsilon(),
                    op.getForm(), op.getRows(), op.getCols(), op.getOrder(),
                    op.getStop(), op.getNumerics()});
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

/// Whether a factor of the whole matrix is not seen in the plan: the first
/// half-step takes it up, and no potentials are returned. A total is not worth
/// three passes over the matrix then.
static bool forgetsTotal(const Problem &problem) {
  RuleAttr first =
      problem.order == Order::cols_first ? problem.cols : problem.rows;
  bool alternates =
      problem.order == Order::rows_first || problem.order == Order::cols_first;
  return alternates && FormAttr(problem.form).getAnneal().empty() &&
         RuleAttr(first).isPlain() && StopAttr(problem.stop).isFixed() &&
         StopAttr(problem.stop).getLimit() > 0;
}

SmallVector<Value> Generalizer::project(ProjectOp op) {
  Problem problem = transportProblem(op);
  if (forgetsTotal(problem)) {
    FormAttr form = op.getForm();
    problem.form = FormAttr::get(
        form.getContext(), form.getInput(), form.getMap(), form.getShift(),
        form.getEpsilon(), form.getStandardize(), form.getEntryEps(),
        /*normalizeTotal=*/{}, form.getStart(), form.getOutput(),
        form.getScale(), form.getAnneal(), form.getExtrapolate());
  }
  PreparedMatrix prepared = prepare(problem);
  Value rowTarget = target(problem, Axis::rows);
  Value colTarget = target(problem, Axis::cols);
  SmallVector<Value> results = iterate(
      problem, prepared.matrix, start(problem, Axis::rows, prepared, rowTarget),
      start(problem, Axis::cols, prepared, colTarget), rowTarget, colTarget);
  bool logarithm = op.getForm().getOutput() == Output::log_plan;
  bool scaled = op.getForm().getScale() != OutputScale::one;
  Value row = results[0];
  // The scale is a factor of every row: no pass over the matrix of its own.
  bool inRow = scaled && !logarithm && numerics.getDomain() == Domain::kernel;
  if (inRow)
    row = scaleOutput(row, problem, Size::rows, Size::cols, logarithm);
  Value init = e.empty(sizes({Size::rows, Size::cols}),
                       scaled && !inRow ? Type(accumulate) : storage);
  Value plan =
      PlanOp::create(b, loc, init.getType(), prepared.matrix, row, results[1],
                     Value(), Value(), init, numerics.getDomain(), logarithm,
                     DenseI64ArrayAttr())
          .getResult();
  if (inRow)
    return {plan, results[2], results[3], results[4]};
  plan = cast(scaleOutput(plan, problem, Size::rows, Size::cols, logarithm),
              storage);
  return {plan, results[2], results[3], results[4]};
}

SmallVector<Value> Generalizer::balance(BalanceOp op) {
  Problem problem =
      completed({op.getMatrix(), op.getRowTarget(), op.getColTarget(), Value(),
                 Value(), op.getRowMask(), op.getColMask(), Value(), Value(),
                 FormAttr::getDefault(op.getContext(), scaling::Input::kernel),
                 op.getRows(), op.getCols(), op.getOrder(), op.getStop(),
                 op.getNumerics()});
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
      ReduceOp states =
          e.states(axis, statistic, vector, accumulate, op.getMatrix(),
                   otherStart, otherMask, Value());
      if (schedule)
        setScheduleOf(states, schedule);
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
            size_t passes = statistic.getNumPasses();
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
  ReduceOp states =
      e.states(op.getAxis(), statistic, vector, accumulate, prepared.matrix,
               otherFactor, op.getMask(), Value());
  Value start = e.filled(vector, e.scalar(accumulate, neutral));
  Value factor = UpdateOp::create(b, loc, start.getType(), states.getResults(),
                                  start, goal, Value(), Value(), start, rule,
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
  // The query takes the factor, as it has fewer entries than the logits, but
  // not in a type of less precision.
  Value query = op.getQuery();
  bool scalesQuery = getElementTypeOrSelf(query) == accumulate;
  if (scalesQuery) {
    Sizes querySizes = joinedBatch({{query, 2}});
    querySizes.push_back(size(Size::rows));
    querySizes.push_back(size(Size::depth));
    query = e.elementwise(
        querySizes, 2, accumulate, {{query, {0, 1}}},
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          return arith::MulFOp::create(inner, l, in[0], factor);
        });
  }
  // The logits in the accumulate type.
  Sizes batch = joinedBatch({{op.getQuery(), 2}, {op.getKey(), 2}});
  Sizes all = batch;
  all.push_back(size(Size::rows));
  all.push_back(size(Size::cols));
  Value init = e.empty(all, accumulate);
  Value logits = PairwiseOp::create(b, loc, init.getType(), query, op.getKey(),
                                    init, Metric::dot)
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
  if (!scalesQuery || op.getBias())
    logits = e.elementwise(
        biased, 2, accumulate, inputs,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value value = in[0];
          if (!scalesQuery)
            value = arith::MulFOp::create(inner, l, value, factor);
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
                      Value(), zeros, ApplyKind::product, /*transposed=*/false,
                      numerics.getDomain())
          .getResult(0);
  output = cast(
      scaleOutput(output, problem, Size::rows, Size::cols, /*logarithm=*/false),
      storage);
  // A batch that only the values have is of one problem.
  Sizes whole = sizes({});
  for (Value &result : MutableArrayRef(results).drop_front(2)) {
    auto type = mlir::cast<RankedTensorType>(result.getType());
    if (type.getRank() < static_cast<int64_t>(whole.size()))
      result = e.elementwise(
          whole, 0, type.getElementType(), {{result, {}}},
          [](OpBuilder &, Location, ValueRange in) -> Value { return in[0]; });
  }
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
