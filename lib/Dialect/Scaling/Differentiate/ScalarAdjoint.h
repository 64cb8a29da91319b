//===- ScalarAdjoint.h - Derivatives of scalar code -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_DIFFERENTIATE_SCALARADJOINT_H
#define SCALING_LIB_DIFFERENTIATE_SCALARADJOINT_H

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"

namespace mlir::scaling {

/// Reverse-mode derivatives of straight-line scalar code. The adjoint of a
/// value is what a change of it changes the seeds' sum by; a null one is zero.
class ScalarAdjoint {
public:
  ScalarAdjoint(OpBuilder &builder, Location loc) : b(builder), loc(loc) {}

  /// Adds to the adjoint of a value.
  void add(Value value, Value adjoint);
  Value get(Value value) const { return adjoints.lookup(value); }

  /// Goes back over the ops, the last one first. Returns the op that has no
  /// derivative, or null.
  Operation *run(ArrayRef<Operation *> ops);

private:
  LogicalResult differentiate(Operation *op, Value adjoint);
  Value constant(Type type, double value);
  /// adjoint · derivative, where 0 times anything is 0: branches not taken
  /// may have infinite derivatives.
  Value times(Value adjoint, Value derivative);
  Value onlyIf(Value condition, Value adjoint);

  OpBuilder &b;
  Location loc;
  llvm::DenseMap<Value, Value> adjoints;
};

} // namespace mlir::scaling

#endif // SCALING_LIB_DIFFERENTIATE_SCALARADJOINT_H
