//===- TileProduct.cpp - The product of two tiles of points ---------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TileProduct.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::scaling;

static Type getFloatType(ImplicitLocOpBuilder &b, Type type) {
  return type ? type : b.getF32Type();
}

/// On a boundary of as many bytes as these are.
static int64_t getBytes(Type type) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.getNumElements() * getBytes(vector.getElementType());
  return type.getIntOrFloatBitWidth() / 8;
}

Value scaling::createAddress(ImplicitLocOpBuilder &b, Value pointer,
                             Value offset, Type type) {
  Value position = arith::IndexCastOp::create(b, b.getI64Type(), offset);
  return LLVM::GEPOp::create(b, pointer.getType(), getFloatType(b, type),
                             pointer, ArrayRef<LLVM::GEPArg>{position});
}

Value scaling::createAddress(ImplicitLocOpBuilder &b, Value pointer,
                             int64_t offset, Type type) {
  if (offset == 0)
    return pointer;
  return LLVM::GEPOp::create(b, pointer.getType(), getFloatType(b, type),
                             pointer, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
}

Value scaling::loadFloats(ImplicitLocOpBuilder &b, Value pointer, int64_t count,
                          Type type) {
  type = getFloatType(b, type);
  if (count > 1)
    type = VectorType::get(count, type);
  return LLVM::LoadOp::create(b, type, pointer, getBytes(type));
}

SmallVector<Value> scaling::splitFloats(ImplicitLocOpBuilder &b, Value floats) {
  auto vector = dyn_cast<VectorType>(floats.getType());
  if (!vector)
    return {floats};
  SmallVector<Value> entries;
  for (int64_t i = 0; i < vector.getNumElements(); ++i)
    entries.push_back(LLVM::ExtractElementOp::create(
        b, floats, arith::ConstantIntOp::create(b, i, 32)));
  return entries;
}

Value scaling::joinFloats(ImplicitLocOpBuilder &b, ValueRange entries) {
  if (entries.size() == 1)
    return entries[0];
  Value floats = LLVM::PoisonOp::create(
      b, VectorType::get(entries.size(), entries[0].getType()));
  for (auto [i, entry] : llvm::enumerate(entries))
    floats = LLVM::InsertElementOp::create(
        b, floats, entry, arith::ConstantIntOp::create(b, i, 32));
  return floats;
}

void scaling::storeFloats(ImplicitLocOpBuilder &b, Value floats,
                          Value pointer) {
  LLVM::StoreOp::create(b, floats, pointer, getBytes(floats.getType()));
}

//===----------------------------------------------------------------------===//
// Scalar
//===----------------------------------------------------------------------===//

/// Sixteen threads side by side share rows, of which each has this many.
static constexpr int64_t kThreadsOfRow = 16;
static constexpr int64_t kWarpLanes = 32;
static int64_t getScalarRows(FloatType type) { return type.isF32() ? 8 : 4; }

/// Vectors of coordinates taken in straight code, at most: of more, so many are
/// loaded ahead that registers are spilled.
static constexpr int64_t kMostUnrolled = 2;

namespace {
class ScalarProduct final : public TileProduct {
public:
  ScalarProduct(ImplicitLocOpBuilder &b, FloatType type, Metric metric,
                Value thread, int64_t numThreads, int64_t threadColumns)
      : TileProduct(numThreads / kThreadsOfRow * getScalarRows(type),
                    kThreadsOfRow * threadColumns, getScalarRows(type),
                    threadColumns, getVectorFloats(type),
                    numThreads / kWarpLanes),
        type(type), vector(getVectorFloats(type)), metric(metric),
        rowStride(numThreads / kThreadsOfRow) {
    Value perRow = arith::ConstantIndexOp::create(b, kThreadsOfRow);
    row = arith::DivUIOp::create(b, thread, perRow);
    column = arith::RemUIOp::create(b, thread, perRow);
    warp = arith::DivUIOp::create(
        b, thread, arith::ConstantIndexOp::create(b, kWarpLanes));
  }

  Value createRow(ImplicitLocOpBuilder &b, int64_t i) const override {
    return arith::AddIOp::create(
        b, row, arith::ConstantIndexOp::create(b, i * rowStride));
  }
  Value createColumn(ImplicitLocOpBuilder &b, int64_t j) const override {
    return arith::AddIOp::create(
        b, column, arith::ConstantIndexOp::create(b, j * kThreadsOfRow));
  }
  ArrayRef<int32_t> getLaneBits() const override {
    static constexpr int32_t bits[] = {8, 4, 2, 1};
    return bits;
  }
  Value createPart(ImplicitLocOpBuilder &b) const override {
    return arith::ConstantIndexOp::create(b, 0);
  }
  Value createIsFirst(ImplicitLocOpBuilder &b) const override {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, column,
                                 arith::ConstantIndexOp::create(b, 0));
  }
  ArrayRef<int32_t> getRowBits() const override {
    static constexpr int32_t bits[] = {16};
    return bits;
  }
  Value createRowPart(ImplicitLocOpBuilder &b) const override { return warp; }
  Value createIsFirstRow(ImplicitLocOpBuilder &b) const override {
    Value two = arith::ConstantIndexOp::create(b, kWarpLanes / kThreadsOfRow);
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq,
                                 arith::RemUIOp::create(b, row, two),
                                 arith::ConstantIndexOp::create(b, 0));
  }
  SmallVector<Value> accumulate(ImplicitLocOpBuilder &b, Value x,
                                int64_t strideX, Value y, int64_t strideY,
                                int64_t depth, bool isAll,
                                ValueRange sums) const override;

private:
  /// Adds `count` vectors of coordinates.
  SmallVector<Value> addVectors(ImplicitLocOpBuilder &b, Value x,
                                int64_t strideX, Value y, int64_t strideY,
                                int64_t count, ValueRange sums) const;
  /// What one coordinate adds to a sum.
  Value addTerm(ImplicitLocOpBuilder &b, Value x, Value y, Value sum) const;

  FloatType type;
  int64_t vector;
  Metric metric;
  int64_t rowStride;
  Value row, column, warp;
};
} // namespace

Value ScalarProduct::addTerm(ImplicitLocOpBuilder &b, Value x, Value y,
                             Value sum) const {
  if (metric == Metric::dot)
    return math::FmaOp::create(b, x, y, sum);
  Value difference = arith::SubFOp::create(b, x, y);
  if (metric == Metric::l1)
    return arith::AddFOp::create(b, sum, math::AbsFOp::create(b, difference));
  return math::FmaOp::create(b, difference, difference, sum);
}

SmallVector<Value> ScalarProduct::addVectors(ImplicitLocOpBuilder &b, Value x,
                                             int64_t strideX, Value y,
                                             int64_t strideY, int64_t count,
                                             ValueRange sums) const {
  SmallVector<Value> results(sums);
  for (int64_t from = 0; from < count * vector; from += vector) {
    SmallVector<SmallVector<Value>> rows;
    for (int64_t i = 0; i < getNumRows(); ++i)
      rows.push_back(splitFloats(
          b, loadFloats(
                 b, createAddress(b, x, i * rowStride * strideX + from, type),
                 vector, type)));
    for (int64_t j = 0; j < getNumColumns(); ++j) {
      Value column = loadFloats(
          b, createAddress(b, y, j * kThreadsOfRow * strideY + from, type),
          vector, type);
      for (auto [k, other] : llvm::enumerate(splitFloats(b, column))) {
        for (int64_t i = 0; i < getNumRows(); ++i) {
          Value &sum = results[i * getNumColumns() + j];
          sum = addTerm(b, rows[i][k], other, sum);
        }
      }
    }
  }
  return results;
}

SmallVector<Value> ScalarProduct::accumulate(ImplicitLocOpBuilder &b, Value x,
                                             int64_t strideX, Value y,
                                             int64_t strideY, int64_t depth,
                                             bool isAll,
                                             ValueRange sums) const {
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, value);
  };
  Value ownX =
      createAddress(b, x, arith::MulIOp::create(b, row, index(strideX)), type);
  Value ownY = createAddress(
      b, y, arith::MulIOp::create(b, column, index(strideY)), type);
  SmallVector<Value> begun(sums);
  int64_t before = isAll ? 1 : 0;
  if (isAll)
    begun = addVectors(b, ownX, strideX, ownY, strideY, before, begun);
  int64_t left = depth / vector - before;
  if (left == 0)
    return begun;
  int64_t unrolled = kMostUnrolled;
  while (left % unrolled != 0)
    --unrolled;
  auto loop = scf::ForOp::create(b, index(before * vector), index(depth),
                                 index(unrolled * vector), begun);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value first = loop.getInductionVar();
  scf::YieldOp::create(b,
                       addVectors(b, createAddress(b, ownX, first, type),
                                  strideX, createAddress(b, ownY, first, type),
                                  strideY, unrolled, loop.getRegionIterArgs()));
  return SmallVector<Value>(loop.getResults());
}

std::unique_ptr<TileProduct>
scaling::createScalarProduct(ImplicitLocOpBuilder &b, FloatType type,
                             Metric metric, Value thread, int64_t numThreads,
                             int64_t threadColumns) {
  return std::make_unique<ScalarProduct>(b, type, metric, thread, numThreads,
                                         threadColumns);
}
