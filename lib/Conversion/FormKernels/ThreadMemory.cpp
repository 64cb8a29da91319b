//===- ThreadMemory.cpp - Where a thread's scratch memory is --------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Registers have no addresses: an array that a loop indexes by its iteration,
// as what derivatives keep of every half-step, would be in local memory, which
// is global memory behind a cache. It goes to shared memory, one thread's
// entries as many apart as there are threads, so that every lane of a warp has
// a bank to itself. All else becomes a variable of its own, which the compiler
// turns into registers.
//
//===----------------------------------------------------------------------===//

#include "Distribute.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
/// How a view of scratch memory is used.
enum class Access {
  /// At places that are known.
  fixed,
  /// At places that loops know.
  indexed,
  /// By something that may not move.
  unknown
};
} // namespace

static Access findAccess(Value view) {
  Access result = Access::fixed;
  for (Operation *user : view.getUsers()) {
    if (isa<linalg::LinalgOp, memref::CopyOp>(user))
      continue;
    ValueRange indices;
    if (auto load = dyn_cast<memref::LoadOp>(user))
      indices = load.getIndices();
    else if (auto store = dyn_cast<memref::StoreOp>(user))
      indices = store.getIndices();
    else if (auto part = dyn_cast<memref::SubViewOp>(user)) {
      indices = part.getOffsets();
      Access inner = findAccess(part);
      if (inner == Access::unknown || !part.getSizes().empty() ||
          !part.getStrides().empty())
        return Access::unknown;
      if (inner == Access::indexed)
        result = Access::indexed;
    } else {
      return Access::unknown;
    }
    if (llvm::any_of(indices, [](Value index) {
          return !getConstantIntValue(index).has_value();
        }))
      result = Access::indexed;
  }
  return result;
}

/// Puts a buffer of another layout in the place of a view.
static void replaceView(RewriterBase &b, Value view, Value buffer) {
  for (Operation *user : llvm::make_early_inc_range(view.getUsers())) {
    auto part = dyn_cast<memref::SubViewOp>(user);
    if (!part)
      continue;
    b.setInsertionPoint(part);
    MemRefType type = memref::SubViewOp::inferRankReducedResultType(
        part.getType().getShape(), cast<MemRefType>(buffer.getType()),
        part.getMixedOffsets(), part.getMixedSizes(), part.getMixedStrides());
    Value other = memref::SubViewOp::create(
        b, part.getLoc(), type, buffer, part.getMixedOffsets(),
        part.getMixedSizes(), part.getMixedStrides());
    replaceView(b, part, other);
    b.eraseOp(part);
  }
  b.replaceAllUsesWith(view, buffer);
}

/// The scratch memory whose views may each go elsewhere.
static SmallVector<memref::AllocOp> findArenas(scf::ForallOp loop) {
  SmallVector<memref::AllocOp> arenas;
  loop.walk([&](memref::AllocOp alloc) {
    if (llvm::all_of(alloc->getUsers(), [](Operation *user) {
          auto view = dyn_cast<memref::ViewOp>(user);
          return view && view.getType().hasStaticShape() &&
                 findAccess(view) != Access::unknown;
        }))
      arenas.push_back(alloc);
  });
  return arenas;
}

int64_t scaling::countThreadBytes(scf::ForallOp loop) {
  int64_t bytes = 0;
  for (memref::AllocOp arena : findArenas(loop))
    for (Operation *user : arena->getUsers())
      if (auto view = cast<memref::ViewOp>(user);
          findAccess(view) == Access::indexed)
        bytes += getBytes(view.getType());
  return bytes;
}

bool scaling::placeThreadMemory(RewriterBase &b, scf::ForallOp loop,
                                Value thread, int64_t threads,
                                function_ref<Value(MemRefType)> allocate) {
  OpBuilder::InsertionGuard guard(b);
  bool isShared = false;
  for (memref::AllocOp arena : findArenas(loop)) {
    for (Operation *user : llvm::make_early_inc_range(arena->getUsers())) {
      auto view = cast<memref::ViewOp>(user);
      MemRefType type = view.getType();
      Value array;
      if (findAccess(view) == Access::indexed) {
        b.setInsertionPoint(loop);
        array = allocate(MemRefType::get({type.getNumElements() * threads},
                                         type.getElementType()));
      }
      b.setInsertionPoint(view);
      if (!array) {
        b.replaceOpWithNewOp<memref::AllocOp>(view, type);
        continue;
      }
      isShared = true;
      SmallVector<int64_t> strides;
      int64_t offset;
      (void)type.getStridesAndOffset(strides, offset);
      SmallVector<OpFoldResult> sizes, steps;
      for (auto [size, stride] : llvm::zip_equal(type.getShape(), strides)) {
        sizes.push_back(b.getIndexAttr(size));
        steps.push_back(b.getIndexAttr(stride * threads));
      }
      for (int64_t &stride : strides)
        stride *= threads;
      auto own =
          MemRefType::get(type.getShape(), type.getElementType(),
                          StridedLayoutAttr::get(
                              b.getContext(), ShapedType::kDynamic, strides));
      Value buffer = memref::ReinterpretCastOp::create(
          b, view.getLoc(), own, array, OpFoldResult(thread), sizes, steps);
      replaceView(b, view, buffer);
      b.eraseOp(view);
    }
    b.eraseOp(arena);
  }
  return isShared;
}
