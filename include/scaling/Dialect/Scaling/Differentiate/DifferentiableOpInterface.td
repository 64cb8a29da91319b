//===- DifferentiableOpInterface.td - Derivatives of ops ---*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIFFERENTIABLEOPINTERFACE
#define SCALING_DIFFERENTIABLEOPINTERFACE

include "mlir/IR/OpBase.td"

def Scaling_DifferentiableOpInterface : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::mlir::scaling";
  let description = [{
    An op on tensors that has a vector-Jacobian product: for a result y = f(x)
    and an adjoint w of y, what a change of x changes Σ w·y by. The named ops,
    the core ops and `iterate` have it; `--scaling-differentiate` asks nothing
    else of them, so that an op of another dialect with an external model of
    this interface is differentiated among them.
  }];
  let methods = [
    InterfaceMethod<[{
      Adds to the adjoints of the active operands, given the adjoints of the
      results, with code at the insertion point of `adjoint.b`. The op may be
      replaced by other code that computes the same, whose values the way back
      then shares: it is in a copy of the function that only serves the
      derivative. What has no derivative is an error at the op.}],
      "::llvm::LogicalResult", "buildVectorJacobianProduct",
      (ins "::mlir::scaling::TensorAdjoint &":$adjoint)>,
  ];
}

#endif // SCALING_DIFFERENTIABLEOPINTERFACE
