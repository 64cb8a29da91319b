//===- Exchange.cpp - What lanes of a warp join ---------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Distribute.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"

using namespace mlir;
using namespace mlir::scaling;

SmallVector<Operation *> scaling::findCombiners(linalg::GenericOp op) {
  SmallVector<Operation *> combiners;
  auto yield = cast<linalg::YieldOp>(op.getBody()->getTerminator());
  for (auto [state, value] :
       llvm::zip_equal(op.getRegionOutputArgs(), yield.getValues())) {
    Operation *combiner = value.getDefiningOp();
    if (!combiner || combiner->getNumOperands() != 2 ||
        !llvm::is_contained(combiner->getOperands(), state) ||
        !state.hasOneUse() || !arith::getNeutralElement(combiner))
      return {};
    combiners.push_back(combiner);
  }
  return combiners;
}

Value scaling::combine(OpBuilder &b, Location loc, Operation *combiner,
                       Value lhs, Value rhs) {
  Operation *joined = b.clone(*combiner);
  joined->setOperands({lhs, rhs});
  return joined->getResult(0);
}

static Value shuffle(OpBuilder &b, Location loc, Value value,
                     int32_t distance) {
  Type type = value.getType();
  unsigned bits = type.getIntOrFloatBitWidth();
  auto exchange = [&](Value part) -> Value {
    return gpu::ShuffleOp::create(b, loc, part, distance, kWarpThreads,
                                  gpu::ShuffleMode::XOR)
        .getShuffleResult();
  };
  if (bits == 32)
    return exchange(value);
  // Registers have 32 bits.
  Type word = b.getI32Type(), whole = b.getIntegerType(bits);
  Value raw = value;
  if (!type.isInteger())
    raw = arith::BitcastOp::create(b, loc, whole, value);
  if (bits < 32) {
    raw = arith::ExtUIOp::create(b, loc, word, raw);
    raw = arith::TruncIOp::create(b, loc, whole, exchange(raw));
  } else {
    Value shift =
        arith::ConstantOp::create(b, loc, b.getIntegerAttr(whole, 32));
    Value low = arith::TruncIOp::create(b, loc, word, raw);
    Value high = arith::TruncIOp::create(
        b, loc, word, arith::ShRUIOp::create(b, loc, raw, shift));
    low = arith::ExtUIOp::create(b, loc, whole, exchange(low));
    high = arith::ExtUIOp::create(b, loc, whole, exchange(high));
    raw = arith::OrIOp::create(b, loc, low,
                               arith::ShLIOp::create(b, loc, high, shift));
  }
  if (!type.isInteger())
    raw = arith::BitcastOp::create(b, loc, type, raw);
  return raw;
}

void scaling::butterfly(OpBuilder &b, Location loc, Operation *combiner,
                        SmallVector<Value> &values, Value lane, int64_t most,
                        int64_t least) {
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(b, loc, value);
  };
  for (int64_t distance = most; distance >= least; distance /= 2) {
    if (values.size() == 1) {
      values[0] = combine(b, loc, combiner, values[0],
                          shuffle(b, loc, values[0], distance));
      continue;
    }
    Value bit = arith::AndIOp::create(b, loc, lane, index(distance));
    Value isUpper =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, bit, index(0));
    size_t half = values.size() / 2;
    for (size_t i = 0; i < half; ++i) {
      Value kept =
          arith::SelectOp::create(b, loc, isUpper, values[i + half], values[i]);
      Value given =
          arith::SelectOp::create(b, loc, isUpper, values[i], values[i + half]);
      values[i] =
          combine(b, loc, combiner, kept, shuffle(b, loc, given, distance));
    }
    values.truncate(half);
  }
}
