//===- SimilarityBalance.cpp - gebal as loops -------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// LAPACK's gebal, job S (3.5.0 and later): each index scales its row and its
// column before the next is looked at, so this is its own loop and not a
// row/column iteration.
//
// The matrix itself stays: the factors so far are weights w, powers of two, so
// that row i of the balanced matrix is A[i, :] · w / w[i], exactly. Beside it
// stands its transpose. Both norms of an index are then sums of squares of
// contiguous entries times contiguous weights, and scaling an index writes one
// weight.
//
//===----------------------------------------------------------------------===//

#include "SimilarityBalance.h"
#include "TensorEmitter.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>
#include <functional>
#include <limits>
#include <tuple>

using namespace mlir;
using namespace mlir::scaling;

namespace {

enum class StatusCode : int { converged = 1, limit = 2, diverged = 3 };

class SimilarityBalancer {
public:
  SimilarityBalancer(OpBuilder &builder, SimilarityBalanceOp op);
  SmallVector<Value> run();

private:
  using Sizes = TensorEmitter::Sizes;
  using P = arith::CmpFPredicate;

  /// One matrix of the batch: balanced, scale, sweeps (i32), status (i32).
  SmallVector<Value> one(Value matrix, Value scale);
  /// What a sweep over all indices carries.
  struct State {
    /// The matrix without its weights, and its transpose.
    Value matrix, transpose;
    /// The weights and their inverses; the scale that is returned.
    Value weight, inverse, scale;
    Value changed, bad;

    SmallVector<Value> values() const {
      return {matrix, transpose, weight, inverse, scale, changed, bad};
    }
    static State from(ValueRange v) {
      return {v[0], v[1], v[2], v[3], v[4], v[5], v[6]};
    }
  };
  State sweep(State state);
  /// The transpose of a matrix of its own, in blocks that the cache holds.
  Value transpose(Value matrix);
  /// Norm and largest magnitude of an index' column and row.
  struct Norms {
    Value col, colMax, row, rowMax;
  };
  Norms measure(const State &state, Value index);
  /// Of a row of `matrix` (or of the transpose), weighted: the sum of squares.
  Value sumOfSquares(Value matrix, Value weight, Value index);
  /// Norm and largest magnitude of the same, times `own`, whatever the range.
  std::pair<Value, Value> safeNorm(Value matrix, Value weight, Value index,
                                   Value own);
  /// The factor of an index and whether it is applied; yields factor, apply,
  /// bad.
  SmallVector<Value> factor(const State &state, Value index);
  State apply(const State &state, Value index, Value factor);
  /// Multiplies what an index' weight stands for into the matrices.
  State fold(State state, Value index, Value factor);
  /// Doubles (or halves) while the column is the smaller (larger) one.
  SmallVector<Value> search(SmallVector<Value> state, bool up);
  /// ‖·‖₂ and max |·| of a vector of n entries, the norm by exact scaling.
  std::pair<Value, Value> norms(Value vector);
  Value slice(Value matrix, Value index, bool row);
  Value withSlice(Value slice, Value matrix, Value index, bool row);
  /// The matrix, its row (or column) times both factors, one after the other.
  Value scaled(Value matrix, Value index, bool row, Value first, Value second);
  Value at(Value vector, Value index) {
    return tensor::ExtractOp::create(b, loc, vector, index);
  }
  Value with(Value vector, Value index, Value entry) {
    return tensor::InsertOp::create(b, loc, entry, vector, index);
  }

  Value number(double value) { return e.scalar(type, value); }
  Value boolean(bool value) {
    return arith::ConstantOp::create(b, loc, b.getBoolAttr(value));
  }
  Value integer(StatusCode code) {
    return arith::ConstantOp::create(
        b, loc, b.getI32IntegerAttr(static_cast<int>(code)));
  }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
  Value max(Value x, Value y) {
    return arith::MaximumFOp::create(b, loc, x, y);
  }
  Value min(Value x, Value y) {
    return arith::MinimumFOp::create(b, loc, x, y);
  }
  Value compare(P predicate, Value x, Value y) {
    return arith::CmpFOp::create(b, loc, predicate, x, y);
  }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, loc, x, y); }
  Value either(Value x, Value y) { return arith::OrIOp::create(b, loc, x, y); }
  Value negate(Value x) {
    return arith::XOrIOp::create(b, loc, x, boolean(true));
  }
  Value select(Value flag, Value yes, Value no) {
    return arith::SelectOp::create(b, loc, flag, yes, no);
  }

  OpBuilder &b;
  SimilarityBalanceOp op;
  Location loc;
  TensorEmitter e;
  FloatType type;
  OpFoldResult n;
  Value size;
  // LAPACK's bounds: products stay this far from under- and overflow.
  double smallest, smallest2;
  /// Sums of squares between `least` and `most` are accurate, whatever of their
  /// terms underflows; weights stay between 1/`widest` and `widest`.
  double least, most, widest;
};

} // namespace

SimilarityBalancer::SimilarityBalancer(OpBuilder &builder,
                                       SimilarityBalanceOp op)
    : b(builder), op(op), loc(op.getLoc()), e(builder, loc),
      type(cast<FloatType>(getElementTypeOrSelf(op.getMatrix()))) {
  int64_t rank = op.getMatrix().getType().getRank();
  n = tensor::getMixedSize(b, loc, op.getMatrix(), rank - 1);
  size = e.indexValue(n);
  // tiny/eps, with eps = radix · unit roundoff.
  smallest =
      type.isF64() ? std::ldexp(1.0, -1022 + 52) : std::ldexp(1.0, -126 + 23);
  smallest2 = 2.0 * smallest;
  // Norms in these bounds, times a weight, stay so far from LAPACK's bounds
  // that its search never meets them.
  least = std::ldexp(1.0, type.isF64() ? -900 : -60);
  most = std::ldexp(1.0, type.isF64() ? 1000 : 100);
  widest = std::ldexp(1.0, type.isF64() ? 300 : 30);
}

Value SimilarityBalancer::slice(Value matrix, Value index, bool row) {
  OpFoldResult one = b.getIndexAttr(1), zero = b.getIndexAttr(0);
  Sizes offsets{zero, zero}, sizes{n, n}, strides{one, one};
  offsets[row ? 0 : 1] = index;
  sizes[row ? 0 : 1] = one;
  auto vectorType = RankedTensorType::get(
      {getConstantIntValue(n).value_or(ShapedType::kDynamic)}, type);
  return tensor::ExtractSliceOp::create(b, loc, vectorType, matrix, offsets,
                                        sizes, strides);
}

Value SimilarityBalancer::withSlice(Value slice, Value matrix, Value index,
                                    bool row) {
  OpFoldResult one = b.getIndexAttr(1), zero = b.getIndexAttr(0);
  Sizes offsets{zero, zero}, sizes{n, n}, strides{one, one};
  offsets[row ? 0 : 1] = index;
  sizes[row ? 0 : 1] = one;
  return tensor::InsertSliceOp::create(b, loc, slice, matrix, offsets, sizes,
                                       strides);
}

Value SimilarityBalancer::scaled(Value matrix, Value index, bool row,
                                 Value first, Value second) {
  Value vector =
      e.inPlace(slice(matrix, index, row), 1, {},
                [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  Value half = arith::MulFOp::create(inner, l, in[0], first);
                  return arith::MulFOp::create(inner, l, half, second);
                });
  return withSlice(vector, matrix, index, row);
}

std::pair<Value, Value> SimilarityBalancer::norms(Value vector) {
  Sizes all{n};
  Value largest = e.extract(
      e.reduce(all, 1, type, {{vector, {0}}}, TensorEmitter::Combine::max,
               [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                 return math::AbsFOp::create(inner, l, in[0]);
               }));
  // Squares neither over- nor underflow: entries are brought near one by a
  // power of two, which rounds nothing. Outside the range of such powers the
  // entries stay as they are.
  Value power = createPowerOfTwoBelow(b, loc, largest);
  double bound = type.isF64() ? std::ldexp(1.0, 1000) : std::ldexp(1.0, 120);
  Value usable = both(compare(P::OGE, power, number(1.0 / bound)),
                      compare(P::OLE, power, number(bound)));
  Value unit = select(usable, power, number(1.0));
  Value inverse = arith::DivFOp::create(b, loc, number(1.0), unit);
  Value squares = e.extract(
      e.reduce(all, 1, type, {{vector, {0}}}, TensorEmitter::Combine::add,
               [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                 Value entry = arith::MulFOp::create(inner, l, in[0], inverse);
                 return arith::MulFOp::create(inner, l, entry, entry);
               }));
  Value norm = mul(math::SqrtOp::create(b, loc, squares), unit);
  return {norm, largest};
}

SmallVector<Value> SimilarityBalancer::search(SmallVector<Value> state,
                                              bool up) {
  // f, c, ca, r, g, ra
  SmallVector<Type> types(state.size(), type);
  Value largest = number(1.0 / smallest2), least = number(smallest2);
  auto loop = scf::WhileOp::create(
      b, loc, types, state,
      [&](OpBuilder &, Location, ValueRange s) {
        Value f = s[0], c = s[1], ca = s[2], r = s[3], g = s[4], ra = s[5];
        Value go;
        if (up)
          go = both(compare(P::OLT, c, g),
                    both(compare(P::OLT, max(max(f, c), ca), largest),
                         compare(P::OGT, min(min(r, g), ra), least)));
        else
          go = both(compare(P::OGE, g, r),
                    both(compare(P::OLT, max(r, ra), largest),
                         compare(P::OGT, min(min(f, c), min(g, ca)), least)));
        scf::ConditionOp::create(b, loc, go, s);
      },
      [&](OpBuilder &, Location, ValueRange s) {
        Value grow = number(up ? 2.0 : 0.5), shrink = number(up ? 0.5 : 2.0);
        // Going up g is half a row's norm, going down half a column's.
        scf::YieldOp::create(b, loc,
                             ValueRange{mul(s[0], grow), mul(s[1], grow),
                                        mul(s[2], grow), mul(s[3], shrink),
                                        mul(s[4], number(0.5)),
                                        mul(s[5], shrink)});
      });
  return SmallVector<Value>(loop.getResults());
}

Value SimilarityBalancer::sumOfSquares(Value matrix, Value weight,
                                       Value index) {
  OpFoldResult one = b.getIndexAttr(1), zero = b.getIndexAttr(0);
  int64_t known = getConstantIntValue(n).value_or(ShapedType::kDynamic);
  Value row = tensor::ExtractSliceOp::create(
      b, loc, RankedTensorType::get({1, known}, type), matrix,
      Sizes{index, zero}, Sizes{one, n}, Sizes{one, one});
  ReduceOp reduce =
      e.states(Axis::rows, L2Attr::get(b.getContext()), Sizes{one}, type, row,
               weight, /*mask=*/Value(), /*scale=*/Value());
  return at(reduce.getResult(0), e.index(0));
}

std::pair<Value, Value> SimilarityBalancer::safeNorm(Value matrix, Value weight,
                                                     Value index, Value own) {
  Value vector =
      e.elementwise(Sizes{n}, 1, type,
                    {{slice(matrix, index, /*row=*/true), {0}}, {weight, {0}}},
                    [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                      Value ratio = arith::MulFOp::create(inner, l, in[1], own);
                      return arith::MulFOp::create(inner, l, in[0], ratio);
                    });
  return norms(vector);
}

SimilarityBalancer::Norms SimilarityBalancer::measure(const State &state,
                                                      Value index) {
  Value weight = at(state.weight, index), inverse = at(state.inverse, index);
  Value col = sumOfSquares(state.transpose, state.inverse, index);
  Value row = sumOfSquares(state.matrix, state.weight, index);
  // Not with NaN either.
  Value usual = both(both(compare(P::OGE, col, number(least)),
                          compare(P::OGE, row, number(least))),
                     both(compare(P::OLE, col, number(most)),
                          compare(P::OLE, row, number(most))));
  auto found = scf::IfOp::create(
      b, loc, usual,
      [&](OpBuilder &, Location) {
        Value c = mul(math::SqrtOp::create(b, loc, col), weight);
        Value r = mul(math::SqrtOp::create(b, loc, row), inverse);
        // The largest entries matter beside LAPACK's bounds only.
        scf::YieldOp::create(b, loc, ValueRange{c, c, r, r});
      },
      [&](OpBuilder &, Location) {
        auto [c, ca] = safeNorm(state.transpose, state.inverse, index, weight);
        auto [r, ra] = safeNorm(state.matrix, state.weight, index, inverse);
        scf::YieldOp::create(b, loc, ValueRange{c, ca, r, ra});
      });
  return {found.getResult(0), found.getResult(1), found.getResult(2),
          found.getResult(3)};
}

SmallVector<Value> SimilarityBalancer::factor(const State &state, Value index) {
  auto [c, ca, r, ra] = measure(state, index);
  Value sum = arith::AddFOp::create(b, loc, c, r);
  Value infinity = number(std::numeric_limits<double>::infinity());
  Value bad = compare(P::UGE, sum, infinity);
  Value zero = number(0.0);
  Value skip =
      either(bad, either(compare(P::OEQ, c, zero), compare(P::OEQ, r, zero)));
  auto found = scf::IfOp::create(
      b, loc, skip,
      [&](OpBuilder &, Location) {
        scf::YieldOp::create(b, loc, ValueRange{number(1.0), boolean(false)});
      },
      [&, c = c, ca = ca, r = r, ra = ra](OpBuilder &, Location) {
        Value half = number(0.5);
        SmallVector<Value> tried =
            search({number(1.0), c, ca, r, mul(r, half), ra}, /*up=*/true);
        tried[4] = mul(tried[1], half);
        tried = search(tried, /*up=*/false);
        Value f = tried[0];
        Value after = arith::AddFOp::create(b, loc, tried[1], tried[3]);
        Value gains = compare(P::OLT, after, mul(number(0.95), sum));
        Value d = at(state.scale, index);
        Value one = number(1.0);
        Value tooSmall =
            both(both(compare(P::OLT, f, one), compare(P::OLT, d, one)),
                 compare(P::OLE, mul(f, d), number(smallest)));
        Value tooLarge = both(
            both(compare(P::OGT, f, one), compare(P::OGT, d, one)),
            compare(P::OGE, d,
                    arith::DivFOp::create(b, loc, number(1.0 / smallest), f)));
        Value apply = both(gains, negate(either(tooSmall, tooLarge)));
        scf::YieldOp::create(b, loc, ValueRange{f, apply});
      });
  return {found.getResult(0), found.getResult(1), bad};
}

SimilarityBalancer::State SimilarityBalancer::fold(State state, Value index,
                                                   Value factor) {
  Value up = at(state.weight, index), down = at(state.inverse, index);
  Value shrink = arith::DivFOp::create(b, loc, number(1.0), factor);
  state.matrix = scaled(state.matrix, index, /*row=*/true, down, shrink);
  state.matrix = scaled(state.matrix, index, /*row=*/false, up, factor);
  state.transpose = scaled(state.transpose, index, /*row=*/false, down, shrink);
  state.transpose = scaled(state.transpose, index, /*row=*/true, up, factor);
  state.weight = with(state.weight, index, number(1.0));
  state.inverse = with(state.inverse, index, number(1.0));
  return state;
}

SimilarityBalancer::State SimilarityBalancer::apply(const State &state,
                                                    Value index, Value factor) {
  State next = state;
  next.scale = with(state.scale, index, mul(at(state.scale, index), factor));
  Value weight = mul(at(state.weight, index), factor);
  Value inRange = both(compare(P::OGE, weight, number(1.0 / widest)),
                       compare(P::OLE, weight, number(widest)));
  auto weighted = scf::IfOp::create(
      b, loc, inRange,
      [&](OpBuilder &, Location) {
        State inside = next;
        inside.weight = with(next.weight, index, weight);
        inside.inverse =
            with(next.inverse, index,
                 arith::DivFOp::create(b, loc, number(1.0), weight));
        scf::YieldOp::create(b, loc, inside.values());
      },
      [&](OpBuilder &, Location) {
        scf::YieldOp::create(b, loc, fold(next, index, factor).values());
      });
  return State::from(weighted.getResults());
}

SimilarityBalancer::State SimilarityBalancer::sweep(State state) {
  state.changed = boolean(false);
  auto loop = scf::ForOp::create(
      b, loc, e.index(0), size, e.index(1), state.values(),
      [&](OpBuilder &, Location, Value index, ValueRange carried) {
        State before = State::from(carried);
        SmallVector<Value> found = factor(before, index);
        auto applied = scf::IfOp::create(
            b, loc, found[1],
            [&](OpBuilder &, Location) {
              scf::YieldOp::create(b, loc,
                                   apply(before, index, found[0]).values());
            },
            [&](OpBuilder &, Location) {
              scf::YieldOp::create(b, loc, before.values());
            });
        State after = State::from(applied.getResults());
        after.changed = either(before.changed, found[1]);
        after.bad = either(before.bad, found[2]);
        scf::YieldOp::create(b, loc, after.values());
      });
  return State::from(loop.getResults());
}

Value SimilarityBalancer::transpose(Value matrix) {
  constexpr int64_t kBlock = 16;
  Value block = e.index(kBlock);
  OpFoldResult one = b.getIndexAttr(1);
  auto size = [&](Value begin) -> Value {
    Value rest = arith::SubIOp::create(b, loc, this->size, begin);
    return arith::MinSIOp::create(b, loc, rest, block);
  };
  auto rows = scf::ForOp::create(
      b, loc, e.index(0), this->size, block, e.empty(Sizes{n, n}, type),
      [&](OpBuilder &, Location, Value row, ValueRange outer) {
        Value height = size(row);
        auto cols = scf::ForOp::create(
            b, loc, e.index(0), this->size, block, outer,
            [&](OpBuilder &, Location, Value col, ValueRange carried) {
              Value width = size(col);
              Value from = tensor::ExtractSliceOp::create(
                  b, loc, matrix, Sizes{row, col}, Sizes{height, width},
                  Sizes{one, one});
              Value to = tensor::ExtractSliceOp::create(
                  b, loc, carried[0], Sizes{col, row}, Sizes{width, height},
                  Sizes{one, one});
              Value turned = linalg::TransposeOp::create(
                                 b, loc, from, to, ArrayRef<int64_t>{1, 0})
                                 ->getResult(0);
              Value whole = tensor::InsertSliceOp::create(
                  b, loc, turned, carried[0], Sizes{col, row},
                  Sizes{width, height}, Sizes{one, one});
              scf::YieldOp::create(b, loc, whole);
            });
        scf::YieldOp::create(b, loc, cols.getResults());
      });
  return rows.getResult(0);
}

SmallVector<Value> SimilarityBalancer::one(Value matrix, Value scale) {
  Sizes vector{n};
  State start{matrix,
              transpose(matrix),
              e.filled(vector, number(1.0)),
              e.filled(vector, number(1.0)),
              scale,
              boolean(true),
              boolean(false)};
  // The sweeps done, then the state.
  Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  SmallVector<Value> inits = start.values();
  inits.insert(inits.begin(), zero);
  SmallVector<Type> types =
      llvm::map_to_vector(inits, [](Value v) { return v.getType(); });
  auto loop = scf::WhileOp::create(
      b, loc, types, inits,
      [&](OpBuilder &, Location, ValueRange s) {
        State state = State::from(s.drop_front());
        Value limit = arith::ConstantOp::create(
            b, loc,
            b.getI32IntegerAttr(static_cast<int32_t>(
                std::min<uint64_t>(op.getLimit(), INT32_MAX))));
        Value below = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                            s[0], limit);
        scf::ConditionOp::create(
            b, loc, both(below, both(state.changed, negate(state.bad))), s);
      },
      [&](OpBuilder &, Location, ValueRange s) {
        SmallVector<Value> swept = sweep(State::from(s.drop_front())).values();
        Value one = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(1));
        swept.insert(swept.begin(), arith::AddIOp::create(b, loc, s[0], one));
        scf::YieldOp::create(b, loc, swept);
      });
  State end = State::from(loop.getResults().drop_front());
  Value status = select(end.bad, integer(StatusCode::diverged),
                        select(end.changed, integer(StatusCode::limit),
                               integer(StatusCode::converged)));
  Value balanced =
      e.inPlace(end.matrix, 2, {{end.inverse, {0}}, {end.weight, {1}}},
                [](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  Value ratio = arith::MulFOp::create(inner, l, in[0], in[1]);
                  return arith::MulFOp::create(inner, l, in[2], ratio);
                });
  return {balanced, end.scale, loop.getResult(0), status};
}

SmallVector<Value> SimilarityBalancer::run() {
  Value input = op.getMatrix();
  Sizes all = tensor::getMixedSizes(b, loc, input);
  Sizes batch(all.begin(), all.end() - 2);
  int64_t rank = batch.size();
  Sizes vector(batch);
  vector.push_back(n);
  // A matrix of its own: the caller's is not touched.
  SmallVector<int64_t, 2> tail{0, 1};
  Value matrix =
      e.elementwise(all, 2, type, {{input, tail}},
                    [](OpBuilder &, Location, ValueRange in) { return in[0]; });
  SmallVector<Value> results{matrix, e.filled(vector, number(1.0)),
                             e.empty(batch, b.getI32Type()),
                             e.empty(batch, b.getI32Type())};

  std::function<SmallVector<Value>(int64_t, SmallVector<Value>,
                                   SmallVector<Value>)>
      nest = [&](int64_t dim, SmallVector<Value> at,
                 SmallVector<Value> carried) -> SmallVector<Value> {
    if (dim < rank) {
      auto loop = scf::ForOp::create(
          b, loc, e.index(0), e.indexValue(batch[dim]), e.index(1), carried,
          [&](OpBuilder &, Location, Value index, ValueRange inside) {
            SmallVector<Value> position(at);
            position.push_back(index);
            scf::YieldOp::create(
                b, loc, nest(dim + 1, position, SmallVector<Value>(inside)));
          });
      return SmallVector<Value>(loop.getResults());
    }
    OpFoldResult unit = b.getIndexAttr(1), zero = b.getIndexAttr(0);
    auto window = [&](int64_t tailRank) {
      Sizes offsets(at.begin(), at.end()), sizes(rank, unit);
      for (int64_t i = 0; i < tailRank; ++i) {
        offsets.push_back(zero);
        sizes.push_back(n);
      }
      return std::tuple(offsets, sizes, Sizes(rank + tailRank, unit));
    };
    auto [mo, ms, mst] = window(2);
    auto [vo, vs, vst] = window(1);
    int64_t known = getConstantIntValue(n).value_or(ShapedType::kDynamic);
    Value a = tensor::ExtractSliceOp::create(
        b, loc, RankedTensorType::get({known, known}, type), carried[0], mo, ms,
        mst);
    Value d = tensor::ExtractSliceOp::create(
        b, loc, RankedTensorType::get({known}, type), carried[1], vo, vs, vst);
    SmallVector<Value> single = one(a, d);
    carried[0] = tensor::InsertSliceOp::create(b, loc, single[0], carried[0],
                                               mo, ms, mst);
    carried[1] = tensor::InsertSliceOp::create(b, loc, single[1], carried[1],
                                               vo, vs, vst);
    carried[2] = tensor::InsertOp::create(b, loc, single[2], carried[2], at);
    carried[3] = tensor::InsertOp::create(b, loc, single[3], carried[3], at);
    return carried;
  };
  results = nest(0, {}, results);

  // Diverged: the input comes back, unscaled.
  auto isDiverged = [](OpBuilder &inner, Location l, Value status) -> Value {
    Value code = arith::ConstantOp::create(
        inner, l,
        inner.getI32IntegerAttr(static_cast<int>(StatusCode::diverged)));
    return arith::CmpIOp::create(inner, l, arith::CmpIPredicate::eq, status,
                                 code);
  };
  results[0] =
      e.inPlace(results[0], 2, {{results[3], {}}, {input, tail}},
                [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  return arith::SelectOp::create(
                      inner, l, isDiverged(inner, l, in[0]), in[1], in[2]);
                });
  results[1] =
      e.inPlace(results[1], 1, {{results[3], {}}},
                [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                  return arith::SelectOp::create(
                      inner, l, isDiverged(inner, l, in[0]),
                      createConstant(inner, l, type, 1.0), in[1]);
                });
  return results;
}

SmallVector<Value>
scaling::generalizeSimilarityBalance(OpBuilder &builder,
                                     SimilarityBalanceOp op) {
  return SimilarityBalancer(builder, op).run();
}
