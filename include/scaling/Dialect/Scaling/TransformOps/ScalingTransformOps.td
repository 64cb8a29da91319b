//===- ScalingTransformOps.td - Transform ops -------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TRANSFORM_OPS
#define SCALING_TRANSFORM_OPS

include "mlir/Dialect/Transform/IR/TransformDialect.td"
include "mlir/Dialect/Transform/IR/TransformTypes.td"
include "mlir/Dialect/Transform/Interfaces/TransformInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def DecomposeTransformOp
    : Op<Transform_Dialect, "scaling.decompose", [
        DeclareOpInterfaceMethods<TransformOpInterface>,
        DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
        ReportTrackingListenerFailuresOpTrait]> {
  let summary = "Replace ops by their decompositions";
  let description = [{
    Replaces every target by what its `AggregatedOpInterface` makes of it, also
    where it has several results: named ops by their generalization,
    `scaling.iterate` by its loop. The optional result is a handle to the ops
    that define the replacements, in the order of the results, each once.

    A target without the interface, or one that cannot be decomposed, is a
    silenceable failure and stays as it is.

    ```mlir
    %loop = transform.scaling.decompose %iterate
      : (!transform.any_op) -> !transform.any_op
    ```
  }];
  let arguments = (ins TransformHandleTypeInterface:$target);
  let results = (outs Optional<TransformHandleTypeInterface>:$replacements);
  let assemblyFormat = "$target attr-dict `:` functional-type(operands, results)";
}

def TileSweepTransformOp
    : Op<Transform_Dialect, "scaling.tile_sweep", [
        FunctionalStyleTransformOpTrait, MemoryEffectsOpInterface,
        TransformOpInterface, TransformEachOpTrait,
        ReportTrackingListenerFailuresOpTrait]> {
  let summary = "Read the matrix once per iteration";
  let description = [{
    The target is the second `scaling.reduce` of an iteration, along columns
    (or rows) of a matrix whose other factor a `scaling.update` has just
    computed from a `scaling.reduce` of the same matrix. It is tiled by `block`
    rows (or columns) into partial results, and the update and the first
    reduction are fused into the loop: an `scf.forall` whose iterations read a
    block once. With `group`, an iteration of the `scf.forall` walks the blocks
    of so many rows with an `scf.for`, adding to one partial result. The partial
    results are merged in index order; other uses of the update read the loop's
    result.

    With `recompute`, what makes the matrix is fused as well, tile by tile;
    else the matrix is read where it lies.

    Results: the `scf.forall` and the tiled second reduction.

    A target that is not a `scaling.reduce` on tensors, or that cannot be tiled
    is a silenceable failure.

    ```mlir
    %loop, %reduce = transform.scaling.tile_sweep %cols block(8) group(64)
      : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    ```
  }];
  let arguments = (ins TransformHandleTypeInterface:$target,
                       ConfinedAttr<I64Attr, [IntPositive]>:$block,
                       OptionalAttr<ConfinedAttr<I64Attr, [IntPositive]>>:$group,
                       UnitAttr:$recompute);
  let results = (outs TransformHandleTypeInterface:$loop,
                      TransformHandleTypeInterface:$tiled);
  let assemblyFormat = [{
    $target `block` `(` $block `)` (`group` `(` $group^ `)`)?
    (`recompute` $recompute^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = [{
    ::mlir::DiagnosedSilenceableFailure applyToOne(
        ::mlir::transform::TransformRewriter &rewriter,
        ::mlir::Operation *target,
        ::mlir::transform::ApplyToEachResultList &results,
        ::mlir::transform::TransformState &state);
  }];
}

def SelectScheduleTransformOp
    : Op<Transform_Dialect, "scaling.select_schedule", [
        MemoryEffectsOpInterface, TransformOpInterface, TransformEachOpTrait,
        ReportTrackingListenerFailuresOpTrait]> {
  let summary = "Write schedules on ops";
  let description = [{
    Writes on every target the schedule that `--scaling-select-schedule` gives
    it; one that is written already stays. The handle stays valid.

    A target that is neither a named op nor `scaling.iterate` is a silenceable
    failure.

    ```mlir
    transform.scaling.select_schedule %iterate : !transform.any_op
    ```
  }];
  let arguments = (ins TransformHandleTypeInterface:$target);
  let results = (outs);
  let assemblyFormat = "$target attr-dict `:` type($target)";
  let extraClassDeclaration = [{
    ::mlir::DiagnosedSilenceableFailure applyToOne(
        ::mlir::transform::TransformRewriter &rewriter,
        ::mlir::Operation *target,
        ::mlir::transform::ApplyToEachResultList &results,
        ::mlir::transform::TransformState &state);
    void getEffects(
        ::llvm::SmallVectorImpl<::mlir::MemoryEffects::EffectInstance>
            &effects);
  }];
}

#endif // SCALING_TRANSFORM_OPS
