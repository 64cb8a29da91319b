//===- Convention.cpp - What named ops say of an iteration ----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Convention.h"

#include "mlir/IR/BuiltinTypeInterfaces.h"

#include <cmath>

using namespace mlir;
using namespace mlir::scaling;
using namespace mlir::scaling::raise;

/// Numbers that programs round to f32.
static bool isClose(double x, double y) {
  return std::abs(x - y) <= 2e-6 * std::max(std::abs(x), std::abs(y));
}

//===----------------------------------------------------------------------===//
// Matrices
//===----------------------------------------------------------------------===//

/// The value of the last row and column of a matrix that is joined of an input
/// and such values.
static bool readSlack(const Term &term, Label row, Label col, Matrix &matrix) {
  if (term.node->kind != Kind::Concat || term.node->operands.size() != 2 ||
      term.node->parts[1] != 1)
    return false;
  Label along = term.at[0], across = along == row ? col : row;
  Term inner = getOperand(term, 0), outer = getOperand(term, 1);
  if ((along != row && along != col) || !outer.at.empty() ||
      inner.node->kind != Kind::Concat || inner.node->operands.size() != 2 ||
      inner.node->parts[1] != 1 || inner.at[0] != across)
    return false;
  Term corner = getOperand(inner, 1);
  if (!(corner == outer))
    return false;
  matrix.input = getOperand(inner, 0);
  matrix.slack = corner;
  return matrix.input.has(row) && matrix.input.has(col);
}

/// `exp(X)`, whose X is perhaps a multiple of the input, and less its maxima.
static Matrix readExponential(Expressions &e, const Term &logarithm, Label row,
                              Label col) {
  Matrix matrix(logarithm);
  auto readMultiple = [&] {
    if (!isMultiple(matrix.input))
      return;
    double weight = matrix.input.node->operands[0].weight;
    matrix.kind = weight > 0.0 ? Input::logits : Input::cost;
    matrix.epsilon = 1.0 / std::abs(weight);
    // 1/0.05 and back.
    double digits = std::round(matrix.epsilon * 1e9) / 1e9;
    if (digits > 0.0 &&
        std::abs(digits - matrix.epsilon) < 1e-11 * matrix.epsilon)
      matrix.epsilon = digits;
    matrix.input = getOperand(matrix.input, 0);
  };
  if (logarithm.node->kind == Kind::Linear)
    for (unsigned i = 0, end = logarithm.node->operands.size(); i < end; ++i) {
      Term maximum = getOperand(logarithm, i);
      if (maximum.node->kind != Kind::Max ||
          logarithm.node->operands[i].weight >= 0.0)
        continue;
      bool ofRows = !maximum.has(col), ofCols = !maximum.has(row);
      if (ofRows == ofCols)
        continue;
      Label lost = ofRows ? col : row;
      Term whole = e.add(logarithm,
                         e.scale(-logarithm.node->operands[i].weight, maximum));
      if (!(e.max(whole, lost) ==
            e.scale(-logarithm.node->operands[i].weight, maximum)))
        continue;
      matrix.input = whole;
      matrix.shift = ofRows ? Shift::row_max : Shift::col_max;
      break;
    }
  readMultiple();
  return matrix;
}

/// A kernel that is a function of its input: an exponential, a softmax, a
/// sigmoid, and what is added to its entries.
static std::optional<Matrix> readKernel(Expressions &e, const Term &kernel,
                                        Label row, Label col) {
  const Node &node = *kernel.node;
  if (node.kind == Kind::Exp)
    return readExponential(e, getOperand(kernel, 0), row, col);
  if (node.kind == Kind::Linear && node.operands.size() == 1 &&
      node.operands[0].weight == 1.0 && node.number > 0.0) {
    std::optional<Matrix> inner =
        readKernel(e, getOperand(kernel, 0), row, col);
    if (!inner || inner->entryEps != 0.0)
      return std::nullopt;
    inner->entryEps = node.number;
    return inner;
  }
  if (node.kind != Kind::Product)
    return std::nullopt;
  if (node.operands.size() == 1 && node.operands[0].weight == -1.0) {
    Term denominator = getOperand(kernel, 0);
    const Node &sum = *denominator.node;
    if (sum.kind != Kind::Linear || sum.operands.size() != 1 ||
        sum.operands[0].weight != 1.0 || sum.number != 1.0 ||
        sum.operands[0].term.node->kind != Kind::Exp)
      return std::nullopt;
    return Matrix(e.scale(-1.0, getOperand(getOperand(denominator, 0), 0)),
                  Map::sigmoid);
  }
  if (node.operands.size() != 2)
    return std::nullopt;
  for (unsigned i : {0u, 1u}) {
    Term numerator = getOperand(kernel, i), sum = getOperand(kernel, 1 - i);
    if (node.operands[i].weight != 1.0 || node.operands[1 - i].weight != -1.0)
      continue;
    // Over its own sum: of rows, or of everything.
    Term total = e.sum(numerator, {row, col},
                       {ShapedType::kDynamic, ShapedType::kDynamic});
    double delta = 0.0;
    Term plain = sum;
    if (sum.node->kind == Kind::Linear && sum.node->operands.size() == 1 &&
        sum.node->operands[0].weight == 1.0 && sum.node->number > 0.0) {
      delta = sum.node->number;
      plain = getOperand(sum, 0);
    }
    if (plain == total) {
      std::optional<Matrix> inner = readKernel(e, numerator, row, col);
      if (!inner || inner->entryEps != 0.0 || inner->normalizeTotal)
        return std::nullopt;
      inner->normalizeTotal = delta;
      return inner;
    }
    if (numerator.node->kind != Kind::Exp ||
        !(sum == e.sum(numerator, col, ShapedType::kDynamic)))
      continue;
    // What is the same along a row makes no difference to its softmax.
    Term logits = getOperand(numerator, 0);
    if (logits.node->kind == Kind::Linear) {
      SmallVector<Operand> kept;
      for (unsigned j = 0, end = logits.node->operands.size(); j < end; ++j)
        if (getOperand(logits, j).has(col))
          kept.push_back(
              {getOperand(logits, j), logits.node->operands[j].weight});
      logits = e.linear(kept);
    }
    return Matrix(logits, Map::softmax_rows);
  }
  return std::nullopt;
}

SmallVector<Matrix> raise::readMatrix(Expressions &e,
                                      const Iteration &iteration, Label row,
                                      Label col) {
  const Term &term = iteration.matrix;
  SmallVector<Matrix> ways;
  std::optional<Matrix> matrix = iteration.log
                                     ? readExponential(e, term, row, col)
                                     : readKernel(e, term, row, col);
  if (matrix) {
    // The logarithms need no shift.
    if (iteration.log && matrix->shift != Shift::none)
      matrix = Matrix(term);
    Matrix slack = *matrix;
    if (readSlack(matrix->input, row, col, slack))
      ways.push_back(slack);
    ways.push_back(*matrix);
    if (matrix->epsilon != 1.0 && matrix->shift == Shift::none)
      ways.push_back(Matrix(iteration.log ? term : getOperand(term, 0)));
  }
  if (!iteration.log)
    ways.push_back(Matrix(term, Map::identity, Input::kernel));
  return ways;
}

//===----------------------------------------------------------------------===//
// Conventions
//===----------------------------------------------------------------------===//

/// Whether the logarithms of a target are those of a slack row: as much as all
/// others for each entry but the last, which takes `others`.
static bool isSlackTarget(const Term &target, double total, double others) {
  const Node &node = *target.node;
  if (node.kind != Kind::Concat || node.operands.size() != 2 ||
      node.parts[1] != 1)
    return false;
  std::optional<double> entry = getConstant(node.operands[0].term);
  std::optional<double> last = getConstant(node.operands[1].term);
  return entry && last &&
         std::abs(*entry + std::log(total)) < 2e-6 * (1 + std::log(total)) &&
         std::abs(*last - std::log(others / total)) <
             2e-6 * (1 + std::log(total));
}

SmallVector<Convention> raise::findConventions(const Iteration &iteration,
                                               const Matrix &matrix, Label row,
                                               int64_t n, int64_t m) {
  SmallVector<Convention> conventions;
  // The half-step that sums along the columns' axis gives the rows' factor.
  bool rowsFirst = iteration.first.reduced != row;
  const HalfStep &rows = rowsFirst ? iteration.first : iteration.second;
  const HalfStep &cols = rowsFirst ? iteration.second : iteration.first;
  bool lastIsRows = rowsFirst == (iteration.count % 2 == 1);
  bool known = !ShapedType::isDynamic(n) && !ShapedType::isDynamic(m);
  double height = static_cast<double>(n), width = static_cast<double>(m);

  auto tryTargets = [&](Target rowTarget, Target colTarget, double lastNumber) {
    auto tryScale = [&](OutputScale scale, double number) {
      if (!isClose(iteration.factor, lastNumber * number))
        return;
      Convention convention{rowTarget, colTarget, scale, matrix.normalizeTotal};
      conventions.push_back(convention);
      // A total cancels where nothing is added to a sum.
      if (!iteration.log && iteration.guard == Guard::none &&
          !matrix.normalizeTotal && matrix.kind != Input::kernel) {
        convention.normalizeTotal = 0.0;
        conventions.push_back(convention);
      }
    };
    tryScale(OutputScale::one, 1.0);
    if (known) {
      tryScale(OutputScale::rows, height);
      tryScale(OutputScale::cols, width);
      tryScale(OutputScale::rows_plus_cols, height + width);
    }
  };

  Target plainRow = Target::one, plainCol = Target::one;
  if (matrix.slack) {
    if (!known || !iteration.log || !rows.target || !cols.target ||
        !isSlackTarget(rows.target, height + width, width) ||
        !isSlackTarget(cols.target, height + width, height))
      return {};
    plainRow = plainCol = Target::slack;
    tryTargets(Target::slack, Target::slack, 1.0);
  } else if (iteration.guard != Guard::none) {
    bool uniform = rows.number != 1.0 || cols.number != 1.0;
    if (uniform)
      plainRow = plainCol = Target::uniform;
    tryTargets(plainRow, plainCol, 1.0);
  } else {
    double extent = lastIsRows ? height : width;
    bool lastIsVector = static_cast<bool>((lastIsRows ? rows : cols).target);
    tryTargets(Target::one, Target::one, 1.0);
    if (known)
      tryTargets(Target::uniform, Target::uniform,
                 lastIsVector ? 1.0 : 1.0 / extent);
  }
  if (conventions.empty())
    conventions.push_back({plainRow, plainCol, OutputScale::one,
                           matrix.normalizeTotal, iteration.factor});
  return conventions;
}
