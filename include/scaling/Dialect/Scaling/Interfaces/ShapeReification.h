//===- ShapeReification.h - Shapes of results at run time -------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_INTERFACES_SHAPEREIFICATION_H
#define SCALING_DIALECT_SCALING_INTERFACES_SHAPEREIFICATION_H

namespace mlir {
class DialectRegistry;
namespace scaling {

/// `ReifyRankedShapedTypeOpInterface` of all ops with results.
void registerShapeReificationExternalModels(DialectRegistry &registry);

} // namespace scaling
} // namespace mlir

#endif // SCALING_DIALECT_SCALING_INTERFACES_SHAPEREIFICATION_H
