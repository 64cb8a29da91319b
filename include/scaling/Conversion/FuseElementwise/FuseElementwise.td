//===- FuseElementwise.td - Around the ops of the dialect --*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FUSEELEMENTWISE_FUSEELEMENTWISE
#define SCALING_CONVERSION_FUSEELEMENTWISE_FUSEELEMENTWISE

include "mlir/Pass/PassBase.td"

def ScalingFuseElementwisePass : Pass<"scaling-fuse-elementwise"> {
  let summary = "Fuse what whole models have around the ops of this dialect";
  let description = [{
    For exported models, before anything becomes of the ops of this dialect. On
    tensors:

    * an elementwise `linalg.generic` goes into the `linalg.generic` that reads
      it, an elementwise one or a reduction, where it is read once, or costs no
      more than two additions, and is read along memory;
    * `linalg.broadcast` becomes a `linalg.generic` first;
    * slices and transpositions of constants are constants;
    * `linalg.conv_2d_nchw_fchw` whose windows do not overlap, as where a picture
      is cut into patches, becomes a matrix product.

    Results are the same, bit by bit.
  }];
  let dependentDialects = ["::mlir::affine::AffineDialect",
                           "::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}

#endif // SCALING_CONVERSION_FUSEELEMENTWISE_FUSEELEMENTWISE
