//===- Distribute.h - linalg ops on GPU threads -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_FORMKERNELS_DISTRIBUTE_H
#define SCALING_LIB_CONVERSION_FORMKERNELS_DISTRIBUTE_H

#include "Buffers.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::scaling {

inline constexpr int64_t kWarpThreads = 32;

/// The threads that share an op's work, as index values.
struct Workers {
  Value thread;
  Value numThreads;
  Value warp;
  Value numWarps;
  Value lane;
};

/// Gives the entries of an op on memrefs to threads, before the op. Several
/// warps share a row where there are few, if they are a block's: `allocate`
/// gives shared memory for what they exchange, or null; a barrier is in
/// between.
void distribute(OpBuilder &b, linalg::GenericOp op, const Workers &workers,
                function_ref<Value(MemRefType)> allocate = nullptr);

/// Gives the columns of a reduction to threads, before the op. Sums begin with
/// `begin`, or, without it, with what is there; who has a column does `then` to
/// it: ops on entries of what is as long.
void joinColumns(OpBuilder &b, linalg::GenericOp op, const Workers &workers,
                 Value begin, ArrayRef<linalg::GenericOp> then);

/// Does all of an op on memrefs, before the op; of static shape it is straight
/// code.
void unroll(OpBuilder &b, linalg::GenericOp op);

/// What joins a state and an entry, for each output of a reduction; none where
/// something else does.
SmallVector<Operation *> findCombiners(linalg::GenericOp op);

/// What a combiner makes of two values.
Value combine(OpBuilder &b, Location loc, Operation *combiner, Value lhs,
              Value rhs);

/// Joins the values of lanes that differ in bits from `most` down to `least`,
/// each a power of two. While there are several values, a lane keeps one half
/// of them: the upper one where its bit is set.
void butterfly(OpBuilder &b, Location loc, Operation *combiner,
               SmallVector<Value> &values, Value lane, int64_t most,
               int64_t least);

/// Takes the last rows of a block apart, where they are fewer than a loop takes
/// at a time: all other iterations have as many.
void splitLastRows(RewriterBase &b, gpu::GPUFuncOp kernel);

/// Makes versions of what comes after `prologue` in a kernel on matrices whose
/// rows are as long as it turns out: one where all of these rows are whole
/// vectors, which an access can move at once, and one for the rest; before them
/// one where rows that are read several times also fit into `bytes` of shared
/// memory. What is known about the sizes in a version, `isMultiple` and
/// `getUpperBound` can tell. Gives the blocks that the versions are in; none,
/// and nothing is changed, where there are no such matrices.
SmallVector<Block *> createVersions(RewriterBase &b, gpu::GPUFuncOp kernel,
                                    Operation &prologue, int64_t bytes);

/// Copies what a block's iteration reads several times to allocations of its
/// own, and lets it accumulate in such; of up to `bytes` in all. What a loop
/// reads part by part is copied ahead of the loop. `getBuffer` tells buffers
/// apart.
void stageMatrices(RewriterBase &b, scf::ForallOp loop, int64_t bytes,
                   const Workers &workers,
                   function_ref<void *(Value)> getBuffer,
                   function_ref<bool(Value)> isReadOnly);

/// Whether the view is read more than once, by ops that can read a copy.
bool isReadAgain(memref::SubViewOp view);

/// Whether a loop's view can be copied before its iteration comes.
bool canPipeline(memref::SubViewOp view, scf::ForOp loop);

/// How many entries a copy of such a view takes.
int64_t getCopiedElements(memref::SubViewOp view);

/// Replaces a view by copies in shared memory that asynchronous instructions
/// make: while an iteration runs, the views of the next `stages - 1` are on
/// their way. The end of an iteration must be a barrier of the block.
void pipelineCopy(RewriterBase &b, memref::SubViewOp view, scf::ForOp loop,
                  int64_t stages, const Workers &workers);

/// The bytes of shared memory that `placeThreadMemory` wants for a thread.
int64_t countThreadBytes(scf::ForallOp loop);

/// Of a loop whose iterations are threads', gives every view of scratch memory
/// memory of its own: what is indexed by inner loops, shared memory, where
/// `allocate` gives it for all threads of a block, and the rest what becomes
/// registers. Whether there was any of the former.
bool placeThreadMemory(RewriterBase &b, scf::ForallOp loop, Value thread,
                       int64_t threads,
                       function_ref<Value(MemRefType)> allocate);

/// Of a thread's loop over half-steps, makes one without the checks for empty
/// rows and numbers below the smallest, and behind it the loop itself for
/// matrices that turn out to need them. `getBuffer` tells buffers apart.
void speculate(RewriterBase &b, scf::ForOp loop,
               function_ref<void *(Value)> getBuffer);

/// A view that is the item of a thread. The items of a block's threads are
/// neighbours in memory, and are moved together: neighbouring threads move
/// neighbouring vectors.
struct StagedItem {
  memref::SubViewOp view;
  bool isOutput = false;
  /// Of an item; that are moved at a time; from item to item in shared memory.
  int64_t elements = 0, vector = 1, stride = 0;
  /// Both of rank 1.
  Value global, shared;
};

/// Of a loop whose iterations are threads', gives items that an iteration both
/// makes and reads memory of their own until its end.
void keepItems(RewriterBase &b, scf::ForallOp loop);

/// The views of a loop whose iterations are threads' that can be staged, in up
/// to `bytes` of shared memory.
SmallVector<StagedItem> findStagedItems(scf::ForallOp loop, int64_t threads,
                                        int64_t bytes);

/// Moves `count` items, from the one called `first`, to shared memory or back.
void moveItems(OpBuilder &b, Location loc, const StagedItem &item, Value first,
               Value count, const Workers &workers);

/// A thread's item in shared memory, with the type of the view.
Value createItemView(OpBuilder &b, Location loc, const StagedItem &item,
                     Value thread);

/// The buffer with one dimension.
Value createFlat(OpBuilder &b, Location loc, Value buffer);

/// All threads of the grid meet: whatever one wrote before, all see after.
/// `counter`, `memref<1xi64>`, counts arrivals from zero; `arrivals`,
/// `memref<i64>` of each thread's own, is how many there have been at the last
/// barrier: no division by the number of blocks, which PTX calls a function
/// for.
void createGridBarrier(OpBuilder &b, Location loc, Value thread,
                       Value numBlocks, Value counter, Value arrivals);

/// The same where blocks cannot wait for each other: all threads come to the
/// end of their launch, and go on in the next one.
void createLaunchEnd(OpBuilder &b, Location loc);

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_FORMKERNELS_DISTRIBUTE_H
