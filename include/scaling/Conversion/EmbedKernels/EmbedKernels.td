//===- EmbedKernels.td - Cubins and PTX in host code -------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EMBEDKERNELS_EMBEDKERNELS
#define SCALING_CONVERSION_EMBEDKERNELS_EMBEDKERNELS

include "mlir/Pass/PassBase.td"

def ScalingEmbedKernelsPass
    : Pass<"scaling-embed-kernels", "::mlir::ModuleOp"> {
  let summary = "Put compiled kernels into the host's module as constants";
  let description = [{
    Runs after `--scaling-serialize-kernels`. The objects of the one
    `gpu.binary`, a cubin, PTX or both, become the constants `@scaling.cubin`
    and `@scaling.ptx` of the LLVM dialect, what `--scaling-form-launches` made
    refers to them, and a destructor of the module unloads the image.
  }];
  let dependentDialects = ["::mlir::gpu::GPUDialect",
                           "::mlir::LLVM::LLVMDialect"];
}

#endif // SCALING_CONVERSION_EMBEDKERNELS_EMBEDKERNELS
