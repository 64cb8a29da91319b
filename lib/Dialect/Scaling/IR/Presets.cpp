//===- Presets.cpp - Published conventions ----------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/IR/Presets.h"
#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace mlir::scaling;

namespace {
struct PresetRecord {
  StringRef name;
  SmallVector<StringRef, 2> ops;
  StringRef form, rows, cols, order, stop, numerics;
};
} // namespace

static ArrayRef<PresetRecord> getPresets() {
  static const PresetRecord presets[] = {
#include "scaling/Dialect/Scaling/IR/Presets.inc"
  };
  return presets;
}

static const PresetRecord *findPreset(StringRef name) {
  const auto *it = llvm::find_if(
      getPresets(), [&](const PresetRecord &p) { return p.name == name; });
  return it == getPresets().end() ? nullptr : it;
}

SmallVector<StringRef> scaling::getPresetNames() {
  return llvm::map_to_vector(getPresets(),
                             [](const PresetRecord &p) { return p.name; });
}

bool scaling::presetBelongsTo(StringRef preset, StringRef mnemonic) {
  const PresetRecord *record = findPreset(preset);
  return record && llvm::is_contained(record->ops, mnemonic);
}

std::optional<NamedAttrList>
scaling::getPresetAttributes(StringRef preset, MLIRContext *context) {
  const PresetRecord *record = findPreset(preset);
  if (!record)
    return std::nullopt;
  NamedAttrList attributes;
  auto add = [&](StringRef name, StringRef text) {
    if (!text.empty())
      attributes.append(name, parseAttribute(text, context));
  };
  add("form", record->form);
  add("rows", record->rows);
  add("cols", record->cols);
  add("stop", record->stop);
  add("numerics", record->numerics);
  if (std::optional<Order> order = symbolizeOrder(record->order))
    attributes.append(
        "order", Builder(context).getI32IntegerAttr(static_cast<int>(*order)));
  return attributes;
}

std::optional<StringRef> scaling::matchPreset(Operation *op) {
  StringRef mnemonic = op->getName().stripDialect();
  for (const PresetRecord &record : getPresets()) {
    if (!llvm::is_contained(record.ops, mnemonic))
      continue;
    NamedAttrList attributes =
        *getPresetAttributes(record.name, op->getContext());
    // A preset that says nothing of this op's attributes is not recognised.
    bool shares = false;
    if (llvm::all_of(attributes,
                     [&](NamedAttribute attribute) {
                       std::optional<Attribute> own =
                           op->getInherentAttr(attribute.getName());
                       shares |= own.has_value();
                       return !own || *own == attribute.getValue();
                     }) &&
        shares)
      return record.name;
  }
  return std::nullopt;
}
