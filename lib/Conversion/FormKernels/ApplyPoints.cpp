//===- ApplyPoints.cpp - Products with a plan, tile by tile ---------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PointSweep.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <limits>

using namespace mlir;
using namespace mlir::scaling;

/// Threads that share a row of the result; each has vectors of it this far
/// apart, at most two.
static constexpr int64_t kThreadsOfRow = 16;

static constexpr int64_t kMostGroups = 2;

namespace {
/// A tile of the plan goes to shared memory, and is multiplied with a tile of
/// the operand there. A block makes up to 128 columns of the result at a time.
class ApplySweep final : public PointSweep {
public:
  ApplySweep(OpBuilder &builder, ApplyPointsOp op, const PointBlocks &blocks)
      : PointSweep(builder, op.getLoc(), blocks, op.getOuts()), op(op) {}

  LogicalResult form(AllocateShared allocate);

private:
  static constexpr int64_t kThreadColumns = 4;

  int64_t getGroupColumns() const { return kThreadsOfRow * vector; }
  int64_t getWidth() const { return numGroups * getGroupColumns(); }
  /// Neighbouring rows are half of the banks apart: two are written at a time.
  /// Of pairs of columns four are, a quarter of the banks apart.
  int64_t getPlanStride() const {
    return product->getColumns() +
           kThreadsOfRow / product->getAdjacentColumns();
  }
  Value operandAt(Value tile) {
    Value half = arith::RemUIOp::create(b, tile, index(2));
    return addressOf(operandTile,
                     mul(half, product->getColumns() * getWidth()));
  }

  Value countParts() override {
    return arith::CeilDivUIOp::create(b, operand.depth, index(getWidth()));
  }
  void setPart(Value part) override {
    firstColumn = mul(part, getWidth());
    setPointer(operand);
    setPointer(result);
  }
  SmallVector<Value> createStates(Value firstRow) override;
  void stageTile(Value tile) override {
    int64_t columns = product->getColumns();
    copyAsync(operand, mul(tile, columns), firstColumn, columns, getWidth(),
              operandAt(tile), getWidth());
  }
  SmallVector<Value> addTile(Value tile, ValueRange exponents,
                             ValueRange states) override;
  void finishRows(Value firstRow, ValueRange states) override;

  ApplyPointsOp op;
  Points operand, result;
  int64_t numGroups, rowsApart;
  /// Shared memory: a tile of the plan; two of the operand.
  Value planTile, operandTile;
  /// Where the part of the result begins, and where in it the thread's.
  Value firstColumn, ownRow, ownColumn;
  /// The factors of the thread's rows.
  SmallVector<Value> rowTerms;
};
} // namespace

LogicalResult ApplySweep::form(AllocateShared allocate) {
  product = op.getProducts() == Products::f32
                ? createScalarProduct(b, type, op.getMetric(), blocks.thread,
                                      blocks.numThreads, kThreadColumns)
                : createTensorProduct(b, op.getProducts(), blocks.thread,
                                      blocks.numThreads,
                                      kThreadsOfRow * kThreadColumns);
  operand = describe(op.getOperand());
  result = describe(op.getOuts());
  // Of f64, more would take the shared memory of the points.
  int64_t known = operand.type.getShape().back();
  numGroups =
      ShapedType::isDynamic(known) || !type.isF32()
          ? 1
          : std::clamp<int64_t>(llvm::divideCeil(known, getGroupColumns()), 1,
                                kMostGroups);
  rowsApart = blocks.numThreads / kThreadsOfRow;
  ownRow = arith::DivUIOp::create(b, blocks.thread, index(kThreadsOfRow));
  ownColumn = mul(
      arith::RemUIOp::create(b, blocks.thread, index(kThreadsOfRow)), vector);
  FailureOr<Value> forPlan =
      allocateShared(allocate, product->getRows() * getPlanStride());
  FailureOr<Value> forOperand =
      allocateShared(allocate, 2 * product->getColumns() * getWidth());
  if (failed(forPlan) || failed(forOperand))
    return failure();
  planTile = *forPlan;
  operandTile = *forOperand;
  return run({op.getX(), op.getY(), op.getMetric(), op.getScale(), op.getCol(),
              op.getOuts(), /*tail=*/2, op.getBias(), op.getBiasScale(),
              op.getTransposed()},
             allocate);
}

SmallVector<Value> ApplySweep::createStates(Value firstRow) {
  Value zero = number(0.0);
  Value none = number(-std::numeric_limits<double>::infinity());
  rowTerms.clear();
  for (int64_t i = 0; i < product->getNumRows(); ++i)
    rowTerms.push_back(loadTerm(op.getRow(),
                                add(firstRow, product->createRow(b, i)),
                                x.count, number(kLog2E), zero, none));
  int64_t rows = product->getRows() / rowsApart;
  return SmallVector<Value>(rows * numGroups * vector, zero);
}

SmallVector<Value> ApplySweep::addTile(Value tile, ValueRange exponents,
                                       ValueRange states) {
  int64_t numColumns = product->getNumColumns();
  int64_t adjacent = product->getAdjacentColumns();
  for (int64_t i = 0; i < product->getNumRows(); ++i) {
    Value row =
        addressOf(planTile, mul(product->createRow(b, i), getPlanStride()));
    for (int64_t j = 0; j < numColumns; j += adjacent) {
      SmallVector<Value> powers;
      for (Value exponent : exponents.slice(i * numColumns + j, adjacent))
        powers.push_back(exp2(addInOnes(exponent, rowTerms[i])));
      storeFloats(b, joinFloats(b, powers),
                  addressOf(row, product->createColumn(b, j)));
    }
  }
  gpu::BarrierOp::create(b);

  Value plan = addressOf(planTile, mul(ownRow, getPlanStride()));
  Value other = addressOf(operandAt(tile), ownColumn);
  auto loop = scf::ForOp::create(b, index(0), index(product->getColumns()),
                                 index(vector), states);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value first = loop.getInductionVar();
    Value nowPlan = addressOf(plan, first);
    Value nowOther = addressOf(other, mul(first, getWidth()));
    int64_t rows = product->getRows() / rowsApart;
    SmallVector<SmallVector<Value>> entries;
    for (int64_t i = 0; i < rows; ++i)
      entries.push_back(splitFloats(
          b,
          load(addressOf(nowPlan, i * rowsApart * getPlanStride()), vector)));
    SmallVector<Value> sums(loop.getRegionIterArgs());
    for (int64_t k = 0; k < vector; ++k)
      for (int64_t group = 0; group < numGroups; ++group) {
        Value from =
            addressOf(nowOther, k * getWidth() + group * getGroupColumns());
        SmallVector<Value> values = splitFloats(b, load(from, vector));
        for (int64_t i = 0; i < rows; ++i)
          for (auto [e, value] : llvm::enumerate(values)) {
            Value &sum = sums[(i * numGroups + group) * vector + e];
            sum = math::FmaOp::create(b, entries[i][k], value, sum);
          }
      }
    scf::YieldOp::create(b, sums);
  }
  // The next tiles go where these were.
  gpu::BarrierOp::create(b);
  return SmallVector<Value>(loop.getResults());
}

void ApplySweep::finishRows(Value firstRow, ValueRange states) {
  int64_t rows = product->getRows() / rowsApart;
  for (int64_t i = 0; i < rows; ++i) {
    Value row = add(firstRow, add(ownRow, index(i * rowsApart)));
    Value hasRow = isBelow(row, result.count);
    for (int64_t group = 0; group < numGroups; ++group) {
      Value column =
          add(add(firstColumn, ownColumn), index(group * getGroupColumns()));
      ValueRange own = states.slice((i * numGroups + group) * vector, vector);
      int64_t stored = result.vector;
      for (int64_t e = 0; e < vector; e += stored) {
        Value first = add(column, index(e));
        Value stores =
            arith::AndIOp::create(b, hasRow, isBelow(first, result.depth));
        auto check = scf::IfOp::create(b, stores, /*withElseRegion=*/false);
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPointToStart(check.thenBlock());
        Value offset = add(mul(row, result.rowStride), first);
        storeFloats(b, joinFloats(b, own.slice(e, stored)),
                    addressOf(result.pointer, offset));
      }
    }
  }
}

LogicalResult scaling::formPointSweep(OpBuilder &builder, ApplyPointsOp op,
                                      const PointBlocks &blocks,
                                      AllocateShared allocate) {
  return ApplySweep(builder, op, blocks).form(allocate);
}
