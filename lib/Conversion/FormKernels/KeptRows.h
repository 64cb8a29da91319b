//===- KeptRows.h - Rows in the registers of a block ------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_FORMKERNELS_KEPTROWS_H
#define SCALING_LIB_CONVERSION_FORMKERNELS_KEPTROWS_H

#include "Distribute.h"

namespace mlir::scaling {

/// A block's loop that takes a few rows of a matrix at a time, and reads them
/// several times: for sums of rows and of columns. A thread has every so many
/// vectors of each of these rows, which stay in its registers meanwhile.
struct KeptRows {
  /// What reads the rows, in order.
  SmallVector<linalg::GenericOp> ops;
  /// Of an iteration; entries of a row that a thread has at most, in vectors.
  int64_t rows = 0, chunks = 0, vector = 1;
  /// Of shared memory that warps exchange sums of rows in.
  int64_t exchangeBytes = 0;
  /// The length of a row.
  OpFoldResult columns;

  /// None where a loop is something else, or takes too many registers.
  static std::optional<KeptRows> find(scf::ForOp loop, int64_t threads,
                                      function_ref<void *(Value)> getBuffer);

  /// Whether an op among them reduces the rows.
  static bool isOfColumns(linalg::GenericOp op);
  /// Where the loop is all that uses a buffer which sums of columns are added
  /// to, what makes it zero before the loop.
  linalg::FillOp findFill(Value buffer) const;
};

/// On an op that reduces rows, whose outputs have nothing to be added to.
inline constexpr llvm::StringLiteral kOverwritesAttrName = "overwrites";

/// Gives what a loop does to its rows to the threads of a block.
class RowKeeper {
public:
  /// Makes the loop another one, which sums of columns are carried through.
  /// `allocate` gives shared memory for what warps exchange.
  RowKeeper(RewriterBase &b, scf::ForOp loop, KeptRows kept,
            const Workers &workers, function_ref<Value(MemRefType)> allocate);

  scf::ForOp getLoop() { return loop; }
  bool has(Operation *op) const { return llvm::is_contained(kept.ops, op); }
  /// Does an op's work, before it.
  void emit(linalg::GenericOp op);
  /// Adds the loop's sums of columns to where they belong, after it, and erases
  /// the ops.
  void finish();

private:
  using Entries = SmallVector<Value>;

  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  int64_t perChunk() const { return kept.rows * kept.vector; }
  /// From the first column of a thread to that of a chunk.
  int64_t furtherOf(int64_t chunk);
  /// Where the column of a thread's vector is, and the one so much further.
  Value columnOf(int64_t chunk, int64_t neighbour);
  /// What a thread does with one of its vectors of each row, if it has it:
  /// values that become these otherwise.
  Entries inChunk(int64_t chunk, ValueRange otherwise,
                  function_ref<Entries()> body);
  /// A matrix from the first column of the thread on: addresses are there
  /// before it is known which chunks are.
  Value fromOwn(Value matrix);
  /// Entries of a matrix, and of what the columns have.
  Entries loadRows(Value matrix);
  Entries loadColumns(OpOperand &operand, int64_t chunk);
  Value loadAt(OpOperand &operand, int64_t row, Value column);
  /// The entries of all rows, from memory the first time.
  const Entries &entriesOf(linalg::GenericOp op, OpOperand &operand);
  /// What an op needs before the first of its entries.
  void prepare(linalg::GenericOp op);
  /// The body at an entry.
  Entries emitBody(linalg::GenericOp op, int64_t chunk, int64_t row,
                   int64_t neighbour, ValueRange states);
  void emitEntries(linalg::GenericOp op);
  void emitRows(linalg::GenericOp op);
  void emitColumns(linalg::GenericOp op);

  RewriterBase &b;
  scf::ForOp loop;
  KeptRows kept;
  const Workers &workers;
  Location loc;
  /// Whether a thread has a chunk's vector; null where all have.
  SmallVector<Value> guards;
  Value firstColumn;
  /// Of a buffer, entry by entry: chunks, rows, neighbours.
  llvm::SmallDenseMap<Value, Entries> matrices;
  /// Of an operand: of every column, or every row, that a thread has.
  llvm::SmallDenseMap<OpOperand *, Entries> ofColumns, ofRows;
  /// Shared memory of an op that reduces rows, for each of its outputs.
  llvm::SmallDenseMap<Operation *, Entries> exchanges;
  /// Where an op's sums are among those that the loop carries.
  llvm::SmallDenseMap<Operation *, int64_t> firstSums;
};

/// Where a loop whose rows stay in registers sweeps over a matrix that was made
/// entry by entry just before, takes its first iteration apart, which makes the
/// matrix as well.
void makeInFirstSweep(RewriterBase &b, Block &block, int64_t threads,
                      function_ref<void *(Value)> getBuffer);

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_FORMKERNELS_KEPTROWS_H
