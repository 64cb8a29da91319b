//===- DualValue.cpp - The dual value as sums -------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "DualValue.h"
#include "TensorEmitter.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

FailureOr<Value> scaling::generalizeDualValue(OpBuilder &b, ApplyOp op) {
  if (op.getKind() != ApplyKind::dual || op->getNumResults() == 0)
    return failure();
  Location loc = op.getLoc();
  TensorEmitter e(b, loc);
  bool isLog = op.getDomain() != Domain::kernel;
  Value out = op.getOuts()[0];
  auto type = cast<RankedTensorType>(out.getType());
  auto accumulate = NumericsAttr::getDefault(op.getContext(), Domain::kernel)
                        .getAccumulateType(type.getElementType());
  TensorEmitter::Sizes batch = tensor::getMixedSizes(b, loc, out);

  // Over the marginal's vector: a, or a (F − log a), 0 where a is 0.
  auto sum = [&](Value marginal, Value factor) {
    TensorEmitter::Sizes sizes(batch);
    sizes.push_back(tensor::getMixedSize(
        b, loc, factor,
        cast<RankedTensorType>(factor.getType()).getRank() - 1));
    auto entry = [&](bool withFactor) {
      SmallVector<EmitterInput> inputs{{marginal, {0}}};
      if (withFactor)
        inputs.push_back({factor, {0}});
      return e.reduce(
          sizes, 1, accumulate, inputs, TensorEmitter::Combine::add,
          [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
            Value weight = castFloat(inner, l, in[0], accumulate);
            if (!withFactor)
              return weight;
            Value potential = castFloat(inner, l, in[1], accumulate);
            if (!isLog)
              potential = math::LogOp::create(inner, l, potential);
            Value zero = createConstant(inner, l, accumulate, 0.0);
            Value isZero = arith::CmpFOp::create(
                inner, l, arith::CmpFPredicate::OEQ, weight, zero);
            // The marginals are inside the factors.
            Value density = arith::SubFOp::create(
                inner, l, potential, math::LogOp::create(inner, l, weight));
            Value term = arith::MulFOp::create(inner, l, weight, density);
            return arith::SelectOp::create(inner, l, isZero, zero, term);
          });
    };
    return std::pair(entry(false), entry(true));
  };
  auto [rowMass, rowSum] = sum(op.getRowWeight(), op.getRow());
  auto [colMass, colSum] = sum(op.getColWeight(), op.getCol());
  Value zeros = e.filled(batch, e.scalar(accumulate, 0.0));
  Value mass = ApplyOp::create(b, loc, zeros.getType(), op.getMatrix(),
                               op.getRow(), op.getCol(), Value(), Value(),
                               Value(), Value(), zeros, ApplyKind::mass,
                               /*transposed=*/false, op.getDomain())
                   .getResult(0);
  return e.inPlace(
      out, 0,
      {{rowSum, {}}, {colSum, {}}, {rowMass, {}}, {colMass, {}}, {mass, {}}},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value product = arith::MulFOp::create(inner, l, in[2], in[3]);
        Value linear = arith::AddFOp::create(inner, l, in[0], in[1]);
        Value gap = arith::SubFOp::create(inner, l, product, in[4]);
        Value dual = arith::AddFOp::create(inner, l, linear, gap);
        Value start = castFloat(inner, l, in[5], accumulate);
        return castFloat(inner, l, arith::AddFOp::create(inner, l, start, dual),
                         type.getElementType());
      });
}
