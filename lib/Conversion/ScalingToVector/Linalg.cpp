//===- Linalg.cpp - Elementwise structured ops as vector loops ------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// What generalization and decomposition emit around the core ops: elementwise
// computations and reductions whose last loop is parallel, or folds into one
// flag, maximum or sum. Everything else is left to upstream's scalar loops.
//
//===----------------------------------------------------------------------===//

#include "VectorEmitter.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::scaling;

/// The or, the maximum or the sum that a reduction folds its entries with, if
/// it is one.
static Operation *findFold(linalg::LinalgOp op) {
  if (op.getNumDpsInits() != 1)
    return nullptr;
  Block *body = op.getBlock();
  Operation *fold = body->getTerminator()->getOperand(0).getDefiningOp();
  if (!isa_and_present<arith::OrIOp, arith::MaximumFOp, arith::AddFOp>(fold) ||
      !llvm::is_contained(fold->getOperands(), body->getArguments().back()) ||
      !body->getArguments().back().hasOneUse() ||
      (isa<arith::OrIOp>(fold) && !fold->getResult(0).getType().isInteger(1)))
    return nullptr;
  return fold;
}

/// What a fold joins with the state.
static Value getFolded(linalg::LinalgOp op, Operation *fold) {
  Value state = op.getBlock()->getArguments().back();
  return fold->getOperand(fold->getOperand(0) == state ? 1 : 0);
}

/// Whether the op's body is arithmetic on scalars that works on vectors alike.
static bool isVectorizableBody(linalg::LinalgOp op) {
  auto isScalar = [](Type type) {
    return type.isIntOrIndexOrFloat() && !isa<VectorType>(type);
  };
  return llvm::all_of(op.getBlock()->without_terminator(), [&](Operation &in) {
    return in.getNumRegions() == 0 &&
           llvm::all_of(in.getOperandTypes(), isScalar) &&
           llvm::all_of(in.getResultTypes(), isScalar) &&
           (isa<linalg::IndexOp, arith::ConstantOp>(in) ||
            in.hasTrait<OpTrait::Vectorizable>());
  });
}

/// Whether the last loop can be vectors: every operand runs along it last, or
/// not at all.
static bool isVectorizable(linalg::LinalgOp op) {
  unsigned last = op.getNumLoops() - 1;
  if (op.getNumLoops() == 0 || !isVectorizableBody(op))
    return false;
  for (OpOperand &operand : op->getOpOperands()) {
    Type type = operand.get().getType();
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
      return false;
    bool isInit = op.isDpsInit(&operand);
    if (auto memref = dyn_cast<MemRefType>(type)) {
      if (!memref.getElementType().isIntOrFloat())
        return false;
      bool runs = map.isFunctionOfDim(last);
      bool parallel =
          op.getIteratorTypesArray()[last] == utils::IteratorType::parallel;
      if (runs && (map.getNumResults() == 0 ||
                   map.getResult(map.getNumResults() - 1) !=
                       getAffineDimExpr(last, op.getContext())))
        return false;
      if (runs && !memref.isLastDimUnitStride())
        return false;
      if (isInit && runs != parallel)
        return false;
    } else if (isInit || !type.isIntOrIndexOrFloat()) {
      return false;
    }
  }
  if (op.getIteratorTypesArray()[last] == utils::IteratorType::reduction)
    return op.getNumReductionLoops() == 1 && findFold(op);
  int64_t range = op.getStaticLoopRanges()[last];
  return ShapedType::isDynamic(range) || range > 1;
}

namespace {
class LinalgLowering {
public:
  LinalgLowering(linalg::LinalgOp op, FloatType compute, RewriterBase &rewriter,
                 const ScalingToVectorPassOptions &options)
      : op(op), rank(op.getNumLoops()),
        e(rewriter, op->getLoc(), compute, rank - 1, options), at(rank) {
    for (OpOperand &operand : op->getOpOperands()) {
      MappedBuffer buffer{operand.get(), {}};
      for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults()) {
        auto dim = dyn_cast<AffineDimExpr>(expr);
        buffer.dims.push_back(dim ? dim.getPosition() : kNoDim);
      }
      buffers.push_back(buffer);
    }
    e.chooseLanes(buffers);
  }

  void lower();

private:
  using Values = SmallVector<Value>;

  /// What the op yields for the entries at `at`, whose states `states` are.
  Values compute(ValueRange states, Value mask, Operation *without = nullptr);

  /// Folds `size` entries along the last loop into one state: in lanes, which
  /// are folded at the end.
  void foldEntries(Operation *fold, Value size);

  /// The states after loops along `dims`.
  Values reduce(ArrayRef<int64_t> dims, ArrayRef<Value> sizes, Values states,
                Value mask);

  linalg::LinalgOp op;
  int64_t rank;
  VectorEmitter e;
  Position at;
  SmallVector<MappedBuffer> buffers;
  /// Of the last call of `compute`.
  IRMapping mapping;
};
} // namespace

SmallVector<Value> LinalgLowering::compute(ValueRange states, Value mask,
                                           Operation *without) {
  mapping.clear();
  Block *body = op.getBlock();
  unsigned inputs = op.getNumDpsInputs();
  for (auto [index, argument] : llvm::enumerate(body->getArguments()))
    if (!argument.use_empty() && index < inputs)
      mapping.map(argument, e.loadRaw(buffers[index], at, mask));
  for (auto [argument, state] :
       llvm::zip(body->getArguments().drop_front(inputs), states))
    mapping.map(argument, state);
  auto lookup = [&](Value value) {
    if (!mapping.contains(value))
      mapping.map(value, e.splat(value));
    return mapping.lookup(value);
  };
  for (Operation &inner : body->without_terminator()) {
    if (&inner == without)
      continue;
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      Value value = e.splat(at[index.getDim()]);
      if (static_cast<int64_t>(index.getDim()) == rank - 1 && e.lanes > 1)
        value = arith::AddIOp::create(
            e.b, e.loc, value,
            vector::StepOp::create(e.b, e.loc,
                                   cast<VectorType>(value.getType())));
      mapping.map(index.getResult(), value);
      continue;
    }
    if (auto constant = dyn_cast<arith::ConstantOp>(inner)) {
      Value scalar = arith::ConstantOp::create(
          e.b, e.loc, cast<TypedAttr>(constant.getValue()));
      mapping.map(constant.getResult(), e.splat(scalar));
      continue;
    }
    Values operands;
    SmallVector<Type> types;
    for (Value operand : inner.getOperands())
      operands.push_back(lookup(operand));
    for (Type type : inner.getResultTypes())
      types.push_back(e.typeOf(e.lanes, type));
    Operation *cloned = mlir::clone(e.b, &inner, types, operands);
    mapping.map(inner.getResults(), cloned->getResults());
  }
  Values results;
  if (!without)
    for (Value value : body->getTerminator()->getOperands())
      results.push_back(lookup(value));
  return results;
}

SmallVector<Value> LinalgLowering::reduce(ArrayRef<int64_t> dims,
                                          ArrayRef<Value> sizes, Values states,
                                          Value mask) {
  if (dims.empty())
    return compute(states, mask);
  return e.loop(e.index(0), sizes.front(), 1, states,
                [&](Value iv, ValueRange carried) {
                  at[dims.front()] = iv;
                  return reduce(dims.drop_front(), sizes.drop_front(),
                                Values(carried), mask);
                });
}

void LinalgLowering::foldEntries(Operation *fold, Value size) {
  Value rhs = getFolded(op, fold);
  Type element = rhs.getType();
  bool isFlag = isa<arith::OrIOp>(fold), isMax = isa<arith::MaximumFOp>(fold);
  TypedAttr neutral = e.b.getZeroAttr(element);
  if (isMax)
    neutral = FloatAttr::get(
        element, APFloat::getInf(cast<FloatType>(element).getFloatSemantics(),
                                 /*Negative=*/true));
  Value identity = arith::ConstantOp::create(e.b, e.loc, neutral);
  auto combine = [&](Value lhs, Value rhs) -> Value {
    if (isFlag)
      return arith::OrIOp::create(e.b, e.loc, lhs, rhs);
    if (isMax)
      return arith::MaximumFOp::create(e.b, e.loc, lhs, rhs);
    return arith::AddFOp::create(e.b, e.loc, lhs, rhs);
  };
  // Flags are folded as they come: a test of a mask register.
  Value folded = e.vectors(
      e.index(0), size, /*unroll=*/1, isFlag ? identity : e.splat(identity),
      [&](ArrayRef<Value> begins, ArrayRef<Value> masks,
          ValueRange carried) -> Values {
        at.back() = begins[0];
        compute({}, masks[0], fold);
        Value entry =
            mapping.contains(rhs) ? mapping.lookup(rhs) : e.splat(rhs);
        entry = e.select(masks[0], entry, e.splat(identity));
        if (isFlag && isa<VectorType>(entry.getType()))
          entry = vector::ReductionOp::create(e.b, e.loc,
                                              vector::CombiningKind::OR, entry);
        return {combine(carried[0], entry)};
      })[0];
  folded = e.fold(folded, combine);
  // In the type of the states whatever the arithmetic's is.
  Value state = memref::LoadOp::create(e.b, e.loc, op.getDpsInits()[0],
                                       e.indicesOf(buffers.back(), at));
  e.store(buffers.back(), at, combine(state, folded));
}

void LinalgLowering::lower() {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  Values sizes;
  for (auto [dim, range] : llvm::enumerate(ranges))
    sizes.push_back(ShapedType::isDynamic(range) ? e.sizeOf(dim, buffers)
                                                 : e.index(range));
  SmallVector<int64_t> outer, reduced;
  Values outerSizes, reducedSizes;
  int64_t entries = 1;
  for (int64_t loop = 0; loop < rank - 1; ++loop) {
    bool reduces =
        op.getIteratorTypesArray()[loop] == utils::IteratorType::reduction;
    (reduces ? reduced : outer).push_back(loop);
    (reduces ? reducedSizes : outerSizes).push_back(sizes[loop]);
    entries *= std::max<int64_t>(ranges[loop], 1);
  }
  ArrayRef<MappedBuffer> outs =
      ArrayRef(buffers).drop_front(op.getNumDpsInputs());
  if (ranges[rank - 1] == e.lanes &&
      llvm::none_of(ranges, ShapedType::isDynamic))
    e.unrollIfFew(entries);

  if (Operation *fold = findFold(op);
      fold &&
      op.getIteratorTypesArray()[rank - 1] == utils::IteratorType::reduction) {
    e.nest(at, outer, outerSizes, [&] { foldEntries(fold, sizes.back()); });
    return;
  }

  e.nest(at, outer, outerSizes, [&] {
    e.vectors(e.index(0), sizes.back(), [&](Value begin, Value mask) {
      at.back() = begin;
      Values states;
      for (auto [index, out] : llvm::enumerate(outs)) {
        bool isRead = !op.getBlock()
                           ->getArgument(op.getNumDpsInputs() + index)
                           .use_empty();
        states.push_back(isRead || !reduced.empty() ? e.loadRaw(out, at, mask)
                                                    : Value());
      }
      states = reduce(reduced, reducedSizes, states, mask);
      for (auto [out, state] : llvm::zip_equal(outs, states))
        e.storeRaw(out, at, state, mask);
    });
  });
}

namespace {
struct LinalgToVector final : OpInterfaceRewritePattern<linalg::LinalgOp> {
  LinalgToVector(MLIRContext *context,
                 const ScalingToVectorPassOptions &options)
      : OpInterfaceRewritePattern(context), options(options) {}

  LogicalResult matchAndRewrite(linalg::LinalgOp op,
                                PatternRewriter &rewriter) const override {
    if (!op.hasPureBufferSemantics() || !isVectorizable(op))
      return rewriter.notifyMatchFailure(op, "has no vectors");
    FloatType compute = Float32Type::get(op.getContext());
    for (Value operand : op->getOperands())
      if (getElementTypeOrSelf(operand).isF64())
        compute = Float64Type::get(op.getContext());
    LinalgLowering(op, compute, rewriter, options).lower();
    rewriter.eraseOp(op);
    return success();
  }

  ScalingToVectorPassOptions options;
};
} // namespace

void scaling::populateLinalgToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options) {
  patterns.add<LinalgToVector>(patterns.getContext(), options);
}
