//===- PlanWorkspace.cpp - One buffer for all scratch -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Dominance.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGPLANWORKSPACEPASS
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// Every buffer begins on a cache line of its own: no two share one, and
/// aligned vectors may be used.
static constexpr int64_t kAlignment = 64;

/// Whether the allocation can be a view of bytes: an ordinary layout, elements
/// of whole bytes, and sizes known before `point`.
static bool fits(memref::AllocOp alloc, Operation *point,
                 DominanceInfo &dominance) {
  MemRefType type = alloc.getType();
  if (!type.getLayout().isIdentity() || type.getMemorySpace() ||
      !type.getElementType().isIntOrFloat() ||
      alloc.getAlignment().value_or(1) > kAlignment)
    return false;
  return llvm::all_of(alloc.getDynamicSizes(), [&](Value size) {
    return dominance.properlyDominates(size, point);
  });
}

/// The allocation's bytes, rounded up to whole cache lines.
static Value byteSize(RewriterBase &rewriter, memref::AllocOp alloc) {
  Location loc = alloc.getLoc();
  MemRefType type = alloc.getType();
  int64_t bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  for (int64_t size : type.getShape())
    if (!ShapedType::isDynamic(size))
      bytes *= size;
  if (alloc.getDynamicSizes().empty())
    return arith::ConstantIndexOp::create(rewriter, loc,
                                          llvm::alignTo(bytes, kAlignment));
  Value total = arith::ConstantIndexOp::create(rewriter, loc, bytes);
  for (Value size : alloc.getDynamicSizes())
    total = arith::MulIOp::create(rewriter, loc, total, size);
  Value more = arith::AddIOp::create(
      rewriter, loc, total,
      arith::ConstantIndexOp::create(rewriter, loc, kAlignment - 1));
  return arith::AndIOp::create(
      rewriter, loc, more,
      arith::ConstantIndexOp::create(rewriter, loc, -kAlignment));
}

void mlir::scaling::planWorkspace(RewriterBase &rewriter, Block &block) {
  DominanceInfo dominance(block.getParentOp());
  SmallVector<memref::AllocOp> allocs;
  for (auto alloc : block.getOps<memref::AllocOp>())
    if (fits(alloc, allocs.empty() ? alloc : allocs.front(), dominance))
      allocs.push_back(alloc);
  if (allocs.size() < 2)
    return;

  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(allocs.front());
  Location loc = allocs.front().getLoc();
  SmallVector<Value> offsets;
  Value total = arith::ConstantIndexOp::create(rewriter, loc, 0);
  for (memref::AllocOp alloc : allocs) {
    offsets.push_back(total);
    total =
        arith::AddIOp::create(rewriter, loc, total, byteSize(rewriter, alloc));
  }
  auto bytes =
      MemRefType::get({ShapedType::kDynamic}, rewriter.getIntegerType(8));
  Value workspace = memref::AllocOp::create(
      rewriter, loc, bytes, total, rewriter.getI64IntegerAttr(kAlignment));
  for (auto [alloc, offset] : llvm::zip_equal(allocs, offsets))
    rewriter.replaceOpWithNewOp<memref::ViewOp>(
        alloc, alloc.getType(), workspace, offset, alloc.getDynamicSizes());
}

namespace {
struct ScalingPlanWorkspacePass final
    : scaling::impl::ScalingPlanWorkspacePassBase<ScalingPlanWorkspacePass> {
  using Base::Base;

  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    SmallVector<Block *> blocks;
    getOperation()->walk([&](Operation *op) {
      auto function = dyn_cast<FunctionOpInterface>(op);
      if (function && !function.isExternal())
        blocks.push_back(&function.front());
      if (auto forall = dyn_cast<scf::ForallOp>(op))
        blocks.push_back(forall.getBody());
    });
    for (Block *block : blocks)
      planWorkspace(rewriter, *block);
  }
};
} // namespace
