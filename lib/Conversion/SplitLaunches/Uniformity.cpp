//===- Uniformity.cpp - What the threads of a block share -----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Uniformity.h"

#include "scaling/Conversion/FormKernels/FormKernels.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace mlir::scaling;

Uniformity::Uniformity(LLVM::LLVMFuncOp kernel) : dominance(kernel) {
  bool isNew = true;
  while (isNew) {
    isNew = false;
    for (Block &block : kernel.getBody())
      isNew |= visit(block);
  }
}

bool Uniformity::computeDivergent(Operation *op) const {
  if (llvm::any_of(op->getOperands(),
                   [&](Value operand) { return !isUniform(operand); }))
    return true;
  if (auto load = dyn_cast<LLVM::LoadOp>(op))
    return load.getOrdering() != LLVM::AtomicOrdering::not_atomic;
  if (auto assembly = dyn_cast<LLVM::InlineAsmOp>(op))
    return assembly.getAsmString() != kCopyAssembly;
  if (isa<NVVM::BlockIdXOp, NVVM::BlockDimXOp, NVVM::GridDimXOp>(op))
    return false;
  // Memory that every thread has its own of is no pure operation either.
  return isa<NVVM::NVVMDialect>(op->getDialect()) || !isPure(op);
}

void Uniformity::addBranch(Operation *branch) {
  Block *from = branch->getBlock();
  SmallVector<Block *> next(branch->getSuccessors());
  llvm::DenseSet<Block *> seen;
  while (!next.empty()) {
    Block *block = next.pop_back_val();
    if (!seen.insert(block).second)
      continue;
    // Here all threads have come again.
    if (dominance.properlyPostDominates(block, from)) {
      joins.insert(block);
      continue;
    }
    divergentBlocks.insert(block);
    llvm::append_range(next, block->getSuccessors());
  }
}

bool Uniformity::visit(Block &block) {
  bool isNew = false;
  bool isDivergent = divergentBlocks.contains(&block);
  for (BlockArgument argument : block.getArguments()) {
    if (!isUniform(argument) || block.isEntryBlock())
      continue;
    bool varies = isDivergent || joins.contains(&block);
    for (auto use = block.pred_begin(); use != block.pred_end() && !varies;
         ++use) {
      auto branch = dyn_cast<BranchOpInterface>((*use)->getTerminator());
      Value given = branch
                        ? branch.getSuccessorOperands(
                              use.getSuccessorIndex())[argument.getArgNumber()]
                        : Value();
      varies = !given || !isUniform(given);
    }
    if (varies)
      isNew |= add(argument);
  }
  for (Operation &op : block) {
    if (op.getNumSuccessors() > 1) {
      if (isUniform(op.getOperand(0)) || !branches.insert(&op).second)
        continue;
      addBranch(&op);
      isNew = true;
    }
    for (Value result : op.getResults())
      if (isUniform(result) && (isDivergent || computeDivergent(&op)))
        isNew |= add(result);
  }
  return isNew;
}
