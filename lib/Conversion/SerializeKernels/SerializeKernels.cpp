//===- SerializeKernels.cpp - Kernels to PTX and cubins -------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/SerializeKernels/SerializeKernels.h"

#include "scaling/Conversion/DescribeGPU/DescribeGPU.h"
#include "scaling/Target/GPU/EmitGPU.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/raw_ostream.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGSERIALIZEKERNELSPASS
#include "scaling/Conversion/SerializeKernels/SerializeKernels.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

namespace {
struct Object {
  gpu::CompilationTarget format;
  std::string contents;
};
} // namespace

static llvm::Expected<SmallVector<Object>>
serialize(llvm::Module &module, const GPUChip &chip,
          gpu::CompilationTarget format) {
  if (llvm::Error error = optimizeKernels(module, chip))
    return error;
  if (format == gpu::CompilationTarget::Offload) {
    std::string text;
    llvm::raw_string_ostream os(text);
    module.print(os, /*AAW=*/nullptr);
    return SmallVector<Object>{{format, text}};
  }
  SmallVector<char, 0> ptx, cubin;
  if (llvm::Error error = emitPTX(module, chip, ptx))
    return error;
  Object text{gpu::CompilationTarget::Assembly,
              std::string(ptx.data(), ptx.size())};
  if (format == gpu::CompilationTarget::Assembly)
    return SmallVector<Object>{text};
  bool wantsBoth = format == gpu::CompilationTarget::Fatbin;
  if (wantsBoth && !hasPtxas())
    return SmallVector<Object>{text};
  if (llvm::Error error = assemblePTX(text.contents, chip, cubin))
    return error;
  SmallVector<Object> objects{{gpu::CompilationTarget::Binary,
                               std::string(cubin.data(), cubin.size())}};
  if (wantsBoth)
    objects.push_back(text);
  return objects;
}

namespace {
struct ScalingSerializeKernelsPass final
    : scaling::impl::ScalingSerializeKernelsPassBase<
          ScalingSerializeKernelsPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(serializeAll()))
      signalPassFailure();
  }

  LogicalResult serializeAll() {
    ModuleOp module = getOperation();
    std::optional<GPUChip> chip = getDescribedGPU(module);
    if (!chip)
      return module.emitError("has no description of a GPU: run "
                              "'scaling-describe-gpu' first");
    std::optional<gpu::CompilationTarget> target =
        llvm::StringSwitch<std::optional<gpu::CompilationTarget>>(format)
            .Case("llvm", gpu::CompilationTarget::Offload)
            .Case("isa", gpu::CompilationTarget::Assembly)
            .Case("bin", gpu::CompilationTarget::Binary)
            .Case("fatbin", gpu::CompilationTarget::Fatbin)
            .Default(std::nullopt);
    if (!target)
      return module.emitError("unknown format '")
             << format << "': there are llvm, isa, bin, fatbin";
    for (auto kernels :
         llvm::make_early_inc_range(module.getOps<gpu::GPUModuleOp>())) {
      llvm::LLVMContext context;
      std::unique_ptr<llvm::Module> llvmModule =
          translateKernels(kernels, *chip, context);
      if (!llvmModule)
        return failure();
      llvm::Expected<SmallVector<Object>> objects =
          serialize(*llvmModule, *chip, *target);
      if (!objects)
        return kernels.emitError(llvm::toString(objects.takeError()));
      OpBuilder b(kernels);
      auto attribute = NVVM::NVVMTargetAttr::get(
          &getContext(), /*optLevel=*/3, /*triple=*/"nvptx64-nvidia-cuda",
          chip->name, chip->features);
      SmallVector<Attribute> attributes;
      for (const Object &object : *objects)
        attributes.push_back(gpu::ObjectAttr::get(
            &getContext(), attribute, object.format,
            b.getStringAttr(object.contents), /*properties=*/nullptr,
            /*kernels=*/nullptr));
      gpu::BinaryOp::create(b, kernels.getLoc(), kernels.getName(),
                            /*offloadingHandler=*/nullptr,
                            b.getArrayAttr(attributes));
      kernels.erase();
    }
    return success();
  }
};
} // namespace
