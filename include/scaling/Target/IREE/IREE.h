//===- IREE.h - Programs as modules that IREE links -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// IREE is built with another LLVM: what goes there is text, and machine code in
// it. Nothing here knows IREE's dialects.
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TARGET_IREE_IREE_H
#define SCALING_TARGET_IREE_IREE_H

#include "scaling/Conversion/EntryABI/EntryABI.h"
#include "scaling/Target/CPU/CPUTarget.h"

#include <string>

namespace llvm {
class Module;
} // namespace llvm

namespace mlir {
namespace scaling {

/// A workspace is larger by so many bytes than what is used of it: CPU code
/// aligns it, a GPU's kernel has the counter of its barrier there.
inline constexpr int64_t kIREEPadding = 64;

/// A kernel whose blocks do not meet is launched with so many.
inline constexpr int64_t kMaxCUDABlocks = 1024;

/// What the host computes before a dispatch, from the sizes of its arguments.
struct HostSizes {
  /// Operations of `arith` in the generic form, a line each. They use
  /// `%argN`, the dynamic sizes of all tensor inputs in order.
  std::string code;
  /// The names of the values: the dynamic sizes of the results in order, the
  /// number of workgroups that have work, and the bytes of one's workspace.
  std::vector<std::string> resultDims;
  std::string workgroups;
  std::string workspaceBytes;
};

/// Says what IREE cannot pass to a function: memrefs, tensors of `index`.
LogicalResult checkForIREE(llvm::ArrayRef<EntryPoint> entries);

/// Takes the companions out of a module on buffers and makes host code of them,
/// per entry point.
FailureOr<std::vector<HostSizes>>
takeHostSizes(ModuleOp module, llvm::ArrayRef<EntryPoint> entries);

/// The name of the function in the object that does a workgroup's part.
std::string getKernelName(const EntryPoint &entry);

/// Translates and optimizes a module in the LLVM dialect and makes an object
/// that needs nothing from outside: no C library, no threads, no allocation.
/// That a function does need something is an error.
llvm::Error emitFreestandingObject(ModuleOp module,
                                   llvm::ArrayRef<EntryPoint> entries,
                                   CPUTarget target,
                                   llvm::SmallVectorImpl<char> &object);

/// How a kernel is launched.
struct CUDAKernel {
  int64_t blocks;
  int64_t threads;
  int64_t sharedBytes;
};

/// Says what IREE cannot pass to a kernel: scalars that are not f32 or i32.
LogicalResult checkForIREEOnCUDA(llvm::ArrayRef<EntryPoint> entries);

/// Gives every kernel of a translated module the arguments that IREE passes:
/// the addresses of inputs, results and workspace, then scalars and dynamic
/// sizes, 32 bits each. A kernel whose blocks meet at barriers is for one
/// block.
std::vector<CUDAKernel> bindCUDAKernels(llvm::Module &module,
                                        llvm::ArrayRef<EntryPoint> entries);

/// The dialect of the functions that a program calls: a declaration and what it
/// is linked to are of the same one.
enum class IREEFunctions {
  /// `util.func`, IREE's own.
  Util,
  /// `func.func`, upstream's.
  Func
};

/// Prints `module @scaling`: an executable that the object of this name (a file
/// in `--iree-hal-executable-object-search-path`) is linked into, and for every
/// entry point a public function that dispatches it.
void printIREELibrary(llvm::ArrayRef<EntryPoint> entries,
                      llvm::ArrayRef<HostSizes> sizes,
                      llvm::StringRef objectName, IREEFunctions functions,
                      const CPUTarget &target, llvm::raw_ostream &os);

/// The same with kernels in PTX, `objectName`, for IREE's target cuda.
void printIREELibrary(llvm::ArrayRef<EntryPoint> entries,
                      llvm::ArrayRef<HostSizes> sizes,
                      llvm::ArrayRef<CUDAKernel> kernels,
                      llvm::StringRef objectName, IREEFunctions functions,
                      llvm::raw_ostream &os);

} // namespace scaling
} // namespace mlir

#endif // SCALING_TARGET_IREE_IREE_H
