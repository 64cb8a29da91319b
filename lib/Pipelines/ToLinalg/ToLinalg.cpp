//===- ToLinalg.cpp - From the dialect to upstream's ------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Pipelines/ToLinalg.h"

#include "scaling/Conversion/ScalingToLinalg/ScalingToLinalg.h"
#include "scaling/Dialect/Scaling/Transforms/Passes.h"

#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void scaling::buildToLinalgPipeline(OpPassManager &pm) {
  pm.addPass(createScalingGeneralizePass());
  // Plain loops for whoever takes them: no branches on data.
  ScalingDecomposePassOptions decompose;
  decompose.absorb = false;
  pm.addPass(createScalingDecomposePass(decompose));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createScalingToLinalgPass());
  // No cse: it would merge the fills that reset a statistic, and
  // bufferization would copy them in the loop.
  pm.addPass(createCanonicalizerPass());
}

void scaling::registerToLinalgPipeline() {
  PassPipelineRegistration<>(
      "scaling-to-linalg",
      "Every op of the dialect to linalg, scf and math on tensors",
      buildToLinalgPipeline);
}
