//===- ScalingCoreOps.td - Core ops of the scaling dialect ----*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CORE_OPS
#define SCALING_CORE_OPS

include "scaling/Dialect/Scaling/IR/ScalingAttrs.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Scaling_Float : AnyTypeOf<[F16, BF16, F32, F64], "f16, bf16, f32 or f64">;
def Scaling_SweepFloat : AnyTypeOf<[F32, F64], "f32 or f64">;
def Scaling_Tensor : RankedTensorOf<[Scaling_Float]>;
def Scaling_MaskTensor : RankedTensorOf<[I1]>;
def Scaling_Shaped : AnyTypeOf<[RankedTensorOf<[Scaling_Float]>,
                                MemRefRankOf<[Scaling_Float], [0,1,2,3,4,5,6,7,8]>],
                               "tensor or memref of floats">;
def Scaling_MaskShaped : AnyTypeOf<[RankedTensorOf<[I1]>,
                                    MemRefRankOf<[I1], [0,1,2,3,4,5,6,7,8]>],
                                   "tensor or memref of i1">;
def Scaling_OutShaped : AnyTypeOf<[RankedTensorOf<[Scaling_Float, I64]>,
                                   MemRefRankOf<[Scaling_Float, I64], [0,1,2,3,4,5,6,7,8]>],
                                  "tensor or memref of floats or i64">;

//===----------------------------------------------------------------------===//
// iterate
//===----------------------------------------------------------------------===//

def Scaling_IterateOp : Op<Scaling_Dialect, "iterate",
    [Pure, AttrSizedOperandSegments,
     DeclareOpInterfaceMethods<Scaling_BatchedOpInterface>,
     DeclareOpInterfaceMethods<InferTypeOpInterface, ["inferReturnTypes"]>]> {
  let summary = "alternate half-steps along rows and columns";
  let description = [{
    The loop of the family. `matrix` is `[..., n, m]` in the domain that
    `numerics` names: a kernel, or its logarithm. Results: row factor
    `[..., n]`, column factor `[..., m]` in that domain, and per batch element
    the half-steps done (i32), the residual and the status (i32: 0 fixed,
    1 converged, 2 limit, 3 diverged).

    Formula, for the axis at turn, with s its statistic under the other
    factor: `h' = rule(h, s, t)`; see `#scaling.rule`. With `order(symmetric)`
    there is one factor for both axes, s is its own, and a half-step takes the
    geometric mean: `h' = √(h · rule(h, s, t))`, on logarithms
    `½(h + rule(h, s, t))`. That the matrix is symmetric is promised, not
    checked; the operands of the rows are those of the columns.

    Shapes: starts, targets and masks are `[..., n]` for rows and `[..., m]`
    for columns; leading batch dimensions may be missing. `anneal` is `[k]`:
    before pair i of half-steps the matrix is taken times `anneal[i]`.

    Constraints:
    * (C1) the matrix has rank at least 2.
    * (C2) a vector operand's trailing dimension is n (rows) or m (columns),
      and its batch dimensions are a suffix of the result's.
    * (C3) in the log and absorb domains both statistics are `sum` and nothing
      is rounded.
    * (C4) with `order(jacobi)` counts, cadences and limits are even.
    * (C5) `until` and `best` do not go with `anneal`; `anneal` needs the log
      or absorb domain.
    * (C6) starts, targets and `anneal` have the type that `numerics`
      accumulates in, which is not narrower than the matrix' elements.
    * (C7) a rule's target is `one` or given by an operand: the other targets
      are resolved by generalization.
    * (C8) `imbalance` needs rules of one degree; `best` needs an even limit.
    * (C9) `relax = auto` or `anderson` needs rules that are `sum` and at most a target, and
      an order that is `rows_first` or `cols_first`.
    * (C10) with `order(symmetric)` n = m, both rules are the same, no operand
      of the columns is given, and there is neither `best` nor `anneal`.

    Example:
    ```mlir
    %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<?x4x4xf32>)
        rows(#scaling.rule<sum, guard = add_plan(1.0e-6)>)
        cols(#scaling.rule<sum, guard = add_plan(1.0e-6)>)
        order(cols_first) stop(#scaling.stop<fixed 39>)
        numerics(#scaling.numerics<kernel>)
    ```
  }];
  let arguments = (ins
    Scaling_Tensor:$matrix,
    Optional<Scaling_Tensor>:$row_start, Optional<Scaling_Tensor>:$col_start,
    Optional<Scaling_Tensor>:$row_target, Optional<Scaling_Tensor>:$col_target,
    Optional<Scaling_MaskTensor>:$row_mask, Optional<Scaling_MaskTensor>:$col_mask,
    Optional<Scaling_Tensor>:$anneal,
    Scaling_RuleAttr:$rows, Scaling_RuleAttr:$cols, Scaling_Order:$order,
    Scaling_StopAttr:$stop, Scaling_NumericsAttr:$numerics,
    OptionalAttr<Scaling_ScheduleAttr>:$schedule);
  let results = (outs
    Scaling_Tensor:$row, Scaling_Tensor:$col,
    RankedTensorOf<[I32]>:$half_steps, Scaling_Tensor:$residual,
    RankedTensorOf<[I32]>:$status);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
  let extraClassDeclaration = [{
    /// The type factors, sums and residuals have.
    ::mlir::FloatType getAccumulateType();
  }];
}

//===----------------------------------------------------------------------===//
// Structured core ops
//===----------------------------------------------------------------------===//

class Scaling_StructuredOp<string opMnemonic, list<Trait> traits = []>
    : Op<Scaling_Dialect, opMnemonic, !listconcat(traits, [
        DestinationStyleOpInterface,
        DeclareOpInterfaceMethods<Scaling_StructuredOpInterface>,
        DeclareOpInterfaceMethods<MemoryEffectsOpInterface>])> {
  let hasVerifier = 1;
  let hasCanonicalizer = 1;
}

def Scaling_ReduceOp : Scaling_StructuredOp<"reduce", [AttrSizedOperandSegments]> {
  let summary = "a statistic of every row or every column of a scaled matrix";
  let description = [{
    Accumulates the states of a statistic over the entries of each row
    (`along(rows)`) or column. An entry is taken times the *other* axis'
    factor (plus, for `lse`); without one, as it is.

    Formula: `state_p := pass_p over entries y of lift_p(y)`, starting from
    `outs`; see the statistic's interface. `sum`: `outs_i + Σ_j K_ij v_j`.

    Shapes: matrix `[..., n, m]`; `dims = [r, c]` names its row and column
    dimension where they are not the last two. `factor` and `mask` have the
    matrix' shape without the dimension of `along`; `outs` without the other
    one. Operands may leave out leading batch dimensions. `scale` is a scalar
    the entries are multiplied by before the factor acts.

    Constraints:
    * (C1) as many `outs` as the statistic has states, of one element type.
    * (C2) shapes fit as described.
    * (C3) all tensors or all memrefs.

    Example:
    ```mlir
    %s = scaling.reduce along(rows) stat(#scaling.sum)
        matrix(%K : tensor<8x4xf32>) factor(%v : tensor<4xf32>)
        outs(%zero : tensor<8xf32>) -> tensor<8xf32>
    ```
  }];
  let arguments = (ins
    Scaling_Shaped:$matrix, Optional<Scaling_Shaped>:$factor,
    Optional<Scaling_MaskShaped>:$mask, Optional<Scaling_Float>:$scale,
    Variadic<Scaling_Shaped>:$outs,
    Scaling_Axis:$axis, Scaling_StatisticAttrInterface:$stat,
    OptionalAttr<DenseI64ArrayAttr>:$dims);
  let results = (outs Variadic<Scaling_Tensor>:$results);
  let assemblyFormat = [{
    `along` `` `(` $axis `)` `stat` `` `(` $stat `)`
    `matrix` `` `(` $matrix `:` type($matrix) `)`
    (`factor` `` `(` $factor^ `:` type($factor) `)`)?
    (`mask` `` `(` $mask^ `:` type($mask) `)`)?
    (`scale` `` `(` $scale^ `:` type($scale) `)`)?
    `outs` `` `(` $outs `:` type($outs) `)` attr-dict
    (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
    /// The matrix' row and column dimension.
    std::pair<int64_t, int64_t> getMatrixDims();
  }];
}

def Scaling_UpdateOp : Scaling_StructuredOp<"update", [AttrSizedOperandSegments]> {
  let summary = "a factor's next value from its statistic";
  let description = [{
    Applies a rule to short vectors: from the states of the statistic `s`, the
    own factor `h` and the target `t`, the new factor, and, when asked for, the
    plan statistic σ = h^d·s (its logarithm's exponential in the log domain)
    that the factors before the update have.

    Formula: `#scaling.rule`; `docs/semantics.md`. A target of 0 or a masked
    entry gives exactly 0 (`-inf` in the log domain).

    `omega`, where given, is the over-relaxation of each batch element, behind
    what the rule does: `h^(1−ω)·h1^ω`. Where it is 1 the update is the rule's,
    to the last bit.

    Shapes: all operands `[..., n]`, `omega` without n; target, mask and omega
    may leave out leading dimensions. `dim` names the dimension that runs along the axis (default:
    the last).

    Constraints:
    * (C1) as many states as the rule's statistic has in `domain`; in the log
      and absorb domains the statistic is `sum` and nothing is rounded.
    * (C2) shapes fit as described; states, own factor, omega and `outs`
      have one element type.
    * (C3) one or two `outs`: the new factor, then σ.
    * (C4) all tensors or all memrefs.

    Example:
    ```mlir
    %h1 = scaling.update rule(#scaling.rule<sum>) domain(kernel)
        states(%s : tensor<8xf32>) own(%h : tensor<8xf32>)
        target(%a : tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    ```
  }];
  let arguments = (ins
    Variadic<Scaling_Shaped>:$states, Scaling_Shaped:$own,
    Optional<Scaling_Shaped>:$target, Optional<Scaling_MaskShaped>:$mask,
    Optional<Scaling_Shaped>:$omega, Variadic<Scaling_Shaped>:$outs,
    Scaling_RuleAttr:$rule, Scaling_Domain:$domain,
    OptionalAttr<I64Attr>:$dim);
  let results = (outs Variadic<Scaling_Tensor>:$results);
  let assemblyFormat = [{
    `rule` `` `(` $rule `)` `domain` `` `(` $domain `)`
    `states` `` `(` $states `:` type($states) `)`
    `own` `` `(` $own `:` type($own) `)`
    (`target` `` `(` $target^ `:` type($target) `)`)?
    (`mask` `` `(` $mask^ `:` type($mask) `)`)?
    (`omega` `` `(` $omega^ `:` type($omega) `)`)?
    `outs` `` `(` $outs `:` type($outs) `)` attr-dict
    (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
    /// The dimension of the factor that runs along the axis.
    int64_t getAxisDim();
  }];
}

def Scaling_PlanOp : Scaling_StructuredOp<"plan", [AttrSizedOperandSegments]> {
  let summary = "the scaled matrix";
  let description = [{
    Formula: `P_ij = rw_i · cw_j · u_i · K_ij · v_j` in the kernel domain,
    `P_ij = rw_i · cw_j · exp(F_i + X_ij + G_j)` in the log domain; with
    `logarithm` the logarithm of that. An entry whose row or column factor is
    zero is exactly zero, whatever the matrix holds there.

    Shapes: matrix `[..., n, m]` (`dims` as in `scaling.reduce`), row factor and
    weight `[..., n]`, column factor and weight `[..., m]`, outs `[..., n, m]`.
    Operands may leave out leading batch dimensions. Missing factors are
    neutral, missing weights one.

    Constraints:
    * (C1) shapes fit as described.
    * (C2) all tensors or all memrefs.
    * (C3) weights do not go with `logarithm`.

    Example:
    ```mlir
    %P = scaling.plan domain(kernel) matrix(%K : tensor<8x4xf32>)
        row(%u : tensor<8xf32>) col(%v : tensor<4xf32>)
        outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
    ```
  }];
  let arguments = (ins
    Scaling_Shaped:$matrix,
    Optional<Scaling_Shaped>:$row, Optional<Scaling_Shaped>:$col,
    Optional<Scaling_Shaped>:$row_weight, Optional<Scaling_Shaped>:$col_weight,
    Scaling_Shaped:$outs,
    Scaling_Domain:$domain, UnitAttr:$logarithm,
    OptionalAttr<DenseI64ArrayAttr>:$dims);
  let results = (outs Optional<Scaling_Tensor>:$result);
  let assemblyFormat = [{
    `domain` `` `(` $domain `)` (`logarithm` $logarithm^)?
    `matrix` `` `(` $matrix `:` type($matrix) `)`
    (`row` `` `(` $row^ `:` type($row) `)`)?
    (`col` `` `(` $col^ `:` type($col) `)`)?
    (`row_weight` `` `(` $row_weight^ `:` type($row_weight) `)`)?
    (`col_weight` `` `(` $col_weight^ `:` type($col_weight) `)`)?
    `outs` `` `(` $outs `:` type($outs) `)` attr-dict
    (`->` type($result)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
    std::pair<int64_t, int64_t> getMatrixDims();
  }];
}

def Scaling_ApplyOp : Scaling_StructuredOp<"apply", [AttrSizedOperandSegments]> {
  let summary = "what the scaled matrix does, without making it";
  let description = [{
    With P as in `scaling.plan`:

    | kind | operand | outs | formula |
    |---|---|---|---|
    | `product` | V `[..., m, k]` | `[..., n, k]` | `outs + P·V` |
    | `product transposed` | V `[..., n, k]` | `[..., m, k]` | `outs + Pᵀ·V` |
    | `value` | C `[..., n, m]` | `[...]` | `outs + Σ P_ij C_ij`, 0 where P is 0 |
    | `mass` | none | `[...]` | `outs + Σ P_ij` |
    | `argmax` | none | `[..., n]`, i64 `[..., n]` | the largest entry of each row and its column, the first among equals |
    | `dual` | none; the weights are the marginals a, b | `[...]` | `outs + Σ a_i (F_i − log a_i) + Σ b_j (G_j − log b_j) + Σ (a_i b_j − P_ij)`, P without weights |

    `argmax` keeps an entry of `outs` unless a larger one is found; start it
    from a number below all entries (−1 and index −1: the plan is not
    negative). `offset` is added to the columns, so that column tiles of a
    larger matrix merge.

    The transport value ⟨P, C⟩ is `value` with the cost. `dual` is the dual
    value in units of ε against the product of the marginals, with F and G the
    logarithms of the factors and no contribution where a marginal is 0. It is
    a sum over entries: `a_i b_j − P_ij` each, the term of a row counted in the
    first column, that of a column in the first row. `offset` and `row_offset`
    say where the columns and rows of a tile begin in the whole matrix: only a
    tile that begins at column 0 counts the terms of its rows, and only one that
    begins at row 0 those of its columns. A matrix without entries adds nothing.

    Constraints:
    * (C1) the operand is there just when the kind needs it; `transposed` goes
      with `product`; `offset` with `argmax` and `dual`, `row_offset` with
      `dual`; `dual` needs both factors and both weights.
    * (C2) shapes fit as described.
    * (C3) all tensors or all memrefs.

    Example:
    ```mlir
    %O = scaling.apply product domain(log) matrix(%X : tensor<8x4xf32>)
        row(%F : tensor<8xf32>) col(%G : tensor<4xf32>)
        operand(%V : tensor<4x16xf32>) outs(%z : tensor<8x16xf32>) -> tensor<8x16xf32>
    ```
  }];
  let arguments = (ins
    Scaling_Shaped:$matrix,
    Optional<Scaling_Shaped>:$row, Optional<Scaling_Shaped>:$col,
    Optional<Scaling_Shaped>:$row_weight, Optional<Scaling_Shaped>:$col_weight,
    Optional<Scaling_Shaped>:$operand, Optional<Index>:$offset,
    Optional<Index>:$row_offset,
    Variadic<Scaling_OutShaped>:$outs,
    Scaling_ApplyKind:$kind, UnitAttr:$transposed, Scaling_Domain:$domain);
  let results = (outs Variadic<RankedTensorOf<[Scaling_Float, I64]>>:$results);
  let assemblyFormat = [{
    $kind (`transposed` $transposed^)? `domain` `` `(` $domain `)`
    `matrix` `` `(` $matrix `:` type($matrix) `)`
    (`row` `` `(` $row^ `:` type($row) `)`)?
    (`col` `` `(` $col^ `:` type($col) `)`)?
    (`row_weight` `` `(` $row_weight^ `:` type($row_weight) `)`)?
    (`col_weight` `` `(` $col_weight^ `:` type($col_weight) `)`)?
    (`operand` `` `(` $operand^ `:` type($operand) `)`)?
    (`offset` `` `(` $offset^ `)`)?
    (`row_offset` `` `(` $row_offset^ `)`)?
    `outs` `` `(` $outs `:` type($outs) `)` attr-dict
    (`->` type($results)^)?
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
  }];
}

def Scaling_MarginalsOp : Scaling_StructuredOp<"marginals", [AttrSizedOperandSegments]> {
  let summary = "row and column sums of the scaled matrix, each entry made once";
  let description = [{
    Both statistics that a simultaneous (Jacobi) update in the log domain
    needs, with one exponential per entry: since `Σ_j P_ij = exp(F_i + l_i)`
    with `l` the log-sum-exp under the other factor, the sums of the plan say
    as much as two log-sum-exps, as long as they are within range.

    Formula: with `P_ij = exp(F_i + s·C_ij + G_j)`, `outs` are `outs_0 + Σ_j P_ij`
    and `outs_1 + Σ_i P_ij`; with `largest` the maxima of `outs` and of the
    exponents `F_i + s·C_ij + G_j` along rows and columns.

    C is a matrix, or made on the fly from points and a metric as in
    `scaling.pairwise`. A missing factor is 0, a missing scale s is 1. Masked
    entries add nothing, whatever C holds there.

    Shapes: matrix `[..., n, m]`, or x `[..., n, d]` and y *transposed*,
    `[..., d, m]`; row factor and mask `[..., n]`, column factor and mask
    `[..., m]`, outs `[..., n]` and `[..., m]`. Operands may leave out leading
    batch dimensions.

    Constraints:
    * (C1) either a matrix or points with a metric other than `cosine`
      (normalized points and `dot` say the same).
    * (C2) shapes fit as described; there are two `outs`, of one element type.
    * (C3) all tensors or all memrefs.

    Example:
    ```mlir
    %r, %c = scaling.marginals points sqeuclidean(%x, %yt : tensor<8x3xf32>, tensor<3x4xf32>)
        row(%F : tensor<8xf32>) col(%G : tensor<4xf32>) scale(%s : f32)
        outs(%z0, %z1 : tensor<8xf32>, tensor<4xf32>) -> tensor<8xf32>, tensor<4xf32>
    ```
  }];
  let arguments = (ins
    Optional<Scaling_Shaped>:$matrix,
    Optional<Scaling_Shaped>:$x, Optional<Scaling_Shaped>:$y,
    Optional<Scaling_Shaped>:$row, Optional<Scaling_Shaped>:$col,
    Optional<Scaling_MaskShaped>:$row_mask, Optional<Scaling_MaskShaped>:$col_mask,
    Optional<Scaling_Float>:$scale,
    Variadic<Scaling_Shaped>:$outs,
    UnitAttr:$largest, OptionalAttr<Scaling_Metric>:$metric);
  let results = (outs Variadic<Scaling_Tensor>:$results);
  let assemblyFormat = [{
    (`largest` $largest^)?
    (`matrix` `` `(` $matrix^ `:` type($matrix) `)`)?
    (`points` $metric^ `` `(` $x `,` $y `:` type($x) `,` type($y) `)`)?
    (`row` `` `(` $row^ `:` type($row) `)`)?
    (`col` `` `(` $col^ `:` type($col) `)`)?
    (`row_mask` `` `(` $row_mask^ `:` type($row_mask) `)`)?
    (`col_mask` `` `(` $col_mask^ `:` type($col_mask) `)`)?
    (`scale` `` `(` $scale^ `:` type($scale) `)`)?
    `outs` `` `(` $outs `:` type($outs) `)` attr-dict
    (`->` type($results)^)?
  }];
  let hasCanonicalizer = 0;
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
  }];
}

def Scaling_PairwiseOp : Scaling_StructuredOp<"pairwise"> {
  let summary = "the cost between every two points of two sets";
  let description = [{
    | metric | C_ij |
    |---|---|
    | `sqeuclidean` | Σ_d (x_id − y_jd)² |
    | `euclidean` | √Σ_d (x_id − y_jd)² |
    | `l1` | Σ_d abs(x_id − y_jd) |
    | `dot` | Σ_d x_id y_jd |
    | `cosine` | 1 − x·y / (‖x‖ ‖y‖); 1 where a norm is 0 |

    Owns its initialisation: what `outs` holds does not matter.

    Shapes: x `[..., n, d]`, y `[..., m, d]`, outs `[..., n, m]`. x and y may
    leave out leading batch dimensions.

    Constraints:
    * (C1) shapes fit as described.
    * (C2) all tensors or all memrefs.

    Example:
    ```mlir
    %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>)
        outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
    ```
  }];
  let arguments = (ins
    Scaling_Shaped:$x, Scaling_Shaped:$y, Scaling_Shaped:$outs,
    Scaling_Metric:$metric);
  let results = (outs Optional<Scaling_Tensor>:$result);
  let assemblyFormat = [{
    $metric `points` `` `(` $x `,` $y `:` type($x) `,` type($y) `)`
    `outs` `` `(` $outs `:` type($outs) `)` attr-dict (`->` type($result)^)?
  }];
  let hasCanonicalizer = 0;
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
  }];
}

def Scaling_ReducePointsOp : Scaling_StructuredOp<"reduce_points", [AttrSizedOperandSegments]> {
  let summary = "log-sum-exp of every row of a matrix made from points";
  let description = [{
    What `scaling.reduce along(rows) stat(#scaling.lse)` makes of the costs
    between points, and of nothing else: the costs exist tile by tile, in
    registers. Of columns it is the same with x and y exchanged.

    Formula: with `z_ij = scale · C_ij + bias_scale · B_ij + factor_j`, C as in
    `scaling.pairwise`, `outs_0 = max_j z_ij` and
    `outs_1 = Σ_j exp(z_ij − outs_0)`. Where all z_ij are −inf, `outs_0` is a
    finite number below −10³⁷ and `outs_1` is 0.

    With `block(b)`, the same of columns is made as well, of b rows at a time,
    from the same costs: with `w_ij = scale · C_ij + bias_scale · B_ij +
    row_factor_i`, `outs_2[p, j] = max_i w_ij` and
    `outs_3[p, j] = Σ_i exp(w_ij − outs_2[p, j])` over the rows i from p·b to
    before (p + 1)·b. The block is one that a block of threads takes: of f32,
    half as many rows as it has threads, of f64, a quarter.

    `products(tf32)`: tensor cores multiply, for which points must be numbers of
    tf32, eleven significant bits: of others, the rest is not looked at.
    `products(bf16)`, `products(f16)`: the same of points that are stored as
    such; the scale is not in coordinates of f16, which are at most 65504. Sums
    are f32.

    Owns its initialisation: what `outs` holds does not matter.

    Shapes: x `[..., n, d]`, y `[..., m, d]`, factor `[..., m]`, bias B
    `[..., n, m]` (`[..., m, n]` where it is `transposed`), outs `[..., n]`;
    row_factor `[..., n]`, and `outs_2` and `outs_3` `[..., ⌈n/b⌉, m]`. Operands
    may leave out leading batch dimensions. A missing factor or bias is 0, a
    missing scale is 1.

    Constraints:
    * (C1) the metric is not `cosine` (normalized points and `dot` say the
      same); with products other than f32 it is `dot`, and the sums are f32.
    * (C2) shapes fit as described; all elements and scales are f32, or all are
      f64, but those of the bias may be narrower; with products of bf16 or f16,
      points are of that type, and have an even number of coordinates; there are
      two `outs`, or with a `block`, a positive number, four.
    * (C3) all tensors or all memrefs.
    * (C4) `bias_scale` and `transposed` come with a bias, `row_factor` with a
      block.

    Example:
    ```mlir
    %m, %s = scaling.reduce_points sqeuclidean points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>)
        factor(%g : tensor<4xf32>) scale(%s : f32)
        outs(%e0, %e1 : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
    ```
  }];
  let arguments = (ins
    Scaling_Shaped:$x, Scaling_Shaped:$y, Optional<Scaling_Shaped>:$factor,
    Optional<Scaling_Shaped>:$row_factor, Optional<Scaling_SweepFloat>:$scale,
    Optional<Scaling_Shaped>:$bias, Optional<Scaling_SweepFloat>:$bias_scale,
    Variadic<Scaling_Shaped>:$outs,
    Scaling_Metric:$metric, OptionalAttr<I64Attr>:$block, UnitAttr:$transposed,
    DefaultValuedAttr<Scaling_Products, "Products::f32">:$products);
  let results = (outs Variadic<Scaling_Tensor>:$results);
  let assemblyFormat = [{
    $metric `points` `` `(` $x `,` $y `:` type($x) `,` type($y) `)`
    (`factor` `` `(` $factor^ `:` type($factor) `)`)?
    (`row_factor` `` `(` $row_factor^ `:` type($row_factor) `)`)?
    (`scale` `` `(` $scale^ `:` type($scale) `)`)?
    (`bias` `` `(` $bias^ `:` type($bias) `)`)? (`transposed` $transposed^)?
    (`bias_scale` `` `(` $bias_scale^ `:` type($bias_scale) `)`)?
    (`products` `` `(` $products^ `)`)? (`block` `` `(` $block^ `)`)?
    `outs` `` `(` $outs `:` type($outs) `)` attr-dict
    (`->` type($results)^)?
  }];
  let hasCanonicalizer = 0;
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
  }];
}

def Scaling_SumPointsOp : Scaling_StructuredOp<"sum_points", [AttrSizedOperandSegments]> {
  let summary = "mass and cost of a plan between points, row by row";
  let description = [{
    What `scaling.apply mass` and `scaling.apply value` make of the costs between
    points, in the log domain, of every row: neither plan nor costs exist but in
    registers.

    Formula: with `W_ij = x_cost_i + scale · C_ij + bias_scale · B_ij + y_cost_j`,
    C as in `scaling.pairwise`, and `P_ij = exp(row_i + W_ij + col_j)`,
    `outs_0 = Σ_j P_ij` and `outs_1 = Σ_j P_ij W_ij`, where nothing is added for
    a P that is 0. An entry whose row or column factor is −inf is exactly zero.
    `products` are those of points, as in `scaling.reduce_points`.

    Owns its initialisation: what `outs` holds does not matter.

    Shapes: x `[..., n, d]`, y `[..., m, d]`, row and x_cost `[..., n]`, col and
    y_cost `[..., m]`, bias B `[..., n, m]` (`[..., m, n]` where it is
    `transposed`), outs `[..., n]`. Operands may leave out leading batch
    dimensions. A missing factor, bias or part of the costs is 0, a missing scale
    is 1.

    Constraints:
    * (C1) the metric is not `cosine` (normalized points and `dot` say the
      same); with products other than f32 it is `dot`, and the sums are f32.
    * (C2) shapes fit as described; all elements and scales are f32, or all are
      f64, but those of the bias may be narrower; with products of bf16 or f16,
      points are of that type, and have an even number of coordinates; there are
      two `outs`.
    * (C3) all tensors or all memrefs.
    * (C4) `bias_scale` and `transposed` come with a bias.

    Example:
    ```mlir
    %r, %v = scaling.sum_points l1 points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>)
        row(%F : tensor<8xf32>) col(%G : tensor<4xf32>) scale(%s : f32)
        outs(%e0, %e1 : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
    ```
  }];
  let arguments = (ins
    Scaling_Shaped:$x, Scaling_Shaped:$y,
    Optional<Scaling_Shaped>:$row, Optional<Scaling_Shaped>:$col,
    Optional<Scaling_Shaped>:$x_cost, Optional<Scaling_Shaped>:$y_cost,
    Optional<Scaling_SweepFloat>:$scale, Optional<Scaling_Shaped>:$bias,
    Optional<Scaling_SweepFloat>:$bias_scale, Variadic<Scaling_Shaped>:$outs,
    Scaling_Metric:$metric, UnitAttr:$transposed,
    DefaultValuedAttr<Scaling_Products, "Products::f32">:$products);
  let results = (outs Variadic<Scaling_Tensor>:$results);
  let assemblyFormat = [{
    $metric `points` `` `(` $x `,` $y `:` type($x) `,` type($y) `)`
    (`row` `` `(` $row^ `:` type($row) `)`)?
    (`col` `` `(` $col^ `:` type($col) `)`)?
    (`x_cost` `` `(` $x_cost^ `:` type($x_cost) `)`)?
    (`y_cost` `` `(` $y_cost^ `:` type($y_cost) `)`)?
    (`scale` `` `(` $scale^ `:` type($scale) `)`)?
    (`bias` `` `(` $bias^ `:` type($bias) `)`)? (`transposed` $transposed^)?
    (`bias_scale` `` `(` $bias_scale^ `:` type($bias_scale) `)`)?
    (`products` `` `(` $products^ `)`)?
    `outs` `` `(` $outs `:` type($outs) `)` attr-dict
    (`->` type($results)^)?
  }];
  let hasCanonicalizer = 0;
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
  }];
}

def Scaling_ArgMaxPointsOp : Scaling_StructuredOp<"argmax_points", [AttrSizedOperandSegments]> {
  let summary = "the largest entries of rows of costs between points";
  let description = [{
    What `scaling.apply argmax` makes of the costs between points, in the log
    domain: neither plan nor costs exist but in registers.

    Formula: with `z_ij = scale · C_ij + bias_scale · B_ij + factor_j`, C as in
    `scaling.pairwise`, `outs_0 = max_j z_ij`, and `outs_1` is the first j that
    has it. What is not a number is not looked at. Where nothing is above −inf,
    `outs_0` is −inf and `outs_1` is −1. `products` are those of points, as in
    `scaling.reduce_points`.

    Owns its initialisation: what `outs` holds does not matter.

    Shapes: x `[..., n, d]`, y `[..., m, d]`, factor `[..., m]`, bias B
    `[..., n, m]` (`[..., m, n]` where it is `transposed`), outs `[..., n]`, the
    second of i64. Operands may leave out leading batch dimensions. A missing
    factor or bias is 0, a missing scale is 1. There are fewer than 2³¹ columns.

    Constraints:
    * (C1) the metric is not `cosine` (normalized points and `dot` say the
      same); with products other than f32 it is `dot`, and `outs_0` is f32.
    * (C2) shapes fit as described; all elements but those of `outs_1` and
      scales are f32, or all are f64, but those of the bias may be narrower; with
      products of bf16 or f16, points are of that type, and have an even number
      of coordinates; there are two `outs`.
    * (C3) all tensors or all memrefs.
    * (C4) `bias_scale` and `transposed` come with a bias.

    Example:
    ```mlir
    %m, %j = scaling.argmax_points l1 points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>)
        factor(%G : tensor<4xf32>) scale(%s : f32)
        outs(%e0, %e1 : tensor<8xf32>, tensor<8xi64>) -> tensor<8xf32>, tensor<8xi64>
    ```
  }];
  let arguments = (ins
    Scaling_Shaped:$x, Scaling_Shaped:$y, Optional<Scaling_Shaped>:$factor,
    Optional<Scaling_SweepFloat>:$scale, Optional<Scaling_Shaped>:$bias,
    Optional<Scaling_SweepFloat>:$bias_scale, Variadic<Scaling_OutShaped>:$outs,
    Scaling_Metric:$metric, UnitAttr:$transposed,
    DefaultValuedAttr<Scaling_Products, "Products::f32">:$products);
  let results = (outs Variadic<RankedTensorOf<[Scaling_Float, I64]>>:$results);
  let assemblyFormat = [{
    $metric `points` `` `(` $x `,` $y `:` type($x) `,` type($y) `)`
    (`factor` `` `(` $factor^ `:` type($factor) `)`)?
    (`scale` `` `(` $scale^ `:` type($scale) `)`)?
    (`bias` `` `(` $bias^ `:` type($bias) `)`)? (`transposed` $transposed^)?
    (`bias_scale` `` `(` $bias_scale^ `:` type($bias_scale) `)`)?
    (`products` `` `(` $products^ `)`)?
    `outs` `` `(` $outs `:` type($outs) `)` attr-dict
    (`->` type($results)^)?
  }];
  let hasCanonicalizer = 0;
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
  }];
}

def Scaling_ApplyPointsOp : Scaling_StructuredOp<"apply_points", [AttrSizedOperandSegments]> {
  let summary = "what a plan between points does, without making it";
  let description = [{
    What `scaling.apply product` makes of the costs between points, in the log
    domain, and of nothing else: the plan exists tile by tile. Transposed it is
    the same with x and y, row and column exchanged.

    Formula: `outs = P·V` with
    `P_ij = exp(row_i + scale · C_ij + bias_scale · B_ij + col_j)`, C as in
    `scaling.pairwise`. An entry whose row or column factor is −inf is exactly
    zero. `products` are those of points, as in `scaling.reduce_points`. With
    other ones than f32, tensor cores multiply P and V as well: entries of P are
    rounded to tf32, and V is of numbers of tf32; or both are bf16, if V is
    stored as that. Sums are f32.

    Owns its initialisation: what `outs` holds does not matter.

    Shapes: x `[..., n, d]`, y `[..., m, d]`, row `[..., n]`, col `[..., m]`,
    bias B `[..., n, m]` (`[..., m, n]` where it is `transposed`), operand V
    `[..., m, k]`, outs `[..., n, k]`. Operands may leave out leading batch
    dimensions. A missing factor or bias is 0, a missing scale is 1.

    Constraints:
    * (C1) the metric is not `cosine` (normalized points and `dot` say the
      same); with products other than f32 it is `dot`, and the sums are f32.
    * (C2) shapes fit as described; all elements and scales are f32, or all are
      f64, but those of the bias may be narrower; with products of bf16 or f16,
      points are of that type, and have an even number of coordinates; with
      those of bf16, V may be bf16, with an even number of columns.
    * (C3) all tensors or all memrefs.
    * (C4) `bias_scale` and `transposed` come with a bias.

    Example:
    ```mlir
    %O = scaling.apply_points dot points(%q, %k : tensor<8x3xf32>, tensor<4x3xf32>)
        row(%F : tensor<8xf32>) col(%G : tensor<4xf32>)
        operand(%V : tensor<4x16xf32>) outs(%e : tensor<8x16xf32>) -> tensor<8x16xf32>
    ```
  }];
  let arguments = (ins
    Scaling_Shaped:$x, Scaling_Shaped:$y,
    Optional<Scaling_Shaped>:$row, Optional<Scaling_Shaped>:$col,
    Optional<Scaling_SweepFloat>:$scale, Optional<Scaling_Shaped>:$bias,
    Optional<Scaling_SweepFloat>:$bias_scale, Scaling_Shaped:$operand,
    Scaling_Shaped:$outs, Scaling_Metric:$metric, UnitAttr:$transposed,
    DefaultValuedAttr<Scaling_Products, "Products::f32">:$products);
  let results = (outs Optional<Scaling_Tensor>:$result);
  let assemblyFormat = [{
    $metric `points` `` `(` $x `,` $y `:` type($x) `,` type($y) `)`
    (`row` `` `(` $row^ `:` type($row) `)`)?
    (`col` `` `(` $col^ `:` type($col) `)`)?
    (`scale` `` `(` $scale^ `:` type($scale) `)`)?
    (`bias` `` `(` $bias^ `:` type($bias) `)`)? (`transposed` $transposed^)?
    (`bias_scale` `` `(` $bias_scale^ `:` type($bias_scale) `)`)?
    (`products` `` `(` $products^ `)`)?
    `operand` `` `(` $operand `:` type($operand) `)`
    `outs` `` `(` $outs `:` type($outs) `)` attr-dict (`->` type($result)^)?
  }];
  let hasCanonicalizer = 0;
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
  }];
}

//===----------------------------------------------------------------------===//
// Layout changes of the tiny batch
//===----------------------------------------------------------------------===//

def Scaling_AnyShaped
    : AnyTypeOf<[RankedTensorOf<[Scaling_Float, I1, I32, I64]>,
                 MemRefRankOf<[Scaling_Float, I1, I32, I64], [1,2,3,4]>],
                "tensor or memref of floats or integers">;

class Scaling_LanesOp<string opMnemonic>
    : Op<Scaling_Dialect, opMnemonic, [
        DestinationStyleOpInterface,
        DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let arguments = (ins
    Scaling_AnyShaped:$source, Index:$offset, Scaling_AnyShaped:$outs);
  let results = (outs Optional<RankedTensorOf<[Scaling_Float, I1, I32, I64]>>:$result);
  let assemblyFormat = [{
    $source `[` $offset `]` `outs` `` `(` $outs `:` type($outs) `)` attr-dict
    `:` type($source) (`->` type($result)^)?
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
  }];
}

def Scaling_ToLanesOp : Scaling_LanesOp<"to_lanes"> {
  let summary = "some elements of a batch side by side";
  let description = [{
    Puts L neighbours of a batch of B > 0 side by side: their entries at one
    place become a vector. Beyond the end of the batch its last element stands
    in, so that a lane never computes what no batch element would.

    Formula: `outs[i..., l] = source[min(offset + l, B - 1), i...]`.

    Shapes: source `[B, ...]`, outs `[..., L]`; L > 0 and what is between
    are static.

    Constraints:
    * (C1) shapes and element types fit as described.
    * (C2) all tensors or all memrefs.

    Example:
    ```mlir
    %t = scaling.to_lanes %K[%i] outs(%e : tensor<4x4x16xf32>)
        : tensor<?x4x4xf32> -> tensor<4x4x16xf32>
    ```
  }];
}

def Scaling_FromLanesOp : Scaling_LanesOp<"from_lanes"> {
  let summary = "elements side by side, each to its place in the batch";
  let description = [{
    The way back of `scaling.to_lanes`: lane l of the source is the element at
    `offset + l` of the batch; lanes beyond the end of the batch go nowhere, the
    rest of `outs` stays.

    Formula: `outs[offset + l, i...] = source[i..., l]` where `offset + l < B`.

    Shapes: source `[..., L]`, outs `[B, ...]`; L > 0 and what is between
    are static.

    Constraints:
    * (C1) shapes and element types fit as described.
    * (C2) all tensors or all memrefs.

    Example:
    ```mlir
    %r = scaling.from_lanes %t[%i] outs(%d : tensor<?x4x4xf32>)
        : tensor<4x4x16xf32> -> tensor<?x4x4xf32>
    ```
  }];
}

#endif // SCALING_CORE_OPS
