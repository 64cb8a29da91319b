/*===- limits.c - What the machine can do ---------------------------*- C
-*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
|* limits THREADS L1 L2 L3                                                    *|
|*                                                                            *|
|* Prints rates over all threads as JSON: bytes per second read from each     *|
|* level (the cache sizes of a core are arguments, in bytes), multiply-adds,  *|
|* vector loads and exponentials per second, in single precision.             *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

enum { kLanes = 16, kMaxThreads = 64, kRepeats = 100 };

typedef float Vector __attribute__((vector_size(4 * kLanes), aligned(64)));
typedef int32_t Integers __attribute__((vector_size(4 * kLanes)));

/* A measurement: runs `work` units of it on a buffer of the thread's own. */
typedef double (*Kernel)(const Vector *data, size_t vectors, size_t rounds);

typedef struct {
  pthread_barrier_t *barrier;
  Kernel kernel;
  Vector *data;
  size_t vectors;
  size_t rounds;
  double seconds;
  double sink;
} Task;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double total(Vector x) {
  double sum = 0;
  for (int i = 0; i < kLanes; ++i)
    sum += x[i];
  return sum;
}

/* Reads everything, in eight chains. */
static double readAll(const Vector *data, size_t vectors, size_t rounds) {
  Vector s[8] = {{0}};
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i + 8 <= vectors; i += 8)
      for (int k = 0; k < 8; ++k)
        s[k] += data[i + (size_t)k];
    /* The rounds may not be merged. */
    __asm__ volatile("" ::: "memory");
  }
  for (int k = 1; k < 8; ++k)
    s[0] += s[k];
  return total(s[0]);
}

/* Twelve chains of multiply-adds in registers; a round has twelve. */
static double multiplyAdd(const Vector *data, size_t vectors, size_t rounds) {
  (void)vectors;
  Vector s[12], a = data[0], b = data[1];
  for (int k = 0; k < 12; ++k)
    s[k] = data[k];
  for (size_t round = 0; round < rounds; ++round) {
#pragma clang loop unroll(full)
    for (int k = 0; k < 12; ++k)
      s[k] = s[k] * a + b;
    __asm__ volatile("" : "+v"(a));
  }
  for (int k = 1; k < 12; ++k)
    s[0] += s[k];
  return total(s[0]);
}

static inline Vector exp2Of(Vector x) {
#ifdef __AVX512F__
  Vector n = (Vector)_mm512_roundscale_ps((__m512)x, 0);
#else
  Vector magic = (Vector){0} + 0x1.8p23f;
  Vector n = (x + magic) - magic;
#endif
  Vector r = x - n;
  Vector p = r * 0x1.41fa22p-13f + 0x1.5f3e26p-10f;
  p = p * r + 0x1.3b2d54p-7f;
  p = p * r + 0x1.c6aeeap-5f;
  p = p * r + 0x1.ebfbdcp-3f;
  p = p * r + 0x1.62e43p-1f;
  p = p * r + 1.0f;
#ifdef __AVX512F__
  return (Vector)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  Integers e = __builtin_convertvector(n, Integers) << 23;
  return (Vector)((Integers)p + e);
#endif
}

/* The exponential of every element of a buffer in L1, summed. */
static double exponentials(const Vector *data, size_t vectors, size_t rounds) {
  Vector s[4] = {{0}};
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i + 4 <= vectors; i += 4)
      for (int k = 0; k < 4; ++k)
        s[k] += exp2Of(data[i + (size_t)k]);
    __asm__ volatile("" ::: "memory");
  }
  return total(s[0] + s[1] + s[2] + s[3]);
}

static void *run(void *argument) {
  Task *task = argument;
  pthread_barrier_wait(task->barrier);
  double start = now();
  task->sink = task->kernel(task->data, task->vectors, task->rounds);
  task->seconds = now() - start;
  return NULL;
}

/* Rounds per second of a kernel that all threads run at once: the best of
 * many short runs, since something else may run beside. */
static double measure(Kernel kernel, int threads, size_t bytes) {
  pthread_barrier_t barrier;
  Task tasks[kMaxThreads];
  pthread_t ids[kMaxThreads];
  pthread_barrier_init(&barrier, NULL, (unsigned)threads);
  size_t vectors = bytes / sizeof(Vector);
  for (int t = 0; t < threads; ++t) {
    Vector *data = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!data) {
      fprintf(stderr, "error: cannot allocate %zu bytes\n", bytes);
      exit(1);
    }
    for (size_t i = 0; i < vectors; ++i)
      data[i] = (Vector){0} + 0.25f;
    tasks[t] = (Task){&barrier, kernel, data, vectors, 1, 0, 0};
  }
  size_t rounds = 1;
  double best = 0;
  for (int repeat = 0; repeat < kRepeats;) {
    double slowest = 0;
    for (int t = 0; t < threads; ++t) {
      tasks[t].rounds = rounds;
      if (pthread_create(&ids[t], NULL, run, &tasks[t])) {
        fprintf(stderr, "error: cannot start a thread\n");
        exit(1);
      }
    }
    for (int t = 0; t < threads; ++t) {
      pthread_join(ids[t], NULL);
      if (tasks[t].seconds > slowest)
        slowest = tasks[t].seconds;
    }
    if (slowest < 2e-3 && repeat == 0 && rounds < (size_t)1 << 40) {
      rounds *= 2;
      continue;
    }
    ++repeat;
    if ((double)rounds / slowest > best)
      best = (double)rounds / slowest;
  }
  for (int t = 0; t < threads; ++t)
    free(tasks[t].data);
  pthread_barrier_destroy(&barrier);
  return best;
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: limits THREADS L1 L2 L3\n");
    return 1;
  }
  int threads = atoi(argv[1]);
  if (threads < 1 || threads > kMaxThreads)
    threads = 1;
  /* Well inside each level, and far outside the last cache. */
  size_t l1 = (size_t)atoll(argv[2]) / 2, l2 = (size_t)atoll(argv[3]) / 2;
  size_t l3 = (size_t)atoll(argv[4]) / 2 / (size_t)threads;
  size_t far = (size_t)atoll(argv[4]) * 4 / (size_t)threads;
  const char *names[] = {"L1", "L2", "L3", "DRAM"};
  size_t sizes[] = {l1 / 512 * 512, l2, l3, far};
  double scale = (double)threads;

  printf("{\"bandwidth\": {");
  double nearest = 0;
  for (int level = 0; level < 4; ++level) {
    double rate = measure(readAll, threads, sizes[level]);
    rate *= scale * (double)sizes[level];
    nearest = level ? nearest : rate;
    printf("%s\"%s\": %.6g", level ? ", " : "", names[level], rate);
  }
  double fmas = measure(multiplyAdd, threads, 4096) * scale * 12 * kLanes;
  double exps = measure(exponentials, threads, 8192) * scale * 8192 / 4;
  printf("}, \"fmas\": %.6g, \"loads\": %.6g, \"exponentials\": %.6g}\n", fmas,
         nearest / sizeof(Vector), exps);
  return 0;
}
