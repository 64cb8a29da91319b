//===- ExpandMemRefs.cpp - What upstream has no way down for --------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ExpandMemRefs/ExpandMemRefs.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Utils/MemRefUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGEXPANDMEMREFSPASS
#include "scaling/Conversion/ExpandMemRefs/ExpandMemRefs.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

namespace {
struct ExpandStridedCopy final : OpRewritePattern<memref::CopyOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(memref::CopyOp copy,
                                PatternRewriter &rewriter) const override {
    auto source = dyn_cast<MemRefType>(copy.getSource().getType());
    auto target = dyn_cast<MemRefType>(copy.getTarget().getType());
    if (!source || !target)
      return rewriter.notifyMatchFailure(copy, "unranked");
    // The condition under which the LLVM lowering uses memcpy.
    auto isContiguous = [](MemRefType type) {
      return type.getLayout().isIdentity() ||
             (type.hasStaticShape() && type.getNumElements() > 0 &&
              memref::isStaticShapeAndContiguousRowMajor(type));
    };
    if (isContiguous(source) && isContiguous(target))
      return rewriter.notifyMatchFailure(copy, "contiguous");
    linalg::makeMemRefCopyOp(rewriter, copy.getLoc(), copy.getSource(),
                             copy.getTarget());
    rewriter.eraseOp(copy);
    return success();
  }
};

struct ExpandUnknownSizes final : OpRewritePattern<memref::ExpandShapeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(memref::ExpandShapeOp expand,
                                PatternRewriter &rewriter) const override {
    MemRefType type = expand.getResultType();
    bool severalUnknown =
        llvm::any_of(expand.getReassociationIndices(),
                     [&](const ReassociationIndices &group) {
                       return llvm::count_if(group, [&](int64_t dim) {
                                return type.isDynamicDim(dim);
                              }) > 1;
                     });
    if (!severalUnknown)
      return rewriter.notifyMatchFailure(expand, "one unknown size at most");
    Location loc = expand.getLoc();
    auto source = memref::ExtractStridedMetadataOp::create(rewriter, loc,
                                                           expand.getSrc());
    SmallVector<OpFoldResult> sizes = getMixedValues(
        expand.getStaticOutputShape(), expand.getOutputShape(), rewriter);
    auto [typeStrides, typeOffset] = type.getStridesAndOffset();
    AffineExpr product =
        rewriter.getAffineSymbolExpr(0) * rewriter.getAffineSymbolExpr(1);
    SmallVector<OpFoldResult> strides(sizes.size());
    for (auto [group, sourceStride] :
         llvm::zip_equal(expand.getReassociationIndices(),
                         source.getConstifiedMixedStrides())) {
      OpFoldResult stride = sourceStride;
      for (int64_t dim : llvm::reverse(group)) {
        strides[dim] = ShapedType::isDynamic(typeStrides[dim])
                           ? stride
                           : rewriter.getIndexAttr(typeStrides[dim]);
        stride = affine::makeComposedFoldedAffineApply(rewriter, loc, product,
                                                       {stride, sizes[dim]});
      }
    }
    rewriter.replaceOpWithNewOp<memref::ReinterpretCastOp>(
        expand, type, source.getBaseBuffer(), source.getConstifiedMixedOffset(),
        sizes, strides);
    return success();
  }
};

struct ScalingExpandMemRefsPass final
    : scaling::impl::ScalingExpandMemRefsPassBase<ScalingExpandMemRefsPass> {
  using Base::Base;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateExpandMemRefsPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace

void mlir::scaling::populateExpandMemRefsPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandStridedCopy, ExpandUnknownSizes>(patterns.getContext());
}
