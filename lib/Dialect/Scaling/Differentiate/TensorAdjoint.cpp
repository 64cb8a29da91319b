//===- TensorAdjoint.cpp - Derivatives of tensor code ---------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Differentiate/TensorAdjoint.h"

#include "ScalarAdjoint.h"
#include "scaling/Dialect/Scaling/Differentiate/DifferentiableOpInterface.h"
#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Rewrite/FrozenRewritePatternSet.h"
#include "mlir/Rewrite/PatternApplicator.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

static bool isFloat(Value value) {
  return isa<FloatType>(getElementTypeOrSelf(value));
}

void TensorAdjoint::propagateActivity(ArrayRef<Operation *> ops) {
  for (Operation *op : ops) {
    // There, a value does not change with its factors.
    if (options.mode == GradientMode::envelope && isa<IterateOp>(op))
      continue;
    bool depends = llvm::any_of(op->getOperands(),
                                [&](Value value) { return isActive(value); });
    op->walk([&](Operation *nested) {
      for (Value operand : nested->getOperands())
        depends |= isActive(operand);
    });
    if (!depends)
      continue;
    for (Value result : op->getResults())
      if (isFloat(result))
        active.insert(result);
  }
}

void TensorAdjoint::add(Location loc, Value value, Value adjoint) {
  if (!isActive(value))
    return;
  Value &sum = adjoints[value];
  if (!sum) {
    sum = adjoint;
    return;
  }
  auto type = cast<RankedTensorType>(value.getType());
  AffineMap identity = b.getMultiDimIdentityMap(type.getRank());
  sum = linalg::GenericOp::create(
            b, loc, sum.getType(), adjoint, sum,
            ArrayRef<AffineMap>{identity, identity},
            SmallVector<IteratorType>(type.getRank(), IteratorType::parallel),
            [](OpBuilder &inner, Location l, ValueRange in) {
              Value total = arith::AddFOp::create(inner, l, in[1], in[0]);
              linalg::YieldOp::create(inner, l, total);
            })
            .getResult(0);
}

Value scaling::sumInto(OpBuilder &b, Location loc, Value out, AffineMap map,
                       ArrayRef<MappedTensor> inputs, EntryBody body) {
  SmallVector<Value> values;
  SmallVector<AffineMap> maps;
  for (const MappedTensor &input : inputs) {
    values.push_back(input.value);
    maps.push_back(input.map);
  }
  maps.push_back(map);
  SmallVector<IteratorType> iterators(map.getNumDims(),
                                      IteratorType::reduction);
  for (AffineExpr result : map.getResults())
    iterators[cast<AffineDimExpr>(result).getPosition()] =
        IteratorType::parallel;
  return linalg::GenericOp::create(
             b, loc, out.getType(), values, out, maps, iterators,
             [&](OpBuilder &inner, Location l, ValueRange in) {
               Value term = body(inner, l, in.drop_back());
               Value total = in.back();
               if (term)
                 total = arith::AddFOp::create(
                     inner, l, total,
                     castFloat(inner, l, term, total.getType()));
               linalg::YieldOp::create(inner, l, total);
             })
      .getResult(0);
}

static Value emptyLike(OpBuilder &b, Location loc, Value value) {
  return tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, value),
                                 getElementTypeOrSelf(value));
}

static Value zerosLike(OpBuilder &b, Location loc, Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  Value zero = createConstant(b, loc, type.getElementType(), 0.0);
  Value empty = emptyLike(b, loc, value);
  Value filled = linalg::FillOp::create(b, loc, zero, empty).getResult(0);
  if (filled.getType() != type)
    filled = tensor::CastOp::create(b, loc, type, filled);
  return filled;
}

Value scaling::sharedAdjoint(OpBuilder &b, Location loc, MappedTensor adjoint,
                             MappedTensor result, ArrayRef<MappedTensor> inputs,
                             EntryBody lifted) {
  SmallVector<MappedTensor> all(inputs);
  all.push_back(result);
  Value count =
      sumInto(b, loc, zerosLike(b, loc, adjoint.value), result.map, all,
              [&](OpBuilder &inner, Location l, ValueRange in) -> Value {
                Value entry = lifted(inner, l, in.drop_back());
                Value isIt = arith::CmpFOp::create(
                    inner, l, arith::CmpFPredicate::OEQ, entry, in.back());
                Value zero = createConstant(inner, l, entry.getType(), 0.0);
                Value one = createConstant(inner, l, entry.getType(), 1.0);
                return arith::SelectOp::create(inner, l, isIt, one, zero);
              });
  auto type = cast<RankedTensorType>(adjoint.value.getType());
  AffineMap identity = b.getMultiDimIdentityMap(type.getRank());
  // In place over the count, which is 0 where there are no entries.
  return linalg::GenericOp::create(
             b, loc, type, adjoint.value, count,
             ArrayRef<AffineMap>{identity, identity},
             SmallVector<IteratorType>(type.getRank(), IteratorType::parallel),
             [](OpBuilder &inner, Location l, ValueRange in) {
               Value one = createConstant(inner, l, in[1].getType(), 1.0);
               Value most = arith::MaximumFOp::create(inner, l, in[1], one);
               Value part = arith::DivFOp::create(inner, l, in[0], most);
               linalg::YieldOp::create(inner, l, part);
             })
      .getResult(0);
}

void TensorAdjoint::replace(Value old, Value by) {
  old.replaceAllUsesWith(by);
  if (active.erase(old))
    active.insert(by);
  if (Value adjoint = get(old)) {
    adjoints.erase(old);
    adjoints[by] = adjoint;
  }
}

Value TensorAdjoint::getOrZero(Location loc, Value value) {
  Value adjoint = get(value);
  return adjoint ? adjoint : zerosLike(b, loc, value);
}

void TensorAdjoint::accumulate(Location loc, Value value, AffineMap map,
                               ArrayRef<MappedTensor> inputs, EntryBody body) {
  if (isActive(value))
    adjoints[value] = sumInto(b, loc, getOrZero(loc, value), map, inputs, body);
}

void TensorAdjoint::accumulateTogether(
    Location loc, ArrayRef<MappedTensor> values, ArrayRef<MappedTensor> inputs,
    function_ref<SmallVector<Value>(OpBuilder &, Location, ValueRange)> body) {
  SmallVector<Value> operands, outs;
  SmallVector<AffineMap> maps;
  SmallVector<Type> types;
  for (const MappedTensor &input : inputs) {
    operands.push_back(input.value);
    maps.push_back(input.map);
  }
  for (const MappedTensor &value : values) {
    Value sum = get(value.value);
    outs.push_back(sum ? sum : emptyLike(b, loc, value.value));
    maps.push_back(value.map);
    types.push_back(outs.back().getType());
  }
  auto sums = linalg::GenericOp::create(
      b, loc, types, operands, outs, maps,
      SmallVector<IteratorType>(values.front().map.getNumDims(),
                                IteratorType::parallel),
      [&](OpBuilder &inner, Location l, ValueRange in) {
        SmallVector<Value> terms = body(inner, l, in.take_front(inputs.size()));
        SmallVector<Value> yielded;
        for (auto [value, term, out] :
             llvm::zip_equal(values, terms, in.drop_front(inputs.size()))) {
          Value total = term ? castFloat(inner, l, term, out.getType())
                             : createConstant(inner, l, out.getType(), 0.0);
          if (get(value.value))
            total = arith::AddFOp::create(inner, l, out, total);
          yielded.push_back(total);
        }
        linalg::YieldOp::create(inner, l, yielded);
      });
  for (auto [value, result] : llvm::zip_equal(values, sums.getResults())) {
    Value sum = result;
    if (!get(value.value) && sum.getType() != value.value.getType())
      sum = tensor::CastOp::create(b, loc, value.value.getType(), sum);
    adjoints[value.value] = sum;
  }
}

LogicalResult TensorAdjoint::run(ArrayRef<Operation *> ops) {
  for (Operation *op : llvm::reverse(ops)) {
    bool concerned = llvm::any_of(
        op->getResults(), [&](Value result) { return get(result) != nullptr; });
    if (concerned && failed(differentiate(op)))
      return failure();
  }
  return success();
}

LogicalResult
TensorAdjoint::runThrough(Operation *op,
                          function_ref<void(RewritePatternSet &)> populate) {
  SmallVector<Value> given;
  for (Value result : op->getResults()) {
    given.push_back(get(result));
    // Another value may have its address when the op is gone.
    adjoints.erase(result);
    active.erase(result);
  }
  // It has the results' uses, so that it knows what they are replaced by.
  OpBuilder after(op->getContext());
  after.setInsertionPointAfter(op);
  Operation *results = UnrealizedConversionCastOp::create(
      after, op->getLoc(), op->getResultTypes().front(), op->getResults());
  Operation *before = op->getPrevNode();
  Block *block = op->getBlock();

  RewritePatternSet patterns(op->getContext());
  populate(patterns);
  FrozenRewritePatternSet frozen(std::move(patterns));
  PatternApplicator applicator(frozen);
  applicator.applyDefaultCostModel();
  PatternRewriter rewriter(op->getContext());
  rewriter.setInsertionPoint(op);
  if (failed(applicator.matchAndRewrite(op, rewriter))) {
    results->erase();
    return op->emitOpError("has no derivative here");
  }
  SmallVector<Operation *> ops;
  for (Operation *made = before ? before->getNextNode() : &block->front();
       made != results; made = made->getNextNode())
    ops.push_back(made);
  propagateActivity(ops);
  for (auto [value, adjoint] : llvm::zip_equal(results->getOperands(), given))
    if (adjoint)
      add(op->getLoc(), value, adjoint);
  results->erase();
  return run(ops);
}

namespace {
/// What a reduction adds to its state, or compares it with.
struct Combination {
  Value lifted;
  bool isSum;
};
} // namespace

static std::optional<Combination> findCombination(linalg::GenericOp op,
                                                  unsigned result) {
  Block *body = op.getBody();
  Value state = body->getArgument(op.getNumDpsInputs() + result);
  Operation *yielded =
      body->getTerminator()->getOperand(result).getDefiningOp();
  if (!yielded || yielded->getNumOperands() != 2 ||
      !isa<arith::AddFOp, arith::MaximumFOp, arith::MaxNumFOp,
           arith::MinimumFOp, arith::MinNumFOp>(yielded))
    return std::nullopt;
  Value a = yielded->getOperand(0), c = yielded->getOperand(1);
  if ((a == state) == (c == state))
    return std::nullopt;
  return Combination{a == state ? c : a, isa<arith::AddFOp>(yielded)};
}

/// The scalar code of a body on these values.
static SmallVector<Operation *> cloneBody(OpBuilder &builder, Block *body,
                                          ValueRange values,
                                          IRMapping &mapping) {
  for (auto [argument, value] : llvm::zip(body->getArguments(), values))
    mapping.map(argument, value);
  SmallVector<Operation *> ops;
  for (Operation &op : body->without_terminator())
    ops.push_back(builder.clone(op, mapping));
  return ops;
}

LogicalResult TensorAdjoint::differentiate(linalg::GenericOp op) {
  Location loc = op.getLoc();
  Block *body = op.getBody();
  unsigned numInputs = op.getNumDpsInputs();
  bool reduces = op.getNumReductionLoops() > 0;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();

  SmallVector<MappedTensor> inputs;
  for (auto [operand, map] : llvm::zip_equal(op->getOperands(), maps))
    inputs.push_back({operand, map});
  // Where the whole is a reduction, states are no inputs of the derivative.
  for (unsigned r = 0; reduces && r < op.getNumResults(); ++r)
    inputs[numInputs + r].value = op.getResult(r);
  SmallVector<std::optional<Combination>> combinations(op.getNumResults());
  SmallVector<unsigned> seeded;
  for (unsigned r = 0; r < op.getNumResults(); ++r) {
    Value adjoint = get(op.getResult(r));
    if (!adjoint)
      continue;
    if (reduces) {
      combinations[r] = findCombination(op, r);
      if (!combinations[r])
        return op.emitOpError("reduces in a way that has no derivative here");
    }
    seeded.push_back(r);
    if (reduces && !combinations[r]->isSum)
      adjoint = sharedAdjoint(
          b, loc, {adjoint, maps[numInputs + r]},
          {op.getResult(r), maps[numInputs + r]},
          ArrayRef(inputs).take_front(op->getNumOperands()),
          [&](OpBuilder &inner, Location, ValueRange in) -> Value {
            IRMapping mapping;
            cloneBody(inner, body, in, mapping);
            return mapping.lookupOrDefault(combinations[r]->lifted);
          });
    inputs.push_back({adjoint, maps[numInputs + r]});
  }

  Operation *unsupported = nullptr;
  auto derivatives = [&](ArrayRef<unsigned> positions, OpBuilder &inner,
                         Location l, ValueRange in) -> SmallVector<Value> {
    IRMapping mapping;
    SmallVector<Operation *> ops = cloneBody(inner, body, in, mapping);
    ScalarAdjoint scalars(inner, l);
    for (auto [index, r] : llvm::enumerate(seeded)) {
      Value seed = in[numInputs + op.getNumResults() + index];
      Value yielded = body->getTerminator()->getOperand(r);
      if (const std::optional<Combination> &combination = combinations[r]) {
        yielded = combination->lifted;
        if (!combination->isSum) {
          // The entry that is the extreme one.
          Value isIt = arith::CmpFOp::create(
              inner, l, arith::CmpFPredicate::OEQ,
              mapping.lookupOrDefault(yielded), in[numInputs + r]);
          Value zero = createConstant(inner, l, seed.getType(), 0.0);
          seed = arith::SelectOp::create(inner, l, isIt, seed, zero);
        }
      }
      scalars.add(mapping.lookupOrDefault(yielded), seed);
    }
    unsupported = scalars.run(ops);
    return llvm::map_to_vector(positions, [&](unsigned position) {
      return unsupported
                 ? Value()
                 : scalars.get(mapping.lookup(body->getArgument(position)));
    });
  };
  // In place: a read of what was there is one more input.
  unsigned numRead = reduces ? numInputs : op->getNumOperands();
  SmallVector<unsigned> together, alone;
  llvm::DenseSet<Value> seen;
  for (unsigned i = 0; i < numRead; ++i) {
    Value operand = op->getOperand(i);
    if (body->getArgument(i).use_empty() || !isActive(operand) ||
        isa<FloatType>(operand.getType()))
      continue;
    bool isAlone = !maps[i].isPermutation() || !seen.insert(operand).second;
    (isAlone ? alone : together).push_back(i);
  }
  // What was there is written over: its adjoint is only what comes now.
  if (!together.empty())
    accumulateTogether(
        loc,
        llvm::map_to_vector(together, [&](unsigned i) { return inputs[i]; }),
        inputs, [&](OpBuilder &inner, Location l, ValueRange in) {
          return derivatives(together, inner, l, in);
        });
  for (unsigned i : alone)
    accumulate(loc, op->getOperand(i), maps[i], inputs,
               [&](OpBuilder &inner, Location l, ValueRange in) {
                 return derivatives(i, inner, l, in).front();
               });
  if (unsupported)
    return op.emitOpError("computes '")
           << unsupported->getName() << "', which has no derivative here";
  for (unsigned r : seeded)
    if (reduces && combinations[r]->isSum)
      add(loc, op.getDpsInits()[r], get(op.getResult(r)));
  return differentiateLookups(op);
}

/// Entries of other tensors that the body looks up where it is, and passes on
/// as they are: the part of the result that has the tensor's size.
LogicalResult TensorAdjoint::differentiateLookups(linalg::GenericOp op) {
  Location loc = op.getLoc();
  SmallVector<tensor::ExtractOp> lookups;
  op.getBody()->walk(
      [&](tensor::ExtractOp extract) { lookups.push_back(extract); });
  for (tensor::ExtractOp extract : lookups) {
    Value source = extract.getTensor();
    if (!isActive(source))
      continue;
    SmallVector<AffineExpr> places;
    SmallVector<OpFoldResult> sourceSizes =
        tensor::getMixedSizes(b, loc, source);
    SmallVector<OpFoldResult> sizes =
        tensor::getMixedSizes(b, loc, op.getResult(0));
    for (auto [index, size] :
         llvm::zip_equal(extract.getIndices(), sourceSizes)) {
      auto loop = index.getDefiningOp<linalg::IndexOp>();
      if (!loop || op.getNumReductionLoops() > 0)
        return op.emitOpError("looks up entries in a way that has no "
                              "derivative here");
      places.push_back(b.getAffineDimExpr(loop.getDim()));
      sizes[loop.getDim()] = size;
    }
    int64_t rank = sizes.size();
    SmallVector<OpFoldResult> offsets(rank, b.getIndexAttr(0)),
        strides(rank, b.getIndexAttr(1));
    Value part = tensor::ExtractSliceOp::create(b, loc, get(op.getResult(0)),
                                                offsets, sizes, strides);
    accumulate(loc, source, AffineMap::get(rank, 0, places, b.getContext()),
               MappedTensor{part, b.getMultiDimIdentityMap(rank)},
               [](OpBuilder &, Location, ValueRange in) { return in[0]; });
  }
  return success();
}

LogicalResult TensorAdjoint::differentiate(Operation *op) {
  Location loc = op->getLoc();
  Value adjoint = get(op->getResult(0));
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<linalg::GenericOp>(
          [&](linalg::GenericOp generic) { return differentiate(generic); })
      .Case<DifferentiableOpInterface>([&](DifferentiableOpInterface own) {
        return own.buildVectorJacobianProduct(*this);
      })
      .Case<linalg::FillOp, tensor::EmptyOp, arith::ConstantOp>(
          [&](Operation *) -> LogicalResult {
            bool varies = llvm::any_of(op->getOperands(), [&](Value operand) {
              return isActive(operand) && isa<FloatType>(operand.getType());
            });
            if (varies)
              return op->emitOpError("spreads a number that has no derivative "
                                     "here");
            return success();
          })
      .Case<tensor::CastOp>([&](tensor::CastOp cast) -> LogicalResult {
        Value source = cast.getSource();
        add(loc, source,
            tensor::CastOp::create(b, loc, source.getType(), adjoint));
        return success();
      })
      .Case<tensor::ExtractSliceOp>(
          [&](tensor::ExtractSliceOp slice) -> LogicalResult {
            Value source = slice.getSource();
            if (!isActive(source))
              return success();
            Value whole = TensorAdjoint(b).getOrZero(loc, source);
            add(loc, source,
                tensor::InsertSliceOp::create(
                    b, loc, adjoint, whole, slice.getMixedOffsets(),
                    slice.getMixedSizes(), slice.getMixedStrides()));
            return success();
          })
      .Case<tensor::CollapseShapeOp>(
          [&](tensor::CollapseShapeOp shape) -> LogicalResult {
            Value source = shape.getSrc();
            add(loc, source,
                tensor::ExpandShapeOp::create(
                    b, loc, source.getType(), adjoint,
                    shape.getReassociationIndices(),
                    tensor::getMixedSizes(b, loc, source)));
            return success();
          })
      .Case<tensor::ExpandShapeOp>(
          [&](tensor::ExpandShapeOp shape) -> LogicalResult {
            add(loc, shape.getSrc(),
                tensor::CollapseShapeOp::create(
                    b, loc, shape.getSrc().getType(), adjoint,
                    shape.getReassociationIndices()));
            return success();
          })
      .Case<linalg::LinalgOp>([&](linalg::LinalgOp named) {
        return runThrough(named,
                          linalg::populateLinalgNamedOpsGeneralizationPatterns);
      })
      .Default([](Operation *other) -> LogicalResult {
        return other->emitOpError("has no derivative here");
      });
}
