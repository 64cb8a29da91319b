//===- Transforms.h - What the passes are shells over -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_TRANSFORMS_TRANSFORMS_H
#define SCALING_DIALECT_SCALING_TRANSFORMS_TRANSFORMS_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::scaling {

/// Writes a named op as core ops and ordinary tensor code before the op;
/// returns what replaces its results.
FailureOr<SmallVector<Value>> generalize(OpBuilder &builder, Operation *op);

/// Writes an `iterate` as a loop over reduce and update before the op; returns
/// what replaces its results.
FailureOr<SmallVector<Value>> decomposeIterate(OpBuilder &builder,
                                               IterateOp op);

/// The discardable attribute that holds a named op's schedule; `iterate` has
/// its own.
inline constexpr StringRef kScheduleAttrName = "scaling.schedule";

/// The schedule written on an op, if there is one.
ScheduleAttr getScheduleOf(Operation *op);
void setScheduleOf(Operation *op, ScheduleAttr schedule);

/// The schedule for an op on whole problems: the one that is written on it, or
/// what its shape and the target's description call for.
ScheduleAttr selectSchedule(Operation *op);

/// Says so where a schedule that is written on an op cannot be, on a GPU.
LogicalResult verifySchedule(Operation *op, ScheduleAttr schedule);

/// Whether the module is for a GPU (`--scaling-describe-gpu`).
bool targetsGPU(Operation *op);

/// A GPU's thread keeps a matrix of up to this many bytes in its registers, of
/// which it has 255 of 4 bytes.
inline constexpr int64_t kThreadBytes = 256;

/// What a GPU's block has for matrices in shared memory, in bytes.
int64_t getBlockBytes(Operation *op);

/// How many matrices of a batch a CPU takes side by side into vector lanes; 0
/// where they are too large for it, and on a GPU. `mayPair`: several vectors of
/// the smallest.
int64_t getTinyLanes(Operation *op, int64_t rows, int64_t cols, Type element,
                     bool mayPair = true);

/// Moves the dialect's ops on tensors into functions of `module @scaling`, and
/// calls these.
LogicalResult outline(ModuleOp module);

/// Tiles an op on whole problems so that each tile is one matrix: side by side
/// on all threads, or one after the other where a matrix takes all threads; or
/// so many tiny matrices as the schedule has lanes. With `sideBySide`, matrices
/// of any size are side by side.
LogicalResult tileBatch(RewriterBase &rewriter, Operation *op,
                        bool sideBySide = false);

/// Whether the op's tiles are as many matrices as its schedule has lanes.
bool takesLanes(Operation *op);

/// Tiles a batch of tiny matrices. Everything a tile is computed from and is
/// comes between layout changes; the tile's batch dimension, dynamic as no
/// other is, goes first.
LogicalResult tileIntoLanes(RewriterBase &rewriter, Operation *op);

/// Tiles the code around a reduction of a batch of tiny matrices, loops
/// included, as `tileIntoLanes` does one op: all that does to each batch
/// element what it does to the others, and takes from no other element. The
/// code stays as it is where it is in no function's block but for loops, or the
/// matrices are not tiny.
LogicalResult tileCodeIntoLanes(RewriterBase &rewriter, ReduceOp anchor);

/// Moves the batch dimension of what is computed in the block from the front
/// to the back, between the layout changes that `tileIntoLanes` put there. A
/// block that has an op this cannot be done for stays as it is.
void formLanes(RewriterBase &rewriter, Block *block);

/// The attribute of iterations whose costs between points are made anew in every
/// sweep, of whatever size they are.
inline constexpr StringRef kNeverStoredAttrName = "scaling.never_stored";

/// Takes the log-sum-exps of costs between points from the points, below
/// `root`, where the schedule is `cloud`.
void sweepPoints(RewriterBase &rewriter, Operation *root);

/// Turns the half-steps of every iteration below `root` that takes all threads
/// into sweeps that read the matrix once.
LogicalResult tileSweeps(RewriterBase &rewriter, Operation *root);

/// Gives an op on memrefs that runs over a whole matrix, outside of parallel
/// loops, to all threads: an `scf.forall` over its first parallel dimension, in
/// items that depend on the shape only. Other ops stay as they are.
LogicalResult parallelize(RewriterBase &rewriter, Operation *op);

/// Tiles the sums of a whole matrix along both axes into groups of rows side by
/// side, whose partial sums of columns are merged in order.
LogicalResult tileMarginals(RewriterBase &rewriter, MarginalsOp op);

/// Tiles what makes a large matrix from points outside of parallel loops into
/// rows side by side, together with what it alone reads.
LogicalResult tileCosts(RewriterBase &rewriter, Operation *root);

/// Patterns that replace named ops by their generalization.
void populateGeneralizePatterns(RewritePatternSet &patterns);

/// Patterns that replace `iterate` by its loop. `absorb`: the domain `absorb`
/// becomes kernel arithmetic where that can be, and plans of the result are
/// made from its kernel; otherwise it is lowered as `log`.
void populateDecomposePatterns(RewritePatternSet &patterns, bool absorb = true);

/// Batch dimensions of size one are taken off named ops and `iterate`.
void populateDropUnitBatchDimsPatterns(RewritePatternSet &patterns);

} // namespace mlir::scaling

#endif // SCALING_DIALECT_SCALING_TRANSFORMS_TRANSFORMS_H
