//===- DecomposeFixed.cpp - Iterations of a fixed count ---------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

IterateDecomposer::Outcome IterateDecomposer::fixed() {
  Outcome out;
  out.factors = halfSteps(start, stop.getLimit());
  out.steps = batchInt(stop.getLimit());
  out.residual =
      stop.getMeasureLast() ? measuredMarginal(out.factors) : batchFloat(-1.0);
  out.status = batchInt(static_cast<int>(StatusCode::fixed));
  return out;
}

Value IterateDecomposer::anneal(Value pair, Factors &factors, bool inPlace) {
  // The pair before; the first has none, and its ratio is 1.
  Value isFirst =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, pair, e.index(0));
  Value before = arith::SelectOp::create(
      b, loc, isFirst, pair, arith::SubIOp::create(b, loc, pair, e.index(1)));
  Value betas = op.getAnneal();
  Value beta = tensor::ExtractOp::create(b, loc, betas, pair);
  Value ratio = arith::DivFOp::create(
      b, loc, beta, tensor::ExtractOp::create(b, loc, betas, before));
  for (Axis axis : {Axis::rows, Axis::cols}) {
    SmallVector<EmitterInput> inputs;
    if (Value t = target(axis))
      inputs.push_back({t, {0}});
    auto body = [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
      Value factor = in.back();
      if (!target(axis))
        return arith::MulFOp::create(inner, l, factor, ratio);
      Value weight = math::LogOp::create(inner, l, in[0]);
      Value density = arith::SubFOp::create(inner, l, factor, weight);
      Value scaled = arith::MulFOp::create(inner, l, density, ratio);
      Value moved = arith::AddFOp::create(inner, l, scaled, weight);
      // Zero weight: −∞ − −∞ is not a number.
      Value none = createConstant(inner, l, accumulate, -kInfinity);
      Value isNone = arith::CmpFOp::create(inner, l, arith::CmpFPredicate::OEQ,
                                           factor, none);
      return arith::SelectOp::create(inner, l, isNone, none, moved);
    };
    if (inPlace) {
      factors[axis] = e.inPlace(factors[axis], 1, inputs, body);
      continue;
    }
    inputs.push_back({factors[axis], {0}});
    factors[axis] =
        e.elementwise(vectorSizes(axis), 1, accumulate, inputs, body);
  }
  return beta;
}

IterateDecomposer::Outcome IterateDecomposer::annealed() {
  bool jacobi = op.getOrder() == Order::jacobi;
  Axis first = op.getOrder() == Order::cols_first ? Axis::cols : Axis::rows;
  auto loop = scf::ForOp::create(
      b, loc, e.index(0), e.index(stop.getLimit() / 2), e.index(1),
      ValueRange{start.row, start.col},
      [&](OpBuilder &, Location, Value pair, ValueRange carried) {
        Factors factors{carried[0], carried[1]};
        Value beta = anneal(pair, factors, /*inPlace=*/true);
        if (jacobi) {
          jacobiStep(factors, beta);
        } else {
          halfStep(first, factors, beta);
          halfStep(other(first), factors, beta);
        }
        scf::YieldOp::create(b, loc, ValueRange{factors.row, factors.col});
      });
  Outcome out;
  out.factors = {loop.getResult(0), loop.getResult(1)};
  out.steps = batchInt(stop.getLimit());
  out.residual =
      stop.getMeasureLast() ? measuredMarginal(out.factors) : batchFloat(-1.0);
  out.status = batchInt(static_cast<int>(StatusCode::fixed));
  return out;
}
