//===- Runtime.h - Functions that instrumented kernels call -----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_SIMT_RUNTIME_H
#define SCALING_LIB_SIMT_RUNTIME_H

#include "llvm/ADT/StringMap.h"

namespace scaling {
namespace simt {

/// Functions that kernels may call, by name. The ones that begin with `simt.`
/// are made by the instrumentation; `nvvm.` stands for `llvm.nvvm.` intrinsics
/// that compute one number from others.
const llvm::StringMap<void *> &getRuntimeFunctions();

/// The intrinsics among them.
void addArithmetic(llvm::StringMap<void *> &table);

} // namespace simt
} // namespace scaling

#endif // SCALING_LIB_SIMT_RUNTIME_H
