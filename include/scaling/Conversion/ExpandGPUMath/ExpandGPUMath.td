//===- ExpandGPUMath.td - Functions by NVVM intrinsics -----*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EXPANDGPUMATH_EXPANDGPUMATH
#define SCALING_CONVERSION_EXPANDGPUMATH_EXPANDGPUMATH

include "mlir/Pass/PassBase.td"

def ScalingExpandGPUMathPass : Pass<"scaling-expand-gpu-math"> {
  let summary = "exp and log by what the GPU has, without a library";
  let description = [{
    On scalars, so that no symbol of a device library is left:

    | op | f32 | f64 |
    |---|---|---|
    | `math.exp2` | `ex2.approx.ftz` (2 ulp; results below 2^-126 are 0) | as `--scaling-expand-math` |
    | `math.exp` | the same of x log2(e), whose rounding error is added back to first order | the same |
    | `math.log2` | `lg2.approx` (absolute error 2^-22 near 1) | the same |
    | `math.log` | the same, times ln 2 | the same |
    | `math.powf` | as `--scaling-expand-math` | the same |
    | `arith.divf` | `div.full` (2 ulp); of 1, `rcp.approx` (1 ulp) | exact |
    | `math.erf`, `math.fpowi` | as `--scaling-expand-other-math` | not supported; the same |
    | `math.rsqrt`, `math.tanh`, `math.sinh`, `math.cosh`, `math.tan` | upstream's expansions into these | the same |
    | `arith.addf` of an `arith.mulf` that nothing else uses | `fma` | `fma` |

    What else would need a device library, `math.sin` for one, is an error.
    With `approximate=false`, and in functions with the attribute
    `scaling.strict`, f32 is lowered as f64 is, and products are rounded before
    they are added.
    Infinities and NaN are as in the library functions.
  }];
  let options = [
    Option<"approximate", "approximate", "bool", /*default=*/"true",
           "Use the approximate instructions for f32">
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::LLVM::LLVMDialect",
                           "::mlir::math::MathDialect"];
}

#endif // SCALING_CONVERSION_EXPANDGPUMATH_EXPANDGPUMATH
