//===- ExpandCopies.td - Strided copies as loops -----------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_EXPANDCOPIES_EXPANDCOPIES
#define SCALING_CONVERSION_EXPANDCOPIES_EXPANDCOPIES

include "mlir/Pass/PassBase.td"

def ScalingExpandCopiesPass : Pass<"scaling-expand-copies"> {
  let summary = "Turn copies of strided memrefs into linalg";
  let description = [{
    The LLVM lowering turns a copy between contiguous memrefs into `memcpy`,
    and any other into a call of `memrefCopy`, which lives in a library of
    MLIR's that compiled code does not link. This pass makes those copies
    `linalg.generic`, so that they become loops.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

#endif // SCALING_CONVERSION_EXPANDCOPIES_EXPANDCOPIES
