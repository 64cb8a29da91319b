//===- FormTeam.cpp - Parallel loops on a team of threads -----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/FormTeam/FormTeam.h"

#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Dominance.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/Transforms/LoopInvariantCodeMotionUtils.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/MapVector.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGFORMTEAMPASS
#include "scaling/Conversion/FormTeam/FormTeam.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

//===----------------------------------------------------------------------===//
// Scratch of one item
//===----------------------------------------------------------------------===//

/// Whether a view of the buffer leaves the block it is allocated in, so that
/// two iterations of a loop around it may need two buffers.
static bool escapes(Value buffer) {
  SmallVector<Value> worklist{buffer};
  while (!worklist.empty()) {
    for (Operation *user : worklist.pop_back_val().getUsers()) {
      if (user->hasTrait<OpTrait::IsTerminator>())
        return true;
      for (Value result : user->getResults()) {
        if (!isa<BaseMemRefType>(result.getType()))
          continue;
        if (!isa<ViewLikeOpInterface>(user))
          return true;
        worklist.push_back(result);
      }
    }
  }
  return false;
}

/// The stack allocations of a forall's body live for one item. Once the body
/// is the body of a sequential loop they would pile up: those of static size
/// go to the start of the function, one for all items; the others become heap
/// allocations.
static void replaceScratch(scf::ForallOp forall, Block *functionEntry) {
  SmallVector<memref::AllocaOp> allocas;
  forall.getBody()->walk([&](memref::AllocaOp alloca) {
    if (alloca->getParentWithTrait<OpTrait::AutomaticAllocationScope>() ==
        forall)
      allocas.push_back(alloca);
  });
  for (memref::AllocaOp alloca : allocas) {
    if (escapes(alloca))
      continue;
    if (alloca->getNumOperands() == 0) {
      alloca->moveBefore(functionEntry, functionEntry->begin());
      continue;
    }
    OpBuilder b(alloca);
    auto alloc = memref::AllocOp::create(
        b, alloca.getLoc(), alloca.getType(), alloca.getDynamicSizes(),
        alloca.getSymbolOperands(), alloca.getAlignmentAttr());
    b.setInsertionPoint(alloca->getBlock()->getTerminator());
    memref::DeallocOp::create(b, alloca.getLoc(), alloc);
    alloca.replaceAllUsesWith(alloc.getResult());
    alloca.erase();
  }
}

/// The heap allocations of one iteration, freed at its end, are made once for
/// all.
static void hoistAllocations(scf::ForOp loop) {
  moveLoopInvariantCode(loop);
  for (auto alloc :
       llvm::make_early_inc_range(loop.getBody()->getOps<memref::AllocOp>())) {
    auto deallocs = llvm::to_vector(llvm::make_filter_range(
        alloc->getUsers(), llvm::IsaPred<memref::DeallocOp>));
    if (deallocs.size() != 1 ||
        deallocs.front()->getBlock() != loop.getBody() ||
        !llvm::all_of(alloc->getOperands(), [&](Value operand) {
          return loop.isDefinedOutsideOfLoop(operand);
        }))
      continue;
    alloc->moveBefore(loop);
    deallocs.front()->moveAfter(loop);
  }
}

//===----------------------------------------------------------------------===//
// Outlining
//===----------------------------------------------------------------------===//

namespace {
/// Converts the outermost foralls of a module.
class TeamBuilder {
public:
  explicit TeamBuilder(ModuleOp module)
      : module(module), symbols(module), converter(module.getContext()) {}

  /// The loops of one function that are not inside each other.
  LogicalResult convert(ArrayRef<scf::ForallOp> foralls);

private:
  LogicalResult convert(scf::ForallOp forall, Value team);
  /// The number of items per dimension.
  SmallVector<Value> createSizes(OpBuilder &b, scf::ForallOp forall);
  func::FuncOp getRuntimeEntry(StringRef name, TypeRange inputs,
                               TypeRange results);

  ModuleOp module;
  SymbolTable symbols;
  LLVMTypeConverter converter;
};
} // namespace

static Value createIndex(OpBuilder &b, Location loc, int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}

SmallVector<Value> TeamBuilder::createSizes(OpBuilder &b,
                                            scf::ForallOp forall) {
  Location loc = forall.getLoc();
  SmallVector<Value> sizes;
  for (auto [lower, upper, step] :
       llvm::zip(forall.getMixedLowerBound(), forall.getMixedUpperBound(),
                 forall.getMixedStep())) {
    Value lowerValue = getValueOrCreateConstantIndexOp(b, loc, lower);
    Value upperValue = getValueOrCreateConstantIndexOp(b, loc, upper);
    Value stepValue = getValueOrCreateConstantIndexOp(b, loc, step);
    Value extent = b.createOrFold<arith::SubIOp>(loc, upperValue, lowerValue);
    Value size = b.createOrFold<arith::CeilDivSIOp>(loc, extent, stepValue);
    // An empty range may be given with the bounds crossed.
    if (!getConstantIntValue(size))
      size = b.createOrFold<arith::MaxSIOp>(loc, size, createIndex(b, loc, 0));
    sizes.push_back(size);
  }
  return sizes;
}

func::FuncOp TeamBuilder::getRuntimeEntry(StringRef name, TypeRange inputs,
                                          TypeRange results) {
  if (auto existing = symbols.lookup<func::FuncOp>(name))
    return existing;
  OpBuilder b = OpBuilder::atBlockBegin(module.getBody());
  auto entry = func::FuncOp::create(b, module.getLoc(), name,
                                    b.getFunctionType(inputs, results));
  entry.setPrivate();
  symbols.insert(entry);
  return entry;
}

/// The outermost operation around the forall, or itself, in its function.
static Operation *getOutermost(scf::ForallOp forall) {
  Region &body = forall->getParentOfType<func::FuncOp>().getBody();
  return body.findAncestorOpInRegion(*forall);
}

/// Whether the forall runs more than once per call, as far as one can see.
static bool isInLoop(scf::ForallOp forall) {
  return forall->getParentOfType<LoopLikeOpInterface>() != nullptr;
}

/// Values that are cheaper made again than captured.
static bool isRepeatable(Value value) {
  Operation *op = value.getDefiningOp();
  return op && op->getNumOperands() == 0 && op->getNumRegions() == 0 &&
         (op->hasTrait<OpTrait::ConstantLike>() ||
          isa<memref::GetGlobalOp>(op));
}

LogicalResult TeamBuilder::convert(ArrayRef<scf::ForallOp> foralls) {
  // One loop that runs once has a team of its own. Others share one, from the
  // first to the last, around all sequential loops.
  Operation *first = getOutermost(foralls.front());
  Operation *last = getOutermost(foralls.back());
  Value team;
  if (first->getBlock() == last->getBlock() &&
      (foralls.size() > 1 || isInLoop(foralls.front()))) {
    OpBuilder b(first);
    Type pointer = LLVM::LLVMPointerType::get(b.getContext());
    func::FuncOp begin = getRuntimeEntry(kTeamBeginName, {}, pointer);
    func::FuncOp end = getRuntimeEntry(kTeamEndName, pointer, {});
    team = func::CallOp::create(b, first->getLoc(), begin).getResult(0);
    b.setInsertionPointAfter(last);
    func::CallOp::create(b, last->getLoc(), end, team);
  }
  for (scf::ForallOp forall : foralls)
    if (failed(convert(forall, team)))
      return failure();
  return success();
}

LogicalResult TeamBuilder::convert(scf::ForallOp forall, Value team) {
  Location loc = forall.getLoc();
  auto parent = forall->getParentOfType<func::FuncOp>();
  Operation *outermost = getOutermost(forall);

  // What the new function needs: the values the body uses and, to find the
  // induction variables, lower bounds, steps and all sizes but the first.
  OpBuilder b(forall);
  SmallVector<Value> sizes = createSizes(b, forall);
  SmallVector<Value> lowers =
      getValueOrCreateConstantIndexOp(b, loc, forall.getMixedLowerBound());
  SmallVector<Value> steps =
      getValueOrCreateConstantIndexOp(b, loc, forall.getMixedStep());
  llvm::SetVector<Value> needed;
  getUsedValuesDefinedAbove(forall.getRegion(), needed);
  needed.insert(lowers.begin(), lowers.end());
  needed.insert(steps.begin(), steps.end());
  needed.insert(std::next(sizes.begin()), sizes.end());

  SmallVector<Value> captured;
  SmallVector<Type> fields;
  for (Value value : needed) {
    if (isRepeatable(value))
      continue;
    Type field = converter.convertType(value.getType());
    if (!field)
      return forall.emitOpError("uses a value of type ")
             << value.getType() << " that cannot be handed to a thread";
    captured.push_back(value);
    fields.push_back(field);
  }
  MLIRContext *context = b.getContext();
  auto structType = LLVM::LLVMStructType::getLiteral(context, fields);
  Type pointer = LLVM::LLVMPointerType::get(context);

  // The function that does a range of items.
  auto type = b.getFunctionType({b.getI64Type(), b.getI64Type(), pointer}, {});
  auto body =
      func::FuncOp::create(loc, (parent.getSymName() + "_team").str(), type);
  body.setPrivate();
  symbols.insert(body, std::next(parent->getIterator()));
  Block *entry = body.addEntryBlock();
  replaceScratch(forall, entry);
  b.setInsertionPointToEnd(entry);
  IRMapping mapping;
  for (Value value : needed)
    if (isRepeatable(value))
      mapping.map(value, b.clone(*value.getDefiningOp())->getResult(0));
  for (auto [index, value] : llvm::enumerate(captured)) {
    Value address = LLVM::GEPOp::create(
        b, loc, pointer, structType, entry->getArgument(2),
        ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(index)});
    // Nobody writes the context while threads read it.
    Value loaded = LLVM::LoadOp::create(
        b, loc, fields[index], address, /*alignment=*/0, /*isVolatile=*/false,
        /*isNonTemporal=*/false, /*isInvariant=*/true);
    if (loaded.getType() != value.getType())
      loaded =
          UnrealizedConversionCastOp::create(b, loc, value.getType(), loaded)
              .getResult(0);
    mapping.map(value, loaded);
  }
  auto toIndex = [&](Value value) -> Value {
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), value);
  };
  auto loop = scf::ForOp::create(b, loc, toIndex(entry->getArgument(0)),
                                 toIndex(entry->getArgument(1)),
                                 createIndex(b, loc, 1));
  func::ReturnOp::create(b, loc);

  b.setInsertionPointToStart(loop.getBody());
  Value rest = loop.getInductionVar();
  for (int64_t dim = forall.getRank() - 1; dim >= 0; --dim) {
    Value position = rest;
    if (dim != 0) {
      Value size = mapping.lookup(sizes[dim]);
      position = arith::RemUIOp::create(b, loc, rest, size);
      rest = arith::DivUIOp::create(b, loc, rest, size);
    }
    Value iv = b.createOrFold<arith::AddIOp>(
        loc, mapping.lookup(lowers[dim]),
        b.createOrFold<arith::MulIOp>(loc, position,
                                      mapping.lookup(steps[dim])));
    mapping.map(forall.getInductionVar(dim), iv);
  }
  for (Operation &op : forall.getBody()->without_terminator())
    b.clone(op, mapping);
  hoistAllocations(loop);

  // The call. The context is on the stack frame, not in a loop around us.
  Block *parentEntry = &parent.getBody().front();
  b.setInsertionPointToStart(parentEntry);
  Value one = LLVM::ConstantOp::create(b, loc, b.getI64IntegerAttr(1));
  Value contextPointer =
      LLVM::AllocaOp::create(b, loc, pointer, structType, one);
  DominanceInfo dominance(parent);
  for (auto [index, value] : llvm::enumerate(captured)) {
    // What the loops around the forall do not change is stored before them:
    // the threads keep it in their caches.
    b.setInsertionPoint(dominance.properlyDominates(value, outermost)
                            ? outermost
                            : forall.getOperation());
    Value address = LLVM::GEPOp::create(
        b, loc, pointer, structType, contextPointer,
        ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(index)});
    Value stored = value;
    if (fields[index] != value.getType())
      stored = UnrealizedConversionCastOp::create(b, loc, fields[index], value)
                   .getResult(0);
    LLVM::StoreOp::create(b, loc, stored, address);
  }
  b.setInsertionPoint(forall);
  Value count = sizes.front();
  for (Value size : llvm::drop_begin(sizes))
    count = b.createOrFold<arith::MulIOp>(loc, count, size);
  Value count64 = arith::IndexCastOp::create(b, loc, b.getI64Type(), count);
  Value function =
      func::ConstantOp::create(b, loc, type, body.getSymNameAttr());
  function = UnrealizedConversionCastOp::create(b, loc, pointer, function)
                 .getResult(0);
  SmallVector<Value> arguments{count64, function, contextPointer};
  if (team)
    arguments.insert(arguments.begin(), team);
  func::FuncOp runtimeEntry =
      getRuntimeEntry(team ? kTeamForName : kParallelForName,
                      ValueRange(arguments).getTypes(), {});
  func::CallOp::create(b, loc, runtimeEntry, arguments);
  forall.erase();
  return success();
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

/// Turns a forall into nested sequential loops.
static LogicalResult makeSequential(IRRewriter &rewriter,
                                    scf::ForallOp forall) {
  auto parent = forall->getParentOfType<func::FuncOp>();
  // The scratch of a nested forall lives in the frame of the item around it.
  if (auto outer = forall->getParentOfType<scf::ForallOp>())
    replaceScratch(forall, outer.getBody());
  else
    replaceScratch(forall, &parent.getBody().front());
  rewriter.setInsertionPoint(forall);
  if (succeeded(forall.promoteIfSingleIteration(rewriter)))
    return success();
  SmallVector<Operation *> loops;
  if (failed(scf::forallToForLoop(rewriter, forall, &loops)))
    return failure();
  for (Operation *loop : llvm::reverse(loops))
    hoistAllocations(cast<scf::ForOp>(loop));
  return success();
}

static bool hasOneItem(scf::ForallOp forall) {
  return llvm::all_of(
      llvm::zip(forall.getMixedLowerBound(), forall.getMixedUpperBound(),
                forall.getMixedStep()),
      [](auto bounds) {
        auto [lower, upper, step] = bounds;
        std::optional<int64_t> l = getConstantIntValue(lower);
        std::optional<int64_t> u = getConstantIntValue(upper);
        std::optional<int64_t> s = getConstantIntValue(step);
        return l && u && s && *s > 0 && *u > *l && *u - *l <= *s;
      });
}

LogicalResult mlir::scaling::formTeams(ModuleOp module, bool threads) {
  // Inner loops first: they are sequential by the time the outermost one is
  // outlined.
  SmallVector<scf::ForallOp> foralls;
  module.walk([&](scf::ForallOp forall) { foralls.push_back(forall); });
  for (scf::ForallOp forall : foralls) {
    if (forall.getNumResults() != 0)
      return forall.emitOpError(
          "has outputs: loops are given to threads after bufferization");
    if (!forall->getParentOfType<func::FuncOp>())
      return forall.emitOpError("is not in a function");
  }
  // A loop of one item does not make the loops inside it nested.
  IRRewriter rewriter(module.getContext());
  llvm::MapVector<func::FuncOp, SmallVector<scf::ForallOp>> outermost;
  for (scf::ForallOp forall : foralls) {
    bool nested = false;
    for (auto outer = forall->getParentOfType<scf::ForallOp>(); outer;
         outer = outer->getParentOfType<scf::ForallOp>())
      nested |= !hasOneItem(outer);
    if (threads && !nested && !hasOneItem(forall))
      outermost[forall->getParentOfType<func::FuncOp>()].push_back(forall);
    else if (failed(makeSequential(rewriter, forall)))
      return failure();
  }
  TeamBuilder builder(module);
  for (auto &[function, loops] : outermost)
    if (failed(builder.convert(loops)))
      return failure();
  return success();
}

namespace {
struct ScalingFormTeamPass final
    : scaling::impl::ScalingFormTeamPassBase<ScalingFormTeamPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(formTeams(getOperation(), threads)))
      signalPassFailure();
  }
};
} // namespace
