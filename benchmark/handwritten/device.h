//===- device.h - As much of CUDA as the kernels need -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Neither CUDA's headers nor its libraries are needed: clang++ -x cuda
// --cuda-device-only -nocudainc -nocudalib.
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_BENCHMARK_HANDWRITTEN_DEVICE_H
#define SCALING_BENCHMARK_HANDWRITTEN_DEVICE_H

#define DEVICE __attribute__((device))
#define KERNEL __attribute__((global))
#define SHARED __attribute__((shared))

struct alignas(16) Vector {
  float x[4];
};
/// The same as one value, which is loaded at once.
typedef float Four __attribute__((vector_size(16)));

static inline DEVICE int thread() { return __nvvm_read_ptx_sreg_tid_x(); }
static inline DEVICE int block() { return __nvvm_read_ptx_sreg_ctaid_x(); }
static inline DEVICE int numBlocks() { return __nvvm_read_ptx_sreg_nctaid_x(); }
static inline DEVICE void barrier() { __nvvm_bar_sync(0); }

static inline DEVICE float power(float x) { return __nvvm_ex2_approx_ftz_f(x); }
static inline DEVICE float exponential(float x) {
  return power(x * 1.44269504f);
}
static inline DEVICE float logarithm(float x) {
  return __nvvm_lg2_approx_ftz_f(x);
}
static inline DEVICE float reciprocal(float x) {
  return __nvvm_rcp_approx_ftz_f(x);
}
static inline DEVICE float maximum(float x, float y) {
  return __nvvm_fmax_f(x, y);
}

static inline DEVICE float butterfly(float x, int distance) {
  return __nvvm_shfl_sync_bfly_f32(0xffffffffu, x, distance, 31);
}

/// The sum over a warp, in every lane.
static inline DEVICE float sumOfWarp(float x) {
#pragma unroll
  for (int distance = 16; distance; distance /= 2)
    x += butterfly(x, distance);
  return x;
}

/// All blocks meet; what they wrote before is seen after. `arrived` counts for
/// ever, `round` is the number of barriers so far.
static inline DEVICE void gridBarrier(int *arrived, int round) {
  barrier();
  if (thread() == 0) {
    __nvvm_membar_gl();
    __scoped_atomic_fetch_add(arrived, 1, __ATOMIC_RELAXED,
                              __MEMORY_SCOPE_DEVICE);
    while (__scoped_atomic_load_n(arrived, __ATOMIC_RELAXED,
                                  __MEMORY_SCOPE_DEVICE) < round * numBlocks())
      ;
    __nvvm_membar_gl();
  }
  barrier();
}

#endif // SCALING_BENCHMARK_HANDWRITTEN_DEVICE_H
