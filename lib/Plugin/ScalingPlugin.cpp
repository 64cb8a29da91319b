//===- ScalingPlugin.cpp - Plugin for mlir-opt ------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// mlir-opt --load-dialect-plugin=ScalingPlugin.so --pass-pipeline='…' knows the
// dialect, its interface implementations and its passes. (A plugin's passes are
// not options of their own: mlir-opt has made its options by then.)
//
//===----------------------------------------------------------------------===//

#include "scaling/InitAll.h"

#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/Compiler.h"

/// The same library may be given as dialect plugin and as pass plugin.
static void registerPassesOnce() {
  static const bool registered = [] {
    mlir::scaling::registerAllPasses();
    return true;
  }();
  (void)registered;
}

extern "C" LLVM_ATTRIBUTE_WEAK ::mlir::DialectPluginLibraryInfo
mlirGetDialectPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "Scaling", LLVM_VERSION_STRING,
          [](mlir::DialectRegistry *registry) {
            mlir::scaling::registerAllDialects(*registry);
            registerPassesOnce();
          }};
}

extern "C" LLVM_ATTRIBUTE_WEAK ::mlir::PassPluginLibraryInfo
mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "Scaling", LLVM_VERSION_STRING,
          registerPassesOnce};
}
