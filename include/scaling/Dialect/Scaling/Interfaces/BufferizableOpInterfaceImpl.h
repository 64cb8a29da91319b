//===- BufferizableOpInterfaceImpl.h - Bufferization ------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_INTERFACES_BUFFERIZABLEOPINTERFACEIMPL_H
#define SCALING_DIALECT_SCALING_INTERFACES_BUFFERIZABLEOPINTERFACEIMPL_H

namespace mlir {
class DialectRegistry;
namespace scaling {

/// `BufferizableOpInterface` of the structured core ops, and of the ops on
/// whole problems a diagnostic.
void registerBufferizableOpInterfaceExternalModels(DialectRegistry &registry);

} // namespace scaling
} // namespace mlir

#endif // SCALING_DIALECT_SCALING_INTERFACES_BUFFERIZABLEOPINTERFACEIMPL_H
