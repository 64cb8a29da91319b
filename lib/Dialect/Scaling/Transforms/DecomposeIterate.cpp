//===- DecomposeIterate.cpp - iterate to half-steps -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

IterateDecomposer::IterateDecomposer(OpBuilder &builder, IterateOp op)
    : b(builder), op(op), loc(op.getLoc()), e(builder, loc),
      domain(op.getNumerics().getDomain()), isLog(op.getNumerics().isLog()),
      accumulate(op.getAccumulateType()), stop(op.getStop()),
      matrix(op.getMatrix()), targets{op.getRowTarget(), op.getColTarget()},
      masks{op.getRowMask(), op.getColMask()} {
  SmallVector<BatchedOperand> operands = getBatchedOperands(op);
  ProblemShape shape = *inferProblemShape(operands, "", nullptr);
  for (int64_t i = 0, end = shape.batch.size(); i < end; ++i)
    batchSizes.push_back(getBatchSize(b, loc, operands, shape, i));
  rows = getProblemSize(b, loc, operands, shape, Size::rows);
  cols = getProblemSize(b, loc, operands, shape, Size::cols);
  if (isSymmetric()) {
    (isa<Attribute>(rows) ? cols : rows) = isa<Attribute>(rows) ? rows : cols;
    targets.col = targets.row;
    masks.col = masks.row;
  }
}

IterateDecomposer::Outcome IterateDecomposer::iterate(bool mayAbsorb) {
  if (mayAbsorb && canAbsorb())
    return absorb();
  reader = MarginalsReader::create(e, op);
  switch (stop.getMode()) {
  case StopMode::fixed:
    return op.getAnneal() ? annealed() : fixed();
  case StopMode::until:
    return until();
  case StopMode::best:
    return best();
  }
  llvm_unreachable("a way of stopping");
}

SmallVector<Operation *> IterateDecomposer::getPlans() {
  SmallVector<Operation *> plans;
  for (Operation *user : op.getRow().getUsers()) {
    auto isPlan = [&](auto plan) {
      return plan && plan.getMatrix() == op.getMatrix() &&
             plan.getRow() == op.getRow() && plan.getCol() == op.getCol() &&
             plan.getDomain() != Domain::kernel;
    };
    if (isPlan(dyn_cast<PlanOp>(user)) || isPlan(dyn_cast<ApplyOp>(user)))
      plans.push_back(user);
  }
  return plans;
}

IterateDecomposer::KernelPlan IterateDecomposer::kernelPlan(const Outcome &out,
                                                            Value diverged) {
  SmallVector<Value> kept{out.kernel, out.kernelFactors.row,
                          out.kernelFactors.col};
  auto choose = [](OpBuilder &inner, Location l, ValueRange in) -> Value {
    return arith::SelectOp::create(inner, l, in[0], in[1], in[2]);
  };
  auto plan = scf::IfOp::create(
      b, loc, e.any(diverged),
      [&](OpBuilder &, Location) {
        // Alone, the element's kernel is written over.
        bool alone = batchSizes.empty();
        Value into = out.kernel;
        if (!alone) {
          Sizes sizes(batchSizes);
          sizes.append({rows, cols});
          into = e.empty(sizes, accumulate);
        }
        Value kernel = PlanOp::create(b, loc, into.getType(), matrix, start.row,
                                      start.col, Value(), Value(), into, domain,
                                      /*logarithm=*/false, DenseI64ArrayAttr())
                           .getResult();
        if (!alone)
          kernel = e.inPlace(out.kernel, 2, {{diverged, {}}, {kernel, {0, 1}}},
                             choose);
        Value one = e.scalar(accumulate, 1.0);
        SmallVector<Value> yielded{kernel};
        for (Axis axis : {Axis::rows, Axis::cols})
          yielded.push_back(e.inPlace(
              out.kernelFactors[axis], 1, {{diverged, {}}},
              [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                return arith::SelectOp::create(inner, l, in[0], one, in[1]);
              }));
        scf::YieldOp::create(b, loc, yielded);
      },
      [&](OpBuilder &, Location) { scf::YieldOp::create(b, loc, kept); });
  KernelPlan result{
      plan.getResult(0), {plan.getResult(1), plan.getResult(2)}, {}};
  for (Axis axis : {Axis::rows, Axis::cols})
    result.logarithms[axis] = e.elementwise(
        vectorSizes(axis), 1, b.getF64Type(),
        {{diverged, {}}, {start[axis], {0}}, {out.logarithms[axis], {0}}},
        [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
          Value first = castFloat(inner, l, in[1], b.getF64Type());
          return arith::SelectOp::create(inner, l, in[0], first, in[2]);
        });
  return result;
}

SmallVector<Value> IterateDecomposer::run(bool mayAbsorb) {
  start = startFactors();
  Outcome out = iterate(mayAbsorb);
  // Divergence: the start factors come out, and the residual says so.
  Value diverged = out.diverged ? out.diverged : notFinite(out.factors);
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
  if (out.kernel && !getPlans().empty())
    plan = kernelPlan(out, marked);
  SmallVector<Value> results{out.factors.row, out.factors.col, out.steps,
                             out.residual, out.status};
  // Static sizes known only from another operand: cast to the op's types.
  for (auto [value, type] : llvm::zip_equal(results, op->getResultTypes()))
    if (value.getType() != type)
      value = tensor::CastOp::create(b, loc, type, value);
  return results;
}

/// The plan of a kernel instead of that of the matrix it was made from; what
/// is no plan but its logarithm gets all digits of the factors.
static void readKernel(RewriterBase &rewriter, Operation *op,
                       const IterateDecomposer::KernelPlan &plan) {
  rewriter.modifyOpInPlace(op, [&] {
    auto take = [&](auto user, Value matrix, const Factors &factors) {
      user.getMatrixMutable().assign(matrix);
      user.getRowMutable().assign(factors.row);
      user.getColMutable().assign(factors.col);
    };
    if (auto apply = dyn_cast<ApplyOp>(op)) {
      take(apply, plan.kernel, plan.factors);
      return apply.setDomain(Domain::kernel);
    }
    auto whole = cast<PlanOp>(op);
    if (whole.getLogarithm())
      return take(whole, whole.getMatrix(), plan.logarithms);
    take(whole, plan.kernel, plan.factors);
    whole.setDomain(Domain::kernel);
    // The kernel's memory is the plan's, where its type is.
    if (whole.getOuts().getType() == plan.kernel.getType())
      whole.getOutsMutable().assign(plan.kernel);
  });
}

FailureOr<SmallVector<Value>> scaling::decomposeIterate(OpBuilder &builder,
                                                        IterateOp op) {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op);
  return IterateDecomposer(builder, op).run(/*mayAbsorb=*/false);
}

namespace {
struct DecomposeIteratePattern : OpRewritePattern<IterateOp> {
  DecomposeIteratePattern(MLIRContext *context, bool absorb)
      : OpRewritePattern(context), absorb(absorb) {}
  LogicalResult matchAndRewrite(IterateOp op,
                                PatternRewriter &rewriter) const override {
    IterateDecomposer decomposer(rewriter, op);
    SmallVector<Operation *> plans = decomposer.getPlans();
    SmallVector<Value> results = decomposer.run(absorb);
    if (decomposer.plan)
      for (Operation *user : plans)
        readKernel(rewriter, user, *decomposer.plan);
    rewriter.replaceOp(op, results);
    return success();
  }

  bool absorb;
};
} // namespace

void scaling::populateDecomposePatterns(RewritePatternSet &patterns,
                                        bool absorb) {
  patterns.add<DecomposeIteratePattern>(patterns.getContext(), absorb);
}
