//===- ReducePoints.cpp - Log-sum-exps over tiles of points ---------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PointSweep.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <limits>

using namespace mlir;
using namespace mlir::scaling;

static constexpr int32_t kWarpLanes = 32;

namespace {
/// For each of its rows a thread has the largest exponent of its own columns,
/// and the sum of powers; they meet at the end.
class ReduceSweep final : public PointSweep {
public:
  ReduceSweep(OpBuilder &builder, ReducePointsOp op, const PointBlocks &blocks)
      : PointSweep(builder, op.getLoc(), blocks), op(op) {}

  LogicalResult form(AllocateShared allocate) {
    product = createScalarProduct(b, op.getMetric(), blocks.thread,
                                  blocks.numThreads, kThreadColumns);
    return run({op.getX(), op.getY(), op.getMetric(), op.getScale(),
                op.getFactor(), op.getOuts()[0], /*tail=*/1},
               allocate);
  }

private:
  /// Columns of a thread: eight loads of rows and sixteen of columns for four
  /// coordinates of 128 sums.
  static constexpr int64_t kThreadColumns = 16;

  SmallVector<Value> createStates(Value firstRow) override {
    SmallVector<Value> states;
    for (int64_t i = 0; i < product->getNumRows(); ++i) {
      states.push_back(number(-std::numeric_limits<float>::max()));
      states.push_back(number(0.0));
    }
    return states;
  }
  SmallVector<Value> addTile(Value tile, ValueRange exponents,
                             ValueRange states) override;
  void finishRows(Value firstRow, ValueRange states) override;

  ReducePointsOp op;
};
} // namespace

SmallVector<Value> ReduceSweep::addTile(Value tile, ValueRange exponents,
                                        ValueRange states) {
  int64_t numColumns = product->getNumColumns();
  SmallVector<Value> next;
  for (int64_t i = 0; i < product->getNumRows(); ++i) {
    ValueRange own = exponents.slice(i * numColumns, numColumns);
    // A maximum that forgets NaN: the sum has it.
    Value most = states[2 * i];
    for (Value exponent : own)
      most = LLVM::MaxNumOp::create(b, most, exponent);
    Value moved = exp2(arith::SubFOp::create(b, states[2 * i], most));
    Value sum = states[2 * i + 1];
    for (auto [j, exponent] : llvm::enumerate(own)) {
      Value power = exp2(arith::SubFOp::create(b, exponent, most));
      sum = j == 0 ? math::FmaOp::create(b, sum, moved, power).getResult()
                   : arith::AddFOp::create(b, sum, power);
    }
    next.push_back(most);
    next.push_back(sum);
  }
  return next;
}

void ReduceSweep::finishRows(Value firstRow, ValueRange states) {
  Value width = arith::ConstantIntOp::create(b, kWarpLanes, 32);
  for (int64_t i = 0; i < product->getNumRows(); ++i) {
    Value most = states[2 * i], sum = states[2 * i + 1];
    for (int32_t bit : product->getLaneBits()) {
      Value distance = arith::ConstantIntOp::create(b, bit, 32);
      auto exchange = [&](Value value) -> Value {
        return gpu::ShuffleOp::create(b, value, distance, width,
                                      gpu::ShuffleMode::XOR)
            .getShuffleResult();
      };
      Value otherMost = exchange(most), otherSum = exchange(sum);
      Value both = LLVM::MaxNumOp::create(b, most, otherMost);
      auto move = [&](Value part, Value from) -> Value {
        return arith::MulFOp::create(
            b, part, exp2(arith::SubFOp::create(b, from, both)));
      };
      Value moved = move(sum, most);
      sum = arith::AddFOp::create(b, moved, move(otherSum, otherMost));
      most = both;
    }
    Value row = add(firstRow, product->createRow(b, i));
    Value stores = arith::AndIOp::create(b, product->createIsFirst(b),
                                         isBelow(row, x.count));
    auto check = scf::IfOp::create(b, stores, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(check.thenBlock());
    Value natural = arith::MulFOp::create(b, most, number(kLn2));
    for (auto [value, out] :
         {std::pair(natural, op.getOuts()[0]), std::pair(sum, op.getOuts()[1])})
      memref::StoreOp::create(b, value, out, indicesOf(out, row));
  }
}

LogicalResult scaling::formPointSweep(OpBuilder &builder, ReducePointsOp op,
                                      const PointBlocks &blocks,
                                      AllocateShared allocate) {
  return ReduceSweep(builder, op, blocks).form(allocate);
}
