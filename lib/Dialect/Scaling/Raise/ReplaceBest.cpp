//===- ReplaceBest.cpp - The best of several iterations as an op ----------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Emit.h"
#include "Replace.h"

#include "scaling/Dialect/Scaling/IR/Presets.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;
using namespace mlir::scaling;
using namespace mlir::scaling::raise;

/// A label for each dimension of a value whose formula is a term; `none` where
/// the dimension has size 1.
static SmallVector<Label> makeLayout(const Term &own, const Term &term,
                                     Value value, Label none) {
  SmallVector<Label> layout(cast<RankedTensorType>(value.getType()).getRank(),
                            none);
  for (auto [dim, label] : llvm::zip_equal(own.at, term.at))
    layout[dim] = label;
  return layout;
}

static BalanceOp createOp(OpBuilder &builder, Location loc,
                          const BestOfPairs &best, Value matrix, Label row) {
  MLIRContext *context = builder.getContext();
  SmallVector<Number> limit = {best.limit.first, best.limit.second,
                               best.limit.first};
  SmallVector<Number> step, clamp;
  // The op multiplies where the program divides.
  if (best.step)
    step = {1.0 / best.step->second, 1.0 / best.step->first};
  if (best.clamp)
    clamp = {std::exp(-best.clamp->second), std::exp(-best.clamp->first)};
  auto rule = RuleAttr::get(
      context, StdAttr::get(context), Guard::none, /*guardEps=*/0.0,
      best.least ? Target::min_stat : Target::one, /*exponent=*/1.0,
      /*tau=*/1.0, Reference::kernel, /*omega=*/1.0, limit, step, clamp,
      /*roundPow2=*/false);
  Order order = !best.first          ? Order::jacobi
                : *best.first == row ? Order::rows_first
                                     : Order::cols_first;
  // A pair that is done and not looked at is the same as none.
  bool last = best.first.has_value();
  auto stop = StopAttr::get(
      context, StopMode::best, 2 * (best.pairs + !last), /*measureLast=*/false,
      /*tol=*/0.0, best.what, Judged::both, Norm::l1, /*every=*/2, /*start=*/2,
      /*patienceFirst=*/best.gated, last, Relax::where_possible, /*depth=*/0);
  auto numerics = NumericsAttr::getDefault(context, Domain::kernel);
  return BalanceOp::create(builder, loc, matrix, Value(), Value(), Value(),
                           Value(), Value(), Value(), rule, rule, order, stop,
                           numerics);
}

SmallVector<Value> raise::writeBest(Expressions &e, Evaluator &evaluator,
                                    ArrayRef<BestPart> parts,
                                    const BestOfPairs &best, Raised &raised,
                                    std::string &reason) {
  Operation *before = parts[0].value.getOwner();
  Location loc = before->getLoc();
  OpBuilder builder(before);
  Emitter emitter(builder, loc, evaluator, before);
  auto element = cast<FloatType>(getElementTypeOrSelf(parts[0].value));
  // Rows and columns are in the order of the matrix, behind the batch.
  SmallVector<Label> labels(best.matrix.at.begin(), best.matrix.at.end());
  if (Value value = evaluator.findValue(best.matrix.node))
    if (Term own = evaluator.getTerm(value); own.node == best.matrix.node) {
      labels.clear();
      for (Label label : makeLayout(own, best.matrix, value, -1))
        if (label >= 0)
          labels.push_back(label);
    }
  SmallVector<Label> batch, axes;
  for (Label label : labels)
    (llvm::is_contained(best.axes, label) ? axes : batch).push_back(label);
  SmallVector<Label> layout = batch;
  layout.append(axes);
  Value matrix = emitter.emit(best.matrix, layout, element);
  if (!matrix) {
    reason = "its matrix cannot be written";
    return {};
  }
  BalanceOp op = createOp(builder, loc, best, matrix, axes[0]);
  raised.op = op;
  raised.preset = matchPreset(op);
  SmallVector<Value> results;
  Label none = *llvm::max_element(layout) + 1;
  for (const BestPart &part : parts) {
    Value result;
    SmallVector<Label> from = layout;
    SmallVector<Label> to =
        makeLayout(evaluator.getTerm(part.value), part.term, part.value, none);
    if (part.axis < 0) {
      Value empty = tensor::EmptyOp::create(
          builder, loc, tensor::getMixedSizes(builder, loc, matrix), element);
      result = PlanOp::create(builder, loc, empty.getType(), matrix,
                              op.getRowFactor(), op.getColFactor(), Value(),
                              Value(), empty, Domain::kernel,
                              /*logarithm=*/false, DenseI64ArrayAttr())
                   .getResult();
    } else {
      Label own = best.axes[part.axis];
      result = own == axes[0] ? op.getRowFactor() : op.getColFactor();
      from = batch;
      from.push_back(own);
      if (!part.inverse)
        result = emitter.invert(result);
    }
    if (from != to)
      result = emitter.arrange(result, from, to);
    if (result.getType() != part.value.getType())
      result =
          tensor::CastOp::create(builder, loc, part.value.getType(), result);
    results.push_back(result);
  }
  return results;
}
