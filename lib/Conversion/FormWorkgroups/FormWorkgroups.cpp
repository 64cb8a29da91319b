//===- FormWorkgroups.cpp - Functions as dispatches -----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/FormWorkgroups/FormWorkgroups.h"

#include "scaling/Conversion/EntryABI/EntryABI.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGFORMWORKGROUPSPASS
#include "scaling/Conversion/FormWorkgroups/FormWorkgroups.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// The loop that is all the function does, or null. What it allocates besides
/// is each workgroup's own.
static scf::ForallOp getOnlyLoop(func::FuncOp function) {
  if (!function.getBody().hasOneBlock())
    return nullptr;
  scf::ForallOp loop;
  for (Operation &op : function.front().without_terminator()) {
    if (isMemoryEffectFree(&op) || isa<memref::AllocOp, memref::AllocaOp>(op))
      continue;
    auto forall = dyn_cast<scf::ForallOp>(op);
    if (!forall || loop)
      return nullptr;
    loop = forall;
  }
  return loop;
}

/// The number of indices per dimension.
static SmallVector<Value> createSizes(OpBuilder &b, scf::ForallOp loop) {
  Location loc = loop.getLoc();
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  SmallVector<Value> sizes;
  for (auto [lower, upper, step] : llvm::zip_equal(
           loop.getLowerBound(b), loop.getUpperBound(b), loop.getStep(b))) {
    Value extent = b.createOrFold<arith::SubIOp>(loc, upper, lower);
    Value size = b.createOrFold<arith::CeilDivSIOp>(loc, extent, step);
    // An empty range may be given with the bounds crossed.
    sizes.push_back(b.createOrFold<arith::MaxSIOp>(loc, size, zero));
  }
  return sizes;
}

static Value multiply(OpBuilder &b, Location loc, ValueRange values) {
  Value product = values.front();
  for (Value value : values.drop_front())
    product = b.createOrFold<arith::MulIOp>(loc, product, value);
  return product;
}

/// Whether the value is made of sizes of the function's arguments.
static bool isOfSizes(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  if (auto dim = dyn_cast<memref::DimOp>(op))
    return isa<BlockArgument>(dim.getSource()) && isOfSizes(dim.getIndex());
  return op->getNumRegions() == 0 && isPure(op) &&
         llvm::all_of(op->getOperands(), isOfSizes);
}

/// Clones what makes the value.
static Value cloneSizes(OpBuilder &b, Value value, IRMapping &mapping) {
  if (Value there = mapping.lookupOrNull(value))
    return there;
  Operation *op = value.getDefiningOp();
  for (Value operand : op->getOperands())
    cloneSizes(b, operand, mapping);
  b.clone(*op, mapping);
  return mapping.lookup(value);
}

/// The function that tells how many workgroups have work: `items`, or one
/// where that is null.
static LogicalResult createQuery(func::FuncOp function, Value items) {
  return createCompanion(
      function, kWorkgroupsSuffix, [&](OpBuilder &b, ValueRange arguments) {
        IRMapping mapping;
        mapping.map(function.getArguments(), arguments);
        return items ? cloneSizes(b, items, mapping)
                     : arith::ConstantIndexOp::create(b, function.getLoc(), 1);
      });
}

/// The loop over this workgroup's items.
static void distribute(RewriterBase &rewriter, scf::ForallOp loop,
                       ArrayRef<Value> sizes, Value items, Value workgroup,
                       Value workgroups) {
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(loop);
  Location loc = loop.getLoc();
  SmallVector<Value> lowers = loop.getLowerBound(rewriter);
  SmallVector<Value> steps = loop.getStep(rewriter);
  Value one = arith::ConstantIndexOp::create(rewriter, loc, 1);
  Value next = arith::AddIOp::create(rewriter, loc, workgroup, one);
  auto boundary = [&](Value group) -> Value {
    return arith::DivUIOp::create(
        rewriter, loc, arith::MulIOp::create(rewriter, loc, group, items),
        workgroups);
  };
  auto sequential = scf::ForOp::create(rewriter, loc, boundary(workgroup),
                                       boundary(next), one);
  rewriter.setInsertionPointToStart(sequential.getBody());
  // The last dimension varies fastest.
  SmallVector<Value> ivs(sizes.size());
  Value rest = sequential.getInductionVar();
  for (int64_t dim = sizes.size() - 1; dim >= 0; --dim) {
    Value position = rest;
    if (dim != 0) {
      position = arith::RemUIOp::create(rewriter, loc, rest, sizes[dim]);
      rest = arith::DivUIOp::create(rewriter, loc, rest, sizes[dim]);
    }
    ivs[dim] = rewriter.createOrFold<arith::AddIOp>(
        loc, lowers[dim],
        rewriter.createOrFold<arith::MulIOp>(loc, position, steps[dim]));
  }
  rewriter.eraseOp(loop.getTerminator());
  rewriter.inlineBlockBefore(loop.getBody(),
                             sequential.getBody()->getTerminator(), ivs);
  rewriter.eraseOp(loop);
}

static LogicalResult convertFunction(RewriterBase &rewriter,
                                     func::FuncOp function) {
  scf::ForallOp loop = getOnlyLoop(function);
  SmallVector<Value> sizes;
  Value items;
  if (loop) {
    rewriter.setInsertionPoint(loop);
    sizes = createSizes(rewriter, loop);
    items = multiply(rewriter, loop.getLoc(), sizes);
    if (!isOfSizes(items))
      loop = nullptr;
  }
  if (failed(createQuery(function, loop ? items : Value())))
    return failure();
  Type index = rewriter.getIndexType();
  unsigned count = function.getNumArguments();
  for (unsigned i : {count, count + 1})
    if (failed(function.insertArgument(i, index, {}, function.getLoc())))
      return failure();
  if (loop)
    distribute(rewriter, loop, sizes, items, function.getArgument(count),
               function.getArgument(count + 1));
  return success();
}

LogicalResult mlir::scaling::formWorkgroups(ModuleOp module) {
  IRRewriter rewriter(module.getContext());
  for (auto function :
       llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
    bool isEntry =
        !function.isExternal() &&
        function->hasAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName());
    if (isEntry && !function.getSymName().ends_with(kResultDimsSuffix) &&
        failed(convertFunction(rewriter, function)))
      return failure();
  }
  SmallVector<scf::ForallOp> loops;
  module.walk([&](scf::ForallOp loop) { loops.push_back(loop); });
  for (scf::ForallOp loop : loops) {
    rewriter.setInsertionPoint(loop);
    if (failed(scf::forallToForLoop(rewriter, loop)))
      return loop.emitOpError("cannot become a sequential loop");
  }
  return success();
}

namespace {
struct ScalingFormWorkgroupsPass final
    : scaling::impl::ScalingFormWorkgroupsPassBase<ScalingFormWorkgroupsPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(formWorkgroups(getOperation())))
      signalPassFailure();
  }
};
} // namespace
