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
  /// A sweep over all indices; carries matrix, scale, changed, bad.
  SmallVector<Value> sweep(Value matrix, Value scale, Value bad);
  /// The factor of an index and whether it is applied; yields factor, apply,
  /// bad.
  SmallVector<Value> factor(Value matrix, Value scale, Value index);
  /// Doubles (or halves) while the column is the smaller (larger) one.
  SmallVector<Value> search(SmallVector<Value> state, bool up);
  /// ‖·‖₂ and max |·| of a vector of n entries, the norm by exact scaling.
  std::pair<Value, Value> norms(Value vector);
  Value slice(Value matrix, Value index, bool row);
  Value withSlice(Value slice, Value matrix, Value index, bool row);
  Value scaled(Value vector, Value factor);

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

Value SimilarityBalancer::scaled(Value vector, Value factor) {
  return e.inPlace(vector, 1, {},
                   [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                     return arith::MulFOp::create(inner, l, in[0], factor);
                   });
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

SmallVector<Value> SimilarityBalancer::factor(Value matrix, Value scale,
                                              Value index) {
  Value c, ca, r, ra;
  std::tie(c, ca) = norms(slice(matrix, index, /*row=*/false));
  std::tie(r, ra) = norms(slice(matrix, index, /*row=*/true));
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
      [&](OpBuilder &, Location) {
        Value half = number(0.5);
        SmallVector<Value> state =
            search({number(1.0), c, ca, r, mul(r, half), ra}, /*up=*/true);
        state[4] = mul(state[1], half);
        state = search(state, /*up=*/false);
        Value f = state[0];
        Value after = arith::AddFOp::create(b, loc, state[1], state[3]);
        Value gains = compare(P::OLT, after, mul(number(0.95), sum));
        Value d = tensor::ExtractOp::create(b, loc, scale, index);
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

SmallVector<Value> SimilarityBalancer::sweep(Value matrix, Value scale,
                                             Value bad) {
  auto loop = scf::ForOp::create(
      b, loc, e.index(0), size, e.index(1),
      ValueRange{matrix, scale, boolean(false), bad},
      [&](OpBuilder &, Location, Value index, ValueRange carried) {
        SmallVector<Value> found = factor(carried[0], carried[1], index);
        Value f = found[0], apply = found[1];
        auto applied = scf::IfOp::create(
            b, loc, apply,
            [&](OpBuilder &, Location) {
              Value d = tensor::ExtractOp::create(b, loc, carried[1], index);
              Value newScale = tensor::InsertOp::create(b, loc, mul(d, f),
                                                        carried[1], index);
              Value inverse = arith::DivFOp::create(b, loc, number(1.0), f);
              Value row = scaled(slice(carried[0], index, true), inverse);
              Value half = withSlice(row, carried[0], index, true);
              Value column = scaled(slice(half, index, false), f);
              Value whole = withSlice(column, half, index, false);
              scf::YieldOp::create(b, loc, ValueRange{whole, newScale});
            },
            [&](OpBuilder &, Location) {
              scf::YieldOp::create(b, loc, ValueRange{carried[0], carried[1]});
            });
        scf::YieldOp::create(b, loc,
                             ValueRange{applied.getResult(0),
                                        applied.getResult(1),
                                        either(carried[2], apply),
                                        either(carried[3], found[2])});
      });
  return SmallVector<Value>(loop.getResults());
}

SmallVector<Value> SimilarityBalancer::one(Value matrix, Value scale) {
  // matrix, scale, sweeps, go on, bad
  Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
  SmallVector<Value> inits{matrix, scale, zero, boolean(true), boolean(false)};
  SmallVector<Type> types =
      llvm::map_to_vector(inits, [](Value v) { return v.getType(); });
  auto loop = scf::WhileOp::create(
      b, loc, types, inits,
      [&](OpBuilder &, Location, ValueRange s) {
        Value limit = arith::ConstantOp::create(
            b, loc,
            b.getI32IntegerAttr(static_cast<int32_t>(
                std::min<uint64_t>(op.getLimit(), INT32_MAX))));
        Value below = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt,
                                            s[2], limit);
        scf::ConditionOp::create(b, loc, both(below, both(s[3], negate(s[4]))),
                                 s);
      },
      [&](OpBuilder &, Location, ValueRange s) {
        SmallVector<Value> swept = sweep(s[0], s[1], s[4]);
        Value one = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(1));
        Value count = arith::AddIOp::create(b, loc, s[2], one);
        scf::YieldOp::create(
            b, loc, ValueRange{swept[0], swept[1], count, swept[2], swept[3]});
      });
  Value status = select(loop.getResult(4), integer(StatusCode::diverged),
                        select(loop.getResult(3), integer(StatusCode::limit),
                               integer(StatusCode::converged)));
  return {loop.getResult(0), loop.getResult(1), loop.getResult(2), status};
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
