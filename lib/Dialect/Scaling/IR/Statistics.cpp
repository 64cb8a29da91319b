//===- Statistics.cpp - Statistics as monoids -------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace mlir::scaling;
using llvm::APFloat;

/// A constant of the (scalar or vector) float type.
static Value constant(OpBuilder &b, Location loc, Type type, double value) {
  auto element = cast<FloatType>(getElementTypeOrSelf(type));
  TypedAttr attr = b.getFloatAttr(element, value);
  if (auto shaped = dyn_cast<ShapedType>(type))
    attr = DenseElementsAttr::get(shaped, attr);
  return arith::ConstantOp::create(b, loc, attr);
}

static APFloat zero(const llvm::fltSemantics &semantics) {
  return APFloat::getZero(semantics);
}

//===----------------------------------------------------------------------===//
// Sum, L1, L2, L∞
//===----------------------------------------------------------------------===//

StringRef SumAttr::getStatisticName() const { return "sum"; }
unsigned SumAttr::getNumPasses() const { return 1; }
bool SumAttr::isMaxPass(unsigned) const { return false; }
APFloat SumAttr::getIdentity(unsigned, const llvm::fltSemantics &s) const {
  return zero(s);
}
Value SumAttr::lift(OpBuilder &, Location, unsigned, Value entry,
                    ValueRange) const {
  return entry;
}
Value SumAttr::rebase(OpBuilder &, Location, unsigned, Value state, ValueRange,
                      ValueRange) const {
  return state;
}
Value SumAttr::finalize(OpBuilder &, Location, ValueRange states) const {
  return states[0];
}
unsigned SumAttr::getDegree() const { return 1; }
bool SumAttr::isLog() const { return false; }

StringRef L1Attr::getStatisticName() const { return "l1"; }
unsigned L1Attr::getNumPasses() const { return 1; }
bool L1Attr::isMaxPass(unsigned) const { return false; }
APFloat L1Attr::getIdentity(unsigned, const llvm::fltSemantics &s) const {
  return zero(s);
}
Value L1Attr::lift(OpBuilder &b, Location loc, unsigned, Value entry,
                   ValueRange) const {
  return math::AbsFOp::create(b, loc, entry);
}
Value L1Attr::rebase(OpBuilder &, Location, unsigned, Value state, ValueRange,
                     ValueRange) const {
  return state;
}
Value L1Attr::finalize(OpBuilder &, Location, ValueRange states) const {
  return states[0];
}
unsigned L1Attr::getDegree() const { return 1; }
bool L1Attr::isLog() const { return false; }

StringRef L2Attr::getStatisticName() const { return "l2"; }
unsigned L2Attr::getNumPasses() const { return 1; }
bool L2Attr::isMaxPass(unsigned) const { return false; }
APFloat L2Attr::getIdentity(unsigned, const llvm::fltSemantics &s) const {
  return zero(s);
}
Value L2Attr::lift(OpBuilder &b, Location loc, unsigned, Value entry,
                   ValueRange) const {
  return arith::MulFOp::create(b, loc, entry, entry);
}
Value L2Attr::rebase(OpBuilder &, Location, unsigned, Value state, ValueRange,
                     ValueRange) const {
  return state;
}
Value L2Attr::finalize(OpBuilder &b, Location loc, ValueRange states) const {
  return math::SqrtOp::create(b, loc, states[0]);
}
unsigned L2Attr::getDegree() const { return 1; }
bool L2Attr::isLog() const { return false; }

StringRef LInfAttr::getStatisticName() const { return "linf"; }
unsigned LInfAttr::getNumPasses() const { return 1; }
bool LInfAttr::isMaxPass(unsigned) const { return true; }
APFloat LInfAttr::getIdentity(unsigned, const llvm::fltSemantics &s) const {
  return zero(s);
}
Value LInfAttr::lift(OpBuilder &b, Location loc, unsigned, Value entry,
                     ValueRange) const {
  return math::AbsFOp::create(b, loc, entry);
}
Value LInfAttr::rebase(OpBuilder &, Location, unsigned, Value state, ValueRange,
                       ValueRange) const {
  return state;
}
Value LInfAttr::finalize(OpBuilder &, Location, ValueRange states) const {
  return states[0];
}
unsigned LInfAttr::getDegree() const { return 1; }
bool LInfAttr::isLog() const { return false; }

//===----------------------------------------------------------------------===//
// Log-sum-exp: the maximum, then the sum of exp(x − max)
//===----------------------------------------------------------------------===//

StringRef LogSumExpAttr::getStatisticName() const { return "lse"; }
unsigned LogSumExpAttr::getNumPasses() const { return 2; }
bool LogSumExpAttr::isMaxPass(unsigned pass) const { return pass == 0; }
APFloat LogSumExpAttr::getIdentity(unsigned pass,
                                   const llvm::fltSemantics &s) const {
  // Finite, so that no difference of states is ever NaN.
  return pass == 0 ? APFloat::getLargest(s, /*Negative=*/true) : zero(s);
}
Value LogSumExpAttr::lift(OpBuilder &b, Location loc, unsigned pass,
                          Value entry, ValueRange finished) const {
  if (pass == 0)
    return entry;
  Value difference = arith::SubFOp::create(b, loc, entry, finished[0]);
  return math::ExpOp::create(b, loc, difference);
}
Value LogSumExpAttr::rebase(OpBuilder &b, Location loc, unsigned pass,
                            Value state, ValueRange oldFinished,
                            ValueRange newFinished) const {
  if (pass == 0)
    return state;
  Value difference =
      arith::SubFOp::create(b, loc, oldFinished[0], newFinished[0]);
  Value factor = math::ExpOp::create(b, loc, difference);
  return arith::MulFOp::create(b, loc, state, factor);
}
Value LogSumExpAttr::finalize(OpBuilder &b, Location loc,
                              ValueRange states) const {
  Value log = math::LogOp::create(b, loc, states[1]);
  return arith::AddFOp::create(b, loc, states[0], log);
}
unsigned LogSumExpAttr::getDegree() const { return 1; }
bool LogSumExpAttr::isLog() const { return true; }

//===----------------------------------------------------------------------===//
// Maximum of logarithms
//===----------------------------------------------------------------------===//

StringRef MaxAttr::getStatisticName() const { return "max"; }
unsigned MaxAttr::getNumPasses() const { return 1; }
bool MaxAttr::isMaxPass(unsigned) const { return true; }
APFloat MaxAttr::getIdentity(unsigned, const llvm::fltSemantics &s) const {
  return APFloat::getLargest(s, /*Negative=*/true);
}
Value MaxAttr::lift(OpBuilder &, Location, unsigned, Value entry,
                    ValueRange) const {
  return entry;
}
Value MaxAttr::rebase(OpBuilder &, Location, unsigned, Value state, ValueRange,
                      ValueRange) const {
  return state;
}
Value MaxAttr::finalize(OpBuilder &, Location, ValueRange states) const {
  return states[0];
}
unsigned MaxAttr::getDegree() const { return 1; }
bool MaxAttr::isLog() const { return true; }

//===----------------------------------------------------------------------===//
// Mean square: the sum of squares, the count
//===----------------------------------------------------------------------===//

StringRef MeanSquareAttr::getStatisticName() const { return "mean_square"; }
unsigned MeanSquareAttr::getNumPasses() const { return 2; }
bool MeanSquareAttr::isMaxPass(unsigned) const { return false; }
APFloat MeanSquareAttr::getIdentity(unsigned,
                                    const llvm::fltSemantics &s) const {
  return zero(s);
}
Value MeanSquareAttr::lift(OpBuilder &b, Location loc, unsigned pass,
                           Value entry, ValueRange) const {
  if (pass == 0)
    return arith::MulFOp::create(b, loc, entry, entry);
  return constant(b, loc, entry.getType(), 1.0);
}
Value MeanSquareAttr::rebase(OpBuilder &, Location, unsigned, Value state,
                             ValueRange, ValueRange) const {
  return state;
}
Value MeanSquareAttr::finalize(OpBuilder &b, Location loc,
                               ValueRange states) const {
  // No entries: 0, not 0/0.
  Value one = constant(b, loc, states[1].getType(), 1.0);
  Value count = arith::MaximumFOp::create(b, loc, states[1], one);
  return arith::DivFOp::create(b, loc, states[0], count);
}
unsigned MeanSquareAttr::getDegree() const { return 2; }
bool MeanSquareAttr::isLog() const { return false; }

//===----------------------------------------------------------------------===//
// Standard deviation: the count, the sum, the squared distances to the mean
//===----------------------------------------------------------------------===//

/// sum / count, 0 for no entries.
static Value mean(OpBuilder &b, Location loc, ValueRange finished) {
  Value one = constant(b, loc, finished[0].getType(), 1.0);
  Value count = arith::MaximumFOp::create(b, loc, finished[0], one);
  return arith::DivFOp::create(b, loc, finished[1], count);
}

StringRef StdAttr::getStatisticName() const { return "std"; }
unsigned StdAttr::getNumPasses() const { return 3; }
bool StdAttr::isMaxPass(unsigned) const { return false; }
APFloat StdAttr::getIdentity(unsigned, const llvm::fltSemantics &s) const {
  return zero(s);
}
Value StdAttr::lift(OpBuilder &b, Location loc, unsigned pass, Value entry,
                    ValueRange finished) const {
  if (pass == 0)
    return constant(b, loc, entry.getType(), 1.0);
  if (pass == 1)
    return entry;
  Value distance = arith::SubFOp::create(b, loc, entry, mean(b, loc, finished));
  return arith::MulFOp::create(b, loc, distance, distance);
}
Value StdAttr::rebase(OpBuilder &b, Location loc, unsigned pass, Value state,
                      ValueRange oldFinished, ValueRange newFinished) const {
  if (pass < 2)
    return state;
  Value shift = arith::SubFOp::create(b, loc, mean(b, loc, oldFinished),
                                      mean(b, loc, newFinished));
  Value square = arith::MulFOp::create(b, loc, shift, shift);
  Value moved = arith::MulFOp::create(b, loc, oldFinished[0], square);
  return arith::AddFOp::create(b, loc, state, moved);
}
Value StdAttr::finalize(OpBuilder &b, Location loc, ValueRange states) const {
  Value one = constant(b, loc, states[0].getType(), 1.0);
  Value fewer = arith::SubFOp::create(b, loc, states[0], one);
  Value degrees = arith::MaximumFOp::create(b, loc, fewer, one);
  Value variance = arith::DivFOp::create(b, loc, states[2], degrees);
  return math::SqrtOp::create(b, loc, variance);
}
unsigned StdAttr::getDegree() const { return 1; }
bool StdAttr::isLog() const { return false; }

//===----------------------------------------------------------------------===//
// Geometric mean of nonzero magnitudes: the sum of logarithms, the count
//===----------------------------------------------------------------------===//

StringRef GeoMeanAttr::getStatisticName() const { return "geomean"; }
unsigned GeoMeanAttr::getNumPasses() const { return 2; }
bool GeoMeanAttr::isMaxPass(unsigned) const { return false; }
APFloat GeoMeanAttr::getIdentity(unsigned, const llvm::fltSemantics &s) const {
  return zero(s);
}
Value GeoMeanAttr::lift(OpBuilder &b, Location loc, unsigned pass, Value entry,
                        ValueRange) const {
  Value zeros = constant(b, loc, entry.getType(), 0.0);
  Value ones = constant(b, loc, entry.getType(), 1.0);
  Value isZero =
      arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ, entry, zeros);
  if (pass == 1)
    return arith::SelectOp::create(b, loc, isZero, zeros, ones);
  Value magnitude = math::AbsFOp::create(b, loc, entry);
  Value safe = arith::SelectOp::create(b, loc, isZero, ones, magnitude);
  return math::LogOp::create(b, loc, safe);
}
Value GeoMeanAttr::rebase(OpBuilder &, Location, unsigned, Value state,
                          ValueRange, ValueRange) const {
  return state;
}
Value GeoMeanAttr::finalize(OpBuilder &b, Location loc,
                            ValueRange states) const {
  Value zeros = constant(b, loc, states[1].getType(), 0.0);
  Value ones = constant(b, loc, states[1].getType(), 1.0);
  Value count = arith::MaximumFOp::create(b, loc, states[1], ones);
  Value logarithm = arith::DivFOp::create(b, loc, states[0], count);
  Value value = math::ExpOp::create(b, loc, logarithm);
  Value none = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OEQ,
                                     states[1], zeros);
  return arith::SelectOp::create(b, loc, none, zeros, value);
}
unsigned GeoMeanAttr::getDegree() const { return 1; }
bool GeoMeanAttr::isLog() const { return false; }
