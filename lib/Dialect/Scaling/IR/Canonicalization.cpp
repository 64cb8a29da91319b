//===- Canonicalization.cpp - Folds and canonical forms --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::scaling;

void IterateOp::getCanonicalizationPatterns(RewritePatternSet &,
                                            MLIRContext *) {}
void ReduceOp::getCanonicalizationPatterns(RewritePatternSet &, MLIRContext *) {
}
void PlanOp::getCanonicalizationPatterns(RewritePatternSet &, MLIRContext *) {}
void ProjectOp::getCanonicalizationPatterns(RewritePatternSet &,
                                            MLIRContext *) {}
