//===- MatrixBlocks.h - Parts of a matrix of costs --------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_DIFFERENTIATE_MATRIXBLOCKS_H
#define SCALING_LIB_DIFFERENTIATE_MATRIXBLOCKS_H

#include "scaling/Dialect/Scaling/Differentiate/TensorAdjoint.h"

#include "mlir/IR/IRMapping.h"

namespace mlir::scaling {

/// Matrices `[..., n, m]`, one of which is computed entry by entry from costs
/// between points, a block at a time: some rows of one batch element, or some
/// batch elements where they are small. Neither that matrix nor its adjoint is
/// ever there as a whole.
class MatrixBlocks {
public:
  /// A block, and what its derivative is taken through. Batch dimensions of
  /// which it has one element are not there.
  struct Block {
    /// Along the batch dimensions, then along the rows.
    SmallVector<OpFoldResult> offsets, sizes;
    /// Of the batch dimensions, those that are not there.
    SmallVector<bool> dropped;
    /// The matrices as they are here.
    IRMapping matrices;
    SmallVector<Operation *> ops;
    /// What stands for each of `sources` here: it, or its part.
    SmallVector<Value> parts;

    OpFoldResult firstRow() const { return offsets.back(); }
  };

  /// What a tensor's last dimensions run along; those in front are batch
  /// dimensions, aligned to the right.
  enum class Along { rows, other };
  using Tail = ArrayRef<Along>;
  static Tail vector(Axis axis);
  static Tail matrix();
  /// `[..., k]` along the rows, or along nothing.
  static Tail lines(Axis axis);

  /// None where the first matrix is not made from points alone, or is small.
  /// Another one may be anything. `batch` is what all is broadcast to.
  static std::optional<MatrixBlocks> create(OpBuilder &builder, Location loc,
                                            ArrayRef<Value> matrices,
                                            ArrayRef<OpFoldResult> batch);

  /// What the matrices are computed from.
  SmallVector<Value> getSources() const;

  /// Carries values through `body` for all blocks, in their order.
  using Body = function_ref<SmallVector<Value>(const Block &, ValueRange)>;
  SmallVector<Value> forEach(ArrayRef<Value> init, Body body);

  /// The part of a tensor, and the tensor with another part.
  Value part(Value tensor, const Block &block, Tail tail);
  Value store(Value part, Value tensor, const Block &block, Tail tail);

  /// The adjoints of the sources (null for what has none), the block's
  /// matrices having these; null where a matrix has none.
  LogicalResult addToSources(const Block &block, ArrayRef<Value> adjoints,
                             MutableArrayRef<Value> sourceAdjoints);

private:
  /// The loop over blocks that each dimension runs along, or none.
  using Loops = SmallVector<std::optional<unsigned>>;
  struct Source {
    Value value;
    Loops loops;
    bool operator==(const Source &other) const {
      return value == other.value && loops == other.loops;
    }
  };

  MatrixBlocks(OpBuilder &builder, Location loc, ArrayRef<OpFoldResult> batch)
      : b(&builder), loc(loc), batchRank(batch.size()),
        totals(batch.begin(), batch.end()) {}
  LogicalResult collect(Value value);
  /// A tensor that is read along these dimensions of a matrix of `rank`.
  Source sourceOf(Value value, AffineMap map);
  Source sourceOfMatrix(Value value);
  void addSource(Source source);
  Value partOf(const Source &source, const Block &block) const;
  void chooseSteps(RankedTensorType type);
  Loops loopsOf(Value tensor, Tail tail) const;
  Value slice(Value tensor, const Block &block, const Loops &loops);
  Value insert(Value part, Value tensor, const Block &block,
               const Loops &loops);
  Value make(Operation *op, const Block &block);
  SmallVector<Value> loopOver(unsigned loop, Block block, ValueRange carried,
                              Body body);

  OpBuilder *b;
  Location loc;
  unsigned batchRank;
  /// Of the batch, then of the rows; how many a block has, 0 for all.
  SmallVector<OpFoldResult> totals;
  SmallVector<int64_t> steps;
  SmallVector<Value> matrices;
  /// What is done again for a block, in order.
  SmallVector<Operation *> ops;
  SmallVector<Source> sources;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_DIFFERENTIATE_MATRIXBLOCKS_H
