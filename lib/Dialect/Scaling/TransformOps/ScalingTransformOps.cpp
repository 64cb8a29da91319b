//===- ScalingTransformOps.cpp - Transform ops ------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/TransformOps/ScalingTransformOps.h"

#include "scaling/Dialect/Scaling/TileSweep/TileSweep.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Transform/IR/TransformDialect.h"
#include "mlir/Dialect/Transform/IR/TransformTypes.h"
#include "mlir/Dialect/Transform/Interfaces/TransformInterfaces.h"
#include "mlir/IR/OpImplementation.h"

#define GET_OP_CLASSES
#include "scaling/Dialect/Scaling/TransformOps/ScalingTransformOps.h.inc"
#define GET_OP_CLASSES
#include "scaling/Dialect/Scaling/TransformOps/ScalingTransformOps.cpp.inc"

using namespace mlir;
using namespace mlir::scaling;

/// A failure that leaves the payload as it is, pointing at the op.
static DiagnosedSilenceableFailure refuse(transform::TransformOpInterface op,
                                          Operation *target,
                                          const Twine &message) {
  DiagnosedSilenceableFailure failure = op.emitSilenceableError() << message;
  failure.attachNote(target->getLoc()) << "when applied to this op";
  return failure;
}

//===----------------------------------------------------------------------===//
// decompose
//===----------------------------------------------------------------------===//

DiagnosedSilenceableFailure
transform::DecomposeTransformOp::apply(transform::TransformRewriter &rewriter,
                                       transform::TransformResults &results,
                                       transform::TransformState &state) {
  llvm::SetVector<Operation *> replacements;
  for (Operation *target : state.getPayloadOps(getTarget())) {
    auto aggregated = dyn_cast<linalg::AggregatedOpInterface>(target);
    if (!aggregated)
      return refuse(*this, target,
                    "'" + target->getName().getStringRef() +
                        "' has no decomposition");
    FailureOr<SmallVector<Value>> values =
        aggregated.decomposeOperation(rewriter);
    if (failed(values))
      return refuse(*this, target,
                    "failed to decompose '" + target->getName().getStringRef() +
                        "'");
    for (Value value : *values)
      if (Operation *op = value.getDefiningOp())
        replacements.insert(op);
    rewriter.replaceOp(target, *values);
  }
  if (getReplacements())
    results.set(cast<OpResult>(getReplacements()), replacements.getArrayRef());
  return DiagnosedSilenceableFailure::success();
}

void transform::DecomposeTransformOp::getEffects(
    SmallVectorImpl<MemoryEffects::EffectInstance> &effects) {
  transform::consumesHandle(getTargetMutable(), effects);
  transform::producesHandle(getOperation()->getOpResults(), effects);
  transform::modifiesPayload(effects);
}

//===----------------------------------------------------------------------===//
// tile_sweep
//===----------------------------------------------------------------------===//

DiagnosedSilenceableFailure transform::TileSweepTransformOp::applyToOne(
    transform::TransformRewriter &rewriter, Operation *target,
    transform::ApplyToEachResultList &results, transform::TransformState &) {
  auto reduce = dyn_cast<ReduceOp>(target);
  if (!reduce)
    return refuse(*this, target, "expected a 'scaling.reduce'");
  TileSweepOptions options;
  options.block = getBlock();
  options.group = getGroup().value_or(0);
  options.recomputeMatrix = getRecompute();
  // Where it fails half way the target is gone, and with it the way back.
  Location loc = target->getLoc();
  FailureOr<TileSweepResult> swept = tileSweep(rewriter, reduce, options);
  if (failed(swept)) {
    DiagnosedDefiniteFailure failure = emitDefiniteFailure()
                                       << "failed to tile the sweep";
    failure.attachNote(loc) << "when applied to this op";
    return failure;
  }
  results.push_back(swept->parallel);
  results.push_back(swept->tiled);
  return DiagnosedSilenceableFailure::success();
}

//===----------------------------------------------------------------------===//
// select_schedule
//===----------------------------------------------------------------------===//

DiagnosedSilenceableFailure transform::SelectScheduleTransformOp::applyToOne(
    transform::TransformRewriter &rewriter, Operation *target,
    transform::ApplyToEachResultList &, transform::TransformState &) {
  if (!isa<ScalingBatchedOpInterface>(target))
    return refuse(*this, target, "expected an op on whole problems");
  rewriter.modifyOpInPlace(
      target, [&] { setScheduleOf(target, selectSchedule(target)); });
  return DiagnosedSilenceableFailure::success();
}

void transform::SelectScheduleTransformOp::getEffects(
    SmallVectorImpl<MemoryEffects::EffectInstance> &effects) {
  transform::onlyReadsHandle(getTargetMutable(), effects);
  transform::modifiesPayload(effects);
}

//===----------------------------------------------------------------------===//
// The extension
//===----------------------------------------------------------------------===//

namespace {
class ScalingTransformExtension
    : public transform::TransformDialectExtension<ScalingTransformExtension> {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ScalingTransformExtension)

  using Base::Base;

  void init() {
    declareGeneratedDialect<affine::AffineDialect>();
    declareGeneratedDialect<arith::ArithDialect>();
    declareGeneratedDialect<linalg::LinalgDialect>();
    declareGeneratedDialect<math::MathDialect>();
    declareGeneratedDialect<scf::SCFDialect>();
    declareGeneratedDialect<ScalingDialect>();
    declareGeneratedDialect<tensor::TensorDialect>();
    registerTransformOps<
#define GET_OP_LIST
#include "scaling/Dialect/Scaling/TransformOps/ScalingTransformOps.cpp.inc"
        >();
  }
};
} // namespace

void scaling::registerTransformDialectExtension(DialectRegistry &registry) {
  registry.addExtensions<ScalingTransformExtension>();
}
