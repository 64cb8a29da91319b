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

#include <numeric>

using namespace mlir;
using namespace mlir::scaling;

/// Copies of a thread's that are straight code: of rows of known length, and of
/// others.
static constexpr int64_t kMostUnrolled = 16;
static constexpr int64_t kMostUnrolledRows = 64;

/// Copies of so many bytes pass by L1, which nobody would read them from.
static constexpr int64_t kWideBytes = 16;

/// Copies are of so many bytes at least.
static constexpr int64_t kNarrowBytes = 4;

/// From one row of the copies to the next: those of unknown length have places
/// for the longest, which begin where any access may.
static int64_t getPitch(memref::SubViewOp view) {
  MemRefType type = view.getType();
  int64_t most = *getUpperBound(getSizes(view).back());
  if (type.hasStaticShape())
    return most;
  int64_t bytes = std::max(8u, type.getElementTypeBitWidth()) / 8;
  return llvm::alignTo(most, std::max<int64_t>(kAccessBytes / bytes, 1));
}

/// Whether a view begins at a multiple of so many elements of a buffer.
static bool beginsAt(Value buffer, int64_t factor) {
  while (auto view = buffer.getDefiningOp<memref::SubViewOp>()) {
    SmallVector<int64_t> strides;
    int64_t offset;
    if (failed(view.getSourceType().getStridesAndOffset(strides, offset)))
      return false;
    for (auto [position, stride] :
         llvm::zip_equal(view.getMixedOffsets(), strides)) {
      int64_t step = ShapedType::isDynamic(stride) ? 1 : stride;
      if (!isMultiple(position, factor / std::gcd(step, factor)))
        return false;
    }
    buffer = view.getSource();
  }
  return isAligned(buffer, 1) &&
         cast<MemRefType>(buffer.getType()).getLayout().isIdentity();
}

static int64_t getCopyElements(memref::SubViewOp view) {
  MemRefType type = view.getType();
  int64_t bytes = type.getElementTypeBitWidth() / 8;
  for (int64_t wide = kWideBytes; bytes > 0 && wide >= kNarrowBytes;
       wide /= 2) {
    int64_t count = wide / bytes;
    if (count == 0)
      break;
    // Rows that are whole, or several of them that are so together.
    if (count == 1 ||
        (isMultiple(getSizes(view).back(), count) && isAligned(view, count)) ||
        (type.hasStaticShape() && type.getNumElements() % count == 0 &&
         type.areTrailingDimsContiguous(type.getRank()) &&
         beginsAt(view, count)))
      return count;
  }
  return 0;
}

int64_t scaling::getCopiedElements(memref::SubViewOp view) {
  ArrayRef<int64_t> shape = view.getType().getShape();
  return ShapedType::getNumElements(shape.drop_back()) * getPitch(view);
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

/// The address of the element of a buffer with that number.
static Value createAddress(OpBuilder &b, Location loc, Value buffer,
                           Value element, NVVM::NVVMMemorySpace space) {
  int64_t bytes =
      cast<MemRefType>(buffer.getType()).getElementTypeBitWidth() / 8;
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, loc, buffer);
  AffineExpr d0, d1;
  bindDims(b.getContext(), d0, d1);
  Value address = affine::AffineApplyOp::create(b, loc, d0 + d1 * bytes,
                                                ValueRange{base, element});
  Value word = arith::IndexCastOp::create(b, loc, b.getI64Type(), address);
  auto type =
      LLVM::LLVMPointerType::get(b.getContext(), static_cast<unsigned>(space));
  return LLVM::IntToPtrOp::create(b, loc, type, word);
}

/// So many bytes after an address: a part of the instruction.
static Value createFurther(OpBuilder &b, Location loc, Value address,
                           int64_t bytes) {
  if (bytes == 0)
    return address;
  return LLVM::GEPOp::create(b, loc, address.getType(), b.getI8Type(), address,
                             ArrayRef<LLVM::GEPArg>{int32_t(bytes)});
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
                int64_t perCopy);
  /// Where an element of the copies is, and one of what is copied.
  Value addressOfCopy(Value element) {
    return createAddress(b, loc, copies, element,
                         NVVM::NVVMMemorySpace::Shared);
  }
  Value addressOf(memref::ExtractStridedMetadataOp metadata, Value element) {
    return createAddress(b, loc, metadata.getBaseBuffer(), element,
                         NVVM::NVVMMemorySpace::Global);
  }
  /// One instruction: to and from so many bytes after addresses.
  void copyTo(Value to, int64_t furtherTo, Value from, int64_t furtherFrom);

  RewriterBase &b;
  memref::SubViewOp view;
  scf::ForOp loop;
  int64_t stages;
  const Workers &workers;
  Location loc;
  Value copies, trips;
};
} // namespace

void Pipeliner::copyTo(Value to, int64_t furtherTo, Value from,
                       int64_t furtherFrom) {
  int64_t bytes =
      getCopyElements(view) * view.getType().getElementTypeBitWidth() / 8;
  NVVM::CpAsyncOp::create(b, loc, createFurther(b, loc, to, furtherTo),
                          createFurther(b, loc, from, furtherFrom), bytes,
                          bytes == kWideBytes ? NVVM::LoadCacheModifierKind::CG
                                              : NVVM::LoadCacheModifierKind::CA,
                          /*cpSize=*/Value());
}

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
                                      index(getCopiedElements(view)))
                    .getResult();
  SmallVector<OpFoldResult> strides = metadata.getConstifiedMixedStrides();
  bool isWhole = type.areTrailingDimsContiguous(type.getRank());
  if (!type.hasStaticShape())
    return copyRows(metadata, begin, perCopy);
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
    copyTo(addressOfCopy(to), 0, addressOf(metadata, from), 0);
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
    from = addressOf(metadata, from);
    Value to = addressOfCopy(arith::AddIOp::create(b, loc, begin, element));
    for (int64_t round = 0; round < rounds; ++round) {
      int64_t further = round * kWarpThreads * bytes;
      copyTo(to, further, from, further);
    }
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
                         int64_t perCopy) {
  AffineExpr d0, d1, d2;
  bindDims(b.getContext(), d0, d1, d2);
  MemRefType type = view.getType();
  ArrayRef<int64_t> shape = type.getShape();
  int64_t bytes = type.getElementTypeBitWidth() / 8;
  SmallVector<OpFoldResult> strides = metadata.getConstifiedMixedStrides();
  OpFoldResult size = getSizes(view).back();
  Value length = getValueOrCreateConstantIndexOp(b, loc, size);
  int64_t pitch = getPitch(view);
  int64_t rows = ShapedType::getNumElements(shape.drop_back());
  int64_t perThreads = *getConstantIntValue(workers.numThreads) * perCopy;
  int64_t rounds = llvm::divideCeil(*getUpperBound(size), perThreads);
  // Addresses of a column in all rows are there before it is known whether
  // there is another one further on.
  Value to;
  SmallVector<Value> froms;
  auto findColumn = [&](Value column) {
    to = addressOfCopy(arith::AddIOp::create(b, loc, begin, column));
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
      froms.push_back(
          addressOf(metadata, getValueOrCreateConstantIndexOp(b, loc, from)));
    }
  };
  auto copyColumn = [&](int64_t further) {
    for (auto [row, from] : llvm::enumerate(froms))
      copyTo(to, (row * pitch + further) * bytes, from, further * bytes);
  };
  OpBuilder::InsertionGuard guard(b);
  if (rounds * rows > kMostUnrolledRows) {
    Value first =
        b.createOrFold<arith::MulIOp>(loc, workers.thread, index(perCopy));
    auto loop = scf::ForOp::create(b, loc, first, length, index(perThreads));
    b.setInsertionPointToStart(loop.getBody());
    findColumn(loop.getInductionVar());
    return copyColumn(0);
  }
  // A warp's follow each other, as above.
  int64_t perWarp = kWarpThreads * perCopy;
  Value first = affine::AffineApplyOp::create(
      b, loc, d0 * (rounds * perWarp) + d1 * perCopy,
      ValueRange{workers.warp, workers.lane});
  findColumn(first);
  for (int64_t round = 0; round < rounds; ++round) {
    int64_t further = round * perWarp;
    Value column = b.createOrFold<arith::AddIOp>(loc, first, index(further));
    Value has = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, column,
                                      length);
    auto some = scf::IfOp::create(b, loc, has, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard inner(b);
    b.setInsertionPointToStart(some.thenBlock());
    copyColumn(further);
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
  llvm::append_range(shape, type.getShape());
  shape.back() = getPitch(view);
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
  SmallVector<OpFoldResult> offsets(shape.size(), b.getIndexAttr(0)),
      sizes = getAsIndexOpFoldResult(b.getContext(), shape),
      steps(shape.size(), b.getIndexAttr(1));
  offsets[0] = slotOf(iteration);
  sizes[0] = b.getIndexAttr(1);
  sizes.back() = getSizes(view).back();
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
