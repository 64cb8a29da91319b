//===- Simt.h - Executing GPU kernels on the host ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs a kernel given as the LLVM IR that goes to the NVPTX back end, with the
// meaning it has on a GPU, judges its accesses to memory and counts its work.
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_SIMT_SIMT_H
#define SCALING_SIMT_SIMT_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace llvm {
class LLVMContext;
class Module;
} // namespace llvm

namespace scaling {
namespace simt {

using Dim3 = std::array<uint32_t, 3>;

/// One parameter of the kernel: a scalar or a buffer in global memory.
struct KernelArgument {
  /// What messages and the report call it.
  std::string name;
  bool isBuffer = false;
  /// The bits of a scalar, and how many of them there are.
  uint64_t bits = 0;
  unsigned width = 0;
  bool isFloat = false;
  /// The contents of a buffer before the launch and, afterwards, the result.
  char *data = nullptr;
  uint64_t numBytes = 0;
  /// Whether `data` is read before the launch; elements of other buffers must
  /// be written by the kernel before it reads them.
  bool initialized = false;
  /// Whether the kernel is launched again until the first word of this buffer
  /// is -1.
  bool isState = false;
  /// Whether it is the buffer of the argument before, once more.
  bool isAlias = false;
};

/// How a kernel is launched.
struct Launch {
  std::string entry;
  Dim3 grid = {1, 1, 1};
  /// Threads per CTA; zeros mean as many as the kernel says.
  Dim3 block = {0, 0, 0};
  /// Bytes of dynamic shared memory; by default what the kernel says in its
  /// attribute `scaling.shared-bytes`.
  std::optional<uint64_t> dynamicShared;
  uint64_t seed = 0;
  /// CTAs that run at the same time; 0 means as many as the emulator can.
  uint32_t resident = 0;
  /// Faults after which the launch is abandoned.
  unsigned maxFaults = 10;
  bool checkRaces = true;
  /// Whether, after a launch without faults, there is one more for each barrier
  /// and each fence that threads came to: without it.
  bool omitEach = false;
};

/// A fault of the kernel: its kind (`race`, `deadlock`, ...) and one line or
/// more that say where.
struct Fault {
  std::string kind;
  std::string message;
};

/// A barrier or a fence of the kernel, and what it is there for.
struct Order {
  /// Function, block and instruction as text.
  std::string position;
  /// How often threads came to it.
  uint64_t times = 0;
  /// The first fault of a launch without it.
  std::optional<Fault> fault;
};

struct Result {
  std::vector<Fault> faults;
  /// All barriers and fences, in the order of the code, if they were left out
  /// one at a time.
  std::vector<Order> orders;
  /// Everything that was counted: the object of `--report`.
  llvm::json::Object report;
};

/// Executes one launch. The error is for what cannot be executed at all: no
/// such kernel, wrong arguments, an unknown intrinsic; faults of the kernel are
/// in the result.
llvm::Expected<Result> execute(std::unique_ptr<llvm::Module> module,
                               std::unique_ptr<llvm::LLVMContext> context,
                               const Launch &launch,
                               llvm::MutableArrayRef<KernelArgument> arguments);

} // namespace simt
} // namespace scaling

#endif // SCALING_SIMT_SIMT_H
