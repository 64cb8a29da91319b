//===- IterateAdjoint.cpp - Derivatives of an iteration -------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "ScalarAdjoint.h"
#include "TensorAdjoint.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// The half-steps that were taken, once more and back. Pairs of half-steps are
/// counted; what they started from is kept, never a matrix.
class IterateAdjoint {
public:
  IterateAdjoint(TensorAdjoint &outer, IterateOp op)
      : outer(outer), op(op), loc(op.getLoc()), b(outer.b), d(b, op),
        batchRank(d.batchSizes.size()),
        firstAxis(op.getOrder() == Order::cols_first ? Axis::cols
                                                     : Axis::rows) {}

  LogicalResult run();

private:
  /// A half-step, and what is needed to go back over it.
  struct Step {
    Axis axis;
    Value own, other, next;
    SmallVector<Value> states;
  };
  /// What the loop back carries.
  struct Carried {
    Factors factors, targets;
    Value matrix;
    SmallVector<Value> values() const {
      SmallVector<Value> all{factors.row, factors.col};
      for (Value value : {targets.row, targets.col, matrix})
        if (value)
          all.push_back(value);
      return all;
    }
  };

  LogicalResult verify();
  /// How many pairs of half-steps there are, and who takes part in which.
  void countPairs();
  Value pairsTaken();
  /// Once more, keeping what each pair starts from.
  Factors keepStarts();
  Carried startBackward();
  /// The loop back: adjoints of the start, of targets and the matrix.
  FailureOr<Carried> backward(const Factors &kept);
  /// Adjoints of what the pair started from, given those of what it made.
  FailureOr<Factors> backOverPair(const Factors &factors, Value pair,
                                  Carried &carried);
  void storeMatrix(Value sum);
  LogicalResult storeStart(Axis axis, Value startAdjoint);

  Step read(Axis axis, Value own, Value other);
  /// The half-step after `k` of them.
  void update(Step &step, Value k);
  /// The steps of pair `pair`, in their order.
  SmallVector<Step, 2> stepsOfPair(const Factors &factors, Value pair);
  Factors afterPair(ArrayRef<Step> steps);
  LogicalResult back(const Step &step, Value nextAdjoint, Carried &carried,
                     Value &ownAdjoint, Value &otherAdjoint);
  void backThroughReduction(const Step &step, ArrayRef<Value> stateAdjoints,
                            TensorAdjoint &local);

  MappedTensor mapped(Value value, ArrayRef<int64_t> tail, int64_t tailRank);
  Value element(Value history, Value index, RankedTensorType type);
  RankedTensorType vectorType(Axis axis) {
    return cast<RankedTensorType>(d.start[axis].getType());
  }
  Value converted(Value value, RankedTensorType type);
  /// The values where the old ones are: a loop's state has one buffer.
  Factors moved(const Factors &next, const Factors &old);
  Carried fromValues(ValueRange values);

  TensorAdjoint &outer;
  IterateOp op;
  Location loc;
  OpBuilder &b;
  IterateDecomposer d;
  int64_t batchRank;
  Axis firstAxis;
  /// Half-steps done per batch element.
  Value counts;
  /// As many pairs of them as the longest element took.
  Value pairs;
};
} // namespace

LogicalResult IterateAdjoint::verify() {
  if (op.getAnneal())
    return op.emitOpError("with 'anneal' has no derivative");
  if (op.getOrder() == Order::symmetric)
    return op.emitOpError("with 'order(symmetric)' has no derivative: the "
                          "gradient of a symmetric matrix is a convention");
  if (op.getStop().getMode() == StopMode::best)
    return op.emitOpError("that stops with 'best' has no derivative: which "
                          "factors are the best is a choice");
  return success();
}

MappedTensor IterateAdjoint::mapped(Value value, ArrayRef<int64_t> tail,
                                    int64_t tailRank) {
  int64_t own = cast<RankedTensorType>(value.getType()).getRank() -
                static_cast<int64_t>(tail.size());
  SmallVector<AffineExpr> dims;
  for (int64_t i = batchRank - own; i < batchRank; ++i)
    dims.push_back(b.getAffineDimExpr(i));
  for (int64_t position : tail)
    dims.push_back(b.getAffineDimExpr(batchRank + position));
  return {value, AffineMap::get(batchRank + tailRank, 0, dims, b.getContext())};
}

IterateAdjoint::Step IterateAdjoint::read(Axis axis, Value own, Value other) {
  return {axis, own, other, Value(), d.read(axis, other)};
}

void IterateAdjoint::update(Step &step, Value k) {
  Axis axis = step.axis;
  SmallVector<EmitterInput> inputs;
  for (Value state : step.states)
    inputs.push_back({state, {0}});
  Value target = d.target(axis), mask = d.mask(axis);
  if (target)
    inputs.push_back({target, {0}});
  if (mask)
    inputs.push_back({mask, {0}});
  inputs.push_back({counts, {}});
  Value number = arith::IndexCastOp::create(b, loc, b.getI32Type(), k);
  size_t numStates = step.states.size();
  step.next = d.e.inPlace(
      step.own, 1, inputs,
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        ValueRange rest = in.drop_front(numStates);
        Value h = in.back();
        Value t = target ? rest[0] : Value();
        Value m = mask ? rest[target ? 1 : 0] : Value();
        Value next = createUpdate(inner, l, d.rule(axis), d.domain,
                                  in.take_front(numStates), h, t, m)
                         .factor;
        Value runs = arith::CmpIOp::create(inner, l, arith::CmpIPredicate::slt,
                                           number, in[in.size() - 2]);
        return arith::SelectOp::create(inner, l, runs, next, h);
      });
}

SmallVector<IterateAdjoint::Step, 2>
IterateAdjoint::stepsOfPair(const Factors &factors, Value pair) {
  Axis second = other(firstAxis);
  Value k = arith::MulIOp::create(b, loc, pair, d.e.index(2));
  Value later = arith::AddIOp::create(b, loc, k, d.e.index(1));
  SmallVector<Step, 2> steps{
      read(firstAxis, factors[firstAxis], factors[second])};
  // Simultaneous steps both read before anything is written.
  bool jacobi = op.getOrder() == Order::jacobi;
  if (jacobi)
    steps.push_back(read(second, factors[second], factors[firstAxis]));
  update(steps[0], k);
  if (!jacobi)
    steps.push_back(read(second, factors[second], steps[0].next));
  update(steps[1], later);
  return steps;
}

Factors IterateAdjoint::afterPair(ArrayRef<Step> steps) {
  Factors factors;
  for (const Step &step : steps)
    factors[step.axis] = step.next;
  return factors;
}

/// What states have to do with entries: the states a pass looks at are pivots
/// (a maximum, a mean), the derivative along which is zero.
void IterateAdjoint::backThroughReduction(const Step &step,
                                          ArrayRef<Value> stateAdjoints,
                                          TensorAdjoint &local) {
  StatisticAttrInterface stat = d.stat(step.axis);
  int64_t kept = step.axis == Axis::rows ? 0 : 1;
  SmallVector<unsigned> passes;
  for (auto [pass, adjoint] : llvm::enumerate(stateAdjoints))
    if (adjoint && !(stat.isMaxPass(pass) && stat.getNumPasses() > 1))
      passes.push_back(pass);
  Value mask = d.mask(other(step.axis));
  SmallVector<MappedTensor> inputs{mapped(d.matrix, {0, 1}, 2),
                                   mapped(step.other, {1 - kept}, 2)};
  if (mask)
    inputs.push_back(mapped(mask, {1 - kept}, 2));
  size_t firstState = inputs.size(), numStates = step.states.size();
  for (Value state : step.states)
    inputs.push_back(mapped(state, {kept}, 2));

  auto lift = [&](unsigned pass, OpBuilder &inner, Location l, ValueRange in) {
    Value entry = createScaledEntry(inner, l, stat.isLog(),
                                    castFloat(inner, l, in[0], d.accumulate),
                                    in[1], Value());
    return stat.lift(inner, l, pass, entry, in.slice(firstState, pass));
  };
  auto onlyUnmasked = [&](OpBuilder &inner, Location l, ValueRange in,
                          Value value, double instead) -> Value {
    if (!mask)
      return value;
    Value other = createConstant(inner, l, d.accumulate, instead);
    return arith::SelectOp::create(inner, l, in[2], value, other);
  };
  ArrayRef<MappedTensor> entries = ArrayRef(inputs).take_front(firstState);
  SmallVector<MappedTensor> adjoints;
  for (unsigned pass : passes) {
    adjoints.push_back(mapped(stateAdjoints[pass], {kept}, 2));
    if (stat.isMaxPass(pass))
      adjoints.back().value = sharedAdjoint(
          b, loc, adjoints.back(), mapped(step.states[pass], {kept}, 2),
          entries, [&](OpBuilder &inner, Location l, ValueRange in) {
            // No maximum is −1.
            return onlyUnmasked(inner, l, in, lift(pass, inner, l, in), -1.0);
          });
  }
  llvm::append_range(inputs, adjoints);

  auto derivative = [&](unsigned argument, OpBuilder &inner, Location l,
                        ValueRange in) -> Value {
    Block *body = inner.getInsertionBlock();
    Operation *before = body->empty() ? nullptr : &body->back();
    SmallVector<std::pair<Value, Value>> seeds;
    for (auto [index, pass] : llvm::enumerate(passes)) {
      Value seed = in[firstState + numStates + index];
      Value lifted = lift(pass, inner, l, in);
      if (stat.isMaxPass(pass)) {
        Value isIt = arith::CmpFOp::create(inner, l, arith::CmpFPredicate::OEQ,
                                           lifted, in[firstState + pass]);
        Value zero = createConstant(inner, l, d.accumulate, 0.0);
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
  };
  for (unsigned argument : {0u, 1u})
    local.accumulate(loc, inputs[argument].value, inputs[argument].map, inputs,
                     [&](OpBuilder &inner, Location l, ValueRange in) {
                       return derivative(argument, inner, l, in);
                     });
}

LogicalResult IterateAdjoint::back(const Step &step, Value nextAdjoint,
                                   Carried &carried, Value &ownAdjoint,
                                   Value &otherAdjoint) {
  TensorAdjoint local(b);
  Value target = d.target(step.axis);
  for (Value state : step.states)
    local.markActive(state);
  local.markActive(step.own);
  local.markActive(step.next);
  local.set(step.next, nextAdjoint);
  if (carried.targets[step.axis]) {
    local.markActive(target);
    local.set(target, carried.targets[step.axis]);
  }
  if (ownAdjoint)
    local.set(step.own, ownAdjoint);
  if (failed(local.run(step.next.getDefiningOp())))
    return failure();
  ownAdjoint = local.get(step.own);
  if (carried.targets[step.axis])
    carried.targets[step.axis] = local.get(target);

  SmallVector<Value> stateAdjoints;
  for (Value state : step.states)
    stateAdjoints.push_back(local.get(state));
  // A factor may be its own and the other's neighbour at once.
  TensorAdjoint reduction(b);
  reduction.markActive(step.other);
  if (otherAdjoint)
    reduction.set(step.other, otherAdjoint);
  if (carried.matrix) {
    reduction.markActive(d.matrix);
    reduction.set(d.matrix, carried.matrix);
  }
  backThroughReduction(step, stateAdjoints, reduction);
  otherAdjoint = reduction.getOrZero(loc, step.other);
  if (carried.matrix)
    carried.matrix = reduction.get(d.matrix);
  return success();
}

Value IterateAdjoint::element(Value history, Value index,
                              RankedTensorType type) {
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, history);
  SmallVector<OpFoldResult> offsets(sizes.size(), b.getIndexAttr(0)),
      strides(sizes.size(), b.getIndexAttr(1));
  offsets[0] = index;
  sizes[0] = b.getIndexAttr(1);
  return tensor::ExtractSliceOp::create(b, loc, type, history, offsets, sizes,
                                        strides);
}

Value IterateAdjoint::converted(Value value, RankedTensorType type) {
  if (value.getType() == type)
    return value;
  return tensor::CastOp::create(b, loc, type, value);
}

Factors IterateAdjoint::moved(const Factors &next, const Factors &old) {
  Factors result;
  for (Axis axis : {Axis::rows, Axis::cols})
    result[axis] =
        linalg::CopyOp::create(b, loc, next[axis], old[axis]).getResult(0);
  return result;
}

IterateAdjoint::Carried IterateAdjoint::fromValues(ValueRange values) {
  Carried carried{{values[0], values[1]}, {}, {}};
  size_t next = 2;
  for (Axis axis : {Axis::rows, Axis::cols})
    if (Value t = d.target(axis); t && outer.isActive(t))
      carried.targets[axis] = values[next++];
  if (outer.isActive(d.matrix))
    carried.matrix = values[next++];
  return carried;
}

/// The larger half of the most half-steps that an element took.
Value IterateAdjoint::pairsTaken() {
  Value most;
  if (d.batchSizes.empty()) {
    most = d.e.extract(counts);
  } else {
    const TensorEmitter::Sizes &sizes = d.batchSizes;
    SmallVector<int64_t, 2> all =
        llvm::to_vector<2>(llvm::seq<int64_t>(sizes.size()));
    Value floats = d.e.elementwise(
        sizes, 0, b.getF64Type(), {{counts, {}}},
        [](OpBuilder &inner, Location l, ValueRange in) -> Value {
          return arith::SIToFPOp::create(inner, l, inner.getF64Type(), in[0]);
        });
    Value largest = d.e.extract(
        d.e.reduce(sizes, sizes.size(), b.getF64Type(), {{floats, all}},
                   TensorEmitter::Combine::max,
                   [](OpBuilder &, Location, ValueRange in) { return in[0]; }));
    // Of a batch of none there is no largest.
    Value zero = d.e.scalar(b.getF64Type(), 0.0);
    largest = arith::MaximumFOp::create(b, loc, largest, zero);
    most = arith::FPToSIOp::create(b, loc, b.getI32Type(), largest);
  }
  Value half = arith::IndexCastOp::create(b, loc, b.getIndexType(), most);
  Value more = arith::AddIOp::create(b, loc, half, d.e.index(1));
  return arith::DivUIOp::create(b, loc, more, d.e.index(2));
}

void IterateAdjoint::countPairs() {
  // An element that diverged comes out as it started: it took no step.
  counts = d.e.elementwise(
      d.batchSizes, 0, b.getI32Type(),
      {{op.getHalfSteps(), {}}, {op.getStatus(), {}}},
      [](OpBuilder &inner, Location l, ValueRange in) -> Value {
        auto number = [&](int64_t value) -> Value {
          return arith::ConstantOp::create(inner, l,
                                           inner.getI32IntegerAttr(value));
        };
        Value diverged = arith::CmpIOp::create(
            inner, l, arith::CmpIPredicate::eq, in[1],
            number(static_cast<int64_t>(StatusCode::diverged)));
        return arith::SelectOp::create(inner, l, diverged, number(0), in[0]);
      });
  StopAttr stop = op.getStop();
  if (stop.getMode() == StopMode::until)
    pairs = pairsTaken();
  else
    pairs = d.e.index(llvm::divideCeil(stop.getLimit(), 2));
}

Factors IterateAdjoint::keepStarts() {
  Factors empty;
  for (Axis axis : {Axis::rows, Axis::cols}) {
    TensorEmitter::Sizes sizes{OpFoldResult(pairs)};
    if (std::optional<int64_t> known = getConstantIntValue(pairs))
      sizes[0] = b.getIndexAttr(*known);
    llvm::append_range(sizes, d.vectorSizes(axis));
    empty[axis] = d.e.empty(sizes, d.accumulate);
  }
  auto forward = scf::ForOp::create(
      b, loc, d.e.index(0), pairs, d.e.index(1),
      ValueRange{d.start.row, d.start.col, empty.row, empty.col},
      [&](OpBuilder &, Location, Value pair, ValueRange carried) {
        Factors factors{carried[0], carried[1]};
        Factors histories{carried[2], carried[3]};
        for (Axis axis : {Axis::rows, Axis::cols}) {
          SmallVector<OpFoldResult> sizes =
              tensor::getMixedSizes(b, loc, histories[axis]);
          SmallVector<OpFoldResult> offsets(sizes.size(), b.getIndexAttr(0)),
              strides(sizes.size(), b.getIndexAttr(1));
          offsets[0] = pair;
          sizes[0] = b.getIndexAttr(1);
          histories[axis] = tensor::InsertSliceOp::create(
              b, loc, factors[axis], histories[axis], offsets, sizes, strides);
        }
        Factors next = afterPair(stepsOfPair(factors, pair));
        scf::YieldOp::create(
            b, loc,
            ValueRange{next.row, next.col, histories.row, histories.col});
      });
  return {forward.getResult(2), forward.getResult(3)};
}

IterateAdjoint::Carried IterateAdjoint::startBackward() {
  Carried init;
  for (Axis axis : {Axis::rows, Axis::cols}) {
    Value result = axis == Axis::rows ? op.getRow() : op.getCol();
    Value given = outer.get(result);
    init.factors[axis] = given ? converted(given, vectorType(axis))
                               : TensorAdjoint(b).getOrZero(loc, d.start[axis]);
    // From zero: one value may be both targets, or a start as well.
    if (Value t = d.target(axis); t && outer.isActive(t))
      init.targets[axis] = TensorAdjoint(b).getOrZero(loc, t);
  }
  if (outer.isActive(d.matrix)) {
    // On top of what there is: a second matrix would have to be added.
    Value sum = outer.get(d.matrix);
    if (sum && getElementTypeOrSelf(sum) == d.accumulate)
      init.matrix = sum;
    else
      init.matrix = d.e.filled(tensor::getMixedSizes(b, loc, d.matrix),
                               d.e.scalar(d.accumulate, 0.0));
  }
  return init;
}

FailureOr<Factors> IterateAdjoint::backOverPair(const Factors &factors,
                                                Value pair, Carried &carried) {
  SmallVector<Step, 2> steps = stepsOfPair(factors, pair);
  Axis second = other(firstAxis);
  // From the last step to the first; the adjoints of what the pair started from
  // are made anew.
  Factors start;
  Value afterFirst = carried.factors[firstAxis];
  Value afterSecond = carried.factors[second];
  Value &seen = op.getOrder() == Order::jacobi ? start[firstAxis] : afterFirst;
  if (failed(back(steps[1], afterSecond, carried, start[second], seen)) ||
      failed(
          back(steps[0], afterFirst, carried, start[firstAxis], start[second])))
    return failure();
  return start;
}

FailureOr<IterateAdjoint::Carried>
IterateAdjoint::backward(const Factors &kept) {
  bool ok = true;
  Carried init = startBackward();
  auto loop = scf::ForOp::create(
      b, loc, d.e.index(0), pairs, d.e.index(1), init.values(),
      [&](OpBuilder &, Location, Value turn, ValueRange values) {
        Carried carried = fromValues(values);
        Value last = arith::SubIOp::create(b, loc, pairs, d.e.index(1));
        Value pair = arith::SubIOp::create(b, loc, last, turn);
        Factors factors{element(kept.row, pair, vectorType(Axis::rows)),
                        element(kept.col, pair, vectorType(Axis::cols))};
        FailureOr<Factors> start = backOverPair(factors, pair, carried);
        ok = succeeded(start);
        if (ok)
          carried.factors = moved(*start, fromValues(values).factors);
        scf::YieldOp::create(b, loc, carried.values());
      });
  if (!ok)
    return failure();
  return fromValues(loop.getResults());
}

void IterateAdjoint::storeMatrix(Value sum) {
  auto type = cast<RankedTensorType>(d.matrix.getType());
  Type element = type.getElementType();
  if (getElementTypeOrSelf(sum) == element) {
    outer.set(d.matrix, converted(sum, type));
    return;
  }
  int64_t rank = type.getRank();
  SmallVector<int64_t, 2> all = llvm::to_vector<2>(llvm::seq<int64_t>(rank));
  Value narrow = d.e.elementwise(
      tensor::getMixedSizes(b, loc, sum), rank, element, {{sum, all}},
      [&](OpBuilder &inner, Location l, ValueRange in) {
        return castFloat(inner, l, in[0], element);
      });
  outer.add(loc, d.matrix, converted(narrow, type));
}

LogicalResult IterateAdjoint::storeStart(Axis axis, Value startAdjoint) {
  Value given = axis == Axis::rows ? op.getRowStart() : op.getColStart();
  if (!given || !outer.isActive(given))
    return success();
  TensorAdjoint local(b);
  local.markActive(given);
  local.markActive(d.start[axis]);
  local.set(d.start[axis], startAdjoint);
  if (failed(local.run(d.start[axis].getDefiningOp())))
    return failure();
  outer.add(loc, given, local.getOrZero(loc, given));
  return success();
}

LogicalResult IterateAdjoint::run() {
  if (failed(verify()))
    return failure();
  d.start = d.startFactors();
  countPairs();
  FailureOr<Carried> done = backward(keepStarts());
  if (failed(done))
    return failure();
  if (done->matrix)
    storeMatrix(done->matrix);
  for (Axis axis : {Axis::rows, Axis::cols}) {
    if (done->targets[axis])
      outer.add(loc, d.target(axis), done->targets[axis]);
    if (failed(storeStart(axis, done->factors[axis])))
      return failure();
  }
  return success();
}

LogicalResult scaling::differentiateIterate(TensorAdjoint &adjoint,
                                            IterateOp op) {
  return IterateAdjoint(adjoint, op).run();
}
