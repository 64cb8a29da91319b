//===- RaisePass.cpp - The pass -------------------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Raise/Raise.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGRAISEPASS
#include "scaling/Dialect/Scaling/Raise/Raise.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;

namespace {
struct RaisePass final : scaling::impl::ScalingRaisePassBase<RaisePass> {
  using Base::Base;

  void runOnOperation() override {
    scaling::RaiseOptions options;
    options.explain = explain;
    options.logDomain = domain;
    scaling::raisePlainPrograms(getOperation(), options);
  }
};
} // namespace
