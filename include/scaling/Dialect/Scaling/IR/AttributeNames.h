//===- AttributeNames.h - Attributes on functions ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_IR_ATTRIBUTENAMES_H
#define SCALING_DIALECT_SCALING_IR_ATTRIBUTENAMES_H

#include "llvm/ADT/StringRef.h"

namespace mlir::scaling {

/// On a function or kernel for a GPU: it has an op of strict numerics, and f32
/// is computed without approximate instructions.
inline constexpr llvm::StringLiteral kStrictAttrName = "scaling.strict";

/// On such a function whose products of points are not f32: their name.
inline constexpr llvm::StringLiteral kProductsAttrName = "scaling.products";

} // namespace mlir::scaling

#endif // SCALING_DIALECT_SCALING_IR_ATTRIBUTENAMES_H
