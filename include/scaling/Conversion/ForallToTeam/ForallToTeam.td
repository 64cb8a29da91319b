//===- ForallToTeam.td - Parallel loops to runtime calls ---*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FORALLTOTEAM_FORALLTOTEAM
#define SCALING_CONVERSION_FORALLTOTEAM_FORALLTOTEAM

include "mlir/Pass/PassBase.td"

def ScalingForallToTeamPass : Pass<"scaling-forall-to-team", "::mlir::ModuleOp"> {
  let summary = "Run scf.forall through the runtime's parallel loop";
  let description = [{
    Runs after bufferization. The outermost `scf.forall` of every function
    becomes a private function

    ```mlir
    func.func private @NAME_teamN(%begin: i64, %end: i64, %context: !llvm.ptr)
    ```

    and a call of `scaling_parallel_for`. Several dimensions become one, the
    last varying fastest. Captured values travel in a struct on the caller's
    stack, memrefs as the descriptors the LLVM lowering uses; constants and
    references to globals are repeated in the new function. Scratch of static
    size (`memref.alloca`) is hoisted out of the loop over the items: one copy
    per call.

    Loops inside a parallel loop, loops of one item and, with `threads=false`,
    all loops become `scf.for`, or disappear. A forall with outputs (tensors)
    is an error.
  }];
  let options = [
    Option<"threads", "threads", "bool", /*default=*/"true",
           "Call the runtime; otherwise all loops are sequential">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect"
  ];
}

#endif // SCALING_CONVERSION_FORALLTOTEAM_FORALLTOTEAM
