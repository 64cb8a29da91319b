//===- Differentiate.cpp - Vector-Jacobian products -----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/Differentiate/Differentiate.h"

#include "MatrixSource.h"
#include "scaling/Dialect/Scaling/Differentiate/TensorAdjoint.h"
#include "scaling/Dialect/Scaling/Transforms/Transforms.h"

#include "mlir/IR/Iterators.h"

using namespace mlir;
using namespace mlir::scaling;

/// Costs between points are not there as a whole before the way back either.
static void doNotStoreCosts(func::FuncOp function) {
  function.walk([](Operation *op) {
    Value matrix;
    if (auto iterate = dyn_cast<IterateOp>(op))
      matrix = iterate.getMatrix();
    else if (auto sinkhorn = dyn_cast<SinkhornOp>(op))
      matrix = sinkhorn.getMatrix();
    if (matrix && findScaledPairwise(matrix))
      op->setDiscardableAttr(kNeverStoredAttrName,
                             UnitAttr::get(op->getContext()));
  });
}

FailureOr<func::FuncOp>
scaling::differentiate(func::FuncOp function, ArrayRef<int64_t> wrt,
                       const DifferentiateOptions &options) {
  if (!function.getBody().hasOneBlock())
    return function.emitError("'")
           << function.getName() << "' has control flow of its own: only "
           << "straight-line functions are differentiated";
  if (options.mode == GradientMode::envelope &&
      failed(verifyEnvelope(function)))
    return failure();
  OpBuilder builder(function);
  builder.setInsertionPointAfter(function);
  func::FuncOp vjp = function.clone();
  builder.insert(vjp);
  vjp.setName((function.getName() + "_vjp").str());
  vjp.removeResAttrsAttr();
  // Somebody asked for it, also where it is of a function that nobody calls.
  vjp.setPublic();

  Block &body = vjp.getBody().front();
  Operation *terminator = body.getTerminator();
  Location loc = vjp.getLoc();
  builder.setInsertionPoint(terminator);
  TensorAdjoint adjoint(builder, options);
  SmallVector<Value> wanted;
  for (int64_t position : wrt) {
    wanted.push_back(body.getArgument(position));
    adjoint.markActive(wanted.back());
  }
  SmallVector<Operation *> ops;
  for (Operation &op : body.without_terminator())
    ops.push_back(&op);
  adjoint.propagateActivity(ops);

  SmallVector<Value> returned(terminator->getOperands());
  for (Value value : returned) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type || !isa<FloatType>(type.getElementType()))
      continue;
    BlockArgument cotangent = body.addArgument(type, loc);
    adjoint.add(loc, value, cotangent);
  }
  // What is returned is not needed but for its adjoint.
  terminator->setOperands(ValueRange());
  if (failed(adjoint.run(ops))) {
    vjp.erase();
    return failure();
  }
  SmallVector<Value> gradients;
  for (Value value : wanted)
    gradients.push_back(adjoint.getOrZero(loc, value));
  llvm::append_range(gradients, adjoint.reports);
  terminator->setOperands(gradients);
  // The function's own results may not be needed for its gradients.
  vjp.walk<WalkOrder::PostOrder, ReverseIterator>([](Operation *op) {
    if (isOpTriviallyDead(op))
      op->erase();
  });
  doNotStoreCosts(vjp);
  vjp.setType(FunctionType::get(vjp.getContext(), body.getArgumentTypes(),
                                ValueRange(gradients).getTypes()));
  if (ArrayAttr attributes = vjp.getArgAttrsAttr()) {
    SmallVector<Attribute> all(attributes.getValue());
    all.resize(body.getNumArguments(), builder.getDictionaryAttr({}));
    vjp.setArgAttrsAttr(builder.getArrayAttr(all));
  }
  return vjp;
}
