//===- ImportNamedOps.cpp - Named ops from other programs -----------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ImportNamedOps/ImportNamedOps.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::scaling;

NamedOpImport::NamedOpImport(MLIRContext *context, StringRef name)
    : context(context), name(name) {}

/// How many dimensions an operand has behind its batch.
static int64_t tailRankOf(StringRef name) {
  if (name == "slack" || name == "epsilon")
    return 0;
  return name.starts_with("row_") || name.starts_with("col_") ? 1 : 2;
}

void NamedOpImport::addOperand(StringRef operandName, RankedTensorType type) {
  operands.push_back({operandName.str(), type, tailRankOf(operandName), type});
}

void NamedOpImport::setAttributes(StringRef text) { attributes = text.str(); }

/// The float type that holds the elements of both, as PyTorch promotes; null
/// if one is no float.
static FloatType promote(Type lhs, Type rhs) {
  auto a = dyn_cast<FloatType>(lhs), b = dyn_cast<FloatType>(rhs);
  if (!a || !b || a == b)
    return a == b ? a : FloatType();
  if (a.getWidth() == b.getWidth())
    return Float32Type::get(lhs.getContext());
  return a.getWidth() > b.getWidth() ? a : b;
}

LogicalResult NamedOpImport::planTypes(std::string &message) {
  // One element type for all matrices.
  FloatType element;
  for (Operand &operand : operands) {
    if (operand.type.getRank() < operand.tailRank) {
      message = "'" + operand.name + "' must have rank at least " +
                std::to_string(operand.tailRank);
      return failure();
    }
    if (operand.tailRank != 2)
      continue;
    Type own = operand.type.getElementType();
    element = element ? promote(element, own) : dyn_cast<FloatType>(own);
    if (!element) {
      llvm::raw_string_ostream(message)
          << "'" << operand.name << "' holds " << own
          << ", which does not go with the matrices of the op";
      return failure();
    }
  }

  auto ownBatch = [](const Operand &operand) {
    return operand.type.getShape().drop_back(operand.tailRank);
  };
  size_t rank = 0;
  for (const Operand &operand : operands)
    rank = std::max(rank, ownBatch(operand).size());
  // A size is 1 only where it is 1 for all.
  batch.assign(rank, 1);
  for (const Operand &operand : operands)
    for (auto [index, size] : llvm::enumerate(ownBatch(operand))) {
      int64_t &known = batch[rank - ownBatch(operand).size() + index];
      if (size != 1 && (known == 1 || ShapedType::isDynamic(known)))
        known = size;
    }

  for (Operand &operand : operands) {
    ArrayRef<int64_t> own = ownBatch(operand);
    ArrayRef<int64_t> wanted = ArrayRef(batch).take_back(own.size());
    auto differs = [&](size_t index) {
      return own[index] == 1 && wanted[index] != 1;
    };
    // An operand without the leading dimensions is shared: no copy is needed.
    size_t dropped = 0;
    for (size_t index = 0; index < own.size() && own[index] == 1; ++index)
      if (differs(index))
        dropped = index + 1;
    operand.numDropped = dropped;
    SmallVector<int64_t> shape;
    for (size_t index = dropped; index < own.size(); ++index)
      shape.push_back(differs(index) ? wanted[index] : own[index]);
    llvm::append_range(shape,
                       operand.type.getShape().take_back(operand.tailRank));
    operand.planned = RankedTensorType::get(
        shape, operand.tailRank == 2 ? element : operand.type.getElementType());
  }
  return success();
}

/// How many results there are of what can be imported; zero for other names.
static unsigned getNumResultsOf(MLIRContext *context, StringRef name) {
  if (!llvm::is_contained({"project", "sinkhorn", "attention", "balance"},
                          name))
    return 0;
  OperationName op((ScalingDialect::getDialectNamespace() + "." + name).str(),
                   context);
  return op.hasTrait<OpTrait::NResults<5>::Impl>() ? 5 : 4;
}

std::string NamedOpImport::writeProgram(StringRef matrixKeyword) const {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "func.func private @import(";
  llvm::interleaveComma(llvm::enumerate(operands), os, [&](auto pair) {
    os << "%a" << pair.index() << ": " << pair.value().planned;
  });
  os << ") {\n%r:" << getNumResultsOf(context, name) << " = scaling." << name;
  for (auto [index, operand] : llvm::enumerate(operands))
    os << ' ' << (operand.name == "matrix" ? matrixKeyword : operand.name)
       << "(%a" << index << " : " << operand.planned << ')';
  os << ' ' << attributes << "\nreturn\n}\n";
  return text;
}

/// The one op of the program of `writeProgram`; null where there is more.
static Operation *getOnlyOp(ModuleOp module) {
  auto funcs = llvm::to_vector(module.getOps<func::FuncOp>());
  if (funcs.size() != 1 || !llvm::hasSingleElement(*module.getBody()) ||
      !llvm::hasSingleElement(funcs[0].getBody()) ||
      std::distance(funcs[0].front().begin(), funcs[0].front().end()) != 2)
    return nullptr;
  return &funcs[0].front().front();
}

LogicalResult NamedOpImport::check(ArrayRef<RankedTensorType> results,
                                   std::string &message) {
  resultTypes.assign(results.begin(), results.end());
  unsigned numResults = getNumResultsOf(context, name);
  if (numResults == 0) {
    message = "there is no op '" + name + "' that can be imported";
    return failure();
  }
  if (operands.empty() || results.empty()) {
    message = "the op has neither operands nor results";
    return failure();
  }
  if (results.size() > numResults) {
    message = "the op has " + std::to_string(numResults) + " results, not " +
              std::to_string(results.size());
    return failure();
  }
  if (failed(planTypes(message)))
    return failure();

  // The form says what the matrix is; a preset alone has to be tried.
  SmallVector<StringRef> keywords = {"logits", "cost", "kernel"};
  StringRef form = "#scaling.form<";
  if (size_t start = attributes.find(form.str()); start != std::string::npos)
    keywords = {StringRef(attributes)
                    .drop_front(start + form.size())
                    .take_while([](char c) { return llvm::isAlpha(c); })};
  OwningOpRef<ModuleOp> module;
  for (StringRef keyword : keywords) {
    program = writeProgram(keyword);
    std::string error;
    ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
      if (error.empty())
        error = diagnostic.str();
      return success();
    });
    module = parseSourceString<ModuleOp>(program, ParserConfig(context), name);
    if (module)
      break;
    if (message.empty())
      message = error;
  }
  Operation *op = module ? getOnlyOp(*module) : nullptr;
  if (!op) {
    if (message.empty())
      message = "the attributes are not those of one op";
    return failure();
  }
  message.clear();

  for (auto [index, wanted] : llvm::enumerate(resultTypes)) {
    Type own = op->getResult(index).getType();
    if (!tensor::CastOp::areCastCompatible(own, wanted)) {
      llvm::raw_string_ostream(message)
          << "result " << index << " is " << own << ", expected was " << wanted;
      return failure();
    }
  }
  return success();
}

Value NamedOpImport::adapt(OpBuilder &builder, Location loc, ValueRange values,
                           size_t index) const {
  const Operand &operand = operands[index];
  Value value = values[index];
  auto type = operand.type;
  if (type.getElementType() != operand.planned.getElementType()) {
    type = type.clone(operand.planned.getElementType());
    value = arith::ExtFOp::create(builder, loc, type, value);
  }
  if (operand.numDropped > 0) {
    SmallVector<ReassociationIndices> groups;
    int64_t rank = type.getRank(), dropped = operand.numDropped;
    for (int64_t dim = dropped; dim < rank; ++dim)
      groups.push_back({dim});
    if (!groups.empty())
      for (int64_t dim = dropped; dim-- > 0;)
        groups.front().insert(groups.front().begin(), dim);
    type = type.clone(type.getShape().drop_front(dropped));
    value = tensor::CollapseShapeOp::create(builder, loc, type, value, groups);
  }
  if (type == operand.planned)
    return value;

  // Copy along what is 1 here and more elsewhere.
  int64_t rank = type.getRank();
  SmallVector<OpFoldResult> sizes;
  SmallVector<AffineExpr> exprs;
  for (int64_t dim = 0; dim < rank; ++dim) {
    bool copied =
        type.getDimSize(dim) == 1 && operand.planned.getDimSize(dim) != 1;
    exprs.push_back(copied ? builder.getAffineConstantExpr(0)
                           : builder.getAffineDimExpr(dim));
    if (!copied) {
      sizes.push_back(tensor::getMixedSize(builder, loc, value, dim));
      continue;
    }
    // The place counted from the end of the batch is the same for all.
    int64_t fromEnd = rank - operand.tailRank - dim;
    for (auto [other, source] : llvm::zip(operands, values)) {
      int64_t place = other.type.getRank() - other.tailRank - fromEnd;
      if (place < 0 || other.type.getDimSize(place) == 1)
        continue;
      sizes.push_back(tensor::getMixedSize(builder, loc, source, place));
      break;
    }
  }
  Value empty =
      tensor::EmptyOp::create(builder, loc, sizes, type.getElementType());
  SmallVector<AffineMap> maps = {
      AffineMap::get(rank, 0, exprs, builder.getContext()),
      builder.getMultiDimIdentityMap(rank)};
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             builder, loc, empty.getType(), value, empty, maps, iterators,
             [](OpBuilder &b, Location loc, ValueRange args) {
               linalg::YieldOp::create(b, loc, args[0]);
             })
      .getResult(0);
}

SmallVector<Value> NamedOpImport::build(OpBuilder &builder, Location loc,
                                        ValueRange values) {
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>(program, ParserConfig(context), name);
  Operation *op = getOnlyOp(*module);
  IRMapping mapping;
  for (auto [index, argument] :
       llvm::enumerate(op->getBlock()->getArguments())) {
    Value value = adapt(builder, loc, values, index);
    if (value.getType() != argument.getType())
      value = tensor::CastOp::create(builder, loc, argument.getType(), value);
    mapping.map(argument, value);
  }
  Operation *built = builder.clone(*op, mapping);
  built->setLoc(loc);
  SmallVector<Value> results;
  for (auto [result, type] : llvm::zip(built->getResults(), resultTypes))
    results.push_back(
        result.getType() == type
            ? Value(result)
            : tensor::CastOp::create(builder, loc, type, result).getResult());
  return results;
}
