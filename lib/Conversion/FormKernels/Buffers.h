//===- Buffers.h - What is known of sizes and alignments --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_FORMKERNELS_BUFFERS_H
#define SCALING_LIB_CONVERSION_FORMKERNELS_BUFFERS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace mlir::scaling {

/// What one instruction loads or stores at most.
inline constexpr int64_t kAccessBytes = 16;

/// Neighbours along a dimension of that size that one instruction can access in
/// every operand, or that it does not change.
int64_t getVector(linalg::GenericOp op, int64_t dim, OpFoldResult size);

/// Whether a value is always a multiple of a number.
bool isMultiple(OpFoldResult value, int64_t factor);

/// What a buffer of a static shape takes.
int64_t getBytes(MemRefType type);

/// What a value is not above, where that is known.
std::optional<int64_t> getUpperBound(OpFoldResult value);

/// The sizes of a buffer; none where it cannot be told what they are.
SmallVector<OpFoldResult> getSizes(Value buffer);

/// How many entries a buffer has at most, where that is known.
std::optional<int64_t> getMostElements(Value buffer);

/// A part without gaps of a buffer of rank 1.
Value createPart(OpBuilder &b, Location loc, Value buffer, Value begin,
                 ArrayRef<OpFoldResult> sizes);

/// Whether every `factor`-th entry along the last dimension is where an access
/// of that many entries may begin.
bool isAligned(Value buffer, int64_t factor);

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_FORMKERNELS_BUFFERS_H
