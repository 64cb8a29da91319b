//===- TensorProduct.h - Instructions of tensor cores -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_FORMKERNELS_TENSORPRODUCT_H
#define SCALING_LIB_CONVERSION_FORMKERNELS_TENSORPRODUCT_H

#include "TileProduct.h"

namespace mlir::scaling {

/// Rows of sums of an instruction, their columns, and the coordinates of tf32
/// that it multiplies; of narrower types it is twice as many.
inline constexpr int64_t kStepRows = 16;
inline constexpr int64_t kStepColumns = 8;
inline constexpr int64_t kStepDepth = 8;

/// Where a thread is among those that execute an instruction together: of its
/// sums it has two neighbouring columns, from twice `inQuad` on, in the rows
/// `quad` and `quad + 8`.
struct TensorLane {
  TensorLane(ImplicitLocOpBuilder &b, Value thread);
  Value lane, quad, inQuad;
};

/// Where the lane's row of four matrices is that are loaded together, each of
/// eight rows of 16 bytes: two of them below each other, from `first` on, and
/// two side by side.
Value createMatrixPlace(ImplicitLocOpBuilder &b, const TensorLane &lane,
                        Value first, int64_t stride, bool isBelowFirst);

/// The four matrices: of each, a lane gets the words `inQuad` of the rows
/// `quad`; transposed, of numbers of 16 bits, it is two rows of a column.
SmallVector<Value> loadMatrices(ImplicitLocOpBuilder &b, Value place,
                                bool isTransposed = false);

/// Adds the products of 16 rows and 8 columns, four words and two, to four
/// sums.
void multiplyTensors(ImplicitLocOpBuilder &b, Products products,
                     ValueRange rows, ValueRange columns,
                     ArrayRef<Value *> sums);

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_FORMKERNELS_TENSORPRODUCT_H
