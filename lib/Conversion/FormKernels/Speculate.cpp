//===- Speculate.cpp - Loops that hope for sums above zero ----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What rows without entries and factors of zero want is a comparison and a
// selection beside every division, and numbers below 2^-126 want three more
// instructions beside every reciprocal: of a tiny matrix, most of a half-step.
// They can be left out at first, because what they are there for does not go
// unseen. Let a factor be zero, infinite or NaN without them.
//
// - Where a factor is the reciprocal of a sum: an infinite one makes every sum
//   of the other axis infinite or NaN (0 * inf), and the other factors zero or
//   NaN; these make every sum zero or NaN, and the factors infinite or NaN.
// - Where a factor is multiplied: zero stays zero, or becomes NaN. An infinite
//   one is multiplied by a reciprocal of infinity next, which is NaN, and NaN
//   is in every sum of the other axis.
//
// Either way a factor is zero, infinite or NaN in the end. Then, which also
// matrices with empty rows come to, the loop begins again with all checks.
//
//===----------------------------------------------------------------------===//

#include "Distribute.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/SmallPtrSet.h"

using namespace mlir;
using namespace mlir::scaling;

/// A bound of a sum is worth nothing where it is subnormal.
static constexpr float kSmallestNormal = 0x1p-126f;

namespace {
/// What makes one axis' factors from the sums of its rows.
struct Update {
  linalg::GenericOp op;
  Value factors, sums;
  arith::DivFOp division;
  arith::SelectOp selection;
};

class HopefulLoop {
public:
  HopefulLoop(RewriterBase &b, scf::ForOp loop,
              function_ref<void *(Value)> getBuffer)
      : b(b), loop(loop), getBuffer(getBuffer) {}

  bool match();
  void rewrite();

private:
  std::optional<Update> matchUpdate(linalg::GenericOp op);
  /// Whether the sums are those of a matrix times all of the other factors.
  bool sumsAll(const Update &update, Value others);
  /// Whether the loop can run again from the same factors.
  bool isRepeatable();
  void hope(linalg::GenericOp copy, Update &update);

  RewriterBase &b;
  scf::ForOp loop;
  function_ref<void *(Value)> getBuffer;
  SmallVector<Update> updates;
};
} // namespace

static bool isZero(Value value) {
  return matchPattern(value, m_AnyZeroFloat());
}

/// The number that an f32 constant is, or NaN.
static float getNumber(Value value) {
  APFloat number(APFloat::IEEEsingle());
  if (!value.getType().isF32() ||
      !matchPattern(value, m_ConstantFloat(&number)))
    return std::numeric_limits<float>::quiet_NaN();
  return number.convertToFloat();
}

/// Whether a value is this product, in either order.
static bool isProduct(Value value, Value lhs, Value rhs) {
  auto product = value.getDefiningOp<arith::MulFOp>();
  return product && ((product.getLhs() == lhs && product.getRhs() == rhs) ||
                     (product.getLhs() == rhs && product.getRhs() == lhs));
}

/// The selection of something else where a value is zero.
static arith::SelectOp matchSelection(Value value, Value tested) {
  auto selection = value.getDefiningOp<arith::SelectOp>();
  auto compared = selection
                      ? selection.getCondition().getDefiningOp<arith::CmpFOp>()
                      : arith::CmpFOp();
  if (!compared || compared.getPredicate() != arith::CmpFPredicate::OEQ ||
      !((compared.getLhs() == tested && isZero(compared.getRhs())) ||
        (compared.getRhs() == tested && isZero(compared.getLhs()))))
    return {};
  return selection;
}

std::optional<Update> HopefulLoop::matchUpdate(linalg::GenericOp op) {
  if (op.getNumDpsInits() != 1 || op.getNumReductionLoops() != 0 ||
      !llvm::all_of(op.getIndexingMapsArray(),
                    [](AffineMap map) { return map.isIdentity(); }))
    return std::nullopt;
  Update update;
  update.op = op;
  update.factors = op.getDpsInits()[0];
  auto type = dyn_cast<MemRefType>(update.factors.getType());
  if (!type || !type.getElementType().isF32() || !type.hasStaticShape())
    return std::nullopt;
  Block &body = *op.getBody();
  Value yielded = body.getTerminator()->getOperand(0);
  auto isOld = [&](Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getOwner() == &body &&
           op->getOperand(argument.getArgNumber()) == update.factors;
  };
  SmallVector<BlockArgument> olds, others;
  for (BlockArgument argument : body.getArguments())
    if (!argument.use_empty())
      (isOld(argument) ? olds : others).push_back(argument);
  if (olds.size() != 1 || others.size() != 1)
    return std::nullopt;
  Value old = olds[0], sum = others[0];
  update.sums = op->getOperand(others[0].getArgNumber());

  // A number of up to one over the sum, and the old factor of an empty row.
  if (arith::SelectOp selection = matchSelection(yielded, sum)) {
    auto division = selection.getFalseValue().getDefiningOp<arith::DivFOp>();
    if (!division || selection.getTrueValue() != old ||
        division.getRhs() != sum ||
        !(std::abs(getNumber(division.getLhs())) <= 1.0f))
      return std::nullopt;
    update.selection = selection;
    update.division = division;
    return update;
  }
  // u / (u * sum + epsilon), and zero for zero.
  if (arith::SelectOp selection = matchSelection(yielded, old)) {
    auto division = selection.getFalseValue().getDefiningOp<arith::DivFOp>();
    auto total = division ? division.getRhs().getDefiningOp<arith::AddFOp>()
                          : arith::AddFOp();
    if (!total || !isZero(selection.getTrueValue()) ||
        division.getLhs() != old || !isProduct(total.getLhs(), old, sum) ||
        !std::isfinite(getNumber(total.getRhs())))
      return std::nullopt;
    update.selection = selection;
    update.division = division;
    return update;
  }
  // u * (1 / max(u * sum, epsilon)), and zero for zero.
  auto product = yielded.getDefiningOp<arith::MulFOp>();
  if (!product)
    return std::nullopt;
  auto division = product.getRhs().getDefiningOp<arith::DivFOp>();
  auto most = division ? division.getRhs().getDefiningOp<arith::MaximumFOp>()
                       : arith::MaximumFOp();
  if (product.getLhs() != old || !most || getNumber(division.getLhs()) != 1 ||
      !(getNumber(most.getRhs()) >= kSmallestNormal))
    return std::nullopt;
  arith::SelectOp selection = matchSelection(most.getLhs(), old);
  if (!selection || !isZero(selection.getTrueValue()) ||
      !isProduct(selection.getFalseValue(), old, sum))
    return std::nullopt;
  update.selection = selection;
  update.division = division;
  return update;
}

bool HopefulLoop::sumsAll(const Update &update, Value others) {
  bool isCleared = false;
  for (Operation &op : *loop.getBody()) {
    if (&op == update.op)
      return false;
    if (auto fill = dyn_cast<linalg::FillOp>(op)) {
      isCleared |=
          fill.getOutputs()[0] == update.sums && isZero(fill.getInputs()[0]);
      continue;
    }
    auto sum = dyn_cast<linalg::GenericOp>(op);
    if (!sum || !llvm::is_contained(sum.getDpsInits(), update.sums))
      continue;
    auto total = sum.getBody()
                     ->getTerminator()
                     ->getOperand(0)
                     .getDefiningOp<arith::AddFOp>();
    if (!isCleared || sum.getNumDpsInits() != 1 || sum.getNumDpsInputs() != 2 ||
        !total || total.getLhs() != sum.getRegionOutputArgs()[0] ||
        !isProduct(total.getRhs(), sum.getRegionInputArgs()[0],
                   sum.getRegionInputArgs()[1]))
      return false;
    unsigned position = sum.getDpsInputs()[1] == others ? 1 : 0;
    Value matrix = sum.getDpsInputs()[1 - position];
    if (sum.getDpsInputs()[position] != others || matrix == others)
      return false;
    // Every sum has all of the factors.
    SmallVector<utils::IteratorType> kinds = sum.getIteratorTypesArray();
    SmallVector<int64_t> sizes = sum.getStaticLoopRanges();
    AffineMap map = sum.getIndexingMapsArray()[position];
    for (auto [dim, kind] : llvm::enumerate(kinds))
      if (sizes[dim] != 1 &&
          (kind == utils::IteratorType::reduction) != map.isFunctionOfDim(dim))
        return false;
    return true;
  }
  return false;
}

bool HopefulLoop::isRepeatable() {
  auto has = [&](Value value) {
    return llvm::any_of(updates,
                        [&](Update &u) { return u.factors == value; });
  };
  llvm::SmallPtrSet<void *, 8> written;
  // Views that have been written in this iteration.
  llvm::SmallPtrSet<void *, 8> fresh;
  SmallVector<Value> reads;
  for (Operation &op : loop.getBody()->without_terminator()) {
    auto write = [&](Value value) {
      written.insert(getBuffer(value));
      fresh.insert(value.getAsOpaquePointer());
    };
    auto read = [&](Value value) {
      if (isa<MemRefType>(value.getType()) && !has(value) &&
          !fresh.contains(value.getAsOpaquePointer()))
        reads.push_back(value);
    };
    if (auto copy = dyn_cast<memref::CopyOp>(op)) {
      read(copy.getSource());
      if (has(copy.getTarget()))
        return false;
      write(copy.getTarget());
      continue;
    }
    if (auto structured = dyn_cast<linalg::LinalgOp>(op)) {
      for (Value input : structured.getDpsInputs())
        read(input);
      for (OpOperand &out : structured.getDpsInitsMutable()) {
        if (structured.payloadUsesValueFromOperand(&out))
          read(out.get());
        bool isUpdate =
            llvm::any_of(updates, [&](Update &u) { return u.op == &op; });
        if (has(out.get()) && !isUpdate)
          return false;
        write(out.get());
      }
      continue;
    }
    if (!isMemoryEffectFree(&op) || op.getNumRegions() != 0)
      return false;
  }
  if (written.contains(nullptr))
    return false;
  return llvm::none_of(
      reads, [&](Value value) { return written.contains(getBuffer(value)); });
}

bool HopefulLoop::match() {
  if (loop.getNumResults() != 0)
    return false;
  for (auto op : loop.getBody()->getOps<linalg::GenericOp>())
    if (std::optional<Update> update = matchUpdate(op))
      updates.push_back(*update);
  return updates.size() == 2 &&
         getBuffer(updates[0].factors) != getBuffer(updates[1].factors) &&
         sumsAll(updates[0], updates[1].factors) &&
         sumsAll(updates[1], updates[0].factors) && isRepeatable();
}

void HopefulLoop::hope(linalg::GenericOp copy, Update &update) {
  IRMapping mapping;
  // The copies of two of the body's operations, which have the same places.
  Operation *selection = nullptr, *division = nullptr;
  for (auto [was, is] :
       llvm::zip_equal(*update.op.getBody(), *copy.getBody())) {
    if (&was == update.selection)
      selection = &is;
    if (&was == update.division)
      division = &is;
  }
  b.setInsertionPoint(division);
  Location loc = division->getLoc();
  Value over = NVVM::RcpApproxFtzF32Op::create(b, loc, b.getF32Type(),
                                               division->getOperand(1));
  if (getNumber(division->getOperand(0)) != 1)
    over = arith::MulFOp::create(b, loc, division->getOperand(0), over);
  b.replaceOp(division, over);
  b.replaceOp(selection, selection->getOperand(2));
}

void HopefulLoop::rewrite() {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(loop);
  Location loc = loop.getLoc();
  SmallVector<Value> saved;
  for (Update &update : updates) {
    auto type = cast<MemRefType>(update.factors.getType());
    saved.push_back(memref::AllocOp::create(
        b, loc, MemRefType::get(type.getShape(), type.getElementType())));
    memref::CopyOp::create(b, loc, update.factors, saved.back());
  }
  IRMapping mapping;
  b.clone(*loop, mapping);
  for (Update &update : updates) {
    OpBuilder::InsertionGuard inside(b);
    hope(cast<linalg::GenericOp>(mapping.lookup(update.op.getOperation())),
         update);
  }

  Type flagType = b.getI1Type();
  Value flag = memref::AllocOp::create(b, loc, MemRefType::get({}, flagType));
  Value no = arith::ConstantOp::create(b, loc, b.getBoolAttr(false));
  linalg::FillOp::create(b, loc, no, flag);
  for (Update &update : updates) {
    int64_t rank = cast<MemRefType>(update.factors.getType()).getRank();
    SmallVector<AffineMap> maps{
        AffineMap::getMultiDimIdentityMap(rank, b.getContext()),
        AffineMap::get(rank, 0, b.getContext())};
    SmallVector<utils::IteratorType> kinds(rank,
                                           utils::IteratorType::reduction);
    linalg::GenericOp::create(
        b, loc, TypeRange(), update.factors, flag, maps, kinds,
        [&](OpBuilder &b, Location loc, ValueRange values) {
          auto number = [&](double value) -> Value {
            return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
          };
          auto test = [&](arith::CmpFPredicate predicate, Value value,
                          double bound) -> Value {
            return arith::CmpFOp::create(b, loc, predicate, value,
                                         number(bound));
          };
          Value size = math::AbsFOp::create(b, loc, values[0]);
          Value isLost = test(arith::CmpFPredicate::UGE, size,
                              std::numeric_limits<double>::infinity());
          Value isNone = test(arith::CmpFPredicate::OEQ, values[0], 0.0);
          Value either = arith::OrIOp::create(b, loc, isLost, isNone);
          Value result = arith::OrIOp::create(b, loc, values[1], either);
          linalg::YieldOp::create(b, loc, result);
        });
  }
  Value failed = memref::LoadOp::create(b, loc, flag, ValueRange());
  auto again = scf::IfOp::create(b, loc, failed, /*withElseRegion=*/false);
  b.setInsertionPointToStart(again.thenBlock());
  for (auto [update, before] : llvm::zip_equal(updates, saved))
    memref::CopyOp::create(b, loc, before, update.factors);
  b.moveOpBefore(loop, again.thenBlock()->getTerminator());
}

void scaling::speculate(RewriterBase &b, scf::ForOp loop,
                        function_ref<void *(Value)> getBuffer) {
  HopefulLoop hopeful(b, loop, getBuffer);
  if (hopeful.match())
    hopeful.rewrite();
}
