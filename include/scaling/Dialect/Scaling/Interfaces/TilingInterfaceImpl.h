//===- TilingInterfaceImpl.h - Tiling of the core ops -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_INTERFACES_TILINGINTERFACEIMPL_H
#define SCALING_DIALECT_SCALING_INTERFACES_TILINGINTERFACEIMPL_H

namespace mlir {
class DialectRegistry;
namespace scaling {

/// `TilingInterface` of the structured core ops, and
/// `PartialReductionOpInterface` of `reduce` and `apply`.
void registerTilingInterfaceExternalModels(DialectRegistry &registry);

} // namespace scaling
} // namespace mlir

#endif // SCALING_DIALECT_SCALING_INTERFACES_TILINGINTERFACEIMPL_H
