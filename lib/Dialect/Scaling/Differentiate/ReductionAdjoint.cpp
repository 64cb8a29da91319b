//===- ReductionAdjoint.cpp - Derivatives of a statistic ------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ReductionAdjoint.h"

#include "ScalarAdjoint.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::scaling;

/// Where a tensor's dimensions lie among those of a matrix: batch dimensions,
/// aligned to the right, then those of `tail` (rows 0, columns 1).
static MappedTensor mapped(Value value, ArrayRef<int64_t> tail,
                           int64_t batchRank) {
  int64_t own = cast<RankedTensorType>(value.getType()).getRank() -
                static_cast<int64_t>(tail.size());
  MLIRContext *context = value.getContext();
  SmallVector<AffineExpr> dims;
  for (int64_t i = batchRank - own; i < batchRank; ++i)
    dims.push_back(getAffineDimExpr(i, context));
  for (int64_t position : tail)
    dims.push_back(getAffineDimExpr(batchRank + position, context));
  return {value, AffineMap::get(batchRank + 2, 0, dims, context)};
}

ReductionAdjoint::ReductionAdjoint(OpBuilder &builder, Location loc,
                                   const ReductionStep &step)
    : loc(loc), step(step) {
  for (auto [pass, adjoint] : llvm::enumerate(step.adjoints))
    if (adjoint && !(step.stat.isMaxPass(pass) && step.stat.getNumPasses() > 1))
      passes.push_back(pass);
  int64_t kept = step.axis == Axis::rows ? 0 : 1;
  inputs = {mapped(step.matrix, {0, 1}, step.batchRank),
            mapped(step.factor, {1 - kept}, step.batchRank)};
  if (step.mask)
    inputs.push_back(mapped(step.mask, {1 - kept}, step.batchRank));
  firstState = inputs.size();
  for (Value state : step.states)
    inputs.push_back(mapped(state, {kept}, step.batchRank));

  SmallVector<MappedTensor> entries(ArrayRef(inputs).take_front(firstState));
  for (unsigned pass : passes) {
    inputs.push_back(mapped(step.adjoints[pass], {kept}, step.batchRank));
    if (step.stat.isMaxPass(pass))
      inputs.back().value = sharedAdjoint(
          builder, loc, inputs.back(), inputs[firstState + pass], entries,
          [&](OpBuilder &inner, Location l, ValueRange in) {
            // No maximum is −1.
            return onlyUnmasked(inner, l, in, lift(pass, inner, l, in), -1.0);
          });
  }
}

Value ReductionAdjoint::lift(unsigned pass, OpBuilder &inner, Location l,
                             ValueRange in) const {
  Value entry = createScaledEntry(inner, l, step.stat.isLog(),
                                  castFloat(inner, l, in[0], step.accumulate),
                                  in[1], step.scale);
  return step.stat.lift(inner, l, pass, entry, in.slice(firstState, pass));
}

Value ReductionAdjoint::onlyUnmasked(OpBuilder &inner, Location l,
                                     ValueRange in, Value value,
                                     double instead) const {
  if (!step.mask)
    return value;
  Value other = createConstant(inner, l, step.accumulate, instead);
  return arith::SelectOp::create(inner, l, in[2], value, other);
}

Value ReductionAdjoint::derivative(unsigned argument, OpBuilder &inner,
                                   Location l, ValueRange in) const {
  Block *body = inner.getInsertionBlock();
  Operation *before = body->empty() ? nullptr : &body->back();
  SmallVector<std::pair<Value, Value>> seeds;
  for (auto [index, pass] : llvm::enumerate(passes)) {
    Value seed = in[firstState + step.states.size() + index];
    Value lifted = lift(pass, inner, l, in);
    if (step.stat.isMaxPass(pass)) {
      Value isIt = arith::CmpFOp::create(inner, l, arith::CmpFPredicate::OEQ,
                                         lifted, in[firstState + pass]);
      Value zero = createConstant(inner, l, step.accumulate, 0.0);
      seed = arith::SelectOp::create(inner, l, isIt, seed, zero);
    }
    seeds.emplace_back(lifted, onlyUnmasked(inner, l, in, seed, 0.0));
  }
  SmallVector<Operation *> ops;
  for (Operation *at = before ? before->getNextNode() : &body->front(); at;
       at = at->getNextNode())
    ops.push_back(at);
  ScalarAdjoint scalars(inner, l);
  for (auto [lifted, seed] : seeds)
    scalars.add(lifted, seed);
  Operation *unsupported = scalars.run(ops);
  assert(!unsupported && "statistics have derivatives");
  return unsupported ? Value() : scalars.get(in[argument]);
}

void ReductionAdjoint::addToFactor(TensorAdjoint &adjoint) const {
  adjoint.accumulate(loc, step.factor, inputs[1].map, inputs,
                     [&](OpBuilder &inner, Location l, ValueRange in) {
                       return derivative(1, inner, l, in);
                     });
}

Value ReductionAdjoint::addToMatrix(OpBuilder &b, Location loc, Value sum,
                                    ArrayRef<ReductionAdjoint> reductions) {
  SmallVector<MappedTensor> all;
  for (const ReductionAdjoint &reduction : reductions)
    llvm::append_range(all, reduction.inputs);
  return sumInto(
      b, loc, sum, reductions.front().inputs[0].map, all,
      [&](OpBuilder &inner, Location l, ValueRange in) {
        Value total;
        for (const ReductionAdjoint &reduction : reductions) {
          size_t count = reduction.inputs.size();
          Value term = reduction.derivative(0, inner, l, in.take_front(count));
          in = in.drop_front(count);
          if (!term)
            continue;
          total = total ? arith::AddFOp::create(inner, l, total, term) : term;
        }
        return total;
      });
}
