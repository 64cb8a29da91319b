//===- EntryABI.h - What callers of compiled code see -----------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_ENTRYABI_ENTRYABI_H
#define SCALING_CONVERSION_ENTRYABI_ENTRYABI_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace mlir {
namespace scaling {

#define GEN_PASS_DECL_SCALINGENTRYABIPASS
#define GEN_PASS_DECL_SCALINGORDERRESULTSPASS
#include "scaling/Conversion/EntryABI/EntryABI.h.inc"

/// The function attribute of a result that says what it reports:
/// `half_steps`, `residual` or `status`. Where it is missing, a result that is
/// such a result of an op of the dialect has its role.
inline constexpr llvm::StringLiteral kResultRoleAttrName = "scaling.result";

/// The suffix of the companion that computes dynamic result dimensions.
inline constexpr llvm::StringLiteral kResultDimsSuffix = "_result_dims";

/// One argument of a public function, as its caller sees it.
struct EntryValue {
  /// The name from the source when it has one, else `argN` or `resultN`; a C
  /// identifier.
  std::string name;
  /// A ranked tensor, a ranked memref or a scalar.
  Type type;
  /// The argument may be overwritten (`bufferization.writable = true`).
  bool donated = false;
  /// `half_steps`, `residual`, `status`, or empty.
  std::string role;
};

/// What the ops of a function demand of its arguments' dynamic sizes: that of
/// one argument's dimension is another's, or a constant, plus a difference.
struct SizeRelation {
  unsigned argument;
  unsigned dim;
  /// Without another argument the size is `difference` itself.
  std::optional<unsigned> otherArgument;
  unsigned otherDim;
  int64_t difference;

  auto asTuple() const {
    return std::tuple(argument, dim, otherArgument, otherDim, difference);
  }
};

/// The relations of a function's arguments, as far as ops of the dialect use
/// them directly.
std::vector<SizeRelation> collectSizeRelations(func::FuncOp func);

/// A public function, as its caller sees it.
struct EntryPoint {
  std::string name;
  Location loc;
  SmallVector<EntryValue> inputs;
  SmallVector<EntryValue> results;
  std::vector<SizeRelation> relations;

  /// The number of dynamic dimensions of the results.
  int64_t numDynamicResultDims() const;
};

/// Makes the companion of a public function, named with the suffix, that tells
/// its callers a number: on the same arguments, and a `memref<1xi64>` that gets
/// what `makeNumber` makes, an index, from the companion's arguments. A name
/// that is taken is an error.
FailureOr<func::FuncOp>
createCompanion(func::FuncOp function, StringRef suffix,
                function_ref<Value(OpBuilder &, ValueRange)> makeNumber);

/// Describes the public functions with a body. To be called before the module
/// is lowered. An argument or result that is not a ranked tensor, a ranked
/// memref with the identity layout, an integer of 1, 8, 16, 32 or 64 bits, an
/// index or a float of 16, 32 or 64 bits is an error.
FailureOr<SmallVector<EntryPoint>> collectEntryPoints(ModuleOp module);

/// Moves what writes the results of a function to its end, the last result
/// first: until it is written, a result may be where an earlier one goes.
void orderResults(func::FuncOp func);

/// Applies the convention to all public functions with a body.
LogicalResult applyEntryABI(ModuleOp module);

#define GEN_PASS_REGISTRATION
#include "scaling/Conversion/EntryABI/EntryABI.h.inc"

} // namespace scaling
} // namespace mlir

#endif // SCALING_CONVERSION_ENTRYABI_ENTRYABI_H
