//===- Assembly.h - Inline assembly of a kernel -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_SIMT_ASSEMBLY_H
#define SCALING_LIB_SIMT_ASSEMBLY_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/InstrTypes.h"

#include <optional>
#include <string>

namespace scaling {
namespace simt {

/// One instruction of PTX: results first, in their order, then the inputs as
/// the text has them, braces and brackets left out.
struct Assembly {
  std::string op;
  llvm::SmallVector<llvm::Value *> inputs;

  /// Nothing when the text is more than one instruction, or has a predicate,
  /// an offset of an address or a register of its own.
  static std::optional<Assembly> parse(llvm::CallBase &call);
};

} // namespace simt
} // namespace scaling

#endif // SCALING_LIB_SIMT_ASSEMBLY_H
