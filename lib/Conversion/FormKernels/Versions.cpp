//===- Versions.cpp - A kernel for rows that are whole vectors ------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Distribute.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace mlir::scaling;

/// What one instruction accesses at most.
static constexpr int64_t kVectorBytes = 16;

namespace {
/// A kernel's matrices, and for each which of its sizes are lengths of rows, in
/// vectors of how many entries.
using RowSizes =
    llvm::MapVector<BlockArgument, llvm::SmallDenseMap<int64_t, int64_t>>;
} // namespace

static RowSizes findRowSizes(gpu::GPUFuncOp kernel) {
  RowSizes found;
  auto add = [&](BlockArgument matrix, int64_t dim, Type element) {
    int64_t bytes = llvm::divideCeil(element.getIntOrFloatBitWidth(), 8);
    int64_t &vector = found[matrix][dim];
    vector = std::max({vector, kVectorBytes / bytes, int64_t(1)});
  };
  for (BlockArgument argument : kernel.getArguments()) {
    auto type = dyn_cast<MemRefType>(argument.getType());
    if (type && type.getRank() > 1 && type.getLayout().isIdentity() &&
        ShapedType::isDynamic(type.getShape().back()))
      add(argument, type.getRank() - 1, type.getElementType());
  }
  // Matrices of the workspace have rows as long as others are high.
  kernel.walk([&](memref::ViewOp view) {
    MemRefType type = view.getType();
    if (type.getRank() < 2 || !ShapedType::isDynamic(type.getShape().back()))
      return;
    auto dim = view.getSizes().back().getDefiningOp<memref::DimOp>();
    if (!dim || !dim.getConstantIndex())
      return;
    auto matrix = dyn_cast<BlockArgument>(dim.getSource());
    if (matrix && cast<MemRefType>(matrix.getType()).getLayout().isIdentity())
      add(matrix, *dim.getConstantIndex(), type.getElementType());
  });
  return found;
}

scf::IfOp scaling::createVersions(RewriterBase &b, gpu::GPUFuncOp kernel,
                                  Operation &prologue) {
  RowSizes rowSizes = findRowSizes(kernel);
  if (rowSizes.empty())
    return {};
  Location loc = kernel.getLoc();
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfter(&prologue);
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  Value areWhole;
  IRMapping mapping;
  for (auto &[matrix, vectors] : rowSizes) {
    auto type = cast<MemRefType>(matrix.getType());
    SmallVector<OpFoldResult> sizes = memref::getMixedSizes(b, loc, matrix);
    for (auto [dim, vector] : vectors) {
      Value size = cast<Value>(sizes[dim]);
      Value number = arith::DivUIOp::create(b, loc, size, index(vector));
      Value whole = arith::MulIOp::create(b, loc, number, index(vector));
      Value isWhole =
          arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, whole, size);
      areWhole =
          areWhole
              ? arith::AndIOp::create(b, loc, areWhole, isWhole).getResult()
              : isWhole;
      sizes[dim] = whole;
    }
    // Products of sizes; of unknown ones, the type says nothing.
    auto [known, offset] = type.getStridesAndOffset();
    SmallVector<OpFoldResult> strides =
        getAsIndexOpFoldResult(b.getContext(), known);
    for (int64_t dim = type.getRank() - 2; dim >= 0; --dim)
      if (ShapedType::isDynamic(known[dim]))
        strides[dim] = b.createOrFold<arith::MulIOp>(
            loc, getValueOrCreateConstantIndexOp(b, loc, sizes[dim + 1]),
            getValueOrCreateConstantIndexOp(b, loc, strides[dim + 1]));
    mapping.map(matrix, memref::ReinterpretCastOp::create(b, loc, type, matrix,
                                                          b.getIndexAttr(0),
                                                          sizes, strides)
                            .getResult());
  }
  auto versions = scf::IfOp::create(b, loc, areWhole, /*withElseRegion=*/true);
  Block *wide = versions.thenBlock(), *plain = versions.elseBlock();
  for (Operation &op : llvm::make_early_inc_range(
           llvm::make_range(std::next(versions->getIterator()),
                            kernel.front().without_terminator().end()))) {
    b.setInsertionPoint(wide->getTerminator());
    b.clone(op, mapping);
    b.moveOpBefore(&op, plain->getTerminator());
  }
  return versions;
}
