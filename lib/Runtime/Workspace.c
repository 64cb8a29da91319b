/*===- Workspace.c - Memory kept from call to call ----------------*- C -*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "scaling/Runtime/Runtime.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum {
  kAlignment = 64,
  /* Idle blocks beyond this number are freed, the oldest first. */
  kMaxIdleBlocks = 16,
  /* Blocks of at least two of the system's huge pages ask for them. */
  kHugePage = 2 << 20,
};

/* In front of the memory that is handed out. */
typedef struct Block {
  struct Block *next;
  int64_t capacity;
} Block;

_Static_assert(sizeof(Block) <= kAlignment, "the header fills one cache line");

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* The block released last comes first. */
static Block *idleBlocks = NULL;

static void lockBeforeFork(void) { pthread_mutex_lock(&mutex); }
static void unlockAfterFork(void) { pthread_mutex_unlock(&mutex); }

__attribute__((constructor)) static void surviveForks(void) {
  pthread_atfork(lockBeforeFork, unlockAfterFork, unlockAfterFork);
}

/* SCALING_HUGE_PAGES=0 leaves the choice to the system. */
static int wantsHugePages(void) {
  const char *text = getenv("SCALING_HUGE_PAGES");
  return !text || strcmp(text, "0") != 0;
}

static Block *createBlock(int64_t capacity) {
  size_t bytes = (size_t)capacity + kAlignment;
  int large = bytes >= 2 * (size_t)kHugePage;
  void *memory = NULL;
  if (posix_memalign(&memory, large ? kHugePage : kAlignment, bytes) != 0) {
    fprintf(stderr, "scaling: no memory for a workspace of %lld bytes\n",
            (long long)capacity);
    abort();
  }
#ifdef MADV_HUGEPAGE
  /* A hint: it may fail. */
  if (large && wantsHugePages())
    (void)madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  Block *block = memory;
  block->next = NULL;
  block->capacity = capacity;
  return block;
}

/* Whether a small request would keep a block from a large one. */
static int isTooLarge(int64_t capacity, int64_t bytes) {
  return capacity > (1 << 20) && capacity / 4 > bytes;
}

void *scaling_workspace_acquire(int64_t bytes) {
  if (bytes < 1)
    bytes = 1;
  pthread_mutex_lock(&mutex);
  Block **best = NULL, **outgrown = NULL;
  for (Block **link = &idleBlocks; *link; link = &(*link)->next) {
    int64_t capacity = (*link)->capacity;
    if (capacity < bytes) {
      if (!outgrown || capacity > (*outgrown)->capacity)
        outgrown = link;
    } else if (!isTooLarge(capacity, bytes) &&
               (!best || capacity < (*best)->capacity)) {
      best = link;
    }
  }
  /* Instead of the block that takes its place, not beside it. */
  Block **taken = best ? best : outgrown;
  Block *block = NULL;
  if (taken) {
    block = *taken;
    *taken = block->next;
  }
  pthread_mutex_unlock(&mutex);
  if (!best) {
    free(block);
    block = createBlock(bytes);
  }
  return (char *)block + kAlignment;
}

void scaling_workspace_release(void *workspace) {
  if (!workspace)
    return;
  Block *block = (Block *)((char *)workspace - kAlignment);
  pthread_mutex_lock(&mutex);
  block->next = idleBlocks;
  idleBlocks = block;
  Block **link = &idleBlocks;
  for (int count = 0; *link && count < kMaxIdleBlocks; ++count)
    link = &(*link)->next;
  Block *oldest = *link;
  *link = NULL;
  pthread_mutex_unlock(&mutex);
  free(oldest);
}

void scaling_workspace_trim(void) {
  pthread_mutex_lock(&mutex);
  Block *block = idleBlocks;
  idleBlocks = NULL;
  pthread_mutex_unlock(&mutex);
  while (block) {
    Block *next = block->next;
    free(block);
    block = next;
  }
}

int64_t scaling_workspace_idle_bytes(void) {
  int64_t total = 0;
  pthread_mutex_lock(&mutex);
  for (Block *block = idleBlocks; block; block = block->next)
    total += block->capacity;
  pthread_mutex_unlock(&mutex);
  return total;
}
