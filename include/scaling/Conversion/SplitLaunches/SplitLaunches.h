//===- SplitLaunches.h - Kernels that never wait ----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_SPLITLAUNCHES_SPLITLAUNCHES_H
#define SCALING_CONVERSION_SPLITLAUNCHES_SPLITLAUNCHES_H

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGSPLITLAUNCHESPASS
#include "scaling/Conversion/SplitLaunches/SplitLaunches.h.inc"

/// On a kernel that is launched until it is done: bytes of state of a block.
inline constexpr llvm::StringLiteral kStateBytesAttrName =
    "scaling.state_bytes";

/// What the first word of a block's state is once there is nothing left to do.
inline constexpr int32_t kDoneLabel = -1;

/// Has a kernel return wherever a launch ends, and go on from there in the next
/// one.
LogicalResult splitLaunches(LLVM::LLVMFuncOp kernel);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/SplitLaunches/SplitLaunches.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_SPLITLAUNCHES_SPLITLAUNCHES_H
