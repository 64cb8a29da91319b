//===- VectorEmitter.cpp - What the patterns build loops with -------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "VectorEmitter.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace mlir::scaling;

MappedBuffer BufferReader::read(Value value) {
  if (!value)
    return {};
  return {value, dims[next++]};
}

SmallVector<MappedBuffer> BufferReader::read(ValueRange values) {
  SmallVector<MappedBuffer> buffers;
  for (Value value : values)
    buffers.push_back(read(value));
  return buffers;
}

FloatType scaling::getArithmeticType(ArrayRef<Value> values) {
  FloatType widest;
  for (Value value : values) {
    if (!value)
      continue;
    auto type = dyn_cast<FloatType>(getElementTypeOrSelf(value));
    if (type && (!widest || type.getWidth() > widest.getWidth()))
      widest = type;
  }
  return widest.getWidth() < 32 ? Float32Type::get(widest.getContext())
                                : widest;
}

bool scaling::isOnBuffers(Operation *op) {
  return llvm::none_of(op->getOperandTypes(), llvm::IsaPred<TensorType>);
}

/// Whether neighbours along the last dimension are neighbours in memory.
static bool isContiguous(Value buffer) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return succeeded(cast<MemRefType>(buffer.getType())
                       .getStridesAndOffset(strides, offset)) &&
         !strides.empty() && strides.back() == 1;
}

VectorEmitter::VectorEmitter(RewriterBase &builder, Location loc,
                             FloatType compute, int64_t vectorDim,
                             const ScalingToVectorPassOptions &options)
    : b(builder), loc(loc), compute(compute), vectorDim(vectorDim),
      contract(options.contract),
      lanes(options.vectorBits / compute.getWidth()),
      // Accumulators and factors of a block stay in registers: AVX-512 has
      // twice as many as those before it.
      rowBlock(options.vectorBits >= 512 ? 8 : 4) {}

void VectorEmitter::chooseLanes(ArrayRef<MappedBuffer> buffers) {
  for (const MappedBuffer &buffer : buffers) {
    if (!buffer || buffer.dims.empty() || buffer.dims.back() != vectorDim)
      continue;
    int64_t size = cast<MemRefType>(buffer.value.getType()).getShape().back();
    if (!ShapedType::isDynamic(size))
      lanes = std::min<int64_t>(lanes,
                                llvm::PowerOf2Ceil(std::max<int64_t>(size, 1)));
    if (!isContiguous(buffer.value))
      lanes = 1;
  }
}

bool VectorEmitter::isContiguousAlong(const MappedBuffer &buffer,
                                      int64_t dim) const {
  return buffer.dims.back() == dim && isContiguous(buffer.value);
}

Type VectorEmitter::typeOf(int64_t count, Type element) const {
  return count == 1 ? element : VectorType::get(count, element);
}

//===----------------------------------------------------------------------===//
// Indices and loops
//===----------------------------------------------------------------------===//

std::optional<int64_t> VectorEmitter::known(Value index) {
  return getConstantIntValue(getAsOpFoldResult(index));
}

Value VectorEmitter::index(int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}

Value VectorEmitter::add(Value lhs, Value rhs) {
  return b.createOrFold<arith::AddIOp>(loc, lhs, rhs);
}

Value VectorEmitter::sub(Value lhs, Value rhs) {
  return b.createOrFold<arith::SubIOp>(loc, lhs, rhs);
}

Value VectorEmitter::minimum(Value lhs, Value rhs) {
  return b.createOrFold<arith::MinSIOp>(loc, lhs, rhs);
}

Value VectorEmitter::roundDown(Value size, int64_t width) {
  if (width == 1)
    return size;
  if (std::optional<int64_t> constant = known(size))
    return index(*constant / width * width);
  Value rest = arith::RemUIOp::create(b, loc, size, index(width));
  return sub(size, rest);
}

Value VectorEmitter::sizeOf(int64_t dim, ArrayRef<MappedBuffer> buffers) {
  Value buffer;
  int64_t position = 0;
  for (const MappedBuffer &candidate : buffers) {
    const auto *it = llvm::find(candidate.dims, dim);
    if (!candidate || it == candidate.dims.end())
      continue;
    auto type = cast<MemRefType>(candidate.value.getType());
    int64_t at = it - candidate.dims.begin();
    if (!type.isDynamicDim(at))
      return index(type.getDimSize(at));
    if (!buffer)
      buffer = candidate.value, position = at;
  }
  assert(buffer && "every dimension is a buffer's");
  return memref::DimOp::create(b, loc, buffer, position);
}

SmallVector<Value> VectorEmitter::loop(Value begin, Value end, int64_t step,
                                       ValueRange carried, LoopBody body) {
  std::optional<int64_t> first = known(begin), last = known(end);
  if (first && last && *first >= *last)
    return carried;
  if (first && last && *first + step >= *last)
    return body(begin, carried);
  if (unrolls && first && last) {
    SmallVector<Value> values(carried);
    for (int64_t iv = *first; iv < *last; iv += step)
      values = body(index(iv), values);
    return values;
  }
  auto loop = scf::ForOp::create(b, loc, begin, end, index(step), carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  SmallVector<Value> next =
      body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!carried.empty())
    scf::YieldOp::create(b, loc, next);
  return loop.getResults();
}

void VectorEmitter::loop(Value begin, Value end, int64_t step,
                         function_ref<void(Value)> body) {
  loop(begin, end, step, ValueRange{},
       [&](Value iv, ValueRange) -> SmallVector<Value> {
         body(iv);
         return {};
       });
}

void VectorEmitter::nest(Position &at, ArrayRef<int64_t> dims,
                         ArrayRef<Value> sizes, function_ref<void()> body) {
  if (dims.empty())
    return body();
  loop(index(0), sizes.front(), 1, [&](Value iv) {
    at[dims.front()] = iv;
    nest(at, dims.drop_front(), sizes.drop_front(), body);
  });
}

SmallVector<Value>
VectorEmitter::branch(Value condition, ValueRange carried,
                      function_ref<SmallVector<Value>()> body) {
  bool results = !carried.empty();
  auto branch = scf::IfOp::create(b, loc, carried.getTypes(), condition,
                                  /*withElseRegion=*/results);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  SmallVector<Value> next = body();
  if (results) {
    scf::YieldOp::create(b, loc, next);
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, loc, carried);
  }
  return branch.getResults();
}

void VectorEmitter::blocks(Value size, int64_t width,
                           function_ref<void(Value, int64_t)> body) {
  Value whole = roundDown(size, width);
  loop(index(0), whole, width, [&](Value iv) { body(iv, width); });
  if (std::optional<int64_t> constant = known(size)) {
    if (int64_t rest = *constant % width)
      body(whole, rest);
    return;
  }
  if (width > 1)
    loop(whole, size, 1, [&](Value iv) { body(iv, 1); });
}

Value VectorEmitter::maskOfFirst(Value count) {
  auto type = VectorType::get(lanes, b.getI1Type());
  return vector::CreateMaskOp::create(b, loc, type, count);
}

void VectorEmitter::vectors(Value begin, Value end,
                            function_ref<void(Value, Value)> body) {
  vectors(begin, end, 1, ValueRange{},
          [&](ArrayRef<Value> begins, ArrayRef<Value> masks,
              ValueRange) -> SmallVector<Value> {
            body(begins[0], masks[0]);
            return {};
          });
}

SmallVector<Value> VectorEmitter::vectors(
    Value begin, Value end, int64_t unroll, ValueRange carried,
    function_ref<SmallVector<Value>(ArrayRef<Value>, ArrayRef<Value>,
                                    ValueRange)>
        body) {
  int64_t step = lanes * unroll;
  Value size = sub(end, begin);
  Value whole = add(begin, roundDown(size, step));
  SmallVector<Value> values =
      loop(begin, whole, step, carried, [&](Value iv, ValueRange values) {
        SmallVector<Value> begins;
        for (int64_t i = 0; i < unroll; ++i)
          begins.push_back(add(iv, index(i * lanes)));
        return body(begins, SmallVector<Value>(unroll), values);
      });
  if (step == 1)
    return values;

  std::optional<int64_t> constant = known(size);
  if (constant && *constant % step == 0)
    return values;
  Value rest = sub(end, whole);
  auto last = [&] {
    SmallVector<Value> begins, masks;
    for (int64_t i = 0; i < unroll; ++i) {
      int64_t done = i * lanes;
      if (constant && *constant % step <= done)
        break;
      bool isWhole = constant && *constant % step >= done + lanes;
      begins.push_back(add(whole, index(done)));
      masks.push_back(isWhole || lanes == 1
                          ? Value()
                          : maskOfFirst(sub(rest, index(done))));
    }
    return body(begins, masks, values);
  };
  if (constant)
    return last();
  Value any =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, rest, index(0));
  return branch(any, values, last);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

SmallVector<Value> VectorEmitter::indicesOf(const MappedBuffer &buffer,
                                            const Position &at) {
  return llvm::map_to_vector(buffer.dims, [&](int64_t dim) {
    return dim == kNoDim ? index(0) : at[dim];
  });
}

Value VectorEmitter::asBytes(Value buffer) {
  // The two types are one in LLVM, where the cast disappears; in between no
  // upstream op changes an element type.
  auto type = cast<MemRefType>(buffer.getType());
  Type bytes = MemRefType::get(type.getShape(), b.getI8Type(), type.getLayout(),
                               type.getMemorySpace());
  return UnrealizedConversionCastOp::create(b, loc, bytes, buffer).getResult(0);
}

Value VectorEmitter::loadVector(Value buffer, ValueRange indices, Value mask,
                                int64_t count, bool raw) {
  Type element = cast<MemRefType>(buffer.getType()).getElementType();
  bool isMask = element.isInteger(1);
  if (isMask) {
    buffer = asBytes(buffer);
    element = b.getI8Type();
  }
  auto type = VectorType::get(count, element);
  Value zero;
  if (mask || isMask)
    zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  Value value;
  if (mask)
    value =
        vector::MaskedLoadOp::create(b, loc, type, buffer, indices, mask, zero);
  else
    value = vector::LoadOp::create(b, loc, type, buffer, indices);
  if (isMask)
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, value, zero);
  return raw ? value : castFloat(b, loc, value, compute);
}

Value VectorEmitter::loadScalar(const MappedBuffer &buffer,
                                const Position &at) {
  if (!buffer)
    return nullptr;
  Value value = buffer.value;
  if (isa<MemRefType>(value.getType()))
    value = memref::LoadOp::create(b, loc, value, indicesOf(buffer, at));
  if (!isa<FloatType>(value.getType()))
    return value;
  return castFloat(b, loc, value, compute);
}

Value VectorEmitter::load(const MappedBuffer &buffer, const Position &at,
                          Value mask) {
  if (!buffer)
    return nullptr;
  if (lanes == 1 || !buffer.runsAlong(vectorDim))
    return splat(loadScalar(buffer, at));
  return loadVector(buffer.value, indicesOf(buffer, at), mask, lanes);
}

void VectorEmitter::store(const MappedBuffer &buffer, const Position &at,
                          Value value, Value mask) {
  SmallVector<Value> indices = indicesOf(buffer, at);
  if (isa<FloatType>(getElementTypeOrSelf(value)))
    value = castFloat(b, loc, value, getElementTypeOrSelf(buffer.value));
  if (!isa<VectorType>(value.getType()))
    memref::StoreOp::create(b, loc, value, buffer.value, indices);
  else if (mask)
    vector::MaskedStoreOp::create(b, loc, buffer.value, indices, mask, value);
  else
    vector::StoreOp::create(b, loc, value, buffer.value, indices);
}

void VectorEmitter::prefetch(const MappedBuffer &buffer, const Position &at) {
  memref::PrefetchOp::create(b, loc, buffer.value, indicesOf(buffer, at),
                             /*isWrite=*/false, /*localityHint=*/3,
                             /*isDataCache=*/true);
}

Value VectorEmitter::loadRaw(const MappedBuffer &buffer, const Position &at,
                             Value mask) {
  Value value = buffer.value;
  if (lanes > 1 && buffer.runsAlong(vectorDim))
    return loadVector(value, indicesOf(buffer, at), mask, lanes, /*raw=*/true);
  if (isa<MemRefType>(value.getType()))
    value = memref::LoadOp::create(b, loc, value, indicesOf(buffer, at));
  return splat(value);
}

void VectorEmitter::storeRaw(const MappedBuffer &buffer, const Position &at,
                             Value value, Value mask) {
  auto type = dyn_cast<VectorType>(value.getType());
  if (!type || !type.getElementType().isInteger(1))
    return store(buffer, at, value, mask);
  value = arith::ExtUIOp::create(
      b, loc, VectorType::get(type.getShape(), b.getI8Type()), value);
  store({asBytes(buffer.value), buffer.dims}, at, value, mask);
}

Value VectorEmitter::loadAlong(const MappedBuffer &buffer, const Position &at,
                               int64_t dim, int64_t count) {
  if (count == 1)
    return loadScalar(buffer, at);
  if (isContiguousAlong(buffer, dim))
    return loadVector(buffer.value, indicesOf(buffer, at), nullptr, count);
  SmallVector<Value> elements;
  Position each = at;
  for (int64_t i = 0; i < count; ++i) {
    each[dim] = add(at[dim], index(i));
    elements.push_back(loadScalar(buffer, each));
  }
  return vector::FromElementsOp::create(b, loc, cast<VectorType>(typeOf(count)),
                                        elements);
}

void VectorEmitter::storeAlong(const MappedBuffer &buffer, const Position &at,
                               int64_t dim, int64_t count, Value value) {
  if (count == 1 || isContiguousAlong(buffer, dim))
    return store(buffer, at, value);
  Position each = at;
  for (int64_t i = 0; i < count; ++i) {
    each[dim] = add(at[dim], index(i));
    store(buffer, each, extract(value, i));
  }
}

Value VectorEmitter::scratch(ArrayRef<int64_t> shape, Type element) {
  // In the frame of the function or the thread: an allocation in a loop would
  // grow the stack.
  Operation *frame = b.getInsertionBlock()->getParentOp();
  Block *block = b.getInsertionBlock();
  while (!isa<FunctionOpInterface, scf::ForallOp, scf::ParallelOp>(frame)) {
    block = frame->getBlock();
    frame = block->getParentOp();
  }
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(
      isa<FunctionOpInterface>(frame) ? &frame->getRegion(0).front() : block);
  auto type = MemRefType::get(shape, element ? element : compute);
  return memref::AllocaOp::create(b, loc, type, b.getI64IntegerAttr(64));
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

Value VectorEmitter::constant(double value, int64_t count) {
  return createConstant(b, loc, typeOf(count), value);
}

Value VectorEmitter::splat(Value scalar, int64_t count) {
  if (!scalar || count == 1)
    return scalar;
  return vector::BroadcastOp::create(
      b, loc, VectorType::get(count, scalar.getType()), scalar);
}

Value VectorEmitter::extract(Value vector, int64_t lane) {
  if (!isa<VectorType>(vector.getType()))
    return vector;
  return vector::ExtractOp::create(b, loc, vector, lane);
}

Value VectorEmitter::both(Value lhs, Value rhs) {
  if (!lhs || !rhs)
    return lhs ? lhs : rhs;
  return arith::AndIOp::create(b, loc, lhs, rhs);
}

Value VectorEmitter::select(Value condition, Value ifTrue, Value ifFalse) {
  if (!condition)
    return ifTrue;
  return arith::SelectOp::create(b, loc, condition, ifTrue, ifFalse);
}

Value VectorEmitter::combine(bool isMax, Value lhs, Value rhs) {
  if (!isMax)
    return arith::AddFOp::create(b, loc, lhs, rhs, getSumFlags());
  switch (maximum) {
  case Maximum::ofAny:
    break;
  case Maximum::ofMagnitudes: {
    // Ordered as their bits are, NaN above infinity: one instruction.
    Type integer = b.getIntegerType(compute.getWidth());
    if (auto vector = dyn_cast<VectorType>(lhs.getType()))
      integer = vector.clone(integer);
    auto bits = [&](Value value) -> Value {
      return b.createOrFold<arith::BitcastOp>(loc, integer, value);
    };
    Value larger = arith::MaxSIOp::create(b, loc, bits(lhs), bits(rhs));
    return arith::BitcastOp::create(b, loc, lhs.getType(), larger);
  }
  case Maximum::ofNumbers: {
    // One instruction on x86, which gives the second operand where one is NaN:
    // the accumulator, never NaN.
    Value larger =
        arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, rhs, lhs);
    return arith::SelectOp::create(b, loc, larger, rhs, lhs);
  }
  }
  // Which of two zeros is the larger does not matter, and costs instructions.
  return arith::MaximumFOp::create(b, loc, lhs, rhs, arith::FastMathFlags::nsz);
}

Value VectorEmitter::accumulate(bool isMax, Value sum, Value term, Value mask,
                                Value inside, Value identity) {
  // The mask of a load must not select the result of an operation that adds to
  // its own operand: LLVM folds the load into the operation and on the way to
  // two-address form may take it out again without its mask, reading beyond
  // the end. So lanes beyond it are made neutral before they are added.
  Value next;
  auto product = term.getDefiningOp<arith::MulFOp>();
  if (contract && !isMax && product) {
    // Both sides, as the other may be infinite there.
    Value lhs = product.getLhs(), rhs = product.getRhs();
    if (inside) {
      lhs = select(inside, lhs, constant(0.0));
      rhs = select(inside, rhs, constant(0.0));
    }
    next = math::FmaOp::create(b, loc, lhs, rhs, sum, getSumFlags());
    fused.insert(product);
  } else {
    next = combine(isMax, sum, select(inside, term, identity));
  }
  return mask ? select(mask, next, sum) : next;
}

void VectorEmitter::eraseDead() {
  // Last first: one may be the other's operand.
  for (Operation *op : llvm::reverse(fused))
    if (op->use_empty())
      b.eraseOp(op);
  fused.clear();
}

Value VectorEmitter::fold(ArrayRef<Value> vectors,
                          function_ref<Value(Value, Value)> combine) {
  int64_t count = vectors.size();
  auto width = [](Value vector) -> int64_t {
    auto type = dyn_cast<VectorType>(vector.getType());
    return type ? type.getNumElements() : 1;
  };
  int64_t rest = width(vectors[0]);
  if (rest == 1) {
    if (count == 1)
      return vectors[0];
    return vector::FromElementsOp::create(
        b, loc, VectorType::get(count, vectors[0].getType()), vectors);
  }
  SmallVector<Value> parts(vectors);
  parts.resize(llvm::PowerOf2Ceil(count), parts.back());

  // Each part holds the lanes left of some of the vectors. A step folds the
  // upper halves onto the lower, two parts becoming one.
  for (; rest > 1; rest /= 2) {
    bool pairs = parts.size() > 1;
    SmallVector<Value> next;
    for (size_t i = 0; i < parts.size(); i += pairs ? 2 : 1) {
      Value first = parts[i], second = parts[pairs ? i + 1 : i];
      int64_t groups = width(first) / rest * (pairs ? 2 : 1);
      SmallVector<int64_t> low, high;
      for (int64_t group = 0; group < groups; ++group)
        for (int64_t lane = 0; lane < rest / 2; ++lane) {
          low.push_back(group * rest + lane);
          high.push_back(group * rest + rest / 2 + lane);
        }
      next.push_back(
          combine(vector::ShuffleOp::create(b, loc, first, second, low),
                  vector::ShuffleOp::create(b, loc, first, second, high)));
    }
    parts = std::move(next);
  }
  while (parts.size() > 1) {
    SmallVector<Value> next;
    for (size_t i = 0; i < parts.size(); i += 2)
      next.push_back(vector::ShuffleOp::create(
          b, loc, parts[i], parts[i + 1],
          llvm::to_vector(llvm::seq<int64_t>(2 * width(parts[i])))));
    parts = std::move(next);
  }
  if (count == 1)
    return extract(parts[0], 0);
  if (count == width(parts[0]))
    return parts[0];
  return vector::ShuffleOp::create(b, loc, parts[0], parts[0],
                                   llvm::to_vector(llvm::seq<int64_t>(count)));
}

Value VectorEmitter::foldLanes(bool isMax, ArrayRef<Value> vectors) {
  return fold(vectors,
              [&](Value lhs, Value rhs) { return combine(isMax, lhs, rhs); });
}
