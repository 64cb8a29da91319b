//===- ImplicitAdjoint.cpp - Derivatives of a fixed point -----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Factors that an iteration converged to solve, for every row i with weight,
//
//   φ_i(t_i, F_i) = Σ_j P_ij,    P_ij = exp(F_i + X_ij + G_j),
//
// and the same for columns: φ = t for a plain rule, less a guard's ε, and
// φ = t exp(−κ (F − log r)), κ = (1 − τ)/(τ · exponent), for a damped one. With
// E = −∂φ/∂F the implicit function theorem gives, for cotangents f, g of F, G,
//
//   [ diag(P1 + E)      P        ] [x]   [f]
//   [     Pᵀ      diag(Pᵀ1 + E') ] [y] = [g],
//
// X̄_ij = −P_ij (x_i + y_j) and t̄_i = x_i ∂φ_i/∂t_i. The columns are eliminated;
// what is left is symmetric and positive and is solved by conjugate gradients
// with the diagonal for a preconditioner. Each step is two sums over the
// matrix.
//
// The 1-norm is the sum of what is positive; the square of the 2-norm is a sum
// whose logarithms are twice as large, of F, G and X.
//
// One factor F for both axes of a symmetric matrix solves (diag(P1 + E) + P) x
// = f; with f/2 on both sides x/2 and x/2 are the solution of the system above,
// and X̄ is symmetric.
//
// Where E and E' are zero, (1, −1) is in the kernel: the gauge. Cotangents are
// made orthogonal to it, and so is the solution.
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "MatrixBlocks.h"
#include "scaling/Dialect/Scaling/Differentiate/TensorAdjoint.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <array>

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// What the gradient of a batch element is, as `@f_vjp` reports it.
enum class Taken : int { notConverged, implicit, notSolved };

class ImplicitAdjoint {
public:
  ImplicitAdjoint(TensorAdjoint &outer, IterateOp op)
      : outer(outer), op(op), loc(op.getLoc()), b(outer.b), d(b, op),
        batchRank(d.batchSizes.size()), factors{op.getRow(), op.getCol()} {}

  LogicalResult run();

private:
  LogicalResult verify(Axis axis);
  /// κ of an axis: 0 where the rule is not damped.
  double damping(Axis axis) {
    RuleAttr rule = d.rule(axis);
    double tau = rule.getTau(), exponent = rule.getExponent();
    return (1.0 - tau) / (tau * exponent);
  }
  /// The power of entries and factors that is summed.
  int64_t power() { return isa<L2Attr>(d.rule(Axis::rows).getStat()) ? 2 : 1; }
  bool guardsKernel(Axis axis) {
    return d.rule(axis).getGuard() == Guard::add_kernel;
  }
  /// Whether the gauge is free: the sums are what they are to be alone.
  bool isSingular() {
    return llvm::none_of(axes, [&](Axis axis) {
      return damping(axis) != 0.0 || guardsKernel(axis);
    });
  }

  /// φ and its derivatives, for entries with weight.
  struct Wanted {
    Value sum;
    /// −∂φ/∂F, null where that is zero.
    Value slope;
    Value byTarget;
  };
  Wanted wantedSum(OpBuilder &builder, Location l, Axis axis, Value factor,
                   Value target);
  /// An elementwise computation on an axis' vectors with weight, `otherwise`
  /// for the others. The body's values are those of `inputs`.
  Value onWeights(Axis axis, ArrayRef<EmitterInput> inputs, double otherwise,
                  TensorEmitter::Body body, Value into = Value());
  /// Per batch element.
  Value sumOf(Axis axis, ArrayRef<EmitterInput> inputs,
              TensorEmitter::Body body);
  Value entries(Axis axis);

  /// Along the loops over a matrix `[batch, n, m]`, which may be a block.
  MappedTensor mapped(Value value, ArrayRef<int64_t> tail, int64_t batch);
  /// Sums of rows or columns of the plan, each entry times that of `weights`
  /// along the other axis; null is 1.
  Value planSums(Axis axis, Value weights);
  Value planEntry(OpBuilder &builder, Location l, ValueRange in);
  /// What it changes by, per change of the matrix' entry.
  Value planSlope(OpBuilder &builder, Location l, ValueRange in);
  SmallVector<MappedTensor> planInputs(Value matrix, const Factors &own) {
    int64_t batch = batchOf(own);
    return {mapped(matrix, {0, 1}, batch), mapped(own.row, {0}, batch),
            mapped(own.col, {1}, batch)};
  }
  /// The batch dimensions of all or a block.
  static int64_t batchOf(const Factors &own) {
    return cast<RankedTensorType>(own.row.getType()).getRank() - 1;
  }

  /// The same of some rows or all, on top of `out`.
  Value addPlanSums(Axis axis, Value matrix, const Factors &own, Value weights,
                    Value out);
  /// Adds the adjoint of the matrix, given the solution, to `out`.
  Value addMatrixAdjoint(Value matrix, const Factors &own,
                         const Factors &solved, Value out);
  Factors partOf(const Factors &vectors, const MatrixBlocks::Block &block) {
    Factors part;
    for (Axis axis : axes)
      part[axis] =
          blocks->part(vectors[axis], block, MatrixBlocks::vector(axis));
    return part;
  }
  LogicalResult addToPoints();

  /// The sums of the plan and what they are to be; per batch element whether
  /// these are near enough.
  void judge();
  Value isNear(Axis axis);
  /// What is given of the adjoint of an axis' factor; of one factor for both,
  /// the adjoints of both, which each axis then takes half of.
  Value cotangent(Axis axis);
  /// The diagonal of the system and its right-hand side.
  void makeSystem();
  void removeGauge(Factors &vectors, Value amount);
  Value gaugeOf(const Factors &vectors);
  /// What the first half-step of the elimination leaves of the rows.
  Value eliminated();
  /// r over the diagonal, in the norm that goes with it.
  Value squaredNorm(Value residual);
  /// The rows of the solution, and its residual's square.
  std::pair<Value, Value> solveRows();
  void solve();
  /// The half-steps for the elements without a solution.
  LogicalResult unroll();
  LogicalResult addGradients();

  static constexpr std::array<Axis, 2> axes{Axis::rows, Axis::cols};

  TensorAdjoint &outer;
  IterateOp op;
  Location loc;
  OpBuilder &b;
  IterateDecomposer d;
  int64_t batchRank;
  Factors factors;
  Factors sums, diagonal, rightSide, solution;
  /// Where the matrix is made from points.
  std::optional<MatrixBlocks> blocks;
  /// Per batch element: whether the iteration converged, whether the system
  /// was solved as well, and the number of entries with weight.
  Value converged, solved, count;
};
} // namespace

LogicalResult ImplicitAdjoint::verify(Axis axis) {
  RuleAttr rule = d.rule(axis);
  StringRef name = axis == Axis::rows ? "rows" : "columns";
  StatisticAttrInterface across = d.rule(other(axis)).getStat();
  if (!isa<SumAttr, L1Attr, L2Attr>(rule.getStat()))
    return op.emitOpError("has no implicit derivative: the rule of the ")
           << name << " is of '" << rule.getStat().getStatisticName()
           << "', not of 'sum', 'l1' or 'l2'";
  if (across != rule.getStat())
    return op.emitOpError("has no implicit derivative: the rule of the ")
           << name << " is of '" << rule.getStat().getStatisticName()
           << "', the other one of '" << across.getStatisticName() << "'";
  if (rule.getRoundPow2())
    return op.emitOpError("has no implicit derivative: the rule of the ")
           << name << " rounds to powers of two";
  if (rule.getTau() <= 0.0 || rule.getExponent() <= 0.0)
    return op.emitOpError("has no implicit derivative: 'tau' and 'exponent' of "
                          "the rule of the ")
           << name << " are to be positive";
  if (rule.getTau() != 1.0 && guardsKernel(axis))
    return op.emitOpError("has no implicit derivative: the rule of the ")
           << name << " has both 'tau' and 'add_kernel'";
  return success();
}

ImplicitAdjoint::Wanted ImplicitAdjoint::wantedSum(OpBuilder &builder,
                                                   Location l, Axis axis,
                                                   Value factor, Value target) {
  RuleAttr rule = d.rule(axis);
  Value one = createConstant(builder, l, d.accumulate, 1.0);
  Value sum = target ? target : one, byTarget = one, slope;
  if (double kappa = damping(axis); kappa != 0.0) {
    Value log = d.isLog ? factor : math::LogOp::create(builder, l, factor);
    bool product = rule.getReference() == Reference::product && target;
    if (product)
      log = arith::SubFOp::create(builder, l, log,
                                  math::LogOp::create(builder, l, target));
    Value k = createConstant(builder, l, d.accumulate, -kappa);
    byTarget = math::ExpOp::create(builder, l,
                                   arith::MulFOp::create(builder, l, k, log));
    if (target)
      sum = arith::MulFOp::create(builder, l, target, byTarget);
    else
      sum = byTarget;
    slope = arith::MulFOp::create(
        builder, l, createConstant(builder, l, d.accumulate, kappa), sum);
    if (product)
      byTarget = arith::MulFOp::create(
          builder, l, createConstant(builder, l, d.accumulate, 1.0 + kappa),
          byTarget);
  }
  double epsilon = rule.getGuardEps();
  if (guardsKernel(axis)) {
    Value u = d.isLog ? math::ExpOp::create(builder, l, factor) : factor;
    slope = arith::MulFOp::create(
        builder, l, createConstant(builder, l, d.accumulate, epsilon), u);
    sum = arith::SubFOp::create(builder, l, sum, slope);
  } else if (rule.getGuard() == Guard::add_plan) {
    sum = arith::SubFOp::create(
        builder, l, sum, createConstant(builder, l, d.accumulate, epsilon));
  }
  if (power() == 2) {
    Value two = createConstant(builder, l, d.accumulate, 2.0);
    byTarget = arith::MulFOp::create(
        builder, l, arith::MulFOp::create(builder, l, two, sum), byTarget);
    if (slope)
      slope = arith::MulFOp::create(builder, l, sum, slope);
    sum = arith::MulFOp::create(builder, l, sum, sum);
  }
  return {sum, slope, byTarget};
}

Value ImplicitAdjoint::planEntry(OpBuilder &builder, Location l,
                                 ValueRange in) {
  Value entry = createPlanEntry(builder, l, d.isLog, /*logarithm=*/false,
                                castFloat(builder, l, in[0], d.accumulate),
                                in[1], in[2], Value(), Value());
  StatisticAttrInterface stat = d.rule(Axis::rows).getStat();
  if (isa<L1Attr>(stat))
    return math::AbsFOp::create(builder, l, entry);
  if (isa<L2Attr>(stat))
    return arith::MulFOp::create(builder, l, entry, entry);
  return entry;
}

Value ImplicitAdjoint::planSlope(OpBuilder &builder, Location l,
                                 ValueRange in) {
  if (d.isLog)
    return planEntry(builder, l, in);
  Value product = arith::MulFOp::create(builder, l, in[1], in[2]);
  Value entry = castFloat(builder, l, in[0], d.accumulate);
  StatisticAttrInterface stat = d.rule(Axis::rows).getStat();
  if (isa<L1Attr>(stat)) {
    Value zero = createConstant(builder, l, d.accumulate, 0.0);
    auto onlyIf = [&](arith::CmpFPredicate predicate, Value value,
                      Value otherwise) -> Value {
      Value holds = arith::CmpFOp::create(builder, l, predicate, entry, zero);
      return arith::SelectOp::create(builder, l, holds, value, otherwise);
    };
    Value negative = arith::NegFOp::create(builder, l, product);
    return onlyIf(arith::CmpFPredicate::OGT, product,
                  onlyIf(arith::CmpFPredicate::OLT, negative, zero));
  }
  if (isa<L2Attr>(stat)) {
    Value square = arith::MulFOp::create(builder, l, product, product);
    Value twice = arith::AddFOp::create(builder, l, entry, entry);
    return arith::MulFOp::create(builder, l, twice, square);
  }
  return product;
}

Value ImplicitAdjoint::onWeights(Axis axis, ArrayRef<EmitterInput> inputs,
                                 double otherwise, TensorEmitter::Body body,
                                 Value into) {
  SmallVector<EmitterInput> all;
  d.addWeightInputs(axis, all);
  size_t numWeights = all.size();
  llvm::append_range(all, inputs);
  auto whole = [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
    Value value = body(inner, l, in.drop_front(numWeights));
    if (numWeights == 0)
      return value;
    Value weight = d.hasWeight(inner, l, axis, in.take_front(numWeights));
    Value instead = createConstant(inner, l, d.accumulate, otherwise);
    return arith::SelectOp::create(inner, l, weight, value, instead);
  };
  if (into)
    return d.e.inPlace(into, 1, all, whole);
  return d.e.elementwise(d.vectorSizes(axis), 1, d.accumulate, all, whole);
}

Value ImplicitAdjoint::sumOf(Axis axis, ArrayRef<EmitterInput> inputs,
                             TensorEmitter::Body body) {
  return d.e.reduce(d.vectorSizes(axis), 1, d.accumulate, inputs,
                    TensorEmitter::Combine::add, body);
}

Value ImplicitAdjoint::entries(Axis axis) {
  SmallVector<EmitterInput> inputs;
  d.addWeightInputs(axis, inputs);
  if (inputs.empty())
    return d.batchFilled(
        d.e.toFloat(d.e.indexValue(d.vectorSizes(axis).back()), d.accumulate));
  return sumOf(axis, inputs,
               [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                 return arith::SelectOp::create(
                     inner, l, d.hasWeight(inner, l, axis, in),
                     createConstant(inner, l, d.accumulate, 1.0),
                     createConstant(inner, l, d.accumulate, 0.0));
               });
}

MappedTensor ImplicitAdjoint::mapped(Value value, ArrayRef<int64_t> tail,
                                     int64_t batch) {
  int64_t own = cast<RankedTensorType>(value.getType()).getRank() -
                static_cast<int64_t>(tail.size());
  SmallVector<AffineExpr> dims;
  for (int64_t i = batch - own; i < batch; ++i)
    dims.push_back(b.getAffineDimExpr(i));
  for (int64_t position : tail)
    dims.push_back(b.getAffineDimExpr(batch + position));
  return {value, AffineMap::get(batch + 2, 0, dims, b.getContext())};
}

Value ImplicitAdjoint::addPlanSums(Axis axis, Value matrix, const Factors &own,
                                   Value weights, Value out) {
  int64_t kept = axis == Axis::rows ? 0 : 1;
  SmallVector<MappedTensor> inputs = planInputs(matrix, own);
  if (weights)
    inputs.push_back(mapped(weights, {1 - kept}, batchOf(own)));
  return sumInto(b, loc, out, mapped(out, {kept}, batchOf(own)).map, inputs,
                 [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                   Value entry = planEntry(inner, l, in);
                   if (!weights)
                     return entry;
                   return arith::MulFOp::create(inner, l, entry, in[3]);
                 });
}

Value ImplicitAdjoint::planSums(Axis axis, Value weights) {
  Value zeros = d.e.filled(d.vectorSizes(axis), d.e.scalar(d.accumulate, 0.0));
  if (!blocks)
    return addPlanSums(axis, d.matrix, factors, weights, zeros);
  return blocks->forEach(
      zeros,
      [&](const MatrixBlocks::Block &block,
          ValueRange carried) -> SmallVector<Value> {
        Value here = weights ? blocks->part(weights, block,
                                            MatrixBlocks::vector(other(axis)))
                             : Value();
        Value out = blocks->part(carried[0], block, MatrixBlocks::vector(axis));
        out = addPlanSums(axis, block.matrices.lookup(d.matrix),
                          partOf(factors, block), here, out);
        return {
            blocks->store(out, carried[0], block, MatrixBlocks::vector(axis))};
      })[0];
}

Value ImplicitAdjoint::isNear(Axis axis) {
  Value target = d.target(axis);
  SmallVector<EmitterInput> inputs{{factors[axis], {0}}};
  if (target)
    inputs.push_back({target, {0}});
  Value wanted = onWeights(
      axis, inputs, 0.0,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        return wantedSum(inner, l, axis, in[0], target ? in[1] : Value()).sum;
      });
  Value off = sumOf(axis, {{wanted, {0}}, {sums[axis], {0}}},
                    [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                      Value difference =
                          arith::SubFOp::create(inner, l, in[0], in[1]);
                      return math::AbsFOp::create(inner, l, difference);
                    });
  Value all = sumOf(axis, {{wanted, {0}}},
                    [](OpBuilder &, Location, ValueRange in) { return in[0]; });
  return d.onBatch(
      b.getI1Type(), {off, all, op.getStatus()},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value bound =
            createConstant(inner, l, d.accumulate, outer.options.residual);
        Value near = arith::CmpFOp::create(
            inner, l, arith::CmpFPredicate::OLE, in[0],
            arith::MulFOp::create(inner, l, bound, in[1]));
        Value code = arith::ConstantOp::create(
            inner, l,
            inner.getI32IntegerAttr(static_cast<int>(StatusCode::diverged)));
        Value finite = arith::CmpIOp::create(inner, l, arith::CmpIPredicate::ne,
                                             in[2], code);
        return arith::AndIOp::create(inner, l, near, finite);
      });
}

void ImplicitAdjoint::judge() {
  for (Axis axis : axes)
    sums[axis] = planSums(axis, Value());
  converged =
      d.onBatch(b.getI1Type(), {isNear(Axis::rows), isNear(Axis::cols)},
                [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  return arith::AndIOp::create(inner, l, in[0], in[1]);
                });
}

Value ImplicitAdjoint::gaugeOf(const Factors &vectors) {
  auto total = [&](Axis axis) {
    return sumOf(axis, {{vectors[axis], {0}}},
                 [](OpBuilder &, Location, ValueRange in) { return in[0]; });
  };
  return d.onBatch(d.accumulate, {total(Axis::rows), total(Axis::cols), count},
                   [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                     Value one = createConstant(inner, l, d.accumulate, 1.0);
                     Value difference =
                         arith::SubFOp::create(inner, l, in[0], in[1]);
                     return arith::DivFOp::create(
                         inner, l, difference,
                         arith::MaximumFOp::create(inner, l, in[2], one));
                   });
}

void ImplicitAdjoint::removeGauge(Factors &vectors, Value amount) {
  for (Axis axis : axes)
    vectors[axis] = onWeights(
        axis, {{amount, {}}}, 0.0,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          if (axis == Axis::rows)
            return arith::SubFOp::create(inner, l, in[1], in[0]);
          return arith::AddFOp::create(inner, l, in[1], in[0]);
        },
        vectors[axis]);
}

Value ImplicitAdjoint::cotangent(Axis axis) {
  Value row = outer.get(op.getRow()), col = outer.get(op.getCol());
  if (!d.isSymmetric())
    return axis == Axis::rows ? row : col;
  if (!row || !col)
    return row ? row : col;
  return d.e.elementwise(
      d.vectorSizes(axis), 1, getElementTypeOrSelf(row),
      {{row, {0}}, {col, {0}}},
      [](OpBuilder &inner, Location l, ValueRange in) -> Value {
        return arith::AddFOp::create(inner, l, in[0], in[1]);
      });
}

void ImplicitAdjoint::makeSystem() {
  for (Axis axis : axes) {
    Value target = d.target(axis);
    SmallVector<EmitterInput> inputs{{sums[axis], {0}}, {factors[axis], {0}}};
    if (target)
      inputs.push_back({target, {0}});
    diagonal[axis] =
        onWeights(axis, inputs, 1.0,
                  [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                    Wanted wanted = wantedSum(inner, l, axis, in[1],
                                              target ? in[2] : Value());
                    if (!wanted.slope)
                      return in[0];
                    return arith::AddFOp::create(inner, l, in[0], wanted.slope);
                  });
    Value given = cotangent(axis);
    if (!given) {
      rightSide[axis] =
          d.e.filled(d.vectorSizes(axis), d.e.scalar(d.accumulate, 0.0));
      continue;
    }
    rightSide[axis] = onWeights(
        axis, {{converged, {}}, {given, {0}}, {factors[axis], {0}}}, 0.0,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value zero = createConstant(inner, l, d.accumulate, 0.0);
          Value value = in[1];
          if (!d.isLog)
            value = arith::MulFOp::create(inner, l, value, in[2]);
          double part =
              (power() == 2 ? 0.5 : 1.0) * (d.isSymmetric() ? 0.5 : 1.0);
          if (part != 1.0)
            value = arith::MulFOp::create(
                inner, l, value, createConstant(inner, l, d.accumulate, part));
          return arith::SelectOp::create(inner, l, in[0], value, zero);
        });
  }
  if (!isSingular())
    return;
  count = d.sum(entries(Axis::rows), entries(Axis::cols));
  removeGauge(rightSide, gaugeOf(rightSide));
}

static Value quotient(OpBuilder &inner, Location l, ValueRange in) {
  return arith::DivFOp::create(inner, l, in[0], in[1]);
}

Value ImplicitAdjoint::eliminated() {
  Value columns =
      d.e.elementwise(d.vectorSizes(Axis::cols), 1, d.accumulate,
                      {{rightSide.col, {0}}, {diagonal.col, {0}}}, quotient);
  return d.e.inPlace(planSums(Axis::rows, columns), 1, {{rightSide.row, {0}}},
                     [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                       return arith::SubFOp::create(inner, l, in[0], in[1]);
                     });
}

Value ImplicitAdjoint::squaredNorm(Value residual) {
  return sumOf(Axis::rows, {{residual, {0}}, {diagonal.row, {0}}},
               [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                 Value square = arith::MulFOp::create(inner, l, in[0], in[0]);
                 return arith::DivFOp::create(inner, l, square, in[1]);
               });
}

std::pair<Value, Value> ImplicitAdjoint::solveRows() {
  Value residual = eliminated();
  Value start = squaredNorm(residual);
  Value goal =
      d.onBatch(d.accumulate, {start},
                [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  // Half the digits that a sum of them has.
                  double bound = d.accumulate.isF64() ? 1e-12 : 1e-6;
                  return arith::MulFOp::create(
                      inner, l, in[0],
                      createConstant(inner, l, d.accumulate, bound * bound));
                });
  Value zeros =
      d.e.filled(d.vectorSizes(Axis::rows), d.e.scalar(d.accumulate, 0.0));
  Value direction =
      d.e.elementwise(d.vectorSizes(Axis::rows), 1, d.accumulate,
                      {{residual, {0}}, {diagonal.row, {0}}}, quotient);
  auto isActive = [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
    return arith::CmpFOp::create(inner, l, arith::CmpFPredicate::OGT, in[0],
                                 in[1]);
  };
  SmallVector<Value> inits{zeros, residual, direction, start, d.e.index(0)};
  auto before = [&](OpBuilder &, Location, ValueRange carried) {
    Value active = d.onBatch(b.getI1Type(), {carried[3], goal}, isActive);
    Value more =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, carried[4],
                              d.e.index(outer.options.maxSolverSteps));
    more = arith::AndIOp::create(b, loc, more, d.e.any(active));
    scf::ConditionOp::create(b, loc, more, carried);
  };
  auto after = [&](OpBuilder &, Location, ValueRange carried) {
    Value x = carried[0], r = carried[1], p = carried[2], square = carried[3];
    Value columns =
        d.e.inPlace(planSums(Axis::cols, p), 1, {{diagonal.col, {0}}},
                    [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                      return arith::DivFOp::create(inner, l, in[1], in[0]);
                    });
    Value image = d.e.inPlace(
        planSums(Axis::rows, columns), 1, {{diagonal.row, {0}}, {p, {0}}},
        [](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value own = arith::MulFOp::create(inner, l, in[0], in[1]);
          return arith::SubFOp::create(inner, l, own, in[2]);
        });
    Value curvature =
        sumOf(Axis::rows, {{p, {0}}, {image, {0}}},
              [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                return arith::MulFOp::create(inner, l, in[0], in[1]);
              });
    // An element that is done stays as it is.
    Value length =
        d.onBatch(d.accumulate, {square, goal, curvature},
                  [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                    Value zero = createConstant(inner, l, d.accumulate, 0.0);
                    Value step = arith::DivFOp::create(inner, l, in[0], in[2]);
                    return arith::SelectOp::create(
                        inner, l, isActive(inner, l, in), step, zero);
                  });
    auto moved = [&](Value vector, Value along, bool add) {
      return d.e.inPlace(
          vector, 1, {{length, {}}, {along, {0}}},
          [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
            Value move = arith::MulFOp::create(inner, l, in[0], in[1]);
            if (add)
              return arith::AddFOp::create(inner, l, in[2], move);
            return arith::SubFOp::create(inner, l, in[2], move);
          });
    };
    x = moved(x, p, /*add=*/true);
    r = moved(r, image, /*add=*/false);
    Value left = squaredNorm(r);
    p = d.e.inPlace(p, 1,
                    {{left, {}}, {square, {}}, {r, {0}}, {diagonal.row, {0}}},
                    [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                      Value zero = createConstant(inner, l, d.accumulate, 0.0);
                      Value some = arith::CmpFOp::create(
                          inner, l, arith::CmpFPredicate::OGT, in[1], zero);
                      Value ratio = arith::SelectOp::create(
                          inner, l, some,
                          arith::DivFOp::create(inner, l, in[0], in[1]), zero);
                      Value own = arith::DivFOp::create(inner, l, in[2], in[3]);
                      Value old = arith::MulFOp::create(inner, l, ratio, in[4]);
                      return arith::AddFOp::create(inner, l, own, old);
                    });
    Value next = arith::AddIOp::create(b, loc, carried[4], d.e.index(1));
    Value kept = linalg::CopyOp::create(b, loc, left, square).getResult(0);
    scf::YieldOp::create(b, loc, ValueRange{x, r, p, kept, next});
  };
  auto loop = scf::WhileOp::create(b, loc, ValueRange(inits).getTypes(), inits,
                                   before, after);
  solved = d.onBatch(b.getI1Type(), {loop.getResult(3), goal, converged},
                     [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                       Value small = arith::CmpFOp::create(
                           inner, l, arith::CmpFPredicate::OLE, in[0], in[1]);
                       return arith::AndIOp::create(inner, l, small, in[2]);
                     });
  return {loop.getResult(0), loop.getResult(3)};
}

void ImplicitAdjoint::solve() {
  solution.row = solveRows().first;
  solution.col =
      d.e.inPlace(planSums(Axis::cols, solution.row), 1,
                  {{rightSide.col, {0}}, {diagonal.col, {0}}},
                  [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                    Value rest = arith::SubFOp::create(inner, l, in[0], in[2]);
                    return arith::DivFOp::create(inner, l, rest, in[1]);
                  });
  for (Axis axis : axes)
    solution[axis] = onWeights(
        axis, {{solved, {}}}, 0.0,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value zero = createConstant(inner, l, d.accumulate, 0.0);
          return arith::SelectOp::create(inner, l, in[0], in[1], zero);
        },
        solution[axis]);
  if (isSingular())
    removeGauge(solution, gaugeOf(solution));
}

LogicalResult ImplicitAdjoint::unroll() {
  for (Value result : {op.getRow(), op.getCol()})
    if (Value given = outer.get(result)) {
      auto type = cast<RankedTensorType>(given.getType());
      SmallVector<int64_t, 2> tail{0};
      Value rest = d.e.elementwise(
          tensor::getMixedSizes(b, loc, given), 1, type.getElementType(),
          {{solved, {}}, {given, tail}},
          [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
            Value zero = createConstant(inner, l, in[1].getType(), 0.0);
            return arith::SelectOp::create(inner, l, in[0], zero, in[1]);
          });
      outer.set(result, rest);
    }
  return differentiateUnrolled(outer, op, solved);
}

Value ImplicitAdjoint::addMatrixAdjoint(Value matrix, const Factors &own,
                                        const Factors &solved, Value out) {
  SmallVector<MappedTensor> inputs = planInputs(matrix, own);
  inputs.push_back(mapped(solved.row, {0}, batchOf(own)));
  inputs.push_back(mapped(solved.col, {1}, batchOf(own)));
  return sumInto(b, loc, out, inputs[0].map, inputs,
                 [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                   Value both = arith::AddFOp::create(inner, l, in[3], in[4]);
                   Value entry = planSlope(inner, l, in);
                   // Nothing, of an element without a solution.
                   Value zero = createConstant(inner, l, d.accumulate, 0.0);
                   Value none = arith::CmpFOp::create(
                       inner, l, arith::CmpFPredicate::OEQ, both, zero);
                   Value product = arith::MulFOp::create(inner, l, entry, both);
                   Value term = arith::NegFOp::create(inner, l, product);
                   return arith::SelectOp::create(inner, l, none, zero, term);
                 });
}

LogicalResult ImplicitAdjoint::addToPoints() {
  SmallVector<Value> init;
  for (Value source : blocks->getSources())
    if (outer.isActive(source))
      init.push_back(TensorAdjoint(b).getOrZero(loc, source));
  bool ok = true;
  SmallVector<Value> found = blocks->forEach(
      init, [&](const MatrixBlocks::Block &block, ValueRange carried) {
        Value matrix = block.matrices.lookup(d.matrix);
        Value adjoint = addMatrixAdjoint(
            matrix, partOf(factors, block), partOf(solution, block),
            TensorAdjoint(b).getOrZero(loc, matrix));
        SmallVector<Value> sources, out;
        size_t next = 0;
        for (Value source : blocks->getSources())
          sources.push_back(outer.isActive(source) ? carried[next++] : Value());
        ok &= succeeded(blocks->addToSources(block, adjoint, sources));
        llvm::copy_if(sources, std::back_inserter(out),
                      [](Value value) { return value != nullptr; });
        return out;
      });
  size_t next = 0;
  for (Value source : blocks->getSources())
    if (outer.isActive(source))
      outer.add(loc, source, found[next++]);
  return success(ok);
}

LogicalResult ImplicitAdjoint::addGradients() {
  if (blocks) {
    if (failed(addToPoints()))
      return failure();
  } else if (outer.isActive(d.matrix)) {
    outer.set(d.matrix, addMatrixAdjoint(d.matrix, factors, solution,
                                         outer.getOrZero(loc, d.matrix)));
  }
  for (Axis axis : axes) {
    Value target = d.target(axis);
    if (!target || !outer.isActive(target))
      continue;
    Value part = onWeights(
        axis, {{solution[axis], {0}}, {factors[axis], {0}}, {target, {0}}}, 0.0,
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value slope = wantedSum(inner, l, axis, in[1], in[2]).byTarget;
          Value zero = createConstant(inner, l, d.accumulate, 0.0);
          Value none = arith::CmpFOp::create(
              inner, l, arith::CmpFPredicate::OEQ, in[0], zero);
          Value product = arith::MulFOp::create(inner, l, in[0], slope);
          return arith::SelectOp::create(inner, l, none, zero, product);
        });
    int64_t kept = axis == Axis::rows ? 0 : 1;
    auto vectorMap = [&](Value value) {
      AffineMap map = mapped(value, {kept}, batchRank).map;
      AffineExpr own = b.getAffineDimExpr(batchRank);
      SmallVector<AffineExpr> places(map.getResults());
      places.back() = own;
      return AffineMap::get(batchRank + 1, 0, places, b.getContext());
    };
    outer.accumulate(
        loc, target, vectorMap(target), MappedTensor{part, vectorMap(part)},
        [](OpBuilder &, Location, ValueRange in) { return in[0]; });
  }
  return success();
}

LogicalResult ImplicitAdjoint::run() {
  for (Axis axis : axes)
    if (failed(verify(axis)))
      return failure();
  if (getElementTypeOrSelf(d.matrix) == d.accumulate)
    blocks = MatrixBlocks::create(b, loc, d.matrix, d.batchSizes);
  judge();
  makeSystem();
  solve();
  if (failed(unroll()))
    return failure();
  if (failed(addGradients()))
    return failure();
  outer.reports.push_back(d.onBatch(
      b.getI32Type(), {converged, solved},
      [](OpBuilder &inner, Location l, ValueRange in) -> Value {
        auto code = [&](Taken taken) -> Value {
          return arith::ConstantOp::create(
              inner, l, inner.getI32IntegerAttr(static_cast<int>(taken)));
        };
        Value otherwise = arith::SelectOp::create(
            inner, l, in[0], code(Taken::notSolved), code(Taken::notConverged));
        return arith::SelectOp::create(inner, l, in[1], code(Taken::implicit),
                                       otherwise);
      }));
  return success();
}

LogicalResult scaling::differentiateImplicitly(TensorAdjoint &adjoint,
                                               IterateOp op) {
  return ImplicitAdjoint(adjoint, op).run();
}
