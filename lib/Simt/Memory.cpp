//===- Memory.cpp - Memory that knows who touched it ----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Memory.h"

#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/MathExtras.h"

#include <cstring>
#include <sys/mman.h>

using namespace scaling::simt;

static void *mapPages(uint64_t size, int flags) {
  void *pages =
      mmap(nullptr, size, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
  return pages == MAP_FAILED ? nullptr : pages;
}

//===----------------------------------------------------------------------===//
// ReadSet
//===----------------------------------------------------------------------===//

void ReadSet::grow() {
  std::vector<Entry> old = std::move(entries);
  entries.assign(std::max<size_t>(8, old.size() * 2), Entry());
  size_t mask = entries.size() - 1;
  for (const Entry &entry : old) {
    if (entry.lanes == 0)
      continue;
    size_t i = (entry.warp * 0x9e3779b1u) & mask;
    while (entries[i].lanes != 0)
      i = (i + 1) & mask;
    entries[i] = entry;
  }
}

//===----------------------------------------------------------------------===//
// Region
//===----------------------------------------------------------------------===//

Region::~Region() {
  if (shadow)
    munmap(shadow, numCells() * sizeof(Cell));
}

Cell *Region::cells(uint64_t offset, uint64_t bytes, unsigned &count) {
  unsigned log2 = granuleLog2;
  while (log2 > 0 && ((offset | bytes) & ((uint64_t(1) << log2) - 1)) != 0)
    --log2;
  if (log2 < granuleLog2)
    refine(log2);
  if (!shadow) {
    shadow = static_cast<Cell *>(mapPages(numCells() * sizeof(Cell), 0));
    if (!shadow)
      llvm::report_fatal_error("no memory left for the shadow of a buffer");
  }
  count = bytes >> granuleLog2;
  return shadow + (offset >> granuleLog2);
}

void Region::refine(unsigned log2) {
  Cell *coarse = shadow;
  uint64_t numCoarse = numCells();
  unsigned shift = granuleLog2 - log2;
  granuleLog2 = log2;
  if (!coarse)
    return;
  shadow = static_cast<Cell *>(mapPages(numCells() * sizeof(Cell), 0));
  if (!shadow)
    llvm::report_fatal_error("no memory left for the shadow of a buffer");
  for (uint64_t i = 0; i < numCells(); ++i) {
    shadow[i] = coarse[i >> shift];
    // Sets of reads have one owner; one of the reads stands for them.
    if (shadow[i].read.special && (i & ((1u << shift) - 1)) != 0)
      shadow[i].read = Stamp();
  }
  munmap(coarse, numCoarse * sizeof(Cell));
}

void Region::settle() {
  for (uint64_t i = 0; shadow && i < numCells(); ++i) {
    bool isWritten = shadow[i].write.epoch != 0;
    shadow[i] = Cell();
    if (isWritten)
      shadow[i].write.epoch = Stamp::kEarlier;
  }
}

void Region::reset() {
  // Signalling NaNs in every type.
  std::memset(base, 0xff, size);
  if (shadow)
    std::memset(static_cast<void *>(shadow), 0, numCells() * sizeof(Cell));
}

//===----------------------------------------------------------------------===//
// Arena
//===----------------------------------------------------------------------===//

Arena::~Arena() {
  for (auto [pages, size] : maps)
    munmap(pages, size);
}

char *Arena::map(uint64_t size, bool low) {
  size = llvm::alignTo(std::max<uint64_t>(size, 1), 4096);
  int flags = 0;
#ifdef MAP_32BIT
  if (low)
    flags = MAP_32BIT;
#endif
  void *pages = mapPages(size, flags);
  if (!pages && low)
    pages = mapPages(size, 0);
  if (!pages)
    return nullptr;
  maps.emplace_back(static_cast<char *>(pages), size);
  return static_cast<char *>(pages);
}
