//===- EliminateBarriers.td - Only barriers that order -----*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_ELIMINATEBARRIERS_ELIMINATEBARRIERS
#define SCALING_CONVERSION_ELIMINATEBARRIERS_ELIMINATEBARRIERS

include "mlir/Pass/PassBase.td"

def ScalingEliminateBarriersPass : Pass<"scaling-eliminate-barriers"> {
  let summary = "Erase the barriers of kernels that order nothing";
  let description = [{
    A `gpu.barrier` stays where an access before it and one after it, with no
    other barrier between, may touch the same bytes from two threads of a block,
    one of them writing. All others are erased, those of the innermost loops
    first, so that every barrier that is left is needed.

    Where blocks meet (a branch with `scaling.grid_barrier`), the same holds for
    threads of two blocks: where such have nothing to order, the branch goes,
    and the block's own barriers beside it are judged as all others. A barrier
    beside one that stays is needed if a thread other than the first of its
    block, which meets the other blocks, has accesses to order with those of
    other blocks.

    Whether two accesses meet is decided by integer arithmetic: the bytes of
    either are a function of the thread, the block and the loops around, as far
    as that is linear with divisions by constants, under the bounds of loops and
    the conditions of branches. Uniform values in the same iteration of a loop
    are the same for both. Of a number that is divided by one that is not known,
    the quotient and the remainder say which it is. An element that is written
    and read by the same thread takes no barrier.

    Arguments of a kernel do not overlap, nor do views of one whose offsets are
    not constant; index arithmetic does not wrap, and what is compared or divided
    without a sign is not negative; accesses are in bounds. Bytes that an
    asynchronous copy writes are written where its thread waits for it. An
    operation whose effects are not known, and an atomic one, touches everything.
    Kernels whose number of threads is not known, or whose blocks have more than
    one dimension, stay as they are. Runs on structured control flow.
  }];
  let dependentDialects = ["::mlir::gpu::GPUDialect"];
}

#endif // SCALING_CONVERSION_ELIMINATEBARRIERS_ELIMINATEBARRIERS
