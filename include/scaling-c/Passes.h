/*===- Passes.h - C interface of passes and pipelines --------------*- C
-*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SCALING_C_PASSES_H
#define SCALING_C_PASSES_H

#include "mlir-c/IR.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Registers the passes and pipelines, for the process, so that texts of
 *  pipelines may name them. May be called more than once. */
MLIR_CAPI_EXPORTED void scalingRegisterAllPasses(void);

/** Runs a pipeline on an op of its kind, given as text: the name of one, like
 *  `scaling-to-linalg`, or a list, like `func.func(canonicalize),cse`, or with
 *  its anchor, like `builtin.module(cse)`. Failures are diagnosed. */
MLIR_CAPI_EXPORTED MlirLogicalResult scalingRunPipeline(MlirOperation operation,
                                                        MlirStringRef pipeline);

#ifdef __cplusplus
}
#endif

#endif /* SCALING_C_PASSES_H */
