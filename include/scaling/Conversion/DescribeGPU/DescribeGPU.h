//===- DescribeGPU.h - The chip on the module -------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_DESCRIBEGPU_DESCRIBEGPU_H
#define SCALING_CONVERSION_DESCRIBEGPU_DESCRIBEGPU_H

#include "scaling/Dialect/Scaling/IR/AttributeNames.h"
#include "scaling/Target/GPU/Chip.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGDESCRIBEGPUPASS
#include "scaling/Conversion/DescribeGPU/DescribeGPU.h.inc"

/// Writes the device "GPU" into the module's target description.
void describeGPU(ModuleOp module, const GPUChip &chip);

/// Marks the functions that hold ops of strict numerics, and those whose ops
/// all let tensor cores multiply.
void markNumerics(ModuleOp module);

/// The chip that is written there.
std::optional<GPUChip> getDescribedGPU(ModuleOp module);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/DescribeGPU/DescribeGPU.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_DESCRIBEGPU_DESCRIBEGPU_H
