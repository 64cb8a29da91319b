//===- ScalingOps.cpp - Ops on whole problems -------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ParseEnum.h"

#include "scaling/Dialect/Scaling/IR/Presets.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/Dialect/Scaling/IR/Shapes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace mlir::scaling;

#define GET_OP_CLASSES
#include "scaling/Dialect/Scaling/IR/ScalingOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Assembly: `keyword(%x : type)`, `preset(name)`, `attribute(value)`
//===----------------------------------------------------------------------===//

/// The keyword of the operand that is a cost, logits or a kernel, as the form
/// says.
static constexpr StringLiteral kFormMatrix = "<form>";

/// Parses `(%x : type)`.
static ParseResult parseOperand(OpAsmParser &parser,
                                OpAsmParser::UnresolvedOperand &operand,
                                Type &type) {
  return failure(parser.parseLParen() || parser.parseOperand(operand) ||
                 parser.parseColonType(type) || parser.parseRParen());
}

/// An enumeration attribute's keyword, stored as i32.
template <typename Enum>
static ParseResult parseEnumAttr(OpAsmParser &parser, Attribute &attribute) {
  Enum value;
  if (parseEnum(parser, value))
    return failure();
  attribute = parser.getBuilder().getI32IntegerAttr(static_cast<int>(value));
  return success();
}

static ParseResult parseAttributeValue(OpAsmParser &parser, StringRef name,
                                       Attribute &attribute) {
  if (name == "order")
    return parseEnumAttr<Order>(parser, attribute);
  if (name == "axis")
    return parseEnumAttr<Axis>(parser, attribute);
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseAttribute(attribute))
    return failure();
  auto is = [&](bool right, StringRef wanted) -> ParseResult {
    if (right)
      return success();
    return parser.emitError(loc, "'") << name << "' takes a " << wanted;
  };
  if (name == "form")
    return is(isa<FormAttr>(attribute), "#scaling.form");
  if (name == "rows" || name == "cols" || name == "rule")
    return is(isa<RuleAttr>(attribute), "#scaling.rule");
  if (name == "stop")
    return is(isa<StopAttr>(attribute), "#scaling.stop");
  if (name == "numerics")
    return is(isa<NumericsAttr>(attribute), "#scaling.numerics");
  if (name == "schedule")
    return is(isa<ScheduleAttr>(attribute), "#scaling.schedule");
  return success();
}

/// Where a keyword and an attribute's name differ.
static StringRef attributeOfKeyword(StringRef keyword) {
  return keyword == "along" ? "axis" : keyword;
}
static StringRef keywordOfAttribute(StringRef attribute) {
  return attribute == "axis" ? "along" : attribute;
}

/// Gives the attributes that were not written their defaults.
static ParseResult addDefaults(OpAsmParser &parser, SMLoc loc,
                               ArrayRef<StringRef> names,
                               std::optional<Input> input,
                               NamedAttrList &attributes) {
  MLIRContext *context = parser.getContext();
  auto missing = [&](StringRef name) {
    return llvm::is_contained(names, name) && !attributes.get(name);
  };
  auto plain = [&] {
    return RuleAttr::getPlain(context, SumAttr::get(context));
  };
  if (missing("form"))
    attributes.set(
        "form", FormAttr::getDefault(context, input.value_or(Input::logits)));
  for (StringRef rule : {"rows", "cols", "rule"})
    if (missing(rule))
      attributes.set(rule, plain());
  if (missing("order"))
    attributes.set("order", parser.getBuilder().getI32IntegerAttr(
                                static_cast<int>(Order::rows_first)));
  if (missing("numerics")) {
    auto form = dyn_cast_or_null<FormAttr>(attributes.get("form"));
    bool logarithms = form && form.getInput() != Input::kernel &&
                      (form.getMap() == Map::exp) && form.getEntryEps() == 0.0;
    attributes.set("numerics",
                   NumericsAttr::getDefault(
                       context, logarithms ? Domain::absorb : Domain::kernel));
  }
  if (missing("axis"))
    return parser.emitError(loc, "needs 'along(rows)' or 'along(cols)'");
  if (missing("stop"))
    return parser.emitError(loc, "needs 'stop(…)' or 'preset(…)'");
  return success();
}

template <typename OpTy>
static ParseResult parseProblem(OpAsmParser &parser, OperationState &result,
                                ArrayRef<StringRef> operandNames,
                                size_t numRequired = 1) {
  SMLoc opLoc = parser.getCurrentLocation();
  MLIRContext *context = parser.getContext();
  ArrayRef<StringRef> attributeNames = OpTy::getAttributeNames();
  SmallVector<std::optional<OpAsmParser::UnresolvedOperand>> operands(
      operandNames.size());
  SmallVector<Type> types(operandNames.size());
  NamedAttrList written, preset;
  std::optional<Input> input;
  bool hasPreset = false;

  // Any other keyword belongs to what follows the op.
  SmallVector<StringRef> keywords{"preset"};
  for (StringRef name : operandNames)
    if (name != kFormMatrix)
      keywords.push_back(name);
  if (operandNames[0] == kFormMatrix)
    llvm::append_range(keywords,
                       ArrayRef<StringRef>{"cost", "logits", "kernel"});
  for (StringRef name : attributeNames)
    keywords.push_back(keywordOfAttribute(name));

  StringRef keyword;
  SMLoc loc = parser.getCurrentLocation();
  while (succeeded(parser.parseOptionalKeyword(&keyword, keywords))) {
    StringRef operandName = keyword;
    if (operandNames[0] == kFormMatrix)
      if (std::optional<Input> kind = symbolizeInput(keyword)) {
        operandName = kFormMatrix;
        input = kind;
      }
    if (const auto *it = llvm::find(operandNames, operandName);
        it != operandNames.end()) {
      size_t index = it - operandNames.begin();
      if (operands[index])
        return parser.emitError(loc, "operand '")
               << keyword << "' is given twice";
      if (parseOperand(parser, operands[index].emplace(), types[index]))
        return failure();
    } else if (keyword == "preset") {
      StringRef name;
      if (parser.parseLParen())
        return failure();
      SMLoc nameLoc = parser.getCurrentLocation();
      if (parser.parseKeyword(&name) || parser.parseRParen())
        return failure();
      if (hasPreset)
        return parser.emitError(loc, "a second preset");
      hasPreset = true;
      std::optional<NamedAttrList> found = getPresetAttributes(name, context);
      if (!found)
        return parser.emitError(nameLoc, "unknown preset '") << name << '\'';
      if (!presetBelongsTo(name, OpTy::getOperationName().drop_front(8)))
        return parser.emitError(nameLoc, "preset '")
               << name << "' does not belong to " << OpTy::getOperationName();
      preset = std::move(*found);
    } else {
      StringRef name = attributeOfKeyword(keyword);
      if (written.get(name))
        return parser.emitError(loc, "attribute '")
               << keyword << "' is given twice";
      Attribute value;
      if (parser.parseLParen() || parseAttributeValue(parser, name, value) ||
          parser.parseRParen())
        return failure();
      written.append(name, value);
    }
    loc = parser.getCurrentLocation();
  }
  // Before the attributes: these may be missing because the parser stopped
  // at what is no operand.
  auto emitError = [&] { return parser.emitError(opLoc); };
  for (size_t index = 0; index < numRequired; ++index)
    if (!operands[index]) {
      StringRef name = operandNames[index];
      return emitError() << "needs an operand '"
                         << (name == kFormMatrix ? "cost', 'logits' or 'kernel"
                                                 : name)
                         << '\'';
    }
  if (parser.parseOptionalAttrDict(result.attributes))
    return failure();

  // A preset's attributes, where nothing else is written.
  NamedAttrList attributes = written;
  for (NamedAttribute attribute : preset)
    if (llvm::is_contained(attributeNames, attribute.getName().strref()) &&
        !attributes.get(attribute.getName()))
      attributes.append(attribute);
  if (auto form = dyn_cast_or_null<FormAttr>(attributes.get("form"));
      form && input && form.getInput() != *input) {
    if (written.get("form"))
      return parser.emitError(opLoc, "the form takes '")
             << stringifyInput(form.getInput()) << "', but '"
             << stringifyInput(*input) << "' is given";
    return parser.emitError(opLoc, "the preset takes '")
           << stringifyInput(form.getInput()) << "', but '"
           << stringifyInput(*input) << "' is given";
  }
  if (addDefaults(parser, opLoc, attributeNames, input, attributes))
    return failure();

  SmallVector<int32_t> segments;
  for (auto [operand, type] : llvm::zip(operands, types)) {
    segments.push_back(operand.has_value());
    if (operand && parser.resolveOperand(*operand, type, result.operands))
      return failure();
  }
  if constexpr (OpTy::template hasTrait<OpTrait::AttrSizedOperandSegments>())
    attributes.append("operandSegmentSizes",
                      parser.getBuilder().getDenseI32ArrayAttr(segments));
  auto &properties = result.getOrAddProperties<typename OpTy::Properties>();
  if (failed(OpTy::setPropertiesFromAttr(
          properties, attributes.getDictionary(context), emitError)))
    return failure();
  SmallVector<Type> resultTypes;
  if (failed(OpTy::inferReturnTypes(context, parser.getEncodedSourceLoc(opLoc),
                                    result.operands,
                                    result.attributes.getDictionary(context),
                                    &properties, result.regions, resultTypes)))
    return failure();
  result.addTypes(resultTypes);
  return success();
}

template <typename OpTy>
static void printProblem(OpAsmPrinter &printer, OpTy op,
                         ArrayRef<StringRef> operandNames) {
  for (auto [index, name] : llvm::enumerate(operandNames)) {
    OperandRange operands = op.getODSOperands(index);
    if (operands.empty())
      continue;
    StringRef keyword = name;
    if (name == kFormMatrix)
      keyword = stringifyInput(cast<FormAttr>(op->getAttr("form")).getInput());
    printer << ' ' << keyword << '(' << operands[0] << " : "
            << operands[0].getType() << ')';
  }
  std::optional<StringRef> preset = matchPreset(op);
  NamedAttrList presetAttributes;
  if (preset) {
    presetAttributes = *getPresetAttributes(*preset, op->getContext());
    printer << " preset(" << *preset << ')';
  }
  for (StringRef name :
       {"axis", "form", "rule", "rows", "cols", "order", "stop", "numerics",
        "schedule", "limit", "logit_scale"}) {
    Attribute value = op->getAttr(name);
    if (!value || presetAttributes.get(name))
      continue;
    printer << ' ' << keywordOfAttribute(name) << '(';
    if (name == "order")
      printer << stringifyOrder(
          static_cast<Order>(cast<IntegerAttr>(value).getInt()));
    else if (name == "axis")
      printer << stringifyAxis(
          static_cast<Axis>(cast<IntegerAttr>(value).getInt()));
    else
      printer << value;
    printer << ')';
  }
  printer.printOptionalAttrDict(llvm::to_vector(op->getDiscardableAttrs()));
}

//===----------------------------------------------------------------------===//
// What the ops on whole problems share
//===----------------------------------------------------------------------===//

using Tail = SmallVector<Size, 2>;

static Tail matrixTail() { return {Size::rows, Size::cols}; }

/// Operands of `sinkhorn` and `project`, op or adaptor.
template <typename Source>
static SmallVector<BatchedOperand> transportOperands(Source op) {
  int64_t extra = op.getSlack() ? 1 : 0;
  return {{"matrix", op.getMatrix(), matrixTail(), extra},
          {"row_marginal", op.getRowMarginal(), {Size::rows}},
          {"col_marginal", op.getColMarginal(), {Size::cols}},
          {"row_init", op.getRowInit(), {Size::rows}},
          {"col_init", op.getColInit(), {Size::cols}},
          {"row_mask", op.getRowMask(), {Size::rows}},
          {"col_mask", op.getColMask(), {Size::cols}},
          {"slack", op.getSlack(), {}},
          {"epsilon", op.getEpsilon(), {}}};
}

template <typename Source>
static SmallVector<BatchedOperand> balanceOperands(Source op) {
  return {{"matrix", op.getMatrix(), matrixTail()},
          {"row_target", op.getRowTarget(), {Size::rows}},
          {"col_target", op.getColTarget(), {Size::cols}},
          {"row_init", op.getRowInit(), {Size::rows}},
          {"col_init", op.getColInit(), {Size::cols}},
          {"row_mask", op.getRowMask(), {Size::rows}},
          {"col_mask", op.getColMask(), {Size::cols}}};
}

template <typename Source>
static SmallVector<BatchedOperand> iterateOperands(Source op) {
  return {{"matrix", op.getMatrix(), matrixTail()},
          {"row_start", op.getRowStart(), {Size::rows}},
          {"col_start", op.getColStart(), {Size::cols}},
          {"row_target", op.getRowTarget(), {Size::rows}},
          {"col_target", op.getColTarget(), {Size::cols}},
          {"row_mask", op.getRowMask(), {Size::rows}},
          {"col_mask", op.getColMask(), {Size::cols}}};
}

template <typename Source>
static SmallVector<BatchedOperand> normalizeOperands(Source op) {
  bool rows = op.getAxis() == Axis::rows;
  return {{"matrix", op.getMatrix(), matrixTail()},
          {"target", op.getTarget(), {rows ? Size::rows : Size::cols}},
          {"mask", op.getMask(), {rows ? Size::cols : Size::rows}},
          {"epsilon", op.getEpsilon(), {}}};
}

template <typename Source>
static SmallVector<BatchedOperand> attentionOperands(Source op) {
  return {{"query", op.getQuery(), {Size::rows, Size::depth}},
          {"key", op.getKey(), {Size::cols, Size::depth}},
          {"value", op.getValue(), {Size::cols, Size::width}},
          {"bias", op.getBias(), matrixTail()},
          {"row_mask", op.getRowMask(), {Size::rows}},
          {"col_mask", op.getColMask(), {Size::cols}},
          {"epsilon", op.getEpsilon(), {}}};
}

template <typename Source>
static SmallVector<BatchedOperand> similarityOperands(Source op) {
  return {{"matrix", op.getMatrix(), {Size::rows, Size::rows}}};
}

SmallVector<BatchedOperand> scaling::getBatchedOperands(Operation *op) {
  if (auto sinkhorn = dyn_cast<SinkhornOp>(op))
    return transportOperands(sinkhorn);
  if (auto project = dyn_cast<ProjectOp>(op))
    return transportOperands(project);
  if (auto balance = dyn_cast<BalanceOp>(op))
    return balanceOperands(balance);
  if (auto iterate = dyn_cast<IterateOp>(op))
    return iterateOperands(iterate);
  if (auto normalize = dyn_cast<NormalizeOp>(op))
    return normalizeOperands(normalize);
  if (auto attention = dyn_cast<AttentionOp>(op))
    return attentionOperands(attention);
  return similarityOperands(cast<SimilarityBalanceOp>(op));
}

/// Tail ranks of the operands that are there, in order.
static SmallVector<int64_t> tailRanks(Operation *op) {
  SmallVector<int64_t> ranks;
  for (const BatchedOperand &operand : getBatchedOperands(op))
    if (operand.value)
      ranks.push_back(operand.tail.size());
  return ranks;
}

/// Sizes of the problem, in order, as a result's tail.
static SmallVector<OpFoldResult> tailSizes(OpBuilder &builder, Operation *op,
                                           ArrayRef<Size> tail) {
  SmallVector<BatchedOperand> operands = getBatchedOperands(op);
  FailureOr<ProblemShape> shape = inferProblemShape(operands, "", nullptr);
  assert(succeeded(shape) && "a verified op has a shape");
  return llvm::map_to_vector(tail, [&](Size size) {
    return getProblemSize(builder, op->getLoc(), operands, *shape, size);
  });
}

/// `[batch, tail]` tensors of the given element types, one per tail.
static void addResultTypes(const ProblemShape &shape,
                           ArrayRef<std::pair<Tail, Type>> results,
                           SmallVectorImpl<Type> &types) {
  for (const auto &[tail, element] : results)
    types.push_back(RankedTensorType::get(shape.with(tail), element));
}

static FailureOr<ProblemShape> inferShape(std::optional<Location> location,
                                          ArrayRef<BatchedOperand> operands) {
  auto emit = [&] { return mlir::emitError(*location); };
  function_ref<InFlightDiagnostic()> emitError;
  if (location)
    emitError = emit;
  return inferProblemShape(operands, "C2", emitError);
}

static Type elementOf(Value value) {
  return getElementTypeOrSelf(value.getType());
}

namespace {
/// The numbers under which an op lists the constraints that its attributes put
/// on each other.
struct AttributeConstraints {
  StringRef domain, parity, best, accumulate, relax, symmetric;
  explicit AttributeConstraints(StringRef all)
      : domain(all), parity(all), best(all), accumulate(all), relax(all),
        symmetric(all) {}
  AttributeConstraints(StringRef domain, StringRef parity, StringRef best,
                       StringRef accumulate, StringRef relax,
                       StringRef symmetric)
      : domain(domain), parity(parity), best(best), accumulate(accumulate),
        relax(relax), symmetric(symmetric) {}
};
} // namespace

/// With one factor for both axes what belongs to the rows serves the columns.
static LogicalResult verifySymmetric(Operation *op, RuleAttr rows,
                                     RuleAttr cols, StopAttr stop,
                                     StringRef constraint) {
  auto bad = [&](const Twine &message) -> LogicalResult {
    return op->emitOpError()
           << "with order(symmetric) " << message << " (" << constraint << ")";
  };
  SmallVector<BatchedOperand> operands = getBatchedOperands(op);
  ProblemShape shape = *inferProblemShape(operands, "", nullptr);
  int64_t n = shape[Size::rows], m = shape[Size::cols];
  if (!ShapedType::isDynamic(n) && !ShapedType::isDynamic(m) && n != m)
    return bad("the matrix must be square, not " + Twine(n) + " by " +
               Twine(m));
  if (rows != cols)
    return bad("'rows' and 'cols' must be the same rule");
  for (const BatchedOperand &operand : operands)
    if (operand.value && ArrayRef(operand.tail) == ArrayRef(Size::cols))
      return bad("'" + operand.name +
                 "' must not be given: it is the operand of the rows");
  if (stop.getMode() == StopMode::best)
    return bad("'stop' must not be of the mode best");
  return success();
}

/// Constraints that rules, order, stop and numerics put on each other.
static LogicalResult verifyIteration(Operation *op, RuleAttr rows,
                                     RuleAttr cols, Order order, StopAttr stop,
                                     NumericsAttr numerics, Type element,
                                     const AttributeConstraints &constraints) {
  auto bad = [&](StringRef message, StringRef constraint) -> LogicalResult {
    return op->emitOpError() << message << " (" << constraint << ")";
  };
  if (numerics.isLog() &&
      !(isa<SumAttr>(rows.getStat()) && isa<SumAttr>(cols.getStat())))
    return bad("in the log and absorb domains of 'numerics' every rule's "
               "statistic is 'sum'",
               constraints.domain);
  if (numerics.isLog() && (rows.getRoundPow2() || cols.getRoundPow2()))
    return bad("a rule that rounds to powers of two needs the kernel domain "
               "of 'numerics'",
               constraints.domain);
  bool odd = stop.getLimit() % 2 != 0 ||
             (stop.getMode() == StopMode::until &&
              (stop.getEvery() % 2 != 0 || stop.getStart() % 2 != 0));
  if (order == Order::jacobi && odd)
    return bad("with order(jacobi) the counts, cadences and limits of 'stop' "
               "are even",
               constraints.parity);
  bool demanded =
      stop.getRelax() == Relax::automatic || stop.getRelax() == Relax::anderson;
  if (demanded && !stop.canRelax(rows, cols, order))
    return op->emitOpError()
           << "'relax = " << stringifyRelax(stop.getRelax())
           << "' of 'stop' needs rules that are 'sum' and at most a target, "
              "and an order that is rows_first or cols_first ("
           << constraints.relax << ")";
  if (order == Order::symmetric &&
      failed(verifySymmetric(op, rows, cols, stop, constraints.symmetric)))
    return failure();
  if (stop.getMode() == StopMode::best && stop.getLimit() % 2 != 0)
    return bad("'stop' of the mode best needs an even limit", constraints.best);
  if (stop.getMode() == StopMode::best &&
      rows.getStat().getDegree() != cols.getStat().getDegree())
    return bad("an imbalance needs statistics of one degree in 'rows' and "
               "'cols'",
               constraints.best);
  if (numerics.getAccumulate() && element.isF64() &&
      !numerics.getAccumulate().isF64())
    return bad("'numerics' accumulates in a type narrower than the matrix' "
               "elements",
               constraints.accumulate);
  return success();
}

/// Constraints between the form and the rest.
static LogicalResult verifyForm(Operation *op, FormAttr form, RuleAttr rows,
                                RuleAttr cols, StopAttr stop,
                                NumericsAttr numerics, StringRef constraint) {
  auto bad = [&](const Twine &message) -> LogicalResult {
    return op->emitOpError() << message << " (" << constraint << ")";
  };
  if (numerics.isLog() &&
      (form.getInput() == Input::kernel || form.getMap() == Map::sigmoid ||
       form.getEntryEps() != 0.0))
    return bad("a kernel, a sigmoid or an entry guard in 'form' needs the "
               "kernel domain of 'numerics'");
  if (form.getAnneal().empty())
    return success();
  int64_t pairs = form.getAnneal().size() + (form.getExtrapolate() ? 1 : 0);
  if (!numerics.isLog())
    return bad("anneal in 'form' needs the log or absorb domain of 'numerics'");
  if (stop.getMode() == StopMode::until && form.getExtrapolate())
    return bad("extrapolate in 'form' goes with a fixed count in 'stop'");
  bool fits = stop.isFixed() ? stop.getLimit() == 2 * pairs
                             : stop.getMode() == StopMode::until;
  if (!fits)
    return bad(Twine("anneal in 'form' goes with until, or with a fixed count "
                     "of ") +
               Twine(2 * pairs) + " half-steps in 'stop', two per ε");
  if (rows.getTau() != 1.0 || cols.getTau() != 1.0)
    return bad("anneal in 'form' needs rules with tau = 1");
  return success();
}

/// A constant ε must be positive.
static LogicalResult verifyEpsilon(Operation *op, Value epsilon,
                                   StringRef constraint) {
  DenseFPElementsAttr values;
  if (!epsilon || !matchPattern(epsilon, m_Constant(&values)))
    return success();
  for (const APFloat &value : values.getValues<APFloat>())
    if (!(value.isFiniteNonZero() && !value.isNegative()))
      return op->emitOpError()
             << "'epsilon' must be positive and finite (" << constraint << ")";
  return success();
}

/// A constant marginal has neither negative nor NaN entries.
static LogicalResult verifyMarginal(Operation *op, StringRef name,
                                    Value marginal, StringRef constraint) {
  DenseFPElementsAttr values;
  if (!marginal || !matchPattern(marginal, m_Constant(&values)))
    return success();
  for (const APFloat &value : values.getValues<APFloat>())
    if (value.isNaN() || value.isInfinity() ||
        (value.isNegative() && !value.isZero()))
      return op->emitOpError() << "'" << name
                               << "' has an entry that is negative or not "
                                  "finite ("
                               << constraint << ")";
  return success();
}

//===----------------------------------------------------------------------===//
// iterate
//===----------------------------------------------------------------------===//

static constexpr StringRef kIterateOperands[] = {
    "matrix",     "row_start", "col_start", "row_target",
    "col_target", "row_mask",  "col_mask",  "anneal"};

ParseResult IterateOp::parse(OpAsmParser &parser, OperationState &result) {
  return parseProblem<IterateOp>(parser, result, kIterateOperands);
}

void IterateOp::print(OpAsmPrinter &printer) {
  printProblem(printer, *this, kIterateOperands);
}

FloatType IterateOp::getAccumulateType() {
  return getNumerics().getAccumulateType(elementOf(getMatrix()));
}

LogicalResult IterateOp::inferReturnTypes(
    MLIRContext *context, std::optional<Location> location, ValueRange operands,
    DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
    SmallVectorImpl<Type> &types) {
  IterateOpAdaptor adaptor(operands, attributes, properties, regions);
  FailureOr<ProblemShape> shape =
      inferShape(location, iterateOperands(adaptor));
  if (failed(shape))
    return failure();
  Type accumulate =
      adaptor.getNumerics().getAccumulateType(elementOf(adaptor.getMatrix()));
  Type i32 = IntegerType::get(context, 32);
  addResultTypes(*shape,
                 {{{Size::rows}, accumulate},
                  {{Size::cols}, accumulate},
                  {{}, i32},
                  {{}, accumulate},
                  {{}, i32}},
                 types);
  return success();
}

LogicalResult IterateOp::verify() {
  if (failed(inferProblemShape(iterateOperands(*this), "C2",
                               [&] { return emitOpError(); })))
    return failure();
  if (failed(verifyIteration(*this, getRows(), getCols(), getOrder(), getStop(),
                             getNumerics(), elementOf(getMatrix()),
                             {"C3", "C4", "C8", "C6", "C9", "C10"})))
    return failure();
  for (auto [rule, target, axis] :
       {std::tuple(getRows(), getRowTarget(), "row"),
        std::tuple(getCols(),
                   getOrder() == Order::symmetric ? getRowTarget()
                                                  : getColTarget(),
                   "column")})
    if (rule.getTarget() != Target::one && !target)
      return emitOpError() << "the " << axis << " rule's target '"
                           << stringifyTarget(rule.getTarget())
                           << "' must be given by an operand (C7)";
  for (auto [name, value] :
       {std::pair<StringRef, Value>("row_start", getRowStart()),
        std::pair<StringRef, Value>("col_start", getColStart()),
        std::pair<StringRef, Value>("row_target", getRowTarget()),
        std::pair<StringRef, Value>("col_target", getColTarget()),
        std::pair<StringRef, Value>("anneal", getAnneal())})
    if (value && elementOf(value) != getAccumulateType())
      return emitOpError() << "'" << name << "' must hold "
                           << getAccumulateType() << " (C6)";
  if (!getAnneal())
    return success();
  if (getOrder() == Order::symmetric)
    return emitOpError("with order(symmetric) 'anneal' must not be given "
                       "(C10)");
  auto anneal = cast<RankedTensorType>(getAnneal().getType());
  if (anneal.getRank() != 1 || !getNumerics().isLog() || !getStop().isFixed())
    return emitOpError("'anneal' is one number per pair of half-steps, for a "
                       "fixed count in the log or absorb domain (C5)");
  if (!anneal.isDynamicDim(0) &&
      anneal.getDimSize(0) * 2 != getStop().getLimit())
    return emitOpError() << "'anneal' has " << anneal.getDimSize(0)
                         << " entries for " << getStop().getLimit()
                         << " half-steps (C5)";
  return success();
}

int64_t IterateOp::getBatchRank() { return getHalfSteps().getType().getRank(); }

SmallVector<int64_t> IterateOp::getOperandTailRanks() {
  SmallVector<int64_t> ranks = tailRanks(*this);
  if (getAnneal())
    ranks.push_back(cast<ShapedType>(getAnneal().getType()).getRank());
  return ranks;
}

SmallVector<OpFoldResult> IterateOp::getResultTail(OpBuilder &builder,
                                                   unsigned result) {
  return tailSizes(builder, *this,
                   result == 0   ? Tail{Size::rows}
                   : result == 1 ? Tail{Size::cols}
                                 : Tail{});
}

//===----------------------------------------------------------------------===//
// sinkhorn, project
//===----------------------------------------------------------------------===//

static constexpr StringRef kTransportOperands[] = {
    kFormMatrix, "row_marginal", "col_marginal", "row_init", "col_init",
    "row_mask",  "col_mask",     "slack",        "epsilon"};

ParseResult SinkhornOp::parse(OpAsmParser &parser, OperationState &result) {
  return parseProblem<SinkhornOp>(parser, result, kTransportOperands);
}
void SinkhornOp::print(OpAsmPrinter &printer) {
  printProblem(printer, *this, kTransportOperands);
}
ParseResult ProjectOp::parse(OpAsmParser &parser, OperationState &result) {
  return parseProblem<ProjectOp>(parser, result, kTransportOperands);
}
void ProjectOp::print(OpAsmPrinter &printer) {
  printProblem(printer, *this, kTransportOperands);
}

template <typename OpTy> static LogicalResult verifyTransport(OpTy op) {
  if (failed(inferProblemShape(transportOperands(op), "C2",
                               [&] { return op.emitOpError(); })) ||
      failed(verifyEpsilon(op, op.getEpsilon(), "C3")) ||
      failed(verifyForm(op, op.getForm(), op.getRows(), op.getCols(),
                        op.getStop(), op.getNumerics(), "C4")) ||
      failed(verifyIteration(op, op.getRows(), op.getCols(), op.getOrder(),
                             op.getStop(), op.getNumerics(),
                             elementOf(op.getMatrix()),
                             AttributeConstraints("C4"))) ||
      failed(verifyMarginal(op, "row_marginal", op.getRowMarginal(), "C7")) ||
      failed(verifyMarginal(op, "col_marginal", op.getColMarginal(), "C7")))
    return failure();
  FormAttr form = op.getForm();
  if (op.getOrder() == Order::symmetric &&
      (form.getMap() == Map::softmax_rows || form.getShift() != Shift::none ||
       !form.getAnneal().empty()))
    return op.emitOpError("with order(symmetric) 'form' has no softmax, no "
                          "shift and no anneal (C4)");
  for (auto [rule, marginal, axis] :
       {std::tuple(op.getRows(), op.getRowMarginal(), "row"),
        std::tuple(op.getCols(), op.getColMarginal(), "column")}) {
    if (marginal)
      continue;
    if (rule.getTarget() == Target::slack && !op.getSlack())
      return op.emitOpError() << "the " << axis
                              << " target 'slack' needs the operand 'slack' "
                                 "(C6)";
    if (rule.getTarget() == Target::min_stat)
      return op.emitOpError() << "the " << axis
                              << " target 'min_stat' goes with scaling.balance "
                                 "(C6)";
  }
  return success();
}

LogicalResult SinkhornOp::verify() {
  FormAttr form = getForm();
  if (form.getEntryEps() != 0.0 || form.getMap() == Map::sigmoid ||
      form.getMap() == Map::softmax_rows || form.getStandardize())
    return emitOpError("has no potentials where 'form' has an entry guard, a "
                       "sigmoid, a softmax start or a standardized cost: use "
                       "scaling.project (C5)");
  if (form.getOutput() != Output::plan || form.getScale() != OutputScale::one)
    return emitOpError("output and scale in 'form' belong to scaling.project "
                       "(C5)");
  return verifyTransport(*this);
}

LogicalResult ProjectOp::verify() { return verifyTransport(*this); }

LogicalResult SinkhornOp::inferReturnTypes(
    MLIRContext *context, std::optional<Location> location, ValueRange operands,
    DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
    SmallVectorImpl<Type> &types) {
  SinkhornOpAdaptor adaptor(operands, attributes, properties, regions);
  FailureOr<ProblemShape> shape =
      inferShape(location, transportOperands(adaptor));
  if (failed(shape))
    return failure();
  Type accumulate =
      adaptor.getNumerics().getAccumulateType(elementOf(adaptor.getMatrix()));
  Type i32 = IntegerType::get(context, 32);
  addResultTypes(*shape,
                 {{{Size::rows}, accumulate},
                  {{Size::cols}, accumulate},
                  {{}, i32},
                  {{}, accumulate},
                  {{}, i32}},
                 types);
  return success();
}

LogicalResult ProjectOp::inferReturnTypes(
    MLIRContext *context, std::optional<Location> location, ValueRange operands,
    DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
    SmallVectorImpl<Type> &types) {
  ProjectOpAdaptor adaptor(operands, attributes, properties, regions);
  FailureOr<ProblemShape> shape =
      inferShape(location, transportOperands(adaptor));
  if (failed(shape))
    return failure();
  Type element = elementOf(adaptor.getMatrix());
  Type accumulate = adaptor.getNumerics().getAccumulateType(element);
  Type i32 = IntegerType::get(context, 32);
  addResultTypes(
      *shape, {{matrixTail(), element}, {{}, i32}, {{}, accumulate}, {{}, i32}},
      types);
  return success();
}

int64_t SinkhornOp::getBatchRank() {
  return getHalfSteps().getType().getRank();
}
int64_t ProjectOp::getBatchRank() { return getHalfSteps().getType().getRank(); }

SmallVector<int64_t> SinkhornOp::getOperandTailRanks() {
  return tailRanks(*this);
}
SmallVector<int64_t> ProjectOp::getOperandTailRanks() {
  return tailRanks(*this);
}

SmallVector<OpFoldResult> SinkhornOp::getResultTail(OpBuilder &builder,
                                                    unsigned result) {
  return tailSizes(builder, *this,
                   result == 0   ? Tail{Size::rows}
                   : result == 1 ? Tail{Size::cols}
                                 : Tail{});
}
SmallVector<OpFoldResult> ProjectOp::getResultTail(OpBuilder &builder,
                                                   unsigned result) {
  return tailSizes(builder, *this, result == 0 ? matrixTail() : Tail{});
}

//===----------------------------------------------------------------------===//
// balance
//===----------------------------------------------------------------------===//

static constexpr StringRef kBalanceOperands[] = {
    "matrix",   "row_target", "col_target", "row_init",
    "col_init", "row_mask",   "col_mask"};

ParseResult BalanceOp::parse(OpAsmParser &parser, OperationState &result) {
  return parseProblem<BalanceOp>(parser, result, kBalanceOperands);
}
void BalanceOp::print(OpAsmPrinter &printer) {
  printProblem(printer, *this, kBalanceOperands);
}

LogicalResult BalanceOp::verify() {
  if (failed(inferProblemShape(balanceOperands(*this), "C2",
                               [&] { return emitOpError(); })) ||
      failed(verifyMarginal(*this, "row_target", getRowTarget(), "C4")) ||
      failed(verifyMarginal(*this, "col_target", getColTarget(), "C4")))
    return failure();
  if (getNumerics().isLog())
    return emitOpError("'numerics' must be in the kernel domain (C3)");
  if (failed(verifyIteration(*this, getRows(), getCols(), getOrder(), getStop(),
                             getNumerics(), elementOf(getMatrix()),
                             AttributeConstraints("C5"))))
    return failure();
  bool rowMin = getRows().getTarget() == Target::min_stat;
  bool colMin = getCols().getTarget() == Target::min_stat;
  if (rowMin != colMin)
    return emitOpError("target = min_stat is for both of 'rows' and 'cols' or "
                       "neither (C4)");
  if (getRows().getTarget() == Target::slack ||
      getCols().getTarget() == Target::slack)
    return emitOpError("target = slack in 'rows' or 'cols' does not belong to "
                       "a balance (C4)");
  return success();
}

LogicalResult BalanceOp::inferReturnTypes(
    MLIRContext *context, std::optional<Location> location, ValueRange operands,
    DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
    SmallVectorImpl<Type> &types) {
  BalanceOpAdaptor adaptor(operands, attributes, properties, regions);
  FailureOr<ProblemShape> shape =
      inferShape(location, balanceOperands(adaptor));
  if (failed(shape))
    return failure();
  Type accumulate =
      adaptor.getNumerics().getAccumulateType(elementOf(adaptor.getMatrix()));
  Type i32 = IntegerType::get(context, 32);
  addResultTypes(*shape,
                 {{{Size::rows}, accumulate},
                  {{Size::cols}, accumulate},
                  {{}, i32},
                  {{}, accumulate},
                  {{}, i32}},
                 types);
  return success();
}

int64_t BalanceOp::getBatchRank() { return getHalfSteps().getType().getRank(); }
SmallVector<int64_t> BalanceOp::getOperandTailRanks() {
  return tailRanks(*this);
}
SmallVector<OpFoldResult> BalanceOp::getResultTail(OpBuilder &builder,
                                                   unsigned result) {
  return tailSizes(builder, *this,
                   result == 0   ? Tail{Size::rows}
                   : result == 1 ? Tail{Size::cols}
                                 : Tail{});
}

//===----------------------------------------------------------------------===//
// normalize
//===----------------------------------------------------------------------===//

static constexpr StringRef kNormalizeOperands[] = {kFormMatrix, "target",
                                                   "mask", "epsilon"};

ParseResult NormalizeOp::parse(OpAsmParser &parser, OperationState &result) {
  return parseProblem<NormalizeOp>(parser, result, kNormalizeOperands);
}
void NormalizeOp::print(OpAsmPrinter &printer) {
  printProblem(printer, *this, kNormalizeOperands);
}

LogicalResult NormalizeOp::verify() {
  if (failed(inferProblemShape(normalizeOperands(*this), "C2",
                               [&] { return emitOpError(); })) ||
      failed(verifyEpsilon(*this, getEpsilon(), "C3")))
    return failure();
  StopAttr once = StopAttr::getFixed(getContext(), 1);
  if (!getForm().getAnneal().empty() || getForm().getStart() != Start::neutral)
    return emitOpError("one half-step has neither a start nor an anneal in "
                       "'form' (C3)");
  if (failed(verifyForm(*this, getForm(), getRule(), getRule(), once,
                        getNumerics(), "C3")) ||
      failed(verifyIteration(*this, getRule(), getRule(), Order::rows_first,
                             once, getNumerics(), elementOf(getMatrix()),
                             AttributeConstraints("C3"))) ||
      failed(verifyMarginal(*this, "target", getTarget(), "C4")))
    return failure();
  Target target = getRule().getTarget();
  if (!getTarget() && target != Target::one && target != Target::uniform)
    return emitOpError() << "the rule's target '" << stringifyTarget(target)
                         << "' does not belong to one half-step: it is one, "
                            "uniform or the operand 'target' (C4)";
  return success();
}

LogicalResult NormalizeOp::inferReturnTypes(
    MLIRContext *context, std::optional<Location> location, ValueRange operands,
    DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
    SmallVectorImpl<Type> &types) {
  NormalizeOpAdaptor adaptor(operands, attributes, properties, regions);
  FailureOr<ProblemShape> shape =
      inferShape(location, normalizeOperands(adaptor));
  if (failed(shape))
    return failure();
  addResultTypes(*shape, {{matrixTail(), elementOf(adaptor.getMatrix())}},
                 types);
  return success();
}

int64_t NormalizeOp::getBatchRank() {
  return getResult().getType().getRank() - 2;
}
SmallVector<int64_t> NormalizeOp::getOperandTailRanks() {
  return tailRanks(*this);
}
SmallVector<OpFoldResult> NormalizeOp::getResultTail(OpBuilder &builder,
                                                     unsigned) {
  return tailSizes(builder, *this, matrixTail());
}

//===----------------------------------------------------------------------===//
// attention
//===----------------------------------------------------------------------===//

static constexpr StringRef kAttentionOperands[] = {
    "query", "key", "value", "bias", "row_mask", "col_mask", "epsilon"};

ParseResult AttentionOp::parse(OpAsmParser &parser, OperationState &result) {
  return parseProblem<AttentionOp>(parser, result, kAttentionOperands,
                                   /*numRequired=*/3);
}
void AttentionOp::print(OpAsmPrinter &printer) {
  printProblem(printer, *this, kAttentionOperands);
}

LogicalResult AttentionOp::verify() {
  Type element = elementOf(getQuery());
  for (auto [name, value] : {std::pair<StringRef, Value>("key", getKey()),
                             std::pair<StringRef, Value>("value", getValue()),
                             std::pair<StringRef, Value>("bias", getBias())})
    if (value && elementOf(value) != element)
      return emitOpError() << "'" << name << "' must hold " << element
                           << ", as 'query' does (C1)";
  if (failed(inferProblemShape(attentionOperands(*this), "C2",
                               [&] { return emitOpError(); })) ||
      failed(verifyEpsilon(*this, getEpsilon(), "C3")))
    return failure();
  if (getForm().getInput() != Input::logits)
    return emitOpError("'form' must take logits (C3)");
  if (getForm().getOutput() != Output::plan)
    return emitOpError("'form' must give the plan, not its logarithm (C3)");
  if (getOrder() == Order::symmetric)
    return emitOpError("order(symmetric) does not belong to attention (C4)");
  if (failed(verifyForm(*this, getForm(), getRows(), getCols(), getStop(),
                        getNumerics(), "C4")) ||
      failed(verifyIteration(*this, getRows(), getCols(), getOrder(), getStop(),
                             getNumerics(), element,
                             AttributeConstraints("C4"))))
    return failure();
  for (RuleAttr rule : {getRows(), getCols()})
    if (rule.getTarget() == Target::slack ||
        rule.getTarget() == Target::min_stat)
      return emitOpError() << "target '" << stringifyTarget(rule.getTarget())
                           << "' does not belong to attention (C4)";
  return success();
}

LogicalResult AttentionOp::inferReturnTypes(
    MLIRContext *context, std::optional<Location> location, ValueRange operands,
    DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
    SmallVectorImpl<Type> &types) {
  AttentionOpAdaptor adaptor(operands, attributes, properties, regions);
  FailureOr<ProblemShape> shape =
      inferShape(location, attentionOperands(adaptor));
  if (failed(shape))
    return failure();
  Type element = elementOf(adaptor.getQuery());
  Type i32 = IntegerType::get(context, 32);
  addResultTypes(*shape,
                 {{{Size::rows, Size::width}, element},
                  {{}, i32},
                  {{}, adaptor.getNumerics().getAccumulateType(element)},
                  {{}, i32}},
                 types);
  return success();
}

int64_t AttentionOp::getBatchRank() {
  return getHalfSteps().getType().getRank();
}
SmallVector<int64_t> AttentionOp::getOperandTailRanks() {
  return tailRanks(*this);
}
SmallVector<OpFoldResult> AttentionOp::getResultTail(OpBuilder &builder,
                                                     unsigned result) {
  return tailSizes(builder, *this,
                   result == 0 ? Tail{Size::rows, Size::width} : Tail{});
}

//===----------------------------------------------------------------------===//
// similarity_balance
//===----------------------------------------------------------------------===//

static constexpr StringRef kSimilarityOperands[] = {"matrix"};

ParseResult SimilarityBalanceOp::parse(OpAsmParser &parser,
                                       OperationState &result) {
  return parseProblem<SimilarityBalanceOp>(parser, result, kSimilarityOperands);
}
void SimilarityBalanceOp::print(OpAsmPrinter &printer) {
  printProblem(printer, *this, kSimilarityOperands);
}

LogicalResult SimilarityBalanceOp::verify() {
  if (failed(inferProblemShape(similarityOperands(*this), "C2",
                               [&] { return emitOpError(); })))
    return failure();
  if (auto limit = static_cast<int64_t>(getLimit());
      limit < 1 || limit > std::numeric_limits<int32_t>::max())
    return emitOpError("'limit' must be between 1 and 2147483647 (C3)");
  return success();
}

LogicalResult SimilarityBalanceOp::inferReturnTypes(
    MLIRContext *context, std::optional<Location> location, ValueRange operands,
    DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
    SmallVectorImpl<Type> &types) {
  SimilarityBalanceOpAdaptor adaptor(operands, attributes, properties, regions);
  FailureOr<ProblemShape> shape =
      inferShape(location, similarityOperands(adaptor));
  if (failed(shape))
    return failure();
  Type element = elementOf(adaptor.getMatrix());
  Type i32 = IntegerType::get(context, 32);
  addResultTypes(*shape,
                 {{{Size::rows, Size::rows}, element},
                  {{Size::rows}, element},
                  {{}, i32},
                  {{}, i32}},
                 types);
  return success();
}

int64_t SimilarityBalanceOp::getBatchRank() {
  return getSweeps().getType().getRank();
}
SmallVector<int64_t> SimilarityBalanceOp::getOperandTailRanks() {
  return tailRanks(*this);
}
SmallVector<OpFoldResult> SimilarityBalanceOp::getResultTail(OpBuilder &builder,
                                                             unsigned result) {
  return tailSizes(builder, *this,
                   result == 0   ? Tail{Size::rows, Size::rows}
                   : result == 1 ? Tail{Size::rows}
                                 : Tail{});
}
