//===- Freestanding.cpp - Objects that need nothing from outside ----------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/CPU/Emit.h"
#include "scaling/Target/IREE/IREE.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

using namespace mlir;
using namespace mlir::scaling;

/// Scratch is on cache lines of its own; what IREE hands over may be aligned
/// to less, and is larger by as much.
static constexpr uint64_t kAlignment = 64;

std::string mlir::scaling::getKernelName(const EntryPoint &entry) {
  return "scaling_kernel_" + entry.name;
}

/// Makes the functions behind the C wrappers public, and drops the wrappers.
static void exposeKernels(llvm::Module &module, ArrayRef<EntryPoint> entries) {
  for (const EntryPoint &entry : entries)
    if (auto *wrapper = module.getFunction("_mlir_ciface_" + entry.name))
      wrapper->eraseFromParent();
  for (const EntryPoint &entry : entries) {
    llvm::Function *kernel = module.getFunction(entry.name);
    kernel->setLinkage(llvm::GlobalValue::ExternalLinkage);
    kernel->setName(getKernelName(entry));
    // The workspace is the last argument, a descriptor of five fields. The
    // second is the address.
    llvm::Argument *address = kernel->getArg(kernel->arg_size() - 4);
    llvm::IRBuilder<> b(&*kernel->getEntryBlock().getFirstInsertionPt());
    llvm::Value *end = b.CreatePtrAdd(address, b.getInt64(kAlignment - 1));
    auto *aligned = b.CreateIntrinsic(llvm::Intrinsic::ptrmask,
                                      {b.getPtrTy(), b.getInt64Ty()},
                                      {end, b.getInt64(-kAlignment)});
    address->replaceUsesWithIf(
        aligned, [&](llvm::Use &use) { return use.getUser() != end; });
  }
}

/// Compilers make calls of these functions whatever the program says. Weak:
/// another object may bring its own.
static llvm::Function *declareMemoryFunction(llvm::Module &module,
                                             StringRef name, bool hasSource) {
  llvm::IRBuilder<> b(module.getContext());
  llvm::Type *second =
      hasSource ? static_cast<llvm::Type *>(b.getPtrTy()) : b.getInt32Ty();
  if (llvm::Function *there = module.getFunction(name);
      there && !there->isDeclaration())
    return nullptr;
  auto *function = llvm::cast<llvm::Function>(
      module
          .getOrInsertFunction(name, llvm::FunctionType::get(
                                         b.getPtrTy(),
                                         {b.getPtrTy(), second, b.getInt64Ty()},
                                         /*isVarArg=*/false))
          .getCallee());
  function->setLinkage(llvm::GlobalValue::WeakAnyLinkage);
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  // Else its loop is found to be a call of itself.
  function->addFnAttr("no-builtins");
  function->addFnAttr(llvm::Attribute::NoInline);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  llvm::appendToCompilerUsed(module, {function});
  return function;
}

/// Makes a loop over the bytes, from the front or from the back, and leaves the
/// builder behind it.
static void createByteLoop(llvm::IRBuilder<> &b, llvm::Function *function,
                           bool hasSource, bool backwards) {
  llvm::LLVMContext &context = b.getContext();
  llvm::Value *to = function->getArg(0), *from = function->getArg(1);
  llvm::Value *size = function->getArg(2);
  llvm::BasicBlock *before = b.GetInsertBlock();
  auto *loop = llvm::BasicBlock::Create(context, "loop", function);
  auto *done = llvm::BasicBlock::Create(context, "done", function);
  llvm::Value *byte = hasSource ? nullptr : b.CreateTrunc(from, b.getInt8Ty());
  b.CreateCondBr(b.CreateICmpEQ(size, b.getInt64(0)), done, loop);
  b.SetInsertPoint(loop);
  llvm::PHINode *count = b.CreatePHI(b.getInt64Ty(), 2);
  llvm::Value *next = b.CreateAdd(count, b.getInt64(1), "", /*HasNUW=*/true);
  llvm::Value *position = backwards ? b.CreateSub(size, next) : count;
  if (hasSource)
    byte = b.CreateLoad(b.getInt8Ty(), b.CreatePtrAdd(from, position));
  b.CreateStore(byte, b.CreatePtrAdd(to, position));
  count->addIncoming(b.getInt64(0), before);
  count->addIncoming(next, loop);
  b.CreateCondBr(b.CreateICmpEQ(next, size), done, loop);
  b.SetInsertPoint(done);
}

static void addMemoryFunctions(llvm::Module &module) {
  llvm::LLVMContext &context = module.getContext();
  llvm::IRBuilder<> b(context);
  for (StringRef name : {"memset", "memcpy"}) {
    bool hasSource = name == "memcpy";
    llvm::Function *function = declareMemoryFunction(module, name, hasSource);
    if (!function)
      continue;
    b.SetInsertPoint(llvm::BasicBlock::Create(context, "", function));
    // What memcpy copies does not overlap.
    if (hasSource) {
      function->addParamAttr(0, llvm::Attribute::NoAlias);
      function->addParamAttr(1, llvm::Attribute::NoAlias);
    }
    createByteLoop(b, function, hasSource, /*backwards=*/false);
    b.CreateRet(function->getArg(0));
  }
  llvm::Function *move =
      declareMemoryFunction(module, "memmove", /*hasSource=*/true);
  if (!move)
    return;
  b.SetInsertPoint(llvm::BasicBlock::Create(context, "", move));
  auto *forwards = llvm::BasicBlock::Create(context, "forwards", move);
  auto *backwards = llvm::BasicBlock::Create(context, "backwards", move);
  b.CreateCondBr(b.CreateICmpULT(move->getArg(0), move->getArg(1)), forwards,
                 backwards);
  for (llvm::BasicBlock *block : {forwards, backwards}) {
    b.SetInsertPoint(block);
    createByteLoop(b, move, /*hasSource=*/true, block == backwards);
    b.CreateRet(move->getArg(0));
  }
}

/// What the object wants from outside.
static llvm::Error checkFreestanding(ArrayRef<char> object) {
  llvm::Expected<std::unique_ptr<llvm::object::ObjectFile>> file =
      llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(
          StringRef(object.data(), object.size()), "object"));
  if (!file)
    return file.takeError();
  SmallVector<std::string> missing;
  for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
    llvm::Expected<uint32_t> flags = symbol.getFlags();
    if (!flags)
      return flags.takeError();
    if (!(*flags & llvm::object::SymbolRef::SF_Undefined))
      continue;
    llvm::Expected<StringRef> name = symbol.getName();
    if (!name)
      return name.takeError();
    if (!name->empty() && *name != "_GLOBAL_OFFSET_TABLE_")
      missing.push_back("'" + name->str() + "'");
  }
  if (missing.empty())
    return llvm::Error::success();
  bool allocates = llvm::is_contained(missing, "'malloc'");
  return llvm::createStringError(
      "the program needs " + llvm::join(missing, ", ") +
      ", which code in an IREE program cannot have" +
      (allocates ? "; the size of a temporary array does not follow from the "
                   "sizes of the arguments"
                 : ""));
}

llvm::Error mlir::scaling::emitFreestandingObject(
    ModuleOp module, ArrayRef<EntryPoint> entries, CPUTarget target,
    SmallVectorImpl<char> &object) {
  // Without an operating system: no stack probes, no thread-local storage.
  llvm::Triple triple(target.triple);
  target.triple = (triple.getArchName() + "-unknown-unknown-eabi-elf").str();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code =
      translateToLLVMIR(module, target, context);
  if (!code)
    return llvm::createStringError("translation to LLVM IR failed");
  exposeKernels(*code, entries);
  addMemoryFunctions(*code);
  if (llvm::Error error = optimize(*code, target))
    return error;
  if (llvm::Error error = emitObject(*code, target, object))
    return error;
  return checkFreestanding(object);
}
