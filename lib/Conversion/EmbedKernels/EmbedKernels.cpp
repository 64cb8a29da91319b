//===- EmbedKernels.cpp - Cubins and PTX in host code ---------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/EmbedKernels/EmbedKernels.h"

#include "scaling/Conversion/FormLaunches/FormLaunches.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGEMBEDKERNELSPASS
#include "scaling/Conversion/EmbedKernels/EmbedKernels.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

static constexpr llvm::StringLiteral kUnloadName = "scaling.unload";
/// That of destructors of which nothing is said.
static constexpr int32_t kPriority = 65535;
static constexpr llvm::StringLiteral kRuntimeUnloadName = "scaling_cuda_unload";

/// Gives the constant `name`, and its size, their values.
static void define(OpBuilder &b, ModuleOp module, StringRef name,
                   StringRef contents) {
  std::string sizeName = (name + ".size").str();
  for (StringRef symbol : {name, StringRef(sizeName)})
    if (auto declared = module.lookupSymbol<LLVM::GlobalOp>(symbol))
      declared.erase();
  b.setInsertionPointToStart(module.getBody());
  std::string text = contents.str();
  // The driver takes PTX to its end, which is a zero.
  text.push_back('\0');
  LLVM::GlobalOp::create(b, module.getLoc(),
                         LLVM::LLVMArrayType::get(b.getI8Type(), text.size()),
                         /*isConstant=*/true, LLVM::Linkage::Internal, name,
                         b.getStringAttr(text), /*alignment=*/64);
  LLVM::GlobalOp::create(b, module.getLoc(), b.getI64Type(),
                         /*isConstant=*/true, LLVM::Linkage::Internal, sizeName,
                         b.getI64IntegerAttr(contents.size()));
}

/// A destructor: the next library may lie where this one lay.
static void createUnload(OpBuilder &b, ModuleOp module, bool hasCubin,
                         bool hasPTX) {
  Location loc = module.getLoc();
  MLIRContext *context = b.getContext();
  auto pointer = LLVM::LLVMPointerType::get(context);
  auto none = LLVM::LLVMVoidType::get(context);
  b.setInsertionPointToStart(module.getBody());
  LLVM::LLVMFuncOp::create(
      b, loc, kRuntimeUnloadName,
      LLVM::LLVMFunctionType::get(none, {pointer, pointer}));
  b.setInsertionPointToEnd(module.getBody());
  auto unload = LLVM::LLVMFuncOp::create(b, loc, kUnloadName,
                                         LLVM::LLVMFunctionType::get(none, {}),
                                         LLVM::Linkage::Internal);
  b.setInsertionPointToStart(unload.addEntryBlock(b));
  auto address = [&](bool isThere, StringRef name) -> Value {
    if (!isThere)
      return LLVM::ZeroOp::create(b, loc, pointer);
    return LLVM::AddressOfOp::create(b, loc, pointer, name);
  };
  SmallVector<Value> image = {address(hasCubin, kCubinName),
                              address(hasPTX, kPTXName)};
  LLVM::CallOp::create(b, loc, TypeRange(),
                       FlatSymbolRefAttr::get(context, kRuntimeUnloadName),
                       image);
  LLVM::ReturnOp::create(b, loc, ValueRange());
  b.setInsertionPointToEnd(module.getBody());
  LLVM::GlobalDtorsOp::create(
      b, loc, b.getArrayAttr({FlatSymbolRefAttr::get(context, kUnloadName)}),
      b.getI32ArrayAttr({kPriority}),
      b.getArrayAttr({LLVM::ZeroAttr::get(context)}));
}

LogicalResult mlir::scaling::embedKernels(ModuleOp module) {
  SmallVector<gpu::BinaryOp> binaries(module.getOps<gpu::BinaryOp>());
  if (binaries.empty())
    return success();
  if (binaries.size() > 1)
    return binaries[1].emitError("is the second binary: there can be one image "
                                 "in a module");
  StringRef cubin, ptx;
  for (Attribute attribute : binaries.front().getObjects()) {
    auto object = cast<gpu::ObjectAttr>(attribute);
    switch (object.getFormat()) {
    case gpu::CompilationTarget::Binary:
      cubin = object.getObject();
      break;
    case gpu::CompilationTarget::Assembly:
      ptx = object.getObject();
      break;
    default:
      return binaries.front().emitError(
          "has an object that is neither a cubin nor PTX");
    }
  }
  OpBuilder b(module.getContext());
  define(b, module, kCubinName, cubin);
  define(b, module, kPTXName, ptx);
  createUnload(b, module, !cubin.empty(), !ptx.empty());
  binaries.front().erase();
  return success();
}

namespace {
struct ScalingEmbedKernelsPass final
    : scaling::impl::ScalingEmbedKernelsPassBase<ScalingEmbedKernelsPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(embedKernels(getOperation())))
      signalPassFailure();
  }
};
} // namespace
