//===- TileMarginals.cpp - Sums along both axes, in parallel --------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

/// Rows per group, and how many groups there are at most where the rows are
/// known: a function of the shape alone, so that results do not depend on how
/// many threads share them.
static constexpr int64_t kGroupRows = 64;
static constexpr int64_t kMaxGroups = 32;

/// Partial sums of columns, one line per group, into the sums: in order.
static Value mergePartials(RewriterBase &rewriter, MarginalsOp op,
                           Value partials) {
  Location loc = op.getLoc();
  Value out = op.getOuts()[1];
  if (!op.getLargest())
    return ReduceOp::create(rewriter, loc, out.getType(), partials, Value(),
                            Value(), Value(), out, Axis::cols,
                            SumAttr::get(rewriter.getContext()),
                            DenseI64ArrayAttr())
        .getResult(0);
  AffineMap kept =
      AffineMap::get(2, 0, rewriter.getAffineDimExpr(1), rewriter.getContext());
  SmallVector<AffineMap> maps{rewriter.getMultiDimIdentityMap(2), kept};
  SmallVector<utils::IteratorType> iterators{utils::IteratorType::reduction,
                                             utils::IteratorType::parallel};
  return linalg::GenericOp::create(
             rewriter, loc, out.getType(), partials, out, maps, iterators,
             [](OpBuilder &b, Location l, ValueRange in) {
               Value larger = arith::MaximumFOp::create(b, l, in[0], in[1]);
               linalg::YieldOp::create(b, l, larger);
             })
      .getResult(0);
}

LogicalResult scaling::tileMarginals(RewriterBase &rewriter, MarginalsOp op) {
  auto rowType = dyn_cast<RankedTensorType>(op.getOuts()[0].getType());
  auto colType = dyn_cast<RankedTensorType>(op.getOuts()[1].getType());
  if (!rowType || !colType || rowType.getRank() != 1)
    return rewriter.notifyMatchFailure(op, "not one matrix in tensors");
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(op);
  Location loc = op.getLoc();
  OpFoldResult rows = tensor::getMixedSize(rewriter, loc, op.getOuts()[0], 0);
  OpFoldResult cols = tensor::getMixedSize(rewriter, loc, op.getOuts()[1], 0);
  int64_t group = kGroupRows;
  if (std::optional<int64_t> known = getConstantIntValue(rows)) {
    group = std::max<int64_t>(group, llvm::divideCeil(*known, kMaxGroups));
    group = llvm::alignTo(group, 8);
    if (*known <= group)
      return success();
  }
  AffineExpr d0 = rewriter.getAffineDimExpr(0),
             s0 = rewriter.getAffineSymbolExpr(0);
  OpFoldResult groups = affine::makeComposedFoldedAffineApply(
      rewriter, loc, s0.ceilDiv(group), {rows});
  Type element = colType.getElementType();
  Value partials = tensor::EmptyOp::create(
      rewriter, loc, SmallVector<OpFoldResult>{groups, cols}, element);
  FloatAttr neutral = rewriter.getFloatAttr(
      element, op.getLargest()
                   ? llvm::APFloat::getLargest(
                         cast<FloatType>(element).getFloatSemantics(), true)
                   : llvm::APFloat::getZero(
                         cast<FloatType>(element).getFloatSemantics()));
  Value identity = arith::ConstantOp::create(rewriter, loc, neutral);

  OpFoldResult zero = rewriter.getIndexAttr(0), one = rewriter.getIndexAttr(1);
  auto loop = scf::ForallOp::create(
      rewriter, loc, ArrayRef<OpFoldResult>{groups},
      ValueRange{op.getOuts()[0], partials}, std::nullopt);
  {
    OpBuilder::InsertionGuard inside(rewriter);
    rewriter.setInsertionPointToStart(loop.getBody());
    Value index = loop.getInductionVars()[0];
    OpFoldResult first = affine::makeComposedFoldedAffineApply(
        rewriter, loc, d0 * group, {OpFoldResult(index)});
    AffineMap rest =
        AffineMap::get(1, 1, {s0 - d0, rewriter.getAffineConstantExpr(group)},
                       rewriter.getContext());
    std::optional<int64_t> known = getConstantIntValue(rows);
    OpFoldResult count = known && *known % group == 0
                             ? OpFoldResult(rewriter.getIndexAttr(group))
                             : affine::makeComposedFoldedAffineMin(
                                   rewriter, loc, rest, {first, rows});
    // Operands that run along the rows are theirs first.
    auto slice = [&](Value value, int64_t trailing) -> Value {
      if (!value)
        return value;
      auto type = cast<RankedTensorType>(value.getType());
      int64_t along = type.getRank() - trailing;
      SmallVector<OpFoldResult> offsets(type.getRank(), zero),
          strides(type.getRank(), one),
          sizes = tensor::getMixedSizes(rewriter, loc, value);
      offsets[along] = first;
      sizes[along] = count;
      return tensor::ExtractSliceOp::create(rewriter, loc, value, offsets,
                                            sizes, strides);
    };
    BlockArgument rowArg = loop.getRegionIterArgs()[0];
    BlockArgument colArg = loop.getRegionIterArgs()[1];
    Value rowOut = slice(rowArg, 1);
    SmallVector<OpFoldResult> at{index, zero}, line{one, cols}, step{one, one};
    auto lineType = RankedTensorType::get(colType.getShape(), element);
    Value colOut = tensor::ExtractSliceOp::create(rewriter, loc, lineType,
                                                  colArg, at, line, step);
    colOut =
        linalg::FillOp::create(rewriter, loc, identity, colOut).getResult(0);
    auto tiled = MarginalsOp::create(
        rewriter, loc, TypeRange{rowOut.getType(), colOut.getType()},
        slice(op.getMatrix(), 2), slice(op.getX(), 2), op.getY(),
        slice(op.getRow(), 1), op.getCol(), slice(op.getRowMask(), 1),
        op.getColMask(), op.getScale(), ValueRange{rowOut, colOut},
        op.getLargest(), op.getMetricAttr());
    rewriter.setInsertionPointToStart(loop.getTerminator().getBody());
    tensor::ParallelInsertSliceOp::create(rewriter, loc, tiled.getResult(0),
                                          rowArg, ArrayRef<OpFoldResult>{first},
                                          ArrayRef<OpFoldResult>{count},
                                          ArrayRef<OpFoldResult>{one});
    tensor::ParallelInsertSliceOp::create(rewriter, loc, tiled.getResult(1),
                                          colArg, at, line, step);
  }
  Value merged = mergePartials(rewriter, op, loop.getResult(1));
  rewriter.replaceOp(op, {loop.getResult(0), merged});
  return success();
}
