//===- MatrixBlocks.cpp - Rows of a matrix of costs -----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MatrixBlocks.h"

#include "MatrixSource.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace mlir::scaling;

/// A matrix of up to this many entries is no burden.
static constexpr int64_t kSmallMatrix = 1 << 14;

/// Rows that are made at a time.
static constexpr int64_t kBlockRows = 64;

std::optional<MatrixBlocks> MatrixBlocks::create(OpBuilder &builder,
                                                 Location loc, Value matrix) {
  auto type = cast<RankedTensorType>(matrix.getType());
  if (type.getRank() != 2 || !findScaledPairwise(matrix) ||
      (type.hasStaticShape() && type.getNumElements() <= kSmallMatrix))
    return std::nullopt;
  MatrixBlocks blocks(builder, loc);
  blocks.matrix = matrix;
  if (failed(blocks.collect(matrix)))
    return std::nullopt;
  return blocks;
}

void MatrixBlocks::addSource(Value value, std::optional<unsigned> rowDim) {
  for (auto [source, dim] : llvm::zip_equal(sources, rowDims))
    if (source == value && dim == rowDim)
      return;
  sources.push_back(value);
  rowDims.push_back(rowDim);
}

LogicalResult MatrixBlocks::collect(Value value) {
  Operation *op = value.getDefiningOp();
  if (llvm::is_contained(ops, op))
    return success();
  if (auto points = dyn_cast_or_null<PairwiseOp>(op)) {
    addSource(points.getX(), 0);
    addSource(points.getY(), std::nullopt);
    ops.push_back(op);
    return success();
  }
  auto generic = dyn_cast_or_null<linalg::GenericOp>(op);
  if (!generic || generic.getNumResults() != 1 ||
      generic.getNumReductionLoops() > 0 || generic.getNumLoops() != 2 ||
      !generic.getIndexingMapsArray().back().isIdentity() ||
      generic.payloadUsesValueFromOperand(generic.getDpsInitOperand(0)))
    return failure();
  bool looksUp = false;
  generic.walk([&](Operation *inner) {
    looksUp |= isa<tensor::ExtractOp, linalg::IndexOp>(inner);
  });
  if (looksUp)
    return failure();
  for (OpOperand *input : generic.getDpsInputOperands()) {
    if (!isa<RankedTensorType>(input->get().getType()))
      continue;
    AffineMap map = generic.getMatchingIndexingMap(input);
    if (!map.isProjectedPermutation())
      return failure();
    if (map.isIdentity()) {
      if (failed(collect(input->get())))
        return failure();
      continue;
    }
    std::optional<unsigned> rowDim =
        map.getResultPosition(b->getAffineDimExpr(0));
    addSource(input->get(), rowDim);
  }
  ops.push_back(op);
  return success();
}

Value MatrixBlocks::part(Value vector, const Block &block, unsigned dim) {
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(*b, loc, vector);
  SmallVector<OpFoldResult> offsets(sizes.size(), b->getIndexAttr(0)),
      strides(sizes.size(), b->getIndexAttr(1));
  offsets[dim] = block.first;
  sizes[dim] = block.count;
  return tensor::ExtractSliceOp::create(*b, loc, vector, offsets, sizes,
                                        strides);
}

Value MatrixBlocks::store(Value part, Value vector, const Block &block,
                          unsigned dim) {
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(*b, loc, vector);
  SmallVector<OpFoldResult> offsets(sizes.size(), b->getIndexAttr(0)),
      strides(sizes.size(), b->getIndexAttr(1));
  offsets[dim] = block.first;
  sizes[dim] = block.count;
  return tensor::InsertSliceOp::create(*b, loc, part, vector, offsets, sizes,
                                       strides);
}

MatrixBlocks::Block MatrixBlocks::make(OpFoldResult first, OpFoldResult count) {
  Block block{first, count, Value(), {}, {}};
  for (auto [source, dim] : llvm::zip_equal(sources, rowDims))
    block.parts.push_back(dim ? part(source, block, *dim) : source);
  IRMapping made;
  auto init = [&](Value whole) -> Value {
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(*b, loc, whole);
    sizes[0] = count;
    return tensor::EmptyOp::create(*b, loc, sizes, getElementTypeOrSelf(whole));
  };
  auto partOf = [&](Value source, std::optional<unsigned> dim) {
    for (auto [index, known] : llvm::enumerate(sources))
      if (known == source && rowDims[index] == dim)
        return block.parts[index];
    return source;
  };
  for (Operation *op : ops) {
    Value out = init(op->getResult(0)), result;
    if (auto points = dyn_cast<PairwiseOp>(op)) {
      result = PairwiseOp::create(
                   *b, loc, out.getType(), partOf(points.getX(), 0),
                   partOf(points.getY(), std::nullopt), out, points.getMetric())
                   .getResult();
    } else {
      auto generic = cast<linalg::GenericOp>(op);
      SmallVector<Value> operands;
      for (OpOperand *input : generic.getDpsInputOperands()) {
        AffineMap map = generic.getMatchingIndexingMap(input);
        if (made.contains(input->get()))
          operands.push_back(made.lookup(input->get()));
        else
          operands.push_back(partOf(
              input->get(), map.getResultPosition(b->getAffineDimExpr(0))));
      }
      operands.push_back(out);
      result = mlir::clone(*b, op, {out.getType()}, operands)->getResult(0);
    }
    made.map(op->getResult(0), result);
    block.ops.push_back(result.getDefiningOp());
  }
  block.matrix = made.lookup(matrix);
  return block;
}

SmallVector<Value> MatrixBlocks::forEach(ArrayRef<Value> init, Body body) {
  int64_t rows = cast<RankedTensorType>(matrix.getType()).getDimSize(0);
  bool known = !ShapedType::isDynamic(rows);
  // Sizes are shown where they are known: a rest goes by itself.
  Value end;
  if (known) {
    end =
        arith::ConstantIndexOp::create(*b, loc, rows / kBlockRows * kBlockRows);
  } else {
    size_t ofRows = 0;
    while (!rowDims[ofRows])
      ++ofRows;
    end = getValueOrCreateConstantIndexOp(
        *b, loc,
        tensor::getMixedSize(*b, loc, sources[ofRows], *rowDims[ofRows]));
  }
  SmallVector<Value> values(init);
  auto run = [&](OpFoldResult first, OpFoldResult count, ValueRange carried) {
    return body(make(first, count), carried);
  };
  if (!known || rows >= kBlockRows) {
    Value zero = arith::ConstantIndexOp::create(*b, loc, 0);
    Value step = arith::ConstantIndexOp::create(*b, loc, kBlockRows);
    auto loop = scf::ForOp::create(
        *b, loc, zero, end, step, values,
        [&](OpBuilder &, Location, Value first, ValueRange carried) {
          OpFoldResult count = b->getIndexAttr(kBlockRows);
          if (!known) {
            Value left = arith::SubIOp::create(*b, loc, end, first);
            count = arith::MinUIOp::create(*b, loc, left, step).getResult();
          }
          scf::YieldOp::create(*b, loc, run(first, count, carried));
        });
    values = SmallVector<Value>(loop.getResults());
  }
  if (known && rows % kBlockRows != 0)
    values = run(b->getIndexAttr(rows / kBlockRows * kBlockRows),
                 b->getIndexAttr(rows % kBlockRows), values);
  return values;
}

LogicalResult
MatrixBlocks::addToSources(const Block &block, Value matrixAdjoint,
                           MutableArrayRef<Value> sourceAdjoints) {
  TensorAdjoint local(*b);
  // The same points may be both: each then has a part of its own.
  SmallVector<Value> parts;
  for (auto [index, adjoint] : llvm::enumerate(sourceAdjoints)) {
    Value own = block.parts[index];
    parts.push_back(own);
    if (!adjoint)
      continue;
    local.markActive(own);
    local.set(own,
              rowDims[index] ? part(adjoint, block, *rowDims[index]) : adjoint);
  }
  local.propagateActivity(block.ops);
  local.set(block.matrix, matrixAdjoint);
  if (failed(local.run(block.ops)))
    return failure();
  for (auto [index, adjoint] : llvm::enumerate(sourceAdjoints)) {
    if (!adjoint)
      continue;
    Value sum = local.get(parts[index]);
    adjoint =
        rowDims[index] ? store(sum, adjoint, block, *rowDims[index]) : sum;
  }
  return success();
}
