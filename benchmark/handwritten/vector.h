//===- vector.h - Pieces of the hand-written kernels ----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_BENCHMARK_HANDWRITTEN_VECTOR_H
#define SCALING_BENCHMARK_HANDWRITTEN_VECTOR_H

#include <immintrin.h>

#include <cstdint>

/// 2^x: to the nearest integer, a polynomial of degree 6 for the rest. Under an
/// ulp; infinities, NaN and denormals come out right.
static inline __m512 exp2Of(__m512 x) {
  __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT);
  __m512 r = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(0x1.41fa22p-13f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.5f3e26p-10f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.3b2d54p-7f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.c6aeeap-5f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.ebfbdcp-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.62e43p-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

/// log2 of positive finite numbers, by the series of artanh around 1.
static inline __m512 log2Of(__m512 x) {
  // The mantissa in [0.75, 1.5), and the exponent that goes with it.
  __m512 m = _mm512_getmant_ps(x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_src);
  __m512 e = _mm512_getexp_ps(_mm512_div_ps(x, m));
  __m512 one = _mm512_set1_ps(1.0f);
  __m512 s = _mm512_div_ps(_mm512_sub_ps(m, one), _mm512_add_ps(m, one));
  __m512 z = _mm512_mul_ps(s, s);
  __m512 p = _mm512_set1_ps(1.0f / 9);
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(1.0f / 7));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(1.0f / 5));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(1.0f / 3));
  p = _mm512_fmadd_ps(p, z, one);
  return _mm512_fmadd_ps(_mm512_mul_ps(p, s), _mm512_set1_ps(0x1.715476p+1f),
                         e);
}

/// 1/x from the 14-bit estimate and one Newton step: about an ulp.
static inline __m512 reciprocalOf(__m512 x) {
  __m512 r = _mm512_rcp14_ps(x);
  return _mm512_fmadd_ps(r, _mm512_fnmadd_ps(x, r, _mm512_set1_ps(1.0f)), r);
}

#endif // SCALING_BENCHMARK_HANDWRITTEN_VECTOR_H
