//===- Arithmetic.cpp - Intrinsics that compute numbers -------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Approximations are replaced by the correctly rounded value, which is inside
// their error; everything else is exact.
//
//===----------------------------------------------------------------------===//

#include "Runtime.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/bit.h"

#include <cfenv>
#include <cmath>
#include <limits>

template <typename T> static T flush(T x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(T(0), x) : x;
}
/// A function with its operands and its result flushed, or in another rounding.
template <auto F> struct Variant;
template <typename R, typename... A, R (*F)(A...)> struct Variant<F> {
  static R flushed(A... args) { return flush(F(flush(args)...)); }
  template <int Mode> static R rounded(A... args) {
    // A call that the compiler cannot see through stays between the two.
    R (*volatile call)(A...) = F;
    int before = std::fegetround();
    std::fesetround(Mode);
    R result = call(args...);
    std::fesetround(before);
    return result;
  }
};

template <typename T> static T saturate(T x) {
  return x > 0 ? (x < 1 ? x : T(1)) : T(0);
}

// Through double: correctly rounded but for ties that double cannot tell.
static float exp2Float(float x) { return float(std::exp2(double(x))); }
static float log2Float(float x) { return float(std::log2(double(x))); }
static float sinFloat(float x) { return float(std::sin(double(x))); }
static float cosFloat(float x) { return float(std::cos(double(x))); }
static float tanhFloat(float x) { return float(std::tanh(double(x))); }
static float rcpFloat(float x) { return 1.0f / x; }
static double rcpDouble(double x) { return 1.0 / x; }
static float sqrtFloat(float x) { return std::sqrt(x); }
static double sqrtDouble(double x) { return std::sqrt(x); }
static float rsqrtFloat(float x) { return float(1.0 / std::sqrt(double(x))); }
static double rsqrtDouble(double x) { return 1.0 / std::sqrt(x); }
static double log2Double(double x) { return std::log2(x); }
static float divFloat(float x, float y) { return x / y; }
static double divDouble(double x, double y) { return x / y; }
static float addFloat(float x, float y) { return x + y; }
static double addDouble(double x, double y) { return x + y; }
static float mulFloat(float x, float y) { return x * y; }
static double mulDouble(double x, double y) { return x * y; }
static float fmaFloat(float x, float y, float z) { return std::fma(x, y, z); }
static double fmaDouble(double x, double y, double z) {
  return std::fma(x, y, z);
}
static float minFloat(float x, float y) { return std::fmin(x, y); }
static float maxFloat(float x, float y) { return std::fmax(x, y); }
static double minDouble(double x, double y) { return std::fmin(x, y); }
static double maxDouble(double x, double y) { return std::fmax(x, y); }
static float minNanFloat(float x, float y) {
  return std::isnan(x) || std::isnan(y) ? NAN : std::fmin(x, y);
}
static float maxNanFloat(float x, float y) {
  return std::isnan(x) || std::isnan(y) ? NAN : std::fmax(x, y);
}
static float absFloat(float x) { return std::fabs(x); }
static double absDouble(double x) { return std::fabs(x); }
static float floorFloat(float x) { return std::floor(x); }
static double floorDouble(double x) { return std::floor(x); }
static float ceilFloat(float x) { return std::ceil(x); }
static double ceilDouble(double x) { return std::ceil(x); }
static float truncFloat(float x) { return std::trunc(x); }
static double truncDouble(double x) { return std::trunc(x); }
static float roundFloat(float x) { return std::nearbyint(x); }
static double roundDouble(double x) { return std::nearbyint(x); }

template <typename T> static T toInteger(double x, double rounded) {
  if (std::isnan(x))
    return 0;
  // Conversions saturate.
  double low = static_cast<double>(std::numeric_limits<T>::min());
  double high = std::ldexp(1.0, std::numeric_limits<T>::digits);
  return rounded < low     ? std::numeric_limits<T>::min()
         : rounded >= high ? std::numeric_limits<T>::max()
                           : static_cast<T>(rounded);
}
template <typename F, typename T> static T toNearest(F x) {
  return toInteger<T>(x, std::nearbyint(double(x)));
}
template <typename F, typename T> static T toZero(F x) {
  return toInteger<T>(x, std::trunc(double(x)));
}
template <typename F, typename T> static T toFloor(F x) {
  return toInteger<T>(x, std::floor(double(x)));
}
template <typename F, typename T> static T toCeil(F x) {
  return toInteger<T>(x, std::ceil(double(x)));
}
template <typename T, typename F> static F fromInteger(T x) {
  return static_cast<F>(x);
}

/// Rounds to ten bits of mantissa, ties away from zero.
static uint32_t toTF32(float x) {
  uint32_t bits = llvm::bit_cast<uint32_t>(x);
  return std::isfinite(x) ? (bits + 0x1000u) & 0xffffe000u : bits;
}
/// The same, ties to even.
static uint32_t toTF32Even(float x) {
  uint32_t bits = llvm::bit_cast<uint32_t>(x);
  return std::isfinite(x) ? (bits + 0xfffu + (bits >> 13 & 1u)) & 0xffffe000u
                          : bits;
}

static uint16_t toHalf(float x) {
  llvm::APFloat value(x);
  bool inexact;
  value.convert(llvm::APFloat::IEEEhalf(), llvm::APFloat::rmNearestTiesToEven,
                &inexact);
  return value.bitcastToAPInt().getZExtValue();
}
static uint32_t sumOfDifferences(int32_t a, int32_t b, uint32_t c) {
  return c + (a > b ? uint32_t(a) - uint32_t(b) : uint32_t(b) - uint32_t(a));
}
static uint32_t sumOfDifferencesUnsigned(uint32_t a, uint32_t b, uint32_t c) {
  return c + (a > b ? a - b : b - a);
}

static uint32_t permuteBytes(uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    unsigned choice = selector >> 4 * i & 15;
    uint32_t byte = bytes >> 8 * (choice & 7) & 0xff;
    if (choice & 8)
      byte = byte & 0x80 ? 0xff : 0;
    result |= byte << 8 * i;
  }
  return result;
}
static uint32_t mulHighSigned(uint32_t a, uint32_t b) {
  return uint64_t(int64_t(int32_t(a)) * int32_t(b)) >> 32;
}
static uint32_t mulHigh(uint32_t a, uint32_t b) {
  return uint64_t(a) * b >> 32;
}
static uint64_t mulHigh64Signed(uint64_t a, uint64_t b) {
  return static_cast<__int128>(int64_t(a)) * int64_t(b) >> 64;
}
static uint64_t mulHigh64(uint64_t a, uint64_t b) {
  return static_cast<unsigned __int128>(a) * b >> 64;
}
static double fromHalves(uint32_t low, uint32_t high) {
  return llvm::bit_cast<double>(uint64_t(high) << 32 | low);
}
static uint32_t lowHalf(double x) { return llvm::bit_cast<uint64_t>(x); }
static uint32_t highHalf(double x) { return llvm::bit_cast<uint64_t>(x) >> 32; }

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

template <typename F> static void *address(F *function) {
  return reinterpret_cast<void *>(function);
}

void scaling::simt::addArithmetic(llvm::StringMap<void *> &table) {
#define FLOAT(NAME, FUNCTION)                                                  \
  table["nvvm." NAME ".f"] = address(FUNCTION);                                \
  table["nvvm." NAME ".ftz.f"] = address(Variant<FUNCTION>::flushed)
  FLOAT("lg2.approx", log2Float);
  FLOAT("sin.approx", sinFloat);
  FLOAT("cos.approx", cosFloat);
  FLOAT("rcp.approx", rcpFloat);
  FLOAT("rsqrt.approx", rsqrtFloat);
  FLOAT("sqrt.approx", sqrtFloat);
  FLOAT("saturate", saturate<float>);
  FLOAT("floor", floorFloat);
  FLOAT("ceil", ceilFloat);
  FLOAT("trunc", truncFloat);
  FLOAT("round", roundFloat);
  FLOAT("div.approx", divFloat);
  FLOAT("fmin", minFloat);
  FLOAT("fmax", maxFloat);
  table["nvvm.sqrt.f"] = address(sqrtFloat);
  table["nvvm.tanh.approx.f32"] = address(tanhFloat);
  table["nvvm.ex2.approx.f32"] = address(exp2Float);
  table["nvvm.ex2.approx.ftz.f32"] = address(Variant<exp2Float>::flushed);
  table["nvvm.div.full"] = address(divFloat);
  table["nvvm.div.full.ftz"] = address(Variant<divFloat>::flushed);
  table["nvvm.fmin.nan.f"] = address(minNanFloat);
  table["nvvm.fmax.nan.f"] = address(maxNanFloat);
  table["nvvm.fmin.ftz.nan.f"] = address(Variant<minNanFloat>::flushed);
  table["nvvm.fmax.ftz.nan.f"] = address(Variant<maxNanFloat>::flushed);
  table["nvvm.fabs.f64"] = address(absDouble);
  table["nvvm.fabs.f32"] = address(absFloat);
  table["nvvm.fabs.ftz.f32"] = address(Variant<absFloat>::flushed);
#undef FLOAT
  table["nvvm.lg2.approx.d"] = address(log2Double);
  table["nvvm.rcp.approx.ftz.d"] = address(rcpDouble);
  table["nvvm.rsqrt.approx.d"] = address(rsqrtDouble);
  table["nvvm.rsqrt.approx.ftz.d"] = address(rsqrtDouble);
  table["nvvm.fmin.d"] = address(minDouble);
  table["nvvm.fmax.d"] = address(maxDouble);
  table["nvvm.saturate.d"] = address(saturate<double>);
  table["nvvm.floor.d"] = address(floorDouble);
  table["nvvm.ceil.d"] = address(ceilDouble);
  table["nvvm.trunc.d"] = address(truncDouble);
  table["nvvm.round.d"] = address(roundDouble);

#define TO_INTEGER(NAME, FROM, TO)                                             \
  table["nvvm." NAME ".rn"] = address(toNearest<FROM, TO>);                    \
  table["nvvm." NAME ".rz"] = address(toZero<FROM, TO>);                       \
  table["nvvm." NAME ".rm"] = address(toFloor<FROM, TO>);                      \
  table["nvvm." NAME ".rp"] = address(toCeil<FROM, TO>)
  TO_INTEGER("f2i", float, int32_t);
  TO_INTEGER("f2ui", float, uint32_t);
  TO_INTEGER("f2ll", float, int64_t);
  TO_INTEGER("f2ull", float, uint64_t);
  TO_INTEGER("d2i", double, int32_t);
  TO_INTEGER("d2ui", double, uint32_t);
  TO_INTEGER("d2ll", double, int64_t);
  TO_INTEGER("d2ull", double, uint64_t);
#undef TO_INTEGER

#define ROUNDED(NAME, SUFFIX, ...)                                             \
  table["nvvm." NAME ".rn" SUFFIX] = address(__VA_ARGS__);                     \
  table["nvvm." NAME ".rz" SUFFIX] =                                           \
      address(Variant<__VA_ARGS__>::rounded<FE_TOWARDZERO>);                   \
  table["nvvm." NAME ".rm" SUFFIX] =                                           \
      address(Variant<__VA_ARGS__>::rounded<FE_DOWNWARD>);                     \
  table["nvvm." NAME ".rp" SUFFIX] =                                           \
      address(Variant<__VA_ARGS__>::rounded<FE_UPWARD>)
#define ARITHMETIC(NAME, FLOAT_FUNCTION, DOUBLE_FUNCTION)                      \
  ROUNDED(NAME, ".f", FLOAT_FUNCTION);                                         \
  ROUNDED(NAME, ".ftz.f", Variant<FLOAT_FUNCTION>::flushed);                   \
  ROUNDED(NAME, ".d", DOUBLE_FUNCTION)
  ARITHMETIC("add", addFloat, addDouble);
  ARITHMETIC("mul", mulFloat, mulDouble);
  ARITHMETIC("div", divFloat, divDouble);
  ARITHMETIC("rcp", rcpFloat, rcpDouble);
  ARITHMETIC("sqrt", sqrtFloat, sqrtDouble);
  ARITHMETIC("fma", fmaFloat, fmaDouble);
  ROUNDED("i2f", "", fromInteger<int32_t, float>);
  ROUNDED("ui2f", "", fromInteger<uint32_t, float>);
  ROUNDED("ll2f", "", fromInteger<int64_t, float>);
  ROUNDED("ull2f", "", fromInteger<uint64_t, float>);
  ROUNDED("i2d", "", fromInteger<int32_t, double>);
  ROUNDED("ui2d", "", fromInteger<uint32_t, double>);
  ROUNDED("ll2d", "", fromInteger<int64_t, double>);
  ROUNDED("ull2d", "", fromInteger<uint64_t, double>);
  ROUNDED("d2f", "", fromInteger<double, float>);
#undef ARITHMETIC
#undef ROUNDED
  table["nvvm.f2h.rn"] = address(toHalf);
  table["nvvm.sad.i"] = address(sumOfDifferences);
  table["nvvm.sad.ui"] = address(sumOfDifferencesUnsigned);
  table["nvvm.f2tf32.rna"] = address(toTF32);
  table["nvvm.f2tf32.rn"] = address(toTF32Even);

  table["nvvm.prmt"] = address(permuteBytes);
  table["nvvm.mulhi.i"] = address(mulHighSigned);
  table["nvvm.mulhi.ui"] = address(mulHigh);
  table["nvvm.mulhi.ll"] = address(mulHigh64Signed);
  table["nvvm.mulhi.ull"] = address(mulHigh64);
  table["nvvm.lohi.i2d"] = address(fromHalves);
  table["nvvm.d2i.lo"] = address(lowHalf);
  table["nvvm.d2i.hi"] = address(highHalf);
}
