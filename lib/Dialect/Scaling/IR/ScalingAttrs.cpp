//===- ScalingAttrs.cpp - Attributes of the dialect -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ParseEnum.h"

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/FunctionExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <optional>

using namespace mlir;
using namespace mlir::scaling;

#define GET_ATTRDEF_CLASSES
#include "scaling/Dialect/Scaling/IR/ScalingAttrs.cpp.inc"

void ScalingDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "scaling/Dialect/Scaling/IR/ScalingAttrs.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Assembly of `<head, key = value, flag, …>`
//===----------------------------------------------------------------------===//

/// Prints the shortest decimal that reads back as the same number, with the
/// point that the lexer wants.
static void printNumber(AsmPrinter &printer, double value) {
  if (std::isinf(value)) {
    printer << (value < 0 ? "-inf" : "inf");
    return;
  }
  char buffer[40];
  for (int precision = 1; precision <= 17; ++precision) {
    snprintf(buffer, sizeof buffer, "%.*e", precision, value);
    if (strtod(buffer, nullptr) == value)
      break;
  }
  printer << StringRef(buffer);
}

static ParseResult parseNumber(AsmParser &parser, double &value) {
  bool negative = succeeded(parser.parseOptionalMinus());
  if (succeeded(parser.parseOptionalKeyword("inf"))) {
    value = std::numeric_limits<double>::infinity();
  } else {
    int64_t integer;
    OptionalParseResult asInteger = parser.parseOptionalInteger(integer);
    if (asInteger.has_value()) {
      if (failed(*asInteger))
        return failure();
      value = static_cast<double>(integer);
    } else if (failed(parser.parseFloat(value))) {
      return failure();
    }
  }
  if (negative)
    value = -value;
  return success();
}

static ParseResult parseNumbers(AsmParser &parser,
                                SmallVectorImpl<Number> &values) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square,
                                        [&]() -> ParseResult {
                                          double value;
                                          if (parseNumber(parser, value))
                                            return failure();
                                          values.push_back(value);
                                          return success();
                                        });
}

static void printNumbers(AsmPrinter &printer, ArrayRef<Number> values) {
  printer << '[';
  llvm::interleaveComma(values, printer.getStream(),
                        [&](double value) { printNumber(printer, value); });
  printer << ']';
}

namespace {
/// The fields behind an attribute's head: `, key = value` and `, flag`.
class Fields {
public:
  using Handler = llvm::unique_function<ParseResult()>;
  explicit Fields(AsmParser &parser) : parser(parser) {}

  Fields &add(StringRef key, Handler handler) {
    handlers.try_emplace(key, std::move(handler));
    return *this;
  }
  Fields &flag(StringRef key, bool &value) {
    flags.try_emplace(key, &value);
    return *this;
  }
  template <typename Enum> Fields &keyword(StringRef key, Enum &value) {
    return add(key, [this, &value] { return parseEnum(parser, value); });
  }
  Fields &number(StringRef key, double &value) {
    return add(key, [this, &value] { return parseNumber(parser, value); });
  }
  Fields &numbers(StringRef key, SmallVectorImpl<Number> &values) {
    return add(key, [this, &values] { return parseNumbers(parser, values); });
  }
  Fields &integer(StringRef key, int64_t &value) {
    return add(key, [this, &value] { return parser.parseInteger(value); });
  }
  Fields &boolean(StringRef key, bool &value) {
    return add(key, [this, &value] {
      if (succeeded(parser.parseOptionalKeyword("true")))
        value = true;
      else if (succeeded(parser.parseKeyword("false")))
        value = false;
      else
        return failure();
      return success();
    });
  }

  /// Fields of the attribute that do not go with its head.
  Fields &refuse(ArrayRef<StringRef> keys, StringRef reason) {
    for (StringRef key : keys)
      misplaced.try_emplace(key, reason);
    return *this;
  }

  /// Parses what is left up to and including `>`.
  ParseResult parse(StringRef attribute) {
    llvm::StringSet<> seen;
    while (succeeded(parser.parseOptionalComma())) {
      StringRef key;
      SMLoc loc = parser.getCurrentLocation();
      if (parser.parseKeyword(&key))
        return failure();
      if (!seen.insert(key).second)
        return parser.emitError(loc, "#scaling.")
               << attribute << ": field '" << key << "' is given twice";
      if (auto flag = flags.find(key); flag != flags.end()) {
        *flag->second = true;
        continue;
      }
      auto handler = handlers.find(key);
      if (handler == handlers.end()) {
        if (auto it = misplaced.find(key); it != misplaced.end())
          return parser.emitError(loc, "#scaling.")
                 << attribute << ": '" << key << "' " << it->second;
        return parser.emitError(loc, "#scaling.")
               << attribute << ": unknown field '" << key << '\'';
      }
      if (parser.parseEqual() || handler->second())
        return failure();
    }
    return parser.parseGreater();
  }

private:
  AsmParser &parser;
  llvm::StringMap<Handler> handlers;
  llvm::StringMap<bool *> flags;
  llvm::StringMap<StringRef> misplaced;
};
} // namespace

//===----------------------------------------------------------------------===//
// Rule
//===----------------------------------------------------------------------===//

static StatisticAttrInterface getStatistic(MLIRContext *context,
                                           StringRef name) {
  return llvm::StringSwitch<llvm::function_ref<StatisticAttrInterface()>>(name)
      .Case("sum", [&] { return SumAttr::get(context); })
      .Case("l1", [&] { return L1Attr::get(context); })
      .Case("l2", [&] { return L2Attr::get(context); })
      .Case("linf", [&] { return LInfAttr::get(context); })
      .Case("mean_square", [&] { return MeanSquareAttr::get(context); })
      .Case("std", [&] { return StdAttr::get(context); })
      .Case("geomean", [&] { return GeoMeanAttr::get(context); })
      .Default([] { return StatisticAttrInterface(); })();
}

RuleAttr RuleAttr::getPlain(MLIRContext *context, StatisticAttrInterface stat) {
  return get(context, stat, Guard::none, 0.0, Target::one, 1.0, 1.0,
             Reference::kernel, 1.0, {}, {}, {}, false);
}

bool RuleAttr::isPlain() {
  return getGuard() == Guard::none && getExponent() == 1.0 && getTau() == 1.0 &&
         getOmega() == 1.0 && getLimit().empty() && getStep().empty() &&
         getClamp().empty() && !getRoundPow2() && getStat().getDegree() == 1;
}

StatisticAttrInterface RuleAttr::getReducedStat(Domain domain) {
  if (domain != Domain::kernel && isa<SumAttr>(getStat()))
    return LogSumExpAttr::get(getContext());
  return getStat();
}

Attribute RuleAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  MLIRContext *context = parser.getContext();
  StatisticAttrInterface stat;
  if (parser.parseLess())
    return {};
  StringRef name;
  SMLoc statLoc = parser.getCurrentLocation();
  if (succeeded(parser.parseOptionalKeyword(&name))) {
    stat = getStatistic(context, name);
    if (!stat) {
      parser.emitError(statLoc, "#scaling.rule: unknown statistic '")
          << name << '\'';
      return {};
    }
  } else if (parser.parseAttribute(stat)) {
    return {};
  }
  auto guard = Guard::none;
  auto target = Target::one;
  auto reference = Reference::kernel;
  double guardEps = 0.0, exponent = 1.0, tau = 1.0, omega = 1.0;
  SmallVector<Number> limit, step, clamp;
  bool roundPow2 = false;
  Fields fields(parser);
  fields
      .add("guard",
           [&]() -> ParseResult {
             if (parseEnum(parser, guard))
               return failure();
             if (guard == Guard::none)
               return success();
             return failure(parser.parseLParen() ||
                            parseNumber(parser, guardEps) ||
                            parser.parseRParen());
           })
      .keyword("target", target)
      .number("exponent", exponent)
      .number("tau", tau)
      .keyword("reference", reference)
      .number("omega", omega)
      .numbers("limit", limit)
      .numbers("step", step)
      .numbers("clamp", clamp)
      .add("round", [&]() -> ParseResult {
        roundPow2 = true;
        return parser.parseKeyword("pow2");
      });
  if (fields.parse("rule"))
    return {};
  if (limit.size() == 2)
    limit.push_back(limit[0]);
  return getChecked([&] { return parser.emitError(loc); }, context, stat, guard,
                    guardEps, target, exponent, tau, reference, omega, limit,
                    step, clamp, roundPow2);
}

void RuleAttr::print(AsmPrinter &printer) const {
  printer << '<';
  if (getStatistic(getContext(), getStat().getStatisticName()) == getStat())
    printer << getStat().getStatisticName();
  else
    printer << getStat();
  auto number = [&](StringRef key, double value, double standard) {
    if (value == standard)
      return;
    printer << ", " << key << " = ";
    printNumber(printer, value);
  };
  auto numbers = [&](StringRef key, ArrayRef<Number> values) {
    if (values.empty())
      return;
    printer << ", " << key << " = ";
    printNumbers(printer, values);
  };
  if (getGuard() != Guard::none) {
    printer << ", guard = " << stringifyGuard(getGuard()) << '(';
    printNumber(printer, getGuardEps());
    printer << ')';
  }
  if (getTarget() != Target::one)
    printer << ", target = " << stringifyTarget(getTarget());
  number("exponent", getExponent(), 1.0);
  number("tau", getTau(), 1.0);
  if (getReference() != Reference::kernel)
    printer << ", reference = " << stringifyReference(getReference());
  number("omega", getOmega(), 1.0);
  ArrayRef<Number> limit = getLimit();
  numbers("limit", limit.size() == 3 && limit[0] == limit[2] ? limit.drop_back()
                                                             : limit);
  numbers("step", getStep());
  numbers("clamp", getClamp());
  if (getRoundPow2())
    printer << ", round = pow2";
  printer << '>';
}

LogicalResult RuleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               StatisticAttrInterface stat, Guard guard,
                               Number guardEps, Target target, Number exponent,
                               Number tau, Reference, Number omega,
                               ArrayRef<Number> limit, ArrayRef<Number> step,
                               ArrayRef<Number> clamp, bool roundPow2) {
  auto bad = [&](const Twine &what) -> LogicalResult {
    return emitError() << "#scaling.rule: " << what;
  };
  if (!stat)
    return bad("a statistic is needed");
  if (guard != Guard::none && !(guardEps > 0 && std::isfinite(guardEps)))
    return bad("the guard's ε must be positive and finite (C1)");
  if (!(exponent > 0 && std::isfinite(exponent)))
    return bad("exponent must be positive and finite (C1)");
  if (!(tau > 0 && tau <= 1))
    return bad("tau must lie in (0, 1] (C1)");
  if (!(omega > 0 && omega < 2))
    return bad("omega must lie in (0, 2) (C1)");
  auto bounds = [&](StringRef key, ArrayRef<Number> values,
                    size_t size) -> LogicalResult {
    if (values.empty())
      return success();
    if (values.size() != size)
      return bad(key + Twine(" takes two bounds") +
                 (size == 3 ? ", or two bounds and the value below" : ""));
    if (llvm::any_of(values, [](double x) { return std::isnan(x) || x < 0; }))
      return bad(key + Twine(" must not be negative or NaN (C1)"));
    if (values[0] > values[1])
      return bad(key + Twine(": the lower bound is above the upper (C1)"));
    return success();
  };
  if (failed(bounds("limit", limit, 3)) || failed(bounds("step", step, 2)) ||
      failed(bounds("clamp", clamp, 2)))
    return failure();
  if (guard == Guard::add_kernel &&
      (exponent != 1.0 || stat.getDegree() != 1 || !limit.empty() || roundPow2))
    return bad("add_kernel needs exponent 1, a statistic of degree 1, and "
               "neither limit nor rounding (C2)");
  if (target == Target::min_stat && limit.empty())
    return bad("target = min_stat needs a limit (C3)");
  return success();
}

//===----------------------------------------------------------------------===//
// Stop
//===----------------------------------------------------------------------===//

StopAttr StopAttr::getFixed(MLIRContext *context, int64_t halfSteps,
                            bool measureLast) {
  return get(context, StopMode::fixed, halfSteps, measureLast, 0.0,
             What::marginal, Judged::both, Norm::l1, 2, 2, false, true,
             Relax::where_possible, 0);
}

bool StopAttr::canRelax(RuleAttr rows, RuleAttr cols, Order order) {
  auto isSum = [](RuleAttr rule) {
    return isa<SumAttr>(rule.getStat()) && rule.isPlain();
  };
  return getMode() == StopMode::until && getWhat() == What::marginal &&
         isSum(rows) && isSum(cols) &&
         (order == Order::rows_first || order == Order::cols_first);
}

Attribute StopAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  StopMode mode;
  if (parser.parseLess() || parseEnum(parser, mode))
    return {};
  int64_t limit = 0, every = 2, start = 2, depth = 0;
  double tol = 0.0;
  auto what = mode == StopMode::best ? What::imbalance : What::marginal;
  auto axis = Judged::both;
  auto norm = Norm::l1;
  auto relax = Relax::where_possible;
  bool measureLast = false, patienceFirst = false, last = true;
  bool hasLimit = mode != StopMode::until, hasStart = false;
  if (mode == StopMode::until ? parseNumber(parser, tol)
                              : parser.parseInteger(limit))
    return {};
  Fields fields(parser);
  if (mode == StopMode::fixed)
    fields.add("measure", [&]() -> ParseResult {
      if (succeeded(parser.parseOptionalKeyword("none")))
        return success();
      measureLast = true;
      return parser.parseKeyword("last");
    });
  else
    fields.keyword("what", what);
  if (mode != StopMode::best)
    fields.keyword("axis", axis).keyword("norm", norm);
  if (mode == StopMode::until)
    fields
        .add("relax",
             [&]() -> ParseResult {
               if (parseEnum(parser, relax))
                 return failure();
               if (relax != Relax::anderson)
                 return success();
               depth = kDefaultDepth;
               if (failed(parser.parseOptionalLParen()))
                 return success();
               return failure(parser.parseInteger(depth) ||
                              parser.parseRParen());
             })
        .integer("every", every)
        .add("start",
             [&]() -> ParseResult {
               hasStart = true;
               return parser.parseInteger(start);
             })
        .add("limit", [&]() -> ParseResult {
          hasLimit = true;
          return parser.parseInteger(limit);
        });
  if (mode == StopMode::best)
    fields
        .add("patience",
             [&]() -> ParseResult {
               patienceFirst = true;
               return parser.parseKeyword("first");
             })
        .boolean("last", last);
  fields.refuse({"measure"}, "goes with fixed (C4)")
      .refuse({"what"}, "goes with until and best (C4)")
      .refuse({"axis", "norm"}, "goes with fixed and until (C4)")
      .refuse({"every", "start", "limit", "relax"}, "goes with until (C4)")
      .refuse({"patience", "last"}, "goes with best (C4)");
  if (fields.parse("stop"))
    return {};
  if (!hasLimit) {
    parser.emitError(loc, "#scaling.stop: until needs a limit (C2)");
    return {};
  }
  if (!hasStart)
    start = every;
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    mode, limit, measureLast, tol, what, axis, norm, every,
                    start, patienceFirst, last, relax, depth);
}

void StopAttr::print(AsmPrinter &printer) const {
  printer << '<' << stringifyStopMode(getMode()) << ' ';
  switch (getMode()) {
  case StopMode::fixed:
    printer << getLimit();
    if (getMeasureLast())
      printer << ", measure = last";
    if (getAxis() != Judged::both)
      printer << ", axis = " << stringifyJudged(getAxis());
    if (getNorm() != Norm::l1)
      printer << ", norm = " << stringifyNorm(getNorm());
    break;
  case StopMode::until:
    printNumber(printer, getTol());
    printer << ", what = " << stringifyWhat(getWhat())
            << ", axis = " << stringifyJudged(getAxis())
            << ", norm = " << stringifyNorm(getNorm())
            << ", every = " << getEvery() << ", start = " << getStart()
            << ", limit = " << getLimit();
    if (getRelax() != Relax::where_possible)
      printer << ", relax = " << stringifyRelax(getRelax());
    if (getDepth() != 0 && getDepth() != kDefaultDepth)
      printer << '(' << getDepth() << ')';
    break;
  case StopMode::best:
    printer << getLimit() << ", what = " << stringifyWhat(getWhat());
    if (getPatienceFirst())
      printer << ", patience = first";
    if (!getLast())
      printer << ", last = false";
    break;
  }
  printer << '>';
}

LogicalResult StopAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               StopMode mode, int64_t limit, bool measureLast,
                               Number tol, What what, Judged, Norm,
                               int64_t every, int64_t start, bool patienceFirst,
                               bool last, Relax relax, int64_t depth) {
  auto bad = [&](const Twine &message) -> LogicalResult {
    return emitError() << "#scaling.stop: " << message;
  };
  auto isCount = [](int64_t n) {
    return n >= 0 && n <= std::numeric_limits<int32_t>::max();
  };
  if (!isCount(limit))
    return bad("the number of half-steps must be between 0 and 2147483647 "
               "(C1)");
  if (every < 1 || !isCount(every) || !isCount(start))
    return bad("every must be at least 1, start not negative, and both at most "
               "2147483647 (C1)");
  bool imbalance = what == What::imbalance || what == What::imbalance_sum;
  if (mode == StopMode::until && !(tol >= 0 && std::isfinite(tol)))
    return bad("the tolerance of until must be finite and not negative (C2)");
  if (mode == StopMode::until && imbalance)
    return bad(
        "until looks at marginal, change, ratio or relative_change (C3)");
  if (mode == StopMode::best && !imbalance)
    return bad("best looks at imbalance or imbalance_sum (C3)");
  if (measureLast && mode != StopMode::fixed)
    return bad("measure goes with fixed (C4)");
  if ((patienceFirst || !last) && mode != StopMode::best)
    return bad("patience and last go with best (C4)");
  if (relax != Relax::where_possible &&
      (mode != StopMode::until || what != What::marginal))
    return bad("relax goes with until and marginal (C5)");
  bool remembers = relax == Relax::anderson;
  if (remembers ? depth < 1 || depth > 8 : depth != 0)
    return bad("anderson looks at 1 to 8 steps (C5)");
  return success();
}

//===----------------------------------------------------------------------===//
// Numerics
//===----------------------------------------------------------------------===//

NumericsAttr NumericsAttr::getDefault(MLIRContext *context, Domain domain) {
  return get(context, domain, FloatType(), false, Products::f32);
}

FloatType NumericsAttr::getAccumulateType(Type element) {
  if (getAccumulate())
    return getAccumulate();
  if (element.isF64())
    return cast<FloatType>(element);
  return Float32Type::get(getContext());
}

Attribute NumericsAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  Domain domain;
  FloatType accumulate;
  bool strict = false;
  Products products = Products::f32;
  if (parser.parseLess() || parseEnum(parser, domain))
    return {};
  Fields fields(parser);
  fields.add("accumulate", [&] { return parser.parseType(accumulate); })
      .flag("strict", strict)
      .add("products", [&] { return parseEnum(parser, products); });
  if (fields.parse("numerics"))
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    domain, accumulate, strict, products);
}

void NumericsAttr::print(AsmPrinter &printer) const {
  printer << '<' << stringifyDomain(getDomain());
  if (getAccumulate())
    printer << ", accumulate = " << getAccumulate();
  if (getStrict())
    printer << ", strict";
  if (getProducts() != Products::f32)
    printer << ", products = " << stringifyProducts(getProducts());
  printer << '>';
}

LogicalResult NumericsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   Domain, FloatType accumulate, bool strict,
                                   Products products) {
  if (accumulate && !accumulate.isF32() && !accumulate.isF64())
    return emitError() << "#scaling.numerics: accumulate is f32 or f64, not "
                       << accumulate << " (C1)";
  if (strict && products != Products::f32)
    return emitError() << "#scaling.numerics: strict goes with products of "
                          "f32, not "
                       << stringifyProducts(products) << " (C2)";
  return success();
}

//===----------------------------------------------------------------------===//
// Form
//===----------------------------------------------------------------------===//

FormAttr FormAttr::getDefault(MLIRContext *context, Input input) {
  return get(context, input, input == Input::kernel ? Map::identity : Map::exp,
             Shift::none, 1.0, false, 0.0, {}, Start::neutral, Output::plan,
             OutputScale::one, {}, false);
}

/// `first` times the powers of `factor` as long as that is above `last`, then
/// `last`.
static LogicalResult appendGeometric(SmallVectorImpl<Number> &values,
                                     double first, double factor, double last) {
  constexpr size_t kMost = 1000;
  bool falls = factor > 0 && factor < 1 && std::isfinite(first) && last > 0;
  if (!falls)
    return failure();
  for (double value = first; value > last; value *= factor) {
    values.push_back(value);
    if (values.size() >= kMost)
      return failure();
  }
  values.push_back(last);
  return success();
}

Attribute FormAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  Input input;
  if (parser.parseLess() || parseEnum(parser, input))
    return {};
  auto map = input == Input::kernel ? Map::identity : Map::exp;
  auto shift = Shift::none;
  auto start = Start::neutral;
  auto output = Output::plan;
  auto scale = OutputScale::one;
  double epsilon = 1.0, entryEps = 0.0, total = 0.0;
  bool standardize = false, extrapolate = false, hasTotal = false;
  bool geometric = false;
  double first = 0.0, factor = 0.0;
  SMLoc annealLoc;
  SmallVector<Number> anneal;
  Fields fields(parser);
  fields.keyword("map", map)
      .keyword("shift", shift)
      .number("epsilon", epsilon)
      .flag("standardize", standardize)
      .number("entry_eps", entryEps)
      .add("normalize_total",
           [&] {
             hasTotal = true;
             return parseNumber(parser, total);
           })
      .keyword("start", start)
      .keyword("output", output)
      .keyword("scale", scale)
      .add("anneal",
           [&]() -> ParseResult {
             annealLoc = parser.getCurrentLocation();
             if (failed(parser.parseOptionalKeyword("geometric")))
               return parseNumbers(parser, anneal);
             geometric = true;
             return failure(parser.parseLParen() ||
                            parseNumber(parser, first) || parser.parseComma() ||
                            parseNumber(parser, factor) ||
                            parser.parseRParen());
           })
      .flag("extrapolate", extrapolate);
  if (fields.parse("form"))
    return {};
  if (geometric && failed(appendGeometric(anneal, first, factor, epsilon))) {
    parser.emitError(annealLoc,
                     "#scaling.form: geometric(first, factor) needs a finite "
                     "first, a factor between 0 and 1, and at most 1000 ε down "
                     "to epsilon (C1)");
    return {};
  }
  SmallVector<Number, 1> totals;
  if (hasTotal)
    totals.push_back(total);
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    input, map, shift, epsilon, standardize, entryEps, totals,
                    start, output, scale, anneal, extrapolate);
}

void FormAttr::print(AsmPrinter &printer) const {
  printer << '<' << stringifyInput(getInput());
  if (getMap() != (getInput() == Input::kernel ? Map::identity : Map::exp))
    printer << ", map = " << stringifyMap(getMap());
  if (getShift() != Shift::none)
    printer << ", shift = " << stringifyShift(getShift());
  auto number = [&](StringRef key, double value) {
    printer << ", " << key << " = ";
    printNumber(printer, value);
  };
  if (getEpsilon() != 1.0)
    number("epsilon", getEpsilon());
  if (getStandardize())
    printer << ", standardize";
  if (getEntryEps() != 0.0)
    number("entry_eps", getEntryEps());
  if (!getNormalizeTotal().empty())
    number("normalize_total", getNormalizeTotal()[0]);
  if (getStart() != Start::neutral)
    printer << ", start = " << stringifyStart(getStart());
  if (getOutput() != Output::plan)
    printer << ", output = " << stringifyOutput(getOutput());
  if (getScale() != OutputScale::one)
    printer << ", scale = " << stringifyOutputScale(getScale());
  if (!getAnneal().empty()) {
    printer << ", anneal = ";
    printNumbers(printer, getAnneal());
  }
  if (getExtrapolate())
    printer << ", extrapolate";
  printer << '>';
}

LogicalResult FormAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               Input input, Map map, Shift shift,
                               Number epsilon, bool standardize,
                               Number entryEps, ArrayRef<Number> normalizeTotal,
                               Start, Output, OutputScale,
                               ArrayRef<Number> anneal, bool extrapolate) {
  auto bad = [&](const Twine &message) -> LogicalResult {
    return emitError() << "#scaling.form: " << message;
  };
  auto positive = [](double x) { return x > 0 && std::isfinite(x); };
  if (!positive(epsilon))
    return bad("epsilon must be positive and finite (C1)");
  if (!(entryEps >= 0 && std::isfinite(entryEps)))
    return bad("entry_eps must be finite and not negative (C1)");
  if (!llvm::all_of(anneal, positive))
    return bad("every annealed ε must be positive and finite (C1)");
  if (normalizeTotal.size() > 1 || llvm::any_of(normalizeTotal, [](double x) {
        return !(x >= 0 && std::isfinite(x));
      }))
    return bad("normalize_total takes one number, finite and not negative "
               "(C1)");
  if ((map == Map::identity) != (input == Input::kernel))
    return bad("map = identity and a kernel input go together (C2)");
  if (shift != Shift::none && map != Map::exp)
    return bad("shift goes with map = exp (C3)");
  if (standardize && input != Input::cost)
    return bad("standardize goes with a cost (C3)");
  if (extrapolate && anneal.empty())
    return bad("extrapolate needs anneal (C4)");
  return success();
}

//===----------------------------------------------------------------------===//
// Schedule
//===----------------------------------------------------------------------===//

Attribute ScheduleAttr::parse(AsmParser &parser, Type) {
  SMLoc loc = parser.getCurrentLocation();
  Regime regime;
  int64_t lanes = 0, rowBlock = 0;
  bool recompute = false;
  if (parser.parseLess() || parseEnum(parser, regime))
    return {};
  Fields fields(parser);
  // Zero stands for a field that is not given.
  auto positive = [&](int64_t &value) {
    return [&]() -> ParseResult {
      SMLoc valueLoc = parser.getCurrentLocation();
      if (parser.parseInteger(value))
        return failure();
      if (value > 0)
        return success();
      return parser.emitError(valueLoc, "#scaling.schedule: lanes and "
                                        "row_block must be positive (C1)");
    };
  };
  fields.add("lanes", positive(lanes))
      .add("row_block", positive(rowBlock))
      .add("matrix", [&]() -> ParseResult {
        if (succeeded(parser.parseOptionalKeyword("stored")))
          return success();
        recompute = true;
        return parser.parseKeyword("recomputed");
      });
  if (fields.parse("schedule"))
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    regime, lanes, rowBlock, recompute);
}

void ScheduleAttr::print(AsmPrinter &printer) const {
  printer << '<' << stringifyRegime(getRegime());
  if (getLanes())
    printer << ", lanes = " << getLanes();
  if (getRowBlock())
    printer << ", row_block = " << getRowBlock();
  if (getRecompute())
    printer << ", matrix = recomputed";
  printer << '>';
}

LogicalResult ScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   Regime, int64_t lanes, int64_t rowBlock,
                                   bool) {
  if (lanes < 0 || rowBlock < 0)
    return emitError() << "#scaling.schedule: lanes and row_block must be "
                          "positive (C1)";
  return success();
}
