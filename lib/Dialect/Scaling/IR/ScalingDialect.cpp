//===- ScalingDialect.cpp - The scaling dialect -----------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/IR/Scaling.h"

#include "mlir/Bytecode/BytecodeImplementation.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::scaling;

#include "scaling/Dialect/Scaling/IR/ScalingDialect.cpp.inc"
#include "scaling/Dialect/Scaling/IR/ScalingEnums.cpp.inc"

#include "scaling/Dialect/Scaling/IR/ScalingAttrInterfaces.cpp.inc"
#include "scaling/Dialect/Scaling/IR/ScalingOpInterfaces.cpp.inc"

namespace {

/// The version of the textual and binary form written into bytecode. A reader
/// refuses what is newer than itself.
struct ScalingDialectVersion : public DialectVersion {
  ScalingDialectVersion(uint64_t major, uint64_t minor)
      : major(major), minor(minor) {}
  uint64_t major, minor;
};

constexpr uint64_t kMajorVersion = 1;
constexpr uint64_t kMinorVersion = 0;

struct ScalingBytecodeInterface : public BytecodeDialectInterface {
  ScalingBytecodeInterface(Dialect *dialect)
      : BytecodeDialectInterface(dialect) {}

  void writeVersion(DialectBytecodeWriter &writer) const override {
    writer.writeVarInt(kMajorVersion);
    writer.writeVarInt(kMinorVersion);
  }

  std::unique_ptr<DialectVersion>
  readVersion(DialectBytecodeReader &reader) const override {
    uint64_t major, minor;
    if (failed(reader.readVarInt(major)) || failed(reader.readVarInt(minor)))
      return nullptr;
    if (major != kMajorVersion) {
      reader.emitError() << "scaling dialect version " << major << '.' << minor
                         << " cannot be read: this is version " << kMajorVersion
                         << '.' << kMinorVersion;
      return nullptr;
    }
    return std::make_unique<ScalingDialectVersion>(major, minor);
  }
};

} // namespace

void ScalingDialect::initialize() {
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "scaling/Dialect/Scaling/IR/ScalingOps.cpp.inc"
      >();
  addInterfaces<ScalingBytecodeInterface>();
}
