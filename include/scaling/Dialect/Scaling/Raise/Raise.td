//===- Raise.td - Plain programs to named ops --------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_RAISE
#define SCALING_RAISE

include "mlir/Pass/PassBase.td"

def ScalingRaisePass : Pass<"scaling-raise"> {
  let summary = "Plain Sinkhorn iterations to named ops";
  let description = [{
    Finds Sinkhorn iterations that are written in `linalg` on tensors, as
    torch-mlir and StableHLO write them, and replaces each by the named op that
    computes the same up to rounding: `x − logsumexp(x)` and `x / sum(x)` along
    alternating axes, potentials and scaling vectors, guarded sums, softmax
    first, `exp` behind, a dustbin around, queries, keys and values, potentials
    or scaling vectors alone, rows and columns over their 2-norms or standard
    deviations, the best of several such iterations; unrolled or in `scf.for`
    and `scf.while` whose trip count is known, or in a `scf.while` with a
    tolerance and a limit.

    What a program computes is written as a formula in a normal form, the
    iteration it would have to be as another; only where both are the same
    formula is it raised. Nothing of the iteration may be used elsewhere.
    `docs/raise.md` says more.

    A remark says what was found. What is not found stays as it was.
  }];
  let options = [
    Option<"explain", "explain", "bool", /*default=*/"false",
           "Say what stopped an iteration from being raised">,
    Option<"domain", "domain", "::mlir::scaling::Domain",
           /*default=*/"::mlir::scaling::Domain::absorb",
           "What iterations on logarithms compute in", [{::llvm::cl::values(
             clEnumValN(::mlir::scaling::Domain::absorb, "absorb",
                        "kernel arithmetic with the results of logarithms"),
             clEnumValN(::mlir::scaling::Domain::log, "log",
                        "logarithms, as the presets say"))}]>];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::scaling::ScalingDialect",
    "::mlir::tensor::TensorDialect"];
}

#endif // SCALING_RAISE
