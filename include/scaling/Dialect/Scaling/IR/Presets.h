//===- Presets.h - Published conventions ------------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_DIALECT_SCALING_IR_PRESETS_H
#define SCALING_DIALECT_SCALING_IR_PRESETS_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Operation.h"

#include <optional>

namespace mlir::scaling {

/// All preset names, in the order of their file.
SmallVector<StringRef> getPresetNames();

/// Whether the preset may be written on the named op (`project`, …).
bool presetBelongsTo(StringRef preset, StringRef mnemonic);

/// The attributes the preset stands for, or nothing when there is no preset of
/// that name.
std::optional<NamedAttrList> getPresetAttributes(StringRef preset,
                                                 MLIRContext *context);

/// The preset whose attributes are those of the op, if there is one.
std::optional<StringRef> matchPreset(Operation *op);

} // namespace mlir::scaling

#endif // SCALING_DIALECT_SCALING_IR_PRESETS_H
