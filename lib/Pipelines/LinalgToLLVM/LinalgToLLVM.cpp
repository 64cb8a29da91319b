//===- LinalgToLLVM.cpp - From linalg on tensors to LLVM ------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Pipelines/LinalgToLLVM.h"

#include "scaling/Conversion/AllocateFromArena/AllocateFromArena.h"
#include "scaling/Conversion/EntryABI/EntryABI.h"
#include "scaling/Conversion/ExpandMath/ExpandMath.h"
#include "scaling/Conversion/ExpandMemRefs/ExpandMemRefs.h"
#include "scaling/Conversion/ExpandOtherMath/ExpandOtherMath.h"
#include "scaling/Conversion/FormTeam/FormTeam.h"
#include "scaling/Conversion/FormWorkgroups/FormWorkgroups.h"
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Pipelines/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::scaling;

/// Buffers up to this size live on the stack.
static constexpr unsigned kMaxStackBytes = 4096;

void mlir::scaling::buildBufferizePipeline(OpPassManager &pm,
                                           bool workspaceArgument,
                                           int64_t sharedBytes,
                                           bool workgroups) {
  pm.addPass(createScalingEntryABIPass());
  // Elementwise arithmetic on whole tensors.
  pm.addNestedPass<func::FuncOp>(createConvertElementwiseToLinalgPass());
  pm.addPass(createCanonicalizerPass());
  // No cse before bufferization: it merges the fills of two destinations, and
  // one of them becomes a copy in the loop.
  pm.addPass(bufferization::createEmptyTensorEliminationPass());
  pm.addNestedPass<func::FuncOp>(createScalingOrderResultsPass());

  bufferization::OneShotBufferizePassOptions bufferize;
  bufferize.bufferizeFunctionBoundaries = true;
  // Arguments of compiled code are dense: nothing vectorizes well otherwise.
  bufferize.functionBoundaryTypeConversion =
      bufferization::LayoutMapOption::IdentityLayoutMap;
  pm.addPass(bufferization::createOneShotBufferizePass(bufferize));
  pm.addPass(bufferization::createDropEquivalentBufferResultsPass());
  // Sizes of scratch come from arguments where they can: they are known before
  // anything is computed.
  memref::ResolveShapedTypeResultDimsPassOptions resolve;
  resolve.errorOnPatternIterationLimit = false;
  pm.addPass(memref::createResolveShapedTypeResultDimsPass(resolve));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  // Before buffers find their places: what an item of a sequential loop
  // allocates has one place for all.
  if (workgroups)
    pm.addPass(createScalingFormWorkgroupsPass());
  auto &func = pm.nest<func::FuncOp>();
  func.addPass(createLoopInvariantCodeMotionPass());
  func.addPass(bufferization::createBufferHoistingPass());
  func.addPass(bufferization::createBufferLoopHoistingPass());
  if (sharedBytes == 0) {
    bufferization::PromoteBuffersToStackPassOptions promote;
    promote.maxAllocSizeInBytes = kMaxStackBytes;
    promote.maxRankOfAllocatedMemRef = 8;
    func.addPass(bufferization::createPromoteBuffersToStackPass(promote));
  }
  ScalingPlanWorkspacePassOptions workspace;
  workspace.argument = workspaceArgument;
  workspace.sharedBytes = sharedBytes;
  pm.addPass(createScalingPlanWorkspacePass(workspace));
  if (sharedBytes == 0)
    bufferization::buildBufferDeallocationPipeline(pm);
}

void mlir::scaling::buildMemRefToLLVMPipeline(
    OpPassManager &pm, const LinalgToLLVMOptions &options) {
  pm.addPass(createScalingExpandMemRefsPass());
  pm.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  ScalingFormTeamPassOptions team;
  team.threads = options.threads;
  pm.addPass(createScalingFormTeamPass(team));
  pm.addNestedPass<func::FuncOp>(createConvertVectorToSCFPass());
  pm.addPass(createScalingExpandOtherMathPass());
  ScalingExpandMathPassOptions math;
  math.useScalef = options.useScalef;
  pm.addPass(createScalingExpandMathPass(math));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addNestedPass<func::FuncOp>(createLoopInvariantCodeMotionPass());

  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createSCFToControlFlowPass());
  pm.addPass(arith::createArithExpandOpsPass());
  pm.addPass(createConvertMathToLLVMPass());
  pm.addPass(createConvertVectorToLLVMPass());
  pm.addPass(createConvertIndexToLLVMPass());
  pm.addPass(createArithToLLVMConversionPass());
  pm.addPass(createFinalizeMemRefToLLVMConversionPass());
  pm.addPass(createConvertFuncToLLVMPass());
  pm.addPass(createConvertControlFlowToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  if (options.threads)
    pm.addPass(createScalingAllocateFromArenaPass());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void mlir::scaling::buildLinalgToLLVMPipeline(
    OpPassManager &pm, const LinalgToLLVMOptions &options) {
  buildBufferizePipeline(pm, options.workspaceArgument);
  buildMemRefToLLVMPipeline(pm, options);
}

void mlir::scaling::registerLinalgToLLVMPipelines() {
  PassPipelineRegistration<>(
      "scaling-bufferize",
      "Tensors to memrefs, with the calling convention of compiled code",
      [](OpPassManager &pm) { buildBufferizePipeline(pm); });
  PassPipelineRegistration<LinalgToLLVMOptions>(
      "scaling-memref-to-llvm",
      "Loops, vectors and linalg on memrefs to the LLVM dialect",
      buildMemRefToLLVMPipeline);
  PassPipelineRegistration<LinalgToLLVMOptions>(
      "scaling-linalg-to-llvm",
      "A program in upstream's dialects on tensors to the LLVM dialect",
      [](OpPassManager &pm, const LinalgToLLVMOptions &options) {
        buildLinalgToLLVMPipeline(pm, options);
      });
}
