//===- Instrument.cpp - Device code made ready for the machine ------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Instrument.h"

#include "Lower.h"
#include "Memory.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Analysis/LoopInfo.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/AttributeMask.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/Dominators.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/ModuleSlotTracker.h"
#include "llvm/IR/ReplaceConstant.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/NVPTXAddrSpace.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/Transforms/IPO/GlobalDCE.h"
#include "llvm/Transforms/IPO/Internalize.h"
#include "llvm/Transforms/Scalar/ScalarizeMaskedMemIntrin.h"
#include "llvm/Transforms/Vectorize/LoadStoreVectorizer.h"

using namespace llvm;
using namespace scaling::simt;

/// The widest access of one instruction of the GPU.
static constexpr uint64_t kMaxWidth = 16;

//===----------------------------------------------------------------------===//
// The kernel and what it needs
//===----------------------------------------------------------------------===//

static bool isKernel(const Function &function) {
  if (function.isDeclaration())
    return false;
  if (function.getCallingConv() == CallingConv::PTX_Kernel)
    return true;
  // The older mark: a tuple of the function, "kernel" and 1.
  const NamedMDNode *annotations =
      function.getParent()->getNamedMetadata("nvvm.annotations");
  if (!annotations)
    return false;
  for (const MDNode *node : annotations->operands()) {
    if (node->getNumOperands() < 2)
      continue;
    auto *value = dyn_cast_or_null<ValueAsMetadata>(node->getOperand(0));
    auto *key = dyn_cast_or_null<MDString>(node->getOperand(1));
    if (value && value->getValue() == &function && key &&
        key->getString() == "kernel")
      return true;
  }
  return false;
}

static Expected<Function *> findKernel(Module &module, StringRef entry) {
  std::string names;
  unsigned count = 0;
  Function *found = nullptr;
  for (Function &function : module) {
    if (!isKernel(function))
      continue;
    ++count;
    names += (names.empty() ? "" : ", ") + function.getName().str();
    if (function.getName() == entry || entry.empty())
      found = &function;
  }
  if (entry.empty() && count > 1)
    return createStringError("the module has several kernels: say --entry; "
                             "there is " +
                             names);
  if (found)
    return found;
  return createStringError(
      entry.empty() ? Twine("the module has no kernel")
                    : "there is no kernel '" + entry + "'" +
                          (names.empty() ? "" : "; there is " + names));
}

static void runPasses(Module &module, TargetMachine *machine,
                      ModulePassManager passes) {
  LoopAnalysisManager lam;
  FunctionAnalysisManager fam;
  CGSCCAnalysisManager cgam;
  ModuleAnalysisManager mam;
  PassBuilder builder(machine);
  builder.registerModuleAnalyses(mam);
  builder.registerCGSCCAnalyses(cgam);
  builder.registerFunctionAnalyses(fam);
  builder.registerLoopAnalyses(lam);
  builder.crossRegisterProxies(lam, fam, cgam, mam);
  passes.run(module, mam);
}

/// Leaves the kernel, what it calls, and accesses to memory as the back end
/// makes them.
static void simplify(Module &module, Function &kernel) {
  for (StringRef name : {"llvm.used", "llvm.compiler.used"})
    if (GlobalVariable *used = module.getNamedGlobal(name))
      used->eraseFromParent();
  ModulePassManager passes;
  passes.addPass(InternalizePass(
      [&](const GlobalValue &value) { return &value == &kernel; }));
  passes.addPass(GlobalDCEPass());
  // Without a target, no access with a mask is an instruction.
  passes.addPass(
      createModuleToFunctionPassAdaptor(ScalarizeMaskedMemIntrinPass()));
  runPasses(module, /*machine=*/nullptr, std::move(passes));

  InitializeAllTargetInfos();
  InitializeAllTargets();
  InitializeAllTargetMCs();
  std::string message;
  Triple triple("nvptx64-nvidia-cuda");
  const Target *target = TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return;
  StringRef cpu = kernel.getFnAttribute("target-cpu").getValueAsString();
  std::unique_ptr<TargetMachine> machine(target->createTargetMachine(
      triple, cpu.empty() ? "sm_80" : cpu, "", TargetOptions(), std::nullopt));
  // The back end's own pass that joins neighbouring accesses.
  ModulePassManager vectorize;
  vectorize.addPass(
      createModuleToFunctionPassAdaptor(LoadStoreVectorizerPass()));
  runPasses(module, machine.get(), std::move(vectorize));
  // It reads over gaps, with a constant mask of what is wanted: that is what
  // must have been written.
  ModulePassManager separate;
  separate.addPass(
      createModuleToFunctionPassAdaptor(ScalarizeMaskedMemIntrinPass()));
  runPasses(module, /*machine=*/nullptr, std::move(separate));
}

//===----------------------------------------------------------------------===//
// Positions and costs
//===----------------------------------------------------------------------===//

namespace {
/// The text of instructions as they were before anything was changed.
class Positions {
public:
  explicit Positions(Module &module) {
    ModuleSlotTracker slots(&module);
    for (Function &function : module) {
      if (function.isDeclaration())
        continue;
      slots.incorporateFunction(function);
      for (BasicBlock &block : function)
        for (Instruction &instruction : block)
          if (instruction.mayReadOrWriteMemory() ||
              isa<CallBase, UnreachableInst>(instruction))
            positions[&instruction] = describe(instruction, slots);
    }
  }
  const std::string &get(const Instruction &instruction) {
    return positions[&instruction];
  }

private:
  static std::string describe(Instruction &instruction,
                              ModuleSlotTracker &slots) {
    std::string text;
    raw_string_ostream os(text);
    os << instruction.getFunction()->getName() << ", block ";
    instruction.getParent()->printAsOperand(os, /*PrintType=*/false, slots);
    if (const DILocation *location = instruction.getDebugLoc())
      os << ", " << location->getFilename() << ':' << location->getLine();
    std::string code;
    raw_string_ostream codeStream(code);
    instruction.print(codeStream, slots);
    os << ": " << StringRef(code).split(", !").first.split(" #").first.trim();
    return text;
  }

  DenseMap<const Instruction *, std::string> positions;
};
} // namespace

static unsigned numElements(Type *type) {
  auto *vector = dyn_cast<FixedVectorType>(type);
  return vector ? vector->getNumElements() : 1;
}

/// Whether the memory is a local variable, which no other thread sees.
static bool isLocal(const Value *pointer) {
  if (pointer->getType()->getPointerAddressSpace() ==
      NVPTXAS::ADDRESS_SPACE_LOCAL)
    return true;
  return isa<AllocaInst>(getUnderlyingObject(pointer));
}

static BlockCost getCost(const BasicBlock &block) {
  BlockCost cost;
  for (const Instruction &instruction : block) {
    if (isa<DbgInfoIntrinsic>(instruction) || isa<PHINode>(instruction))
      continue;
    ++cost.instructions;
    const DataLayout &layout = block.getDataLayout();
    if (const Value *pointer = getLoadStorePointerOperand(&instruction);
        pointer && isLocal(pointer))
      cost.localBytes +=
          layout.getTypeStoreSize(getLoadStoreType(&instruction));
    unsigned elements = numElements(instruction.getType());
    switch (instruction.getOpcode()) {
    case Instruction::FAdd:
    case Instruction::FSub:
    case Instruction::FMul:
    case Instruction::FDiv:
      cost.flops += elements;
      continue;
    case Instruction::Call:
      break;
    default:
      continue;
    }
    const auto &call = cast<CallInst>(instruction);
    if (auto *assembly = dyn_cast<InlineAsm>(call.getCalledOperand())) {
      StringRef text = assembly->getAsmString();
      cost.exponentials += text.starts_with("ex2.");
      cost.logarithms += text.starts_with("lg2.");
      continue;
    }
    const Function *callee = call.getCalledFunction();
    if (!callee || !callee->isIntrinsic())
      continue;
    StringRef name = callee->getName().drop_front(strlen("llvm."));
    if (name.starts_with("exp") || name.starts_with("nvvm.ex2."))
      cost.exponentials += elements;
    else if (name.starts_with("nvvm.lg2."))
      cost.logarithms += elements;
    else if (name.starts_with("fma.") || name.starts_with("fmuladd.") ||
             name.starts_with("nvvm.fma."))
      cost.flops += 2 * elements;
    else if (name.starts_with("vector.reduce.fadd") ||
             name.starts_with("vector.reduce.fmul"))
      cost.flops +=
          numElements(cast<CallInst>(instruction).getArgOperand(1)->getType());
    else if (name.starts_with("sqrt.") || name.starts_with("nvvm.sqrt.") ||
             name.starts_with("nvvm.rsqrt.") || name.starts_with("nvvm.rcp.") ||
             name.starts_with("nvvm.div.") || name.starts_with("nvvm.add.") ||
             name.starts_with("nvvm.mul."))
      cost.flops += elements;
  }
  return cost;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

namespace {
/// Announces accesses to memory.
class MemoryInstrumenter {
public:
  MemoryInstrumenter(Module &module, Instrumented &result, Positions &positions)
      : module(module), result(result), positions(positions) {}

  Error run(Instruction &instruction);

private:
  Site makeSite(Instruction &instruction, Type *type, Align align) {
    Site site;
    site.position = positions.get(instruction);
    site.size = module.getDataLayout().getTypeStoreSize(type);
    site.align = align.value();
    site.width = std::min<uint64_t>(
        {kMaxWidth, align.value(), llvm::bit_floor(uint64_t(site.size))});
    return site;
  }
  uint32_t add(Site site) {
    result.sites.push_back(std::move(site));
    return result.sites.size() - 1;
  }
  Scope getScope(SyncScope::ID id);
  void announce(Instruction &instruction, Value *address, Site site);
  void announceAtomic(Instruction &instruction, Value *address, Site site);
  Value *asBits(IRBuilder<> &b, Value *value);
  void call(IRBuilder<> &b, StringRef name, ArrayRef<Value *> args) {
    callRuntime(b, name, b.getVoidTy(), args);
  }

  Module &module;
  Instrumented &result;
  Positions &positions;
};
} // namespace

Scope MemoryInstrumenter::getScope(SyncScope::ID id) {
  StringRef name = module.getContext().getSyncScopeName(id).value_or("");
  return StringSwitch<Scope>(name)
      .Case("singlethread", Scope::None)
      .Case("block", Scope::Cta)
      .Cases({"device", "cluster"}, Scope::Gpu)
      .Default(Scope::Sys);
}

static Value *genericPointer(IRBuilder<> &b, Value *pointer) {
  return b.CreateAddrSpaceCast(pointer, b.getPtrTy());
}

/// The first 64 bits of a value that was read.
Value *MemoryInstrumenter::asBits(IRBuilder<> &b, Value *value) {
  if (auto *aggregate = dyn_cast<StructType>(value->getType());
      aggregate && isa<AtomicCmpXchgInst>(value))
    value = b.CreateExtractValue(value, 0);
  Type *type = value->getType();
  if (type->isPointerTy())
    return b.CreatePtrToInt(value, b.getInt64Ty());
  TypeSize bits = type->getPrimitiveSizeInBits();
  if (bits.isScalable() || bits.getFixedValue() == 0)
    return b.getInt64(0);
  return b.CreateZExtOrTrunc(
      b.CreateBitCast(value, b.getIntNTy(bits.getFixedValue())),
      b.getInt64Ty());
}

void MemoryInstrumenter::announce(Instruction &instruction, Value *address,
                                  Site site) {
  IRBuilder<> b(&instruction);
  call(b, "simt.access", {genericPointer(b, address), b.getInt32(add(site))});
}

void MemoryInstrumenter::announceAtomic(Instruction &instruction,
                                        Value *address, Site site) {
  IRBuilder<> b(&instruction);
  site.isAtomic = true;
  // Only loads and stores may be wider than the machine's words.
  bool isRead = site.isRead;
  Value *index = b.getInt32(add(site));
  Value *pointer = genericPointer(b, address);
  call(b, "simt.begin_atomic", {pointer, index});
  if (!isRead)
    return;
  b.SetInsertPoint(instruction.getNextNode());
  call(b, "simt.end_atomic", {pointer, index, asBits(b, &instruction)});
}

Error MemoryInstrumenter::run(Instruction &instruction) {
  IRBuilder<> b(&instruction);
  if (auto *load = dyn_cast<LoadInst>(&instruction)) {
    if (isLocal(load->getPointerOperand()))
      return Error::success();
    Site site = makeSite(instruction, load->getType(), load->getAlign());
    site.isRead = true;
    site.isInvariant = load->hasMetadata(LLVMContext::MD_invariant_load);
    if (!load->isAtomic() && !load->isVolatile()) {
      announce(instruction, load->getPointerOperand(), site);
      return Error::success();
    }
    site.scope = uint8_t(load->isAtomic() ? getScope(load->getSyncScopeID())
                                          : Scope::Sys);
    site.acquires =
        load->isAtomic() && isAcquireOrStronger(load->getOrdering());
    announceAtomic(instruction, load->getPointerOperand(), site);
    return Error::success();
  }
  if (auto *store = dyn_cast<StoreInst>(&instruction)) {
    if (isLocal(store->getPointerOperand()))
      return Error::success();
    Site site = makeSite(instruction, store->getValueOperand()->getType(),
                         store->getAlign());
    site.isWrite = true;
    if (!store->isAtomic() && !store->isVolatile()) {
      announce(instruction, store->getPointerOperand(), site);
      return Error::success();
    }
    site.scope = uint8_t(store->isAtomic() ? getScope(store->getSyncScopeID())
                                           : Scope::Sys);
    site.releases =
        store->isAtomic() && isReleaseOrStronger(store->getOrdering());
    announceAtomic(instruction, store->getPointerOperand(), site);
    return Error::success();
  }
  if (auto *rmw = dyn_cast<AtomicRMWInst>(&instruction)) {
    // The back end drops the ordering: all of them are relaxed.
    Site site = makeSite(instruction, rmw->getType(), rmw->getAlign());
    site.isRead = site.isWrite = true;
    site.scope = uint8_t(getScope(rmw->getSyncScopeID()));
    announceAtomic(instruction, rmw->getPointerOperand(), site);
    return Error::success();
  }
  if (auto *exchange = dyn_cast<AtomicCmpXchgInst>(&instruction)) {
    Site site = makeSite(instruction, exchange->getNewValOperand()->getType(),
                         exchange->getAlign());
    site.isRead = site.isWrite = true;
    site.scope = uint8_t(getScope(exchange->getSyncScopeID()));
    site.acquires = isAcquireOrStronger(exchange->getSuccessOrdering());
    site.releases = isReleaseOrStronger(exchange->getSuccessOrdering());
    announceAtomic(instruction, exchange->getPointerOperand(), site);
    return Error::success();
  }
  if (auto *fence = dyn_cast<FenceInst>(&instruction)) {
    uint32_t order = isAcquireOrStronger(fence->getOrdering()) |
                     isReleaseOrStronger(fence->getOrdering()) << 1;
    Scope scope = getScope(fence->getSyncScopeID());
    Site site = makeSite(instruction, b.getInt8Ty(), Align(1));
    site.isOrder = true;
    call(b, "simt.fence",
         {b.getInt32(order), b.getInt32(uint32_t(scope)),
          b.getInt32(add(site))});
    fence->eraseFromParent();
    return Error::success();
  }
  if (auto *memory = dyn_cast<MemIntrinsic>(&instruction)) {
    Value *size = b.CreateZExtOrTrunc(memory->getLength(), b.getInt64Ty());
    auto makeBytes = [&](MaybeAlign align, bool isWrite) {
      Site site = makeSite(instruction, b.getInt8Ty(), Align(1));
      site.width = std::min<uint64_t>(kMaxWidth, align.valueOrOne().value());
      site.isRead = !isWrite;
      site.isWrite = isWrite;
      return b.getInt32(add(site));
    };
    Value *write = makeBytes(memory->getDestAlign(), true);
    Value *to = genericPointer(b, memory->getDest());
    if (auto *set = dyn_cast<MemSetInst>(memory)) {
      call(b, "simt.set",
           {to, b.CreateZExt(set->getValue(), b.getInt32Ty()), size, write});
    } else {
      auto *transfer = cast<MemTransferInst>(memory);
      call(b, "simt.copy",
           {to, genericPointer(b, transfer->getSource()), size,
            makeBytes(transfer->getSourceAlign(), false), write});
    }
    memory->eraseFromParent();
    return Error::success();
  }
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Variables
//===----------------------------------------------------------------------===//

/// Gives variables in shared memory their place; the dynamic one comes last.
static Error placeShared(Module &module, Instrumented &result) {
  const DataLayout &layout = module.getDataLayout();
  SmallVector<GlobalVariable *> variables, dynamic;
  for (GlobalVariable &variable : module.globals()) {
    if (variable.getAddressSpace() != NVPTXAS::ADDRESS_SPACE_SHARED)
      continue;
    bool isDynamic =
        variable.isDeclaration() ||
        layout.getTypeAllocSize(variable.getValueType()).getFixedValue() == 0;
    (isDynamic ? dynamic : variables).push_back(&variable);
  }
  auto place = [&](GlobalVariable &variable, uint64_t offset) {
    SmallVector<Constant *> constants = {&variable};
    convertUsersOfConstantsToInstructions(constants);
    DenseMap<Function *, Value *> addresses;
    for (Use &use : llvm::make_early_inc_range(variable.uses())) {
      Function *function = cast<Instruction>(use.getUser())->getFunction();
      Value *&address = addresses[function];
      if (!address) {
        IRBuilder<> b(&*function->getEntryBlock().getFirstInsertionPt());
        address = b.CreateAddrSpaceCast(
            callRuntime(b, "simt.shared", b.getPtrTy(), {b.getInt64(offset)}),
            variable.getType());
      }
      use.set(address);
    }
    variable.eraseFromParent();
  };
  for (GlobalVariable *variable : variables) {
    Align align =
        variable->getAlign().value_or(layout.getPreferredAlign(variable));
    uint64_t offset = alignTo(result.staticShared, align);
    result.staticShared =
        offset +
        layout.getTypeAllocSize(variable->getValueType()).getFixedValue();
    place(*variable, offset);
  }
  result.staticShared = alignTo(result.staticShared, kMaxWidth);
  for (GlobalVariable *variable : dynamic)
    place(*variable, result.staticShared);
  return Error::success();
}

/// Makes the other variables of the module known.
static Error exportVariables(Module &module, Instrumented &result) {
  for (GlobalVariable &variable : module.globals()) {
    if (variable.isDeclaration())
      return createStringError("the module does not define the variable '" +
                               variable.getName() + "'");
    DeviceVariable info;
    info.name = variable.getName().str();
    info.size = module.getDataLayout()
                    .getTypeAllocSize(variable.getValueType())
                    .getFixedValue();
    info.symbol = ("simt.variable." + Twine(result.variables.size())).str();
    variable.setName(info.symbol);
    variable.setLinkage(GlobalValue::ExternalLinkage);
    variable.setDSOLocal(true);
    variable.setSection("");
    result.variables.push_back(std::move(info));
  }
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

/// The host knows nothing of the device's attributes, and its code generator
/// must not think that functions which wait have no effects.
static void dropAttributes(Module &module, Function &kernel) {
  LLVMContext &context = module.getContext();
  for (Function &function : module) {
    if (function.isIntrinsic())
      continue;
    function.setAttributes(
        function.getAttributes().removeFnAttributes(context));
    function.setCallingConv(CallingConv::C);
    function.setComdat(nullptr);
    for (BasicBlock &block : function)
      for (Instruction &instruction : block)
        if (auto *call = dyn_cast<CallBase>(&instruction)) {
          call->setAttributes(
              call->getAttributes().removeFnAttributes(context));
          call->setCallingConv(CallingConv::C);
        }
  }
  for (Argument &argument : kernel.args())
    kernel.removeParamAttrs(argument.getArgNo(),
                            AttributeMask().addAttribute(Attribute::ByVal));
}

static Error readParameters(Function &kernel, Instrumented &result) {
  for (Argument &argument : kernel.args()) {
    Type *type = argument.getType();
    std::string text;
    raw_string_ostream(text) << *type;
    if (argument.hasByValAttr() ||
        !(type->isPointerTy() || type->isFloatingPointTy() ||
          (type->isIntegerTy() && type->getIntegerBitWidth() <= 64)))
      return createStringError(
          "parameter " + Twine(argument.getArgNo()) + " of '" +
          kernel.getName() +
          "' is a structure; kernels take pointers, integers and floats");
    result.parameterTypes.push_back(text);
    result.parameterWidths.push_back(
        type->isPointerTy() ? 0 : type->getPrimitiveSizeInBits());
    result.parameterIsFloat.push_back(type->isFloatingPointTy());
  }
  auto readNumbers = [&](StringRef name) {
    SmallVector<uint32_t, 3> numbers;
    StringRef text = kernel.getFnAttribute(name).getValueAsString();
    while (!text.empty()) {
      StringRef first;
      std::tie(first, text) = text.split(',');
      uint32_t number;
      if (first.trim().getAsInteger(10, number) || numbers.size() == 3)
        return SmallVector<uint32_t, 3>();
      numbers.push_back(number);
    }
    return numbers;
  };
  result.maxThreads = readNumbers("nvvm.maxntid");
  result.requiredThreads = readNumbers("nvvm.reqntid");
  SmallVector<uint32_t, 3> shared = readNumbers("scaling.shared-bytes");
  result.dynamicShared = shared.empty() ? 0 : shared.front();
  return Error::success();
}

/// A function that takes the arguments from slots of eight bytes.
static void makeEntry(Module &module, Function &kernel) {
  IRBuilder<> b(module.getContext());
  auto *entry =
      Function::Create(FunctionType::get(b.getVoidTy(), {b.getPtrTy()}, false),
                       GlobalValue::ExternalLinkage, kEntrySymbol, module);
  b.SetInsertPoint(BasicBlock::Create(module.getContext(), "", entry));
  SmallVector<Value *> args;
  for (Argument &argument : kernel.args())
    args.push_back(
        b.CreateLoad(argument.getType(),
                     b.CreateConstGEP1_64(b.getInt64Ty(), entry->getArg(0),
                                          argument.getArgNo())));
  b.CreateCall(&kernel, args);
  b.CreateRetVoid();
  kernel.setLinkage(GlobalValue::InternalLinkage);
}

namespace {
/// The innermost loop of a block, and whether it begins there.
struct PlaceInLoop {
  uint32_t loop = 0;
  bool isHeader = false;
};
using Places = DenseMap<const BasicBlock *, PlaceInLoop>;
} // namespace

/// Numbers the loops of the module.
static Places findLoops(Module &module, Instrumented &result) {
  Places places;
  result.loops.push_back({"outside of loops", 0});
  ModuleSlotTracker slots(&module);
  for (Function &function : module) {
    if (function.isDeclaration())
      continue;
    slots.incorporateFunction(function);
    DominatorTree dominance(function);
    LoopInfo loops(dominance);
    DenseMap<const llvm::Loop *, uint32_t> numbers;
    for (const llvm::Loop *loop : loops.getLoopsInPreorder()) {
      numbers[loop] = result.loops.size();
      std::string text;
      raw_string_ostream os(text);
      os << function.getName() << ", block ";
      loop->getHeader()->printAsOperand(os, /*PrintType=*/false, slots);
      result.loops.push_back({text, loop->getLoopDepth()});
    }
    for (const BasicBlock &block : function)
      if (const llvm::Loop *loop = loops.getLoopFor(&block))
        places[&block] = {numbers[loop], loop->getHeader() == &block};
  }
  return places;
}

static void countBlocks(Module &module, const Places &places,
                        Instrumented &result) {
  SmallVector<BasicBlock *> blocks;
  for (Function &function : module)
    for (BasicBlock &block : function) {
      blocks.push_back(&block);
      BlockCost cost = getCost(block);
      PlaceInLoop place = places.lookup(&block);
      cost.loop = place.loop;
      cost.isHeader = place.isHeader;
      for (const Instruction &instruction : block)
        if (const DILocation *location = instruction.getDebugLoc())
          cost.lines.push_back(location->getLine());
      result.blocks.push_back(cost);
    }
  IRBuilder<> b(module.getContext());
  auto *type = ArrayType::get(b.getInt64Ty(), blocks.size());
  auto *counters = new GlobalVariable(
      module, type, /*isConstant=*/false, GlobalValue::ExternalLinkage,
      Constant::getNullValue(type), kBlockCounters);
  for (auto [index, block] : llvm::enumerate(blocks)) {
    b.SetInsertPoint(block->getFirstInsertionPt());
    Value *counter = b.CreateConstGEP2_64(type, counters, 0, index);
    b.CreateStore(
        b.CreateAdd(b.CreateLoad(b.getInt64Ty(), counter), b.getInt64(1)),
        counter);
  }
}

CallInst *scaling::simt::callRuntime(IRBuilder<> &b, StringRef name, Type *type,
                                     ArrayRef<Value *> args) {
  SmallVector<Type *> types;
  for (Value *arg : args)
    types.push_back(arg->getType());
  Module *module = b.GetInsertBlock()->getModule();
  return b.CreateCall(
      module->getOrInsertFunction(name, FunctionType::get(type, types, false)),
      args);
}

Expected<Instrumented> scaling::simt::instrument(Module &module,
                                                 StringRef entry) {
  Expected<Function *> kernel = findKernel(module, entry);
  if (!kernel)
    return kernel.takeError();
  Instrumented result;
  result.name = (*kernel)->getName().str();
  if (Error error = readParameters(**kernel, result))
    return std::move(error);
  LoweringTarget target = LoweringTarget::of(module, **kernel);
  simplify(module, **kernel);

  Positions positions(module);
  Places places = findLoops(module, result);
  SmallVector<Instruction *> instructions;
  for (Function &function : module)
    for (BasicBlock &block : function)
      for (Instruction &instruction : block) {
        instructions.push_back(&instruction);
        if (auto *alloca = dyn_cast<AllocaInst>(&instruction))
          if (auto size = alloca->getAllocationSize(module.getDataLayout()))
            result.localBytes += size->getFixedValue();
      }
  if (Error error = placeShared(module, result))
    return std::move(error);
  if (Error error = exportVariables(module, result))
    return std::move(error);
  // Before intrinsics are replaced: they are part of the cost.
  countBlocks(module, places, result);

  MemoryInstrumenter memory(module, result, positions);
  for (Instruction *instruction : instructions) {
    auto addSite = [&](Site site) {
      site.position = positions.get(*instruction);
      result.sites.push_back(std::move(site));
      return uint32_t(result.sites.size() - 1);
    };
    // The instruction may be gone afterwards.
    uint32_t loop = places.lookup(instruction->getParent()).loop;
    size_t firstSite = result.sites.size();
    Error error = Error::success();
    if (isa<UnreachableInst>(instruction) ||
        (isa<CallBase>(instruction) && !isa<MemIntrinsic>(instruction)))
      error = lowerCall(*instruction, target, addSite);
    else if (instruction->mayReadOrWriteMemory())
      error = memory.run(*instruction);
    if (error)
      return std::move(error);
    for (Site &site : MutableArrayRef(result.sites).drop_front(firstSite))
      site.loop = loop;
  }
  makeEntry(module, **kernel);
  dropAttributes(module, **kernel);
  std::string message;
  raw_string_ostream os(message);
  if (verifyModule(module, &os))
    return createStringError("the instrumented module is broken: " + message);
  return std::move(result);
}
