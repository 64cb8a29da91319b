//===- ThreadPair.cpp - Two threads at two accesses -----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ThreadPair.h"

#include "scaling/Conversion/FormKernels/FormKernels.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include <numeric>

using namespace mlir;
using namespace mlir::scaling;

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

static bool isKernelArgument(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  return argument && isa<gpu::GPUFuncOp>(argument.getOwner()->getParentOp());
}

static bool hasKnownShift(memref::ViewOp view) {
  ArrayRef<int64_t> shape = view.getType().getShape();
  return matchPattern(view.getByteShift(), m_Constant()) &&
         llvm::all_of(
             shape.empty() ? shape : shape.drop_front(),
             [](int64_t size) { return !ShapedType::isDynamic(size); });
}

/// Whether every element of a memref of sizes that are not known has an address
/// of its own, from that of its source on.
static bool hasOwnElements(memref::ReinterpretCastOp recast) {
  SmallVector<OpFoldResult> sizes = recast.getMixedSizes();
  SmallVector<OpFoldResult> strides = recast.getMixedStrides();
  if (!isConstantIntValue(recast.getMixedOffsets()[0], 0) || strides.empty() ||
      !isConstantIntValue(strides.back(), 1) ||
      llvm::none_of(strides, [](OpFoldResult stride) {
        return !getConstantIntValue(stride);
      }))
    return false;
  for (size_t i = strides.size() - 1; i > 0; --i) {
    OpFoldResult size = sizes[i], inner = strides[i], outer = strides[i - 1];
    if (isConstantIntValue(inner, 1) && outer == size)
      continue;
    std::optional<int64_t> all = getConstantIntValue(outer);
    std::optional<int64_t> count = getConstantIntValue(size);
    std::optional<int64_t> each = getConstantIntValue(inner);
    if (all && count && each && *all == *count * *each)
      continue;
    auto value = dyn_cast<Value>(outer);
    auto product =
        value ? value.getDefiningOp<arith::MulIOp>() : arith::MulIOp();
    auto isFactor = [&](Value operand, OpFoldResult factor) {
      std::optional<int64_t> known = getConstantIntValue(factor);
      return known ? getConstantIntValue(operand) == known
                   : operand == cast<Value>(factor);
    };
    if (!product || !isFactor(product.getLhs(), size) ||
        !isFactor(product.getRhs(), inner))
      return false;
  }
  return true;
}

/// The memref that the address in an integer or a pointer is of.
static Value getAddressed(Value value) {
  SmallVector<Value> worklist{value};
  Value found;
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val().getDefiningOp();
    if (!op)
      continue;
    if (auto address = dyn_cast<memref::ExtractAlignedPointerAsIndexOp>(op)) {
      if (found && found != address.getSource())
        return {};
      found = address.getSource();
    } else if (auto element = dyn_cast<LLVM::GEPOp>(op)) {
      worklist.push_back(element.getBase());
    } else if (isa<LLVM::IntToPtrOp, LLVM::AddrSpaceCastOp, arith::IndexCastOp,
                   arith::AddIOp, affine::AffineApplyOp>(op)) {
      worklist.append(op->operand_begin(), op->operand_end());
    } else if (isa<LLVM::LLVMPointerType>(op->getResult(0).getType())) {
      return {};
    }
  }
  return found;
}

Value scaling::getMemory(Value value) {
  if (isa<LLVM::LLVMPointerType>(value.getType())) {
    Value addressed = getAddressed(value);
    return addressed ? getMemory(addressed) : Value();
  }
  while (Operation *op = value.getDefiningOp()) {
    if (auto view = dyn_cast<memref::ViewOp>(op)) {
      if (!hasKnownShift(view))
        return value;
      value = view.getSource();
    } else if (auto view = dyn_cast<ViewLikeOpInterface>(op)) {
      value = view.getViewSource();
    } else if (auto metadata = dyn_cast<memref::ExtractStridedMetadataOp>(op)) {
      value = metadata.getSource();
    } else if (isa<gpu::DynamicSharedMemoryOp>(op)) {
      // All are the same.
      auto kernel = op->getParentOfType<gpu::GPUFuncOp>();
      Value first;
      kernel.walk([&](gpu::DynamicSharedMemoryOp same) {
        first = same;
        return WalkResult::interrupt();
      });
      return first;
    } else if (isa<memref::AllocOp, memref::AllocaOp, memref::GetGlobalOp>(
                   op)) {
      return value;
    } else {
      return {};
    }
  }
  return isKernelArgument(value) ? value : Value();
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

bool scaling::isCopy(Operation *op) {
  auto assembly = dyn_cast<LLVM::InlineAsmOp>(op);
  return assembly && assembly.getAsmString() == kCopyAssembly;
}

bool scaling::isUniform(Value value, bool ofGrid) {
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    return isKernelArgument(value) ||
           (loop && argument == loop.getInductionVar() &&
            isUniform(loop.getLowerBound(), ofGrid) &&
            isUniform(loop.getStep(), ofGrid));
  }
  Operation *op = value.getDefiningOp();
  if (isa<gpu::BlockIdOp>(op))
    return !ofGrid;
  if (isa<gpu::GridDimOp, gpu::BlockDimOp, gpu::DynamicSharedMemoryOp>(op))
    return true;
  return op->getNumRegions() == 0 && (isMemoryEffectFree(op) || isCopy(op)) &&
         !isa<gpu::ThreadIdOp, gpu::LaneIdOp, gpu::SubgroupIdOp,
              gpu::ShuffleOp>(op) &&
         llvm::all_of(op->getOperands(), [&](Value operand) {
           return isUniform(operand, ofGrid);
         });
}

bool scaling::runsAtLeastOnce(scf::ForOp loop) {
  std::optional<llvm::APInt> trips = loop.getStaticTripCount();
  return trips && !trips->isZero();
}

bool ThreadPair::isCommon(Value value) const {
  if (!isUniform(value, which.ofBlocks))
    return false;
  Operation *op = value.getDefiningOp();
  if (op && op->getNumOperands() == 0)
    return true;
  Region *region = value.getParentRegion();
  if (which.isLoose)
    return isa<gpu::GPUFuncOp>(region->getParentOp());
  return region->isAncestor(which.barrier->getParentRegion()) &&
         !(again && again->isAncestor(region->getParentOp()));
}

Linear ThreadPair::fresh(Value value) {
  Linear result = fresh();
  if (isa_and_nonnull<memref::DimOp, gpu::BlockIdOp, gpu::GridDimOp>(
          value.getDefiningOp()))
    problem.require(IntegerProblem::atMost(Linear::of(0), result));
  return result;
}

Linear ThreadPair::freshBelow(int64_t limit) {
  Linear result = fresh();
  problem.require(IntegerProblem::atMost(Linear::of(0), result));
  problem.require(IntegerProblem::less(result, Linear::of(limit)));
  limits[result.terms.begin()->first] = limit;
  return result;
}

Linear ThreadPair::sum(const Linear &lhs, const Linear &rhs) {
  std::optional<Linear> result = add(lhs, rhs);
  return result ? *result : fresh();
}

Linear ThreadPair::product(const Linear &value, int64_t factor) {
  std::optional<Linear> result = multiply(value, factor);
  return result ? *result : fresh();
}

std::pair<Linear, Linear> ThreadPair::divide(const Linear &value,
                                             int64_t divisor) {
  // The same is divided again and again.
  if (value.terms.size() == 1 && value.constant == 0 &&
      value.terms.begin()->second == 1) {
    auto found = limits.find(value.terms.begin()->first);
    if (found != limits.end() && found->second <= divisor)
      return {Linear::of(0), value};
  }
  for (const auto &[dividend, by, quotient, remainder] : quotients)
    if (dividend == value && by == divisor)
      return {quotient, remainder};
  Linear quotient = fresh(), remainder = freshBelow(divisor);
  problem.require(
      IntegerProblem::equal(value, sum(product(quotient, divisor), remainder)));
  quotients.push_back({value, divisor, quotient, remainder});
  return {quotient, remainder};
}

ThreadPair::Division &ThreadPair::divide(Value value, Value divisor,
                                         Side side) {
  Linear dividend = evaluate(value, side), by = evaluate(divisor, side);
  for (auto &[operands, division] : divisions[side])
    if (division.value == dividend && division.divisor == by)
      return division;
  Linear quotient, remainder;
  if (by.isConstant() && by.constant > 0) {
    std::tie(quotient, remainder) = divide(dividend, by.constant);
    problem.require(IntegerProblem::atMost(Linear::of(0), quotient));
  } else {
    quotient = fresh();
    remainder = fresh();
    problem.require(IntegerProblem::atMost(Linear::of(0), quotient));
    problem.require(IntegerProblem::atMost(quotient, dividend));
    problem.require(IntegerProblem::atMost(Linear::of(0), remainder));
    problem.require(IntegerProblem::less(remainder, by));
  }
  divisions[side].push_back(
      {{value, divisor}, {dividend, by, quotient, remainder}});
  return divisions[side].back().second;
}

Linear ThreadPair::evaluateMinimum(const Linear &lhs, const Linear &rhs,
                                   bool isMaximum) {
  Linear result = fresh();
  SmallVector<Constraints> alternatives;
  for (auto [one, other] : {std::pair(lhs, rhs), std::pair(rhs, lhs)}) {
    Constraints is = IntegerProblem::equal(result, one);
    is.append(isMaximum ? IntegerProblem::atMost(other, one)
                        : IntegerProblem::atMost(one, other));
    alternatives.push_back(is);
  }
  problem.addChoice(alternatives);
  return result;
}

Linear ThreadPair::evaluateExpr(AffineExpr expr, ArrayRef<Linear> dims,
                                ArrayRef<Linear> symbols) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return Linear::of(constant.getValue());
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return dims[dim.getPosition()];
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
    return symbols[symbol.getPosition()];
  auto binary = cast<AffineBinaryOpExpr>(expr);
  Linear lhs = evaluateExpr(binary.getLHS(), dims, symbols);
  Linear rhs = evaluateExpr(binary.getRHS(), dims, symbols);
  if (binary.getKind() == AffineExprKind::Add)
    return sum(lhs, rhs);
  if (binary.getKind() == AffineExprKind::Mul) {
    if (lhs.isConstant())
      std::swap(lhs, rhs);
    return rhs.isConstant() ? product(lhs, rhs.constant) : fresh();
  }
  if (!rhs.isConstant() || rhs.constant <= 0)
    return fresh();
  if (binary.getKind() == AffineExprKind::CeilDiv)
    lhs = sum(lhs, Linear::of(rhs.constant - 1));
  auto [quotient, remainder] = divide(lhs, rhs.constant);
  return binary.getKind() == AffineExprKind::Mod ? remainder : quotient;
}

Linear ThreadPair::evaluateIndex(scf::ForOp loop, Side side) {
  Linear lower = evaluate(loop.getLowerBound(), side);
  Linear step = evaluate(loop.getStep(), side);
  // Of a step that is not known, what it is a multiple of.
  int64_t factor = step.constant;
  for (auto [variable, own] : step.terms)
    factor = std::gcd(factor, own);
  if (!step.isConstant() && factor == 0)
    factor = 1;
  Linear round = fresh();
  problem.require(IntegerProblem::atMost(Linear::of(0), round));
  Linear index = sum(lower, product(round, factor));
  // From the block's number on, in steps of how many blocks there are.
  if (which.ofBlocks && side != kCommon && !step.isConstant() &&
      step == product(numBlocks, factor)) {
    auto own = lower.terms.find(blocks[side].terms.begin()->first);
    if (own != lower.terms.end() && own->second == factor)
      ofBlock[side].push_back(sum(blocks[side], round));
  }
  problem.require(
      IntegerProblem::less(index, evaluate(loop.getUpperBound(), side)));
  return index;
}

Linear ThreadPair::evaluateOffset(memref::ExtractStridedMetadataOp op,
                                  Value value, Side side) {
  auto type = cast<MemRefType>(op.getSource().getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  auto view = op.getSource().getDefiningOp<memref::SubViewOp>();
  if (value != op.getOffset() ||
      failed(type.getStridesAndOffset(strides, offset)))
    return fresh(value);
  if (!ShapedType::isDynamic(offset))
    return Linear::of(offset);
  if (!view || !view.getSourceType().getLayout().isIdentity() ||
      failed(view.getSourceType().getStridesAndOffset(strides, offset)) ||
      llvm::any_of(strides, ShapedType::isDynamic))
    return fresh(value);
  Linear total;
  for (auto [begin, stride] :
       llvm::zip_equal(view.getMixedOffsets(), strides)) {
    std::optional<int64_t> constant = getConstantIntValue(begin);
    Linear own =
        constant ? Linear::of(*constant) : evaluate(cast<Value>(begin), side);
    total = sum(total, product(own, stride));
  }
  return total;
}

Linear ThreadPair::evaluate(Value value, Side side) {
  if (isCommon(value))
    side = kCommon;
  auto found = known[side].find(value);
  if (found != known[side].end())
    return found->second;
  Linear result = evaluateNow(value, side);
  known[side].try_emplace(value, result);
  return result;
}

Linear ThreadPair::evaluateFolded(OpFoldResult value, Side side) {
  std::optional<int64_t> constant = getConstantIntValue(value);
  return constant ? Linear::of(*constant) : evaluate(cast<Value>(value), side);
}

Linear ThreadPair::evaluateNow(Value value, Side side) {
  llvm::APInt constant;
  if (matchPattern(value, m_ConstantInt(&constant)))
    return constant.getSignificantBits() <= 64
               ? Linear::of(constant.getSExtValue())
               : fresh();
  Operation *op = value.getDefiningOp();
  if (!op) {
    auto argument = cast<BlockArgument>(value);
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    return loop && argument == loop.getInductionVar()
               ? evaluateIndex(loop, side)
               : fresh(value);
  }
  auto operand = [&](unsigned number) {
    return evaluate(op->getOperand(number), side);
  };
  if (auto block = dyn_cast<gpu::BlockIdOp>(op);
      block && block.getDimension() == gpu::Dimension::x)
    return blocks[side == kCommon ? kBefore : side];
  if (auto count = dyn_cast<gpu::GridDimOp>(op);
      count && count.getDimension() == gpu::Dimension::x)
    return numBlocks;
  if (isa<gpu::ThreadIdOp>(op))
    return cast<gpu::ThreadIdOp>(op).getDimension() == gpu::Dimension::x
               ? threads[side]
               : Linear::of(0);
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtUIOp,
          arith::ExtSIOp>(op))
    return op->getOperand(0).getType().isInteger(1) ? fresh() : operand(0);
  if (isCopy(op))
    return operand(0);
  if (isa<arith::AddIOp>(op))
    return sum(operand(0), operand(1));
  if (isa<arith::SubIOp>(op))
    return sum(operand(0), product(operand(1), -1));
  if (isa<arith::MulIOp>(op)) {
    Linear lhs = operand(0), rhs = operand(1);
    if (lhs.isConstant())
      std::swap(lhs, rhs);
    return rhs.isConstant() ? product(lhs, rhs.constant) : fresh(value);
  }
  if (isa<arith::DivUIOp, arith::DivSIOp>(op))
    return divide(op->getOperand(0), op->getOperand(1), side).quotient;
  if (isa<arith::RemUIOp, arith::RemSIOp>(op))
    return divide(op->getOperand(0), op->getOperand(1), side).remainder;
  if (isa<arith::MinUIOp, arith::MinSIOp>(op))
    return evaluateMinimum(operand(0), operand(1), /*isMaximum=*/false);
  if (isa<arith::MaxUIOp, arith::MaxSIOp>(op))
    return evaluateMinimum(operand(0), operand(1), /*isMaximum=*/true);
  if (auto select = dyn_cast<arith::SelectOp>(op)) {
    Linear result = fresh();
    SmallVector<Constraints> alternatives;
    for (auto [truth, chosen] : {std::pair(true, select.getTrueValue()),
                                 std::pair(false, select.getFalseValue())}) {
      Constraints is = IntegerProblem::equal(result, evaluate(chosen, side));
      for (Constraints &each : describe(select.getCondition(), truth, side)) {
        Constraints both = is;
        both.append(each);
        alternatives.push_back(both);
      }
    }
    problem.addChoice(alternatives);
    return result;
  }
  auto evaluateMap = [&](AffineMap map) {
    SmallVector<Linear> operands, results;
    for (Value each : op->getOperands())
      operands.push_back(evaluate(each, side));
    for (AffineExpr expr : map.getResults())
      results.push_back(
          evaluateExpr(expr, ArrayRef(operands).take_front(map.getNumDims()),
                       ArrayRef(operands).drop_front(map.getNumDims())));
    return results;
  };
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op))
    return evaluateMap(apply.getAffineMap()).front();
  if (auto minimum = dyn_cast<affine::AffineMinOp>(op)) {
    Linear result = fresh();
    SmallVector<Constraints> alternatives;
    for (const Linear &each : evaluateMap(minimum.getAffineMap())) {
      problem.require(IntegerProblem::atMost(result, each));
      alternatives.push_back(IntegerProblem::equal(result, each));
    }
    if (which.isThorough)
      problem.addChoice(alternatives);
    return result;
  }
  if (auto size = dyn_cast<memref::DimOp>(op))
    if (auto recast =
            size.getSource().getDefiningOp<memref::ReinterpretCastOp>())
      if (std::optional<int64_t> dim = size.getConstantIndex())
        return evaluateFolded(recast.getMixedSizes()[*dim], side);
  if (auto metadata = dyn_cast<memref::ExtractStridedMetadataOp>(op))
    return evaluateOffset(metadata, value, side);
  return fresh(value);
}

//===----------------------------------------------------------------------===//
// Conditions
//===----------------------------------------------------------------------===//

SmallVector<Constraints> ThreadPair::describe(Value condition, bool truth,
                                              Side side) {
  using Problem = IntegerProblem;
  SmallVector<Constraints> nothing{{}};
  Operation *op = condition.getDefiningOp();
  if (isa_and_nonnull<arith::AndIOp, arith::OrIOp>(op)) {
    SmallVector<Constraints> lhs = describe(op->getOperand(0), truth, side);
    SmallVector<Constraints> rhs = describe(op->getOperand(1), truth, side);
    if (isa<arith::AndIOp>(op) != truth) {
      lhs.append(rhs);
      return lhs;
    }
    SmallVector<Constraints> both;
    for (const Constraints &one : lhs) {
      for (const Constraints &other : rhs) {
        both.push_back(one);
        both.back().append(other);
      }
    }
    return both;
  }
  auto compare = dyn_cast_or_null<arith::CmpIOp>(op);
  if (!compare || compare.getLhs().getType().isInteger(1))
    return nothing;
  arith::CmpIPredicate predicate = compare.getPredicate();
  if (!truth)
    predicate = arith::invertPredicate(predicate);
  Linear lhs = evaluate(compare.getLhs(), side);
  Linear rhs = evaluate(compare.getRhs(), side);
  switch (predicate) {
  case arith::CmpIPredicate::eq:
    return {Problem::equal(lhs, rhs)};
  case arith::CmpIPredicate::ne:
    return {Problem::less(lhs, rhs), Problem::less(rhs, lhs)};
  case arith::CmpIPredicate::slt:
  case arith::CmpIPredicate::ult:
    return {Problem::less(lhs, rhs)};
  case arith::CmpIPredicate::sle:
  case arith::CmpIPredicate::ule:
    return {Problem::atMost(lhs, rhs)};
  case arith::CmpIPredicate::sgt:
  case arith::CmpIPredicate::ugt:
    return {Problem::less(rhs, lhs)};
  case arith::CmpIPredicate::sge:
  case arith::CmpIPredicate::uge:
    return {Problem::atMost(rhs, lhs)};
  }
  llvm_unreachable("all predicates are above");
}

void ThreadPair::assume(Value condition, bool truth, Side side) {
  SmallVector<Constraints> alternatives = describe(condition, truth, side);
  if (alternatives.size() == 1)
    problem.require(alternatives[0]);
  else
    problem.addChoice(alternatives);
}

void ThreadPair::reach(Operation *op, Side side) {
  for (Operation *parent = op->getParentOp(); !isa<gpu::GPUFuncOp>(parent);
       op = parent, parent = op->getParentOp()) {
    if (auto loop = dyn_cast<scf::ForOp>(parent))
      evaluate(loop.getInductionVar(), side);
    else if (auto branch = dyn_cast<scf::IfOp>(parent))
      assume(branch.getCondition(),
             op->getParentRegion() == &branch.getThenRegion(), side);
  }
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

static int64_t getElementBytes(MemRefType type) {
  return llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

/// The strides of a memref that are known, from where it begins.
static bool getStrides(MemRefType type, SmallVectorImpl<int64_t> &strides) {
  int64_t offset;
  return type.getElementType().isIntOrFloat() &&
         succeeded(type.getStridesAndOffset(strides, offset)) &&
         llvm::none_of(strides, ShapedType::isDynamic);
}

bool ThreadPair::toBytes(Value memory, Place &place) {
  if (place.isBytes)
    return true;
  auto type = cast<MemRefType>(memory.getType());
  SmallVector<int64_t> strides;
  if (!type.getLayout().isIdentity() || !getStrides(type, strides))
    return false;
  int64_t bytes = getElementBytes(type);
  Linear total;
  for (auto [index, stride] : llvm::zip_equal(place.indices, strides))
    total = sum(total, product(index, stride * bytes));
  place.indices = {total};
  place.isBytes = true;
  place.size = bytes;
  return true;
}

bool ThreadPair::descend(Value memref, Place &place, Side side) {
  while (Operation *op = memref.getDefiningOp()) {
    if (auto view = dyn_cast<memref::ViewOp>(op)) {
      if (!hasKnownShift(view))
        return true;
      if (!toBytes(memref, place))
        return false;
      place.indices[0] =
          sum(place.indices[0], evaluate(view.getByteShift(), side));
      memref = view.getSource();
      continue;
    }
    if (isa<memref::CastOp, memref::MemorySpaceCastOp>(op)) {
      memref = op->getOperand(0);
      continue;
    }
    if (place.isBytes)
      // Addresses are of what a view's memory begins with.
      if (isa<memref::SubViewOp, memref::CollapseShapeOp, memref::ExpandShapeOp,
              memref::ReinterpretCastOp, memref::ExtractStridedMetadataOp>(
              op)) {
        memref = op->getOperand(0);
        continue;
      }
    if (auto view = dyn_cast<memref::SubViewOp>(op)) {
      llvm::SmallBitVector dropped = view.getDroppedDims();
      SmallVector<Linear> indices;
      auto inner = place.indices.begin();
      for (auto [dim, begin, step] :
           llvm::enumerate(view.getMixedOffsets(), view.getMixedStrides())) {
        std::optional<int64_t> stride = getConstantIntValue(step);
        if (!stride)
          return false;
        indices.push_back(evaluateFolded(begin, side));
        if (!dropped.test(dim))
          indices.back() = sum(indices.back(), product(*inner++, *stride));
      }
      place.indices = indices;
      memref = view.getSource();
      continue;
    }
    if (auto collapse = dyn_cast<memref::CollapseShapeOp>(op)) {
      SmallVector<Linear> indices;
      ArrayRef<int64_t> shape = collapse.getSrcType().getShape();
      for (auto [group, index] :
           llvm::zip_equal(collapse.getReassociationIndices(), place.indices)) {
        SmallVector<Linear> own(group.size());
        Linear rest = index;
        for (size_t i = group.size() - 1; i > 0; --i) {
          int64_t size = shape[group[i]];
          if (ShapedType::isDynamic(size) || size == 0)
            return false;
          std::tie(rest, own[i]) = divide(rest, size);
        }
        own[0] = rest;
        indices.append(own);
      }
      // Of rank 0, all that is left out is of size 1.
      if (place.indices.empty())
        indices.assign(shape.size(), Linear::of(0));
      place.indices = indices;
      memref = collapse.getSrc();
      continue;
    }
    if (auto expand = dyn_cast<memref::ExpandShapeOp>(op)) {
      SmallVector<Linear> indices;
      ArrayRef<int64_t> shape = expand.getResultType().getShape();
      for (ReassociationIndices group : expand.getReassociationIndices()) {
        Linear total;
        for (int64_t dim : group) {
          if (dim != group.front() && ShapedType::isDynamic(shape[dim]))
            return false;
          if (dim != group.front())
            total = product(total, shape[dim]);
          total = sum(total, place.indices[dim]);
        }
        indices.push_back(total);
      }
      place.indices = indices;
      memref = expand.getSrc();
      continue;
    }
    if (auto recast = dyn_cast<memref::ReinterpretCastOp>(op)) {
      // If its source and its sizes are the same on both sides.
      if (!place.isBytes && hasOwnElements(recast) &&
          llvm::all_of(recast.getOperands(),
                       [&](Value operand) { return isCommon(operand); })) {
        place.base = recast;
        return true;
      }
      // From where the buffer begins, in elements.
      Linear total = evaluateFolded(recast.getMixedOffsets()[0], side);
      for (auto [index, step, size] :
           llvm::zip_equal(place.indices, recast.getMixedStrides(),
                           recast.getMixedSizes())) {
        Linear stride = evaluateFolded(step, side);
        std::optional<int64_t> count = getConstantIntValue(size);
        if (stride.isConstant()) {
          total = sum(total, product(index, stride.constant));
        } else if (index.isConstant()) {
          total = sum(total, product(stride, index.constant));
        } else if (count) {
          // No element is beyond the last one.
          Linear part = fresh();
          problem.require(IntegerProblem::atMost(Linear::of(0), part));
          problem.require(
              IntegerProblem::atMost(part, product(stride, *count - 1)));
          total = sum(total, part);
        } else {
          return false;
        }
      }
      int64_t bytes = getElementBytes(recast.getType());
      place.indices = {product(total, bytes)};
      place.isBytes = true;
      place.size = bytes;
      memref = recast.getSource();
      continue;
    }
    return isa<gpu::DynamicSharedMemoryOp, memref::AllocOp, memref::AllocaOp,
               memref::GetGlobalOp>(op);
  }
  return isKernelArgument(memref);
}

std::optional<Linear> ThreadPair::evaluateAddress(Value value, Side side) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  if (auto address = dyn_cast<memref::ExtractAlignedPointerAsIndexOp>(op)) {
    Place place{{Linear::of(0)}, true, true, 1};
    if (!descend(address.getSource(), place, side))
      return std::nullopt;
    return place.indices[0];
  }
  if (isa<LLVM::IntToPtrOp, LLVM::AddrSpaceCastOp, arith::IndexCastOp>(op))
    return evaluateAddress(op->getOperand(0), side);
  if (auto element = dyn_cast<LLVM::GEPOp>(op)) {
    std::optional<Linear> base = evaluateAddress(element.getBase(), side);
    if (!base || element.getIndices().size() != 1 ||
        !element.getElemType().isIntOrFloat())
      return std::nullopt;
    auto index = element.getIndices()[0];
    Linear offset =
        isa<Value>(index)
            ? evaluate(cast<Value>(index), side)
            : Linear::of(cast<IntegerAttr>(index).getValue().getSExtValue());
    return sum(
        *base,
        product(offset, llvm::divideCeil(
                            element.getElemType().getIntOrFloatBitWidth(), 8)));
  }
  SmallVector<Value> operands(op->getOperands());
  auto isAddress = [](Value operand) { return bool(getAddressed(operand)); };
  auto *which = llvm::find_if(operands, isAddress);
  if (which == operands.end() || llvm::count_if(operands, isAddress) != 1)
    return std::nullopt;
  std::optional<Linear> base = evaluateAddress(*which, side);
  if (!base)
    return std::nullopt;
  if (isa<arith::AddIOp>(op))
    return sum(*base, evaluate(operands[1 - (which - operands.begin())], side));
  auto apply = dyn_cast<affine::AffineApplyOp>(op);
  if (!apply)
    return std::nullopt;
  // Once, and nothing else done with it.
  AffineMap map = apply.getAffineMap();
  unsigned number = which - operands.begin();
  AffineExpr own =
      number < map.getNumDims()
          ? getAffineDimExpr(number, map.getContext())
          : getAffineSymbolExpr(number - map.getNumDims(), map.getContext());
  AffineExpr rest = simplifyAffineExpr(map.getResult(0) - own, map.getNumDims(),
                                       map.getNumSymbols());
  if (number < map.getNumDims()
          ? rest.isFunctionOfDim(number)
          : rest.isFunctionOfSymbol(number - map.getNumDims()))
    return std::nullopt;
  SmallVector<Linear> values;
  for (auto [i, operand] : llvm::enumerate(operands))
    values.push_back(i == number ? Linear() : evaluate(operand, side));
  return sum(*base,
             evaluateExpr(rest, ArrayRef(values).take_front(map.getNumDims()),
                          ArrayRef(values).drop_front(map.getNumDims())));
}

ThreadPair::Place ThreadPair::locate(const Access &access, Side side) {
  Place place;
  if (isa<LLVM::LLVMPointerType>(access.where.getType())) {
    std::optional<Linear> address = evaluateAddress(access.where, side);
    if (!address || access.bytes == 0)
      return place;
    return {{*address}, true, true, access.bytes};
  }
  if (!access.hasIndices)
    return place;
  // No access is out of bounds.
  auto type = cast<MemRefType>(access.where.getType());
  for (auto [index, size] : llvm::zip_equal(access.indices, type.getShape())) {
    Linear added = Linear::of(index.first);
    if (index.first != index.last) {
      added = fresh();
      problem.require(IntegerProblem::atMost(Linear::of(index.first), added));
      problem.require(IntegerProblem::atMost(added, Linear::of(index.last)));
    }
    place.indices.push_back(
        index.value ? sum(evaluate(index.value, side), added) : added);
    problem.require(
        IntegerProblem::atMost(Linear::of(0), place.indices.back()));
    if (!ShapedType::isDynamic(size))
      problem.require(
          IntegerProblem::less(place.indices.back(), Linear::of(size)));
  }
  place.isKnown = descend(access.where, place, side);
  return place;
}

bool ThreadPair::mayMeet(const Access &before, const Access &after) {
  again = before.again;
  if (!again || (after.again && after.again->isProperAncestor(again)))
    again = after.again;
  numBlocks = fresh();
  for (Side side : {kBefore, kAfter}) {
    threads[side] = freshBelow(which.numThreads);
    blocks[side] =
        which.ofBlocks || side == kBefore ? fresh() : blocks[kBefore];
    if (which.firstOther == side)
      problem.require(IntegerProblem::less(Linear::of(0), threads[side]));
    problem.require(IntegerProblem::atMost(Linear::of(0), blocks[side]));
    problem.require(IntegerProblem::less(blocks[side], numBlocks));
  }
  auto differ = [&](const Linear &one, const Linear &other) {
    problem.addChoice(
        {IntegerProblem::less(one, other), IntegerProblem::less(other, one)});
  };
  if (which.ofBlocks)
    differ(blocks[kBefore], blocks[kAfter]);
  else
    differ(threads[kBefore], threads[kAfter]);
  reach(before.op, kBefore);
  reach(after.op, kAfter);
  // A loop that has begun again is further on.
  auto loop = dyn_cast_or_null<scf::ForOp>(again);
  if (loop && !before.isPending && !after.isPending &&
      loop->isAncestor(before.op) && loop->isAncestor(after.op))
    problem.require(
        IntegerProblem::less(evaluate(loop.getInductionVar(), kBefore),
                             evaluate(loop.getInductionVar(), kAfter)));
  Place first = locate(before, kBefore), second = locate(after, kAfter);
  if (first.isKnown && second.isKnown && first.base == second.base) {
    if (first.isBytes == second.isBytes ||
        (toBytes(before.memory, first) && toBytes(before.memory, second))) {
      if (first.isBytes) {
        problem.require(IntegerProblem::less(
            first.indices[0], sum(second.indices[0], Linear::of(second.size))));
        problem.require(IntegerProblem::less(
            second.indices[0], sum(first.indices[0], Linear::of(first.size))));
      } else {
        for (auto [one, other] : llvm::zip_equal(first.indices, second.indices))
          problem.require(IntegerProblem::equal(one, other));
      }
    }
  }
  // They have the remainders of different blocks.
  for (const Linear &one : ofBlock[kBefore])
    for (const Linear &other : ofBlock[kAfter])
      differ(one, other);
  // By the same number that is not known, what has the same quotient and the
  // same remainder is the same.
  for (const auto &[operands, one] : divisions[kBefore]) {
    for (const auto &[others, other] : divisions[kAfter]) {
      if (one.divisor.isConstant() || !(one.divisor == other.divisor))
        continue;
      Constraints same = IntegerProblem::equal(one.quotient, other.quotient);
      same.append(IntegerProblem::equal(one.remainder, other.remainder));
      same.append(IntegerProblem::equal(one.value, other.value));
      Constraints below = IntegerProblem::less(one.quotient, other.quotient);
      below.append(IntegerProblem::less(one.value, other.value));
      Constraints above = IntegerProblem::less(other.quotient, one.quotient);
      above.append(IntegerProblem::less(other.value, one.value));
      problem.addChoice({same, below, above,
                         IntegerProblem::less(one.remainder, other.remainder),
                         IntegerProblem::less(other.remainder, one.remainder)});
    }
  }
  return problem.mayHaveSolution();
}
