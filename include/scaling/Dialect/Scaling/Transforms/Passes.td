//===- Passes.td - Passes on the scaling dialect --------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TRANSFORMS_PASSES
#define SCALING_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

def ScalingGeneralizePass : Pass<"scaling-generalize"> {
  let summary = "Named ops to core ops and tensor code";
  let description = [{
    Writes what the form, the targets, the starts and the masks of a named op
    mean as ordinary `linalg` and `tensor` ops around `scaling.iterate`,
    `scaling.plan`, `scaling.apply` and `scaling.pairwise`.
    `scaling.similarity_balance` becomes its own loop.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

def ScalingDecomposePass : Pass<"scaling-decompose"> {
  let summary = "iterate to a loop of reduce and update";
  let description = [{
    `scf.for` for a fixed count, `scf.while` for `until`, `scf.for` with a kept
    copy for `best`. The loop stays rolled, its body is rows, then columns,
    whatever axis is first.

    The domain `absorb` becomes kernel arithmetic where the order is
    `rows_first` or `cols_first`, the count is fixed without annealing or the
    marginals decide, no Anderson's steps are asked for, and the schedule does
    not make the matrix anew in every sweep. In a batch, a
    fixed count of plain half-steps is first done on the kernel of the start,
    and a flag per element says whether its sums stayed in the range in which
    the checked loop would come to the same; that loop follows where one did
    not. Plans of the iteration's matrix and results are made from the kernel.
    In all other cases, and with `absorb=false`, the domain is lowered as `log`.
  }];
  let options = [
    Option<"absorb", "absorb", "bool", /*default=*/"true",
           "Lower the domain absorb with kernel arithmetic, else as log">];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

def ScalingSelectSchedulePass : Pass<"scaling-select-schedule"> {
  let summary = "Choose how each iteration is laid out on the machine";
  let description = [{
    Writes `schedule` on `scaling.iterate` and the discardable attribute
    `scaling.schedule` on named ops, from shapes, element type and the module's
    target description (`dlti`). A schedule that is there already stays: write
    one to override the choice.

    | regime | when |
    |---|---|
    | `tiny_batched` | a batch of matrices of at most 1,024 entries, a vector of which takes no more than 1.25 times L1 |
    | `resident` | a batch of matrices of at most half of L2, or of unknown size |
    | `streaming` | a single matrix, or larger ones |
    | `cloud` | the same, made by `scaling.pairwise` from points, and made anew (`matrix = recomputed`) in every sweep |

    The costs between points are made anew where d coordinates cost less than
    reading what was stored, from the cache level the matrix fits in or from
    memory, and where storing them would take more than a gigabyte or an
    unknown number of bytes.

    On a module for a GPU (`--scaling-describe-gpu`) a batch is `tiny_batched`,
    a matrix for a thread, where a matrix has at most 256 bytes, `resident`, a
    matrix for a block, where it fits the block's shared memory, `cloud` where
    it is made of points and taken as logarithms, as in attention, and else
    `streaming`. `tiny_batched` on a matrix that a thread's 255 registers cannot
    hold is an error there.
  }];
}

def ScalingSweepPointsPass : Pass<"scaling-sweep-points"> {
  let summary = "Statistics of costs between points, from the points";
  let description = [{
    After `--scaling-decompose`, for GPUs: every log-sum-exp of the schedule
    `cloud` along rows or columns of f32 or f64 costs between points, times a
    number, maybe with a bias, becomes a `scaling.reduce_points`; two of the same
    costs, along rows and along columns, whose factors are known before either,
    become one. What is made of a plan of such costs follows: products
    become `scaling.apply_points`, mass, cost and dual value
    `scaling.sum_points`, the largest entries of rows `scaling.argmax_points`.
    The costs stay for whom else reads them. Points of narrower types are cast
    first.

    Squared distances of 16 coordinates and more become products,
    `|x − o|² + |y − o|² − 2 (x − o)·(y − o)`, where o is the mean of the first
    32 points of y; not in functions of `strict` numerics. Cosines become
    products of points over their norms.

    Points of 16 coordinates and more whose products are to be of tf32, bf16 or
    f16, as the function's attribute `scaling.products` says, are rounded to numbers
    of it (to nearest, ties of tf32 away from zero), squares being those of the
    rounded ones: a point is as far from itself as f32 sums differ. Points of an
    odd or unknown number of coordinates are rounded to tf32 instead. What is
    applied to a plan of such points is rounded as well, to bf16 where points
    are and it has an even number of columns, and to tf32.
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::tensor::TensorDialect"];
}

def ScalingTileBatchPass : Pass<"scaling-tile-batch"> {
  let summary = "Take one matrix of a batch at a time";
  let description = [{
    Tiles every scheduled op along its batch dimensions before it is
    generalized, so that everything it becomes lies inside the tile: an
    `scf.forall` for matrices that fit a core's cache, an `scf.for` where one
    matrix takes all threads. Tiny matrices are taken as many at once as the
    schedule has lanes; an `scf.forall` over chunks of them, their number a
    function of the shape only, has an `scf.for` over these tiles inside. So is
    code around `scaling.reduce` of tiny matrices in a loop, as derivatives have
    it: all that treats the elements of the batch alike, and each alone. On a
    module for a GPU the `scf.forall` is mapped: an iteration is for a thread
    (`tiny_batched`) or for a block of threads (`resident`); `cloud` stays as it
    is there, all matrices at once.
  }];
  let options = [
    Option<"sideBySide", "side-by-side", "bool", /*default=*/"false",
           "An scf.forall for matrices of any size">];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::gpu::GPUDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

def ScalingFormLanesPass : Pass<"scaling-form-lanes"> {
  let summary = "Compute on vectors of matrices side by side";
  let description = [{
    After `--scaling-decompose`, for the tiles that `--scaling-tile-batch` makes
    of tiny matrices: the batch dimension of everything computed on a tile moves
    from the front to the back, where it is a vector register, so that no
    arithmetic crosses lanes. The layout changes only where the tile is read
    (`scaling.to_lanes`) and written (`scaling.from_lanes`).
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

def ScalingTileAndFusePass : Pass<"scaling-tile-and-fuse"> {
  let summary = "Fuse the half-steps of a sweep into one read of the matrix";
  let description = [{
    For the streaming and cloud regimes, after `--scaling-decompose`: every
    `reduce rows; update rows; reduce cols` becomes one `scf.forall` over groups
    of rows, each walked by blocks that stay in cache, with one partial result
    per group, merged in order. So does a row and a column `reduce` of the same
    matrix of which neither needs the other, as in simultaneous updates, and so
    does every `marginals`. A `reduce` on its own is one `scf.forall` over groups
    of rows. The number of groups is a function of the shape only.

    Costs between points are made in an `scf.forall` over groups of rows,
    together with what they alone become. What makes a whole matrix entry by
    entry, `plan` and `linalg.generic`, is one `scf.forall` too, and is written
    over the matrix it is made from where nobody reads that after.
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

def ScalingOutlinePass : Pass<"scaling-outline", "::mlir::ModuleOp"> {
  let summary = "Move the dialect's ops into functions of a module of their own";
  let description = [{
    For programs of which another compiler does the rest. Every op of the
    dialect on tensors, together with those that take its results where nothing
    in between waits for them, becomes a public function in `module @scaling`,
    and a call of a private declaration `@scaling.NAME`, which a linker resolves:

    ```mlir
    func.func private @scaling.main_project(tensor<8x8xf32>) -> tensor<8x8xf32>
    func.func @main(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
      %P = call @scaling.main_project(%x) : (tensor<8x8xf32>) -> tensor<8x8xf32>
      return %P : tensor<8x8xf32>
    }
    module @scaling {
      func.func @main_project(%x: tensor<8x8xf32>) -> tensor<8x8xf32> { ... }
    }
    ```

    Constants that are no arrays, sizes and empty destinations are made again in
    the function. A name that is taken gets a number.
  }];
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

def ScalingParallelizePass : Pass<"scaling-parallelize"> {
  let summary = "Give work on whole matrices to all threads";
  let description = [{
    After bufferization: an op on memrefs that runs over a matrix (making the
    kernel, the plan, a half-step that is no sweep) and is not in a parallel
    loop becomes an `scf.forall` over its first parallel dimension. An item has
    about 16384 entries, a function of the shape only; smaller work stays in
    one piece.
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect"];
}

def ScalingDropUnitDimsPass : Pass<"scaling-drop-unit-dims"> {
  let summary = "Take batch dimensions of size one off";
  let description = [{
    A named op or `scaling.iterate` on a batch with dimensions of size one runs
    on the batch without them, between reshapes that cost nothing.
  }];
  let dependentDialects = ["::mlir::tensor::TensorDialect"];
}

#endif // SCALING_TRANSFORMS_PASSES
