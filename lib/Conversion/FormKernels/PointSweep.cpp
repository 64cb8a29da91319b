//===- PointSweep.cpp - Sweeps over tiles of points -----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PointSweep.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <limits>
#include <numeric>

using namespace mlir;
using namespace mlir::scaling;

static constexpr int32_t kWarpLanes = 32;

/// Buffers in shared memory begin on boundaries of so many.
static constexpr int64_t kAlignedFloats = 16;

/// Vectors that fill the banks: threads access as many at a time.
static constexpr int64_t kBankVectors = 8;

/// Coordinates of a tile that are in shared memory at a time: all, up to so
/// many, where there is room, or fewer. Those of a block's rows that stay
/// there.
static constexpr int64_t kWholeDepth = 64;
static constexpr int64_t kMostDepth = 32;
static constexpr int64_t kMostResident = 128;

/// The distance from point to point in shared memory.
static int64_t strideOf(int64_t depth, int64_t vector) {
  return (llvm::divideCeil(depth, vector) | 1) * vector;
}

/// What is lower than all exponents, to base 2: a power of two, so that its
/// product with a unit is exact.
static constexpr double kLowest = -0x1p+126;

Value PointSweep::exp2(Value exponent) {
  return math::Exp2Op::create(b, exponent);
}

Value PointSweep::createLowest() {
  Value lowest = number(kLowest);
  return largeUnit ? arith::DivFOp::create(b, lowest, largeUnit) : lowest;
}

Value PointSweep::inOnes(Value exponent) {
  if (!unit)
    return exponent;
  return arith::MulFOp::create(b, exponent, unit);
}

Value PointSweep::addInOnes(Value exponent, Value other) {
  if (!unit)
    return arith::AddFOp::create(b, exponent, other);
  return math::FmaOp::create(b, exponent, unit, other);
}

Value PointSweep::exchange(Value value, int32_t bit) {
  Value distance = arith::ConstantIntOp::create(b, bit, 32);
  Value width = arith::ConstantIntOp::create(b, kWarpLanes, 32);
  auto shuffle = [&](Value word) -> Value {
    return gpu::ShuffleOp::create(b, word, distance, width,
                                  gpu::ShuffleMode::XOR)
        .getShuffleResult();
  };
  if (value.getType().getIntOrFloatBitWidth() == 32)
    return shuffle(value);
  // Registers have 32 bits.
  auto words = VectorType::get(2, b.getI32Type());
  Value both = LLVM::BitcastOp::create(b, words, value);
  SmallVector<Value> moved;
  for (Value word : splitFloats(b, both))
    moved.push_back(shuffle(word));
  return LLVM::BitcastOp::create(b, type, joinFloats(b, moved));
}

Value PointSweep::pointerOf(Value memref, unsigned space) {
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  address = arith::IndexCastOp::create(b, b.getI64Type(), address);
  return LLVM::IntToPtrOp::create(
      b, LLVM::LLVMPointerType::get(b.getContext(), space), address);
}

//===----------------------------------------------------------------------===//
// Points in global memory
//===----------------------------------------------------------------------===//

int64_t PointSweep::knownDepth(const Points &points) {
  int64_t size = points.type.getShape().back();
  return ShapedType::isDynamic(size) ? size : size / points.perWord;
}

Value PointSweep::inWords(Value count, int64_t perWord) {
  return b.createOrFold<arith::DivUIOp>(count, index(perWord));
}

Points PointSweep::describe(Value memref, int64_t perWord) {
  Points points;
  points.memref = memref;
  points.type = cast<MemRefType>(memref.getType());
  int64_t rank = points.type.getRank();
  points.perWord = perWord;
  points.count = b.createOrFold<memref::DimOp>(memref, rank - 2);
  points.depth =
      inWords(b.createOrFold<memref::DimOp>(memref, rank - 1), perWord);
  // Buffers begin on a boundary of 16 bytes: so do rows, where they are that
  // far apart and views begin at one.
  SmallVector<int64_t> strides;
  int64_t offset;
  int64_t whole = perWord * vector;
  auto isWhole = [&](int64_t size) {
    return !ShapedType::isDynamic(size) && size % whole == 0;
  };
  if (succeeded(points.type.getStridesAndOffset(strides, offset)) &&
      strides.back() == 1 && isWhole(points.type.getShape().back()) &&
      isWhole(offset) && llvm::all_of(ArrayRef(strides).drop_back(), isWhole))
    points.vector = vector;
  return points;
}

void PointSweep::describeUnit(Value scale) {
  termFactor = coefficient = number(kLog2E);
  if (scale)
    coefficient = arith::MulFOp::create(b, scale, coefficient);
  if (!product->keepsCoordinates())
    return;
  // The coefficient is a power of two, with its sign, times the unit; one that
  // is bounded is at most 1.
  Type bits = b.getI32Type();
  auto constant = [&](uint32_t value) -> Value {
    return arith::ConstantIntOp::create(b, bits, int32_t(value));
  };
  Value whole = arith::BitcastOp::create(b, bits, coefficient);
  Value fraction = arith::OrIOp::create(
      b, arith::AndIOp::create(b, whole, constant(0x007fffff)),
      constant(0x3f800000));
  unit = arith::BitcastOp::create(b, b.getF32Type(), fraction);
  // Of what is not finite, neither is it.
  Value none = arith::SubFOp::create(b, coefficient, coefficient);
  unit = arith::AddFOp::create(b, unit, none);
  Value power = arith::AndIOp::create(b, whole, constant(0xff800000));
  if (product->isBounded()) {
    Value one = constant(0x3f800000);
    Value sign = arith::AndIOp::create(b, whole, constant(0x80000000));
    power = arith::AndIOp::create(b, whole, constant(0x7f800000));
    largeUnit = arith::BitcastOp::create(b, b.getF32Type(),
                                         arith::MaxUIOp::create(b, power, one));
    unit = arith::MulFOp::create(b, unit, largeUnit);
    power =
        arith::OrIOp::create(b, sign, arith::MinUIOp::create(b, power, one));
  }
  coefficient = arith::BitcastOp::create(b, b.getF32Type(), power);
  termFactor = arith::DivFOp::create(b, termFactor, unit);
}

void PointSweep::describeChunks() {
  int64_t step = product->getDepthStep();
  int64_t known = knownDepth(x);
  if (ShapedType::isDynamic(known))
    known = knownDepth(y);
  auto floatsOf = [&](int64_t depth) {
    return strideOf(llvm::alignTo(depth, step), vector) *
               (product->getRows() + 2 * product->getColumns()) +
           2 * countTerms();
  };
  if (ShapedType::isDynamic(known)) {
    chunkDepth = kMostDepth;
    numChunks = arith::CeilDivUIOp::create(b, x.depth, index(chunkDepth));
    resident = false;
  } else {
    // Chunks of one size.
    bool isWhole = known <= kWholeDepth && floatsOf(known) <= freeFloats;
    int64_t chunks =
        isWhole ? 1 : std::max<int64_t>(llvm::divideCeil(known, kMostDepth), 1);
    chunkDepth = std::max<int64_t>(
        llvm::alignTo(llvm::divideCeil(known, chunks), step), step);
    numChunks = index(chunks);
    int64_t whole = chunks * chunkDepth;
    resident =
        whole <= kMostResident &&
        strideOf(whole, vector) * product->getRows() +
                2 * strideOf(chunkDepth, vector) * product->getColumns() +
                2 * countTerms() <=
            freeFloats;
  }
  residentDepth =
      resident ? *getConstantIntValue(numChunks) * chunkDepth : chunkDepth;
  strideX = strideOf(residentDepth, vector);
  strideY = strideOf(chunkDepth, vector);
  isProduct = metric == Metric::dot;
  numTiles =
      arith::CeilDivUIOp::create(b, y.count, index(product->getColumns()));
}

SmallVector<Value> PointSweep::indicesOf(Value memref, ValueRange tail) {
  // Leading dimensions may be missing.
  int64_t own = cast<MemRefType>(memref.getType()).getRank() - tail.size();
  SmallVector<Value> indices(ArrayRef(batch).take_back(own));
  llvm::append_range(indices, tail);
  return indices;
}

void PointSweep::setPointer(Points &points) {
  auto metadata = memref::ExtractStridedMetadataOp::create(b, points.memref);
  int64_t rank = points.type.getRank();
  Value offset = metadata.getOffset();
  for (auto [position, stride] :
       llvm::zip(ArrayRef(batch).take_back(rank - 2), metadata.getStrides()))
    offset = add(offset, mul(position, stride));
  points.rowStride = inWords(metadata.getStrides()[rank - 2], points.perWord);
  Type word = points.perWord == 1 ? points.type.getElementType() : type;
  points.pointer = createAddress(b, pointerOf(points.memref, kGlobalSpace),
                                 inWords(offset, points.perWord), word);
}

void PointSweep::setBatch(Value item) {
  batch.clear();
  for (int64_t dim = batchRank - 1; dim >= 0; --dim) {
    Value position = item;
    if (dim > 0) {
      Value size = b.createOrFold<memref::DimOp>(outs, dim);
      position = arith::RemUIOp::create(b, item, size);
      item = arith::DivUIOp::create(b, item, size);
    }
    batch.insert(batch.begin(), position);
  }
  setPointer(x);
  setPointer(y);
  if (hasBias)
    setPointer(bias);
}

Value PointSweep::loadTerm(Value vector, Value position, Value count,
                           Value factor, Value missing, Value otherwise) {
  auto check = scf::IfOp::create(b, type, isBelow(position, count),
                                 /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(check.thenBlock());
  Value term = missing;
  if (vector)
    term = arith::MulFOp::create(
        b, memref::LoadOp::create(b, vector, indicesOf(vector, position)),
        factor);
  scf::YieldOp::create(b, term);
  b.setInsertionPointToStart(check.elseBlock());
  scf::YieldOp::create(b, otherwise);
  return check.getResult(0);
}

Value PointSweep::loadTerm(Value vector, Value position, Value count) {
  return loadTerm(vector, position, count, termFactor, number(0.0),
                  number(-std::numeric_limits<double>::infinity()));
}

SmallVector<SmallVector<Value>> PointSweep::loadTerms(Value tile) {
  Value half = arith::RemUIOp::create(b, tile, index(2));
  Value own = addressOf(termTile, mul(half, countTerms()));
  int64_t rows = product->getAdjacentRows();
  int64_t adjacent = product->getAdjacentColumns();
  SmallVector<SmallVector<Value>> terms(rows);
  for (int64_t j = 0; j < product->getNumColumns(); j += adjacent) {
    Value place = addressOf(own, mul(product->createColumn(b, j), rows));
    SmallVector<Value> loaded = splitFloats(b, load(place, adjacent * rows));
    for (int64_t i = 0; i < rows; ++i)
      llvm::append_range(terms[i],
                         ArrayRef(loaded).slice(i * adjacent, adjacent));
  }
  return terms;
}

//===----------------------------------------------------------------------===//
// To shared memory
//===----------------------------------------------------------------------===//

void PointSweep::forEachEntry(int64_t count, function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(b, blocks.thread, index(count),
                                 index(blocks.numThreads));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

Value PointSweep::scaled(Value word) {
  if (x.perWord == 1)
    return arith::MulFOp::create(b, word, coefficient);
  if (product->isBounded()) {
    auto halves = VectorType::get(2, b.getF16Type());
    auto wide = VectorType::get(2, type);
    Value both = LLVM::BitcastOp::create(b, halves, word);
    SmallVector<Value> products;
    for (Value half : splitFloats(b, arith::ExtFOp::create(b, wide, both)))
      products.push_back(arith::MulFOp::create(b, half, coefficient));
    both = arith::TruncFOp::create(b, halves, joinFloats(b, products));
    return LLVM::BitcastOp::create(b, type, both);
  }
  // The coefficient is a power of two.
  Type bits = b.getI32Type();
  auto times = [&](Value half) -> Value {
    Value number = arith::BitcastOp::create(b, b.getF32Type(), half);
    number = arith::MulFOp::create(b, number, coefficient);
    return arith::BitcastOp::create(b, bits, number);
  };
  Value shift = arith::ConstantIntOp::create(b, bits, 16);
  Value upper = arith::ConstantIntOp::create(b, bits, int32_t(0xffff0000));
  Value whole = arith::BitcastOp::create(b, bits, word);
  Value first = times(arith::ShLIOp::create(b, whole, shift));
  Value second = times(arith::AndIOp::create(b, whole, upper));
  Value both = arith::OrIOp::create(b, arith::ShRUIOp::create(b, first, shift),
                                    arith::AndIOp::create(b, second, upper));
  return arith::BitcastOp::create(b, b.getF32Type(), both);
}

std::pair<Value, Value> PointSweep::placeOfCopy(Value position, int64_t count,
                                                int64_t width, int64_t stride) {
  int64_t perRow = width / count;
  auto split = [&](Value value, int64_t by) {
    return std::pair<Value, Value>(arith::DivUIOp::create(b, value, index(by)),
                                   arith::RemUIOp::create(b, value, index(by)));
  };
  // Row by row where rows have vectors for all banks, or an odd number, with
  // nothing between. Numbers one by one may share sectors with their neighbours
  // only.
  int64_t side = std::gcd(perRow, kBankVectors);
  bool isPadded = perRow % 2 == 0 && (stride / vector) % 2 != 0;
  if (count != vector || side == kBankVectors || !isPadded) {
    auto [row, within] = split(position, perRow);
    return {row, mul(within, count)};
  }
  // Of `side` vectors of a row and the next rows that are as many rows apart,
  // so an odd multiple of as many vectors, all are in different banks.
  int64_t pieces = perRow / side;
  auto [group, lane] = split(position, kBankVectors);
  auto [below, beside] = split(lane, side);
  auto [block, inBlock] = split(group, perRow);
  auto [first, piece] = split(inBlock, pieces);
  Value row = add(mul(block, kBankVectors), add(first, mul(below, side)));
  return {row, mul(add(mul(piece, side), beside), count)};
}

void PointSweep::stageRows(Value firstRow, Value firstCoordinate, Value target,
                           int64_t depth) {
  int64_t perPoint = depth / x.vector;
  forEachEntry(product->getRows() * perPoint, [&](Value position) {
    auto [point, within] = placeOfCopy(position, x.vector, depth, strideX);
    Value row = add(firstRow, point);
    Value coordinate = add(firstCoordinate, within);
    Value exists = arith::AndIOp::create(b, isBelow(row, x.count),
                                         isBelow(coordinate, x.depth));
    SmallVector<Type> types(x.vector, type);
    auto check = scf::IfOp::create(b, types, exists, /*withElseRegion=*/true);
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(check.thenBlock());
      Value offset = add(mul(row, x.rowStride), coordinate);
      SmallVector<Value> entries =
          splitFloats(b, load(addressOf(x.pointer, offset), x.vector));
      if (isProduct)
        for (Value &entry : entries)
          entry = scaled(entry);
      scf::YieldOp::create(b, entries);
      b.setInsertionPointToStart(check.elseBlock());
      scf::YieldOp::create(b, SmallVector<Value>(x.vector, number(0.0)));
    }
    Value place = add(mul(point, strideX), within);
    storeFloats(b, joinFloats(b, check.getResults()), addressOf(target, place));
  });
}

void PointSweep::copyVector(Value source, Value target, int64_t count,
                            Value bytes) {
  bool isVector = count == vector;
  NVVM::CpAsyncOp::create(b, target, source, count * getBytes(),
                          isVector ? NVVM::LoadCacheModifierKind::CG
                                   : NVVM::LoadCacheModifierKind::CA,
                          bytes);
}

void PointSweep::copyChecked(const Points &points, Value firstRow,
                             Value firstNumber, int64_t numRows, int64_t width,
                             Value target, int64_t stride) {
  int64_t perRow = width / points.vector;
  forEachEntry(numRows * perRow, [&](Value position) {
    auto [part, within] = placeOfCopy(position, points.vector, width, stride);
    Value row = add(firstRow, part);
    Value first = add(firstNumber, within);
    Value exists = arith::AndIOp::create(b, isBelow(row, points.count),
                                         isBelow(first, points.depth));
    // What does not exist is zero, and not read.
    Value offset = arith::SelectOp::create(
        b, exists, add(mul(row, points.rowStride), first), index(0));
    Value bytes = arith::SelectOp::create(
        b, exists,
        arith::ConstantIntOp::create(b, points.vector * getBytes(), 32),
        arith::ConstantIntOp::create(b, 0, 32));
    Value place = add(mul(part, stride), within);
    copyVector(addressOf(points.pointer, offset), addressOf(target, place),
               points.vector, bytes);
  });
}

void PointSweep::copyWhole(const Points &points, Value firstRow,
                           Value firstNumber, int64_t numRows, int64_t width,
                           Value target, int64_t stride) {
  SmallVector<int64_t> strides;
  int64_t offset;
  (void)points.type.getStridesAndOffset(strides, offset);
  int64_t rowStride = strides[strides.size() - 2] / points.perWord;
  int64_t perRow = width / vector;
  auto [part, within] = placeOfCopy(blocks.thread, vector, width, stride);
  Value from =
      addressOf(points.pointer, add(mul(add(firstRow, part), rowStride),
                                    add(firstNumber, within)));
  Value to = addressOf(target, add(mul(part, stride), within));
  for (int64_t i = 0; i < numRows; i += blocks.numThreads / perRow)
    copyVector(addressOf(from, i * rowStride), addressOf(to, i * stride),
               vector, Value());
}

void PointSweep::copyAsync(const Points &points, Value firstRow,
                           Value firstNumber, int64_t numRows, int64_t width,
                           Value target, int64_t stride) {
  // Whether threads copy as many vectors each.
  int64_t perRow = width / vector;
  bool isRegular = points.vector == vector && knownDepth(points) % width == 0 &&
                   blocks.numThreads % perRow == 0 &&
                   numRows * perRow % blocks.numThreads == 0;
  if (!isRegular)
    return copyChecked(points, firstRow, firstNumber, numRows, width, target,
                       stride);
  Value isWhole =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ule,
                            add(firstRow, index(numRows)), points.count);
  auto check = scf::IfOp::create(b, isWhole, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(check.thenBlock());
  copyWhole(points, firstRow, firstNumber, numRows, width, target, stride);
  b.setInsertionPointToStart(check.elseBlock());
  copyChecked(points, firstRow, firstNumber, numRows, width, target, stride);
}

void PointSweep::stageTerms(Value firstColumn, Value target) {
  int64_t adjacent = product->getAdjacentColumns();
  int64_t rows = product->getAdjacentRows();
  forEachEntry(product->getColumns() / adjacent, [&](Value group) {
    Value first = add(firstColumn, mul(group, adjacent));
    SmallVector<Value> terms;
    for (int64_t j = 0; j < adjacent; ++j)
      terms.push_back(loadTerm(columns, add(first, index(j)), y.count));
    SmallVector<Value> stored;
    for (int64_t i = 0; i < rows; ++i)
      llvm::append_range(stored, terms);
    storeFloats(b, joinFloats(b, stored),
                addressOf(target, mul(group, adjacent * rows)));
  });
}

void PointSweep::stageColumns(Value tile, Value chunk, Value step) {
  int64_t numColumns = product->getColumns();
  Value two = index(2);
  Value firstColumn = mul(tile, numColumns);
  Value half = arith::RemUIOp::create(b, step, two);
  copyAsync(y, firstColumn, mul(chunk, chunkDepth), numColumns, chunkDepth,
            addressOf(columnTile, mul(half, numColumns * strideY)), strideY);
  Value isFirst =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, chunk, index(0));
  auto check = scf::IfOp::create(b, isFirst, /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(check.thenBlock());
    Value other = arith::RemUIOp::create(b, tile, two);
    stageTerms(firstColumn, addressOf(termTile, mul(other, countTerms())));
    stageTile(tile);
  }
  NVVM::CpAsyncCommitGroupOp::create(b);
}

void PointSweep::waitForCopies() {
  NVVM::CpAsyncWaitGroupOp::create(b, 0);
  gpu::BarrierOp::create(b);
}

//===----------------------------------------------------------------------===//
// Sweeps
//===----------------------------------------------------------------------===//

Value PointSweep::rowsAt(Value chunk, Value step) {
  if (resident)
    return addressOf(rowTile, mul(chunk, chunkDepth));
  Value half = arith::RemUIOp::create(b, step, index(2));
  return addressOf(rowTile, mul(half, product->getRows() * strideX));
}

SmallVector<Value> PointSweep::sweepTile(Value firstRow, Value tile,
                                         ValueRange states) {
  int64_t numColumns = product->getColumns();
  Value zero = number(0.0);
  SmallVector<Value> none(product->getNumColumns(), zero);
  SmallVector<SmallVector<Value>> terms(1, none);
  if (!separatesTerms)
    terms = loadTerms(tile);
  // The terms of columns start the sums of a product: nothing else is done
  // with these but adding the terms.
  SmallVector<Value> sums;
  for (int64_t i = 0; i < product->getNumRows(); ++i)
    llvm::append_range(sums, isProduct ? terms[i % terms.size()] : none);

  auto loop = scf::ForOp::create(b, index(0), numChunks, index(1), sums);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(loop.getBody());
    Value chunk = loop.getInductionVar();
    Value step = add(mul(tile, numChunks), chunk);
    Value nextStep = add(step, index(1));
    Value after = add(chunk, index(1));
    Value isLast =
        arith::CmpIOp::create(b, arith::CmpIPredicate::eq, after, numChunks);
    Value nextTile =
        arith::SelectOp::create(b, isLast, add(tile, index(1)), tile);
    Value nextChunk = arith::SelectOp::create(b, isLast, index(0), after);
    auto more = scf::IfOp::create(b, isBelow(nextTile, numTiles),
                                  /*withElseRegion=*/false);
    {
      OpBuilder::InsertionGuard inner(b);
      b.setInsertionPointToStart(more.thenBlock());
      stageColumns(nextTile, nextChunk, nextStep);
      if (!resident)
        stageRows(firstRow, mul(nextChunk, chunkDepth),
                  rowsAt(nextChunk, nextStep), chunkDepth);
    }
    Value now = arith::RemUIOp::create(b, step, index(2));
    Value chunkTile = addressOf(columnTile, mul(now, numColumns * strideY));
    SmallVector<Value> next = product->accumulate(
        b, rowsAt(chunk, step), strideX, chunkTile, strideY, chunkDepth,
        isConstantIntValue(numChunks, 1), loop.getRegionIterArgs());
    waitForCopies();
    scf::YieldOp::create(b, next);
  }
  SmallVector<Value> exponents(loop.getResults());
  if (!isProduct)
    for (auto [i, exponent] : llvm::enumerate(exponents)) {
      if (metric == Metric::euclidean)
        exponent = math::SqrtOp::create(b, exponent);
      if (separatesTerms)
        exponent = arith::MulFOp::create(b, exponent, coefficient);
      else
        exponent = math::FmaOp::create(b, exponent, coefficient,
                                       terms[0][i % terms[0].size()]);
    }
  if (hasBias)
    exponents = addBias(firstRow, tile, exponents);
  return addTile(tile, exponents, states);
}

SmallVector<Value> PointSweep::addBias(Value firstRow, Value tile,
                                       ValueRange exponents) {
  int64_t numColumns = product->getNumColumns();
  Value firstColumn = mul(tile, product->getColumns());
  auto addAll = [&](auto clamp) {
    SmallVector<Value> sums;
    for (int64_t i = 0; i < product->getNumRows(); ++i) {
      Value row = clamp(add(firstRow, product->createRow(b, i)), x.count);
      for (int64_t j = 0; j < numColumns; ++j) {
        Value column =
            clamp(add(firstColumn, product->createColumn(b, j)), y.count);
        Value offset = transposed ? add(mul(column, bias.rowStride), row)
                                  : add(mul(row, bias.rowStride), column);
        Type own = bias.type.getElementType();
        Value entry =
            loadFloats(b, createAddress(b, bias.pointer, offset, own), 1, own);
        if (own != type)
          entry = arith::ExtFOp::create(b, type, entry);
        sums.push_back(math::FmaOp::create(b, entry, biasCoefficient,
                                           exponents[i * numColumns + j]));
      }
    }
    scf::YieldOp::create(b, sums);
  };
  // Of points that are not there, the last ones' are added to what nobody
  // reads, or to −inf.
  Value isWhole = arith::AndIOp::create(
      b,
      arith::CmpIOp::create(b, arith::CmpIPredicate::ule,
                            add(firstRow, index(product->getRows())), x.count),
      arith::CmpIOp::create(b, arith::CmpIPredicate::ule,
                            add(firstColumn, index(product->getColumns())),
                            y.count));
  auto check = scf::IfOp::create(b, exponents.getTypes(), isWhole,
                                 /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(check.thenBlock());
  addAll([](Value position, Value) { return position; });
  b.setInsertionPointToStart(check.elseBlock());
  addAll([&](Value position, Value count) -> Value {
    return arith::MinUIOp::create(b, position,
                                  arith::SubIOp::create(b, count, index(1)));
  });
  return SmallVector<Value>(check.getResults());
}

void PointSweep::sweepRows(Value firstRow) {
  Value zero = index(0);
  stageColumns(zero, zero, zero);
  stageRows(firstRow, zero, rowTile, residentDepth);
  stageBlock(firstRow);
  waitForCopies();
  auto tiles =
      scf::ForOp::create(b, zero, numTiles, index(1), createStates(firstRow));
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(tiles.getBody());
    scf::YieldOp::create(b, sweepTile(firstRow, tiles.getInductionVar(),
                                      tiles.getRegionIterArgs()));
  }
  finishRows(firstRow, tiles.getResults());
}

FailureOr<Value> PointSweep::allocateShared(AllocateShared allocate,
                                            int64_t floats) {
  FailureOr<Value> buffer = allocate(floats * type.getWidth() / 32);
  if (failed(buffer))
    return failure();
  freeFloats -= llvm::alignTo(floats, kAlignedFloats);
  return pointerOf(*buffer, kSharedSpace);
}

LogicalResult PointSweep::run(const PointSources &sources,
                              AllocateShared allocate) {
  metric = sources.metric;
  columns = sources.columns;
  outs = sources.outs;
  batchRank = cast<MemRefType>(outs.getType()).getRank() - sources.tail;
  int64_t perWord =
      type.getWidth() / getElementTypeOrSelf(sources.x).getIntOrFloatBitWidth();
  x = describe(sources.x, perWord);
  y = describe(sources.y, perWord);
  describeChunks();
  describeUnit(sources.scale);
  hasBias = static_cast<bool>(sources.bias);
  transposed = sources.transposed;
  separatesTerms = sources.separatesTerms;
  if (hasBias) {
    bias = describe(sources.bias);
    biasCoefficient = termFactor;
    if (sources.biasScale)
      biasCoefficient =
          arith::MulFOp::create(b, sources.biasScale, biasCoefficient);
  }
  FailureOr<Value> forRows = allocateShared(
      allocate, product->getRows() * strideX * (resident ? 1 : 2));
  FailureOr<Value> forColumns =
      allocateShared(allocate, 2 * product->getColumns() * strideY);
  FailureOr<Value> forTerms = allocateShared(allocate, 2 * countTerms());
  if (failed(forRows) || failed(forColumns) || failed(forTerms))
    return failure();
  rowTile = *forRows;
  columnTile = *forColumns;
  termTile = *forTerms;

  Value perMatrix =
      arith::CeilDivUIOp::create(b, x.count, index(product->getRows()));
  Value parts = countParts();
  Value items = mul(perMatrix, parts);
  for (int64_t dim = 0; dim < batchRank; ++dim)
    items = mul(items, b.createOrFold<memref::DimOp>(outs, dim));
  auto loop = scf::ForOp::create(b, blocks.block, items, blocks.numBlocks);
  b.setInsertionPointToStart(loop.getBody());
  Value item = loop.getInductionVar();
  auto split = [&](Value count, bool isLast) -> Value {
    if (isLast || isConstantIntValue(count, 1))
      return isLast ? item : index(0);
    Value position = arith::RemUIOp::create(b, item, count);
    item = arith::DivUIOp::create(b, item, count);
    return position;
  };
  Value part = split(parts, /*isLast=*/false);
  Value rowBlock = split(perMatrix, /*isLast=*/batchRank == 0);
  setBatch(item);
  setPart(part);
  sweepRows(mul(rowBlock, product->getRows()));
  return success();
}
