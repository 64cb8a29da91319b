//===- Instrument.h - Device code made ready for the machine ----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_SIMT_INSTRUMENT_H
#define SCALING_LIB_SIMT_INSTRUMENT_H

#include "Operations.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <vector>

namespace llvm {
class Module;
} // namespace llvm

namespace scaling {
namespace simt {

/// What one execution of a block costs a thread.
struct BlockCost {
  uint32_t instructions = 0;
  uint32_t flops = 0;
  uint32_t exponentials = 0;
  uint32_t logarithms = 0;
  /// Bytes of local variables that stayed in memory.
  uint32_t localBytes = 0;
  /// Number of the innermost loop around it; 0 is none.
  uint32_t loop = 0;
  /// Whether the loop begins with it.
  bool isHeader = false;
  /// Source lines of its instructions, if the module has debug information.
  std::vector<uint32_t> lines;
};

struct Loop {
  /// Function and first block as text.
  std::string position;
  uint32_t depth = 0;
};

/// A variable of the module in global or constant memory.
struct DeviceVariable {
  std::string name;
  std::string symbol;
  uint64_t size = 0;
};

struct Instrumented {
  std::string name;
  std::vector<Site> sites;
  std::vector<BlockCost> blocks;
  /// The first one stands for what is outside of all loops.
  std::vector<Loop> loops;
  std::vector<DeviceVariable> variables;
  uint64_t staticShared = 0;
  /// Bytes of the local variables of a thread.
  uint64_t localBytes = 0;
  /// The types of the kernel's parameters, as text, and their widths in bits;
  /// 0 for a pointer.
  std::vector<std::string> parameterTypes;
  std::vector<unsigned> parameterWidths;
  std::vector<bool> parameterIsFloat;
  /// Threads per CTA that the kernel allows or requires, along each dimension;
  /// none if it does not say.
  llvm::SmallVector<uint32_t, 3> maxThreads;
  llvm::SmallVector<uint32_t, 3> requiredThreads;
  /// Dynamic shared memory that the kernel asks for.
  uint64_t dynamicShared = 0;
};

/// Symbols of the instrumented module: the function that takes the arguments
/// in slots of eight bytes, and how often each block ran.
constexpr llvm::StringLiteral kEntrySymbol = "simt.entry";
constexpr llvm::StringLiteral kBlockCounters = "simt.blocks";

/// Keeps the kernel and what it needs, replaces what a host does not have by
/// calls of the functions of Runtime.cpp, and announces every access to memory.
/// The data layout must be set to the host's afterwards.
llvm::Expected<Instrumented> instrument(llvm::Module &module,
                                        llvm::StringRef entry);

} // namespace simt
} // namespace scaling

#endif // SCALING_LIB_SIMT_INSTRUMENT_H
