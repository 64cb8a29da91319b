//===- MachineCode.h - What every target does with LLVM IR ------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TARGET_MACHINECODE_MACHINECODE_H
#define SCALING_TARGET_MACHINECODE_MACHINECODE_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/CodeGen.h"
#include "llvm/Support/Error.h"

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace mlir {
namespace scaling {

/// Verifies a module and runs LLVM's O3 pipeline for the machine on it.
llvm::Error optimizeModule(llvm::Module &module, llvm::TargetMachine &machine,
                           llvm::PipelineTuningOptions tuning);

/// Generates code: text or an object.
llvm::Error emitModule(llvm::Module &module, llvm::TargetMachine &machine,
                       llvm::CodeGenFileType type,
                       llvm::SmallVectorImpl<char> &code);

} // namespace scaling
} // namespace mlir

#endif // SCALING_TARGET_MACHINECODE_MACHINECODE_H
