//===- ImportTorch.td - Ops in torch-mlir text -------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_IMPORTTORCH_IMPORTTORCH
#define SCALING_CONVERSION_IMPORTTORCH_IMPORTTORCH

include "mlir/Pass/PassBase.td"

def ScalingImportTorchPass : Pass<"scaling-import-torch", "::mlir::ModuleOp"> {
  let summary = "Turn the ops of scaling.torch in torch dialect text into named ops";
  let description = [{
    In programs of torch-mlir's torch dialect, in generic form and read with
    `--allow-unregistered-dialect`, turns the ops that `scaling.torch` registers
    with PyTorch, `torch.operator "torch.scaling.project"` and its likes, into
    ops of this dialect, between `torch_c.to_builtin_tensor` and
    `torch_c.from_builtin_tensor`. Operands that are `torch.constant.none` are
    left out; the last operand, a `torch.constant.str`, has the attributes.
    Nothing of torch-mlir is linked, and everything else stays as it is.

    ```mlir
    %5:4 = "torch.operator"(%4, %none, …, %str) <{name = "torch.scaling.project"}>
    // becomes
    %a = "torch_c.to_builtin_tensor"(%4)
        : (!torch.vtensor<[?,4,4],f32>) -> tensor<?x4x4xf32>
    %p, %k, %r, %s = scaling.project logits(%a : tensor<?x4x4xf32>) preset(mhc)
    %5 = "torch_c.from_builtin_tensor"(%p)
        : (tensor<?x4x4xf32>) -> !torch.vtensor<[?,4,4],f32>
    ```

    An op of `torch.scaling` that is not known, or not in this way, stays, and a
    warning says why.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::scaling::ScalingDialect", "::mlir::tensor::TensorDialect"
  ];
}

#endif // SCALING_CONVERSION_IMPORTTORCH_IMPORTTORCH
