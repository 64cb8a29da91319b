//===- PointSweep.h - Sweeps over tiles of points ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_FORMKERNELS_POINTSWEEP_H
#define SCALING_LIB_CONVERSION_FORMKERNELS_POINTSWEEP_H

#include "TileProduct.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace mlir::scaling {

/// The blocks of a grid, to each of which blocks of rows go in turn.
struct PointBlocks {
  Value thread, block, numBlocks;
  /// Of a block.
  int64_t numThreads;
  /// Shared memory that is left.
  int64_t freeFloats;
};

inline constexpr unsigned kGlobalSpace = 1, kSharedSpace = 3;

/// From natural logarithms to base 2, and back.
inline constexpr double kLog2E = 0x1.71547652b82fep+0;
inline constexpr double kLn2 = 0x1.62e42fefa39efp-1;

/// Gives a number of floats of shared memory.
using AllocateShared = function_ref<FailureOr<Value>(int64_t)>;

/// Writes the op, on memrefs, before it: a block of rows at a time, the other
/// points in tiles through shared memory.
LogicalResult formPointSweep(OpBuilder &builder, ReducePointsOp op,
                             const PointBlocks &blocks,
                             AllocateShared allocate);
LogicalResult formPointSweep(OpBuilder &builder, SumPointsOp op,
                             const PointBlocks &blocks,
                             AllocateShared allocate);
LogicalResult formPointSweep(OpBuilder &builder, ArgMaxPointsOp op,
                             const PointBlocks &blocks,
                             AllocateShared allocate);
LogicalResult formPointSweep(OpBuilder &builder, ApplyPointsOp op,
                             const PointBlocks &blocks,
                             AllocateShared allocate);

/// Rows of numbers in global memory. Of pairs of 16 bits, words of f32 are
/// numbers here: lengths and distances are those of words.
struct Points {
  Value memref;
  MemRefType type;
  /// Coordinates in a word.
  int64_t perWord = 1;
  /// Numbers of a row that are copied at a time.
  int64_t vector = 1;
  /// Of rows, and of numbers in one.
  Value count, depth;
  Value rowStride;
  /// Of the current batch element.
  Value pointer;
};

/// What a sweep reads. `columns` is a term for each column, or null; `outs`
/// has the batch dimensions, before `tail` of its own.
struct PointSources {
  Value x, y;
  Metric metric;
  Value scale, columns, outs;
  int64_t tail;
  /// Added to the costs, times its scale, which may be null; null: nothing is.
  Value bias, biasScale;
  /// Whether the columns of the bias are rows of x.
  bool transposed;
  /// Whether exponents are without the terms of columns.
  bool separatesTerms = false;
};

/// A block takes a block of rows. The other points pass through shared memory
/// in tiles, each in chunks of coordinates, the next one copied while one is
/// computed with. What is made of a tile's sums, registers of the threads, is
/// the subclass'. Exponents are to base 2: scale and log2(e) are in the
/// coordinates of x already where the metric is a product, but for a number
/// from 1 to 2 where these are to keep their bits, the unit of exponents; and
/// for powers of two above 1 where they may not become larger.
class PointSweep {
public:
  virtual ~PointSweep() = default;

protected:
  PointSweep(OpBuilder &builder, Location loc, const PointBlocks &blocks,
             Value result)
      : b(loc, builder), blocks(blocks),
        type(cast<FloatType>(getElementTypeOrSelf(result))),
        vector(getVectorFloats(type)),
        freeFloats(blocks.freeFloats * 32 / type.getWidth()) {}

  /// `product` is there.
  LogicalResult run(const PointSources &sources, AllocateShared allocate);

  /// What is carried from tile to tile.
  virtual SmallVector<Value> createStates(Value firstRow) = 0;
  /// Writes what a block of rows wants besides its points to shared memory.
  virtual void stageBlock(Value firstRow) {}
  /// Copies what a tile wants besides its points, asynchronously.
  virtual void stageTile(Value tile) {}
  /// `exponents` are in units.
  virtual SmallVector<Value> addTile(Value tile, ValueRange exponents,
                                     ValueRange states) = 0;
  virtual void finishRows(Value firstRow, ValueRange states) = 0;
  /// How often a block of rows is taken, for parts of the result.
  virtual Value countParts() { return index(1); }
  virtual void setPart(Value part) {}

  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, value);
  }
  Value number(double value) {
    return arith::ConstantOp::create(b, b.getFloatAttr(type, value));
  }
  Value add(Value lhs, Value rhs) {
    return b.createOrFold<arith::AddIOp>(lhs, rhs);
  }
  Value mul(Value lhs, Value rhs) {
    return b.createOrFold<arith::MulIOp>(lhs, rhs);
  }
  Value mul(Value lhs, int64_t rhs) { return mul(lhs, index(rhs)); }
  Value isBelow(Value lhs, Value rhs) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, lhs, rhs);
  }
  int64_t getBytes() { return type.getWidth() / 8; }
  Value exp2(Value exponent);
  /// What the lane whose number differs in one bit has: a number, or i32.
  Value exchange(Value value, int32_t bit);
  Value addressOf(Value pointer, Value offset) {
    return createAddress(b, pointer, offset, type);
  }
  Value addressOf(Value pointer, int64_t offset) {
    return createAddress(b, pointer, offset, type);
  }
  Value load(Value pointer, int64_t count) {
    return loadFloats(b, pointer, count, type);
  }
  /// A finite exponent below all others, in units: what largest ones begin
  /// with.
  Value createLowest();
  /// An exponent in units, as it is; plus another, which is.
  Value inOnes(Value exponent);
  Value addInOnes(Value exponent, Value other);
  Value pointerOf(Value memref, unsigned space);
  FailureOr<Value> allocateShared(AllocateShared allocate, int64_t floats);

  /// What is made of unknown sizes takes registers all the time.
  static bool hasUnknownSizes(Value memref) {
    return !cast<MemRefType>(memref.getType()).hasStaticShape();
  }
  Points describe(Value memref, int64_t perWord = 1);
  Value inWords(Value count, int64_t perWord);
  /// The numbers of a row, or ShapedType::kDynamic.
  static int64_t knownDepth(const Points &points);
  void setPointer(Points &points);
  /// The entry of a vector of the current batch element times `factor`, or
  /// `otherwise` where there is none.
  Value loadTerm(Value vector, Value position, Value count, Value factor,
                 Value missing, Value otherwise);
  /// In units; zero where there is no vector, −inf where there is no entry.
  Value loadTerm(Value vector, Value position, Value count);
  /// Of every so many rows one below another, the terms of the thread's columns
  /// of a tile.
  SmallVector<SmallVector<Value>> loadTerms(Value tile);
  /// The indices of an entry of the current batch element.
  SmallVector<Value> indicesOf(Value memref, ValueRange tail);

  void forEachEntry(int64_t count, function_ref<void(Value)> body);
  /// Copies a rectangle asynchronously; what is outside of the points is zero.
  void copyAsync(const Points &points, Value firstRow, Value firstNumber,
                 int64_t numRows, int64_t width, Value target, int64_t stride);

  ImplicitLocOpBuilder b;
  PointBlocks blocks;
  /// Of everything but the bias, and of words of points.
  FloatType type;
  /// Numbers in 16 bytes.
  int64_t vector;
  std::unique_ptr<TileProduct> product;
  Points x, y;
  Value numTiles;

private:
  /// Numbers of a tile's terms.
  int64_t countTerms() {
    return product->getColumns() * product->getAdjacentRows();
  }
  void describeChunks();
  void describeUnit(Value scale);
  void setBatch(Value item);
  /// Rows of the block, from a coordinate on, to shared memory.
  void stageRows(Value firstRow, Value firstCoordinate, Value target,
                 int64_t depth);
  /// A coordinate of x, or a pair of them, times the coefficient.
  Value scaled(Value word);
  /// The row, and the first number in it, of the position-th copy of `count`
  /// numbers of a rectangle, a multiple of eight rows. They have `width`
  /// numbers and lie `stride` apart in shared memory.
  std::pair<Value, Value> placeOfCopy(Value position, int64_t count,
                                      int64_t width, int64_t stride);
  void copyVector(Value source, Value target, int64_t count, Value bytes);
  void copyChecked(const Points &points, Value firstRow, Value firstNumber,
                   int64_t numRows, int64_t width, Value target,
                   int64_t stride);
  void copyWhole(const Points &points, Value firstRow, Value firstNumber,
                 int64_t numRows, int64_t width, Value target, int64_t stride);
  /// A chunk of a tile, and with the first the columns' terms.
  void stageColumns(Value tile, Value chunk, Value step);
  void stageTerms(Value firstColumn, Value target);
  void waitForCopies();
  /// Where a chunk of the block's rows is.
  Value rowsAt(Value chunk, Value step);
  /// Adds the bias to what the sums of a tile have become.
  SmallVector<Value> addBias(Value firstRow, Value tile, ValueRange exponents);
  void sweepRows(Value firstRow);
  SmallVector<Value> sweepTile(Value firstRow, Value tile, ValueRange states);

  Metric metric;
  Value columns, outs;
  Points bias;
  /// In units, by what the bias is multiplied.
  Value biasCoefficient;
  bool hasBias, transposed, separatesTerms;
  int64_t freeFloats, chunkDepth, residentDepth;
  Value numChunks;
  bool isProduct, resident;
  int64_t strideX, strideY;
  /// Shared memory: rows; two chunks of columns; two tiles' terms of columns.
  Value rowTile, columnTile, termTile;
  /// log2(e) times the scale, over the unit of exponents.
  Value coefficient;
  /// Null for 1. The power of two in it, or null.
  Value unit, largeUnit;
  /// From natural logarithms to exponents.
  Value termFactor;
  /// The current batch element.
  SmallVector<Value> batch;
  int64_t batchRank;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_FORMKERNELS_POINTSWEEP_H
