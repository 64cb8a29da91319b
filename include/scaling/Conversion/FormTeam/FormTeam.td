//===- FormTeam.td - Parallel loops to runtime calls ---*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FORMTEAM_FORMTEAM
#define SCALING_CONVERSION_FORMTEAM_FORMTEAM

include "mlir/Pass/PassBase.td"

def ScalingFormTeamPass : Pass<"scaling-form-team", "::mlir::ModuleOp"> {
  let summary = "Run scf.forall on a team of threads";
  let description = [{
    Runs after bufferization. The outermost `scf.forall` of every function
    becomes a private function

    ```mlir
    func.func private @NAME_teamN(%begin: i64, %end: i64, %context: !llvm.ptr)
    ```

    and a call of the runtime. Several dimensions become one, the last varying
    fastest.

    A function with several of them, or one in a sequential loop, has one team
    for all, from the first to the last, around the sequential loops:

    ```mlir
    %team = call @scaling_team_begin() : () -> !llvm.ptr
    scf.while ... {
      call @scaling_team_for(%team, %count, %body, %context)
      // what is between two parallel loops is done by the caller
    }
    call @scaling_team_end(%team)
    ```

    Each loop of a team costs one barrier, with the sequential code in its
    middle: the caller gathers what the members did, goes on alone, and hands
    out the next loop. It decides alone when an iteration stops. A loop that is
    alone in its function is a call of `scaling_parallel_for`.

    Captured values travel in a struct on the caller's stack, memrefs as the
    descriptors the LLVM lowering uses; those that do not change in the
    sequential loops are stored once, before them. Constants and references to
    globals are repeated in the new function. Scratch of an item (`memref.alloca`
    of static size, `memref.alloc` of sizes known outside of the loop) is
    hoisted out of the loop over the items: one copy per call.

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

#endif // SCALING_CONVERSION_FORMTEAM_FORMTEAM
