//===- gpu.h - As much of CUDA as the tests need ----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TEST_SIMT_INPUTS_GPU_H
#define SCALING_TEST_SIMT_INPUTS_GPU_H

#define KERNEL extern "C" __attribute__((global)) void
#define DEVICE static inline __attribute__((device))
#define SHARED __attribute__((shared))

#define ALL 0xffffffffu

DEVICE unsigned thread() { return __nvvm_read_ptx_sreg_tid_x(); }
DEVICE unsigned numThreads() { return __nvvm_read_ptx_sreg_ntid_x(); }
DEVICE unsigned cta() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE unsigned numCtas() { return __nvvm_read_ptx_sreg_nctaid_x(); }
DEVICE void barrier() { __nvvm_bar_sync(0); }
DEVICE void warpBarrier() { __nvvm_bar_warp_sync(ALL); }
DEVICE void fenceCta() { __nvvm_membar_cta(); }
DEVICE void fenceGpu() { __nvvm_membar_gl(); }
DEVICE float butterfly(float x, int distance) {
  return __nvvm_shfl_sync_bfly_f32(ALL, x, distance, 31);
}
DEVICE int addAtomic(int *p, int x) {
  return __scoped_atomic_fetch_add(p, x, __ATOMIC_RELAXED,
                                   __MEMORY_SCOPE_DEVICE);
}
DEVICE int loadAtomic(int *p) {
  return __scoped_atomic_load_n(p, __ATOMIC_RELAXED, __MEMORY_SCOPE_DEVICE);
}
DEVICE int loadAcquire(int *p) {
  return __scoped_atomic_load_n(p, __ATOMIC_ACQUIRE, __MEMORY_SCOPE_DEVICE);
}

typedef float float4 __attribute__((vector_size(16)));

#endif // SCALING_TEST_SIMT_INPUTS_GPU_H
