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
  }
};
} // namespace
