//===- KeptRows.cpp - Rows in the registers of a block --------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KeptRows.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

/// Registers of 32 bits that a thread has for entries, for what their columns
/// have and for sums of these.
static constexpr int64_t kMostRegisters = 152;

/// The same where the length of a row is unknown: conditions take registers
/// too.
static constexpr int64_t kMostRegistersUnknown = 80;

/// Sums of a row that do not wait for each other, where there are few rows.
static constexpr int64_t kMostChains = 4;

//===----------------------------------------------------------------------===//
// Which loops
//===----------------------------------------------------------------------===//

static bool isMatrix(linalg::GenericOp op, OpOperand &operand) {
  return isa<MemRefType>(operand.get().getType()) &&
         op.getMatchingIndexingMap(&operand).isIdentity();
}

bool KeptRows::isOfColumns(linalg::GenericOp op) {
  return op.getIteratorTypesArray()[0] == IteratorType::reduction;
}

static bool isOfRows(linalg::GenericOp op) {
  return op.getIteratorTypesArray()[1] == IteratorType::reduction;
}

/// Whether it is about the entries of some rows: makes others of them, or
/// reduces rows or columns.
static bool isOnRows(linalg::GenericOp op) {
  if (op.getNumLoops() != 2)
    return false;
  for (OpOperand &operand : op->getOpOperands())
    if (!llvm::all_of(op.getMatchingIndexingMap(&operand).getResults(),
                      llvm::IsaPred<AffineDimExpr>))
      return false;
  bool ofRows = isOfRows(op), ofColumns = KeptRows::isOfColumns(op);
  if (ofRows && ofColumns)
    return false;
  if ((ofRows || ofColumns) && findCombiners(op).empty())
    return false;
  return llvm::all_of(op.getDpsInitsMutable(), [&](OpOperand &out) {
    auto type = dyn_cast<MemRefType>(out.get().getType());
    if (!type || !type.getElementType().isIntOrFloat())
      return false;
    if (!ofRows && !ofColumns)
      return isMatrix(op, out) && !op.payloadUsesValueFromOperand(&out);
    AffineMap map = op.getMatchingIndexingMap(&out);
    return map.getNumResults() == 1 &&
           map.getResult(0) ==
               getAffineDimExpr(ofRows ? 0 : 1, op.getContext());
  });
}

static int64_t getWords(Type element) {
  return llvm::divideCeil(element.getIntOrFloatBitWidth(), 32);
}

/// A number for every row and warp.
static MemRefType getExchangeType(Value out, int64_t rows, int64_t threads) {
  return MemRefType::get({rows * threads / kWarpThreads},
                         cast<MemRefType>(out.getType()).getElementType());
}

std::optional<KeptRows> KeptRows::find(scf::ForOp loop, int64_t threads,
                                       function_ref<void *(Value)> getBuffer) {
  KeptRows kept;
  if (loop.getNumResults() != 0)
    return std::nullopt;
  // What else there is has nothing to do with the rows.
  for (Operation &op : loop.getBody()->without_terminator()) {
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (generic && isOnRows(generic)) {
      kept.ops.push_back(generic);
      continue;
    }
    if (auto structured = dyn_cast<linalg::LinalgOp>(op)) {
      if (structured.getNumLoops() > 1)
        return std::nullopt;
      continue;
    }
    WalkResult found = op.walk([](Operation *inner) {
      return isa<linalg::LinalgOp, memref::LoadOp, memref::StoreOp,
                 memref::CopyOp>(inner)
                 ? WalkResult::interrupt()
                 : WalkResult::advance();
    });
    if (found.wasInterrupted())
      return std::nullopt;
  }
  // Rows that are read once may as well be read from memory.
  llvm::SmallDenseMap<Value, int64_t> uses;
  llvm::SmallDenseSet<void *> written, sums;
  int64_t perColumn = 0, widest = 1;
  std::optional<int64_t> most;
  auto isOutside = [&](Value value) {
    return !loop->isAncestor(value.getParentRegion()->getParentOp());
  };
  for (linalg::GenericOp op : kept.ops) {
    for (OpOperand &operand : op->getOpOperands()) {
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      if (!type)
        continue;
      if (!type.getElementType().isIntOrFloat())
        return std::nullopt;
      int64_t bits = std::max(8u, type.getElementTypeBitWidth());
      widest = std::max(widest, 8 * kAccessBytes / bits);
      if (isMatrix(op, operand)) {
        if (op.isDpsInit(&operand))
          written.insert(getBuffer(operand.get()));
        if (uses[operand.get()]++ == 0 || !kept.rows) {
          SmallVector<OpFoldResult> sizes = getSizes(operand.get());
          if (sizes.size() != 2 || type.isDynamicDim(0) ||
              (kept.rows && type.getDimSize(0) != kept.rows))
            return std::nullopt;
          kept.rows = type.getDimSize(0);
          kept.columns = sizes[1];
          most = getUpperBound(sizes[1]);
        }
        continue;
      }
      bool ofColumns = op.getMatchingIndexingMap(&operand).isFunctionOfDim(1);
      if (!ofColumns)
        continue;
      perColumn += getWords(type.getElementType());
      if (!op.isDpsInit(&operand))
        continue;
      // Sums that the loop carries: nothing in it reads them.
      if (!isOutside(operand.get()) ||
          llvm::any_of(operand.get().getUsers(), [&](Operation *user) {
            return user != op && loop->isProperAncestor(user);
          }))
        return std::nullopt;
      sums.insert(getBuffer(operand.get()));
    }
  }
  bool isReadAgain = false;
  for (auto [matrix, count] : uses) {
    if (count == 1)
      continue;
    isReadAgain = true;
    perColumn += kept.rows *
                 getWords(cast<MemRefType>(matrix.getType()).getElementType());
  }
  if (!isReadAgain || !most || written.contains(nullptr) ||
      sums.contains(nullptr) || kept.rows > kWarpThreads)
    return std::nullopt;
  // A matrix that is written is not read as another one.
  for (auto &entry : uses) {
    Value matrix = entry.first;
    bool isOut = llvm::any_of(kept.ops, [&](linalg::GenericOp op) {
      return llvm::is_contained(op.getOutputs(), matrix);
    });
    void *buffer = getBuffer(matrix);
    if (!isOut && !written.empty() && (!buffer || written.contains(buffer)))
      return std::nullopt;
  }
  for (linalg::GenericOp op : kept.ops)
    if (isOfRows(op))
      for (Value out : op.getDpsInits())
        kept.exchangeBytes +=
            getExchangeType(out, kept.rows, threads).getNumElements() * 8 + 64;
  kept.vector = 16;
  for (linalg::GenericOp op : kept.ops)
    kept.vector = std::min(kept.vector, getVector(op, 1, kept.columns));
  kept.chunks = llvm::divideCeil(*most, threads * kept.vector);
  // As many registers wherever the rows are: copies may be aligned otherwise.
  int64_t perThread = llvm::alignTo(llvm::divideCeil(*most, threads), widest);
  int64_t registers = getConstantIntValue(kept.columns) ? kMostRegisters
                                                        : kMostRegistersUnknown;
  if (kept.chunks == 0 || perThread * perColumn > registers)
    return std::nullopt;
  return kept;
}

linalg::FillOp KeptRows::findFill(Value buffer) const {
  linalg::FillOp fill;
  linalg::GenericOp adder;
  for (Operation *user : buffer.getUsers()) {
    auto found = dyn_cast<linalg::FillOp>(user);
    if (found ? fill != nullptr : adder != nullptr)
      return nullptr;
    if (found)
      fill = found;
    else if (llvm::is_contained(ops, user))
      adder = cast<linalg::GenericOp>(user);
    else
      return nullptr;
  }
  if (!fill || !adder || !isOfColumns(adder) || adder.getNumDpsInits() != 1)
    return nullptr;
  Operation *loop = adder->getParentOp();
  Attribute value;
  bool isNeutral = matchPattern(fill.value(), m_Constant(&value)) &&
                   value == *arith::getNeutralElement(findCombiners(adder)[0]);
  return isNeutral && fill->getBlock() == loop->getBlock() &&
                 fill->isBeforeInBlock(loop)
             ? fill
             : nullptr;
}

//===----------------------------------------------------------------------===//
// What threads do
//===----------------------------------------------------------------------===//

RowKeeper::RowKeeper(RewriterBase &b, scf::ForOp loop, KeptRows rows,
                     const Workers &workers,
                     function_ref<Value(MemRefType)> allocate)
    : b(b), loop(loop), kept(std::move(rows)), workers(workers),
      loc(loop.getLoc()) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(loop);
  int64_t threads = *getConstantIntValue(workers.numThreads);
  firstColumn =
      b.createOrFold<arith::MulIOp>(loc, workers.thread, index(kept.vector));
  std::optional<int64_t> known = getConstantIntValue(kept.columns);
  for (int64_t chunk = 0; chunk < kept.chunks; ++chunk) {
    if (known && *known >= (chunk + 1) * threads * kept.vector) {
      guards.push_back({});
      continue;
    }
    guards.push_back(arith::CmpIOp::create(
        b, loc, arith::CmpIPredicate::ult, columnOf(chunk, 0),
        getValueOrCreateConstantIndexOp(b, loc, kept.columns)));
  }
  Entries neutral;
  for (linalg::GenericOp op : kept.ops) {
    SmallVector<Operation *> combiners = findCombiners(op);
    for (OpOperand *input : op.getDpsInputOperands()) {
      auto type = dyn_cast<MemRefType>(input->get().getType());
      AffineMap map = op.getMatchingIndexingMap(input);
      // What the loop does not write is the same for all rows. Rows of unknown
      // length want the registers.
      if (!type || !known || map.getNumResults() != 1 ||
          !map.isFunctionOfDim(1) ||
          loop->isAncestor(input->get().getParentRegion()->getParentOp()))
        continue;
      Entries &columns = ofColumns[input];
      for (int64_t chunk = 0; chunk < kept.chunks; ++chunk)
        llvm::append_range(columns, loadColumns(*input, chunk));
    }
    if (isOfRows(op))
      for (Value out : op.getDpsInits())
        exchanges[op].push_back(
            allocate(getExchangeType(out, kept.rows, threads)));
    if (!KeptRows::isOfColumns(op))
      continue;
    firstSums[op] = neutral.size();
    for (int64_t i = 0; i < kept.chunks * kept.vector; ++i)
      for (Operation *combiner : combiners)
        neutral.push_back(arith::ConstantOp::create(
            b, loc, *arith::getNeutralElement(combiner)));
  }
  // What is added comes later.
  this->loop = cast<scf::ForOp>(
      *cast<LoopLikeOpInterface>(*loop).replaceWithAdditionalYields(
          b, neutral,
          /*replaceInitOperandUsesInLoop=*/false,
          [](OpBuilder &, Location, ArrayRef<BlockArgument> sums) {
            return Entries(sums.begin(), sums.end());
          }));
}

int64_t RowKeeper::furtherOf(int64_t chunk) {
  return chunk * *getConstantIntValue(workers.numThreads) * kept.vector;
}

Value RowKeeper::columnOf(int64_t chunk, int64_t neighbour) {
  return b.createOrFold<arith::AddIOp>(loc, firstColumn,
                                       index(furtherOf(chunk) + neighbour));
}

RowKeeper::Entries RowKeeper::inChunk(int64_t chunk, ValueRange otherwise,
                                      function_ref<Entries()> body) {
  if (!guards[chunk])
    return body();
  OpBuilder::InsertionGuard guard(b);
  auto has = scf::IfOp::create(b, loc, otherwise.getTypes(), guards[chunk],
                               /*withElseRegion=*/!otherwise.empty());
  b.setInsertionPointToStart(has.thenBlock());
  Entries results = body();
  if (otherwise.empty())
    return {};
  scf::YieldOp::create(b, loc, results);
  b.setInsertionPointToStart(has.elseBlock());
  scf::YieldOp::create(b, loc, otherwise);
  return Entries(has.getResults());
}

Value RowKeeper::fromOwn(Value matrix) {
  Value length = getValueOrCreateConstantIndexOp(b, loc, kept.columns);
  Value rest = arith::SubIOp::create(b, loc, length, firstColumn);
  SmallVector<OpFoldResult> offsets{b.getIndexAttr(0), firstColumn},
      sizes{b.getIndexAttr(kept.rows), rest},
      steps{b.getIndexAttr(1), b.getIndexAttr(1)};
  return memref::SubViewOp::create(b, loc, matrix, offsets, sizes, steps);
}

RowKeeper::Entries RowKeeper::loadRows(Value matrix) {
  Type element = cast<MemRefType>(matrix.getType()).getElementType();
  bool isKnown = getConstantIntValue(kept.columns).has_value();
  if (!isKnown)
    matrix = fromOwn(matrix);
  Entries entries;
  for (int64_t chunk = 0; chunk < kept.chunks; ++chunk) {
    Entries otherwise;
    if (guards[chunk])
      otherwise.assign(perChunk(),
                       LLVM::PoisonOp::create(b, loc, element).getResult());
    llvm::append_range(
        entries, inChunk(chunk, otherwise, [&] {
          Entries own;
          for (int64_t row = 0; row < kept.rows; ++row)
            for (int64_t i = 0; i < kept.vector; ++i) {
              Value column =
                  isKnown ? columnOf(chunk, i) : index(furtherOf(chunk) + i);
              own.push_back(memref::LoadOp::create(
                  b, loc, matrix, ValueRange{index(row), column}));
            }
          return own;
        }));
  }
  return entries;
}

Value RowKeeper::loadAt(OpOperand &operand, int64_t row, Value column) {
  auto op = cast<linalg::GenericOp>(operand.getOwner());
  SmallVector<Value> indices;
  for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults())
    indices.push_back(cast<AffineDimExpr>(expr).getPosition() == 0 ? index(row)
                                                                   : column);
  return memref::LoadOp::create(b, loc, operand.get(), indices);
}

RowKeeper::Entries RowKeeper::loadColumns(OpOperand &operand, int64_t chunk) {
  Type element = cast<MemRefType>(operand.get().getType()).getElementType();
  Entries otherwise;
  if (guards[chunk])
    otherwise.assign(kept.vector,
                     LLVM::PoisonOp::create(b, loc, element).getResult());
  return inChunk(chunk, otherwise, [&] {
    Entries entries;
    for (int64_t i = 0; i < kept.vector; ++i)
      entries.push_back(loadAt(operand, 0, columnOf(chunk, i)));
    return entries;
  });
}

const RowKeeper::Entries &RowKeeper::entriesOf(linalg::GenericOp op,
                                               OpOperand &operand) {
  auto [place, isNew] = matrices.try_emplace(operand.get());
  if (isNew) {
    Entries entries = loadRows(operand.get());
    place->second = std::move(entries);
  }
  return place->second;
}

void RowKeeper::prepare(linalg::GenericOp op) {
  for (OpOperand *input : op.getDpsInputOperands()) {
    if (!isa<MemRefType>(input->get().getType()) || ofColumns.contains(input))
      continue;
    AffineMap map = op.getMatchingIndexingMap(input);
    if (isMatrix(op, *input)) {
      (void)entriesOf(op, *input);
    } else if (!map.isFunctionOfDim(1)) {
      Entries &rows = ofRows[input];
      for (int64_t row = 0; row < kept.rows; ++row)
        rows.push_back(loadAt(*input, row, Value()));
    }
  }
}

RowKeeper::Entries RowKeeper::emitBody(linalg::GenericOp op, int64_t chunk,
                                       int64_t row, int64_t neighbour,
                                       ValueRange states) {
  IRMapping mapping;
  int64_t column = chunk * kept.vector + neighbour;
  for (OpOperand *input : op.getDpsInputOperands()) {
    Value value = input->get();
    if (isa<MemRefType>(value.getType())) {
      if (auto known = ofColumns.find(input); known != ofColumns.end())
        value = known->second[column];
      else if (auto known = ofRows.find(input); known != ofRows.end())
        value = known->second[row];
      else if (isMatrix(op, *input))
        value =
            matrices.find(value)
                ->second[chunk * perChunk() + row * kept.vector + neighbour];
      else
        value = loadAt(*input, row, columnOf(chunk, neighbour));
    }
    mapping.map(op.getMatchingBlockArgument(input), value);
  }
  if (!states.empty())
    mapping.map(op.getRegionOutputArgs(), states);
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (auto position = dyn_cast<linalg::IndexOp>(inner)) {
      mapping.map(position.getResult(), position.getDim() == 0
                                            ? index(row)
                                            : columnOf(chunk, neighbour));
      continue;
    }
    b.clone(inner, mapping);
  }
  return llvm::map_to_vector(
      op.getBody()->getTerminator()->getOperands(),
      [&](Value value) { return mapping.lookupOrDefault(value); });
}

void RowKeeper::emitEntries(linalg::GenericOp op) {
  SmallVector<Entries> results(op.getNumDpsInits());
  for (int64_t chunk = 0; chunk < kept.chunks; ++chunk) {
    Entries otherwise;
    for (Value out : op.getDpsInits()) {
      Type element = cast<MemRefType>(out.getType()).getElementType();
      if (guards[chunk])
        otherwise.append(perChunk(), LLVM::PoisonOp::create(b, loc, element));
    }
    Entries made = inChunk(chunk, otherwise, [&] {
      Entries own(perChunk() * results.size());
      for (int64_t row = 0; row < kept.rows; ++row)
        for (int64_t i = 0; i < kept.vector; ++i)
          for (auto [out, value] :
               llvm::enumerate(emitBody(op, chunk, row, i, {})))
            own[out * perChunk() + row * kept.vector + i] = value;
      for (auto [out, operand] : llvm::enumerate(op.getDpsInits()))
        for (int64_t row = 0; row < kept.rows; ++row)
          for (int64_t i = 0; i < kept.vector; ++i)
            memref::StoreOp::create(
                b, loc, own[out * perChunk() + row * kept.vector + i], operand,
                ValueRange{index(row), columnOf(chunk, i)});
      return own;
    });
    for (auto [out, all] : llvm::enumerate(results))
      llvm::append_range(all,
                         ArrayRef(made).slice(out * perChunk(), perChunk()));
  }
  for (auto [out, entries] : llvm::zip_equal(op.getDpsInits(), results))
    matrices[out] = std::move(entries);
}

void RowKeeper::emitRows(linalg::GenericOp op) {
  SmallVector<Operation *> combiners = findCombiners(op);
  int64_t outputs = combiners.size();
  int64_t chains = std::clamp<int64_t>(kMostChains / kept.rows, 1, kept.vector);
  chains = llvm::bit_floor<uint64_t>(chains);
  Entries states;
  for (int64_t i = 0; i < kept.rows * chains; ++i)
    for (Operation *combiner : combiners)
      states.push_back(arith::ConstantOp::create(
          b, loc, *arith::getNeutralElement(combiner)));
  for (int64_t chunk = 0; chunk < kept.chunks; ++chunk)
    states = inChunk(chunk, states, [&] {
      Entries next = states;
      for (int64_t i = 0; i < kept.vector; ++i)
        for (int64_t row = 0; row < kept.rows; ++row) {
          auto own = MutableArrayRef(next).slice(
              (row * chains + i % chains) * outputs, outputs);
          llvm::copy(emitBody(op, chunk, row, i, ValueRange(own)), own.begin());
        }
      return next;
    });
  // A row's sum is with some lanes of every warp, the first of which tells.
  int64_t all = llvm::PowerOf2Ceil(kept.rows), perRow = kWarpThreads / all;
  int64_t numWarps = *getConstantIntValue(workers.numWarps);
  Value row = arith::DivUIOp::create(b, loc, workers.lane, index(perRow));
  Value place = arith::RemUIOp::create(b, loc, workers.lane, index(perRow));
  Value tells =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, place, index(0));
  if (all != kept.rows)
    tells = arith::AndIOp::create(
        b, loc, tells,
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, row,
                              index(kept.rows)));
  Entries results;
  for (auto [out, combiner] : llvm::enumerate(combiners)) {
    Entries ofRows;
    for (int64_t i = 0; i < all; ++i) {
      if (i >= kept.rows) {
        ofRows.push_back(arith::ConstantOp::create(
            b, loc, *arith::getNeutralElement(combiner)));
        continue;
      }
      Value sum = states[i * chains * outputs + out];
      for (int64_t chain = 1; chain < chains; ++chain)
        sum = combine(b, loc, combiner, sum,
                      states[(i * chains + chain) * outputs + out]);
      ofRows.push_back(sum);
    }
    butterfly(b, loc, combiner, ofRows, workers.lane, kWarpThreads / 2, 1);
    results.push_back(ofRows[0]);
  }
  const Entries &exchange = exchanges.find(op)->second;
  auto tell = scf::IfOp::create(b, loc, tells, /*withElseRegion=*/false);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(tell.thenBlock());
    Value first = arith::MulIOp::create(b, loc, workers.warp, index(kept.rows));
    Value at = arith::AddIOp::create(b, loc, first, row);
    for (auto [buffer, value] : llvm::zip_equal(exchange, results))
      memref::StoreOp::create(b, loc, value, buffer, at);
  }
  gpu::BarrierOp::create(b, loc);
  Value joins = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult,
                                      workers.thread, index(kept.rows));
  auto join = scf::IfOp::create(b, loc, joins, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(join.thenBlock());
  for (auto [out, combiner, buffer] :
       llvm::zip_equal(op.getDpsInits(), combiners, exchange)) {
    Value state = memref::LoadOp::create(b, loc, out, workers.thread);
    for (int64_t warp = 0; warp < numWarps; ++warp) {
      Value at = b.createOrFold<arith::AddIOp>(loc, workers.thread,
                                               index(warp * kept.rows));
      state = combine(b, loc, combiner, state,
                      memref::LoadOp::create(b, loc, buffer, at));
    }
    memref::StoreOp::create(b, loc, state, out, workers.thread);
  }
}

void RowKeeper::emitColumns(linalg::GenericOp op) {
  int64_t outputs = op.getNumDpsInits(), perChunk = kept.vector * outputs;
  int64_t first = firstSums.lookup(op);
  auto yield = cast<scf::YieldOp>(loop.getBody()->getTerminator());
  for (int64_t chunk = 0; chunk < kept.chunks; ++chunk) {
    int64_t begin = first + chunk * perChunk;
    ValueRange sums =
        ValueRange(loop.getRegionIterArgs()).slice(begin, perChunk);
    Entries next = inChunk(chunk, sums, [&] {
      Entries own(sums);
      for (int64_t row = 0; row < kept.rows; ++row)
        for (int64_t i = 0; i < kept.vector; ++i) {
          auto states = MutableArrayRef(own).slice(i * outputs, outputs);
          llvm::copy(emitBody(op, chunk, row, i, ValueRange(states)),
                     states.begin());
        }
      return own;
    });
    b.modifyOpInPlace(yield, [&] {
      for (auto [i, value] : llvm::enumerate(next))
        yield->setOperand(begin + i, value);
    });
  }
}

void RowKeeper::emit(linalg::GenericOp op) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPoint(op);
  prepare(op);
  if (KeptRows::isOfColumns(op))
    emitColumns(op);
  else if (isOfRows(op))
    emitRows(op);
  else
    emitEntries(op);
}

void RowKeeper::finish() {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointAfter(loop);
  for (linalg::GenericOp op : kept.ops) {
    if (!KeptRows::isOfColumns(op))
      continue;
    SmallVector<Operation *> combiners = findCombiners(op);
    bool overwrites = op->hasAttr(kOverwritesAttrName);
    int64_t outputs = combiners.size(), first = firstSums.lookup(op);
    for (int64_t chunk = 0; chunk < kept.chunks; ++chunk)
      (void)inChunk(chunk, {}, [&] {
        Entries sums;
        for (int64_t i = 0; i < kept.vector; ++i)
          for (auto [out, combiner] : llvm::enumerate(combiners)) {
            int64_t number = (chunk * kept.vector + i) * outputs + out;
            Value sum = loop.getResult(first + number);
            if (!overwrites)
              sum = combine(b, loc, combiner,
                            memref::LoadOp::create(b, loc, op.getOutputs()[out],
                                                   columnOf(chunk, i)),
                            sum);
            sums.push_back(sum);
          }
        for (int64_t i = 0; i < kept.vector; ++i)
          for (int64_t out = 0; out < outputs; ++out)
            memref::StoreOp::create(b, loc, sums[i * outputs + out],
                                    op.getOutputs()[out], columnOf(chunk, i));
        return Entries();
      });
  }
  for (linalg::GenericOp op : kept.ops)
    b.eraseOp(op);
}
