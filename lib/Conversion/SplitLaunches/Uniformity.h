//===- Uniformity.h - What the threads of a block share ---------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_SPLITLAUNCHES_UNIFORMITY_H
#define SCALING_LIB_CONVERSION_SPLITLAUNCHES_UNIFORMITY_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Dominance.h"
#include "llvm/ADT/DenseSet.h"

namespace mlir::scaling {

/// Finds the values of a kernel that are the same for all threads of a block
/// wherever all of them are. What is read from one address is, because nothing
/// else would be free of races.
class Uniformity {
public:
  explicit Uniformity(LLVM::LLVMFuncOp kernel);

  bool isUniform(Value value) const { return !divergent.contains(value); }

private:
  bool computeDivergent(Operation *op) const;
  /// All that depends on where threads go from a branch.
  void addBranch(Operation *branch);
  bool add(Value value) { return divergent.insert(value).second; }
  /// Whether there was news.
  bool visit(Block &block);

  PostDominanceInfo dominance;
  llvm::DenseSet<Value> divergent;
  /// Not all threads come here together.
  llvm::DenseSet<Block *> divergentBlocks;
  /// Branches whose threads part, as far as they are known.
  llvm::DenseSet<Operation *> branches;
  /// What comes to these depends on the thread.
  llvm::DenseSet<Block *> joins;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_SPLITLAUNCHES_UNIFORMITY_H
