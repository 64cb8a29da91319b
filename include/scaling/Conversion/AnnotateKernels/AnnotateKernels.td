//===- AnnotateKernels.td - Promises of callers ------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_ANNOTATEKERNELS_ANNOTATEKERNELS
#define SCALING_CONVERSION_ANNOTATEKERNELS_ANNOTATEKERNELS

include "mlir/Pass/PassBase.td"

def ScalingAnnotateKernelsPass : Pass<"scaling-annotate-kernels"> {
  let summary = "Say what callers of kernels promise";
  let description = [{
    After `convert-gpu-to-nvvm`. A memref argument of a kernel is there two
    pointers, an offset, sizes and strides; the second pointer is the one that
    is read through. It is aligned to 16 bytes, and overlaps no other. Launchers
    have to keep both; loads and stores of several elements at a time follow
    from the first, and loads that are not ordered from the second.

    One block is enough for a multiprocessor (`nvvm.minctasm`): `ptxas` spills
    no registers to have more of them side by side. Dynamic shared memory becomes an external array.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // SCALING_CONVERSION_ANNOTATEKERNELS_ANNOTATEKERNELS
