//===- streaming.cu - A matrix in memory, read once per sweep -------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What generated kernels are measured against: half-steps that make rows, then
// columns of exp(z) sum to one, of a matrix with a number of columns known
// here. A block has a row in the registers of its threads, four rows at a time;
// sums of its columns stay there until the sweep is over.
//
//===----------------------------------------------------------------------===//

#include "device.h"

enum { warps = 8, vectors = 4, together = 4, threads = 32 * warps };
/// Columns.
enum { m = 4 * vectors * threads };

/// Sums over the block of `together` numbers of each thread.
static DEVICE void sumOfBlock(float (&x)[together], float *shared) {
#pragma unroll
  for (int r = 0; r < together; ++r) {
    x[r] = sumOfWarp(x[r]);
    if (thread() % 32 == 0)
      shared[thread() / 32 * together + r] = x[r];
  }
  barrier();
#pragma unroll
  for (int r = 0; r < together; ++r) {
    x[r] = 0;
#pragma unroll
    for (int warp = 0; warp < warps; ++warp)
      x[r] += shared[warp * together + r];
  }
  barrier();
}

/// `k` is as large as `z`; `u` has n, `v` has m entries; `partial` has m for
/// every block. n is a multiple of 4.
extern "C" KERNEL __attribute__((launch_bounds(threads))) void
streaming(const Vector *__restrict z, Vector *plan, int n, int half_steps,
          Vector *k, float *u, Vector *v, Vector *partial, int *arrived) {
  SHARED float shared[warps * together];
  constexpr int pitch = m / 4;
  for (int step = 0; step < half_steps; step += 2) {
    Vector factor[vectors], sums[vectors] = {};
#pragma unroll
    for (int c = 0; c < vectors; ++c)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        factor[c].x[e] = 1;
    if (step)
#pragma unroll
      for (int c = 0; c < vectors; ++c)
        factor[c] = v[c * threads + thread()];
#pragma unroll 1
    for (int row = together * block(); row < n; row += together * numBlocks()) {
      Vector own[together][vectors];
#pragma unroll
      for (int r = 0; r < together; ++r)
#pragma unroll
        for (int c = 0; c < vectors; ++c) {
          int at = (row + r) * pitch + c * threads + thread();
          own[r][c] = step ? k[at] : z[at];
        }
      if (step == 0)
#pragma unroll
        for (int r = 0; r < together; ++r)
#pragma unroll
          for (int c = 0; c < vectors; ++c) {
#pragma unroll
            for (int e = 0; e < 4; ++e)
              own[r][c].x[e] = exponential(own[r][c].x[e]);
            k[(row + r) * pitch + c * threads + thread()] = own[r][c];
          }
      float total[together];
#pragma unroll
      for (int r = 0; r < together; ++r) {
        total[r] = 0;
#pragma unroll
        for (int c = 0; c < vectors; ++c)
#pragma unroll
          for (int e = 0; e < 4; ++e)
            total[r] += own[r][c].x[e] * factor[c].x[e];
      }
      sumOfBlock(total, shared);
#pragma unroll
      for (int r = 0; r < together; ++r) {
        float scale = reciprocal(total[r]);
        if (thread() == 0)
          u[row + r] = scale;
#pragma unroll
        for (int c = 0; c < vectors; ++c)
#pragma unroll
          for (int e = 0; e < 4; ++e)
            sums[c].x[e] += own[r][c].x[e] * scale;
      }
    }
#pragma unroll
    for (int c = 0; c < vectors; ++c)
      partial[block() * pitch + c * threads + thread()] = sums[c];
    gridBarrier(arrived, step + 1);
    for (int at = block() * threads + thread(); at < pitch;
         at += numBlocks() * threads) {
      Vector sum = {};
      for (int other = 0; other < numBlocks(); ++other) {
        Vector more = partial[other * pitch + at];
#pragma unroll
        for (int e = 0; e < 4; ++e)
          sum.x[e] += more.x[e];
      }
#pragma unroll
      for (int e = 0; e < 4; ++e)
        sum.x[e] = reciprocal(sum.x[e]);
      v[at] = sum;
    }
    gridBarrier(arrived, step + 2);
  }
  for (int row = block(); row < n; row += numBlocks())
#pragma unroll
    for (int c = 0; c < vectors; ++c) {
      int at = c * threads + thread();
      Vector own = k[row * pitch + at], factor = v[at];
#pragma unroll
      for (int e = 0; e < 4; ++e)
        own.x[e] *= u[row] * factor.x[e];
      plan[row * pitch + at] = own;
    }
}
