//===- SplitLaunches.td - Kernels that never wait ----------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_SPLITLAUNCHES_SPLITLAUNCHES
#define SCALING_CONVERSION_SPLITLAUNCHES_SPLITLAUNCHES

include "mlir/Pass/PassBase.td"

def ScalingSplitLaunchesPass
    : Pass<"scaling-split-launches", "::mlir::ModuleOp"> {
  let summary = "Have kernels return where launches end, and go on from there";
  let description = [{
    After `convert-gpu-to-nvvm`. A kernel with the attribute
    `scaling.relaunched` has calls of `scaling_launch_ends` where its blocks
    would otherwise meet (`scaling-form-kernels` with `plain-launches`). Here
    they become returns: a thread keeps what it needs afterwards, and the next
    launch of the same kernel, with the same arguments, begins there. The end of
    a launch orders what blocks have written.

    What is kept lies in the last argument, a `memref<?xi8>`, as many bytes for
    each block as the attribute `scaling.state_bytes` says afterwards; the
    blocks' states follow each other. The first word of each is where the block
    goes on: 0 at the beginning, -1 after the last launch. Values that are the
    same for all threads of a block lie behind it, once; of all others each
    thread has its own, side by side. What is a function of arguments,
    constants and the numbers of thread and block is not kept but made again.
    Memory of a thread is kept where it is used on both sides. A constant
    `NAME.state_bytes` of the module, if there is one, gets the number as its
    value.

    All threads of a block come to the same calls, and nothing in shared memory
    is read after one that was written before it. A kernel that is done returns
    at once.
  }];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect"
  ];
}

#endif // SCALING_CONVERSION_SPLITLAUNCHES_SPLITLAUNCHES
