//===- Runtime.cpp - Functions that instrumented kernels call -------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//===----------------------------------------------------------------------===//

#include "Runtime.h"

#include "Machine.h"

#include <cstring>

using namespace scaling::simt;

//===----------------------------------------------------------------------===//
// The machine
//===----------------------------------------------------------------------===//

static uint32_t specialRegister(uint32_t reg) {
  return Machine::current()->specialRegister(SpecialRegister(reg));
}
static uint64_t readClock() { return Machine::current()->clockCounter(); }
static char *sharedAddress(uint64_t offset) {
  return Machine::current()->sharedBase() + offset;
}
static void access(char *address, uint32_t site) {
  Machine::current()->access(address, site);
}
static void beginAtomic(char *address, uint32_t site) {
  Machine::current()->beginAtomic(address, site);
}
static void endAtomic(char *address, uint32_t site, uint64_t value) {
  Machine::current()->endAtomic(address, site, value);
}
static void fence(uint32_t order, uint32_t scope, uint32_t site) {
  Machine::current()->fence(order, scope, site);
}
static void copyMemory(char *to, char *from, uint64_t size, uint32_t readSite,
                       uint32_t writeSite) {
  Machine::current()->accessRange(from, size, /*isWrite=*/false, readSite);
  Machine::current()->accessRange(to, size, /*isWrite=*/true, writeSite);
  std::memmove(to, from, size);
}
static void setMemory(char *to, uint32_t value, uint64_t size, uint32_t site) {
  Machine::current()->accessRange(to, size, /*isWrite=*/true, site);
  std::memset(to, static_cast<int>(value & 0xff), size);
}
static uint32_t barrier(uint32_t op, uint32_t id, uint32_t count,
                        uint32_t predicate, uint32_t site) {
  return Machine::current()->barrier(BarrierOp(op), id, count, predicate & 1,
                                     site);
}
static void warpOperation(uint32_t op, uint32_t detail, uint32_t site,
                          const uint64_t *args, uint64_t *results) {
  Machine::current()->warpOperation(WarpOp(op), detail, site, args, results);
}
static void asyncCopy(char *to, const char *from, uint32_t size,
                      uint32_t fromSize, uint32_t site) {
  Machine::current()->asyncCopy(to, from, size, fromSize, site);
}
static void commitCopies() { Machine::current()->commitCopies(); }
static void waitForCopies(uint32_t numPending) {
  Machine::current()->waitForCopies(numPending);
}
static void yieldThread(uint32_t site) {
  Machine::current()->yieldThread(site);
}
static void trap(uint32_t site) {
  Machine::current()->trap(site, "is at a trap");
}
static void exitThread() { Machine::current()->exitThread(); }

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

template <typename F> static void *address(F *function) {
  return reinterpret_cast<void *>(function);
}

static llvm::StringMap<void *> makeTable() {
  llvm::StringMap<void *> table;
  table["simt.register"] = address(specialRegister);
  table["simt.clock"] = address(readClock);
  table["simt.shared"] = address(sharedAddress);
  table["simt.access"] = address(access);
  table["simt.begin_atomic"] = address(beginAtomic);
  table["simt.end_atomic"] = address(endAtomic);
  table["simt.fence"] = address(fence);
  table["simt.copy"] = address(copyMemory);
  table["simt.set"] = address(setMemory);
  table["simt.barrier"] = address(barrier);
  table["simt.warp"] = address(warpOperation);
  table["simt.async_copy"] = address(asyncCopy);
  table["simt.commit_copies"] = address(commitCopies);
  table["simt.wait_for_copies"] = address(waitForCopies);
  table["simt.yield"] = address(yieldThread);
  table["simt.trap"] = address(trap);
  table["simt.exit"] = address(exitThread);

  addArithmetic(table);
  return table;
}

const llvm::StringMap<void *> &scaling::simt::getRuntimeFunctions() {
  static const llvm::StringMap<void *> table = makeTable();
  return table;
}
