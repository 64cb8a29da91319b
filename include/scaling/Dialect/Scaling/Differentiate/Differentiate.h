//===- Differentiate.h - Vector-Jacobian products ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_DIFFERENTIATE_DIFFERENTIATE_H
#define SCALING_DIALECT_SCALING_DIFFERENTIATE_DIFFERENTIATE_H

#include "scaling/Dialect/Scaling/Differentiate/TensorAdjoint.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGDIFFERENTIATEPASS
#include "scaling/Dialect/Scaling/Differentiate/Differentiate.h.inc"

/// Writes the function for vector-Jacobian products beside `function`, whose
/// code must be in one block: `linalg` on tensors, a few `tensor` ops, and ops
/// with the `DifferentiableOpInterface`.
/// `wrt`: positions of arguments that are float tensors. Errors are reported at
/// the op that has no derivative.
FailureOr<func::FuncOp> differentiate(func::FuncOp function,
                                      ArrayRef<int64_t> wrt,
                                      const DifferentiateOptions &options = {});

/// Whether all that the factors of the function's iterations are used for are
/// dual values, whose derivatives along them are zero; an error where not.
LogicalResult verifyEnvelope(func::FuncOp function);

#define GEN_PASS_REGISTRATION
#include "scaling/Dialect/Scaling/Differentiate/Differentiate.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_DIALECT_SCALING_DIFFERENTIATE_DIFFERENTIATE_H
