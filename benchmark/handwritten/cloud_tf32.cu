//===- cloud_tf32.cu - Log-sum-exp over points, by tensor cores -----------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The half-steps of cloud.cu with products of tf32. Coordinates are rounded
// first, and norms are those of the rounded points. A warp has 32 of a block's
// 128 points, whose coordinates stay in registers, and all 64 others of a tile,
// a lane two of eight columns in four rows; the next tile is copied meanwhile.
//
//===----------------------------------------------------------------------===//

#include "device.h"

enum { dim = 64, own = 128, others = 64, pitch = dim + 4, threads = 128 };
enum { steps = dim / 8, groups = others / 8 };

struct Tiles {
  float x[own][pitch];
  float y[2][others][pitch];
  float bias[2][others];
};

extern SHARED Tiles tiles[];

typedef __attribute__((address_space(3))) void SharedPlace;
typedef __attribute__((address_space(1))) void GlobalPlace;

/// Rounds points, and writes half of their squares.
static DEVICE void prepare(const float *from, float *to, float *halves,
                           int count) {
  int sixteenth = thread() % 16;
  for (int row = block() * (threads / 16) + thread() / 16; row < count;
       row += numBlocks() * (threads / 16)) {
    Four vector =
        *reinterpret_cast<const Four *>(from + row * dim + 4 * sixteenth);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      vector[i] = __builtin_bit_cast(float, __nvvm_f2tf32_rna(vector[i]));
      sum += vector[i] * vector[i];
    }
    *reinterpret_cast<Four *>(to + row * dim + 4 * sixteenth) = vector;
#pragma unroll
    for (int distance = 8; distance; distance /= 2)
      sum += butterfly(sum, distance);
    if (sixteenth == 0)
      halves[row] = 0.5f * sum;
  }
}

/// Points into rows whose length keeps eight of them in different banks.
static DEVICE void stage(float (*to)[pitch], const float *from, int count) {
  int row = thread() / 16, at = 4 * (thread() % 16);
#pragma unroll
  for (int i = 0; i < count; i += threads / 16)
    __nvvm_cp_async_cg_shared_global_16(
        (SharedPlace *)&to[row + i][at],
        (GlobalPlace *)(from + (row + i) * dim + at));
}

/// Four matrices of eight rows of four numbers: lane l gets number l % 4 of row
/// l / 4 of each.
static DEVICE void load(unsigned *to, const float *row) {
  auto place = (__attribute__((address_space(3))) const float *)row;
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
      : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
      : "r"(place)
      : "memory");
}

static DEVICE void multiply(float *sums, const unsigned *x, const unsigned *y) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, "
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
      : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
}

struct Cloud {
  const float *points, *halves;
  float *potential;
  int count;
};

/// The potential of x over y.
static DEVICE void halfStep(const Cloud &x, const Cloud &y, float scale) {
  Tiles &tile = tiles[0];
  int lane = thread() % 32, firstRow = thread() / 32 * 32;
  int unit = lane % 8, matrix = lane / 8;
  float coefficient = 2 * scale, inverse = 1 / coefficient;
  auto stageOthers = [&](int next, int half) {
    stage(tile.y[half], y.points + next * dim, others);
    // In units of the products.
    if (thread() < others)
      tile.bias[half][thread()] =
          -y.potential[next + thread()] * inverse - y.halves[next + thread()];
  };
#pragma unroll 1
  for (int first = own * block(); first < x.count; first += own * numBlocks()) {
    stage(tile.x, x.points + first * dim, own);
    stageOthers(0, 0);
    __nvvm_cp_async_wait_all();
    barrier();
    unsigned rows[steps][2][4];
#pragma unroll
    for (int k = 0; k < steps; ++k)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        load(rows[k][i], &tile.x[firstRow + 16 * i + matrix % 2 * 8 + unit]
                                [8 * k + matrix / 2 * 4]);
    float largest[4], total[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      largest[i] = -0x1p126f;
      total[i] = 0;
    }
    int half = 0;
#pragma unroll 1
    for (int next = others; next <= y.count; next += others, half ^= 1) {
      if (next < y.count)
        stageOthers(next, half ^ 1);
      float a[groups][2][4];
#pragma unroll
      for (int j = 0; j < groups; ++j) {
        const float *bias = &tile.bias[half][8 * j + 2 * (lane % 4)];
#pragma unroll
        for (int i = 0; i < 8; ++i)
          a[j][i / 4][i % 4] = bias[i % 2];
#pragma unroll
        for (int k = 0; k < steps; k += 2) {
          unsigned columns[4];
          load(columns, &tile.y[half][8 * j + unit][8 * k + matrix * 4]);
#pragma unroll
          for (int i = 0; i < 4; ++i)
            multiply(a[j][i % 2], rows[k + i / 2][i % 2], columns + i / 2 * 2);
        }
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        float above = largest[i];
#pragma unroll
        for (int j = 0; j < 2 * groups; ++j)
          above = maximum(above, a[j / 2][i / 2][i % 2 * 2 + j % 2]);
        float least = -coefficient * above;
        total[i] *= power(largest[i] * coefficient + least);
        largest[i] = above;
#pragma unroll
        for (int j = 0; j < 2 * groups; ++j)
          total[i] +=
              power(a[j / 2][i / 2][i % 2 * 2 + j % 2] * coefficient + least);
      }
      __nvvm_cp_async_wait_all();
      barrier();
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float most = largest[i] * coefficient;
#pragma unroll
      for (int distance = 2; distance; distance /= 2) {
        float theirs = butterfly(most, distance);
        float above = maximum(most, theirs);
        float more = butterfly(total[i], distance) * power(theirs - above);
        total[i] = total[i] * power(most - above) + more;
        most = above;
      }
      int row = first + firstRow + 8 * i + lane / 4;
      if (lane % 4 == 0)
        x.potential[row] =
            most + logarithm(total[i]) - coefficient * x.halves[row];
    }
  }
}

/// n is a multiple of 128, m too; g has been initialized. `scratch` is for the
/// rounded points and half of their squares.
extern "C" KERNEL __attribute__((launch_bounds(threads))) void
cloud_tf32(const float *x, const float *y, float *f, float *g, int n, int m,
           float scale, int half_steps, float *scratch, int *arrived) {
  float *halves = scratch + (n + m) * dim;
  prepare(x, scratch, halves, n);
  prepare(y, scratch + n * dim, halves + n, m);
  gridBarrier(arrived, 1);
  Cloud rows{scratch, halves, f, n};
  Cloud columns{scratch + n * dim, halves + n, g, m};
#pragma unroll 1
  for (int step = 0; step < half_steps; ++step) {
    if (step % 2 == 0)
      halfStep(rows, columns, scale);
    else
      halfStep(columns, rows, scale);
    gridBarrier(arrived, step + 2);
  }
}
