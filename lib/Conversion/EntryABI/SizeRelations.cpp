//===- SizeRelations.cpp - Which argument sizes must agree ------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/EntryABI/EntryABI.h"
#include "scaling/Dialect/Scaling/IR/Shapes.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// Collects, for one op, the argument dimensions that are one size of its
/// problem.
class SizeCollector {
public:
  SizeCollector(Block *entry, std::vector<SizeRelation> &relations)
      : entry(entry), relations(relations) {}

  /// `key` names a size of the op; `value`'s dimension plus `extra` is that.
  void add(int64_t key, Value value, unsigned dim, int64_t extra) {
    int64_t known = cast<ShapedType>(value.getType()).getDimSize(dim);
    auto argument = dyn_cast<BlockArgument>(value);
    Uses &uses = sizes[key];
    if (!ShapedType::isDynamic(known))
      uses.known = known + extra;
    else if (argument && argument.getOwner() == entry)
      uses.dims.push_back({argument.getArgNumber(), dim, extra});
  }

  void finish() {
    for (auto &[key, uses] : sizes) {
      if (uses.dims.empty())
        continue;
      if (uses.known) {
        for (const Dim &dim : uses.dims)
          relations.push_back({dim.argument, dim.dim, std::nullopt, 0,
                               *uses.known - dim.extra});
        continue;
      }
      const Dim &first = uses.dims.front();
      for (const Dim &dim : llvm::drop_begin(uses.dims))
        relations.push_back({dim.argument, dim.dim, first.argument, first.dim,
                             first.extra - dim.extra});
    }
    sizes.clear();
  }

private:
  struct Dim {
    unsigned argument, dim;
    int64_t extra;
  };
  struct Uses {
    std::optional<int64_t> known;
    SmallVector<Dim> dims;
  };
  Block *entry;
  std::vector<SizeRelation> &relations;
  llvm::MapVector<int64_t, Uses> sizes;
};
} // namespace

/// Sizes behind the batch count up from 0, batch dimensions down from −1 at
/// the last.
static void collectProblem(ScalingBatchedOpInterface op,
                           SizeCollector &collector) {
  for (const BatchedOperand &operand : getBatchedOperands(op)) {
    if (!operand.value)
      continue;
    auto type = cast<ShapedType>(operand.value.getType());
    int64_t batch = type.getRank() - operand.tail.size();
    for (int64_t dim = 0; dim < batch; ++dim)
      collector.add(dim - batch, operand.value, dim, 0);
    for (auto [index, size] : llvm::enumerate(operand.tail))
      collector.add(static_cast<int64_t>(size), operand.value, batch + index,
                    operand.extra);
  }
}

static void collectStructured(ScalingStructuredOpInterface op,
                              SizeCollector &collector) {
  for (auto [operand, dims] :
       llvm::zip_equal(op->getOperands(), op.getOperandDims()))
    for (auto [index, dim] : llvm::enumerate(dims))
      // Sizes that are never tiled, −1: the coordinates of points are one
      // size, others may be several.
      if (dim >= 0 || isa<PairwiseOp, MarginalsOp>(op))
        collector.add(dim, operand, index, 0);
}

std::vector<SizeRelation>
mlir::scaling::collectSizeRelations(func::FuncOp func) {
  std::vector<SizeRelation> relations;
  SizeCollector collector(&func.front(), relations);
  func.walk([&](Operation *op) {
    if (auto problem = dyn_cast<ScalingBatchedOpInterface>(op))
      collectProblem(problem, collector);
    else if (auto structured = dyn_cast<ScalingStructuredOpInterface>(op))
      collectStructured(structured, collector);
    collector.finish();
  });
  llvm::sort(relations, [](const SizeRelation &a, const SizeRelation &b) {
    return a.asTuple() < b.asTuple();
  });
  relations.erase(
      llvm::unique(relations,
                   [](const SizeRelation &a, const SizeRelation &b) {
                     return a.asTuple() == b.asTuple();
                   }),
      relations.end());
  return relations;
}
