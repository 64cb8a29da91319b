//===- ImportCalls.td - Calls to named ops -----------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_IMPORTCALLS_IMPORTCALLS
#define SCALING_CONVERSION_IMPORTCALLS_IMPORTCALLS

include "mlir/Pass/PassBase.td"

def ScalingImportCallsPass : Pass<"scaling-import-calls", "::mlir::ModuleOp"> {
  let summary = "Turn calls of declared functions into named ops";
  let description = [{
    Turns calls of private functions without a body into ops, where the
    function's attributes say which: the way of ops through compilers that know
    nothing of the dialect, but let calls pass.

    * `scaling.op`: `"project"`, `"sinkhorn"` or `"attention"`;
    * `scaling.operands`: the name of each argument as the op has it, `"matrix"`
      for what is a cost, logits or a kernel;
    * `scaling.attributes`: the op's attributes, as its assembly has them behind
      the operands.

    ```mlir
    func.func private @scaling.project.0(tensor<?x4x4xf32>)
        -> (tensor<?x4x4xf32>, tensor<?xi32>, tensor<?xf32>, tensor<?xi32>)
        attributes {scaling.op = "project", scaling.operands = ["matrix"],
                    scaling.attributes = "preset(mhc)"}
    ```

    Matrices get a common element type and batch dimensions of size 1 go with
    any size, as PyTorch and NumPy have it. A function whose attributes make no
    op stays, with its calls, and a warning says why.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::scaling::ScalingDialect", "::mlir::tensor::TensorDialect"
  ];
}

#endif // SCALING_CONVERSION_IMPORTCALLS_IMPORTCALLS
