//===- EmitGPU.h - From the NVVM dialect to cubins --------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TARGET_GPU_EMITGPU_H
#define SCALING_TARGET_GPU_EMITGPU_H

#include "scaling/Target/GPU/Chip.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "llvm/ADT/SmallVector.h"

#include <memory>

namespace llvm {
class LLVMContext;
class Module;
} // namespace llvm

namespace mlir {
namespace scaling {

/// Translates a module of kernels in the NVVM dialect, with the target set on
/// it. Null, with a diagnostic, on failure.
///
/// A kernel has the function attributes "scaling.shared-bytes" (dynamic shared
/// memory of a block) and, where its blocks meet at barriers,
/// "scaling.cooperative", or "scaling.state-bytes" (state of a block) where it
/// is launched until it is done, beside NVVM's own for the size of a block.
std::unique_ptr<llvm::Module> translateKernels(gpu::GPUModuleOp kernels,
                                               const GPUChip &chip,
                                               llvm::LLVMContext &context);

/// Runs LLVM's O3 pipeline for the chip. Loops stay rolled: those that are
/// worth unrolling have been.
llvm::Error optimizeKernels(llvm::Module &module, const GPUChip &chip);

/// Prints PTX.
llvm::Error emitPTX(llvm::Module &module, const GPUChip &chip,
                    llvm::SmallVectorImpl<char> &ptx);

/// The path of `ptxas`: what the environment variable SCALING_PTXAS says, or
/// in the PATH, or in the toolkit that CUDA_HOME, CUDA_PATH or CUDA_ROOT names.
llvm::Expected<std::string> findPtxas();

/// Whether there is a `ptxas`, or one is named, be it wrongly.
bool hasPtxas();

/// Assembles PTX for the chip with `ptxas`.
llvm::Error assemblePTX(llvm::StringRef ptx, const GPUChip &chip,
                        llvm::SmallVectorImpl<char> &cubin);

} // namespace scaling
} // namespace mlir

#endif // SCALING_TARGET_GPU_EMITGPU_H
