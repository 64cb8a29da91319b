//===- ScalingOps.td - Named ops of the scaling dialect -------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_OPS
#define SCALING_OPS

include "scaling/Dialect/Scaling/IR/ScalingCoreOps.td"

class Scaling_NamedOp<string opMnemonic, list<Trait> traits = []>
    : Op<Scaling_Dialect, opMnemonic, !listconcat(traits, [Pure,
        DeclareOpInterfaceMethods<Scaling_BatchedOpInterface>,
        DeclareOpInterfaceMethods<InferTypeOpInterface, ["inferReturnTypes"]>])> {
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
}

def Scaling_SinkhornOp : Scaling_NamedOp<"sinkhorn", [AttrSizedOperandSegments]> {
  let summary = "the potentials of an entropic transport problem";
  let description = [{
    From a cost, logits or a kernel `[..., n, m]` to potentials `f [..., n]`
    and `g [..., m]` with

    `P_ij = exp((f_i + g_j − C_ij)/ε)` for a cost, `exp((f_i + g_j + S_ij)/ε)`
    for logits, `K_ij exp((f_i + g_j)/ε)` for a kernel.

    The marginals are inside the potentials. Gauge: f + c, g − c give the same
    plan; the iteration's own gauge comes out, from neutral or given starts;
    nothing is recentred. A row or column of zero weight has potential −inf.

    `preset(name)` stands for the six attributes of a published convention
    (`docs/presets.md`); an attribute written after it replaces the preset's.

    Operands: `row_marginal [..., n]`, `col_marginal [..., m]`; `row_init`,
    `col_init` start potentials; `row_mask`, `col_mask` (i1, true: takes part);
    `slack` (scalar tensor or one per batch element): a dustbin row and column
    of this value are appended; `epsilon` (scalar tensor or one per batch
    element) replaces the form's ε.

    Constraints:
    * (C1) the matrix has rank at least 2 and a float element type.
    * (C2) vector operands fit n or m, batch dimensions are a suffix of the
      result's; with slack marginals and starts have n+1 and m+1 entries.
    * (C3) a constant ε is positive.
    * (C4) form, rules, order, stop and numerics agree (see each attribute, and
      `scaling.iterate`): a kernel, sigmoid or an entry guard needs the kernel
      domain; `anneal` needs the log or absorb domain, tau = 1 and a fixed
      count of two half-steps per ε, or `until`, then without `extrapolate`; with `order(symmetric)` the form leaves a
      symmetric matrix symmetric: no softmax and no shift.
    * (C5) the form maps the input one to one: no `entry_eps`, no `sigmoid`,
      no `softmax_rows`, no `standardize`, no output other than the plan and
      no output scale; such conventions exist as `scaling.project` only.
    * (C6) a target `slack` goes with the operand `slack`, and a target
      `min_stat` with `scaling.balance` only, unless a marginal is given.
    * (C7) a constant marginal has no entry that is negative, NaN or infinite.

    Example:
    ```mlir
    %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<512x512xf32>)
        row_marginal(%a : tensor<512xf32>) col_marginal(%b : tensor<512xf32>)
        epsilon(%e : tensor<f32>) preset(ott)
    ```
  }];
  let arguments = (ins
    Scaling_Tensor:$matrix,
    Optional<Scaling_Tensor>:$row_marginal, Optional<Scaling_Tensor>:$col_marginal,
    Optional<Scaling_Tensor>:$row_init, Optional<Scaling_Tensor>:$col_init,
    Optional<Scaling_MaskTensor>:$row_mask, Optional<Scaling_MaskTensor>:$col_mask,
    Optional<Scaling_Tensor>:$slack, Optional<Scaling_Tensor>:$epsilon,
    Scaling_FormAttr:$form, Scaling_RuleAttr:$rows, Scaling_RuleAttr:$cols,
    Scaling_Order:$order, Scaling_StopAttr:$stop, Scaling_NumericsAttr:$numerics);
  let results = (outs
    Scaling_Tensor:$f, Scaling_Tensor:$g, RankedTensorOf<[I32]>:$half_steps,
    Scaling_Tensor:$residual, RankedTensorOf<[I32]>:$status);
}

def Scaling_ProjectOp : Scaling_NamedOp<"project", [AttrSizedOperandSegments]> {
  let summary = "the scaled matrix itself";
  let description = [{
    As `scaling.sinkhorn`, but the result is the plan (or its logarithm, as
    the form says), times the form's scale, in the input's element type:
    `[..., n, m]`, with slack `[..., n+1, m+1]`. Conventions with an entry
    guard or a start that is not an exponential exist only here.

    Constraints: (C1)–(C4), (C6), (C7) of `scaling.sinkhorn`.

    Example:
    ```mlir
    %P, %k, %r, %s = scaling.project logits(%z : tensor<?x4x4xf32>) preset(mhc)
    ```
  }];
  let arguments = (ins
    Scaling_Tensor:$matrix,
    Optional<Scaling_Tensor>:$row_marginal, Optional<Scaling_Tensor>:$col_marginal,
    Optional<Scaling_Tensor>:$row_init, Optional<Scaling_Tensor>:$col_init,
    Optional<Scaling_MaskTensor>:$row_mask, Optional<Scaling_MaskTensor>:$col_mask,
    Optional<Scaling_Tensor>:$slack, Optional<Scaling_Tensor>:$epsilon,
    Scaling_FormAttr:$form, Scaling_RuleAttr:$rows, Scaling_RuleAttr:$cols,
    Scaling_Order:$order, Scaling_StopAttr:$stop, Scaling_NumericsAttr:$numerics);
  let results = (outs
    Scaling_Tensor:$plan, RankedTensorOf<[I32]>:$half_steps,
    Scaling_Tensor:$residual, RankedTensorOf<[I32]>:$status);
}

def Scaling_BalanceOp : Scaling_NamedOp<"balance", [AttrSizedOperandSegments]> {
  let summary = "row and column factors that even out a matrix";
  let description = [{
    From a matrix `[..., n, m]` of any sign to factors `u [..., n]` and
    `v [..., m]`: the balanced matrix `u_i A_ij v_j` is `scaling.plan` of them.
    The statistics may be of any kind.

    Operands: `row_target`, `col_target`; `row_init`, `col_init`; `row_mask`,
    `col_mask` (true: takes part; others keep out of every statistic).

    Constraints:
    * (C1) the matrix has rank at least 2 and a float element type.
    * (C2) vector operands fit n or m, batch dimensions are a suffix.
    * (C3) numerics are in the kernel domain.
    * (C4) targets are not `slack`; `min_stat` on both axes or neither.
    * (C5) rules, order, stop and numerics agree, as in `scaling.iterate`.

    Example:
    ```mlir
    %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<1024x1024xf64>) preset(ruiz)
    ```
  }];
  let arguments = (ins
    Scaling_Tensor:$matrix,
    Optional<Scaling_Tensor>:$row_target, Optional<Scaling_Tensor>:$col_target,
    Optional<Scaling_Tensor>:$row_init, Optional<Scaling_Tensor>:$col_init,
    Optional<Scaling_MaskTensor>:$row_mask, Optional<Scaling_MaskTensor>:$col_mask,
    Scaling_RuleAttr:$rows, Scaling_RuleAttr:$cols, Scaling_Order:$order,
    Scaling_StopAttr:$stop, Scaling_NumericsAttr:$numerics);
  let results = (outs
    Scaling_Tensor:$row_factor, Scaling_Tensor:$col_factor,
    RankedTensorOf<[I32]>:$half_steps, Scaling_Tensor:$residual,
    RankedTensorOf<[I32]>:$status);
}

def Scaling_NormalizeOp : Scaling_NamedOp<"normalize", [AttrSizedOperandSegments]> {
  let summary = "one half-step, once";
  let description = [{
    The matrix scaled by one update of one axis: softmax over rows is
    `along(rows)` of logits with the rule `sum`.

    Operands: `target`, `mask` along the other axis' entries (true: takes
    part; others come out as 0), `epsilon` as in `scaling.sinkhorn`. There is
    no status: a row (column) whose factor is not finite comes out as NaN, the
    others as they are.

    Constraints:
    * (C1) the matrix has rank at least 2 and a float element type.
    * (C2) target fits the axis, mask the other one.
    * (C3) a constant ε is positive; form, rule and numerics agree, as in
      `scaling.sinkhorn`; the form has no start and is not annealed.
    * (C4) the target is `one`, `uniform` or the operand.

    Example:
    ```mlir
    %P = scaling.normalize along(rows) logits(%S : tensor<8x4xf32>)
        rule(#scaling.rule<sum>) numerics(#scaling.numerics<log>)
    ```
  }];
  let arguments = (ins
    Scaling_Tensor:$matrix, Optional<Scaling_Tensor>:$target,
    Optional<Scaling_MaskTensor>:$mask, Optional<Scaling_Tensor>:$epsilon,
    Scaling_Axis:$axis, Scaling_FormAttr:$form, Scaling_RuleAttr:$rule,
    Scaling_NumericsAttr:$numerics);
  let results = (outs Scaling_Tensor:$result);
}

def Scaling_AttentionOp : Scaling_NamedOp<"attention", [AttrSizedOperandSegments]> {
  let summary = "doubly stochastic attention";
  let description = [{
    `O = scale · P V` with P the projection of the logits
    `S_ij = q_i·k_j / √d + bias_ij`, (divided by ε). One half-step, rows first,
    is exactly softmax attention.

    Shapes: query `[..., n, d]`, key `[..., m, d]`, value `[..., m, k]`, bias
    `[..., n, m]`, `row_mask [..., n]`, `col_mask [..., m]` (i1, true: takes
    part); output `[..., n, k]` in the query's element type. A masked row comes
    out as 0. `logit_scale` replaces 1/√d.

    Masked queries and keys are left out of the marginals, whose targets are
    the rules'. A causal mask as bias has no doubly stochastic plan but the
    identity; it is not refused, and the residual says so.

    Constraints:
    * (C1) all matrices have rank at least 2 and equal float element types.
    * (C2) n, m, d, k and batch dimensions agree as described.
    * (C3) a constant ε is positive; the form takes logits and gives the plan.
    * (C4) (C4) of `scaling.sinkhorn`; no slack target.

    Example:
    ```mlir
    %O, %k, %r, %s = scaling.attention query(%q : tensor<8x197x64xf32>)
        key(%k : tensor<8x197x64xf32>) value(%v : tensor<8x197x64xf32>)
        preset(sinkformer)
    ```
  }];
  let arguments = (ins
    Scaling_Tensor:$query, Scaling_Tensor:$key, Scaling_Tensor:$value,
    Optional<Scaling_Tensor>:$bias,
    Optional<Scaling_MaskTensor>:$row_mask, Optional<Scaling_MaskTensor>:$col_mask,
    Optional<Scaling_Tensor>:$epsilon,
    Scaling_FormAttr:$form, Scaling_RuleAttr:$rows, Scaling_RuleAttr:$cols,
    Scaling_Order:$order, Scaling_StopAttr:$stop, Scaling_NumericsAttr:$numerics,
    OptionalAttr<F64Attr>:$logit_scale);
  let results = (outs
    Scaling_Tensor:$output, RankedTensorOf<[I32]>:$half_steps,
    Scaling_Tensor:$residual, RankedTensorOf<[I32]>:$status);
}

def Scaling_SimilarityBalanceOp : Scaling_NamedOp<"similarity_balance"> {
  let summary = "a similarity transform that evens out rows and columns";
  let description = [{
    `D⁻¹ A D` with D diagonal, powers of two, as LAPACK's `gebal` with job S
    finds it: for each index in turn, the factor that brings the 2-norms of its
    column and its row together is applied to both before the next index is
    looked at; sweeps are repeated until one changes nothing. Eigenvalues are
    kept.

    Shapes: `[..., n, n]` → balanced `[..., n, n]`, scale `[..., n]`, and per
    batch element the sweeps done and the status (1 converged; 2 limit, after
    `limit` sweeps; 3 diverged: a norm is NaN or infinite, the matrix and
    scales of the state before come out).

    Constraints:
    * (C1) the matrix has rank at least 2 and f32 or f64 elements.
    * (C2) a static matrix is square.
    * (C3) limit is between 1 and 2³¹ − 1.

    Example:
    ```mlir
    %B, %d, %k, %s = scaling.similarity_balance matrix(%A : tensor<64x64xf64>) preset(gebal)
    ```
  }];
  let arguments = (ins RankedTensorOf<[F32, F64]>:$matrix,
                       DefaultValuedAttr<I64Attr, "100">:$limit);
  let results = (outs
    RankedTensorOf<[F32, F64]>:$balanced, RankedTensorOf<[F32, F64]>:$scale,
    RankedTensorOf<[I32]>:$sweeps, RankedTensorOf<[I32]>:$status);
}

#endif // SCALING_OPS
