//===- FuseElementwise.cpp - Around the ops of the dialect ----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/FuseElementwise/FuseElementwise.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGFUSEELEMENTWISEPASS
#include "scaling/Conversion/FuseElementwise/FuseElementwise.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// Bodies of up to this many additions and the like are done again for every
/// reader.
static constexpr int64_t kCheapOps = 2;

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

/// The bytes of a constant; none where they are not known one by one.
static std::optional<ArrayRef<char>> getBytes(ElementsAttr constant) {
  Type element = constant.getElementType();
  if (!element.isIntOrFloat() || element.getIntOrFloatBitWidth() % 8 != 0)
    return std::nullopt;
  if (auto dense = dyn_cast<DenseElementsAttr>(constant))
    return dense.isSplat() ? std::nullopt : std::optional(dense.getRawData());
  auto resource = dyn_cast<DenseResourceElementsAttr>(constant);
  AsmResourceBlob *blob =
      resource ? resource.getRawHandle().getBlob() : nullptr;
  return blob ? std::optional(blob->getData()) : std::nullopt;
}

/// The constant whose entry at (i, j, …) is that of `constant` at
/// `begin + i * steps[0] + j * steps[1] + …`; null if its bytes are not known.
static ElementsAttr readConstant(ElementsAttr constant, RankedTensorType type,
                                 int64_t begin, ArrayRef<int64_t> steps) {
  if (auto dense = dyn_cast<DenseElementsAttr>(constant);
      dense && dense.isSplat())
    return dense.resizeSplat(type);
  std::optional<ArrayRef<char>> bytes = getBytes(constant);
  if (!bytes)
    return nullptr;
  size_t width = type.getElementTypeBitWidth() / 8;
  if (bytes->size() !=
      width * static_cast<size_t>(constant.getShapedType().getNumElements()))
    return nullptr;
  SmallVector<char, 0> read;
  read.reserve(width * type.getNumElements());
  SmallVector<int64_t> at(type.getRank(), 0);
  for (int64_t entry = 0, e = type.getNumElements(); entry < e; ++entry) {
    int64_t from = begin;
    for (auto [index, step] : llvm::zip_equal(at, steps))
      from += index * step;
    llvm::append_range(read, bytes->slice(from * width, width));
    for (int64_t dim = type.getRank() - 1; dim >= 0; --dim) {
      if (++at[dim] < type.getDimSize(dim))
        break;
      at[dim] = 0;
    }
  }
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(constant))
    return DenseResourceElementsAttr::get(
        type, resource.getRawHandle().getKey(),
        HeapAsmResourceBlob::allocateAndCopyWithAlign(
            read, resource.getRawHandle().getBlob()->getDataAlignment(),
            /*dataIsMutable=*/false));
  return DenseElementsAttr::getFromRawBuffer(type, read);
}

namespace {
struct FoldConstantTranspose final : OpRewritePattern<linalg::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::TransposeOp op,
                                PatternRewriter &rewriter) const override {
    ElementsAttr constant;
    auto type = dyn_cast<RankedTensorType>(op.getInput().getType());
    if (!type || !matchPattern(op.getInput(), m_Constant(&constant)))
      return rewriter.notifyMatchFailure(op, "not of a constant");
    SmallVector<int64_t> strides = computeStrides(type.getShape()), steps;
    for (int64_t dim : op.getPermutation())
      steps.push_back(strides[dim]);
    auto result = cast<RankedTensorType>(op.getInit().getType());
    ElementsAttr read = readConstant(constant, result, /*begin=*/0, steps);
    if (!read)
      return rewriter.notifyMatchFailure(op, "of unknown bytes");
    rewriter.replaceOpWithNewOp<arith::ConstantOp>(op, read);
    return success();
  }
};

struct FoldConstantSlice final : OpRewritePattern<tensor::ExtractSliceOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::ExtractSliceOp op,
                                PatternRewriter &rewriter) const override {
    ElementsAttr constant;
    RankedTensorType type = op.getSourceType(), result = op.getType();
    if (!matchPattern(op.getSource(), m_Constant(&constant)) ||
        type.getRank() != result.getRank() || !result.hasStaticShape() ||
        llvm::any_of(op.getStaticOffsets(), ShapedType::isDynamic) ||
        llvm::any_of(op.getStaticStrides(), ShapedType::isDynamic))
      return rewriter.notifyMatchFailure(op, "not a known part of a constant");
    SmallVector<int64_t> strides = computeStrides(type.getShape()), steps;
    int64_t begin = 0;
    for (auto [stride, offset, step] : llvm::zip_equal(
             strides, op.getStaticOffsets(), op.getStaticStrides())) {
      begin += offset * stride;
      steps.push_back(step * stride);
    }
    ElementsAttr read = readConstant(constant, result, begin, steps);
    if (!read)
      return rewriter.notifyMatchFailure(op, "of unknown bytes");
    rewriter.replaceOpWithNewOp<arith::ConstantOp>(op, read);
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Patches
//===----------------------------------------------------------------------===//

/// A convolution whose windows are side by side is a product of the windows,
/// as they lie in the picture, with the filters.
struct PatchesToProduct final : OpRewritePattern<linalg::Conv2DNchwFchwOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::Conv2DNchwFchwOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "not on tensors");
    Value image = op.getInputs()[0], filters = op.getInputs()[1];
    auto imageType = cast<RankedTensorType>(image.getType());
    auto filterType = cast<RankedTensorType>(filters.getType());
    auto outType = cast<RankedTensorType>(op.getResult(0).getType());
    SmallVector<int64_t> strides(op.getStrides().getValues<int64_t>());
    for (int64_t dim : {2, 3}) {
      int64_t window = filterType.getDimSize(dim);
      if (ShapedType::isDynamic(window) || window < 2 ||
          strides[dim - 2] != window ||
          imageType.getDimSize(dim) != window * outType.getDimSize(dim))
        return rewriter.notifyMatchFailure(op, "windows are not side by side");
    }
    if (!filterType.hasStaticShape() || imageType.isDynamicDim(1))
      return rewriter.notifyMatchFailure(op, "channels are not known");
    for (int64_t dilation : op.getDilations().getValues<int64_t>())
      if (dilation != 1)
        return rewriter.notifyMatchFailure(op, "windows have gaps");

    Location loc = op.getLoc();
    Type element = outType.getElementType();
    if (imageType.getElementType() != element ||
        filterType.getElementType() != element || !isa<FloatType>(element))
      return rewriter.notifyMatchFailure(op, "of several element types");
    OpFoldResult batch = tensor::getMixedSize(rewriter, loc, image, 0);
    auto fixed = [&](int64_t size) -> OpFoldResult {
      return rewriter.getIndexAttr(size);
    };
    int64_t channels = imageType.getDimSize(1),
            kinds = filterType.getDimSize(0);
    int64_t height = outType.getDimSize(2), width = outType.getDimSize(3);
    int64_t windowHeight = filterType.getDimSize(2);
    int64_t windowWidth = filterType.getDimSize(3);
    Value windows = tensor::ExpandShapeOp::create(
        rewriter, loc,
        RankedTensorType::get({imageType.getDimSize(0), channels, height,
                               windowHeight, width, windowWidth},
                              element),
        image, SmallVector<ReassociationIndices>{{0}, {1}, {2, 3}, {4, 5}},
        {batch, fixed(channels), fixed(height), fixed(windowHeight),
         fixed(width), fixed(windowWidth)});
    Value empty = tensor::EmptyOp::create(rewriter, loc,
                                          {fixed(channels), fixed(windowHeight),
                                           fixed(windowWidth), fixed(kinds)},
                                          element);
    Value weights = linalg::TransposeOp::create(rewriter, loc, filters, empty,
                                                ArrayRef<int64_t>{1, 2, 3, 0})
                        ->getResult(0);
    empty = tensor::EmptyOp::create(
        rewriter, loc, {batch, fixed(height), fixed(width), fixed(kinds)},
        element);
    Value zero =
        arith::ConstantOp::create(rewriter, loc, rewriter.getZeroAttr(element));
    Value sums =
        linalg::FillOp::create(rewriter, loc, zero, empty).getResult(0);
    AffineExpr n, y, x, c, i, j, f;
    bindDims(rewriter.getContext(), n, y, x, c, i, j, f);
    auto map = [&](ArrayRef<AffineExpr> results) {
      return AffineMap::get(7, 0, results, rewriter.getContext());
    };
    using utils::IteratorType;
    SmallVector<IteratorType> loops(7, IteratorType::parallel);
    for (int64_t dim : {3, 4, 5})
      loops[dim] = IteratorType::reduction;
    sums =
        linalg::GenericOp::create(
            rewriter, loc, sums.getType(), ValueRange{windows, weights}, sums,
            ArrayRef<AffineMap>{map({n, c, y, i, x, j}), map({c, i, j, f}),
                                map({n, y, x, f})},
            loops,
            [&](OpBuilder &b, Location loc, ValueRange entries) {
              Value product =
                  arith::MulFOp::create(b, loc, entries[0], entries[1]);
              Value sum = arith::AddFOp::create(b, loc, entries[2], product);
              linalg::YieldOp::create(b, loc, sum);
            })
            .getResult(0);

    Value init = op.getOutputs()[0];
    empty = tensor::EmptyOp::create(
        rewriter, loc, {batch, fixed(kinds), fixed(height), fixed(width)},
        element);
    sums = linalg::TransposeOp::create(rewriter, loc, sums, empty,
                                       ArrayRef<int64_t>{0, 3, 1, 2})
               ->getResult(0);
    AffineMap identity = rewriter.getMultiDimIdentityMap(4);
    rewriter.replaceOpWithNewOp<linalg::GenericOp>(
        op, outType, ValueRange{sums, init}, empty,
        ArrayRef<AffineMap>{identity, identity, identity},
        SmallVector<IteratorType>(4, IteratorType::parallel),
        [&](OpBuilder &b, Location loc, ValueRange entries) {
          linalg::YieldOp::create(
              b, loc,
              Value(arith::AddFOp::create(b, loc, entries[1], entries[0])));
        });
    return success();
  }
};

//===----------------------------------------------------------------------===//
// Fusion
//===----------------------------------------------------------------------===//

struct GeneralizeBroadcast final : OpRewritePattern<linalg::BroadcastOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::BroadcastOp op,
                                PatternRewriter &rewriter) const override {
    return linalg::generalizeNamedOp(rewriter,
                                     cast<linalg::LinalgOp>(op.getOperation()));
  }
};
} // namespace

/// Whether an op costs about nothing.
static bool isCheap(linalg::GenericOp op) {
  int64_t count = 0;
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (!isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::NegFOp,
             arith::ExtFOp, arith::TruncFOp, arith::SIToFPOp>(inner))
      return false;
    ++count;
  }
  return count <= kCheapOps;
}

/// Whether a map with the last loop in it has it last.
static bool runsAlongMemory(AffineMap map) {
  AffineExpr last = getAffineDimExpr(map.getNumDims() - 1, map.getContext());
  return !map.isFunctionOfDim(map.getNumDims() - 1) ||
         map.getResults().back() == last;
}

static bool isWorthFusing(OpOperand *operand) {
  auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
  auto consumer = dyn_cast<linalg::GenericOp>(operand->getOwner());
  if (!producer || !consumer || producer.getNumLoops() == 0 ||
      consumer.getNumLoops() == 0 || producer.getNumResults() != 1)
    return false;
  // What adds to a state would add to it again for every entry that reads it.
  if (producer.payloadUsesValueFromOperand(producer.getDpsInitOperand(0)))
    return false;
  bool isOnlyReader = operand->get().hasOneUse();
  AffineMap read = consumer.getMatchingIndexingMap(operand);
  // Read again and again.
  bool isRepeated = read.getNumResults() < consumer.getNumLoops() ||
                    !read.isProjectedPermutation();
  if ((!isOnlyReader || isRepeated) && !isCheap(producer))
    return false;
  // Sums of products stay what they are.
  if (consumer.getNumReductionLoops() != 0 && consumer.getNumDpsInputs() > 1)
    return false;
  return producer.getIndexingMapsArray().back().isIdentity() &&
         runsAlongMemory(read) &&
         llvm::all_of(producer.getIndexingMapsArray(), runsAlongMemory);
}

void mlir::scaling::populateFuseElementwisePatterns(
    RewritePatternSet &patterns) {
  patterns.add<FoldConstantSlice, FoldConstantTranspose, GeneralizeBroadcast,
               PatchesToProduct>(patterns.getContext());
  linalg::populateElementwiseOpsFusionPatterns(patterns, isWorthFusing);
}

namespace {
struct ScalingFuseElementwisePass final
    : scaling::impl::ScalingFuseElementwisePassBase<
          ScalingFuseElementwisePass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateFuseElementwisePatterns(patterns);
    GreedyRewriteConfig config;
    // Producers before what reads them.
    config.setUseTopDownTraversal(true);
    if (failed(
            applyPatternsGreedily(getOperation(), std::move(patterns), config)))
      signalPassFailure();
  }
};
} // namespace
