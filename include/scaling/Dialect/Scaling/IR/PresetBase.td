//===- PresetBase.td - What a preset record is ----------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_PRESET_BASE
#define SCALING_PRESET_BASE

/// A published convention: the six attributes as they are written in assembly.
/// An empty text leaves the attribute at its default.
class Preset<list<string> opMnemonics> {
  /// The named ops the preset may be written on.
  list<string> ops = opMnemonics;
  /// Whose convention it is, and where it is published.
  string whose = "";
  /// What it does, in formulas.
  string summary = "";
  string form = "";
  string rows = "";
  string cols = rows;
  string order = "rows_first";
  string stop = "";
  string numerics = "";
}

#endif // SCALING_PRESET_BASE
