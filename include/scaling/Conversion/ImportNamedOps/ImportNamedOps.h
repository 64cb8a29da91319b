//===- ImportNamedOps.h - Named ops from other programs ---------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What importers share: other frameworks hand over the name of an op, tensors,
// and the op's attributes as text.
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_IMPORTNAMEDOPS_IMPORTNAMEDOPS_H
#define SCALING_CONVERSION_IMPORTNAMEDOPS_IMPORTNAMEDOPS_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

#include <string>

namespace mlir::scaling {

class NamedOpImport {
public:
  NamedOpImport(MLIRContext *context, StringRef name);

  /// Adds an operand by its name in the dialect (`matrix` for what is a cost,
  /// logits or a kernel). Operands come in the op's order.
  void addOperand(StringRef name, RankedTensorType type);

  /// Sets the attributes as the op's assembly has them behind its operands:
  /// `form(#scaling.form<logits>) stop(#scaling.stop<fixed 20>)`.
  void setAttributes(StringRef text);

  /// Whether there is such an op, whose first results are of these types;
  /// changes nothing but `message`, which says why there is none.
  LogicalResult check(ArrayRef<RankedTensorType> results, std::string &message);

  /// Builds the op that was checked on values of the types that were added,
  /// and returns those results in the types that were asked for. In front of the
  /// op, matrices are extended to their common element type, and operands
  /// whose batch has dimensions of size 1 get the batch of the others, as
  /// PyTorch and NumPy have it.
  SmallVector<Value> build(OpBuilder &builder, Location loc, ValueRange values);

private:
  struct Operand {
    std::string name;
    RankedTensorType type;
    int64_t tailRank;
    /// What the op gets.
    RankedTensorType planned;
    /// Leading batch dimensions of size 1 that are left out.
    int64_t numDropped = 0;
  };

  LogicalResult planTypes(std::string &message);
  std::string writeProgram(StringRef matrixKeyword) const;
  Value adapt(OpBuilder &builder, Location loc, ValueRange values,
              size_t index) const;

  MLIRContext *context;
  std::string name, attributes;
  SmallVector<Operand> operands;
  /// The batch that all operands together have.
  SmallVector<int64_t> batch;
  SmallVector<RankedTensorType> resultTypes;
  /// The program of one op that was parsed.
  std::string program;
};

} // namespace mlir::scaling

#endif // SCALING_CONVERSION_IMPORTNAMEDOPS_IMPORTNAMEDOPS_H
