//===- TensorProduct.cpp - The product of two tiles by tensor cores -------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TensorProduct.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <array>

using namespace mlir;
using namespace mlir::scaling;

static constexpr int64_t kWarpLanes = 32;

/// A tile has 128 rows or more: so many steps, of warps one above another. Side
/// by side are at most so many warps.
static constexpr int64_t kTileSteps = 8;
static constexpr int64_t kMostParts = 4;

/// Rows of 16 bytes of a matrix that is loaded; four are loaded at a time.
static constexpr int64_t kMatrixRows = 8;
static constexpr int64_t kMatrices = 4;

/// Coordinates taken in straight code, at most.
static constexpr int64_t kMostStraight = 64;

static int64_t partsOf(int64_t numThreads, int64_t steps) {
  int64_t numWarps = numThreads / kWarpLanes;
  int64_t parts = std::min(numWarps * steps / kTileSteps, kMostParts);
  return parts > 0 && numWarps % parts == 0 ? parts : 1;
}

static int64_t rowWarpsOf(int64_t numThreads, int64_t steps) {
  return numThreads / kWarpLanes / partsOf(numThreads, steps);
}

namespace {
class TensorProduct final : public TileProduct {
public:
  TensorProduct(ImplicitLocOpBuilder &b, Products products, Value thread,
                int64_t numThreads, int64_t tileColumns, int64_t steps)
      : TileProduct(rowWarpsOf(numThreads, steps) * steps * kStepRows,
                    tileColumns, steps * 2,
                    tileColumns / partsOf(numThreads, steps) / 4, kStepDepth,
                    rowWarpsOf(numThreads, steps),
                    /*adjacentColumns=*/2, /*adjacentRows=*/2,
                    partsOf(numThreads, steps)),
        products(products), steps(steps), lane(b, thread) {
    auto index = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(b, value);
    };
    Value rowWarps = index(getNumRowParts());
    Value warp = arith::DivUIOp::create(b, thread, index(kWarpLanes));
    part = arith::DivUIOp::create(b, warp, rowWarps);
    rowPart = arith::RemUIOp::create(b, warp, rowWarps);
    firstRow = arith::MulIOp::create(b, rowPart, index(steps * kStepRows));
    firstColumn =
        arith::MulIOp::create(b, part, index(tileColumns / getNumParts()));
  }

  bool keepsCoordinates() const override { return true; }
  bool isBounded() const override { return products == Products::f16; }
  Value createRow(ImplicitLocOpBuilder &b, int64_t i) const override {
    Value offset = arith::ConstantIndexOp::create(b, i * kStepRows / 2);
    return arith::AddIOp::create(
        b, arith::AddIOp::create(b, firstRow, lane.quad), offset);
  }
  Value createColumn(ImplicitLocOpBuilder &b, int64_t j) const override {
    Value two = arith::ConstantIndexOp::create(b, 2);
    Value own = arith::AddIOp::create(
        b, firstColumn, arith::MulIOp::create(b, lane.inQuad, two));
    return arith::AddIOp::create(
        b, own,
        arith::ConstantIndexOp::create(b, j / 2 * kStepColumns + j % 2));
  }
  ArrayRef<int32_t> getLaneBits() const override {
    static constexpr int32_t bits[] = {2, 1};
    return bits;
  }
  Value createPart(ImplicitLocOpBuilder &b) const override { return part; }
  Value createIsFirst(ImplicitLocOpBuilder &b) const override {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, lane.inQuad,
                                 arith::ConstantIndexOp::create(b, 0));
  }
  ArrayRef<int32_t> getRowBits() const override {
    static constexpr int32_t bits[] = {16, 8, 4};
    return bits;
  }
  Value createRowPart(ImplicitLocOpBuilder &b) const override {
    return rowPart;
  }
  Value createIsFirstRow(ImplicitLocOpBuilder &b) const override {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, lane.quad,
                                 arith::ConstantIndexOp::create(b, 0));
  }
  SmallVector<Value> accumulate(ImplicitLocOpBuilder &b, Value x,
                                int64_t strideX, Value y, int64_t strideY,
                                int64_t depth, bool isAll,
                                ValueRange sums) const override;

private:
  SmallVector<Value> addStep(ImplicitLocOpBuilder &b, Value x, int64_t strideX,
                             Value y, int64_t strideY, ValueRange sums) const;

  Products products;
  int64_t steps;
  TensorLane lane;
  Value part, rowPart, firstRow, firstColumn;
};
} // namespace

TensorLane::TensorLane(ImplicitLocOpBuilder &b, Value thread) {
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, value);
  };
  lane = arith::RemUIOp::create(b, thread, index(kWarpLanes));
  quad = arith::DivUIOp::create(b, lane, index(4));
  inQuad = arith::RemUIOp::create(b, lane, index(4));
}

Value scaling::createMatrixPlace(ImplicitLocOpBuilder &b,
                                 const TensorLane &lane, Value first,
                                 int64_t stride, bool isBelowFirst) {
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, value);
  };
  Value matrix = arith::DivUIOp::create(b, lane.lane, index(kMatrixRows));
  Value row = arith::RemUIOp::create(b, lane.lane, index(kMatrixRows));
  Value low = arith::RemUIOp::create(b, matrix, index(2));
  Value high = arith::DivUIOp::create(b, matrix, index(2));
  Value below = isBelowFirst ? low : high, beside = isBelowFirst ? high : low;
  row = arith::AddIOp::create(
      b, arith::AddIOp::create(b, first, row),
      arith::MulIOp::create(b, below, index(kMatrixRows)));
  return arith::AddIOp::create(
      b, arith::MulIOp::create(b, row, index(stride)),
      arith::MulIOp::create(b, beside, index(kVectorFloats)));
}

SmallVector<Value> scaling::loadMatrices(ImplicitLocOpBuilder &b, Value place,
                                         bool isTransposed) {
  SmallVector<Type> types(kMatrices, b.getI32Type());
  Type type = LLVM::LLVMStructType::getLiteral(b.getContext(), types);
  Value loaded = NVVM::LdMatrixOp::create(
      b, type, place, kMatrices,
      isTransposed ? NVVM::MMALayout::col : NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8),
      NVVM::LdStMatrixEltType::B16);
  SmallVector<Value> parts;
  for (int64_t i = 0; i < kMatrices; ++i)
    parts.push_back(LLVM::ExtractValueOp::create(b, loaded, i));
  return parts;
}

void scaling::multiplyTensors(ImplicitLocOpBuilder &b, Products products,
                              ValueRange rows, ValueRange columns,
                              ArrayRef<Value *> sums) {
  SmallVector<Value> before;
  for (Value *sum : sums)
    before.push_back(*sum);
  SmallVector<Type> types(sums.size(), b.getF32Type());
  NVVM::MMATypes type = products == Products::bf16  ? NVVM::MMATypes::bf16
                        : products == Products::f16 ? NVVM::MMATypes::f16
                                                    : NVVM::MMATypes::tf32;
  int64_t depth = products == Products::tf32 ? kStepDepth : 2 * kStepDepth;
  // Of f16 the instruction wants pairs, of others words.
  auto asFactors = [&](ValueRange words) -> SmallVector<Value> {
    if (products != Products::f16)
      return words;
    auto pair = VectorType::get(2, b.getF16Type());
    return llvm::map_to_vector(words, [&](Value word) -> Value {
      return LLVM::BitcastOp::create(b, pair, word);
    });
  };
  Value after = NVVM::MmaOp::create(
      b, LLVM::LLVMStructType::getLiteral(b.getContext(), types),
      asFactors(rows), asFactors(columns), before,
      ArrayRef<int64_t>{kStepRows, kStepColumns, depth}, std::nullopt,
      std::nullopt, std::array{type, type},
      std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
  for (auto [i, sum] : llvm::enumerate(sums))
    *sum = LLVM::ExtractValueOp::create(b, after, i);
}

SmallVector<Value> TensorProduct::addStep(ImplicitLocOpBuilder &b, Value x,
                                          int64_t strideX, Value y,
                                          int64_t strideY,
                                          ValueRange sums) const {
  SmallVector<Value> results(sums);
  SmallVector<SmallVector<Value>> rows;
  for (int64_t i = 0; i < steps; ++i)
    rows.push_back(
        loadMatrices(b, createAddress(b, x, i * kStepRows * strideX)));
  int64_t numColumns = getNumColumns();
  // Two times eight columns, of which a thread has four.
  for (int64_t j = 0; j < numColumns; j += 4) {
    SmallVector<Value> columns =
        loadMatrices(b, createAddress(b, y, j / 2 * kStepColumns * strideY));
    for (int64_t half = 0; half < 2; ++half)
      for (int64_t i = 0; i < steps; ++i) {
        Value *upper = &results[2 * i * numColumns + j + 2 * half];
        Value *lower = upper + numColumns;
        multiplyTensors(b, products, rows[i],
                        ValueRange(columns).slice(2 * half, 2),
                        {upper, upper + 1, lower, lower + 1});
      }
  }
  return results;
}

SmallVector<Value> TensorProduct::accumulate(ImplicitLocOpBuilder &b, Value x,
                                             int64_t strideX, Value y,
                                             int64_t strideY, int64_t depth,
                                             bool isAll,
                                             ValueRange sums) const {
  Value ownX = createAddress(
      b, x,
      createMatrixPlace(b, lane, firstRow, strideX, /*isBelowFirst=*/true));
  Value ownY = createAddress(
      b, y,
      createMatrixPlace(b, lane, firstColumn, strideY, /*isBelowFirst=*/false));
  SmallVector<Value> results(sums);
  int64_t straight = isAll ? std::min(depth, kMostStraight) : 0;
  for (int64_t from = 0; from < straight; from += kStepDepth)
    results = addStep(b, createAddress(b, ownX, from), strideX,
                      createAddress(b, ownY, from), strideY, results);
  if (straight == depth)
    return results;
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, value);
  };
  auto loop = scf::ForOp::create(b, index(straight), index(depth),
                                 index(kStepDepth), results);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value first = loop.getInductionVar();
  scf::YieldOp::create(b, addStep(b, createAddress(b, ownX, first), strideX,
                                  createAddress(b, ownY, first), strideY,
                                  loop.getRegionIterArgs()));
  return SmallVector<Value>(loop.getResults());
}

std::unique_ptr<TileProduct>
scaling::createTensorProduct(ImplicitLocOpBuilder &b, Products products,
                             Value thread, int64_t numThreads,
                             int64_t tileColumns, int64_t steps) {
  return std::make_unique<TensorProduct>(b, products, thread, numThreads,
                                         tileColumns, steps);
}
