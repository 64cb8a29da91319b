//===- EntryABI.cpp - What callers of compiled code see -------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/EntryABI/EntryABI.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

namespace mlir {
namespace scaling {
#define GEN_PASS_DEF_SCALINGENTRYABIPASS
#include "scaling/Conversion/EntryABI/EntryABI.h.inc"
} // namespace scaling
} // namespace mlir

using namespace mlir;
using namespace mlir::scaling;

/// An attribute that names an argument or result in headers and messages.
static constexpr llvm::StringLiteral kNameAttrName = "scaling.name";

int64_t EntryPoint::numDynamicResultDims() const {
  int64_t count = 0;
  for (const EntryValue &result : results)
    if (auto type = dyn_cast<ShapedType>(result.type))
      count += type.getNumDynamicDims();
  return count;
}

static bool isPublicDefinition(func::FuncOp func) {
  return func.isPublic() && !func.isExternal();
}

/// Types a caller in C can name.
static bool isSupportedScalar(Type type) {
  if (type.isIndex())
    return true;
  if (type.isInteger())
    return llvm::is_contained({1u, 8u, 16u, 32u, 64u},
                              type.getIntOrFloatBitWidth());
  return type.isF16() || type.isBF16() || type.isF32() || type.isF64();
}

static LogicalResult checkType(func::FuncOp func, StringRef what,
                               unsigned index, Type type) {
  Type element = type;
  if (auto tensor = dyn_cast<RankedTensorType>(type)) {
    element = tensor.getElementType();
    if (tensor.getEncoding())
      element = nullptr;
  } else if (auto memref = dyn_cast<MemRefType>(type)) {
    element = memref.getElementType();
    if (!memref.getLayout().isIdentity() || memref.getMemorySpace())
      element = nullptr;
  }
  if (element && isSupportedScalar(element))
    return success();
  return func.emitError("public function '")
         << func.getSymName() << "': " << what << " " << index << " of type "
         << type << " cannot be passed to compiled code";
}

/// Turns any text into a C identifier that is not in `taken`.
static std::string toIdentifier(StringRef text, llvm::StringSet<> &taken) {
  std::string name;
  for (char c : text)
    name += llvm::isAlnum(c) ? c : '_';
  if (name.empty() || llvm::isDigit(name.front()))
    name.insert(name.begin(), '_');
  while (!taken.insert(name).second)
    name += '_';
  return name;
}

/// The words a header cannot use as names of parameters.
static llvm::StringSet<> getReservedNames() {
  return {
      "auto",     "bool",      "break",    "case",      "char",    "const",
      "continue", "default",   "dims",     "do",        "double",  "else",
      "enum",     "extern",    "float",    "for",       "goto",    "if",
      "inline",   "int",       "int16_t",  "int32_t",   "int64_t", "int8_t",
      "long",     "register",  "restrict", "return",    "short",   "signed",
      "sizeof",   "static",    "struct",   "switch",    "typedef", "uint16_t",
      "union",    "unsigned",  "void",     "volatile",  "while",   "class",
      "delete",   "false",     "friend",   "namespace", "new",     "operator",
      "private",  "protected", "public",   "template",  "this",    "throw",
      "true",     "try",       "typename", "using",     "virtual"};
}

/// What a result of an op on a whole problem reports: its last three (of
/// `similarity_balance`, which measures nothing, its last two).
static StringRef roleOf(Value value) {
  auto result = dyn_cast<OpResult>(value);
  if (!result || !isa<ScalingBatchedOpInterface>(result.getOwner()) ||
      isa<NormalizeOp>(result.getOwner()))
    return "";
  bool similarity = isa<SimilarityBalanceOp>(result.getOwner());
  unsigned fromLast =
      result.getOwner()->getNumResults() - result.getResultNumber();
  if (fromLast == 1)
    return "status";
  if (fromLast == 2)
    return similarity ? "half_steps" : "residual";
  return fromLast == 3 && !similarity ? "half_steps" : "";
}

FailureOr<SmallVector<EntryPoint>>
mlir::scaling::collectEntryPoints(ModuleOp module) {
  SmallVector<EntryPoint> entries;
  for (auto func : module.getOps<func::FuncOp>()) {
    if (!isPublicDefinition(func))
      continue;
    EntryPoint entry{func.getSymName().str(),
                     func.getLoc(),
                     {},
                     {},
                     collectSizeRelations(func)};
    llvm::StringSet<> taken = getReservedNames();
    auto nameOf = [&](StringAttr attr, StringRef fallback, unsigned index) {
      std::string name =
          attr ? attr.getValue().str() : (fallback + Twine(index)).str();
      return toIdentifier(name, taken);
    };
    for (auto [index, type] : llvm::enumerate(func.getArgumentTypes())) {
      if (failed(checkType(func, "argument", index, type)))
        return failure();
      EntryValue value;
      value.name =
          nameOf(func.getArgAttrOfType<StringAttr>(index, kNameAttrName), "arg",
                 index);
      value.type = type;
      auto writable = func.getArgAttrOfType<BoolAttr>(
          index, bufferization::BufferizationDialect::kWritableAttrName);
      value.donated =
          isa<MemRefType>(type) || (writable && writable.getValue());
      entry.inputs.push_back(std::move(value));
    }
    Operation *terminator = func.getBody().back().getTerminator();
    for (auto [index, type] : llvm::enumerate(func.getResultTypes())) {
      if (failed(checkType(func, "result", index, type)))
        return failure();
      EntryValue value;
      value.name =
          nameOf(func.getResultAttrOfType<StringAttr>(index, kNameAttrName),
                 "result", index);
      value.type = type;
      if (auto role =
              func.getResultAttrOfType<StringAttr>(index, kResultRoleAttrName))
        value.role = role.getValue().str();
      else
        value.role = roleOf(terminator->getOperand(index)).str();
      entry.results.push_back(std::move(value));
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

/// The argument of `block` that `value` has the shape of, found through
/// destinations, or null.
static BlockArgument findShapeSource(Value value, Block *block) {
  while (true) {
    if (auto argument = dyn_cast<BlockArgument>(value))
      return argument.getOwner() == block ? argument : BlockArgument();
    Operation *op = value.getDefiningOp();
    if (auto style = dyn_cast<DestinationStyleOpInterface>(op))
      value = style.getTiedOpOperand(cast<OpResult>(value))->get();
    else if (auto loop = dyn_cast<LoopLikeOpInterface>(op);
             loop && loop.getTiedLoopInit(cast<OpResult>(value)))
      value = loop.getTiedLoopInit(cast<OpResult>(value))->get();
    else
      return nullptr;
  }
}

namespace {
/// The dimension of an elementwise operation's result is its operand's.
struct DimOfElementwise final : OpRewritePattern<tensor::DimOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::DimOp dim,
                                PatternRewriter &rewriter) const override {
    Operation *op = dim.getSource().getDefiningOp();
    if (!op || !OpTrait::hasElementwiseMappableTraits(op))
      return failure();
    // Scalars may be among the operands (the condition of a select).
    for (Value operand : op->getOperands()) {
      if (!isa<RankedTensorType>(operand.getType()))
        continue;
      rewriter.modifyOpInPlace(dim,
                               [&] { dim.getSourceMutable().assign(operand); });
      return success();
    }
    return failure();
  }
};

/// The dimension of what a while loop carries unchanged in shape is that of
/// the initial value. Upstream knows this of scf.for only.
struct DimOfWhileResult final : OpRewritePattern<tensor::DimOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::DimOp dim,
                                PatternRewriter &rewriter) const override {
    auto loop = dim.getSource().getDefiningOp<scf::WhileOp>();
    if (!loop)
      return failure();
    // From the result to the argument of `before`, around through `after`,
    // and back to the same argument.
    unsigned result = cast<OpResult>(dim.getSource()).getResultNumber();
    BlockArgument before = findShapeSource(
        loop.getConditionOp().getArgs()[result], loop.getBeforeBody());
    if (!before)
      return failure();
    BlockArgument after =
        findShapeSource(loop.getYieldOp().getOperand(before.getArgNumber()),
                        loop.getAfterBody());
    if (!after ||
        findShapeSource(loop.getConditionOp().getArgs()[after.getArgNumber()],
                        loop.getBeforeBody()) != before)
      return failure();
    rewriter.modifyOpInPlace(dim, [&] {
      dim.getSourceMutable().assign(loop.getInits()[before.getArgNumber()]);
    });
    return success();
  }
};
} // namespace

/// Expresses dimensions of values through dimensions of arguments, as far as
/// the operations in between can tell.
static LogicalResult resolveDims(func::FuncOp func) {
  RewritePatternSet patterns(func.getContext());
  memref::populateResolveRankedShapedTypeResultDimsPatterns(patterns);
  memref::populateResolveShapedTypeResultDimsPatterns(patterns);
  scf::populateSCFForLoopCanonicalizationPatterns(patterns);
  patterns.add<DimOfElementwise, DimOfWhileResult>(func.getContext());
  tensor::DimOp::getCanonicalizationPatterns(patterns, func.getContext());
  return applyPatternsGreedily(func, std::move(patterns));
}

/// Makes a copy of a function that computes nothing but the dynamic dimensions
/// of its results. Whatever cannot tell its result's shape stays in the copy:
/// that is slower, not wrong.
static LogicalResult createResultDims(func::FuncOp func, SymbolTable &symbols) {
  std::string name = (func.getSymName() + kResultDimsSuffix).str();
  if (symbols.lookup(name))
    return func.emitError("the name '")
           << name << "' is needed for the companion of public function '"
           << func.getSymName() << "'";
  auto dims = cast<func::FuncOp>(func->clone());
  dims.setSymName(name);
  symbols.insert(dims, std::next(func->getIterator()));

  unsigned count = 0;
  dims.walk([&](func::ReturnOp ret) {
    OpBuilder b(ret);
    SmallVector<Value> values;
    for (Value result : ret.getOperands()) {
      auto type = dyn_cast<RankedTensorType>(result.getType());
      if (!type)
        continue;
      for (int64_t i = 0, e = type.getRank(); i < e; ++i) {
        if (!type.isDynamicDim(i))
          continue;
        Value size = tensor::DimOp::create(b, ret.getLoc(), result, i);
        values.push_back(
            arith::IndexCastOp::create(b, ret.getLoc(), b.getI64Type(), size));
      }
    }
    count = values.size();
    ret->setOperands(
        tensor::FromElementsOp::create(b, ret.getLoc(), values).getResult());
  });
  OpBuilder b(dims);
  dims.setResAttrsAttr(nullptr);
  dims.setFunctionType(b.getFunctionType(
      dims.getArgumentTypes(), RankedTensorType::get({count}, b.getI64Type())));

  return resolveDims(dims);
}

static void convertFunction(func::FuncOp func) {
  MLIRContext *context = func.getContext();
  Builder b(context);
  StringRef writable = bufferization::BufferizationDialect::kWritableAttrName;
  for (auto [index, type] : llvm::enumerate(func.getArgumentTypes()))
    if (isa<TensorType>(type) && !func.getArgAttr(index, writable))
      func.setArgAttr(index, writable, b.getBoolAttr(false));
  // Names are for headers and messages; LLVM would warn about them.
  for (unsigned index = 0; index < func.getNumArguments(); ++index)
    func.removeArgAttr(index, kNameAttrName);
  func->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(), b.getUnitAttr());

  SmallVector<Value> outputs;
  for (Type type : func.getResultTypes()) {
    auto shaped = dyn_cast<RankedTensorType>(type);
    Type output =
        shaped ? MemRefType::get(shaped.getShape(), shaped.getElementType())
        : isa<MemRefType>(type) ? type
                                : MemRefType::get({}, type);
    unsigned index = func.getNumArguments();
    (void)func.insertArgument(index, output, DictionaryAttr::get(context),
                              func.getLoc());
    outputs.push_back(func.getArgument(index));
  }
  func.walk([&](func::ReturnOp ret) {
    OpBuilder b(ret);
    for (auto [value, output] : llvm::zip(ret.getOperands(), outputs)) {
      if (isa<TensorType>(value.getType())) {
        auto store = bufferization::MaterializeInDestinationOp::create(
            b, ret.getLoc(), value, output);
        store.setRestrict(true);
        store.setWritable(true);
      } else if (isa<MemRefType>(value.getType())) {
        memref::CopyOp::create(b, ret.getLoc(), value, output);
      } else {
        memref::StoreOp::create(b, ret.getLoc(), value, output);
      }
    }
    ret->setOperands({});
  });
  (void)func.eraseResults(llvm::BitVector(func.getNumResults(), true));
}

LogicalResult mlir::scaling::applyEntryABI(ModuleOp module) {
  SymbolTable symbols(module);
  SmallVector<func::FuncOp> funcs;
  for (auto func : module.getOps<func::FuncOp>()) {
    if (!isPublicDefinition(func))
      continue;
    for (auto [index, type] : llvm::enumerate(func.getArgumentTypes()))
      if (failed(checkType(func, "argument", index, type)))
        return failure();
    for (auto [index, type] : llvm::enumerate(func.getResultTypes()))
      if (failed(checkType(func, "result", index, type)))
        return failure();
    funcs.push_back(func);
  }
  for (func::FuncOp func : funcs) {
    // A companion of an earlier run: by now, more operations may be able to
    // tell their shapes.
    StringRef name = func.getSymName();
    if (func.getNumResults() == 0 && name.consume_back(kResultDimsSuffix) &&
        symbols.lookup(name)) {
      if (failed(resolveDims(func)))
        return failure();
      continue;
    }
    // Callers inside the module keep the tensor form, in a private copy.
    if (func.getNumResults() != 0 &&
        !SymbolTable::symbolKnownUseEmpty(func, module)) {
      auto copy = cast<func::FuncOp>(func->clone());
      copy.setPrivate();
      StringAttr name = symbols.insert(copy, func->getIterator());
      if (failed(SymbolTable::replaceAllSymbolUses(func, name, module)))
        return func.emitError("a use of this function cannot be renamed");
    }
    bool dynamic = llvm::any_of(func.getResultTypes(), [](Type type) {
      auto shaped = dyn_cast<RankedTensorType>(type);
      return shaped && !shaped.hasStaticShape();
    });
    if (dynamic) {
      if (failed(createResultDims(func, symbols)))
        return failure();
      convertFunction(cast<func::FuncOp>(*std::next(func->getIterator())));
    }
    convertFunction(func);
  }
  return success();
}

namespace {
struct ScalingEntryABIPass final
    : scaling::impl::ScalingEntryABIPassBase<ScalingEntryABIPass> {
  using Base::Base;

  void runOnOperation() override {
    if (failed(applyEntryABI(getOperation())))
      signalPassFailure();
  }
};
} // namespace
