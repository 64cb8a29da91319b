//===- Versions.cpp - A kernel for rows that are whole vectors ------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Distribute.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace mlir::scaling;

/// Blocks of rows in shared memory: one that is on its way beside the one that
/// is read.
static constexpr int64_t kStages = 2;

/// What a factor takes at least, and a sum.
static constexpr int64_t kFactorBytes = 4;

namespace {
/// A kernel's matrices, and for each which of its sizes are lengths of rows, in
/// vectors of how many entries.
using RowSizes =
    llvm::MapVector<BlockArgument, llvm::MapVector<int64_t, int64_t>>;
} // namespace

static RowSizes findRowSizes(gpu::GPUFuncOp kernel) {
  RowSizes found;
  auto add = [&](BlockArgument matrix, int64_t dim, Type element) {
    int64_t bytes = llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
    int64_t &vector = found[matrix][dim];
    vector = std::max({vector, kAccessBytes / bytes, int64_t(1)});
  };
  // Of fewer dimensions are vectors, as many as there are matrices.
  int64_t rank = 2;
  for (Type type : kernel.getArgumentTypes())
    if (auto buffer = dyn_cast<MemRefType>(type))
      rank = std::max(rank, buffer.getRank());
  auto isMatrix = [&](MemRefType type) {
    return type && type.getRank() == rank &&
           type.getElementType().isIntOrFloat() &&
           type.getLayout().isIdentity() &&
           ShapedType::isDynamic(type.getShape().back());
  };
  for (BlockArgument argument : kernel.getArguments()) {
    auto type = dyn_cast<MemRefType>(argument.getType());
    if (isMatrix(type))
      add(argument, type.getRank() - 1, type.getElementType());
  }
  // Matrices of the workspace have rows as long as others are high.
  kernel.walk([&](memref::ViewOp view) {
    MemRefType type = view.getType();
    if (!isMatrix(type))
      return;
    auto dim = view.getSizes().back().getDefiningOp<memref::DimOp>();
    if (!dim || !dim.getConstantIndex())
      return;
    auto matrix = dyn_cast<BlockArgument>(dim.getSource());
    if (matrix && cast<MemRefType>(matrix.getType()).getLayout().isIdentity())
      add(matrix, *dim.getConstantIndex(), type.getElementType());
  });
  return found;
}

/// How long rows may be that blocks of several rows are copied from, and that
/// sums of columns and factors are as long as; none where there are no such
/// blocks.
static std::optional<int64_t> findLongestRow(gpu::GPUFuncOp kernel,
                                             int64_t bytes) {
  std::optional<int64_t> longest;
  kernel.walk([&](memref::SubViewOp view) {
    MemRefType type = view.getType();
    ArrayRef<int64_t> shape = type.getShape();
    auto loop = dyn_cast<scf::ForOp>(view->getParentOp());
    if (!loop || !isa<scf::ForallOp>(loop->getParentOp()) || shape.empty() ||
        !ShapedType::isDynamic(shape.back()) ||
        llvm::any_of(shape.drop_back(), ShapedType::isDynamic) ||
        !type.getElementType().isIntOrFloat() || !isReadAgain(view))
      return;
    int64_t own = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
    int64_t rows = ShapedType::getNumElements(shape.drop_back());
    int64_t perColumn = kStages * rows * own + 2 * std::max(own, kFactorBytes);
    int64_t most = llvm::alignDown(bytes / perColumn, kAccessBytes);
    longest = std::min(longest.value_or(most), most);
  });
  return longest;
}

SmallVector<Block *> scaling::createVersions(RewriterBase &b,
                                             gpu::GPUFuncOp kernel,
                                             Operation &prologue,
                                             int64_t bytes) {
  RowSizes rowSizes = findRowSizes(kernel);
  if (rowSizes.empty())
    return {};
  std::optional<int64_t> longest = findLongestRow(kernel, bytes);
  Location loc = kernel.getLoc();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfter(&prologue);
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  Value areWhole, areShort;
  auto require = [&](Value &all, arith::CmpIPredicate predicate, Value lhs,
                     Value rhs) {
    Value one = arith::CmpIOp::create(b, loc, predicate, lhs, rhs);
    all = all ? arith::AndIOp::create(b, loc, all, one).getResult() : one;
  };
  IRMapping wide, bounded;
  for (auto &entry : rowSizes) {
    BlockArgument matrix = entry.first;
    auto type = cast<MemRefType>(matrix.getType());
    SmallVector<int64_t> known = type.getStridesAndOffset().first;
    // The same matrix, of sizes that are known to be what they are.
    auto create = [&](ArrayRef<OpFoldResult> sizes) -> Value {
      // Products of sizes; of unknown ones, the type says nothing.
      SmallVector<OpFoldResult> strides =
          getAsIndexOpFoldResult(b.getContext(), known);
      for (int64_t dim = type.getRank() - 2; dim >= 0; --dim)
        if (ShapedType::isDynamic(known[dim]))
          strides[dim] = b.createOrFold<arith::MulIOp>(
              loc, getValueOrCreateConstantIndexOp(b, loc, sizes[dim + 1]),
              getValueOrCreateConstantIndexOp(b, loc, strides[dim + 1]));
      return memref::ReinterpretCastOp::create(
          b, loc, type, matrix, b.getIndexAttr(0), sizes, strides);
    };
    SmallVector<OpFoldResult> sizes = memref::getMixedSizes(b, loc, matrix),
                              least = sizes;
    AffineExpr s0 = b.getAffineSymbolExpr(0);
    for (auto [dim, vector] : entry.second) {
      Value size = cast<Value>(sizes[dim]);
      Value number = arith::DivUIOp::create(b, loc, size, index(vector));
      Value whole = arith::MulIOp::create(b, loc, number, index(vector));
      require(areWhole, arith::CmpIPredicate::eq, whole, size);
      sizes[dim] = whole;
      if (!longest)
        continue;
      require(areShort, arith::CmpIPredicate::ule, size, index(*longest));
      AffineMap both = AffineMap::get(
          0, 1,
          {s0.floorDiv(vector) * vector, b.getAffineConstantExpr(*longest)},
          b.getContext());
      least[dim] = affine::AffineMinOp::create(b, loc, both, size).getResult();
    }
    wide.map(matrix, create(sizes));
    if (longest)
      bounded.map(matrix, create(least));
  }
  auto ifWhole = scf::IfOp::create(b, loc, areWhole, /*withElseRegion=*/true);
  auto body = llvm::make_range(std::next(ifWhole->getIterator()),
                               kernel.front().without_terminator().end());
  SmallVector<Block *> versions;
  auto addVersion = [&](Block *block, IRMapping &mapping) {
    b.setInsertionPointToStart(block);
    for (Operation &op : body)
      b.clone(op, mapping);
    versions.push_back(block);
  };
  if (longest) {
    b.setInsertionPointToStart(ifWhole.thenBlock());
    auto ifShort = scf::IfOp::create(b, loc, areShort, /*withElseRegion=*/true);
    addVersion(ifShort.thenBlock(), bounded);
    addVersion(ifShort.elseBlock(), wide);
  } else {
    addVersion(ifWhole.thenBlock(), wide);
  }
  versions.push_back(ifWhole.elseBlock());
  for (Operation &op : llvm::make_early_inc_range(body))
    b.moveOpBefore(&op, ifWhole.elseBlock()->getTerminator());
  return versions;
}

void scaling::splitLastRows(RewriterBase &b, gpu::GPUFuncOp kernel) {
  SmallVector<scf::ForOp> loops;
  kernel.walk([&](scf::ForOp loop) {
    if (isa<scf::ForallOp>(loop->getParentOp()) && loop.getNumResults() == 0)
      loops.push_back(loop);
  });
  RewritePatternSet patterns(b.getContext());
  memref::SubViewOp::getCanonicalizationPatterns(patterns, b.getContext());
  memref::CastOp::getCanonicalizationPatterns(patterns, b.getContext());
  FrozenRewritePatternSet frozen(std::move(patterns));
  for (scf::ForOp loop : loops) {
    scf::ForOp last;
    if (failed(scf::peelForLoopAndSimplifyBounds(b, loop, last)))
      continue;
    // Sizes of views are what they are now known to be.
    SmallVector<Operation *> ops;
    for (Operation &op : *loop.getBody())
      ops.push_back(&op);
    (void)applyOpPatternsGreedily(ops, frozen);
  }
}
