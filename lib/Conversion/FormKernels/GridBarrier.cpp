//===- GridBarrier.cpp - Where all threads of a grid meet -----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Distribute.h"

#include "scaling/Conversion/FormKernels/FormKernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::scaling;

/// LLVM's name for the scope of one GPU.
static constexpr llvm::StringLiteral kScope = "device";
static constexpr unsigned kGlobalSpace = 1;
static constexpr unsigned kCounterBytes = 8;

void scaling::createGridBarrier(OpBuilder &b, Location loc, Value thread,
                                Value numBlocks, Value counter,
                                Value arrivals) {
  // The order of an atomic read-modify-write does not reach PTX: fences carry
  // it, and the counter is relaxed.
  auto fence = [&] {
    LLVM::FenceOp::create(b, loc, LLVM::AtomicOrdering::acq_rel, kScope);
  };
  gpu::BarrierOp::create(b, loc);
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value isFirst =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, thread, zero);
  auto meet = scf::IfOp::create(b, loc, isFirst, /*withElseRegion=*/false);
  meet->setAttr(kGridBarrierAttrName, b.getUnitAttr());
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(meet.thenBlock());
    Type word = b.getI64Type();
    Value address =
        memref::ExtractAlignedPointerAsIndexOp::create(b, loc, counter);
    address = arith::IndexCastOp::create(b, loc, word, address);
    address = LLVM::IntToPtrOp::create(
        b, loc, LLVM::LLVMPointerType::get(b.getContext(), kGlobalSpace),
        address);
    Value blocks = arith::IndexCastOp::create(b, loc, word, numBlocks);
    Value one = arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(1));
    // All have arrived when the counter is what it is after this barrier.
    Value target = arith::AddIOp::create(
        b, loc, memref::LoadOp::create(b, loc, arrivals, ValueRange()), blocks);
    memref::StoreOp::create(b, loc, target, arrivals, ValueRange());
    fence();
    LLVM::AtomicRMWOp::create(b, loc, LLVM::AtomicBinOp::add, address, one,
                              LLVM::AtomicOrdering::monotonic, kScope,
                              kCounterBytes);
    auto spin = scf::WhileOp::create(b, loc, TypeRange(), ValueRange());
    b.createBlock(&spin.getBefore());
    Value seen = LLVM::LoadOp::create(
        b, loc, word, address, kCounterBytes, /*isVolatile=*/false,
        /*isNonTemporal=*/false, /*isInvariant=*/false,
        /*isInvariantGroup=*/false, LLVM::AtomicOrdering::monotonic, kScope);
    Value waits =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, seen, target);
    scf::ConditionOp::create(b, loc, waits, ValueRange());
    b.createBlock(&spin.getAfter());
    scf::YieldOp::create(b, loc);
    b.setInsertionPointAfter(spin);
    fence();
  }
  gpu::BarrierOp::create(b, loc);
}

void scaling::createLaunchEnd(OpBuilder &b, Location loc) {
  auto kernels =
      b.getInsertionBlock()->getParentOp()->getParentOfType<gpu::GPUModuleOp>();
  auto type =
      LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {});
  if (!SymbolTable::lookupSymbolIn(kernels, kLaunchEndsName)) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(kernels.getBody());
    LLVM::LLVMFuncOp::create(b, loc, kLaunchEndsName, type);
  }
  // The threads of a block meet, too.
  gpu::BarrierOp::create(b, loc);
  auto call = LLVM::CallOp::create(b, loc, type, kLaunchEndsName, ValueRange());
  call->setAttr(kGridBarrierAttrName, b.getUnitAttr());
  gpu::BarrierOp::create(b, loc);
}
