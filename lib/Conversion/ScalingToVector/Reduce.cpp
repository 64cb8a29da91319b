//===- Reduce.cpp - Statistics as loops over vectors ----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorEmitter.h"

#include "scaling/Dialect/Scaling/Transforms/Transforms.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// What a pass of a statistic looks at.
struct LiftInfo {
  /// Which sweep over the matrix it belongs to: one after those of the passes
  /// whose states its entries look at.
  unsigned sweep = 0;
  /// What every entry adds, where that is always the same.
  std::optional<double> constant;
};
} // namespace

/// Asked of the statistic itself: what does it use of what it is given?
static SmallVector<LiftInfo> inspectPasses(OpBuilder &builder, Location loc,
                                           StatisticAttrInterface stat,
                                           FloatType type) {
  SmallVector<LiftInfo> passes;
  for (unsigned pass = 0; pass < stat.getNumPasses(); ++pass) {
    Region region;
    Block *block = new Block;
    region.push_back(block);
    OpBuilder inner(builder.getContext());
    inner.setInsertionPointToStart(block);
    Value entry = block->addArgument(type, loc);
    SmallVector<Value> finished;
    for (unsigned i = 0; i < pass; ++i)
      finished.push_back(block->addArgument(type, loc));
    Value lifted = stat.lift(inner, loc, pass, entry, finished);
    LiftInfo info;
    for (unsigned i = 0; i < pass; ++i)
      if (!finished[i].use_empty() || lifted == finished[i])
        info.sweep = std::max(info.sweep, passes[i].sweep + 1);
    if (auto constant = lifted.getDefiningOp<arith::ConstantOp>())
      info.constant = cast<FloatAttr>(constant.getValue()).getValueAsDouble();
    passes.push_back(info);
  }
  return passes;
}

namespace {
/// Lowers one reduction. `kept` is the dimension of the axis, `reduced` the
/// one that goes away.
class ReduceLowering {
public:
  ReduceLowering(ReduceOp op, RewriterBase &builder,
                 const ScalingToVectorPassOptions &options)
      : stat(op.getStat()), loc(op.getLoc()),
        rank(op.getStructuredIteratorTypes().size()),
        kept(op.getAxis() == Axis::rows ? op.getMatrixDims().first
                                        : op.getMatrixDims().second),
        reduced(op.getAxis() == Axis::rows ? op.getMatrixDims().second
                                           : op.getMatrixDims().first),
        e(builder, op.getLoc(), getArithmeticType(op.getOuts()[0]), rank - 1,
          options),
        at(rank) {
    BufferReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    matrix = reader.read(op.getMatrix());
    factor = reader.read(op.getFactor());
    mask = reader.read(op.getMask());
    scale = reader.read(op.getScale());
    outs = reader.read(op.getOuts());

    SmallVector<MappedBuffer> buffers{matrix, factor, mask};
    llvm::append_range(buffers, outs);
    e.chooseLanes(buffers);
    for (int64_t dim = 0; dim < rank; ++dim)
      sizes.push_back(e.sizeOf(dim, buffers));
    liftInfos = inspectPasses(builder, loc, stat, e.compute);
    // Larger than a cache's first level, and read in order.
    auto schedule = op->getAttrOfType<ScheduleAttr>(kScheduleAttrName);
    prefetches = schedule && schedule.getRegime() == Regime::streaming &&
                 !schedule.getRecompute();
    if (isa<LInfAttr>(stat))
      e.maximum = Maximum::ofMagnitudes;
    else if (isa<LogSumExpAttr>(stat)) // the sum of exponentials is NaN then
      e.maximum = Maximum::ofNumbers;
  }

  void lower() {
    scaleVector = e.splat(e.loadScalar(scale, at));
    SmallVector<int64_t> outer;
    SmallVector<Value> outerSizes;
    for (int64_t dim = 0; dim < rank; ++dim) {
      if (dim == kept || dim == reduced || dim == e.vectorDim)
        continue;
      outer.push_back(dim);
      outerSizes.push_back(sizes[dim]);
    }
    e.nest(at, outer, outerSizes, [&] {
      if (e.vectorDim == kept)
        return lowerAcrossRows();
      if (e.vectorDim == reduced)
        return lowerKeptBlocks(/*lanesMask=*/nullptr);
      // Matrices side by side: both axes are loops.
      std::optional<int64_t> n = VectorEmitter::known(sizes[kept]);
      std::optional<int64_t> m = VectorEmitter::known(sizes[reduced]);
      // Not where storage is narrower for no want of room: that is the wide
      // arithmetic of what is seldom needed.
      bool isWide =
          e.compute.isF64() && !getElementTypeOrSelf(matrix.value).isF64();
      if (n && m && !isWide)
        e.unrollIfFew(*n * *m);
      e.signedZeros = false;
      e.vectors(e.index(0), sizes[e.vectorDim], [&](Value begin, Value lanes) {
        at[e.vectorDim] = begin;
        lowerKeptBlocks(lanes);
      });
    });
    e.eraseDead();
  }

private:
  using Values = SmallVector<Value>;

  Value identity(unsigned pass, int64_t count) {
    llvm::APFloat value = stat.getIdentity(pass, e.compute.getFloatSemantics());
    TypedAttr attr = e.b.getFloatAttr(e.compute, value);
    Type type = e.typeOf(count);
    if (auto vector = dyn_cast<VectorType>(type))
      attr = DenseElementsAttr::get(vector, attr);
    return arith::ConstantOp::create(e.b, loc, attr);
  }

  /// Whether what a pass adds is known without a look at the entries.
  bool isCounted(unsigned pass) const {
    return liftInfos[pass].constant && !mask;
  }

  Value createEntry(Value otherFactor, Value lanes) {
    return createScaledEntry(e.b, loc, stat.isLog(), e.load(matrix, at, lanes),
                             otherFactor, scaleVector);
  }

  /// The state that came in, moved to the new pivots and joined with what the
  /// entries give.
  Value merge(unsigned pass, Value state, ArrayRef<Value> before,
              ArrayRef<Value> after, Value added) {
    Value moved = stat.rebase(e.b, loc, pass, state, before, after);
    return e.combine(stat.isMaxPass(pass), moved, added);
  }

  //===--- The vector runs along the states -------------------------------===//

  /// Blocks of rows are added to the states of a vector of columns, so that
  /// the matrix is read row by row and every entry once, also where a
  /// statistic has several passes: a block stays in registers.
  void lowerAcrossRows() {
    e.blocks(sizes[reduced], e.getRowBlock(), [&](Value row, int64_t rows) {
      Position position = at;
      Values factors(rows), parts(rows);
      for (int64_t i = 0; i < rows; ++i) {
        at[reduced] = e.add(row, e.index(i));
        factors[i] = e.splat(e.loadScalar(factor, at));
        parts[i] = e.splat(e.loadScalar(mask, at));
      }
      e.vectors(e.index(0), sizes[kept], [&](Value column, Value lanes) {
        at[kept] = column;
        addRows(row, factors, parts, lanes);
      });
      at = position;
    });
  }

  void addRows(Value row, ArrayRef<Value> factors, ArrayRef<Value> parts,
               Value lanes) {
    if (prefetches && !lanes)
      prefetchRows(row, factors.size());
    Values entries;
    for (auto [i, other] : llvm::enumerate(factors)) {
      at[reduced] = e.add(row, e.index(i));
      entries.push_back(createEntry(other, lanes));
    }
    Values before, after;
    for (auto [pass, out] : llvm::enumerate(outs)) {
      bool isMax = stat.isMaxPass(pass);
      // Two chains, joined before the state takes part: what follows the load
      // of the state is one operation.
      Values chains;
      if (isCounted(pass))
        chains.push_back(
            e.constant(*liftInfos[pass].constant * entries.size()));
      for (auto [i, entry] : llvm::enumerate(entries)) {
        if (isCounted(pass))
          break;
        Value term = stat.lift(e.b, loc, pass, entry, after);
        if (chains.size() < 2)
          chains.push_back(e.select(parts[i], term, identity(pass, e.lanes)));
        else
          chains[i % 2] = e.accumulate(isMax, chains[i % 2], term, parts[i],
                                       /*inside=*/nullptr,
                                       /*identity=*/nullptr);
      }
      Value added = chains.size() == 2 ? e.combine(isMax, chains[0], chains[1])
                                       : chains[0];
      Value state = e.load(out, at, lanes);
      Value next = merge(pass, state, before, after, added);
      before.push_back(state);
      after.push_back(next);
    }
    for (auto [out, state] : llvm::zip_equal(outs, after))
      e.store(out, at, state, lanes);
  }

  /// Asks for the entries as many rows further on. What predicts addresses
  /// does not follow as many streams as a block has rows, each as short as a
  /// row is. Behind the last row nothing is read: it is no access.
  void prefetchRows(Value row, int64_t rows) {
    for (int64_t i = 0; i < rows; ++i) {
      at[reduced] = e.add(row, e.index(rows + i));
      e.prefetch(matrix, at);
    }
  }

  //===--- A loop runs along the states
  //------------------------------------===//

  bool isHorizontal() const { return e.vectorDim == reduced; }

  /// A block of rows (or of whatever is kept) at a time, whose accumulators
  /// are in registers while a sweep runs along the reduced dimension.
  void lowerKeptBlocks(Value lanesMask) {
    e.blocks(sizes[kept], e.getRowBlock(), [&](Value first, int64_t count) {
      Position position = at;
      at[kept] = first;
      reduceBlock(count, lanesMask);
      at = position;
    });
  }

  /// States of a block: one vector along the rows where lanes are folded, else
  /// a vector along the lanes for each.
  Values loadStates(const MappedBuffer &out, int64_t count, Value lanesMask) {
    if (isHorizontal())
      return {e.loadAlong(out, at, kept, count)};
    Values states;
    Value first = at[kept];
    for (int64_t i = 0; i < count; ++i) {
      at[kept] = e.add(first, e.index(i));
      states.push_back(e.load(out, at, lanesMask));
    }
    at[kept] = first;
    return states;
  }

  void storeStates(const MappedBuffer &out, int64_t count, Value lanesMask,
                   ArrayRef<Value> states) {
    if (isHorizontal())
      return e.storeAlong(out, at, kept, count, states[0]);
    Value first = at[kept];
    for (int64_t i = 0; i < count; ++i) {
      at[kept] = e.add(first, e.index(i));
      e.store(out, at, states[i], lanesMask);
    }
    at[kept] = first;
  }

  /// Adds the entries at `at` of each row of the block to its accumulators,
  /// which are ordered by pass, then by row. `inside` excludes entries beyond
  /// the end, `lanesMask` says what may be loaded.
  void addEntries(ArrayRef<unsigned> passes, int64_t count, Value inside,
                  Value lanesMask, ArrayRef<Values> finished,
                  MutableArrayRef<Value> sums) {
    Value otherFactor = e.load(factor, at, lanesMask);
    Value part = e.load(mask, at, lanesMask);
    Value first = at[kept];
    for (int64_t i = 0; i < count; ++i) {
      at[kept] = e.add(first, e.index(i));
      Value entry = createEntry(otherFactor, lanesMask);
      for (auto [position, pass] : llvm::enumerate(passes)) {
        Value term = stat.lift(e.b, loc, pass, entry, finished[i]);
        Value &sum = sums[position * count + i];
        sum = e.accumulate(stat.isMaxPass(pass), sum, term, part, inside,
                           identity(pass, e.lanes));
      }
    }
    at[kept] = first;
  }

  void reduceBlock(int64_t count, Value lanesMask) {
    unsigned passes = outs.size();
    SmallVector<Values> before, after;
    for (const MappedBuffer &out : outs)
      before.push_back(loadStates(out, count, lanesMask));
    // What entries of each row look at, spread over lanes.
    SmallVector<Values> finished(count);

    unsigned numSweeps = 0;
    for (const LiftInfo &info : liftInfos)
      numSweeps = std::max(numSweeps, info.sweep + 1);
    after.resize(passes);
    for (unsigned sweep = 0; sweep < numSweeps; ++sweep) {
      SmallVector<unsigned> members, read;
      for (unsigned pass = 0; pass < passes; ++pass)
        if (liftInfos[pass].sweep == sweep)
          members.push_back(pass);
      llvm::copy_if(members, std::back_inserter(read),
                    [&](unsigned pass) { return !isCounted(pass); });
      Values sums;
      if (!read.empty())
        sums = runSweep(read, count, lanesMask, finished);
      for (unsigned pass : members) {
        Values added;
        if (isCounted(pass)) {
          Value number = createCount(*liftInfos[pass].constant);
          added = isHorizontal() ? Values{e.splat(number, count)}
                                 : Values(count, e.splat(number));
        } else {
          size_t position = llvm::find(read, pass) - read.begin();
          ArrayRef<Value> own = ArrayRef(sums).slice(position * count, count);
          added = isHorizontal()
                      ? Values{e.foldLanes(stat.isMaxPass(pass), own)}
                      : Values(own);
        }
        for (auto [unit, value] : llvm::enumerate(added)) {
          Values old, now;
          for (unsigned i = 0; i < pass; ++i) {
            old.push_back(before[i][unit]);
            now.push_back(after[i][unit]);
          }
          after[pass].push_back(
              merge(pass, before[pass][unit], old, now, value));
        }
      }
      if (sweep + 1 < numSweeps)
        spreadFinished(count, after, finished);
    }
    for (auto [out, states] : llvm::zip_equal(outs, after))
      storeStates(out, count, lanesMask, states);
  }

  /// Makes finished states visible to the sweeps to come. A pass may finish
  /// after one with a higher number: lifts never look at such.
  void spreadFinished(int64_t count, ArrayRef<Values> after,
                      MutableArrayRef<Values> finished) {
    for (int64_t i = 0; i < count; ++i) {
      finished[i].clear();
      for (const Values &states : after) {
        if (states.empty())
          finished[i].push_back(identity(finished[i].size(), e.lanes));
        else if (isHorizontal())
          finished[i].push_back(e.splat(e.extract(states[0], i)));
        else
          finished[i].push_back(states[i]);
      }
    }
  }

  /// A number for every reduced entry, as one of the compute type.
  Value createCount(double each) {
    if (std::optional<int64_t> size = VectorEmitter::known(sizes[reduced]))
      return e.constant(each * *size, 1);
    Value size =
        arith::IndexCastOp::create(e.b, loc, e.b.getI64Type(), sizes[reduced]);
    Value number = arith::SIToFPOp::create(e.b, loc, e.compute, size);
    return arith::MulFOp::create(e.b, loc, number, e.constant(each, 1));
  }

  /// The accumulators of some passes after a run along the reduced dimension.
  Values runSweep(ArrayRef<unsigned> passes, int64_t count, Value lanesMask,
                  ArrayRef<Values> finished) {
    // Two chains per row and pass where there are registers for them in a
    // whole block of rows; as many for a row alone, so that its result does not
    // depend on the block it is in.
    int64_t chains = isHorizontal() && passes.size() == 1 ? 2 : 1;
    if (std::optional<int64_t> size = VectorEmitter::known(sizes[reduced]))
      if (*size <= e.lanes)
        chains = 1;
    if (e.lanes == 1)
      chains = 1;
    size_t perChain = passes.size() * count;
    Values starts;
    for (int64_t chain = 0; chain < chains; ++chain)
      for (unsigned pass : passes)
        starts.append(count, identity(pass, e.lanes));

    Values sums;
    if (isHorizontal()) {
      sums = e.vectors(
          e.index(0), sizes[reduced], chains, starts,
          [&](ArrayRef<Value> begins, ArrayRef<Value> masks, ValueRange sums) {
            Values next(sums);
            for (auto [chain, begin] : llvm::enumerate(begins)) {
              at[reduced] = begin;
              addEntries(
                  passes, count, masks[chain], masks[chain], finished,
                  MutableArrayRef(next).slice(chain * perChain, perChain));
            }
            return next;
          });
    } else {
      sums = e.loop(e.index(0), sizes[reduced], 1, starts,
                    [&](Value iv, ValueRange sums) {
                      Values next(sums);
                      at[reduced] = iv;
                      addEntries(passes, count, nullptr, lanesMask, finished,
                                 next);
                      return next;
                    });
    }
    for (int64_t chain = 1; chain < chains; ++chain)
      for (size_t i = 0; i < perChain; ++i)
        sums[i] = e.combine(stat.isMaxPass(passes[i / count]), sums[i],
                            sums[chain * perChain + i]);
    sums.truncate(perChain);
    return sums;
  }

  StatisticAttrInterface stat;
  Location loc;
  int64_t rank, kept, reduced;
  VectorEmitter e;
  Position at;
  MappedBuffer matrix, factor, mask, scale;
  SmallVector<MappedBuffer> outs;
  Values sizes;
  SmallVector<LiftInfo> liftInfos;
  Value scaleVector;
  bool prefetches = false;
};

struct ReduceToVector final : OpRewritePattern<ReduceOp> {
  ReduceToVector(MLIRContext *context,
                 const ScalingToVectorPassOptions &options)
      : OpRewritePattern(context), options(options) {}

  LogicalResult matchAndRewrite(ReduceOp op,
                                PatternRewriter &rewriter) const override {
    if (!isOnBuffers(op))
      return rewriter.notifyMatchFailure(op, "not on memrefs");
    ReduceLowering(op, rewriter, options).lower();
    rewriter.eraseOp(op);
    return success();
  }

  ScalingToVectorPassOptions options;
};
} // namespace

void scaling::populateReduceToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options) {
  patterns.add<ReduceToVector>(patterns.getContext(), options);
}
