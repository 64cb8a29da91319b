//===- hyper_connections.cpp - 4×4 matrices, 16 to a vector ---------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// DeepSeek's convention: softmax over rows + 1e-6; columns; 19 times rows,
// columns; 1e-6 added to every sum of the plan. A tile is 16 matrices, one
// entry of all of them to a vector; six tiles are worked on at once, so that
// they hide each other's latencies; a division is then cheaper than an estimate
// with a Newton step.
//
//===----------------------------------------------------------------------===//

#include "vector.h"

#include <algorithm>

namespace {
constexpr int kTiles = 6;
constexpr int kIterations = 20;
constexpr float kEps = 1e-6f;

struct Tile {
  __m512 k[16];
};

/// 16 rows of 16 numbers become 16 columns: in halves, quarters, and so on.
inline void transpose(__m512 (&r)[16]) {
  __m512 t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

inline __m512 sum(__m512 a, __m512 b, __m512 c, __m512 d) {
  return _mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d));
}

inline void softmaxRow(__m512 *x) {
  __m512 log2e = _mm512_set1_ps(0x1.715476p+0f);
  __m512 top =
      _mm512_max_ps(_mm512_max_ps(x[0], x[1]), _mm512_max_ps(x[2], x[3]));
  for (int j = 0; j < 4; ++j)
    x[j] = exp2Of(_mm512_mul_ps(_mm512_sub_ps(x[j], top), log2e));
  __m512 scale = reciprocalOf(sum(x[0], x[1], x[2], x[3]));
  for (int j = 0; j < 4; ++j)
    x[j] = _mm512_fmadd_ps(x[j], scale, _mm512_set1_ps(kEps));
}

/// h / (h·s + ε) with s = Σ k[i·step]·other[i].
inline __m512 update(__m512 h, const __m512 *k, int step, const __m512 *other) {
  __m512 left =
      _mm512_fmadd_ps(k[0], other[0], _mm512_mul_ps(k[step], other[1]));
  __m512 right = _mm512_fmadd_ps(k[2 * step], other[2],
                                 _mm512_mul_ps(k[3 * step], other[3]));
  __m512 plan =
      _mm512_fmadd_ps(h, _mm512_add_ps(left, right), _mm512_set1_ps(kEps));
  return _mm512_div_ps(h, plan);
}

template <int Count> void solve(const float *logits, float *plan) {
  Tile tiles[Count];
  __m512 u[Count][4], v[Count][4];
  for (int t = 0; t < Count; ++t) {
    for (int i = 0; i < 16; ++i)
      tiles[t].k[i] = _mm512_loadu_ps(logits + 256 * t + 16 * i);
    transpose(tiles[t].k);
    for (int i = 0; i < 4; ++i) {
      softmaxRow(tiles[t].k + 4 * i);
      u[t][i] = v[t][i] = _mm512_set1_ps(1.0f);
    }
  }
  for (int t = 0; t < Count; ++t)
    for (int j = 0; j < 4; ++j)
      v[t][j] = update(v[t][j], tiles[t].k + j, 4, u[t]);
  for (int iteration = 1; iteration < kIterations; ++iteration) {
    for (int t = 0; t < Count; ++t)
      for (int i = 0; i < 4; ++i)
        u[t][i] = update(u[t][i], tiles[t].k + 4 * i, 1, v[t]);
    for (int t = 0; t < Count; ++t)
      for (int j = 0; j < 4; ++j)
        v[t][j] = update(v[t][j], tiles[t].k + j, 4, u[t]);
  }
  for (int t = 0; t < Count; ++t) {
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        tiles[t].k[4 * i + j] = _mm512_mul_ps(
            _mm512_mul_ps(u[t][i], tiles[t].k[4 * i + j]), v[t][j]);
    transpose(tiles[t].k);
    for (int i = 0; i < 16; ++i)
      _mm512_storeu_ps(plan + 256 * t + 16 * i, tiles[t].k[i]);
  }
}
} // namespace

/// `batch` matrices, a multiple of 16.
extern "C" void hyper_connections(const float *logits, float *plan,
                                  int64_t batch) {
  constexpr int64_t group = 16 * kTiles;
  int64_t groups = batch / group;
#pragma omp parallel for schedule(static)
  for (int64_t g = 0; g < groups; ++g)
    solve<kTiles>(logits + 16 * group * g, plan + 16 * group * g);
  for (int64_t b = groups * group; b < batch; b += 16)
    solve<1>(logits + 16 * b, plan + 16 * b);
}
