//===- ArrangeLoops.td - Contractions along vectors --------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_ARRANGELOOPS_ARRANGELOOPS
#define SCALING_CONVERSION_ARRANGELOOPS_ARRANGELOOPS

include "mlir/Pass/PassBase.td"

def ScalingArrangeLoopsPass : Pass<"scaling-arrange-loops", "::mlir::ModuleOp"> {
  let summary = "Put a loop that runs along memory last in linalg on buffers";
  let description = [{
    For programs with matrix products around the ops of this dialect, before
    `--scaling-lower-to-vector`, which makes vectors of the last loop: a `linalg` op on
    buffers whose last loop is a reduction, and whose output's last dimension
    is a loop that every operand has last or not at all, becomes a
    `linalg.generic` with that loop last and the reductions before it. The order
    in which entries are summed stays. Windows of one entry count as none, so
    that a convolution of size 1 is a matrix product.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

#endif // SCALING_CONVERSION_ARRANGELOOPS_ARRANGELOOPS
