//===- PlanWorkspace.td - One buffer for all scratch --------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE
#define SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE

include "mlir/Pass/PassBase.td"

def ScalingPlanWorkspacePass : Pass<"scaling-plan-workspace"> {
  let summary = "Put all scratch of a function into one buffer";
  let description = [{
    After bufferization and hoisting, and before buffers are freed: the
    allocations of a function's own block, and those of the body of a parallel
    loop, become views of one aligned buffer per block. The buffer's size is
    the sum of theirs, each rounded up to a cache line, computed where the first
    of them is made; an allocation whose size is not known there stays.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::memref::MemRefDialect"];
}

#endif // SCALING_CONVERSION_PLANWORKSPACE_PLANWORKSPACE
