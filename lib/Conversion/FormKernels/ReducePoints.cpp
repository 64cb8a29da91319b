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

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// For each of its rows a thread has the largest exponent of its own columns,
/// and the sum of powers; they meet at the end. Where statistics of columns are
/// made as well, the threads' of a tile meet after the tile.
class ReduceSweep final : public PointSweep {
public:
  ReduceSweep(OpBuilder &builder, ReducePointsOp op, const PointBlocks &blocks)
      : PointSweep(builder, op.getLoc(), blocks, op.getOuts()[0]), op(op) {}

  LogicalResult form(AllocateShared allocate) {
    product = op.getProducts() == Products::f32
                  ? createScalarProduct(b, type, op.getMetric(), blocks.thread,
                                        blocks.numThreads, getThreadColumns())
                  : createTensorProduct(b, op.getProducts(), blocks.thread,
                                        blocks.numThreads, getTensorColumns(),
                                        op.getBlock() ? kTallSteps : kSteps);
    if (std::optional<int64_t> block = op.getBlock()) {
      if (*block != product->getRows())
        return op.emitOpError() << "has blocks of " << *block
                                << " rows, where a block of threads takes "
                                << product->getRows();
      FailureOr<Value> forTerms = allocateShared(allocate, product->getRows());
      FailureOr<Value> forColumns = allocateShared(
          allocate, 2 * product->getNumRowParts() * product->getColumns());
      if (failed(forTerms) || failed(forColumns))
        return failure();
      rowTerms = *forTerms;
      columnParts = *forColumns;
    }
    int64_t others = product->getNumParts() - 1;
    if (others > 0) {
      FailureOr<Value> forOthers =
          allocateShared(allocate, 2 * others * product->getRows());
      if (failed(forOthers))
        return failure();
      otherParts = *forOthers;
    }
    return run({op.getX(), op.getY(), op.getMetric(), op.getScale(),
                op.getFactor(), op.getOuts()[0], /*tail=*/1, op.getBias(),
                op.getBiasScale(), op.getTransposed(),
                /*separatesTerms=*/op.getBlock().has_value()},
               allocate);
  }

private:
  /// Columns of a thread: eight loads of rows and sixteen of columns for four
  /// coordinates of 128 sums.
  static constexpr int64_t kThreadColumns = 16;
  /// Where an exponential, a number of the bias, or what is made of unknown
  /// sizes takes more registers, or exponents are needed again for columns.
  static constexpr int64_t kFewThreadColumns = 8, kLeastThreadColumns = 4;
  /// Columns of a tile of tensor cores: as many sums for a thread; half of them
  /// where numbers of the bias take registers as well, or unknown sizes of a
  /// batch; a quarter where the bias is of other numbers, or of unknown sizes.
  static constexpr int64_t kTensorColumns = 256, kFewTensorColumns = 128,
                           kLeastTensorColumns = 64;
  /// Steps of tensor cores one below another: lanes of a column meet in every
  /// tile, lanes of a row at the end.
  static constexpr int64_t kSteps = 2, kTallSteps = 4;

  int64_t getThreadColumns() {
    if (!type.isF32())
      return isUnknown() ? kLeastThreadColumns / 2 : kLeastThreadColumns;
    if (op.getBias() && isUnknown())
      return kLeastThreadColumns;
    return castsBias() || op.getBlock() || isUnknown() ? kFewThreadColumns
                                                       : kThreadColumns;
  }
  int64_t getTensorColumns() {
    if (op.getBias() &&
        (isUnknown() || (castsBias() && op.getProducts() == Products::tf32)))
      return kLeastTensorColumns;
    bool isBatch = cast<MemRefType>(op.getOuts()[0].getType()).getRank() > 1;
    return op.getBias() || op.getBlock() || (isBatch && isUnknown())
               ? kFewTensorColumns
               : kTensorColumns;
  }
  bool isUnknown() {
    return hasUnknownSizes(op.getX()) || hasUnknownSizes(op.getY());
  }
  bool castsBias() {
    return op.getBias() && getElementTypeOrSelf(op.getBias()) != type;
  }

  SmallVector<Value> createStates(Value firstRow) override {
    if (op.getBlock())
      rowBlock = arith::DivUIOp::create(b, firstRow, index(*op.getBlock()));
    SmallVector<Value> states;
    for (int64_t i = 0; i < product->getNumRows(); ++i) {
      states.push_back(createLowest());
      states.push_back(number(0.0));
    }
    return states;
  }
  void stageBlock(Value firstRow) override;
  SmallVector<Value> addTile(Value tile, ValueRange exponents,
                             ValueRange states) override;
  void finishRows(Value firstRow, ValueRange states) override;

  /// The terms of columns, of every so many rows, are added to exponents that
  /// are without.
  SmallVector<Value> addRows(ValueRange exponents,
                             ArrayRef<SmallVector<Value>> terms,
                             ValueRange states);
  /// What a thread's rows, then a warp's, and then a block's have of the
  /// columns of a tile.
  void reduceColumns(Value tile, ValueRange exponents);
  void joinWarps(Value tile);

  /// Adds what others found of a row to the largest exponent and the sum.
  void merge(Value otherMost, Value otherSum, Value &most, Value &sum);
  /// What the parts of rows found, to those of the first part.
  void mergeParts(MutableArrayRef<Value> mosts, MutableArrayRef<Value> sums);

  ReducePointsOp op;
  /// Shared memory: of the parts of rows but the first, largest exponents and
  /// sums. Of rows, what is added to them in columns; of the columns of a tile,
  /// largest exponents and sums of every part of the rows.
  Value otherParts, rowTerms, columnParts;
  /// The number of the block of rows.
  Value rowBlock;
};
} // namespace

void ReduceSweep::stageBlock(Value firstRow) {
  if (!op.getBlock())
    return;
  forEachEntry(product->getRows(), [&](Value row) {
    Value term = loadTerm(op.getRowFactor(), add(firstRow, row), x.count);
    storeFloats(b, term, addressOf(rowTerms, row));
  });
}

SmallVector<Value> ReduceSweep::addTile(Value tile, ValueRange exponents,
                                        ValueRange states) {
  if (!op.getBlock())
    return addRows(exponents, {}, states);
  SmallVector<Value> next = addRows(exponents, loadTerms(tile), states);
  reduceColumns(tile, exponents);
  gpu::BarrierOp::create(b);
  joinWarps(tile);
  return next;
}

void ReduceSweep::reduceColumns(Value tile, ValueRange exponents) {
  int64_t numRows = product->getNumRows();
  int64_t numColumns = product->getNumColumns();
  SmallVector<Value> terms;
  for (int64_t i = 0; i < numRows; ++i)
    terms.push_back(load(addressOf(rowTerms, product->createRow(b, i)), 1));
  Value isFirst = product->createIsFirstRow(b);
  Value ownPart = addressOf(
      columnParts, mul(product->createRowPart(b), 2 * product->getColumns()));
  for (int64_t j = 0; j < numColumns; ++j) {
    SmallVector<Value> own;
    Value most = createLowest();
    for (int64_t i = 0; i < numRows; ++i) {
      own.push_back(
          arith::AddFOp::create(b, exponents[i * numColumns + j], terms[i]));
      most = LLVM::MaxNumOp::create(b, most, own.back());
    }
    for (int32_t bit : product->getRowBits())
      most = LLVM::MaxNumOp::create(b, most, exchange(most, bit));
    most = inOnes(most);
    Value least = arith::NegFOp::create(b, most);
    Value sum;
    for (Value exponent : own) {
      Value power = exp2(addInOnes(exponent, least));
      sum = sum ? arith::AddFOp::create(b, sum, power).getResult() : power;
    }
    for (int32_t bit : product->getRowBits())
      sum = arith::AddFOp::create(b, sum, exchange(sum, bit));
    auto check = scf::IfOp::create(b, isFirst, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(check.thenBlock());
    storeFloats(b, joinFloats(b, {most, sum}),
                addressOf(ownPart, mul(product->createColumn(b, j), 2)));
  }
}

void ReduceSweep::joinWarps(Value tile) {
  int64_t columns = product->getColumns();
  Value firstColumn = mul(tile, columns);
  forEachEntry(columns, [&](Value column) {
    Value position = add(firstColumn, column);
    auto check = scf::IfOp::create(b, isBelow(position, y.count),
                                   /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(check.thenBlock());
    SmallVector<Value> mosts, sums;
    for (int64_t part = 0; part < product->getNumRowParts(); ++part) {
      Value place =
          addressOf(addressOf(columnParts, mul(column, 2)), 2 * part * columns);
      SmallVector<Value> found = splitFloats(b, load(place, 2));
      mosts.push_back(found[0]);
      sums.push_back(found[1]);
    }
    Value most = mosts[0];
    for (Value other : ArrayRef(mosts).drop_front())
      most = LLVM::MaxNumOp::create(b, most, other);
    Value sum = number(0.0);
    for (auto [ownMost, ownSum] : llvm::zip_equal(mosts, sums))
      sum = math::FmaOp::create(
          b, ownSum, exp2(arith::SubFOp::create(b, ownMost, most)), sum);
    Value natural = arith::MulFOp::create(b, most, number(kLn2));
    Value found[] = {natural, sum};
    for (auto [value, out] : llvm::zip_equal(found, op.getOuts().drop_front(2)))
      memref::StoreOp::create(b, value, out,
                              indicesOf(out, {rowBlock, position}));
  });
}

SmallVector<Value> ReduceSweep::addRows(ValueRange exponents,
                                        ArrayRef<SmallVector<Value>> terms,
                                        ValueRange states) {
  int64_t numColumns = product->getNumColumns();
  SmallVector<Value> next;
  for (int64_t i = 0; i < product->getNumRows(); ++i) {
    SmallVector<Value> own(exponents.slice(i * numColumns, numColumns));
    if (!terms.empty())
      for (auto [exponent, term] :
           llvm::zip_equal(own, terms[i % terms.size()]))
        exponent = arith::AddFOp::create(b, exponent, term);
    // A maximum that forgets NaN: the sum has it.
    Value most = states[2 * i];
    for (Value exponent : own)
      most = LLVM::MaxNumOp::create(b, most, exponent);
    Value least = arith::NegFOp::create(b, inOnes(most));
    Value moved = exp2(addInOnes(states[2 * i], least));
    Value sum = states[2 * i + 1];
    for (auto [j, exponent] : llvm::enumerate(own)) {
      Value power = exp2(addInOnes(exponent, least));
      sum = j == 0 ? math::FmaOp::create(b, sum, moved, power).getResult()
                   : arith::AddFOp::create(b, sum, power);
    }
    next.push_back(most);
    next.push_back(sum);
  }
  return next;
}

void ReduceSweep::merge(Value otherMost, Value otherSum, Value &most,
                        Value &sum) {
  Value both = LLVM::MaxNumOp::create(b, most, otherMost);
  auto move = [&](Value part, Value from) -> Value {
    return arith::MulFOp::create(b, part,
                                 exp2(arith::SubFOp::create(b, from, both)));
  };
  Value moved = move(sum, most);
  sum = arith::AddFOp::create(b, moved, move(otherSum, otherMost));
  most = both;
}

void ReduceSweep::mergeParts(MutableArrayRef<Value> mosts,
                             MutableArrayRef<Value> sums) {
  int64_t numParts = product->getNumParts();
  if (numParts == 1)
    return;
  Value part = product->createPart(b);
  auto isPart = [&](int64_t number) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, part,
                                 index(number));
  };
  auto placeOf = [&](int64_t i) -> Value {
    return addressOf(otherParts, mul(product->createRow(b, i), 2));
  };
  Value isFirst = product->createIsFirst(b);
  for (int64_t other = 1; other < numParts; ++other) {
    int64_t offset = 2 * (other - 1) * product->getRows();
    auto check =
        scf::IfOp::create(b, arith::AndIOp::create(b, isFirst, isPart(other)),
                          /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(check.thenBlock());
    for (auto [i, most, sum] : llvm::enumerate(mosts, sums))
      storeFloats(b, joinFloats(b, {most, sum}), addressOf(placeOf(i), offset));
  }
  gpu::BarrierOp::create(b);
  SmallVector<Value> merged(mosts);
  llvm::append_range(merged, sums);
  auto check = scf::IfOp::create(b, TypeRange(merged),
                                 arith::AndIOp::create(b, isFirst, isPart(0)),
                                 /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(check.elseBlock());
    scf::YieldOp::create(b, merged);
    b.setInsertionPointToStart(check.thenBlock());
    for (int64_t other = 1; other < numParts; ++other) {
      int64_t offset = 2 * (other - 1) * product->getRows();
      for (size_t i = 0; i < mosts.size(); ++i) {
        SmallVector<Value> found =
            splitFloats(b, load(addressOf(placeOf(i), offset), 2));
        merge(found[0], found[1], merged[i], merged[mosts.size() + i]);
      }
    }
    scf::YieldOp::create(b, merged);
  }
  llvm::copy(check.getResults().take_front(mosts.size()), mosts.begin());
  llvm::copy(check.getResults().drop_front(mosts.size()), sums.begin());
}

void ReduceSweep::finishRows(Value firstRow, ValueRange states) {

  SmallVector<Value> mosts, sums;
  for (int64_t i = 0; i < product->getNumRows(); ++i) {
    Value most = inOnes(states[2 * i]), sum = states[2 * i + 1];
    for (int32_t bit : product->getLaneBits()) {
      Value otherMost = exchange(most, bit), otherSum = exchange(sum, bit);
      merge(otherMost, otherSum, most, sum);
    }
    mosts.push_back(most);
    sums.push_back(sum);
  }
  mergeParts(mosts, sums);
  Value isFirst = product->createIsFirst(b);
  if (product->getNumParts() > 1)
    isFirst = arith::AndIOp::create(
        b, isFirst,
        arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                              product->createPart(b), index(0)));
  for (auto [i, most, sum] : llvm::enumerate(mosts, sums)) {
    Value row = add(firstRow, product->createRow(b, i));
    Value stores = arith::AndIOp::create(b, isFirst, isBelow(row, x.count));
    auto check = scf::IfOp::create(b, stores, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(check.thenBlock());
    Value natural = arith::MulFOp::create(b, most, number(kLn2));
    for (auto [value, out] : {std::pair<Value, Value>(natural, op.getOuts()[0]),
                              std::pair<Value, Value>(sum, op.getOuts()[1])})
      memref::StoreOp::create(b, value, out, indicesOf(out, row));
  }
}

LogicalResult scaling::formPointSweep(OpBuilder &builder, ReducePointsOp op,
                                      const PointBlocks &blocks,
                                      AllocateShared allocate) {
  return ReduceSweep(builder, op, blocks).form(allocate);
}
