//===- PartialReductionImpl.h - Tiling of reductions into parts -*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_INTERFACES_PARTIALREDUCTIONIMPL_H
#define SCALING_DIALECT_SCALING_INTERFACES_PARTIALREDUCTIONIMPL_H

namespace mlir {
class DialectRegistry;
namespace scaling {

/// `PartialReductionOpInterface` of `reduce` and `apply`.
void registerPartialReductionExternalModels(DialectRegistry &registry);

} // namespace scaling
} // namespace mlir

#endif // SCALING_DIALECT_SCALING_INTERFACES_PARTIALREDUCTIONIMPL_H
