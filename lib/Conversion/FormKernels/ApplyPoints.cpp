//===- ApplyPoints.cpp - Products with a plan, tile by tile ---------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PointSweep.h"
#include "TensorProduct.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <limits>

using namespace mlir;
using namespace mlir::scaling;

/// Threads that share a row of the result where all of them have as many of its
/// columns; each has vectors of it this far apart, at most two.
static constexpr int64_t kThreadsOfRow = 16;

static constexpr int64_t kMostGroups = 2;

namespace {
/// A tile of the plan, the exponentials of a tile of sums, is multiplied with a
/// tile of the operand in shared memory, by the subclass. A block makes up to
/// 128 columns of the result at a time.
class ApplySweep : public PointSweep {
public:
  ApplySweep(OpBuilder &builder, ApplyPointsOp op, const PointBlocks &blocks)
      : PointSweep(builder, op.getLoc(), blocks, op.getOuts()), op(op) {}

  LogicalResult form(AllocateShared allocate);

protected:
  /// Of tensor cores and f64, half of them where numbers of the bias and what
  /// is made of unknown sizes take registers as well.
  static constexpr int64_t kTileColumns = 64, kFewTileColumns = 32;

  /// What takes shared memory besides points and the operand.
  virtual LogicalResult createTiles(AllocateShared allocate) {
    return success();
  }
  /// The sums that a thread has for the result.
  virtual int64_t countSums() = 0;
  /// Groups of columns of the result that a block makes at a time. Of f64, more
  /// would take the shared memory of the points.
  virtual int64_t getMostGroups() { return type.isF32() ? kMostGroups : 1; }
  /// From row to row of the operand in shared memory.
  virtual int64_t getOperandStride() = 0;
  /// What its place takes at least.
  virtual int64_t countOperand() {
    return 2 * product->getColumns() * getOperandStride();
  }

  int64_t getGroupColumns() const { return kThreadsOfRow * vector; }
  int64_t getWidth() const { return numGroups * getGroupColumns(); }
  Value operandAt(Value tile) {
    Value half = arith::RemUIOp::create(b, tile, index(2));
    return addressOf(operandTile,
                     mul(half, product->getColumns() * getOperandStride()));
  }
  /// The entries of the plan in one of the thread's rows.
  SmallVector<Value> createPlan(int64_t row, ValueRange exponents) {
    SmallVector<Value> powers;
    for (Value exponent : exponents)
      powers.push_back(exp2(addInOnes(exponent, rowTerms[row])));
    return powers;
  }
  /// Stores neighbours in a row of the result, where there are such.
  void storeEntries(Value row, Value isOwn, Value column, ValueRange entries);

  ApplyPointsOp op;
  Points operand, result;
  int64_t numGroups;
  /// Shared memory: two tiles of the operand.
  Value operandTile;
  /// Where the part of the result begins.
  Value firstColumn;

private:
  Value countParts() override {
    return arith::CeilDivUIOp::create(b, result.depth, index(getWidth()));
  }
  void setPart(Value part) override {
    firstColumn = mul(part, getWidth());
    setPointer(operand);
    setPointer(result);
  }
  SmallVector<Value> createStates(Value firstRow) override;
  void stageTile(Value tile) override {
    int64_t columns = product->getColumns();
    copyAsync(operand, mul(tile, columns),
              inWords(firstColumn, operand.perWord), columns,
              getWidth() / operand.perWord, operandAt(tile),
              getOperandStride());
  }

  /// The factors of the thread's rows.
  SmallVector<Value> rowTerms;
};

/// A tile of the plan goes to shared memory too: every thread multiplies some
/// of its rows and columns of the operand.
class ScalarApply final : public ApplySweep {
public:
  using ApplySweep::ApplySweep;

private:
  /// Neighbouring rows are half of the banks apart: two are written at a time.
  int64_t getPlanStride() const {
    return product->getColumns() + kThreadsOfRow;
  }
  int64_t getRowsApart() const { return blocks.numThreads / kThreadsOfRow; }
  int64_t countRows() const { return product->getRows() / getRowsApart(); }
  int64_t countSums() override { return countRows() * numGroups * vector; }
  int64_t getOperandStride() override { return getWidth(); }

  LogicalResult createTiles(AllocateShared allocate) override;
  SmallVector<Value> addTile(Value tile, ValueRange exponents,
                             ValueRange states) override;
  void finishRows(Value firstRow, ValueRange states) override;

  /// Shared memory: a tile of the plan.
  Value planTile;
  /// Where in the part of the result the thread's begins.
  Value ownRow, ownColumn;
};

/// The plan stays in registers: where an instruction of tensor cores leaves its
/// sums is where the next one wants a factor. A warp multiplies its rows of the
/// plan in its own columns; what those of other columns found is added at the
/// end.
class TensorApply final : public ApplySweep {
public:
  TensorApply(OpBuilder &builder, ApplyPointsOp op, const PointBlocks &blocks)
      : ApplySweep(builder, op, blocks),
        products(getElementTypeOrSelf(op.getOperand()).isBF16()
                     ? Products::bf16
                     : Products::tf32),
        lane(b, blocks.thread) {}

private:
  bool isNarrow() const { return products == Products::bf16; }
  /// Steps of rows of the plan, and of columns of the result.
  int64_t countSteps() const { return product->getNumRows() / 2; }
  int64_t countColumnSteps() const { return getWidth() / kStepColumns; }
  int64_t countSums() override {
    return countSteps() * countColumnSteps() * kSumsOfStep;
  }
  /// A bias takes registers.
  int64_t getMostGroups() override { return op.getBias() ? 1 : kMostGroups; }
  /// An odd number of vectors.
  int64_t getOperandStride() override {
    return getWidth() / operand.perWord + vector;
  }
  int64_t countThreadsOfPart() {
    return blocks.numThreads / product->getNumParts();
  }
  /// At the end, sums of a part of the columns take its place.
  int64_t countOperand() override {
    int64_t merged =
        product->getNumParts() > 1 ? countThreadsOfPart() * countSums() : 0;
    return std::max(ApplySweep::countOperand(), merged);
  }
  /// The four sums of a step.
  static SmallVector<Value *> sumsOf(MutableArrayRef<Value> sums,
                                     int64_t step) {
    SmallVector<Value *> own;
    for (Value &sum : sums.slice(step * kSumsOfStep, kSumsOfStep))
      own.push_back(&sum);
    return own;
  }
  Value asWord(Value value) {
    return LLVM::BitcastOp::create(b, b.getI32Type(), value);
  }

  SmallVector<Value> addTile(Value tile, ValueRange exponents,
                             ValueRange states) override;
  void finishRows(Value firstRow, ValueRange states) override;
  /// Adds products of 8 columns of the plan, or of 16, from the thread's j-th
  /// on.
  void addWide(Value tile, int64_t j, ArrayRef<SmallVector<Value>> plan,
               MutableArrayRef<Value> sums);
  void addNarrow(Value tile, int64_t j, ArrayRef<SmallVector<Value>> plan,
                 MutableArrayRef<Value> sums);
  /// To the sums of the first part of the columns those of the others.
  SmallVector<Value> mergeParts(ValueRange sums);

  static constexpr int64_t kSumsOfStep = 4;

  Products products;
  TensorLane lane;
};
} // namespace

//===----------------------------------------------------------------------===//
// Either
//===----------------------------------------------------------------------===//

LogicalResult ApplySweep::form(AllocateShared allocate) {
  bool isF32 = type.isF32() && op.getProducts() == Products::f32;
  bool takesFew = op.getBias() && !isF32 &&
                  (hasUnknownSizes(op.getX()) || hasUnknownSizes(op.getY()));
  int64_t columns = takesFew ? kFewTileColumns : kTileColumns;
  product =
      op.getProducts() == Products::f32
          ? createScalarProduct(b, type, op.getMetric(), blocks.thread,
                                blocks.numThreads, columns / kThreadsOfRow)
          : createTensorProduct(b, op.getProducts(), blocks.thread,
                                blocks.numThreads, columns);
  int64_t perWord =
      type.getWidth() /
      getElementTypeOrSelf(op.getOperand()).getIntOrFloatBitWidth();
  operand = describe(op.getOperand(), perWord);
  result = describe(op.getOuts());
  int64_t known = result.type.getShape().back();
  if (ShapedType::isDynamic(known))
    known = operand.type.getShape().back();
  numGroups =
      ShapedType::isDynamic(known)
          ? 1
          : std::clamp<int64_t>(llvm::divideCeil(known, getGroupColumns()), 1,
                                getMostGroups());
  if (failed(createTiles(allocate)))
    return failure();
  FailureOr<Value> forOperand = allocateShared(allocate, countOperand());
  if (failed(forOperand))
    return failure();
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
  return SmallVector<Value>(countSums(), zero);
}

void ApplySweep::storeEntries(Value row, Value isOwn, Value column,
                              ValueRange entries) {
  int64_t stored = std::min<int64_t>(result.vector, entries.size());
  for (size_t e = 0; e < entries.size(); e += stored) {
    Value first = add(column, index(e));
    Value stores =
        arith::AndIOp::create(b, isOwn, isBelow(first, result.depth));
    auto check = scf::IfOp::create(b, stores, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(check.thenBlock());
    Value offset = add(mul(row, result.rowStride), first);
    storeFloats(b, joinFloats(b, entries.slice(e, stored)),
                addressOf(result.pointer, offset));
  }
}

//===----------------------------------------------------------------------===//
// Scalar
//===----------------------------------------------------------------------===//

LogicalResult ScalarApply::createTiles(AllocateShared allocate) {
  ownRow = arith::DivUIOp::create(b, blocks.thread, index(kThreadsOfRow));
  ownColumn = mul(
      arith::RemUIOp::create(b, blocks.thread, index(kThreadsOfRow)), vector);
  FailureOr<Value> forPlan =
      allocateShared(allocate, product->getRows() * getPlanStride());
  if (failed(forPlan))
    return failure();
  planTile = *forPlan;
  return success();
}

SmallVector<Value> ScalarApply::addTile(Value tile, ValueRange exponents,
                                        ValueRange states) {
  int64_t numColumns = product->getNumColumns();
  for (int64_t i = 0; i < product->getNumRows(); ++i) {
    Value row =
        addressOf(planTile, mul(product->createRow(b, i), getPlanStride()));
    SmallVector<Value> plan =
        createPlan(i, exponents.slice(i * numColumns, numColumns));
    for (auto [j, power] : llvm::enumerate(plan))
      storeFloats(b, power, addressOf(row, product->createColumn(b, j)));
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
    SmallVector<SmallVector<Value>> entries;
    for (int64_t i = 0; i < countRows(); ++i)
      entries.push_back(splitFloats(
          b, load(addressOf(nowPlan, i * getRowsApart() * getPlanStride()),
                  vector)));
    SmallVector<Value> sums(loop.getRegionIterArgs());
    for (int64_t k = 0; k < vector; ++k)
      for (int64_t group = 0; group < numGroups; ++group) {
        Value from =
            addressOf(nowOther, k * getWidth() + group * getGroupColumns());
        SmallVector<Value> values = splitFloats(b, load(from, vector));
        for (int64_t i = 0; i < countRows(); ++i)
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

void ScalarApply::finishRows(Value firstRow, ValueRange states) {
  for (int64_t i = 0; i < countRows(); ++i) {
    Value row = add(firstRow, add(ownRow, index(i * getRowsApart())));
    Value hasRow = isBelow(row, result.count);
    for (int64_t group = 0; group < numGroups; ++group) {
      Value column =
          add(add(firstColumn, ownColumn), index(group * getGroupColumns()));
      storeEntries(row, hasRow, column,
                   states.slice((i * numGroups + group) * vector, vector));
    }
  }
}

//===----------------------------------------------------------------------===//
// By tensor cores
//===----------------------------------------------------------------------===//

void TensorApply::addWide(Value tile, int64_t j,
                          ArrayRef<SmallVector<Value>> plan,
                          MutableArrayRef<Value> sums) {
  // In which order columns of the plan are multiplied does not matter: a lane
  // has two neighbours, and takes rows of the operand that are.
  SmallVector<SmallVector<Value>> factors;
  for (int64_t step = 0; step < countSteps(); ++step) {
    const auto &upper = plan[2 * step], &lower = plan[2 * step + 1];
    SmallVector<Value> words;
    for (Value power : {upper[j], lower[j], upper[j + 1], lower[j + 1]})
      words.push_back(NVVM::ConvertFloatToTF32Op::create(
          b, b.getI32Type(), power, NVVM::FPRoundingMode::RNA));
    factors.push_back(words);
  }
  // Of rows that are two apart, in different banks.
  Value from =
      addressOf(tile, add(mul(product->createColumn(b, j), getOperandStride()),
                          lane.quad));
  for (int64_t k = 0; k < countColumnSteps(); ++k) {
    Value first = addressOf(from, k * kStepColumns);
    SmallVector<Value> words{
        asWord(load(first, 1)),
        asWord(load(addressOf(first, getOperandStride()), 1))};
    for (int64_t step = 0; step < countSteps(); ++step)
      multiplyTensors(b, products, factors[step], words,
                      sumsOf(sums, step * countColumnSteps() + k));
  }
}

void TensorApply::addNarrow(Value tile, int64_t j,
                            ArrayRef<SmallVector<Value>> plan,
                            MutableArrayRef<Value> sums) {
  SmallVector<SmallVector<Value>> factors;
  auto pair = VectorType::get(2, b.getBF16Type());
  for (int64_t step = 0; step < countSteps(); ++step) {
    SmallVector<Value> words;
    for (int64_t first : {j, j + 2})
      for (int64_t row : {2 * step, 2 * step + 1})
        words.push_back(asWord(NVVM::ConvertF32x2ToBF16x2Op::create(
            b, pair, /*src_hi=*/plan[row][first + 1],
            /*src_lo=*/plan[row][first], /*random_bits=*/Value(),
            NVVM::FPRoundingMode::RN)));
    factors.push_back(words);
  }
  int64_t columns = product->getColumns() / product->getNumParts();
  Value firstRow =
      add(mul(product->createPart(b), columns), index(j / 2 * kStepColumns));
  Value from =
      addressOf(tile, createMatrixPlace(b, lane, firstRow, getOperandStride(),
                                        /*isBelowFirst=*/true));
  int64_t columnSteps = countColumnSteps();
  for (int64_t k = 0; k < columnSteps; k += 2) {
    SmallVector<Value> words =
        loadMatrices(b, addressOf(from, k * kStepColumns / operand.perWord),
                     /*isTransposed=*/true);
    for (int64_t half = 0; half < 2; ++half)
      for (int64_t step = 0; step < countSteps(); ++step)
        multiplyTensors(b, products, factors[step],
                        ValueRange(words).slice(2 * half, 2),
                        sumsOf(sums, step * columnSteps + k + half));
  }
}

SmallVector<Value> TensorApply::addTile(Value tile, ValueRange exponents,
                                        ValueRange states) {
  int64_t numColumns = product->getNumColumns();
  SmallVector<SmallVector<Value>> plan;
  for (int64_t i = 0; i < product->getNumRows(); ++i)
    plan.push_back(createPlan(i, exponents.slice(i * numColumns, numColumns)));
  SmallVector<Value> sums(states);
  Value own = operandAt(tile);
  for (int64_t j = 0; j < numColumns; j += isNarrow() ? 4 : 2) {
    if (isNarrow())
      addNarrow(own, j, plan, sums);
    else
      addWide(own, j, plan, sums);
  }
  // The next tile but one goes where this was.
  gpu::BarrierOp::create(b);
  return sums;
}

SmallVector<Value> TensorApply::mergeParts(ValueRange states) {
  SmallVector<Value> sums(states);
  Value part = product->createPart(b);
  auto isPart = [&](int64_t number) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, part,
                                 index(number));
  };
  // Threads of a part side by side, vector by vector.
  int64_t threads = countThreadsOfPart();
  Value place = addressOf(
      operandTile,
      mul(arith::RemUIOp::create(b, blocks.thread, index(threads)), vector));
  for (int64_t other = 1; other < product->getNumParts(); ++other) {
    auto stores = scf::IfOp::create(b, isPart(other), /*withElseRegion=*/false);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(stores.thenBlock());
      for (size_t i = 0; i < sums.size(); i += vector)
        storeFloats(b, joinFloats(b, ValueRange(sums).slice(i, vector)),
                    addressOf(place, int64_t(i) * threads));
    }
    gpu::BarrierOp::create(b);
    auto adds = scf::IfOp::create(b, TypeRange(ValueRange(sums)), isPart(0),
                                  /*withElseRegion=*/true);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(adds.elseBlock());
      scf::YieldOp::create(b, sums);
      b.setInsertionPointToStart(adds.thenBlock());
      SmallVector<Value> added;
      for (size_t i = 0; i < sums.size(); i += vector) {
        Value found = load(addressOf(place, int64_t(i) * threads), vector);
        for (auto [sum, entry] :
             llvm::zip(ArrayRef(sums).slice(i), splitFloats(b, found)))
          added.push_back(arith::AddFOp::create(b, sum, entry));
      }
      scf::YieldOp::create(b, added);
    }
    sums.assign(adds.result_begin(), adds.result_end());
    // What comes next goes to the same place.
    gpu::BarrierOp::create(b);
  }
  return sums;
}

void TensorApply::finishRows(Value firstRow, ValueRange states) {
  SmallVector<Value> sums = mergeParts(states);
  Value isFirst = arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                        product->createPart(b), index(0));
  int64_t columnSteps = countColumnSteps();
  for (int64_t i = 0; i < product->getNumRows(); ++i) {
    Value row = add(firstRow, product->createRow(b, i));
    Value isOwn = arith::AndIOp::create(b, isFirst, isBelow(row, result.count));
    auto sumOf = [&](int64_t step, int64_t side) {
      return sums[(i / 2 * columnSteps + step) * kSumsOfStep + i % 2 * 2 +
                  side];
    };
    for (int64_t step = 0; step < columnSteps; ++step)
      storeEntries(row, isOwn,
                   add(add(firstColumn, mul(lane.inQuad, 2)),
                       index(step * kStepColumns)),
                   {sumOf(step, 0), sumOf(step, 1)});
  }
}

LogicalResult scaling::formPointSweep(OpBuilder &builder, ApplyPointsOp op,
                                      const PointBlocks &blocks,
                                      AllocateShared allocate) {
  if (op.getProducts() == Products::f32)
    return ScalarApply(builder, op, blocks).form(allocate);
  return TensorApply(builder, op, blocks).form(allocate);
}
