//===- Scaling.h - The scaling dialect --------------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_IR_SCALING_H
#define SCALING_DIALECT_SCALING_IR_SCALING_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/Hashing.h"
#include "llvm/ADT/bit.h"

namespace mlir::scaling {

/// A double that can be hashed, by its bits: a number in an attribute.
struct Number {
  Number(double value) : value(value) {}
  operator double() const { return value; }
  friend llvm::hash_code hash_value(Number number) {
    return llvm::hash_value(llvm::bit_cast<uint64_t>(number.value));
  }
  /// A template, so that comparing with a double is the double's comparison.
  template <typename T, typename = std::enable_if_t<std::is_same_v<T, Number>>>
  friend bool operator==(const Number &lhs, const T &rhs) {
    return llvm::bit_cast<uint64_t>(lhs.value) ==
           llvm::bit_cast<uint64_t>(rhs.value);
  }

  double value;
};

} // namespace mlir::scaling

#include "scaling/Dialect/Scaling/IR/ScalingDialect.h.inc"
#include "scaling/Dialect/Scaling/IR/ScalingEnums.h.inc"

#include "scaling/Dialect/Scaling/IR/ScalingAttrInterfaces.h.inc"
#include "scaling/Dialect/Scaling/IR/ScalingOpInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "scaling/Dialect/Scaling/IR/ScalingAttrs.h.inc"

#define GET_OP_CLASSES
#include "scaling/Dialect/Scaling/IR/ScalingOps.h.inc"

#endif // SCALING_DIALECT_SCALING_IR_SCALING_H
