//===- PlanWorkspace.td - One buffer for all scratch --------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE
#define SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE

include "mlir/Pass/PassBase.td"

def ScalingPlanWorkspacePass
    : Pass<"scaling-plan-workspace", "::mlir::ModuleOp"> {
  let summary = "Put all scratch of a function into one buffer";
  let description = [{
    After bufferization and hoisting, and before buffers are freed.

    Scratch of a public function that an elementwise op (`scaling.plan`, a copy,
    a `linalg.generic`) turns into an output, last thing that happens to it and
    first thing that happens to the output, is built in the output: the kernel
    in the place of the plan.

    All other allocations of a function, in whatever loops and branches, and
    those of an iteration of a parallel loop, become views of one aligned buffer
    per function and iteration, allocated where it begins. The buffer's size is
    the sum of theirs, each rounded up to a cache line, computed from the
    arguments; an allocation whose size cannot be computed there, or that is
    carried from one iteration to the next, stays.

    With `argument` a public function `NAME` takes the buffer from its caller,
    as its last argument, `memref<?xi8>` aligned to 64 bytes, and gets a
    companion `NAME_workspace_size` with the same arguments before that and one
    output, `memref<1xi64>`: the number of bytes. The companion looks at the
    sizes of the arguments only. An allocation in a loop whose size has a
    constant upper bound gets a place of that size.

    With `shared-bytes`, for a GPU: allocations of an iteration of an outermost
    parallel loop that is done by a block of threads stay where they are, for
    `--scaling-form-kernels`, if they are of static shape and fit. Otherwise
    they become views of one allocation before the loop that has a place for
    every block, for at most 1,024 blocks and no more than the loop has
    iterations.
  }];
  let options = [
    Option<"argument", "argument", "bool", /*default=*/"false",
           "Take the workspace of public functions from the caller">,
    Option<"sharedBytes", "shared-bytes", "int64_t", /*default=*/"0",
           "Shared memory of a GPU's block; 0: there is no GPU">
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::gpu::GPUDialect",
                           "::mlir::memref::MemRefDialect"];
}

#endif // SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE
