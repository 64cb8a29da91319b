//===- ArrangeLoops.cpp - Contractions along vectors ----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ArrangeLoops/ArrangeLoops.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGARRANGELOOPSPASS
#include "scaling/Conversion/ArrangeLoops/ArrangeLoops.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// The maps with 0 for loops of one iteration, where these are part of a sum.
static SmallVector<AffineMap> getMapsWithoutUnitWindows(linalg::LinalgOp op) {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  SmallVector<AffineExpr> values;
  for (auto [dim, range] : llvm::enumerate(ranges))
    values.push_back(range == 1 ? getAffineConstantExpr(0, op.getContext())
                                : getAffineDimExpr(dim, op.getContext()));
  SmallVector<AffineMap> maps;
  for (AffineMap map : op.getIndexingMapsArray()) {
    SmallVector<AffineExpr> results;
    for (AffineExpr expr : map.getResults())
      results.push_back(isa<AffineDimExpr>(expr) ? expr
                                                 : expr.replaceDims(values));
    maps.push_back(AffineMap::get(map.getNumDims(), map.getNumSymbols(),
                                  results, op.getContext()));
  }
  return maps;
}

/// The loop that may be the last one; none where nothing is gained.
static std::optional<unsigned> findVectorLoop(linalg::LinalgOp op,
                                              ArrayRef<AffineMap> maps) {
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  if (!op.hasPureBufferSemantics() || op.getNumDpsInits() != 1 ||
      iterators.empty() || iterators.back() != utils::IteratorType::reduction)
    return std::nullopt;
  AffineMap out = maps[op.getDpsInitsMutable()[0].getOperandNumber()];
  if (out.getNumResults() == 0)
    return std::nullopt;
  auto last = dyn_cast<AffineDimExpr>(out.getResults().back());
  if (!last || iterators[last.getPosition()] != utils::IteratorType::parallel)
    return std::nullopt;
  for (AffineMap map : maps) {
    if (!map.isProjectedPermutation())
      return std::nullopt;
    if (map.isFunctionOfDim(last.getPosition()) &&
        map.getResults().back() != last)
      return std::nullopt;
  }
  return last.getPosition();
}

void mlir::scaling::arrangeLoops(ModuleOp module) {
  SmallVector<linalg::LinalgOp> ops;
  module.walk([&](linalg::LinalgOp op) { ops.push_back(op); });
  IRRewriter rewriter(module.getContext());
  for (linalg::LinalgOp op : ops) {
    SmallVector<AffineMap> maps = getMapsWithoutUnitWindows(op);
    std::optional<unsigned> loop = findVectorLoop(op, maps);
    if (!loop)
      continue;
    // Parallel loops, reductions, the loop along memory.
    SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
    SmallVector<unsigned> order;
    for (bool reductions : {false, true})
      for (unsigned dim = 0; dim < iterators.size(); ++dim)
        if (dim != *loop &&
            (iterators[dim] == utils::IteratorType::reduction) == reductions)
          order.push_back(dim);
    order.push_back(*loop);

    rewriter.setInsertionPoint(op);
    auto generic = dyn_cast<linalg::GenericOp>(op.getOperation());
    if (!generic)
      generic = *linalg::generalizeNamedOp(rewriter, op);
    rewriter.modifyOpInPlace(generic, [&] {
      generic.setIndexingMapsAttr(rewriter.getAffineMapArrayAttr(maps));
    });
    (void)linalg::interchangeGenericOp(rewriter, generic, order);
  }
}

namespace {
struct ScalingArrangeLoopsPass final
    : scaling::impl::ScalingArrangeLoopsPassBase<ScalingArrangeLoopsPass> {
  using Base::Base;

  void runOnOperation() override { arrangeLoops(getOperation()); }
};
} // namespace
