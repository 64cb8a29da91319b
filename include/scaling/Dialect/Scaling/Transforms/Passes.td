//===- Passes.td - Passes on the scaling dialect --------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TRANSFORMS_PASSES
#define SCALING_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

def ScalingGeneralizePass : Pass<"scaling-generalize"> {
  let summary = "Named ops to core ops and tensor code";
  let description = [{
    Writes what the form, the targets, the starts and the masks of a named op
    mean as ordinary `linalg` and `tensor` ops around `scaling.iterate`,
    `scaling.plan`, `scaling.apply` and `scaling.pairwise`.
    `scaling.similarity_balance` becomes its own loop.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

def ScalingDecomposePass : Pass<"scaling-decompose"> {
  let summary = "iterate to a loop of reduce and update";
  let description = [{
    `scf.for` for a fixed count, `scf.while` for `until`, `scf.for` with a kept
    copy for `best`. The loop stays rolled, its body is rows, then columns,
    whatever axis is first.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

#endif // SCALING_TRANSFORMS_PASSES
