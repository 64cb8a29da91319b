//===- ExpandOtherMath.td - Math of other programs ---------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EXPANDOTHERMATH_EXPANDOTHERMATH
#define SCALING_CONVERSION_EXPANDOTHERMATH_EXPANDOTHERMATH

include "mlir/Pass/PassBase.td"

def ScalingExpandOtherMathPass
    : Pass<"scaling-expand-other-math", "::mlir::ModuleOp"> {
  let summary = "Prepare what else of the math dialect whole models use";
  let description = [{
    The ops of this dialect need exponentials, logarithms and roots, which
    `--scaling-expand-math` expands; programs around them need more that the
    LLVM dialect does not take as it is:

    * `math.fpowi` of a small constant exponent becomes multiplications, else
      `math.powf`;
    * `math.powf` of 0.5, 0.75, 2, 3 and the like becomes roots and
      multiplications;
    * `math.erf` becomes a rational function on types up to f32 (absolute error
      below 2e-7);
    * `math.erf` on f64, `erfc`, `cbrt`, `acosh`, `asinh` and `atanh` become
      calls of the C library's functions, element by element.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
    "::mlir::vector::VectorDialect"
  ];
}

#endif // SCALING_CONVERSION_EXPANDOTHERMATH_EXPANDOTHERMATH
