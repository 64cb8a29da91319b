//===- ScalingToLinalg.cpp - The pass -------------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ScalingToLinalg/ScalingToLinalg.h"
#include "scaling/Dialect/Scaling/Utils/Lowered.h"

#include "Generic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGTOLINALGPASS
#include "scaling/Conversion/ScalingToLinalg/ScalingToLinalg.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

namespace {
struct ScalingToLinalgPass final
    : scaling::impl::ScalingToLinalgPassBase<ScalingToLinalgPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateScalingToLinalgPatterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));

    if (failed(
            verifyLowered(getOperation(),
                          "is on memrefs: linalg is made from tensors, before "
                          "bufferization")))
      signalPassFailure();
  }
};
} // namespace

void scaling::populateScalingToLinalgPatterns(RewritePatternSet &patterns) {
  populateReduceToLinalgPatterns(patterns);
  populateUpdateToLinalgPatterns(patterns);
  populatePlanToLinalgPatterns(patterns);
  populateApplyToLinalgPatterns(patterns);
  populateMarginalsToLinalgPatterns(patterns);
  populateLanesToLinalgPatterns(patterns);
  populatePairwiseToLinalgPatterns(patterns);
}
