//===- FormLaunches.td - Host functions of kernels ---------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FORMLAUNCHES_FORMLAUNCHES
#define SCALING_CONVERSION_FORMLAUNCHES_FORMLAUNCHES

include "mlir/Pass/PassBase.td"

def ScalingFormLaunchesPass
    : Pass<"scaling-form-launches", "::mlir::ModuleOp"> {
  let summary = "Make a host function that launches each kernel";
  let description = [{
    Runs after `--scaling-form-kernels`. Every kernel `NAME` of
    `gpu.module @kernels` gets a host function of that name. It takes the
    kernel's arguments, without the workspace and the counter of the grid's
    barrier, and last a stream, a `!llvm.ptr` (null: the default stream). Data
    are in the device's memory; the sizes of memrefs are read on the host. It
    returns an `i32`: 0, or the error that `scaling/Runtime/CUDA.h` explains.

    The function allocates the workspace, whose bytes `NAME_workspace_size`
    tells, with `mgpuMemAlloc`, clears the counter with `mgpuMemset32`, launches
    as many blocks as are resident with `mgpuLaunchKernel` or, where blocks meet
    at barriers of the grid, `scaling_cuda_launch_cooperative`, and gives the
    workspace back with `mgpuMemFree`. All of it is ordered by the stream: it
    returns before the kernel has run. A kernel that is launched until it is
    done (`scaling.relaunched`) gets a zeroed state of `NAME.state_bytes` for
    each block, a constant that `--scaling-split-launches` gives its value, and
    goes to `scaling_cuda_launch_until_done`, which waits. After an error, what follows does
    nothing, but the workspace is given back.

    The kernel comes from the image that `--scaling-embed-kernels` puts into the
    module.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::gpu::GPUDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::memref::MemRefDialect"
  ];
}

#endif // SCALING_CONVERSION_FORMLAUNCHES_FORMLAUNCHES
