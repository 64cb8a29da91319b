//===- Arithmetic.h - The arithmetic of entries and factors -----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Builders both lowerings share, on scalars as on vectors: what an entry of the
// scaled matrix is, and what a rule makes of a statistic.
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_UTILS_ARITHMETIC_H
#define SCALING_DIALECT_SCALING_UTILS_ARITHMETIC_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

namespace mlir::scaling {

/// A float constant of the scalar or vector type.
Value createConstant(OpBuilder &builder, Location loc, Type type, double value);

/// `value` in the element type of `accumulate` (a scalar float type), keeping a
/// vector's shape.
Value castFloat(OpBuilder &builder, Location loc, Value value, Type accumulate);

/// The entry of a matrix as a statistic sees it: times `scale`, then times the
/// factor in the kernel domain or plus it in the log domain. Null values are
/// left out.
Value createScaledEntry(OpBuilder &builder, Location loc, bool isLog,
                        Value entry, Value factor, Value scale);

/// The entry of the plan, or its logarithm. All but `entry` may be null. An
/// entry whose row or column factor is zero is exactly zero. Exponents are
/// rounded to `narrow` (null: they are not), which is the type of the result.
Value createPlanEntry(OpBuilder &builder, Location loc, bool isLog,
                      bool logarithm, Value entry, Value row, Value col,
                      Value rowWeight, Value colWeight,
                      FloatType narrow = nullptr);

/// What a row or column adds to the dual value besides its entries: a (F − log
/// a) with F the logarithm of the factor, 0 where the marginal a is 0.
Value createDualTerm(OpBuilder &builder, Location loc, bool isLog,
                     Value marginal, Value factor);

/// 2^floor(log2 x) for a normal x > 0, exactly: the mantissa is cleared.
Value createPowerOfTwoBelow(OpBuilder &builder, Location loc, Value x);

struct Updated {
  Value factor;
  /// σ of the factors before the update, without limit and rounding.
  Value planStatistic;
};

/// Applies a rule (`docs/semantics.md`, "The rule"). `target` null means 1;
/// `mask` null means all take part, `omega` null means 1.
Updated createUpdate(OpBuilder &builder, Location loc, RuleAttr rule,
                     Domain domain, ValueRange states, Value own, Value target,
                     Value mask, Value omega = Value());

} // namespace mlir::scaling

#endif // SCALING_DIALECT_SCALING_UTILS_ARITHMETIC_H
