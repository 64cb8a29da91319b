//===- AggregatedOpInterfaceImpl.h - Decomposition --------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_INTERFACES_AGGREGATEDOPINTERFACEIMPL_H
#define SCALING_DIALECT_SCALING_INTERFACES_AGGREGATEDOPINTERFACEIMPL_H

namespace mlir {
class DialectRegistry;
namespace scaling {

/// `AggregatedOpInterface` of the named ops and `iterate`.
void registerAggregatedOpInterfaceExternalModels(DialectRegistry &registry);

} // namespace scaling
} // namespace mlir

#endif // SCALING_DIALECT_SCALING_INTERFACES_AGGREGATEDOPINTERFACEIMPL_H
