//===- Memory.h - Memory that knows who touched it --------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_SIMT_MEMORY_H
#define SCALING_LIB_SIMT_MEMORY_H

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/bit.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace scaling {
namespace simt {

/// How far an atomic access or a fence reaches; a plain access reaches nobody.
enum class Scope : uint8_t { None, Cta, Gpu, Sys };

/// The number of a thread in the grid: its CTA and its place in the CTA.
using ThreadId = uint32_t;
static constexpr unsigned kThreadBits = 10;
static constexpr unsigned kWarpSize = 32;

/// When and by whom something was done; epoch 0 is "never".
struct Stamp {
  ThreadId thread = 0;
  uint32_t epoch : 29;
  /// What an earlier launch did, every thread knows.
  static constexpr uint32_t kEarlier = (1u << 29) - 1;
  /// The scope of an atomic access.
  uint32_t scope : 2;
  /// Writes: an asynchronous copy that nobody waited for. Reads: `thread` is
  /// the number of a set of reads.
  uint32_t special : 1;
  uint32_t site = 0;

  Stamp() : epoch(0), scope(0), special(0) {}
};

/// What is known of some bytes. All zero: as the launch found them.
struct Cell {
  Stamp write;
  Stamp read;
};

/// Reads of one cell that are not ordered with each other, by warp: a hash
/// table with linear probing.
class ReadSet {
public:
  struct Entry {
    uint32_t warp = 0;
    uint32_t epoch = 0;
    uint32_t lanes = 0;
    uint32_t site : 30;
    uint32_t scope : 2;
    Entry() : site(0), scope(0) {}
  };
  /// Adds a read. `isKnown(thread, epoch)` says whether the reader comes after
  /// that epoch of another thread: such a read of the same warp is replaced.
  template <typename IsKnown> void add(Stamp read, IsKnown isKnown);
  std::vector<Entry> entries;
  uint32_t count = 0;

private:
  void grow();
};

/// What was counted on the way to one kind of memory.
struct Traffic {
  uint64_t bytes = 0;
  /// Instructions of a warp.
  uint64_t requests = 0;
  /// Global memory: 32-byte sectors touched by the requests, and how few would
  /// hold the bytes. Shared memory: rounds that the banks need, and how few
  /// would do without conflicts.
  uint64_t units = 0;
  uint64_t idealUnits = 0;

  Traffic &operator+=(const Traffic &other) {
    bytes += other.bytes;
    requests += other.requests;
    units += other.units;
    idealUnits += other.idealUnits;
    return *this;
  }
};

/// What the accesses of one loop moved.
struct LoopTraffic {
  Traffic global, shared;
};

/// A piece of memory with bounds.
class Region {
public:
  Region(std::string name, char *base, uint64_t size, bool initialized,
         bool shared)
      : name(std::move(name)), base(base), size(size), shared(shared),
        initialized(initialized) {}
  ~Region();
  Region(const Region &) = delete;
  Region &operator=(const Region &) = delete;

  bool contains(const char *address) const {
    return address >= base && address < base + size;
  }
  /// The cells of the bytes; cells of fewer bytes are made when an access is
  /// smaller than they are.
  Cell *cells(uint64_t offset, uint64_t bytes, unsigned &count);
  /// Bytes per cell, in powers of two.
  unsigned granule() const { return granuleLog2; }
  bool isInitialized() const { return initialized; }
  /// The launch has ended: what was written comes before all of the next one.
  void settle();
  /// Forgets all accesses and makes the contents undefined.
  void reset();
  void setName(std::string newName) { name = std::move(newName); }

  std::string name;
  char *base;
  uint64_t size;
  bool shared;
  Traffic reads, writes;

private:
  void refine(unsigned log2);
  uint64_t numCells() const {
    return (size + (uint64_t(1) << granuleLog2) - 1) >> granuleLog2;
  }

  bool initialized;
  unsigned granuleLog2 = 2;
  Cell *shadow = nullptr;
};

template <typename IsKnown> void ReadSet::add(Stamp read, IsKnown isKnown) {
  uint32_t warp = read.thread / kWarpSize;
  uint32_t lane = 1u << (read.thread % kWarpSize);
  if ((count + 1) * 4 > entries.size() * 3)
    grow();
  size_t mask = entries.size() - 1;
  for (size_t i = (warp * 0x9e3779b1u) & mask;; i = (i + 1) & mask) {
    Entry &entry = entries[i];
    if (entry.lanes != 0 && entry.warp != warp)
      continue;
    bool isFree = entry.lanes == 0;
    if (!isFree && entry.epoch == read.epoch && entry.scope == read.scope) {
      entry.lanes |= lane;
      return;
    }
    bool replace = !isFree;
    for (uint32_t rest = entry.lanes; replace && rest; rest &= rest - 1)
      replace =
          isKnown(warp * kWarpSize + llvm::countr_zero(rest), entry.epoch);
    if (!isFree && !replace)
      continue;
    count += isFree;
    entry.warp = warp;
    entry.epoch = read.epoch;
    entry.lanes = lane;
    entry.site = read.site;
    entry.scope = read.scope;
    return;
  }
}

/// Address ranges of the host that pose as the GPU's memory.
class Arena {
public:
  ~Arena();
  /// Zeroed memory; in the low 2 GiB when asked, so that a shared address fits
  /// 32 bits. Null when there is none.
  char *map(uint64_t size, bool low);

private:
  std::vector<std::pair<char *, uint64_t>> maps;
};

} // namespace simt
} // namespace scaling

#endif // SCALING_LIB_SIMT_MEMORY_H
