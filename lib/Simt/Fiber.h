//===- Fiber.h - Stacks that take turns -------------------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_SIMT_FIBER_H
#define SCALING_LIB_SIMT_FIBER_H

#include "llvm/Support/Error.h"

#include <cstddef>
#include <vector>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace scaling {
namespace simt {

/// What is needed to continue a suspended stack.
struct Fiber {
#if defined(__x86_64__)
  void *stackPointer = nullptr;
#else
  ucontext_t context;
#endif
  char *stack = nullptr;
};

/// Makes `fiber` start with `entry`, which never returns, on `stack`.
void prepareFiber(Fiber &fiber, char *stack, size_t size, void (*entry)());

/// Continues `to`; returns when somebody continues `from`.
void switchFiber(Fiber &from, Fiber &to);

/// A pool of stacks of one size. Pages that are never touched cost nothing.
class StackPool {
public:
  explicit StackPool(size_t size) : size(size) {}
  ~StackPool();
  StackPool(const StackPool &) = delete;
  StackPool &operator=(const StackPool &) = delete;

  /// Null when the machine has no memory left.
  char *acquire();
  void release(char *stack) { unused.push_back(stack); }
  size_t stackSize() const { return size; }
  /// Whether something was written over the end of the stack.
  static bool overflowed(const char *stack);

private:
  size_t size;
  std::vector<char *> slabs;
  std::vector<char *> unused;
};

} // namespace simt
} // namespace scaling

#endif // SCALING_LIB_SIMT_FIBER_H
