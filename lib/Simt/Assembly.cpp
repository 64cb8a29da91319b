//===- Assembly.cpp - Inline assembly of a kernel -------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Assembly.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/InlineAsm.h"

using namespace llvm;
using namespace scaling::simt;

std::optional<Assembly> Assembly::parse(CallBase &call) {
  const auto *assembly = cast<InlineAsm>(call.getCalledOperand());
  StringRef text = StringRef(assembly->getAsmString()).trim();
  text.consume_back(";");
  if (text.contains(';'))
    return std::nullopt;

  // Results have the first numbers. One that is read too is an input of its
  // own, tied to it.
  InlineAsm::ConstraintInfoVector constraints = assembly->ParseConstraints();
  unsigned numOutputs = 0;
  for (const InlineAsm::ConstraintInfo &constraint : constraints) {
    if (constraint.isIndirect)
      return std::nullopt;
    numOutputs += constraint.Type == InlineAsm::isOutput;
  }
  auto input = [&](unsigned number) -> Value * {
    if (number >= constraints.size())
      return nullptr;
    int place = number < numOutputs ? constraints[number].MatchingInput
                                    : static_cast<int>(number);
    int argument = place - static_cast<int>(numOutputs);
    return argument >= 0 && argument < static_cast<int>(call.arg_size())
               ? call.getArgOperand(argument)
               : nullptr;
  };

  size_t end = text.find_first_of(" \t\n");
  Assembly result;
  result.op = text.take_front(end).str();
  SmallVector<StringRef> operands;
  SplitString(text.drop_front(result.op.size()), operands, " \t\n,{}[]");
  if (operands.size() < numOutputs)
    return std::nullopt;
  Type *wordType = Type::getInt32Ty(call.getContext());
  for (auto [index, operand] : llvm::enumerate(operands)) {
    uint32_t number;
    bool isLiteral = !operand.consume_front("$") || operand.consume_front("$");
    if (operand.getAsInteger(0, number))
      return std::nullopt;
    if (index < numOutputs) {
      if (isLiteral || number != index)
        return std::nullopt;
      continue;
    }
    Value *value =
        isLiteral ? ConstantInt::get(wordType, number) : input(number);
    if (!value)
      return std::nullopt;
    result.inputs.push_back(value);
  }
  return result;
}
