//===- FormLaunches.h - Host functions of kernels ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FORMLAUNCHES_FORMLAUNCHES_H
#define SCALING_CONVERSION_FORMLAUNCHES_FORMLAUNCHES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGFORMLAUNCHESPASS
#include "scaling/Conversion/FormLaunches/FormLaunches.h.inc"

/// The globals of the LLVM dialect that hold the image of the kernels, without
/// a value until `--scaling-embed-kernels` gives them one. A part of no bytes
/// is not there.
inline constexpr llvm::StringLiteral kCubinName = "scaling.cubin";
inline constexpr llvm::StringLiteral kPTXName = "scaling.ptx";

/// Makes a host function for every kernel.
LogicalResult formLaunches(ModuleOp module);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/FormLaunches/FormLaunches.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_FORMLAUNCHES_FORMLAUNCHES_H
