//===- Companion.cpp - Functions that tell callers a number ---------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Conversion/EntryABI/EntryABI.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

FailureOr<func::FuncOp> scaling::createCompanion(
    func::FuncOp function, StringRef suffix,
    function_ref<Value(OpBuilder &, ValueRange)> makeNumber) {
  SymbolTable symbols(function->getParentOfType<ModuleOp>());
  std::string name = (function.getSymName() + suffix).str();
  if (symbols.lookup(name))
    return function.emitError("the name '")
           << name << "' is needed for the companion of public function '"
           << function.getSymName() << "'";
  OpBuilder b(function);
  Location loc = function.getLoc();
  SmallVector<Type> inputs(function.getArgumentTypes());
  inputs.push_back(MemRefType::get({1}, b.getI64Type()));
  auto companion =
      func::FuncOp::create(loc, name, b.getFunctionType(inputs, TypeRange()));
  symbols.insert(companion, std::next(function->getIterator()));
  Block *body = companion.addEntryBlock();
  b.setInsertionPointToEnd(body);
  ValueRange arguments = body->getArguments();
  Value number = arith::IndexCastOp::create(
      b, loc, b.getI64Type(), makeNumber(b, arguments.drop_back()));
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  memref::StoreOp::create(b, loc, number, arguments.back(), zero);
  func::ReturnOp::create(b, loc);
  return companion;
}
