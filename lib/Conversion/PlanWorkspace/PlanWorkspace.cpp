//===- PlanWorkspace.cpp - One buffer for all scratch -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h"

#include "scaling/Conversion/EntryABI/EntryABI.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGPLANWORKSPACEPASS
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// Every buffer begins on a cache line of its own: no two share one, and
/// aligned vectors may be used.
static constexpr int64_t kAlignment = 64;

//===----------------------------------------------------------------------===//
// Uses of buffers
//===----------------------------------------------------------------------===//

/// Visits every operation that uses the buffer or a view of it. False where a
/// use is no view but hands the buffer on: to a loop, a branch, a call's
/// result.
static bool forEachUser(Value buffer, function_ref<void(Operation *)> visit) {
  SmallVector<Value> worklist{buffer};
  while (!worklist.empty()) {
    for (Operation *user : worklist.pop_back_val().getUsers()) {
      if (user->hasTrait<OpTrait::IsTerminator>())
        return false;
      visit(user);
      for (Value result : user->getResults()) {
        if (!isa<BaseMemRefType>(result.getType()))
          continue;
        if (!isa<ViewLikeOpInterface>(user))
          return false;
        worklist.push_back(result);
      }
    }
  }
  return true;
}

/// Whether the operation makes all of `to` of the entries of `from` at the same
/// positions, and reads nothing else of `to`.
static bool isElementwise(Operation *op, Value from, Value to) {
  if (auto copy = dyn_cast<memref::CopyOp>(op))
    return copy.getSource() == from && copy.getTarget() == to;
  if (llvm::count(op->getOperands(), to) != 1)
    return false;
  if (auto plan = dyn_cast<PlanOp>(op))
    return plan.getMatrix() == from && plan.getOuts() == to;
  auto generic = dyn_cast<linalg::GenericOp>(op);
  if (!generic || generic.getNumDpsInits() != 1 ||
      generic.getNumParallelLoops() != generic.getNumLoops())
    return false;
  OpOperand *init = generic.getDpsInitOperand(0);
  return init->get() == to && !generic.payloadUsesValueFromOperand(init) &&
         generic.getMatchingIndexingMap(init).isPermutation() &&
         llvm::all_of(generic.getDpsInputOperands(), [&](OpOperand *input) {
           return input->get() != from ||
                  generic.getMatchingIndexingMap(input) ==
                      generic.getMatchingIndexingMap(init);
         });
}

/// The buffer a value is a view of.
static Value getBuffer(Value value) {
  while (auto view = value.getDefiningOp<ViewLikeOpInterface>())
    value = view.getViewSource();
  return value;
}

/// The operation that is the first to touch `destination`, which the caller
/// gave, and makes it of `scratch`, whose last use that is. Null if there is
/// no such operation.
static Operation *getLastStep(memref::AllocOp scratch, Value destination) {
  if (destination.getType() != scratch.getType())
    return nullptr;
  Block *block = scratch->getBlock();
  Operation *first = nullptr, *last = nullptr;
  auto update = [&](Operation *&found, Operation *user, bool earlier) {
    Operation *top = block->findAncestorOpInBlock(*user);
    if (!found || top->isBeforeInBlock(found) == earlier)
      found = top;
  };
  if (!forEachUser(destination,
                   [&](Operation *user) { update(first, user, true); }) ||
      !forEachUser(scratch.getResult(),
                   [&](Operation *user) { update(last, user, false); }) ||
      !first || first != last ||
      !isElementwise(first, scratch.getResult(), destination))
    return nullptr;
  for (Value operand : first->getOperands()) {
    Value buffer = getBuffer(operand);
    if (buffer != operand &&
        (buffer == destination || buffer == scratch.getResult()))
      return nullptr;
  }
  return first;
}

/// Scratch that ends up in a destination of the caller's is built there: fresh
/// memory of a matrix' size costs page faults, and two matrices need twice the
/// cache.
static void buildInDestination(RewriterBase &rewriter, Block &block) {
  for (auto alloc :
       llvm::make_early_inc_range(block.getOps<memref::AllocOp>())) {
    for (BlockArgument argument : block.getArguments()) {
      Operation *step = getLastStep(alloc, argument);
      if (!step)
        continue;
      if (isa<memref::CopyOp>(step))
        rewriter.eraseOp(step);
      rewriter.replaceOp(alloc, argument);
      break;
    }
  }
}

//===----------------------------------------------------------------------===//
// One buffer
//===----------------------------------------------------------------------===//

namespace {
/// Makes values again at an earlier place.
class Rematerializer {
public:
  /// `isThere` says which values exist at the builder's insertion point.
  Rematerializer(OpBuilder &b, std::function<bool(Value)> isThere)
      : b(b), isThere(std::move(isThere)) {}

  /// Whether the value is, or is made by arithmetic of, values that are there.
  bool canMake(Value value) {
    if (isThere(value))
      return true;
    Operation *op = value.getDefiningOp();
    return op && op->getNumRegions() == 0 && isPure(op) &&
           llvm::all_of(op->getOperands(),
                        [&](Value operand) { return canMake(operand); });
  }

  Value make(Value value) {
    if (isThere(value))
      return mapping.lookupOrDefault(value);
    if (Value made = mapping.lookupOrNull(value))
      return made;
    Operation *op = value.getDefiningOp();
    for (Value operand : op->getOperands())
      mapping.map(operand, make(operand));
    b.clone(*op, mapping);
    return mapping.lookup(value);
  }

  IRMapping mapping;

private:
  OpBuilder &b;
  std::function<bool(Value)> isThere;
};
} // namespace

/// Whether the allocation can be a view of bytes: an ordinary layout and
/// elements of whole bytes.
static bool fits(memref::AllocOp alloc) {
  MemRefType type = alloc.getType();
  return type.getLayout().isIdentity() && !type.getMemorySpace() &&
         type.getElementType().isIntOrFloat() &&
         alloc.getAlignment().value_or(1) <= kAlignment;
}

/// Whether one buffer for all times the allocation is made will do: nothing of
/// it is seen by a later iteration, or by a caller.
static bool staysInside(memref::AllocOp alloc, Block &frame) {
  if (forEachUser(alloc.getResult(), [](Operation *) {}))
    return true;
  auto function = dyn_cast<FunctionOpInterface>(frame.getParentOp());
  return alloc->getBlock() == &frame &&
         (!function || llvm::none_of(function.getResultTypes(),
                                     llvm::IsaPred<BaseMemRefType>));
}

static bool isFreed(memref::AllocOp alloc) {
  return llvm::any_of(alloc->getUsers(), llvm::IsaPred<memref::DeallocOp>);
}

/// The bytes of an allocation of these sizes, rounded up to whole cache lines.
static Value byteSize(OpBuilder &b, Location loc, MemRefType type,
                      ValueRange dynamicSizes) {
  int64_t bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  for (int64_t size : type.getShape())
    if (!ShapedType::isDynamic(size))
      bytes *= size;
  if (dynamicSizes.empty())
    return arith::ConstantIndexOp::create(b, loc,
                                          llvm::alignTo(bytes, kAlignment));
  Value total = arith::ConstantIndexOp::create(b, loc, bytes);
  for (Value size : dynamicSizes)
    total = arith::MulIOp::create(b, loc, total, size);
  Value more = arith::AddIOp::create(
      b, loc, total, arith::ConstantIndexOp::create(b, loc, kAlignment - 1));
  return arith::AndIOp::create(
      b, loc, more, arith::ConstantIndexOp::create(b, loc, -kAlignment));
}

/// The function that tells the size of a function's workspace.
static LogicalResult createSizeQuery(func::FuncOp function, Value total) {
  FailureOr<func::FuncOp> query = createCompanion(
      function, kWorkspaceSizeSuffix, [&](OpBuilder &b, ValueRange arguments) {
        Block &frame = function.front();
        Rematerializer sizes(b, [&](Value value) {
          auto argument = dyn_cast<BlockArgument>(value);
          return argument && argument.getOwner() == &frame;
        });
        sizes.mapping.map(frame.getArguments(), arguments);
        return sizes.make(total);
      });
  if (failed(query))
    return failure();
  (*query)->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(),
                    UnitAttr::get(function.getContext()));
  return success();
}

/// The most a size can be, where that is a constant.
static std::optional<int64_t> getLargest(Value size) {
  FailureOr<int64_t> bound = ValueBoundsConstraintSet::computeConstantBound(
      presburger::BoundType::UB, size, /*stopCondition=*/nullptr,
      /*closedUB=*/true);
  return succeeded(bound) ? std::optional<int64_t>(*bound) : std::nullopt;
}

/// Makes the allocations of a function or of a parallel loop's iteration views
/// of one buffer: of the argument that it gets where `argument` says so, else
/// allocated where the block begins.
static LogicalResult planWorkspace(RewriterBase &rewriter, Block &frame,
                                   bool argument) {
  Operation *parent = frame.getParentOp();
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPointToStart(&frame);
  Rematerializer sizes(rewriter, [&](Value value) {
    if (auto blockArgument = dyn_cast<BlockArgument>(value))
      return blockArgument.getOwner() == &frame ||
             !parent->isAncestor(blockArgument.getOwner()->getParentOp());
    return !parent->isProperAncestor(value.getDefiningOp());
  });
  SmallVector<memref::AllocOp> allocs;
  frame.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (isa<scf::ForallOp>(op))
      return WalkResult::skip();
    auto alloc = dyn_cast<memref::AllocOp>(op);
    if (alloc && fits(alloc) && !isFreed(alloc) && staysInside(alloc, frame) &&
        llvm::all_of(alloc.getDynamicSizes(), [&](Value size) {
          // Callers that hand memory in have no other: the last tile of a
          // loop gets as much as the others.
          return sizes.canMake(size) || (argument && getLargest(size));
        }))
      allocs.push_back(alloc);
    return WalkResult::advance();
  });
  bool alone = allocs.size() == 1 && allocs.front()->getBlock() == &frame;
  if ((allocs.empty() || alone) && !argument)
    return success();

  Location loc = parent->getLoc();
  Value total = arith::ConstantIndexOp::create(rewriter, loc, 0);
  SmallVector<std::pair<Value, SmallVector<Value>>> places;
  for (memref::AllocOp alloc : allocs) {
    SmallVector<Value> dynamicSizes, largestSizes;
    for (Value size : alloc.getDynamicSizes()) {
      bool known = sizes.canMake(size);
      dynamicSizes.push_back(known ? sizes.make(size) : size);
      largestSizes.push_back(known ? dynamicSizes.back()
                                   : arith::ConstantIndexOp::create(
                                         rewriter, loc, *getLargest(size)));
    }
    Value bytes =
        byteSize(rewriter, alloc.getLoc(), alloc.getType(), largestSizes);
    places.emplace_back(total, std::move(dynamicSizes));
    total = arith::AddIOp::create(rewriter, alloc.getLoc(), total, bytes);
  }
  auto type =
      MemRefType::get({ShapedType::kDynamic}, rewriter.getIntegerType(8));
  Value workspace;
  if (argument) {
    auto function = cast<func::FuncOp>(parent);
    if (failed(createSizeQuery(function, total)))
      return failure();
    unsigned index = function.getNumArguments();
    if (failed(function.insertArgument(index, type, {}, loc)))
      return failure();
    workspace = function.getArgument(index);
  } else {
    workspace = memref::AllocOp::create(rewriter, loc, type, total,
                                        rewriter.getI64IntegerAttr(kAlignment));
  }
  for (auto [alloc, place] : llvm::zip_equal(allocs, places)) {
    // A size that is not known here is known there.
    OpBuilder there(alloc);
    bool known = llvm::all_of(alloc.getDynamicSizes(),
                              [&](Value size) { return sizes.canMake(size); });
    auto view = memref::ViewOp::create(known ? rewriter : there, alloc.getLoc(),
                                       alloc.getType(), workspace, place.first,
                                       place.second);
    rewriter.replaceOp(alloc, view);
  }
  return success();
}

/// Whether an iteration is done by one thread of a GPU.
static bool isPerThread(scf::ForallOp op) {
  return op.getMapping() &&
         llvm::all_of(*op.getMapping(),
                      llvm::IsaPred<gpu::GPUThreadMappingAttr>);
}

/// The number of iterations, before the loop.
static Value countItems(OpBuilder &b, scf::ForallOp op) {
  AffineExpr d0, d1, d2;
  bindDims(b.getContext(), d0, d1, d2);
  OpFoldResult total = b.getIndexAttr(1);
  for (auto [lower, upper, step] : llvm::zip_equal(
           op.getMixedLowerBound(), op.getMixedUpperBound(), op.getMixedStep()))
    total = affine::makeComposedFoldedAffineApply(
        b, op.getLoc(),
        d0 * (d2 - d1).ceilDiv(getAffineDimExpr(3, b.getContext())),
        {total, lower, upper, step});
  return getValueOrCreateConstantIndexOp(b, op.getLoc(), total);
}

/// Scratch of a parallel loop's iteration that shared memory cannot have: its
/// size is not known, or too large. Every block of threads has its own, in one
/// allocation before the loop.
static void planBlocks(RewriterBase &rewriter, scf::ForallOp loop,
                       int64_t sharedBytes) {
  if (loop->getParentOfType<scf::ForallOp>() || isPerThread(loop))
    return;
  SmallVector<memref::AllocOp> allocs, fixed;
  int64_t fixedBytes = 0;
  loop.walk([&](memref::AllocOp alloc) {
    MemRefType type = alloc.getType();
    if (!fits(alloc))
      return;
    (type.hasStaticShape() ? fixed : allocs).push_back(alloc);
    if (type.hasStaticShape())
      fixedBytes +=
          llvm::alignTo(llvm::divideCeil(type.getElementTypeBitWidth(), 8) *
                            type.getNumElements(),
                        kAlignment);
  });
  if (fixedBytes > sharedBytes)
    llvm::append_range(allocs, fixed);

  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(loop);
  Location loc = loop.getLoc();
  Rematerializer sizes(rewriter, [&](Value value) {
    return !loop->isAncestor(value.getParentRegion()->getParentOp());
  });
  Value total = arith::ConstantIndexOp::create(rewriter, loc, 0);
  SmallVector<std::pair<memref::AllocOp, Value>> places;
  for (memref::AllocOp alloc : allocs) {
    SmallVector<Value> dynamicSizes;
    for (Value size : alloc.getDynamicSizes()) {
      if (sizes.canMake(size)) {
        dynamicSizes.push_back(sizes.make(size));
        continue;
      }
      // The most it can be, for all iterations.
      if (std::optional<int64_t> largest = getLargest(size))
        dynamicSizes.push_back(
            arith::ConstantIndexOp::create(rewriter, loc, *largest));
    }
    if (dynamicSizes.size() != alloc.getDynamicSizes().size())
      continue;
    Value bytes =
        byteSize(rewriter, alloc.getLoc(), alloc.getType(), dynamicSizes);
    places.emplace_back(alloc, total);
    total = arith::AddIOp::create(rewriter, loc, total, bytes);
  }
  if (places.empty())
    return;
  Value blocks = arith::MinUIOp::create(
      rewriter, loc, countItems(rewriter, loop),
      arith::ConstantIndexOp::create(rewriter, loc, kMaxBlocks));
  Value bytes = arith::MulIOp::create(rewriter, loc, blocks, total);
  Value scratch = memref::AllocOp::create(
      rewriter, loc,
      MemRefType::get({ShapedType::kDynamic}, rewriter.getI8Type()), bytes,
      rewriter.getI64IntegerAttr(kAlignment));
  rewriter.setInsertionPointToStart(loop.getBody());
  Value block = gpu::BlockIdOp::create(rewriter, loc, gpu::Dimension::x);
  Value own = arith::MulIOp::create(rewriter, loc, block, total);
  for (auto [alloc, place] : places) {
    rewriter.setInsertionPoint(alloc);
    Value offset = arith::AddIOp::create(rewriter, alloc.getLoc(), own, place);
    rewriter.replaceOpWithNewOp<memref::ViewOp>(
        alloc, alloc.getType(), scratch, offset, alloc.getDynamicSizes());
  }
}

LogicalResult mlir::scaling::planWorkspaces(ModuleOp module, bool argument,
                                            int64_t sharedBytes) {
  IRRewriter rewriter(module.getContext());
  SmallVector<Operation *> frames;
  module.walk([&](Operation *op) {
    auto function = dyn_cast<func::FuncOp>(op);
    if ((function && !function.isExternal()) || isa<scf::ForallOp>(op))
      frames.push_back(op);
  });
  if (sharedBytes > 0)
    for (Operation *frame : frames)
      if (auto loop = dyn_cast<scf::ForallOp>(frame))
        planBlocks(rewriter, loop, sharedBytes);
  for (Operation *frame : frames) {
    auto function = dyn_cast<func::FuncOp>(frame);
    // Only callers of public functions promise that nothing overlaps, and hand
    // in memory.
    bool isEntry =
        function &&
        function->hasAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName());
    if (isEntry)
      buildInDestination(rewriter, function.front());
    // The companion that tells the sizes of results needs none.
    bool takesArgument = argument && isEntry &&
                         !function.getSymName().ends_with(kResultDimsSuffix);
    if (failed(planWorkspace(rewriter, frame->getRegion(0).front(),
                             takesArgument)))
      return failure();
  }
  return success();
}

namespace {
struct ScalingPlanWorkspacePass final
    : scaling::impl::ScalingPlanWorkspacePassBase<ScalingPlanWorkspacePass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(planWorkspaces(getOperation(), argument, sharedBytes)))
      signalPassFailure();
  }
};
} // namespace
