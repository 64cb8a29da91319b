//===- Differentiate.td - Vector-Jacobian products ---------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIFFERENTIATE
#define SCALING_DIFFERENTIATE

include "mlir/Pass/PassBase.td"

def ScalingDifferentiatePass : Pass<"scaling-differentiate", "::mlir::ModuleOp"> {
  let summary = "Functions for vector-Jacobian products";
  let description = [{
    Writes a public `@f_vjp` beside every public function `@f` (or those named
    by `functions`): its arguments are those of `@f` and a cotangent for every
    float tensor that `@f` returns, in their order; its results are the
    gradients of the float tensors among `@f`'s arguments. With `wrt`, only of
    the arguments at these positions.

    Named ops are generalized in `@f_vjp`. An iteration is *unrolled*: its
    half-steps are done once more, the factors each pair of them starts from
    are kept (short vectors, never a matrix), and the way back goes through the
    same pairs. Of an `until` iteration the half-steps that were taken are
    differentiated, not when it stops; it does not over-relax. Residuals have
    no derivative: their cotangents are not used.

    What has no derivative is an error at the op: `best`, annealing,
    `order(symmetric)`, `similarity_balance`, statistics rounded to powers of
    two.
  }];
  let options = [
    ListOption<"functions", "functions", "std::string",
               "Names of the functions (default: the public ones)">,
    ListOption<"wrt", "wrt", "int64_t",
               "Positions of the arguments whose gradients are returned "
               "(default: all float tensors)">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"];
}

#endif // SCALING_DIFFERENTIATE
