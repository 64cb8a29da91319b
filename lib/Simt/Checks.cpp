//===- Checks.cpp - Judging and counting accesses to memory ---------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Races are found by happens-before: two accesses to a cell, one of them a
// write, must be ordered by barriers, or by fences and atomics whose scopes
// reach each other. What the interleaving was does not matter.
//
//===----------------------------------------------------------------------===//

#include "Machine.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/MathExtras.h"

#include <cstring>

using namespace scaling::simt;
using llvm::StringRef;
using llvm::Twine;

static constexpr unsigned kSector = 32;
static constexpr unsigned kBanks = 32;
static constexpr unsigned kBankBytes = 4;
/// As much lies between two buffers, so that what runs over the end of one is
/// not inside the next.
static constexpr uint64_t kRedZone = 4096;
/// As cudaMalloc aligns.
static constexpr uint64_t kBufferAlign = 256;

//===----------------------------------------------------------------------===//
// Regions
//===----------------------------------------------------------------------===//

Region *Machine::addBuffer(std::string name, uint64_t size, bool initialized) {
  char *base = arena.map(kRedZone + size + kRedZone, /*low=*/false);
  if (!base)
    return nullptr;
  regions.push_back(std::make_unique<Region>(
      std::move(name), base + llvm::alignTo(kRedZone, kBufferAlign), size,
      initialized, /*shared=*/false));
  if (!initialized)
    regions.back()->reset();
  return regions.back().get();
}

void Machine::addRegion(std::string name, char *base, uint64_t size) {
  regions.push_back(std::make_unique<Region>(std::move(name), base, size,
                                             /*initialized=*/true,
                                             /*shared=*/false));
}

Region *Machine::findRegion(const char *address) {
  if (lastRegion && lastRegion->contains(address))
    return lastRegion;
  for (auto &region : regions)
    if (region->contains(address))
      return lastRegion = region.get();
  return nullptr;
}

/// Where an address that is in no region is.
std::string Machine::describeAddress(const char *address) {
  if (!address)
    return "through a null pointer";
  for (auto &cta : ctas)
    if (cta->shared->contains(address))
      return ("in the shared memory of another CTA");
  std::string best;
  uint64_t distance = UINT64_MAX;
  auto consider = [&](const Region &region, StringRef name) {
    uint64_t before = region.base - address;
    uint64_t after = address - (region.base + region.size);
    if (address < region.base && before < distance) {
      distance = before;
      best = (Twine(before) + " bytes before " + name).str();
    } else if (address >= region.base + region.size && after < distance) {
      distance = after;
      best = (Twine(after) + " bytes past the end of " + name).str();
    } else {
      return;
    }
    best += (" of " + Twine(region.size) + " bytes").str();
  };
  for (auto &region : regions)
    consider(*region, region->name);
  consider(*running->warp->cta->shared, "shared memory");
  return best.empty() ? "at an address of nothing" : best;
}

//===----------------------------------------------------------------------===//
// Clocks
//===----------------------------------------------------------------------===//

void Machine::setClock(Thread &thread, ClockRef clock) {
  thread.clock = std::move(clock);
  thread.own =
      thread.clock ? thread.clock->find(thread.warp->cta->index) : nullptr;
}

/// Whether that epoch of another thread happened before what `thread` does now.
bool Machine::isOrdered(const Thread &thread, ThreadId other,
                        uint32_t epoch) const {
  if (epoch == 0 || epoch == Stamp::kEarlier || other == thread.id)
    return true;
  uint32_t cta = other >> kThreadBits;
  const CtaEpochs *known = thread.own;
  if (cta != thread.warp->cta->index)
    known = thread.clock ? thread.clock->find(cta) : nullptr;
  return known && known->epochs[other & ((1u << kThreadBits) - 1)] >= epoch;
}

/// What another thread learns from this one here; what this one does later is
/// not in it.
ClockRef Machine::release(Thread &thread) {
  auto epochs = thread.own
                    ? llvm::makeIntrusiveRefCnt<CtaEpochs>(thread.own->epochs)
                    : llvm::makeIntrusiveRefCnt<CtaEpochs>(numThreads);
  epochs->epochs[thread.index] = thread.epoch++;
  return withPart(thread.clock, thread.warp->cta->index, epochs);
}

void Machine::joinWarp(Warp &warp, uint32_t mask) {
  ClockRef clock;
  for (Thread &thread : warp.threads)
    if (mask >> thread.lane & 1 && thread.warp)
      clock = join(clock, thread.clock);
  uint32_t cta = warp.cta->index;
  const CtaEpochs *known = clock ? clock->find(cta) : nullptr;
  auto epochs = known ? llvm::makeIntrusiveRefCnt<CtaEpochs>(known->epochs)
                      : llvm::makeIntrusiveRefCnt<CtaEpochs>(numThreads);
  for (Thread &thread : warp.threads)
    if (mask >> thread.lane & 1 && thread.warp)
      epochs->epochs[thread.index] = thread.epoch++;
  clock = withPart(clock, cta, epochs);
  for (Thread &thread : warp.threads)
    if (mask >> thread.lane & 1 && thread.warp)
      setClock(thread, clock);
}

void Machine::fence(uint32_t order, uint32_t scope, uint32_t site) {
  if (isOmitted(site))
    return;
  Thread &thread = *running;
  ++counters.fences;
  bool wide = Scope(scope) >= Scope::Gpu;
  if (order & 1) {
    ClockRef clock = join(thread.clock, thread.seenCta);
    setClock(thread, wide ? join(clock, thread.seenGpu) : clock);
  }
  if (order & 2) {
    thread.releasedCta = release(thread);
    if (wide)
      thread.releasedGpu = thread.releasedCta;
  }
}

//===----------------------------------------------------------------------===//
// Races
//===----------------------------------------------------------------------===//

void Machine::reportRace(Thread &thread, Region &region, uint64_t offset,
                         bool isWrite, uint32_t site, bool otherWrites,
                         ThreadId other, uint32_t otherSite,
                         bool otherIsAsync) {
  if (!launch.checkRaces)
    return;
  uint64_t &times = reported[{uint64_t(site) << 32 | otherSite, 0}];
  if (times++ != 0)
    return;
  std::string where = region.name + " at byte " + std::to_string(offset);
  std::string what = otherIsAsync  ? "copied asynchronously, not waited for"
                     : otherWrites ? "written"
                                   : "read";
  fault("race", where + ": " + (isWrite ? "written" : "read") + " by " +
                    describeThread(thread) + " at " + describeSite(site) +
                    "\n  " + what + " by " + describeId(other) + " at " +
                    describeSite(otherSite) + "\n  and nothing orders the two");
}

/// Whether two atomic accesses see each other.
static bool reachEachOther(Scope a, ThreadId threadA, Scope b,
                           ThreadId threadB) {
  if (a == Scope::None || b == Scope::None)
    return false;
  return std::min(a, b) >= Scope::Gpu ||
         threadA >> kThreadBits == threadB >> kThreadBits;
}

void Machine::checkRead(Thread &thread, Region &region, Cell &cell, Scope scope,
                        uint32_t site, uint64_t offset) {
  const Stamp &write = cell.write;
  if (write.epoch == 0 && !region.isInitialized()) {
    if (reported[{site, 1}]++ == 0)
      fault("uninitialised", region.name + " at byte " + Twine(offset) +
                                 ": read by " + describeThread(thread) +
                                 " at " + describeSite(site) +
                                 "\n  before anything was written there");
  } else if (write.special ||
             (!isOrdered(thread, write.thread, write.epoch) &&
              !reachEachOther(scope, thread.id, Scope(write.scope),
                              write.thread))) {
    reportRace(thread, region, offset, /*isWrite=*/false, site,
               /*otherWrites=*/true, write.thread, write.site, write.special);
  }

  if (sites[site].isInvariant && write.epoch != 0 &&
      write.epoch != Stamp::kEarlier && reported[{site, 2}]++ == 0)
    fault("stale", region.name + " at byte " + Twine(offset) +
                       ": read as memory that never changes by " +
                       describeThread(thread) + " at " + describeSite(site) +
                       "\n  written by " + describeId(write.thread) + " at " +
                       describeSite(write.site));

  Stamp &read = cell.read;
  Stamp now;
  now.thread = thread.id;
  now.epoch = thread.epoch;
  now.scope = uint32_t(scope);
  now.site = site;
  auto isKnown = [&](ThreadId other, uint32_t epoch) {
    return isOrdered(thread, other, epoch);
  };
  if (!read.special) {
    if (isKnown(read.thread, read.epoch)) {
      read = now;
      return;
    }
    uint32_t index;
    if (unusedReadSets.empty()) {
      index = readSets.size();
      readSets.emplace_back();
    } else {
      index = unusedReadSets.back();
      unusedReadSets.pop_back();
    }
    readSets[index].add(read, isKnown);
    read = Stamp();
    read.special = 1;
    read.thread = index;
  }
  readSets[read.thread].add(now, isKnown);
}

void Machine::checkWrite(Thread &thread, Region &region, Cell &cell,
                         Scope scope, uint32_t site, uint64_t offset) {
  auto isFine = [&](ThreadId other, uint32_t epoch, uint32_t otherScope) {
    return isOrdered(thread, other, epoch) ||
           reachEachOther(scope, thread.id, Scope(otherScope), other);
  };
  const Stamp &write = cell.write;
  if (write.special || !isFine(write.thread, write.epoch, write.scope))
    reportRace(thread, region, offset, /*isWrite=*/true, site,
               /*otherWrites=*/true, write.thread, write.site, write.special);
  Stamp &read = cell.read;
  if (read.special) {
    ReadSet &set = readSets[read.thread];
    for (const ReadSet::Entry &entry : set.entries)
      for (uint32_t rest = entry.lanes; rest; rest &= rest - 1) {
        ThreadId other = entry.warp * kWarpSize + llvm::countr_zero(rest);
        if (isFine(other, entry.epoch, entry.scope))
          continue;
        reportRace(thread, region, offset, /*isWrite=*/true, site,
                   /*otherWrites=*/false, other, entry.site, false);
        break;
      }
    set = ReadSet();
    unusedReadSets.push_back(read.thread);
  } else if (!isFine(read.thread, read.epoch, read.scope)) {
    reportRace(thread, region, offset, /*isWrite=*/true, site,
               /*otherWrites=*/false, read.thread, read.site, false);
  }
  read = Stamp();
  cell.write.thread = thread.id;
  cell.write.epoch = thread.epoch;
  cell.write.scope = uint32_t(scope);
  cell.write.special = 0;
  cell.write.site = site;
}

void Machine::checkCells(Thread &thread, Region &region, uint64_t offset,
                         uint64_t size, bool isRead, bool isWrite, Scope scope,
                         uint32_t site, bool isAsync) {
  unsigned count;
  Cell *cells = region.cells(offset, size, count);
  unsigned granule = region.granule();
  for (unsigned i = 0; i < count; ++i) {
    uint64_t at = offset + (uint64_t(i) << granule);
    Cell &cell = cells[i];
    if (isRead) {
      bool isAgain = cell.read.thread == thread.id && !cell.read.special &&
                     cell.read.epoch == thread.epoch &&
                     cell.read.scope == uint32_t(scope);
      if (!isAgain)
        checkRead(thread, region, cell, scope, site, at);
    }
    if (isWrite) {
      checkWrite(thread, region, cell, scope, site, at);
      cell.write.special = isAsync;
    }
  }
}

//===----------------------------------------------------------------------===//
// Accesses
//===----------------------------------------------------------------------===//

void Machine::checkedAccess(Thread &thread, char *address, uint32_t size,
                            bool isRead, bool isWrite, Scope scope,
                            uint32_t siteIndex) {
  const Site &site = sites[siteIndex];
  const char *verb = isWrite ? "writes " : "reads ";
  if (reinterpret_cast<uintptr_t>(address) % site.align != 0)
    fatal("misaligned", describeThread(thread) + " " + verb + Twine(size) +
                            " bytes at an address that is no multiple of " +
                            Twine(site.align) + ": " + describeSite(siteIndex));
  Region *region = thread.warp->cta->shared.get();
  if (!region->contains(address))
    region = findRegion(address);
  if (!region) {
    const char *stack = thread.fiber.stack;
    if (address >= stack && address < stack + stacks.stackSize()) {
      counters.localBytes += size;
      return;
    }
    fatal("out-of-bounds", describeThread(thread) + " " + verb + Twine(size) +
                               " bytes " + describeAddress(address) + ": " +
                               describeSite(siteIndex));
  }
  uint64_t offset = address - region->base;
  if (size > region->size - offset)
    fatal("out-of-bounds", describeThread(thread) + " " + verb + Twine(size) +
                               " bytes at byte " + Twine(offset) + " of " +
                               region->name + " of " + Twine(region->size) +
                               " bytes: " + describeSite(siteIndex));
  if (isWrite)
    makeProgress();
  checkCells(thread, *region, offset, size, isRead, isWrite, scope, siteIndex,
             /*isAsync=*/false);
  if (site.width == 0)
    return;
  for (uint32_t part = 0; part < size; part += site.width)
    countRequest(thread, *region, reinterpret_cast<uintptr_t>(address) + part,
                 site, siteIndex);
}

void Machine::access(char *address, uint32_t siteIndex) {
  const Site &site = sites[siteIndex];
  Thread &thread = *running;
  // A thread that waits for a plain value must let others write it.
  if (site.isRead && thread.site == siteIndex &&
      thread.readAddress == address) {
    if (++thread.readTimes % 65536 == 0)
      switchOut();
  } else {
    thread.readAddress = address;
    thread.readTimes = 0;
  }
  thread.site = siteIndex;
  checkedAccess(thread, address, site.size, site.isRead, site.isWrite,
                Scope::None, siteIndex);
}

void Machine::beginAtomic(char *address, uint32_t siteIndex) {
  const Site &site = sites[siteIndex];
  Thread &thread = *running;
  thread.site = siteIndex;
  // Others may come first: this is where the order of atomics is decided.
  if (site.isRead)
    switchOut();
  ++counters.atomics;
  uint64_t before = idle;
  checkedAccess(thread, address, site.size, site.isRead, site.isWrite,
                Scope(site.scope), siteIndex);
  // Whether something happened is known when the value is.
  idle = before;
  if (!site.isWrite)
    return;
  if (!site.isRead) {
    published.erase(address);
    makeProgress();
  }
  bool wide = Scope(site.scope) >= Scope::Gpu;
  ClockRef released =
      site.releases ? release(thread) : ClockRef(thread.releasedCta);
  ClockRef releasedWide = site.releases ? released : thread.releasedGpu;
  if (!released)
    return;
  Published &location = published[address];
  ClockRef &own = location.byCta[thread.warp->cta->index];
  own = join(own, released);
  if (wide)
    location.gpu = join(location.gpu, releasedWide);
}

void Machine::endAtomic(char *address, uint32_t siteIndex, uint64_t value) {
  const Site &site = sites[siteIndex];
  Thread &thread = *running;
  if (thread.polledAddress != address || thread.polledValue != value)
    makeProgress();
  thread.polledAddress = address;
  thread.polledValue = value;
  auto it = published.find(address);
  if (it == published.end())
    return;
  ClockRef fromCta = it->second.byCta.lookup(thread.warp->cta->index);
  ClockRef fromGpu =
      Scope(site.scope) >= Scope::Gpu ? it->second.gpu : ClockRef();
  if (site.acquires) {
    setClock(thread, join(join(thread.clock, fromCta), fromGpu));
    return;
  }
  thread.seenCta = join(thread.seenCta, fromCta);
  thread.seenGpu = join(thread.seenGpu, fromGpu);
}

void Machine::accessRange(char *address, uint64_t size, bool isWrite,
                          uint32_t siteIndex) {
  const Site &site = sites[siteIndex];
  running->site = siteIndex;
  uint32_t step = std::max<uint32_t>(site.width, 1);
  for (uint64_t done = 0; done < size; done += step)
    checkedAccess(*running, address + done,
                  std::min<uint64_t>(step, size - done), !isWrite, isWrite,
                  Scope::None, siteIndex);
}

//===----------------------------------------------------------------------===//
// Asynchronous copies
//===----------------------------------------------------------------------===//

void Machine::asyncCopy(char *to, const char *from, uint32_t size,
                        uint32_t fromSize, uint32_t siteIndex) {
  Thread &thread = *running;
  thread.site = siteIndex;
  ++counters.asyncCopies;
  Region *shared = thread.warp->cta->shared.get();
  auto misaligned = [&](const char *address) {
    return reinterpret_cast<uintptr_t>(address) % size != 0;
  };
  if (misaligned(to) || misaligned(from))
    fatal("misaligned", describeThread(thread) + " copies " + Twine(size) +
                            " bytes between addresses that are no multiples "
                            "of as many: " +
                            describeSite(siteIndex));
  uint64_t offset = to - shared->base;
  if (!shared->contains(to) || size > shared->size - offset)
    fatal("out-of-bounds", describeThread(thread) + " copies " + Twine(size) +
                               " bytes to " + describeAddress(to) + ": " +
                               describeSite(siteIndex));
  fromSize = std::min(fromSize, size);
  Region *source = fromSize ? findRegion(from) : nullptr;
  if (fromSize && (!source || fromSize > source->size - (from - source->base)))
    fatal("out-of-bounds", describeThread(thread) + " copies " +
                               Twine(fromSize) + " bytes from " +
                               describeAddress(from) + ": " +
                               describeSite(siteIndex));
  makeProgress();
  if (source) {
    checkCells(thread, *source, from - source->base, fromSize,
               /*isRead=*/true, /*isWrite=*/false, Scope::None, siteIndex,
               /*isAsync=*/false);
    countRequest(thread, *source, reinterpret_cast<uintptr_t>(from),
                 sites[siteIndex], siteIndex);
  }
  checkCells(thread, *shared, offset, size, /*isRead=*/false, /*isWrite=*/true,
             Scope::None, siteIndex, /*isAsync=*/true);
  thread.copies.push_back({to, from, size, fromSize, siteIndex});
}

void Machine::commitCopies() {
  running->groups.push_back(running->copies.size());
}

void Machine::waitForCopies(uint32_t numPending) {
  Thread &thread = *running;
  size_t done;
  if (numPending == UINT32_MAX)
    done = thread.copies.size();
  else if (thread.groups.size() <= numPending)
    return;
  else
    done = thread.groups[thread.groups.size() - numPending - 1];
  Region &shared = *thread.warp->cta->shared;
  for (const AsyncCopy &copy : llvm::ArrayRef(thread.copies).take_front(done)) {
    std::memset(copy.to, 0, copy.size);
    std::memcpy(copy.to, copy.from, copy.fromSize);
    unsigned count;
    Cell *cells = shared.cells(copy.to - shared.base, copy.size, count);
    for (Cell &cell : llvm::MutableArrayRef(cells, count))
      if (cell.write.thread == thread.id && cell.write.special) {
        // Done now, as far as others are concerned.
        cell.write.epoch = thread.epoch;
        cell.write.special = 0;
      }
  }
  thread.copies.erase(thread.copies.begin(), thread.copies.begin() + done);
  size_t numGroups = numPending == UINT32_MAX
                         ? thread.groups.size()
                         : thread.groups.size() - numPending;
  thread.groups.erase(thread.groups.begin(), thread.groups.begin() + numGroups);
  for (size_t &end : thread.groups)
    end -= done;
}

//===----------------------------------------------------------------------===//
// Requests
//===----------------------------------------------------------------------===//

/// The lane's next execution of an instruction belongs to the same request as
/// that of the other lanes with the same number.
void Machine::countRequest(Thread &thread, Region &region, uint64_t address,
                           const Site &site, uint32_t siteIndex) {
  Warp &warp = *thread.warp;
  std::unique_ptr<SiteRequests> &requests = warp.requests[siteIndex];
  if (!requests)
    requests = std::make_unique<SiteRequests>();
  uint32_t number = requests->count[thread.lane]++;
  auto &pending = requests->pending;
  if (pending.empty())
    warp.unfinished.push_back(siteIndex);
  while (number >= requests->firstPending + pending.size())
    pending.emplace_back();
  PendingRequest &request = pending[number - requests->firstPending];
  request.region = &region;
  request.lanes |= 1u << thread.lane;
  request.addresses[thread.lane] = address;
  while (!pending.empty() && (warp.alive & ~pending.front().lanes) == 0) {
    finishRequest(pending.front(), site);
    pending.pop_front();
    ++requests->firstPending;
  }
  if (pending.empty())
    llvm::erase(warp.unfinished, siteIndex);
}

void Machine::finishRequest(const PendingRequest &request, const Site &site) {
  if (request.lanes == 0)
    return;
  unsigned width = std::max<uint32_t>(site.width, 1);
  if (request.region->shared) {
    // The banks serve 128 bytes at a time.
    unsigned lanesPerPhase = width <= 4 ? 32 : width <= 8 ? 16 : 8;
    llvm::SmallVector<llvm::SmallVector<uint64_t, kWarpSize>, 4> phases(
        kWarpSize / lanesPerPhase);
    for (unsigned lane = 0; lane < kWarpSize; ++lane)
      if (request.lanes >> lane & 1)
        phases[lane / lanesPerPhase].push_back(request.addresses[lane]);
    countSharedRequest(phases, width, site);
    return;
  }
  llvm::SmallVector<uint64_t, kWarpSize> addresses;
  for (unsigned lane = 0; lane < kWarpSize; ++lane)
    if (request.lanes >> lane & 1)
      addresses.push_back(request.addresses[lane]);
  Traffic traffic;
  traffic.requests = 1;
  traffic.bytes = uint64_t(addresses.size()) * width;
  if (!llvm::is_sorted(addresses))
    llvm::sort(addresses);
  uint64_t last = UINT64_MAX, lastSector = UINT64_MAX, distinct = 0;
  for (uint64_t address : addresses) {
    distinct += address != last;
    last = address;
    for (uint64_t sector = address / kSector;
         sector <= (address + width - 1) / kSector; ++sector) {
      traffic.units += sector != lastSector;
      lastSector = sector;
    }
  }
  traffic.idealUnits = llvm::divideCeil(distinct * width, kSector);
  (site.isWrite ? request.region->writes : request.region->reads) += traffic;
  loopTraffic[site.loop].global += traffic;
}

void Machine::countSharedRequest(
    llvm::ArrayRef<llvm::SmallVector<uint64_t, kWarpSize>> phases,
    unsigned width, const Site &site) {
  Traffic traffic;
  traffic.requests = 1;
  for (llvm::ArrayRef<uint64_t> addresses : phases) {
    if (addresses.empty())
      continue;
    llvm::SmallVector<uint64_t, 64> words;
    for (uint64_t address : addresses)
      for (uint64_t word = address / kBankBytes;
           word <= (address + width - 1) / kBankBytes; ++word)
        words.push_back(word);
    llvm::sort(words);
    words.erase(llvm::unique(words), words.end());
    std::array<unsigned, kBanks> perBank = {};
    unsigned rounds = 0;
    for (uint64_t word : words)
      rounds = std::max(rounds, ++perBank[word % kBanks]);
    traffic.bytes += addresses.size() * width;
    traffic.units += rounds;
    traffic.idealUnits += 1;
  }
  (site.isWrite ? sharedWrites : sharedReads) += traffic;
  loopTraffic[site.loop].shared += traffic;
}

void Machine::flushRequests(Warp &warp) {
  for (uint32_t siteIndex : warp.unfinished) {
    SiteRequests &requests = *warp.requests[siteIndex];
    for (const PendingRequest &request : requests.pending)
      finishRequest(request, sites[siteIndex]);
    requests = SiteRequests();
  }
  warp.unfinished.clear();
}

void Machine::flushRequests(Cta &cta) {
  for (auto &warp : cta.warps)
    flushRequests(*warp);
}
