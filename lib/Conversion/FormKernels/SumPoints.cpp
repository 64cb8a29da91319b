//===- SumPoints.cpp - Mass and cost of plans over tiles of points --------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PointSweep.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// A thread has the sums of its rows over its own columns; they meet at the
/// end.
class SumSweep final : public PointSweep {
public:
  SumSweep(OpBuilder &builder, SumPointsOp op, const PointBlocks &blocks)
      : PointSweep(builder, op.getLoc(), blocks, op.getOuts()[0]), op(op) {}

  LogicalResult form(AllocateShared allocate) {
    product = op.getProducts() == Products::f32
                  ? createScalarProduct(b, type, op.getMetric(), blocks.thread,
                                        blocks.numThreads, getThreadColumns())
                  : createTensorProduct(b, op.getProducts(), blocks.thread,
                                        blocks.numThreads, kTensorColumns);
    FailureOr<Value> forRows = allocateShared(allocate, 2 * product->getRows());
    FailureOr<Value> forColumns =
        allocateShared(allocate, product->getColumns());
    FailureOr<Value> forParts = allocateShared(
        allocate, 2 * product->getNumParts() * product->getRows());
    if (failed(forRows) || failed(forColumns) || failed(forParts))
      return failure();
    rowTerms = *forRows;
    columnCosts = *forColumns;
    rowParts = *forParts;
    return run({op.getX(), op.getY(), op.getMetric(), op.getScale(),
                op.getCol(), op.getOuts()[0], /*tail=*/1, op.getBias(),
                op.getBiasScale(), op.getTransposed(),
                /*separatesTerms=*/true},
               allocate);
  }

private:
  /// Half of what statistics take: once in a while, registers are worth more.
  static constexpr int64_t kThreadColumns = 8, kLeastThreadColumns = 4;
  static constexpr int64_t kTensorColumns = 128;

  int64_t getThreadColumns() {
    return type.isF32() ? kThreadColumns : kLeastThreadColumns;
  }

  void stageBlock(Value firstRow) override;
  SmallVector<Value> createStates(Value firstRow) override {
    return SmallVector<Value>(2 * product->getNumRows(), number(0.0));
  }
  SmallVector<Value> addTile(Value tile, ValueRange exponents,
                             ValueRange states) override;
  void finishRows(Value firstRow, ValueRange states) override;

  SumPointsOp op;
  /// Shared memory: the factor of a row and its part of the costs, the latter
  /// of the columns of a tile, and the sums of parts of rows.
  Value rowTerms, columnCosts, rowParts;
};
} // namespace

void SumSweep::stageBlock(Value firstRow) {
  forEachEntry(product->getRows(), [&](Value row) {
    Value position = add(firstRow, row);
    Value factor = loadTerm(op.getRow(), position, x.count);
    Value cost = loadTerm(op.getXCost(), position, x.count);
    storeFloats(b, joinFloats(b, {factor, cost}),
                addressOf(rowTerms, mul(row, 2)));
  });
}

SmallVector<Value> SumSweep::addTile(Value tile, ValueRange exponents,
                                     ValueRange states) {
  int64_t numColumns = product->getNumColumns();
  Value firstColumn = mul(tile, product->getColumns());
  forEachEntry(product->getColumns(), [&](Value column) {
    Value cost = loadTerm(op.getYCost(), add(firstColumn, column), y.count);
    storeFloats(b, cost, addressOf(columnCosts, column));
  });
  SmallVector<SmallVector<Value>> factors = loadTerms(tile);
  gpu::BarrierOp::create(b);
  SmallVector<Value> costs;
  for (int64_t j = 0; j < numColumns; ++j)
    costs.push_back(
        load(addressOf(columnCosts, product->createColumn(b, j)), 1));
  Value zero = number(0.0);
  SmallVector<Value> next;
  for (int64_t i = 0; i < product->getNumRows(); ++i) {
    Value place = addressOf(rowTerms, mul(product->createRow(b, i), 2));
    SmallVector<Value> own = splitFloats(b, load(place, 2));
    Value mass = states[2 * i], value = states[2 * i + 1];
    for (int64_t j = 0; j < numColumns; ++j) {
      Value cost =
          arith::AddFOp::create(b, exponents[i * numColumns + j],
                                arith::AddFOp::create(b, own[1], costs[j]));
      Value factor =
          arith::AddFOp::create(b, own[0], factors[i % factors.size()][j]);
      Value power = exp2(inOnes(arith::AddFOp::create(b, cost, factor)));
      mass = arith::AddFOp::create(b, mass, power);
      // Costs may be infinite where there is nothing.
      Value isNone =
          arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, power, zero);
      cost = arith::SelectOp::create(b, isNone, zero, cost);
      value = math::FmaOp::create(b, power, cost, value);
    }
    next.push_back(mass);
    next.push_back(value);
  }
  return next;
}

void SumSweep::finishRows(Value firstRow, ValueRange states) {
  Value isFirst = product->createIsFirst(b);
  Value part = product->createPart(b);
  SmallVector<Value> sums(states);
  for (Value &sum : sums)
    for (int32_t bit : product->getLaneBits())
      sum = arith::AddFOp::create(b, sum, exchange(sum, bit));
  auto check = scf::IfOp::create(b, isFirst, /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(check.thenBlock());
    Value own = addressOf(rowParts, mul(part, 2 * product->getRows()));
    for (int64_t i = 0; i < product->getNumRows(); ++i)
      storeFloats(b, joinFloats(b, ArrayRef(sums).slice(2 * i, 2)),
                  addressOf(own, mul(product->createRow(b, i), 2)));
  }
  gpu::BarrierOp::create(b);
  // From units to natural logarithms.
  Value natural = inOnes(number(kLn2));
  forEachEntry(product->getRows(), [&](Value row) {
    Value position = add(firstRow, row);
    auto exists = scf::IfOp::create(b, isBelow(position, x.count),
                                    /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(exists.thenBlock());
    Value mass = number(0.0), value = mass;
    for (int64_t i = 0; i < product->getNumParts(); ++i) {
      Value place = addressOf(addressOf(rowParts, mul(row, 2)),
                              2 * i * product->getRows());
      SmallVector<Value> found = splitFloats(b, load(place, 2));
      mass = arith::AddFOp::create(b, mass, found[0]);
      value = arith::AddFOp::create(b, value, found[1]);
    }
    value = arith::MulFOp::create(b, value, natural);
    Value sums[] = {mass, value};
    for (auto [sum, out] : llvm::zip_equal(sums, op.getOuts()))
      memref::StoreOp::create(b, sum, out, indicesOf(out, position));
  });
}

LogicalResult scaling::formPointSweep(OpBuilder &builder, SumPointsOp op,
                                      const PointBlocks &blocks,
                                      AllocateShared allocate) {
  return SumSweep(builder, op, blocks).form(allocate);
}
