//===- ScalingBase.td - The scaling dialect ------------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_BASE
#define SCALING_BASE

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def Scaling_Dialect : Dialect {
  let name = "scaling";
  let cppNamespace = "::mlir::scaling";
  let summary = "Matrix scaling: Sinkhorn, balancing, equilibration";
  let description = [{
    The algorithms of this family are one sentence: reduce a matrix along one
    axis, update a short vector, use it to scale the matrix along that axis,
    alternate the axes.

    *Named ops* (`sinkhorn`, `project`, `balance`, `normalize`, `attention`,
    `similarity_balance`) are what people write. `--scaling-generalize` turns
    them into *core ops* (`iterate`, `reduce`, `update`, `plan`, `apply`,
    `pairwise`), which is what the compiler reasons about, and ordinary
    upstream ops around them.

    Shapes: `[..., n, m]` is a matrix of n rows and m columns behind any number
    of batch dimensions. Batch dimensions are right-aligned; missing leading
    ones broadcast (a cost shared by a batch, marginals shared by all).

    Numbers: f64, f32, and f16 or bf16 as storage with f32 arithmetic. The
    page "What an iteration does, exactly" (`docs/semantics.md`) defines every
    count, guard and residual.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::tensor::TensorDialect"];
  let extraClassDeclaration = [{
    void registerAttributes();
  }];
}

#endif // SCALING_BASE
