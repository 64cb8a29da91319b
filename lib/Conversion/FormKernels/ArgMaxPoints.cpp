//===- ArgMaxPoints.cpp - Largest entries of rows between points ----------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PointSweep.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <limits>

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// For each of its rows a thread has the largest exponent of its own columns,
/// and the first column that has it; they meet at the end.
class ArgMaxSweep final : public PointSweep {
public:
  ArgMaxSweep(OpBuilder &builder, ArgMaxPointsOp op, const PointBlocks &blocks)
      : PointSweep(builder, op.getLoc(), blocks, op.getOuts()[0]), op(op) {}

  LogicalResult form(AllocateShared allocate) {
    product = op.getProducts() == Products::f32
                  ? createScalarProduct(b, type, op.getMetric(), blocks.thread,
                                        blocks.numThreads, getThreadColumns())
                  : createTensorProduct(b, op.getProducts(), blocks.thread,
                                        blocks.numThreads, kTensorColumns);
    FailureOr<Value> forParts = allocateShared(
        allocate, 2 * product->getNumParts() * product->getRows());
    if (failed(forParts))
      return failure();
    rowParts = *forParts;
    return run({op.getX(), op.getY(), op.getMetric(), op.getScale(),
                op.getFactor(), op.getOuts()[0], /*tail=*/1, op.getBias(),
                op.getBiasScale(), op.getTransposed()},
               allocate);
  }

private:
  /// Half of what statistics take: once in a while, registers are worth more.
  static constexpr int64_t kThreadColumns = 8, kLeastThreadColumns = 4;
  static constexpr int64_t kTensorColumns = 128;

  int64_t getThreadColumns() {
    return type.isF32() ? kThreadColumns : kLeastThreadColumns;
  }

  SmallVector<Value> createStates(Value firstRow) override {
    Value none = number(-std::numeric_limits<double>::infinity());
    Value nowhere = arith::ConstantIntOp::create(b, -1, 32);
    SmallVector<Value> states;
    for (int64_t i = 0; i < product->getNumRows(); ++i)
      states.append({none, nowhere});
    return states;
  }
  SmallVector<Value> addTile(Value tile, ValueRange exponents,
                             ValueRange states) override;
  void finishRows(Value firstRow, ValueRange states) override;

  /// The larger of two, of equal ones the first: numbers without a sign, of
  /// which that of no column is the last.
  void merge(Value otherMost, Value otherColumn, Value &most, Value &column);
  /// A column's number as bits of a float, and back.
  Value asFloat(Value column);
  Value asColumn(Value bits);

  ArgMaxPointsOp op;
  /// Shared memory: what the parts of rows found.
  Value rowParts;
};
} // namespace

SmallVector<Value> ArgMaxSweep::addTile(Value tile, ValueRange exponents,
                                        ValueRange states) {
  int64_t numColumns = product->getNumColumns();
  Value firstColumn = mul(tile, product->getColumns());
  SmallVector<Value> columns;
  for (int64_t j = 0; j < numColumns; ++j)
    columns.push_back(arith::IndexCastOp::create(
        b, b.getI32Type(), add(firstColumn, product->createColumn(b, j))));
  SmallVector<Value> next;
  for (int64_t i = 0; i < product->getNumRows(); ++i) {
    Value most = states[2 * i], column = states[2 * i + 1];
    // A thread's columns are in order.
    for (int64_t j = 0; j < numColumns; ++j) {
      Value exponent = exponents[i * numColumns + j];
      Value isLarger =
          arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, exponent, most);
      most = arith::SelectOp::create(b, isLarger, exponent, most);
      column = arith::SelectOp::create(b, isLarger, columns[j], column);
    }
    next.append({most, column});
  }
  return next;
}

void ArgMaxSweep::merge(Value otherMost, Value otherColumn, Value &most,
                        Value &column) {
  Value isLarger =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, otherMost, most);
  Value isEqual =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, otherMost, most);
  Value isBefore =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ult, otherColumn, column);
  Value takes = arith::OrIOp::create(
      b, isLarger, arith::AndIOp::create(b, isEqual, isBefore));
  most = arith::SelectOp::create(b, takes, otherMost, most);
  column = arith::SelectOp::create(b, takes, otherColumn, column);
}

Value ArgMaxSweep::asFloat(Value column) {
  Type bits = b.getIntegerType(type.getWidth());
  if (bits != column.getType())
    column = arith::ExtUIOp::create(b, bits, column);
  return arith::BitcastOp::create(b, type, column);
}

Value ArgMaxSweep::asColumn(Value bits) {
  Value column =
      arith::BitcastOp::create(b, b.getIntegerType(type.getWidth()), bits);
  if (column.getType() != b.getI32Type())
    column = arith::TruncIOp::create(b, b.getI32Type(), column);
  return column;
}

void ArgMaxSweep::finishRows(Value firstRow, ValueRange states) {
  SmallVector<Value> found(states);
  for (int64_t i = 0; i < product->getNumRows(); ++i)
    for (int32_t bit : product->getLaneBits())
      merge(exchange(found[2 * i], bit), exchange(found[2 * i + 1], bit),
            found[2 * i], found[2 * i + 1]);
  auto check = scf::IfOp::create(b, product->createIsFirst(b),
                                 /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(check.thenBlock());
    Value own = addressOf(rowParts,
                          mul(product->createPart(b), 2 * product->getRows()));
    for (int64_t i = 0; i < product->getNumRows(); ++i)
      storeFloats(b, joinFloats(b, {found[2 * i], asFloat(found[2 * i + 1])}),
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
    Value most, column;
    for (int64_t i = 0; i < product->getNumParts(); ++i) {
      Value place = addressOf(addressOf(rowParts, mul(row, 2)),
                              2 * i * product->getRows());
      SmallVector<Value> part = splitFloats(b, load(place, 2));
      if (most)
        merge(part[0], asColumn(part[1]), most, column);
      else
        most = part[0], column = asColumn(part[1]);
    }
    most = arith::MulFOp::create(b, most, natural);
    column = arith::ExtSIOp::create(b, b.getI64Type(), column);
    Value results[] = {most, column};
    for (auto [result, out] : llvm::zip_equal(results, op.getOuts()))
      memref::StoreOp::create(b, result, out, indicesOf(out, position));
  });
}

LogicalResult scaling::formPointSweep(OpBuilder &builder, ArgMaxPointsOp op,
                                      const PointBlocks &blocks,
                                      AllocateShared allocate) {
  return ArgMaxSweep(builder, op, blocks).form(allocate);
}
