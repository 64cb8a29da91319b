//===- SplitLaunches.cpp - Kernels that never wait ------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/SplitLaunches/SplitLaunches.h"

#include "Uniformity.h"

#include "scaling/Conversion/FormKernels/FormKernels.h"

#include "mlir/Analysis/Liveness.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/DataLayoutInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGSPLITLAUNCHESPASS
#include "scaling/Conversion/SplitLaunches/SplitLaunches.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// What the arguments of a memref of rank 1 are: two pointers, an offset, a
/// size and a stride.
static constexpr unsigned kMemRefFields = 5;
/// The second of the pointers.
static constexpr unsigned kDataField = 1;

static constexpr int64_t kLabelBytes = 4;
/// The most bytes that one access moves.
static constexpr int64_t kWidest = 16;
/// The states of blocks begin at multiples of a line of the cache.
static constexpr int64_t kStateAlignment = 128;

namespace {
/// What a thread needs after the end of a launch, and where it is meanwhile.
struct Kept {
  /// Memory of the thread, which registers replace later.
  Value place;
  Type type;
  /// The ends of launches that it is needed after.
  llvm::BitVector ends;
  /// Made again at the beginning of a launch: it takes no bytes.
  bool isRemade = false;
  bool isUniform = false;
  /// The first byte in a block's state, of thread 0 if every thread has one.
  int64_t offset = 0;
};

class LaunchSplitter {
public:
  explicit LaunchSplitter(LLVM::LLVMFuncOp kernel)
      : kernel(kernel), b(kernel.getContext()), loc(kernel.getLoc()),
        layout(DataLayout::closest(kernel)),
        pointer(LLVM::LLVMPointerType::get(kernel.getContext())) {}

  LogicalResult run();

private:
  /// Where a launch ends, and what comes first in the next one.
  struct End {
    Block *last, *next;
  };

  void findEnds();
  void findMemory();
  void findValues();
  /// Finds all bytes a place in a block's state.
  void assignOffsets();

  /// Made of nothing but arguments, constants and the numbers of thread and
  /// block, by operations that may run at any time.
  bool isCheap(Value value);
  /// The same, but where it was made the compiler must not see of what.
  bool isRemade(Value value);
  /// Moves what is cheap to where all launches begin.
  void hoist(Value value);
  /// Makes a value once more.
  Value remake(Value value, IRMapping &made);
  /// Keeps a value in memory between its definition and its uses.
  void demote(Value value, Value place);

  /// Adds what brings back, or puts away, all that is needed after an end.
  void restore(unsigned end);
  void save(unsigned end);
  /// The blocks that a launch returns through, with what comes next.
  void finish(Block *last, int32_t label, ArrayRef<Kept *> uniform);

  Value constant(Type type, int64_t value) {
    return LLVM::ConstantOp::create(b, loc, type,
                                    b.getIntegerAttr(type, value));
  }
  Value addressOf(const Kept &kept);

  LLVM::LLVMFuncOp kernel;
  OpBuilder b;
  Location loc;
  DataLayout layout;
  Type pointer;
  int64_t numThreads = 0, stateBytes = 0;
  SmallVector<End> ends;
  llvm::MapVector<Value, Kept> kept;
  llvm::DenseMap<Value, bool> cheap;
  /// All launches begin here.
  Block *entry = nullptr;
  /// Of the block's state, and of the thread in it.
  Value state, thread, isFirst;
};
} // namespace

//===----------------------------------------------------------------------===//
// Which values
//===----------------------------------------------------------------------===//

/// Operations that may run where they did not, and cost little.
static bool mayMove(Operation *op) {
  if (isa<NVVM::ThreadIdXOp, NVVM::BlockIdXOp, NVVM::BlockDimXOp,
          NVVM::GridDimXOp, NVVM::LaneIdOp>(op))
    return true;
  if (isa<LLVM::UDivOp, LLVM::SDivOp, LLVM::URemOp, LLVM::SRemOp>(op)) {
    IntegerAttr divisor;
    auto by = op->getOperand(1).getDefiningOp<LLVM::ConstantOp>();
    return by && (divisor = dyn_cast<IntegerAttr>(by.getValue())) &&
           !divisor.getValue().isZero() && !divisor.getValue().isAllOnes();
  }
  return !isa<NVVM::NVVMDialect>(op->getDialect()) &&
         op->getNumRegions() == 0 && isPure(op);
}

bool LaunchSplitter::isCheap(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return cast<BlockArgument>(value).getOwner()->isEntryBlock();
  if (auto known = cheap.find(value); known != cheap.end())
    return known->second;
  bool result = mayMove(op) &&
                llvm::all_of(op->getOperands(),
                             [&](Value operand) { return isCheap(operand); });
  return cheap[value] = result;
}

bool LaunchSplitter::isRemade(Value value) {
  if (isCheap(value))
    return true;
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  auto assembly = dyn_cast<LLVM::InlineAsmOp>(op);
  return (assembly ? assembly.getAsmString() == kCopyAssembly : mayMove(op)) &&
         llvm::all_of(op->getOperands(),
                      [&](Value operand) { return isRemade(operand); });
}

void LaunchSplitter::findEnds() {
  SmallVector<Operation *> calls;
  kernel.walk([&](LLVM::CallOp call) {
    if (call.getCallee() == kLaunchEndsName)
      calls.push_back(call);
  });
  for (Operation *call : calls) {
    Block *last = call->getBlock();
    Block *next = last->splitBlock(call->getNextNode());
    // The end of the launch is a barrier itself.
    for (Operation *beside :
         {call->getPrevNode(), next->empty() ? nullptr : &next->front()})
      if (isa_and_present<NVVM::Barrier0Op>(beside))
        beside->erase();
    call->erase();
    b.setInsertionPointToEnd(last);
    LLVM::BrOp::create(b, loc, next);
    ends.push_back({last, next});
  }
}

/// The blocks that can come before or after.
static llvm::DenseSet<Block *> reach(Block *from, bool forward) {
  llvm::DenseSet<Block *> seen;
  SmallVector<Block *> next = {from};
  while (!next.empty()) {
    Block *block = next.pop_back_val();
    if (!seen.insert(block).second)
      continue;
    if (forward)
      llvm::append_range(next, block->getSuccessors());
    else
      llvm::append_range(next, block->getPredecessors());
  }
  return seen;
}

static void findUsers(Value address, llvm::DenseSet<Block *> &blocks) {
  for (Operation *user : address.getUsers()) {
    blocks.insert(user->getBlock());
    if (isa<LLVM::GEPOp, LLVM::AddrSpaceCastOp>(user))
      findUsers(user->getResult(0), blocks);
  }
}

static bool meet(const llvm::DenseSet<Block *> &some,
                 const llvm::DenseSet<Block *> &others) {
  return llvm::any_of(some,
                      [&](Block *block) { return others.contains(block); });
}

void LaunchSplitter::findMemory() {
  SmallVector<LLVM::AllocaOp> allocas;
  kernel.walk([&](LLVM::AllocaOp op) { allocas.push_back(op); });
  for (LLVM::AllocaOp op : allocas) {
    hoist(op.getArraySize());
    op->moveBefore(entry->getTerminator());
    llvm::DenseSet<Block *> users;
    findUsers(op, users);
    IntegerAttr size;
    (void)matchPattern(op.getArraySize(), m_Constant(&size));
    Kept contents;
    contents.place = op;
    contents.type = LLVM::LLVMArrayType::get(op.getElemType(), size.getInt());
    contents.ends.resize(ends.size());
    for (auto [index, end] : llvm::enumerate(ends))
      if (meet(users, reach(end.last, /*forward=*/false)) &&
          meet(users, reach(end.next, /*forward=*/true)))
        contents.ends.set(index);
    if (contents.ends.any())
      kept.insert({op, contents});
  }
}

void LaunchSplitter::findValues() {
  Liveness liveness(kernel);
  // In the order of the code.
  llvm::SetVector<Value> values;
  llvm::DenseMap<Value, llvm::BitVector> where;
  for (auto [index, end] : llvm::enumerate(ends))
    for (Value value : liveness.getLiveIn(end.next)) {
      llvm::BitVector &bits = where[value];
      bits.resize(ends.size());
      bits.set(index);
    }
  for (Block &block : kernel.getBody()) {
    for (Value argument : block.getArguments())
      if (where.contains(argument))
        values.insert(argument);
    for (Operation &op : block)
      for (Value result : op.getResults())
        if (where.contains(result))
          values.insert(result);
  }
  Uniformity uniformity(kernel);
  for (Value value : values) {
    if (value.getDefiningOp<LLVM::AllocaOp>() || isCheap(value))
      continue;
    Kept found;
    found.type = value.getType();
    found.ends = where[value];
    found.isRemade = isRemade(value);
    found.isUniform = uniformity.isUniform(value);
    kept.insert({value, found});
  }
  for (Value value : values)
    if (!value.getDefiningOp<LLVM::AllocaOp>() && isCheap(value))
      hoist(value);
}

void LaunchSplitter::assignOffsets() {
  /// Bytes that nobody needs after the same end.
  struct Room {
    int64_t bytes, offset;
    llvm::BitVector ends;
  };
  stateBytes = kLabelBytes;
  for (bool isUniform : {true, false}) {
    SmallVector<Room> rooms;
    for (auto &[value, one] : kept) {
      if (one.isRemade || one.isUniform != isUniform)
        continue;
      int64_t bytes = layout.getTypeSize(one.type);
      auto *room =
          llvm::find_if(rooms, [&, &ends = one.ends](const Room &room) {
            return room.bytes == bytes && !room.ends.anyCommon(ends);
          });
      if (room == rooms.end()) {
        stateBytes = llvm::alignTo(
            stateBytes, std::min<int64_t>(llvm::PowerOf2Ceil(bytes), kWidest));
        rooms.push_back({bytes, stateBytes, llvm::BitVector(ends.size())});
        room = &rooms.back();
        stateBytes += isUniform ? bytes : bytes * numThreads;
      }
      room->ends |= one.ends;
      one.offset = room->offset;
    }
    // Of threads, whole sectors.
    if (isUniform)
      stateBytes = llvm::alignTo(stateBytes, kStateAlignment);
  }
  stateBytes = llvm::alignTo(stateBytes, kStateAlignment);
}

//===----------------------------------------------------------------------===//
// Where they come from
//===----------------------------------------------------------------------===//

void LaunchSplitter::hoist(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || op->getBlock() == entry)
    return;
  for (Value operand : op->getOperands())
    hoist(operand);
  op->moveBefore(entry->getTerminator());
}

Value LaunchSplitter::remake(Value value, IRMapping &made) {
  if (isCheap(value)) {
    hoist(value);
    return value;
  }
  if (Value done = made.lookupOrNull(value))
    return done;
  Operation *op = value.getDefiningOp();
  for (Value operand : op->getOperands())
    made.map(operand, remake(operand, made));
  b.clone(*op, made);
  return made.lookup(value);
}

void LaunchSplitter::demote(Value value, Value place) {
  SmallVector<OpOperand *> uses;
  for (OpOperand &use : value.getUses())
    uses.push_back(&use);
  for (OpOperand *use : uses) {
    b.setInsertionPoint(use->getOwner());
    use->set(LLVM::LoadOp::create(b, loc, value.getType(), place));
  }
  b.setInsertionPointAfterValue(value);
  LLVM::StoreOp::create(b, loc, value, place);
}

Value LaunchSplitter::addressOf(const Kept &one) {
  Value block =
      LLVM::GEPOp::create(b, loc, pointer, b.getI8Type(), state,
                          ArrayRef<LLVM::GEPArg>{int32_t(one.offset)});
  if (one.isUniform)
    return block;
  return LLVM::GEPOp::create(b, loc, pointer, one.type, block,
                             ArrayRef<LLVM::GEPArg>{thread});
}

void LaunchSplitter::restore(unsigned end) {
  SmallVector<std::pair<Value, Value>> found;
  for (auto &[value, one] : kept)
    if (one.ends.test(end) && !one.isRemade)
      found.emplace_back(LLVM::LoadOp::create(b, loc, one.type, addressOf(one)),
                         one.place);
  // What is written at the next end is what others have read by then.
  NVVM::Barrier0Op::create(b, loc);
  for (auto [value, place] : found)
    LLVM::StoreOp::create(b, loc, value, place);
  IRMapping made;
  for (auto &[value, one] : kept)
    if (one.ends.test(end) && one.isRemade)
      LLVM::StoreOp::create(b, loc, remake(value, made), one.place);
  LLVM::BrOp::create(b, loc, ends[end].next);
}

void LaunchSplitter::finish(Block *last, int32_t label,
                            ArrayRef<Kept *> uniform) {
  b.setInsertionPointToEnd(last);
  SmallVector<Value> values;
  for (Kept *one : uniform)
    values.push_back(LLVM::LoadOp::create(b, loc, one->type, one->place));
  Block *write = b.createBlock(&kernel.getBody(), kernel.getBody().end());
  Block *leave = b.createBlock(&kernel.getBody(), kernel.getBody().end());
  LLVM::ReturnOp::create(b, loc, ValueRange());
  b.setInsertionPointToEnd(last);
  LLVM::CondBrOp::create(b, loc, isFirst, write, leave);
  b.setInsertionPointToEnd(write);
  for (auto [one, value] : llvm::zip_equal(uniform, values))
    LLVM::StoreOp::create(b, loc, value, addressOf(*one));
  LLVM::StoreOp::create(b, loc, constant(b.getI32Type(), label), state);
  LLVM::BrOp::create(b, loc, leave);
}

void LaunchSplitter::save(unsigned end) {
  Block *last = ends[end].last;
  last->getTerminator()->erase();
  b.setInsertionPointToEnd(last);
  SmallVector<Kept *> uniform;
  for (auto &[value, one] : kept) {
    if (!one.ends.test(end) || one.isRemade)
      continue;
    if (one.isUniform) {
      uniform.push_back(&one);
      continue;
    }
    Value own = LLVM::LoadOp::create(b, loc, one.type, one.place);
    LLVM::StoreOp::create(b, loc, own, addressOf(one));
  }
  finish(last, end + 1, uniform);
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

LogicalResult LaunchSplitter::run() {
  auto threads = kernel->getAttrOfType<DenseI32ArrayAttr>(
      NVVM::NVVMDialect::getMaxntidAttrName());
  unsigned numArguments = kernel.getNumArguments();
  if (!threads || threads.empty() || numArguments < kMemRefFields ||
      !isa<LLVM::LLVMPointerType>(
          kernel.getArgumentTypes()[numArguments - kMemRefFields + kDataField]))
    return kernel.emitError("has no number of threads, or its last argument is "
                            "no memref of rank 1 for the state between "
                            "launches");
  numThreads = threads[0];
  WalkResult sizes = kernel.walk([](LLVM::AllocaOp op) {
    if (matchPattern(op.getArraySize(), m_Constant()))
      return WalkResult::advance();
    op.emitError("has no constant size: it cannot be kept between launches");
    return WalkResult::interrupt();
  });
  if (sizes.wasInterrupted())
    return failure();

  entry = &kernel.front();
  Block *start = entry->splitBlock(entry->begin());
  b.setInsertionPointToEnd(entry);
  LLVM::BrOp::create(b, loc, start);
  findEnds();
  findMemory();
  findValues();
  assignOffsets();

  // All launches begin alike.
  entry->getTerminator()->erase();
  b.setInsertionPointToEnd(entry);
  thread = NVVM::ThreadIdXOp::create(b, loc, b.getI32Type());
  isFirst = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::eq, thread,
                                 constant(b.getI32Type(), 0));
  Value block = LLVM::ZExtOp::create(
      b, loc, b.getI64Type(), NVVM::BlockIdXOp::create(b, loc, b.getI32Type()));
  Value first =
      LLVM::MulOp::create(b, loc, block, constant(b.getI64Type(), stateBytes));
  state = LLVM::GEPOp::create(
      b, loc, pointer, b.getI8Type(),
      entry->getArgument(numArguments - kMemRefFields + kDataField), first);
  Value one = constant(b.getI64Type(), 1);
  for (auto &[value, found] : kept)
    if (!found.place)
      found.place = LLVM::AllocaOp::create(b, loc, pointer, found.type, one);
  Value label = LLVM::LoadOp::create(b, loc, b.getI32Type(), state);

  // The others, and what is in them, are told apart by that.
  SmallVector<LLVM::ReturnOp> returns;
  kernel.walk([&](LLVM::ReturnOp op) { returns.push_back(op); });
  SmallVector<Block *> cases;
  SmallVector<int32_t> labels;
  auto createCase = [&](Block *before) {
    OpBuilder::InsertionGuard guard(b);
    labels.push_back(cases.size());
    cases.push_back(b.createBlock(before));
    return cases.back();
  };
  Block *begin = createCase(start);
  for (const End &end : ends)
    createCase(end.next);
  Block *done = b.createBlock(&kernel.getBody(), kernel.getBody().end());
  LLVM::ReturnOp::create(b, loc, ValueRange());
  b.setInsertionPointToEnd(entry);
  LLVM::SwitchOp::create(b, loc, label, done, ValueRange(), labels, cases,
                         SmallVector<ValueRange>(cases.size()));
  b.setInsertionPointToEnd(begin);
  NVVM::Barrier0Op::create(b, loc);
  LLVM::BrOp::create(b, loc, start);
  for (unsigned end = 0; end < ends.size(); ++end) {
    b.setInsertionPointToEnd(cases[end + 1]);
    restore(end);
  }
  for (auto &[value, found] : kept)
    if (value != found.place)
      demote(value, found.place);
  for (unsigned end = 0; end < ends.size(); ++end)
    save(end);
  for (LLVM::ReturnOp op : returns) {
    Block *last = op->getBlock();
    op.erase();
    finish(last, kDoneLabel, {});
  }
  kernel->removeAttr(kRelaunchedAttrName);
  kernel->setAttr(kStateBytesAttrName, b.getI64IntegerAttr(stateBytes));
  return success();
}

LogicalResult mlir::scaling::splitLaunches(LLVM::LLVMFuncOp kernel) {
  return LaunchSplitter(kernel).run();
}

namespace {
struct ScalingSplitLaunchesPass final
    : scaling::impl::ScalingSplitLaunchesPassBase<ScalingSplitLaunchesPass> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (auto kernels : module.getOps<gpu::GPUModuleOp>()) {
      for (auto kernel : kernels.getOps<LLVM::LLVMFuncOp>()) {
        if (!kernel->hasAttr(kRelaunchedAttrName))
          continue;
        if (failed(splitLaunches(kernel)))
          return signalPassFailure();
        std::string name = (kernel.getName() + kStateBytesSuffix).str();
        if (auto constant = module.lookupSymbol<LLVM::GlobalOp>(name))
          constant.setValueAttr(kernel->getAttr(kStateBytesAttrName));
      }
      if (Operation *callee =
              SymbolTable::lookupSymbolIn(kernels, kLaunchEndsName))
        callee->erase();
    }
  }
};
} // namespace
