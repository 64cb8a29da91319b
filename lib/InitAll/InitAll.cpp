//===- InitAll.cpp - Everything the tools register --------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/InitAll.h"

#include "scaling/Conversion/AllocateFromArena/AllocateFromArena.h"
#include "scaling/Conversion/AnnotateKernels/AnnotateKernels.h"
#include "scaling/Conversion/ArrangeLoops/ArrangeLoops.h"
#include "scaling/Conversion/DescribeGPU/DescribeGPU.h"
#include "scaling/Conversion/EliminateBarriers/EliminateBarriers.h"
#include "scaling/Conversion/EmbedKernels/EmbedKernels.h"
#include "scaling/Conversion/EntryABI/EntryABI.h"
#include "scaling/Conversion/ExpandGPUMath/ExpandGPUMath.h"
#include "scaling/Conversion/ExpandMath/ExpandMath.h"
#include "scaling/Conversion/ExpandMemRefs/ExpandMemRefs.h"
#include "scaling/Conversion/ExpandOtherMath/ExpandOtherMath.h"
#include "scaling/Conversion/FormKernels/FormKernels.h"
#include "scaling/Conversion/FormLaunches/FormLaunches.h"
#include "scaling/Conversion/FormTeam/FormTeam.h"
#include "scaling/Conversion/FormWorkgroups/FormWorkgroups.h"
#include "scaling/Conversion/FuseElementwise/FuseElementwise.h"
#include "scaling/Conversion/ImportCalls/ImportCalls.h"
#include "scaling/Conversion/ImportStableHLO/ImportStableHLO.h"
#include "scaling/Conversion/ImportTorch/ImportTorch.h"
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h"
#include "scaling/Conversion/ScalingToLinalg/ScalingToLinalg.h"
#include "scaling/Conversion/ScalingToVector/ScalingToVector.h"
#include "scaling/Conversion/SerializeKernels/SerializeKernels.h"
#include "scaling/Conversion/SplitLaunches/SplitLaunches.h"
#include "scaling/Dialect/Scaling/Differentiate/DifferentiableOpInterface.h"
#include "scaling/Dialect/Scaling/Differentiate/Differentiate.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/Dialect/Scaling/Interfaces/AggregatedOpInterfaceImpl.h"
#include "scaling/Dialect/Scaling/Interfaces/BatchTilingImpl.h"
#include "scaling/Dialect/Scaling/Interfaces/BufferizableOpInterfaceImpl.h"
#include "scaling/Dialect/Scaling/Interfaces/ShapeReification.h"
#include "scaling/Dialect/Scaling/Interfaces/TilingInterfaceImpl.h"
#include "scaling/Dialect/Scaling/Raise/Raise.h"
#include "scaling/Dialect/Scaling/TransformOps/ScalingTransformOps.h"
#include "scaling/Dialect/Scaling/Transforms/Passes.h"
#include "scaling/Pipelines/LinalgToLLVM.h"
#include "scaling/Pipelines/ToCPU.h"
#include "scaling/Pipelines/ToLinalg.h"
#include "scaling/Pipelines/ToNVVM.h"

using namespace mlir;

void scaling::registerAllDialects(DialectRegistry &registry) {
  registry.insert<ScalingDialect>();
  registerAggregatedOpInterfaceExternalModels(registry);
  registerBatchTilingExternalModels(registry);
  registerBufferizableOpInterfaceExternalModels(registry);
  registerDifferentiableOpInterfaceExternalModels(registry);
  registerShapeReificationExternalModels(registry);
  registerTilingInterfaceExternalModels(registry);
  registerTransformDialectExtension(registry);
}

void scaling::registerAllPasses() {
  registerEntryABIPasses();
  registerScalingDifferentiatePasses();
  registerAllocateFromArenaPasses();
  registerAnnotateKernelsPasses();
  registerArrangeLoopsPasses();
  registerDescribeGPUPasses();
  registerEliminateBarriersPasses();
  registerEmbedKernelsPasses();
  registerExpandGPUMathPasses();
  registerFormKernelsPasses();
  registerFormLaunchesPasses();
  registerExpandMemRefsPasses();
  registerExpandMathPasses();
  registerExpandOtherMathPasses();
  registerFormTeamPasses();
  registerFuseElementwisePasses();
  registerImportCallsPasses();
  registerImportStableHLOPasses();
  registerImportTorchPasses();
  registerFormWorkgroupsPasses();
  registerPlanWorkspacePasses();
  registerScalingRaisePasses();
  registerScalingToLinalgPasses();
  registerScalingToVectorPasses();
  registerSerializeKernelsPasses();
  registerSplitLaunchesPasses();
  registerScalingTransformsPasses();
  registerLinalgToLLVMPipelines();
  registerToLinalgPipeline();
  registerToCPUPipeline();
  registerToNVVMPipeline();
}
