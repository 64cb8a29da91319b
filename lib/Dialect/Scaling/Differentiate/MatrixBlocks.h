//===- MatrixBlocks.h - Rows of a matrix of costs ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_DIFFERENTIATE_MATRIXBLOCKS_H
#define SCALING_LIB_DIFFERENTIATE_MATRIXBLOCKS_H

#include "scaling/Dialect/Scaling/Differentiate/TensorAdjoint.h"

namespace mlir::scaling {

/// A matrix `[n, m]` that is computed entry by entry from costs between points,
/// some rows at a time: neither it nor its adjoint is ever there as a whole.
class MatrixBlocks {
public:
  /// Some rows, and what their derivative is taken through.
  struct Block {
    OpFoldResult first, count;
    Value matrix;
    SmallVector<Operation *> ops;
    /// What stands for each of `sources` here: it, or its part for these rows.
    SmallVector<Value> parts;
  };

  /// None where the matrix is not made from points alone, or is small.
  static std::optional<MatrixBlocks> create(OpBuilder &builder, Location loc,
                                            Value matrix);

  /// What the matrix is computed from.
  ArrayRef<Value> getSources() const { return sources; }

  /// Carries values through `body` for all blocks, in their order.
  using Body = function_ref<SmallVector<Value>(const Block &, ValueRange)>;
  SmallVector<Value> forEach(ArrayRef<Value> init, Body body);

  /// The part of a vector of the rows, or of the adjoint of a source.
  Value part(Value vector, const Block &block, unsigned dim = 0);
  Value store(Value part, Value vector, const Block &block, unsigned dim = 0);

  /// The adjoints of the sources (null for what has none), the block's matrix
  /// having this one.
  LogicalResult addToSources(const Block &block, Value matrixAdjoint,
                             MutableArrayRef<Value> sourceAdjoints);

private:
  MatrixBlocks(OpBuilder &builder, Location loc) : b(&builder), loc(loc) {}
  LogicalResult collect(Value value);
  void addSource(Value value, std::optional<unsigned> rowDim);
  Block make(OpFoldResult first, OpFoldResult count);

  OpBuilder *b;
  Location loc;
  Value matrix;
  /// What is done again for a block, in order.
  SmallVector<Operation *> ops;
  SmallVector<Value> sources;
  /// The dimension of each that runs along the rows.
  SmallVector<std::optional<unsigned>> rowDims;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_DIFFERENTIATE_MATRIXBLOCKS_H
