//===- ParseEnum.h - Keywords of enumerations -------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_DIALECT_SCALING_IR_PARSEENUM_H
#define SCALING_LIB_DIALECT_SCALING_IR_PARSEENUM_H

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/IR/OpImplementation.h"

namespace mlir::scaling {

/// Parses one of an enumeration's keywords; the error names all of them.
template <typename Enum> ParseResult parseEnum(AsmParser &parser, Enum &value) {
  StringRef keyword;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&keyword))
    return failure();
  if (std::optional<Enum> parsed = symbolizeEnum<Enum>(keyword)) {
    value = *parsed;
    return success();
  }
  InFlightDiagnostic error = parser.emitError(loc, "unknown keyword '")
                             << keyword << "': there are ";
  // The values count from zero, and what is past the end has no name.
  for (uint32_t index = 0;; ++index) {
    StringRef known = stringifyEnum(static_cast<Enum>(index));
    if (known.empty())
      return error;
    error << (index ? ", '" : "'") << known << '\'';
  }
}

} // namespace mlir::scaling

#endif // SCALING_LIB_DIALECT_SCALING_IR_PARSEENUM_H
