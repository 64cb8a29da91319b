//===- check_math.cpp - Errors of expanded functions ------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs the kernels of kernels.py against the C library in a wider format and
// prints one line per check: NAME <largest error in ulp> <wrong> <worst
// argument> <arguments>. "wrong" counts NaN against number, and where that is
// all that can be compared, results that differ at all.
//
//   check_math STRIDE COUNT [CHECK...]
//
// visits every STRIDE-th f32 pattern and COUNT random f64 arguments.
//
//===----------------------------------------------------------------------===//

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#if defined(__AVX2__) && defined(__GLIBC__)
#include <immintrin.h>
#define HAVE_LIBMVEC 1
extern "C" {
__m256d _ZGVdN4v_exp(__m256d);
__m256d _ZGVdN4v_exp2(__m256d);
__m256d _ZGVdN4v_log(__m256d);
__m256d _ZGVdN4v_log2(__m256d);
}
#endif

namespace {

template <typename T> struct Desc {
  T *allocated, *aligned;
  int64_t offset, size, stride;
  Desc(T *data, int64_t n)
      : allocated(data), aligned(data), offset(0), size(n), stride(1) {}
};

template <typename In, typename Out>
using Unary = void (*)(Desc<In> *, Desc<Out> *);
template <typename T> using Binary = void (*)(Desc<T> *, Desc<T> *, Desc<T> *);

} // namespace

#define UNARY_KERNELS(F)                                                       \
  F(exp2_f32, float, float)                                                    \
  F(exp_f32, float, float)                                                     \
  F(log2_f32, float, float)                                                    \
  F(log_f32, float, float)                                                     \
  F(exp2_f64, double, double)                                                  \
  F(exp_f64, double, double)                                                   \
  F(log2_f64, double, double)                                                  \
  F(log_f64, double, double)                                                   \
  F(exp2_f32_scalar, float, float)                                             \
  F(exp_f32_scalar, float, float)                                              \
  F(log2_f32_scalar, float, float)                                             \
  F(log_f32_scalar, float, float)                                              \
  F(exp2_f64_scalar, double, double)                                           \
  F(exp_f64_scalar, double, double)                                            \
  F(log2_f64_scalar, double, double)                                           \
  F(log_f64_scalar, double, double)                                            \
  F(exp2_f16, uint16_t, uint16_t)                                              \
  F(exp_f16, uint16_t, uint16_t)                                               \
  F(log2_f16, uint16_t, uint16_t)                                              \
  F(log_f16, uint16_t, uint16_t)                                               \
  F(exp2_bf16, uint16_t, uint16_t)                                             \
  F(exp_bf16, uint16_t, uint16_t)                                              \
  F(log2_bf16, uint16_t, uint16_t)                                             \
  F(log_bf16, uint16_t, uint16_t)                                              \
  F(f32_to_bf16, float, uint16_t)                                              \
  F(f64_to_bf16, double, uint16_t)                                             \
  F(f64_to_f16, double, uint16_t)                                              \
  F(bf16_to_f32, uint16_t, float)                                              \
  F(bf16_to_f64, uint16_t, double)

#define DECLARE(NAME, IN, OUT)                                                 \
  extern "C" void _mlir_ciface_##NAME(Desc<IN> *, Desc<OUT> *);
UNARY_KERNELS(DECLARE)
#undef DECLARE
extern "C" void _mlir_ciface_pow_f32(Desc<float> *, Desc<float> *,
                                     Desc<float> *);
extern "C" void _mlir_ciface_pow_f64(Desc<double> *, Desc<double> *,
                                     Desc<double> *);

namespace {

enum class Fn { Exp2, Exp, Log2, Log };

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan64 = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t block = 8192;
unsigned numThreads = 2;

template <typename To, typename From> To bitsAs(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

double bf16ToDouble(uint16_t b) { return bitsAs<float>(uint32_t(b) << 16); }

double f16ToDouble(uint16_t h) {
  double sign = h & 0x8000 ? -1 : 1;
  int exponent = (h >> 10) & 31, mantissa = h & 1023;
  if (exponent == 31)
    return mantissa ? nan64 : sign * inf;
  return sign * (exponent ? std::ldexp(1024 + mantissa, exponent - 25)
                          : std::ldexp(mantissa, -24));
}

/// Rounds to nearest even in a format with `precision` bits, by the definition.
double roundTo(double x, int precision, int minExponent, double overflow) {
  if (x == 0 || !std::isfinite(x))
    return x;
  int ulpExponent = std::max(std::ilogb(x), minExponent) - precision + 1;
  double r =
      std::ldexp(std::nearbyint(std::ldexp(x, -ulpExponent)), ulpExponent);
  return std::fabs(r) >= overflow ? std::copysign(inf, x) : r;
}

struct Result {
  double ulp = 0, argument = 0;
  uint64_t wrong = 0, count = 0;
  void merge(const Result &r) {
    if (r.ulp > ulp || (wrong == 0 && r.wrong != 0)) {
      argument = r.argument;
    }
    ulp = std::max(ulp, r.ulp);
    wrong += r.wrong;
    count += r.count;
  }
  void addWrong(double x) {
    if (wrong++ == 0)
      argument = x;
  }
  void addUlp(double error, double x) {
    if (error > ulp) {
      ulp = error;
      if (wrong == 0)
        argument = x;
    }
  }
};

/// Runs `body` on blocks [begin, end) of [0, n), in threads.
Result parallel(uint64_t n,
                const std::function<void(uint64_t, uint64_t, Result &)> &body) {
  std::vector<std::thread> threads;
  std::vector<Result> results(numThreads);
  for (unsigned t = 0; t < numThreads; ++t)
    threads.emplace_back([&, t] {
      for (uint64_t b = uint64_t(t) * block; b < n;
           b += uint64_t(numThreads) * block)
        body(b, std::min<uint64_t>(b + block, n), results[t]);
    });
  Result total;
  for (unsigned t = 0; t < numThreads; ++t) {
    threads[t].join();
    total.merge(results[t]);
  }
  return total;
}

//===----------------------------------------------------------------------===//
// f32: the reference is f64
//===----------------------------------------------------------------------===//

double scalarReference(Fn fn, double x) {
  switch (fn) {
  case Fn::Exp2:
    return std::exp2(x);
  case Fn::Exp:
    return std::exp(x);
  case Fn::Log2:
    return std::log2(x);
  case Fn::Log:
    return std::log(x);
  }
  return nan64;
}

/// The vector library falls back to scalar calls for arguments out of range:
/// they are replaced before, by ones with results out of the range of f32.
void reference(Fn fn, const float *x, double *y) {
#ifdef HAVE_LIBMVEC
  bool isLog = fn == Fn::Log2 || fn == Fn::Log;
  alignas(32) double safe[block];
  for (int64_t i = 0; i < block; ++i) {
    double v = x[i];
    if (isLog)
      safe[i] = v > 0 && v < inf ? v : 1.0;
    else
      safe[i] = v >= 400 ? 400 : (v > -400 ? v : -400);
  }
  for (int64_t i = 0; i < block; i += 4) {
    __m256d v = _mm256_load_pd(safe + i);
    switch (fn) {
    case Fn::Exp2:
      v = _ZGVdN4v_exp2(v);
      break;
    case Fn::Exp:
      v = _ZGVdN4v_exp(v);
      break;
    case Fn::Log2:
      v = _ZGVdN4v_log2(v);
      break;
    case Fn::Log:
      v = _ZGVdN4v_log(v);
      break;
    }
    _mm256_storeu_pd(y + i, v);
  }
  for (int64_t i = 0; i < block; ++i) {
    double v = x[i];
    if (isLog)
      y[i] = v > 0 ? (v < inf ? y[i] : inf) : (v == 0 ? -inf : nan64);
    else
      y[i] = v != v ? nan64 : (v == -inf ? 0.0 : y[i]);
  }
#else
  for (int64_t i = 0; i < block; ++i)
    y[i] = scalarReference(fn, x[i]);
#endif
}

/// Error in ulp of f32; infinity counts as 2^128. Without branches, so that
/// the compiler vectorizes the loop around it.
inline double ulpF32(float got, double want) {
  double limit = 0x1p128;
  double g = got, w = want;
  g = g > limit ? limit : (g < -limit ? -limit : g);
  w = w > limit ? limit : (w < -limit ? -limit : w);
  uint64_t exponent = bitsAs<uint64_t>(w) & 0x7FF0000000000000;
  uint64_t smallest = bitsAs<uint64_t>(0x1p-126);
  uint64_t largest = bitsAs<uint64_t>(0x1p127);
  exponent = exponent < smallest ? smallest : exponent;
  exponent = exponent > largest ? largest : exponent;
  return std::fabs(g - w) / bitsAs<double>(exponent) * 0x1p23;
}

Result checkF32(Unary<float, float> kernel, Fn fn, uint64_t stride) {
  uint64_t n = ((uint64_t(1) << 32) + stride - 1) / stride;
  return parallel(n, [&](uint64_t begin, uint64_t end, Result &result) {
    alignas(64) float x[block], y[block];
    alignas(64) double want[block], error[block];
    for (int64_t i = 0; i < block; ++i) {
      uint64_t index = std::min(begin + uint64_t(i), end - 1);
      x[i] = bitsAs<float>(uint32_t(index * stride));
    }
    Desc<float> in(x, block), out(y, block);
    kernel(&in, &out);
    reference(fn, x, want);
    double worst = 0;
    uint64_t wrong = 0;
    for (int64_t i = 0; i < block; ++i) {
      wrong += (y[i] != y[i]) != (want[i] != want[i]);
      // An exact zero, or infinity, must be one.
      wrong += want[i] == -inf && y[i] != -inf;
      double e = ulpF32(y[i], want[i]);
      error[i] = e;
      worst = e > worst ? e : worst;
    }
    result.count += end - begin;
    if (wrong || worst > result.ulp)
      for (int64_t i = 0; i < block; ++i) {
        if ((y[i] != y[i]) != (want[i] != want[i]) ||
            (want[i] == -inf && y[i] != -inf))
          result.addWrong(x[i]);
        if (error[i] > result.ulp)
          result.addUlp(error[i], x[i]);
      }
  });
}

//===----------------------------------------------------------------------===//
// f64: the reference is long double
//===----------------------------------------------------------------------===//

long double longReference(Fn fn, double x) {
  switch (fn) {
  case Fn::Exp2:
    return exp2l(x);
  case Fn::Exp:
    return expl(x);
  case Fn::Log2:
    return log2l(x);
  case Fn::Log:
    return logl(x);
  }
  return nan64;
}

void compareF64(double got, long double want, double x, Result &result) {
  if (std::isnan(got) || std::isnan(want)) {
    if (std::isnan(got) != std::isnan(want))
      result.addWrong(x);
    return;
  }
  long double limit = ldexpl(1, 1024), g = got;
  g = std::clamp(g, -limit, limit);
  long double w = std::clamp(want, -limit, limit);
  int exponent = w == 0 ? -1022 : std::clamp(ilogbl(w), -1022, 1023);
  double e = double(ldexpl(fabsl(g - w), 52 - exponent));
  result.addUlp(e, x);
  if (std::isinf(want) && std::isinf(got) && (want > 0) != (got > 0))
    result.addWrong(x);
}

struct Random {
  uint64_t state;
  uint64_t next() {
    state += 0x9E3779B97F4A7C15;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  double uniform(double a, double b) {
    return a + (b - a) * (double(next() >> 11) * 0x1p-53);
  }
};

/// A third of the arguments each: any pattern, the working range, and where
/// the function is delicate.
double argumentF64(Fn fn, Random &random, uint64_t i) {
  bool isLog = fn == Fn::Log2 || fn == Fn::Log;
  double scale = fn == Fn::Exp ? 0.6931471805599453 : 1.0;
  switch (i % 6) {
  case 0:
    return bitsAs<double>(random.next());
  case 1:
    return bitsAs<double>(random.next() & ~(uint64_t(1) << 63));
  case 2:
  case 3:
    return isLog ? random.uniform(0.5, 4.0)
                 : scale * random.uniform(-1080.0, 1026.0);
  case 4:
    // Around one; subnormal results.
    return isLog ? 1.0 + std::ldexp(random.uniform(-1.0, 1.0),
                                    -int(random.next() % 53))
                 : scale * random.uniform(-1076.0, -1021.0);
  default:
    // Subnormal arguments; small ones.
    return isLog ? bitsAs<double>(random.next() >> (12 + random.next() % 52))
                 : random.uniform(-1.0, 1.0);
  }
}

std::vector<double> specialsF64() {
  std::vector<double> values = {0.0,
                                0.25,
                                0.5,
                                1.0,
                                1.5,
                                2.0,
                                3.0,
                                4.0,
                                5.0,
                                0x1p-1074,
                                0x1p-1073,
                                0x1p-1022,
                                0x1p-1023,
                                0x1.fffffffffffffp-1,
                                0x1.0000000000001p+0,
                                0x1.fffffffffffffp+1023,
                                0x1p52,
                                0x1p52 + 1,
                                0x1p53 - 1,
                                0x1p53,
                                0x1p54,
                                0x1p1023,
                                709.782712893384,
                                709.7827128933841,
                                710.0,
                                745.1332191019411,
                                745.1332191019412,
                                746.0,
                                1022.0,
                                1022.5,
                                1023.0,
                                1023.9999999999999,
                                1024.0,
                                1074.0,
                                1074.5,
                                1074.9999999999998,
                                1075.0,
                                1075.0000000000002,
                                1076.0,
                                1e4,
                                1e300,
                                inf,
                                nan64,
                                0x1.6a09e667f3bccp-1,
                                0x1.6a09e667f3bcdp-1,
                                0x1.6a09e667f3bcdp+0,
                                101.0};
  size_t n = values.size();
  for (size_t i = 0; i < n; ++i)
    values.push_back(-values[i]);
  return values;
}

Result checkF64(Unary<double, double> kernel, Fn fn, uint64_t count) {
  std::vector<double> specials = specialsF64();
  return parallel(count, [&](uint64_t begin, uint64_t end, Result &result) {
    alignas(64) double x[block], y[block];
    Random random{begin};
    for (int64_t i = 0; i < block; ++i)
      x[i] = argumentF64(fn, random, i);
    if (begin == 0)
      std::copy(specials.begin(), specials.end(), x);
    Desc<double> in(x, block), out(y, block);
    kernel(&in, &out);
    for (int64_t i = 0; i < block; ++i)
      compareF64(y[i], longReference(fn, x[i]), x[i], result);
    result.count += end - begin;
  });
}

/// The vector library against long double, in ulp of f32: where the results
/// of f32 are compared with it, its own error must not matter.
Result checkReference(Fn fn, uint64_t count) {
  return parallel(count, [&](uint64_t begin, uint64_t end, Result &result) {
    alignas(64) float x[block];
    alignas(64) double y[block];
    Random random{begin ^ 80};
    for (int64_t i = 0; i < block; ++i)
      x[i] = i % 2 ? bitsAs<float>(uint32_t(random.next()))
                   : float(argumentF64(fn, random, i % 6));
    reference(fn, x, y);
    for (int64_t i = 0; i < block; ++i) {
      double want = double(longReference(fn, x[i]));
      if (std::isnan(want) != std::isnan(y[i]))
        result.addWrong(x[i]);
      else if (!std::isnan(want) && std::fabs(want) < 0x1p128 &&
               std::fabs(want) > 0x1p-150)
        result.addUlp(std::fabs(y[i] - want) /
                          std::ldexp(1.0, std::ilogb(want) - 23),
                      x[i]);
    }
    result.count += end - begin;
  });
}

/// What must be exact: 2^n and log2(2^n) for all n, 2^-inf = e^-inf = +0,
/// log(1) = log2(1) = +0, e^0 = 1.
template <typename T>
Result checkExact(Unary<T, T> exp2, Unary<T, T> exp, Unary<T, T> log2,
                  Unary<T, T> log) {
  using Limits = std::numeric_limits<T>;
  Result result;
  auto expect = [&](Unary<T, T> kernel, double argument, double want) {
    alignas(64) T x[16], y[16];
    std::fill(x, x + 16, T(argument));
    Desc<T> in(x, 16), out(y, 16);
    kernel(&in, &out);
    ++result.count;
    for (T got : y)
      if (double(got) != want || std::signbit(got) != std::signbit(want))
        return result.addWrong(argument);
  };
  for (int n = Limits::min_exponent - Limits::digits; n < Limits::max_exponent;
       ++n) {
    expect(exp2, n, std::ldexp(1.0, n));
    expect(log2, std::ldexp(1.0, n), n);
  }
  for (Unary<T, T> kernel : {exp2, exp}) {
    expect(kernel, -inf, 0.0);
    expect(kernel, Limits::lowest(), 0.0);
    expect(kernel, inf, inf);
    expect(kernel, Limits::max(), inf);
    expect(kernel, 0.0, 1.0);
    expect(kernel, -0.0, 1.0);
  }
  for (Unary<T, T> kernel : {log2, log}) {
    expect(kernel, 1.0, 0.0);
    expect(kernel, 0.0, -inf);
    expect(kernel, -0.0, -inf);
    expect(kernel, inf, inf);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// pow
//===----------------------------------------------------------------------===//

Result checkPowF64(uint64_t count) {
  return parallel(count, [&](uint64_t begin, uint64_t end, Result &result) {
    alignas(64) double x[block], y[block], z[block];
    Random random{begin ^ 77};
    for (int64_t i = 0; i < block; ++i) {
      switch (i % 4) {
      case 0:
        x[i] = bitsAs<double>(random.next());
        y[i] = bitsAs<double>(random.next());
        break;
      case 1: {
        // Results of any size.
        x[i] = std::exp2(random.uniform(-1074.0, 1024.0));
        y[i] = random.uniform(-1080.0, 1026.0) / std::log2(x[i]);
        break;
      }
      case 2:
        x[i] = random.uniform(0.5, 2.0);
        y[i] = random.uniform(-1080.0, 1026.0) / std::log2(x[i]);
        break;
      default:
        x[i] = random.uniform(-20.0, 20.0);
        y[i] = std::nearbyint(random.uniform(-300.0, 300.0));
      }
    }
    Desc<double> a(x, block), b(y, block), out(z, block);
    _mlir_ciface_pow_f64(&a, &b, &out);
    for (int64_t i = 0; i < block; ++i)
      compareF64(z[i], powl(x[i], y[i]), x[i], result);
    result.count += end - begin;
  });
}

Result checkPowF32(uint64_t count) {
  return parallel(count, [&](uint64_t begin, uint64_t end, Result &result) {
    alignas(64) float x[block], y[block], z[block];
    Random random{begin ^ 78};
    for (int64_t i = 0; i < block; ++i) {
      uint64_t r = random.next();
      x[i] = bitsAs<float>(uint32_t(r));
      y[i] = bitsAs<float>(uint32_t(r >> 32));
      if (i % 2)
        y[i] = float(random.uniform(-152.0, 130.0) /
                     std::log2(std::fabs(double(x[i]))));
      if (i % 8 == 1)
        y[i] = std::nearbyint(y[i]);
    }
    Desc<float> a(x, block), b(y, block), out(z, block);
    _mlir_ciface_pow_f32(&a, &b, &out);
    for (int64_t i = 0; i < block; ++i) {
      double want = std::pow(double(x[i]), double(y[i]));
      if (std::isnan(want) || std::isnan(z[i])) {
        if (std::isnan(want) != std::isnan(z[i]))
          result.addWrong(x[i]);
      } else {
        result.addUlp(ulpF32(z[i], want), x[i]);
      }
    }
    result.count += end - begin;
  });
}

/// All pairs of special arguments: the same kind of result as C's pow.
template <typename T>
Result checkPowSpecials(Binary<T> kernel, const std::vector<T> &specials) {
  Result result;
  int64_t n = specials.size();
  int64_t padded = (n + 15) / 16 * 16;
  std::vector<T> x(padded), y(padded, T(1)), z(padded);
  std::copy(specials.begin(), specials.end(), y.begin());
  for (T base : specials) {
    std::fill(x.begin(), x.end(), base);
    Desc<T> a(x.data(), padded), b(y.data(), padded), out(z.data(), padded);
    kernel(&a, &b, &out);
    for (int64_t i = 0; i < n; ++i) {
      T want = std::pow(base, y[i]);
      bool same =
          std::isnan(want) == std::isnan(z[i]) &&
          std::isinf(want) == std::isinf(z[i]) && (want == 0) == (z[i] == 0) &&
          (std::isnan(want) || std::signbit(want) == std::signbit(z[i]));
      if (!same) {
        result.addWrong(base);
        std::fprintf(stderr, "pow(%a, %a) = %a, want %a\n", double(base),
                     double(y[i]), double(z[i]), double(want));
      } else if (std::isfinite(want) && want != 0) {
        result.addUlp(
            sizeof(T) == 4
                ? ulpF32(float(z[i]), std::pow(double(base), double(y[i])))
                : 0,
            base);
      }
      ++result.count;
    }
  }
  return result;
}

//===----------------------------------------------------------------------===//
// 16 bits
//===----------------------------------------------------------------------===//

struct Narrow {
  double (*toDouble)(uint16_t);
  int precision, minExponent;
  double overflow;
  double round(double x) const {
    return roundTo(x, precision, minExponent, overflow);
  }
};
const Narrow narrowF16 = {f16ToDouble, 11, -14, 0x1p16};
const Narrow narrowBF16 = {bf16ToDouble, 8, -126, 0x1p128};

/// All arguments; more than half an ulp of the format and a little is wrong:
/// the result is the rounded one of f32.
Result checkNarrow(Unary<uint16_t, uint16_t> kernel, Fn fn, const Narrow &t) {
  Result result;
  std::vector<uint16_t> x(1 << 16), y(1 << 16);
  for (unsigned i = 0; i < x.size(); ++i)
    x[i] = uint16_t(i);
  Desc<uint16_t> in(x.data(), x.size()), out(y.data(), y.size());
  kernel(&in, &out);
  for (unsigned i = 0; i < x.size(); ++i) {
    double argument = t.toDouble(x[i]), got = t.toDouble(y[i]);
    double want = scalarReference(fn, argument);
    ++result.count;
    if (std::isnan(want) || std::isnan(got)) {
      if (std::isnan(want) != std::isnan(got))
        result.addWrong(argument);
      continue;
    }
    double g = std::clamp(got, -t.overflow, t.overflow);
    double w = std::clamp(want, -t.overflow, t.overflow);
    int exponent =
        w == 0 ? t.minExponent : std::max(std::ilogb(w), t.minExponent);
    exponent = std::min(exponent, std::ilogb(t.overflow) - 1);
    result.addUlp(std::fabs(g - w) /
                      std::ldexp(1.0, exponent - t.precision + 1),
                  argument);
  }
  return result;
}

/// Exactly the number rounded by the definition; NaN stays NaN.
void compareConversion(double x, double got, double want, Result &result) {
  bool same = std::isnan(want)
                  ? std::isnan(got)
                  : got == want && std::signbit(got) == std::signbit(want);
  if (!same)
    result.addWrong(x);
}

Result checkFromF64(Unary<double, uint16_t> kernel, const Narrow &t,
                    uint64_t count) {
  std::vector<double> specials = specialsF64();
  return parallel(count, [&](uint64_t begin, uint64_t end, Result &result) {
    alignas(64) double x[block];
    alignas(64) uint16_t y[block];
    Random random{begin ^ 79};
    for (int64_t i = 0; i < block; ++i) {
      uint64_t r = random.next();
      switch (i % 4) {
      case 0:
        x[i] = bitsAs<double>(r);
        break;
      case 1:
        // Every exponent of the format, and around ties: a short number plus
        // or minus something far below.
        x[i] = std::ldexp(1.0 + double(r & 0xFFF) * 0x1p-12,
                          int((r >> 12) % 320) - 160) *
               (1.0 + double(int64_t((r >> 22) % 3) - 1) *
                          std::ldexp(1.0, -int((r >> 24) % 53)));
        break;
      case 2:
        x[i] = -std::ldexp(1.0 + double(r & 0xFFF) * 0x1p-12,
                           int((r >> 12) % 48) - 28);
        x[i] += x[i] * double(int64_t((r >> 22) % 3) - 1) * 0x1p-50;
        break;
      default:
        x[i] = float(bitsAs<float>(uint32_t(r)));
      }
    }
    if (begin == 0)
      std::copy(specials.begin(), specials.end(), x);
    Desc<double> in(x, block);
    Desc<uint16_t> out(y, block);
    kernel(&in, &out);
    for (int64_t i = 0; i < block; ++i)
      compareConversion(x[i], t.toDouble(y[i]), t.round(x[i]), result);
    result.count += end - begin;
  });
}

Result checkF32ToBF16(uint64_t stride) {
  uint64_t n = ((uint64_t(1) << 32) + stride - 1) / stride;
  return parallel(n, [&](uint64_t begin, uint64_t end, Result &result) {
    alignas(64) float x[block];
    alignas(64) uint16_t y[block];
    for (int64_t i = 0; i < block; ++i) {
      uint64_t index = std::min(begin + uint64_t(i), end - 1);
      x[i] = bitsAs<float>(uint32_t(index * stride));
    }
    Desc<float> in(x, block);
    Desc<uint16_t> out(y, block);
    _mlir_ciface_f32_to_bf16(&in, &out);
    for (int64_t i = 0; i < block; ++i)
      compareConversion(x[i], bf16ToDouble(y[i]), narrowBF16.round(x[i]),
                        result);
    result.count += end - begin;
  });
}

template <typename T> Result checkFromBF16(Unary<uint16_t, T> kernel) {
  Result result;
  std::vector<uint16_t> x(1 << 16);
  std::vector<T> y(1 << 16);
  for (unsigned i = 0; i < x.size(); ++i)
    x[i] = uint16_t(i);
  Desc<uint16_t> in(x.data(), x.size());
  Desc<T> out(y.data(), y.size());
  kernel(&in, &out);
  for (unsigned i = 0; i < x.size(); ++i) {
    double want = bf16ToDouble(x[i]);
    compareConversion(want, y[i], want, result);
    ++result.count;
  }
  return result;
}

} // namespace

int main(int argc, char **argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: check_math STRIDE COUNT [CHECK...]\n");
    return 2;
  }
  uint64_t stride = std::strtoull(argv[1], nullptr, 10);
  uint64_t count = std::strtoull(argv[2], nullptr, 10);
  numThreads = std::max(1u, std::thread::hardware_concurrency());

  auto run = [&](const char *name, const std::function<Result()> &check) {
    if (argc > 3 && std::none_of(argv + 3, argv + argc, [&](const char *a) {
          return std::string(a) == name;
        }))
      return;
    Result r = check();
    std::printf("%s %.4f %llu %a %llu\n", name, r.ulp,
                (unsigned long long)r.wrong, r.argument,
                (unsigned long long)r.count);
    std::fflush(stdout);
  };

#define CHECK_FUNCTION(NAME, FN)                                               \
  run(#NAME "_f32",                                                            \
      [&] { return checkF32(_mlir_ciface_##NAME##_f32, FN, stride); });        \
  run("reference_" #NAME, [&] { return checkReference(FN, count / 16); });     \
  run(#NAME "_f32_scalar", [&] {                                               \
    return checkF32(_mlir_ciface_##NAME##_f32_scalar, FN, stride * 64 - 1);    \
  });                                                                          \
  run(#NAME "_f64",                                                            \
      [&] { return checkF64(_mlir_ciface_##NAME##_f64, FN, count); });         \
  run(#NAME "_f64_scalar", [&] {                                               \
    return checkF64(_mlir_ciface_##NAME##_f64_scalar, FN, count / 64);         \
  });                                                                          \
  run(#NAME "_f16",                                                            \
      [&] { return checkNarrow(_mlir_ciface_##NAME##_f16, FN, narrowF16); });  \
  run(#NAME "_bf16", [&] {                                                     \
    return checkNarrow(_mlir_ciface_##NAME##_bf16, FN, narrowBF16);            \
  });
#define EXACT(TYPE, SUFFIX)                                                    \
  run("exact_" #SUFFIX, [&] {                                                  \
    return checkExact<TYPE>(                                                   \
        _mlir_ciface_exp2_##SUFFIX, _mlir_ciface_exp_##SUFFIX,                 \
        _mlir_ciface_log2_##SUFFIX, _mlir_ciface_log_##SUFFIX);                \
  });
  EXACT(float, f32)
  EXACT(double, f64)
  CHECK_FUNCTION(exp2, Fn::Exp2)
  CHECK_FUNCTION(exp, Fn::Exp)
  CHECK_FUNCTION(log2, Fn::Log2)
  CHECK_FUNCTION(log, Fn::Log)

  std::vector<double> specials = specialsF64();
  std::vector<float> specialsF32(specials.begin(), specials.end());
  run("pow_f32", [&] { return checkPowF32(count); });
  run("pow_f64", [&] { return checkPowF64(count); });
  run("pow_f32_specials", [&] {
    return checkPowSpecials<float>(_mlir_ciface_pow_f32, specialsF32);
  });
  run("pow_f64_specials",
      [&] { return checkPowSpecials<double>(_mlir_ciface_pow_f64, specials); });

  run("f32_to_bf16", [&] { return checkF32ToBF16(stride); });
  run("f64_to_bf16", [&] {
    return checkFromF64(_mlir_ciface_f64_to_bf16, narrowBF16, count);
  });
  run("f64_to_f16",
      [&] { return checkFromF64(_mlir_ciface_f64_to_f16, narrowF16, count); });
  run("bf16_to_f32",
      [&] { return checkFromBF16<float>(_mlir_ciface_bf16_to_f32); });
  run("bf16_to_f64",
      [&] { return checkFromBF16<double>(_mlir_ciface_bf16_to_f64); });
  return 0;
}
