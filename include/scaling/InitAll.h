//===- InitAll.h - Everything the tools register ----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_INITALL_H
#define SCALING_INITALL_H

namespace mlir {
class DialectRegistry;
namespace scaling {

/// The dialect, the interface implementations and the transform extension.
void registerAllDialects(DialectRegistry &registry);

/// The passes and pipelines.
void registerAllPasses();

} // namespace scaling
} // namespace mlir

#endif // SCALING_INITALL_H
