/*===- Team.c - Threads of generated CPU code ---------------------*- C -*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
|*===----------------------------------------------------------------------===*|
|*                                                                            *|
|* One caller at a time has the pool's helpers; others, and nested loops, run *|
|* alone, so that nobody waits for threads. The caller publishes a loop, all  *|
|* take items, and the caller waits for the items that others have begun: a   *|
|* gather and a release, one barrier, per loop, with the sequential code      *|
|* between two loops in its middle. It never waits for a helper that has not  *|
|* shown up: on a machine with other things to do a barrier of all threads    *|
|* costs a time slice, every time. Where it has to wait for long all the      *|
|* same, as a helper lost its CPU in the middle of an item, it goes on alone  *|
|* for a while.                                                               *|
|*                                                                            *|
|* A loop is taken in the opposite direction of the one before: often both go *|
|* over the same matrix, whose part that was read last is still in the cache. *|
|*                                                                            *|
|* Whoever waits spins for a moment and then sleeps: a thread that keeps      *|
|* spinning takes its CPU from the one it waits for and from other pools.     *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "scaling/Runtime/Runtime.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

enum {
  kMaxThreads = 1024,
  /* How often a member's part of a loop is cut. */
  kMaxChunks = 16,
  kSpinNanoseconds = 50 * 1000,
  /* Then this many times others may go first, before the thread sleeps. */
  kYields = 4,
  /* A caller that waits this much longer than it worked has lost a helper to
   * other programs, and goes on alone for some times what it has lost. */
  kPatienceNanoseconds = 100 * 1000,
  kAloneFactor = 8,
};

static scaling_parallel_for_fn hostParallelFor = NULL;
static int32_t requestedThreads = 0;
static int32_t environmentThreads = 0;
static int numCPUs = 1;
static int64_t numStarted = 0;

/*===----------------------------------------------------------------------===*\
|* Waiting
\*===----------------------------------------------------------------------===*/

/* A number that threads wait for. On a cache line of its own. */
typedef struct {
  _Alignas(64) atomic_uint value;
  atomic_uint sleepers;
} Gate;

static int64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

static void sleepWhile(Gate *gate, unsigned value) {
#ifdef __linux__
  syscall(SYS_futex, &gate->value, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
  struct timespec moment = {0, 50 * 1000};
  (void)value;
  (void)gate;
  nanosleep(&moment, NULL);
#endif
}

static unsigned readGate(Gate *gate) {
  return atomic_load_explicit(&gate->value, memory_order_acquire);
}

/* Returns when the gate no longer shows `value`. With more threads than CPUs
 * there is no point in spinning. */
static void waitWhile(Gate *gate, unsigned value, bool spin) {
  if (readGate(gate) != value)
    return;
  if (spin) {
    int64_t end = nanoseconds() + kSpinNanoseconds;
    do {
      for (int i = 0; i < 32; ++i) {
        relax();
        if (readGate(gate) != value)
          return;
      }
    } while (nanoseconds() < end);
  }
  for (int i = 0; i < kYields; ++i) {
    sched_yield();
    if (readGate(gate) != value)
      return;
  }
  /* The gate's new value and the sleepers are read and written in one order
   * that all threads agree on: either this thread sees the value, or the other
   * sees the sleeper. */
  atomic_fetch_add(&gate->sleepers, 1);
  while (atomic_load(&gate->value) == value)
    sleepWhile(gate, value);
  atomic_fetch_sub(&gate->sleepers, 1);
}

static void wakeSleepers(Gate *gate) {
#ifdef __linux__
  if (atomic_load(&gate->sleepers) != 0)
    syscall(SYS_futex, &gate->value, FUTEX_WAKE_PRIVATE, kMaxThreads, NULL,
            NULL, 0);
#else
  (void)gate;
#endif
}

static void openGate(Gate *gate, unsigned value) {
  atomic_store(&gate->value, value);
  wakeSleepers(gate);
}

/*===----------------------------------------------------------------------===*\
|* Loops
\*===----------------------------------------------------------------------===*/

/* The chunks of one member's part that nobody has taken yet, and in the upper
 * half the loop they belong to: a helper that comes late takes nothing. */
typedef struct {
  _Alignas(64) _Atomic(uint64_t) left;
} Part;

struct scaling_team {
  /* The number of loops so far. */
  Gate loop;
  /* What to do. A late helper may read them while they change, but then finds
   * nothing to take. */
  _Alignas(64) _Atomic(int64_t) size;
  _Atomic(int64_t) count;
  _Atomic(scaling_body_fn) body;
  _Atomic(void *) context;
  atomic_bool backwards;
  atomic_bool spin;
  /* The chunks that are not done. */
  Gate open;
  Part parts[kMaxThreads];
  /* Whether a caller has the helpers; only it changes their number. */
  _Alignas(64) atomic_bool taken;
  int64_t numHelpers;
  /* When the helpers are asked again, or 0. */
  int64_t aloneUntil;
};

static scaling_team pool;

/* The first item of part `index` of `parts`: the sizes differ by at most one,
 * and no product overflows. */
static int64_t partBegin(int64_t count, int64_t parts, int64_t index) {
  int64_t size = count / parts;
  int64_t larger = count % parts;
  return index * size + (index < larger ? index : larger);
}

static int64_t chunkSize(int64_t partSize) {
  return (partSize + kMaxChunks - 1) / kMaxChunks;
}

static int64_t numChunks(int64_t partSize) {
  int64_t size = chunkSize(partSize);
  return size == 0 ? 0 : (partSize + size - 1) / size;
}

/* Takes the first chunk of the part that is left: its distance from the part's
 * end in chunks, or 0. */
static int64_t takeChunk(Part *part, unsigned loop) {
  uint64_t left = atomic_load_explicit(&part->left, memory_order_relaxed);
  while (left >> 32 == loop && (uint32_t)left != 0)
    if (atomic_compare_exchange_weak(&part->left, &left, left - 1))
      return (int64_t)(uint32_t)left;
  return 0;
}

/* The caller's loop before this one went forwards. */
static _Thread_local bool nextIsBackwards;

/* Does a chunk of a part, whose first it is from either end. */
static void doChunk(int64_t first, int64_t last, int64_t chunk, bool backwards,
                    scaling_body_fn body, void *context) {
  int64_t step = chunkSize(last - first);
  if (backwards)
    chunk = numChunks(last - first) - 1 - chunk;
  int64_t begin = first + chunk * step;
  int64_t end = last - begin < step ? last : begin + step;
  body(begin, end, context);
}

/* What a caller does without helpers. */
static void doAlone(int64_t count, bool backwards, scaling_body_fn body,
                    void *context) {
  if (!backwards) {
    body(0, count, context);
    return;
  }
  int64_t chunks = numChunks(count);
  for (int64_t chunk = 0; chunk < chunks; ++chunk)
    doChunk(0, count, chunk, backwards, body, context);
}

/* What one member does of a loop. */
static void takePart(scaling_team *team, int64_t member, unsigned loop) {
  int64_t size = atomic_load_explicit(&team->size, memory_order_relaxed);
  int64_t count = atomic_load_explicit(&team->count, memory_order_relaxed);
  scaling_body_fn body =
      atomic_load_explicit(&team->body, memory_order_relaxed);
  void *context = atomic_load_explicit(&team->context, memory_order_relaxed);
  bool backwards = atomic_load_explicit(&team->backwards, memory_order_relaxed);
  if (member >= size)
    return;
  unsigned done = 0;
  for (int64_t i = 0; i < size; ++i) {
    int64_t index = member + i < size ? member + i : member + i - size;
    int64_t first = partBegin(count, size, index);
    int64_t last = partBegin(count, size, index + 1);
    int64_t chunks = numChunks(last - first);
    int64_t left;
    while ((left = takeChunk(&team->parts[index], loop)) != 0) {
      doChunk(first, last, chunks - left, backwards, body, context);
      ++done;
    }
  }
  if (done != 0 && atomic_fetch_sub(&team->open.value, done) == done &&
      member != 0)
    wakeSleepers(&team->open);
}

void scaling_team_for(scaling_team *team, int64_t count, scaling_body_fn body,
                      void *context) {
  if (count <= 0)
    return;
  if (count == 1) {
    body(0, 1, context);
    return;
  }
  if (hostParallelFor) {
    hostParallelFor(count, body, context);
    return;
  }
  bool backwards = nextIsBackwards;
  nextIsBackwards = !backwards;
  int64_t start = team ? nanoseconds() : 0;
  if (!team || start < team->aloneUntil) {
    doAlone(count, backwards, body, context);
    return;
  }
  int64_t size = team->numHelpers + 1;
  if (size > count)
    size = count;
  unsigned loop =
      atomic_load_explicit(&team->loop.value, memory_order_relaxed) + 1;
  atomic_store_explicit(&team->size, size, memory_order_relaxed);
  atomic_store_explicit(&team->count, count, memory_order_relaxed);
  atomic_store_explicit(&team->body, body, memory_order_relaxed);
  atomic_store_explicit(&team->context, context, memory_order_relaxed);
  atomic_store_explicit(&team->backwards, backwards, memory_order_relaxed);
  int64_t total = 0;
  for (int64_t i = 0; i < size; ++i)
    total +=
        numChunks(partBegin(count, size, i + 1) - partBegin(count, size, i));
  atomic_store_explicit(&team->open.value, (unsigned)total,
                        memory_order_relaxed);
  /* A late helper that sees the new loop's number here must see what to do. */
  for (int64_t i = 0; i < size; ++i) {
    int64_t chunks =
        numChunks(partBegin(count, size, i + 1) - partBegin(count, size, i));
    atomic_store_explicit(&team->parts[i].left,
                          (uint64_t)loop << 32 | (uint64_t)chunks,
                          memory_order_release);
  }
  openGate(&team->loop, loop);
  takePart(team, /*member=*/0, loop);
  if (readGate(&team->open) == 0)
    return;
  int64_t worked = nanoseconds();
  unsigned left;
  while ((left = readGate(&team->open)) != 0)
    waitWhile(&team->open, left, team->spin);
  int64_t end = nanoseconds();
  int64_t lost = (end - worked) - (worked - start);
  if (lost > kPatienceNanoseconds)
    team->aloneUntil = end + kAloneFactor * lost;
}

/*===----------------------------------------------------------------------===*\
|* The pool
\*===----------------------------------------------------------------------===*/

static void *help(void *argument) {
  int64_t member = (int64_t)(intptr_t)argument;
  for (unsigned loop = 0;;) {
    waitWhile(&pool.loop, loop, pool.spin);
    loop = readGate(&pool.loop);
    takePart(&pool, member, loop);
  }
  return NULL;
}

static bool startHelper(int64_t member) {
  /* Signals are the host's business. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  int failed =
      pthread_create(&thread, &attributes, help, (void *)(intptr_t)member);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return !failed;
}

scaling_team *scaling_team_begin(void) {
  int64_t threads = scaling_get_num_threads();
  if (threads <= 1 || hostParallelFor || atomic_exchange(&pool.taken, true))
    return NULL;
  while (numStarted < threads - 1 && startHelper(numStarted + 1))
    ++numStarted;
  pool.numHelpers = numStarted < threads - 1 ? numStarted : threads - 1;
  pool.spin = pool.numHelpers < numCPUs;
  return &pool;
}

void scaling_team_end(scaling_team *team) {
  if (team)
    atomic_store(&team->taken, false);
}

void scaling_parallel_for(int64_t count, scaling_body_fn body, void *context) {
  scaling_team *team = count > 1 ? scaling_team_begin() : NULL;
  scaling_team_for(team, count, body, context);
  scaling_team_end(team);
}

/* The threads of a process are not in its forks: these start over. */
static void startOverAfterFork(void) {
  numStarted = 0;
  pool.taken = false;
  pool.aloneUntil = 0;
  pool.loop.sleepers = 0;
}

/*===----------------------------------------------------------------------===*\
|* Settings
\*===----------------------------------------------------------------------===*/

static void countCPUs(void) {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    numCPUs = CPU_COUNT(&set);
    return;
  }
#endif
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  numCPUs = online > 0 ? (int)online : 1;
}

static void readEnvironment(void) {
  const char *names[] = {"SCALING_NUM_THREADS", "OMP_NUM_THREADS"};
  for (int i = 0; i < 2 && environmentThreads == 0; ++i) {
    const char *text = getenv(names[i]);
    long number = text ? strtol(text, NULL, 10) : 0;
    if (number > 0)
      environmentThreads = number < kMaxThreads ? (int32_t)number : kMaxThreads;
  }
}

__attribute__((constructor)) static void initialize(void) {
  countCPUs();
  readEnvironment();
  pthread_atfork(NULL, NULL, startOverAfterFork);
}

void scaling_set_parallel_for(scaling_parallel_for_fn fn) {
  hostParallelFor = fn;
}

void scaling_set_num_threads(int32_t numThreads) {
  requestedThreads = numThreads <= 0            ? 0
                     : numThreads < kMaxThreads ? numThreads
                                                : kMaxThreads;
}

int32_t scaling_get_num_threads(void) {
  if (requestedThreads)
    return requestedThreads;
  return environmentThreads ? environmentThreads : numCPUs;
}
