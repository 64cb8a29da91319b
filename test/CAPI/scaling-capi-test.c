/*===- scaling-capi-test.c - The C interface -----------------------*- C
-*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "scaling-c/Dialect.h"
#include "scaling-c/Passes.h"

#include "mlir-c/BuiltinAttributes.h"
#include "mlir-c/BuiltinTypes.h"
#include "mlir-c/Diagnostics.h"
#include "mlir-c/IR.h"
#include "mlir-c/RegisterEverything.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what) {
  fprintf(stderr, "failed: %s\n", what);
  exit(1);
}
#define REQUIRE(condition)                                                     \
  do {                                                                         \
    if (!(condition))                                                          \
      fail(#condition);                                                        \
  } while (0)

static MlirStringRef text(const char *s) {
  return mlirStringRefCreateFromCString(s);
}

static void printToStdout(MlirStringRef part, void *unused) {
  (void)unused;
  fwrite(part.data, 1, part.length, stdout);
}

static MlirLogicalResult printDiagnostic(MlirDiagnostic diagnostic,
                                         void *unused) {
  printf("diagnostic: ");
  mlirDiagnosticPrint(diagnostic, printToStdout, unused);
  printf("\n");
  return mlirLogicalResultSuccess();
}

/* Prints on standard output, in step with printf. */
static void show(const char *label, MlirAttribute attribute) {
  printf("%s: ", label);
  if (mlirAttributeIsNull(attribute))
    printf("null");
  else
    mlirAttributePrint(attribute, printToStdout, NULL);
  printf("\n");
}

static void testRules(MlirContext context) {
  MlirAttribute sum = scalingStatisticAttrGet(context, text("sum"));
  MlirAttribute deviation = scalingStatisticAttrGet(context, text("std"));
  REQUIRE(scalingAttributeIsAStatistic(sum));
  REQUIRE(!strncmp(scalingStatisticAttrGetName(deviation).data, "std", 3));
  REQUIRE(mlirAttributeIsNull(
      scalingStatisticAttrGet(context, text("form<cost>"))));

  ScalingRule fields = scalingRuleDefault(sum);
  show("plain rule", scalingRuleAttrGet(context, &fields));
  fields.guard = ScalingGuardAddPlan;
  fields.guardEpsilon = 1e-6;
  fields.target = ScalingTargetUniform;
  fields.tau = 0.5;
  fields.hasStep = true;
  fields.step[0] = 0.5;
  fields.step[1] = 2.0;
  MlirAttribute rule = scalingRuleAttrGet(context, &fields);
  show("rule", rule);
  REQUIRE(scalingAttributeIsARule(rule) && !scalingAttributeIsAStop(rule));
  ScalingRule again = scalingRuleAttrGetFields(rule);
  REQUIRE(again.guard == ScalingGuardAddPlan && again.guardEpsilon == 1e-6 &&
          again.tau == 0.5 && again.hasStep && again.step[1] == 2.0 &&
          !again.hasClamp && mlirAttributeEqual(again.statistic, sum));
  REQUIRE(mlirAttributeEqual(scalingRuleAttrGet(context, &again), rule));
  fields.tau = 2.0;
  show("wrong rule", scalingRuleAttrGet(context, &fields));
}

static void testOthers(MlirContext context) {
  ScalingStop stop = scalingStopDefault(ScalingStopUntil, 100);
  stop.tolerance = 1e-6;
  stop.axis = ScalingJudgedCols;
  MlirAttribute until = scalingStopAttrGet(context, &stop);
  show("stop", until);
  REQUIRE(scalingStopAttrGetFields(until).limit == 100);
  stop.limit = -1;
  show("wrong stop", scalingStopAttrGet(context, &stop));
  REQUIRE(mlirAttributeEqual(
      until, scalingAttributeParse(
                 context, text("#scaling.stop<until 1.0e-6, axis = cols, "
                               "limit = 100>"))));
  show("wrong text", scalingAttributeParse(context, text("#scaling.stop<x>")));
  stop.limit = 100;
  stop.relax = ScalingRelaxAuto;
  until = scalingStopAttrGet(context, &stop);
  show("relaxed stop", until);
  REQUIRE(scalingStopAttrGetFields(until).relax == ScalingRelaxAuto);
  stop.relax = ScalingRelaxAnderson;
  stop.depth = 3;
  until = scalingStopAttrGet(context, &stop);
  show("accelerated stop", until);
  REQUIRE(scalingStopAttrGetFields(until).depth == 3);

  ScalingNumerics numerics = scalingNumericsDefault(ScalingDomainLog);
  numerics.accumulate = mlirF64TypeGet(context);
  numerics.strict = true;
  MlirAttribute log = scalingNumericsAttrGet(context, &numerics);
  show("numerics", log);
  REQUIRE(scalingNumericsAttrGetFields(log).strict);
  ScalingNumerics rounded = scalingNumericsDefault(ScalingDomainLog);
  rounded.products = ScalingProductsTF32;
  MlirAttribute tf32 = scalingNumericsAttrGet(context, &rounded);
  show("rounded numerics", tf32);
  REQUIRE(scalingNumericsAttrGetFields(tf32).products == ScalingProductsTF32);
  numerics.accumulate = mlirIndexTypeGet(context);
  show("wrong numerics", scalingNumericsAttrGet(context, &numerics));

  ScalingForm form = scalingFormDefault(ScalingInputCost);
  double anneal[] = {1.0, 0.5};
  form.numAnneal = 2;
  form.anneal = anneal;
  form.hasNormalizeTotal = true;
  MlirAttribute annealed = scalingFormAttrGet(context, &form);
  show("form", annealed);
  REQUIRE(scalingFormAttrGetFields(annealed).numAnneal == 2 &&
          scalingFormAttrGetFields(annealed).anneal[1] == 0.5);

  ScalingSchedule schedule = {ScalingRegimeTinyBatched, 16, 0, false};
  MlirAttribute lanes = scalingScheduleAttrGet(context, &schedule);
  show("schedule", lanes);
  REQUIRE(scalingScheduleAttrGetFields(lanes).lanes == 16);
  show("order", scalingOrderAttrGet(context, ScalingOrderJacobi));
  show("axis", scalingAxisAttrGet(context, ScalingAxisCols));
}

static void testPresets(MlirContext context) {
  intptr_t count = scalingGetNumPresets();
  REQUIRE(count >= 12);
  for (intptr_t i = 0; i < count; ++i) {
    MlirAttribute attributes =
        scalingPresetGetAttributes(context, scalingPresetGetName(i));
    REQUIRE(!mlirAttributeIsNull(attributes) &&
            mlirAttributeIsADictionary(attributes));
  }
  REQUIRE(scalingPresetBelongsTo(text("mhc"), text("project")));
  REQUIRE(!scalingPresetBelongsTo(text("mhc"), text("sinkhorn")));
  MlirAttribute mhc = scalingPresetGetAttributes(context, text("mhc"));
  show("mhc stops", mlirDictionaryAttrGetElementByName(mhc, text("stop")));
  show("nobody", scalingPresetGetAttributes(context, text("nobody")));
}

/* %P, … = scaling.project logits(%z : tensor<4x4xf32>), its attributes those of
 * a preset, built without a parser; then lowered. */
static void testProgram(MlirContext context) {
  MlirLocation location = mlirLocationUnknownGet(context);
  int64_t sizes[] = {4, 4};
  MlirType type = mlirRankedTensorTypeGet(2, sizes, mlirF32TypeGet(context),
                                          mlirAttributeGetNull());
  MlirModule module = mlirModuleCreateParse(
      context, text("func.func @f(%z: tensor<4x4xf32>) -> tensor<4x4xf32> {\n"
                    "  return %z : tensor<4x4xf32>\n"
                    "}\n"));
  MlirOperation function =
      mlirBlockGetFirstOperation(mlirModuleGetBody(module));
  MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(function, 0));
  MlirOperation ret = mlirBlockGetTerminator(body);

  MlirOperationState state =
      mlirOperationStateGet(text("scaling.project"), location);
  MlirValue matrix = mlirBlockGetArgument(body, 0);
  mlirOperationStateAddOperands(&state, 1, &matrix);
  MlirAttribute preset = scalingPresetGetAttributes(context, text("mhc"));
  for (intptr_t i = 0, e = mlirDictionaryAttrGetNumElements(preset); i < e;
       ++i) {
    MlirNamedAttribute attribute = mlirDictionaryAttrGetElement(preset, i);
    mlirOperationStateAddAttributes(&state, 1, &attribute);
  }
  int32_t segments[] = {1, 0, 0, 0, 0, 0, 0, 0, 0};
  MlirNamedAttribute sizesOfSegments = mlirNamedAttributeGet(
      mlirIdentifierGet(context, text("operandSegmentSizes")),
      mlirDenseI32ArrayGet(context, 9, segments));
  mlirOperationStateAddAttributes(&state, 1, &sizesOfSegments);
  mlirOperationStateEnableResultTypeInference(&state);
  MlirOperation project = mlirOperationCreate(&state);
  REQUIRE(!mlirOperationIsNull(project));
  REQUIRE(mlirTypeEqual(mlirValueGetType(mlirOperationGetResult(project, 0)),
                        type));
  mlirBlockInsertOwnedOperationBefore(body, ret, project);
  mlirOperationSetOperand(ret, 0, mlirOperationGetResult(project, 0));
  MlirStringRef found = scalingOperationMatchPreset(project);
  printf("found preset: %.*s\n", (int)found.length, found.data);

  MlirOperation top = mlirModuleGetOperation(module);
  REQUIRE(mlirOperationVerify(top));
  printf("built:\n");
  mlirOperationPrint(top, printToStdout, NULL);
  REQUIRE(mlirLogicalResultIsFailure(
      scalingRunPipeline(top, text("no-such-pass"))));
  REQUIRE(mlirLogicalResultIsSuccess(
      scalingRunPipeline(top, text("scaling-generalize"))));
  printf("generalized:\n");
  mlirOperationPrint(top, printToStdout, NULL);
  REQUIRE(mlirLogicalResultIsSuccess(
      scalingRunPipeline(top, text("builtin.module(scaling-to-linalg)"))));
  printf("lowered:\n");
  mlirOperationPrint(top, printToStdout, NULL);
  mlirModuleDestroy(module);
}

int main(void) {
  scalingRegisterAllPasses();
  scalingRegisterAllPasses();
  MlirDialectRegistry registry = mlirDialectRegistryCreate();
  mlirRegisterAllDialects(registry);
  scalingRegisterAllDialects(registry);
  MlirContext context =
      mlirContextCreateWithRegistry(registry, /*threadingEnabled=*/false);
  mlirDialectRegistryDestroy(registry);
  MlirDialectHandle handle = mlirGetDialectHandle__scaling__();
  mlirDialectHandleRegisterDialect(handle, context);
  REQUIRE(!mlirDialectIsNull(mlirDialectHandleLoadDialect(handle, context)));
  mlirContextAttachDiagnosticHandler(context, printDiagnostic, NULL, NULL);

  testRules(context);
  testOthers(context);
  testPresets(context);
  testProgram(context);
  mlirContextDestroy(context);
  printf("done\n");
  return 0;
}
