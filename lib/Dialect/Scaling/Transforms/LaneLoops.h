//===- LaneLoops.h - Loops over a batch, a tile at a time -------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_TRANSFORMS_LANELOOPS_H
#define SCALING_LIB_TRANSFORMS_LANELOOPS_H

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::scaling {

/// Loops over one batch dimension that take as many elements at a time as there
/// are lanes: chunks for threads, and in them tiles. What a tile is computed
/// from and is comes between layout changes, and has the tile's size, dynamic
/// as no other is, in front.
class LaneLoops {
public:
  using Sizes = SmallVector<OpFoldResult>;

  LaneLoops(RewriterBase &builder, Location loc, int64_t lanes,
            OpFoldResult total)
      : b(builder), loc(loc), lanes(lanes), total(total) {}

  /// Computes `[total, ...]` of each of the types, which lack the batch, from
  /// inputs, those flagged being tiles. `matrixBytes`: of one batch element.
  FailureOr<SmallVector<Value>>
  run(ArrayRef<Value> inputs, ArrayRef<bool> batched,
      ArrayRef<RankedTensorType> results, int64_t matrixBytes,
      function_ref<FailureOr<SmallVector<Value>>(ArrayRef<Value>)> body);

private:
  Value index(OpFoldResult size);
  /// `[first, count]` of a batch.
  Value part(Value batch, OpFoldResult first, OpFoldResult count);
  /// A batch' elements from `offset` as `[?, ...]`.
  Value load(Value batch, Value offset);
  Value store(Value tile, Value batch, Value offset);
  int64_t getChunk(int64_t matrixBytes);

  RewriterBase &b;
  Location loc;
  int64_t lanes;
  OpFoldResult total;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_TRANSFORMS_LANELOOPS_H
