//===- ApplyAdjoint.cpp - Derivatives of the plan and what it does --------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Entries of a plan, its products and sums over it are made of rows apart from
// each other: of a matrix that is made from points, a block is made, what it
// adds to the gradients is added, and it is gone. Anything else goes through
// its loops.
//
//===----------------------------------------------------------------------===//

#include "MatrixBlocks.h"
#include "scaling/Conversion/ScalingToLinalg/ScalingToLinalg.h"
#include "scaling/Dialect/Scaling/Differentiate/TensorAdjoint.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// A plan or an `apply`, block by block.
class BlockAdjoint {
public:
  BlockAdjoint(TensorAdjoint &outer, PlanOp op);
  BlockAdjoint(TensorAdjoint &outer, ApplyOp op);

  /// Whether it is one that blocks are known of.
  bool chooseBlocks();
  LogicalResult run();

private:
  using Block = MatrixBlocks::Block;
  /// A tensor and what it has to do with blocks.
  struct Role {
    Value value;
    MatrixBlocks::Tail tail;
    bool operator==(const Role &other) const {
      return value == other.value && tail == other.tail;
    }
  };
  /// The op on a block.
  Operation *createOn(const Block &block, ArrayRef<Value> parts);
  /// What the adjoints are behind the block: those of `active`, then those of
  /// what the matrices are made from.
  FailureOr<SmallVector<Value>> addBlock(const Block &block,
                                         ValueRange carried);
  /// What of the operands, null where there is none, stands for a value.
  static Value partOf(ArrayRef<Role> roles, ArrayRef<Value> parts,
                      const Role &role) {
    return parts[llvm::find(roles, role) - roles.begin()];
  }

  TensorAdjoint &outer;
  Operation *op;
  OpBuilder &b;
  Location loc;
  /// The plan's matrix, and one it is multiplied by.
  SmallVector<Value> matrices;
  /// Row factor and weight, column factor and weight, what a product is with;
  /// values may be null.
  SmallVector<Role> roles;
  Role result;
  Value outs;
  /// Those with an adjoint, once each.
  SmallVector<Role> active;
  std::optional<MatrixBlocks> blocks;
};
} // namespace

BlockAdjoint::BlockAdjoint(TensorAdjoint &outer, PlanOp plan)
    : outer(outer), op(plan), b(outer.b), loc(plan.getLoc()),
      matrices{plan.getMatrix()},
      roles{{plan.getRow(), MatrixBlocks::vector(Axis::rows)},
            {plan.getRowWeight(), MatrixBlocks::vector(Axis::rows)},
            {plan.getCol(), MatrixBlocks::vector(Axis::cols)},
            {plan.getColWeight(), MatrixBlocks::vector(Axis::cols)}},
      result{plan.getResult(), MatrixBlocks::matrix()}, outs(plan.getOuts()) {}

BlockAdjoint::BlockAdjoint(TensorAdjoint &outer, ApplyOp apply)
    : outer(outer), op(apply), b(outer.b), loc(apply.getLoc()),
      matrices{apply.getMatrix()},
      roles{{apply.getRow(), MatrixBlocks::vector(Axis::rows)},
            {apply.getRowWeight(), MatrixBlocks::vector(Axis::rows)},
            {apply.getCol(), MatrixBlocks::vector(Axis::cols)},
            {apply.getColWeight(), MatrixBlocks::vector(Axis::cols)}},
      result{apply.getResult(0), {}}, outs(apply.getOuts().front()) {
  if (apply.getKind() == ApplyKind::value) {
    if (apply.getOperand() != apply.getMatrix())
      matrices.push_back(apply.getOperand());
  } else if (apply.getKind() == ApplyKind::product) {
    bool transposed = apply.getTransposed();
    roles.push_back(
        {apply.getOperand(),
         MatrixBlocks::lines(transposed ? Axis::rows : Axis::cols)});
    result.tail = MatrixBlocks::lines(transposed ? Axis::cols : Axis::rows);
  }
}

bool BlockAdjoint::chooseBlocks() {
  if (auto plan = dyn_cast<PlanOp>(op); plan && plan.getDims())
    return false;
  if (auto apply = dyn_cast<ApplyOp>(op))
    if (apply.getOffset() || apply.getRowOffset())
      return false;
  // Sums that go from block to block are not rounded in between.
  Type element = getElementTypeOrSelf(matrices.front());
  if (!isa<Float32Type, Float64Type>(element) ||
      !llvm::all_of(op->getOperands(), [&](Value operand) {
        return getElementTypeOrSelf(operand) == element;
      }))
    return false;
  SmallVector<OpFoldResult> batch = tensor::getMixedSizes(b, loc, outs);
  batch.truncate(batch.size() - result.tail.size());
  blocks = MatrixBlocks::create(b, loc, matrices, batch);
  if (!blocks)
    return false;
  // What is there twice has its adjoint once.
  for (const Role &role : roles)
    if (role.value && outer.isActive(role.value) &&
        !llvm::is_contained(active, role))
      active.push_back(role);
  return true;
}

Operation *BlockAdjoint::createOn(const Block &block, ArrayRef<Value> parts) {
  Value matrix = block.matrices.lookup(matrices.front());
  if (auto plan = dyn_cast<PlanOp>(op)) {
    // Nothing of what was there is in it.
    Value there = blocks->part(outs, block, result.tail);
    Value out =
        tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, there),
                                getElementTypeOrSelf(there));
    return PlanOp::create(b, loc, out.getType(), matrix, parts[0], parts[2],
                          parts[1], parts[3], out, plan.getDomain(),
                          plan.getLogarithm(), DenseI64ArrayAttr());
  }
  auto apply = cast<ApplyOp>(op);
  Value operand, first;
  if (apply.getKind() == ApplyKind::value)
    operand = block.matrices.lookup(apply.getOperand());
  else if (apply.getKind() == ApplyKind::product)
    operand = parts[4];
  else if (apply.getKind() == ApplyKind::dual)
    first = getValueOrCreateConstantIndexOp(b, loc, block.firstRow());
  Value out = blocks->part(outs, block, result.tail);
  return ApplyOp::create(b, loc, out.getType(), matrix, parts[0], parts[2],
                         parts[1], parts[3], operand, /*offset=*/Value(),
                         /*row_offset=*/first, out, apply.getKind(),
                         apply.getTransposed(), apply.getDomain());
}

FailureOr<SmallVector<Value>> BlockAdjoint::addBlock(const Block &block,
                                                     ValueRange carried) {
  SmallVector<Value> parts;
  for (auto [index, role] : llvm::enumerate(roles)) {
    auto known = ArrayRef(roles).take_front(index);
    if (!role.value)
      parts.push_back(Value());
    else if (llvm::is_contained(known, role))
      parts.push_back(partOf(known, parts, role));
    else
      parts.push_back(blocks->part(role.value, block, role.tail));
  }
  Operation *here = createOn(block, parts);

  TensorAdjoint local(b);
  for (auto [role, adjoint] : llvm::zip(active, carried)) {
    Value own = partOf(roles, parts, role);
    local.markActive(own);
    local.set(own, blocks->part(adjoint, block, role.tail));
  }
  for (Value matrix : matrices)
    if (outer.isActive(matrix))
      local.markActive(block.matrices.lookup(matrix));
  local.markActive(here->getResult(0));
  local.set(here->getResult(0),
            blocks->part(outer.get(result.value), block, result.tail));
  if (failed(local.runThrough(here, populateScalingToLinalgPatterns)))
    return failure();

  SmallVector<Value> out;
  for (auto [role, adjoint] : llvm::zip(active, carried))
    out.push_back(blocks->store(local.get(partOf(roles, parts, role)), adjoint,
                                block, role.tail));
  carried = carried.drop_front(active.size());
  SmallVector<Value> sources, adjoints;
  for (Value source : blocks->getSources()) {
    sources.push_back(Value());
    if (!outer.isActive(source))
      continue;
    sources.back() = carried.front();
    carried = carried.drop_front();
  }
  for (Value matrix : matrices)
    adjoints.push_back(local.get(block.matrices.lookup(matrix)));
  if (failed(blocks->addToSources(block, adjoints, sources)))
    return failure();
  llvm::copy_if(sources, std::back_inserter(out),
                [](Value adjoint) { return adjoint != nullptr; });
  return out;
}

LogicalResult BlockAdjoint::run() {
  // From zero: one value may be several of them.
  SmallVector<Value> all, init;
  for (const Role &role : active)
    all.push_back(role.value);
  for (Value source : blocks->getSources())
    if (outer.isActive(source))
      all.push_back(source);
  for (Value value : all)
    init.push_back(TensorAdjoint(b).getOrZero(loc, value));
  bool ok = true;
  SmallVector<Value> found =
      blocks->forEach(init, [&](const Block &block, ValueRange carried) {
        FailureOr<SmallVector<Value>> out = addBlock(block, carried);
        ok &= succeeded(out);
        return ok ? *out : SmallVector<Value>(carried);
      });
  for (auto [value, adjoint] : llvm::zip_equal(all, found))
    outer.add(loc, value, adjoint);
  if (isa<ApplyOp>(op))
    outer.add(loc, outs, outer.get(result.value));
  return success(ok);
}

template <typename OpTy>
static LogicalResult differentiateBlocks(TensorAdjoint &adjoint, OpTy op) {
  BlockAdjoint blocks(adjoint, op);
  if (blocks.chooseBlocks())
    return blocks.run();
  return adjoint.runThrough(op, populateScalingToLinalgPatterns);
}

LogicalResult scaling::differentiateApply(TensorAdjoint &adjoint, ApplyOp op) {
  if (op.getKind() == ApplyKind::argmax)
    return op->emitOpError("of 'argmax' has no derivative: which entry is "
                           "the largest is a choice");
  return differentiateBlocks(adjoint, op);
}

LogicalResult scaling::differentiatePlan(TensorAdjoint &adjoint, PlanOp op) {
  return differentiateBlocks(adjoint, op);
}
