//===- JIT.cpp - Run compiled modules in this process ---------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/CPU/JIT.h"

#include "scaling/Runtime/Runtime.h"
#include "scaling/Target/CPU/Emit.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;
using namespace mlir::scaling;

CompiledModule::CompiledModule(std::unique_ptr<llvm::orc::LLJIT> jit)
    : jit(std::move(jit)) {}
CompiledModule::~CompiledModule() = default;

/// The prefix of the functions that `addPackedWrappers` makes.
static constexpr llvm::StringLiteral kPackedPrefix = "_scaling_packed_";

/// C cannot call a function whose arguments are known at run time only, so
/// every C wrapper gets a function that takes the addresses of its arguments.
static void addPackedWrappers(llvm::Module &module) {
  SmallVector<llvm::Function *> wrappers;
  for (llvm::Function &function : module)
    if (!function.isDeclaration() &&
        function.getName().starts_with("_mlir_ciface_"))
      wrappers.push_back(&function);
  llvm::IRBuilder<> b(module.getContext());
  for (llvm::Function *function : wrappers) {
    StringRef name = function->getName().drop_front(strlen("_mlir_ciface_"));
    auto *packed = llvm::Function::Create(
        llvm::FunctionType::get(b.getVoidTy(), {b.getPtrTy()}, false),
        llvm::GlobalValue::ExternalLinkage, kPackedPrefix + name, module);
    packed->copyAttributesFrom(function);
    packed->setAttributes(llvm::AttributeList().addFnAttributes(
        module.getContext(),
        llvm::AttrBuilder(module.getContext(),
                          function->getAttributes().getFnAttrs())));
    b.SetInsertPoint(llvm::BasicBlock::Create(module.getContext(), "", packed));
    SmallVector<llvm::Value *> args;
    for (llvm::Argument &argument : function->args()) {
      llvm::Value *address = b.CreateLoad(
          b.getPtrTy(), b.CreateConstGEP1_64(b.getPtrTy(), packed->getArg(0),
                                             argument.getArgNo()));
      args.push_back(b.CreateLoad(argument.getType(), address));
    }
    b.CreateCall(function, args);
    b.CreateRetVoid();
  }
}

/// Translates and optimizes a module, with a packed function for every one that
/// C can call.
static llvm::Expected<std::unique_ptr<llvm::Module>>
translate(ModuleOp module, const CPUTarget &target,
          llvm::LLVMContext &context) {
  std::unique_ptr<llvm::Module> llvmModule =
      translateToLLVMIR(module, target, context);
  if (!llvmModule)
    return llvm::createStringError("translation to LLVM IR failed");
  addPackedWrappers(*llvmModule);
  if (llvm::Error error = optimize(*llvmModule, target))
    return error;
  return llvmModule;
}

/// A linker of code for the CPU that knows the runtime.
static llvm::Expected<std::unique_ptr<llvm::orc::LLJIT>>
createJIT(const CPUTarget &target) {
  llvm::orc::JITTargetMachineBuilder machineBuilder(
      (llvm::Triple(target.triple)));
  machineBuilder.setCPU(target.cpu);
  machineBuilder.setCodeGenOptLevel(llvm::CodeGenOptLevel::Aggressive);
  machineBuilder.getFeatures() = llvm::SubtargetFeatures(target.features);
  auto jit = llvm::orc::LLJITBuilder()
                 .setJITTargetMachineBuilder(std::move(machineBuilder))
                 .create();
  if (!jit)
    return jit.takeError();
  llvm::orc::SymbolMap runtime;
  auto define = [&](StringRef name, auto *function) {
    runtime[(*jit)->mangleAndIntern(name)] = {
        llvm::orc::ExecutorAddr::fromPtr(function),
        llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
  };
  define("scaling_parallel_for", &scaling_parallel_for);
  define("scaling_team_begin", &scaling_team_begin);
  define("scaling_team_for", &scaling_team_for);
  define("scaling_team_end", &scaling_team_end);
  define("scaling_workspace_acquire", &scaling_workspace_acquire);
  define("scaling_workspace_release", &scaling_workspace_release);
  if (llvm::Error error = (*jit)->getMainJITDylib().define(
          llvm::orc::absoluteSymbols(std::move(runtime))))
    return error;
  return jit;
}

llvm::Expected<std::unique_ptr<CompiledModule>>
CompiledModule::create(ModuleOp module, const CPUTarget &target) {
  auto context = std::make_unique<llvm::LLVMContext>();
  auto llvmModule = translate(module, target, *context);
  if (!llvmModule)
    return llvmModule.takeError();
  auto jit = createJIT(target);
  if (!jit)
    return jit.takeError();
  if (llvm::Error error = (*jit)->addIRModule(llvm::orc::ThreadSafeModule(
          std::move(*llvmModule), std::move(context))))
    return error;
  return std::unique_ptr<CompiledModule>(new CompiledModule(std::move(*jit)));
}

llvm::Expected<std::unique_ptr<CompiledModule>>
CompiledModule::load(StringRef object, const CPUTarget &target) {
  auto jit = createJIT(target);
  if (!jit)
    return jit.takeError();
  if (llvm::Error error = (*jit)->addObjectFile(
          llvm::MemoryBuffer::getMemBufferCopy(object, "object")))
    return error;
  return std::unique_ptr<CompiledModule>(new CompiledModule(std::move(*jit)));
}

llvm::Error mlir::scaling::emitCallableObject(ModuleOp module,
                                              const CPUTarget &target,
                                              SmallVectorImpl<char> &object) {
  llvm::LLVMContext context;
  auto llvmModule = translate(module, target, context);
  if (!llvmModule)
    return llvmModule.takeError();
  return emitObject(**llvmModule, target, object);
}

llvm::Expected<CompiledModule::PackedFunction>
CompiledModule::lookup(StringRef name) {
  auto symbol = jit->lookup((kPackedPrefix + name).str());
  if (!symbol)
    return symbol.takeError();
  return symbol->toPtr<PackedFunction>();
}

llvm::Expected<CompiledModule::Call>
CompiledModule::prepare(StringRef name, const EntryPoint &entry,
                        ArrayRef<Buffer> inputs, ArrayRef<Buffer> outputs) {
  auto function = lookup(name);
  if (!function)
    return function.takeError();
  Call call;
  call.function = *function;
  size_t count = inputs.size() + outputs.size();
  // Arguments point into `pointers`: it must not move.
  call.pointers.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    bool isInput = i < inputs.size();
    const Buffer &buffer = isInput ? inputs[i] : outputs[i - inputs.size()];
    if (isInput && !isa<ShapedType>(entry.inputs[i].type)) {
      // Scalars are passed by value.
      call.arguments.push_back(buffer.data);
      continue;
    }
    size_t rank = buffer.shape.size();
    auto descriptor = std::make_unique<int64_t[]>(3 + 2 * rank);
    descriptor[0] = descriptor[1] = reinterpret_cast<int64_t>(buffer.data);
    descriptor[2] = 0;
    int64_t stride = 1;
    for (size_t dim = rank; dim-- > 0;) {
      descriptor[3 + dim] = buffer.shape[dim];
      descriptor[3 + rank + dim] = stride;
      stride *= buffer.shape[dim];
    }
    call.pointers.push_back(descriptor.get());
    call.arguments.push_back(&call.pointers.back());
    call.descriptors.push_back(std::move(descriptor));
  }
  return call;
}

llvm::Expected<CompiledModule::Call>
CompiledModule::prepare(const EntryPoint &entry, ArrayRef<Buffer> inputs,
                        ArrayRef<Buffer> outputs) {
  return prepare(entry.name, entry, inputs, outputs);
}

llvm::Expected<SmallVector<int64_t>>
CompiledModule::resultDims(const EntryPoint &entry, ArrayRef<Buffer> inputs) {
  SmallVector<int64_t> dims(entry.numDynamicResultDims());
  if (dims.empty())
    return dims;
  Buffer output{dims.data(), {static_cast<int64_t>(dims.size())}};
  auto call =
      prepare(entry.name + kResultDimsSuffix.str(), entry, inputs, output);
  if (!call)
    return call.takeError();
  (*call)();
  return dims;
}
