//===- Parallelize.cpp - Whole matrices on all threads ----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Interfaces/TilingInterface.h"

using namespace mlir;
using namespace mlir::scaling;

/// An item has about this many entries: some microseconds of work, far more
/// than it costs to hand it out.
static constexpr int64_t kItemEntries = 1 << 14;

/// What an unknown size is taken for.
static constexpr int64_t kTypicalSize = 1 << 10;

/// Rows or columns of a product that an item has where there are enough for
/// some items: every block of them reads the whole value matrix.
static constexpr int64_t kProductBlock = 64;
static constexpr int64_t kProductItems = 8;

/// The least number of indices of one item.
static int64_t leastTile(Operation *op, size_t dim, size_t rank, int64_t size) {
  auto apply = dyn_cast<ApplyOp>(op);
  if (!apply || apply.getKind() != ApplyKind::product || dim + 3 < rank)
    return 1;
  int64_t block = kProductBlock;
  while (!ShapedType::isDynamic(size) && block > 1 &&
         size < kProductItems * block)
    block /= 2;
  return block;
}

/// The number of indices of one item: it divides the size where it can.
static int64_t chooseTile(int64_t size, int64_t entriesPerIndex,
                          int64_t least) {
  int64_t most = kItemEntries / entriesPerIndex;
  if (most <= least)
    return least;
  if (ShapedType::isDynamic(size))
    return most;
  for (int64_t tile = most; tile > most / 2; --tile)
    if (size % tile == 0)
      return tile;
  return most;
}

/// Tile sizes of a product of other programs: one matrix, some of its rows.
/// Empty where the op is none, or too small for several threads.
static SmallVector<int64_t> chooseProductTiles(linalg::LinalgOp op) {
  FailureOr<linalg::ContractionDimensions> dims =
      linalg::inferContractionDims(op);
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  if (failed(dims) || dims->k.empty() || dims->m.empty() || dims->n.empty())
    return {};
  AffineMap out = op.getIndexingMapsArray().back();
  unsigned last = out.getDimPosition(out.getNumResults() - 1);
  bool isColumn = llvm::is_contained(dims->n, last);
  SmallVector<int64_t> tiles(ranges.size(), 0);
  int64_t entries = 1, items = 1;
  for (int64_t range : ranges)
    entries *= ShapedType::isDynamic(range) ? kTypicalSize
                                            : std::max<int64_t>(range, 1);
  if (entries < 2 * kItemEntries)
    return {};
  for (unsigned dim : dims->batch) {
    tiles[dim] = 1;
    items *= ShapedType::isDynamic(ranges[dim]) ? 1 : ranges[dim];
  }
  // Rows of an item, from the last loop over them on.
  auto rowLoops = isColumn ? dims->m : dims->n;
  int64_t rows = 1;
  for (unsigned dim : rowLoops)
    rows *= ShapedType::isDynamic(ranges[dim]) ? kTypicalSize : ranges[dim];
  int64_t wanted = kProductBlock;
  while (wanted > 1 && rows * items < kProductItems * wanted)
    wanted /= 2;
  for (unsigned dim : llvm::reverse(rowLoops)) {
    int64_t range = ranges[dim];
    bool isWhole = !ShapedType::isDynamic(range) && range <= wanted;
    tiles[dim] = isWhole ? 0 : wanted;
    wanted =
        isWhole ? llvm::divideCeil(wanted, std::max<int64_t>(range, 1)) : 1;
  }
  if (llvm::all_of(tiles, [](int64_t tile) { return tile == 0; }))
    tiles.clear();
  return tiles;
}

LogicalResult scaling::parallelize(RewriterBase &rewriter, Operation *op) {
  auto tilable = dyn_cast<TilingInterface>(op);
  if (!tilable || op->getNumResults() != 0 ||
      op->getParentOfType<scf::ForallOp>())
    return success();
  SmallVector<utils::IteratorType> types = tilable.getLoopIteratorTypes();
  if (types.size() < 2)
    return success();

  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(op);
  // The first dimension whose indices are independent.
  std::optional<size_t> dim;
  int64_t dimSize = 0, entriesPerIndex = 1;
  for (auto [index, range] :
       llvm::enumerate(tilable.getIterationDomain(rewriter))) {
    std::optional<int64_t> known = getConstantIntValue(range.size);
    if (!dim && types[index] == utils::IteratorType::parallel && known != 1) {
      dim = index;
      dimSize = known.value_or(ShapedType::kDynamic);
    } else {
      entriesPerIndex *= std::max<int64_t>(1, known.value_or(kTypicalSize));
    }
  }
  if (!dim)
    return success();
  SmallVector<OpFoldResult> tileSizes(types.size(), rewriter.getIndexAttr(0));
  SmallVector<int64_t> product;
  if (auto structured = dyn_cast<linalg::LinalgOp>(op))
    product = chooseProductTiles(structured);
  if (!product.empty()) {
    for (auto [size, tile] : llvm::zip_equal(tileSizes, product))
      size = rewriter.getIndexAttr(tile);
  } else {
    int64_t tile = chooseTile(dimSize, entriesPerIndex,
                              leastTile(op, *dim, types.size(), dimSize));
    if (!ShapedType::isDynamic(dimSize) && dimSize < 2 * tile)
      return success();
    tileSizes[*dim] = rewriter.getIndexAttr(tile);
  }
  scf::SCFTilingOptions options;
  options.setTileSizes(tileSizes).setLoopType(
      scf::SCFTilingOptions::LoopType::ForallOp);
  if (failed(scf::tileUsingSCF(rewriter, tilable, options)))
    return op->emitOpError("cannot be given to several threads");
  rewriter.eraseOp(op);
  return success();
}
