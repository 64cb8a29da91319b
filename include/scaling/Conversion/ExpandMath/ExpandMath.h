//===- ExpandMath.h - Elementary functions as arithmetic --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EXPANDMATH_EXPANDMATH_H
#define SCALING_CONVERSION_EXPANDMATH_EXPANDMATH_H

#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGEXPANDMATHPASS
#include "scaling/Conversion/ExpandMath/ExpandMath.h.inc"

/// True for the types the functions below take: f64, f32, f16, bf16, and
/// vectors of them (of any rank, scalable or not).
bool isExpandableMathType(Type type);

/// Each emits the function of `x` as arithmetic, with the accuracy the pass
/// documents. The operands' type must be expandable; f16 and bf16 are extended
/// to f32, and truncated again. With `useScalef`, as with the pass's option of
/// that name, vectors of rank 1 that fill registers use AVX-512's scalef; all
/// others are expanded as without.
Value buildExp2(OpBuilder &builder, Location loc, Value x,
                bool useScalef = false);
Value buildExp(OpBuilder &builder, Location loc, Value x,
               bool useScalef = false);
Value buildLog2(OpBuilder &builder, Location loc, Value x);
Value buildLog(OpBuilder &builder, Location loc, Value x);
Value buildPow(OpBuilder &builder, Location loc, Value x, Value y,
               bool useScalef = false);

/// Truncates f64 to f32, rounding to odd: a further rounding to a type with at
/// most 22 bits of precision gives what rounding once would have given.
Value buildTruncToOddF32(OpBuilder &builder, Location loc, Value x);

/// Expansion of the functions and of conversions from f64 to bf16 and f16.
void populateExpandMathPatterns(RewritePatternSet &patterns,
                                bool useScalef = false);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/ExpandMath/ExpandMath.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_EXPANDMATH_EXPANDMATH_H
