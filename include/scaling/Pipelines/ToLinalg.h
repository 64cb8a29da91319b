//===- ToLinalg.h - From the dialect to upstream's --------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_PIPELINES_TOLINALG_H
#define SCALING_PIPELINES_TOLINALG_H

#include "mlir/Pass/PassManager.h"

namespace mlir::scaling {

/// The portable way out: every op of the dialect as linalg, scf and math on
/// tensors.
void buildToLinalgPipeline(OpPassManager &pm);

/// Registers `--scaling-to-linalg`.
void registerToLinalgPipeline();

} // namespace mlir::scaling

#endif // SCALING_PIPELINES_TOLINALG_H
