/*===- Runtime.c - The host runtime of generated CPU code -----------*- C
-*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "scaling/Runtime/Runtime.h"

#include <omp.h>
#include <stddef.h>

static scaling_parallel_for_fn hostParallelFor = NULL;
static int32_t requestedThreads = 0;

/* The first item of part `index` of `parts`: the sizes differ by at most one,
 * and no product overflows. */
static int64_t partBegin(int64_t count, int64_t parts, int64_t index) {
  int64_t size = count / parts;
  int64_t larger = count % parts;
  return index * size + (index < larger ? index : larger);
}

static void ompParallelFor(int64_t count, scaling_body_fn body, void *context) {
  int64_t threads = scaling_get_num_threads();
  if (threads > count)
    threads = count;
  if (threads <= 1 || omp_in_parallel()) {
    body(0, count, context);
    return;
  }
  /* One contiguous part per thread, the same part for the same thread in
   * every call: what a thread has read stays in its own cache from one sweep
   * to the next. OpenMP may give fewer threads than asked for. */
#pragma omp parallel num_threads((int)threads)
  {
    int64_t parts = omp_get_num_threads();
    int64_t index = omp_get_thread_num();
    int64_t begin = partBegin(count, parts, index);
    int64_t end = partBegin(count, parts, index + 1);
    if (begin < end)
      body(begin, end, context);
  }
}

void scaling_parallel_for(int64_t count, scaling_body_fn body, void *context) {
  if (count <= 0)
    return;
  if (count == 1) {
    body(0, 1, context);
    return;
  }
  if (hostParallelFor)
    hostParallelFor(count, body, context);
  else
    ompParallelFor(count, body, context);
}

void scaling_set_parallel_for(scaling_parallel_for_fn fn) {
  hostParallelFor = fn;
}

void scaling_set_num_threads(int32_t numThreads) {
  requestedThreads = numThreads > 0 ? numThreads : 0;
}

int32_t scaling_get_num_threads(void) {
  return requestedThreads ? requestedThreads : omp_get_max_threads();
}
