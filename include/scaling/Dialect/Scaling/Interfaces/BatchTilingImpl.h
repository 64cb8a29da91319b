//===- BatchTilingImpl.h - Tiling of whole problems by batch ----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_INTERFACES_BATCHTILINGIMPL_H
#define SCALING_DIALECT_SCALING_INTERFACES_BATCHTILINGIMPL_H

namespace mlir {
class DialectRegistry;
namespace scaling {

/// `TilingInterface`, along the batch, of the named ops and `iterate`.
void registerBatchTilingExternalModels(DialectRegistry &registry);

} // namespace scaling
} // namespace mlir

#endif // SCALING_DIALECT_SCALING_INTERFACES_BATCHTILINGIMPL_H
