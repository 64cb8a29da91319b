//===- FormKernels.td - Functions to GPU kernels -----------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FORMKERNELS_FORMKERNELS
#define SCALING_CONVERSION_FORMKERNELS_FORMKERNELS

include "mlir/Pass/PassBase.td"

def ScalingFormKernelsPass : Pass<"scaling-form-kernels", "::mlir::ModuleOp"> {
  let summary = "Make one GPU kernel of every public function";
  let description = [{
    Runs after bufferization, on `linalg` over memrefs. Every public function
    `NAME` moves into `gpu.module @kernels` as one kernel of the same name and
    arguments: all its loops are inside, the decision to stop too.

    | at this level | run by |
    |---|---|
    | an `scf.forall` with a mapping `#gpu.thread` | an item per thread, its memory in registers: static loops are unrolled |
    | any other outermost `scf.forall` | an item per block of threads; its static allocations are in dynamic shared memory |
    | a `linalg` op in an item of a block | the threads of the block: a warp, or some of its lanes, per row where the contiguous dimension is reduced (each lane adds every so many entries, then a butterfly of shuffles), else a thread per entry, or per column |
    | a `linalg` op outside of all parallel loops | the same, by all threads of the grid |
    | everything else, also loops and branches | all threads alike |

    A block has as many threads as the largest matrix of its items keeps busy
    with 32 entries each: a matrix of up to 1,024 entries is one warp's. Where
    rows are whole vectors, neighbours are loaded and stored 16 bytes at a time;
    of known sizes, several such wait for memory together, and a warp reduces up
    to four rows at a time. A matrix without gaps whose rows begin anywhere goes from
    one sector of memory to the next, whatever the row.

    The items of a block's threads are neighbours in memory: they go through
    shared memory, vectors of 16 bytes side by side, so that threads read and
    write whole sectors; there, items are an odd number of vectors apart, in
    different banks. What a block reads several times of memory that it does not
    write is copied to shared memory where it fits. What a loop reads part by
    part is copied ahead of it by asynchronous instructions: while one part is
    worked on, up to three more are on their way. Where rows that a loop takes a
    few of at a time are read several times, for sums of rows and of columns, they
    are read from there once, and stay in the registers of the block's threads
    meanwhile, 152 for each at most; sums of columns do all the loop long. If the
    matrix was made entry by entry just before, the first iteration of a loop over
    such sweeps is taken apart, and makes it. Columns that the grid reduces, and
    what is made of the results one by one, are one thread's each.

    Where a kernel's matrices have rows of unknown length, it has versions, of
    which it takes one at its beginning: for rows of whole vectors that are short
    enough for the copies that run ahead, if there are such; for rows of whole
    vectors; and for all others.

    A thread's loop of half-steps runs without the checks for empty rows, zero
    factors and reciprocals of numbers below 2^-126 first. What they are there
    for leaves a factor that is zero, infinite or NaN in the end: then the loop
    runs again with them. With `approximate=false`, and in functions with the
    attribute `scaling.strict`, it runs once, with them.

    The order of every reduction is a function of the shape only. Items are
    taken in strides of the grid, so that a kernel is right for any number of
    blocks up to 1,024. A barrier comes where an operation touches what another may have
    written, or writes what another may have read, since the last one: of the
    block inside of items, of the grid outside. `scaling-eliminate-barriers`
    can take away what is too many of them.

    A kernel with grid barriers has one more argument, last: `memref<1xi64>`,
    zero before the launch. Its blocks must all be resident at a time (a
    cooperative launch), and it has the attribute `scaling.cooperative`.
    With `plain-launches` nobody waits: a launch ends at a barrier of the grid,
    where the kernel calls `scaling_launch_ends`, which
    `scaling-split-launches` takes apart. Such a kernel has the attribute
    `scaling.relaunched`, and its last argument is a `memref<?xi8>` for what it
    keeps between launches.

    `scaling.shared_bytes` is how much dynamic shared memory a block takes.
  }];
  let options = [
    Option<"blockThreads", "block-threads", "unsigned", /*default=*/"256",
           "The most threads of a block that works on one matrix">,
    Option<"itemThreads", "item-threads", "unsigned", /*default=*/"128",
           "The most threads of a block where each has a matrix of its own">,
    Option<"sharedBytes", "shared-bytes", "int64_t", /*default=*/"232448",
           "The most shared memory that a block may take">,
    Option<"approximate", "approximate", "bool", /*default=*/"true",
           "Use the approximate instructions for f32">,
    Option<"plainLaunches", "plain-launches", "bool", /*default=*/"false",
           "Kernels do not wait for other blocks: a launch ends at barriers of "
           "the grid">
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::gpu::GPUDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::NVVM::NVVMDialect",
    "::mlir::scf::SCFDialect"
  ];
}

#endif // SCALING_CONVERSION_FORMKERNELS_FORMKERNELS
