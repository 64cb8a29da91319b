//===- OrderResults.cpp - Results are written last to first ---------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/EntryABI/EntryABI.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGORDERRESULTSPASS
#include "scaling/Conversion/EntryABI/EntryABI.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;
using bufferization::MaterializeInDestinationOp;

void mlir::scaling::orderResults(func::FuncOp func) {
  func.walk([&](func::ReturnOp ret) {
    SmallVector<MaterializeInDestinationOp> stores;
    for (auto store : ret->getBlock()->getOps<MaterializeInDestinationOp>())
      if (llvm::is_contained(func.getArguments(), store.getDest()))
        stores.push_back(store);
    for (MaterializeInDestinationOp store : llvm::reverse(stores))
      store->moveBefore(ret);
  });
}

namespace {
struct OrderResultsPass final
    : scaling::impl::ScalingOrderResultsPassBase<OrderResultsPass> {
  void runOnOperation() override { orderResults(getOperation()); }
};
} // namespace
