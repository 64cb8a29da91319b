//===- AllocateFromArena.td - Memory from the runtime ------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_ALLOCATEFROMARENA_ALLOCATEFROMARENA
#define SCALING_CONVERSION_ALLOCATEFROMARENA_ALLOCATEFROMARENA

include "mlir/Pass/PassBase.td"

def ScalingAllocateFromArenaPass
    : Pass<"scaling-allocate-from-arena", "::mlir::ModuleOp"> {
  let summary = "Take memory from the runtime's arena";
  let description = [{
    After the lowering to the LLVM dialect: what the module calls as `malloc`
    and `free` becomes `scaling_workspace_acquire` and
    `scaling_workspace_release`, which keep memory from call to call. Fresh
    memory of a matrix' size costs a page fault per page, more than a sweep.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // SCALING_CONVERSION_ALLOCATEFROMARENA_ALLOCATEFROMARENA
