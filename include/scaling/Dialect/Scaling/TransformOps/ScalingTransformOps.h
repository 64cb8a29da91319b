//===- ScalingTransformOps.h - Transform ops --------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_TRANSFORMOPS_SCALINGTRANSFORMOPS_H
#define SCALING_DIALECT_SCALING_TRANSFORMOPS_SCALINGTRANSFORMOPS_H

namespace mlir {
class DialectRegistry;
namespace scaling {

/// The extension of the transform dialect with this dialect's transforms.
void registerTransformDialectExtension(DialectRegistry &registry);

} // namespace scaling
} // namespace mlir

#endif // SCALING_DIALECT_SCALING_TRANSFORMOPS_SCALINGTRANSFORMOPS_H
