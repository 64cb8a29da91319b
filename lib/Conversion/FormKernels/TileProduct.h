//===- TileProduct.h - The product of two tiles of points -------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_FORMKERNELS_TILEPRODUCT_H
#define SCALING_LIB_CONVERSION_FORMKERNELS_TILEPRODUCT_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <memory>

namespace mlir::scaling {

/// Coordinates that an instruction reads at a time: 16 bytes of f32.
inline constexpr int64_t kVectorFloats = 4;

/// The same of either type.
inline int64_t getVectorFloats(Type type) {
  return 128 / static_cast<int64_t>(type.getIntOrFloatBitWidth());
}

/// How the threads of a block make a tile of sums over coordinates from points
/// in shared memory, and which of the sums each holds in its registers. What
/// reads the sums knows nothing else.
///
/// Points are rows of f32 or f64, `stride` floats from one to the next; the
/// stride is an odd number of vectors, so that neighbours are in different
/// banks.
class TileProduct {
public:
  virtual ~TileProduct() = default;

  /// Coordinates come in groups of so many.
  int64_t getDepthStep() const { return depthStep; }

  /// Whether coordinates of x are only ever multiplied by powers of two: they
  /// have too few bits for other products.
  virtual bool keepsCoordinates() const { return false; }

  /// Whether these may not become larger than they are.
  virtual bool isBounded() const { return false; }

  /// Points of a tile on either side.
  int64_t getRows() const { return tileRows; }
  int64_t getColumns() const { return tileColumns; }

  /// Rows and columns of which a thread holds sums: all pairs of them.
  int64_t getNumRows() const { return numRows; }
  int64_t getNumColumns() const { return numColumns; }

  /// Which row of the tile the thread's i-th one is.
  virtual Value createRow(ImplicitLocOpBuilder &b, int64_t i) const = 0;
  virtual Value createColumn(ImplicitLocOpBuilder &b, int64_t j) const = 0;

  /// So many columns of a thread, from every multiple on, are neighbours.
  int64_t getAdjacentColumns() const { return adjacentColumns; }

  /// The sums that these have in so many rows lie side by side, as an
  /// instruction takes them: what they begin with is loaded like that.
  int64_t getAdjacentRows() const { return adjacentRows; }

  /// The columns of a row are with lanes whose numbers differ in these bits.
  virtual ArrayRef<int32_t> getLaneBits() const = 0;

  /// They are divided into parts, each of another warp.
  int64_t getNumParts() const { return numParts; }
  virtual Value createPart(ImplicitLocOpBuilder &b) const = 0;

  /// Whether the thread has the first columns of its rows in its part.
  virtual Value createIsFirst(ImplicitLocOpBuilder &b) const = 0;

  /// The rows of a column are with lanes whose numbers differ in these bits,
  /// and divided into parts, each of other warps.
  virtual ArrayRef<int32_t> getRowBits() const = 0;
  int64_t getNumRowParts() const { return numRowParts; }
  virtual Value createRowPart(ImplicitLocOpBuilder &b) const = 0;

  /// Whether the lane has the first rows of its columns in its part.
  virtual Value createIsFirstRow(ImplicitLocOpBuilder &b) const = 0;

  /// Adds `depth` coordinates to the sums, row by row. `x` and `y` are the
  /// tiles, pointers to shared memory. Where these are all coordinates, the
  /// first ones are added outside of the loop: what the sums begin with need
  /// not be copied to where they are.
  virtual SmallVector<Value> accumulate(ImplicitLocOpBuilder &b, Value x,
                                        int64_t strideX, Value y,
                                        int64_t strideY, int64_t depth,
                                        bool isAll, ValueRange sums) const = 0;

protected:
  TileProduct(int64_t tileRows, int64_t tileColumns, int64_t numRows,
              int64_t numColumns, int64_t depthStep, int64_t numRowParts,
              int64_t adjacentColumns = 1, int64_t adjacentRows = 1,
              int64_t numParts = 1)
      : tileRows(tileRows), tileColumns(tileColumns), numRows(numRows),
        numColumns(numColumns), depthStep(depthStep), numRowParts(numRowParts),
        adjacentColumns(adjacentColumns), adjacentRows(adjacentRows),
        numParts(numParts) {}

private:
  int64_t tileRows, tileColumns, numRows, numColumns;
  int64_t depthStep, numRowParts, adjacentColumns, adjacentRows, numParts;
};

/// In f32 or f64, without tensor cores: every term of the metric as it is,
/// which for `sqeuclidean` is the square of a difference. A thread has sums of
/// eight rows, of f64 four, and `threadColumns` columns.
std::unique_ptr<TileProduct>
createScalarProduct(ImplicitLocOpBuilder &b, FloatType type, Metric metric,
                    Value thread, int64_t numThreads, int64_t threadColumns);

/// By tensor cores, of numbers of tf32, or of bf16 or f16, two of which are a
/// float here; with sums of f32; the metric is `dot`. The sums are those of
/// `mma.sync`: a lane has two neighbouring columns of every eight, in two of
/// sixteen rows, a step. A warp has so many steps one below another, for which
/// columns are loaded once, and of 128 rows as many columns fewer.
std::unique_ptr<TileProduct>
createTensorProduct(ImplicitLocOpBuilder &b, Products products, Value thread,
                    int64_t numThreads, int64_t tileColumns, int64_t steps = 2);

/// A pointer `offset` floats after another; `offset` is an index. Without a
/// type, floats are f32.
Value createAddress(ImplicitLocOpBuilder &b, Value pointer, Value offset,
                    Type type = {});
Value createAddress(ImplicitLocOpBuilder &b, Value pointer, int64_t offset,
                    Type type = {});

/// `count` floats that lie side by side, on a boundary of as many bytes.
Value loadFloats(ImplicitLocOpBuilder &b, Value pointer, int64_t count,
                 Type type = {});
SmallVector<Value> splitFloats(ImplicitLocOpBuilder &b, Value floats);
Value joinFloats(ImplicitLocOpBuilder &b, ValueRange entries);
void storeFloats(ImplicitLocOpBuilder &b, Value floats, Value pointer);

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_FORMKERNELS_TILEPRODUCT_H
