//===- ScalingToVector.cpp - The pass -------------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ScalingToVector/ScalingToVector.h"
#include "scaling/Dialect/Scaling/Utils/Lowered.h"

#include "VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGTOVECTORPASS
#include "scaling/Conversion/ScalingToVector/ScalingToVector.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

namespace {
struct ScalingToVectorPass final
    : scaling::impl::ScalingToVectorPassBase<ScalingToVectorPass> {
  using Base::Base;

  void runOnOperation() override {
    if (vectorBits != 128 && vectorBits != 256 && vectorBits != 512) {
      getOperation()->emitError("'vector-bits' must be 128, 256 or 512");
      return signalPassFailure();
    }
    ScalingToVectorPassOptions options;
    options.vectorBits = vectorBits;
    options.contract = contract;
    RewritePatternSet patterns(&getContext());
    populateScalingToVectorPatterns(patterns, options);
    walkAndApplyPatterns(getOperation(), std::move(patterns));

    if (failed(verifyLowered(
            getOperation(),
            "is on tensors: vector code is made from memrefs, after "
            "bufferization")))
      signalPassFailure();
  }
};
} // namespace

void scaling::populateScalingToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options) {
  populateReduceToVectorPatterns(patterns, options);
  populateElementwiseToVectorPatterns(patterns, options);
  populateLanesToVectorPatterns(patterns, options);
  populateLinalgToVectorPatterns(patterns, options);
  populateProductToVectorPatterns(patterns, options);
  populateApplyToVectorPatterns(patterns, options);
  populateMarginalsToVectorPatterns(patterns, options);
  populatePairwiseToVectorPatterns(patterns, options);
}
