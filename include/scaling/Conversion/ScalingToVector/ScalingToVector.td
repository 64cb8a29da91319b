//===- ScalingToVector.td - Core ops to vector code --------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_SCALINGTOVECTOR_SCALINGTOVECTOR_TD
#define SCALING_CONVERSION_SCALINGTOVECTOR_SCALINGTOVECTOR_TD

include "mlir/Pass/PassBase.td"

def ScalingToVectorPass : Pass<"scaling-lower-to-vector"> {
  let summary = "Lower the core ops on memrefs to loops over vectors";
  let description = [{
    Rewrites `scaling.reduce`, `update`, `plan`, `apply` and `pairwise` on
    memrefs to `scf.for` loops over `vector`, `arith` and `math`.

    * The innermost dimension of the domain is the vector dimension, whatever
      its part: columns, rows, or matrices side by side. All others are loops.
    * A reduction along the vector dimension keeps one accumulator per row of
      a block of rows and folds lanes by a fixed tree of shuffles; across it,
      blocks of rows are added to the state, the matrix being read in its
      order. Every entry is loaded once per sweep; passes of a statistic that
      do not look at each other share a sweep, and one that counts entries needs
      none where no mask leaves some out.
    * Maxima of magnitudes keep NaN by comparing bits. The maximum of a
      log-sum-exp leaves NaN out: it is in the sum.
    * Where the schedule streams the matrix, a block of rows asks for the one
      behind it: `memref.prefetch`.
    * What is left of the vector dimension is done under a mask: nothing is
      read or written out of bounds, and lanes beyond the end are neutral.
    * Results depend on shapes and types only: not on alignment, tiling in
      whole blocks or threads.
    * Arithmetic is done in the type of the states (`reduce`, `update`) or the
      widest type among the operands (the others), and at least in f32.
    * Where an operand's innermost stride is not one the op's vectors have one
      lane.

    Named ops and `scaling.iterate` must be gone, and everything bufferized;
    otherwise the pass fails with one error.
  }];
  let options = [
    Option<"vectorBits", "vector-bits", "unsigned", /*default=*/"512",
           "Width of a vector register: 512, 256 or 128">,
    Option<"contract", "contract", "bool", /*default=*/"true",
           "Add products with fused multiply-add">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
}

#endif // SCALING_CONVERSION_SCALINGTOVECTOR_SCALINGTOVECTOR_TD
