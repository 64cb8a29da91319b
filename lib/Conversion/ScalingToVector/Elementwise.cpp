//===- Elementwise.cpp - Updates and plans as loops over vectors ----------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorEmitter.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::scaling;

Value scaling::createPlanAt(VectorEmitter &e, Domain domain, bool logarithm,
                            ArrayRef<Value> parts) {
  return createPlanEntry(e.b, e.loc, domain != Domain::kernel, logarithm,
                         parts[0], parts[1], parts[2], parts[3], parts[4]);
}

/// Loops over all of a domain, the last dimension in vectors. `body` makes
/// what goes to each of `outs` of what `inputs` hold, null where they are.
/// Inputs that do not run along vectors are loaded before the innermost loop.
static void
createElementwise(VectorEmitter &e, int64_t rank, ArrayRef<MappedBuffer> inputs,
                  ArrayRef<MappedBuffer> outs, bool inLanes,
                  function_ref<SmallVector<Value>(ArrayRef<Value>)> body) {
  SmallVector<MappedBuffer> all(inputs);
  llvm::append_range(all, outs);
  e.chooseLanes(all);
  SmallVector<int64_t> dims;
  SmallVector<Value> sizes;
  for (int64_t dim = 0; dim < rank; ++dim) {
    dims.push_back(dim);
    sizes.push_back(e.sizeOf(dim, all));
  }
  Position at(rank);
  // Matrices side by side.
  if (inLanes) {
    int64_t entries = 1;
    for (Value size : ArrayRef(sizes).drop_back())
      entries *= VectorEmitter::known(size).value_or(ShapedType::kDynamic);
    if (entries >= 0)
      e.unrollIfFew(entries);
  }
  e.nest(at, ArrayRef(dims).drop_back(), ArrayRef(sizes).drop_back(), [&] {
    SmallVector<Value> values(inputs.size());
    for (auto [value, input] : llvm::zip_equal(values, inputs))
      if (!input.runsAlong(e.vectorDim))
        value = e.load(input, at);
    e.vectors(e.index(0), sizes.back(), [&](Value begin, Value mask) {
      at.back() = begin;
      SmallVector<Value> here(values);
      for (auto [value, input] : llvm::zip_equal(here, inputs))
        if (input.runsAlong(e.vectorDim))
          value = e.load(input, at, mask);
      for (auto [out, result] : llvm::zip_equal(outs, body(here)))
        e.store(out, at, result, mask);
    });
  });
}

/// Lets products be fused with the sums that they are part of.
static void allowFusing(llvm::iterator_range<Block::iterator> ops) {
  for (Operation &op : ops) {
    if (auto product = dyn_cast<arith::MulFOp>(op))
      product.setFastmath(arith::FastMathFlags::contract);
    else if (auto sum = dyn_cast<arith::AddFOp>(op))
      sum.setFastmath(arith::FastMathFlags::contract);
  }
}

namespace {
struct UpdateToVector final : OpRewritePattern<UpdateOp> {
  UpdateToVector(MLIRContext *context,
                 const ScalingToVectorPassOptions &options)
      : OpRewritePattern(context), options(options) {}

  LogicalResult matchAndRewrite(UpdateOp op,
                                PatternRewriter &rewriter) const override {
    if (!isOnBuffers(op))
      return rewriter.notifyMatchFailure(op, "not on memrefs");
    int64_t rank = op.getStructuredIteratorTypes().size();
    VectorEmitter e(rewriter, op.getLoc(), getArithmeticType(op.getOwn()),
                    rank - 1, options);
    BufferReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    SmallVector<MappedBuffer> states = reader.read(op.getStates());
    SmallVector<MappedBuffer> inputs{reader.read(op.getOwn())};
    inputs.push_back(reader.read(op.getTarget()));
    inputs.push_back(reader.read(op.getMask()));
    inputs.push_back(reader.read(op.getOmega()));
    llvm::append_range(inputs, states);
    SmallVector<MappedBuffer> outs = reader.read(op.getOuts());

    bool inLanes = op.getAxisDim() != rank - 1;
    auto update = [&] {
      createElementwise(
          e, rank, inputs, outs, inLanes, [&](ArrayRef<Value> values) {
            Value own = values[0], target = values[1], mask = values[2];
            Block *block = rewriter.getInsertionBlock();
            auto point = rewriter.getInsertionPoint();
            Operation *before =
                point == block->begin() ? nullptr : &*std::prev(point);
            Updated updated = createUpdate(
                rewriter, op.getLoc(), op.getRule(), op.getDomain(),
                values.drop_front(4), own, target, mask, /*omega=*/values[3]);
            if (e.contract)
              allowFusing(
                  {before ? std::next(before->getIterator()) : block->begin(),
                   point});
            SmallVector<Value> results{updated.factor};
            if (outs.size() == 2)
              results.push_back(updated.planStatistic);
            return results;
          });
    };
    MappedBuffer &omega = inputs[3];
    if (omega && omega.dims.empty()) {
      // Relaxation takes a logarithm and an exponential of what is often done
      // for a few entries only, between two reads: not where ω is one.
      Value one = e.constant(1.0, 1);
      Value isPlain = arith::CmpFOp::create(
          rewriter, op.getLoc(), arith::CmpFPredicate::OEQ,
          e.loadScalar(omega, Position(rank)), one);
      auto branch = scf::IfOp::create(rewriter, op.getLoc(), isPlain,
                                      /*withElseRegion=*/true);
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPointToStart(branch.elseBlock());
      update();
      omega = {};
      rewriter.setInsertionPointToStart(branch.thenBlock());
      update();
    } else {
      update();
    }
    rewriter.eraseOp(op);
    return success();
  }

  ScalingToVectorPassOptions options;
};

struct PlanToVector final : OpRewritePattern<PlanOp> {
  PlanToVector(MLIRContext *context, const ScalingToVectorPassOptions &options)
      : OpRewritePattern(context), options(options) {}

  LogicalResult matchAndRewrite(PlanOp op,
                                PatternRewriter &rewriter) const override {
    if (!isOnBuffers(op))
      return rewriter.notifyMatchFailure(op, "not on memrefs");
    int64_t rank = op.getStructuredIteratorTypes().size();
    FloatType compute = getArithmeticType(SmallVector<Value>(op.getOperands()));
    // A kernel of logarithms in f64: their sum needs the digits, its
    // exponential only those of the result.
    FloatType result = getArithmeticType(op.getOuts());
    FloatType narrow;
    if (op.getDomain() == Domain::absorb && !op.getLogarithm() &&
        result.getWidth() < compute.getWidth())
      narrow = result;
    VectorEmitter e(rewriter, op.getLoc(), narrow ? narrow : compute, rank - 1,
                    options);
    e.compute = compute;
    BufferReader reader(cast<ScalingStructuredOpInterface>(op.getOperation()));
    SmallVector<MappedBuffer> inputs;
    for (Value value : {op.getMatrix(), op.getRow(), op.getCol(),
                        op.getRowWeight(), op.getColWeight()})
      inputs.push_back(reader.read(value));
    MappedBuffer out = reader.read(op.getOuts());
    createElementwise(
        e, rank, inputs, out, /*inLanes=*/op.getMatrixDims().second != rank - 1,
        [&](ArrayRef<Value> values) -> SmallVector<Value> {
          return {createPlanEntry(rewriter, op.getLoc(),
                                  op.getDomain() != Domain::kernel,
                                  op.getLogarithm(), values[0], values[1],
                                  values[2], values[3], values[4], narrow)};
        });
    rewriter.eraseOp(op);
    return success();
  }

  ScalingToVectorPassOptions options;
};
} // namespace

void scaling::populateElementwiseToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options) {
  patterns.add<UpdateToVector, PlanToVector>(patterns.getContext(), options);
}
