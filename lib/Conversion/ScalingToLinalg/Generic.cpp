//===- Generic.cpp - What the patterns build linalg with ------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Generic.h"

#include "scaling/Dialect/Scaling/Utils/Arithmetic.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace mlir::scaling;
using utils::IteratorType;

MappedOperand OperandReader::read(Value value) {
  if (!value)
    return {};
  return {value, dims[next++]};
}

SmallVector<MappedOperand> OperandReader::read(ValueRange values) {
  return llvm::map_to_vector(values, [&](Value value) { return read(value); });
}

static AffineMap getMap(MLIRContext *context, int64_t rank,
                        ArrayRef<int64_t> dims) {
  SmallVector<AffineExpr> exprs;
  for (int64_t dim : dims)
    exprs.push_back(getAffineDimExpr(dim, context));
  return AffineMap::get(rank, /*symbolCount=*/0, exprs, context);
}

SmallVector<Value> scaling::createGeneric(OpBuilder &builder, Location loc,
                                          ArrayRef<IteratorType> iterators,
                                          ArrayRef<MappedOperand> inputs,
                                          ArrayRef<MappedOperand> destinations,
                                          GenericBody body) {
  MLIRContext *context = builder.getContext();
  // The body comes first: what it does not use is not even an operand. A
  // builder of its own, so that no listener hears of ops that go again.
  Region region;
  Block &block = region.emplaceBlock();
  OpBuilder inside(context);
  inside.setInsertionPointToEnd(&block);
  SmallVector<Value> inputArgs, destinationArgs;
  for (const MappedOperand &input : inputs)
    inputArgs.push_back(
        input.value ? block.addArgument(getElementTypeOrSelf(input.value), loc)
                    : Value());
  for (const MappedOperand &destination : destinations)
    destinationArgs.push_back(
        block.addArgument(getElementTypeOrSelf(destination.value), loc));
  linalg::YieldOp::create(inside, loc,
                          body(inside, loc, inputArgs, destinationArgs));
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (isOpTriviallyDead(&op))
      op.erase();

  int64_t rank = iterators.size();
  SmallVector<Value> used;
  SmallVector<AffineMap> maps;
  for (auto [index, input] : llvm::enumerate(inputs)) {
    if (!input.value)
      continue;
    auto arg = cast<BlockArgument>(inputArgs[index]);
    if (index != 0 && arg.use_empty()) {
      block.eraseArgument(arg.getArgNumber());
      continue;
    }
    used.push_back(input.value);
    maps.push_back(getMap(context, rank, input.dims));
  }
  SmallVector<Value> outs;
  SmallVector<Type> types;
  for (const MappedOperand &destination : destinations) {
    outs.push_back(destination.value);
    types.push_back(destination.value.getType());
    maps.push_back(getMap(context, rank, destination.dims));
  }
  auto generic = linalg::GenericOp::create(builder, loc, types, used, outs,
                                           maps, iterators);
  generic.getRegion().takeBody(region);
  return SmallVector<Value>(generic.getResults());
}

Value scaling::createElementwise(
    OpBuilder &builder, Location loc, ValueRange inputs, Value destination,
    function_ref<Value(OpBuilder &, Location, ValueRange)> body) {
  int64_t rank = cast<ShapedType>(destination.getType()).getRank();
  auto all = llvm::to_vector(llvm::seq<int64_t>(rank));
  SmallVector<MappedOperand> mapped;
  for (Value input : inputs)
    mapped.push_back({input, all});
  return createGeneric(builder, loc,
                       SmallVector<IteratorType>(rank, IteratorType::parallel),
                       mapped, MappedOperand{destination, all},
                       [&](OpBuilder &b, Location loc, ValueRange entries,
                           ValueRange) -> SmallVector<Value> {
                         return {body(b, loc, entries)};
                       })[0];
}

FloatType scaling::getComputeType(ArrayRef<Value> values) {
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

static Value createEmptyLike(OpBuilder &builder, Location loc, Value tensor,
                             Type element) {
  return tensor::EmptyOp::create(
      builder, loc, tensor::getMixedSizes(builder, loc, tensor), element);
}

Value scaling::castInto(OpBuilder &builder, Location loc, Value source,
                        Value destination) {
  Type element = getElementTypeOrSelf(destination);
  if (getElementTypeOrSelf(source) == element)
    return source;
  return createElementwise(builder, loc, source, destination,
                           [&](OpBuilder &b, Location loc, ValueRange entries) {
                             return castFloat(b, loc, entries[0], element);
                           });
}

Value scaling::castTensor(OpBuilder &builder, Location loc, Value tensor,
                          FloatType element) {
  if (getElementTypeOrSelf(tensor) == element)
    return tensor;
  return castInto(builder, loc, tensor,
                  createEmptyLike(builder, loc, tensor, element));
}

Value scaling::createScratchFor(OpBuilder &builder, Location loc,
                                Value destination, FloatType element) {
  if (getElementTypeOrSelf(destination) == element)
    return destination;
  return createEmptyLike(builder, loc, destination, element);
}

Value scaling::createEmpty(OpBuilder &builder, Location loc,
                           ArrayRef<int64_t> dims,
                           ArrayRef<MappedOperand> operands,
                           FloatType element) {
  SmallVector<OpFoldResult> sizes;
  for (int64_t dim : dims) {
    // A static size wins over a dynamic one.
    const MappedOperand *source = nullptr;
    int64_t position = 0;
    for (const MappedOperand &operand : operands) {
      if (!operand.value)
        continue;
      const int64_t *found = llvm::find(operand.dims, dim);
      if (found == operand.dims.end())
        continue;
      int64_t at = found - operand.dims.begin();
      bool isStatic =
          !cast<ShapedType>(operand.value.getType()).isDynamicDim(at);
      if (!source || isStatic) {
        source = &operand;
        position = at;
      }
      if (isStatic)
        break;
    }
    assert(source && "a dimension no operand has");
    sizes.push_back(
        tensor::getMixedSize(builder, loc, source->value, position));
  }
  return tensor::EmptyOp::create(builder, loc, sizes, element);
}

Value scaling::createZeros(OpBuilder &builder, Location loc,
                           Value destination) {
  Value zero =
      createConstant(builder, loc, getElementTypeOrSelf(destination), 0.0);
  return linalg::FillOp::create(builder, loc, zero, destination).getResult(0);
}
