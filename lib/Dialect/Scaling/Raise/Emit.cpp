//===- Emit.cpp - From formulas to operations -----------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Emit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling::raise;

/// Whether a value is there before an op runs.
static bool isBefore(Value value, Operation *op) {
  Block *block = value.getParentBlock();
  Operation *ancestor = block->findAncestorOpInBlock(*op);
  if (!ancestor)
    return false;
  Operation *definition = value.getDefiningOp();
  return !definition || definition->isBeforeInBlock(ancestor);
}

std::optional<Emitter::Found> Emitter::find(const Term &term) {
  Value value = evaluator.findValue(term.node);
  if (!value && term.node->kind == Kind::Leaf)
    value = term.node->leaf;
  if (!value || !isa<RankedTensorType>(value.getType()) ||
      !isBefore(value, user))
    return std::nullopt;
  Term own = evaluator.getTerm(value);
  if (own.node != term.node)
    return std::nullopt;
  SmallVector<Label> labels(cast<RankedTensorType>(value.getType()).getRank(),
                            -1);
  for (auto [dim, label] : llvm::zip_equal(own.at, term.at))
    labels[dim] = label;
  return Found{value, labels};
}

static Value makeNumber(OpBuilder &builder, Location loc, Type type,
                        double number) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getFloatAttr(type, number));
}

/// `x^power`.
static Value makePower(OpBuilder &builder, Location loc, Value x,
                       double power) {
  if (power == 1.0)
    return x;
  if (power == -1.0)
    return arith::DivFOp::create(builder, loc,
                                 makeNumber(builder, loc, x.getType(), 1.0), x);
  return math::PowFOp::create(builder, loc, x,
                              makeNumber(builder, loc, x.getType(), power));
}

/// Formulas that are computed entry by entry are written as they are; all that
/// they are made of has to be there or to be such a formula.
std::optional<Emitter::Found> Emitter::compute(const Term &term, Type element) {
  if (std::optional<Found> found = find(term))
    return found;
  const Node &node = *term.node;
  if (!llvm::is_contained({Kind::Linear, Kind::Product, Kind::Exp, Kind::Log},
                          node.kind) ||
      (node.type && node.type != element))
    return std::nullopt;
  SmallVector<Found> operands;
  for (unsigned i = 0, end = node.operands.size(); i < end; ++i) {
    std::optional<Found> operand = compute(getOperand(term, i), element);
    if (!operand || getElementTypeOrSelf(operand->value.getType()) != element)
      return std::nullopt;
    operands.push_back(*operand);
  }
  // Loops are the term's labels, in its order.
  MLIRContext *context = builder.getContext();
  unsigned rank = term.at.size();
  SmallVector<AffineMap> maps;
  SmallVector<Value> inputs;
  SmallVector<OpFoldResult> sizes(rank);
  for (const Found &operand : operands) {
    SmallVector<AffineExpr> exprs;
    for (auto [dim, label] : llvm::enumerate(operand.labels)) {
      if (label < 0) {
        exprs.push_back(builder.getAffineConstantExpr(0));
        continue;
      }
      unsigned loop = llvm::find(term.at, label) - term.at.begin();
      exprs.push_back(builder.getAffineDimExpr(loop));
      if (!sizes[loop])
        sizes[loop] = tensor::getMixedSize(builder, loc, operand.value, dim);
    }
    maps.push_back(AffineMap::get(rank, 0, exprs, context));
    inputs.push_back(operand.value);
  }
  maps.push_back(builder.getMultiDimIdentityMap(rank));
  Value empty = tensor::EmptyOp::create(builder, loc, sizes, element);
  auto generic = linalg::GenericOp::create(
      builder, loc, empty.getType(), inputs, empty, maps,
      SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel),
      [&](OpBuilder &b, Location l, ValueRange arguments) {
        Value result;
        switch (node.kind) {
        case Kind::Exp:
          result = math::ExpOp::create(b, l, arguments[0]);
          break;
        case Kind::Log:
          result = math::LogOp::create(b, l, arguments[0]);
          break;
        case Kind::Product:
          for (auto [i, operand] : llvm::enumerate(node.operands)) {
            Value factor = makePower(b, l, arguments[i], operand.weight);
            result =
                result ? arith::MulFOp::create(b, l, result, factor).getResult()
                       : factor;
          }
          break;
        default:
          for (auto [i, operand] : llvm::enumerate(node.operands)) {
            Value summand = arguments[i];
            if (operand.weight != 1.0)
              summand = arith::MulFOp::create(
                  b, l, summand, makeNumber(b, l, element, operand.weight));
            result =
                result
                    ? arith::AddFOp::create(b, l, result, summand).getResult()
                    : summand;
          }
          if (node.number != 0.0)
            result = arith::AddFOp::create(
                b, l, result, makeNumber(b, l, element, node.number));
        }
        linalg::YieldOp::create(b, l, result);
      });
  return Found{generic.getResult(0),
               SmallVector<Label>(ArrayRef<Label>(term.at))};
}

Value Emitter::emit(const Term &term, ArrayRef<Label> layout, Type element) {
  if (std::optional<double> number = getConstant(term)) {
    SmallVector<int64_t> shape(layout.size(), 1);
    auto type = RankedTensorType::get(shape, element);
    return arith::ConstantOp::create(
        builder, loc,
        DenseElementsAttr::get(type, builder.getFloatAttr(element, *number)));
  }
  std::optional<Found> found = compute(term, element);
  if (!found || getElementTypeOrSelf(found->value.getType()) != element)
    return {};
  bool fits = found->labels.size() == layout.size();
  for (size_t i = 0; fits && i < layout.size(); ++i)
    fits = found->labels[i] < 0 ? !term.has(layout[i])
                                : found->labels[i] == layout[i];
  if (fits)
    return found->value;
  return arrange(found->value, found->labels, layout);
}

Value Emitter::arrange(Value x, ArrayRef<Label> labels,
                       ArrayRef<Label> layout) {
  unsigned rank = layout.size();
  SmallVector<OpFoldResult> sizes(rank, builder.getIndexAttr(1));
  SmallVector<AffineExpr> exprs;
  for (auto [dim, label] : llvm::enumerate(labels)) {
    if (label < 0) {
      exprs.push_back(builder.getAffineConstantExpr(0));
      continue;
    }
    const auto *position = llvm::find(layout, label);
    if (position == layout.end())
      return {};
    unsigned loop = position - layout.begin();
    exprs.push_back(builder.getAffineDimExpr(loop));
    sizes[loop] = tensor::getMixedSize(builder, loc, x, dim);
  }
  Value empty = tensor::EmptyOp::create(builder, loc, sizes,
                                        getElementTypeOrSelf(x.getType()));
  return linalg::GenericOp::create(
             builder, loc, empty.getType(), x, empty,
             ArrayRef<AffineMap>{
                 AffineMap::get(rank, 0, exprs, builder.getContext()),
                 builder.getMultiDimIdentityMap(rank)},
             SmallVector<utils::IteratorType>(rank,
                                              utils::IteratorType::parallel),
             [](OpBuilder &b, Location l, ValueRange arguments) {
               linalg::YieldOp::create(b, l, arguments[0]);
             })
      .getResult(0);
}

Value Emitter::transpose(Value x, ArrayRef<int64_t> permutation) {
  SmallVector<OpFoldResult> sizes;
  for (int64_t dim : permutation)
    sizes.push_back(tensor::getMixedSize(builder, loc, x, dim));
  Value empty = tensor::EmptyOp::create(builder, loc, sizes,
                                        getElementTypeOrSelf(x.getType()));
  return linalg::TransposeOp::create(builder, loc, x, empty, permutation)
      ->getResult(0);
}

Value Emitter::map(Value x,
                   function_ref<Value(OpBuilder &, Location, Value)> function) {
  auto type = cast<RankedTensorType>(x.getType());
  Value empty = tensor::EmptyOp::create(builder, loc,
                                        tensor::getMixedSizes(builder, loc, x),
                                        type.getElementType());
  AffineMap identity = builder.getMultiDimIdentityMap(type.getRank());
  return linalg::GenericOp::create(
             builder, loc, empty.getType(), x, empty,
             ArrayRef<AffineMap>{identity, identity},
             SmallVector<utils::IteratorType>(type.getRank(),
                                              utils::IteratorType::parallel),
             [&](OpBuilder &b, Location l, ValueRange arguments) {
               linalg::YieldOp::create(b, l, function(b, l, arguments[0]));
             })
      .getResult(0);
}

Value Emitter::applyNumber(Value x, double number, bool adds) {
  return map(x, [&](OpBuilder &b, Location l, Value entry) -> Value {
    Value other = makeNumber(b, l, entry.getType(), number);
    if (adds)
      return arith::AddFOp::create(b, l, entry, other);
    return arith::MulFOp::create(b, l, entry, other);
  });
}

Value Emitter::invert(Value x) {
  return map(x, [](OpBuilder &b, Location l, Value entry) {
    return makePower(b, l, entry, -1.0);
  });
}
