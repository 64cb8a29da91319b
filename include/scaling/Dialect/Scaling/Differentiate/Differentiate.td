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
    named ops and the core ops through what they stand for.

    With `mode=unrolled`, the default, an iteration's T half-steps are divided into about √(T/2) segments of as
    many pairs of half-steps, and the factors each segment starts from are
    kept. On the way back, the last segment first, a segment is done once more,
    and the factors and statistics of its half-steps are kept for the way back
    over it: about √(2T) pairs of vectors in all, of length n and m, never a
    matrix. `checkpoints` is the number of segments; with one (by itself: up to
    64 half-steps) all is kept, and no half-step is done again. The loop that
    keeps them is the iteration itself where the number of half-steps is fixed.
    A matrix that is made from points is made 64 rows at a time, of a batch a few
    small ones: neither it nor its gradient is there as a whole. Plans and what
    they do (`scaling.plan`, `scaling.apply`) go back in the same way.

    Of an `until` iteration the half-steps that were taken are differentiated,
    not when it stops; it does not over-relax. Residuals have no derivative:
    their cotangents are not used.

    `mode=envelope`: where all that is made of an iteration's factors is their
    dual value, `scaling.apply dual` of the same matrix and marginals, and the
    rules are plain sums. In units of ε, with F, G the factors' logarithms,

    `D = Σ a_i (F_i − log a_i) + Σ b_j (G_j − log b_j) + Σ (a_i b_j − P_ij)`,

    `∂D/∂X_ij = −P_ij`, `∂D/∂a_i = F_i − log a_i − 1 + Σ_j b_j`, and the same
    for b; its derivatives along F and G are zero where the iteration has
    converged, so that nothing goes through it. How it stops and whether it
    anneals does not matter. What is no dual value is an error. Of a matrix that
    is made from points, the way back makes 64 rows at a time, as of `unrolled`.

    `mode=implicit`: where the iteration converged, its factors' derivatives are
    those of what they solve, row and column sums of the plan P:

    `[diag(P1) P; Pᵀ diag(Pᵀ1)] (x, y) = (f, g)` for cotangents f, g of F, G;
    `X̄_ij = −P_ij (x_i + y_j)`, `ā = x`, `b̄ = y`,

    with more on the diagonal and another factor of x where a rule is damped
    or guarded. Conjugate gradients, each step two sums over the matrix, at most
    `max-solver-steps`; nothing of the matrix' size is kept. Where the gauge is
    free it is not differentiated: of the cotangents counts what is left with
    `Σ f = Σ g`, and `Σ x = Σ y`. Starts have gradient 0. It is used where the
    sums are what they are to be, `Σ_i abs(P1 − a)_i ≤ residual · Σ a_i` and the
    same for columns; other elements of the batch are unrolled, and so are those
    without a solution after `max-solver-steps`. Behind the gradients `@f_vjp`
    returns which it was, an i32 per iteration and batch element: 0 unrolled
    because the iteration had not converged, 1 implicit, 2 unrolled because the
    system was not solved. Both rules must be of `sum`, `l1` or `l2`.

    What has no derivative is an error at the op: `argmax`,
    `similarity_balance`; but for `envelope`, `best`, annealing, and statistics
    rounded to powers of two. With `order(symmetric)` gradients are for symmetric
    changes of the matrix.
  }];
  let options = [
    ListOption<"functions", "functions", "std::string",
               "Names of the functions (default: the public ones)">,
    ListOption<"wrt", "wrt", "int64_t",
               "Positions of the arguments whose gradients are returned "
               "(default: all float tensors)">,
    Option<"checkpoints", "checkpoints", "int64_t", "0",
           "Segments that an iteration is divided into; 0: about the root of "
           "its pairs of half-steps">,
    Option<"mode", "mode", "::mlir::scaling::GradientMode",
           "::mlir::scaling::GradientMode::unrolled",
           "What is differentiated of an iteration",
           [{::llvm::cl::values(
             clEnumValN(::mlir::scaling::GradientMode::unrolled, "unrolled",
                        "the half-steps that were taken"),
             clEnumValN(::mlir::scaling::GradientMode::envelope, "envelope",
                        "nothing: a dual value is stationary"),
             clEnumValN(::mlir::scaling::GradientMode::implicit, "implicit",
                        "what its factors solve"))}]>,
    Option<"residual", "residual", "double", "1.0e-4",
           "implicit: up to where an iteration counts as converged">,
    Option<"maxSolverSteps", "max-solver-steps", "int64_t", "200",
           "implicit: steps of conjugate gradients at most">];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"];
}

#endif // SCALING_DIFFERENTIATE
