//===- DescribeGPU.cpp - The chip on the module ---------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/DescribeGPU/DescribeGPU.h"

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/DLTI/DLTI.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGDESCRIBEGPUPASS
#include "scaling/Conversion/DescribeGPU/DescribeGPU.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

void mlir::scaling::describeGPU(ModuleOp module, const GPUChip &chip) {
  MLIRContext *context = module.getContext();
  Builder b(context);
  auto entry = [&](StringRef key, Attribute value) {
    return DataLayoutEntryInterface(
        DataLayoutEntryAttr::get(b.getStringAttr(key), value));
  };
  auto device = TargetDeviceSpecAttr::get(
      context, {entry("chip", b.getStringAttr(chip.name)),
                entry("features", b.getStringAttr(chip.features)),
                entry("max_shared_memory_per_block",
                      b.getI64IntegerAttr(chip.sharedBytes))});
  SmallVector<DataLayoutEntryInterface> entries;
  StringRef name = DLTIDialect::kTargetSystemDescAttrName;
  if (auto spec = module->getAttrOfType<TargetSystemSpecAttr>(name))
    for (DataLayoutEntryInterface old : spec.getEntries())
      if (old.getKey() != DataLayoutEntryKey(b.getStringAttr("GPU")))
        entries.push_back(old);
  entries.push_back(entry("GPU", device));
  module->setAttr(name, TargetSystemSpecAttr::get(context, entries));
}

/// What is within what either allows.
static Products getLessRounded(Products lhs, Products rhs) {
  if (lhs == rhs)
    return lhs;
  // bf16 has fewer bits than f16, and that fewer numbers.
  return std::min({lhs, rhs, Products::tf32});
}

void mlir::scaling::markNumerics(ModuleOp module) {
  Builder b(module.getContext());
  for (auto func : module.getOps<func::FuncOp>()) {
    bool isStrict = false;
    std::optional<Products> products;
    func.walk([&](Operation *op) {
      // Inherent attributes are properties.
      for (NamedAttribute named : op->getAttrDictionary())
        if (auto numerics = dyn_cast<NumericsAttr>(named.getValue())) {
          isStrict |= numerics.getStrict();
          Products own = numerics.getProducts();
          products = products ? getLessRounded(*products, own) : own;
        }
    });
    if (isStrict)
      func->setAttr(kStrictAttrName, b.getUnitAttr());
    if (products && *products != Products::f32)
      func->setAttr(kProductsAttrName,
                    b.getStringAttr(stringifyProducts(*products)));
  }
}

std::optional<GPUChip> mlir::scaling::getDescribedGPU(ModuleOp module) {
  auto spec = module->getAttrOfType<TargetSystemSpecAttr>(
      DLTIDialect::kTargetSystemDescAttrName);
  if (!spec)
    return std::nullopt;
  std::optional<TargetDeviceSpecInterface> device =
      spec.getDeviceSpecForDeviceID(
          StringAttr::get(module.getContext(), "GPU"));
  if (!device)
    return std::nullopt;
  auto text = [&](StringRef key) -> StringRef {
    for (DataLayoutEntryInterface entry : device->getEntries())
      if (entry.getKey() ==
          DataLayoutEntryKey(StringAttr::get(module.getContext(), key)))
        if (auto value = dyn_cast<StringAttr>(entry.getValue()))
          return value;
    return "";
  };
  llvm::Expected<GPUChip> chip = getGPUChip(text("chip"), text("features"));
  if (chip)
    return *chip;
  llvm::consumeError(chip.takeError());
  return std::nullopt;
}

namespace {
struct ScalingDescribeGPUPass final
    : scaling::impl::ScalingDescribeGPUPassBase<ScalingDescribeGPUPass> {
  using Base::Base;

  void runOnOperation() override {
    llvm::Expected<GPUChip> found = getGPUChip(chip, features);
    if (found) {
      describeGPU(getOperation(), *found);
      markNumerics(getOperation());
      return;
    }
    getOperation().emitError(llvm::toString(found.takeError()));
    signalPassFailure();
  }
};
} // namespace
