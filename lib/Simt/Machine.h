//===- Machine.h - Grids, CTAs, warps and threads ---------------*- C++ -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_LIB_SIMT_MACHINE_H
#define SCALING_LIB_SIMT_MACHINE_H

#include "Clock.h"
#include "Fiber.h"
#include "Memory.h"
#include "Operations.h"

#include "scaling/Simt/Simt.h"

#include "llvm/ADT/DenseMap.h"

#include <deque>
#include <random>

namespace scaling {
namespace simt {

class Machine;
struct Cta;
struct Warp;

/// A lane's part of an operation of its warp.
struct WarpRequest {
  bool pending = false;
  WarpOp op = WarpOp::Sync;
  uint32_t detail = 0;
  uint32_t mask = 0;
  const uint64_t *args = nullptr;
  uint64_t *results = nullptr;
};

/// Copies from global to shared memory that are under way.
struct AsyncCopy {
  char *to;
  const char *from;
  uint32_t size;
  uint32_t fromSize;
  uint32_t site;
};

/// What an atomic location or a fence has to give, by how far it reaches.
struct Published {
  ClockRef gpu;
  llvm::DenseMap<uint32_t, ClockRef> byCta;
};

struct Thread {
  enum class State : uint8_t { Absent, Runnable, Blocked, Exited };

  Fiber fiber;
  Warp *warp = nullptr;
  State state = State::Absent;
  uint8_t lane = 0;
  bool started = false;
  /// Its place in the CTA.
  uint32_t index = 0;
  ThreadId id = 0;
  Dim3 tid;
  /// The operation it is in or waits at.
  uint32_t site = 0;
  /// The named barrier it waits at.
  uint32_t barrier = 0;
  uint32_t barrierResult = 0;
  bool barrierPredicate = false;
  WarpRequest request;

  // What it knows of others, and since when others may know of it.
  uint32_t epoch = 1;
  ClockRef clock;
  const CtaEpochs *own = nullptr;
  // What its last release fences gave, by their scope.
  ClockRef releasedGpu, releasedCta;
  // What its relaxed atomic reads saw: an acquire fence turns it into
  // knowledge.
  ClockRef seenGpu, seenCta;

  std::vector<AsyncCopy> copies;
  /// For each committed group, how many copies are older than its end.
  std::vector<size_t> groups;

  // The last atomic read: a thread that reads the same again makes no progress.
  const char *polledAddress = nullptr;
  uint64_t polledValue = 0;
  // The last plain read, and how often in a row.
  const char *readAddress = nullptr;
  uint32_t readTimes = 0;
};

/// One instruction of a warp whose lanes may come one after the other.
struct PendingRequest {
  uint32_t lanes = 0;
  Region *region = nullptr;
  std::array<uint64_t, kWarpSize> addresses;
};

/// The requests of one instruction: lanes that execute it for the same time
/// are one request.
struct SiteRequests {
  std::array<uint32_t, kWarpSize> count = {};
  uint32_t firstPending = 0;
  std::deque<PendingRequest> pending;
};

struct Warp {
  Cta *cta = nullptr;
  std::array<Thread, kWarpSize> threads;
  uint32_t alive = 0;
  uint32_t numRunnable = 0;
  bool isReady = false;
  std::vector<std::unique_ptr<SiteRequests>> requests;
  /// Sites that have requests pending.
  std::vector<uint32_t> unfinished;
};

/// One of the sixteen barriers of a CTA.
struct Barrier {
  uint32_t arrived = 0;
  /// Threads to wait for; 0 means all.
  uint32_t expected = 0;
  std::vector<Thread *> waiting;
  ClockRef clock;
  /// Arrivals that do not wait: what they knew is in `clock`, who they are
  /// here.
  std::vector<std::pair<uint32_t, uint32_t>> epochs;
};

struct Cta {
  uint32_t index = 0;
  Dim3 id;
  std::vector<std::unique_ptr<Warp>> warps;
  std::unique_ptr<Region> shared;
  std::array<Barrier, 16> barriers;
  uint32_t alive = 0;
};

/// Runs one launch.
class Machine {
public:
  Machine(const Launch &launch, std::vector<Site> sites, uint64_t staticShared,
          size_t stackSize);
  ~Machine();

  /// The one whose kernel is running.
  static Machine *current();

  /// Makes the bytes a buffer of the global memory; null when there is no
  /// memory.
  Region *addBuffer(std::string name, uint64_t size, bool initialized);
  /// Memory that the kernel's module brings.
  void addRegion(std::string name, char *base, uint64_t size);
  llvm::Error run(void (*kernel)(void *), void *arguments);
  /// Makes ready for another launch, after what the last one has done.
  void prepareNext();
  /// Without anybody to wait for: the launches come to no end.
  void giveUp();

  const Launch &getLaunch() const { return launch; }
  llvm::ArrayRef<std::unique_ptr<Region>> getRegions() const { return regions; }
  const Traffic &getSharedReads() const { return sharedReads; }
  const Traffic &getSharedWrites() const { return sharedWrites; }
  llvm::ArrayRef<LoopTraffic> getLoopTraffic() const { return loopTraffic; }
  const Site &getSite(uint32_t index) const { return sites[index]; }
  std::vector<Fault> &getFaults() { return faults; }
  uint32_t getResident() const { return numResident; }
  uint64_t getNumLaunches() const { return numLaunches; }
  /// How often threads came to a barrier or a fence.
  uint64_t getTimes(uint32_t site) const { return times[site]; }
  /// Threads do not stop at that barrier, or nothing comes of that fence.
  void omit(uint32_t site) { omitted = site; }

  // What kernels call, through Runtime.cpp.
  uint32_t specialRegister(SpecialRegister reg);
  uint64_t clockCounter() { return ++ticks; }
  char *sharedBase() { return running->warp->cta->shared->base; }
  uint64_t sharedSize() const { return bytesShared; }
  void access(char *address, uint32_t site);
  void beginAtomic(char *address, uint32_t site);
  void endAtomic(char *address, uint32_t site, uint64_t value);
  void fence(uint32_t order, uint32_t scope, uint32_t site);
  void accessRange(char *address, uint64_t size, bool isWrite, uint32_t site);
  uint32_t barrier(BarrierOp op, uint32_t id, uint32_t count, bool predicate,
                   uint32_t site);
  void warpOperation(WarpOp op, uint32_t detail, uint32_t site,
                     const uint64_t *args, uint64_t *results);
  void asyncCopy(char *to, const char *from, uint32_t size, uint32_t fromSize,
                 uint32_t site);
  void commitCopies();
  void waitForCopies(uint32_t numPending);
  void yieldThread(uint32_t site);
  [[noreturn]] void trap(uint32_t site, llvm::StringRef why);
  [[noreturn]] void exitThread();

  // What operations of a warp need.
  Thread &getRunning() { return *running; }
  /// Records the fault; after too many, or when nothing sensible can follow,
  /// the launch is abandoned.
  void fault(llvm::StringRef kind, const llvm::Twine &message);
  [[noreturn]] void fatal(llvm::StringRef kind, const llvm::Twine &message);
  std::string describeSite(uint32_t site) const;
  std::string describeThread(const Thread &thread) const;
  void checkedAccess(Thread &thread, char *address, uint32_t size, bool isRead,
                     bool isWrite, Scope scope, uint32_t site);
  void joinWarp(Warp &warp, uint32_t mask);
  /// A request to shared memory: the addresses of what the banks serve at a
  /// time, of `width` bytes each.
  void countSharedRequest(
      llvm::ArrayRef<llvm::SmallVector<uint64_t, kWarpSize>> phases,
      unsigned width, const Site &site);

  // Counted by their operations.
  struct Counters {
    uint64_t barriers = 0, warpSyncs = 0, shuffles = 0, votes = 0;
    uint64_t reductions = 0, matrixLoads = 0, matrixMultiplies = 0;
    uint64_t matrixFlops = 0, fences = 0, atomics = 0, asyncCopies = 0;
    uint64_t localBytes = 0;
  } counters;

private:
  static void threadMain();
  bool admitCta();
  void runWarp(Warp &warp);
  void resume(Thread &thread);
  void block(Thread &thread);
  void makeRunnable(Thread &thread);
  void threadExited(Thread &thread);
  void switchOut();
  [[noreturn]] void abandon();
  void reportDeadlock(bool spinning);
  void makeProgress() { idle = 0; }

  bool finishWarpOperation(Thread &thread);

  // Barriers.
  bool isOmitted(uint32_t site) {
    ++times[site];
    return site == omitted;
  }
  bool isComplete(const Cta &cta, const Barrier &barrier) const;
  void completeBarrier(Cta &cta, uint32_t id);
  void finishOnExit(Cta &cta);

  // Memory.
  Region *findRegion(const char *address);
  std::string describeAddress(const char *address);
  void checkCells(Thread &thread, Region &region, uint64_t offset,
                  uint64_t size, bool isRead, bool isWrite, Scope scope,
                  uint32_t site, bool isAsync);
  void checkRead(Thread &thread, Region &region, Cell &cell, Scope scope,
                 uint32_t site, uint64_t offset);
  void checkWrite(Thread &thread, Region &region, Cell &cell, Scope scope,
                  uint32_t site, uint64_t offset);
  bool isOrdered(const Thread &thread, ThreadId other, uint32_t epoch) const;
  void reportRace(Thread &thread, Region &region, uint64_t offset, bool isWrite,
                  uint32_t site, bool otherWrites, ThreadId other,
                  uint32_t otherSite, bool otherIsAsync);
  std::string describeId(ThreadId id) const;

  // Clocks.
  void setClock(Thread &thread, ClockRef clock);
  ClockRef release(Thread &thread);

  // Requests.
  void countRequest(Thread &thread, Region &region, uint64_t address,
                    const Site &site, uint32_t siteIndex);
  void finishRequest(const PendingRequest &request, const Site &site);
  void flushRequests(Warp &warp);
  void flushRequests(Cta &cta);

  Launch launch;
  std::vector<Site> sites;
  std::vector<uint64_t> times;
  std::optional<uint32_t> omitted;
  uint64_t bytesShared;
  uint32_t numThreads;
  uint32_t numCtas;
  uint32_t numResident = 0;
  uint32_t nextCta = 0;
  uint64_t numLaunches = 0;
  StackPool stacks;
  Arena arena;
  std::vector<std::unique_ptr<Region>> regions;
  Region *lastRegion = nullptr;
  std::vector<std::unique_ptr<Cta>> ctas;
  std::vector<std::unique_ptr<Cta>> unusedCtas;
  std::vector<Warp *> ready;
  std::mt19937_64 random;
  Fiber scheduler;
  Thread *running = nullptr;
  void (*kernel)(void *) = nullptr;
  void *kernelArguments = nullptr;
  bool abandoned = false;
  bool outOfMemory = false;
  /// Resumptions since anything happened.
  uint64_t idle = 0;
  uint64_t ticks = 0;
  std::vector<Fault> faults;
  /// Pairs of places with a fault: each is reported once.
  llvm::DenseMap<std::pair<uint64_t, uint32_t>, uint64_t> reported;
  std::vector<ReadSet> readSets;
  std::vector<uint32_t> unusedReadSets;
  llvm::DenseMap<const char *, Published> published;
  Traffic sharedReads, sharedWrites;
  std::vector<LoopTraffic> loopTraffic;
};

/// Executes an operation for the lanes in `mask`, all of which wait for it.
void executeWarpOperation(Machine &machine, Warp &warp, uint32_t mask,
                          WarpOp op, uint32_t detail, uint32_t site);

} // namespace simt
} // namespace scaling

#endif // SCALING_LIB_SIMT_MACHINE_H
