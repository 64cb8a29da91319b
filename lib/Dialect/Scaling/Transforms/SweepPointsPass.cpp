//===- SweepPointsPass.cpp - The pass --scaling-sweep-points ----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Transforms/Passes.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::scaling {
#define GEN_PASS_DEF_SCALINGSWEEPPOINTSPASS
#include "scaling/Dialect/Scaling/Transforms/Passes.h.inc"
} // namespace mlir::scaling

using namespace mlir;

namespace {
struct SweepPointsPass
    : scaling::impl::ScalingSweepPointsPassBase<SweepPointsPass> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    scaling::sweepPoints(rewriter, getOperation());
  }
};
} // namespace
