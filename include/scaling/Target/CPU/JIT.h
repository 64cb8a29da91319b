//===- JIT.h - Run compiled modules in this process -------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_TARGET_CPU_JIT_H
#define SCALING_TARGET_CPU_JIT_H

#include "scaling/Conversion/EntryABI/EntryABI.h"
#include "scaling/Target/CPU/CPUTarget.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <vector>

namespace llvm {
namespace orc {
class LLJIT;
} // namespace orc
} // namespace llvm

namespace mlir {
namespace scaling {

/// One argument of a call, in memory the caller owns.
struct Buffer {
  /// The elements in row-major order; a scalar is an array of rank 0.
  void *data = nullptr;
  SmallVector<int64_t> shape;
};

/// A module compiled into this process.
class CompiledModule {
public:
  /// Compiles a module in the LLVM dialect.
  static llvm::Expected<std::unique_ptr<CompiledModule>>
  create(ModuleOp module, const CPUTarget &target);
  /// Links an object that `emitCallableObject` made for this CPU.
  static llvm::Expected<std::unique_ptr<CompiledModule>>
  load(llvm::StringRef object, const CPUTarget &target);
  ~CompiledModule();

  /// A function that takes the addresses of its arguments: of a pointer to the
  /// descriptor for a memref, of the value for a scalar; inputs, then outputs.
  using PackedFunction = void (*)(void **);
  llvm::Expected<PackedFunction> lookup(llvm::StringRef name);

  /// A call that can be made again and again: what does not depend on the
  /// contents of the buffers is done once.
  class Call {
  public:
    void operator()() { function(arguments.data()); }

  private:
    friend class CompiledModule;
    PackedFunction function = nullptr;
    /// One descriptor per memref: two pointers, offset, sizes, strides.
    SmallVector<std::unique_ptr<int64_t[]>> descriptors;
    /// The addresses of the descriptors. A std::vector: `arguments` points into
    /// it, also after a move.
    std::vector<void *> pointers;
    std::vector<void *> arguments;
  };

  /// Prepares a call of an entry point. Shapes are the caller's duty.
  llvm::Expected<Call> prepare(const EntryPoint &entry,
                               llvm::ArrayRef<Buffer> inputs,
                               llvm::ArrayRef<Buffer> outputs);

  /// The dynamic dimensions of the results for these inputs.
  llvm::Expected<SmallVector<int64_t>>
  resultDims(const EntryPoint &entry, llvm::ArrayRef<Buffer> inputs);

private:
  explicit CompiledModule(std::unique_ptr<llvm::orc::LLJIT> jit);
  llvm::Expected<Call> prepare(llvm::StringRef name, const EntryPoint &entry,
                               llvm::ArrayRef<Buffer> inputs,
                               llvm::ArrayRef<Buffer> outputs);

  std::unique_ptr<llvm::orc::LLJIT> jit;
};

/// Compiles a module in the LLVM dialect to an object that
/// `CompiledModule::load` can call the functions of.
llvm::Error emitCallableObject(ModuleOp module, const CPUTarget &target,
                               llvm::SmallVectorImpl<char> &object);

} // namespace scaling
} // namespace mlir

#endif // SCALING_TARGET_CPU_JIT_H
