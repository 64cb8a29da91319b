//===- VectorEmitter.h - What the patterns build loops with -----*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_CONVERSION_SCALINGTOVECTOR_VECTOREMITTER_H
#define SCALING_LIB_CONVERSION_SCALINGTOVECTOR_VECTOREMITTER_H

#include "scaling/Conversion/ScalingToVector/ScalingToVector.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::scaling {

/// Stands for the dimension of a buffer that is read at its first index only.
inline constexpr int64_t kNoDim = -1;

/// A memref or scalar with the domain dimensions its own run along. A null
/// value stands for an optional operand that is not there.
struct MappedBuffer {
  Value value;
  SmallVector<int64_t> dims;

  explicit operator bool() const { return static_cast<bool>(value); }
  bool runsAlong(int64_t dim) const { return llvm::is_contained(dims, dim); }
};

/// Pairs an op's operands with their dimensions; operands are asked for in
/// their order, those that are not there included.
class BufferReader {
public:
  explicit BufferReader(ScalingStructuredOpInterface op)
      : dims(op.getOperandDims()) {}

  MappedBuffer read(Value value);
  SmallVector<MappedBuffer> read(ValueRange values);

private:
  SmallVector<SmallVector<int64_t>> dims;
  unsigned next = 0;
};

/// The widest of the values' float element types, and at least f32; null
/// values are left out.
FloatType getArithmeticType(ArrayRef<Value> values);

/// Whether all operands are buffers, and none a tensor.
bool isOnBuffers(Operation *op);

/// What is known of the values of a maximum, and what becomes of NaN.
enum class Maximum {
  /// Nothing; NaN stays.
  ofAny,
  /// None is negative; NaN stays.
  ofMagnitudes,
  /// Nothing; NaN is left out, as it gets into the result another way.
  ofNumbers
};

/// A position in the domain: an index per dimension.
using Position = SmallVector<Value>;

/// Builds loops, loads, stores and arithmetic on vectors along one dimension
/// of a domain. A vector of one lane is a scalar.
class VectorEmitter {
public:
  VectorEmitter(RewriterBase &builder, Location loc, FloatType compute,
                int64_t vectorDim, const ScalingToVectorPassOptions &options);

  RewriterBase &b;
  Location loc;
  FloatType compute;
  int64_t vectorDim;
  bool contract;
  int64_t lanes;
  Maximum maximum = Maximum::ofAny;
  /// Whether the sign of a sum that is zero matters: where not, sums need not
  /// start from zero.
  bool signedZeros = true;

  /// No more lanes than the vector dimension needs; one where a buffer is
  /// strided along it.
  void chooseLanes(ArrayRef<MappedBuffer> buffers);
  /// Whether neighbours along `dim` are neighbours in memory.
  bool isContiguousAlong(const MappedBuffer &buffer, int64_t dim) const;
  /// How many rows are taken at once.
  int64_t getRowBlock() const { return rowBlock; }

  /// The type of a vector of `count` elements.
  Type typeOf(int64_t count, Type element) const;
  Type typeOf(int64_t count) const { return typeOf(count, compute); }
  Type type() const { return typeOf(lanes); }

  /// Loops of known length are written out where a matrix in lanes has few
  /// entries: then all of it can live in registers.
  void unrollIfFew(int64_t entries) { unrolls = entries <= 64; }

  //===--- Indices and loops ---------------------------------------------===//

  Value index(int64_t value);
  Value add(Value lhs, Value rhs);
  Value sub(Value lhs, Value rhs);
  Value minimum(Value lhs, Value rhs);
  /// `size` rounded down to a multiple of `width`.
  Value roundDown(Value size, int64_t width);
  /// The value of an index where it is known.
  static std::optional<int64_t> known(Value index);

  /// The size of a domain dimension, from the first buffer that knows it.
  Value sizeOf(int64_t dim, ArrayRef<MappedBuffer> buffers);

  using LoopBody = function_ref<SmallVector<Value>(Value iv, ValueRange)>;
  /// A loop that carries values. Nothing is left of one known to be empty, and
  /// of one known to run once its body only.
  SmallVector<Value> loop(Value begin, Value end, int64_t step,
                          ValueRange carried, LoopBody body);
  void loop(Value begin, Value end, int64_t step,
            function_ref<void(Value)> body);
  /// One loop over each of `dims`, outermost first.
  void nest(Position &at, ArrayRef<int64_t> dims, ArrayRef<Value> sizes,
            function_ref<void()> body);
  /// `body` where `condition`, else the values as they are.
  SmallVector<Value> branch(Value condition, ValueRange carried,
                            function_ref<SmallVector<Value>()> body);

  /// `body(begin, width)` for every whole block of `width`, then for what is
  /// left: at once where that is known, else one by one.
  void blocks(Value size, int64_t width,
              function_ref<void(Value, int64_t)> body);
  /// `body(begin, mask)` for every vector of [begin, end); the mask, null in
  /// whole vectors, excludes lanes beyond the end.
  void vectors(Value begin, Value end, function_ref<void(Value, Value)> body);
  /// The same, carrying values over `unroll` vectors at a time, whose begins
  /// and masks `body` gets.
  SmallVector<Value>
  vectors(Value begin, Value end, int64_t unroll, ValueRange carried,
          function_ref<SmallVector<Value>(ArrayRef<Value>, ArrayRef<Value>,
                                          ValueRange)>
              body);

  //===--- Memory ---------------------------------------------------------===//

  /// The indices of a buffer's entry.
  SmallVector<Value> indicesOf(const MappedBuffer &buffer, const Position &at);
  /// The entries at a position: a vector where the buffer runs along the
  /// vector dimension, else one entry in every lane. Floats come in the
  /// compute type. Null where the buffer is.
  Value load(const MappedBuffer &buffer, const Position &at,
             Value mask = nullptr);
  /// One entry, not spread over lanes.
  Value loadScalar(const MappedBuffer &buffer, const Position &at);
  void store(const MappedBuffer &buffer, const Position &at, Value value,
             Value mask = nullptr);
  /// Says that the entry at a position will be read, which may lie outside.
  void prefetch(const MappedBuffer &buffer, const Position &at);
  /// i1 is a byte in memory and a bit in a vector: the buffer as bytes.
  Value asBytes(Value buffer);
  /// The same in the buffer's own element type, i1 as a mask.
  Value loadRaw(const MappedBuffer &buffer, const Position &at,
                Value mask = nullptr);
  void storeRaw(const MappedBuffer &buffer, const Position &at, Value value,
                Value mask = nullptr);
  /// `count` entries along `dim`, as a vector of so many.
  Value loadAlong(const MappedBuffer &buffer, const Position &at, int64_t dim,
                  int64_t count);
  void storeAlong(const MappedBuffer &buffer, const Position &at, int64_t dim,
                  int64_t count, Value value);
  /// A buffer of the compute type on the stack of the function or of the
  /// parallel loop around.
  Value scratch(ArrayRef<int64_t> shape, Type element = nullptr);

  //===--- Arithmetic -----------------------------------------------------===//

  Value constant(double value, int64_t count);
  Value constant(double value) { return constant(value, lanes); }
  /// A scalar in every lane.
  Value splat(Value scalar, int64_t count);
  Value splat(Value scalar) { return splat(scalar, lanes); }
  Value extract(Value vector, int64_t lane);
  /// The lanes that are in both masks, either of which may be null.
  Value both(Value lhs, Value rhs);
  Value select(Value condition, Value ifTrue, Value ifFalse);
  /// The sum, or the maximum of the kind `maximum`.
  Value combine(bool isMax, Value lhs, Value rhs);
  /// `combine` where a product that is added is fused. Lanes outside of `mask`
  /// stay; in lanes beyond the end, outside of `inside`, the term counts as
  /// `identity`. Both may be null.
  Value accumulate(bool isMax, Value sum, Value term, Value mask, Value inside,
                   Value identity);
  /// Lane i of the result is vector i folded over its lanes, always in the
  /// same order.
  Value fold(ArrayRef<Value> vectors,
             function_ref<Value(Value, Value)> combine);
  Value foldLanes(bool isMax, ArrayRef<Value> vectors);
  /// Removes multiplications that only fused ones needed.
  void eraseDead();

private:
  arith::FastMathFlags getSumFlags() const {
    return signedZeros ? arith::FastMathFlags::none : arith::FastMathFlags::nsz;
  }
  Value maskOfFirst(Value count);
  Value loadVector(Value buffer, ValueRange indices, Value mask, int64_t count,
                   bool raw = false);

  int64_t rowBlock;
  bool unrolls = false;
  llvm::SmallSetVector<Operation *, 16> fused;
};

/// An entry of the plan, of the values of `parts`: matrix, row and column
/// factor, row and column weight; null where there is none.
Value createPlanAt(VectorEmitter &e, Domain domain, bool logarithm,
                   ArrayRef<Value> parts);

void populateReduceToVectorPatterns(RewritePatternSet &patterns,
                                    const ScalingToVectorPassOptions &options);
void populateElementwiseToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options);
void populateLinalgToVectorPatterns(RewritePatternSet &patterns,
                                    const ScalingToVectorPassOptions &options);
void populateLanesToVectorPatterns(RewritePatternSet &patterns,
                                   const ScalingToVectorPassOptions &options);
void populateProductToVectorPatterns(RewritePatternSet &patterns,
                                     const ScalingToVectorPassOptions &options);
void populateApplyToVectorPatterns(RewritePatternSet &patterns,
                                   const ScalingToVectorPassOptions &options);
void populateMarginalsToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options);
void populatePairwiseToVectorPatterns(
    RewritePatternSet &patterns, const ScalingToVectorPassOptions &options);

} // namespace mlir::scaling

#endif // SCALING_LIB_CONVERSION_SCALINGTOVECTOR_VECTOREMITTER_H
