//===- hyper_connections.cu - 4x4 matrices, one in a thread ---------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What generated kernels are measured against: half-steps that make rows, then
// columns of exp(z) sum to one.
//
//===----------------------------------------------------------------------===//

#include "device.h"

extern "C" KERNEL void hyper_connections(const Vector *__restrict z,
                                         Vector *__restrict plan, int count,
                                         int half_steps) {
  int threads = __nvvm_read_ptx_sreg_ntid_x();
  int stride = threads * numBlocks();
  int first = block() * threads + thread();
  for (int item = first; item < count; item += stride) {
    float k[4][4], u[4], v[4] = {1, 1, 1, 1};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      Vector row = z[4 * item + i];
#pragma unroll
      for (int j = 0; j < 4; ++j)
        k[i][j] = exponential(row.x[j]);
    }
#pragma unroll 1
    for (int step = 0; step < half_steps; step += 2) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float sum = 0;
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sum += k[i][j] * v[j];
        u[i] = reciprocal(sum);
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float sum = 0;
#pragma unroll
        for (int i = 0; i < 4; ++i)
          sum += k[i][j] * u[i];
        v[j] = reciprocal(sum);
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      Vector row;
#pragma unroll
      for (int j = 0; j < 4; ++j)
        row.x[j] = u[i] * k[i][j] * v[j];
      plan[4 * item + i] = row;
    }
  }
}
