//===- FormKernels.cpp - Functions to GPU kernels -------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/FormKernels/FormKernels.h"

#include "Distribute.h"
#include "KeptRows.h"
#include "PointSweep.h"

#include "scaling/Conversion/DescribeGPU/DescribeGPU.h"
#include "scaling/Conversion/EntryABI/EntryABI.h"
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/SmallPtrSet.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGFORMKERNELSPASS
#include "scaling/Conversion/FormKernels/FormKernels.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// Every buffer in shared memory begins on a boundary of that many bytes.
static constexpr int64_t kAlignment = 64;

/// Shared memory that a block takes for the items of its threads: as many
/// blocks as a multiprocessor has threads for fit beside each other.
static constexpr int64_t kItemBytes = 32 << 10;

/// Shared memory that is left for what the warps of a block exchange.
static constexpr int64_t kExchangeBytes = 2 << 10;

/// Shared memory that is left for a block's scratch beside rows of unknown
/// length.
static constexpr int64_t kScratchBytes = 1 << 10;

/// What `blockDim.x * gridDim.x` threads do together, or a block, or a thread.
namespace {
enum class Level { grid, block, thread };

/// Buffers touched since the last barrier. A null buffer is any.
class Touched {
public:
  void clear() {
    read.clear();
    written.clear();
  }
  bool empty() const { return read.empty() && written.empty(); }
  void add(const Touched &other) {
    read.insert(other.read.begin(), other.read.end());
    written.insert(other.written.begin(), other.written.end());
  }
  /// Whether what comes next must wait for what was.
  bool conflicts(const Touched &next) const {
    return meet(written, next.read) || meet(written, next.written) ||
           meet(read, next.written);
  }

  llvm::SmallPtrSet<void *, 8> read, written;

private:
  static bool meet(const llvm::SmallPtrSet<void *, 8> &lhs,
                   const llvm::SmallPtrSet<void *, 8> &rhs) {
    if (lhs.empty() || rhs.empty())
      return false;
    return lhs.contains(nullptr) || rhs.contains(nullptr) ||
           llvm::any_of(lhs,
                        [&](void *buffer) { return rhs.contains(buffer); });
  }
};

/// Turns the body of one kernel from what is done into who does it.
class KernelFormer {
public:
  KernelFormer(RewriterBase &b, gpu::GPUFuncOp kernel,
               const ScalingFormKernelsPassOptions &options)
      : b(b), kernel(kernel), options(options), loc(kernel.getLoc()) {}

  LogicalResult run();

private:
  LogicalResult lowerBlock(Block &block, Level level);
  /// Finds reductions of columns whose sums others only read entry by entry:
  /// one thread does all of it, without barriers in between.
  void findColumns(Block &block);
  void lowerColumns(linalg::GenericOp op);
  LogicalResult lowerOp(Operation *op, Level level);
  LogicalResult lowerForall(scf::ForallOp op, Level level);
  /// An item per thread; the items of a block at a time.
  LogicalResult lowerItems(scf::ForallOp op);
  LogicalResult lowerLoop(Operation *op, Level level);
  /// A loop of a block whose rows stay in registers; failure where it is
  /// another.
  FailureOr<Operation *> keepRows(Operation *op, Level level);
  /// Gives an op of a block shared memory, where there is some.
  Value allocateFor(Operation *op, MemRefType type, Level level);
  LogicalResult lowerAlloc(memref::AllocOp op, Level level);
  /// Gives a block's allocation a place in shared memory.
  LogicalResult placeInShared(memref::AllocOp op);
  template <typename OpTy> LogicalResult lowerPoints(OpTy op, Level level);
  void lowerStore(memref::StoreOp op, Level level);

  /// Tells who works from the thread's number.
  void setThread(Value number);
  /// Where there are sweeps over points, or versions, what is made of the
  /// numbers of block and thread is made again rather than kept in registers:
  /// these are all taken there.
  void renewThread();

  /// How many iterations a loop has, and along each dimension.
  Value countItems(scf::ForallOp op, SmallVectorImpl<OpFoldResult> &counts);
  /// The indices of an iteration; the last dimension is the fastest.
  SmallVector<Value> splitItem(scf::ForallOp op, ArrayRef<OpFoldResult> counts,
                               Value linear);

  /// The memory that an op, or what is in it, reads and writes.
  Touched touchedBy(Operation *op);
  /// A barrier before an op where it is wanted.
  void waitBefore(Operation *op, Level level);
  void waitAtEnd(Block &block, Level level);
  void createBarrier(Level level);
  Workers &workersOf(Level level) {
    return level == Level::grid ? gridWorkers : blockWorkers;
  }

  RewriterBase &b;
  gpu::GPUFuncOp kernel;
  ScalingFormKernelsPassOptions options;
  Location loc;
  bool hasPoints = false, hasVersions = false;
  Value thread, blockId, numBlocks, numThreads;
  Workers gridWorkers, blockWorkers;
  Touched touched;
  /// Reductions of columns: what sums begin with, or null, and what follows.
  struct Columns {
    Value begin;
    SmallVector<linalg::GenericOp> then;
  };
  llvm::DenseMap<Operation *, Columns> columns;
  /// What has been done where it stands in `columns`.
  llvm::SmallPtrSet<Operation *, 8> done;
  /// Of the loop that is being lowered, whose rows stay in registers.
  std::unique_ptr<RowKeeper> keeper;
  int64_t sharedUsed = 0, sharedMost = 0;
  SmallVector<std::pair<Operation *, int64_t>> sharedAllocs;
  /// Once there is a barrier of the grid, the counter of arrivals, or the state
  /// between launches.
  Value counter;
  /// How many there have been, for each thread.
  Value arrivals;
};
} // namespace

/// The buffer a value is a view of; views of a workspace do not overlap and are
/// told apart. Null where it cannot be told.
static void *getBuffer(Value value) {
  while (true) {
    Operation *op = value.getDefiningOp();
    if (!op) {
      auto argument = cast<BlockArgument>(value);
      return isa<gpu::GPUFuncOp>(argument.getOwner()->getParentOp())
                 ? value.getAsOpaquePointer()
                 : nullptr;
    }
    if (isa<memref::ViewOp, memref::AllocOp>(op))
      return value.getAsOpaquePointer();
    if (auto global = dyn_cast<memref::GetGlobalOp>(op))
      return const_cast<void *>(global.getNameAttr().getAsOpaquePointer());
    auto view = dyn_cast<ViewLikeOpInterface>(op);
    if (!view)
      return nullptr;
    value = view.getViewSource();
  }
}

Touched KernelFormer::touchedBy(Operation *op) {
  Touched result;
  auto isMemory = [](Value value) {
    return isa<BaseMemRefType>(value.getType());
  };
  op->walk([&](Operation *inner) {
    if (auto structured = dyn_cast<linalg::LinalgOp>(inner)) {
      for (Value input : structured.getDpsInputs())
        if (isMemory(input))
          result.read.insert(getBuffer(input));
      for (OpOperand &out : structured.getDpsInitsMutable()) {
        result.written.insert(getBuffer(out.get()));
        if (structured.payloadUsesValueFromOperand(&out))
          result.read.insert(getBuffer(out.get()));
      }
    } else if (isa<ReducePointsOp, SumPointsOp, ArgMaxPointsOp, ApplyPointsOp>(
                   inner)) {
      auto points = cast<DestinationStyleOpInterface>(inner);
      for (Value input : points.getDpsInputs())
        if (isMemory(input))
          result.read.insert(getBuffer(input));
      for (Value out : points.getDpsInits())
        result.written.insert(getBuffer(out));
    } else if (auto load = dyn_cast<memref::LoadOp>(inner)) {
      result.read.insert(getBuffer(load.getMemRef()));
    } else if (auto store = dyn_cast<memref::StoreOp>(inner)) {
      result.written.insert(getBuffer(store.getMemRef()));
    } else if (auto copy = dyn_cast<memref::CopyOp>(inner)) {
      result.read.insert(getBuffer(copy.getSource()));
      result.written.insert(getBuffer(copy.getTarget()));
    }
  });
  return result;
}

void KernelFormer::createBarrier(Level level) {
  touched.clear();
  if (level == Level::block) {
    gpu::BarrierOp::create(b, loc);
    return;
  }
  if (!counter) {
    unsigned index = kernel.getNumArguments();
    MemRefType type =
        options.plainLaunches
            ? MemRefType::get({ShapedType::kDynamic}, b.getI8Type())
            : MemRefType::get({1}, b.getI64Type());
    (void)kernel.insertArgument(index, type, {}, loc);
    counter = kernel.getArgument(index);
  }
  if (options.plainLaunches)
    return createLaunchEnd(b, loc);
  if (!arrivals) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&kernel.front());
    arrivals =
        memref::AllocaOp::create(b, loc, MemRefType::get({}, b.getI64Type()));
    Value none = arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(0));
    memref::StoreOp::create(b, loc, none, arrivals, ValueRange());
  }
  createGridBarrier(b, loc, thread, numBlocks, counter, arrivals);
}

void KernelFormer::waitBefore(Operation *op, Level level) {
  Touched next = touchedBy(op);
  b.setInsertionPoint(op);
  if (touched.conflicts(next))
    createBarrier(level);
  touched.add(next);
}

void KernelFormer::waitAtEnd(Block &block, Level level) {
  if (touched.empty())
    return;
  if (block.mightHaveTerminator())
    b.setInsertionPoint(block.getTerminator());
  else
    b.setInsertionPointToEnd(&block);
  createBarrier(level);
}

LogicalResult KernelFormer::lowerAlloc(memref::AllocOp op, Level level) {
  MemRefType type = op.getType();
  if (!type.hasStaticShape() || level == Level::grid)
    return op.emitError("scratch memory of type ")
           << type << " has no place on the GPU";
  if (level == Level::thread) {
    b.setInsertionPointToStart(&kernel.front());
    b.replaceOpWithNewOp<memref::AllocaOp>(op, type);
    return success();
  }
  return placeInShared(op);
}

LogicalResult KernelFormer::placeInShared(memref::AllocOp op) {
  int64_t offset = sharedUsed;
  sharedUsed += llvm::alignTo(getBytes(op.getType()), kAlignment);
  sharedMost = std::max(sharedMost, sharedUsed);
  if (sharedMost > options.sharedBytes)
    return op.emitError("a block's scratch of ")
           << sharedUsed << " bytes and more does not fit the "
           << options.sharedBytes << " bytes of shared memory that it has";
  sharedAllocs.emplace_back(op, offset);
  return success();
}

template <typename OpTy>
LogicalResult KernelFormer::lowerPoints(OpTy op, Level level) {
  if (level != Level::grid)
    return op.emitOpError("is the work of a grid, not inside of parallel "
                          "loops");
  waitBefore(op, level);
  renewThread();
  int64_t sharedBefore = sharedUsed;
  PointBlocks blocks{thread, blockId, numBlocks,
                     *getConstantIntValue(numThreads),
                     (options.sharedBytes - sharedUsed) / 4};
  auto allocate = [&](int64_t floats) -> FailureOr<Value> {
    auto alloc = memref::AllocOp::create(
        b, op.getLoc(), MemRefType::get({floats}, b.getF32Type()));
    if (failed(placeInShared(alloc)))
      return failure();
    return alloc.getResult();
  };
  if (failed(formPointSweep(b, op, blocks, allocate)))
    return failure();
  sharedUsed = sharedBefore;
  b.setInsertionPoint(op);
  renewThread();
  b.eraseOp(op);
  return success();
}

void KernelFormer::setThread(Value number) {
  thread = number;
  Value warpSize = arith::ConstantIndexOp::create(b, loc, kWarpThreads);
  int64_t threads = *getConstantIntValue(numThreads);
  Value numWarps =
      arith::ConstantIndexOp::create(b, loc, threads / kWarpThreads);
  Value warp = arith::DivUIOp::create(b, loc, thread, warpSize);
  Value lane = arith::RemUIOp::create(b, loc, thread, warpSize);
  blockWorkers = {thread, numThreads, warp, numWarps, lane};
  auto ofGrid = [&](Value own, Value count) -> Value {
    Value first = arith::MulIOp::create(b, loc, blockId, count);
    return arith::AddIOp::create(b, loc, first, own);
  };
  auto times = [&](Value count) -> Value {
    return arith::MulIOp::create(b, loc, numBlocks, count);
  };
  gridWorkers = {ofGrid(thread, numThreads), times(numThreads),
                 ofGrid(warp, numWarps), times(numWarps), lane};
}

void KernelFormer::renewThread() {
  if (!hasPoints && !hasVersions)
    return;
  // The compiler does not look into assembly, but it does see the remainder.
  auto renew = [&](Value number) -> Value {
    Type word = b.getI32Type();
    Value known = arith::IndexCastUIOp::create(b, loc, word, number);
    Value unknown = LLVM::InlineAsmOp::create(
                        b, loc, word, known, kCopyAssembly, "=r,r",
                        /*has_side_effects=*/true, /*is_align_stack=*/false,
                        LLVM::TailCallKind::None, /*asm_dialect=*/nullptr,
                        /*operand_attrs=*/nullptr)
                        .getRes();
    return arith::IndexCastUIOp::create(b, loc, b.getIndexType(), unknown);
  };
  blockId = renew(blockId);
  if (hasPoints)
    numBlocks = renew(numBlocks);
  setThread(arith::RemUIOp::create(b, loc, renew(thread), numThreads));
}

void KernelFormer::lowerStore(memref::StoreOp op, Level level) {
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                        workersOf(level).thread, zero);
  auto once = scf::IfOp::create(b, loc, isFirst, /*withElseRegion=*/false);
  b.moveOpBefore(op, once.thenBlock()->getTerminator());
}

Value KernelFormer::allocateFor(Operation *op, MemRefType type, Level level) {
  if (level != Level::block ||
      sharedUsed + getBytes(type) + kAlignment > options.sharedBytes)
    return {};
  auto alloc = memref::AllocOp::create(b, op->getLoc(), type);
  return succeeded(lowerAlloc(alloc, level)) ? alloc.getResult() : Value();
}

FailureOr<Operation *> KernelFormer::keepRows(Operation *op, Level level) {
  auto loop = dyn_cast<scf::ForOp>(op);
  if (level != Level::block || !loop || keeper)
    return failure();
  std::optional<KeptRows> kept =
      KeptRows::find(loop, *getConstantIntValue(numThreads), getBuffer);
  if (!kept || sharedUsed + kept->exchangeBytes > options.sharedBytes)
    return failure();
  b.setInsertionPoint(op);
  keeper = std::make_unique<RowKeeper>(
      b, loop, *kept, blockWorkers,
      [&](MemRefType type) { return allocateFor(loop, type, level); });
  return keeper->getLoop().getOperation();
}

LogicalResult KernelFormer::lowerLoop(Operation *op, Level level) {
  Touched all = touchedBy(op);
  bool quiet = all.empty();
  if (level != Level::thread && !quiet && !touched.empty()) {
    b.setInsertionPoint(op);
    createBarrier(level);
  }
  FailureOr<Operation *> kept = keepRows(op, level);
  if (succeeded(kept))
    op = *kept;
  Value outerThread = thread, outerBlockId = blockId, outerBlocks = numBlocks;
  for (Region &region : op->getRegions()) {
    for (Block &block : region) {
      if (level == Level::grid) {
        b.setInsertionPointToStart(&block);
        thread = outerThread;
        blockId = outerBlockId;
        numBlocks = outerBlocks;
        renewThread();
      }
      if (failed(lowerBlock(block, level)))
        return failure();
      if (level != Level::thread && !quiet)
        waitAtEnd(block, level);
    }
  }
  if (level == Level::grid) {
    b.setInsertionPointAfter(op);
    thread = outerThread;
    blockId = outerBlockId;
    numBlocks = outerBlocks;
    renewThread();
  }
  if (succeeded(kept)) {
    keeper->finish();
    keeper.reset();
    touched.add(all);
  }
  return success();
}

Value KernelFormer::countItems(scf::ForallOp op,
                               SmallVectorImpl<OpFoldResult> &counts) {
  AffineExpr d0, d1, d2;
  bindDims(b.getContext(), d0, d1, d2);
  OpFoldResult total = b.getIndexAttr(1);
  for (auto [lower, upper, step] :
       llvm::zip_equal(op.getMixedLowerBound(), op.getMixedUpperBound(),
                       op.getMixedStep())) {
    counts.push_back(affine::makeComposedFoldedAffineApply(
        b, op.getLoc(), (d1 - d0).ceilDiv(d2), {lower, upper, step}));
    total = affine::makeComposedFoldedAffineApply(b, op.getLoc(), d0 * d1,
                                                  {total, counts.back()});
  }
  return getValueOrCreateConstantIndexOp(b, op.getLoc(), total);
}

SmallVector<Value> KernelFormer::splitItem(scf::ForallOp op,
                                           ArrayRef<OpFoldResult> counts,
                                           Value linear) {
  AffineExpr d0, d1, d2;
  bindDims(b.getContext(), d0, d1, d2);
  Location loc = op.getLoc();
  SmallVector<Value> ivs(counts.size());
  for (int64_t dim = counts.size() - 1; dim >= 0; --dim) {
    Value position = linear;
    if (dim > 0) {
      Value count = getValueOrCreateConstantIndexOp(b, loc, counts[dim]);
      position = b.createOrFold<arith::RemUIOp>(loc, linear, count);
      linear = b.createOrFold<arith::DivUIOp>(loc, linear, count);
    }
    OpFoldResult iv = affine::makeComposedFoldedAffineApply(
        b, loc, d0 * d1 + d2,
        {position, op.getMixedStep()[dim], op.getMixedLowerBound()[dim]});
    ivs[dim] = getValueOrCreateConstantIndexOp(b, loc, iv);
  }
  return ivs;
}

LogicalResult KernelFormer::lowerItems(scf::ForallOp op) {
  Location loc = op.getLoc();
  int64_t threads = *getConstantIntValue(numThreads);
  keepItems(b, op);
  SmallVector<StagedItem> items =
      findStagedItems(op, threads, std::min(kItemBytes, options.sharedBytes));
  b.setInsertionPoint(op);
  SmallVector<OpFoldResult> counts;
  Value total = countItems(op, counts);
  int64_t sharedBefore = sharedUsed;
  for (StagedItem &item : items) {
    MemRefType type = item.view.getType();
    auto alloc = memref::AllocOp::create(
        b, loc,
        MemRefType::get({threads * item.stride}, type.getElementType()));
    item.shared = alloc;
    item.global = createFlat(b, loc, item.view.getSource());
    if (failed(lowerAlloc(alloc, Level::block)))
      return failure();
  }
  auto allocate = [&](MemRefType type) -> Value {
    int64_t bytes = llvm::alignTo(getBytes(type), kAlignment);
    if (sharedUsed + bytes > options.sharedBytes)
      return {};
    auto alloc = memref::AllocOp::create(b, loc, type);
    return succeeded(placeInShared(alloc)) ? alloc.getResult() : Value();
  };
  bool usesShared =
      placeThreadMemory(b, op, thread, threads, allocate) || !items.empty();
  // What comes after may use the same shared memory.
  bool isLast = op->getBlock() == &kernel.front();
  for (Operation *next = op->getNextNode(); next; next = next->getNextNode())
    isLast &= next->getNumRegions() == 0;
  if (usesShared && !isLast) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointAfter(op);
    gpu::BarrierOp::create(b, loc);
  }
  // As many at a time as a block has threads, the same for all of them.
  Value first = arith::MulIOp::create(b, loc, blockId, numThreads);
  auto loop = scf::ForOp::create(b, loc, first, total, gridWorkers.numThreads);
  b.setInsertionPointToStart(loop.getBody());
  first = loop.getInductionVar();
  Value left = arith::SubIOp::create(b, loc, total, first);
  Value count = arith::MinUIOp::create(b, loc, left, numThreads);
  for (const StagedItem &item : items)
    if (!item.isOutput)
      moveItems(b, loc, item, first, count, blockWorkers);
  if (!items.empty())
    gpu::BarrierOp::create(b, loc);
  Value has =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, thread, count);
  auto work = scf::IfOp::create(b, loc, has, /*withElseRegion=*/false);
  if (!items.empty()) {
    gpu::BarrierOp::create(b, loc);
    for (const StagedItem &item : items)
      if (item.isOutput)
        moveItems(b, loc, item, first, count, blockWorkers);
  }
  b.setInsertionPointToStart(work.thenBlock());
  SmallVector<Value> ivs = splitItem(
      op, counts, arith::AddIOp::create(b, loc, first, thread).getResult());
  for (StagedItem &item : items)
    b.replaceOp(item.view, createItemView(b, loc, item, thread));
  b.eraseOp(op.getTerminator());
  b.inlineBlockBefore(op.getBody(), work.thenBlock()->getTerminator(), ivs);
  b.eraseOp(op);
  if (options.approximate && !kernel->hasAttr(kStrictAttrName)) {
    SmallVector<scf::ForOp> inside;
    work.walk([&](scf::ForOp loop) { inside.push_back(loop); });
    for (scf::ForOp loop : inside)
      speculate(b, loop, getBuffer);
  }
  if (failed(lowerBlock(*work.thenBlock(), Level::thread)))
    return failure();
  sharedUsed = sharedBefore;
  return success();
}

LogicalResult KernelFormer::lowerForall(scf::ForallOp op, Level level) {
  if (!op.getOutputs().empty())
    return op.emitError("is on tensors: kernels are made after bufferization");
  bool perThread =
      op.getMapping() &&
      llvm::all_of(*op.getMapping(), llvm::IsaPred<gpu::GPUThreadMappingAttr>);
  Level inner = level != Level::grid ? level
                : perThread          ? Level::thread
                                     : Level::block;
  Location loc = op.getLoc();
  if (level != Level::thread)
    waitBefore(op, level);
  Touched outside = touched;
  if (level == Level::grid && inner == Level::thread) {
    if (failed(lowerItems(op)))
      return failure();
    touched = outside;
    return success();
  }
  if (level == Level::grid) {
    if (hasVersions) {
      b.setInsertionPoint(op);
      renewThread();
    }
    int64_t used = sharedUsed;
    op.walk([&](memref::AllocOp alloc) {
      if (alloc.getType().hasStaticShape())
        used += llvm::alignTo(getBytes(alloc.getType()), kAlignment);
    });
    Touched own = touchedBy(op);
    stageMatrices(b, op, options.sharedBytes - used - kExchangeBytes,
                  blockWorkers, getBuffer, [&](Value source) {
                    void *buffer = getBuffer(source);
                    return buffer && !own.written.contains(nullptr) &&
                           !own.written.contains(buffer);
                  });
  }
  b.setInsertionPoint(op);

  SmallVector<OpFoldResult> counts;
  Value total = countItems(op, counts);
  Value begin, step;
  if (level != Level::grid) {
    begin = arith::ConstantIndexOp::create(b, loc, 0);
    step = arith::ConstantIndexOp::create(b, loc, 1);
  } else {
    begin = blockId;
    step = numBlocks;
  }
  auto loop = scf::ForOp::create(b, loc, begin, total, step);
  b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> ivs = splitItem(op, counts, loop.getInductionVar());
  b.eraseOp(op.getTerminator());
  b.inlineBlockBefore(op.getBody(), loop.getBody()->getTerminator(), ivs);
  b.eraseOp(op);

  int64_t sharedBefore = sharedUsed;
  touched.clear();
  if (failed(lowerBlock(*loop.getBody(), inner)))
    return failure();
  // The next item uses the same memory.
  if (inner == Level::block)
    waitAtEnd(*loop.getBody(), inner);
  sharedUsed = sharedBefore;
  touched = outside;
  return success();
}

LogicalResult KernelFormer::lowerOp(Operation *op, Level level) {
  if (done.erase(op)) {
    b.eraseOp(op);
    return success();
  }
  if (auto forall = dyn_cast<scf::ForallOp>(op))
    return lowerForall(forall, level);
  if (auto alloc = dyn_cast<memref::AllocOp>(op))
    return lowerAlloc(alloc, level);
  if (isa<memref::DeallocOp>(op)) {
    b.eraseOp(op);
    return success();
  }
  if (auto copy = dyn_cast<memref::CopyOp>(op)) {
    b.setInsertionPoint(op);
    linalg::GenericOp generic = linalg::makeMemRefCopyOp(
        b, op->getLoc(), copy.getSource(), copy.getTarget());
    b.eraseOp(op);
    return lowerOp(generic, level);
  }
  if (auto structured = dyn_cast<linalg::LinalgOp>(op)) {
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic) {
      b.setInsertionPoint(op);
      FailureOr<linalg::GenericOp> made =
          linalg::generalizeNamedOp(b, structured);
      if (failed(made))
        return op->emitError("cannot be written as 'linalg.generic'");
      generic = *made;
    }
    if (level == Level::thread) {
      unroll(b, generic);
    } else if (columns.contains(generic)) {
      lowerColumns(generic);
      columns.erase(generic);
    } else {
      waitBefore(generic, level);
      if (keeper && keeper->has(generic)) {
        keeper->emit(generic);
        return success();
      }
      distribute(b, generic, workersOf(level), [&](MemRefType type) {
        return allocateFor(generic, type, level);
      });
    }
    b.eraseOp(generic);
    return success();
  }
  if (auto points = dyn_cast<ReducePointsOp>(op))
    return lowerPoints(points, level);
  if (auto points = dyn_cast<SumPointsOp>(op))
    return lowerPoints(points, level);
  if (auto points = dyn_cast<ArgMaxPointsOp>(op))
    return lowerPoints(points, level);
  if (auto points = dyn_cast<ApplyPointsOp>(op))
    return lowerPoints(points, level);
  if (op->getNumRegions() != 0)
    return lowerLoop(op, level);
  if (level == Level::thread)
    return success();
  if (isa<memref::LoadOp, memref::StoreOp>(op))
    waitBefore(op, level);
  if (auto store = dyn_cast<memref::StoreOp>(op))
    lowerStore(store, level);
  return success();
}

/// Whether an op is on entries of buffers as long as `like`, one by one, and
/// buffers that are the same are the same value.
static bool isOnEntries(Operation *op, Value like,
                        llvm::SmallDenseMap<void *, Value> &buffers) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || generic.getNumLoops() != 1 ||
      generic.getNumReductionLoops() != 0 || generic.hasIndexSemantics())
    return false;
  return llvm::all_of(generic->getOpOperands(), [&](OpOperand &operand) {
    Value value = operand.get();
    if (!isa<MemRefType>(value.getType()))
      return true;
    void *buffer = getBuffer(value);
    SmallVector<OpFoldResult> sizes = getSizes(value);
    return buffer && generic.getMatchingIndexingMap(&operand).isIdentity() &&
           sizes.size() == 1 && sizes == getSizes(like) &&
           buffers.try_emplace(buffer, value).first->second == value;
  });
}

void KernelFormer::findColumns(Block &block) {
  for (auto op : block.getOps<linalg::GenericOp>()) {
    if (op.getNumLoops() != 2 || op.getNumReductionLoops() != 1 ||
        op.getNumDpsInputs() != 1 || op.getNumDpsInits() != 1 ||
        !isa<MemRefType>(op.getInputs()[0].getType()) || columns.contains(op))
      continue;
    Value sum = op.getOutputs()[0];
    AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
    AffineMap ofMatrix = op.getMatchingIndexingMap(op.getDpsInputOperand(0));
    void *buffer = getBuffer(sum);
    if (!buffer || getSizes(sum).empty() || map.getNumResults() != 1 ||
        !ofMatrix.isPermutation() ||
        ofMatrix.getResults().back() != map.getResult(0) ||
        op.getIteratorTypesArray()[map.getDimPosition(0)] !=
            utils::IteratorType::parallel ||
        getBuffer(op.getInputs()[0]) == buffer || !getBuffer(op.getInputs()[0]))
      continue;
    Columns found;
    llvm::SmallDenseMap<void *, Value> buffers{
        {buffer, sum}, {getBuffer(op.getInputs()[0]), op.getInputs()[0]}};
    for (Operation *next = op->getNextNode(); next;
         next = next->getNextNode()) {
      if (!isOnEntries(next, sum, buffers))
        break;
      found.then.push_back(cast<linalg::GenericOp>(next));
    }
    for (Operation *before = op->getPrevNode(); before;
         before = before->getPrevNode()) {
      Touched all = touchedBy(before);
      if (!all.read.contains(buffer) && !all.read.contains(nullptr) &&
          !all.written.contains(buffer) && !all.written.contains(nullptr))
        continue;
      if (auto fill = dyn_cast<linalg::FillOp>(before);
          fill && fill.getOutputs()[0] == sum) {
        found.begin = fill.value();
        done.insert(fill);
      }
      break;
    }
    if (!found.then.empty() || found.begin) {
      done.insert(found.then.begin(), found.then.end());
      columns[op] = std::move(found);
    }
  }
}

void KernelFormer::lowerColumns(linalg::GenericOp op) {
  const Columns &found = columns.find(op)->second;
  Touched next = touchedBy(op);
  for (linalg::GenericOp follower : found.then)
    next.add(touchedBy(follower));
  b.setInsertionPoint(op);
  if (touched.conflicts(next))
    createBarrier(Level::grid);
  touched.add(next);
  joinColumns(b, op, gridWorkers, found.begin, found.then);
}

LogicalResult KernelFormer::lowerBlock(Block &block, Level level) {
  if (level == Level::grid)
    findColumns(block);
  for (Operation &op : llvm::make_early_inc_range(block))
    if (failed(lowerOp(&op, level)))
      return failure();
  return success();
}

/// Whether the memory space of a buffer, and of what is a view of it, may be
/// another.
static bool canMove(Value buffer) {
  return llvm::all_of(buffer.getUsers(), [](Operation *user) {
    if (isa<memref::LoadOp, memref::StoreOp, memref::DimOp,
            memref::ExtractAlignedPointerAsIndexOp>(user))
      return true;
    return isa<memref::CastOp, memref::CollapseShapeOp, memref::ExpandShapeOp,
               memref::ReinterpretCastOp, memref::SubViewOp, memref::ViewOp>(
               user) &&
           canMove(user->getResult(0));
  });
}

static void moveTo(Value buffer, Attribute space) {
  auto type = cast<MemRefType>(buffer.getType());
  buffer.setType(MemRefType::Builder(type).setMemorySpace(space));
  for (Operation *user : buffer.getUsers())
    if (user->getNumResults() == 1 &&
        isa<MemRefType>(user->getResult(0).getType()))
      moveTo(user->getResult(0), space);
}

/// The threads that the matrices of blocks keep busy, up to `most`: 32 entries
/// or more for each.
static int64_t getBlockThreads(gpu::GPUFuncOp kernel, int64_t most) {
  int64_t entries = 0;
  for (Operation &op : kernel.front()) {
    bool isAlone = !isa<scf::ForallOp>(op);
    op.walk([&](linalg::LinalgOp inner) {
      int64_t points = 1;
      for (int64_t size : inner.getStaticLoopRanges())
        points = ShapedType::isDynamic(size) || points > most * kWarpThreads
                     ? most * kWarpThreads + 1
                     : points * size;
      entries = std::max(entries, isAlone ? most * kWarpThreads : points);
    });
  }
  int64_t threads = llvm::PowerOf2Ceil(llvm::divideCeil(entries, kWarpThreads));
  return std::clamp(threads, std::min(kWarpThreads, most), most);
}

/// As few threads as it takes for what each keeps in shared memory to fit.
static int64_t getItemThreads(gpu::GPUFuncOp kernel,
                              const ScalingFormKernelsPassOptions &options) {
  int64_t bytes = 0;
  kernel.walk([&](scf::ForallOp loop) {
    bytes = std::max(bytes, countThreadBytes(loop));
  });
  int64_t threads = options.itemThreads;
  while (threads % (2 * kWarpThreads) == 0 &&
         threads * bytes + kItemBytes > options.sharedBytes)
    threads /= 2;
  return threads;
}

LogicalResult KernelFormer::run() {
  bool perThread = true;
  kernel.walk([&](scf::ForallOp op) {
    perThread &= op.getMapping() &&
                 llvm::all_of(*op.getMapping(),
                              llvm::IsaPred<gpu::GPUThreadMappingAttr>);
  });
  kernel.walk([&](Operation *op) {
    hasPoints |=
        isa<ReducePointsOp, SumPointsOp, ArgMaxPointsOp, ApplyPointsOp>(op);
  });
  int64_t threads = hasPoints   ? options.blockThreads
                    : perThread ? getItemThreads(kernel, options)
                                : getBlockThreads(kernel, options.blockThreads);
  kernel.setKnownBlockSize(ArrayRef<int32_t>{int32_t(threads), 1, 1});

  Block &body = kernel.front();
  b.setInsertionPointToStart(&body);
  thread = gpu::ThreadIdOp::create(b, loc, gpu::Dimension::x);
  blockId = gpu::BlockIdOp::create(b, loc, gpu::Dimension::x);
  numBlocks = gpu::GridDimOp::create(b, loc, gpu::Dimension::x);
  numThreads = arith::ConstantIndexOp::create(b, loc, threads);
  setThread(thread);
  Operation *prologue = &*std::prev(b.getInsertionPoint());

  // The versions are alternatives: nobody waits for another one.
  splitLastRows(b, kernel);
  SmallVector<Block *> versions;
  if (!hasPoints)
    versions =
        createVersions(b, kernel, *prologue,
                       options.sharedBytes - kExchangeBytes - kScratchBytes);
  hasVersions = !versions.empty();
  Value commonThread = thread, commonBlockId = blockId;
  for (Block *version : versions) {
    touched.clear();
    b.setInsertionPointToStart(version);
    thread = commonThread;
    blockId = commonBlockId;
    renewThread();
    makeInFirstSweep(b, *version, threads, getBuffer);
    if (failed(lowerBlock(*version, Level::grid)))
      return failure();
  }
  if (versions.empty()) {
    makeInFirstSweep(b, body, threads, getBuffer);
    findColumns(body);
    SmallVector<Operation *> ops;
    for (Operation *op = prologue->getNextNode(); op; op = op->getNextNode())
      ops.push_back(op);
    for (Operation *op : ops)
      if (failed(lowerOp(op, Level::grid)))
        return failure();
  }

  if (!sharedAllocs.empty()) {
    b.setInsertionPointToStart(&body);
    auto space = gpu::AddressSpaceAttr::get(
        b.getContext(), gpu::GPUDialect::getWorkgroupAddressSpace());
    Value shared = gpu::DynamicSharedMemoryOp::create(
        b, loc,
        MemRefType::get({ShapedType::kDynamic}, b.getI8Type(),
                        MemRefLayoutAttrInterface(), space));
    for (auto [op, offset] : sharedAllocs) {
      auto type = cast<MemRefType>(op->getResult(0).getType());
      b.setInsertionPoint(op);
      Value place = arith::ConstantIndexOp::create(b, loc, offset);
      Value view = memref::ViewOp::create(
          b, loc,
          MemRefType::get(type.getShape(), type.getElementType(),
                          MemRefLayoutAttrInterface(), space),
          shared, place, ValueRange());
      if (canMove(op->getResult(0)))
        moveTo(op->getResult(0), space);
      else
        view = memref::MemorySpaceCastOp::create(b, loc, type, view);
      b.replaceOp(op, view);
    }
    kernel->setAttr(kSharedBytesAttrName, b.getI64IntegerAttr(sharedMost));
  }
  if (counter)
    kernel->setAttr(options.plainLaunches ? kRelaunchedAttrName
                                          : kCooperativeAttrName,
                    b.getUnitAttr());
  return success();
}

/// Copies the constants that a kernel reads into the module of kernels.
static void copyGlobals(gpu::GPUModuleOp kernels, gpu::GPUFuncOp kernel,
                        ModuleOp module) {
  kernel.walk([&](memref::GetGlobalOp op) {
    if (SymbolTable::lookupSymbolIn(kernels, op.getNameAttr()))
      return;
    auto global = cast<memref::GlobalOp>(
        SymbolTable::lookupSymbolIn(module, op.getNameAttr()));
    OpBuilder b(kernel);
    b.clone(*global);
  });
}

static bool isCompanion(func::FuncOp func) {
  return func.getSymName().ends_with(kResultDimsSuffix) ||
         func.getSymName().ends_with(kWorkspaceSizeSuffix);
}

LogicalResult
mlir::scaling::formKernels(ModuleOp module,
                           const ScalingFormKernelsPassOptions &options) {
  if (options.blockThreads % kWarpThreads || options.itemThreads % kWarpThreads)
    return module.emitError("'block-threads' and 'item-threads' must be "
                            "multiples of the warp's 32");
  IRRewriter rewriter(module.getContext());
  gpu::GPUModuleOp kernels;
  for (auto func : llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
    if (!func.isPublic() || func.isExternal() || isCompanion(func))
      continue;
    WalkResult calls = func.walk([](func::CallOp call) {
      call.emitError("a call inside of a kernel: inline it first");
      return WalkResult::interrupt();
    });
    if (calls.wasInterrupted())
      return failure();
    if (!kernels) {
      rewriter.setInsertionPointToEnd(module.getBody());
      kernels = gpu::GPUModuleOp::create(rewriter, module.getLoc(),
                                         kKernelModuleName);
      module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(),
                      rewriter.getUnitAttr());
    }
    rewriter.setInsertionPointToEnd(kernels.getBody());
    auto kernel = gpu::GPUFuncOp::create(
        rewriter, func.getLoc(), func.getSymName(), func.getFunctionType());
    kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(),
                    rewriter.getUnitAttr());
    if (Attribute strict = func->getAttr(kStrictAttrName))
      kernel->setAttr(kStrictAttrName, strict);
    Block &body = kernel.front();
    SmallVector<Value> arguments(body.getArguments());
    rewriter.inlineBlockBefore(&func.front(), &body, body.end(), arguments);
    Operation *terminator = body.getTerminator();
    rewriter.setInsertionPoint(terminator);
    rewriter.replaceOpWithNewOp<gpu::ReturnOp>(terminator);
    rewriter.eraseOp(func);
    copyGlobals(kernels, kernel, module);
    if (failed(KernelFormer(rewriter, kernel, options).run()))
      return failure();
  }
  return success();
}

namespace {
struct ScalingFormKernelsPass final
    : scaling::impl::ScalingFormKernelsPassBase<ScalingFormKernelsPass> {
  using Base::Base;

  void runOnOperation() override {
    ScalingFormKernelsPassOptions options;
    options.blockThreads = blockThreads;
    options.itemThreads = itemThreads;
    options.approximate = approximate;
    options.plainLaunches = plainLaunches;
    options.sharedBytes = sharedBytes;
    if (failed(formKernels(getOperation(), options)))
      signalPassFailure();
  }
};
} // namespace
