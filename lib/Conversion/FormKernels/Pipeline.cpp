//===- Pipeline.cpp - Copies that run ahead -------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Distribute.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace mlir::scaling;

/// Copies of a thread's that are straight code.
static constexpr int64_t kMostUnrolled = 16;

/// Copies of so many bytes pass by L1, which nobody would read them from.
static constexpr int64_t kWideBytes = 16;

static int64_t getCopyElements(memref::SubViewOp view) {
  MemRefType type = view.getType();
  int64_t bytes = type.getElementTypeBitWidth() / 8;
  int64_t wide = kWideBytes / std::max<int64_t>(bytes, 1);
  if (bytes > 0 && bytes <= kWideBytes &&
      isMultiple(getSizes(view).back(), wide) && isAligned(view, wide))
    return wide;
  return bytes == 4 || bytes == 8 ? 1 : 0;
}

bool scaling::canPipeline(memref::SubViewOp view, scf::ForOp loop) {
  MemRefType type = view.getType();
  auto isKnownBefore = [&](Value value) {
    return value == loop.getInductionVar() ||
           !loop->isAncestor(value.getParentRegion()->getParentOp());
  };
  return view->getBlock() == loop.getBody() && loop.getNumResults() == 0 &&
         type.getRank() > 0 && getMostElements(view) &&
         llvm::none_of(type.getShape().drop_back(), ShapedType::isDynamic) &&
         type.getElementType().isIntOrFloat() && getCopyElements(view) > 0 &&
         llvm::all_of(view->getOperands(), isKnownBefore);
}

/// So many bytes after the element of a buffer with that number.
static Value createAddress(OpBuilder &b, Location loc, Value buffer,
                           Value element, int64_t further, unsigned space) {
  int64_t bytes =
      cast<MemRefType>(buffer.getType()).getElementTypeBitWidth() / 8;
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, loc, buffer);
  AffineExpr d0, d1;
  bindDims(b.getContext(), d0, d1);
  Value address = affine::AffineApplyOp::create(b, loc, d0 + d1 * bytes,
                                                ValueRange{base, element});
  Value word = arith::IndexCastOp::create(b, loc, b.getI64Type(), address);
  auto type = LLVM::LLVMPointerType::get(b.getContext(), space);
  Value pointer = LLVM::IntToPtrOp::create(b, loc, type, word);
  if (further == 0)
    return pointer;
  return LLVM::GEPOp::create(b, loc, type, b.getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{int32_t(further)});
}

namespace {
/// The copies of one view.
class Pipeliner {
public:
  Pipeliner(RewriterBase &b, memref::SubViewOp view, scf::ForOp loop,
            int64_t stages, const Workers &workers)
      : b(b), view(view), loop(loop), stages(stages), workers(workers),
        loc(view.getLoc()) {}

  void run();

private:
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value slotOf(Value iteration) {
    return b.createOrFold<arith::RemUIOp>(loc, iteration, index(stages));
  }
  /// Asks for the part of an iteration, if there is such.
  void request(Value iteration);
  void copy(Value iteration);
  /// The same where rows are as long as it turns out.
  void copyRows(memref::ExtractStridedMetadataOp metadata, Value begin,
                int64_t perCopy, function_ref<void(Value, Value)> copyTo);

  RewriterBase &b;
  memref::SubViewOp view;
  scf::ForOp loop;
  int64_t stages;
  const Workers &workers;
  Location loc;
  Value copies, trips;
};
} // namespace

void Pipeliner::copy(Value iteration) {
  AffineExpr d0, d1, d2;
  bindDims(b.getContext(), d0, d1, d2);
  IRMapping mapping;
  OpFoldResult position = affine::makeComposedFoldedAffineApply(
      b, loc, d0 + d1 * d2,
      {getAsOpFoldResult(loop.getLowerBound()), iteration,
       getAsOpFoldResult(loop.getStep())});
  mapping.map(loop.getInductionVar(),
              getValueOrCreateConstantIndexOp(b, loc, position));
  Value part = b.clone(*view, mapping)->getResult(0);
  auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, part);
  MemRefType type = view.getType();
  int64_t perCopy = getCopyElements(view);
  int64_t bytes = perCopy * type.getElementTypeBitWidth() / 8;
  Value begin = arith::MulIOp::create(b, loc, slotOf(iteration),
                                      index(*getMostElements(view)))
                    .getResult();
  SmallVector<OpFoldResult> strides = metadata.getConstifiedMixedStrides();
  bool isWhole = type.areTrailingDimsContiguous(type.getRank());
  auto copyTo = [&](Value to, Value from, int64_t further = 0) {
    NVVM::CpAsyncOp::create(
        b, loc,
        createAddress(b, loc, copies, to, further,
                      static_cast<unsigned>(NVVM::NVVMMemorySpace::Shared)),
        createAddress(b, loc, metadata.getBaseBuffer(), from, further,
                      static_cast<unsigned>(NVVM::NVVMMemorySpace::Global)),
        bytes,
        bytes == kWideBytes ? NVVM::LoadCacheModifierKind::CG
                            : NVVM::LoadCacheModifierKind::CA,
        /*cpSize=*/Value());
  };
  if (!type.hasStaticShape())
    return copyRows(metadata, begin, perCopy, copyTo);
  auto copyOne = [&](Value number) {
    Value element = b.createOrFold<arith::MulIOp>(loc, number, index(perCopy));
    Value from = getValueOrCreateConstantIndexOp(
        b, loc, metadata.getConstifiedMixedOffset());
    Value rest = element;
    if (isWhole)
      from = arith::AddIOp::create(b, loc, from, element);
    for (int64_t dim = type.getRank() - 1; !isWhole && dim >= 0; --dim) {
      Value at = rest;
      if (dim > 0) {
        at = arith::RemUIOp::create(b, loc, rest, index(type.getDimSize(dim)));
        rest =
            arith::DivUIOp::create(b, loc, rest, index(type.getDimSize(dim)));
      }
      from = getValueOrCreateConstantIndexOp(
          b, loc,
          affine::makeComposedFoldedAffineApply(b, loc, d0 + d1 * d2,
                                                {from, at, strides[dim]}));
    }
    Value to = arith::AddIOp::create(b, loc, begin, element);
    copyTo(to, from);
  };
  // All threads have as many, but for the last.
  int64_t numCopies = type.getNumElements() / perCopy;
  int64_t threads = *getConstantIntValue(workers.numThreads);
  int64_t whole = numCopies / threads * threads;
  if (isWhole && whole <= kMostUnrolled * threads) {
    // Straight code. A warp's copies follow each other: what is added to an
    // address, instructions have twelve bits for.
    int64_t rounds = whole / threads;
    Value element = affine::AffineApplyOp::create(
        b, loc, (d0 * (rounds * kWarpThreads) + d1) * perCopy,
        ValueRange{workers.warp, workers.lane});
    Value from =
        arith::AddIOp::create(b, loc,
                              getValueOrCreateConstantIndexOp(
                                  b, loc, metadata.getConstifiedMixedOffset()),
                              element);
    Value to = arith::AddIOp::create(b, loc, begin, element);
    for (int64_t round = 0; round < rounds; ++round)
      copyTo(to, from, round * kWarpThreads * bytes);
  } else {
    auto rounds =
        scf::ForOp::create(b, loc, index(0), index(whole), index(threads));
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(rounds.getBody());
    copyOne(arith::AddIOp::create(b, loc, rounds.getInductionVar(),
                                  workers.thread));
  }
  if (whole == numCopies)
    return;
  Value has = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                    workers.thread, index(numCopies - whole));
  auto last = scf::IfOp::create(b, loc, has, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(last.thenBlock());
  copyOne(arith::AddIOp::create(b, loc, workers.thread, index(whole)));
}

void Pipeliner::copyRows(memref::ExtractStridedMetadataOp metadata, Value begin,
                         int64_t perCopy,
                         function_ref<void(Value, Value)> copyTo) {
  AffineExpr d0, d1, d2;
  bindDims(b.getContext(), d0, d1, d2);
  ArrayRef<int64_t> shape = view.getType().getShape();
  SmallVector<OpFoldResult> strides = metadata.getConstifiedMixedStrides();
  Value length = getValueOrCreateConstantIndexOp(b, loc, getSizes(view).back());
  int64_t rows = ShapedType::getNumElements(shape.drop_back());
  int64_t threads = *getConstantIntValue(workers.numThreads);
  Value first =
      b.createOrFold<arith::MulIOp>(loc, workers.thread, index(perCopy));
  auto loop =
      scf::ForOp::create(b, loc, first, length, index(threads * perCopy));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value column = loop.getInductionVar();
  Value to = arith::AddIOp::create(b, loc, begin, column);
  for (int64_t row = 0; row < rows; ++row) {
    OpFoldResult from = affine::makeComposedFoldedAffineApply(
        b, loc, d0 + d1, {metadata.getConstifiedMixedOffset(), column});
    int64_t rest = row;
    for (int64_t dim = shape.size() - 2; dim >= 0; --dim) {
      from = affine::makeComposedFoldedAffineApply(
          b, loc, d0 + d1 * d2,
          {from, b.getIndexAttr(rest % shape[dim]), strides[dim]});
      rest /= shape[dim];
    }
    copyTo(to, getValueOrCreateConstantIndexOp(b, loc, from));
    to = arith::AddIOp::create(b, loc, to, length);
  }
}

void Pipeliner::request(Value iteration) {
  Value has = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                    iteration, trips);
  auto some = scf::IfOp::create(b, loc, has, /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(some.thenBlock());
    copy(iteration);
  }
  // Also of none, so that every iteration has a group.
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
}

void Pipeliner::run() {
  MemRefType type = view.getType();
  SmallVector<int64_t> shape{stages};
  if (type.hasStaticShape())
    llvm::append_range(shape, type.getShape());
  else
    shape[0] *= *getMostElements(view);
  AffineExpr d0, d1, d2;
  bindDims(b.getContext(), d0, d1, d2);
  auto wait = [&] { NVVM::CpAsyncWaitGroupOp::create(b, loc, stages - 2); };

  b.setInsertionPoint(loop);
  copies = memref::AllocOp::create(
      b, loc, MemRefType::get(shape, type.getElementType()));
  trips = getValueOrCreateConstantIndexOp(
      b, loc,
      affine::makeComposedFoldedAffineApply(
          b, loc, (d1 - d0).ceilDiv(d2),
          {getAsOpFoldResult(loop.getLowerBound()),
           getAsOpFoldResult(loop.getUpperBound()),
           getAsOpFoldResult(loop.getStep())}));
  for (int64_t stage = 0; stage + 1 < stages; ++stage)
    request(index(stage));
  wait();
  gpu::BarrierOp::create(b, loc);

  // What is asked for takes the place of what was read an iteration ago, and
  // comes before the barrier that ends an iteration.
  b.setInsertionPointToStart(loop.getBody());
  Value iteration = getValueOrCreateConstantIndexOp(
      b, loc,
      affine::makeComposedFoldedAffineApply(
          b, loc, (d0 - d1).floorDiv(d2),
          {loop.getInductionVar(), getAsOpFoldResult(loop.getLowerBound()),
           getAsOpFoldResult(loop.getStep())}));
  request(arith::AddIOp::create(b, loc, iteration, index(stages - 1)));
  b.setInsertionPoint(loop.getBody()->getTerminator());
  wait();

  b.setInsertionPointAfter(view);
  if (!type.hasStaticShape()) {
    Value begin = arith::MulIOp::create(b, loc, slotOf(iteration),
                                        index(*getMostElements(view)));
    b.replaceAllUsesWith(view.getResult(),
                         createPart(b, loc, copies, begin, getSizes(view)));
    return;
  }
  SmallVector<OpFoldResult> offsets(shape.size(), b.getIndexAttr(0)),
      sizes = getAsIndexOpFoldResult(b.getContext(), shape),
      steps(shape.size(), b.getIndexAttr(1));
  offsets[0] = slotOf(iteration);
  sizes[0] = b.getIndexAttr(1);
  auto result = cast<MemRefType>(memref::SubViewOp::inferRankReducedResultType(
      type.getShape(), cast<MemRefType>(copies.getType()), offsets, sizes,
      steps));
  b.replaceAllUsesWith(
      view.getResult(),
      memref::SubViewOp::create(b, loc, result, copies, offsets, sizes, steps));
}

void scaling::pipelineCopy(RewriterBase &b, memref::SubViewOp view,
                           scf::ForOp loop, int64_t stages,
                           const Workers &workers) {
  OpBuilder::InsertionGuard guard(b);
  Pipeliner(b, view, loop, stages, workers).run();
}
