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

    Every op with the `DifferentiableOpInterface` writes its own part: the
    named ops and the core ops through what they stand for. An iteration is
    *unrolled*. Its T half-steps are divided into about √(T/2) segments of as
    many pairs of half-steps, and the factors each segment starts from are
    kept. On the way back, the last segment first, a segment is done once more,
    and the factors and statistics of its half-steps are kept for the way back
    over it: about √(2T) pairs of vectors in all, of length n and m, never a
    matrix. `checkpoints` is the number of segments; with one (by itself: up to
    64 half-steps) all is kept, and no half-step is done again. The loop that
    keeps them is the iteration itself where the number of half-steps is fixed.

    Of an `until` iteration the half-steps that were taken are differentiated,
    not when it stops; it does not over-relax. Residuals have no derivative:
    their cotangents are not used.

    What has no derivative is an error at the op: `best`, `argmax`, annealing,
    `order(symmetric)`, `similarity_balance`, statistics rounded to powers of
    two.
  }];
  let options = [
    ListOption<"functions", "functions", "std::string",
               "Names of the functions (default: the public ones)">,
    ListOption<"wrt", "wrt", "int64_t",
               "Positions of the arguments whose gradients are returned "
               "(default: all float tensors)">,
    Option<"checkpoints", "checkpoints", "int64_t", "0",
           "Segments that an iteration is divided into; 0: about the root of "
           "its pairs of half-steps">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"];
}

#endif // SCALING_DIFFERENTIATE
