//===- Lowered.h - What a lowering must not leave behind --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_UTILS_LOWERED_H
#define SCALING_DIALECT_SCALING_UTILS_LOWERED_H

#include "mlir/IR/Operation.h"

namespace mlir::scaling {

/// Fails with one error if an op of the dialect is left below `root`: which
/// pass it should have gone through before, or, for a core op, `wrongPlace`.
LogicalResult verifyLowered(Operation *root, StringRef wrongPlace);

} // namespace mlir::scaling

#endif // SCALING_DIALECT_SCALING_UTILS_LOWERED_H
