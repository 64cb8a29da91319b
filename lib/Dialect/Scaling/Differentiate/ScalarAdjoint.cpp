//===- ScalarAdjoint.cpp - Derivatives of scalar code ---------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ScalarAdjoint.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::scaling;

Value ScalarAdjoint::constant(Type type, double value) {
  return createConstant(b, loc, type, value);
}

Value ScalarAdjoint::times(Value adjoint, Value derivative) {
  Value zero = constant(adjoint.getType(), 0.0);
  Value none =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, adjoint, zero);
  Value product = arith::MulFOp::create(b, loc, adjoint, derivative);
  return arith::SelectOp::create(b, loc, none, zero, product);
}

Value ScalarAdjoint::onlyIf(Value condition, Value adjoint) {
  return arith::SelectOp::create(b, loc, condition, adjoint,
                                 constant(adjoint.getType(), 0.0));
}

void ScalarAdjoint::add(Value value, Value adjoint) {
  if (!isa<FloatType>(value.getType()))
    return;
  if (Operation *op = value.getDefiningOp())
    if (op->hasTrait<OpTrait::ConstantLike>())
      return;
  Value &sum = adjoints[value];
  sum = sum ? arith::AddFOp::create(b, loc, sum, adjoint).getResult() : adjoint;
}

Operation *ScalarAdjoint::run(ArrayRef<Operation *> ops) {
  for (Operation *op : llvm::reverse(ops)) {
    if (op->getNumResults() != 1)
      continue;
    Value adjoint = get(op->getResult(0));
    if (adjoint && failed(differentiate(op, adjoint)))
      return op;
  }
  return nullptr;
}

LogicalResult ScalarAdjoint::differentiate(Operation *op, Value g) {
  using Result = LogicalResult;
  Value y = op->getResult(0);
  auto greater = [&](arith::CmpFPredicate predicate, Value a,
                     Value c) -> Value {
    return arith::CmpFOp::create(b, loc, predicate, a, c);
  };
  // The larger (smaller) of both, the first one among equals.
  auto extreme = [&](Value a, Value c, arith::CmpFPredicate isFirst) -> Result {
    Value first = greater(isFirst, a, c);
    add(a, onlyIf(first, g));
    Value zero = constant(g.getType(), 0.0);
    add(c, arith::SelectOp::create(b, loc, first, zero, g));
    return success();
  };
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case<arith::AddFOp>([&](auto sum) -> Result {
        add(sum.getLhs(), g);
        add(sum.getRhs(), g);
        return success();
      })
      .Case<arith::SubFOp>([&](auto difference) -> Result {
        add(difference.getLhs(), g);
        add(difference.getRhs(), arith::NegFOp::create(b, loc, g));
        return success();
      })
      .Case<arith::NegFOp>([&](auto negation) -> Result {
        add(negation.getOperand(), arith::NegFOp::create(b, loc, g));
        return success();
      })
      .Case<arith::MulFOp>([&](auto product) -> Result {
        add(product.getLhs(), times(g, product.getRhs()));
        add(product.getRhs(), times(g, product.getLhs()));
        return success();
      })
      .Case<arith::DivFOp>([&](auto quotient) -> Result {
        Value one = constant(g.getType(), 1.0);
        Value inverse = arith::DivFOp::create(b, loc, one, quotient.getRhs());
        Value scaled = times(g, inverse);
        add(quotient.getLhs(), scaled);
        add(quotient.getRhs(), arith::NegFOp::create(b, loc, times(scaled, y)));
        return success();
      })
      .Case<math::FmaOp>([&](auto fma) -> Result {
        add(fma.getA(), times(g, fma.getB()));
        add(fma.getB(), times(g, fma.getA()));
        add(fma.getC(), g);
        return success();
      })
      .Case<arith::MaximumFOp, arith::MaxNumFOp>([&](auto larger) -> Result {
        return extreme(larger.getLhs(), larger.getRhs(),
                       arith::CmpFPredicate::OGE);
      })
      .Case<arith::MinimumFOp, arith::MinNumFOp>([&](auto smaller) -> Result {
        return extreme(smaller.getLhs(), smaller.getRhs(),
                       arith::CmpFPredicate::OLE);
      })
      .Case<arith::SelectOp>([&](auto select) -> Result {
        Value condition = select.getCondition();
        Value zero = constant(g.getType(), 0.0);
        add(select.getTrueValue(), onlyIf(condition, g));
        add(select.getFalseValue(),
            arith::SelectOp::create(b, loc, condition, zero, g));
        return success();
      })
      .Case<scf::IfOp>([&](auto branch) -> Result {
        // Values of a branch's own have no derivative outside of it.
        Value condition = branch.getCondition();
        Value zero = constant(g.getType(), 0.0);
        Value taken = branch.thenYield().getOperand(0);
        Value other = branch.elseYield().getOperand(0);
        if (taken.getParentBlock() != branch.thenBlock())
          add(taken, onlyIf(condition, g));
        if (other.getParentBlock() != branch.elseBlock())
          add(other, arith::SelectOp::create(b, loc, condition, zero, g));
        return success();
      })
      .Case<arith::ExtFOp, arith::TruncFOp>([&](auto cast) -> Result {
        add(cast.getIn(), castFloat(b, loc, g, cast.getIn().getType()));
        return success();
      })
      .Case<math::ExpOp>([&](auto exp) -> Result {
        add(exp.getOperand(), times(g, y));
        return success();
      })
      .Case<math::Exp2Op>([&](auto exp) -> Result {
        Value ln2 = constant(g.getType(), llvm::numbers::ln2);
        add(exp.getOperand(), arith::MulFOp::create(b, loc, times(g, y), ln2));
        return success();
      })
      .Case<math::LogOp>([&](auto log) -> Result {
        Value one = constant(g.getType(), 1.0);
        add(log.getOperand(),
            times(g, arith::DivFOp::create(b, loc, one, log.getOperand())));
        return success();
      })
      .Case<math::Log2Op>([&](auto log) -> Result {
        Value scale = constant(g.getType(), llvm::numbers::log2e);
        add(log.getOperand(),
            times(g, arith::DivFOp::create(b, loc, scale, log.getOperand())));
        return success();
      })
      .Case<math::SqrtOp>([&](auto root) -> Result {
        // Of nothing, as of all zeros: no direction is better than another.
        Value zero = constant(g.getType(), 0.0);
        Value half = constant(g.getType(), 0.5);
        Value none =
            arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, y, zero);
        Value slope = times(g, arith::DivFOp::create(b, loc, half, y));
        add(root.getOperand(),
            arith::SelectOp::create(b, loc, none, zero, slope));
        return success();
      })
      .Case<math::AbsFOp>([&](auto magnitude) -> Result {
        Value zero = constant(g.getType(), 0.0), x = magnitude.getOperand();
        Value positive = greater(arith::CmpFPredicate::OGT, x, zero);
        Value negative = greater(arith::CmpFPredicate::OLT, x, zero);
        Value flipped = arith::NegFOp::create(b, loc, g);
        add(x, arith::SelectOp::create(b, loc, positive, g,
                                       onlyIf(negative, flipped)));
        return success();
      })
      .Case<math::PowFOp>([&](auto power) -> Result {
        Value x = power.getLhs(), exponent = power.getRhs();
        Value one = constant(g.getType(), 1.0);
        Value less = arith::SubFOp::create(b, loc, exponent, one);
        Value lower = math::PowFOp::create(b, loc, x, less);
        add(x, times(g, arith::MulFOp::create(b, loc, exponent, lower)));
        Value log = math::LogOp::create(b, loc, x);
        add(exponent, times(times(g, y), log));
        return success();
      })
      // Steps are flat.
      .Case<math::TruncOp, math::FloorOp, math::CeilOp, math::RoundEvenOp,
            arith::SIToFPOp, arith::UIToFPOp>(
          [](auto) -> Result { return success(); })
      .Default([](Operation *) -> Result { return failure(); });
}
