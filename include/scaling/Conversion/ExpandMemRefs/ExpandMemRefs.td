//===- ExpandMemRefs.td - What upstream has no way down for -*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EXPANDMEMREFS_EXPANDMEMREFS
#define SCALING_CONVERSION_EXPANDMEMREFS_EXPANDMEMREFS

include "mlir/Pass/PassBase.td"

def ScalingExpandMemRefsPass : Pass<"scaling-expand-memrefs"> {
  let summary = "Lower the memref ops that the ways to LLVM have no code for";
  let description = [{
    The LLVM lowering turns a copy between contiguous memrefs into `memcpy`,
    and any other into a call of `memrefCopy`, which lives in a library of
    MLIR's that compiled code does not link. This pass makes those copies
    `linalg.generic`, so that they become loops.

    A `memref.expand_shape` that makes several unknown sizes of one, whose
    strides MLIR 22's `expand-strided-metadata` does not compute, becomes
    `memref.reinterpret_cast`.
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::linalg::LinalgDialect"];
}

#endif // SCALING_CONVERSION_EXPANDMEMREFS_EXPANDMEMREFS
