//===- Lowered.cpp - What a lowering must not leave behind ------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Utils/Lowered.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

using namespace mlir;
using namespace mlir::scaling;

LogicalResult scaling::verifyLowered(Operation *root, StringRef wrongPlace) {
  WalkResult left = root->walk([&](Operation *op) {
    if (!isa_and_present<ScalingDialect>(op->getDialect()))
      return WalkResult::advance();
    if (isa<IterateOp>(op))
      op->emitOpError("must be decomposed first (--scaling-decompose)");
    else if (isa<ScalingStructuredOpInterface, ToLanesOp, FromLanesOp>(op))
      op->emitOpError(wrongPlace);
    else
      op->emitOpError("must be generalized first (--scaling-generalize)");
    return WalkResult::interrupt();
  });
  return failure(left.wasInterrupted());
}
