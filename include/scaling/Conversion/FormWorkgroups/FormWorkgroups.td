//===- FormWorkgroups.td - Functions as dispatches ----------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FORMWORKGROUPS_FORMWORKGROUPS
#define SCALING_CONVERSION_FORMWORKGROUPS_FORMWORKGROUPS

include "mlir/Pass/PassBase.td"

def ScalingFormWorkgroupsPass
    : Pass<"scaling-form-workgroups", "::mlir::ModuleOp"> {
  let summary = "Make public functions the code of one workgroup";
  let description = [{
    After bufferization, for runtimes that call a function once per workgroup
    and give it no threads (IREE). Every public function `NAME` gets two more
    arguments of type `index`, its workgroup and the number of workgroups, and
    does that workgroup's part:

    * Where all it does is one `scf.forall`, the items of the loop are divided:
      workgroup w of W does items ⌊w·items/W⌋ to ⌊(w+1)·items/W⌋.
    * Otherwise it does everything, and is to be called for one workgroup.

    All other `scf.forall` become `scf.for`. A companion `NAME_workgroups`, with
    the arguments before those two and one output, `memref<1xi64>`, tells how
    many workgroups have something to do; it looks at the sizes of the arguments
    only.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect"];
}

#endif // SCALING_CONVERSION_FORMWORKGROUPS_FORMWORKGROUPS
