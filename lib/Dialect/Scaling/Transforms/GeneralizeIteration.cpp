//===- GeneralizeIteration.cpp - Targets, starts, annealing -----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
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
    // What belongs to the rows serves both axes.
    bool one = order == Order::symmetric;
    Value none;
    auto op = IterateOp::create(
        b, loc, matrix, row, one ? none : col, rowTarget,
        one ? none : colTarget, problem.rowMask, one ? none : problem.colMask,
        anneal, rows, cols, order, stop, problem.numerics, schedule);
    return SmallVector<Value>(op.getResults());
  };
  ArrayRef<Number> anneal = problem.form.getAnneal();
  if (anneal.empty())
    return emit(rowStart, colStart, Value(), problem.rows, problem.cols,
                problem.order, problem.stop);

  // An `until` looks at the last ε alone, after a pair for each other one.
  bool isJudged = problem.stop.getMode() == StopMode::until;
  ArrayRef<Number> pairs = isJudged ? anneal.drop_back() : anneal;
  if (pairs.empty())
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
                         stop.getStart(), false, true, Relax::where_possible,
                         0);
  };
  bool more = pairs.size() > 1;
  SmallVector<Value> results =
      emit(rowStart, colStart, betas(pairs.take_front(1)), rows, cols,
           problem.order, fixed(2, !more && !extrapolate));
  SmallVector<Value> statuses{results[4]};
  int64_t done = 2;
  if (more) {
    Value ratio = e.scalar(accumulate, pairs[0] / pairs[1]);
    Value row = rescaled(results[0], rowTarget, ratio);
    Value col = rescaled(results[1], colTarget, ratio);
    int64_t halfSteps = 2 * (static_cast<int64_t>(pairs.size()) - 1);
    results = emit(row, col, betas(pairs.drop_front()), problem.rows,
                   problem.cols, problem.order, fixed(halfSteps, !extrapolate));
    statuses.push_back(results[4]);
    done += halfSteps;
  }
  if (isJudged) {
    Value ratio = e.scalar(accumulate, pairs.back() / final);
    Value row = rescaled(results[0], rowTarget, ratio);
    Value col = rescaled(results[1], colTarget, ratio);
    results = emit(row, col, Value(), problem.rows, problem.cols, problem.order,
                   problem.stop);
    statuses.push_back(results[4]);
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
  results[2] =
      isJudged
          ? e.elementwise(batch, 0, b.getI32Type(), {{results[2], {}}},
                          [&](OpBuilder &inner, Location l, ValueRange in) {
                            return arith::AddIOp::create(inner, l, in[0], total)
                                .getResult();
                          })
          : e.filled(batch, total);
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
