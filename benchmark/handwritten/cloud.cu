//===- cloud.cu - Log-sum-exp over points in 64 dimensions ----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What generated kernels are measured against: half-steps of the potentials
// (to base two, times minus one) between two clouds of uniform weights,
//
//   f_i = log2 sum_j 2^(a_ij - g_j),   a_ij = 2 s x_i.y_j - s |x_i|^2 - s
//   |y_j|^2
//
// and the same of the columns. A block has 128 points, which stay in shared
// memory, 64 others at a time; a thread eight by eight of their products. What
// depends on one point alone is added to its potential. All in f32.
//
//===----------------------------------------------------------------------===//

#include "device.h"

enum { dim = 64, own = 128, others = 64, pitch = dim + 4, threads = 128 };
enum { bytes = (own + others) * pitch * 4 + others * 4 };

struct Tiles {
  float x[own][pitch];
  float y[others][pitch];
  float bias[others];
};

extern SHARED Tiles tiles[];

/// Points into rows whose length keeps eight of them in different banks.
static DEVICE void stage(float (*to)[pitch], const float *from, int count) {
  for (int chunk = thread(); chunk < count * dim / 4; chunk += threads) {
    int row = chunk / (dim / 4), at = chunk % (dim / 4) * 4;
    *reinterpret_cast<Vector *>(&to[row][at]) =
        *reinterpret_cast<const Vector *>(from + row * dim + at);
  }
}

static DEVICE float squaredNorm(const float *point) {
  float sum = 0;
#pragma unroll 4
  for (int k = 0; k < dim; ++k)
    sum += point[k] * point[k];
  return sum;
}

/// `f` of `count` points x over `size` points y with the potential `g`.
static DEVICE void halfStep(const float *x, const float *y, float *f,
                            const float *g, int count, int size, float scale) {
  Tiles &tile = tiles[0];
  // Neighbouring lanes have neighbouring rows of y; sixteen lanes share x.
  int column = thread() % 8, row = thread() / 8;
#pragma unroll 1
  for (int first = own * block(); first < count; first += own * numBlocks()) {
    stage(tile.x, x + first * dim, own);
    float largest[8], total[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      largest[i] = -__builtin_inff();
      total[i] = 0;
    }
#pragma unroll 1
    for (int next = 0; next < size; next += others) {
      barrier();
      stage(tile.y, y + next * dim, others);
      barrier();
      if (thread() < others)
        tile.bias[thread()] =
            -g[next + thread()] - scale * squaredNorm(tile.y[thread()]);
      barrier();
      float a[8][8] = {};
#pragma unroll 1
      for (int k = 0; k < dim; k += 4) {
        Four p[8], q[8];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          p[i] = *reinterpret_cast<Four *>(&tile.x[row + 16 * i][k]);
          q[i] = *reinterpret_cast<Four *>(&tile.y[column + 8 * i][k]);
        }
#pragma unroll
        for (int e = 0; e < 4; ++e)
#pragma unroll
          for (int i = 0; i < 8; ++i)
#pragma unroll
            for (int j = 0; j < 8; ++j)
              a[i][j] += p[i][e] * q[j][e];
      }
      float bias[8];
#pragma unroll
      for (int j = 0; j < 8; ++j)
        bias[j] = tile.bias[column + 8 * j];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        float above = largest[i];
#pragma unroll
        for (int j = 0; j < 8; ++j) {
          a[i][j] = a[i][j] * (2 * scale) + bias[j];
          above = maximum(above, a[i][j]);
        }
        total[i] *= power(largest[i] - above);
        largest[i] = above;
#pragma unroll
        for (int j = 0; j < 8; ++j)
          total[i] += power(a[i][j] - above);
      }
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
#pragma unroll
      for (int distance = 4; distance; distance /= 2) {
        float theirs = butterfly(largest[i], distance);
        float above = maximum(largest[i], theirs);
        float more = butterfly(total[i], distance) * power(theirs - above);
        total[i] = total[i] * power(largest[i] - above) + more;
        largest[i] = above;
      }
      if (column == 0)
        f[first + row + 16 * i] = largest[i] + logarithm(total[i]) -
                                  scale * squaredNorm(tile.x[row + 16 * i]);
    }
    barrier();
  }
}

/// n is a multiple of 128, m too; g has been initialized.
extern "C" KERNEL __attribute__((launch_bounds(threads))) void
cloud(const float *x, const float *y, float *f, float *g, int n, int m,
      float scale, int half_steps, int *arrived) {
#pragma unroll 1
  for (int step = 0; step < half_steps; ++step) {
    bool ofRows = step % 2 == 0;
    halfStep(ofRows ? x : y, ofRows ? y : x, ofRows ? f : g, ofRows ? g : f,
             ofRows ? n : m, ofRows ? m : n, scale);
    gridBarrier(arrived, step + 1);
  }
}
