//===- Apply.cpp - What the plan does, as loops over vectors --------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorEmitter.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::scaling;

/// Columns of a value matrix that accumulate on the stack at a time, where its
/// type is narrower than the arithmetic's.
static constexpr int64_t kWidth = 128;

/// What a block of rows of the plan may take of the stack.
static constexpr int64_t kBlockBytes = 64 << 10;

namespace {
/// Lowers one apply. Its domain is the batch, rows, columns and, for products,
/// the columns of the value matrix.
class ApplyLowering {
public:
  ApplyLowering(ApplyOp op, RewriterBase &builder,
                const ScalingToVectorPassOptions &options)
      : op(op), loc(op.getLoc()), rank(op.getStructuredIteratorTypes().size()),
        isProduct(op.getKind() == ApplyKind::product),
        rowDim(rank - (isProduct ? 3 : 2)), colDim(rowDim + 1),
        widthDim(isDual() ? rowDim : rowDim + 2),
        e(builder, loc, getArithmeticType(SmallVector<Value>(op.getOperands())),
          colDim, options),
        wide(builder, loc, e.compute, widthDim, options), at(rank) {
    BufferReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    for (Value value : {op.getMatrix(), op.getRow(), op.getCol(),
                        op.getRowWeight(), op.getColWeight()})
      plan.push_back(reader.read(value));
    operand = reader.read(op.getOperand());
    reader.read(op.getOffset());
    reader.read(op.getRowOffset());
    outs = reader.read(op.getOuts());

    SmallVector<MappedBuffer> buffers(plan);
    if (!isProduct)
      buffers.push_back(operand);
    e.chooseLanes(buffers);
    if (isProduct)
      wide.chooseLanes({operand, outs[0]});
    if (isDual())
      wide.chooseLanes({plan[1], plan[3]});
    buffers.push_back(operand);
    llvm::append_range(buffers, outs);
    for (int64_t dim = 0; dim < rank; ++dim)
      sizes.push_back(e.sizeOf(dim, buffers));
  }

  void lower() {
    SmallVector<int64_t> batch = llvm::to_vector(llvm::seq<int64_t>(rowDim));
    e.nest(at, batch, ArrayRef(sizes).take_front(rowDim), [&] {
      switch (op.getKind()) {
      case ApplyKind::product:
        return lowerProduct();
      case ApplyKind::value:
      case ApplyKind::mass:
      case ApplyKind::dual:
        return lowerSum();
      case ApplyKind::argmax:
        return lowerArgMax();
      }
    });
    e.eraseDead();
    wide.eraseDead();
  }

private:
  using Values = SmallVector<Value>;

  bool isDual() { return op.getKind() == ApplyKind::dual; }

  /// What of the plan does not run along the columns.
  Values loadRow() {
    Values parts(plan.size());
    for (auto [part, buffer] : llvm::zip_equal(parts, plan))
      if (!buffer.runsAlong(colDim))
        part = e.load(buffer, at);
    return parts;
  }

  /// Entries of the plan at `at`, given what `loadRow` gave; of a dual value,
  /// what they lack to the product of the marginals, which the plan is without.
  Value createEntry(Values parts, Value mask) {
    for (auto [part, buffer] : llvm::zip_equal(parts, plan))
      if (buffer.runsAlong(colDim))
        part = e.load(buffer, at, mask);
    if (!isDual())
      return createPlanAt(e, op.getDomain(), /*logarithm=*/false, parts);
    Value product = arith::MulFOp::create(e.b, loc, parts[3], parts[4]);
    parts[3] = parts[4] = Value();
    return arith::SubFOp::create(
        e.b, loc, product,
        createPlanAt(e, op.getDomain(), /*logarithm=*/false, parts));
  }

  //===--- Sums
  //-------------------------------------------------------------===//

  /// Sums of rows are added to a vector: the error grows with n + m, not with
  /// n·m, and lanes are folded once.
  void lowerSum() {
    constexpr int64_t kChains = 4;
    Value zero = e.constant(0.0);
    Value total = e.loop(e.index(0), sizes[rowDim], 1, zero,
                         [&](Value row, ValueRange total) -> Values {
                           at[rowDim] = row;
                           return {e.combine(/*isMax=*/false, total[0],
                                             createRowSum(kChains, zero))};
                         })[0];
    total = e.foldLanes(/*isMax=*/false, total);
    if (isDual()) {
      total = addTerms(total, wide, rowDim, plan[3], plan[1], op.getOffset(),
                       sizes[colDim]);
      total = addTerms(total, e, colDim, plan[4], plan[2], op.getRowOffset(),
                       sizes[rowDim]);
    }
    Value state = e.loadScalar(outs[0], at);
    e.store(outs[0], at, e.combine(/*isMax=*/false, state, total));
  }

  /// A dual value with the terms of its rows or columns, on a tile that begins
  /// where the whole matrix does and has entries there.
  Value addTerms(Value total, VectorEmitter &along, int64_t dim,
                 const MappedBuffer &marginal, const MappedBuffer &factor,
                 Value begin, Value acrossSize) {
    Value zero = along.constant(0.0);
    auto sum = [&]() -> Values {
      Value terms = along.vectors(
          along.index(0), sizes[dim], 1, zero,
          [&](ArrayRef<Value> begins, ArrayRef<Value> masks,
              ValueRange sums) -> Values {
            at[dim] = begins[0];
            Value term =
                createDualTerm(along.b, loc, op.getDomain() != Domain::kernel,
                               along.load(marginal, at, masks[0]),
                               along.load(factor, at, masks[0]));
            return {along.accumulate(/*isMax=*/false, sums[0], term,
                                     /*mask=*/nullptr, masks[0], zero)};
          })[0];
      return {along.combine(/*isMax=*/false, total,
                            along.foldLanes(/*isMax=*/false, terms))};
    };
    Value none = e.index(0), condition;
    auto also = [&](arith::CmpIPredicate predicate, Value value) {
      condition = e.both(
          condition, arith::CmpIOp::create(e.b, loc, predicate, value, none));
    };
    if (begin)
      also(arith::CmpIPredicate::eq, begin);
    if (VectorEmitter::known(acrossSize).value_or(0) == 0)
      also(arith::CmpIPredicate::ne, acrossSize);
    return condition ? e.branch(condition, total, sum)[0] : sum()[0];
  }

  Value createRowSum(int64_t chains, Value zero) {
    Values parts = loadRow();
    Values sums = e.vectors(
        e.index(0), sizes[colDim], chains, Values(chains, zero),
        [&](ArrayRef<Value> begins, ArrayRef<Value> masks, ValueRange sums) {
          Values next(sums);
          for (auto [chain, begin] : llvm::enumerate(begins)) {
            at[colDim] = begin;
            Value term = createTerm(createEntry(parts, masks[chain]),
                                    e.load(operand, at, masks[chain]));
            next[chain] = e.accumulate(/*isMax=*/false, next[chain], term,
                                       /*mask=*/nullptr, masks[chain], zero);
          }
          return next;
        });
    while (sums.size() > 1) {
      size_t half = sums.size() / 2;
      for (size_t i = 0; i < half; ++i)
        sums[i] = e.combine(/*isMax=*/false, sums[i], sums[half + i]);
      sums.truncate(half);
    }
    return sums[0];
  }

  /// P·C, 0 where P is 0: a forbidden pair may cost ∞.
  Value createTerm(Value entry, Value cost) {
    if (!cost)
      return entry;
    Value zero = e.constant(0.0);
    Value isZero =
        arith::CmpFOp::create(e.b, loc, arith::CmpFPredicate::OEQ, entry, zero);
    Value product = arith::MulFOp::create(e.b, loc, entry, cost);
    return e.select(isZero, zero, product);
  }

  //===--- The largest entry
  //-------------------------------------------------===//

  /// Every lane keeps the first of its largest entries; of the lanes, the
  /// first of the largest wins. Lanes that found nothing hold what was there.
  void lowerArgMax() {
    Type i64 = e.b.getI64Type(), indexType = e.typeOf(e.lanes, i64);
    Value steps;
    if (e.lanes > 1) {
      auto order = llvm::to_vector(llvm::seq<int64_t>(e.lanes));
      steps = arith::ConstantOp::create(
          e.b, loc,
          DenseElementsAttr::get(cast<VectorType>(indexType),
                                 ArrayRef<int64_t>(order)));
    }
    e.loop(e.index(0), sizes[rowDim], 1, [&](Value row) {
      at[rowDim] = row;
      Values parts = loadRow();
      Value best = e.load(outs[0], at);
      Value bestAt = e.splat(e.loadScalar(outs[1], at));
      Values found =
          e.vectors(e.index(0), sizes[colDim], 1, {best, bestAt},
                    [&](ArrayRef<Value> begins, ArrayRef<Value> masks,
                        ValueRange best) -> Values {
                      at[colDim] = begins[0];
                      Value entry = createEntry(parts, masks[0]);
                      Value first = begins[0];
                      if (Value offset = op.getOffset())
                        first = e.add(first, offset);
                      Value index = e.splat(
                          arith::IndexCastOp::create(e.b, loc, i64, first));
                      if (steps)
                        index = arith::AddIOp::create(e.b, loc, index, steps);
                      Value larger = arith::CmpFOp::create(
                          e.b, loc, arith::CmpFPredicate::OGT, entry, best[0]);
                      larger = e.both(larger, masks[0]);
                      return {e.select(larger, entry, best[0]),
                              e.select(larger, index, best[1])};
                    });
      foldLargest(found);
      e.store(outs[0], at, found[0]);
      e.store(outs[1], at, found[1]);
    });
  }

  /// Of values and where they are, the largest and first.
  void foldLargest(Values &found) {
    for (int64_t width = e.lanes; width > 1; width /= 2) {
      auto low = llvm::to_vector(llvm::seq<int64_t>(width / 2));
      auto high = llvm::to_vector(llvm::seq<int64_t>(width / 2, width));
      auto half = [&](Value value, ArrayRef<int64_t> lanes) -> Value {
        return vector::ShuffleOp::create(e.b, loc, value, value, lanes);
      };
      Value value = half(found[0], low), other = half(found[0], high);
      Value index = half(found[1], low), otherIndex = half(found[1], high);
      Value larger = arith::CmpFOp::create(e.b, loc, arith::CmpFPredicate::OGT,
                                           other, value);
      Value equal = arith::CmpFOp::create(e.b, loc, arith::CmpFPredicate::OEQ,
                                          other, value);
      Value before = arith::CmpIOp::create(e.b, loc, arith::CmpIPredicate::slt,
                                           otherIndex, index);
      Value wins =
          arith::OrIOp::create(e.b, loc, larger, e.both(equal, before));
      found = {e.select(wins, other, value), e.select(wins, otherIndex, index)};
    }
    for (Value &value : found)
      value = e.extract(value, 0);
  }

  //===--- Products
  //----------------------------------------------------------===//

  /// A block of the plan is made on the stack, then a few of its rows (or
  /// columns) at a time are multiplied with vectors of the value matrix, sums
  /// being in registers.
  void lowerProduct() {
    bool transposed = op.getTransposed();
    keptDim = transposed ? colDim : rowDim;
    readDim = transposed ? rowDim : colDim;
    int64_t keptBlock = transposed ? 64 : e.getRowBlock();
    int64_t readBlock = transposed ? 64 : getReadBlock(keptBlock);
    if (!block) {
      SmallVector<int64_t> shape{keptBlock, readBlock};
      if (transposed)
        std::swap(shape[0], shape[1]);
      block = MappedBuffer{e.scratch(shape), {rowDim, colDim}};
    }
    bool isNarrow =
        getElementTypeOrSelf(outs[0].value) != cast<Type>(e.compute);
    if (isNarrow && !partial)
      partial =
          MappedBuffer{e.scratch({keptBlock, kWidth}), {keptDim, widthDim}};

    e.loop(e.index(0), sizes[keptDim], keptBlock, [&](Value kept) {
      Value keptEnd =
          e.minimum(e.add(kept, e.index(keptBlock)), sizes[keptDim]);
      auto multiply = [&](const MappedBuffer &sums, Value sumsAt, Value begin,
                          Value end) {
        e.loop(e.index(0), sizes[readDim], readBlock, [&](Value read) {
          Value readEnd =
              e.minimum(e.add(read, e.index(readBlock)), sizes[readDim]);
          makePlan(kept, keptEnd, read, readEnd);
          addProducts(sums, sumsAt, kept, keptEnd, read, readEnd, begin, end);
        });
      };
      if (!isNarrow)
        return multiply(outs[0], e.index(0), e.index(0), sizes[widthDim]);
      // Sums are rounded once, not once per block.
      e.loop(e.index(0), sizes[widthDim], kWidth, [&](Value begin) {
        Value end = e.minimum(e.add(begin, e.index(kWidth)), sizes[widthDim]);
        copySums(outs[0], partial, kept, keptEnd, begin, end, /*in=*/true);
        multiply(partial, begin, begin, end);
        copySums(partial, outs[0], kept, keptEnd, begin, end, /*in=*/false);
      });
    });
  }

  /// Columns of a block of rows: all where that fits, so that sums are in
  /// registers from the first to the last and in memory never between.
  int64_t getReadBlock(int64_t rows) {
    constexpr int64_t kShort = 256;
    std::optional<int64_t> cols = VectorEmitter::known(sizes[colDim]);
    if (!cols)
      return kShort;
    int64_t whole = llvm::alignTo(std::max<int64_t>(*cols, 1), e.lanes);
    bool fits = rows * whole * e.compute.getWidth() / 8 <= kBlockBytes;
    return fits ? whole : kShort;
  }

  /// Between the destination and the sums on the stack.
  void copySums(const MappedBuffer &from, const MappedBuffer &to, Value kept,
                Value keptEnd, Value begin, Value end, bool in) {
    wide.loop(kept, keptEnd, 1, [&](Value iv) {
      wide.vectors(begin, end, [&](Value column, Value mask) {
        Position outer = at, inner = at;
        outer[keptDim] = iv;
        outer[widthDim] = column;
        inner[keptDim] = wide.sub(iv, kept);
        inner[widthDim] = wide.sub(column, begin);
        wide.store(to, in ? inner : outer,
                   wide.load(from, in ? outer : inner, mask), mask);
      });
    });
  }

  /// Entries of the plan to the block on the stack, whose rows are whole
  /// vectors: what is behind the last entry is never read.
  void makePlan(Value kept, Value keptEnd, Value read, Value readEnd) {
    bool transposed = op.getTransposed();
    Value rows = transposed ? read : kept, cols = transposed ? kept : read;
    Value rowsEnd = transposed ? readEnd : keptEnd;
    Value colsEnd = transposed ? keptEnd : readEnd;
    e.loop(rows, rowsEnd, 1, [&](Value row) {
      at[rowDim] = row;
      Values parts = loadRow();
      e.vectors(cols, colsEnd, [&](Value col, Value mask) {
        at[colDim] = col;
        Value entry = createEntry(parts, mask);
        Position inner = at;
        inner[rowDim] = e.sub(row, rows);
        inner[colDim] = e.sub(col, cols);
        e.store(block, inner, entry);
      });
    });
  }

  /// sums += block · V (or its transpose), on columns [begin, end) of V.
  void addProducts(const MappedBuffer &sums, Value sumsAt, Value kept,
                   Value keptEnd, Value read, Value readEnd, Value begin,
                   Value end) {
    bool onStack = sums.value == partial.value;
    constexpr int64_t kVectors = 2;
    auto body = [&](Value first, int64_t count) {
      wide.vectors(
          begin, end, kVectors, {},
          [&](ArrayRef<Value> begins, ArrayRef<Value> masks,
              ValueRange) -> Values {
            SmallVector<Position> places;
            SmallVector<Value> placeMasks;
            Values starts;
            for (int64_t i = 0; i < count; ++i)
              for (auto [column, mask] : llvm::zip_equal(begins, masks)) {
                Position place = at;
                Value line = wide.add(first, wide.index(i));
                place[keptDim] = onStack ? line : wide.add(kept, line);
                place[widthDim] = wide.sub(column, sumsAt);
                starts.push_back(wide.load(sums, place, mask));
                places.push_back(place);
                placeMasks.push_back(mask);
              }
            Values done = wide.loop(
                read, readEnd, 1, starts, [&](Value iv, ValueRange carried) {
                  return addOuterProduct(first, count, read, iv, begins, masks,
                                         carried);
                });
            for (auto [place, mask, sum] :
                 llvm::zip_equal(places, placeMasks, done))
              wide.store(sums, place, sum, mask);
            return {};
          });
    };
    wide.blocks(wide.sub(keptEnd, kept), wide.getRowBlock(), body);
  }

  Values addOuterProduct(Value first, int64_t count, Value read, Value iv,
                         ArrayRef<Value> begins, ArrayRef<Value> masks,
                         ValueRange carried) {
    Position place = at;
    place[readDim] = iv;
    Values values, next;
    for (auto [column, mask] : llvm::zip_equal(begins, masks)) {
      place[widthDim] = column;
      values.push_back(wide.load(operand, place, mask));
    }
    place[readDim] = wide.sub(iv, read);
    for (int64_t i = 0; i < count; ++i) {
      place[keptDim] = wide.add(first, wide.index(i));
      Value entry = wide.splat(wide.loadScalar(block, place));
      for (Value value : values) {
        Value product = arith::MulFOp::create(wide.b, loc, entry, value);
        next.push_back(wide.accumulate(
            /*isMax=*/false, carried[next.size()], product, /*mask=*/nullptr,
            /*inside=*/nullptr, /*identity=*/nullptr));
      }
    }
    return next;
  }

  ApplyOp op;
  Location loc;
  int64_t rank;
  bool isProduct;
  int64_t rowDim, colDim, widthDim;
  /// Along the columns of the matrix, and along those of the value matrix.
  VectorEmitter e, wide;
  Position at;
  SmallVector<MappedBuffer> plan;
  MappedBuffer operand;
  SmallVector<MappedBuffer> outs;
  Values sizes;
  /// Products: the dimension of the matrix the result keeps, and the other.
  int64_t keptDim = 0, readDim = 0;
  MappedBuffer block, partial;
};

struct ApplyToVector final : OpRewritePattern<ApplyOp> {
  ApplyToVector(MLIRContext *context, const ScalingToVectorPassOptions &options)
      : OpRewritePattern(context), options(options) {}

  LogicalResult matchAndRewrite(ApplyOp op,
                                PatternRewriter &rewriter) const override {
    if (!isOnBuffers(op))
      return rewriter.notifyMatchFailure(op, "not on memrefs");
    ApplyLowering(op, rewriter, options).lower();
    rewriter.eraseOp(op);
    return success();
  }

  ScalingToVectorPassOptions options;
};
} // namespace

void scaling::populateApplyToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options) {
  patterns.add<ApplyToVector>(patterns.getContext(), options);
}
