//===- LinalgToLLVM.h - From linalg on tensors to LLVM ----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_PIPELINES_LINALGTOLLVM_H
#define SCALING_PIPELINES_LINALGTOLLVM_H

#include "mlir/Pass/PassOptions.h"

namespace mlir {
class OpPassManager;

namespace scaling {

struct LinalgToLLVMOptions : public PassPipelineOptions<LinalgToLLVMOptions> {
  PassOptions::Option<bool> threads{
      *this, "threads",
      llvm::cl::desc("Run scf.forall through the runtime's parallel loop"),
      llvm::cl::init(true)};
  PassOptions::Option<bool> useScalef{
      *this, "use-scalef",
      llvm::cl::desc("Scale by powers of two with AVX-512's scalef"),
      llvm::cl::init(false)};
  PassOptions::Option<bool> workspaceArgument{
      *this, "workspace-argument",
      llvm::cl::desc("Public functions take their workspace from the caller"),
      llvm::cl::init(false)};
};

/// Tensors to memrefs, in place where possible. Public functions get the
/// convention of `scaling-entry-abi`, and their workspace from the caller when
/// `workspaceArgument` says so; every buffer is freed where it dies.
///
/// For a GPU, whose blocks have `sharedBytes` of shared memory, scratch of
/// parallel loops is left for `scaling-form-kernels`. With `workgroups`, public
/// functions become the code of one workgroup (`scaling-form-workgroups`).
void buildBufferizePipeline(OpPassManager &pm, bool workspaceArgument = false,
                            int64_t sharedBytes = 0, bool workgroups = false);

/// Loops, vectors and linalg on memrefs to the LLVM dialect.
void buildMemRefToLLVMPipeline(OpPassManager &pm,
                               const LinalgToLLVMOptions &options);

/// Both: a program in upstream's dialects on tensors to the LLVM dialect.
void buildLinalgToLLVMPipeline(OpPassManager &pm,
                               const LinalgToLLVMOptions &options = {});

/// Registers `scaling-bufferize`, `scaling-memref-to-llvm` and
/// `scaling-linalg-to-llvm`.
void registerLinalgToLLVMPipelines();

} // namespace scaling
} // namespace mlir

#endif // SCALING_PIPELINES_LINALGTOLLVM_H
