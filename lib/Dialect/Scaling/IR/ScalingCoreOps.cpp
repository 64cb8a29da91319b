//===- ScalingCoreOps.cpp - Core ops: verifiers and structure ---*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/Dialect/Scaling/IR/Shapes.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

//===----------------------------------------------------------------------===//
// What the structured ops share
//===----------------------------------------------------------------------===//

namespace {
/// An operand with the domain dimensions its own run along. An operand of
/// smaller rank leaves out the leading ones.
struct StructuredOperand {
  StringRef name;
  Value value;
  SmallVector<int64_t> dims;
};
} // namespace

static int64_t rankOf(Value value) {
  return cast<ShapedType>(value.getType()).getRank();
}

static SmallVector<int64_t> range(int64_t size) {
  return llvm::to_vector(llvm::seq<int64_t>(size));
}

/// The batch's dimensions, then some of the op's own.
static SmallVector<int64_t> dimsOf(int64_t batch,
                                   std::initializer_list<int64_t> own) {
  SmallVector<int64_t> dims = range(batch);
  llvm::append_range(dims, own);
  return dims;
}

static SmallVector<int64_t> without(ArrayRef<int64_t> dims, int64_t dim) {
  SmallVector<int64_t> rest;
  llvm::copy_if(dims, std::back_inserter(rest),
                [&](int64_t d) { return d != dim; });
  return rest;
}

/// Each operand's dims, cut to its rank.
static SmallVector<SmallVector<int64_t>>
operandDims(ArrayRef<StructuredOperand> operands) {
  SmallVector<SmallVector<int64_t>> all;
  for (const StructuredOperand &operand : operands) {
    auto shaped = dyn_cast<ShapedType>(operand.value.getType());
    int64_t rank = shaped ? shaped.getRank() : 0;
    ArrayRef<int64_t> dims = operand.dims;
    all.emplace_back(dims.take_back(std::min<int64_t>(rank, dims.size())));
  }
  return all;
}

/// Checks that all operands are tensors or all memrefs, that no rank is above
/// the one that fits, that inits have full rank and that static sizes agree.
/// (That results are those of the tensor inits is the verifier's of
/// destination-style ops.)
static LogicalResult verifyStructured(Operation *op,
                                      ArrayRef<StructuredOperand> operands,
                                      StringRef shapes, StringRef kinds) {
  // Of what is there once, segments may say more: only the first is seen.
  auto isOperand = [](Value value) { return !value.getType().isIndex(); };
  if (llvm::count_if(op->getOperands(), isOperand) !=
      llvm::count_if(operands, [&](const StructuredOperand &operand) {
        return isOperand(operand.value);
      }))
    return op->emitOpError()
           << "has more than one operand of a kind (" << shapes << ")";
  auto dps = cast<DestinationStyleOpInterface>(op);
  bool tensors = isa<RankedTensorType>(dps.getDpsInits()[0].getType());
  llvm::SmallDenseMap<int64_t, std::pair<int64_t, StringRef>> sizes;
  unsigned firstInit = op->getNumOperands() - dps.getNumDpsInits();
  for (auto [index, operand] : llvm::enumerate(operands)) {
    auto shaped = dyn_cast<ShapedType>(operand.value.getType());
    if (!shaped)
      continue;
    if (isa<RankedTensorType>(shaped) != tensors)
      return op->emitOpError()
             << "'" << operand.name << "' is a "
             << (tensors ? "memref" : "tensor") << " where others are "
             << (tensors ? "tensors" : "memrefs") << " (" << kinds << ")";
    int64_t rank = shaped.getRank(), full = operand.dims.size();
    bool isInit = index >= firstInit;
    if (rank > full || (isInit && rank != full))
      return op->emitOpError()
             << "'" << operand.name << "' has rank " << rank << ", "
             << (isInit ? "expected " : "expected at most ") << full << " ("
             << shapes << ")";
    ArrayRef<int64_t> dims = ArrayRef(operand.dims).take_back(rank);
    for (auto [dim, size] : llvm::zip_equal(dims, shaped.getShape())) {
      if (dim < 0 || ShapedType::isDynamic(size))
        continue;
      auto [it, inserted] = sizes.try_emplace(dim, size, operand.name);
      if (!inserted && it->second.first != size)
        return op->emitOpError() << "'" << operand.name << "' has size " << size
                                 << " where '" << it->second.second << "' has "
                                 << it->second.first << " (" << shapes << ")";
    }
  }
  return success();
}

/// Reads of memref inputs, reads and writes of memref inits.
static void structuredEffects(
    Operation *op,
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  auto dps = cast<DestinationStyleOpInterface>(op);
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    effects.emplace_back(MemoryEffects::Read::get(), &operand,
                         SideEffects::DefaultResource::get());
    if (dps.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand,
                           SideEffects::DefaultResource::get());
  }
}

/// The matrix' row and column dimension, given the rank of the domain.
static std::pair<int64_t, int64_t>
matrixDims(std::optional<ArrayRef<int64_t>> dims, int64_t rank) {
  if (dims && dims->size() == 2)
    return {(*dims)[0], (*dims)[1]};
  return {rank - 2, rank - 1};
}

static LogicalResult verifyMatrixDims(Operation *op,
                                      std::optional<ArrayRef<int64_t>> dims,
                                      Value matrix, int64_t rank,
                                      StringRef shapes) {
  if (rank < 2 || rankOf(matrix) < 2)
    return op->emitOpError()
           << "'matrix' must have rank at least 2 (" << shapes << ")";
  if (!dims)
    return success();
  if (dims->size() != 2 || (*dims)[0] == (*dims)[1] ||
      llvm::any_of(*dims, [&](int64_t d) { return d < 0 || d >= rank; }))
    return op->emitOpError() << "'dims' must name two different dimensions of "
                                "the matrix ("
                             << shapes << ")";
  if (rankOf(matrix) != rank)
    return op->emitOpError() << "with 'dims' the matrix must have full rank "
                             << rank << " (" << shapes << ")";
  return success();
}

//===----------------------------------------------------------------------===//
// reduce
//===----------------------------------------------------------------------===//

static int64_t domainRank(ReduceOp op) { return rankOf(op.getOuts()[0]) + 1; }

std::pair<int64_t, int64_t> ReduceOp::getMatrixDims() {
  return matrixDims(getDims(), domainRank(*this));
}

static SmallVector<StructuredOperand> structuredOperands(ReduceOp op) {
  SmallVector<int64_t> all = range(domainRank(op));
  auto [row, col] = op.getMatrixDims();
  int64_t kept = op.getAxis() == Axis::rows ? row : col;
  int64_t reduced = op.getAxis() == Axis::rows ? col : row;
  SmallVector<StructuredOperand> operands;
  operands.push_back({"matrix", op.getMatrix(), all});
  if (op.getFactor())
    operands.push_back({"factor", op.getFactor(), without(all, kept)});
  if (op.getMask())
    operands.push_back({"mask", op.getMask(), without(all, kept)});
  if (op.getScale())
    operands.push_back({"scale", op.getScale(), {}});
  for (Value out : op.getOuts())
    operands.push_back({"outs", out, without(all, reduced)});
  return operands;
}

SmallVector<IteratorType> ReduceOp::getStructuredIteratorTypes() {
  SmallVector<IteratorType> types(domainRank(*this), IteratorType::parallel);
  auto [row, col] = getMatrixDims();
  types[getAxis() == Axis::rows ? col : row] = IteratorType::reduction;
  return types;
}

SmallVector<SmallVector<int64_t>> ReduceOp::getOperandDims() {
  return operandDims(structuredOperands(*this));
}

void ReduceOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  structuredEffects(*this, effects);
}

LogicalResult ReduceOp::verify() {
  if (getOuts().size() != getStat().getNumPasses())
    return emitOpError() << "statistic '" << getStat().getStatisticName()
                         << "' has " << getStat().getNumPasses()
                         << " states, but 'outs' has " << getOuts().size()
                         << " (C1)";
  for (Value out : getOuts())
    if (getElementTypeOrSelf(out) != getElementTypeOrSelf(getOuts()[0]))
      return emitOpError("'outs' must have equal element types (C1)");
  if (failed(verifyMatrixDims(*this, getDims(), getMatrix(), domainRank(*this),
                              "C2")))
    return failure();
  return verifyStructured(*this, structuredOperands(*this), "C2", "C3");
}

//===----------------------------------------------------------------------===//
// update
//===----------------------------------------------------------------------===//

int64_t UpdateOp::getAxisDim() {
  return getDim() ? *getDim() : rankOf(getOwn()) - 1;
}

static SmallVector<StructuredOperand> structuredOperands(UpdateOp op) {
  SmallVector<int64_t> all = range(rankOf(op.getOwn()));
  SmallVector<StructuredOperand> operands;
  for (Value state : op.getStates())
    operands.push_back({"states", state, all});
  operands.push_back({"own", op.getOwn(), all});
  if (op.getTarget())
    operands.push_back({"target", op.getTarget(), all});
  if (op.getMask())
    operands.push_back({"mask", op.getMask(), all});
  if (op.getOmega()) {
    SmallVector<int64_t> batch = all;
    batch.erase(batch.begin() + op.getAxisDim());
    operands.push_back({"omega", op.getOmega(), batch});
  }
  for (Value out : op.getOuts())
    operands.push_back({"outs", out, all});
  return operands;
}

SmallVector<IteratorType> UpdateOp::getStructuredIteratorTypes() {
  return SmallVector<IteratorType>(rankOf(getOwn()), IteratorType::parallel);
}

SmallVector<SmallVector<int64_t>> UpdateOp::getOperandDims() {
  return operandDims(structuredOperands(*this));
}

void UpdateOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  structuredEffects(*this, effects);
}

LogicalResult UpdateOp::verify() {
  StatisticAttrInterface stat = getRule().getReducedStat(getDomain());
  if (getDomain() != Domain::kernel && !stat.isLog())
    return emitOpError() << "statistic '" << stat.getStatisticName()
                         << "' does not exist in the log domain (C1)";
  if (getDomain() != Domain::kernel && getRule().getRoundPow2())
    return emitOpError("a rule that rounds to powers of two needs the kernel "
                       "domain (C1)");
  if (getStates().size() != stat.getNumPasses())
    return emitOpError() << "statistic '" << stat.getStatisticName() << "' has "
                         << stat.getNumPasses() << " states, but 'states' has "
                         << getStates().size() << " (C1)";
  int64_t rank = rankOf(getOwn());
  if (rank < 1)
    return emitOpError("'own' must have rank at least 1 (C2)");
  if (getAxisDim() < 0 || getAxisDim() >= rank)
    return emitOpError("'dim' must be a dimension of 'own' (C2)");
  for (Value state : getStates())
    if (rankOf(state) != rank)
      return emitOpError("'states' must have the rank of 'own' (C2)");
  if (getOuts().empty() || getOuts().size() > 2)
    return emitOpError("'outs' takes the new factor and, when asked for, the "
                       "plan statistic (C3)");
  Type element = getElementTypeOrSelf(getOwn());
  for (Value value : llvm::concat<Value>(SmallVector<Value>(getStates()),
                                         SmallVector<Value>(getOuts())))
    if (getElementTypeOrSelf(value) != element)
      return emitOpError("'states', 'own' and 'outs' must have one element "
                         "type (C2)");
  if (getOmega() && getElementTypeOrSelf(getOmega()) != element)
    return emitOpError("'omega' must have the element type of 'own' (C2)");
  return verifyStructured(*this, structuredOperands(*this), "C2", "C4");
}

//===----------------------------------------------------------------------===//
// plan
//===----------------------------------------------------------------------===//

std::pair<int64_t, int64_t> PlanOp::getMatrixDims() {
  return matrixDims(getDims(), rankOf(getOuts()));
}

/// Adds factors and weights of a plan-like op.
template <typename OpTy>
static void addFactors(OpTy op, SmallVectorImpl<StructuredOperand> &operands,
                       ArrayRef<int64_t> rowDims, ArrayRef<int64_t> colDims) {
  auto add = [&](StringRef name, Value value, ArrayRef<int64_t> dims) {
    if (value)
      operands.push_back({name, value, SmallVector<int64_t>(dims)});
  };
  add("row", op.getRow(), rowDims);
  add("col", op.getCol(), colDims);
  add("row_weight", op.getRowWeight(), rowDims);
  add("col_weight", op.getColWeight(), colDims);
}

static SmallVector<StructuredOperand> structuredOperands(PlanOp op) {
  SmallVector<int64_t> all = range(rankOf(op.getOuts()));
  auto [row, col] = op.getMatrixDims();
  SmallVector<StructuredOperand> operands;
  operands.push_back({"matrix", op.getMatrix(), all});
  addFactors(op, operands, without(all, col), without(all, row));
  operands.push_back({"outs", op.getOuts(), all});
  return operands;
}

SmallVector<IteratorType> PlanOp::getStructuredIteratorTypes() {
  return SmallVector<IteratorType>(rankOf(getOuts()), IteratorType::parallel);
}

SmallVector<SmallVector<int64_t>> PlanOp::getOperandDims() {
  return operandDims(structuredOperands(*this));
}

void PlanOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  structuredEffects(*this, effects);
}

LogicalResult PlanOp::verify() {
  if (failed(verifyMatrixDims(*this, getDims(), getMatrix(), rankOf(getOuts()),
                              "C1")))
    return failure();
  if (getLogarithm() && (getRowWeight() || getColWeight()))
    return emitOpError("weights do not go with 'logarithm' (C3)");
  return verifyStructured(*this, structuredOperands(*this), "C1", "C2");
}

//===----------------------------------------------------------------------===//
// apply
//===----------------------------------------------------------------------===//

/// Batch dimensions of the domain: those of the inits.
static int64_t batchRank(ApplyOp op) {
  int64_t rank = rankOf(op.getOuts()[0]);
  switch (op.getKind()) {
  case ApplyKind::product:
    return rank - 2;
  case ApplyKind::argmax:
    return rank - 1;
  case ApplyKind::value:
  case ApplyKind::mass:
  case ApplyKind::dual:
    return rank;
  }
  llvm_unreachable("a kind of apply");
}

static SmallVector<StructuredOperand> structuredOperands(ApplyOp op) {
  int64_t batch = batchRank(op), n = batch, m = batch + 1, k = batch + 2;
  auto dims = [&](std::initializer_list<int64_t> own) {
    return dimsOf(batch, own);
  };
  SmallVector<StructuredOperand> operands;
  operands.push_back({"matrix", op.getMatrix(), dims({n, m})});
  addFactors(op, operands, dims({n}), dims({m}));
  bool product = op.getKind() == ApplyKind::product;
  int64_t read = op.getTransposed() ? n : m, kept = op.getTransposed() ? m : n;
  if (op.getOperand())
    operands.push_back(
        {"operand", op.getOperand(), product ? dims({read, k}) : dims({n, m})});
  if (op.getOffset())
    operands.push_back({"offset", op.getOffset(), {}});
  if (op.getRowOffset())
    operands.push_back({"row_offset", op.getRowOffset(), {}});
  for (Value out : op.getOuts())
    operands.push_back({"outs", out,
                        product                             ? dims({kept, k})
                        : op.getKind() == ApplyKind::argmax ? dims({n})
                                                            : dims({})});
  return operands;
}

SmallVector<IteratorType> ApplyOp::getStructuredIteratorTypes() {
  int64_t batch = batchRank(*this);
  SmallVector<IteratorType> types(batch, IteratorType::parallel);
  bool product = getKind() == ApplyKind::product;
  bool rowsKept =
      (product && !getTransposed()) || getKind() == ApplyKind::argmax;
  bool colsKept = product && getTransposed();
  types.push_back(rowsKept ? IteratorType::parallel : IteratorType::reduction);
  types.push_back(colsKept ? IteratorType::parallel : IteratorType::reduction);
  if (product)
    types.push_back(IteratorType::parallel);
  return types;
}

SmallVector<SmallVector<int64_t>> ApplyOp::getOperandDims() {
  return operandDims(structuredOperands(*this));
}

void ApplyOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  structuredEffects(*this, effects);
}

LogicalResult ApplyOp::verify() {
  bool product = getKind() == ApplyKind::product;
  bool argmax = getKind() == ApplyKind::argmax;
  bool needsOperand = product || getKind() == ApplyKind::value;
  if (needsOperand != static_cast<bool>(getOperand()))
    return emitOpError() << "kind '" << stringifyApplyKind(getKind()) << "' "
                         << (needsOperand ? "needs" : "takes no")
                         << " 'operand' (C1)";
  bool dual = getKind() == ApplyKind::dual;
  if (dual && !(getRow() && getCol() && getRowWeight() && getColWeight()))
    return emitOpError("kind 'dual' needs 'row', 'col', 'row_weight' and "
                       "'col_weight' (C1)");
  if (getTransposed() && !product)
    return emitOpError("'transposed' goes with 'product' (C1)");
  if (getOffset() && !argmax && !dual)
    return emitOpError("'offset' goes with 'argmax' and 'dual' (C1)");
  if (getRowOffset() && !dual)
    return emitOpError("'row_offset' goes with 'dual' (C1)");
  if (getOuts().size() != (argmax ? 2 : 1))
    return emitOpError() << "expected " << (argmax ? 2 : 1) << " 'outs' (C2)";
  for (auto [index, out] : llvm::enumerate(getOuts())) {
    bool isInteger = getElementTypeOrSelf(out).isInteger(64);
    if (isInteger != (argmax && index == 1))
      return emitOpError() << "'outs' number " << index << " must hold "
                           << (isInteger ? "floats" : "i64") << " (C2)";
  }
  if (batchRank(*this) < 0)
    return emitOpError("'outs' has too small a rank (C2)");
  if (rankOf(getMatrix()) < 2)
    return emitOpError("'matrix' must have rank at least 2 (C2)");
  return verifyStructured(*this, structuredOperands(*this), "C2", "C3");
}

//===----------------------------------------------------------------------===//
// marginals
//===----------------------------------------------------------------------===//

static SmallVector<StructuredOperand> structuredOperands(MarginalsOp op) {
  int64_t batch = rankOf(op.getOuts()[0]) - 1;
  auto dims = [&](std::initializer_list<int64_t> own) {
    return dimsOf(batch, own);
  };
  int64_t n = batch, m = batch + 1;
  SmallVector<StructuredOperand> operands;
  auto add = [&](StringRef name, Value value, ArrayRef<int64_t> own) {
    if (value)
      operands.push_back({name, value, SmallVector<int64_t>(own)});
  };
  add("matrix", op.getMatrix(), dims({n, m}));
  add("x", op.getX(), dims({n, -1}));
  add("y", op.getY(), dims({-1, m}));
  add("row", op.getRow(), dims({n}));
  add("col", op.getCol(), dims({m}));
  add("row_mask", op.getRowMask(), dims({n}));
  add("col_mask", op.getColMask(), dims({m}));
  add("scale", op.getScale(), {});
  add("outs", op.getOuts()[0], dims({n}));
  add("outs", op.getOuts()[1], dims({m}));
  return operands;
}

SmallVector<IteratorType> MarginalsOp::getStructuredIteratorTypes() {
  SmallVector<IteratorType> types(rankOf(getOuts()[0]) - 1,
                                  IteratorType::parallel);
  types.append(2, IteratorType::reduction);
  return types;
}

SmallVector<SmallVector<int64_t>> MarginalsOp::getOperandDims() {
  return operandDims(structuredOperands(*this));
}

void MarginalsOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  structuredEffects(*this, effects);
}

LogicalResult MarginalsOp::verify() {
  if (static_cast<bool>(getMatrix()) == static_cast<bool>(getMetric()) ||
      static_cast<bool>(getX()) != static_cast<bool>(getMetric()) ||
      static_cast<bool>(getY()) != static_cast<bool>(getMetric()))
    return emitOpError("expected either 'matrix' or points (C1)");
  if (getMetric() == Metric::cosine)
    return emitOpError("metric 'cosine' is the metric 'dot' of normalized "
                       "points here (C1)");
  if (getOuts().size() != 2)
    return emitOpError("expected 2 'outs' (C2)");
  if (getElementTypeOrSelf(getOuts()[0]) != getElementTypeOrSelf(getOuts()[1]))
    return emitOpError("'outs' must have equal element types (C2)");
  if (rankOf(getOuts()[0]) < 1)
    return emitOpError("'outs' must have rank at least 1 (C2)");
  if (getMatrix() && rankOf(getMatrix()) < 2)
    return emitOpError("'matrix' must have rank at least 2 (C2)");
  if (getMetric()) {
    if (rankOf(getX()) < 2 || rankOf(getY()) < 2)
      return emitOpError("points must have rank at least 2 (C2)");
    int64_t dx = cast<ShapedType>(getX().getType()).getShape().back();
    int64_t dy = cast<ShapedType>(getY().getType()).getShape().take_back(2)[0];
    if (!ShapedType::isDynamic(dx) && !ShapedType::isDynamic(dy) && dx != dy)
      return emitOpError() << "points have " << dx << " and " << dy
                           << " coordinates (C2)";
  }
  return verifyStructured(*this, structuredOperands(*this), "C2", "C3");
}

//===----------------------------------------------------------------------===//
// pairwise
//===----------------------------------------------------------------------===//

static SmallVector<StructuredOperand> structuredOperands(PairwiseOp op) {
  int64_t batch = rankOf(op.getOuts()) - 2;
  return {{"x", op.getX(), dimsOf(batch, {batch, -1})},
          {"y", op.getY(), dimsOf(batch, {batch + 1, -1})},
          {"outs", op.getOuts(), range(batch + 2)}};
}

SmallVector<IteratorType> PairwiseOp::getStructuredIteratorTypes() {
  return SmallVector<IteratorType>(rankOf(getOuts()), IteratorType::parallel);
}

SmallVector<SmallVector<int64_t>> PairwiseOp::getOperandDims() {
  return operandDims(structuredOperands(*this));
}

void PairwiseOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  structuredEffects(*this, effects);
}

LogicalResult PairwiseOp::verify() {
  if (rankOf(getOuts()) < 2 || rankOf(getX()) < 2 || rankOf(getY()) < 2)
    return emitOpError("points and 'outs' must have rank at least 2 (C1)");
  int64_t dx = cast<ShapedType>(getX().getType()).getShape().back();
  int64_t dy = cast<ShapedType>(getY().getType()).getShape().back();
  if (!ShapedType::isDynamic(dx) && !ShapedType::isDynamic(dy) && dx != dy)
    return emitOpError() << "points have " << dx << " and " << dy
                         << " coordinates (C1)";
  return verifyStructured(*this, structuredOperands(*this), "C1", "C2");
}

//===----------------------------------------------------------------------===//
// reduce_points
//===----------------------------------------------------------------------===//

/// The bias of an op on points, with its rows and columns.
template <typename OpTy>
static void appendBias(SmallVectorImpl<StructuredOperand> &operands, OpTy op,
                       int64_t row, int64_t column) {
  if (!op.getBias())
    return;
  // The row's is the first dimension behind the batch.
  operands.push_back({"bias", op.getBias(),
                      op.getTransposed() ? dimsOf(row, {column, row})
                                         : dimsOf(row, {row, column})});
  if (op.getBiasScale())
    operands.push_back({"bias_scale", op.getBiasScale(), {}});
}

namespace {
/// An operand with a number for every row, or for every column, if it is there.
struct PointVector {
  StringRef name;
  Value value;
  int64_t dim;
};
} // namespace

/// What ops on points take before their 'outs': points, `vectors`, a scale, a
/// bias.
template <typename OpTy>
static SmallVector<StructuredOperand>
pointOperands(OpTy op, int64_t batch, int64_t row, int64_t column,
              ArrayRef<PointVector> vectors) {
  SmallVector<StructuredOperand> operands = {
      {"x", op.getX(), dimsOf(batch, {row, -1})},
      {"y", op.getY(), dimsOf(batch, {column, -1})}};
  for (const PointVector &vector : vectors)
    if (vector.value)
      operands.push_back(
          {vector.name, vector.value, dimsOf(batch, {vector.dim})});
  if (op.getScale())
    operands.push_back({"scale", op.getScale(), {}});
  appendBias(operands, op, row, column);
  return operands;
}

static SmallVector<StructuredOperand> structuredOperands(ReducePointsOp op) {
  int64_t batch = rankOf(op.getOuts()[0]) - 1;
  int64_t row = batch, column = batch + 1;
  SmallVector<StructuredOperand> operands =
      pointOperands(op, batch, row, column,
                    {{"factor", op.getFactor(), column},
                     {"row_factor", op.getRowFactor(), row}});
  // Of blocks of rows, columns have as many numbers.
  for (Value out : op.getOuts().take_front(2))
    operands.push_back({"outs", out, dimsOf(batch, {row})});
  for (Value out : op.getOuts().drop_front(2))
    operands.push_back({"outs", out, dimsOf(batch, {-1, column})});
  return operands;
}

SmallVector<IteratorType> ReducePointsOp::getStructuredIteratorTypes() {
  SmallVector<IteratorType> types(rankOf(getOuts()[0]), IteratorType::parallel);
  types.push_back(IteratorType::reduction);
  return types;
}

SmallVector<SmallVector<int64_t>> ReducePointsOp::getOperandDims() {
  return operandDims(structuredOperands(*this));
}

void ReducePointsOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  structuredEffects(*this, effects);
}

/// The type of points whose products are narrower than the costs, or null.
static Type getStoredType(Products products, MLIRContext *context) {
  if (products == Products::bf16)
    return BFloat16Type::get(context);
  if (products == Products::f16)
    return Float16Type::get(context);
  return {};
}

/// Whether an operand may be stored as bf16, with products of it, like points.
static bool mayBeNarrow(ReducePointsOp op, OpOperand &operand) { return false; }
static bool mayBeNarrow(SumPointsOp op, OpOperand &operand) { return false; }
static bool mayBeNarrow(ArgMaxPointsOp op, OpOperand &operand) { return false; }
static bool mayBeNarrow(ApplyPointsOp op, OpOperand &operand) {
  return op.getProducts() == Products::bf16 &&
         &operand == &op.getOperandMutable();
}

/// Whether an operand is numbers of columns.
static bool isOfIndices(Operation *op, OpOperand &operand) {
  auto argmax = dyn_cast<ArgMaxPointsOp>(op);
  return argmax && operand.get() == argmax.getOuts()[1] &&
         getElementTypeOrSelf(operand.get()).isInteger();
}

/// What ops on points want of these, besides their shapes.
template <typename OpTy>
static LogicalResult verifyPoints(OpTy op, Type element) {
  if (op.getMetric() == Metric::cosine)
    return op.emitOpError("takes no 'cosine': normalize the points and use "
                          "'dot' (C1)");
  if (op.getProducts() != Products::f32 &&
      (op.getMetric() != Metric::dot || !element.isF32()))
    return op.emitOpError()
           << "has products of " << stringifyProducts(op.getProducts())
           << ", which are of the metric 'dot' and of f32 alone (C1)";
  if (!element.isF32() && !element.isF64())
    return op.emitOpError() << "expected 'outs' of type 'f32' or 'f64', got "
                            << element << " (C2)";
  Type stored = getStoredType(op.getProducts(), op.getContext());
  for (OpOperand &operand : op->getOpOperands()) {
    bool isPoints = operand.getOperandNumber() < 2;
    bool isBias = op.getBias() && &operand == &op.getBiasMutable()[0];
    Type own = getElementTypeOrSelf(operand.get());
    Type expected = isPoints && stored ? stored : element;
    if ((own == stored && mayBeNarrow(op, operand)) || isOfIndices(op, operand))
      continue;
    if (own != expected && (!isBias || own.isF64()))
      return op.emitOpError() << "expected elements of type " << expected
                              << ", got " << operand.get().getType() << " (C2)";
  }
  if (!op.getBias() && (op.getBiasScale() || op.getTransposed()))
    return op.emitOpError("has a 'bias_scale' or 'transposed', but no 'bias' "
                          "(C4)");
  if (op.getBias() && rankOf(op.getBias()) < 2)
    return op.emitOpError("'bias' must have rank at least 2 (C2)");
  if (rankOf(op.getX()) < 2 || rankOf(op.getY()) < 2)
    return op.emitOpError("points must have rank at least 2 (C2)");
  int64_t dx = cast<ShapedType>(op.getX().getType()).getShape().back();
  int64_t dy = cast<ShapedType>(op.getY().getType()).getShape().back();
  if (!ShapedType::isDynamic(dx) && !ShapedType::isDynamic(dy) && dx != dy)
    return op.emitOpError()
           << "points have " << dx << " and " << dy << " coordinates (C2)";
  for (int64_t depth : {dx, dy})
    if (stored && (ShapedType::isDynamic(depth) || depth % 2 != 0))
      return op.emitOpError()
             << "products of " << stringifyProducts(op.getProducts())
             << " want points of an even number of coordinates (C2)";
  return success();
}

LogicalResult ReducePointsOp::verify() {
  std::optional<int64_t> block = getBlock();
  size_t expected = block ? 4 : 2;
  if (getOuts().size() != expected)
    return emitOpError() << "expected " << expected << " 'outs', got "
                         << getOuts().size() << " (C2)";
  if (rankOf(getOuts()[0]) < 1)
    return emitOpError("'outs' must have rank at least 1 (C2)");
  if (failed(verifyPoints(*this, getElementTypeOrSelf(getOuts()[0]))))
    return failure();
  if (block && *block <= 0)
    return emitOpError() << "expected a positive 'block', got " << *block
                         << " (C2)";
  if (getRowFactor() && !block)
    return emitOpError("has a 'row_factor', but no 'block' (C4)");
  if (failed(verifyStructured(*this, structuredOperands(*this), "C2", "C3")))
    return failure();
  int64_t rows = cast<ShapedType>(getOuts()[0].getType()).getShape().back();
  for (Value out : getOuts().drop_front(2)) {
    int64_t parts = cast<ShapedType>(out.getType()).getShape().take_back(2)[0];
    if (!ShapedType::isDynamic(rows) && !ShapedType::isDynamic(parts) &&
        parts != int64_t(llvm::divideCeil(rows, *block)))
      return emitOpError() << rows << " rows are "
                           << llvm::divideCeil(rows, *block) << " blocks of "
                           << *block << ", not " << parts << " (C2)";
  }
  return success();
}

//===----------------------------------------------------------------------===//
// sum_points
//===----------------------------------------------------------------------===//

static SmallVector<StructuredOperand> structuredOperands(SumPointsOp op) {
  int64_t batch = rankOf(op.getOuts()[0]) - 1;
  int64_t row = batch, column = batch + 1;
  SmallVector<StructuredOperand> operands =
      pointOperands(op, batch, row, column,
                    {{"row", op.getRow(), row},
                     {"col", op.getCol(), column},
                     {"x_cost", op.getXCost(), row},
                     {"y_cost", op.getYCost(), column}});
  for (Value out : op.getOuts())
    operands.push_back({"outs", out, dimsOf(batch, {row})});
  return operands;
}

SmallVector<IteratorType> SumPointsOp::getStructuredIteratorTypes() {
  SmallVector<IteratorType> types(rankOf(getOuts()[0]), IteratorType::parallel);
  types.push_back(IteratorType::reduction);
  return types;
}

SmallVector<SmallVector<int64_t>> SumPointsOp::getOperandDims() {
  return operandDims(structuredOperands(*this));
}

void SumPointsOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  structuredEffects(*this, effects);
}

LogicalResult SumPointsOp::verify() {
  if (getOuts().size() != 2)
    return emitOpError() << "expected 2 'outs', got " << getOuts().size()
                         << " (C2)";
  if (rankOf(getOuts()[0]) < 1)
    return emitOpError("'outs' must have rank at least 1 (C2)");
  if (failed(verifyPoints(*this, getElementTypeOrSelf(getOuts()[0]))))
    return failure();
  return verifyStructured(*this, structuredOperands(*this), "C2", "C3");
}

//===----------------------------------------------------------------------===//
// argmax_points
//===----------------------------------------------------------------------===//

static SmallVector<StructuredOperand> structuredOperands(ArgMaxPointsOp op) {
  int64_t batch = rankOf(op.getOuts()[0]) - 1;
  int64_t row = batch, column = batch + 1;
  SmallVector<StructuredOperand> operands = pointOperands(
      op, batch, row, column, {{"factor", op.getFactor(), column}});
  for (Value out : op.getOuts())
    operands.push_back({"outs", out, dimsOf(batch, {row})});
  return operands;
}

SmallVector<IteratorType> ArgMaxPointsOp::getStructuredIteratorTypes() {
  SmallVector<IteratorType> types(rankOf(getOuts()[0]), IteratorType::parallel);
  types.push_back(IteratorType::reduction);
  return types;
}

SmallVector<SmallVector<int64_t>> ArgMaxPointsOp::getOperandDims() {
  return operandDims(structuredOperands(*this));
}

void ArgMaxPointsOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  structuredEffects(*this, effects);
}

LogicalResult ArgMaxPointsOp::verify() {
  if (getOuts().size() != 2)
    return emitOpError() << "expected 2 'outs', got " << getOuts().size()
                         << " (C2)";
  if (!getElementTypeOrSelf(getOuts()[1]).isInteger())
    return emitOpError() << "expected columns of type 'i64', got "
                         << getOuts()[1].getType() << " (C2)";
  if (rankOf(getOuts()[0]) < 1)
    return emitOpError("'outs' must have rank at least 1 (C2)");
  if (failed(verifyPoints(*this, getElementTypeOrSelf(getOuts()[0]))))
    return failure();
  return verifyStructured(*this, structuredOperands(*this), "C2", "C3");
}

//===----------------------------------------------------------------------===//
// apply_points
//===----------------------------------------------------------------------===//

static SmallVector<StructuredOperand> structuredOperands(ApplyPointsOp op) {
  // The columns of the outs, then those of the plan.
  int64_t batch = rankOf(op.getOuts()) - 2;
  int64_t row = batch, width = batch + 1, column = batch + 2;
  SmallVector<StructuredOperand> operands =
      pointOperands(op, batch, row, column,
                    {{"row", op.getRow(), row}, {"col", op.getCol(), column}});
  operands.push_back(
      {"operand", op.getOperand(), dimsOf(batch, {column, width})});
  operands.push_back({"outs", op.getOuts(), dimsOf(batch, {row, width})});
  return operands;
}

SmallVector<IteratorType> ApplyPointsOp::getStructuredIteratorTypes() {
  SmallVector<IteratorType> types(rankOf(getOuts()), IteratorType::parallel);
  types.push_back(IteratorType::reduction);
  return types;
}

SmallVector<SmallVector<int64_t>> ApplyPointsOp::getOperandDims() {
  return operandDims(structuredOperands(*this));
}

void ApplyPointsOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  structuredEffects(*this, effects);
}

LogicalResult ApplyPointsOp::verify() {
  if (rankOf(getOuts()) < 2 || rankOf(getOperand()) < 2)
    return emitOpError("'operand' and 'outs' must have rank at least 2 (C2)");
  if (failed(verifyPoints(*this, getElementTypeOrSelf(getOuts()))))
    return failure();
  int64_t columns = cast<ShapedType>(getOperand().getType()).getShape().back();
  if (getElementTypeOrSelf(getOperand()).isBF16() &&
      (ShapedType::isDynamic(columns) || columns % 2 != 0))
    return emitOpError("an 'operand' of bf16 wants an even number of columns "
                       "(C2)");
  return verifyStructured(*this, structuredOperands(*this), "C2", "C3");
}

//===----------------------------------------------------------------------===//
// to_lanes, from_lanes
//===----------------------------------------------------------------------===//

template <typename OpTy>
static void
lanesEffects(OpTy op,
             SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
                 &effects) {
  if (isa<MemRefType>(op.getSource().getType()))
    effects.emplace_back(MemoryEffects::Read::get(), &op.getSourceMutable(),
                         SideEffects::DefaultResource::get());
  if (isa<MemRefType>(op.getOuts().getType()))
    effects.emplace_back(MemoryEffects::Write::get(), &op.getOutsMutable(),
                         SideEffects::DefaultResource::get());
}

/// `batch` is `[B, ...]`, `lanes` is `[..., L]`.
static LogicalResult verifyLanes(Operation *op, ShapedType batch,
                                 ShapedType lanes) {
  if (batch.getElementType() != lanes.getElementType())
    return op->emitOpError(
        "source and 'outs' must have equal element types (C1)");
  ArrayRef<int64_t> laneShape = lanes.getShape();
  if (ShapedType::isDynamicShape(laneShape))
    return op->emitOpError("lanes must have a static shape (C1)");
  if (laneShape.empty() || laneShape.back() == 0)
    return op->emitOpError("needs at least one lane (C1)");
  if (batch.getRank() != lanes.getRank() ||
      batch.getShape().drop_front() != laneShape.drop_back())
    return op->emitOpError()
           << "has a batch of " << batch << " but lanes of " << lanes
           << ": sizes behind the batch must be those before the lanes (C1)";
  bool onTensors = isa<TensorType>(batch);
  if (onTensors != isa<TensorType>(lanes) ||
      onTensors != (op->getNumResults() == 1))
    return op->emitOpError("must be on tensors, with a result, or on memrefs, "
                           "without (C2)");
  if (onTensors && op->getResult(0).getType() != op->getOperand(2).getType())
    return op->emitOpError("the result must have the type of 'outs' (C2)");
  return success();
}

void ToLanesOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  lanesEffects(*this, effects);
}

LogicalResult ToLanesOp::verify() {
  return verifyLanes(*this, cast<ShapedType>(getSource().getType()),
                     cast<ShapedType>(getOuts().getType()));
}

void FromLanesOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  lanesEffects(*this, effects);
}

LogicalResult FromLanesOp::verify() {
  return verifyLanes(*this, cast<ShapedType>(getOuts().getType()),
                     cast<ShapedType>(getSource().getType()));
}
