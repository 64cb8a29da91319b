//===- Dialect.cpp - C interface of the dialect -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling-c/Dialect.h"

#include "scaling/Dialect/Scaling/IR/Presets.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/InitAll.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/CAPI/IR.h"
#include "mlir/CAPI/Registration.h"
#include "mlir/CAPI/Support.h"
#include "mlir/IR/Builders.h"

#include <type_traits>

using namespace mlir;
using namespace mlir::scaling;

MLIR_DEFINE_CAPI_DIALECT_REGISTRATION(Scaling, scaling, ScalingDialect)

void scalingRegisterAllDialects(MlirDialectRegistry registry) {
  registerAllDialects(*unwrap(registry));
}

// The enumerations of both languages hold the same numbers, in the same order.
static_assert(static_cast<unsigned>(Guard::add_kernel) ==
              ScalingGuardAddKernel);
static_assert(static_cast<unsigned>(Target::min_stat) == ScalingTargetMinStat);
static_assert(static_cast<unsigned>(Reference::product) ==
              ScalingReferenceProduct);
static_assert(static_cast<unsigned>(StopMode::best) == ScalingStopBest);
static_assert(static_cast<unsigned>(Relax::anderson) == ScalingRelaxAnderson);
static_assert(static_cast<unsigned>(What::imbalance_sum) ==
              ScalingWhatImbalanceSum);
static_assert(static_cast<unsigned>(Judged::both) == ScalingJudgedBoth);
static_assert(static_cast<unsigned>(Norm::mean) == ScalingNormMean);
static_assert(static_cast<unsigned>(Domain::absorb) == ScalingDomainAbsorb);
static_assert(static_cast<unsigned>(Products::f16) == ScalingProductsF16);
static_assert(static_cast<unsigned>(scaling::Input::kernel) ==
              ScalingInputKernel);
static_assert(static_cast<unsigned>(Map::identity) == ScalingMapIdentity);
static_assert(static_cast<unsigned>(Shift::col_max) == ScalingShiftColMax);
static_assert(static_cast<unsigned>(Start::targets) == ScalingStartTargets);
static_assert(static_cast<unsigned>(Output::log_plan) == ScalingOutputLogPlan);
static_assert(static_cast<unsigned>(OutputScale::rows_plus_cols) ==
              ScalingOutputScaleRowsPlusCols);
static_assert(static_cast<unsigned>(Regime::cloud) == ScalingRegimeCloud);
static_assert(static_cast<unsigned>(Order::symmetric) == ScalingOrderSymmetric);
static_assert(static_cast<unsigned>(Axis::cols) == ScalingAxisCols);

// An array of Number is read as an array of double.
static_assert(sizeof(Number) == sizeof(double) &&
              std::is_standard_layout_v<Number>);

/// Where attributes made from C are diagnosed.
static auto diagnose(MLIRContext *context) {
  return [context] { return emitError(UnknownLoc::get(context)); };
}

template <typename AttrTy, typename... Fields>
static MlirAttribute getAttribute(MlirContext c, Fields &&...fields) {
  MLIRContext *context = unwrap(c);
  context->getOrLoadDialect<ScalingDialect>();
  return wrap(AttrTy::getChecked(diagnose(context), context,
                                 std::forward<Fields>(fields)...));
}

//===----------------------------------------------------------------------===//
// By text
//===----------------------------------------------------------------------===//

MlirAttribute scalingAttributeParse(MlirContext context, MlirStringRef text) {
  unwrap(context)->getOrLoadDialect<ScalingDialect>();
  return wrap(parseAttribute(unwrap(text), unwrap(context)));
}

//===----------------------------------------------------------------------===//
// By fields
//===----------------------------------------------------------------------===//

MlirAttribute scalingStatisticAttrGet(MlirContext context, MlirStringRef name) {
  unwrap(context)->getOrLoadDialect<ScalingDialect>();
  Attribute attribute =
      parseAttribute(("#scaling." + unwrap(name)).str(), unwrap(context));
  if (attribute && !isa<StatisticAttrInterface>(attribute)) {
    emitError(UnknownLoc::get(unwrap(context)))
        << "no statistic is called '" << unwrap(name) << "'";
    return {nullptr};
  }
  return wrap(attribute);
}

bool scalingAttributeIsAStatistic(MlirAttribute attribute) {
  return isa<StatisticAttrInterface>(unwrap(attribute));
}

MlirStringRef scalingStatisticAttrGetName(MlirAttribute attribute) {
  return wrap(
      cast<StatisticAttrInterface>(unwrap(attribute)).getStatisticName());
}

ScalingRule scalingRuleDefault(MlirAttribute statistic) {
  ScalingRule fields = {};
  fields.statistic = statistic;
  fields.exponent = fields.tau = fields.omega = 1.0;
  return fields;
}

MlirAttribute scalingRuleAttrGet(MlirContext context,
                                 const ScalingRule *fields) {
  auto numbers = [](bool given, const double *values, size_t size) {
    SmallVector<Number> all;
    if (given)
      all.append(values, values + size);
    return all;
  };
  SmallVector<Number> limit = numbers(fields->hasLimit, fields->limit, 3);
  SmallVector<Number> step = numbers(fields->hasStep, fields->step, 2);
  SmallVector<Number> clamp = numbers(fields->hasClamp, fields->clamp, 2);
  return getAttribute<RuleAttr>(
      context,
      dyn_cast_or_null<StatisticAttrInterface>(unwrap(fields->statistic)),
      static_cast<Guard>(fields->guard), Number(fields->guardEpsilon),
      static_cast<Target>(fields->target), Number(fields->exponent),
      Number(fields->tau), static_cast<Reference>(fields->reference),
      Number(fields->omega), ArrayRef<Number>(limit), ArrayRef<Number>(step),
      ArrayRef<Number>(clamp), fields->roundPow2);
}

bool scalingAttributeIsARule(MlirAttribute attribute) {
  return isa<RuleAttr>(unwrap(attribute));
}

ScalingRule scalingRuleAttrGetFields(MlirAttribute attribute) {
  auto rule = cast<RuleAttr>(unwrap(attribute));
  ScalingRule fields = scalingRuleDefault(wrap(Attribute(rule.getStat())));
  fields.guard = static_cast<ScalingGuard>(rule.getGuard());
  fields.guardEpsilon = rule.getGuardEps();
  fields.target = static_cast<ScalingTarget>(rule.getTarget());
  fields.exponent = rule.getExponent();
  fields.tau = rule.getTau();
  fields.reference = static_cast<ScalingReference>(rule.getReference());
  fields.omega = rule.getOmega();
  fields.hasLimit = !rule.getLimit().empty();
  fields.hasStep = !rule.getStep().empty();
  fields.hasClamp = !rule.getClamp().empty();
  llvm::copy(rule.getLimit(), fields.limit);
  llvm::copy(rule.getStep(), fields.step);
  llvm::copy(rule.getClamp(), fields.clamp);
  fields.roundPow2 = rule.getRoundPow2();
  return fields;
}

ScalingStop scalingStopDefault(ScalingStopMode mode, int64_t limit) {
  ScalingStop fields = {};
  fields.mode = mode;
  fields.limit = limit;
  fields.what =
      mode == ScalingStopBest ? ScalingWhatImbalance : ScalingWhatMarginal;
  fields.axis = ScalingJudgedBoth;
  fields.norm = ScalingNormL1;
  fields.every = fields.start = 2;
  fields.last = true;
  return fields;
}

MlirAttribute scalingStopAttrGet(MlirContext context,
                                 const ScalingStop *fields) {
  return getAttribute<StopAttr>(
      context, static_cast<StopMode>(fields->mode), fields->limit,
      fields->measureLast, Number(fields->tolerance),
      static_cast<What>(fields->what), static_cast<Judged>(fields->axis),
      static_cast<Norm>(fields->norm), fields->every, fields->start,
      fields->patienceFirst, fields->last, static_cast<Relax>(fields->relax),
      fields->depth);
}

bool scalingAttributeIsAStop(MlirAttribute attribute) {
  return isa<StopAttr>(unwrap(attribute));
}

ScalingStop scalingStopAttrGetFields(MlirAttribute attribute) {
  auto stop = cast<StopAttr>(unwrap(attribute));
  ScalingStop fields = {};
  fields.mode = static_cast<ScalingStopMode>(stop.getMode());
  fields.limit = stop.getLimit();
  fields.measureLast = stop.getMeasureLast();
  fields.tolerance = stop.getTol();
  fields.what = static_cast<ScalingWhat>(stop.getWhat());
  fields.axis = static_cast<ScalingJudged>(stop.getAxis());
  fields.norm = static_cast<ScalingNorm>(stop.getNorm());
  fields.every = stop.getEvery();
  fields.start = stop.getStart();
  fields.patienceFirst = stop.getPatienceFirst();
  fields.last = stop.getLast();
  fields.relax = static_cast<ScalingRelax>(stop.getRelax());
  fields.depth = stop.getDepth();
  return fields;
}

ScalingNumerics scalingNumericsDefault(ScalingDomain domain) {
  return {domain, {nullptr}, false, ScalingProductsF32};
}

MlirAttribute scalingNumericsAttrGet(MlirContext context,
                                     const ScalingNumerics *fields) {
  Type accumulate = unwrap(fields->accumulate);
  if (accumulate && !isa<FloatType>(accumulate)) {
    emitError(UnknownLoc::get(unwrap(context)))
        << "#scaling.numerics: accumulate is f32 or f64, not " << accumulate
        << " (C1)";
    return {nullptr};
  }
  return getAttribute<NumericsAttr>(
      context, static_cast<Domain>(fields->domain),
      cast_or_null<FloatType>(accumulate), fields->strict,
      static_cast<Products>(fields->products));
}

bool scalingAttributeIsANumerics(MlirAttribute attribute) {
  return isa<NumericsAttr>(unwrap(attribute));
}

ScalingNumerics scalingNumericsAttrGetFields(MlirAttribute attribute) {
  auto numerics = cast<NumericsAttr>(unwrap(attribute));
  return {static_cast<ScalingDomain>(numerics.getDomain()),
          wrap(Type(numerics.getAccumulate())), numerics.getStrict(),
          static_cast<ScalingProducts>(numerics.getProducts())};
}

ScalingForm scalingFormDefault(ScalingInput input) {
  ScalingForm fields = {};
  fields.input = input;
  fields.map = input == ScalingInputKernel ? ScalingMapIdentity : ScalingMapExp;
  fields.epsilon = 1.0;
  return fields;
}

MlirAttribute scalingFormAttrGet(MlirContext context,
                                 const ScalingForm *fields) {
  SmallVector<Number> total, anneal;
  if (fields->hasNormalizeTotal)
    total.push_back(fields->normalizeTotal);
  anneal.append(fields->anneal, fields->anneal + fields->numAnneal);
  return getAttribute<FormAttr>(
      context, static_cast<scaling::Input>(fields->input),
      static_cast<Map>(fields->map), static_cast<Shift>(fields->shift),
      Number(fields->epsilon), fields->standardize,
      Number(fields->entryEpsilon), ArrayRef<Number>(total),
      static_cast<Start>(fields->start), static_cast<Output>(fields->output),
      static_cast<OutputScale>(fields->scale), ArrayRef<Number>(anneal),
      fields->extrapolate);
}

bool scalingAttributeIsAForm(MlirAttribute attribute) {
  return isa<FormAttr>(unwrap(attribute));
}

ScalingForm scalingFormAttrGetFields(MlirAttribute attribute) {
  auto form = cast<FormAttr>(unwrap(attribute));
  ScalingForm fields = {};
  fields.input = static_cast<ScalingInput>(form.getInput());
  fields.map = static_cast<ScalingMap>(form.getMap());
  fields.shift = static_cast<ScalingShift>(form.getShift());
  fields.epsilon = form.getEpsilon();
  fields.standardize = form.getStandardize();
  fields.entryEpsilon = form.getEntryEps();
  fields.hasNormalizeTotal = !form.getNormalizeTotal().empty();
  if (fields.hasNormalizeTotal)
    fields.normalizeTotal = form.getNormalizeTotal()[0];
  fields.start = static_cast<ScalingStart>(form.getStart());
  fields.output = static_cast<ScalingOutput>(form.getOutput());
  fields.scale = static_cast<ScalingOutputScale>(form.getScale());
  fields.numAnneal = form.getAnneal().size();
  fields.anneal = reinterpret_cast<const double *>(form.getAnneal().data());
  fields.extrapolate = form.getExtrapolate();
  return fields;
}

MlirAttribute scalingScheduleAttrGet(MlirContext context,
                                     const ScalingSchedule *fields) {
  return getAttribute<ScheduleAttr>(
      context, static_cast<Regime>(fields->regime), fields->lanes,
      fields->rowBlock, fields->recompute);
}

bool scalingAttributeIsASchedule(MlirAttribute attribute) {
  return isa<ScheduleAttr>(unwrap(attribute));
}

ScalingSchedule scalingScheduleAttrGetFields(MlirAttribute attribute) {
  auto schedule = cast<ScheduleAttr>(unwrap(attribute));
  return {static_cast<ScalingRegime>(schedule.getRegime()), schedule.getLanes(),
          schedule.getRowBlock(), schedule.getRecompute()};
}

MlirAttribute scalingOrderAttrGet(MlirContext context, ScalingOrder order) {
  return wrap(Attribute(Builder(unwrap(context)).getI32IntegerAttr(order)));
}

MlirAttribute scalingAxisAttrGet(MlirContext context, ScalingAxis axis) {
  return wrap(Attribute(Builder(unwrap(context)).getI32IntegerAttr(axis)));
}

//===----------------------------------------------------------------------===//
// Presets
//===----------------------------------------------------------------------===//

intptr_t scalingGetNumPresets(void) { return getPresetNames().size(); }

MlirStringRef scalingPresetGetName(intptr_t index) {
  return wrap(getPresetNames()[index]);
}

bool scalingPresetBelongsTo(MlirStringRef preset, MlirStringRef mnemonic) {
  return presetBelongsTo(unwrap(preset), unwrap(mnemonic));
}

MlirAttribute scalingPresetGetAttributes(MlirContext context,
                                         MlirStringRef preset) {
  unwrap(context)->getOrLoadDialect<ScalingDialect>();
  std::optional<NamedAttrList> attributes =
      getPresetAttributes(unwrap(preset), unwrap(context));
  if (!attributes)
    return {nullptr};
  return wrap(Attribute(attributes->getDictionary(unwrap(context))));
}

MlirStringRef scalingOperationMatchPreset(MlirOperation operation) {
  return wrap(matchPreset(unwrap(operation)).value_or(StringRef()));
}
