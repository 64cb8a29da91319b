//===- Arithmetic.cpp - The arithmetic of entries and factors ---*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::scaling;

static constexpr double kInfinity = std::numeric_limits<double>::infinity();

Value scaling::createConstant(OpBuilder &builder, Location loc, Type type,
                              double value) {
  auto element = cast<FloatType>(getElementTypeOrSelf(type));
  TypedAttr attr = builder.getFloatAttr(element, value);
  if (auto shaped = dyn_cast<ShapedType>(type))
    attr = DenseElementsAttr::get(shaped, attr);
  return arith::ConstantOp::create(builder, loc, attr);
}

Value scaling::castFloat(OpBuilder &builder, Location loc, Value value,
                         Type accumulate) {
  Type from = getElementTypeOrSelf(value);
  if (from == accumulate)
    return value;
  Type to = accumulate;
  if (auto shaped = dyn_cast<ShapedType>(value.getType()))
    to = shaped.clone(accumulate);
  if (from.getIntOrFloatBitWidth() < accumulate.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(builder, loc, to, value);
  return arith::TruncFOp::create(builder, loc, to, value);
}

namespace {
/// Elementwise arithmetic on one type.
class Elementwise {
public:
  Elementwise(OpBuilder &builder, Location loc, Type type)
      : builder(builder), loc(loc), type(type) {}

  Value constant(double value) {
    return createConstant(builder, loc, type, value);
  }
  Value add(Value a, Value b) {
    return arith::AddFOp::create(builder, loc, a, b);
  }
  Value sub(Value a, Value b) {
    return arith::SubFOp::create(builder, loc, a, b);
  }
  Value mul(Value a, Value b) {
    return arith::MulFOp::create(builder, loc, a, b);
  }
  Value div(Value a, Value b) {
    return arith::DivFOp::create(builder, loc, a, b);
  }
  Value max(Value a, Value b) {
    return arith::MaximumFOp::create(builder, loc, a, b);
  }
  Value min(Value a, Value b) {
    return arith::MinimumFOp::create(builder, loc, a, b);
  }
  Value exp(Value a) { return math::ExpOp::create(builder, loc, a); }
  Value log(Value a) { return math::LogOp::create(builder, loc, a); }
  Value select(Value condition, Value a, Value b) {
    return arith::SelectOp::create(builder, loc, condition, a, b);
  }
  Value compare(arith::CmpFPredicate predicate, Value a, Value b) {
    return arith::CmpFOp::create(builder, loc, predicate, a, b);
  }
  Value equal(Value a, double b) {
    return compare(arith::CmpFPredicate::OEQ, a, constant(b));
  }
  Value either(Value a, Value b) {
    if (!a || !b)
      return a ? a : b;
    return arith::OrIOp::create(builder, loc, a, b);
  }
  /// base^exponent for base ≥ 0.
  Value power(Value base, double exponent) {
    if (exponent == 1.0)
      return base;
    if (exponent == 0.5)
      return math::SqrtOp::create(builder, loc, base);
    return math::PowFOp::create(builder, loc, base, constant(exponent));
  }

private:
  OpBuilder &builder;
  Location loc;
  Type type;
};
} // namespace

Value scaling::createScaledEntry(OpBuilder &builder, Location loc, bool isLog,
                                 Value entry, Value factor, Value scale) {
  if (scale)
    entry = arith::MulFOp::create(builder, loc, entry, scale);
  if (!factor)
    return entry;
  if (isLog)
    return arith::AddFOp::create(builder, loc, entry, factor);
  return arith::MulFOp::create(builder, loc, entry, factor);
}

Value scaling::createPlanEntry(OpBuilder &builder, Location loc, bool isLog,
                               bool logarithm, Value entry, Value row,
                               Value col, Value rowWeight, Value colWeight,
                               FloatType narrow) {
  Elementwise e(builder, loc, entry.getType());
  auto rounded = [&](Value value) {
    return narrow ? castFloat(builder, loc, value, narrow) : value;
  };
  double none = isLog ? -kInfinity : 0.0;
  // Zero factors win over whatever the matrix holds: 0·∞ and −∞ + ∞ are NaN.
  Value zero;
  for (Value factor : {row, col})
    if (factor)
      zero = e.either(zero, e.equal(factor, none));
  Value value = entry;
  if (isLog) {
    if (row)
      value = e.add(row, value);
    if (col)
      value = e.add(value, col);
    if (!logarithm)
      value = e.exp(rounded(value));
  } else {
    if (row)
      value = e.mul(row, value);
    if (col)
      value = e.mul(value, col);
    if (logarithm)
      value = e.log(value);
  }
  value = rounded(value);
  if (zero)
    value = e.select(zero,
                     createConstant(builder, loc, value.getType(),
                                    logarithm ? -kInfinity : 0.0),
                     value);
  for (Value weight : {rowWeight, colWeight})
    if (weight)
      value = e.mul(rounded(weight), value);
  return value;
}

namespace {
/// The operations a rule is made of, in one of the two domains. In the kernel
/// domain values are what they are; in the log domain their logarithms.
class RuleArithmetic {
public:
  RuleArithmetic(Elementwise e, bool isLog) : e(e), isLog(isLog) {}

  Value constant(double value) {
    return e.constant(isLog ? std::log(value) : value);
  }
  Value times(Value a, Value b) { return isLog ? e.add(a, b) : e.mul(a, b); }
  Value over(Value a, Value b) { return isLog ? e.sub(a, b) : e.div(a, b); }
  Value plus(Value a, double b) {
    if (!isLog)
      return e.add(a, e.constant(b));
    // log(exp a + b), taken from the larger of the two.
    Value logB = e.constant(std::log(b));
    Value high = e.max(a, logB);
    Value low = e.min(a, logB);
    Value ratio = e.exp(e.sub(low, high));
    return e.add(high, e.log(e.add(e.constant(1.0), ratio)));
  }
  Value power(Value base, Value exponent) {
    if (isLog)
      return e.mul(base, exponent);
    return e.exp(e.mul(e.log(base), exponent));
  }
  Value power(Value base, double exponent) {
    if (exponent == 1.0)
      return base;
    return isLog ? e.mul(base, e.constant(exponent)) : e.power(base, exponent);
  }
  Value atLeast(Value a, double bound) {
    return bound > 0 ? e.max(a, constant(bound)) : a;
  }
  Value within(Value a, double low, double high) {
    a = atLeast(a, low);
    return std::isinf(high) ? a : e.min(a, constant(high));
  }
  /// σ < low becomes below, σ > high becomes high.
  Value limited(Value sigma, ArrayRef<Number> limit) {
    double low = limit[0], high = limit[1], below = limit[2];
    Value isBelow = e.compare(arith::CmpFPredicate::OLT, sigma, constant(low));
    Value capped = std::isinf(high) ? sigma : e.min(sigma, constant(high));
    return e.select(isBelow, constant(below), capped);
  }

private:
  Elementwise e;
  bool isLog;
};
} // namespace

Value scaling::createDualTerm(OpBuilder &builder, Location loc, bool isLog,
                              Value marginal, Value factor) {
  if (!isLog)
    factor = math::LogOp::create(builder, loc, factor);
  Value zero = createConstant(builder, loc, marginal.getType(), 0.0);
  Value isZero = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OEQ,
                                       marginal, zero);
  // The marginals are inside the factors.
  Value density = arith::SubFOp::create(
      builder, loc, factor, math::LogOp::create(builder, loc, marginal));
  Value term = arith::MulFOp::create(builder, loc, marginal, density);
  return arith::SelectOp::create(builder, loc, isZero, zero, term);
}

Value scaling::createPowerOfTwoBelow(OpBuilder &builder, Location loc,
                                     Value x) {
  Type type = x.getType();
  auto element = cast<FloatType>(getElementTypeOrSelf(type));
  unsigned width = element.getWidth();
  unsigned mantissa = element.getFPMantissaWidth() - 1;
  Type bitsType = builder.getIntegerType(width);
  APInt keep = APInt::getBitsSet(width, mantissa, width);
  TypedAttr keepAttr = builder.getIntegerAttr(bitsType, keep);
  if (auto shaped = dyn_cast<ShapedType>(type)) {
    auto bitsShaped = shaped.clone(bitsType);
    keepAttr = DenseElementsAttr::get(bitsShaped, keep);
    bitsType = bitsShaped;
  }
  Value bits = arith::BitcastOp::create(builder, loc, bitsType, x);
  Value mask = arith::ConstantOp::create(builder, loc, keepAttr);
  return arith::BitcastOp::create(
      builder, loc, type, arith::AndIOp::create(builder, loc, bits, mask));
}

/// 2^trunc(log2 x) for a normal x > 0, exactly: below one, where truncation
/// goes up, the power above is taken.
static Value roundToPowerOfTwo(OpBuilder &builder, Location loc, Value x) {
  Elementwise e(builder, loc, x.getType());
  Value power = createPowerOfTwoBelow(builder, loc, x);
  Value isPower = e.compare(arith::CmpFPredicate::OEQ, power, x);
  Value atLeastOne = e.compare(arith::CmpFPredicate::OGE, x, e.constant(1.0));
  return e.select(e.either(isPower, atLeastOne), power,
                  e.mul(power, e.constant(2.0)));
}

Updated scaling::createUpdate(OpBuilder &builder, Location loc, RuleAttr rule,
                              Domain domain, ValueRange states, Value own,
                              Value target, Value mask, Value omega) {
  bool isLog = domain != Domain::kernel;
  Type type = own.getType();
  Elementwise e(builder, loc, type);
  RuleArithmetic r(e, isLog);
  StatisticAttrInterface stat = rule.getReducedStat(domain);
  Value statistic = stat.finalize(builder, loc, states);

  Value goal; // t, or log t
  if (!target)
    goal = r.constant(1.0);
  else
    goal = isLog ? e.log(target) : target;

  // σ = h^d · s. A zero factor makes it zero, also where s is infinite.
  double none = isLog ? -kInfinity : 0.0;
  Value plain = statistic;
  for (unsigned i = 0; i < stat.getDegree(); ++i)
    plain = r.times(own, plain);
  Value ownIsZero = e.equal(own, none);
  Value sigma = e.select(ownIsZero, e.constant(none), plain);

  Value limited = sigma;
  if (!rule.getLimit().empty())
    limited = r.limited(limited, rule.getLimit());
  if (rule.getRoundPow2())
    limited = roundToPowerOfTwo(builder, loc, limited);

  Value next;
  switch (rule.getGuard()) {
  case Guard::none:
    // h·t/(h·s) = t/s: fewer roundings, and a zero factor recovers.
    if (rule.getExponent() == 1.0 && stat.getDegree() == 1 &&
        rule.getLimit().empty() && !rule.getRoundPow2())
      next = r.over(goal, statistic);
    else
      next = r.times(own, r.power(r.over(goal, limited), rule.getExponent()));
    break;
  case Guard::add_plan:
    // h/(h·s + ε) where t is one: a division alone, of which lanes with a zero
    // factor are not a part.
    if (!isLog && !target && rule.getExponent() == 1.0 &&
        rule.getLimit().empty() && !rule.getRoundPow2()) {
      Value plan = e.add(plain, e.constant(rule.getGuardEps()));
      next = e.select(ownIsZero, e.constant(0.0), e.div(own, plan));
      break;
    }
    next =
        r.times(own, r.power(r.over(goal, r.plus(limited, rule.getGuardEps())),
                             rule.getExponent()));
    break;
  case Guard::clamp_plan:
    next = r.times(own,
                   r.power(r.over(goal, r.atLeast(limited, rule.getGuardEps())),
                           rule.getExponent()));
    break;
  case Guard::add_kernel:
    next = r.over(goal, r.plus(statistic, rule.getGuardEps()));
    break;
  }

  if (ArrayRef<Number> step = rule.getStep(); !step.empty())
    next = r.times(own, r.within(r.over(next, own), step[0], step[1]));
  if (double tau = rule.getTau(); tau != 1.0) {
    next = r.power(next, tau);
    if (rule.getReference() == Reference::product)
      next = r.times(next, r.power(goal, 1.0 - tau));
  }
  if (double omega = rule.getOmega(); omega != 1.0) {
    // A factor of zero weight has nothing to be averaged with.
    Value mixed = r.times(r.power(own, 1.0 - omega), r.power(next, omega));
    next = e.select(ownIsZero, next, mixed);
  }
  if (ArrayRef<Number> clamp = rule.getClamp(); !clamp.empty())
    next = r.within(next, clamp[0], clamp[1]);

  if (omega) {
    Value mixed = r.times(own, r.power(r.over(next, own), omega));
    Value stays = e.either(ownIsZero, e.equal(omega, 1.0));
    next = e.select(stays, next, mixed);
  }

  // Without support there is nothing to scale: the factor stays.
  if (rule.getGuard() == Guard::none && rule.getLimit().empty())
    next = e.select(e.equal(statistic, none), own, next);
  // Zero weight: exactly zero.
  Value zero;
  if (target)
    zero = e.equal(target, 0.0);
  if (mask) {
    Value trueValue = arith::ConstantOp::create(
        builder, loc,
        isa<ShapedType>(mask.getType())
            ? cast<TypedAttr>(DenseElementsAttr::get(
                  cast<ShapedType>(mask.getType()), true))
            : cast<TypedAttr>(builder.getBoolAttr(true)));
    zero = e.either(zero, arith::XOrIOp::create(builder, loc, mask, trueValue));
  }
  if (zero)
    next = e.select(zero, e.constant(none), next);
  return {next, isLog ? e.exp(sigma) : sigma};
}
