//===- ApplyAdjoint.cpp - Derivatives of what the plan does ---------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A dual value is a sum over entries, and so over tiles of rows: of a matrix
// that is made from points, a tile is made, what it adds to the gradients is
// added, and it is gone. Anything else goes through its loops.
//
//===----------------------------------------------------------------------===//

#include "MatrixBlocks.h"
#include "scaling/Conversion/ScalingToLinalg/ScalingToLinalg.h"
#include "scaling/Dialect/Scaling/Differentiate/TensorAdjoint.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// A dual value, tile by tile.
class DualAdjoint {
public:
  DualAdjoint(TensorAdjoint &outer, ApplyOp op, MatrixBlocks &blocks)
      : outer(outer), op(op), blocks(blocks), b(outer.b), loc(op.getLoc()) {
    for (auto [value, ofRows] :
         {std::pair(op.getRow(), true), std::pair(op.getCol(), false),
          std::pair(op.getRowWeight(), true),
          std::pair(op.getColWeight(), false)}) {
      std::pair<Value, bool> vector(value, ofRows);
      // What is there twice has its adjoint once.
      if (outer.isActive(value) && !llvm::is_contained(vectors, vector))
        vectors.push_back(vector);
    }
    for (Value source : blocks.getSources())
      varies |= outer.isActive(source);
  }

  LogicalResult run();

private:
  /// What the adjoints are behind the tile: those of the vectors, then those
  /// of what the matrix is made from.
  FailureOr<SmallVector<Value>> addTile(const MatrixBlocks::Block &block,
                                        ValueRange carried);

  TensorAdjoint &outer;
  ApplyOp op;
  MatrixBlocks &blocks;
  OpBuilder &b;
  Location loc;
  /// Factors and marginals with an adjoint; whether they are of the rows.
  SmallVector<std::pair<Value, bool>> vectors;
  /// Whether the matrix has an adjoint.
  bool varies = false;
};
} // namespace

FailureOr<SmallVector<Value>>
DualAdjoint::addTile(const MatrixBlocks::Block &block, ValueRange carried) {
  IRMapping parts;
  for (Value value : {op.getRow(), op.getRowWeight()})
    if (!parts.contains(value))
      parts.map(value, blocks.part(value, block));
  Value first = getValueOrCreateConstantIndexOp(b, loc, block.first);
  auto tile = ApplyOp::create(
      b, loc, op.getResultTypes(), block.matrix, parts.lookup(op.getRow()),
      op.getCol(), parts.lookup(op.getRowWeight()), op.getColWeight(),
      /*operand=*/Value(), /*offset=*/Value(), /*row_offset=*/first,
      op.getOuts(), op.getKind(), op.getTransposed(), op.getDomain());

  TensorAdjoint local(b);
  auto own = [&](Value value, bool ofRows) {
    return ofRows ? parts.lookup(value) : value;
  };
  for (auto [vector, adjoint] : llvm::zip(vectors, carried)) {
    auto [value, ofRows] = vector;
    local.markActive(own(value, ofRows));
    local.set(own(value, ofRows),
              ofRows ? blocks.part(adjoint, block) : adjoint);
  }
  if (varies)
    local.markActive(block.matrix);
  local.markActive(tile.getResult(0));
  local.set(tile.getResult(0), outer.get(op.getResult(0)));
  if (failed(local.runThrough(tile, populateScalingToLinalgPatterns)))
    return failure();

  SmallVector<Value> out;
  for (auto [vector, adjoint] : llvm::zip(vectors, carried)) {
    auto [value, ofRows] = vector;
    Value sum = local.get(own(value, ofRows));
    out.push_back(ofRows ? blocks.store(sum, adjoint, block) : sum);
  }
  if (!varies)
    return out;
  SmallVector<Value> sources;
  carried = carried.drop_front(vectors.size());
  for (Value source : blocks.getSources()) {
    sources.push_back(Value());
    if (!outer.isActive(source))
      continue;
    sources.back() = carried.front();
    carried = carried.drop_front();
  }
  if (failed(blocks.addToSources(block, local.getOrZero(loc, block.matrix),
                                 sources)))
    return failure();
  llvm::copy_if(sources, std::back_inserter(out),
                [](Value adjoint) { return adjoint != nullptr; });
  return out;
}

LogicalResult DualAdjoint::run() {
  // From zero: one value may be several of them.
  SmallVector<Value> all, init;
  for (auto [value, ofRows] : vectors)
    all.push_back(value);
  for (Value source : blocks.getSources())
    if (outer.isActive(source))
      all.push_back(source);
  for (Value value : all)
    init.push_back(TensorAdjoint(b).getOrZero(loc, value));
  bool ok = true;
  SmallVector<Value> found = blocks.forEach(
      init, [&](const MatrixBlocks::Block &block, ValueRange carried) {
        FailureOr<SmallVector<Value>> out = addTile(block, carried);
        ok &= succeeded(out);
        return ok ? *out : SmallVector<Value>(carried);
      });
  for (auto [value, adjoint] : llvm::zip_equal(all, found))
    outer.add(loc, value, adjoint);
  outer.add(loc, op.getOuts().front(), outer.get(op.getResult(0)));
  return success(ok);
}

/// Whether it is a dual value of one whole problem, in one element type.
static bool isPlainDual(ApplyOp op) {
  if (op.getKind() != ApplyKind::dual || op.getOffset() || op.getRowOffset() ||
      cast<ShapedType>(op.getOuts().front().getType()).getRank() != 0)
    return false;
  // Sums that go from tile to tile are not rounded in between.
  Type element = getElementTypeOrSelf(op.getMatrix());
  return isa<Float32Type, Float64Type>(element) &&
         llvm::all_of(op.getOperands(), [&](Value operand) {
           return getElementTypeOrSelf(operand) == element;
         });
}

LogicalResult scaling::differentiateApply(TensorAdjoint &adjoint, ApplyOp op) {
  if (op.getKind() == ApplyKind::argmax)
    return op->emitOpError("of 'argmax' has no derivative: which entry is "
                           "the largest is a choice");
  if (isPlainDual(op))
    if (std::optional<MatrixBlocks> blocks =
            MatrixBlocks::create(adjoint.b, op.getLoc(), op.getMatrix()))
      return DualAdjoint(adjoint, op, *blocks).run();
  return adjoint.runThrough(op, populateScalingToLinalgPatterns);
}
