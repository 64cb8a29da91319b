//===- IterateAdjoint.cpp - Derivatives of an iteration -------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IterateDecomposer.h"
#include "MatrixBlocks.h"
#include "ReductionAdjoint.h"
#include "scaling/Dialect/Scaling/Differentiate/TensorAdjoint.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace mlir::scaling;

/// Of up to so many pairs of half-steps all is kept: their vectors take little
/// room, and nothing is done again.
static constexpr int64_t kPairsAllKept = 32;

/// Room for the vectors of a bounded iteration is made by its bound, up to this
/// one: they are few, and their sizes known. Beyond it, by the pairs taken.
static constexpr int64_t kMostPairsOfRoom = 1 << 16;

namespace {
/// The half-steps that were taken, and back over them.
///
/// Pairs of half-steps are counted, and divided into segments of about the root
/// of their number. What each segment starts from is kept on the way forward;
/// on the way back, the last segment first, a segment is done once more, and
/// what each of its half-steps needs is kept: short vectors, never a matrix. Of
/// a single segment all is kept on the way forward.
///
/// Of a factor that serves both axes, a pair of half-steps leaves behind what
/// the first has made as the factor of the columns, and what the second has
/// made of that as the factor of the rows.
class IterateAdjoint {
public:
  /// The builder is at the op, where forward code is written; the way back is
  /// written at `end`.
  IterateAdjoint(TensorAdjoint &outer, IterateOp op, OpBuilder::InsertPoint end,
                 Value skipped)
      : outer(outer), op(op), skipped(skipped), loc(op.getLoc()), end(end),
        b(outer.b), d(b, op), results{op.getRow(), op.getCol()},
        firstAxis(op.getOrder() == Order::cols_first || d.isSymmetric()
                      ? Axis::cols
                      : Axis::rows) {}

  LogicalResult run();

private:
  /// A half-step, and what is needed to go back over it.
  struct Step {
    Axis axis;
    Value own, other, next;
    SmallVector<Value> states;
    /// What the matrix is taken times; null for nothing.
    Value scale;
  };
  using Steps = SmallVector<Step, 2>;
  /// What is kept of the pairs of a segment, one pair behind the other: the
  /// factors they start from, behind the last pair those it ends with, and the
  /// states of their half-steps.
  using Histories = SmallVector<Value>;
  /// What the loop back carries.
  struct Carried {
    Factors factors, targets;
    Value matrix;
    /// What the matrix is computed from, where that is done by blocks; null for
    /// what has no adjoint.
    SmallVector<Value> sources;
    SmallVector<Value> values() const {
      SmallVector<Value> all{factors.row, factors.col};
      for (Value value : {targets.row, targets.col, matrix})
        if (value)
          all.push_back(value);
      for (Value value : sources)
        if (value)
          all.push_back(value);
      return all;
    }
  };

  LogicalResult verify();
  void chooseSegments();
  void chooseBlocks();
  /// How many half-steps each element took that did not diverge.
  void countSteps();
  Value pairsTaken();
  /// Nobody but the way back wants to know how a fixed number ended.
  bool replacesIteration();
  /// The factors in the iteration's place, and what segments start from.
  void forward(bool replaces);
  void replaceIteration(Factors last);
  Carried startBackward();
  /// Adjoints of the start, of targets and the matrix.
  FailureOr<Carried> backward();
  FailureOr<Carried> backOverSegment(Value first, Value count,
                                     const Histories &histories,
                                     const Carried &init);
  /// Adjoints of what the pair started from, given those of what it made.
  FailureOr<Factors> backOverPair(const Steps &steps, Carried &carried);
  /// From the adjoint of a step's own factor in terms of the pair's ε to that
  /// in terms of the one before.
  LogicalResult backOverAnnealing(const Step &step, Carried &carried,
                                  Value &adjoint);
  /// The same of one factor for both axes.
  FailureOr<Factors> backOverMeans(const Steps &steps, Carried &carried);
  void storeMatrix(Value sum);
  LogicalResult storeStart(Axis axis, Value startAdjoint);

  /// The steps of pair `pair`, in their order; `kept` are their states where
  /// these are known, `middle` what the first one made.
  Steps stepsOfPair(Factors factors, Value pair, ArrayRef<Value> kept = {},
                    Value middle = Value());
  SmallVector<Value> states(Axis axis, Value other, Value scale,
                            ArrayRef<Value> &kept);
  SmallVector<Value> readBlocks(Axis axis, Value factor, Value scale);
  /// The way back over a reduction, block by block.
  LogicalResult backOverBlocks(const ReductionStep &step, Carried &carried,
                               Value &factorAdjoint);
  /// The half-step after `k` of them; in place where its own factor was not
  /// kept.
  void update(Step &step, Value k, bool inPlace);
  /// `count` pairs from the pair `first`; all they need is kept in `histories`
  /// if there are any.
  Factors doPairs(const Factors &start, Value first, Value count,
                  Histories &histories);
  LogicalResult back(const Step &step, Value nextAdjoint, Carried &carried,
                     Value &ownAdjoint, Value &otherAdjoint,
                     SmallVectorImpl<ReductionAdjoint> &reductions);

  /// The first pair of a segment, and how many it has.
  Value firstPair(Value segment);
  Value pairsOf(Value first);

  /// Room for `count` vectors of an axis per batch element.
  Value emptyHistory(OpFoldResult count, Axis axis);
  Histories emptyHistories();
  Axis axisOfHistory(size_t index);
  Value keep(Value vector, Value history, Value index);
  Value element(Value history, Value index, Axis axis);
  RankedTensorType vectorType(Axis axis) {
    return cast<RankedTensorType>(d.start[axis].getType());
  }
  Value converted(Value value, RankedTensorType type);
  /// The values where the old ones are: a loop's state has one buffer.
  Factors moved(const Factors &next, const Factors &old);
  Carried fromValues(ValueRange values);
  Value constant(int64_t value) { return d.e.index(value); }

  TensorAdjoint &outer;
  IterateOp op;
  /// Elements whose half-steps do not matter; null if there are none.
  Value skipped;
  Location loc;
  OpBuilder::InsertPoint end;
  OpBuilder &b;
  IterateDecomposer d;
  /// The factors that came out.
  Factors results;
  Axis firstAxis;
  /// Half-steps done per batch element; null as long as all are done.
  Value counts;
  /// As many pairs of them as the longest element took.
  Value pairs;
  /// Room for so many segments of so many pairs, and how many there are.
  OpFoldResult maxSegments, segmentPairs;
  Value segments;
  /// Where the matrix is made from points.
  std::optional<MatrixBlocks> blocks;
  /// What segments start from; null where there is one segment, which starts
  /// where the iteration does. `whole` is what is kept of that.
  Factors checkpoints;
  Histories whole;
};
} // namespace

LogicalResult IterateAdjoint::verify() {
  if (Value betas = op.getAnneal(); betas && outer.isActive(betas))
    return op.emitOpError("has no derivative with respect to 'anneal'");
  if (op.getStop().getMode() == StopMode::best)
    return op.emitOpError("that stops with 'best' has no derivative: which "
                          "factors are the best is a choice");
  return success();
}

SmallVector<Value> IterateAdjoint::states(Axis axis, Value other, Value scale,
                                          ArrayRef<Value> &kept) {
  if (kept.empty())
    return blocks ? readBlocks(axis, other, scale) : d.read(axis, other, scale);
  unsigned count = d.stat(axis).getNumPasses();
  SmallVector<Value> own(kept.take_front(count));
  kept = kept.drop_front(count);
  return own;
}

SmallVector<Value> IterateAdjoint::readBlocks(Axis axis, Value factor,
                                              Value scale) {
  StatisticAttrInterface stat = d.stat(axis);
  SmallVector<Value> init;
  for (unsigned pass = 0; pass < stat.getNumPasses(); ++pass) {
    Value identity = arith::ConstantOp::create(
        b, loc,
        b.getFloatAttr(
            d.accumulate,
            stat.getIdentity(pass, d.accumulate.getFloatSemantics())));
    init.push_back(d.e.filled(d.vectorSizes(axis), identity));
  }
  Value mask = d.mask(other(axis));
  // A vector of the other axis that goes from block to block as it is.
  bool carriesOne = axis == Axis::cols && d.batchSizes.empty();
  return blocks->forEach(init, [&](const MatrixBlocks::Block &block,
                                   ValueRange carried) {
    auto partOf = [&](Value value, Axis along) {
      return value ? blocks->part(value, block, MatrixBlocks::vector(along))
                   : Value();
    };
    SmallVector<Value> outs = llvm::map_to_vector(
        carried, [&](Value state) { return partOf(state, axis); });
    SmallVector<Value> states(
        ReduceOp::create(b, loc, ValueRange(outs).getTypes(),
                         block.matrices.lookup(d.matrix),
                         partOf(factor, other(axis)), partOf(mask, other(axis)),
                         scale, outs, axis, stat, DenseI64ArrayAttr())
            .getResults());
    // Merging looks at old states as well as new ones.
    for (auto [state, whole] : llvm::zip_equal(states, carried))
      state =
          carriesOne
              ? linalg::CopyOp::create(b, loc, state, whole).getResult(0)
              : blocks->store(state, whole, block, MatrixBlocks::vector(axis));
    return states;
  });
}

void IterateAdjoint::update(Step &step, Value k, bool inPlace) {
  Axis axis = step.axis;
  SmallVector<EmitterInput> inputs;
  for (Value state : step.states)
    inputs.push_back({state, {0}});
  Value target = d.target(axis), mask = d.mask(axis);
  if (target)
    inputs.push_back({target, {0}});
  if (mask)
    inputs.push_back({mask, {0}});
  int64_t limit = op.getStop().getLimit();
  // All half-steps of a fixed even number are done in pairs.
  bool always = !counts && limit % 2 == 0;
  if (counts)
    inputs.push_back({counts, {}});
  if (!inPlace)
    inputs.push_back({step.own, {0}});
  Value number = arith::IndexCastOp::create(b, loc, b.getI32Type(), k);
  size_t numStates = step.states.size();
  bool readsOwn = true;
  auto body = [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
    ValueRange rest = in.drop_front(numStates);
    Value h = in.back();
    Value t = target ? rest[0] : Value();
    Value m = mask ? rest[target ? 1 : 0] : Value();
    // The geometric mean with the old factor.
    Value omega =
        d.isSymmetric() ? createConstant(inner, l, d.accumulate, 0.5) : Value();
    Value next = createUpdate(inner, l, d.rule(axis), d.domain,
                              in.take_front(numStates), h, t, m, omega)
                     .factor;
    if (always) {
      for (Operation &made :
           llvm::make_early_inc_range(llvm::reverse(*inner.getBlock())))
        if (&made != next.getDefiningOp() && isOpTriviallyDead(&made))
          made.erase();
      readsOwn = !h.use_empty();
      return next;
    }
    Value all = counts ? in[in.size() - 2]
                       : arith::ConstantOp::create(
                             inner, l, inner.getI32IntegerAttr(limit))
                             .getResult();
    Value runs =
        arith::CmpIOp::create(inner, l, arith::CmpIPredicate::slt, number, all);
    return arith::SelectOp::create(inner, l, runs, next, h);
  };
  step.next = inPlace ? d.e.inPlace(step.own, 1, inputs, body)
                      : d.e.elementwise(d.vectorSizes(axis), 1, d.accumulate,
                                        inputs, body);
  // A destination that is not read is forgotten, and what the loop carries
  // must end where it began.
  if (inPlace && !readsOwn)
    step.next =
        linalg::CopyOp::create(b, loc, step.next, step.own).getResult(0);
}

IterateAdjoint::Steps IterateAdjoint::stepsOfPair(Factors factors, Value pair,
                                                  ArrayRef<Value> kept,
                                                  Value middle) {
  Axis second = other(firstAxis);
  bool inPlace = kept.empty();
  Value k = arith::MulIOp::create(b, loc, pair, constant(2));
  Value later = arith::AddIOp::create(b, loc, k, constant(1));
  Value scale;
  if (op.getAnneal())
    scale = d.anneal(pair, factors, inPlace);
  auto read = [&](Axis axis, Value own, Value other) {
    return Step{axis, own, other, Value(), states(axis, other, scale, kept),
                scale};
  };
  if (d.isSymmetric()) {
    Steps steps{read(firstAxis, factors.row, factors.row)};
    update(steps[0], k, /*inPlace=*/false);
    Value made = middle ? middle : steps[0].next;
    steps.push_back(read(second, made, made));
    update(steps[1], later, /*inPlace=*/false);
    return steps;
  }
  Steps steps{read(firstAxis, factors[firstAxis], factors[second])};
  // Simultaneous steps both read before anything is written.
  bool jacobi = op.getOrder() == Order::jacobi;
  if (jacobi)
    steps.push_back(read(second, factors[second], factors[firstAxis]));
  update(steps[0], k, inPlace);
  if (!jacobi)
    steps.push_back(
        read(second, factors[second], middle ? middle : steps[0].next));
  update(steps[1], later, inPlace);
  return steps;
}

Value IterateAdjoint::emptyHistory(OpFoldResult count, Axis axis) {
  // Batch dimensions are in front, as everywhere.
  TensorEmitter::Sizes sizes(d.batchSizes);
  sizes.push_back(count);
  sizes.push_back(axis == Axis::rows ? d.rows : d.cols);
  return d.e.empty(sizes, d.accumulate);
}

IterateAdjoint::Histories IterateAdjoint::emptyHistories() {
  unsigned all = 2;
  for (Axis axis : {Axis::rows, Axis::cols})
    all += d.stat(axis).getNumPasses();
  Histories histories;
  AffineExpr more = b.getAffineDimExpr(0) + 1;
  OpFoldResult starts =
      affine::makeComposedFoldedAffineApply(b, loc, more, segmentPairs);
  for (unsigned index = 0; index < all; ++index)
    histories.push_back(
        emptyHistory(index < 2 ? starts : segmentPairs, axisOfHistory(index)));
  return histories;
}

Axis IterateAdjoint::axisOfHistory(size_t index) {
  if (index < 2)
    return index == 0 ? Axis::rows : Axis::cols;
  bool ofFirst = index - 2 < d.stat(firstAxis).getNumPasses();
  return ofFirst ? firstAxis : other(firstAxis);
}

Factors IterateAdjoint::doPairs(const Factors &start, Value first, Value count,
                                Histories &histories) {
  auto keepFactors = [&](const Factors &factors, SmallVector<Value> &kept,
                         Value index) {
    if (kept.empty())
      return;
    kept[0] = keep(factors.row, kept[0], index);
    kept[1] = keep(factors.col, kept[1], index);
  };
  keepFactors(start, histories, constant(0));
  SmallVector<Value> init{start.row, start.col};
  llvm::append_range(init, histories);
  auto loop = scf::ForOp::create(
      b, loc, constant(0), count, constant(1), init,
      [&](OpBuilder &, Location, Value turn, ValueRange carried) {
        Factors factors{carried[0], carried[1]};
        SmallVector<Value> kept(carried.drop_front(2));
        Value pair = arith::AddIOp::create(b, loc, first, turn);
        Steps steps = stepsOfPair(factors, pair);
        for (const Step &step : steps)
          factors[step.axis] = step.next;
        if (d.isSymmetric())
          factors = moved(factors, {carried[0], carried[1]});
        if (!kept.empty()) {
          unsigned next = 2;
          for (const Step &step : steps)
            for (Value state : step.states) {
              kept[next] = keep(state, kept[next], turn);
              ++next;
            }
        }
        Value after = arith::AddIOp::create(b, loc, turn, constant(1));
        keepFactors(factors, kept, after);
        SmallVector<Value> yielded{factors.row, factors.col};
        llvm::append_range(yielded, kept);
        scf::YieldOp::create(b, loc, yielded);
      });
  histories = SmallVector<Value>(loop.getResults().drop_front(2));
  return {loop.getResult(0), loop.getResult(1)};
}

LogicalResult
IterateAdjoint::back(const Step &step, Value nextAdjoint, Carried &carried,
                     Value &ownAdjoint, Value &otherAdjoint,
                     SmallVectorImpl<ReductionAdjoint> &reductions) {
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
  Operation *update = step.next.getDefiningOp();
  if (failed(local.run(update)))
    return failure();
  // It was there to be differentiated.
  if (isOpTriviallyDead(update))
    update->erase();
  ownAdjoint = local.get(step.own);
  if (carried.targets[step.axis])
    carried.targets[step.axis] = local.get(target);

  SmallVector<Value> stateAdjoints;
  for (Value state : step.states)
    stateAdjoints.push_back(local.get(state));
  ReductionStep read{step.axis,
                     static_cast<int64_t>(d.batchSizes.size()),
                     d.stat(step.axis),
                     d.accumulate,
                     d.matrix,
                     step.other,
                     d.mask(other(step.axis)),
                     step.states,
                     stateAdjoints,
                     step.scale};
  if (blocks)
    return backOverBlocks(read, carried, otherAdjoint);
  ReductionAdjoint made(b, loc, read);
  // A factor may be its own and the other's neighbour at once.
  TensorAdjoint reduction(b);
  reduction.markActive(step.other);
  if (otherAdjoint)
    reduction.set(step.other, otherAdjoint);
  made.addToFactor(reduction);
  otherAdjoint = reduction.getOrZero(loc, step.other);
  reductions.push_back(std::move(made));
  return success();
}

LogicalResult IterateAdjoint::backOverBlocks(const ReductionStep &step,
                                             Carried &carried,
                                             Value &factorAdjoint) {
  bool ok = true;
  if (!factorAdjoint)
    factorAdjoint = TensorAdjoint(b).getOrZero(loc, step.factor);
  SmallVector<Value> init{factorAdjoint};
  llvm::copy_if(carried.sources, std::back_inserter(init),
                [](Value adjoint) { return adjoint != nullptr; });
  MatrixBlocks::Tail ofOwn = MatrixBlocks::vector(step.axis),
                     ofOther = MatrixBlocks::vector(other(step.axis));
  SmallVector<Value> values = blocks->forEach(
      init, [&](const MatrixBlocks::Block &block, ValueRange in) {
        auto own = [&](Value value) {
          return value ? blocks->part(value, block, ofOwn) : Value();
        };
        ReductionStep here = step;
        here.batchRank = llvm::count(block.dropped, false);
        here.matrix = block.matrices.lookup(d.matrix);
        llvm::transform(step.states, here.states.begin(), own);
        llvm::transform(step.adjoints, here.adjoints.begin(), own);
        here.factor = blocks->part(step.factor, block, ofOther);
        if (step.mask)
          here.mask = blocks->part(step.mask, block, ofOther);
        ReductionAdjoint made(b, loc, here);
        TensorAdjoint reduction(b);
        reduction.markActive(here.factor);
        reduction.set(here.factor, blocks->part(in.front(), block, ofOther));
        made.addToFactor(reduction);
        SmallVector<Value> out{blocks->store(reduction.get(here.factor),
                                             in.front(), block, ofOther)};

        SmallVector<Value> sources(carried.sources);
        size_t next = 1;
        for (Value &adjoint : sources)
          if (adjoint)
            adjoint = in[next++];
        if (next > 1) {
          Value sum = ReductionAdjoint::addToMatrix(
              b, loc, TensorAdjoint(b).getOrZero(loc, here.matrix), made);
          ok &= succeeded(blocks->addToSources(block, sum, sources));
        }
        llvm::copy_if(sources, std::back_inserter(out),
                      [](Value adjoint) { return adjoint != nullptr; });
        return out;
      });
  factorAdjoint = values.front();
  size_t next = 1;
  for (Value &adjoint : carried.sources)
    if (adjoint)
      adjoint = values[next++];
  return success(ok);
}

/// Where a vector per batch element is among `count` of them.
static std::tuple<SmallVector<OpFoldResult>, SmallVector<OpFoldResult>,
                  SmallVector<OpFoldResult>>
placeOf(OpBuilder &b, Location loc, Value history, Value index) {
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, history);
  SmallVector<OpFoldResult> offsets(sizes.size(), b.getIndexAttr(0)),
      strides(sizes.size(), b.getIndexAttr(1));
  offsets[sizes.size() - 2] = index;
  sizes[sizes.size() - 2] = b.getIndexAttr(1);
  return {offsets, sizes, strides};
}

Value IterateAdjoint::keep(Value vector, Value history, Value index) {
  auto [offsets, sizes, strides] = placeOf(b, loc, history, index);
  return tensor::InsertSliceOp::create(b, loc, vector, history, offsets, sizes,
                                       strides);
}

Value IterateAdjoint::element(Value history, Value index, Axis axis) {
  auto [offsets, sizes, strides] = placeOf(b, loc, history, index);
  return tensor::ExtractSliceOp::create(b, loc, vectorType(axis), history,
                                        offsets, sizes, strides);
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
  Carried carried{{values[0], values[1]}, {}, {}, {}};
  size_t next = 2;
  for (Axis axis : {Axis::rows, Axis::cols})
    if (Value t = d.target(axis); t && outer.isActive(t))
      carried.targets[axis] = values[next++];
  if (blocks) {
    for (Value source : blocks->getSources())
      carried.sources.push_back(outer.isActive(source) ? values[next++]
                                                       : Value());
  } else if (outer.isActive(d.matrix)) {
    carried.matrix = values[next++];
  }
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

void IterateAdjoint::countSteps() {
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
  if (skipped)
    counts = d.replace(counts, skipped, d.batchInt(0));
}

void IterateAdjoint::chooseSegments() {
  int64_t most = llvm::divideCeil(op.getStop().getLimit(), 2);
  int64_t room = outer.options.checkpoints;
  if (room == 0)
    room = most <= kPairsAllKept ? 1 : std::ceil(std::sqrt(double(most)));
  room = std::clamp<int64_t>(room, 1, std::max<int64_t>(most, 1));
  int64_t each = std::max<int64_t>(llvm::divideCeil(most, room), 1);
  maxSegments =
      b.getIndexAttr(std::max<int64_t>(llvm::divideCeil(most, each), 1));
  segmentPairs = b.getIndexAttr(each);
  if (!skipped && op.getStop().getMode() != StopMode::until) {
    pairs = constant(most);
    segments = d.e.indexValue(maxSegments);
    return;
  }
  pairs = pairsTaken();
  if (most > kMostPairsOfRoom) {
    // Of a limit that is there for form's sake, room by the pairs taken.
    Value taken = d.e.toFloat(pairs, b.getF64Type());
    Value root =
        math::CeilOp::create(b, loc, math::SqrtOp::create(b, loc, taken));
    Value whole = arith::FPToSIOp::create(b, loc, b.getI64Type(), root);
    Value size = arith::IndexCastOp::create(b, loc, b.getIndexType(), whole);
    size = arith::MaxUIOp::create(b, loc, size, constant(1));
    segmentPairs = size;
    maxSegments = size;
  }
  segments =
      arith::CeilDivUIOp::create(b, loc, pairs, d.e.indexValue(segmentPairs));
}

void IterateAdjoint::chooseBlocks() {
  // A maximum of columns is shared among the entries of all rows.
  auto isPartial = [&](Axis axis) {
    return d.stat(axis).getNumPasses() > 1 || !d.stat(axis).isMaxPass(0);
  };
  if (isPartial(Axis::rows) && isPartial(Axis::cols) &&
      getElementTypeOrSelf(d.matrix) == d.accumulate)
    blocks = MatrixBlocks::create(b, loc, d.matrix, d.batchSizes);
}

Value IterateAdjoint::firstPair(Value segment) {
  return arith::MulIOp::create(b, loc, segment, d.e.indexValue(segmentPairs));
}

Value IterateAdjoint::pairsOf(Value first) {
  // As many in each, where they come out even.
  std::optional<int64_t> all = getConstantIntValue(pairs),
                         each = getConstantIntValue(segmentPairs);
  if (all && each && *all % *each == 0)
    return d.e.indexValue(segmentPairs);
  Value left = arith::SubIOp::create(b, loc, pairs, first);
  return arith::MinUIOp::create(b, loc, left, d.e.indexValue(segmentPairs));
}

bool IterateAdjoint::replacesIteration() {
  return !skipped && op.getStop().getMode() == StopMode::fixed &&
         op.getHalfSteps().use_empty() && op.getResidual().use_empty() &&
         op.getStatus().use_empty();
}

void IterateAdjoint::replaceIteration(Factors last) {
  if (d.isSymmetric())
    last.col = last.row;
  Value diverged = d.notFinite(last);
  Factors factors = d.replace(last, diverged, d.start);
  counts = d.onBatch(
      b.getI32Type(), {diverged},
      [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
        Value none =
            arith::ConstantOp::create(inner, l, inner.getI32IntegerAttr(0));
        Value all = arith::ConstantOp::create(
            inner, l, inner.getI32IntegerAttr(op.getStop().getLimit()));
        return arith::SelectOp::create(inner, l, in[0], none, all);
      });
  for (Axis axis : {Axis::rows, Axis::cols}) {
    Value own = converted(factors[axis],
                          cast<RankedTensorType>(results[axis].getType()));
    outer.replace(results[axis], own);
    results[axis] = own;
  }
}

void IterateAdjoint::forward(bool replaces) {
  if (!replaces)
    countSteps();
  chooseSegments();
  Factors last;
  if (getConstantIntValue(maxSegments) == 1) {
    whole = emptyHistories();
    last = doPairs(d.start, constant(0), pairs, whole);
  } else {
    Factors rooms{emptyHistory(maxSegments, Axis::rows),
                  emptyHistory(maxSegments, Axis::cols)};
    auto loop = scf::ForOp::create(
        b, loc, constant(0), segments, constant(1),
        ValueRange{d.start.row, d.start.col, rooms.row, rooms.col},
        [&](OpBuilder &, Location, Value segment, ValueRange carried) {
          Factors factors{carried[0], carried[1]};
          Value row = keep(factors.row, carried[2], segment);
          Value col = keep(factors.col, carried[3], segment);
          Value first = firstPair(segment), count = pairsOf(first);
          // Where the last segment ends is known unless the iteration is gone.
          if (!replaces) {
            Value next = arith::AddIOp::create(b, loc, segment, constant(1));
            Value isLast = arith::CmpIOp::create(
                b, loc, arith::CmpIPredicate::eq, next, segments);
            count = arith::SelectOp::create(b, loc, isLast, constant(0), count);
          }
          Histories none;
          factors = doPairs(factors, first, count, none);
          scf::YieldOp::create(b, loc,
                               ValueRange{factors.row, factors.col, row, col});
        });
    last = {loop.getResult(0), loop.getResult(1)};
    checkpoints = {loop.getResult(2), loop.getResult(3)};
  }
  if (replaces)
    replaceIteration(last);
}

IterateAdjoint::Carried IterateAdjoint::startBackward() {
  Carried init;
  // One factor has the adjoints of both.
  TensorAdjoint both(b);
  for (Axis axis : {Axis::rows, Axis::cols}) {
    Value given = outer.get(results[axis]);
    if (given)
      given = converted(given, vectorType(axis));
    if (d.isSymmetric()) {
      both.markActive(d.start.row);
      if (given)
        both.add(loc, d.start.row, given);
      given = Value();
    }
    init.factors[axis] =
        given ? given : TensorAdjoint(b).getOrZero(loc, d.start[axis]);
    // From zero: one value may be both targets, or a start as well.
    if (Value t = d.target(axis); t && outer.isActive(t))
      init.targets[axis] = TensorAdjoint(b).getOrZero(loc, t);
  }
  if (d.isSymmetric())
    init.factors.row = init.factors.col = both.getOrZero(loc, d.start.row);
  if (blocks) {
    for (Value source : blocks->getSources())
      init.sources.push_back(outer.isActive(source)
                                 ? TensorAdjoint(b).getOrZero(loc, source)
                                 : Value());
  } else if (outer.isActive(d.matrix)) {
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

FailureOr<Factors> IterateAdjoint::backOverPair(const Steps &steps,
                                                Carried &carried) {
  Axis second = other(firstAxis);
  // From the last step to the first; the adjoints of what the pair started from
  // are made anew.
  Factors start;
  if (d.isSymmetric())
    return backOverMeans(steps, carried);
  Value afterFirst = carried.factors[firstAxis];
  Value afterSecond = carried.factors[second];
  Value &seen = op.getOrder() == Order::jacobi ? start[firstAxis] : afterFirst;
  SmallVector<ReductionAdjoint, 0> reductions;
  if (failed(back(steps[1], afterSecond, carried, start[second], seen,
                  reductions)) ||
      failed(back(steps[0], afterFirst, carried, start[firstAxis],
                  start[second], reductions)))
    return failure();
  // The matrix is gone through once for both.
  if (carried.matrix)
    carried.matrix =
        ReductionAdjoint::addToMatrix(b, loc, carried.matrix, reductions);
  if (op.getAnneal())
    for (const Step &step : steps)
      if (failed(backOverAnnealing(step, carried, start[step.axis])))
        return failure();
  return start;
}

LogicalResult IterateAdjoint::backOverAnnealing(const Step &step,
                                                Carried &carried,
                                                Value &adjoint) {
  auto moved = step.own.getDefiningOp<linalg::GenericOp>();
  // As `anneal` makes it: the target, if there is one, then the factor.
  Value before = moved.getInputs().back();
  Value target = d.target(step.axis);
  TensorAdjoint local(b);
  local.markActive(before);
  local.markActive(step.own);
  local.set(step.own, adjoint);
  Value &ofTarget = carried.targets[step.axis];
  if (ofTarget) {
    local.markActive(target);
    local.set(target, ofTarget);
  }
  if (failed(local.run(moved.getOperation())))
    return failure();
  adjoint = local.getOrZero(loc, before);
  if (ofTarget)
    ofTarget = local.get(target);
  return success();
}

FailureOr<Factors> IterateAdjoint::backOverMeans(const Steps &steps,
                                                 Carried &carried) {
  SmallVector<ReductionAdjoint, 0> reductions;
  Value after = carried.factors.row;
  for (const Step &step : llvm::reverse(steps)) {
    // It is its own factor's and the other one's.
    Value before;
    if (failed(back(step, after, carried, before, before, reductions)))
      return failure();
    after = before;
  }
  if (carried.matrix)
    carried.matrix =
        ReductionAdjoint::addToMatrix(b, loc, carried.matrix, reductions);
  return Factors{after, after};
}

FailureOr<IterateAdjoint::Carried> IterateAdjoint::backOverSegment(
    Value first, Value count, const Histories &histories, const Carried &init) {
  bool ok = true;
  auto loop = scf::ForOp::create(
      b, loc, constant(0), count, constant(1), init.values(),
      [&](OpBuilder &, Location, Value turn, ValueRange values) {
        Carried carried = fromValues(values);
        Value last = arith::SubIOp::create(b, loc, count, constant(1));
        Value at = arith::SubIOp::create(b, loc, last, turn);
        SmallVector<Value> kept;
        for (auto [index, history] : llvm::enumerate(histories))
          kept.push_back(element(history, at, axisOfHistory(index)));
        Value pair = arith::AddIOp::create(b, loc, first, at);
        Value after = arith::AddIOp::create(b, loc, at, constant(1));
        Value middle = element(histories[firstAxis == Axis::rows ? 0 : 1],
                               after, firstAxis);
        Steps steps = stepsOfPair({kept[0], kept[1]}, pair,
                                  ArrayRef(kept).drop_front(2), middle);
        FailureOr<Factors> start = backOverPair(steps, carried);
        ok = succeeded(start);
        if (ok)
          carried.factors = moved(*start, fromValues(values).factors);
        scf::YieldOp::create(b, loc, carried.values());
      });
  if (!ok)
    return failure();
  return fromValues(loop.getResults());
}

FailureOr<IterateAdjoint::Carried> IterateAdjoint::backward() {
  Carried init = startBackward();
  if (!checkpoints.row)
    return backOverSegment(constant(0), pairs, whole, init);
  bool ok = true;
  auto loop = scf::ForOp::create(
      b, loc, constant(0), segments, constant(1), init.values(),
      [&](OpBuilder &, Location, Value turn, ValueRange values) {
        Value last = arith::SubIOp::create(b, loc, segments, constant(1));
        Value segment = arith::SubIOp::create(b, loc, last, turn);
        Value first = firstPair(segment), count = pairsOf(first);
        Factors start{element(checkpoints.row, segment, Axis::rows),
                      element(checkpoints.col, segment, Axis::cols)};
        Histories histories = emptyHistories();
        doPairs(start, first, count, histories);
        FailureOr<Carried> before =
            backOverSegment(first, count, histories, fromValues(values));
        ok = succeeded(before);
        scf::YieldOp::create(
            b, loc, ok ? before->values() : SmallVector<Value>(values));
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
  chooseBlocks();
  bool replaces = replacesIteration();
  forward(replaces);
  b.restoreInsertionPoint(end);
  FailureOr<Carried> done = backward();
  if (failed(done))
    return failure();
  if (done->matrix)
    storeMatrix(done->matrix);
  if (blocks)
    for (auto [source, adjoint] :
         llvm::zip_equal(blocks->getSources(), done->sources))
      if (adjoint)
        outer.add(loc, source, adjoint);
  for (Axis axis : {Axis::rows, Axis::cols}) {
    if (done->targets[axis])
      outer.add(loc, d.target(axis), done->targets[axis]);
    if (failed(storeStart(axis, done->factors[axis])))
      return failure();
  }
  if (replaces)
    op.erase();
  return success();
}

/// Which steps a relaxation would take is not known here.
static void doNotRelax(IterateOp op) {
  StopAttr stop = op.getStop();
  if (!stop.relaxes(op.getRows(), op.getCols(), op.getOrder()))
    return;
  op.setStopAttr(StopAttr::get(
      op.getContext(), stop.getMode(), stop.getLimit(), stop.getMeasureLast(),
      stop.getTol(), stop.getWhat(), stop.getAxis(), stop.getNorm(),
      stop.getEvery(), stop.getStart(), stop.getPatienceFirst(), stop.getLast(),
      Relax::none, /*depth=*/0));
}

LogicalResult scaling::differentiateUnrolled(TensorAdjoint &adjoint,
                                             IterateOp op, Value skipped) {
  OpBuilder::InsertionGuard guard(adjoint.b);
  OpBuilder::InsertPoint end = adjoint.b.saveInsertionPoint();
  // Who is skipped is known only now.
  if (!skipped)
    adjoint.b.setInsertionPointAfter(op);
  return IterateAdjoint(adjoint, op, end, skipped).run();
}

LogicalResult scaling::differentiateIterate(TensorAdjoint &adjoint,
                                            IterateOp op) {
  switch (adjoint.options.mode) {
  case GradientMode::unrolled:
    doNotRelax(op);
    return differentiateUnrolled(adjoint, op);
  case GradientMode::implicit:
    // Its last pair may be of another ε than it is judged with.
    if (op.getAnneal())
      return op.emitOpError("with 'anneal' has no implicit derivative");
    doNotRelax(op);
    return differentiateImplicitly(adjoint, op);
  case GradientMode::envelope:
    // The value does not change with the factors.
    return success();
  }
  llvm_unreachable("a mode");
}
