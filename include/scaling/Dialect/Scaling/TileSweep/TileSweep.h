//===- TileSweep.h - One read of the matrix per iteration -------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_TILESWEEP_TILESWEEP_H
#define SCALING_DIALECT_SCALING_TILESWEEP_TILESWEEP_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::scaling {

struct TileSweepOptions {
  /// Entries of the reduced dimension that are taken at once.
  int64_t block = 8;
  /// Entries per iteration of the parallel loop, which a sequential loop walks
  /// by blocks; 0: a block each. There are as many partial results as groups.
  int64_t group = 0;
  /// Make the matrix anew, tile by tile, in the sweep.
  bool recomputeMatrix = false;
  /// Fuse what the factor is computed from.
  bool fuseFactor = true;
  /// A reduction of the same matrix along the other axis, before `reduce` and
  /// independent of it: both then share the sweep. Null where there is none.
  ReduceOp sibling;
};

struct TileSweepResult {
  scf::ForallOp parallel;
  /// Null where every block is a group.
  scf::ForOp sequential;
  /// The second reduction, on a tile.
  ReduceOp tiled;
};

/// Turns `reduce rows; update rows; reduce cols` into one parallel loop over
/// blocks of rows that reads every block once: tiles the column `reduce` into
/// partial results and fuses into the loop what its factor is computed from, as
/// long as that is in the same block of code: the row `update`, the row
/// `reduce`, and their producers. Uses of the fused update outside read the
/// loop's result. A sibling, as in simultaneous updates of both axes, is tiled
/// alike and shares the loop. The same with rows and columns exchanged; batch
/// dimensions stay whole.
FailureOr<TileSweepResult> tileSweep(RewriterBase &rewriter, ReduceOp reduce,
                                     const TileSweepOptions &options);

/// Turns an op whose results keep domain dimension `dim` into a parallel loop
/// over parts of `size` along it, in which the matrix is made anew where asked
/// for.
LogicalResult tileParallel(RewriterBase &rewriter, Operation *op, unsigned dim,
                           int64_t size, bool recomputeMatrix = false);

/// What an iteration of a loop with this body alone writes gets storage of its
/// own, as large as the largest tile.
void makeScratchLocal(RewriterBase &rewriter, Block *block);

} // namespace mlir::scaling

#endif // SCALING_DIALECT_SCALING_TILESWEEP_TILESWEEP_H
