//===- resident.cu - A matrix in the registers of a block -----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What generated kernels are measured against: half-steps that make rows, then
// columns of exp(z) sum to one, of matrices of up to 208 x 224. Sixteen warps
// have thirteen rows each, a lane of them every 32nd column; sums of columns
// meet in shared memory.
//
//===----------------------------------------------------------------------===//

#include "device.h"

enum { warps = 16, rows = 13, columns = 7, width = 32 * columns };

extern "C" KERNEL __attribute__((launch_bounds(32 * warps))) void
resident(const float *__restrict z, float *__restrict plan, int count, int n,
         int m, int half_steps) {
  SHARED float partial[warps][width];
  SHARED float factor[width];
  SHARED float rowFactor[rows * warps];
  int lane = thread() % 32, warp = thread() / 32;
  for (int item = block(); item < count; item += numBlocks()) {
    const float *from = z + item * n * m + warp * m + lane;
    float *to = plan + item * n * m + warp * m + lane;
    float k[rows][columns], v[columns];
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      int row = warp + warps * i;
#pragma unroll
      for (int j = 0; j < columns; ++j) {
        int column = lane + 32 * j;
        bool inside = row < n && column < m;
        k[i][j] = inside ? exponential(from[32 * j]) : 0;
        v[j] = 1;
      }
      from += warps * m;
    }
#pragma unroll 1
    for (int step = 0; step < half_steps; step += 2) {
      float sums[columns] = {};
#pragma unroll
      for (int i = 0; i < rows; ++i) {
        float sum = 0;
#pragma unroll
        for (int j = 0; j < columns; ++j)
          sum += k[i][j] * v[j];
        int row = warp + warps * i;
        float u = row < n ? reciprocal(sumOfWarp(sum)) : 0;
        if (lane == 0)
          rowFactor[row] = u;
#pragma unroll
        for (int j = 0; j < columns; ++j)
          sums[j] += k[i][j] * u;
      }
#pragma unroll
      for (int j = 0; j < columns; ++j)
        partial[warp][lane + 32 * j] = sums[j];
      barrier();
      if (thread() < width) {
        float sum = 0;
#pragma unroll
        for (int other = 0; other < warps; ++other)
          sum += partial[other][thread()];
        factor[thread()] = reciprocal(sum);
      }
      barrier();
#pragma unroll
      for (int j = 0; j < columns; ++j)
        v[j] = lane + 32 * j < m ? factor[lane + 32 * j] : 0;
    }
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      int row = warp + warps * i;
#pragma unroll
      for (int j = 0; j < columns; ++j) {
        int column = lane + 32 * j;
        if (row < n && column < m)
          to[32 * j] = rowFactor[row] * k[i][j] * v[j];
      }
      to += warps * m;
    }
    // The next matrix uses the same memory.
    barrier();
  }
}
