//===- ScalingToLinalg.td - Core ops to linalg -------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_SCALINGTOLINALG_SCALINGTOLINALG_TD
#define SCALING_CONVERSION_SCALINGTOLINALG_SCALINGTOLINALG_TD

include "mlir/Pass/PassBase.td"

def ScalingToLinalgPass : Pass<"scaling-lower-to-linalg"> {
  let summary = "Lower the core ops on tensors to linalg";
  let description = [{
    Rewrites `scaling.reduce`, `update`, `plan`, `apply` and `pairwise` on
    tensors to `linalg.generic` and `linalg.fill` with bodies of `arith` and
    `math`: upstream dialects only, so that any compiler that reads linalg can
    take over.

    * Arithmetic is done in the type of the states (`reduce`, `update`) or in
      the widest type among the operands (the others), and at least in f32;
      narrower matrices are extended entry by entry, narrower destinations are
      truncated once at the end.
    * A `reduce` becomes one reduction per pass of its statistic, an elementwise
      op before it where the state that comes in has to be moved to the new
      pivots.
    * A product makes the plan first and contracts it with the operand, so that
      no exponential is taken more than once.
    * Operands that leave out leading batch dimensions are broadcast by their
      indexing maps.

    Named ops and `scaling.iterate` must be gone by then
    (`--scaling-generalize`, `--scaling-decompose`), and nothing may be
    bufferized yet; otherwise the pass fails with one error.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"
  ];
}

#endif // SCALING_CONVERSION_SCALINGTOLINALG_SCALINGTOLINALG_TD
