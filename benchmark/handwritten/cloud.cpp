//===- cloud.cpp - Potentials between clouds in space ---------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// GeomLoss's loop for d = 3 and the cost |x - y|²/2, uniform weights: a plain
// simultaneous update at the first ε, an averaged one for every ε, a plain one
// at the end. The costs are made on the fly. Both updates come from the plan of
// the old pair, so that one exponential per pair of points serves them both:
//     f_i ← f_i - ε log Σ_j P_ij·n, P_ij = exp((f_i + g_j - C_ij)/ε)/(n·m).
//
//===----------------------------------------------------------------------===//

#include "vector.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <omp.h>

namespace {
constexpr int kRows = 4;
constexpr float kLog2E = 0x1.715476p+0f;

/// One cloud by coordinate, with half its squared norms and its potential.
struct Cloud {
  float *x[3];
  float *half;
  float *potential;
  /// The exponents' part of a point: (potential - |x|²/2)/ε in base 2.
  float *bias;
  int64_t size;
};

float *allocate(int64_t count) {
  auto size = static_cast<size_t>((count * 4 + 63) / 64 * 64);
  return static_cast<float *>(std::aligned_alloc(64, size));
}

Cloud makeCloud(const float *points, int64_t size) {
  Cloud cloud = {{allocate(size), allocate(size), allocate(size)},
                 allocate(size),
                 allocate(size),
                 allocate(size),
                 size};
  for (int64_t i = 0; i < size; ++i) {
    float norm = 0;
    for (int k = 0; k < 3; ++k) {
      float x = points[3 * i + k];
      cloud.x[k][i] = x;
      norm += x * x;
    }
    cloud.half[i] = norm / 2;
    cloud.potential[i] = 0;
  }
  return cloud;
}

void freeCloud(Cloud &cloud) {
  for (float *x : cloud.x)
    std::free(x);
  std::free(cloud.half);
  std::free(cloud.potential);
  std::free(cloud.bias);
}

void setBias(Cloud &cloud, float scale, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i)
    cloud.bias[i] = (cloud.potential[i] - cloud.half[i]) * scale;
}

/// Row sums of exp for the rows [begin, end), and the columns' sums over them.
void sweep(const Cloud &x, const Cloud &y, float scale, int64_t begin,
           int64_t end, float *rowSums, float *colSums) {
  std::memset(colSums, 0, static_cast<size_t>(y.size) * 4);
  for (int64_t i = begin; i < end; i += kRows) {
    __m512 bias[kRows], p[kRows][3], sums[kRows];
    for (int r = 0; r < kRows; ++r) {
      bias[r] = _mm512_set1_ps(x.bias[i + r]);
      for (int k = 0; k < 3; ++k)
        p[r][k] = _mm512_set1_ps(x.x[k][i + r] * scale);
      sums[r] = _mm512_setzero_ps();
    }
    for (int64_t j = 0; j < y.size; j += 16) {
      __m512 other = _mm512_load_ps(y.bias + j);
      __m512 q[3];
      for (int k = 0; k < 3; ++k)
        q[k] = _mm512_load_ps(y.x[k] + j);
      __m512 e[kRows];
      for (int r = 0; r < kRows; ++r) {
        __m512 t = _mm512_add_ps(bias[r], other);
        for (int k = 0; k < 3; ++k)
          t = _mm512_fmadd_ps(p[r][k], q[k], t);
        e[r] = exp2Of(t);
        sums[r] = _mm512_add_ps(sums[r], e[r]);
      }
      __m512 col =
          _mm512_add_ps(_mm512_add_ps(e[0], e[1]), _mm512_add_ps(e[2], e[3]));
      _mm512_store_ps(colSums + j,
                      _mm512_add_ps(_mm512_load_ps(colSums + j), col));
    }
    for (int r = 0; r < kRows; ++r)
      rowSums[i + r] = _mm512_reduce_add_ps(sums[r]);
  }
}

/// The potential after its update, averaged with what it was by `weight`.
void update(Cloud &cloud, const float *const *sums, int parts, float epsilon,
            float other, float weight, int64_t begin, int64_t end) {
  __m512 inverse = _mm512_set1_ps(1 / other);
  __m512 step = _mm512_set1_ps(-weight * epsilon / kLog2E);
  for (int64_t i = begin; i < end; i += 16) {
    __m512 sum = _mm512_load_ps(sums[0] + i);
    for (int k = 1; k < parts; ++k)
      sum = _mm512_add_ps(sum, _mm512_load_ps(sums[k] + i));
    __m512 log = log2Of(_mm512_mul_ps(sum, inverse));
    __m512 old = _mm512_load_ps(cloud.potential + i);
    _mm512_store_ps(cloud.potential + i, _mm512_fmadd_ps(log, step, old));
  }
}
} // namespace

/// `n` and `m` are multiples of 16 times the number of threads.
extern "C" void cloud(const float *x, const float *y, int64_t n, int64_t m,
                      const float *epsilons, int64_t steps, float *f,
                      float *g) {
  constexpr int kMaxThreads = 64;
  Cloud rows = makeCloud(x, n), cols = makeCloud(y, m);
  float *rowSums = allocate(n);
  float *colSums[kMaxThreads] = {};
  int threads = omp_get_max_threads();
  threads = threads < kMaxThreads ? threads : kMaxThreads;
#pragma omp parallel num_threads(threads)
  {
    int id = omp_get_thread_num(), count = omp_get_num_threads();
    int64_t rowBegin = n / count * id, rowEnd = n / count * (id + 1);
    int64_t colBegin = m / count * id, colEnd = m / count * (id + 1);
    colSums[id] = allocate(m);
    for (int64_t k = -1; k <= steps; ++k) {
      bool plain = k < 0 || k == steps;
      float epsilon = epsilons[k < 0 ? 0 : k == steps ? steps - 1 : k];
      float weight = plain ? 1.0f : 0.5f;
      setBias(rows, kLog2E / epsilon, rowBegin, rowEnd);
      setBias(cols, kLog2E / epsilon, colBegin, colEnd);
#pragma omp barrier
      sweep(rows, cols, kLog2E / epsilon, rowBegin, rowEnd, rowSums,
            colSums[id]);
#pragma omp barrier
      const float *own[] = {rowSums};
      update(rows, own, 1, epsilon, static_cast<float>(m), weight, rowBegin,
             rowEnd);
      update(cols, colSums, count, epsilon, static_cast<float>(n), weight,
             colBegin, colEnd);
    }
  }
  std::memcpy(f, rows.potential, static_cast<size_t>(n) * 4);
  std::memcpy(g, cols.potential, static_cast<size_t>(m) * 4);
  freeCloud(rows);
  freeCloud(cols);
  std::free(rowSums);
  for (float *sums : colSums)
    std::free(sums);
}
