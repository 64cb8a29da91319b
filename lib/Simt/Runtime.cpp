//===- Runtime.cpp - Functions that instrumented kernels call -------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The arithmetic of intrinsics that round to nearest is exact; approximations
// are replaced by the correctly rounded value, which is inside their error.
//
//===----------------------------------------------------------------------===//

#include "Runtime.h"

#include "Machine.h"

#include "llvm/ADT/bit.h"

#include <cmath>
#include <cstring>

using namespace scaling::simt;

//===----------------------------------------------------------------------===//
// The machine
//===----------------------------------------------------------------------===//

static uint32_t specialRegister(uint32_t reg) {
  return Machine::current()->specialRegister(SpecialRegister(reg));
}
static uint64_t readClock() { return Machine::current()->clockCounter(); }
static char *sharedAddress(uint64_t offset) {
  return Machine::current()->sharedBase() + offset;
}
static void access(char *address, uint32_t site) {
  Machine::current()->access(address, site);
}
static void beginAtomic(char *address, uint32_t site) {
  Machine::current()->beginAtomic(address, site);
}
static void endAtomic(char *address, uint32_t site, uint64_t value) {
  Machine::current()->endAtomic(address, site, value);
}
static void fence(uint32_t order, uint32_t scope) {
  Machine::current()->fence(order, scope);
}
static void copyMemory(char *to, char *from, uint64_t size, uint32_t readSite,
                       uint32_t writeSite) {
  Machine::current()->accessRange(from, size, /*isWrite=*/false, readSite);
  Machine::current()->accessRange(to, size, /*isWrite=*/true, writeSite);
  std::memmove(to, from, size);
}
static void setMemory(char *to, uint32_t value, uint64_t size, uint32_t site) {
  Machine::current()->accessRange(to, size, /*isWrite=*/true, site);
  std::memset(to, static_cast<int>(value & 0xff), size);
}
static uint32_t barrier(uint32_t op, uint32_t id, uint32_t count,
                        uint32_t predicate, uint32_t site) {
  return Machine::current()->barrier(BarrierOp(op), id, count, predicate & 1,
                                     site);
}
static void warpOperation(uint32_t op, uint32_t detail, uint32_t site,
                          const uint64_t *args, uint64_t *results) {
  Machine::current()->warpOperation(WarpOp(op), detail, site, args, results);
}
static void asyncCopy(char *to, const char *from, uint32_t size,
                      uint32_t fromSize, uint32_t site) {
  Machine::current()->asyncCopy(to, from, size, fromSize, site);
}
static void commitCopies() { Machine::current()->commitCopies(); }
static void waitForCopies(uint32_t numPending) {
  Machine::current()->waitForCopies(numPending);
}
static void yieldThread(uint32_t site) {
  Machine::current()->yieldThread(site);
}
static void trap(uint32_t site) {
  Machine::current()->trap(site, "is at a trap");
}
static void exitThread() { Machine::current()->exitThread(); }

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

template <typename T> static T flush(T x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(T(0), x) : x;
}
template <float (*F)(float)> static float flushed(float x) {
  return flush(F(flush(x)));
}
template <float (*F)(float, float)> static float flushed2(float x, float y) {
  return flush(F(flush(x), flush(y)));
}
template <float (*F)(float, float, float)>
static float flushed3(float x, float y, float z) {
  return flush(F(flush(x), flush(y), flush(z)));
}
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

static llvm::StringMap<void *> makeTable() {
  llvm::StringMap<void *> table;
  table["simt.register"] = address(specialRegister);
  table["simt.clock"] = address(readClock);
  table["simt.shared"] = address(sharedAddress);
  table["simt.access"] = address(access);
  table["simt.begin_atomic"] = address(beginAtomic);
  table["simt.end_atomic"] = address(endAtomic);
  table["simt.fence"] = address(fence);
  table["simt.copy"] = address(copyMemory);
  table["simt.set"] = address(setMemory);
  table["simt.barrier"] = address(barrier);
  table["simt.warp"] = address(warpOperation);
  table["simt.async_copy"] = address(asyncCopy);
  table["simt.commit_copies"] = address(commitCopies);
  table["simt.wait_for_copies"] = address(waitForCopies);
  table["simt.yield"] = address(yieldThread);
  table["simt.trap"] = address(trap);
  table["simt.exit"] = address(exitThread);

#define FLOAT1(NAME, FUNCTION)                                                 \
  table["nvvm." NAME ".f"] = address(FUNCTION);                                \
  table["nvvm." NAME ".ftz.f"] = address(flushed<FUNCTION>)
#define FLOAT2(NAME, FUNCTION)                                                 \
  table["nvvm." NAME ".f"] = address(FUNCTION);                                \
  table["nvvm." NAME ".ftz.f"] = address(flushed2<FUNCTION>)
#define FLOAT3(NAME, FUNCTION)                                                 \
  table["nvvm." NAME ".f"] = address(FUNCTION);                                \
  table["nvvm." NAME ".ftz.f"] = address(flushed3<FUNCTION>)
  FLOAT1("lg2.approx", log2Float);
  FLOAT1("sin.approx", sinFloat);
  FLOAT1("cos.approx", cosFloat);
  FLOAT1("rcp.approx", rcpFloat);
  FLOAT1("rcp.rn", rcpFloat);
  FLOAT1("rsqrt.approx", rsqrtFloat);
  FLOAT1("sqrt.approx", sqrtFloat);
  FLOAT1("sqrt.rn", sqrtFloat);
  FLOAT1("saturate", saturate<float>);
  FLOAT1("floor", floorFloat);
  FLOAT1("ceil", ceilFloat);
  FLOAT1("trunc", truncFloat);
  FLOAT1("round", roundFloat);
  FLOAT2("div.approx", divFloat);
  FLOAT2("div.rn", divFloat);
  FLOAT2("add.rn", addFloat);
  FLOAT2("mul.rn", mulFloat);
  FLOAT3("fma.rn", fmaFloat);
  FLOAT2("fmin", minFloat);
  FLOAT2("fmax", maxFloat);
  table["nvvm.sqrt.f"] = address(sqrtFloat);
  table["nvvm.tanh.approx.f32"] = address(tanhFloat);
  table["nvvm.ex2.approx.f32"] = address(exp2Float);
  table["nvvm.ex2.approx.ftz.f32"] = address(flushed<exp2Float>);
  table["nvvm.div.full"] = address(divFloat);
  table["nvvm.div.full.ftz"] = address(flushed2<divFloat>);
  table["nvvm.fmin.nan.f"] = address(minNanFloat);
  table["nvvm.fmax.nan.f"] = address(maxNanFloat);
  table["nvvm.fmin.ftz.nan.f"] = address(flushed2<minNanFloat>);
  table["nvvm.fmax.ftz.nan.f"] = address(flushed2<maxNanFloat>);
  table["nvvm.fabs.f32"] = address(absFloat);
  table["nvvm.fabs.ftz.f32"] = address(flushed<absFloat>);
#undef FLOAT1
#undef FLOAT2
#undef FLOAT3
  table["nvvm.lg2.approx.d"] = address(log2Double);
  table["nvvm.rcp.rn.d"] = address(rcpDouble);
  table["nvvm.rcp.approx.ftz.d"] = address(rcpDouble);
  table["nvvm.rsqrt.approx.d"] = address(rsqrtDouble);
  table["nvvm.rsqrt.approx.ftz.d"] = address(rsqrtDouble);
  table["nvvm.sqrt.rn.d"] = address(sqrtDouble);
  table["nvvm.div.rn.d"] = address(divDouble);
  table["nvvm.add.rn.d"] = address(addDouble);
  table["nvvm.mul.rn.d"] = address(mulDouble);
  table["nvvm.fma.rn.d"] = address(fmaDouble);
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
  table["nvvm.i2f.rn"] = address(fromInteger<int32_t, float>);
  table["nvvm.ui2f.rn"] = address(fromInteger<uint32_t, float>);
  table["nvvm.ll2f.rn"] = address(fromInteger<int64_t, float>);
  table["nvvm.ull2f.rn"] = address(fromInteger<uint64_t, float>);
  table["nvvm.i2d.rn"] = address(fromInteger<int32_t, double>);
  table["nvvm.ui2d.rn"] = address(fromInteger<uint32_t, double>);
  table["nvvm.ll2d.rn"] = address(fromInteger<int64_t, double>);
  table["nvvm.ull2d.rn"] = address(fromInteger<uint64_t, double>);
  table["nvvm.d2f.rn"] = address(fromInteger<double, float>);
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
  return table;
}

const llvm::StringMap<void *> &scaling::simt::getRuntimeFunctions() {
  static const llvm::StringMap<void *> table = makeTable();
  return table;
}
