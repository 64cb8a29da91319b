//===- TensorEmitter.cpp - Tensor code around the core ops ------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TensorEmitter.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <limits>

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

static constexpr int64_t kLineBytes = 64;

/// Addresses that differ by multiples of this compete for the same lines of L1.
static constexpr int64_t kWayBytes = 4096;

/// Shorter rows are left as they are: padding would be a large part of them.
static constexpr int64_t kLongRow = 128;

Value TensorEmitter::scalar(Type type, double value) {
  return createConstant(b, loc, type, value);
}

Value TensorEmitter::index(int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}

Value TensorEmitter::indexValue(OpFoldResult size) {
  return getValueOrCreateConstantIndexOp(b, loc, size);
}

Value TensorEmitter::toFloat(Value index, Type type) {
  Value integer = arith::IndexCastOp::create(b, loc, b.getI64Type(), index);
  return arith::SIToFPOp::create(b, loc, type, integer);
}

Value TensorEmitter::empty(ArrayRef<OpFoldResult> sizes, Type element) {
  return tensor::EmptyOp::create(b, loc, sizes, element);
}

Value TensorEmitter::emptyInLines(ArrayRef<OpFoldResult> sizes,
                                  FloatType element) {
  std::optional<int64_t> length = getConstantIntValue(sizes.back());
  int64_t bytes = llvm::divideCeil(element.getWidth(), 8);
  int64_t line = kLineBytes / bytes, way = kWayBytes / bytes;
  if (!length || *length < kLongRow)
    return empty(sizes, element);
  int64_t whole = llvm::alignTo(*length, line);
  if (whole % way == 0)
    whole += line;
  if (whole == *length)
    return empty(sizes, element);
  SmallVector<OpFoldResult> padded(sizes);
  padded.back() = b.getIndexAttr(whole);
  SmallVector<OpFoldResult> zeros(sizes.size(), b.getIndexAttr(0));
  SmallVector<OpFoldResult> ones(sizes.size(), b.getIndexAttr(1));
  return tensor::ExtractSliceOp::create(b, loc, empty(padded, element), zeros,
                                        sizes, ones);
}

Value TensorEmitter::filled(ArrayRef<OpFoldResult> sizes, Value scalar) {
  Value init = empty(sizes, scalar.getType());
  return linalg::FillOp::create(b, loc, scalar, init).getResult(0);
}

/// Where an input's dimensions lie among the batch and tail dimensions.
static AffineMap inputMap(OpBuilder &b, const EmitterInput &input,
                          int64_t batchRank, int64_t rank) {
  int64_t own = cast<RankedTensorType>(input.value.getType()).getRank() -
                static_cast<int64_t>(input.tail.size());
  SmallVector<AffineExpr> dims;
  for (int64_t i = batchRank - own; i < batchRank; ++i)
    dims.push_back(b.getAffineDimExpr(i));
  for (int64_t position : input.tail)
    dims.push_back(b.getAffineDimExpr(batchRank + position));
  return AffineMap::get(rank, 0, dims, b.getContext());
}

Value TensorEmitter::elementwise(ArrayRef<OpFoldResult> sizes, int64_t tailRank,
                                 Type element, ArrayRef<EmitterInput> inputs,
                                 Body body) {
  return inPlace(empty(sizes, element), tailRank, inputs,
                 [&](OpBuilder &inner, Location l, ValueRange in) {
                   return body(inner, l, in.drop_back());
                 });
}

Value TensorEmitter::inPlace(Value out, int64_t tailRank,
                             ArrayRef<EmitterInput> inputs, Body body) {
  int64_t rank = cast<RankedTensorType>(out.getType()).getRank();
  SmallVector<AffineMap> maps;
  SmallVector<Value> values;
  for (const EmitterInput &input : inputs) {
    maps.push_back(inputMap(b, input, rank - tailRank, rank));
    values.push_back(input.value);
  }
  maps.push_back(b.getMultiDimIdentityMap(rank));
  SmallVector<IteratorType> iterators(rank, IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, out.getType(), values, out, maps, iterators,
             [&](OpBuilder &inner, Location innerLoc, ValueRange arguments) {
               Value result = body(inner, innerLoc, arguments);
               linalg::YieldOp::create(inner, innerLoc, result);
             })
      .getResult(0);
}

Value TensorEmitter::reduce(ArrayRef<OpFoldResult> sizes, int64_t tailRank,
                            Type element, ArrayRef<EmitterInput> inputs,
                            Combine combine, Body lift, Value init) {
  int64_t rank = sizes.size(), batchRank = rank - tailRank;
  double infinity = std::numeric_limits<double>::infinity();
  Value identity;
  switch (combine) {
  case Combine::add:
    identity = scalar(element, 0.0);
    break;
  case Combine::max:
    identity = scalar(element, -infinity);
    break;
  case Combine::min:
    identity = scalar(element, infinity);
    break;
  case Combine::any:
    identity = arith::ConstantOp::create(b, loc, b.getBoolAttr(false));
    break;
  }
  SmallVector<AffineMap> maps;
  SmallVector<Value> values;
  for (const EmitterInput &input : inputs) {
    maps.push_back(inputMap(b, input, batchRank, rank));
    values.push_back(input.value);
  }
  SmallVector<AffineExpr> kept;
  for (int64_t i = 0; i < batchRank; ++i)
    kept.push_back(b.getAffineDimExpr(i));
  maps.push_back(AffineMap::get(rank, 0, kept, b.getContext()));
  SmallVector<IteratorType> iterators(batchRank, IteratorType::parallel);
  iterators.append(tailRank, IteratorType::reduction);
  if (!init)
    init = filled(sizes.take_front(batchRank), identity);
  return linalg::GenericOp::create(
             b, loc, init.getType(), values, init, maps, iterators,
             [&](OpBuilder &inner, Location innerLoc, ValueRange arguments) {
               Value entry = lift(inner, innerLoc, arguments.drop_back());
               Value state = arguments.back(), result;
               switch (combine) {
               case Combine::add:
                 result = arith::AddFOp::create(inner, innerLoc, state, entry);
                 break;
               case Combine::max:
                 result =
                     arith::MaximumFOp::create(inner, innerLoc, state, entry);
                 break;
               case Combine::min:
                 result =
                     arith::MinimumFOp::create(inner, innerLoc, state, entry);
                 break;
               case Combine::any:
                 result = arith::OrIOp::create(inner, innerLoc, state, entry);
                 break;
               }
               linalg::YieldOp::create(inner, innerLoc, result);
             })
      .getResult(0);
}

ReduceOp TensorEmitter::states(Axis axis, StatisticAttrInterface statistic,
                               ArrayRef<OpFoldResult> sizes,
                               FloatType accumulate, Value matrix, Value factor,
                               Value mask, Value scale) {
  SmallVector<Value> inits;
  SmallVector<Type> types;
  for (unsigned pass = 0; pass < statistic.getNumPasses(); ++pass) {
    Value identity = arith::ConstantOp::create(
        b, loc,
        b.getFloatAttr(accumulate, statistic.getIdentity(
                                       pass, accumulate.getFloatSemantics())));
    inits.push_back(filled(sizes, identity));
    types.push_back(inits.back().getType());
  }
  return ReduceOp::create(b, loc, types, matrix, factor, mask, scale, inits,
                          axis, statistic, DenseI64ArrayAttr());
}

Value TensorEmitter::normalized(Value points, FloatType accumulate) {
  Sizes sizes = tensor::getMixedSizes(b, loc, points);
  Value squares =
      reduce(sizes, 1, accumulate, {{points, {0}}}, Combine::add,
             [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
               Value entry = castFloat(inner, l, in[0], accumulate);
               return arith::MulFOp::create(inner, l, entry, entry);
             });
  return elementwise(sizes, 1, accumulate, {{points, {0}}, {squares, {}}},
                     [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                       Value zero = createConstant(inner, l, accumulate, 0.0);
                       Value none = arith::CmpFOp::create(
                           inner, l, arith::CmpFPredicate::OEQ, in[1], zero);
                       Value norm = math::SqrtOp::create(inner, l, in[1]);
                       Value entry = castFloat(inner, l, in[0], accumulate);
                       return arith::SelectOp::create(
                           inner, l, none, zero,
                           arith::DivFOp::create(inner, l, entry, norm));
                     });
}

Value TensorEmitter::extract(Value tensor) {
  return tensor::ExtractOp::create(b, loc, tensor, ValueRange());
}

Value TensorEmitter::any(Value flags) {
  auto type = cast<RankedTensorType>(flags.getType());
  if (type.getRank() == 0)
    return extract(flags);
  Sizes sizes = tensor::getMixedSizes(b, loc, flags);
  SmallVector<int64_t, 2> tail =
      llvm::to_vector<2>(llvm::seq<int64_t>(type.getRank()));
  return extract(reduce(
      sizes, type.getRank(), b.getI1Type(), {{flags, tail}}, Combine::any,
      [](OpBuilder &, Location, ValueRange in) { return in[0]; }));
}
