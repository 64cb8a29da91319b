//===- projection.cpp - The kernel-domain sweep by hand -------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the generated code is held against: Sinkhorn's iteration on exp(logits)
// with AVX-512 intrinsics and one thread. Rows are taken eight at a time: their
// dot products with v in two chains each, a tree over the lanes of all eight,
// then, the rows being in L1, the column sums in one load and store per vector.
//
//===----------------------------------------------------------------------===//

#include <algorithm>
#include <cstddef>
#include <immintrin.h>
#include <vector>

namespace {

constexpr ptrdiff_t kLanes = 16, kRows = 8;

__m512 exp2Vector(__m512 x) {
  __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT);
  __m512 f = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(0x1.41fa22p-13f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.5f3e26p-10f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.3b2d54p-7f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.c6aeeap-5f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.ebfbdcp-3f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.62e43p-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

__mmask16 maskOf(ptrdiff_t left) {
  return left >= kLanes ? 0xFFFF : static_cast<__mmask16>((1u << left) - 1);
}

/// Lane i of the result is the sum of the lanes of sums[i].
__m256 foldLanes(const __m512 *sums) {
  __m512 quarter[2];
  for (int half = 0; half < 2; ++half) {
    const __m512 *s = sums + 4 * half;
    __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(s[0], s[1]),
                              _mm512_unpackhi_ps(s[0], s[1]));
    __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(s[2], s[3]),
                              _mm512_unpackhi_ps(s[2], s[3]));
    __m512 low = _mm512_castpd_ps(
        _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd)));
    __m512 high = _mm512_castpd_ps(
        _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd)));
    quarter[half] = _mm512_add_ps(low, high);
  }
  // Each 128-bit part of a quarter has partial sums of its four rows.
  __m512 even = _mm512_shuffle_f32x4(quarter[0], quarter[1], 0x88);
  __m512 odd = _mm512_shuffle_f32x4(quarter[0], quarter[1], 0xDD);
  __m512 pairs = _mm512_add_ps(even, odd);
  __m256 low = _mm512_castps512_ps256(pairs);
  __m256 high = _mm512_extractf32x8_ps(pairs, 1);
  return _mm256_add_ps(_mm256_permute2f128_ps(low, high, 0x20),
                       _mm256_permute2f128_ps(low, high, 0x31));
}

/// u of `rows` rows from row on, and what they add to the column sums.
template <ptrdiff_t rows>
void sweepRows(const float *__restrict k, const float *__restrict v,
               float *__restrict u, float *__restrict sums, ptrdiff_t cols) {
  __m512 chains[kRows][2];
  for (auto &chain : chains)
    chain[0] = chain[1] = _mm512_setzero_ps();
  ptrdiff_t j = 0;
  for (; j + 2 * kLanes <= cols; j += 2 * kLanes) {
    __m512 v0 = _mm512_loadu_ps(v + j), v1 = _mm512_loadu_ps(v + j + kLanes);
    for (ptrdiff_t i = 0; i < rows; ++i) {
      const float *row = k + i * cols + j;
      chains[i][0] = _mm512_fmadd_ps(_mm512_loadu_ps(row), v0, chains[i][0]);
      chains[i][1] =
          _mm512_fmadd_ps(_mm512_loadu_ps(row + kLanes), v1, chains[i][1]);
    }
  }
  for (; j < cols; j += kLanes) {
    __mmask16 mask = maskOf(cols - j);
    __m512 v0 = _mm512_maskz_loadu_ps(mask, v + j);
    for (ptrdiff_t i = 0; i < rows; ++i)
      chains[i][0] = _mm512_fmadd_ps(
          _mm512_maskz_loadu_ps(mask, k + i * cols + j), v0, chains[i][0]);
  }
  __m512 folded[kRows];
  for (ptrdiff_t i = 0; i < kRows; ++i)
    folded[i] = _mm512_add_ps(chains[i][0], chains[i][1]);
  alignas(32) float factors[kRows];
  _mm256_store_ps(factors,
                  _mm256_div_ps(_mm256_set1_ps(1.0f), foldLanes(folded)));
  __m512 factor[rows];
  for (ptrdiff_t i = 0; i < rows; ++i) {
    u[i] = factors[i];
    factor[i] = _mm512_set1_ps(factors[i]);
  }

  auto add = [&](ptrdiff_t at, __mmask16 mask) {
    __m512 even = _mm512_maskz_loadu_ps(mask, sums + at);
    __m512 odd = _mm512_setzero_ps();
    for (ptrdiff_t i = 0; i < rows; ++i) {
      __m512 entry = _mm512_maskz_loadu_ps(mask, k + i * cols + at);
      (i % 2 ? odd : even) =
          _mm512_fmadd_ps(entry, factor[i], i % 2 ? odd : even);
    }
    _mm512_mask_storeu_ps(sums + at, mask, _mm512_add_ps(even, odd));
  };
  for (j = 0; j + kLanes <= cols; j += kLanes)
    add(j, 0xFFFF);
  if (j < cols)
    add(j, maskOf(cols - j));
}

} // namespace

/// `count` times: row factors from the rows' sums, then column factors from the
/// columns'.
extern "C" void handwritten_sweeps(const float *kernel, float *u, float *v,
                                   ptrdiff_t rows, ptrdiff_t cols, int count) {
  std::vector<float> sums(cols + kLanes);
  for (ptrdiff_t j = 0; j < cols; ++j)
    v[j] = 1.0f;
  for (int step = 0; step < count; ++step) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    ptrdiff_t i = 0;
    for (; i + kRows <= rows; i += kRows)
      sweepRows<kRows>(kernel + i * cols, v, u + i, sums.data(), cols);
    for (; i < rows; ++i)
      sweepRows<1>(kernel + i * cols, v, u + i, sums.data(), cols);
    for (ptrdiff_t j = 0; j < cols; j += kLanes) {
      __mmask16 mask = maskOf(cols - j);
      __m512 sum = _mm512_maskz_loadu_ps(mask, sums.data() + j);
      _mm512_mask_storeu_ps(v + j, mask,
                            _mm512_div_ps(_mm512_set1_ps(1.0f), sum));
    }
  }
}

/// The doubly stochastic scaling of exp(logits), in `plan`.
extern "C" void handwritten_projection(const float *logits, float *plan,
                                       ptrdiff_t rows, ptrdiff_t cols,
                                       int count) {
  __m512 scale = _mm512_set1_ps(0x1.715476p+0f);
  ptrdiff_t size = rows * cols;
  for (ptrdiff_t at = 0; at < size; at += kLanes) {
    __mmask16 mask = maskOf(size - at);
    __m512 x = _mm512_maskz_loadu_ps(mask, logits + at);
    _mm512_mask_storeu_ps(plan + at, mask, exp2Vector(_mm512_mul_ps(x, scale)));
  }
  std::vector<float> u(rows), v(cols);
  handwritten_sweeps(plan, u.data(), v.data(), rows, cols, count);
  for (ptrdiff_t i = 0; i < rows; ++i) {
    __m512 factor = _mm512_set1_ps(u[i]);
    for (ptrdiff_t j = 0; j < cols; j += kLanes) {
      __mmask16 mask = maskOf(cols - j);
      float *entry = plan + i * cols + j;
      __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, entry), factor);
      value = _mm512_mul_ps(value, _mm512_maskz_loadu_ps(mask, v.data() + j));
      _mm512_mask_storeu_ps(entry, mask, value);
    }
  }
}
