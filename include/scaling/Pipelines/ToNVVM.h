//===- ToNVVM.h - From the dialect to GPU kernels ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_PIPELINES_TONVVM_H
#define SCALING_PIPELINES_TONVVM_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace mlir::scaling {

struct ToNVVMOptions : public PassPipelineOptions<ToNVVMOptions> {
  PassOptions::Option<std::string> chip{
      *this, "chip", llvm::cl::desc("sm_80, sm_90 or sm_100"),
      llvm::cl::init("sm_90")};
  PassOptions::Option<std::string> features{
      *this, "features",
      llvm::cl::desc("Version of PTX, for example +ptx80; auto: the oldest "
                     "that the chip is in"),
      llvm::cl::init("auto")};
  PassOptions::Option<std::string> format{
      *this, "format",
      llvm::cl::desc("What the kernels become: mlir (the NVVM dialect), llvm, "
                     "isa (PTX), bin (a cubin) or fatbin (both, embedded in "
                     "host functions that launch them)"),
      llvm::cl::init("mlir")};
  PassOptions::Option<bool> approximate{
      *this, "approximate",
      llvm::cl::desc("exp, log and division of f32 by approximate "
                     "instructions"),
      llvm::cl::init(true)};
  PassOptions::Option<bool> plainLaunches{
      *this, "plain-launches",
      llvm::cl::desc("Blocks do not wait for each other: kernels return at "
                     "barriers of the grid, and are launched until they are "
                     "done"),
      llvm::cl::init(false)};
};

/// The format that brings host functions.
inline constexpr llvm::StringLiteral kFatbinFormat = "fatbin";

/// Every public function to one kernel, in the NVVM dialect or further. With
/// the format `fatbin` the module holds host functions that launch them.
void buildToNVVMPipeline(OpPassManager &pm, const ToNVVMOptions &options);

/// Registers `--scaling-to-nvvm`.
void registerToNVVMPipeline();

} // namespace mlir::scaling

#endif // SCALING_PIPELINES_TONVVM_H
