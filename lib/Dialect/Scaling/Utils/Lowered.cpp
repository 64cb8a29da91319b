//===- Lowered.cpp - What a lowering must not leave behind ------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Utils/Lowered.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Interfaces/DataLayoutInterfaces.h"

using namespace mlir;
using namespace mlir::scaling;

/// Whether the op is in a module for a GPU, whose kernels are made of it.
static bool isForGPU(Operation *op) {
  MLIRContext *context = op->getContext();
  return DataLayout::closest(op)
      .getDevicePropertyValue(
          StringAttr::get(context, "GPU"),
          StringAttr::get(context, "max_shared_memory_per_block"))
      .has_value();
}

LogicalResult scaling::verifyLowered(Operation *root, StringRef wrongPlace) {
  WalkResult left = root->walk([&](Operation *op) {
    if (!isa_and_present<ScalingDialect>(op->getDialect()))
      return WalkResult::advance();
    if (isa<ReducePointsOp, SumPointsOp, ArgMaxPointsOp, ApplyPointsOp>(op)) {
      if (isForGPU(op))
        return WalkResult::advance();
      op->emitOpError("is for GPUs (--scaling-to-nvvm)");
    } else if (isa<IterateOp>(op)) {
      op->emitOpError("must be decomposed first (--scaling-decompose)");
    } else if (isa<ScalingStructuredOpInterface, ToLanesOp, FromLanesOp>(op)) {
      op->emitOpError(wrongPlace);
    } else {
      op->emitOpError("must be generalized first (--scaling-generalize)");
    }
    return WalkResult::interrupt();
  });
  return failure(left.wasInterrupted());
}
