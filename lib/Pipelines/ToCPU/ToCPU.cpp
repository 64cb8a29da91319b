//===- ToCPU.cpp - From the dialect to vector code --------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Pipelines/ToCPU.h"

#include "scaling/Conversion/ArrangeLoops/ArrangeLoops.h"
#include "scaling/Conversion/FuseElementwise/FuseElementwise.h"
#include "scaling/Conversion/ScalingToVector/ScalingToVector.h"
#include "scaling/Dialect/Scaling/Transforms/Passes.h"
#include "scaling/Pipelines/LinalgToLLVM.h"

#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void scaling::buildToCPUBuffersPipeline(OpPassManager &pm,
                                        const ToCPUOptions &options) {
  pm.addPass(createScalingFuseElementwisePass());
  pm.addPass(createScalingSelectSchedulePass());
  ScalingTileBatchPassOptions batch;
  batch.sideBySide = options.workgroups;
  pm.addPass(createScalingTileBatchPass(batch));
  pm.addPass(createScalingGeneralizePass());
  pm.addPass(createScalingDecomposePass());
  pm.addPass(createScalingFormLanesPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createScalingTileAndFusePass());
  // No cse: it would merge the fills that reset a statistic, and
  // bufferization would copy them in the loop.
  pm.addPass(createCanonicalizerPass());
  buildBufferizePipeline(pm, options.workspaceArgument, /*sharedBytes=*/0,
                         options.workgroups);
}

void scaling::buildCPUBuffersToLLVMPipeline(OpPassManager &pm,
                                            const ToCPUOptions &options) {
  if (options.threads) {
    pm.addPass(createScalingParallelizePass());
    pm.addPass(createCanonicalizerPass());
  }
  pm.addPass(createScalingArrangeLoopsPass());
  ScalingToVectorPassOptions vector;
  vector.vectorBits = options.vectorBits;
  pm.addPass(createScalingToVectorPass(vector));
  LinalgToLLVMOptions rest;
  rest.threads = options.threads;
  rest.useScalef = options.useScalef;
  buildMemRefToLLVMPipeline(pm, rest);
}

void scaling::buildToCPUPipeline(OpPassManager &pm,
                                 const ToCPUOptions &options) {
  buildToCPUBuffersPipeline(pm, options);
  buildCPUBuffersToLLVMPipeline(pm, options);
}

void scaling::registerToCPUPipeline() {
  PassPipelineRegistration<ToCPUOptions>(
      "scaling-to-cpu",
      "Every op of the dialect to vector code in the LLVM dialect",
      buildToCPUPipeline);
}
