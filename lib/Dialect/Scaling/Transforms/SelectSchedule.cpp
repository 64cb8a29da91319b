//===- SelectSchedule.cpp - Which regime for which shape --------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "MatrixSource.h"

#include "scaling/Dialect/Scaling/IR/Shapes.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Interfaces/DataLayoutInterfaces.h"

using namespace mlir;
using namespace mlir::scaling;

/// Matrices of up to this many entries go side by side into vector lanes.
static constexpr int64_t kTinyEntries = 1024;

/// … and as long as a tile of them takes no more than this part of L1: what is
/// beyond that is read from L2, where a matrix alone is faster.
static constexpr double kTileOfL1 = 1.25;

/// Of matrices of up to this many entries, two vectors are taken at once: one
/// waits for a division or the end of a sum while the other goes on.
static constexpr int64_t kPairedEntries = 64;

/// … and of up to this many, four: the half-step of two is not long enough to
/// wait for a sum and a division. Exponentials are: there is no need of more.
static constexpr int64_t kFourfoldEntries = 16;

/// What a schedule is chosen by where the module describes no target.
static constexpr int64_t kDefaultL1Bytes = 32 << 10;
static constexpr int64_t kDefaultL2Bytes = 1 << 20;
static constexpr int64_t kDefaultVectorBits = 256;

/// Rows taken at once in a sweep; they stay in L1 between their reduction and
/// the columns'. Longer rows leave room for fewer.
static constexpr int64_t kRowBlock = 8;
static constexpr int64_t kLongRow = 1400;

/// Costs between points are not stored where they take more than this.
static constexpr int64_t kMostStored = int64_t(1) << 30;

/// Arithmetic a core does in the time a byte comes from each level: costs of
/// more than half of that are better read than made.
static constexpr double kOperationsPerByte[] = {/*L2=*/1.5, /*L3=*/2.6,
                                                /*memory=*/13.0};
static constexpr int64_t kDefaultL3Bytes = 16 << 20;

/// Shared memory beside the matrix: factors, statistics.
static constexpr int64_t kSharedSpare = 24 << 10;

/// An integer of the target description.
static int64_t targetInteger(Operation *op, StringRef key, int64_t otherwise,
                             StringRef device = "CPU") {
  MLIRContext *context = op->getContext();
  std::optional<Attribute> value =
      DataLayout::closest(op).getDevicePropertyValue(
          StringAttr::get(context, device), StringAttr::get(context, key));
  if (auto integer = dyn_cast_or_null<IntegerAttr>(value.value_or(Attribute())))
    return integer.getInt();
  return otherwise;
}

/// Shared memory of a block; 0 where the module is for no GPU.
static int64_t getSharedBytes(Operation *op) {
  return targetInteger(op, "max_shared_memory_per_block", 0, "GPU");
}

bool scaling::targetsGPU(Operation *op) { return getSharedBytes(op) > 0; }

int64_t scaling::getBlockBytes(Operation *op) {
  return getSharedBytes(op) - kSharedSpare;
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

template <typename OpTy> static bool hasSlack(OpTy op) {
  return static_cast<bool>(op.getSlack());
}
static bool hasSlack(AttentionOp) { return false; }

/// Whether the iteration's matrix is the op's own times a number.
template <typename OpTy> static bool isScaledInput(OpTy op) {
  FormAttr form = op.getForm();
  return form.getInput() != scaling::Input::kernel &&
         form.getMap() == Map::exp && form.getShift() == Shift::none &&
         form.getEntryEps() == 0.0 && form.getNormalizeTotal().empty() &&
         !form.getStandardize() && !hasSlack(op) && op.getNumerics().isLog();
}

/// The points an op's matrix is made from, where it may as well be made in
/// every sweep.
static PairwiseOp findPoints(Operation *op) {
  if (auto iterate = dyn_cast<IterateOp>(op))
    return findScaledPairwise(iterate.getMatrix());
  if (auto sinkhorn = dyn_cast<SinkhornOp>(op);
      sinkhorn && isScaledInput(sinkhorn))
    return findPairwise(sinkhorn.getMatrix());
  if (auto project = dyn_cast<ProjectOp>(op); project && isScaledInput(project))
    return findPairwise(project.getMatrix());
  return {};
}

/// Whether both axes are read from one pair of factors, each entry being made
/// once for both.
static bool readsBothAxes(Operation *op) {
  auto reads = [](auto named) {
    return named.getOrder() == Order::jacobi && named.getNumerics().isLog();
  };
  if (auto iterate = dyn_cast<IterateOp>(op))
    return reads(iterate);
  if (auto sinkhorn = dyn_cast<SinkhornOp>(op))
    return reads(sinkhorn);
  if (auto project = dyn_cast<ProjectOp>(op))
    return reads(project);
  return false;
}

/// Whether costs are made anew in every sweep, rather than stored.
static bool recomputes(Operation *op, PairwiseOp points, int64_t entries,
                       int64_t bytes) {
  if (ShapedType::isDynamic(entries) || entries > kMostStored / bytes ||
      op->hasAttr(kNeverStoredAttrName))
    return true;
  int64_t depth = cast<ShapedType>(points.getX().getType()).getShape().back();
  if (!readsBothAxes(op) || ShapedType::isDynamic(depth))
    return false;
  int64_t l2 = targetInteger(op, "L2_cache_size_in_bytes", kDefaultL2Bytes);
  int64_t l3 = targetInteger(op, "L3_cache_size_in_bytes", kDefaultL3Bytes);
  int64_t level = entries * bytes <= l2 ? 0 : entries * bytes <= l3 ? 1 : 2;
  return 2.0 * depth <= kOperationsPerByte[level] * bytes;
}

/// Whether half-steps are sums of exponentials.
static bool takesExponentials(Operation *op) {
  std::optional<Attribute> numerics = op->getInherentAttr("numerics");
  auto known = dyn_cast_if_present<NumericsAttr>(numerics.value_or(nullptr));
  return known && known.isLog();
}

/// The type that an op computes in.
static Type getAccumulateType(Operation *op) {
  Type element = getElementTypeOrSelf(op->getOperand(0).getType());
  std::optional<Attribute> numerics = op->getInherentAttr("numerics");
  auto known = dyn_cast_if_present<NumericsAttr>(numerics.value_or(nullptr));
  return known ? known.getAccumulateType(element) : element;
}

/// How many bytes of a matrix and of what goes with its rows and columns a
/// GPU's thread, with 255 registers, holds beside what the half-steps need. Of
/// more, `ptxas` keeps a part in memory. Exponentials of f64 are polynomials,
/// several at once.
static int64_t getMostThreadBytes(Operation *op) {
  bool isDouble = getAccumulateType(op).isF64();
  if (takesExponentials(op))
    return isDouble ? 312 : 512;
  return isDouble ? 640 : 792;
}

/// What a thread would have to hold.
static int64_t getThreadBytesOf(Operation *op) {
  SmallVector<BatchedOperand> operands = getBatchedOperands(op);
  ProblemShape shape = *inferProblemShape(operands, "", nullptr);
  int64_t factors = shape[Size::rows] + shape[Size::cols];
  int64_t numbers = shape[Size::rows] * shape[Size::cols] + factors;
  for (const BatchedOperand &operand : operands)
    if (operand.value && operand.tail.size() == 1)
      numbers += shape[operand.tail[0]];
  std::optional<Attribute> stop = op->getInherentAttr("stop");
  // The factors before.
  if (auto known = dyn_cast_if_present<StopAttr>(stop.value_or(nullptr));
      known && !known.isFixed())
    numbers += factors;
  return numbers * (getAccumulateType(op).isF64() ? 8 : 4);
}

int64_t scaling::getTinyLanes(Operation *op, int64_t rows, int64_t cols,
                              Type element, bool mayPair) {
  if (targetsGPU(op) || rows * cols > kTinyEntries)
    return 0;
  int64_t bits = targetInteger(op, "max_vector_op_width", kDefaultVectorBits);
  int64_t l1 = targetInteger(op, "L1_cache_size_in_bytes", kDefaultL1Bytes);
  if (rows * cols * bits / 8 > kTileOfL1 * l1)
    return 0;
  int64_t vectors = 1;
  if (mayPair && rows * cols <= kPairedEntries)
    vectors = rows * cols <= kFourfoldEntries && !takesExponentials(op) ? 4 : 2;
  return vectors * bits / (element.isF64() ? 64 : 32);
}

/// Whether a GPU's sweeps make the op's matrix from points as they are.
static bool isSweptFromPoints(Operation *op) {
  auto attention = dyn_cast<AttentionOp>(op);
  PairwiseOp points = attention ? PairwiseOp() : findPoints(op);
  // Costs of a narrower type are rounded to it.
  if (attention
          ? !isScaledInput(attention)
          : !points ||
                getElementTypeOrSelf(points.getOuts()).getIntOrFloatBitWidth() <
                    32)
    return false;
  // The bias is of the queries' and keys' batches.
  if (attention && attention.getBias()) {
    auto rankOf = [](Value value) {
      return cast<ShapedType>(value.getType()).getRank();
    };
    if (rankOf(attention.getBias()) >
        std::max(rankOf(attention.getQuery()), rankOf(attention.getKey())))
      return false;
  }
  Type element =
      getElementTypeOrSelf(attention ? attention.getQuery() : points.getOuts());
  int64_t bits = std::max<int64_t>(element.getIntOrFloatBitWidth(), 32);
  auto fits = [&](Type type) {
    Type own = getElementTypeOrSelf(type);
    return !isa<FloatType>(own) ||
           static_cast<int64_t>(own.getIntOrFloatBitWidth()) <= bits;
  };
  return llvm::all_of(op->getOperandTypes(), fits) &&
         (!points ||
          llvm::all_of(points.getOperation()->getOperandTypes(), fits));
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
  // A GPU has shared memory for unknown rows up to some length.
  bool isLong = ShapedType::isDynamic(m) ? targetsGPU(op) : m > kLongRow;
  int64_t rowBlock = isLong ? kRowBlock / 2 : kRowBlock;
  auto make = [&](Regime regime, int64_t lanes, int64_t rows) {
    // On a GPU, what sweeps do not make is stored.
    return ScheduleAttr::get(context, regime, lanes, rows,
                             regime == Regime::cloud && !targetsGPU(op));
  };
  Type element = getElementTypeOrSelf(op->getOperand(0));
  int64_t bytes = element.isF64() ? 8 : 4;
  if (targetsGPU(op)) {
    if (batched && known && n * m * bytes <= kThreadBytes &&
        getThreadBytesOf(op) <= getMostThreadBytes(op))
      return make(Regime::tiny_batched, 0, 0);
    if (batched && known && n * m * bytes <= getBlockBytes(op))
      return make(Regime::resident, 0, 0);
    return make(isSweptFromPoints(op) ? Regime::cloud : Regime::streaming, 0,
                rowBlock);
  }
  if (int64_t lanes = batched && known ? getTinyLanes(op, n, m, element) : 0)
    return make(Regime::tiny_batched, lanes, 0);
  // Half of L2: the factors and the plan want room too. A batch of unknown
  // matrices goes matrix by matrix, which no shape makes much worse.
  int64_t l2 = targetInteger(op, "L2_cache_size_in_bytes", kDefaultL2Bytes) / 2;
  if (batched && (!known || n * m * bytes <= l2))
    return make(Regime::resident, 0, 0);
  if (PairwiseOp points = findPoints(op);
      points &&
      recomputes(op, points, known ? n * m : ShapedType::kDynamic, bytes))
    return make(Regime::cloud, 0, rowBlock);
  return make(Regime::streaming, 0, rowBlock);
}

LogicalResult scaling::verifySchedule(Operation *op, ScheduleAttr schedule) {
  if (!targetsGPU(op) || schedule.getRegime() == Regime::streaming)
    return success();
  if (schedule.getRegime() == Regime::cloud) {
    if (isSweptFromPoints(op))
      return success();
    return op->emitOpError("has the schedule 'cloud', of costs or logits that "
                           "sweeps make from points, which its matrix is not; "
                           "'streaming' is for any");
  }
  ProblemShape shape = *inferProblemShape(getBatchedOperands(op), "", nullptr);
  int64_t n = shape[Size::rows], m = shape[Size::cols];
  bool known = !ShapedType::isDynamic(n) && !ShapedType::isDynamic(m);
  Type element = getElementTypeOrSelf(op->getOperand(0).getType());
  int64_t bytes = element.isF64() ? 8 : 4;
  auto name = [](int64_t size) {
    return ShapedType::isDynamic(size) ? "?" : std::to_string(size);
  };
  auto fail = [&](const Twine &room) {
    return op->emitOpError("has the schedule '")
           << stringifyRegime(schedule.getRegime()) << "', " << room
           << " bytes, which " << name(n) << "x" << name(m) << " entries of "
           << bytes << " bytes do not fit; ";
  };
  if (schedule.getRegime() == Regime::tiny_batched) {
    if (known && getThreadBytesOf(op) <= getMostThreadBytes(op))
      return success();
    return fail("a matrix, its factors, marginals and masks in a thread's "
                "registers, up to " +
                Twine(getMostThreadBytes(op)))
           << "'resident' is for matrices of up to " << getBlockBytes(op)
           << " bytes, 'streaming' for any";
  }
  // A block keeps matrices of unknown sizes in global memory.
  if (!known || n * m * bytes <= getBlockBytes(op))
    return success();
  return fail("a matrix in the shared memory of a block, up to " +
              Twine(getBlockBytes(op)))
         << "'streaming' is for any";
}
