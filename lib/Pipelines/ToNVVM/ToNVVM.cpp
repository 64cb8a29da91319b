//===- ToNVVM.cpp - From the dialect to GPU kernels -----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Pipelines/ToNVVM.h"

#include "scaling/Conversion/AnnotateKernels/AnnotateKernels.h"
#include "scaling/Conversion/DescribeGPU/DescribeGPU.h"
#include "scaling/Conversion/EliminateBarriers/EliminateBarriers.h"
#include "scaling/Conversion/EmbedKernels/EmbedKernels.h"
#include "scaling/Conversion/ExpandGPUMath/ExpandGPUMath.h"
#include "scaling/Conversion/FormKernels/FormKernels.h"
#include "scaling/Conversion/FormLaunches/FormLaunches.h"
#include "scaling/Conversion/FuseElementwise/FuseElementwise.h"
#include "scaling/Conversion/ScalingToLinalg/ScalingToLinalg.h"
#include "scaling/Conversion/SerializeKernels/SerializeKernels.h"
#include "scaling/Conversion/SplitLaunches/SplitLaunches.h"
#include "scaling/Dialect/Scaling/Transforms/Passes.h"
#include "scaling/Pipelines/LinalgToLLVM.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

void scaling::buildToNVVMPipeline(OpPassManager &pm,
                                  const ToNVVMOptions &options) {
  ScalingDescribeGPUPassOptions describe;
  describe.chip = options.chip;
  describe.features = options.features;
  pm.addPass(createScalingDescribeGPUPass(describe));
  pm.addPass(createScalingFuseElementwisePass());
  pm.addPass(createScalingSelectSchedulePass());
  pm.addPass(createScalingTileBatchPass());
  pm.addPass(createScalingGeneralizePass());
  ScalingDecomposePassOptions decompose;
  decompose.absorb = false;
  pm.addPass(createScalingDecomposePass(decompose));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createScalingSweepPointsPass());
  pm.addPass(createScalingTileAndFusePass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createScalingToLinalgPass());
  // No cse: it would merge the fills that reset a statistic, and
  // bufferization would copy them in the loop.
  pm.addPass(createCanonicalizerPass());
  ScalingFormKernelsPassOptions kernels;
  kernels.approximate = options.approximate;
  kernels.plainLaunches = options.plainLaunches;
  if (llvm::Expected<GPUChip> chip = getGPUChip(options.chip))
    kernels.sharedBytes = chip->sharedBytes;
  else // said by the first pass
    llvm::consumeError(chip.takeError());
  buildBufferizePipeline(pm, /*workspaceArgument=*/true, kernels.sharedBytes);
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());

  pm.addPass(createScalingFormKernelsPass(kernels));
  bool hasHost = options.format == kFatbinFormat;
  if (hasHost)
    pm.addPass(createScalingFormLaunchesPass());
  ScalingExpandGPUMathPassOptions math;
  math.approximate = options.approximate;
  auto &device = pm.nest<gpu::GPUModuleOp>();
  device.addPass(createScalingEliminateBarriersPass());
  device.addPass(createScalingExpandGPUMathPass(math));
  device.addPass(memref::createExpandStridedMetadataPass());
  device.addPass(createLowerAffinePass());
  device.addPass(createCanonicalizerPass());
  device.addPass(createCSEPass());
  device.addPass(createSCFToControlFlowPass());
  // Before what follows, which calls a library for these.
  device.addPass(createConvertMathToLLVMPass());
  device.addPass(createConvertGpuOpsToNVVMOps());
  device.addPass(createCanonicalizerPass());
  device.addPass(createCSEPass());
  device.addPass(createReconcileUnrealizedCastsPass());
  device.addPass(createScalingAnnotateKernelsPass());
  if (options.plainLaunches)
    pm.addPass(createScalingSplitLaunchesPass());
  if (options.format == "mlir")
    return;
  ScalingSerializeKernelsPassOptions serialize;
  serialize.format = options.format;
  pm.addPass(createScalingSerializeKernelsPass(serialize));
  if (hasHost)
    pm.addPass(createScalingEmbedKernelsPass());
}

void scaling::registerToNVVMPipeline() {
  PassPipelineRegistration<ToNVVMOptions>(
      "scaling-to-nvvm", "Every public function to one GPU kernel",
      buildToNVVMPipeline);
}
