//===- BufferizableOpInterfaceImpl.cpp - Bufferization ----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Interfaces/BufferizableOpInterfaceImpl.h"

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace mlir::scaling;

namespace {
template <typename OpTy>
struct StructuredBufferization : public DstBufferizableOpInterfaceExternalModel<
                                     StructuredBufferization<OpTy>, OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    // Statistics and sums carry on from their inits; the other ops overwrite
    // them.
    return isa<ReduceOp, ApplyOp, MarginalsOp>(op) ||
           !cast<DestinationStyleOpInterface>(op).isDpsInit(&operand);
  }

  /// Whether an entry of the inits depends on no other entry of the operands:
  /// then an operand may share its buffer with an init.
  bool bufferizesToElementwiseAccess(Operation *op, const AnalysisState &,
                                     ArrayRef<OpOperand *> operands) const {
    auto structured = cast<ScalingStructuredOpInterface>(op);
    if (!llvm::all_of(structured.getStructuredIteratorTypes(), isParallel))
      return false;
    int64_t rank = structured.getStructuredIteratorTypes().size();
    SmallVector<SmallVector<int64_t>> dims = structured.getOperandDims();
    return llvm::all_of(operands, [&](OpOperand *operand) {
      return llvm::equal(dims[operand->getOperandNumber()], llvm::seq(rank));
    });
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto dps = cast<DestinationStyleOpInterface>(op);
    if (!dps.hasPureTensorSemantics())
      return success();
    SmallVector<Value> operands, inits;
    for (OpOperand &operand : op->getOpOperands()) {
      Value value = operand.get();
      if (isa<RankedTensorType>(value.getType())) {
        FailureOr<Value> buffer = getBuffer(rewriter, value, options, state);
        if (failed(buffer))
          return failure();
        value = *buffer;
      }
      operands.push_back(value);
      if (dps.isDpsInit(&operand))
        inits.push_back(value);
    }
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    mlir::clone(rewriter, op, /*newResultTypes=*/TypeRange(), operands);
    replaceOpWithBufferizedValues(rewriter, op, inits);
    return success();
  }

private:
  static bool isParallel(utils::IteratorType type) {
    return type == utils::IteratorType::parallel;
  }
};

/// Layout changes overwrite a tile, and a part of a batch.
template <typename OpTy>
struct LanesBufferization
    : public DstBufferizableOpInterfaceExternalModel<LanesBufferization<OpTy>,
                                                     OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand,
                              const AnalysisState &) const {
    return !isa<ToLanesOp>(op) ||
           !cast<DestinationStyleOpInterface>(op).isDpsInit(&operand);
  }

  LogicalResult bufferize(Operation *op, RewriterBase &rewriter,
                          const BufferizationOptions &options,
                          BufferizationState &state) const {
    auto lanes = cast<OpTy>(op);
    if (!isa<RankedTensorType>(lanes.getOuts().getType()))
      return success();
    FailureOr<Value> source =
        getBuffer(rewriter, lanes.getSource(), options, state);
    FailureOr<Value> outs =
        getBuffer(rewriter, lanes.getOuts(), options, state);
    if (failed(source) || failed(outs))
      return failure();
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    OpTy::create(rewriter, op->getLoc(), Type(), *source, lanes.getOffset(),
                 *outs);
    replaceOpWithBufferizedValues(rewriter, op, *outs);
    return success();
  }
};

/// Ops on whole problems have no destinations and no lowering on buffers: they
/// are expanded first.
template <typename OpTy>
struct BatchedBufferization
    : public BufferizableOpInterface::ExternalModel<BatchedBufferization<OpTy>,
                                                    OpTy> {
  bool bufferizesToMemoryRead(Operation *, OpOperand &,
                              const AnalysisState &) const {
    return true;
  }
  bool bufferizesToMemoryWrite(Operation *, OpOperand &,
                               const AnalysisState &) const {
    return false;
  }
  AliasingValueList getAliasingValues(Operation *, OpOperand &,
                                      const AnalysisState &) const {
    return {};
  }
  bool bufferizesToAllocation(Operation *, Value) const { return true; }

  LogicalResult verifyAnalysis(Operation *op, const AnalysisState &) const {
    return refuse(op);
  }
  LogicalResult bufferize(Operation *op, RewriterBase &,
                          const BufferizationOptions &,
                          BufferizationState &) const {
    return refuse(op);
  }

private:
  static LogicalResult refuse(Operation *op) {
    if (isa<IterateOp>(op))
      return op->emitOpError("must be decomposed before bufferization "
                             "(--scaling-decompose)");
    return op->emitOpError("must be generalized and decomposed before "
                           "bufferization (--scaling-generalize, "
                           "--scaling-decompose)");
  }
};
} // namespace

template <typename... OpTys>
static void attachStructured(MLIRContext *context) {
  (OpTys::template attachInterface<StructuredBufferization<OpTys>>(*context),
   ...);
}
template <typename... OpTys> static void attachLanes(MLIRContext *context) {
  (OpTys::template attachInterface<LanesBufferization<OpTys>>(*context), ...);
}
template <typename... OpTys> static void attachBatched(MLIRContext *context) {
  (OpTys::template attachInterface<BatchedBufferization<OpTys>>(*context), ...);
}

void scaling::registerBufferizableOpInterfaceExternalModels(
    DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, ScalingDialect *) {
    context->loadDialect<bufferization::BufferizationDialect>();
    attachStructured<ReduceOp, UpdateOp, PlanOp, ApplyOp, MarginalsOp,
                     PairwiseOp, ReducePointsOp, SumPointsOp, ArgMaxPointsOp,
                     ApplyPointsOp>(context);
    attachLanes<ToLanesOp, FromLanesOp>(context);
    attachBatched<IterateOp, SinkhornOp, ProjectOp, BalanceOp, NormalizeOp,
                  AttentionOp, SimilarityBalanceOp>(context);
  });
}
