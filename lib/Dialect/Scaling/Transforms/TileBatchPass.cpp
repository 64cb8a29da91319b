//===- TileBatchPass.cpp - The pass --scaling-tile-batch --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Transforms/Passes.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::scaling {
#define GEN_PASS_DEF_SCALINGTILEBATCHPASS
#include "scaling/Dialect/Scaling/Transforms/Passes.h.inc"
} // namespace mlir::scaling

using namespace mlir;

namespace {
struct TileBatchPass : scaling::impl::ScalingTileBatchPassBase<TileBatchPass> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk(
        [&](scaling::ScalingBatchedOpInterface op) { ops.push_back(op); });
    IRRewriter rewriter(&getContext());
    for (Operation *op : ops)
      if (failed(scaling::tileBatch(rewriter, op, sideBySide)))
        return signalPassFailure();
    tileCode(rewriter);
  }

  /// Code that was written around core ops; tiling it erases the reductions
  /// that are in it.
  void tileCode(IRRewriter &rewriter) {
    llvm::SetVector<scaling::ReduceOp> anchors;
    struct Forget final : RewriterBase::Listener {
      explicit Forget(llvm::SetVector<scaling::ReduceOp> &anchors)
          : anchors(anchors) {}
      void notifyOperationErased(Operation *op) override {
        op->walk([&](scaling::ReduceOp reduce) { anchors.remove(reduce); });
      }
      llvm::SetVector<scaling::ReduceOp> &anchors;
    } forget(anchors);
    getOperation()->walk([&](scaling::ReduceOp op) {
      if (op->getParentOfType<scf::ForOp>() &&
          !op->getParentOfType<scf::ForallOp>())
        anchors.insert(op);
    });
    rewriter.setListener(&forget);
    while (!anchors.empty())
      if (failed(scaling::tileCodeIntoLanes(rewriter, anchors.pop_back_val())))
        return signalPassFailure();
    rewriter.setListener(nullptr);
  }
};
} // namespace
