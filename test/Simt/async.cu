// Asynchronous copies: every way to read too early.

// RUN: %clang_gpu %s -o %t.right.ll
// RUN: %clang_gpu -DNO_WAIT %s -o %t.wait.ll
// RUN: %clang_gpu -DNO_BARRIER %s -o %t.barrier.ll
// RUN: %clang_gpu -DTOO_MANY %s -o %t.many.ll
// RUN: %clang_gpu -DOVERWRITE %s -o %t.overwrite.ll
// RUN: %python %S/Inputs/make.py %t.npy f4 1024
// RUN: scaling-simt %t.right.ll --block 64 --input %t.npy --output %t.o.npy:f32:1024 --report %t.json
// RUN: cmp %t.npy %t.o.npy
// RUN: FileCheck %s --check-prefix=REPORT --input-file %t.json
// REPORT: "async_copies": 256,
// REPORT: "name": "argument 0"
// REPORT: "read_bytes": 4096,
// REPORT: "read_requests": 8,
// REPORT: "sectors_per_request": 16,

// RUN: not scaling-simt %t.wait.ll --block 64 --input %t.npy --output %t.o.npy:f32:1024 2>&1 | FileCheck %s
// RUN: not scaling-simt %t.many.ll --block 64 --input %t.npy --output %t.o.npy:f32:1024 2>&1 | FileCheck %s
// CHECK: fault: race: shared memory at byte {{[0-9]+}}: read by thread
// CHECK-NEXT: copied asynchronously, not waited for by thread

// RUN: not scaling-simt %t.barrier.ll --block 64 --input %t.npy --output %t.o.npy:f32:1024 2>&1 | FileCheck %s --check-prefix=BARRIER
// BARRIER: fault: race: shared memory at byte {{[0-9]+}}: read by thread
// RUN: not scaling-simt %t.overwrite.ll --block 64 --input %t.npy --output %t.o.npy:f32:1024 2>&1 | FileCheck %s --check-prefix=OVERWRITE
// OVERWRITE: fault: race: shared memory at byte {{[0-9]+}}: written by thread
// OVERWRITE-NEXT: read by thread

#include "Inputs/gpu.h"

#define AS(N) __attribute__((address_space(N)))

DEVICE void copy(float *to, const float *from) {
  __nvvm_cp_async_cg_shared_global_16((AS(3) void *)to, (const AS(1) void *)from);
  __nvvm_cp_async_commit_group();
}

#ifdef TOO_MANY
#define PENDING 2
#else
#define PENDING 1
#endif

// Two stages; each thread reads what another one copied.
KERNEL pipeline(const float *in, float *out) {
  SHARED float stage[2][256] __attribute__((aligned(16)));
  int i = thread();
  copy(&stage[0][4 * i], in + 4 * i);
#pragma unroll 1
  for (int step = 0; step < 4; ++step) {
    if (step + 1 < 4)
      copy(&stage[(step + 1) % 2][4 * i], in + (step + 1) * 256 + 4 * i);
    else
      __nvvm_cp_async_commit_group();
#ifndef NO_WAIT
    __nvvm_cp_async_wait_group(PENDING);
#endif
#ifndef NO_BARRIER
    barrier();
#endif
    for (int j = 0; j < 4; ++j)
      out[step * 256 + 64 * j + i] = stage[step % 2][64 * j + i];
#ifndef OVERWRITE
    barrier();
#endif
  }
}
