//===- FormLaunches.cpp - Host functions of kernels -----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/FormLaunches/FormLaunches.h"

#include "scaling/Conversion/FormKernels/FormKernels.h"
#include "scaling/Conversion/PlanWorkspace/PlanWorkspace.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGFORMLAUNCHESPASS
#include "scaling/Conversion/FormLaunches/FormLaunches.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// The counter of the grid's barrier lies behind the workspace.
static constexpr int64_t kCounterBytes = 8;

namespace {
/// Builds one host function.
class LaunchFormer {
public:
  LaunchFormer(OpBuilder &b, gpu::GPUFuncOp kernel, ModuleOp module)
      : b(b), kernel(kernel), module(module), loc(kernel.getLoc()),
        pointer(LLVM::LLVMPointerType::get(b.getContext())),
        i32(b.getI32Type()), i64(b.getI64Type()) {}

  LogicalResult run();

private:
  /// Calls a function of the runtime, which is declared where it is not yet.
  Value call(StringRef name, Type result, ValueRange operands);
  Value constant(Type type, int64_t value) {
    return LLVM::ConstantOp::create(b, loc, type,
                                    b.getIntegerAttr(type, value));
  }
  /// The address of a constant string, with a zero at its end.
  Value createString(StringRef name, StringRef text);
  /// The address and the bytes of a part of the image.
  SmallVector<Value> createImage(StringRef name);
  /// How many bytes of state a block has; --scaling-split-launches knows.
  Value createStateBytes();
  /// What the kernel takes of a memref: two pointers, an offset, sizes and
  /// strides.
  void addMemRef(Value memref, SmallVectorImpl<Value> &fields);
  /// The same for scratch on the device.
  void addScratch(Value data, Value size, SmallVectorImpl<Value> &fields) {
    fields.append({data, data, constant(i64, 0), size, constant(i64, 1)});
  }

  OpBuilder &b;
  gpu::GPUFuncOp kernel;
  ModuleOp module;
  Location loc;
  Type pointer, i32, i64;
};
} // namespace

Value LaunchFormer::call(StringRef name, Type result, ValueRange operands) {
  if (!module.lookupSymbol(name)) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    LLVM::LLVMFuncOp::create(
        b, module.getLoc(), name,
        LLVM::LLVMFunctionType::get(
            result ? result : LLVM::LLVMVoidType::get(b.getContext()),
            SmallVector<Type>(operands.getTypes())));
  }
  auto call = LLVM::CallOp::create(
      b, loc, result ? TypeRange(result) : TypeRange(),
      FlatSymbolRefAttr::get(b.getContext(), name), operands);
  return result ? call.getResult() : Value();
}

Value LaunchFormer::createString(StringRef name, StringRef text) {
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    std::string contents = text.str();
    contents.push_back('\0');
    LLVM::GlobalOp::create(
        b, loc, LLVM::LLVMArrayType::get(b.getI8Type(), contents.size()),
        /*isConstant=*/true, LLVM::Linkage::Internal, name,
        b.getStringAttr(contents));
  }
  return LLVM::AddressOfOp::create(b, loc, pointer, name);
}

SmallVector<Value> LaunchFormer::createImage(StringRef name) {
  // The type, and so the size, comes with the value.
  std::string sizeName = (name + ".size").str();
  if (!module.lookupSymbol(name)) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    LLVM::GlobalOp::create(
        b, module.getLoc(), LLVM::LLVMArrayType::get(b.getI8Type(), 0),
        /*isConstant=*/true, LLVM::Linkage::External, name, Attribute());
    LLVM::GlobalOp::create(b, module.getLoc(), i64, /*isConstant=*/true,
                           LLVM::Linkage::External, sizeName, Attribute());
  }
  Value size = LLVM::LoadOp::create(
      b, loc, i64, LLVM::AddressOfOp::create(b, loc, pointer, sizeName));
  Value isThere = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::ne, size,
                                       constant(i64, 0));
  Value address = LLVM::SelectOp::create(
      b, loc, isThere, LLVM::AddressOfOp::create(b, loc, pointer, name),
      LLVM::ZeroOp::create(b, loc, pointer));
  return {address, size};
}

Value LaunchFormer::createStateBytes() {
  std::string name = (kernel.getName() + kStateBytesSuffix).str();
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    LLVM::GlobalOp::create(b, loc, i64, /*isConstant=*/true,
                           LLVM::Linkage::Internal, name,
                           b.getI64IntegerAttr(0));
  }
  return LLVM::LoadOp::create(b, loc, i64,
                              LLVM::AddressOfOp::create(b, loc, pointer, name));
}

void LaunchFormer::addMemRef(Value memref, SmallVectorImpl<Value> &fields) {
  auto toWord = [&](Value index) -> Value {
    return arith::IndexCastOp::create(b, loc, i64, index);
  };
  auto parts = memref::ExtractStridedMetadataOp::create(b, loc, memref);
  Value data = LLVM::IntToPtrOp::create(
      b, loc, pointer,
      toWord(memref::ExtractAlignedPointerAsIndexOp::create(b, loc, memref)));
  fields.append({data, data, toWord(parts.getOffset())});
  for (Value size : parts.getSizes())
    fields.push_back(toWord(size));
  for (Value stride : parts.getStrides())
    fields.push_back(toWord(stride));
}

LogicalResult LaunchFormer::run() {
  StringRef name = kernel.getName();
  bool isCooperative = kernel->hasAttr(kCooperativeAttrName);
  bool isRelaunched = kernel->hasAttr(kRelaunchedAttrName);
  SmallVector<Type> types(kernel.getArgumentTypes());
  if (isCooperative || isRelaunched)
    types.pop_back();
  auto companion =
      module.lookupSymbol<func::FuncOp>((name + kWorkspaceSizeSuffix).str());
  std::optional<ArrayRef<int32_t>> block = kernel.getKnownBlockSize();
  if (!companion || types.empty() || !block)
    return kernel.emitError("has no workspace that a host function could "
                            "allocate: run 'scaling-plan-workspace' with "
                            "'argument' before 'scaling-form-kernels'");
  types.pop_back();
  unsigned numArguments = types.size();
  types.push_back(pointer);

  b.setInsertionPointToEnd(module.getBody());
  auto host = func::FuncOp::create(b, loc, name, b.getFunctionType(types, i32));
  host->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(), b.getUnitAttr());
  b.setInsertionPointToStart(host.addEntryBlock());
  ValueRange arguments = host.getArguments().take_front(numArguments);
  Value stream = host.getArguments().back();

  call("scaling_cuda_clear", Type(), {});
  SmallVector<Value> image = createImage(kCubinName);
  image.append(createImage(kPTXName));
  auto shared = kernel->getAttrOfType<IntegerAttr>(kSharedBytesAttrName);
  Value sharedBytes = constant(i32, shared ? shared.getInt() : 0);
  SmallVector<Value> lookup(image);
  lookup.append({createString((name + ".name").str(), name), sharedBytes});
  Value function = call("scaling_cuda_get_function", pointer, lookup);

  Value answer =
      memref::AllocaOp::create(b, loc, MemRefType::get({1}, b.getI64Type()));
  SmallVector<Value> query(arguments);
  query.push_back(answer);
  func::CallOp::create(b, loc, companion, query);
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value bytes = memref::LoadOp::create(b, loc, answer, zero);
  Value mask = constant(i64, -kCounterBytes);
  Value counterAt = LLVM::AndOp::create(
      b, loc,
      LLVM::AddOp::create(b, loc, bytes, constant(i64, kCounterBytes - 1)),
      mask);
  Value total =
      LLVM::AddOp::create(b, loc, counterAt, constant(i64, kCounterBytes));
  Value isShared = constant(b.getI1Type(), 0);
  Value workspace = call("mgpuMemAlloc", pointer, {total, stream, isShared});

  SmallVector<Value> fields;
  for (Value argument : arguments) {
    if (isa<MemRefType>(argument.getType()))
      addMemRef(argument, fields);
    else if (argument.getType().isIndex())
      fields.push_back(arith::IndexCastOp::create(b, loc, i64, argument));
    else
      fields.push_back(argument);
  }
  addScratch(workspace, bytes, fields);
  if (isCooperative) {
    Value counter = LLVM::GEPOp::create(b, loc, pointer, b.getI8Type(),
                                        workspace, ValueRange{counterAt});
    call("mgpuMemset32", Type(),
         {counter, constant(i32, 0), constant(i64, kCounterBytes / 4), stream});
    addScratch(counter, constant(i64, 1), fields);
  }
  Value threads = constant(i32, block->front());
  Value blocks =
      call("scaling_cuda_grid_size", i64, {function, threads, sharedBytes});
  Value state;
  if (isRelaunched) {
    // All blocks are at the beginning.
    Value stateBytes = LLVM::MulOp::create(b, loc, blocks, createStateBytes());
    state = call("mgpuMemAlloc", pointer, {stateBytes, stream, isShared});
    Value words = LLVM::UDivOp::create(b, loc, stateBytes, constant(i64, 4));
    call("mgpuMemset32", Type(), {state, constant(i32, 0), words, stream});
    addScratch(state, stateBytes, fields);
  }
  // Every parameter in a place of its own, and an array of the places.
  Value count = constant(i64, fields.size());
  Value params = LLVM::AllocaOp::create(b, loc, pointer, pointer, count);
  Value one = constant(i64, 1);
  for (auto [index, field] : llvm::enumerate(fields)) {
    Value place = LLVM::AllocaOp::create(b, loc, pointer, field.getType(), one);
    LLVM::StoreOp::create(b, loc, field, place);
    LLVM::StoreOp::create(
        b, loc, place,
        LLVM::GEPOp::create(b, loc, pointer, pointer, params,
                            ArrayRef<LLVM::GEPArg>{int32_t(index)}));
  }

  Value width = LLVM::SExtOp::create(b, loc, i64, threads);
  SmallVector<Value> launch = {function, blocks, one,         one,    width,
                               one,      one,    sharedBytes, stream, params};
  if (isCooperative) {
    call("scaling_cuda_launch_cooperative", Type(), launch);
  } else if (isRelaunched) {
    launch.push_back(state);
    call("scaling_cuda_launch_until_done", Type(), launch);
    call("mgpuMemFree", Type(), {state, stream});
  } else {
    launch.append({LLVM::ZeroOp::create(b, loc, pointer), count});
    call("mgpuLaunchKernel", Type(), launch);
  }
  call("mgpuMemFree", Type(), {workspace, stream});
  func::ReturnOp::create(b, loc, call("scaling_cuda_status", i32, {}));
  return success();
}

LogicalResult mlir::scaling::formLaunches(ModuleOp module) {
  OpBuilder b(module.getContext());
  for (auto kernels :
       llvm::make_early_inc_range(module.getOps<gpu::GPUModuleOp>()))
    for (auto kernel : kernels.getOps<gpu::GPUFuncOp>())
      if (kernel.isKernel() && failed(LaunchFormer(b, kernel, module).run()))
        return failure();
  return success();
}

namespace {
struct ScalingFormLaunchesPass final
    : scaling::impl::ScalingFormLaunchesPassBase<ScalingFormLaunchesPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(formLaunches(getOperation())))
      signalPassFailure();
  }
};
} // namespace
