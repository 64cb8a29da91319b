//===- FormWorkgroups.h - Functions as dispatches ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_FORMWORKGROUPS_FORMWORKGROUPS_H
#define SCALING_CONVERSION_FORMWORKGROUPS_FORMWORKGROUPS_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGFORMWORKGROUPSPASS
#include "scaling/Conversion/FormWorkgroups/FormWorkgroups.h.inc"

/// The suffix of the companion that tells how many workgroups have work.
inline constexpr llvm::StringLiteral kWorkgroupsSuffix = "_workgroups";

/// Makes every public function the code of one workgroup.
LogicalResult formWorkgroups(ModuleOp module);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/FormWorkgroups/FormWorkgroups.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_FORMWORKGROUPS_FORMWORKGROUPS_H
