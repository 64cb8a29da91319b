//===- Fiber.cpp - Stacks that take turns ---------------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Fiber.h"

#include <cstdint>
#include <cstring>
#include <sys/mman.h>

using namespace scaling::simt;

static constexpr size_t kStacksPerSlab = 64;
static constexpr uint64_t kCanary = 0x5ca11465111757acULL;

#if defined(__x86_64__)
// Saves what a callee must preserve; the rest is dead across a call.
asm(R"(
  .text
  .p2align 4
  .type scaling_simt_switch, @function
scaling_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  retq
  .size scaling_simt_switch, .-scaling_simt_switch
)");
extern "C" void scaling_simt_switch(void **from, void *to);

void scaling::simt::prepareFiber(Fiber &fiber, char *stack, size_t size,
                                 void (*entry)()) {
  fiber.stack = stack;
  auto *top = reinterpret_cast<void **>(stack + size);
  // Where `entry` would return to, which keeps the stack aligned as at a call;
  // then its address; then six saved registers.
  *--top = nullptr;
  *--top = reinterpret_cast<void *>(entry);
  for (int i = 0; i < 6; ++i)
    *--top = nullptr;
  fiber.stackPointer = top;
}

void scaling::simt::switchFiber(Fiber &from, Fiber &to) {
  scaling_simt_switch(&from.stackPointer, to.stackPointer);
}
#else
void scaling::simt::prepareFiber(Fiber &fiber, char *stack, size_t size,
                                 void (*entry)()) {
  fiber.stack = stack;
  getcontext(&fiber.context);
  // The lowest bytes hold the canary.
  fiber.context.uc_stack.ss_sp = stack + 64;
  fiber.context.uc_stack.ss_size = size - 64;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, entry, 0);
}

void scaling::simt::switchFiber(Fiber &from, Fiber &to) {
  swapcontext(&from.context, &to.context);
}
#endif

StackPool::~StackPool() {
  for (char *slab : slabs)
    munmap(slab, size * kStacksPerSlab);
}

char *StackPool::acquire() {
  if (unused.empty()) {
    void *slab = mmap(nullptr, size * kStacksPerSlab, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slab == MAP_FAILED)
      return nullptr;
#ifdef MADV_NOHUGEPAGE
    // A huge page would make every untouched stack cost its whole size.
    madvise(slab, size * kStacksPerSlab, MADV_NOHUGEPAGE);
#endif
    slabs.push_back(static_cast<char *>(slab));
    for (size_t i = 0; i < kStacksPerSlab; ++i)
      unused.push_back(slabs.back() + i * size);
  }
  char *stack = unused.back();
  unused.pop_back();
  std::memcpy(stack, &kCanary, sizeof(kCanary));
  return stack;
}

bool StackPool::overflowed(const char *stack) {
  return std::memcmp(stack, &kCanary, sizeof(kCanary)) != 0;
}
