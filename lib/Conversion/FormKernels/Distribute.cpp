//===- Distribute.cpp - linalg ops on GPU threads -------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Distribute.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

/// Reductions of fewer entries are not worth exchanges between lanes.
static constexpr int64_t kWarpEntries = 8;

/// Static loops of up to this many points are straight code.
static constexpr int64_t kMostUnrolled = 1 << 12;

/// Entries of a row, or of a column, that a thread has under way at a time: so
/// many loads wait for memory together. Fewer where an entry takes many
/// registers: these are for all entries, and a function takes as many as some
/// operations.
static constexpr int64_t kMostAtOnce = 8;
static constexpr int64_t kAtOnceCost = 32;
static constexpr int64_t kFunctionCost = 4;

/// Rows that a warp reduces at a time: what the columns have is loaded once for
/// all of them, and they share the exchanges between lanes.
static constexpr int64_t kMostRows = 4;

/// A sector of global memory.
static constexpr int64_t kSectorBytes = 32;

namespace {
/// Writes loops over one op's points.
class GenericEmitter {
public:
  GenericEmitter(OpBuilder &b, linalg::GenericOp op)
      : b(b), op(op), loc(op.getLoc()), point(op.getNumLoops()) {
    b.setInsertionPoint(op);
    auto structured = cast<linalg::LinalgOp>(op.getOperation());
    for (const Range &range : structured.createLoopRanges(b, loc))
      sizes.push_back(range.size);
    for (auto [dim, kind] : llvm::enumerate(op.getIteratorTypesArray()))
      (kind == IteratorType::parallel ? parallel : reduced).push_back(dim);
    combiners = findCombiners(op);
    findAtOnce();
  }

  void unroll() { walkPoints(0); }
  void distribute(const Workers &workers,
                  function_ref<Value(MemRefType)> allocate);
  /// Columns' sums begin with this rather than with what is there, and these
  /// ops on them follow.
  void joinColumns(const Workers &workers, Value begin,
                   ArrayRef<linalg::GenericOp> then) {
    firstSum = begin;
    followers = then;
    int64_t column =
        op.getMatchingIndexingMap(op.getDpsInitOperand(0)).getDimPosition(0);
    llvm::erase(parallel, column);
    parallel.push_back(column);
    distributeByColumn(workers);
  }

private:
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value sizeOf(int64_t dim) {
    return getValueOrCreateConstantIndexOp(b, loc, sizes[dim]);
  }
  scf::ForOp loop(Value begin, Value end, Value step, ValueRange inits = {}) {
    return scf::ForOp::create(b, loc, begin, end, step, inits);
  }

  void findAtOnce();
  void walkPoints(size_t dim);
  /// The positions that `lanes` workers have along a dimension, in groups that
  /// are done at a time: `vector` neighbours, `unroll` times. A group of the
  /// last entries may be smaller. Gives the states after the last group.
  struct Span {
    OpFoldResult size;
    Value lane;
    int64_t lanes = 1, vector = 1, unroll = 1;
  };
  using Positions = ArrayRef<Value>;
  SmallVector<Value>
  walkSpan(const Span &span, ValueRange states,
           function_ref<SmallVector<Value>(Positions, ValueRange)> body);
  int64_t getVector(int64_t dim) {
    return scaling::getVector(op, dim, sizes[dim]);
  }
  /// Where an operand's entry of the current point is.
  SmallVector<Value> indicesOf(OpOperand &operand);
  Value load(OpOperand &operand) {
    if (!isa<MemRefType>(operand.get().getType()))
      return operand.get();
    if (!ofColumns.empty())
      if (Value known = ofColumns.lookup({&operand, point[parallel.back()]}))
        return known;
    return memref::LoadOp::create(b, loc, bufferOf(operand),
                                  indicesOf(operand));
  }
  void store(Value value, OpOperand &operand) {
    memref::StoreOp::create(b, loc, value, bufferOf(operand),
                            indicesOf(operand));
  }
  Value bufferOf(OpOperand &operand) {
    if (Value flat = flatBuffers.lookup(&operand))
      return flat;
    if (Value wrapped = wrappedBuffers.lookup(&operand))
      return wrapped;
    Value copy = copies.lookup(&operand);
    return copy ? copy : operand.get();
  }
  /// The body at the current point, on these states of the outputs.
  SmallVector<Value> emitBody(ValueRange states);
  void emitPoint() { emitPoints({point}); }
  /// The current point and what follows it along a dimension.
  SmallVector<SmallVector<Value>> getNeighbours(int64_t dim, int64_t count);
  /// All loads of the points come before their stores, so that neighbours are
  /// one access.
  void emitPoints(ArrayRef<SmallVector<Value>> points);

  void distributeByEntry(const Workers &workers);
  /// Every thread stays in its `vector` columns: no division per entry, and
  /// neighbours that can be told to be such. Whether rows are divided evenly.
  bool distributeByRowPart(const Workers &workers, int64_t vector);
  void distributeByColumn(const Workers &workers);
  /// A column's rows shared by lanes of the only warp. Whether that fits.
  bool distributeByLaneRows(const Workers &workers);
  void distributeByRow(const Workers &workers);
  /// Entries of rows, where all of them have something of their columns in
  /// common that a thread loads once. Whether that is so.
  bool distributeByRowsOfColumn(const Workers &workers,
                                function_ref<Value(MemRefType)> allocate);
  void distributeByWarp(const Workers &workers);
  /// Fewer rows than there are warps. Whether that fits.
  bool distributeByWarps(const Workers &workers,
                         function_ref<Value(MemRefType)> allocate);
  /// As many neutral elements for each output.
  SmallVector<Value> createNeutral(int64_t count);
  /// Joins the chains of a row's states, in order.
  Value joinChains(size_t output, int64_t row, int64_t chains,
                   ValueRange states);
  /// The entries of a matrix that lies in global memory without gaps, whose
  /// rows begin anywhere in a sector. Whether it is such a matrix.
  bool distributeBySector(const Workers &workers,
                          function_ref<Value(MemRefType)> allocate);
  /// Copies what the columns have to memory where the first columns follow the
  /// last ones: lanes that are in two rows read neighbours, from all banks.
  void wrapColumns(const Workers &workers,
                   function_ref<Value(MemRefType)> allocate);
  /// Runs the reduced dimensions of these points, whose states come one after
  /// another; the last one along `span`. With `chains` states of each output,
  /// entries take turns.
  SmallVector<Value> reduceFrom(size_t position,
                                ArrayRef<SmallVector<Value>> points,
                                const Span &span, ValueRange states,
                                int64_t chains = 1);
  /// Sets the point's dimensions `dims` from one index over all of them.
  void delinearize(ArrayRef<int64_t> dims, Value linear);
  OpFoldResult foldedProduct(ArrayRef<int64_t> dims);
  Value product(ArrayRef<int64_t> dims) {
    return getValueOrCreateConstantIndexOp(b, loc, foldedProduct(dims));
  }

  OpBuilder &b;
  linalg::GenericOp op;
  Location loc;
  SmallVector<OpFoldResult> sizes;
  SmallVector<Value> point;
  SmallVector<int64_t> parallel, reduced;
  /// What joins a state and an entry, for each output; empty where something
  /// else does.
  SmallVector<Operation *> combiners;
  int64_t atOnce = 1;
  Value firstSum;
  ArrayRef<linalg::GenericOp> followers;
  /// What an operand has at a column, where it has been loaded.
  llvm::SmallDenseMap<std::pair<OpOperand *, Value>, Value> ofColumns;
  /// Operands as buffers of rank 1, whose index is the point's first additional
  /// one; and its second one.
  llvm::SmallDenseMap<OpOperand *, Value> flatBuffers, wrappedBuffers;
  /// Copies of operands, with the same indices.
  llvm::SmallDenseMap<OpOperand *, Value> copies;
};
} // namespace

void GenericEmitter::findAtOnce() {
  int64_t cost = op.getNumDpsInputs();
  for (Operation &inner : op.getBody()->without_terminator())
    cost += isa<math::MathDialect>(inner.getDialect()) ? kFunctionCost : 1;
  // What is not kept in registers costs half.
  int64_t budget = reduced.empty() ? 2 * kAtOnceCost : kAtOnceCost;
  int64_t fitting = budget / std::max<int64_t>(cost, 1);
  atOnce =
      std::clamp<int64_t>(llvm::bit_floor<uint64_t>(fitting), 1, kMostAtOnce);
}

SmallVector<Value> GenericEmitter::indicesOf(OpOperand &operand) {
  if (flatBuffers.contains(&operand))
    return {point[sizes.size()]};
  if (wrappedBuffers.contains(&operand))
    return {point[sizes.size() + 1]};
  SmallVector<Value> indices;
  for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      indices.push_back(point[dim.getPosition()]);
      continue;
    }
    // Of the loops that the expression has, and no other: those inside of the
    // store do not reach it.
    SmallVector<AffineExpr> dims;
    SmallVector<Value> operands;
    for (auto [dim, value] : llvm::enumerate(point)) {
      bool used = expr.isFunctionOfDim(dim);
      dims.push_back(used ? b.getAffineDimExpr(operands.size())
                          : b.getAffineConstantExpr(0));
      if (used)
        operands.push_back(value);
    }
    if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
      indices.push_back(index(constant.getValue()));
      continue;
    }
    indices.push_back(affine::AffineApplyOp::create(
        b, loc, AffineMap::get(operands.size(), 0, expr.replaceDims(dims)),
        operands));
  }
  return indices;
}

SmallVector<Value> GenericEmitter::emitBody(ValueRange states) {
  IRMapping mapping;
  Block &body = *op.getBody();
  for (OpOperand *input : op.getDpsInputOperands()) {
    BlockArgument entry = op.getMatchingBlockArgument(input);
    if (!entry.use_empty())
      mapping.map(entry, load(*input));
  }
  for (auto [argument, state] :
       llvm::zip_equal(op.getRegionOutputArgs(), states))
    mapping.map(argument, state);
  for (Operation &inner : body.without_terminator()) {
    if (auto position = dyn_cast<linalg::IndexOp>(inner)) {
      mapping.map(position.getResult(), point[position.getDim()]);
      continue;
    }
    b.clone(inner, mapping);
  }
  return llvm::map_to_vector(
      body.getTerminator()->getOperands(),
      [&](Value value) { return mapping.lookupOrDefault(value); });
}

void GenericEmitter::emitPoints(ArrayRef<SmallVector<Value>> points) {
  SmallVector<SmallVector<Value>> results;
  for (const SmallVector<Value> &each : points) {
    point = each;
    SmallVector<Value> states;
    for (OpOperand &out : op.getDpsInitsMutable()) {
      BlockArgument state = op.getMatchingBlockArgument(&out);
      states.push_back(state.use_empty() ? Value() : load(out));
    }
    results.push_back(emitBody(states));
  }
  for (auto [each, values] : llvm::zip_equal(points, results)) {
    point = each;
    for (auto [out, result] : llvm::zip_equal(op.getDpsInitsMutable(), values))
      store(result, out);
  }
}

void GenericEmitter::walkPoints(size_t dim) {
  if (dim == sizes.size())
    return emitPoint();
  int64_t points = 1;
  for (OpFoldResult size : ArrayRef(sizes).drop_front(dim)) {
    std::optional<int64_t> known = getConstantIntValue(size);
    points =
        known && points <= kMostUnrolled ? points * *known : kMostUnrolled + 1;
  }
  if (points <= kMostUnrolled) {
    for (int64_t i = 0, e = *getConstantIntValue(sizes[dim]); i < e; ++i) {
      point[dim] = index(i);
      walkPoints(dim + 1);
    }
    return;
  }
  scf::ForOp inner = loop(index(0), sizeOf(dim), index(1));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(inner.getBody());
  point[dim] = inner.getInductionVar();
  walkPoints(dim + 1);
}

OpFoldResult GenericEmitter::foldedProduct(ArrayRef<int64_t> dims) {
  AffineExpr x, y;
  bindDims(b.getContext(), x, y);
  OpFoldResult total = b.getIndexAttr(1);
  for (int64_t dim : dims)
    total = affine::makeComposedFoldedAffineApply(b, loc, x * y,
                                                  {total, sizes[dim]});
  return total;
}

void GenericEmitter::delinearize(ArrayRef<int64_t> dims, Value linear) {
  for (int64_t dim : llvm::reverse(dims)) {
    if (dim == dims.front()) {
      point[dim] = linear;
      return;
    }
    Value size = sizeOf(dim);
    point[dim] = b.createOrFold<arith::RemUIOp>(loc, linear, size);
    linear = b.createOrFold<arith::DivUIOp>(loc, linear, size);
  }
}

//===----------------------------------------------------------------------===//
// Along a dimension
//===----------------------------------------------------------------------===//

SmallVector<Value> GenericEmitter::walkSpan(
    const Span &span, ValueRange states,
    function_ref<SmallVector<Value>(Positions, ValueRange)> body) {
  int64_t chunk = span.lanes * span.vector, group = chunk * span.unroll;
  auto positionsFrom = [&](Value base, int64_t chunks) {
    AffineExpr d0, d1;
    bindDims(b.getContext(), d0, d1);
    Value begin = base;
    if (span.lanes > 1)
      begin = affine::AffineApplyOp::create(b, loc, d0 + d1 * span.vector,
                                            ValueRange{base, span.lane});
    SmallVector<Value> positions;
    for (int64_t i = 0; i < chunks; ++i) {
      for (int64_t j = 0; j < span.vector; ++j) {
        Value step = index(i * chunk + j);
        positions.push_back(b.createOrFold<arith::AddIOp>(loc, begin, step));
      }
    }
    return positions;
  };
  OpBuilder::InsertionGuard guard(b);
  SmallVector<Value> next(states);
  auto walk = [&](Value begin, Value end, int64_t step,
                  function_ref<SmallVector<Value>(Value)> positions) {
    scf::ForOp inner = loop(begin, end, index(step), next);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(inner.getBody());
    SmallVector<Value> results =
        body(positions(inner.getInductionVar()), inner.getRegionIterArgs());
    if (!next.empty())
      scf::YieldOp::create(b, loc, results);
    next.assign(inner.result_begin(), inner.result_end());
  };
  std::optional<int64_t> size = getConstantIntValue(span.size);
  if (!size) {
    Value all = getValueOrCreateConstantIndexOp(b, loc, span.size);
    // One by one: a second loop for the rest would take registers of all
    // others. It does not where entries take few, and vectors are worth it.
    if (span.vector == 1) {
      walk(span.lanes > 1 ? span.lane : index(0), all, span.lanes,
           [](Value position) { return SmallVector<Value>{position}; });
      return next;
    }
    Value rest = index(0);
    if (span.unroll > 1 && atOnce == kMostAtOnce) {
      AffineExpr d0;
      bindDims(b.getContext(), d0);
      rest = affine::AffineApplyOp::create(b, loc, d0.floorDiv(group) * group,
                                           ValueRange{all});
      walk(index(0), rest, group,
           [&](Value base) { return positionsFrom(base, span.unroll); });
    }
    if (span.lanes > 1)
      rest = positionsFrom(rest, 1).front();
    walk(rest, all, chunk, [&](Value position) {
      SmallVector<Value> positions;
      for (int64_t i = 0; i < span.vector; ++i)
        positions.push_back(
            b.createOrFold<arith::AddIOp>(loc, position, index(i)));
      return positions;
    });
    return next;
  }
  if (*size >= group)
    walk(index(0), index(*size / group * group), group,
         [&](Value base) { return positionsFrom(base, span.unroll); });
  int64_t done = *size / group * group, chunks = (*size - done) / chunk;
  if (chunks > 0)
    next = body(positionsFrom(index(done), chunks), next);
  done += chunks * chunk;
  int64_t rest = (*size - done) / span.vector;
  if (rest == 0)
    return next;
  Value has = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                    span.lane, index(rest));
  auto last = scf::IfOp::create(b, loc, ValueRange(next).getTypes(), has,
                                /*withElseRegion=*/!next.empty());
  if (!next.empty()) {
    b.setInsertionPointToStart(last.elseBlock());
    scf::YieldOp::create(b, loc, next);
  }
  b.setInsertionPointToStart(last.thenBlock());
  SmallVector<Value> results = body(positionsFrom(index(done), 1), next);
  if (!next.empty())
    scf::YieldOp::create(b, loc, results);
  return SmallVector<Value>(last.getResults());
}

//===----------------------------------------------------------------------===//
// To workers
//===----------------------------------------------------------------------===//

void GenericEmitter::distribute(const Workers &workers,
                                function_ref<Value(MemRefType)> allocate) {
  // The first operand with all dimensions says which runs along memory.
  int64_t fastest = -1;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (map.getNumResults() == 0)
      continue;
    auto last = dyn_cast<AffineDimExpr>(map.getResults().back());
    if (last && (fastest < 0 || map.getNumResults() == sizes.size()))
      fastest = last.getPosition();
    if (map.getNumResults() == sizes.size())
      break;
  }
  if (!reduced.empty() && !combiners.empty() &&
      llvm::is_contained(reduced, fastest)) {
    std::optional<int64_t> known = getConstantIntValue(sizes[fastest]);
    if (!known || *known >= kWarpEntries) {
      llvm::erase(reduced, fastest);
      reduced.push_back(fastest);
      if (!allocate || !distributeByWarps(workers, allocate))
        distributeByWarp(workers);
      return;
    }
  }
  if (llvm::is_contained(parallel, fastest)) {
    llvm::erase(parallel, fastest);
    parallel.push_back(fastest);
  }
  if (!reduced.empty() && llvm::is_contained(parallel, fastest))
    return distributeByColumn(workers);
  if (reduced.empty() && parallel.size() > 1) {
    if (distributeBySector(workers, allocate))
      return;
    if (distributeByRowsOfColumn(workers, allocate))
      return;
    // No division for indices where warps can go along rows.
    std::optional<int64_t> known = getConstantIntValue(sizes[parallel.back()]);
    if (!known || *known >= kWarpThreads * getVector(parallel.back()))
      return distributeByRow(workers);
  }
  distributeByEntry(workers);
}

bool GenericEmitter::distributeByRowPart(const Workers &workers,
                                         int64_t vector) {
  int64_t last = parallel.back();
  std::optional<int64_t> threads = getConstantIntValue(workers.numThreads);
  std::optional<int64_t> columns = getConstantIntValue(sizes[last]);
  if (!threads || !columns || *columns == 0 || *threads * vector % *columns)
    return false;
  ArrayRef<int64_t> outer = ArrayRef(parallel).drop_back();
  Value perRow = index(*columns / vector);
  Value first = b.createOrFold<arith::DivUIOp>(loc, workers.thread, perRow);
  Value column = b.createOrFold<arith::MulIOp>(
      loc, b.createOrFold<arith::RemUIOp>(loc, workers.thread, perRow),
      index(vector));
  scf::ForOp rows =
      loop(first, product(outer), index(*threads * vector / *columns));
  b.setInsertionPointToStart(rows.getBody());
  delinearize(outer, rows.getInductionVar());
  point[last] = column;
  emitPoints(getNeighbours(last, vector));
  return true;
}

void GenericEmitter::distributeByEntry(const Workers &workers) {
  if (reduced.empty() && parallel.size() > 1) {
    int64_t vector = getVector(parallel.back());
    if (distributeByRowPart(workers, vector))
      return;
    AffineExpr d0;
    bindDims(b.getContext(), d0);
    scf::ForOp accesses =
        loop(workers.thread,
             getValueOrCreateConstantIndexOp(
                 b, loc,
                 affine::makeComposedFoldedAffineApply(
                     b, loc, d0.floorDiv(vector), {foldedProduct(parallel)})),
             workers.numThreads);
    b.setInsertionPointToStart(accesses.getBody());
    delinearize(parallel, b.createOrFold<arith::MulIOp>(
                              loc, accesses.getInductionVar(), index(vector)));
    return emitPoints(getNeighbours(parallel.back(), vector));
  }
  std::optional<int64_t> threads = getConstantIntValue(workers.numThreads);
  if (reduced.empty() && parallel.size() == 1 && threads) {
    // As many neighbours as all threads of the block have.
    int64_t dim = parallel[0], vector = getVector(dim);
    std::optional<int64_t> size = getConstantIntValue(sizes[dim]);
    while (vector > 1 && size && *size < *threads * vector)
      vector /= 2;
    Span all{sizes[dim], workers.thread, *threads, vector, 1};
    walkSpan(all, {}, [&](Positions positions, ValueRange) {
      SmallVector<SmallVector<Value>> points;
      for (Value position : positions) {
        points.push_back(point);
        points.back()[dim] = position;
      }
      emitPoints(points);
      return SmallVector<Value>();
    });
    return;
  }
  scf::ForOp entries =
      loop(workers.thread, product(parallel), workers.numThreads);
  b.setInsertionPointToStart(entries.getBody());
  delinearize(parallel, entries.getInductionVar());
  if (reduced.empty())
    return emitPoint();
  SmallVector<Value> states;
  for (OpOperand &out : op.getDpsInitsMutable())
    states.push_back(load(out));
  Span all{sizes[reduced.back()], Value(), 1, 1, 1};
  states = reduceFrom(0, {point}, all, states);
  for (auto [out, state] : llvm::zip_equal(op.getDpsInitsMutable(), states))
    store(state, out);
}

SmallVector<SmallVector<Value>> GenericEmitter::getNeighbours(int64_t dim,
                                                              int64_t count) {
  SmallVector<SmallVector<Value>> points(count, point);
  for (auto [i, each] : llvm::enumerate(points))
    each[dim] = b.createOrFold<arith::AddIOp>(loc, point[dim], index(i));
  return points;
}

void GenericEmitter::distributeByColumn(const Workers &workers) {
  if (distributeByLaneRows(workers))
    return;
  int64_t last = parallel.back(), vector = getVector(last);
  // Rather more threads than wider accesses.
  std::optional<int64_t> threads = getConstantIntValue(workers.numThreads);
  OpFoldResult total = foldedProduct(parallel);
  std::optional<int64_t> columns = getConstantIntValue(total);
  while (vector > 1 && (!threads || (columns && *columns < *threads * vector)))
    vector /= 2;
  AffineExpr d0;
  bindDims(b.getContext(), d0);
  OpFoldResult accesses = affine::makeComposedFoldedAffineApply(
      b, loc, d0.floorDiv(vector), {total});
  auto emitColumns = [&](Value access) {
    delinearize(parallel,
                b.createOrFold<arith::MulIOp>(loc, access, index(vector)));
    SmallVector<SmallVector<Value>> points = getNeighbours(last, vector);
    SmallVector<Value> states;
    for (const SmallVector<Value> &each : points) {
      point = each;
      for (OpOperand &out : op.getDpsInitsMutable())
        states.push_back(firstSum ? firstSum : load(out));
    }
    Span rows{sizes[reduced.back()], Value(), 1, 1, atOnce};
    states = reduceFrom(0, points, rows, states);
    auto state = states.begin();
    for (const SmallVector<Value> &each : points) {
      point = each;
      for (OpOperand &out : op.getDpsInitsMutable())
        store(*state++, out);
    }
    for (linalg::GenericOp follower : followers) {
      OpBuilder::InsertPoint here = b.saveInsertionPoint();
      GenericEmitter next(b, follower);
      b.restoreInsertionPoint(here);
      next.emitPoints(llvm::map_to_vector(points, [&](const auto &each) {
        return SmallVector<Value>{each[last]};
      }));
    }
  };
  if (threads) {
    // All threads go round as often, as far as possible.
    Span all{accesses, workers.thread, *threads, 1, 1};
    walkSpan(all, {}, [&](Positions positions, ValueRange) {
      emitColumns(positions.front());
      return SmallVector<Value>();
    });
    return;
  }
  scf::ForOp entries =
      loop(workers.thread, getValueOrCreateConstantIndexOp(b, loc, accesses),
           workers.numThreads);
  b.setInsertionPointToStart(entries.getBody());
  emitColumns(entries.getInductionVar());
}

void GenericEmitter::distributeByRow(const Workers &workers) {
  ArrayRef<int64_t> outer = ArrayRef(parallel).drop_back();
  int64_t last = parallel.back();
  scf::ForOp rows = loop(workers.warp, product(outer), workers.numWarps);
  b.setInsertionPointToStart(rows.getBody());
  delinearize(outer, rows.getInductionVar());
  Span lanes{sizes[last], workers.lane, kWarpThreads, getVector(last)};
  lanes.unroll = std::max<int64_t>(1, atOnce / lanes.vector);
  walkSpan(lanes, {}, [&](Positions positions, ValueRange) {
    SmallVector<SmallVector<Value>> points;
    for (Value position : positions) {
      points.push_back(point);
      points.back()[last] = position;
    }
    emitPoints(points);
    return SmallVector<Value>();
  });
}

bool GenericEmitter::distributeByRowsOfColumn(
    const Workers &workers, function_ref<Value(MemRefType)> allocate) {
  if (parallel.size() != 2 || !allocate)
    return false;
  int64_t row = parallel.front(), column = parallel.back();
  int64_t vector = getVector(column);
  std::optional<int64_t> threads = getConstantIntValue(workers.numThreads),
                         columns = getConstantIntValue(sizes[column]),
                         rows = getUpperBound(sizes[row]);
  SmallVector<OpOperand *> common, ofRows;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(operand);
    bool ofColumn = map.isFunctionOfDim(column),
         ofRow = map.isFunctionOfDim(row);
    if (isa<MemRefType>(operand->get().getType()) && ofColumn != ofRow)
      (ofColumn ? common : ofRows).push_back(operand);
  }
  if (common.empty() || !threads || !columns || !rows ||
      *columns < *threads * vector || *rows < kMostRows)
    return false;
  // What rows have, all threads read again and again.
  for (OpOperand *operand : ofRows) {
    auto type = cast<MemRefType>(operand->get().getType());
    if (*rows > *threads ||
        op.getMatchingIndexingMap(operand) !=
            AffineMap::get(sizes.size(), 0, b.getAffineDimExpr(row)))
      continue;
    Value copy = allocate(MemRefType::get({*rows}, type.getElementType()));
    if (!copy)
      continue;
    Value has = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                      workers.thread, sizeOf(row));
    auto keep = scf::IfOp::create(b, loc, has, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(keep.thenBlock());
    point[row] = workers.thread;
    memref::StoreOp::create(b, loc, load(*operand), copy, workers.thread);
    copies[operand] = copy;
  }
  if (!copies.empty())
    gpu::BarrierOp::create(b, loc);
  Span ofThread{sizes[column], workers.thread, *threads, vector, 1};
  walkSpan(ofThread, {}, [&](Positions positions, ValueRange) {
    for (Value position : positions) {
      point[column] = position;
      for (OpOperand *operand : common) {
        Value value = load(*operand);
        ofColumns[{operand, position}] = value;
      }
    }
    Span all{sizes[row], Value(), 1, 1, std::max<int64_t>(1, atOnce / vector)};
    walkSpan(all, {}, [&](Positions rows, ValueRange) {
      SmallVector<SmallVector<Value>> points;
      for (Value each : rows)
        for (Value position : positions) {
          points.push_back(point);
          points.back()[row] = each;
          points.back()[column] = position;
        }
      emitPoints(points);
      return SmallVector<Value>();
    });
    return SmallVector<Value>();
  });
  return true;
}

/// Whether a buffer is one of the kernel's, not one of its blocks' own.
static bool isGlobal(Value buffer) {
  while (auto view = buffer.getDefiningOp<ViewLikeOpInterface>())
    buffer = view.getViewSource();
  auto argument = dyn_cast<BlockArgument>(buffer);
  return argument && isa<gpu::GPUFuncOp>(argument.getOwner()->getParentOp());
}

void GenericEmitter::wrapColumns(const Workers &workers,
                                 function_ref<Value(MemRefType)> allocate) {
  int64_t last = parallel.back(), columns = *getConstantIntValue(sizes[last]);
  // Of fewer columns, no two are in the same bank.
  if (!allocate || columns <= kWarpThreads)
    return;
  int64_t most = columns + kWarpThreads - 1;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    auto type = dyn_cast<MemRefType>(operand->get().getType());
    AffineMap map = op.getMatchingIndexingMap(operand);
    auto isOne = [&](AffineExpr expr) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      return dim && isConstantIntValue(sizes[dim.getPosition()], 1);
    };
    if (!type || map.getNumResults() == 0 ||
        map.getResults().back() != b.getAffineDimExpr(last) ||
        !llvm::all_of(map.getResults().drop_back(), isOne))
      continue;
    Value buffer = allocate(MemRefType::get({most}, type.getElementType()));
    if (!buffer)
      continue;
    {
      OpBuilder::InsertionGuard guard(b);
      scf::ForOp copies = loop(workers.thread, index(most), workers.numThreads);
      b.setInsertionPointToStart(copies.getBody());
      Value to = copies.getInductionVar();
      for (int64_t dim : parallel)
        point[dim] = index(0);
      point[last] = arith::RemUIOp::create(b, loc, to, index(columns));
      memref::StoreOp::create(b, loc, load(*operand), buffer, to);
    }
    wrappedBuffers[operand] = buffer;
  }
  if (!wrappedBuffers.empty())
    gpu::BarrierOp::create(b, loc);
}

bool GenericEmitter::distributeBySector(
    const Workers &workers, function_ref<Value(MemRefType)> allocate) {
  std::optional<int64_t> threads = getConstantIntValue(workers.numThreads);
  int64_t entries = 1;
  for (OpFoldResult size : sizes) {
    std::optional<int64_t> known = getConstantIntValue(size);
    if (!known || *known == 0 ||
        entries > std::numeric_limits<int32_t>::max() / *known)
      return false;
    entries *= *known;
  }
  if (!threads || entries < *threads || !llvm::is_sorted(parallel) ||
      getVector(parallel.back()) > 1)
    return false;
  auto isWhole = [&](OpOperand &operand) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    return type && type.areTrailingDimsContiguous(type.getRank()) &&
           op.getMatchingIndexingMap(&operand).isIdentity() &&
           isGlobal(operand.get());
  };
  auto *whole = llvm::find_if(op->getOpOperands(), isWhole);
  if (whole == op->getOpOperands().end())
    return false;
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    if (type && type.areTrailingDimsContiguous(type.getRank()) &&
        op.getMatchingIndexingMap(&operand).isIdentity())
      flatBuffers[&operand] = createFlat(b, loc, operand.get());
  }
  // From where the first sector begins, as if there were no rows.
  int64_t bits =
      cast<MemRefType>(whole->get().getType()).getElementTypeBitWidth();
  int64_t perSector = kSectorBytes / llvm::divideCeil(bits, 8);
  OpFoldResult offset =
      memref::ExtractStridedMetadataOp::create(b, loc, whole->get())
          .getConstifiedMixedOffset();
  AffineExpr d0;
  bindDims(b.getContext(), d0);
  OpFoldResult head = affine::makeComposedFoldedAffineApply(
      b, loc, (-d0) % perSector, {offset});
  wrapColumns(workers, allocate);
  point.append(2, Value());
  auto setPoint = [&](Value entry) {
    point[sizes.size()] = entry;
    // Narrow divisions are cheaper.
    Type word = b.getI32Type();
    Value rest = arith::IndexCastUIOp::create(b, loc, word, entry);
    int64_t left = entries;
    for (int64_t dim : llvm::reverse(parallel)) {
      int64_t size = *getConstantIntValue(sizes[dim]);
      left /= size;
      Value position = rest;
      if (left > 1) {
        Value divisor =
            arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(size));
        position = b.createOrFold<arith::RemUIOp>(loc, rest, divisor);
        rest = b.createOrFold<arith::DivUIOp>(loc, rest, divisor);
      }
      point[dim] =
          size == 1
              ? index(0)
              : arith::IndexCastUIOp::create(b, loc, b.getIndexType(), position)
                    .getResult();
    }
    if (wrappedBuffers.empty())
      return;
    // A lane whose column is below its number is in the warp's second row.
    Value column = point[parallel.back()];
    Value isNext = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                         column, workers.lane);
    Value next = arith::AddIOp::create(b, loc, column, sizeOf(parallel.back()));
    point[sizes.size() + 1] =
        arith::SelectOp::create(b, loc, isNext, next, column);
  };
  // What comes before the first sector and after so many whole ones as there
  // are wherever it begins.
  int64_t apart = perSector - 1;
  Value begin = getValueOrCreateConstantIndexOp(b, loc, head);
  Value isApart = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                        workers.thread, index(apart));
  auto few = scf::IfOp::create(b, loc, isApart, /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(few.thenBlock());
    Value isBefore = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                           workers.thread, begin);
    Value after =
        arith::AddIOp::create(b, loc, workers.thread, index(entries - apart));
    setPoint(arith::SelectOp::create(b, loc, isBefore, workers.thread, after));
    emitPoint();
  }
  Span all{b.getIndexAttr(entries - apart), workers.thread, *threads, 1,
           atOnce};
  walkSpan(all, {}, [&](Positions positions, ValueRange) {
    SmallVector<SmallVector<Value>> points;
    for (Value position : positions) {
      setPoint(arith::AddIOp::create(b, loc, begin, position));
      points.push_back(point);
    }
    emitPoints(points);
    return SmallVector<Value>();
  });
  return true;
}

SmallVector<Value>
GenericEmitter::reduceFrom(size_t position, ArrayRef<SmallVector<Value>> points,
                           const Span &span, ValueRange states,
                           int64_t chains) {
  int64_t dim = reduced[position];
  if (position + 1 < reduced.size()) {
    scf::ForOp inner = loop(index(0), sizeOf(dim), index(1), states);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(inner.getBody());
    SmallVector<SmallVector<Value>> inside(points);
    for (SmallVector<Value> &each : inside)
      each[dim] = inner.getInductionVar();
    SmallVector<Value> next = reduceFrom(position + 1, inside, span,
                                         inner.getRegionIterArgs(), chains);
    scf::YieldOp::create(b, loc, next);
    return SmallVector<Value>(inner.getResults());
  }
  size_t outputs = op.getNumDpsInits();
  return walkSpan(span, states, [&](Positions positions, ValueRange current) {
    SmallVector<Value> next(current);
    for (auto [i, at] : llvm::enumerate(positions)) {
      for (auto [j, each] : llvm::enumerate(points)) {
        auto own = MutableArrayRef(next).slice(
            (j * chains + i % chains) * outputs, outputs);
        point = each;
        point[dim] = at;
        llvm::copy(emitBody(ValueRange(own)), own.begin());
      }
    }
    return next;
  });
}

/// The lanes that have a row of so many accesses, or a warp's share of it.
static int64_t getLanes(std::optional<int64_t> accesses) {
  return accesses && *accesses < kWarpThreads ? llvm::PowerOf2Ceil(*accesses)
                                              : kWarpThreads;
}

SmallVector<Value> GenericEmitter::createNeutral(int64_t count) {
  SmallVector<Value> states;
  for (int64_t i = 0; i < count; ++i)
    for (Operation *combiner : combiners)
      states.push_back(arith::ConstantOp::create(
          b, loc, *arith::getNeutralElement(combiner)));
  return states;
}

Value GenericEmitter::joinChains(size_t output, int64_t row, int64_t chains,
                                 ValueRange states) {
  SmallVector<Value> parts;
  for (int64_t chain = 0; chain < chains; ++chain)
    parts.push_back(states[(row * chains + chain) * combiners.size() + output]);
  for (int64_t count = chains; count > 1; count /= 2)
    for (int64_t chain = 0; chain < count / 2; ++chain)
      parts[chain] = combine(b, loc, combiners[output], parts[chain],
                             parts[chain + count / 2]);
  return parts[0];
}

bool GenericEmitter::distributeByWarps(
    const Workers &workers, function_ref<Value(MemRefType)> allocate) {
  int64_t dim = reduced.back();
  int64_t vector = getVector(dim);
  OpFoldResult numRows = foldedProduct(parallel);
  std::optional<int64_t> size = getConstantIntValue(sizes[dim]),
                         warps = getConstantIntValue(workers.numWarps),
                         rows = getUpperBound(numRows);
  if (!warps || !rows || *rows == 0)
    return false;
  // Every part is worth two accesses of all lanes, also where nobody knows.
  int64_t parts = *warps / *rows;
  if (size)
    parts = std::min(parts, *size / (2 * vector * kWarpThreads));
  if (parts < 2)
    return false;
  Value total = getValueOrCreateConstantIndexOp(b, loc, numRows);
  SmallVector<Value> scratch;
  for (Value out : op.getDpsInits()) {
    scratch.push_back(allocate(MemRefType::get(
        {*rows * parts}, cast<MemRefType>(out.getType()).getElementType())));
    if (!scratch.back())
      return false;
  }
  Value row = arith::DivUIOp::create(b, loc, workers.warp, index(parts));
  Value part = arith::RemUIOp::create(b, loc, workers.warp, index(parts));
  Value has =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, row, total);
  auto reduce = scf::IfOp::create(b, loc, has, /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(reduce.thenBlock());
    delinearize(parallel, row);
    AffineExpr d0, d1;
    bindDims(b.getContext(), d0, d1);
    Value lane = affine::AffineApplyOp::create(b, loc, d0 * kWarpThreads + d1,
                                               ValueRange{part, workers.lane});
    Span span{sizes[dim], lane, kWarpThreads * parts, vector};
    span.unroll = std::max<int64_t>(1, 2 * atOnce / vector);
    SmallVector<Value> states =
        reduceFrom(0, {point}, span, createNeutral(kMostRows), kMostRows);
    SmallVector<Value> results;
    for (auto [i, combiner] : llvm::enumerate(combiners)) {
      SmallVector<Value> own{joinChains(i, 0, kMostRows, states)};
      butterfly(b, loc, combiner, own, workers.lane, kWarpThreads / 2, 1);
      results.push_back(own[0]);
    }
    Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                          workers.lane, index(0));
    auto keep = scf::IfOp::create(b, loc, isFirst, /*withElseRegion=*/false);
    b.setInsertionPointToStart(keep.thenBlock());
    for (auto [buffer, value] : llvm::zip_equal(scratch, results))
      memref::StoreOp::create(b, loc, value, buffer, workers.warp);
  }
  gpu::BarrierOp::create(b, loc);
  Value joins = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                      workers.thread, total);
  auto join = scf::IfOp::create(b, loc, joins, /*withElseRegion=*/false);
  b.setInsertionPointToStart(join.thenBlock());
  delinearize(parallel, workers.thread);
  Value first = arith::MulIOp::create(b, loc, workers.thread, index(parts));
  for (auto [i, out] : llvm::enumerate(op.getDpsInitsMutable())) {
    Value state = load(out);
    for (int64_t j = 0; j < parts; ++j) {
      Value place = b.createOrFold<arith::AddIOp>(loc, first, index(j));
      state = combine(b, loc, combiners[i], state,
                      memref::LoadOp::create(b, loc, scratch[i], place));
    }
    store(state, out);
  }
  return true;
}

void GenericEmitter::distributeByWarp(const Workers &workers) {
  AffineExpr d0, d1;
  bindDims(b.getContext(), d0, d1);
  int64_t dim = reduced.back();
  int64_t vector = getVector(dim);
  std::optional<int64_t> size = getConstantIntValue(sizes[dim]);
  if (size)
    *size /= vector;
  // Rows side by side in a warp, and one after another as long as there are
  // enough for every warp.
  int64_t lanes = getLanes(size), beside = kWarpThreads / lanes, after = 1;
  std::optional<int64_t> warps = getConstantIntValue(workers.numWarps);
  OpFoldResult total = foldedProduct(parallel);
  std::optional<int64_t> known = getConstantIntValue(total);
  while (after < std::min({kMostRows, lanes, atOnce}) && warps && known &&
         2 * after * beside * *warps <= *known)
    after *= 2;
  int64_t perTile = beside * after;
  Value tiles = getValueOrCreateConstantIndexOp(
      b, loc,
      affine::makeComposedFoldedAffineApply(b, loc, d0.ceilDiv(perTile),
                                            {total}));
  scf::ForOp entries = loop(workers.warp, tiles, workers.numWarps);
  b.setInsertionPointToStart(entries.getBody());
  Value lane = workers.lane, group = index(0);
  if (beside > 1) {
    lane = arith::RemUIOp::create(b, loc, workers.lane, index(lanes));
    group = arith::DivUIOp::create(b, loc, workers.lane, index(lanes));
  }
  Value first = affine::AffineApplyOp::create(
      b, loc, d0 * perTile + d1, ValueRange{entries.getInductionVar(), group});
  // The last tile reads a row again, and keeps nothing of that.
  bool isRagged = perTile > 1 && (!known || *known % perTile != 0);
  Value lastRow;
  if (isRagged)
    lastRow = getValueOrCreateConstantIndexOp(
        b, loc, affine::makeComposedFoldedAffineApply(b, loc, d0 - 1, {total}));
  SmallVector<SmallVector<Value>> points;
  for (int64_t i = 0; i < after; ++i) {
    Value row = b.createOrFold<arith::AddIOp>(loc, first, index(i * beside));
    if (isRagged)
      row = arith::MinUIOp::create(b, loc, row, lastRow);
    delinearize(parallel, row);
    points.push_back(point);
  }
  Span span{sizes[dim], lane, lanes, vector};
  span.unroll = std::max<int64_t>(1, atOnce / vector);
  // Sums that do not wait for each other: of several rows, or of one's parts.
  int64_t chains = after > 1 ? 1 : kMostRows;
  SmallVector<Value> states =
      reduceFrom(0, points, span, createNeutral(after * chains), chains);
  SmallVector<Value> results;
  for (auto [i, combiner] : llvm::enumerate(combiners)) {
    SmallVector<Value> ofRows;
    for (int64_t row = 0; row < after; ++row)
      ofRows.push_back(joinChains(i, row, chains, states));
    butterfly(b, loc, combiner, ofRows, lane, lanes / 2, 1);
    results.push_back(ofRows[0]);
  }
  // The first of the lanes that have a row.
  int64_t perRow = lanes / after;
  Value row = first, place = lane;
  if (after > 1) {
    Value number = arith::DivUIOp::create(b, loc, lane, index(perRow));
    row = affine::AffineApplyOp::create(b, loc, d0 + d1 * beside,
                                        ValueRange{first, number});
    place = arith::RemUIOp::create(b, loc, lane, index(perRow));
  }
  Value stores =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, place, index(0));
  if (isRagged)
    stores = arith::AndIOp::create(
        b, loc, stores,
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, row, lastRow));
  auto keep = scf::IfOp::create(b, loc, stores, /*withElseRegion=*/false);
  b.setInsertionPointToStart(keep.thenBlock());
  delinearize(parallel, row);
  for (auto [out, combiner, state] :
       llvm::zip_equal(op.getDpsInitsMutable(), combiners, results))
    store(combine(b, loc, combiner, load(out), state), out);
}

bool GenericEmitter::distributeByLaneRows(const Workers &workers) {
  int64_t column = parallel.back(), vector = getVector(column);
  std::optional<int64_t> columns = getConstantIntValue(foldedProduct(parallel));
  if (combiners.empty() || reduced.size() != 1 || !columns ||
      columns != getConstantIntValue(sizes[column]) ||
      getConstantIntValue(workers.numThreads) != kWarpThreads)
    return false;
  int64_t accesses = *columns / vector, lanes = getLanes(accesses);
  int64_t groups = kWarpThreads / lanes;
  if (accesses > kWarpThreads || groups == 1)
    return false;
  Value lane = arith::RemUIOp::create(b, loc, workers.lane, index(lanes));
  Value group = arith::DivUIOp::create(b, loc, workers.lane, index(lanes));
  bool isRagged = accesses < lanes;
  Value access = lane;
  if (isRagged)
    access = arith::MinUIOp::create(b, loc, lane, index(accesses - 1));
  AffineExpr d0;
  bindDims(b.getContext(), d0);
  delinearize(parallel, index(0));
  SmallVector<SmallVector<Value>> points;
  SmallVector<Value> states;
  for (int64_t i = 0; i < vector; ++i) {
    points.push_back(point);
    points.back()[column] = affine::AffineApplyOp::create(
        b, loc, d0 * vector + i, ValueRange{access});
    for (Operation *combiner : combiners)
      states.push_back(arith::ConstantOp::create(
          b, loc, *arith::getNeutralElement(combiner)));
  }
  Span rows{sizes[reduced.back()], group, groups, 1};
  rows.unroll = std::max<int64_t>(1, atOnce / vector);
  states = reduceFrom(0, points, rows, states);
  SmallVector<SmallVector<Value>> results;
  for (auto [i, combiner] : llvm::enumerate(combiners)) {
    SmallVector<Value> &values = results.emplace_back();
    for (int64_t j = 0; j < vector; ++j)
      values.push_back(states[j * combiners.size() + i]);
    butterfly(b, loc, combiner, values, workers.lane, kWarpThreads / 2, lanes);
  }
  // Which of its columns a lane has kept; the others of its group have the
  // same as the first.
  int64_t kept = results.front().size(), distance = kWarpThreads / 2;
  Value begin = arith::MulIOp::create(b, loc, lane, index(vector));
  for (int64_t half = vector / 2; half >= kept; half /= 2, distance /= 2) {
    Value bit = arith::DivUIOp::create(b, loc, workers.lane, index(distance));
    bit = arith::RemUIOp::create(b, loc, bit, index(2));
    begin = arith::AddIOp::create(
        b, loc, begin, arith::MulIOp::create(b, loc, bit, index(half)));
  }
  Value place =
      arith::RemUIOp::create(b, loc, workers.lane, index(2 * distance));
  Value stores = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, place,
                                       index(accesses));
  auto keep = scf::IfOp::create(b, loc, stores, /*withElseRegion=*/false);
  b.setInsertionPointToStart(keep.thenBlock());
  SmallVector<SmallVector<Value>> joined;
  for (int64_t j = 0; j < kept; ++j) {
    point[column] = b.createOrFold<arith::AddIOp>(loc, begin, index(j));
    points[j] = point;
    SmallVector<Value> &ofPoint = joined.emplace_back();
    for (auto [i, out] : llvm::enumerate(op.getDpsInitsMutable()))
      ofPoint.push_back(
          combine(b, loc, combiners[i], load(out), results[i][j]));
  }
  for (int64_t j = 0; j < kept; ++j) {
    point = points[j];
    for (auto [out, value] :
         llvm::zip_equal(op.getDpsInitsMutable(), joined[j]))
      store(value, out);
  }
  return true;
}

void scaling::distribute(OpBuilder &b, linalg::GenericOp op,
                         const Workers &workers,
                         function_ref<Value(MemRefType)> allocate) {
  OpBuilder::InsertionGuard guard(b);
  GenericEmitter(b, op).distribute(workers, allocate);
}

void scaling::joinColumns(OpBuilder &b, linalg::GenericOp op,
                          const Workers &workers, Value begin,
                          ArrayRef<linalg::GenericOp> then) {
  OpBuilder::InsertionGuard guard(b);
  GenericEmitter(b, op).joinColumns(workers, begin, then);
}

void scaling::unroll(OpBuilder &b, linalg::GenericOp op) {
  OpBuilder::InsertionGuard guard(b);
  GenericEmitter(b, op).unroll();
}
