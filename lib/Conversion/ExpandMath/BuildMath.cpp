//===- BuildMath.cpp - Elementary functions as arithmetic -----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Notation: a "pair" is an unevaluated sum hi + lo of two floats. Where the
// comments say that a sum or product is exact, LLVM must not reassociate, so
// nothing here carries fast-math flags.
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ExpandMath/ExpandMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {

/// What depends on the format. All floats are given as f64 values; those of
/// the f32 record are representable in f32.
struct Format {
  unsigned mantissaBits;
  int64_t bias;
  /// 1.5 * 2^mantissaBits: adding it rounds to an integer that stands in the
  /// low bits of the sum.
  double roundMagic;
  /// 2^mantissaBits, and its bits: a small nonnegative integer added to the
  /// bits makes the float 2^mantissaBits + integer.
  double intMagic;
  uint64_t intMagicBits;
  /// The smallest normal number, and the power of two (with its exponent) that
  /// lifts every subnormal above it.
  double minNormal, subnormalScale;
  int64_t subnormalScaleExponent;
  /// The bits of sqrt(1/2), where the logarithm's argument wraps around.
  uint64_t sqrtHalfBits;
  /// 2^x is infinity from the upper, zero below the lower bound.
  double exp2Max, exp2Min;
  /// log2(e) and ln(2) as pairs.
  double log2eHi, log2eLo, ln2Hi, ln2Lo;
  /// 2^f on [-1/2, 1/2], ascending; the constant term is exactly 1.
  ArrayRef<double> exp2Poly;
};

// The f64 polynomials here and below are minimax fits for the relative error
// of the result, the coefficients rounded one after the other from the lowest,
// with the rest fitted again.
constexpr double exp2PolyF32[] = {0x1p+0,        0x1.62e43p-1,  0x1.ebfbdcp-3,
                                  0x1.c6aeeap-5, 0x1.3b2d54p-7, 0x1.5f3e26p-10,
                                  0x1.41fa22p-13};
constexpr double exp2PolyF64[] = {
    0x1.0000000000000p+0,  0x1.62e42fefa39efp-1,  0x1.ebfbdff82c5a4p-3,
    0x1.c6b08d704a127p-5,  0x1.3b2ab6fba01b2p-7,  0x1.5d87fe78a0019p-10,
    0x1.4309130ebe979p-13, 0x1.ffcbfc5e6571ep-17, 0x1.62bfc7d7e15c7p-20,
    0x1.b5253556d6658p-24, 0x1.e61af3bccf52bp-28, 0x1.e9557a1b1a381p-32};

/// (log(1+f) - f + f^2/2) / f^3 on [sqrt(1/2) - 1, sqrt(2) - 1].
constexpr double logPolyF32[] = {0x1.555554p-2,  -0x1.000228p-2, 0x1.99a01ep-3,
                                 -0x1.547214p-3, 0x1.22d8d2p-3,  -0x1.0d85f4p-3,
                                 0x1.05621ep-3,  -0x1.38bf28p-4};

/// (log((1+s)/(1-s)) - 2s) / s^3 in powers of s^2, |s| <= 0.1716.
constexpr double logPolyF64[] = {0x1.5555555555592p-1, 0x1.999999997ff2cp-2,
                                 0x1.24924941dfe51p-2, 0x1.c71c52159e013p-3,
                                 0x1.74663ca656da2p-3, 0x1.39a1f008a62a4p-3,
                                 0x1.2f03714a70bd0p-3};

/// The same with 11 more bits, behind the constant term 2/3 as a pair.
constexpr double powTwoThirdsHi = 0x1.5555555555555p-1;
constexpr double powTwoThirdsLo = 0x1.5555555555555p-55;
constexpr double powPolyF64[] = {0x1.9999999999996p-2, 0x1.2492492492f48p-2,
                                 0x1.c71c71c59819ep-3, 0x1.745d182880479p-3,
                                 0x1.3b136504e596dp-3, 0x1.1120662a52c11p-3,
                                 0x1.de3eda07a58a2p-4, 0x1.eaba3f176f84bp-4};

const Format formatF32 = {23,
                          127,
                          0x1.8p+23,
                          0x1p+23,
                          0x4B000000,
                          0x1p-126,
                          0x1p+24,
                          24,
                          0x3F3504F3,
                          129.0,
                          -151.0,
                          0x1.715476p+0,
                          0x1.4ae0cp-26,
                          0x1.62e43p-1,
                          -0x1.05c61p-29,
                          exp2PolyF32};
const Format formatF64 = {52,
                          1023,
                          0x1.8p+52,
                          0x1p+52,
                          0x4330000000000000,
                          0x1p-1022,
                          0x1p+53,
                          53,
                          0x3FE6A09E667F3BCD,
                          1025.0,
                          -1076.0,
                          0x1.71547652b82fep+0,
                          0x1.777d0ffda0d24p-56,
                          0x1.62e42fefa39efp-1,
                          0x1.abc9e3b39803fp-56,
                          exp2PolyF64};

struct Pair {
  Value hi, lo;
};

/// Emits arithmetic on one type, f32 or f64 or vectors of it.
class Emitter {
public:
  Emitter(OpBuilder &builder, Location loc, Type type, bool useScalef)
      : b(builder), loc(loc), floatType(type) {
    Type element = getElementTypeOrSelf(type);
    fmt = element.isF64() ? &formatF64 : &formatF32;
    intType = cloneWithElement(b.getIntegerType(element.isF64() ? 64 : 32));
    auto vector = dyn_cast<VectorType>(type);
    scalef =
        useScalef && vector && vector.getRank() == 1 && !vector.isScalable() &&
        (vector.getNumElements() * element.getIntOrFloatBitWidth()) % 128 == 0;
  }

  bool isF64() const { return fmt == &formatF64; }

  Value exp2(Value x);
  Value exp(Value x);
  Value log2(Value x);
  Value log(Value x);
  Value powF64(Value x, Value y);
  Value truncToOddF32(Value x);

private:
  Type cloneWithElement(Type element) const {
    if (auto vector = dyn_cast<VectorType>(floatType))
      return vector.clone(element);
    return element;
  }
  Value constant(Type type, TypedAttr scalar) {
    if (auto vector = dyn_cast<VectorType>(type))
      return arith::ConstantOp::create(b, loc,
                                       DenseElementsAttr::get(vector, scalar));
    return arith::ConstantOp::create(b, loc, scalar);
  }
  Value num(double value) {
    return constant(floatType,
                    b.getFloatAttr(getElementTypeOrSelf(floatType), value));
  }
  Value integer(uint64_t value) {
    auto element = cast<IntegerType>(getElementTypeOrSelf(intType));
    return constant(intType,
                    b.getIntegerAttr(element, APInt(element.getWidth(), value,
                                                    /*isSigned=*/false,
                                                    /*implicitTrunc=*/true)));
  }
  Value infinity() { return num(std::numeric_limits<double>::infinity()); }

  Value add(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, loc, x, y); }
  Value neg(Value x) { return arith::NegFOp::create(b, loc, x); }
  Value abs(Value x) { return math::AbsFOp::create(b, loc, x); }
  Value fma(Value x, Value y, Value z) {
    return math::FmaOp::create(b, loc, x, y, z);
  }
  Value cmp(arith::CmpFPredicate predicate, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, predicate, x, y);
  }
  Value cmp(arith::CmpIPredicate predicate, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, predicate, x, y);
  }
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b, loc, condition, x, y);
  }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, loc, x, y); }
  Value either(Value x, Value y) { return arith::OrIOp::create(b, loc, x, y); }
  Value bits(Value x) { return arith::BitcastOp::create(b, loc, intType, x); }
  Value fromBits(Value x) {
    return arith::BitcastOp::create(b, loc, floatType, x);
  }
  Value addi(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value subi(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value shl(Value x, unsigned n) {
    return arith::ShLIOp::create(b, loc, x, integer(n));
  }
  Value shru(Value x, unsigned n) {
    return arith::ShRUIOp::create(b, loc, x, integer(n));
  }

  /// Horner's scheme; coefficients from the constant term on.
  Value polynomial(Value x, ArrayRef<double> coefficients);

  /// Clamps; NaN stays NaN. This form of select is one instruction on x86,
  /// arith.minimumf is four.
  Value clamp(Value x, double lower, double upper);

  /// n, the nearest integer to x * factor (or x), and `exponent`, the same in
  /// the form that exp2Reduced takes.
  struct Rounded {
    Value n, exponent;
  };
  Rounded roundProduct(Value x, Value factor = nullptr);
  /// 2^(n + f), |f| <= 1/2.
  Value exp2Reduced(Value f, Value exponent);
  /// p * 2^n in one instruction of AVX-512.
  Value emitScalef(Value p, Value n);

  /// x = 2^k * (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); k a float. Zeros,
  /// infinities, NaN and negative numbers give something finite or NaN.
  struct Reduced {
    Value k, f;
  };
  Reduced reduceForLog(Value x);
  /// log(1 + f) - f.
  Value logTail(Value f);
  /// The logarithm of zero, infinity, NaN and negative numbers; else `result`.
  Value fixLogSpecials(Value x, Value result);
  /// log2(x) of x >= 0 with about 11 bits more than the type has.
  Pair log2Pair(Value x);

  OpBuilder &b;
  Location loc;
  Type floatType;
  Type intType;
  const Format *fmt;
  bool scalef;
};

} // namespace

Value Emitter::polynomial(Value x, ArrayRef<double> coefficients) {
  Value p = num(coefficients.back());
  for (double c : llvm::reverse(coefficients.drop_back()))
    p = fma(p, x, num(c));
  return p;
}

Value Emitter::clamp(Value x, double lower, double upper) {
  Value lo = num(lower), hi = num(upper);
  x = select(cmp(arith::CmpFPredicate::OLT, hi, x), hi, x);
  return select(cmp(arith::CmpFPredicate::OGT, lo, x), lo, x);
}

Emitter::Rounded Emitter::roundProduct(Value x, Value factor) {
  if (scalef) {
    Value n = math::RoundEvenOp::create(b, loc, factor ? mul(x, factor) : x);
    return {n, n};
  }
  // The sum holds n + 2 * bias in its low bits; the difference is exact.
  Value magic = num(fmt->roundMagic + 2.0 * static_cast<double>(fmt->bias));
  Value shifted = factor ? fma(x, factor, magic) : add(x, magic);
  return {sub(shifted, magic), shifted};
}

Value Emitter::exp2Reduced(Value f, Value exponent) {
  if (scalef)
    return emitScalef(polynomial(f, fmt->exp2Poly), exponent);
  // 2^n = 2^(a - bias) * 2^(c - bias) with a + c = n + 2 * bias, split evenly:
  // both factors are normal, the first product is exact, and the second rounds
  // once, be it to a normal number, a subnormal one, infinity or zero. The
  // upper bits of the exponent leave on the left. The polynomial 1 + f * q
  // times the first factor is one fma, with the same rounding.
  Value m = bits(exponent);
  Value a = shl(shru(m, 1), fmt->mantissaBits);
  Value c = subi(shl(m, fmt->mantissaBits), a);
  Value first = fromBits(a);
  Value q = polynomial(f, fmt->exp2Poly.drop_front());
  return mul(fma(mul(f, first), q, first), fromBits(c));
}

Value Emitter::emitScalef(Value p, Value n) {
  auto type = cast<VectorType>(floatType);
  int64_t elementBits = type.getElementTypeBitWidth();
  int64_t totalBits = type.getNumElements() * elementBits;
  int64_t chunkBits = totalBits % 512 == 0   ? 512
                      : totalBits % 256 == 0 ? 256
                                             : 128;
  int64_t lanes = chunkBits / elementBits;
  VectorType chunk = VectorType::get(lanes, type.getElementType());
  IntegerType maskType = b.getIntegerType(std::max<int64_t>(lanes, 8));
  Value mask =
      arith::ConstantOp::create(b, loc, b.getIntegerAttr(maskType, -1));
  std::string name = (Twine("llvm.x86.avx512.mask.scalef.") +
                      (isF64() ? "pd" : "ps") + "." + Twine(chunkBits))
                         .str();
  auto call = [&](Value x, Value y) -> Value {
    SmallVector<Value> operands = {x, y, x, mask};
    // The widest form names a rounding mode: 4 is the current one.
    if (chunkBits == 512)
      operands.push_back(
          arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(4)));
    return LLVM::CallIntrinsicOp::create(b, loc, chunk, b.getStringAttr(name),
                                         operands)
        .getResult(0);
  };
  if (chunkBits == totalBits)
    return call(p, n);
  Value result = p;
  for (int64_t i = 0; i < type.getNumElements(); i += lanes) {
    auto slice = [&](Value v) -> Value {
      return vector::ExtractStridedSliceOp::create(
          b, loc, v, ArrayRef<int64_t>{i}, ArrayRef<int64_t>{lanes},
          ArrayRef<int64_t>{1});
    };
    result = vector::InsertStridedSliceOp::create(
        b, loc, call(slice(p), slice(n)), result, ArrayRef<int64_t>{i},
        ArrayRef<int64_t>{1});
  }
  return result;
}

Value Emitter::exp2(Value x) {
  // For scalef, infinity is right as an exponent whatever the factor is.
  if (!scalef)
    x = clamp(x, fmt->exp2Min, fmt->exp2Max);
  auto [n, exponent] = roundProduct(x);
  return exp2Reduced(sub(x, n), exponent);
}

Value Emitter::exp(Value x) {
  x = clamp(x, fmt->exp2Min * fmt->ln2Hi, fmt->exp2Max * fmt->ln2Hi);
  // x * log2(e) - n would lose as many bits as n has: the fused products keep
  // the error relative to the difference.
  Value log2eHi = num(fmt->log2eHi);
  auto [n, exponent] = roundProduct(x, log2eHi);
  Value f = fma(x, log2eHi, neg(n));
  return exp2Reduced(fma(x, num(fmt->log2eLo), f), exponent);
}

Emitter::Reduced Emitter::reduceForLog(Value x) {
  Value isSubnormal = cmp(arith::CmpFPredicate::OLT, x, num(fmt->minNormal));
  x = select(isSubnormal, mul(x, num(fmt->subnormalScale)), x);
  // Offset by one minus sqrt(1/2), the exponent field changes at sqrt(1/2).
  uint64_t oneBits = static_cast<uint64_t>(fmt->bias) << fmt->mantissaBits;
  Value offset = addi(bits(x), integer(oneBits - fmt->sqrtHalfBits));
  uint64_t mantissaMask = (uint64_t(1) << fmt->mantissaBits) - 1;
  Value m = fromBits(
      addi(both(offset, integer(mantissaMask)), integer(fmt->sqrtHalfBits)));
  // The exponent as a float, without a conversion from i64, which few vector
  // units have.
  Value exponent = fromBits(
      addi(shru(offset, fmt->mantissaBits), integer(fmt->intMagicBits)));
  double origin = fmt->intMagic + static_cast<double>(fmt->bias);
  double subnormalOrigin =
      origin + static_cast<double>(fmt->subnormalScaleExponent);
  Value k =
      sub(exponent, select(isSubnormal, num(subnormalOrigin), num(origin)));
  return {k, sub(m, num(1.0))};
}

Value Emitter::logTail(Value f) {
  Value square = mul(f, f);
  if (!isF64()) {
    Value cubic = mul(mul(f, square), polynomial(f, logPolyF32));
    return fma(num(-0.5), square, cubic);
  }
  // log(1+f) = 2s + s^3 Q(s^2) with s = f / (2+f), and 2s = f - s*f, so that
  // the leading term f is exact: a polynomial in f would need 20 terms.
  Value s = div(f, add(f, num(2.0)));
  Value z = mul(s, s);
  Value half = mul(square, num(0.5));
  Value inner = fma(z, polynomial(z, logPolyF64), half);
  return fma(s, inner, neg(half));
}

Value Emitter::fixLogSpecials(Value x, Value result) {
  Value zero = num(0.0);
  Value notPositive = select(cmp(arith::CmpFPredicate::OEQ, x, zero),
                             num(-std::numeric_limits<double>::infinity()),
                             num(std::numeric_limits<double>::quiet_NaN()));
  result = select(cmp(arith::CmpFPredicate::OGT, x, zero), result, notPositive);
  // Infinity and NaN are their own logarithms.
  return select(cmp(arith::CmpFPredicate::OLT, x, infinity()), result, x);
}

Value Emitter::log2(Value x) {
  auto [k, f] = reduceForLog(x);
  Value tail = fma(f, num(fmt->log2eLo), mul(logTail(f), num(fmt->log2eHi)));
  Value result = add(k, fma(f, num(fmt->log2eHi), tail));
  return fixLogSpecials(x, result);
}

Value Emitter::log(Value x) {
  auto [k, f] = reduceForLog(x);
  Value rest = add(f, fma(k, num(fmt->ln2Lo), logTail(f)));
  return fixLogSpecials(x, fma(k, num(fmt->ln2Hi), rest));
}

Pair Emitter::log2Pair(Value x) {
  auto [k, f] = reduceForLog(x);
  Value one = num(1.0);
  // s + sLo = f / (2 + f), the divisor 2 + f = d + dLo.
  Value m = add(f, one);
  Value d = add(m, one);
  Value dLo = sub(m, sub(d, one));
  Value reciprocal = div(one, d);
  Value s = mul(f, reciprocal);
  Value minusS = neg(s);
  Value remainder = fma(minusS, dLo, fma(minusS, d, f));
  Value sLo = mul(remainder, reciprocal);
  // z + zLo = s^2.
  Value z = mul(s, s);
  Value zLo = fma(add(s, s), sLo, fma(s, s, neg(z)));
  // u + uLo = Q(z); v + vLo = z * Q; w + wLo = s^3 * Q.
  Value qTail = mul(z, polynomial(z, powPolyF64));
  Value twoThirds = num(powTwoThirdsHi);
  Value u = add(twoThirds, qTail);
  Value uLo = add(add(sub(twoThirds, u), qTail), num(powTwoThirdsLo));
  Value v = mul(z, u);
  Value vLo = add(fma(z, u, neg(v)), fma(z, uLo, mul(zLo, u)));
  Value w = mul(s, v);
  Value wLo = add(fma(s, v, neg(w)), fma(s, vLo, mul(sLo, v)));
  // h + hLo = log(1 + f) = 2s + w.
  Value twice = add(s, s);
  Value h = add(twice, w);
  Value hLo = add(add(sub(twice, h), w), fma(num(2.0), sLo, wLo));
  // p + pLo = log2(1 + f).
  Value log2eHi = num(fmt->log2eHi);
  Value p = mul(h, log2eHi);
  Value pLo = add(fma(h, log2eHi, neg(p)),
                  fma(h, num(fmt->log2eLo), mul(hLo, log2eHi)));
  // |k| is 0 or at least twice |p|: the error of the sum is exact.
  Value hi = add(k, p);
  Value lo = add(add(sub(k, hi), p), pLo);
  return {fixLogSpecials(x, hi), lo};
}

Value Emitter::powF64(Value x, Value y) {
  Value zero = num(0.0), one = num(1.0);
  Value magnitude = abs(x);
  Pair logarithm = log2Pair(magnitude);
  Value e = mul(y, logarithm.hi);
  Value eLo = fma(y, logarithm.lo, fma(y, logarithm.hi, neg(e)));
  // Far outside the range, infinities included, the low part is meaningless.
  Value inRange = cmp(arith::CmpFPredicate::OLT, abs(e), num(1100.0));
  eLo = select(inRange, eLo, zero);
  e = clamp(e, fmt->exp2Min, fmt->exp2Max);
  auto [n, exponent] = roundProduct(e);
  Value result = exp2Reduced(add(sub(e, n), eLo), exponent);

  // C's special cases, as far as the formula above does not give them.
  Value isNegative = cmp(arith::CmpIPredicate::slt, bits(x), integer(0));
  // |y| >= 2^mantissaBits is an integer, and even unless below twice that.
  auto isInteger = [&](Value v) {
    Value limit = num(fmt->intMagic);
    Value rounded = sub(add(v, limit), limit);
    return either(cmp(arith::CmpFPredicate::OEQ, rounded, v),
                  cmp(arith::CmpFPredicate::OGE, v, limit));
  };
  Value absY = abs(y);
  Value yIsInteger = isInteger(absY);
  Value halfIsInteger = isInteger(mul(absY, num(0.5)));
  Value yIsOdd = both(yIsInteger, cmp(arith::CmpIPredicate::eq, halfIsInteger,
                                      constant(cloneWithElement(b.getI1Type()),
                                               b.getBoolAttr(false))));
  result = select(both(isNegative, yIsOdd), neg(result), result);

  Value isNegativeFinite =
      both(cmp(arith::CmpFPredicate::OLT, x, zero),
           cmp(arith::CmpFPredicate::OLT, magnitude, infinity()));
  Value nan = num(std::numeric_limits<double>::quiet_NaN());
  result = select(yIsInteger, result, select(isNegativeFinite, nan, result));
  // (-1)^(+-inf) = 1, and x^0 = 1^y = 1 even when the other is NaN.
  Value isMinusOneToInfinity =
      both(cmp(arith::CmpFPredicate::OEQ, magnitude, one),
           cmp(arith::CmpFPredicate::OEQ, absY, infinity()));
  Value isOne = either(either(cmp(arith::CmpFPredicate::OEQ, x, one),
                              cmp(arith::CmpFPredicate::OEQ, y, zero)),
                       isMinusOneToInfinity);
  return select(isOne, one, result);
}

Value Emitter::truncToOddF32(Value x) {
  // Nearest first; when that is inexact and even, its neighbour on the other
  // side of x is odd. A larger magnitude is a larger integer, so one step is
  // one ulp; infinity steps back to the largest finite number, which is odd.
  Emitter narrow(b, loc, cloneWithElement(b.getF32Type()),
                 /*useScalef=*/false);
  Value nearest = arith::TruncFOp::create(b, loc, narrow.floatType, x);
  Value back = arith::ExtFOp::create(b, loc, floatType, nearest);
  Value pattern = narrow.bits(nearest);
  Value isEven = cmp(arith::CmpIPredicate::eq, both(pattern, narrow.integer(1)),
                     narrow.integer(0));
  Value isInexact = cmp(arith::CmpFPredicate::ONE, back, x);
  Value isBelow = cmp(arith::CmpFPredicate::OLT, abs(back), abs(x));
  Value step = select(isBelow, narrow.integer(1), narrow.integer(~uint64_t(0)));
  Value stepped = addi(pattern, step);
  return narrow.fromBits(select(both(isEven, isInexact), stepped, pattern));
}

bool mlir::scaling::isExpandableMathType(Type type) {
  Type element = type;
  if (auto vector = dyn_cast<VectorType>(type))
    element = vector.getElementType();
  return element.isF64() || element.isF32() || element.isF16() ||
         element.isBF16();
}

/// Calls `build` on the operands, extended to the wider of their own type and
/// `atLeast`, and brings its result back.
static Value buildIn(OpBuilder &b, Location loc, FloatType atLeast,
                     bool useScalef, ValueRange operands,
                     function_ref<Value(Emitter &, ArrayRef<Value>)> build) {
  Type type = operands.front().getType();
  assert(isExpandableMathType(type) && "unsupported type");
  Type wide = atLeast;
  if (getElementTypeOrSelf(type).isF64())
    wide = b.getF64Type();
  if (auto vector = dyn_cast<VectorType>(type))
    wide = vector.clone(wide);
  SmallVector<Value> extended(operands);
  if (wide != type)
    for (Value &operand : extended)
      operand = arith::ExtFOp::create(b, loc, wide, operand);
  Emitter emitter(b, loc, wide, useScalef);
  Value result = build(emitter, extended);
  if (wide != type)
    result = arith::TruncFOp::create(b, loc, type, result);
  return result;
}

Value mlir::scaling::buildExp2(OpBuilder &b, Location loc, Value x,
                               bool useScalef) {
  return buildIn(b, loc, b.getF32Type(), useScalef, x,
                 [](Emitter &e, ArrayRef<Value> v) { return e.exp2(v[0]); });
}

Value mlir::scaling::buildExp(OpBuilder &b, Location loc, Value x,
                              bool useScalef) {
  return buildIn(b, loc, b.getF32Type(), useScalef, x,
                 [](Emitter &e, ArrayRef<Value> v) { return e.exp(v[0]); });
}

Value mlir::scaling::buildLog2(OpBuilder &b, Location loc, Value x) {
  return buildIn(b, loc, b.getF32Type(), /*useScalef=*/false, x,
                 [](Emitter &e, ArrayRef<Value> v) { return e.log2(v[0]); });
}

Value mlir::scaling::buildLog(OpBuilder &b, Location loc, Value x) {
  return buildIn(b, loc, b.getF32Type(), /*useScalef=*/false, x,
                 [](Emitter &e, ArrayRef<Value> v) { return e.log(v[0]); });
}

Value mlir::scaling::buildPow(OpBuilder &b, Location loc, Value x, Value y,
                              bool useScalef) {
  return buildIn(
      b, loc, b.getF64Type(), useScalef, {x, y},
      [](Emitter &e, ArrayRef<Value> v) { return e.powF64(v[0], v[1]); });
}

Value mlir::scaling::buildTruncToOddF32(OpBuilder &b, Location loc, Value x) {
  assert(getElementTypeOrSelf(x.getType()).isF64() && "expected f64");
  return Emitter(b, loc, x.getType(), /*useScalef=*/false).truncToOddF32(x);
}
