//===- DifferentiableOpInterface.h - Derivatives of ops ---------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_DIFFERENTIATE_DIFFERENTIABLEOPINTERFACE_H
#define SCALING_DIALECT_SCALING_DIFFERENTIATE_DIFFERENTIABLEOPINTERFACE_H

#include "mlir/IR/OpDefinition.h"

namespace mlir {
class DialectRegistry;
namespace scaling {

class TensorAdjoint;

/// `DifferentiableOpInterface` of the named ops, the core ops and `iterate`.
void registerDifferentiableOpInterfaceExternalModels(DialectRegistry &registry);

} // namespace scaling
} // namespace mlir

#include "scaling/Dialect/Scaling/Differentiate/DifferentiableOpInterface.h.inc"

#endif // SCALING_DIALECT_SCALING_DIFFERENTIATE_DIFFERENTIABLEOPINTERFACE_H
