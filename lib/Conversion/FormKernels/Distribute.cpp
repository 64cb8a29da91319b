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
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

/// Reductions of fewer entries are not worth a warp.
static constexpr int64_t kWarpEntries = 16;

/// Static loops of up to this many points are straight code.
static constexpr int64_t kMostUnrolled = 1 << 12;

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
    findCombiners();
  }

  void unroll() { walkPoints(0); }
  void distribute(const Workers &workers);

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

  void findCombiners();
  void walkPoints(size_t dim);
  /// Where an operand's entry of the current point is.
  SmallVector<Value> indicesOf(OpOperand &operand);
  Value load(OpOperand &operand) {
    if (!isa<MemRefType>(operand.get().getType()))
      return operand.get();
    return memref::LoadOp::create(b, loc, operand.get(), indicesOf(operand));
  }
  /// The body at the current point, on these states of the outputs.
  SmallVector<Value> emitBody(ValueRange states);
  void emitPoint();

  void distributeByEntry(const Workers &workers);
  void distributeByRow(const Workers &workers);
  void distributeByWarp(const Workers &workers);
  /// Runs the reduced dimensions at the current point; the last from `begin`
  /// in steps of `step`.
  SmallVector<Value> reduceFrom(size_t position, Value begin, Value step,
                                ValueRange states);
  /// The combination of the lanes' values, in every lane.
  Value butterfly(Operation *combiner, Value value);
  Value shuffle(Value value, int32_t distance);
  Value combine(Operation *combiner, Value lhs, Value rhs);
  /// Sets the point's dimensions `dims` from one index over all of them.
  void delinearize(ArrayRef<int64_t> dims, Value linear);
  Value product(ArrayRef<int64_t> dims);

  OpBuilder &b;
  linalg::GenericOp op;
  Location loc;
  SmallVector<OpFoldResult> sizes;
  SmallVector<Value> point;
  SmallVector<int64_t> parallel, reduced;
  /// What joins a state and an entry, for each output; empty where something
  /// else does.
  SmallVector<Operation *> combiners;
};
} // namespace

void GenericEmitter::findCombiners() {
  auto yield = cast<linalg::YieldOp>(op.getBody()->getTerminator());
  for (auto [state, value] :
       llvm::zip_equal(op.getRegionOutputArgs(), yield.getValues())) {
    Operation *combiner = value.getDefiningOp();
    if (!combiner || combiner->getNumOperands() != 2 ||
        !llvm::is_contained(combiner->getOperands(), state) ||
        !state.hasOneUse() || !arith::getNeutralElement(combiner)) {
      combiners.clear();
      return;
    }
    combiners.push_back(combiner);
  }
}

SmallVector<Value> GenericEmitter::indicesOf(OpOperand &operand) {
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

void GenericEmitter::emitPoint() {
  SmallVector<Value> states;
  for (OpOperand &out : op.getDpsInitsMutable()) {
    BlockArgument state = op.getMatchingBlockArgument(&out);
    states.push_back(state.use_empty() ? Value() : load(out));
  }
  SmallVector<Value> results = emitBody(states);
  for (auto [out, result] : llvm::zip_equal(op.getDpsInitsMutable(), results))
    memref::StoreOp::create(b, loc, result, out.get(), indicesOf(out));
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

Value GenericEmitter::product(ArrayRef<int64_t> dims) {
  AffineExpr x, y;
  bindDims(b.getContext(), x, y);
  OpFoldResult total = b.getIndexAttr(1);
  for (int64_t dim : dims)
    total = affine::makeComposedFoldedAffineApply(b, loc, x * y,
                                                  {total, sizes[dim]});
  return getValueOrCreateConstantIndexOp(b, loc, total);
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

void GenericEmitter::distribute(const Workers &workers) {
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
      return distributeByWarp(workers);
    }
  }
  if (llvm::is_contained(parallel, fastest)) {
    llvm::erase(parallel, fastest);
    parallel.push_back(fastest);
  }
  // No division for indices where warps can go along rows.
  std::optional<int64_t> known =
      parallel.empty() ? std::optional<int64_t>(1)
                       : getConstantIntValue(sizes[parallel.back()]);
  if (parallel.size() > 1 && reduced.empty() &&
      (!known || *known >= kWarpThreads))
    return distributeByRow(workers);
  distributeByEntry(workers);
}

void GenericEmitter::distributeByEntry(const Workers &workers) {
  scf::ForOp entries =
      loop(workers.thread, product(parallel), workers.numThreads);
  b.setInsertionPointToStart(entries.getBody());
  delinearize(parallel, entries.getInductionVar());
  if (reduced.empty())
    return emitPoint();
  SmallVector<Value> states;
  for (OpOperand &out : op.getDpsInitsMutable())
    states.push_back(load(out));
  states = reduceFrom(0, index(0), index(1), states);
  for (auto [out, state] : llvm::zip_equal(op.getDpsInitsMutable(), states))
    memref::StoreOp::create(b, loc, state, out.get(), indicesOf(out));
}

void GenericEmitter::distributeByRow(const Workers &workers) {
  ArrayRef<int64_t> outer = ArrayRef(parallel).drop_back();
  int64_t last = parallel.back();
  scf::ForOp rows = loop(workers.warp, product(outer), workers.numWarps);
  b.setInsertionPointToStart(rows.getBody());
  delinearize(outer, rows.getInductionVar());
  scf::ForOp entries = loop(workers.lane, sizeOf(last), index(kWarpThreads));
  b.setInsertionPointToStart(entries.getBody());
  point[last] = entries.getInductionVar();
  emitPoint();
}

SmallVector<Value> GenericEmitter::reduceFrom(size_t position, Value begin,
                                              Value step, ValueRange states) {
  if (position == reduced.size())
    return emitBody(states);
  int64_t dim = reduced[position];
  bool last = position + 1 == reduced.size();
  scf::ForOp inner = loop(last ? begin : index(0), sizeOf(dim),
                          last ? step : index(1), states);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(inner.getBody());
  point[dim] = inner.getInductionVar();
  SmallVector<Value> next =
      reduceFrom(position + 1, begin, step, inner.getRegionIterArgs());
  scf::YieldOp::create(b, loc, next);
  return SmallVector<Value>(inner.getResults());
}

Value GenericEmitter::combine(Operation *combiner, Value lhs, Value rhs) {
  Operation *joined = b.clone(*combiner);
  joined->setOperands({lhs, rhs});
  return joined->getResult(0);
}

Value GenericEmitter::shuffle(Value value, int32_t distance) {
  Type type = value.getType();
  unsigned bits = type.getIntOrFloatBitWidth();
  auto exchange = [&](Value part) -> Value {
    return gpu::ShuffleOp::create(b, loc, part, distance, kWarpThreads,
                                  gpu::ShuffleMode::XOR)
        .getShuffleResult();
  };
  if (bits == 32)
    return exchange(value);
  // Registers have 32 bits.
  Type word = b.getI32Type(), whole = b.getIntegerType(bits);
  Value raw = value;
  if (!type.isInteger())
    raw = arith::BitcastOp::create(b, loc, whole, value);
  if (bits < 32) {
    raw = arith::ExtUIOp::create(b, loc, word, raw);
    raw = arith::TruncIOp::create(b, loc, whole, exchange(raw));
  } else {
    Value shift =
        arith::ConstantOp::create(b, loc, b.getIntegerAttr(whole, 32));
    Value low = arith::TruncIOp::create(b, loc, word, raw);
    Value high = arith::TruncIOp::create(
        b, loc, word, arith::ShRUIOp::create(b, loc, raw, shift));
    low = arith::ExtUIOp::create(b, loc, whole, exchange(low));
    high = arith::ExtUIOp::create(b, loc, whole, exchange(high));
    raw = arith::OrIOp::create(b, loc, low,
                               arith::ShLIOp::create(b, loc, high, shift));
  }
  if (!type.isInteger())
    raw = arith::BitcastOp::create(b, loc, type, raw);
  return raw;
}

Value GenericEmitter::butterfly(Operation *combiner, Value value) {
  for (int32_t distance = kWarpThreads / 2; distance > 0; distance /= 2)
    value = combine(combiner, value, shuffle(value, distance));
  return value;
}

void GenericEmitter::distributeByWarp(const Workers &workers) {
  scf::ForOp entries = loop(workers.warp, product(parallel), workers.numWarps);
  b.setInsertionPointToStart(entries.getBody());
  delinearize(parallel, entries.getInductionVar());
  SmallVector<Value> states;
  for (Operation *combiner : combiners)
    states.push_back(
        arith::ConstantOp::create(b, loc, *arith::getNeutralElement(combiner)));
  states = reduceFrom(0, workers.lane, index(kWarpThreads), states);
  for (auto [combiner, state] : llvm::zip_equal(combiners, states))
    state = butterfly(combiner, state);
  Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                        workers.lane, index(0));
  auto store = scf::IfOp::create(b, loc, isFirst, /*withElseRegion=*/false);
  b.setInsertionPointToStart(store.thenBlock());
  for (auto [out, combiner, state] :
       llvm::zip_equal(op.getDpsInitsMutable(), combiners, states))
    memref::StoreOp::create(b, loc, combine(combiner, load(out), state),
                            out.get(), indicesOf(out));
}

void scaling::distribute(OpBuilder &b, linalg::GenericOp op,
                         const Workers &workers) {
  OpBuilder::InsertionGuard guard(b);
  GenericEmitter(b, op).distribute(workers);
}

void scaling::unroll(OpBuilder &b, linalg::GenericOp op) {
  OpBuilder::InsertionGuard guard(b);
  GenericEmitter(b, op).unroll();
}
