//===- ScalingInterfaces.td - Interfaces of the dialect -------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_INTERFACES
#define SCALING_INTERFACES

include "mlir/IR/OpBase.td"

def Scaling_StatisticAttrInterface : AttrInterface<"StatisticAttrInterface"> {
  let cppNamespace = "::mlir::scaling";
  let description = [{
    A statistic of the entries of one row or column, as a commutative monoid
    whose state is one number per *pass*. A pass is a plain reduction (`add` or
    `max`) of a function of the entry, which may look at the finished states of
    the passes before it: log-sum-exp is `max x`, then `add exp(x − max)`.
    `rebase` moves a state from old pivots to new ones, so that partial states
    merge and accumulators carry on. Both lowerings, tiling and merging are
    written against this interface; a new statistic is a new attribute.

    The builders work elementwise: on scalars as on vectors.
  }];
  let methods = [
    InterfaceMethod<"The name in assembly.",
      "::llvm::StringRef", "getStatisticName", (ins)>,
    InterfaceMethod<"How many passes, and so states, there are.",
      "unsigned", "getNumPasses", (ins)>,
    InterfaceMethod<"Whether a pass takes the maximum (else the sum).",
      "bool", "isMaxPass", (ins "unsigned":$pass)>,
    InterfaceMethod<"The neutral state: finite, exact.",
      "::llvm::APFloat", "getIdentity",
      (ins "unsigned":$pass, "const ::llvm::fltSemantics &":$semantics)>,
    InterfaceMethod<"What an entry contributes, given the finished states.",
      "::mlir::Value", "lift",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "unsigned":$pass, "::mlir::Value":$entry,
           "::mlir::ValueRange":$finished)>,
    InterfaceMethod<"A state moved from the old finished states to the new.",
      "::mlir::Value", "rebase",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "unsigned":$pass, "::mlir::Value":$state,
           "::mlir::ValueRange":$oldFinished,
           "::mlir::ValueRange":$newFinished)>,
    InterfaceMethod<"The statistic's value.",
      "::mlir::Value", "finalize",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::ValueRange":$states)>,
    InterfaceMethod<"The degree of homogeneity in the matrix.",
      "unsigned", "getDegree", (ins)>,
    InterfaceMethod<"Whether matrix and factors are logarithms.",
      "bool", "isLog", (ins)>,
  ];
}

def Scaling_StructuredOpInterface : OpInterface<"ScalingStructuredOpInterface"> {
  let cppNamespace = "::mlir::scaling";
  let description = [{
    The core ops on short vectors and matrices: an iteration domain and, for
    each operand, the dimensions of the domain it is indexed by (an operand
    with fewer batch dimensions leaves the leading ones out). Tiling, fusion
    and both lowerings read nothing else.
  }];
  let methods = [
    InterfaceMethod<"Iterator types of the domain.",
      "::llvm::SmallVector<::mlir::utils::IteratorType>",
      "getStructuredIteratorTypes", (ins)>,
    InterfaceMethod<[{
      The domain dimensions each operand's dimensions run along, one list per
      operand, inits included; −1 marks a dimension that is never tiled.}],
      "::llvm::SmallVector<::llvm::SmallVector<int64_t>>",
      "getOperandDims", (ins)>,
  ];
}

def Scaling_BatchedOpInterface : OpInterface<"ScalingBatchedOpInterface"> {
  let cppNamespace = "::mlir::scaling";
  let description = [{
    The ops on whole problems, named ops and `iterate`: every operand and
    result has batch dimensions in front and a few of its own behind. Tiling
    along the batch and shape reification read nothing else.
  }];
  let methods = [
    InterfaceMethod<"How many batch dimensions the results have.",
      "int64_t", "getBatchRank", (ins)>,
    InterfaceMethod<[{
      How many dimensions each operand has behind its batch dimensions, in the
      order of the operands.}],
      "::llvm::SmallVector<int64_t>", "getOperandTailRanks", (ins)>,
    InterfaceMethod<"The sizes of a result behind its batch dimensions.",
      "::llvm::SmallVector<::mlir::OpFoldResult>", "getResultTail",
      (ins "::mlir::OpBuilder &":$builder, "unsigned":$result)>,
  ];
}

#endif // SCALING_INTERFACES
