//===- MatrixSource.cpp - What an iteration's matrix is made from ---------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MatrixSource.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// A body that multiplies its entry by a number.
struct Product {
  /// The factors from the inside out: multiply, or divide, by a value.
  struct Step {
    Operation *op;
    Value number; // null: a negation
    bool divides;
  };
  OpOperand *input;
  SmallVector<Step> steps;
};
} // namespace

/// Whether a value of the body has nothing to do with where the entry is: it is
/// from outside, an element of a tensor of rank 0, or made from such.
static bool isUniform(linalg::GenericOp op, Value value) {
  if (auto arg = dyn_cast<BlockArgument>(value);
      arg && arg.getOwner() == op.getBody())
    return arg.getArgNumber() < op.getNumDpsInputs() &&
           op.getMatchingIndexingMap(op.getDpsInputOperand(arg.getArgNumber()))
                   .getNumResults() == 0 &&
           isa<RankedTensorType>(
               op.getDpsInputOperand(arg.getArgNumber())->get().getType());
  Operation *definition = value.getDefiningOp();
  if (!definition || definition->getBlock() != op.getBody())
    return true;
  return isPure(definition) && definition->getNumRegions() == 0 &&
         !isa<linalg::IndexOp>(definition) &&
         llvm::all_of(definition->getOperands(),
                      [&](Value operand) { return isUniform(op, operand); });
}

/// The value of the body outside of it.
static Value createOutside(OpBuilder &builder, linalg::GenericOp op,
                           Value value) {
  if (auto arg = dyn_cast<BlockArgument>(value);
      arg && arg.getOwner() == op.getBody())
    return tensor::ExtractOp::create(
        builder, op.getLoc(), op.getDpsInputOperand(arg.getArgNumber())->get(),
        ValueRange());
  Operation *definition = value.getDefiningOp();
  if (!definition || definition->getBlock() != op.getBody())
    return value;
  IRMapping mapping;
  for (Value operand : definition->getOperands())
    mapping.map(operand, createOutside(builder, op, operand));
  return builder.clone(*definition, mapping)
      ->getResult(cast<OpResult>(value).getResultNumber());
}

/// An elementwise computation of one matrix.
static linalg::GenericOp findElementwise(Value matrix) {
  auto op = matrix.getDefiningOp<linalg::GenericOp>();
  if (!op || op->getNumResults() != 1 || !op.hasPureTensorSemantics() ||
      op.getNumParallelLoops() != op.getNumLoops() ||
      !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
    return {};
  return op;
}

/// Takes a value of the body apart, down to the entry it is made from.
static std::optional<Product> matchProduct(linalg::GenericOp op, Value value) {
  Product product;
  while (Operation *definition = value.getDefiningOp()) {
    if (definition->getBlock() != op.getBody())
      return std::nullopt;
    if (isa<arith::ExtFOp>(definition)) {
      value = definition->getOperand(0);
    } else if (isa<arith::NegFOp>(definition)) {
      product.steps.push_back({definition, Value(), false});
      value = definition->getOperand(0);
    } else if (isa<arith::MulFOp, arith::DivFOp>(definition)) {
      bool divides = isa<arith::DivFOp>(definition);
      Value lhs = definition->getOperand(0), rhs = definition->getOperand(1);
      if (!divides && isUniform(op, lhs))
        std::swap(lhs, rhs);
      if (!isUniform(op, rhs))
        return std::nullopt;
      product.steps.push_back({definition, rhs, divides});
      value = lhs;
    } else {
      return std::nullopt;
    }
  }
  auto arg = cast<BlockArgument>(value);
  if (arg.getOwner() != op.getBody() ||
      arg.getArgNumber() >= op.getNumDpsInputs())
    return std::nullopt;
  product.input = op.getDpsInputOperand(arg.getArgNumber());
  if (!op.getMatchingIndexingMap(product.input).isIdentity())
    return std::nullopt;
  std::reverse(product.steps.begin(), product.steps.end());
  return product;
}

static Value getYielded(linalg::GenericOp op) {
  return op.getBody()->getTerminator()->getOperand(0);
}

static std::optional<Product> matchProduct(Value matrix) {
  linalg::GenericOp op = findElementwise(matrix);
  if (!op)
    return std::nullopt;
  return matchProduct(op, getYielded(op));
}

/// What the input is multiplied by, times a number; null: one.
static Value createCoefficient(OpBuilder &builder, Location loc,
                               const Product &product, Value number,
                               FloatType accumulate) {
  auto op = cast<linalg::GenericOp>(product.input->getOwner());
  if (!number && !product.steps.empty())
    number = createConstant(builder, loc, accumulate, 1.0);
  for (const Product::Step &step : product.steps) {
    if (!step.number) {
      number = arith::NegFOp::create(builder, loc, number);
      continue;
    }
    Value other = castFloat(
        builder, loc, createOutside(builder, op, step.number), accumulate);
    number =
        step.divides
            ? arith::DivFOp::create(builder, loc, number, other).getResult()
            : arith::MulFOp::create(builder, loc, number, other);
  }
  return number;
}

MatrixSource scaling::findMatrixSource(OpBuilder &builder, Location loc,
                                       Value matrix, FloatType accumulate) {
  MatrixSource source{matrix, Value()};
  std::optional<Product> product = matchProduct(matrix);
  if (!product)
    return source;
  source = findMatrixSource(builder, loc, product->input->get(), accumulate);
  source.coefficient =
      createCoefficient(builder, loc, *product, source.coefficient, accumulate);
  return source;
}

PairwiseOp scaling::findPairwise(Value matrix) {
  while (Operation *definition = matrix.getDefiningOp()) {
    if (auto pairwise = dyn_cast<PairwiseOp>(definition))
      return pairwise;
    auto collapse = dyn_cast<tensor::CollapseShapeOp>(definition);
    // Dimensions of one in front of rows and columns.
    bool dropsBatch =
        collapse && collapse.getResultType().getRank() == 2 &&
        collapse.getReassociationIndices()[1].size() == 1 &&
        llvm::all_of(collapse.getSrcType().getShape().drop_back(2),
                     [](int64_t size) { return size == 1; });
    if (!dropsBatch && !isa<tensor::CastOp>(definition))
      return {};
    matrix = definition->getOperand(0);
  }
  return {};
}

PairwiseOp scaling::findScaledPairwise(Value matrix) {
  while (std::optional<Product> product = matchProduct(matrix))
    matrix = product->input->get();
  return findPairwise(matrix);
}

namespace {
/// A body that adds an entry to a product.
struct BiasedProduct {
  Product product;
  Value bias;
};
} // namespace

static std::optional<BiasedProduct> matchBias(Value matrix) {
  linalg::GenericOp op = findElementwise(matrix);
  auto sum = op ? getYielded(op).getDefiningOp<arith::AddFOp>() : nullptr;
  if (!sum || sum->getBlock() != op.getBody())
    return std::nullopt;
  for (unsigned i : {0, 1}) {
    Value added = sum->getOperand(i);
    if (auto cast = added.getDefiningOp<arith::ExtFOp>())
      added = cast.getIn();
    auto arg = dyn_cast<BlockArgument>(added);
    if (!arg || arg.getOwner() != op.getBody() ||
        arg.getArgNumber() >= op.getNumDpsInputs())
      continue;
    OpOperand *bias = op.getDpsInputOperand(arg.getArgNumber());
    AffineMap map = op.getMatchingIndexingMap(bias);
    std::optional<Product> product = matchProduct(op, sum->getOperand(1 - i));
    if (product && findScaledPairwise(product->input->get()) &&
        map.isMinorIdentity() && map.getNumResults() >= 2)
      return BiasedProduct{*product, bias->get()};
  }
  return std::nullopt;
}

BiasedPairwise scaling::findBiasedPairwise(Value matrix) {
  while (std::optional<Product> product = matchProduct(matrix))
    matrix = product->input->get();
  BiasedPairwise result;
  if (std::optional<BiasedProduct> biased = matchBias(matrix)) {
    result.bias = biased->bias;
    matrix = biased->product.input->get();
  }
  result.costs = findScaledPairwise(matrix);
  return result;
}

BiasedPairwise scaling::findBiasedPairwise(OpBuilder &builder, Location loc,
                                           Value matrix, FloatType accumulate) {
  BiasedPairwise result = findBiasedPairwise(matrix);
  MatrixSource source = findMatrixSource(builder, loc, matrix, accumulate);
  result.scale = source.coefficient;
  std::optional<BiasedProduct> biased = matchBias(source.matrix);
  if (!biased)
    return result;
  result.biasScale = source.coefficient;
  Value own = createCoefficient(builder, loc, biased->product,
                                source.coefficient, accumulate);
  Value inner =
      findMatrixSource(builder, loc, biased->product.input->get(), accumulate)
          .coefficient;
  result.scale =
      own && inner ? arith::MulFOp::create(builder, loc, own, inner).getResult()
      : own        ? own
                   : inner;
  return result;
}
