//===- ImportStableHLO.td - Ops out of StableHLO -----------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_IMPORTSTABLEHLO_IMPORTSTABLEHLO
#define SCALING_CONVERSION_IMPORTSTABLEHLO_IMPORTSTABLEHLO

include "mlir/Pass/PassBase.td"

def ScalingImportStableHLOPass
    : Pass<"scaling-import-stablehlo", "::mlir::ModuleOp"> {
  let summary = "Turn StableHLO's composites and custom calls into our ops";
  let description = [{
    Reads StableHLO in the generic form, without knowing the dialect
    (`--allow-unregistered-dialect`), and replaces

    * `"stablehlo.composite"` whose name is `scaling.<op>`, as
      `scaling.jax.composite` makes them. `composite_attributes` has
      `attributes` (the op's attributes, as assembly) and `operands` (the keyword
      of every operand, in order). Operands of size 1 where others have a batch
      are shared. The decomposition goes when nothing else uses it, with what
      only it uses.
    * `"stablehlo.custom_call"` of `scaling_call`, as the functions of
      `scaling.jax` make them. Its configuration has the whole program. Batch
      dimensions in front, `batch_dims` of them, become one, or none where all
      are of size 1.

    by the ops on builtin tensors. Everything else stays as it is. Where nothing of StableHLO is left, attributes of dialects that are
    not loaded go too, so that the result is a program for `scaling-compile`.

    What it does not know it leaves, with a remark that says why: an op or
    attribute that does not parse, a program for derivatives (`passes`), several
    batch dimensions of unknown sizes of a custom call, results that do not fit.

    ```mlir
    %0 = "stablehlo.composite"(%x) <{
      name = "scaling.project", decomposition = @plain, composite_attributes = {
        operands = "logits", attributes = "preset(mhc)"
      }}> : (tensor<8x4x4xf32>) -> tensor<8x4x4xf32>
    // becomes
    %0:4 = scaling.project logits(%x : tensor<8x4x4xf32>) preset(mhc)
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::scaling::ScalingDialect", "::mlir::tensor::TensorDialect"
  ];
}

#endif // SCALING_CONVERSION_IMPORTSTABLEHLO_IMPORTSTABLEHLO
