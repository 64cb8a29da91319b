/*===- Dialect.h - C interface of the dialect ----------------------*- C
-*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SCALING_C_DIALECT_H
#define SCALING_C_DIALECT_H

#include "mlir-c/IR.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** mlirGetDialectHandle__scaling__(): the dialect alone. */
MLIR_DECLARE_CAPI_DIALECT_REGISTRATION(Scaling, scaling);

/** The dialect, the implementations of upstream's interfaces on its ops, and
 *  the transform dialect's extension: what passes need. */
MLIR_CAPI_EXPORTED void
scalingRegisterAllDialects(MlirDialectRegistry registry);

/*===----------------------------------------------------------------------===*\
|* Enumerations, with the numbers that attributes hold
\*===----------------------------------------------------------------------===*/

typedef enum { ScalingAxisRows, ScalingAxisCols } ScalingAxis;

typedef enum {
  ScalingOrderRowsFirst,
  ScalingOrderColsFirst,
  ScalingOrderJacobi,
  ScalingOrderSymmetric
} ScalingOrder;

typedef enum {
  ScalingGuardNone,
  ScalingGuardAddPlan,
  ScalingGuardClampPlan,
  ScalingGuardAddKernel
} ScalingGuard;

typedef enum {
  ScalingTargetOne,
  ScalingTargetUniform,
  ScalingTargetSlack,
  ScalingTargetMinStat
} ScalingTarget;

typedef enum {
  ScalingReferenceKernel,
  ScalingReferenceProduct
} ScalingReference;

typedef enum {
  ScalingRelaxWherePossible,
  ScalingRelaxNone,
  ScalingRelaxAuto,
  ScalingRelaxAnderson
} ScalingRelax;

typedef enum {
  ScalingStopFixed,
  ScalingStopUntil,
  ScalingStopBest
} ScalingStopMode;

typedef enum {
  ScalingWhatMarginal,
  ScalingWhatChange,
  ScalingWhatRatio,
  ScalingWhatRelativeChange,
  ScalingWhatImbalance,
  ScalingWhatImbalanceSum
} ScalingWhat;

typedef enum {
  ScalingJudgedRows,
  ScalingJudgedCols,
  ScalingJudgedBoth
} ScalingJudged;

typedef enum {
  ScalingNormL1,
  ScalingNormL2,
  ScalingNormLInf,
  ScalingNormMean
} ScalingNorm;

typedef enum {
  ScalingDomainKernel,
  ScalingDomainLog,
  ScalingDomainAbsorb
} ScalingDomain;

typedef enum {
  ScalingProductsF32,
  ScalingProductsTF32,
  ScalingProductsBF16,
  ScalingProductsF16
} ScalingProducts;

typedef enum {
  ScalingInputCost,
  ScalingInputLogits,
  ScalingInputKernel
} ScalingInput;

typedef enum {
  ScalingMapExp,
  ScalingMapSoftmaxRows,
  ScalingMapSigmoid,
  ScalingMapIdentity
} ScalingMap;

typedef enum {
  ScalingShiftNone,
  ScalingShiftRowMax,
  ScalingShiftColMax
} ScalingShift;

typedef enum {
  ScalingStartNeutral,
  ScalingStartUniform,
  ScalingStartTargets
} ScalingStart;

typedef enum { ScalingOutputPlan, ScalingOutputLogPlan } ScalingOutput;

typedef enum {
  ScalingOutputScaleOne,
  ScalingOutputScaleRows,
  ScalingOutputScaleCols,
  ScalingOutputScaleRowsPlusCols
} ScalingOutputScale;

typedef enum {
  ScalingRegimeTinyBatched,
  ScalingRegimeResident,
  ScalingRegimeStreaming,
  ScalingRegimeCloud
} ScalingRegime;

/** What the status result of an op holds. */
typedef enum {
  ScalingStatusFixed,
  ScalingStatusConverged,
  ScalingStatusLimit,
  ScalingStatusDiverged
} ScalingStatus;

/*===----------------------------------------------------------------------===*\
|* Attributes by text
\*===----------------------------------------------------------------------===*/

/** Any attribute by its text, for example `#scaling.stop<fixed 20>`; null after
 *  a diagnostic when the text is wrong. The context must have the dialect. */
MLIR_CAPI_EXPORTED MlirAttribute scalingAttributeParse(MlirContext context,
                                                       MlirStringRef text);

/*===----------------------------------------------------------------------===*\
|* Attributes by fields
|*
|* `…Default` gives the fields of the shortest text; `…Get` makes the attribute,
|* or null after a diagnostic that cites the constraint; `…GetFields` reads one
|* back. Texts and arrays read back live as long as the context.
\*===----------------------------------------------------------------------===*/

/** `#scaling.sum`, … by the name `sum`, …; null after a diagnostic for a name
 *  that no statistic has. */
MLIR_CAPI_EXPORTED MlirAttribute scalingStatisticAttrGet(MlirContext context,
                                                         MlirStringRef name);
MLIR_CAPI_EXPORTED bool scalingAttributeIsAStatistic(MlirAttribute attribute);
MLIR_CAPI_EXPORTED MlirStringRef
scalingStatisticAttrGetName(MlirAttribute attribute);

typedef struct {
  MlirAttribute statistic;
  ScalingGuard guard;
  double guardEpsilon;
  ScalingTarget target;
  double exponent;
  double tau;
  ScalingReference reference;
  double omega;
  bool hasLimit, hasStep, hasClamp;
  /** lo, hi, and what counts where the statistic is below lo. */
  double limit[3];
  double step[2];
  double clamp[2];
  bool roundPow2;
} ScalingRule;

MLIR_CAPI_EXPORTED ScalingRule scalingRuleDefault(MlirAttribute statistic);
MLIR_CAPI_EXPORTED MlirAttribute scalingRuleAttrGet(MlirContext context,
                                                    const ScalingRule *fields);
MLIR_CAPI_EXPORTED bool scalingAttributeIsARule(MlirAttribute attribute);
MLIR_CAPI_EXPORTED ScalingRule
scalingRuleAttrGetFields(MlirAttribute attribute);

typedef struct {
  ScalingStopMode mode;
  /** The count of fixed; the limit of until and best. */
  int64_t limit;
  bool measureLast;
  double tolerance;
  ScalingWhat what;
  ScalingJudged axis;
  ScalingNorm norm;
  int64_t every;
  int64_t start;
  bool patienceFirst;
  bool last;
  ScalingRelax relax;
  /** How many steps anderson remembers; 0 without it. */
  int64_t depth;
} ScalingStop;

MLIR_CAPI_EXPORTED ScalingStop scalingStopDefault(ScalingStopMode mode,
                                                  int64_t limit);
MLIR_CAPI_EXPORTED MlirAttribute scalingStopAttrGet(MlirContext context,
                                                    const ScalingStop *fields);
MLIR_CAPI_EXPORTED bool scalingAttributeIsAStop(MlirAttribute attribute);
MLIR_CAPI_EXPORTED ScalingStop
scalingStopAttrGetFields(MlirAttribute attribute);

typedef struct {
  ScalingDomain domain;
  /** f32 or f64; null for the default. */
  MlirType accumulate;
  bool strict;
  ScalingProducts products;
} ScalingNumerics;

MLIR_CAPI_EXPORTED ScalingNumerics scalingNumericsDefault(ScalingDomain domain);
MLIR_CAPI_EXPORTED MlirAttribute
scalingNumericsAttrGet(MlirContext context, const ScalingNumerics *fields);
MLIR_CAPI_EXPORTED bool scalingAttributeIsANumerics(MlirAttribute attribute);
MLIR_CAPI_EXPORTED ScalingNumerics
scalingNumericsAttrGetFields(MlirAttribute attribute);

typedef struct {
  ScalingInput input;
  ScalingMap map;
  ScalingShift shift;
  double epsilon;
  bool standardize;
  double entryEpsilon;
  bool hasNormalizeTotal;
  double normalizeTotal;
  ScalingStart start;
  ScalingOutput output;
  ScalingOutputScale scale;
  intptr_t numAnneal;
  const double *anneal;
  bool extrapolate;
} ScalingForm;

MLIR_CAPI_EXPORTED ScalingForm scalingFormDefault(ScalingInput input);
MLIR_CAPI_EXPORTED MlirAttribute scalingFormAttrGet(MlirContext context,
                                                    const ScalingForm *fields);
MLIR_CAPI_EXPORTED bool scalingAttributeIsAForm(MlirAttribute attribute);
MLIR_CAPI_EXPORTED ScalingForm
scalingFormAttrGetFields(MlirAttribute attribute);

typedef struct {
  ScalingRegime regime;
  /** 0: not given. */
  int64_t lanes;
  int64_t rowBlock;
  bool recompute;
} ScalingSchedule;

MLIR_CAPI_EXPORTED MlirAttribute
scalingScheduleAttrGet(MlirContext context, const ScalingSchedule *fields);
MLIR_CAPI_EXPORTED bool scalingAttributeIsASchedule(MlirAttribute attribute);
MLIR_CAPI_EXPORTED ScalingSchedule
scalingScheduleAttrGetFields(MlirAttribute attribute);

/** The attribute `order` and `axis` of an op: a 32-bit integer. */
MLIR_CAPI_EXPORTED MlirAttribute scalingOrderAttrGet(MlirContext context,
                                                     ScalingOrder order);
MLIR_CAPI_EXPORTED MlirAttribute scalingAxisAttrGet(MlirContext context,
                                                    ScalingAxis axis);

/*===----------------------------------------------------------------------===*\
|* Presets
\*===----------------------------------------------------------------------===*/

MLIR_CAPI_EXPORTED intptr_t scalingGetNumPresets(void);
/** The names in the order of docs/presets.md. */
MLIR_CAPI_EXPORTED MlirStringRef scalingPresetGetName(intptr_t index);
/** Whether the preset may be written on the op `scaling.<mnemonic>`. */
MLIR_CAPI_EXPORTED bool scalingPresetBelongsTo(MlirStringRef preset,
                                               MlirStringRef mnemonic);
/** The attributes the preset stands for, a dictionary; null for an unknown
 *  name. The context must have the dialect loaded. */
MLIR_CAPI_EXPORTED MlirAttribute
scalingPresetGetAttributes(MlirContext context, MlirStringRef preset);
/** The preset whose attributes the op has; an empty text when there is none. */
MLIR_CAPI_EXPORTED MlirStringRef
scalingOperationMatchPreset(MlirOperation operation);

#ifdef __cplusplus
}
#endif

#endif /* SCALING_C_DIALECT_H */
