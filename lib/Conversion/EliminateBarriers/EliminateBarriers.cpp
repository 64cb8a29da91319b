//===- EliminateBarriers.cpp - Only barriers that order -------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/EliminateBarriers/EliminateBarriers.h"

#include "ThreadPair.h"

#include "scaling/Conversion/FormKernels/FormKernels.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/CSE.h"
#include "llvm/Support/MathExtras.h"
#include <map>

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGELIMINATEBARRIERSPASS
#include "scaling/Conversion/EliminateBarriers/EliminateBarriers.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// More pairs of accesses than that are not looked at: the barrier stays.
static constexpr size_t kMostPairs = 1 << 10;

static int64_t getBytes(Type type) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.isScalable()
               ? 0
               : vector.getNumElements() * getBytes(vector.getElementType());
  return type.isIntOrFloat() ? llvm::divideCeil(type.getIntOrFloatBitWidth(), 8)
                             : 0;
}

/// Whether an operation touches no memory, though it does not say so.
static bool touchesNothing(Operation *op) {
  return isMemoryEffectFree(op) ||
         isa<gpu::BarrierOp, gpu::ShuffleOp, LLVM::FenceOp,
             NVVM::CpAsyncCommitGroupOp, NVVM::MmaOp, NVVM::ShflOp,
             NVVM::SyncWarpOp, NVVM::VoteSyncOp, NVVM::ConvertFloatToTF32Op>(
             op) ||
         isCopy(op) || op->hasTrait<OpTrait::IsTerminator>();
}

static Access createAccess(Operation *op, Value where, bool isWrite) {
  Access access;
  access.op = op;
  access.where = where;
  access.isWrite = isWrite;
  return access;
}

static void setIndices(Access &access, ValueRange indices) {
  for (Value value : indices) {
    Access::Index index{value};
    while (index.value) {
      auto add = index.value.getDefiningOp<arith::AddIOp>();
      std::optional<int64_t> constant =
          getConstantIntValue(add ? add.getRhs() : index.value);
      if (!constant || llvm::AddOverflow(index.first, *constant, index.first))
        break;
      index.value = add ? add.getLhs() : Value();
    }
    index.last = index.first;
    access.indices.push_back(index);
  }
  access.hasIndices = true;
}

/// The accesses of an operation without regions.
static void findAccesses(Operation *op, SmallVectorImpl<Access> &accesses) {
  auto addPointer = [&](Value pointer, bool isWrite, int64_t bytes) {
    accesses.push_back(createAccess(op, pointer, isWrite));
    accesses.back().bytes = bytes;
  };
  if (touchesNothing(op))
    return;
  if (auto load = dyn_cast<memref::LoadOp>(op)) {
    accesses.push_back(createAccess(op, load.getMemRef(), false));
    return setIndices(accesses.back(), load.getIndices());
  }
  if (auto store = dyn_cast<memref::StoreOp>(op)) {
    accesses.push_back(createAccess(op, store.getMemRef(), true));
    return setIndices(accesses.back(), store.getIndices());
  }
  auto load = dyn_cast<LLVM::LoadOp>(op);
  if (load && load.getOrdering() == LLVM::AtomicOrdering::not_atomic)
    return addPointer(load.getAddr(), false, getBytes(load.getType()));
  auto store = dyn_cast<LLVM::StoreOp>(op);
  if (store && store.getOrdering() == LLVM::AtomicOrdering::not_atomic)
    return addPointer(store.getAddr(), true,
                      getBytes(store.getValue().getType()));
  if (auto copy = dyn_cast<NVVM::CpAsyncOp>(op)) {
    addPointer(copy.getSrc(), false, copy.getSize());
    return addPointer(copy.getDst(), true, copy.getSize());
  }
  if (auto move = dyn_cast<NVVM::LdMatrixOp>(op))
    return addPointer(move.getPtr(), false, 0);
  if (auto move = dyn_cast<NVVM::StMatrixOp>(op))
    return addPointer(move.getPtr(), true, 0);
  std::optional<SmallVector<MemoryEffects::EffectInstance>> effects;
  if (!isa<LLVM::LoadOp, LLVM::StoreOp, LLVM::AtomicRMWOp,
           LLVM::AtomicCmpXchgOp, NVVM::CpAsyncWaitGroupOp>(op))
    effects = getEffectsRecursively(op);
  if (!effects) {
    accesses.push_back(createAccess(op, {}, true));
    return;
  }
  for (const MemoryEffects::EffectInstance &effect : *effects)
    if (isa<MemoryEffects::Read, MemoryEffects::Write>(effect.getEffect()))
      accesses.push_back(
          createAccess(op, effect.getValue(),
                       isa<MemoryEffects::Write>(effect.getEffect())));
}

/// Memory that blocks have for themselves.
static bool isShared(const Access &access) {
  return access.memory &&
         access.memory.getDefiningOp<gpu::DynamicSharedMemoryOp>();
}

/// Memory that a thread has for itself.
static bool isOwn(const Access &access) {
  return (access.memory && access.memory.getDefiningOp<memref::AllocaOp>()) ||
         (access.where && access.where.getDefiningOp<LLVM::AllocaOp>());
}

/// Where one thread of a block meets those of other blocks.
static bool isGridBarrier(Operation *op) {
  return op->hasAttr(kGridBarrierAttrName);
}

/// Makes one of accesses to the same memref, by operations of one block, whose
/// indices differ by constants: to all elements from the first to the last.
static void join(SmallVectorImpl<Access> &accesses) {
  using Key = std::tuple<Block *, const void *, bool, bool, Operation *,
                         SmallVector<const void *>>;
  std::map<Key, size_t> firsts;
  SmallVector<Access> joined;
  for (const Access &access : accesses) {
    SmallVector<const void *> values;
    for (const Access::Index &index : access.indices)
      values.push_back(index.value.getAsOpaquePointer());
    Key key{access.op->getBlock(), access.where.getAsOpaquePointer(),
            access.isWrite,        access.isPending,
            access.again,          values};
    auto [first, isNew] = firsts.try_emplace(key, joined.size());
    if (!access.hasIndices || isNew) {
      joined.push_back(access);
      continue;
    }
    for (auto [own, other] :
         llvm::zip_equal(joined[first->second].indices, access.indices)) {
      own.first = std::min(own.first, other.first);
      own.last = std::max(own.last, other.last);
    }
  }
  accesses.assign(joined.begin(), joined.end());
}

namespace {
/// What is accessed before and after a barrier and up to the next ones: those
/// of the block, or where the center is one of the grid, those of the grid.
class Neighbourhood {
public:
  explicit Neighbourhood(Operation *center)
      : center(center), ofGrid(isGridBarrier(center)) {
    for (Operation *op = center->getParentOp(); op; op = op->getParentOp())
      if (isa<LoopLikeOpInterface>(op))
        outermost = op;
    collect(/*isForward=*/false, before);
    collect(/*isForward=*/true, after);
    join(before.accesses);
    join(after.accesses);
  }

  struct Side {
    SmallVector<Access> accesses;
    /// Barriers of the grid, if the center is one of the block.
    SmallVector<Operation *> gridBarriers;
  };
  Side before, after;

private:
  void collect(bool isForward, Side &side);
  /// Whether every way through ends at a barrier.
  bool walk(Block &block, Operation *from, bool isForward, Operation *again,
            Side &side);
  bool walkOp(Operation *op, bool isForward, Operation *again, Side &side);
  bool walkRegion(Region &region, bool isForward, Operation *again,
                  Side &side) {
    return !region.empty() &&
           walk(region.front(), nullptr, isForward, again, side);
  }
  void add(Operation *op, Operation *again, SmallVectorImpl<Access> &accesses);

  Operation *center;
  bool ofGrid;
  Operation *outermost = nullptr;
};
} // namespace

void Neighbourhood::add(Operation *op, Operation *again,
                        SmallVectorImpl<Access> &accesses) {
  SmallVector<Access> found;
  bool isPending = isa<NVVM::CpAsyncWaitGroupOp>(op);
  if (isPending) {
    // What was asked for at any time.
    again = outermost;
    op->getParentOfType<gpu::GPUFuncOp>().walk(
        [&](NVVM::CpAsyncOp copy) { findAccesses(copy, found); });
  } else {
    findAccesses(op, found);
  }
  for (Access &access : found) {
    access.again = again;
    access.isPending = isPending;
    if (access.where)
      access.memory = getMemory(access.where);
    if (!isOwn(access) && !(ofGrid && isShared(access)))
      accesses.push_back(access);
  }
}

bool Neighbourhood::walkOp(Operation *op, bool isForward, Operation *again,
                           Side &side) {
  if (isGridBarrier(op)) {
    if (ofGrid)
      return op != center;
    side.gridBarriers.push_back(op);
    return false;
  }
  if (isa<gpu::BarrierOp>(op))
    return !ofGrid && op != center;
  if (op->getNumRegions() == 0) {
    // A copy that is waited for later either has been asked for before the
    // center, and may be made before it as well, or is on the way to here.
    if (!isForward || !isa<NVVM::CpAsyncWaitGroupOp>(op))
      add(op, again, side.accesses);
    return false;
  }
  if (auto branch = dyn_cast<scf::IfOp>(op)) {
    bool ends = walkRegion(branch.getThenRegion(), isForward, again, side);
    return walkRegion(branch.getElseRegion(), isForward, again, side) && ends;
  }
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return walkRegion(loop.getRegion(), isForward, again, side) &&
           runsAtLeastOnce(loop);
  if (auto loop = dyn_cast<scf::WhileOp>(op)) {
    // It is left after the first region, and always comes to that.
    if (walkRegion(loop.getBefore(), isForward, again, side))
      return true;
    walkRegion(loop.getAfter(), isForward, again, side);
    return false;
  }
  side.accesses.push_back(createAccess(op, {}, true));
  return false;
}

bool Neighbourhood::walk(Block &block, Operation *from, bool isForward,
                         Operation *again, Side &side) {
  Operation *op = from;
  if (op)
    op = isForward ? op->getNextNode() : op->getPrevNode();
  else if (!block.empty())
    op = isForward ? &block.front() : &block.back();
  for (; op; op = isForward ? op->getNextNode() : op->getPrevNode())
    if (walkOp(op, isForward, again, side))
      return true;
  return false;
}

void Neighbourhood::collect(bool isForward, Side &side) {
  for (Operation *op = center; !isa<gpu::GPUFuncOp>(op);
       op = op->getParentOp()) {
    if (walk(*op->getBlock(), op, isForward, /*again=*/nullptr, side))
      return;
    Operation *parent = op->getParentOp();
    if (auto loop = dyn_cast<scf::ForOp>(parent)) {
      walkRegion(loop.getRegion(), isForward, loop, side);
      continue;
    }
    auto loop = dyn_cast<scf::WhileOp>(parent);
    if (!loop)
      continue;
    // From one region comes the other, and round again.
    bool isInAfter = op->getParentRegion() == &loop.getAfter();
    Region &own = isInAfter ? loop.getAfter() : loop.getBefore();
    Region &other = isInAfter ? loop.getBefore() : loop.getAfter();
    bool otherIsNext = isForward != isInAfter;
    bool ends =
        walkRegion(other, isForward, otherIsNext ? nullptr : parent, side);
    if (!ends)
      walkRegion(own, isForward, parent, side);
    // In and out of the loop only through the first region.
    if (isInAfter && ends)
      return;
  }
}

static bool mayMeet(const Access &before, const Access &after,
                    ThreadPair::Threads threads) {
  if (!ThreadPair(threads).mayMeet(before, after))
    return false;
  threads.isThorough = true;
  return ThreadPair(threads).mayMeet(before, after);
}

/// Whether any access of one list and one of the other may be to the same
/// bytes, one of them writing, by two threads.
static bool mayMeet(ArrayRef<Access> before, ArrayRef<Access> after,
                    const ThreadPair::Threads &threads) {
  SmallVector<std::pair<const Access *, const Access *>> pairs;
  for (const Access &one : before) {
    for (const Access &other : after) {
      if (!one.isWrite && !other.isWrite)
        continue;
      if (!one.memory || !other.memory)
        return true;
      if (one.memory == other.memory)
        pairs.push_back({&one, &other});
    }
  }
  return pairs.size() > kMostPairs || llvm::any_of(pairs, [&](auto pair) {
           return mayMeet(*pair.first, *pair.second, threads);
         });
}

/// Whether a barrier of the grid orders accesses of two blocks.
static bool isNeededByBlocks(Operation *barrier, int64_t numThreads) {
  Neighbourhood around(barrier);
  ThreadPair::Threads threads{barrier, numThreads};
  threads.ofBlocks = true;
  return mayMeet(around.before.accesses, around.after.accesses, threads);
}

/// Whether a barrier orders accesses of two threads of a block, or those of a
/// thread and the meeting of its block's first one with other blocks.
static bool isNeeded(gpu::BarrierOp barrier, int64_t numThreads) {
  Neighbourhood around(barrier);
  ThreadPair::Threads threads{barrier, numThreads};
  if (mayMeet(around.before.accesses, around.after.accesses, threads))
    return true;
  threads.ofBlocks = true;
  // What the loops around either barrier say is not of one iteration.
  auto loosen = [](SmallVector<Access> accesses) {
    llvm::erase_if(accesses, isShared);
    for (Access &access : accesses)
      access.isPending = true;
    return accesses;
  };
  threads.isLoose = true;
  SmallVector<Access> before = loosen(around.before.accesses);
  SmallVector<Access> after = loosen(around.after.accesses);
  threads.firstOther = ThreadPair::kBefore;
  for (Operation *next : around.after.gridBarriers)
    if (mayMeet(before, loosen(Neighbourhood(next).after.accesses), threads))
      return true;
  threads.firstOther = ThreadPair::kAfter;
  for (Operation *last : around.before.gridBarriers)
    if (mayMeet(loosen(Neighbourhood(last).before.accesses), after, threads))
      return true;
  return false;
}

static unsigned countLoops(Operation *op) {
  unsigned count = 0;
  while ((op = op->getParentOp()))
    count += isa<LoopLikeOpInterface>(op);
  return count;
}

/// The barriers of a kernel, in its order.
static SmallVector<Operation *> findBarriers(gpu::GPUFuncOp kernel) {
  SmallVector<Operation *> barriers;
  kernel.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (isa<gpu::BarrierOp>(op) || isGridBarrier(op))
      barriers.push_back(op);
  });
  return barriers;
}

void mlir::scaling::eliminateBarriers(gpu::GPUFuncOp kernel) {
  std::optional<ArrayRef<int32_t>> size = kernel.getKnownBlockSize();
  if (!size || (*size)[1] != 1 || (*size)[2] != 1)
    return;
  // In a copy, equal numbers become the same value. The kernel itself keeps
  // what it makes anew.
  OwningOpRef<gpu::GPUFuncOp> copy = kernel.clone();
  IRRewriter rewriter(kernel.getContext());
  DominanceInfo dominance(*copy);
  eliminateCommonSubExpressions(rewriter, dominance, *copy);
  SmallVector<Operation *> own = findBarriers(kernel),
                           ofCopy = findBarriers(*copy);
  if (own.size() != ofCopy.size())
    return;
  // By the number of loops around them.
  std::map<unsigned, SmallVector<std::pair<Operation *, Operation *>>> ofGrid,
      ofBlock;
  for (auto [barrier, copied] : llvm::zip_equal(own, ofCopy))
    (isGridBarrier(barrier) ? ofGrid : ofBlock)[countLoops(barrier)].push_back(
        {barrier, copied});
  auto erase = [&](auto &barriers, auto isKept) {
    for (auto &[loops, alike] : llvm::reverse(barriers)) {
      for (auto [barrier, copied] : alike) {
        if (isKept(copied, (*size)[0]))
          continue;
        barrier->erase();
        copied->erase();
      }
    }
  };
  // Of the grid first: its threads meet before one and after it.
  erase(ofGrid, isNeededByBlocks);
  erase(ofBlock, [](Operation *barrier, int64_t numThreads) {
    return isNeeded(cast<gpu::BarrierOp>(barrier), numThreads);
  });
}

namespace {
struct ScalingEliminateBarriersPass final
    : scaling::impl::ScalingEliminateBarriersPassBase<
          ScalingEliminateBarriersPass> {
  using Base::Base;

  void runOnOperation() override {
    getOperation()->walk([](gpu::GPUFuncOp kernel) {
      if (kernel.isKernel())
        eliminateBarriers(kernel);
    });
  }
};
} // namespace
