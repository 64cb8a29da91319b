//===- Shapes.h - Batches, and what goes with rows and columns --*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_IR_SHAPES_H
#define SCALING_DIALECT_SCALING_IR_SHAPES_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include <optional>

namespace mlir::scaling {

/// The sizes a problem has behind its batch: rows, columns, coordinates of a
/// point, columns of a value matrix.
enum class Size : unsigned { rows, cols, depth, width };

/// An operand of an op on a (possibly batched) problem: batch dimensions, then
/// those of `tail`. `extra` is what its rows and columns lack to the problem's
/// (the slack row and column).
struct BatchedOperand {
  StringRef name;
  Value value;
  SmallVector<Size, 2> tail;
  int64_t extra = 0;
};

/// The sizes of a batched problem; dynamic ones are `ShapedType::kDynamic`.
struct ProblemShape {
  SmallVector<int64_t> batch;
  int64_t sizes[4] = {ShapedType::kDynamic, ShapedType::kDynamic,
                      ShapedType::kDynamic, ShapedType::kDynamic};

  int64_t &operator[](Size size) { return sizes[static_cast<unsigned>(size)]; }
  int64_t operator[](Size size) const {
    return sizes[static_cast<unsigned>(size)];
  }
  /// The batch's dimensions followed by `tail`.
  SmallVector<int64_t> with(ArrayRef<Size> tail) const;
};

/// The shape all operands agree on; a static size wins over a dynamic one.
/// Operands without a value are skipped. Reports the first disagreement to
/// `emitError` (which may be null), citing `constraint`; a matrix' rank is
/// constraint C1 of every op.
FailureOr<ProblemShape>
inferProblemShape(ArrayRef<BatchedOperand> operands, StringRef constraint,
                  function_ref<InFlightDiagnostic()> emitError);

/// A size of the problem at run time.
OpFoldResult getProblemSize(OpBuilder &builder, Location loc,
                            ArrayRef<BatchedOperand> operands,
                            const ProblemShape &shape, Size size);

/// A batch dimension of the problem at run time.
OpFoldResult getBatchSize(OpBuilder &builder, Location loc,
                          ArrayRef<BatchedOperand> operands,
                          const ProblemShape &shape, int64_t dim);

/// The operands of an op on a whole problem.
SmallVector<BatchedOperand> getBatchedOperands(Operation *op);

} // namespace mlir::scaling

#endif // SCALING_DIALECT_SCALING_IR_SHAPES_H
