//===- DualValue.h - The dual value as sums ---------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_TRANSFORMS_DUALVALUE_H
#define SCALING_LIB_TRANSFORMS_DUALVALUE_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

namespace mlir::scaling {

/// An `apply` of kind `dual` on tensors as sums of short vectors and a `mass`,
/// written before the op; returns what replaces its result.
FailureOr<Value> generalizeDualValue(OpBuilder &builder, ApplyOp op);

} // namespace mlir::scaling

#endif // SCALING_LIB_TRANSFORMS_DUALVALUE_H
