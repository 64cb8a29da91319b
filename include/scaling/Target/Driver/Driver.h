//===- Driver.h - What the compiling tools share ----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TARGET_DRIVER_DRIVER_H
#define SCALING_TARGET_DRIVER_DRIVER_H

#include "scaling/Conversion/EntryABI/EntryABI.h"
#include "scaling/Target/CPU/CPUTarget.h"
#include "scaling/Target/GPU/Chip.h"
#include "scaling/Target/IREE/IREE.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/SourceMgr.h"

namespace mlir {
class PassManager;
class SourceMgrDiagnosticHandler;

namespace scaling {
enum class Products : uint32_t;

/// How a program gets to the LLVM dialect.
enum class Route {
  /// `scaling-to-cpu`: tiled, vectorized, on threads.
  CPU,
  /// `scaling-to-linalg` and plain loops: the portable way.
  Linalg
};

/// One MLIR program on its way to machine code. Every function that fails has
/// printed why.
class Program {
public:
  /// `messages` is where diagnostics go (default: standard error).
  explicit Program(llvm::raw_ostream *messages = nullptr);
  ~Program();

  /// Reads a file (`-`: standard input) and describes its entry points.
  LogicalResult load(llvm::StringRef path, llvm::StringRef cpu);

  /// The same from text; diagnostics call it `name`.
  LogicalResult loadText(llvm::StringRef text, llvm::StringRef name,
                         llvm::StringRef cpu);

  /// Makes the numerics of every op strict.
  void setStrict();

  /// The products of every op that is not strict.
  void setProducts(Products products);

  /// Runs passes, as the textual form of a pipeline has them, and describes the
  /// entry points that there are then.
  LogicalResult transform(llvm::StringRef passes);

  /// Lowers the module to the LLVM dialect.
  LogicalResult lower(Route route, bool threads,
                      bool workspaceArgument = false);

  /// Lowers every public function to a GPU kernel in the NVVM dialect.
  /// `plainLaunches`: blocks do not wait for each other.
  LogicalResult lowerToKernels(const GPUChip &chip, bool plainLaunches = false);

  /// Lowers to the LLVM dialect: host functions that launch the kernels, which
  /// are embedded as machine code of the GPU and PTX.
  LogicalResult lowerToLaunches(const GPUChip &chip,
                                bool plainLaunches = false);
  /// Compiles the public functions to a module that IREE links as `scaling`
  /// (`printIREELibrary`), for the CPU: its text, and the object it names.
  LogicalResult emitIREELibrary(llvm::StringRef objectName,
                                IREEFunctions functions, llvm::raw_ostream &os,
                                llvm::SmallVectorImpl<char> &object);

  /// The same with kernels for a GPU, in PTX.
  LogicalResult emitIREELibrary(const GPUChip &chip, llvm::StringRef objectName,
                                IREEFunctions functions, llvm::raw_ostream &os,
                                llvm::SmallVectorImpl<char> &ptx);

  /// Lowers the module to upstream's dialects on tensors.
  LogicalResult lowerToLinalg();

  /// Moves the dialect's ops into functions (`--scaling-outline`), prints the
  /// rest of the program, and keeps the functions.
  LogicalResult outline(llvm::raw_ostream &os);

  /// Prints the module in the form that other versions of MLIR read.
  void printGeneric(llvm::raw_ostream &os);

  ModuleOp getModule() { return *module; }
  const CPUTarget &getTarget() const { return target; }
  llvm::ArrayRef<EntryPoint> getEntries() const { return entries; }

private:
  LogicalResult load(std::unique_ptr<llvm::MemoryBuffer> buffer,
                     llvm::StringRef cpu);
  /// Checks that IREE can call the entry points.
  LogicalResult prepareForIREE();
  LogicalResult run(PassManager &pm);

  llvm::raw_ostream &messages;
  llvm::SourceMgr sources;
  MLIRContext context;
  std::unique_ptr<SourceMgrDiagnosticHandler> diagnostics;
  OwningOpRef<ModuleOp> module;
  CPUTarget target;
  SmallVector<EntryPoint> entries;
};

/// Prints an error of a tool, in the style of diagnostics.
void printError(const llvm::Twine &message,
                llvm::raw_ostream *messages = nullptr);

} // namespace scaling
} // namespace mlir

#endif // SCALING_TARGET_DRIVER_DRIVER_H
