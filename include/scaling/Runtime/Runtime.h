/*===- Runtime.h - The host runtime of generated CPU code -----------*- C
-*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
|*===----------------------------------------------------------------------===*|
|*                                                                            *|
|* Generated code reaches threads through one function, so that a host that   *|
|* has a thread pool of its own can bring it.                                 *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SCALING_RUNTIME_RUNTIME_H
#define SCALING_RUNTIME_RUNTIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Does the work items `begin <= i < end`. */
typedef void (*scaling_body_fn)(int64_t begin, int64_t end, void *context);

/** Has `body` called on ranges that partition `0 <= i < count`, and returns
 * when all are done. Items are independent: results never depend on how the
 * range was cut. */
typedef void (*scaling_parallel_for_fn)(int64_t count, scaling_body_fn body,
                                        void *context);

/** The one entry generated code calls. Runs the host's function when there is
 * one, else OpenMP. Starts no thread when `count <= 1`, with one thread, or
 * from inside another parallel loop. */
void scaling_parallel_for(int64_t count, scaling_body_fn body, void *context);

/** Replaces the implementation; NULL brings the default back. To be called
 * while no generated code is running. */
void scaling_set_parallel_for(scaling_parallel_for_fn fn);

/** The number of threads of the default implementation; 0 or less brings
 * back OpenMP's own choice (OMP_NUM_THREADS). */
void scaling_set_num_threads(int32_t numThreads);

/** The number of threads the default implementation uses at most. */
int32_t scaling_get_num_threads(void);

#ifdef __cplusplus
}
#endif

#endif /* SCALING_RUNTIME_RUNTIME_H */
