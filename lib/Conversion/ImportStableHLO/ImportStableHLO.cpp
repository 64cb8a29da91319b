//===- ImportStableHLO.cpp - Ops out of StableHLO -------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Composites name an op; custom calls bring the text of a function, which is
// parsed and put in their place. Until it is known to fit, nothing of the
// program is touched.
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/ImportStableHLO/ImportStableHLO.h"

#include "scaling/Conversion/ImportNamedOps/ImportNamedOps.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/SetVector.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGIMPORTSTABLEHLOPASS
#include "scaling/Conversion/ImportStableHLO/ImportStableHLO.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

static constexpr StringLiteral kComposite = "stablehlo.composite";
static constexpr StringLiteral kCustomCall = "stablehlo.custom_call";

/// What names of our composites begin with.
static constexpr StringLiteral kPrefix = "scaling.";

namespace {
/// A custom call that is ours.
struct Call {
  std::string text, function;
  /// How many dimensions in front are the batch, and which operands have it;
  /// the others are of size 1 there.
  int64_t batchDims = 0;
  SmallVector<bool> batched;
};
} // namespace

static StringRef getString(DictionaryAttr attributes, StringRef name) {
  auto value = attributes ? attributes.getAs<StringAttr>(name) : nullptr;
  return value ? value.getValue() : "";
}

/// The shape with its leading dimensions as one, or without them; nothing when
/// they cannot be.
static RankedTensorType flatten(RankedTensorType type, int64_t batchDims,
                                bool isBatched) {
  if (type.getRank() < batchDims)
    return nullptr;
  ArrayRef<int64_t> shape = type.getShape();
  ArrayRef<int64_t> batch = shape.take_front(batchDims);
  SmallVector<int64_t> flat;
  if (isBatched) {
    int64_t count = 1;
    for (int64_t size : batch) {
      if (ShapedType::isDynamic(size) && batchDims > 1)
        return nullptr;
      count = ShapedType::isDynamic(size) ? size : count * size;
    }
    flat.push_back(count);
  } else if (!llvm::all_of(batch, [](int64_t size) { return size == 1; })) {
    return nullptr;
  }
  llvm::append_range(flat, shape.drop_front(batchDims));
  return RankedTensorType::get(flat, type.getElementType());
}

/// Which dimensions of the original become which of the flat type.
static SmallVector<ReassociationIndices>
getReassociation(int64_t rank, int64_t batchDims, bool isBatched) {
  SmallVector<ReassociationIndices> groups;
  for (int64_t dim = 0; dim < rank; ++dim) {
    // Dimensions of size 1 that go are part of the first one that stays.
    bool starts = dim >= batchDims + (isBatched ? 0 : 1) || groups.empty();
    if (starts)
      groups.emplace_back();
    groups.back().push_back(dim);
  }
  // With nothing behind the batch there is nothing that could hold it.
  if (!isBatched && rank == batchDims)
    groups.clear();
  return groups;
}

static FailureOr<SmallVector<RankedTensorType>>
getTensorTypes(TypeRange types, StringRef what, std::string &why) {
  SmallVector<RankedTensorType> tensors;
  for (Type type : types) {
    tensors.push_back(dyn_cast<RankedTensorType>(type));
    if (!tensors.back()) {
      why = (what + " that is no ranked tensor").str();
      return failure();
    }
  }
  return tensors;
}

/// Puts our op in the place of a composite.
static LogicalResult importComposite(Operation *op, StringRef name,
                                     std::string &why) {
  auto attributes = op->getAttrOfType<DictionaryAttr>("composite_attributes");
  if (!attributes || !attributes.getAs<StringAttr>("operands") ||
      !attributes.getAs<StringAttr>("attributes")) {
    why = "'composite_attributes' lacks one of 'operands' and 'attributes'";
    return failure();
  }
  SmallVector<StringRef> keywords;
  getString(attributes, "operands").split(keywords, ' ', -1, false);
  if (keywords.size() != op->getNumOperands()) {
    why = "'operands' names " + std::to_string(keywords.size()) +
          " operands, there are " + std::to_string(op->getNumOperands());
    return failure();
  }
  auto operandTypes = getTensorTypes(op->getOperandTypes(), "an operand", why);
  auto resultTypes = getTensorTypes(op->getResultTypes(), "a result", why);
  if (failed(operandTypes) || failed(resultTypes))
    return failure();

  NamedOpImport import(op->getContext(), name);
  for (auto [keyword, type] : llvm::zip_equal(keywords, *operandTypes))
    import.addOperand(keyword, type);
  import.setAttributes(getString(attributes, "attributes"));
  if (failed(import.check(*resultTypes, why)))
    return failure();
  OpBuilder builder(op);
  op->replaceAllUsesWith(
      import.build(builder, op->getLoc(), op->getOperands()));
  op->erase();
  return success();
}

/// The program of a custom call.
static FailureOr<Call> readCustomCall(Operation *op, std::string &why) {
  // As JAX prints it, or as StableHLO itself has it.
  auto config = op->getAttrOfType<DictionaryAttr>("mhlo.backend_config");
  if (!config)
    config = op->getAttrOfType<DictionaryAttr>("backend_config");
  Call call;
  call.text = getString(config, "program").str();
  call.function = getString(config, "function").str();
  auto batchDims = config ? config.getAs<IntegerAttr>("batch_dims") : nullptr;
  auto batched =
      config ? config.getAs<DenseIntElementsAttr>("batched") : nullptr;
  if (call.text.empty() || call.function.empty() || !batchDims || !batched) {
    why = "its configuration lacks one of 'program', 'function', 'batch_dims' "
          "and 'batched'";
    return failure();
  }
  if (StringRef passes = getString(config, "passes"); !passes.empty()) {
    why = ("its program is one for the passes '" + passes + "'").str();
    return failure();
  }
  call.batchDims = batchDims.getInt();
  for (const APInt &value : batched.getValues<APInt>())
    call.batched.push_back(!value.isZero());
  if (call.batched.size() != op->getNumOperands() + op->getNumResults()) {
    why = "'batched' does not have an element for every operand and result";
    return failure();
  }
  return call;
}

/// Parses the program; diagnostics become the reason why it is refused.
static OwningOpRef<ModuleOp> parse(StringRef text, MLIRContext *context,
                                   std::string &why) {
  ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
    if (why.empty() && diagnostic.getSeverity() == DiagnosticSeverity::Error)
      why = diagnostic.str();
    return success();
  });
  return parseSourceString<ModuleOp>(text, ParserConfig(context));
}

/// Puts the function's body in the place of the op.
static LogicalResult inlineCall(Operation *op, const Call &call,
                                std::string &why) {
  OwningOpRef<ModuleOp> module = parse(call.text, op->getContext(), why);
  if (!module)
    return failure();
  auto function = module->lookupSymbol<func::FuncOp>(call.function);
  if (!function || !llvm::hasSingleElement(function.getBody())) {
    why = "its program has no function @" + call.function + " of one block";
    return failure();
  }
  FunctionType type = function.getFunctionType();
  if (type.getNumInputs() != op->getNumOperands() ||
      type.getNumResults() < op->getNumResults()) {
    why = "the function has other operands or results";
    return failure();
  }
  SmallVector<RankedTensorType> flatTypes;
  auto check = [&](Type outer, Type inner, StringRef what, size_t index) {
    auto tensor = dyn_cast<RankedTensorType>(outer);
    auto flat =
        tensor ? flatten(tensor, call.batchDims, call.batched[flatTypes.size()])
               : nullptr;
    flatTypes.push_back(flat);
    if (flat && tensor::CastOp::areCastCompatible(flat, inner))
      return success();
    llvm::raw_string_ostream(why)
        << what << ' ' << index << " of type " << outer << " is no " << inner;
    return failure();
  };
  for (auto [i, value] : llvm::enumerate(op->getOperands()))
    if (failed(check(value.getType(), type.getInput(i), "operand", i)))
      return failure();
  for (auto [i, value] : llvm::enumerate(op->getResults()))
    if (failed(check(value.getType(), type.getResult(i), "result", i)))
      return failure();

  OpBuilder b(op);
  Location loc = op->getLoc();
  IRMapping mapping;
  auto toType = [&](Value value, Type wanted) -> Value {
    if (value.getType() == wanted)
      return value;
    return tensor::CastOp::create(b, loc, wanted, value);
  };
  for (auto [i, operand] : llvm::enumerate(op->getOperands())) {
    Value value = operand;
    auto outer = cast<RankedTensorType>(operand.getType());
    if (outer != flatTypes[i] && outer.getRank() != flatTypes[i].getRank())
      value = tensor::CollapseShapeOp::create(
          b, loc, flatTypes[i], value,
          getReassociation(outer.getRank(), call.batchDims, call.batched[i]));
    mapping.map(function.getArgument(i), toType(value, type.getInput(i)));
  }
  Block &body = function.getBody().front();
  for (Operation &inner : body.without_terminator())
    b.clone(inner, mapping)->setLoc(loc);
  SmallVector<Value> results;
  for (auto [i, result] : llvm::enumerate(op->getResults())) {
    size_t index = op->getNumOperands() + i;
    Value value = mapping.lookup(body.getTerminator()->getOperand(i));
    value = toType(value, flatTypes[index]);
    auto outer = cast<RankedTensorType>(result.getType());
    if (outer.getRank() != flatTypes[index].getRank())
      value = tensor::ExpandShapeOp::create(
          b, loc, outer, value,
          getReassociation(outer.getRank(), call.batchDims,
                           call.batched[index]));
    results.push_back(value);
  }
  op->replaceAllUsesWith(results);
  op->erase();
  return success();
}

static LogicalResult importCustomCall(Operation *op, StringRef name,
                                      std::string &why) {
  if (name != "scaling_call") {
    why = "the target is not 'scaling_call'";
    return failure();
  }
  FailureOr<Call> call = readCustomCall(op, why);
  return failed(call) ? failure() : inlineCall(op, *call, why);
}

/// Attributes of dialects that nobody here knows.
static void dropForeignAttributes(ModuleOp module) {
  auto isForeign = [](NamedAttribute attribute) {
    return attribute.getName().getValue().contains('.') &&
           !attribute.getNameDialect();
  };
  module.walk([&](Operation *op) {
    for (NamedAttribute attribute : llvm::to_vector(op->getDiscardableAttrs()))
      if (isForeign(attribute))
        op->removeDiscardableAttr(attribute.getName());
    auto function = dyn_cast<FunctionOpInterface>(op);
    if (!function)
      return;
    for (unsigned i = 0, e = function.getNumArguments(); i < e; ++i)
      for (NamedAttribute attribute : llvm::to_vector(function.getArgAttrs(i)))
        if (isForeign(attribute))
          function.removeArgAttr(i, attribute.getName());
    for (unsigned i = 0, e = function.getNumResults(); i < e; ++i)
      for (NamedAttribute attribute :
           llvm::to_vector(function.getResultAttrs(i)))
        if (isForeign(attribute))
          function.removeResultAttr(i, attribute.getName());
  });
}

/// The symbols that the operation and those in it name. What is not registered
/// has them among its attributes like everything else.
static void getSymbols(Operation *op, SetVector<StringAttr> &symbols) {
  AttrTypeWalker walker;
  walker.addWalk(
      [&](SymbolRefAttr symbol) { symbols.insert(symbol.getRootReference()); });
  op->walk([&](Operation *inner) { walker.walk(inner->getAttrDictionary()); });
}

/// Erases those of the private functions that nobody names any more, and then
/// those that only they named.
static void dropUnused(ModuleOp module, SetVector<StringAttr> candidates) {
  while (!candidates.empty()) {
    auto function =
        module.lookupSymbol<func::FuncOp>(candidates.pop_back_val());
    if (!function || !function.isPrivate())
      continue;
    SetVector<StringAttr> used;
    getSymbols(module, used);
    if (used.contains(function.getSymNameAttr()))
      continue;
    getSymbols(function, candidates);
    function.erase();
  }
}

void mlir::scaling::importStableHLO(ModuleOp module) {
  SmallVector<Operation *> calls;
  module.walk([&](Operation *op) {
    StringRef name = op->getName().getStringRef();
    if (name == kComposite || name == kCustomCall)
      calls.push_back(op);
  });
  bool changed = false;
  SetVector<StringAttr> decompositions;
  for (Operation *op : calls) {
    bool isComposite = op->getName().getStringRef() == kComposite;
    auto nameAttr = op->getAttrOfType<StringAttr>(
        isComposite ? "name" : "call_target_name");
    StringRef name = nameAttr ? nameAttr.getValue() : "";
    std::string why;
    if (!name.starts_with(isComposite ? kPrefix : "scaling_"))
      continue;
    auto decomposition = op->getAttrOfType<FlatSymbolRefAttr>("decomposition");
    std::string full = nameAttr.getValue().str();
    Location loc = op->getLoc();
    LogicalResult imported =
        isComposite ? importComposite(op, name.drop_front(kPrefix.size()), why)
                    : importCustomCall(op, name, why);
    if (failed(imported)) {
      emitRemark(loc) << "'" << full << "' stays as it is: " << why;
      continue;
    }
    changed = true;
    if (decomposition)
      decompositions.insert(decomposition.getAttr());
  }
  if (!changed)
    return;

  dropUnused(module, std::move(decompositions));
  WalkResult left = module.walk([](Operation *op) {
    return op->isRegistered() ? WalkResult::advance() : WalkResult::interrupt();
  });
  if (!left.wasInterrupted())
    dropForeignAttributes(module);
}

namespace {
struct ScalingImportStableHLOPass final
    : scaling::impl::ScalingImportStableHLOPassBase<
          ScalingImportStableHLOPass> {
  using Base::Base;

  void runOnOperation() override { importStableHLO(getOperation()); }
};
} // namespace
