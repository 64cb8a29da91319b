//===- SerializeKernels.td - Kernels to PTX and cubins -----*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_SERIALIZEKERNELS_SERIALIZEKERNELS
#define SCALING_CONVERSION_SERIALIZEKERNELS_SERIALIZEKERNELS

include "mlir/Pass/PassBase.td"

def ScalingSerializeKernelsPass
    : Pass<"scaling-serialize-kernels", "::mlir::ModuleOp"> {
  let summary = "Compile the kernels for the GPU of the module";
  let description = [{
    Every `gpu.module` in the NVVM dialect becomes a `gpu.binary` of the same
    name with one object or two, for the chip that `--scaling-describe-gpu` wrote on
    the module: what LLVM makes of it at O3, with loops rolled.

    | format | object |
    |---|---|
    | `llvm` | LLVM IR, as text |
    | `isa` | PTX |
    | `bin` | a cubin; `ptxas` has to be there |
    | `fatbin` | two objects: a cubin if `ptxas` is there, and PTX, for the driver to compile where the cubin does not fit |
  }];
  let options = [
    Option<"format", "format", "std::string", /*default=*/"\"isa\"",
           "llvm, isa, bin or fatbin">
  ];
  let dependentDialects = ["::mlir::gpu::GPUDialect",
                           "::mlir::NVVM::NVVMDialect"];
}

#endif // SCALING_CONVERSION_SERIALIZEKERNELS_SERIALIZEKERNELS
