//===- ExpandMath.td - Elementary functions as arithmetic --*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EXPANDMATH_EXPANDMATH
#define SCALING_CONVERSION_EXPANDMATH_EXPANDMATH

include "mlir/Pass/PassBase.td"

def ScalingExpandMathPass : Pass<"scaling-expand-math"> {
  let summary = "Expand exponentials, logarithms and bf16 conversions";
  let description = [{
    Replaces `math.exp`, `math.exp2`, `math.log`, `math.log2` and `math.powf`
    on scalars and vectors by straight-line arithmetic without branches, table
    or library call. `math.sqrt` stays: it is one instruction.

    Largest errors, in units of the last place of the result over all 2^32
    arguments in f32, over ten million of every kind in f64 and for `powf`:

    | op     | f32  | f64 |
    |--------|------|-----|
    | `exp2` | 0.95 | 0.9 |
    | `exp`  | 1.18 | 1.0 |
    | `log2` | 1.10 | 1.2 |
    | `log`  | 0.89 | 0.9 |
    | `powf` | 0.51 | 1.1 |

    Subnormal arguments and results are right to the same bounds. Infinities,
    zeros and overflow are as in C; NaN propagates; the logarithm of a negative
    number is NaN; `exp2` of an integer and the logarithm of one are exact.
    `math.powf` follows C's `pow`, its special cases included; on f32 it works
    in f64. On f16 and bf16 the functions work in f32.

    The expansion contains `math.fma`, which is a library call on targets
    without fused multiply-add, and relies on rounding to nearest. Fast-math
    flags of the op are not used.

    With `use-scalef`, exponentials and powers of vectors of rank 1 that fill
    registers use the instruction of that name instead of integer arithmetic on
    the exponent: a third fewer instructions, the same bounds.

    Conversions that the code generator turns into library calls are expanded,
    too: between bf16 and f32 (`expand-bf16`), and from f64 to bf16 or f16,
    through f32 rounded to odd so that the result is rounded once, to nearest
    even. Conversions with an explicit rounding mode stay as they are.
  }];
  let options = [
    Option<"expandBF16", "expand-bf16", "bool", /*default=*/"true",
           "Expand conversions between bf16 and f32 to integer arithmetic">,
    Option<"useScalef", "use-scalef", "bool", /*default=*/"false",
           "Scale by powers of two with AVX-512's scalef (needs avx512f, and "
           "avx512vl for vectors below 512 bits)">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"
  ];
}

#endif // SCALING_CONVERSION_EXPANDMATH_EXPANDMATH
