//===- Replace.cpp - A value computed by a named op -----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Replace.h"
#include "Emit.h"

#include "scaling/Dialect/Scaling/IR/Presets.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;
using namespace mlir::scaling;
using namespace mlir::scaling::raise;

/// Keeps one of two ways to say the same: the published one, else the first.
/// Whether that is the candidate.
template <typename Op> static bool keepBetter(Op &op, Op candidate) {
  if (op && !matchPreset(candidate)) {
    candidate.erase();
    return false;
  }
  if (op)
    op.erase();
  op = candidate;
  return true;
}

namespace {
/// Writes the op for one choice of rows and columns.
class Replacer {
public:
  Replacer(Expressions &expressions, Evaluator &evaluator, Value value,
           const Found &found, Domain logDomain, Label row, Label col,
           Operation *before)
      : e(expressions), evaluator(evaluator), value(value), found(found),
        iteration(found.iteration), logDomain(logDomain), row(row), col(col),
        builder(before), loc(value.getLoc()),
        emitter(builder, loc, evaluator, before),
        type(cast<RankedTensorType>(value.getType())) {}

  Value writeProjection(Raised &raised, std::string &reason);
  Value writeBalanced(Raised &raised, std::string &reason);
  Value writeAttention(Raised &raised, std::string &reason);
  SmallVector<Value> writePotentials(ArrayRef<Potential> potentials,
                                     Raised &raised, std::string &reason);

private:
  struct Attributes {
    FormAttr form;
    RuleAttr rows, cols;
    Order order;
    StopAttr stop;
    NumericsAttr numerics;
  };
  Attributes makeAttributes(const Matrix &matrix, const Convention &convention);
  Value emitMarginal(const HalfStep &step, Label own);
  /// The batch dimensions, and the labels behind them.
  SmallVector<Label> makeLayout(ArrayRef<Label> labels);
  const HalfStep &getStep(Label own) {
    return iteration.first.reduced == own ? iteration.second : iteration.first;
  }
  Value finish(Value result, double factor);
  Value arrangeAs(Value x, const Potential &potential);
  int64_t countBatch();
  template <typename Op> void finishOp(Op op, Raised &raised);

  Expressions &e;
  Evaluator &evaluator;
  Value value;
  const Found &found;
  const Iteration &iteration;
  Domain logDomain;
  Label row, col;
  OpBuilder builder;
  Location loc;
  Emitter emitter;
  RankedTensorType type;
  SmallVector<Label> batch;
};
} // namespace

SmallVector<Label> Replacer::makeLayout(ArrayRef<Label> labels) {
  SmallVector<Label> layout(batch);
  layout.append(labels.begin(), labels.end());
  return layout;
}

Replacer::Attributes Replacer::makeAttributes(const Matrix &matrix,
                                              const Convention &convention) {
  MLIRContext *context = builder.getContext();
  Attributes attributes;
  SmallVector<Number> total;
  if (convention.normalizeTotal)
    total.push_back(*convention.normalizeTotal);
  attributes.form = FormAttr::get(
      context, matrix.kind, matrix.map, matrix.shift, matrix.epsilon,
      /*standardize=*/false, matrix.entryEps, total, Start::neutral,
      found.isLogarithm ? Output::log_plan : Output::plan, convention.scale,
      /*anneal=*/{}, /*extrapolate=*/false);
  auto makeRule = [&](Target target) {
    StatisticAttrInterface statistic = SumAttr::get(context);
    if (iteration.measure == Measure::norm)
      statistic = L2Attr::get(context);
    else if (iteration.measure == Measure::deviation)
      statistic = StdAttr::get(context);
    SmallVector<Number> limit;
    if (iteration.limit)
      limit = {iteration.limit->first, iteration.limit->second,
               iteration.limit->first};
    SmallVector<Number> clamp;
    if (iteration.clamp)
      clamp = {1.0 / iteration.clamp->second, 1.0 / iteration.clamp->first};
    return RuleAttr::get(context, statistic, iteration.guard,
                         iteration.guardEps, target, /*exponent=*/1.0,
                         /*tau=*/1.0, Reference::kernel, /*omega=*/1.0, limit,
                         /*step=*/{}, clamp,
                         /*roundPow2=*/false);
  };
  attributes.rows = makeRule(convention.rowTarget);
  attributes.cols = makeRule(convention.colTarget);
  attributes.order =
      iteration.first.reduced == col ? Order::rows_first : Order::cols_first;
  attributes.stop = StopAttr::getFixed(context, iteration.count);
  if (const std::optional<Tolerance> &t = iteration.tolerance)
    attributes.stop = StopAttr::get(
        context, StopMode::until, t->limit, /*measureLast=*/false, t->tol,
        t->what, t->judged == row ? Judged::rows : Judged::cols, t->norm,
        t->every, t->start, /*patienceFirst=*/false, /*last=*/true,
        // Over-relaxed, other iterates would come out.
        t->what == What::marginal ? Relax::none : Relax::where_possible,
        /*depth=*/0);
  attributes.numerics = NumericsAttr::getDefault(
      context, iteration.log ? Domain::log : Domain::kernel);
  return attributes;
}

/// A target that is a vector: its entries, not their logarithms.
Value Replacer::emitMarginal(const HalfStep &step, Label own) {
  Term target = getTarget(e, step, iteration.log);
  // One for all batch elements or one for each.
  bool shared = llvm::none_of(batch, [&](Label b) { return target.has(b); });
  for (Label label : batch)
    if (!shared && !target.has(label) && type.getDimSize(label) != 1)
      return {};
  if (!target.has(own))
    return {};
  return emitter.emit(target,
                      shared ? SmallVector<Label>{own} : makeLayout({own}),
                      type.getElementType());
}

/// The result in the value's order of dimensions, and its type.
Value Replacer::finish(Value result, double factor) {
  if (factor != 1.0)
    result = found.isLogarithm
                 ? emitter.applyNumber(result, std::log(factor), /*adds=*/true)
                 : emitter.applyNumber(result, factor, /*adds=*/false);
  if (result.getType() != type)
    result = tensor::CastOp::create(builder, loc, type, result);
  return result;
}

template <typename Op> void Replacer::finishOp(Op op, Raised &raised) {
  raised.op = op;
  raised.preset = matchPreset(op);
  if (iteration.log)
    op.setNumericsAttr(
        NumericsAttr::getDefault(builder.getContext(), logDomain));
}

Value Replacer::writeProjection(Raised &raised, std::string &reason) {
  for (int64_t dim = 0; dim < type.getRank(); ++dim) {
    if (dim == row || dim == col)
      continue;
    batch.push_back(static_cast<Label>(dim));
    if (type.getDimSize(dim) != 1 &&
        !iteration.matrix.has(static_cast<Label>(dim))) {
      reason = "the matrix does not have all dimensions of the result";
      return {};
    }
  }
  Type element = type.getElementType();
  ProjectOp op;
  double factor = 1.0;
  bool targets = true;
  for (const Matrix &matrix : readMatrix(e, iteration, row, col)) {
    Value input = emitter.emit(matrix.input, makeLayout({row, col}), element);
    if (!input)
      continue;
    int64_t n = getSize(matrix.input, row), m = getSize(matrix.input, col);
    SmallVector<Convention> conventions =
        findConventions(iteration, matrix, row, n, m);
    if (conventions.empty())
      continue;
    Value slack, rowMarginal, colMarginal;
    if (matrix.slack) {
      slack = emitter.emit(matrix.slack, {}, element);
      if (!slack)
        continue;
    } else {
      const HalfStep &rows = getStep(row), &cols = getStep(col);
      if (rows.target)
        rowMarginal = emitMarginal(rows, row);
      if (cols.target)
        colMarginal = emitMarginal(cols, col);
      targets = (!rows.target || rowMarginal) && (!cols.target || colMarginal);
      if (!targets)
        continue;
    }
    for (const Convention &convention : conventions) {
      Attributes a = makeAttributes(matrix, convention);
      auto candidate = ProjectOp::create(
          builder, loc, input, rowMarginal, colMarginal, Value(), Value(),
          Value(), Value(), slack, Value(), a.form, a.rows, a.cols, a.order,
          a.stop, a.numerics);
      if (!keepBetter(op, candidate))
        continue;
      factor = convention.factor;
      if (matchPreset(op))
        break;
    }
    if (op)
      break;
  }
  if (!op) {
    reason = targets ? "its matrix cannot be said in a form"
                     : "its targets cannot be said as marginals";
    return {};
  }
  finishOp(op, raised);
  Value result = op.getPlan();
  // Back to the order of the value's dimensions.
  SmallVector<Label> layout = makeLayout({row, col});
  SmallVector<int64_t> permutation(layout.size());
  bool same = true;
  for (auto [position, dim] : llvm::enumerate(layout)) {
    permutation[dim] = static_cast<int64_t>(position);
    same &= static_cast<Label>(position) == dim;
  }
  if (!same)
    result = emitter.transpose(result, permutation);
  return finish(result, factor);
}

/// A matrix of any sign, balanced: factors first, then what they make of it.
Value Replacer::writeBalanced(Raised &raised, std::string &reason) {
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    if (dim != row && dim != col)
      batch.push_back(static_cast<Label>(dim));
  SmallVector<Label> layout = makeLayout({row, col});
  for (auto [position, dim] : llvm::enumerate(layout))
    if (static_cast<Label>(position) != dim) {
      reason = "its dimensions are in another order";
      return {};
    }
  for (Label label : batch)
    if (type.getDimSize(label) != 1 && !iteration.matrix.has(label)) {
      reason = "the matrix does not have all dimensions of the result";
      return {};
    }
  if (iteration.first.number != 1.0 || iteration.second.number != 1.0) {
    reason = "its targets cannot be said";
    return {};
  }
  Value matrix = emitter.emit(iteration.matrix, layout, type.getElementType());
  if (!matrix) {
    reason = "its matrix cannot be written";
    return {};
  }
  Matrix plain(iteration.matrix, Map::identity, Input::kernel);
  Attributes a = makeAttributes(plain, Convention());
  auto op = BalanceOp::create(builder, loc, matrix, Value(), Value(), Value(),
                              Value(), Value(), Value(), a.rows, a.cols,
                              a.order, a.stop, a.numerics);
  finishOp(op, raised);
  Value empty = tensor::EmptyOp::create(
      builder, loc, tensor::getMixedSizes(builder, loc, matrix),
      type.getElementType());
  auto plan =
      PlanOp::create(builder, loc, empty.getType(), matrix, op.getRowFactor(),
                     op.getColFactor(), Value(), Value(), empty, Domain::kernel,
                     /*logarithm=*/false, DenseI64ArrayAttr());
  return finish(plan.getResult(), iteration.factor);
}

/// The matrix as the products of rows of two matrices times a number, plus
/// something; `lost` is the label of what the product sums along.
static std::optional<double> readScores(const Term &scores, Label row,
                                        Label col, Label lost, Term &query,
                                        Term &key, SmallVector<Operand> &bias) {
  std::optional<double> weight;
  auto read = [&](const Term &term, double factor) {
    if (weight || term.node->kind != Kind::Sum || !term.has(row) ||
        !term.has(col) ||
        term.node->operands[0].term.at.size() != term.at.size() + 1)
      return false;
    Term inner = getOperand(term, 0, lost);
    if (inner.node->kind != Kind::Product || inner.node->operands.size() != 2)
      return false;
    for (unsigned i : {0u, 1u}) {
      Term left = getOperand(inner, i), right = getOperand(inner, 1 - i);
      if (inner.node->operands[i].weight != 1.0 || !left.has(row) ||
          left.has(col) || right.has(row) || !right.has(col) ||
          !left.has(lost) || !right.has(lost))
        continue;
      query = left;
      key = right;
      weight = factor;
      return true;
    }
    return false;
  };
  if (scores.node->kind != Kind::Linear) {
    read(scores, 1.0);
    return weight;
  }
  for (unsigned i = 0, end = scores.node->operands.size(); i < end; ++i) {
    Operand operand{getOperand(scores, i), scores.node->operands[i].weight};
    if (!read(operand.term, operand.weight))
      bias.push_back(operand);
  }
  return weight;
}

Value Replacer::writeAttention(Raised &raised, std::string &reason) {
  Term total = evaluator.getTerm(value);
  double factor = iteration.factor;
  if (isMultiple(total)) {
    factor *= total.node->operands[0].weight;
    total = getOperand(total, 0);
  }
  Term product = getOperand(total, 0, col);
  Term values;
  for (unsigned i : {0u, 1u})
    if (!(getOperand(product, i) == found.plan))
      values = getOperand(product, i);
  Label depth = -1,
        lost = std::max(col, static_cast<Label>(type.getRank())) + 1;
  for (Label label : values.at)
    if (label != col && !found.plan.has(label))
      depth = label;
  if (depth < 0 || !values.has(col)) {
    reason = "the values have no dimension of their own";
    return {};
  }
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    if (dim != row && dim != depth)
      batch.push_back(static_cast<Label>(dim));
  SmallVector<Label> layout = makeLayout({row, depth});
  for (auto [position, dim] : llvm::enumerate(layout))
    if (static_cast<Label>(position) != dim) {
      reason = "its dimensions are in another order";
      return {};
    }
  Term query, key;
  SmallVector<Operand> bias;
  std::optional<double> weight =
      readScores(iteration.matrix, row, col, lost, query, key, bias);
  if (!weight || iteration.first.target || iteration.second.target) {
    reason = "its logits are no product of queries and keys";
    return {};
  }
  for (Label label : batch)
    if (type.getDimSize(label) != 1 &&
        !(query.has(label) && key.has(label) && values.has(label))) {
      reason = "a matrix does not have all batch dimensions";
      return {};
    }
  Type element = type.getElementType();
  Value q = emitter.emit(query, makeLayout({row, lost}), element);
  Value k = emitter.emit(key, makeLayout({col, lost}), element);
  Value v = emitter.emit(values, makeLayout({col, depth}), element);
  Value b;
  if (!bias.empty())
    b = emitter.emit(e.linear(bias), makeLayout({row, col}), element);
  if (!q || !k || !v || (!bias.empty() && !b)) {
    reason = "its operands cannot be written";
    return {};
  }
  Iteration scaled = iteration;
  scaled.factor = factor;
  Matrix matrix(iteration.matrix);
  int64_t n = getSize(query, row), m = getSize(key, col);
  int64_t d = getSize(query, lost);
  FloatAttr logitScale;
  double usual = 1.0 / std::sqrt(static_cast<double>(d));
  if (ShapedType::isDynamic(d) || std::abs(*weight - usual) > 2e-6 * usual)
    logitScale = builder.getF64FloatAttr(*weight);
  AttentionOp op;
  for (const Convention &convention :
       findConventions(scaled, matrix, row, n, m)) {
    Attributes a = makeAttributes(matrix, convention);
    auto candidate = AttentionOp::create(
        builder, loc, q, k, v, b, Value(), Value(), Value(), a.form, a.rows,
        a.cols, a.order, a.stop, a.numerics, logitScale);
    if (!keepBetter(op, candidate))
      continue;
    factor = convention.factor;
    if (matchPreset(op))
      break;
  }
  finishOp(op, raised);
  return finish(op.getOutput(), factor);
}

std::optional<unsigned> raise::findLogSumExp(const Term &term) {
  std::optional<unsigned> last;
  if (term.node->kind != Kind::Linear)
    return last;
  for (auto [i, operand] : llvm::enumerate(term.node->operands)) {
    const Term &x = operand.term;
    if (x.node->kind == Kind::LogSumExp && operand.weight < 0.0 &&
        x.at.size() == term.at.size() &&
        x.node->operands[0].term.at.size() == x.at.size() + 1 &&
        (!last || term.node->operands[*last].term.node->id < x.node->id))
      last = i;
  }
  return last;
}

Term raise::findScaledSum(const Term &term) {
  Term product = isMultiple(term) ? getOperand(term, 0) : term, last;
  if (product.node->kind != Kind::Product)
    return last;
  for (unsigned i = 0, end = product.node->operands.size(); i < end; ++i) {
    Term sum = getOperand(product, i);
    if (product.node->operands[i].weight != -1.0)
      continue;
    // A guard.
    if (sum.node->kind == Kind::Linear && sum.node->operands.size() == 1)
      sum = getOperand(sum, 0);
    if (sum.node->kind == Kind::Sum && sum.at.size() == term.at.size() &&
        sum.node->operands[0].term.at.size() == sum.at.size() + 1 &&
        (!last || last.node->id < sum.node->id))
      last = sum;
  }
  return last;
}

/// The number by which a potential is more than a multiple of its factor; a
/// factor, how many times it.
static std::optional<double> findShift(Expressions &e, const Potential &p,
                                       const Iteration &iteration) {
  const Term &factor = iteration.factors[p.term.has(iteration.first.reduced)];
  if (!iteration.log)
    return getConstant(e.product({Operand{p.term}, Operand{factor, -1.0}}));
  return getConstant(e.subtract(p.term, e.scale(p.weight, factor)));
}

/// A potential in the order of the dimensions of the value it replaces.
Value Replacer::arrangeAs(Value x, const Potential &potential) {
  SmallVector<Label> from = makeLayout({potential.term.has(row) ? row : col});
  for (auto [label, extent] :
       llvm::zip_equal(from, cast<RankedTensorType>(x.getType()).getShape()))
    if (extent == 1)
      label = -1;
  auto wanted = cast<RankedTensorType>(potential.value.getType());
  SmallVector<Label> to(wanted.getRank(), -1);
  for (auto [label, dim] : llvm::zip_equal(potential.term.at, potential.own.at))
    to[dim] = label;
  return from == to ? x : emitter.arrange(x, from, to);
}

/// How many dimensions the matrix has in front of rows and columns.
int64_t Replacer::countBatch() {
  for (const Matrix &matrix : readMatrix(e, iteration, row, col))
    if (Value input = evaluator.findValue(matrix.input.node))
      return cast<RankedTensorType>(input.getType()).getRank() - 2;
  return static_cast<int64_t>(iteration.matrix.at.size()) - 2;
}

SmallVector<Value> Replacer::writePotentials(ArrayRef<Potential> potentials,
                                             Raised &raised,
                                             std::string &reason) {
  // Targets that are no vectors are 1, or what is plain with them.
  SmallVector<double> shifts;
  double neutral = iteration.log ? 0.0 : 1.0;
  bool rowsUniform = false, colsUniform = false, plain = false;
  for (bool uniformRows : {false, true})
    for (bool uniformCols : {false, true}) {
      Iteration candidate = iteration;
      bool possible = true;
      auto set = [&](bool uniform, Label own) {
        HalfStep &step =
            candidate.first.reduced == own ? candidate.second : candidate.first;
        int64_t extent = getSize(iteration.matrix, own);
        // Where there is a guard, the numbers are known.
        possible &=
            !uniform || (!step.target && !ShapedType::isDynamic(extent) &&
                         iteration.guard == Guard::none);
        if (iteration.guard == Guard::none)
          step.number = uniform ? 1.0 / static_cast<double>(extent) : 1.0;
      };
      set(uniformRows, row);
      set(uniformCols, col);
      if (!possible || !writeResult(e, candidate))
        continue;
      SmallVector<double> numbers;
      for (const Potential &potential : potentials)
        if (std::optional<double> shift = findShift(e, potential, candidate))
          numbers.push_back(std::abs(*shift - neutral) < 1e-6 ? neutral
                                                              : *shift);
      bool zero = llvm::all_of(numbers, [&](double x) { return x == neutral; });
      if (numbers.size() != potentials.size() || plain ||
          (!shifts.empty() && !zero))
        continue;
      shifts = numbers;
      plain = zero;
      rowsUniform = uniformRows;
      colsUniform = uniformCols;
    }
  if (shifts.empty()) {
    reason = "a part of them is used elsewhere";
    return {};
  }
  const Potential &model = potentials[0];
  Label axis = model.term.has(row) ? row : col;
  Label ownDim =
      model.own.at[llvm::find(model.term.at, axis) - model.term.at.begin()];
  // Dimensions of size 1 that the matrix does not have are none of the batch.
  int64_t surplus = type.getRank() - 1 - countBatch();
  for (int64_t dim = type.getRank() - 1; dim >= 0; --dim)
    if (dim != ownDim && (type.getDimSize(dim) != 1 || surplus-- <= 0))
      batch.push_back(static_cast<Label>(dim));
  std::reverse(batch.begin(), batch.end());
  for (Label label : batch)
    if (type.getDimSize(label) != 1 &&
        (!iteration.matrix.has(label) ||
         llvm::any_of(potentials, [&](const Potential &potential) {
           return !potential.term.has(label);
         }))) {
      reason = "a potential does not have all dimensions of the matrix";
      return {};
    }
  Type element = type.getElementType();
  Matrix form(iteration.matrix, Map::identity, Input::kernel);
  Value input;
  if (iteration.log) {
    for (const Matrix &matrix : readMatrix(e, iteration, row, col)) {
      if (matrix.slack || matrix.kind == Input::kernel)
        continue;
      form = matrix;
      input = emitter.emit(matrix.input, makeLayout({row, col}), element);
      if (input)
        break;
    }
  } else {
    input = emitter.emit(iteration.matrix, makeLayout({row, col}), element);
  }
  if (!input) {
    reason = "its matrix cannot be said in a form";
    return {};
  }
  Value rowMarginal, colMarginal;
  const HalfStep &rows = getStep(row), &cols = getStep(col);
  if (rows.target)
    rowMarginal = emitMarginal(rows, row);
  if (cols.target)
    colMarginal = emitMarginal(cols, col);
  if ((rows.target && !rowMarginal) || (cols.target && !colMarginal)) {
    reason = "its targets cannot be said as marginals";
    return {};
  }
  Convention convention;
  auto sayTarget = [&](bool uniform, const HalfStep &step) {
    return uniform || (iteration.guard != Guard::none && step.number != 1.0)
               ? Target::uniform
               : Target::one;
  };
  convention.rowTarget = sayTarget(rowsUniform, rows);
  convention.colTarget = sayTarget(colsUniform, cols);
  Attributes a = makeAttributes(form, convention);
  Value rowResult, colResult;
  if (iteration.log) {
    auto op =
        SinkhornOp::create(builder, loc, input, rowMarginal, colMarginal,
                           Value(), Value(), Value(), Value(), Value(), Value(),
                           a.form, a.rows, a.cols, a.order, a.stop, a.numerics);
    finishOp(op, raised);
    rowResult = op.getF();
    colResult = op.getG();
  } else {
    auto op = BalanceOp::create(builder, loc, input, rowMarginal, colMarginal,
                                Value(), Value(), Value(), Value(), a.rows,
                                a.cols, a.order, a.stop, a.numerics);
    finishOp(op, raised);
    rowResult = op.getRowFactor();
    colResult = op.getColFactor();
  }
  SmallVector<Value> results;
  for (auto [potential, shift] : llvm::zip_equal(potentials, shifts)) {
    Value result = potential.term.has(row) ? rowResult : colResult;
    double multiple = iteration.log ? potential.weight / form.epsilon : shift;
    if (std::abs(multiple - 1.0) > 1e-9)
      result = emitter.applyNumber(result, multiple, /*adds=*/false);
    if (iteration.log && shift != 0.0)
      result = emitter.applyNumber(result, shift, /*adds=*/true);
    result = arrangeAs(result, potential);
    if (result.getType() != potential.value.getType())
      result = tensor::CastOp::create(builder, loc, potential.value.getType(),
                                      result);
    results.push_back(result);
  }
  return results;
}

SmallVector<Value> raise::writePotentials(Expressions &expressions,
                                          Evaluator &evaluator,
                                          ArrayRef<Potential> potentials,
                                          const Found &found, Domain logDomain,
                                          Operation *before, Raised &raised,
                                          std::string &reason) {
  // Rows and columns are in the order of the matrix.
  Label row = found.iteration.second.reduced;
  Label col = found.iteration.first.reduced;
  for (const Matrix &matrix :
       readMatrix(expressions, found.iteration, row, col)) {
    Value value = evaluator.findValue(matrix.input.node);
    if (!value)
      continue;
    Term own = evaluator.getTerm(value);
    auto findDim = [&](Label label) {
      return own
          .at[llvm::find(matrix.input.at, label) - matrix.input.at.begin()];
    };
    if (own.node == matrix.input.node && findDim(row) > findDim(col))
      std::swap(row, col);
    break;
  }
  return Replacer(expressions, evaluator, potentials[0].value, found, logDomain,
                  row, col, before)
      .writePotentials(potentials, raised, reason);
}

Value raise::writeNamedOp(Expressions &expressions, Evaluator &evaluator,
                          Value value, Found found, Domain logDomain,
                          Raised &raised, std::string &reason) {
  Label one = found.iteration.first.reduced;
  Label two = found.iteration.second.reduced;
  if (found.plan) {
    // The columns are what the product sums along.
    bool oneIsLost = !evaluator.getTerm(value).has(one);
    return Replacer(expressions, evaluator, value, found, logDomain,
                    oneIsLost ? two : one, oneIsLost ? one : two,
                    value.getDefiningOp())
        .writeAttention(raised, reason);
  }
  // Rows come before columns, unless only the other way can be said.
  Label row = std::min(one, two), col = std::max(one, two);
  if (found.iteration.measure != Measure::sum || found.iteration.limit)
    return Replacer(expressions, evaluator, value, found, logDomain, row, col,
                    value.getDefiningOp())
        .writeBalanced(raised, reason);
  SmallVector<Matrix> ways = readMatrix(expressions, found.iteration, row, col);
  SmallVector<Matrix> swapped =
      readMatrix(expressions, found.iteration, col, row);
  auto isKernel = [](ArrayRef<Matrix> w) {
    return w.front().kind == Input::kernel;
  };
  if (isKernel(ways) && !isKernel(swapped))
    std::swap(row, col);
  return Replacer(expressions, evaluator, value, found, logDomain, row, col,
                  value.getDefiningOp())
      .writeProjection(raised, reason);
}
