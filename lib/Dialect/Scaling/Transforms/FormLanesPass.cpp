//===- FormLanesPass.cpp - The pass --scaling-form-lanes --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Transforms/Passes.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::scaling {
#define GEN_PASS_DEF_SCALINGFORMLANESPASS
#include "scaling/Dialect/Scaling/Transforms/Passes.h.inc"
} // namespace mlir::scaling

using namespace mlir;

namespace {
struct FormLanesPass : scaling::impl::ScalingFormLanesPassBase<FormLanesPass> {
  void runOnOperation() override {
    llvm::SetVector<Block *> blocks;
    getOperation()->walk(
        [&](scaling::ToLanesOp op) { blocks.insert(op->getBlock()); });
    IRRewriter rewriter(&getContext());
    for (Block *block : blocks)
      scaling::formLanes(rewriter, block);
  }
};
} // namespace
