//===- Machine.cpp - Threads that run, wait and meet ----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Machine.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <cassert>
#include <map>

using namespace scaling::simt;
using llvm::StringRef;
using llvm::Twine;

/// As many threads as run at the same time when the caller does not say.
static constexpr uint32_t kMaxResidentThreads = 1u << 16;
/// Resumptions of a live thread without anything happening that mean that
/// nothing will.
static constexpr uint64_t kIdlePerThread = 64;
static constexpr size_t kMaxLines = 24;

static Machine *currentMachine = nullptr;

Machine *Machine::current() { return currentMachine; }

static uint32_t product(const Dim3 &dims) {
  return dims[0] * dims[1] * dims[2];
}

static Dim3 delinearize(uint32_t index, const Dim3 &dims) {
  return {index % dims[0], index / dims[0] % dims[1],
          index / dims[0] / dims[1]};
}

Machine::Machine(const Launch &launch, std::vector<Site> sites,
                 uint64_t staticShared, size_t stackSize)
    : launch(launch), sites(std::move(sites)), times(this->sites.size()),
      bytesShared(llvm::alignTo(staticShared + *launch.dynamicShared, 16)),
      numThreads(product(launch.block)), numCtas(product(launch.grid)),
      stacks(stackSize), random(launch.seed) {
  numResident = launch.resident
                    ? launch.resident
                    : std::max(1u, kMaxResidentThreads / numThreads);
  numResident = std::min(numResident, numCtas);
  uint32_t numLoops = 0;
  for (const Site &site : this->sites)
    numLoops = std::max(numLoops, site.loop);
  loopTraffic.resize(numLoops + 1);
}

Machine::~Machine() {
  if (currentMachine == this)
    currentMachine = nullptr;
}

//===----------------------------------------------------------------------===//
// The grid
//===----------------------------------------------------------------------===//

/// Starts the next CTA; false when there is none.
bool Machine::admitCta() {
  if (nextCta == numCtas)
    return false;
  std::unique_ptr<Cta> cta;
  if (!unusedCtas.empty()) {
    cta = std::move(unusedCtas.back());
    unusedCtas.pop_back();
  } else {
    cta = std::make_unique<Cta>();
    char *base = arena.map(std::max<uint64_t>(bytesShared, 16), /*low=*/true);
    if (!base) {
      outOfMemory = true;
      return false;
    }
    cta->shared = std::make_unique<Region>("shared memory", base, bytesShared,
                                           /*initialized=*/false,
                                           /*shared=*/true);
    for (uint32_t i = 0; i < llvm::divideCeil(numThreads, kWarpSize); ++i)
      cta->warps.push_back(std::make_unique<Warp>());
  }
  cta->index = nextCta++;
  cta->id = delinearize(cta->index, launch.grid);
  cta->shared->reset();
  cta->barriers = std::array<Barrier, 16>();
  cta->alive = numThreads;
  for (auto [warpIndex, warp] : llvm::enumerate(cta->warps)) {
    warp->cta = cta.get();
    warp->requests.clear();
    warp->requests.resize(sites.size());
    warp->unfinished.clear();
    for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
      uint32_t index = warpIndex * kWarpSize + lane;
      Thread &thread = warp->threads[lane];
      thread = Thread();
      if (index >= numThreads)
        continue;
      thread.warp = warp.get();
      thread.lane = lane;
      thread.index = index;
      thread.id = cta->index << kThreadBits | index;
      thread.tid = delinearize(index, launch.block);
      warp->alive |= 1u << lane;
      makeRunnable(thread);
    }
  }
  ctas.push_back(std::move(cta));
  return true;
}

void Machine::threadMain() {
  Machine &machine = *currentMachine;
  machine.kernel(machine.kernelArguments);
  machine.exitThread();
}

void Machine::exitThread() {
  running->state = Thread::State::Exited;
  switchOut();
  llvm_unreachable("a thread that has exited runs");
}

void Machine::makeRunnable(Thread &thread) {
  assert(thread.state != Thread::State::Runnable);
  makeProgress();
  thread.state = Thread::State::Runnable;
  Warp &warp = *thread.warp;
  ++warp.numRunnable;
  if (!warp.isReady) {
    warp.isReady = true;
    ready.push_back(&warp);
  }
}

/// The running thread waits until somebody makes it runnable.
void Machine::block(Thread &thread) {
  makeProgress();
  thread.state = Thread::State::Blocked;
  switchOut();
}

void Machine::switchOut() { switchFiber(running->fiber, scheduler); }

void Machine::abandon() {
  abandoned = true;
  switchOut();
  llvm_unreachable("a thread of an abandoned launch runs");
}

void Machine::yieldThread(uint32_t site) {
  running->site = site;
  switchOut();
}

void Machine::resume(Thread &thread) {
  if (!thread.started) {
    char *stack = stacks.acquire();
    if (!stack) {
      outOfMemory = abandoned = true;
      return;
    }
    prepareFiber(thread.fiber, stack, stacks.stackSize(), threadMain);
    thread.started = true;
  }
  running = &thread;
  ++idle;
  switchFiber(scheduler, thread.fiber);
  running = nullptr;
  if (StackPool::overflowed(thread.fiber.stack)) {
    faults.push_back({"stack", "the local memory of " + describeThread(thread) +
                                   " does not fit its stack"});
    abandoned = true;
    return;
  }
  if (thread.state != Thread::State::Runnable)
    --thread.warp->numRunnable;
  if (thread.state == Thread::State::Exited)
    threadExited(thread);
}

void Machine::threadExited(Thread &thread) {
  makeProgress();
  stacks.release(thread.fiber.stack);
  Warp &warp = *thread.warp;
  Cta &cta = *warp.cta;
  warp.alive &= ~(1u << thread.lane);
  --cta.alive;
  if (warp.alive == 0)
    flushRequests(warp);
  for (Thread &other : warp.threads)
    if (other.request.pending)
      finishWarpOperation(other);
  finishOnExit(cta);
}

/// Gives every lane of the warp that can run a turn, from a random one on.
void Machine::runWarp(Warp &warp) {
  uint32_t first = random() % kWarpSize;
  for (uint32_t i = 0; i < kWarpSize && !abandoned; ++i) {
    Thread &thread = warp.threads[(first + i) % kWarpSize];
    if (thread.state == Thread::State::Runnable)
      resume(thread);
  }
}

llvm::Error Machine::run(void (*kernel)(void *), void *arguments) {
  this->kernel = kernel;
  kernelArguments = arguments;
  currentMachine = this;
  ++numLaunches;
  for (uint32_t i = 0; i < numResident; ++i)
    if (!admitCta())
      break;
  while (!ctas.empty() && !abandoned && !outOfMemory) {
    uint64_t alive = uint64_t(ctas.size()) * numThreads;
    if (ready.empty() || idle > 1000 + kIdlePerThread * alive) {
      reportDeadlock(/*spinning=*/!ready.empty());
      break;
    }
    size_t index = random() % ready.size();
    Warp &warp = *ready[index];
    runWarp(warp);
    if (warp.numRunnable == 0) {
      warp.isReady = false;
      ready[index] = ready.back();
      ready.pop_back();
    }
    if (warp.cta->alive != 0 || abandoned)
      continue;
    auto done = llvm::find_if(
        ctas, [&](const auto &cta) { return cta.get() == warp.cta; });
    flushRequests(**done);
    unusedCtas.push_back(std::move(*done));
    ctas.erase(done);
    admitCta();
  }
  for (auto &cta : ctas)
    flushRequests(*cta);
  currentMachine = nullptr;
  if (outOfMemory)
    return llvm::createStringError(
        "the machine has no memory left for the threads of the grid; fewer "
        "may run at the same time with --resident");
  return llvm::Error::success();
}

void Machine::prepareNext() {
  for (auto &region : regions)
    region->settle();
  published.clear();
  readSets.clear();
  unusedReadSets.clear();
  nextCta = 0;
}

void Machine::giveUp() {
  faults.push_back({"deadlock", "the kernel is not done after " +
                                    std::to_string(numLaunches) + " launches"});
}

//===----------------------------------------------------------------------===//
// Faults
//===----------------------------------------------------------------------===//

static std::string toString(const Dim3 &dims) {
  return ("(" + Twine(dims[0]) + "," + Twine(dims[1]) + "," + Twine(dims[2]) +
          ")")
      .str();
}

std::string Machine::describeSite(uint32_t site) const {
  return site < sites.size() ? sites[site].position : "the entry";
}

std::string Machine::describeThread(const Thread &thread) const {
  return "thread " + toString(thread.tid) + " of CTA " +
         toString(thread.warp->cta->id);
}

std::string Machine::describeId(ThreadId id) const {
  return "thread " +
         toString(delinearize(id & ((1u << kThreadBits) - 1), launch.block)) +
         " of CTA " + toString(delinearize(id >> kThreadBits, launch.grid));
}

void Machine::fault(StringRef kind, const Twine &message) {
  faults.push_back({kind.str(), message.str()});
  if (faults.size() < launch.maxFaults)
    return;
  // The scheduler may be at work for a thread that has just exited.
  if (running)
    abandon();
  abandoned = true;
}

void Machine::fatal(StringRef kind, const Twine &message) {
  faults.push_back({kind.str(), message.str()});
  abandon();
}

void Machine::trap(uint32_t site, StringRef why) {
  fatal("trap",
        describeThread(*running) + " " + why + " at " + describeSite(site));
}

void Machine::reportDeadlock(bool spinning) {
  // Threads that wait at the same place make one line.
  std::map<std::tuple<uint32_t, uint32_t, std::string>, std::vector<uint32_t>>
      groups;
  for (auto &cta : ctas)
    for (auto &warp : cta->warps)
      for (Thread &thread : warp->threads) {
        if (thread.state != Thread::State::Blocked &&
            thread.state != Thread::State::Runnable)
          continue;
        std::string what;
        if (thread.state == Thread::State::Runnable)
          what = "spin";
        else if (thread.request.pending)
          what = "wait for the lanes " +
                 llvm::utohexstr(thread.request.mask, /*LowerCase=*/true);
        else
          what = "wait at barrier " + std::to_string(thread.barrier);
        groups[{cta->index, thread.site, what}].push_back(thread.index);
      }
  std::string message;
  llvm::raw_string_ostream os(message);
  os << (spinning ? "threads wait for a value that nobody writes"
                  : "threads wait for each other");
  size_t lines = 0;
  for (auto &[where, threads] : groups) {
    auto &[cta, site, what] = where;
    if (++lines > kMaxLines) {
      os << "\n  and " << groups.size() - kMaxLines << " more places";
      break;
    }
    os << "\n  CTA " << toString(delinearize(cta, launch.grid)) << ": "
       << threads.size() << (threads.size() == 1 ? " thread, " : " threads, ");
    for (size_t i = 0, end; i < threads.size(); i = end) {
      for (end = i + 1;
           end < threads.size() && threads[end] == threads[end - 1] + 1; ++end)
        ;
      os << (i ? "," : "") << threads[i];
      if (end - i > 1)
        os << '-' << threads[end - 1];
    }
    os << ": " << what << " at " << describeSite(site);
  }
  if (ctas.size() + unusedCtas.size() < numCtas && nextCta < numCtas)
    os << "\n  " << numCtas - nextCta << " CTAs have not started: only "
       << numResident << " run at the same time";
  faults.push_back({"deadlock", message});
}

//===----------------------------------------------------------------------===//
// Barriers
//===----------------------------------------------------------------------===//

bool Machine::isComplete(const Cta &cta, const Barrier &barrier) const {
  if (barrier.arrived == 0)
    return false;
  // Threads that have exited are not waited for.
  return barrier.arrived >= (barrier.expected ? barrier.expected : cta.alive);
}

uint32_t Machine::barrier(BarrierOp op, uint32_t id, uint32_t count,
                          bool predicate, uint32_t site) {
  if (isOmitted(site))
    return 0;
  Thread &thread = *running;
  Warp &warp = *thread.warp;
  Cta &cta = *warp.cta;
  thread.site = site;
  if (id >= cta.barriers.size())
    fatal("barrier", describeThread(thread) + " names barrier " + Twine(id) +
                         "; there are 16: " + describeSite(site));
  if (count % kWarpSize != 0 || count > llvm::alignTo(numThreads, kWarpSize))
    fatal("barrier", describeThread(thread) + " gives barrier " + Twine(id) +
                         " the count " + Twine(count) +
                         ", which is no number of warps of the CTA: " +
                         describeSite(site));
  Barrier &barrier = cta.barriers[id];
  if (barrier.arrived != 0 && barrier.expected != count)
    fatal("barrier", describeThread(thread) + " gives barrier " + Twine(id) +
                         " the count " + Twine(count) + ", others " +
                         Twine(barrier.expected) + ": " + describeSite(site));
  // The lanes before this one were at the same place as each other.
  if (op == BarrierOp::SyncAligned)
    for (const Thread &other : warp.threads) {
      if (other.state != Thread::State::Blocked || other.request.pending ||
          other.barrier != id)
        continue;
      if (other.site != site)
        fatal("divergence", describeThread(thread) + " is at the barrier at " +
                                describeSite(site) + "\n  " +
                                describeThread(other) +
                                " of the same warp at another one: " +
                                describeSite(other.site));
      break;
    }
  barrier.expected = count;
  ++barrier.arrived;
  if (op == BarrierOp::Arrive) {
    barrier.clock = join(barrier.clock, thread.clock);
    barrier.epochs.emplace_back(thread.index, thread.epoch++);
    if (isComplete(cta, barrier))
      completeBarrier(cta, id);
    return 0;
  }
  thread.barrier = id;
  thread.barrierPredicate = predicate;
  barrier.waiting.push_back(&thread);
  if (isComplete(cta, barrier))
    completeBarrier(cta, id);
  else
    block(thread);
  switch (op) {
  case BarrierOp::And:
    return thread.barrierPredicate;
  case BarrierOp::Or:
    return thread.barrierResult != 0;
  default:
    return thread.barrierResult;
  }
}

void Machine::completeBarrier(Cta &cta, uint32_t id) {
  Barrier &barrier = cta.barriers[id];
  ++counters.barriers;
  ClockRef clock = barrier.clock;
  for (Thread *thread : barrier.waiting)
    clock = join(clock, thread->clock);
  const CtaEpochs *known = clock ? clock->find(cta.index) : nullptr;
  auto epochs = known ? llvm::makeIntrusiveRefCnt<CtaEpochs>(known->epochs)
                      : llvm::makeIntrusiveRefCnt<CtaEpochs>(numThreads);
  uint32_t numTrue = 0;
  for (auto [index, epoch] : barrier.epochs)
    epochs->epochs[index] = std::max(epochs->epochs[index], epoch);
  for (Thread *thread : barrier.waiting) {
    epochs->epochs[thread->index] = thread->epoch++;
    numTrue += thread->barrierPredicate;
  }
  clock = withPart(clock, cta.index, epochs);
  bool all = numTrue == barrier.waiting.size();
  std::vector<Thread *> waiting = std::move(barrier.waiting);
  uint32_t arrived = barrier.arrived;
  barrier = Barrier();
  for (Thread *thread : waiting) {
    setClock(*thread, clock);
    thread->barrierResult = numTrue;
    thread->barrierPredicate = all;
    if (thread->state == Thread::State::Blocked)
      makeRunnable(*thread);
  }
  if (arrived >= cta.alive)
    flushRequests(cta);
}

/// Threads that wait for one that has exited may go on.
void Machine::finishOnExit(Cta &cta) {
  for (uint32_t id = 0; id < cta.barriers.size(); ++id)
    if (isComplete(cta, cta.barriers[id]))
      completeBarrier(cta, id);
}

//===----------------------------------------------------------------------===//
// Operations of a warp
//===----------------------------------------------------------------------===//

void Machine::warpOperation(WarpOp op, uint32_t detail, uint32_t site,
                            const uint64_t *args, uint64_t *results) {
  Thread &thread = *running;
  Warp &warp = *thread.warp;
  thread.site = site;
  // Aligned operations are for the whole warp; others say for whom.
  bool isAligned = op >= WarpOp::LoadMatrix;
  uint32_t mask = isAligned ? ~0u : static_cast<uint32_t>(args[0]);
  if (isAligned && warp.alive != ~0u)
    fatal("mask", describeThread(thread) +
                      " needs all 32 lanes of its warp, some do not exist or "
                      "have exited: " +
                      describeSite(site));
  if (!(mask >> thread.lane & 1))
    fatal("mask", describeThread(thread) + " is not in its own mask " +
                      llvm::utohexstr(mask, true) + ": " + describeSite(site));
  thread.request = {true, op, detail, mask, args, results};
  if (!finishWarpOperation(thread))
    block(thread);
}

/// Executes the operation that the thread is at if all lanes of its mask have
/// come; those that have exited or never were are not waited for.
bool Machine::finishWarpOperation(Thread &thread) {
  Warp &warp = *thread.warp;
  WarpRequest request = thread.request;
  uint32_t mask = request.mask & warp.alive;
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if (!(mask >> lane & 1))
      continue;
    const WarpRequest &other = warp.threads[lane].request;
    if (!other.pending || other.op != request.op ||
        other.detail != request.detail || other.mask != request.mask)
      return false;
  }
  executeWarpOperation(*this, warp, mask, request.op, request.detail,
                       thread.site);
  if (mask == warp.alive)
    flushRequests(warp);
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if (!(mask >> lane & 1))
      continue;
    Thread &other = warp.threads[lane];
    other.request.pending = false;
    if (other.state == Thread::State::Blocked)
      makeRunnable(other);
  }
  return true;
}

uint32_t Machine::specialRegister(SpecialRegister reg) {
  const Thread &thread = *running;
  const Cta &cta = *thread.warp->cta;
  uint32_t lane = 1u << thread.lane;
  switch (reg) {
  case SpecialRegister::TidX:
  case SpecialRegister::TidY:
  case SpecialRegister::TidZ:
    return thread.tid[uint32_t(reg) - uint32_t(SpecialRegister::TidX)];
  case SpecialRegister::NtidX:
  case SpecialRegister::NtidY:
  case SpecialRegister::NtidZ:
    return launch.block[uint32_t(reg) - uint32_t(SpecialRegister::NtidX)];
  case SpecialRegister::CtaidX:
  case SpecialRegister::CtaidY:
  case SpecialRegister::CtaidZ:
    return cta.id[uint32_t(reg) - uint32_t(SpecialRegister::CtaidX)];
  case SpecialRegister::NctaidX:
  case SpecialRegister::NctaidY:
  case SpecialRegister::NctaidZ:
    return launch.grid[uint32_t(reg) - uint32_t(SpecialRegister::NctaidX)];
  case SpecialRegister::LaneId:
    return thread.lane;
  case SpecialRegister::WarpId:
    return thread.index / kWarpSize;
  case SpecialRegister::NumWarpId:
    return llvm::divideCeil(numThreads, kWarpSize);
  case SpecialRegister::WarpSize:
    return kWarpSize;
  case SpecialRegister::LaneMaskEq:
    return lane;
  case SpecialRegister::LaneMaskLt:
    return lane - 1;
  case SpecialRegister::LaneMaskLe:
    return lane | (lane - 1);
  case SpecialRegister::LaneMaskGt:
    return ~(lane | (lane - 1));
  case SpecialRegister::LaneMaskGe:
    return ~(lane - 1);
  case SpecialRegister::SmId:
    return cta.index % numResident;
  case SpecialRegister::NumSmId:
    return numResident;
  case SpecialRegister::DynamicShared:
    return *launch.dynamicShared;
  case SpecialRegister::TotalShared:
    return bytesShared;
  case SpecialRegister::GridId:
  case SpecialRegister::Zero:
    return 0;
  case SpecialRegister::One:
    return 1;
  }
  llvm_unreachable("unknown special register");
}
