//===- Lower.h - Intrinsics of the device, for the host ---------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_SIMT_LOWER_H
#define SCALING_LIB_SIMT_LOWER_H

#include "Operations.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/Support/Error.h"

namespace scaling {
namespace simt {

/// What `nvvm.reflect` tells the kernel.
struct LoweringTarget {
  uint32_t arch = 0;
  bool flushSubnormals = false;

  static LoweringTarget of(llvm::Module &module, llvm::Function &kernel);
};

/// A call of one of the functions of Runtime.cpp.
llvm::CallInst *callRuntime(llvm::IRBuilder<> &b, llvm::StringRef name,
                            llvm::Type *type,
                            llvm::ArrayRef<llvm::Value *> args);

/// Replaces a call of an intrinsic of the device, and traps, by calls of the
/// machine; an error names what is not known. `addSite` numbers the
/// instruction.
llvm::Error lowerCall(llvm::Instruction &instruction,
                      const LoweringTarget &target,
                      llvm::function_ref<uint32_t(Site)> addSite);

} // namespace simt
} // namespace scaling

#endif // SCALING_LIB_SIMT_LOWER_H
