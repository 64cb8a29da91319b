//===- ToCPU.h - From the dialect to vector code ----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_PIPELINES_TOCPU_H
#define SCALING_PIPELINES_TOCPU_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace mlir::scaling {

struct ToCPUOptions : public PassPipelineOptions<ToCPUOptions> {
  PassOptions::Option<bool> threads{
      *this, "threads",
      llvm::cl::desc("Run scf.forall through the runtime's parallel loop"),
      llvm::cl::init(true)};
  PassOptions::Option<unsigned> vectorBits{
      *this, "vector-bits",
      llvm::cl::desc("Width of a vector register: 512, 256 or 128"),
      llvm::cl::init(256)};
  PassOptions::Option<bool> useScalef{
      *this, "use-scalef",
      llvm::cl::desc("Scale by powers of two with AVX-512's scalef"),
      llvm::cl::init(false)};
  PassOptions::Option<bool> workspaceArgument{
      *this, "workspace-argument",
      llvm::cl::desc("Public functions take their workspace from the caller"),
      llvm::cl::init(false)};
  PassOptions::Option<bool> workgroups{
      *this, "workgroups",
      llvm::cl::desc("Public functions do the part of one workgroup; large "
                     "matrices of a batch are side by side too"),
      llvm::cl::init(false)};
};

/// The first part of `buildToCPUPipeline`: to core ops on buffers, with all
/// scratch planned. What tells the sizes of workspaces and results is still in
/// upstream's dialects.
void buildToCPUBuffersPipeline(OpPassManager &pm, const ToCPUOptions &options);

/// The second part: from there to the LLVM dialect.
void buildCPUBuffersToLLVMPipeline(OpPassManager &pm,
                                   const ToCPUOptions &options);

/// The native way: scheduled, tiled, bufferized as core ops, lowered to vector
/// code and to the LLVM dialect.
void buildToCPUPipeline(OpPassManager &pm, const ToCPUOptions &options);

/// Registers `--scaling-to-cpu`.
void registerToCPUPipeline();

} // namespace mlir::scaling

#endif // SCALING_PIPELINES_TOCPU_H
