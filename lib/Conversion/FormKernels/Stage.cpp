//===- Stage.cpp - Through shared memory ----------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KeptRows.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::scaling;

/// Lanes that the banks of shared memory serve at a time, 16 bytes each.
static constexpr int64_t kLanesAtOnce = 8;

/// Parts of a matrix that are in shared memory at a time, and what they take
/// unless two take more: another block wants room beside.
static constexpr int64_t kMostStages = 4;
static constexpr int64_t kStageBytes = 96 << 10;

static int64_t elementBytes(MemRefType type) {
  return llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

//===----------------------------------------------------------------------===//
// Matrices of a block
//===----------------------------------------------------------------------===//

bool scaling::isReadAgain(memref::SubViewOp view) {
  unsigned reads = 0;
  for (OpOperand &use : view->getUses()) {
    auto op = dyn_cast<linalg::LinalgOp>(use.getOwner());
    if (!op || !op.isDpsInput(&use))
      return false;
    // In a loop that the view is not in, it is read again and again.
    reads += op->getBlock() == view->getBlock() ? 1 : 2;
  }
  return reads > 1;
}

/// Operands of the iteration's inner loops that are whole buffers from outside:
/// read again for every block of rows.
static SmallVector<Value> findSharedInputs(scf::ForallOp loop) {
  llvm::SetVector<Value> found;
  loop.walk([&](linalg::LinalgOp op) {
    if (op->getBlock() == loop.getBody())
      return;
    for (Value input : op.getDpsInputs()) {
      auto type = dyn_cast<MemRefType>(input.getType());
      if (type && type.getRank() > 0 && getMostElements(input) &&
          !loop->isAncestor(input.getParentRegion()->getParentOp()))
        found.insert(input);
    }
  });
  return found.takeVector();
}

/// What an iteration does with a part of a buffer that it alone touches.
enum class Own {
  /// Something else, or too little.
  other,
  /// Makes all of it first, then adds to it in a loop.
  made,
  /// Reads and writes it in a loop.
  updated
};

/// Whether a value is the view or a part of it.
static bool isPart(Value value, memref::SubViewOp view) {
  auto part = value.getDefiningOp<memref::SubViewOp>();
  return value == view.getResult() ||
         (part && part.getSource() == view.getResult());
}

static Own findOwn(memref::SubViewOp view, scf::ForallOp loop) {
  SmallVector<int64_t> strides;
  int64_t offset;
  if (view->getBlock() != loop.getBody() || view.getType().getRank() != 1 ||
      failed(view.getType().getStridesAndOffset(strides, offset)) ||
      strides[0] != 1)
    return Own::other;
  for (Operation *user : view.getSource().getUsers())
    if (user != view && loop->isAncestor(user))
      return Own::other;
  Operation *first = nullptr;
  bool isWrittenInLoop = false;
  SmallVector<Value> worklist{view.getResult()};
  while (!worklist.empty()) {
    for (OpOperand &use : worklist.pop_back_val().getUses()) {
      Operation *user = use.getOwner();
      if (auto part = dyn_cast<memref::SubViewOp>(user);
          part && part.getType().getRank() == 1) {
        worklist.push_back(part);
        continue;
      }
      auto op = dyn_cast<linalg::LinalgOp>(user);
      if (!op)
        return Own::other;
      Operation *top = loop.getBody()->findAncestorOpInBlock(*op);
      isWrittenInLoop |= top != op && op.isDpsInit(&use);
      if (!first || top->isBeforeInBlock(first))
        first = top;
    }
  }
  if (!isWrittenInLoop)
    return Own::other;
  auto fill = dyn_cast<linalg::FillOp>(first);
  if (fill && fill.getOutputs()[0] == view.getResult())
    return Own::made;
  // What is written before it is read may never have been written before.
  bool readsFirst = false;
  first->walk<WalkOrder::PreOrder>([&](linalg::LinalgOp op) {
    bool touched = false;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isPart(operand.get(), view))
        continue;
      touched = true;
      readsFirst |= op.payloadUsesValueFromOperand(&operand);
    }
    return touched ? WalkResult::interrupt() : WalkResult::advance();
  });
  return readsFirst ? Own::updated : Own::other;
}

/// How many parts of a loop's matrix are in shared memory at a time.
static int64_t getStages(memref::SubViewOp view, scf::ForOp loop,
                         int64_t bytes) {
  int64_t size =
      llvm::alignTo(getCopiedElements(view) * elementBytes(view.getType()), 64);
  int64_t stages = std::min(
      {kMostStages, bytes / size, std::max<int64_t>(2, kStageBytes / size)});
  if (std::optional<llvm::APInt> trips = loop.getStaticTripCount())
    stages = std::min<int64_t>(stages, trips->getZExtValue());
  return stages;
}

void scaling::stageMatrices(RewriterBase &b, scf::ForallOp loop, int64_t bytes,
                            const Workers &workers,
                            function_ref<void *(Value)> getBuffer,
                            function_ref<bool(Value)> isReadOnly) {
  // Loops whose rows stay in registers read a matrix once.
  llvm::MapVector<Operation *, KeptRows> keptLoops;
  int64_t threads = *getConstantIntValue(workers.numThreads);
  for (auto inner : loop.getBody()->getOps<scf::ForOp>())
    if (std::optional<KeptRows> kept =
            KeptRows::find(inner, threads, getBuffer);
        kept && kept->exchangeBytes <= bytes) {
      bytes -= kept->exchangeBytes;
      keptLoops[inner] = std::move(*kept);
    }
  auto isKept = [&](memref::SubViewOp view) {
    return view.getType().getRank() == 2 &&
           keptLoops.contains(view->getParentOp());
  };
  SmallVector<memref::SubViewOp> views;
  loop.walk([&](memref::SubViewOp view) { views.push_back(view); });
  OpBuilder::InsertionGuard guard(b);
  auto take = [&](MemRefType type, int64_t elements) {
    int64_t size = llvm::alignTo(elements * elementBytes(type), 64);
    if (size > bytes)
      return false;
    bytes -= size;
    return true;
  };
  // As large as the buffer, or as it may be.
  auto allocate = [&](Location loc, Value buffer) -> Value {
    auto type = cast<MemRefType>(buffer.getType());
    if (type.hasStaticShape())
      return memref::AllocOp::create(
          b, loc, MemRefType::get(type.getShape(), type.getElementType()));
    Value most = memref::AllocOp::create(
        b, loc,
        MemRefType::get({*getMostElements(buffer)}, type.getElementType()));
    return createPart(b, loc, most, arith::ConstantIndexOp::create(b, loc, 0),
                      getSizes(buffer));
  };
  for (memref::SubViewOp view : views) {
    MemRefType type = view.getType();
    std::optional<int64_t> elements = getMostElements(view);
    if (!elements || (!isReadAgain(view) && !isKept(view)) ||
        !isReadOnly(view.getSource()))
      continue;
    if (auto inner = dyn_cast<scf::ForOp>(view->getParentOp());
        inner && inner->getBlock() == loop.getBody() &&
        canPipeline(view, inner)) {
      int64_t stages = getStages(view, inner, bytes);
      if (stages > 1 && take(type, stages * getCopiedElements(view))) {
        pipelineCopy(b, view, inner, stages, workers);
        continue;
      }
    }
    if (!isReadAgain(view) || !type.hasStaticShape() || !take(type, *elements))
      continue;
    b.setInsertionPointAfter(view);
    Value copy = allocate(view.getLoc(), view);
    auto fill = memref::CopyOp::create(b, view.getLoc(), view, copy);
    b.replaceUsesWithIf(view.getResult(), copy, [&](OpOperand &use) {
      return use.getOwner() != fill.getOperation();
    });
  }
  // Sums of columns that stay in registers all the time go where they belong.
  auto overwrites = [&](Operation *op) {
    return op->hasAttr(kOverwritesAttrName);
  };
  for (auto &entry : keptLoops)
    for (linalg::GenericOp op : entry.second.ops)
      if (linalg::FillOp fill =
              entry.second.findFill(op.getDpsInitOperand(0)->get())) {
        op->setAttr(kOverwritesAttrName, b.getUnitAttr());
        b.eraseOp(fill);
      }
  for (memref::SubViewOp view : views) {
    std::optional<int64_t> elements = getMostElements(view);
    Own own = elements ? findOwn(view, loop) : Own::other;
    if (own == Own::other || llvm::any_of(view->getUsers(), overwrites) ||
        !take(view.getType(), *elements))
      continue;
    b.setInsertionPointAfter(view);
    Value copy = allocate(view.getLoc(), view);
    b.replaceAllUsesWith(view.getResult(), copy);
    if (own == Own::updated)
      memref::CopyOp::create(b, view.getLoc(), view, copy);
    b.setInsertionPoint(loop.getTerminator());
    memref::CopyOp::create(b, view.getLoc(), copy, view);
  }
  for (Value input : findSharedInputs(loop)) {
    auto type = cast<MemRefType>(input.getType());
    if (!isReadOnly(input) || !take(type, *getMostElements(input)))
      continue;
    b.setInsertionPointToStart(loop.getBody());
    Value copy = allocate(loop.getLoc(), input);
    auto fill = memref::CopyOp::create(b, loop.getLoc(), input, copy);
    b.replaceUsesWithIf(input, copy, [&](OpOperand &use) {
      return use.getOwner() != fill.getOperation() &&
             loop->isProperAncestor(use.getOwner()) &&
             isa<linalg::LinalgOp>(use.getOwner());
    });
  }
}

//===----------------------------------------------------------------------===//
// Rows of threads
//===----------------------------------------------------------------------===//

/// Whether the view is the whole item of its iteration.
static bool isItem(memref::SubViewOp view, scf::ForallOp loop) {
  auto source = cast<MemRefType>(view.getSource().getType());
  auto ivs = loop.getInductionVars();
  int64_t rank = loop.getRank();
  if (!source.getLayout().isIdentity() || source.getRank() <= rank ||
      view.getType().getRank() != source.getRank() ||
      !llvm::all_of(view.getStaticStrides(),
                    [](int64_t stride) { return stride == 1; }))
    return false;
  SmallVector<OpFoldResult> offsets = view.getMixedOffsets(),
                            sizes = view.getMixedSizes();
  for (int64_t dim = 0; dim < source.getRank(); ++dim) {
    if (dim < rank) {
      if (dyn_cast<Value>(offsets[dim]) != ivs[dim] ||
          !isConstantIntValue(sizes[dim], 1))
        return false;
      // Broadcast batches have other sizes than the loop.
      auto known = getConstantIntValue(loop.getMixedUpperBound()[dim]);
      if (dim > 0 && (source.isDynamicDim(dim) || !known ||
                      *known != source.getDimSize(dim)))
        return false;
    } else if (!isConstantIntValue(offsets[dim], 0) ||
               source.isDynamicDim(dim) ||
               !isConstantIntValue(sizes[dim], source.getDimSize(dim))) {
      return false;
    }
  }
  return true;
}

/// Whether an iteration only reads the view, or writes all of it and never
/// reads it.
static std::optional<bool> isWritten(memref::SubViewOp view) {
  bool reads = false, writes = false;
  for (OpOperand &use : view->getUses()) {
    if (auto copy = dyn_cast<memref::CopyOp>(use.getOwner())) {
      (use.get() == copy.getSource() ? reads : writes) = true;
      if (writes && copy->getBlock() != view->getBlock())
        return std::nullopt;
      continue;
    }
    auto op = dyn_cast<linalg::LinalgOp>(use.getOwner());
    if (!op)
      return std::nullopt;
    if (op.isDpsInput(&use)) {
      reads = true;
      continue;
    }
    if (op.payloadUsesValueFromOperand(&use) ||
        op->getBlock() != view->getBlock() ||
        !op.getMatchingIndexingMap(&use).isPermutation())
      return std::nullopt;
    writes = true;
  }
  if (reads == writes)
    return std::nullopt;
  return writes;
}

/// Whether an iteration writes all of a view before it reads any of it.
static bool isMadeInside(memref::SubViewOp view, scf::ForallOp loop) {
  Operation *first = nullptr;
  for (Operation *user : view->getUsers()) {
    if (!isa<linalg::LinalgOp, memref::CopyOp>(user))
      return false;
    Operation *top = loop.getBody()->findAncestorOpInBlock(*user);
    if (!first || top->isBeforeInBlock(first))
      first = top;
  }
  if (auto copy = dyn_cast_or_null<memref::CopyOp>(first))
    return copy.getTarget() == view && copy.getSource() != view;
  auto op = dyn_cast_or_null<linalg::LinalgOp>(first);
  return op && llvm::all_of(op->getOpOperands(), [&](OpOperand &operand) {
           return operand.get() != view ||
                  (op.isDpsInit(&operand) &&
                   !op.payloadUsesValueFromOperand(&operand) &&
                   op.getMatchingIndexingMap(&operand).isPermutation());
         });
}

void scaling::keepItems(RewriterBase &b, scf::ForallOp loop) {
  OpBuilder::InsertionGuard guard(b);
  for (auto view :
       llvm::to_vector(loop.getBody()->getOps<memref::SubViewOp>())) {
    bool isAlone =
        llvm::none_of(view.getSource().getUsers(), [&](Operation *user) {
          return user != view && loop->isProperAncestor(user);
        });
    if (!isAlone || !isItem(view, loop) || isWritten(view) ||
        !isMadeInside(view, loop))
      continue;
    MemRefType type = view.getType();
    b.setInsertionPointAfter(view);
    Value own = memref::AllocOp::create(
        b, view.getLoc(),
        MemRefType::get(type.getShape(), type.getElementType()));
    b.replaceAllUsesWith(view.getResult(), own);
    b.setInsertionPoint(loop.getTerminator());
    memref::CopyOp::create(b, view.getLoc(), own, view);
  }
}

SmallVector<StagedItem>
scaling::findStagedItems(scf::ForallOp loop, int64_t threads, int64_t bytes) {
  for (auto [lower, step] :
       llvm::zip_equal(loop.getMixedLowerBound(), loop.getMixedStep()))
    if (!isConstantIntValue(lower, 0) || !isConstantIntValue(step, 1))
      return {};
  SmallVector<StagedItem> items;
  for (auto view : loop.getBody()->getOps<memref::SubViewOp>()) {
    // Others may be read while this is written.
    auto isOther = [&](Operation *user) {
      return user != view && isa<memref::SubViewOp>(user);
    };
    if (!isa<BlockArgument>(view.getSource()) || !isItem(view, loop) ||
        llvm::count_if(view.getSource().getUsers(), isOther) != 0)
      continue;
    std::optional<bool> written = isWritten(view);
    if (!written)
      continue;
    StagedItem item;
    item.view = view;
    item.isOutput = *written;
    MemRefType type = view.getType();
    item.elements = type.getNumElements();
    int64_t size = elementBytes(type);
    // An odd number of vectors, or of elements, from row to row: neighbours are
    // in different banks.
    item.vector = item.elements * size % kAccessBytes == 0 &&
                          type.getElementTypeBitWidth() >= 8
                      ? kAccessBytes / size
                      : 1;
    item.stride = (item.elements / item.vector | 1) * item.vector;
    int64_t own = llvm::alignTo(threads * item.stride * size, 64);
    if (own > bytes)
      continue;
    bytes -= own;
    items.push_back(item);
  }
  return items;
}

void scaling::moveItems(OpBuilder &b, Location loc, const StagedItem &item,
                        Value first, Value count, const Workers &workers) {
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  auto times = [&](Value lhs, int64_t rhs) -> Value {
    return b.createOrFold<arith::MulIOp>(loc, lhs, index(rhs));
  };
  auto plus = [&](Value lhs, Value rhs) -> Value {
    return b.createOrFold<arith::AddIOp>(loc, lhs, rhs);
  };
  OpBuilder::InsertionGuard guard(b);
  auto over = [&](Value lhs, int64_t rhs) -> Value {
    return b.createOrFold<arith::DivUIOp>(loc, lhs, index(rhs));
  };
  auto within = [&](Value lhs, int64_t rhs) -> Value {
    return b.createOrFold<arith::RemUIOp>(loc, lhs, index(rhs));
  };
  int64_t perItem = item.elements / item.vector;
  Value begin = times(first, item.elements);
  // Of 2 and 4 vectors, the items that eight lanes move are as many apart: next
  // to each other, they would share banks.
  bool isApart =
      item.vector * elementBytes(cast<MemRefType>(item.shared.getType())) ==
          kAccessBytes &&
      (perItem == 2 || perItem == 4);
  Value items = count;
  if (isApart)
    items = times(over(plus(count, index(kLanesAtOnce - 1)), kLanesAtOnce),
                  kLanesAtOnce);
  auto loop = scf::ForOp::create(b, loc, workers.thread, times(items, perItem),
                                 workers.numThreads);
  b.setInsertionPointToStart(loop.getBody());
  Value position = loop.getInductionVar();
  Value row = over(position, perItem), column = within(position, perItem);
  if (isApart) {
    Value inGroup = within(position, kLanesAtOnce * perItem);
    Value lane = within(inGroup, kLanesAtOnce);
    row = plus(
        times(over(position, kLanesAtOnce * perItem), kLanesAtOnce),
        plus(times(over(lane, perItem), perItem), over(inGroup, kLanesAtOnce)));
    Value has =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, row, count);
    auto move = scf::IfOp::create(b, loc, has, /*withElseRegion=*/false);
    b.setInsertionPointToStart(move.thenBlock());
  }
  Value inGlobal =
      plus(begin, plus(times(row, item.elements), times(column, item.vector)));
  Value inShared = plus(times(row, item.stride), times(column, item.vector));
  Value from = item.isOutput ? item.shared : item.global;
  Value to = item.isOutput ? item.global : item.shared;
  SmallVector<Value> values;
  for (int64_t i = 0; i < item.vector; ++i)
    values.push_back(memref::LoadOp::create(
        b, loc, from, plus(item.isOutput ? inShared : inGlobal, index(i))));
  for (auto [i, value] : llvm::enumerate(values))
    memref::StoreOp::create(
        b, loc, value, to, plus(item.isOutput ? inGlobal : inShared, index(i)));
}

Value scaling::createItemView(OpBuilder &b, Location loc,
                              const StagedItem &item, Value thread) {
  memref::SubViewOp replaced = item.view;
  MemRefType type = replaced.getType();
  SmallVector<int64_t> strides;
  int64_t offset;
  (void)type.getStridesAndOffset(strides, offset);
  Value begin = arith::MulIOp::create(
      b, loc, thread, arith::ConstantIndexOp::create(b, loc, item.stride));
  SmallVector<OpFoldResult> sizes, steps;
  for (auto [size, stride] : llvm::zip_equal(type.getShape(), strides)) {
    sizes.push_back(b.getIndexAttr(size));
    steps.push_back(b.getIndexAttr(stride));
  }
  return memref::ReinterpretCastOp::create(b, loc, type, item.shared,
                                           OpFoldResult(begin), sizes, steps);
}

Value scaling::createFlat(OpBuilder &b, Location loc, Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  if (type.getRank() == 1)
    return buffer;
  SmallVector<ReassociationIndices> all(1);
  llvm::append_range(all[0], llvm::seq<int64_t>(type.getRank()));
  return memref::CollapseShapeOp::create(b, loc, buffer, all);
}
