//===- SelectSchedule.cpp - Which regime for which shape --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/IR/Shapes.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Interfaces/DataLayoutInterfaces.h"

using namespace mlir;
using namespace mlir::scaling;

/// Matrices of up to this many entries go side by side into vector lanes.
static constexpr int64_t kTinyEntries = 1024;

/// Of matrices of up to this many entries, two vectors are taken at once: one
/// waits for a division or the end of a sum while the other goes on.
static constexpr int64_t kPairedEntries = 64;

/// What a schedule is chosen by where the module describes no target.
static constexpr int64_t kDefaultL2Bytes = 1 << 20;
static constexpr int64_t kDefaultVectorBits = 256;

/// Rows taken at once in a sweep; they stay in L1 between their reduction and
/// the columns'. Longer rows leave room for fewer.
static constexpr int64_t kRowBlock = 8;
static constexpr int64_t kLongRow = 1400;

/// An integer of the target description's device "CPU".
static int64_t targetInteger(Operation *op, StringRef key, int64_t otherwise) {
  MLIRContext *context = op->getContext();
  std::optional<Attribute> value =
      DataLayout::closest(op).getDevicePropertyValue(
          StringAttr::get(context, "CPU"), StringAttr::get(context, key));
  if (auto integer = dyn_cast_or_null<IntegerAttr>(value.value_or(Attribute())))
    return integer.getInt();
  return otherwise;
}

ScheduleAttr scaling::getScheduleOf(Operation *op) {
  if (auto iterate = dyn_cast<IterateOp>(op))
    return iterate.getScheduleAttr();
  return op->getAttrOfType<ScheduleAttr>(kScheduleAttrName);
}

void scaling::setScheduleOf(Operation *op, ScheduleAttr schedule) {
  if (auto iterate = dyn_cast<IterateOp>(op))
    iterate.setScheduleAttr(schedule);
  else
    op->setAttr(kScheduleAttrName, schedule);
}

ScheduleAttr scaling::selectSchedule(Operation *op) {
  if (ScheduleAttr given = getScheduleOf(op))
    return given;
  MLIRContext *context = op->getContext();
  ProblemShape shape = *inferProblemShape(getBatchedOperands(op), "", nullptr);
  bool batched = llvm::any_of(shape.batch, [](int64_t size) {
    return ShapedType::isDynamic(size) || size > 1;
  });
  int64_t n = shape[Size::rows], m = shape[Size::cols];
  bool known = !ShapedType::isDynamic(n) && !ShapedType::isDynamic(m);
  int64_t rowBlock =
      !ShapedType::isDynamic(m) && m > kLongRow ? kRowBlock / 2 : kRowBlock;
  auto make = [&](Regime regime, int64_t lanes, int64_t rows) {
    return ScheduleAttr::get(context, regime, lanes, rows, false);
  };
  Type element = getElementTypeOrSelf(op->getOperand(0));
  int64_t bytes = element.isF64() ? 8 : 4;
  if (batched && known && n * m <= kTinyEntries) {
    int64_t bits = targetInteger(op, "max_vector_op_width", kDefaultVectorBits);
    int64_t vectors = n * m <= kPairedEntries ? 2 : 1;
    return make(Regime::tiny_batched, vectors * bits / (8 * bytes), 0);
  }
  // Half of L2: the factors and the plan want room too. A batch of unknown
  // matrices goes matrix by matrix, which no shape makes much worse.
  int64_t l2 = targetInteger(op, "L2_cache_size_in_bytes", kDefaultL2Bytes) / 2;
  if (batched && (!known || n * m * bytes <= l2))
    return make(Regime::resident, 0, 0);
  return make(Regime::streaming, 0, rowBlock);
}
