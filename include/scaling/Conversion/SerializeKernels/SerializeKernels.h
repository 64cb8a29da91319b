//===- SerializeKernels.h - Kernels to PTX and cubins -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_SERIALIZEKERNELS_SERIALIZEKERNELS_H
#define SCALING_CONVERSION_SERIALIZEKERNELS_SERIALIZEKERNELS_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGSERIALIZEKERNELSPASS
#include "scaling/Conversion/SerializeKernels/SerializeKernels.h.inc"

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/SerializeKernels/SerializeKernels.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_SERIALIZEKERNELS_SERIALIZEKERNELS_H
