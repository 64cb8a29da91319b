//===- CPUTarget.h - Descriptions of CPUs -----------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TARGET_CPU_CPUTARGET_H
#define SCALING_TARGET_CPU_CPUTARGET_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace llvm {
class TargetMachine;
} // namespace llvm

namespace mlir {
namespace scaling {

/// What the compiler knows about a CPU.
struct CPUTarget {
  std::string triple;
  /// The name LLVM knows it by.
  std::string cpu;
  /// `+a,-b`, on top of what the name implies.
  std::string features;
  /// The widest vector registers worth using, in bits.
  unsigned vectorBits = 128;
  int64_t l1Bytes = 32 << 10;
  int64_t l2Bytes = 1 << 20;
  int64_t l3Bytes = 32 << 20;
};

/// The CPU called `name`, for the machine's own operating system; `host` is
/// the CPU this runs on. Cache sizes of named CPUs are fixed typical numbers,
/// so that the same name gives the same code everywhere.
llvm::Expected<CPUTarget> getCPUTarget(llvm::StringRef name);

/// Puts the description on the module, where passes read it:
/// `dlti.target_system_spec` with one device "CPU" and the entries "cpu"
/// (string), "max_vector_op_width" (bits), "L1_cache_size_in_bytes",
/// "L2_cache_size_in_bytes" and "L3_cache_size_in_bytes" (i64). An existing
/// description is left alone: what the module says wins.
void attachTargetDescription(ModuleOp module, const CPUTarget &target);

llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createTargetMachine(const CPUTarget &target);

} // namespace scaling
} // namespace mlir

#endif // SCALING_TARGET_CPU_CPUTARGET_H
