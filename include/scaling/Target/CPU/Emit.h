//===- Emit.h - From the LLVM dialect to machine code -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TARGET_CPU_EMIT_H
#define SCALING_TARGET_CPU_EMIT_H

#include "scaling/Target/CPU/CPUTarget.h"

#include "llvm/ADT/SmallVector.h"

namespace llvm {
class LLVMContext;
class Module;
class raw_ostream;
} // namespace llvm

namespace mlir {
namespace scaling {

struct EntryPoint;

/// Translates a module in the LLVM dialect, with the target set on it and on
/// every function. Private functions become internal. The memrefs of functions
/// with a C interface are promised not to overlap, as the convention of
/// `scaling-entry-abi` says. Null, with a diagnostic, on failure.
std::unique_ptr<llvm::Module> translateToLLVMIR(ModuleOp module,
                                                const CPUTarget &target,
                                                llvm::LLVMContext &context);

/// Runs LLVM's O3 pipeline for the target.
llvm::Error optimize(llvm::Module &module, const CPUTarget &target);

/// Compiles to a position-independent object.
llvm::Error emitObject(llvm::Module &module, const CPUTarget &target,
                       llvm::SmallVectorImpl<char> &object);

/// The libraries that compiled code calls, without `lib` and the extension.
inline constexpr llvm::StringLiteral kRuntimeName = "scaling_runtime";
inline constexpr llvm::StringLiteral kCUDARuntimeName = "scaling_cuda_runtime";

/// Links an object to a shared library at `path`, against the library `runtime`
/// in `runtimeDir`. The file appears complete or not at all.
llvm::Error linkSharedLibrary(llvm::ArrayRef<char> object, llvm::StringRef path,
                              llvm::StringRef runtimeDir,
                              llvm::StringRef runtime = kRuntimeName);

/// Writes a file, complete or not at all; `-` is standard output.
llvm::Error writeFile(llvm::StringRef path, llvm::StringRef contents);

/// What the declared functions are like.
struct CHeaderOptions {
  /// They take their workspace from the caller
  /// (`--scaling-plan-workspace=argument`).
  bool workspaceArgument = false;
  /// They launch kernels (`--scaling-form-launches`).
  bool launches = false;
};

/// Prints a C header that declares the entry points. `name` is the file the
/// header is generated from.
void printCHeader(llvm::ArrayRef<EntryPoint> entries, llvm::StringRef name,
                  const CHeaderOptions &options, llvm::raw_ostream &os);

} // namespace scaling
} // namespace mlir

#endif // SCALING_TARGET_CPU_EMIT_H
