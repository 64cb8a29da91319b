//===- ThreadPair.h - Two threads at two accesses ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_ELIMINATEBARRIERS_THREADPAIR_H
#define SCALING_LIB_CONVERSION_ELIMINATEBARRIERS_THREADPAIR_H

#include "IntegerProblem.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/DenseMap.h"

namespace mlir::scaling {

/// An access to memory that others may see.
struct Access {
  Operation *op = nullptr;
  /// The memref or the pointer; null where it may be anything.
  Value where;
  /// What that points to; null where it cannot be told.
  Value memory;
  /// An index of a memref's element: a value, or none, and what is added to it,
  /// from the first number to the last.
  struct Index {
    Value value;
    int64_t first = 0, last = 0;
  };
  SmallVector<Index, 2> indices;
  /// Otherwise it may be any element.
  bool hasIndices = false;
  bool isWrite = false;
  /// By an asynchronous copy that was asked for at any time.
  bool isPending = false;
  /// Where `where` is a pointer.
  int64_t bytes = 0;
  /// The outermost loop that has begun again between the access and the
  /// barrier.
  Operation *again = nullptr;
};

/// The memory that a value points to, as far as it can be told from others:
/// null where it cannot.
Value getMemory(Value value);

/// Whether an operation is assembly that copies its operand.
bool isCopy(Operation *op);

/// Whether all threads of a block, or of the grid, have the same value.
bool isUniform(Value value, bool ofGrid);

/// How often a loop runs at least.
bool runsAtLeastOnce(scf::ForOp loop);

/// What one thread of a block does before a barrier and another one after it.
class ThreadPair {
public:
  /// The two threads; and what both have in common.
  enum Side { kBefore, kAfter, kCommon };
  /// Which threads.
  struct Threads {
    Operation *barrier;
    int64_t numThreads;
    /// Of two blocks rather than of one.
    bool ofBlocks = false;
    /// The accesses may be in any iterations of the loops around the barrier.
    bool isLoose = false;
    /// Of a smallest value, one that it is the value of is looked for.
    bool isThorough = false;
    /// The side whose thread is not the first of its block.
    std::optional<Side> firstOther = std::nullopt;
  };

  explicit ThreadPair(const Threads &which) : which(which) {}

  /// Whether the accesses may touch the same bytes, if both are to the same
  /// memory.
  bool mayMeet(const Access &before, const Access &after);

private:
  struct Place {
    /// Elements of `memory`'s type for each dimension, or its bytes.
    SmallVector<Linear> indices;
    bool isBytes = false, isKnown = false;
    int64_t size = 1;
    /// What `memory` is taken for, if not for what it is.
    Value base = {};
  };
  struct Division {
    Linear value, divisor, quotient, remainder;
  };

  Linear fresh() { return Linear::variable(problem.addVariable()); }
  Linear fresh(Value value);
  /// Not negative, and less than the limit.
  Linear freshBelow(int64_t limit);
  Linear sum(const Linear &lhs, const Linear &rhs);
  Linear product(const Linear &value, int64_t factor);

  bool isCommon(Value value) const;
  Linear evaluate(Value value, Side side);
  Linear evaluateNow(Value value, Side side);
  Linear evaluateFolded(OpFoldResult value, Side side);
  Linear evaluateIndex(scf::ForOp loop, Side side);
  Linear evaluateExpr(AffineExpr expr, ArrayRef<Linear> dims,
                      ArrayRef<Linear> symbols);
  Linear evaluateOffset(memref::ExtractStridedMetadataOp op, Value value,
                        Side side);
  Linear evaluateMinimum(const Linear &lhs, const Linear &rhs, bool isMaximum);
  /// The quotient and the remainder.
  std::pair<Linear, Linear> divide(const Linear &value, int64_t divisor);
  Division &divide(Value value, Value divisor, Side side);

  /// Alternatives of which one holds where a condition is true or false.
  SmallVector<Constraints> describe(Value condition, bool truth, Side side);
  void assume(Value condition, bool truth, Side side);
  /// That control comes to an operation.
  void reach(Operation *op, Side side);

  Place locate(const Access &access, Side side);
  Place locatePointer(Value pointer, int64_t bytes, Side side);
  /// From an element of a view to that of its memory.
  bool descend(Value memref, Place &place, Side side);
  bool toBytes(Value memory, Place &place);
  /// The number of bytes that an address is beyond what a memory begins with.
  std::optional<Linear> evaluateAddress(Value value, Side side);

  Threads which;
  Operation *again = nullptr;
  IntegerProblem problem;
  llvm::DenseMap<Value, Linear> known[3];
  Linear threads[2], blocks[2], numBlocks;
  /// Of variables that are not negative, what they are less than.
  llvm::DenseMap<unsigned, int64_t> limits;
  /// Numbers, their divisors, quotients and remainders.
  SmallVector<std::tuple<Linear, int64_t, Linear, Linear>> quotients;
  /// Numbers that have the remainder of the block's by how many there are.
  SmallVector<Linear> ofBlock[2];
  SmallVector<std::pair<std::pair<Value, Value>, Division>, 2> divisions[3];
};

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_ELIMINATEBARRIERS_THREADPAIR_H
