//===- CUDAKernels.cpp - Kernels that IREE launches -----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/IREE/IREE.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicsNVPTX.h"
#include "llvm/IR/Module.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace mlir;
using namespace mlir::scaling;

/// What IREE passes: the addresses of arrays, then words of 32 bits.
static bool isWord(Type type) { return type.isF32() || type.isInteger(32); }

LogicalResult mlir::scaling::checkForIREEOnCUDA(ArrayRef<EntryPoint> entries) {
  for (const EntryPoint &entry : entries)
    for (auto [index, input] : llvm::enumerate(entry.inputs))
      if (!isa<ShapedType>(input.type) && !isWord(input.type))
        return emitError(entry.loc)
               << "public function '" << entry.name << "': argument " << index
               << " of type " << input.type
               << " cannot be passed to a kernel by IREE, which passes f32 "
                  "and i32";
  return success();
}

static int64_t getNumber(llvm::Function &function, StringRef attribute) {
  StringRef text = function.getFnAttribute(attribute).getValueAsString();
  int64_t number = 0;
  (void)text.take_until([](char c) { return c == ','; })
      .getAsInteger(10, number);
  return number;
}

namespace {
/// Makes the arguments of a kernel of what IREE passes.
class ArgumentMaker {
public:
  ArgumentMaker(llvm::IRBuilder<> &b, llvm::Function &outer, unsigned arrays)
      : b(b), nextArray(outer.arg_begin()),
        nextWord(outer.arg_begin() + arrays) {}

  void addScalar(Type type) {
    llvm::Value *word = nextWord++;
    arguments.push_back(type.isF32() ? b.CreateBitCast(word, b.getFloatTy())
                                     : word);
  }

  /// A descriptor in parts: the address twice, an offset, sizes and strides.
  void addArray(ShapedType type, llvm::Value *address,
                function_ref<llvm::Value *()> nextDim) {
    SmallVector<llvm::Value *> sizes, strides(type.getRank());
    for (int64_t size : type.getShape())
      sizes.push_back(ShapedType::isDynamic(size) ? nextDim()
                                                  : b.getInt64(size));
    llvm::Value *stride = b.getInt64(1);
    for (int64_t dim = type.getRank() - 1; dim >= 0; --dim) {
      strides[dim] = stride;
      stride = b.CreateMul(stride, sizes[dim]);
    }
    arguments.append({address, address, b.getInt64(0)});
    llvm::append_range(arguments, sizes);
    llvm::append_range(arguments, strides);
  }

  void addBytes(llvm::Value *address, llvm::Value *size) {
    arguments.append({address, address, b.getInt64(0), size, b.getInt64(1)});
  }

  llvm::Value *takeArray() { return nextArray++; }
  llvm::Value *takeDim() { return b.CreateZExt(nextWord++, b.getInt64Ty()); }

  SmallVector<llvm::Value *> arguments;

private:
  llvm::IRBuilder<> &b;
  llvm::Function::arg_iterator nextArray, nextWord;
};
} // namespace

static ShapedType asArray(Type type) {
  if (auto shaped = dyn_cast<ShapedType>(type))
    return shaped;
  return RankedTensorType::get({}, type);
}

static CUDAKernel bindKernel(llvm::Module &module, const EntryPoint &entry) {
  llvm::Function *inner = module.getFunction(entry.name);
  CUDAKernel kernel;
  kernel.threads = getNumber(*inner, "nvvm.maxntid");
  kernel.sharedBytes = getNumber(*inner, "scaling.shared-bytes");
  bool cooperative = inner->hasFnAttribute("scaling.cooperative");
  kernel.blocks = cooperative ? 1 : kMaxCUDABlocks;

  llvm::LLVMContext &context = module.getContext();
  llvm::IRBuilder<> b(context);
  unsigned words = 0, arrays = 1;
  for (const EntryValue &input : entry.inputs) {
    auto shaped = dyn_cast<ShapedType>(input.type);
    words += shaped ? shaped.getNumDynamicDims() : 1;
    arrays += shaped != nullptr;
  }
  for (const EntryValue &result : entry.results) {
    words += asArray(result.type).getNumDynamicDims();
    ++arrays;
  }
  SmallVector<llvm::Type *> types(arrays, b.getPtrTy());
  types.append(words, b.getInt32Ty());
  auto *outer = llvm::Function::Create(
      llvm::FunctionType::get(b.getVoidTy(), types, /*isVarArg=*/false),
      llvm::GlobalValue::ExternalLinkage, getKernelName(entry), module);
  outer->setCallingConv(inner->getCallingConv());
  outer->setAttributes(llvm::AttributeList().addFnAttributes(
      context,
      llvm::AttrBuilder(context, inner->getAttributes().getFnAttrs())));
  for (unsigned i = 0; i < arrays; ++i) {
    outer->addParamAttr(i, llvm::Attribute::NoAlias);
    outer->addParamAttr(
        i, llvm::Attribute::getWithAlignment(context, llvm::Align(16)));
  }

  b.SetInsertPoint(llvm::BasicBlock::Create(context, "", outer));
  ArgumentMaker maker(b, *outer, arrays);
  // Scalars come before sizes.
  SmallVector<llvm::Value *> scalars;
  for (const EntryValue &input : entry.inputs)
    if (!isa<ShapedType>(input.type)) {
      maker.addScalar(input.type);
      scalars.push_back(maker.arguments.pop_back_val());
    }
  auto *scalar = scalars.begin();
  auto nextDim = [&] { return maker.takeDim(); };
  for (const EntryValue &input : entry.inputs) {
    if (auto shaped = dyn_cast<ShapedType>(input.type))
      maker.addArray(shaped, maker.takeArray(), nextDim);
    else
      maker.arguments.push_back(*scalar++);
  }
  for (const EntryValue &result : entry.results)
    maker.addArray(asArray(result.type), maker.takeArray(), nextDim);
  llvm::Value *scratch = maker.takeArray();
  // Nothing looks at the size of the workspace. Its first bytes are the
  // counter of the grid's barrier.
  maker.addBytes(b.CreateConstGEP1_64(b.getInt8Ty(), scratch, kIREEPadding),
                 b.getInt64(0));
  if (cooperative) {
    auto *store = llvm::BasicBlock::Create(context, "", outer);
    auto *ready = llvm::BasicBlock::Create(context, "", outer);
    llvm::Value *thread =
        b.CreateIntrinsic(llvm::Intrinsic::nvvm_read_ptx_sreg_tid_x, {});
    b.CreateCondBr(b.CreateICmpEQ(thread, b.getInt32(0)), store, ready);
    b.SetInsertPoint(store);
    b.CreateStore(b.getInt64(0), scratch);
    b.CreateBr(ready);
    b.SetInsertPoint(ready);
    b.CreateIntrinsic(llvm::Intrinsic::nvvm_barrier_cta_sync_aligned_all,
                      {b.getInt32(0)});
    maker.addBytes(scratch, b.getInt64(1));
  }
  inner->setCallingConv(llvm::CallingConv::C);
  inner->setLinkage(llvm::GlobalValue::InternalLinkage);
  llvm::CallInst *call = b.CreateCall(inner, maker.arguments);
  b.CreateRetVoid();
  llvm::InlineFunctionInfo info;
  (void)llvm::InlineFunction(*call, info);
  inner->eraseFromParent();
  return kernel;
}

std::vector<CUDAKernel>
mlir::scaling::bindCUDAKernels(llvm::Module &module,
                               ArrayRef<EntryPoint> entries) {
  std::vector<CUDAKernel> kernels;
  for (const EntryPoint &entry : entries)
    kernels.push_back(bindKernel(module, entry));
  return kernels;
}
