//===- Generalizer.h - Named ops to core ops --------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What the form, the targets and the starts of a named op mean, written as
// ordinary tensor code around `iterate`, `plan` and `apply`.
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_TRANSFORMS_GENERALIZER_H
#define SCALING_LIB_TRANSFORMS_GENERALIZER_H

#include "TensorEmitter.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <tuple>

namespace mlir::scaling {

/// The matrix of an iteration, and what undoes its preparation.
struct PreparedMatrix {
  Value matrix;
  /// What was subtracted from the logarithm of each row and column (null:
  /// nothing), and from every entry.
  Value rowShift, colShift, totalShift;
};

/// The operands named ops on transport problems have in common; values may be
/// null.
struct Problem {
  Value matrix;
  Value rowMarginal, colMarginal;
  Value rowInit, colInit;
  Value rowMask, colMask;
  Value slack, epsilon;
  FormAttr form;
  RuleAttr rows, cols;
  Order order;
  StopAttr stop;
  NumericsAttr numerics;

  /// The temperature where no operand gives one: the last of a schedule.
  double formEpsilon() const {
    ArrayRef<Number> anneal = FormAttr(form).getAnneal();
    return anneal.empty() ? double(FormAttr(form).getEpsilon())
                          : double(anneal.back());
  }
  /// Whether the temperature is known to be 1.
  bool isUnscaled() const { return !epsilon && formEpsilon() == 1.0; }
};

class Generalizer {
public:
  using Sizes = TensorEmitter::Sizes;
  using Combine = TensorEmitter::Combine;

  /// Takes the problem's sizes from the op; with slack they are those with
  /// the slack row and column.
  Generalizer(OpBuilder &builder, Operation *op, NumericsAttr numerics,
              Type element);

  SmallVector<Value> sinkhorn(SinkhornOp op);
  SmallVector<Value> project(ProjectOp op);
  SmallVector<Value> balance(BalanceOp op);
  SmallVector<Value> normalize(NormalizeOp op);
  SmallVector<Value> attention(AttentionOp op);

  Sizes sizes(ArrayRef<Size> tail);
  Sizes sizesOf(Value value) { return tensor::getMixedSizes(b, loc, value); }
  OpFoldResult size(Size which) {
    return getProblemSize(b, loc, operands, shape, which);
  }
  /// The batch sizes a computation on these values needs: those of the
  /// largest batch among them. `tails` are their ranks behind the batch.
  Sizes joinedBatch(ArrayRef<std::pair<Value, int64_t>> values);

  Value cast(Value tensor, Type element);
  /// How many rows (columns) take part: a scalar of the accumulate type, or a
  /// tensor per batch element where a mask says so. Without the slack entry.
  Value count(Size which, Value mask, bool slack);
  /// `a` (scalar or per batch) as an elementwise operand.
  Value onBatch(ArrayRef<Value> values, TensorEmitter::Body body);

  PreparedMatrix prepare(const Problem &problem);
  /// The parts of a softmax of the rows: exponentials, what each row of them is
  /// multiplied with, and the logarithm of both together, which is subtracted.
  std::tuple<Value, Value, Value> softmaxParts(Value x,
                                               ArrayRef<OpFoldResult> all,
                                               ArrayRef<OpFoldResult> vector);
  Value appendSlack(Value matrix, Value slack);
  Value standardized(Value matrix, Value rowMask, Value colMask);
  /// A mask's entries for the input's own rows or columns.
  Value withoutSlack(const Problem &problem, Value mask);
  Value target(const Problem &problem, Axis axis);
  Value start(const Problem &problem, Axis axis, const PreparedMatrix &prepared,
              Value target);
  /// The iteration, annealed or not.
  SmallVector<Value> iterate(const Problem &problem, Value matrix,
                             Value rowStart, Value colStart, Value rowTarget,
                             Value colTarget);
  Value rescaled(Value factor, Value target, Value ratio);
  /// The tensor times the form's scale; a logarithm plus its logarithm.
  Value scaleOutput(Value tensor, const Problem &problem, Size rowSize,
                    Size colSize, bool logarithm);
  Value potential(const Problem &problem, Axis axis, Value factor,
                  const PreparedMatrix &prepared);
  /// The temperature; `otherwise` where the operand is not positive. What
  /// makes the matrix takes NaN, so that the iteration diverges, and what
  /// takes potentials to factors and back 1.
  Value epsilonOf(const Problem &problem, OpBuilder &inner, Location l,
                  Value operand, double otherwise);

  OpBuilder &b;
  Location loc;
  TensorEmitter e;
  SmallVector<BatchedOperand> operands;
  ProblemShape shape;
  NumericsAttr numerics;
  ScheduleAttr schedule;
  bool isLog;
  Type storage;
  FloatType accumulate;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_TRANSFORMS_GENERALIZER_H
