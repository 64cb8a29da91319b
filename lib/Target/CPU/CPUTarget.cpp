//===- CPUTarget.cpp - Descriptions of CPUs -------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Target/CPU/CPUTarget.h"

#include "mlir/Dialect/DLTI/DLTI.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"

#include <mutex>
#include <unistd.h>

using namespace mlir;
using namespace mlir::scaling;

static void initializeTargets() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
  });
}

static std::string getHostFeatures() {
  std::string features;
  // Sorted, so that two runs agree.
  llvm::StringMap<bool> map = llvm::sys::getHostCPUFeatures();
  SmallVector<StringRef> names(map.keys());
  llvm::sort(names);
  for (StringRef name : names) {
    if (!features.empty())
      features += ',';
    features += map[name] ? '+' : '-';
    features += name;
  }
  return features;
}

static void setHostCaches(CPUTarget &target) {
  auto read = [](int name, int64_t &size) {
    if (long value = sysconf(name); value > 0)
      size = value;
  };
  read(_SC_LEVEL1_DCACHE_SIZE, target.l1Bytes);
  read(_SC_LEVEL2_CACHE_SIZE, target.l2Bytes);
  read(_SC_LEVEL3_CACHE_SIZE, target.l3Bytes);
}

llvm::Expected<CPUTarget> mlir::scaling::getCPUTarget(StringRef name) {
  initializeTargets();
  CPUTarget target;
  target.triple = llvm::sys::getProcessTriple();
  target.cpu = name.str();
  if (name == "host") {
    target.cpu = llvm::sys::getHostCPUName().str();
    target.features = getHostFeatures();
    setHostCaches(target);
  }

  llvm::Triple triple(target.triple);
  std::string message;
  const llvm::Target *llvmTarget =
      llvm::TargetRegistry::lookupTarget(triple, message);
  if (!llvmTarget)
    return llvm::createStringError(message);
  // Asked without the name: LLVM prints to stderr when it does not know it.
  std::unique_ptr<llvm::MCSubtargetInfo> known(
      llvmTarget->createMCSubtargetInfo(triple, "", ""));
  if (!known->isCPUStringValid(target.cpu))
    return llvm::createStringError("unknown CPU '" + target.cpu + "' for " +
                                   target.triple);
  std::unique_ptr<llvm::MCSubtargetInfo> info(
      llvmTarget->createMCSubtargetInfo(triple, target.cpu, target.features));
  if (triple.isX86()) {
    if (info->checkFeatures("+avx512f"))
      target.vectorBits = 512;
    else if (info->checkFeatures("+avx2"))
      target.vectorBits = 256;
  }
  return target;
}

void mlir::scaling::attachTargetDescription(ModuleOp module,
                                            const CPUTarget &target) {
  if (module->hasAttr(DLTIDialect::kTargetSystemDescAttrName))
    return;
  MLIRContext *context = module.getContext();
  context->getOrLoadDialect<DLTIDialect>();
  Builder b(context);
  auto entry = [&](StringRef key, Attribute value) {
    return DataLayoutEntryInterface(
        DataLayoutEntryAttr::get(b.getStringAttr(key), value));
  };
  auto device = TargetDeviceSpecAttr::get(
      context,
      {entry("cpu", b.getStringAttr(target.cpu)),
       entry("max_vector_op_width", b.getI64IntegerAttr(target.vectorBits)),
       entry("L1_cache_size_in_bytes", b.getI64IntegerAttr(target.l1Bytes)),
       entry("L2_cache_size_in_bytes", b.getI64IntegerAttr(target.l2Bytes)),
       entry("L3_cache_size_in_bytes", b.getI64IntegerAttr(target.l3Bytes))});
  module->setAttr(DLTIDialect::kTargetSystemDescAttrName,
                  TargetSystemSpecAttr::get(context, {entry("CPU", device)}));
}

llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
mlir::scaling::createTargetMachine(const CPUTarget &target) {
  initializeTargets();
  llvm::Triple triple(target.triple);
  std::string message;
  const llvm::Target *llvmTarget =
      llvm::TargetRegistry::lookupTarget(triple, message);
  if (!llvmTarget)
    return llvm::createStringError(message);
  llvm::TargetOptions options;
  // Loaders of today run these and not `.ctors`.
  options.UseInitArray = true;
  std::unique_ptr<llvm::TargetMachine> machine(llvmTarget->createTargetMachine(
      triple, target.cpu, target.features, options, llvm::Reloc::PIC_,
      /*CM=*/std::nullopt, llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return llvm::createStringError("no code generator for " + target.triple);
  return machine;
}
