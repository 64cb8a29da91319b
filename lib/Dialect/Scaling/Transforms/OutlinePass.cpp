//===- OutlinePass.cpp - The pass --scaling-outline -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Transforms/Passes.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::scaling {
#define GEN_PASS_DEF_SCALINGOUTLINEPASS
#include "scaling/Dialect/Scaling/Transforms/Passes.h.inc"
} // namespace mlir::scaling

using namespace mlir;

namespace {
struct OutlinePass : scaling::impl::ScalingOutlinePassBase<OutlinePass> {
  void runOnOperation() override {
    if (failed(scaling::outline(getOperation())))
      signalPassFailure();
  }
};
} // namespace
