//===- Slicing.h - Tiles of operands ----------------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// What the tiling interfaces share: sizes and slices of tensors and memrefs.
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_DIALECT_SCALING_INTERFACES_SLICING_H
#define SCALING_LIB_DIALECT_SCALING_INTERFACES_SLICING_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

namespace mlir::scaling {

/// The size of a dimension of a tensor or memref.
OpFoldResult getShapedSize(OpBuilder &builder, Location loc, Value shaped,
                           int64_t dim);

/// The slice of a tensor or memref; `type`, where given, drops unit dimensions.
Operation *createSlice(OpBuilder &builder, Location loc, Value shaped,
                       ArrayRef<OpFoldResult> offsets,
                       ArrayRef<OpFoldResult> sizes,
                       RankedTensorType type = nullptr);

/// Whether the range is provably the whole dimension of a tensor or memref.
bool isWholeDim(OpFoldResult offset, OpFoldResult size, Value shaped,
                int64_t dim);

/// Whether the range is provably the whole of a dimension of a structured op's
/// domain.
bool isWholeDomainDim(ScalingStructuredOpInterface op, int64_t dim,
                      OpFoldResult offset, OpFoldResult size);

/// The size of every dimension of a structured op's domain.
SmallVector<OpFoldResult> getDomainSizes(OpBuilder &builder,
                                         ScalingStructuredOpInterface op);

/// The part of an operand that a tile of a structured op's domain reads or
/// writes: an input itself where that is all of it, else a slice, which is
/// added to `slices`.
Value sliceOperand(OpBuilder &builder, ScalingStructuredOpInterface op,
                   OpOperand &operand, ArrayRef<OpFoldResult> offsets,
                   ArrayRef<OpFoldResult> sizes,
                   SmallVectorImpl<Operation *> &slices);

/// Tells `apply` of the kinds that depend on it where a tile begins.
void adjustOffsets(OpBuilder &builder, Operation *tiled,
                   ArrayRef<OpFoldResult> offsets);

/// Attaches `PartialReductionOpInterface`. It extends `TilingInterface`, which
/// must be there before.
void attachPartialReductionModels(MLIRContext *context);

} // namespace mlir::scaling

#endif // SCALING_LIB_DIALECT_SCALING_INTERFACES_SLICING_H
