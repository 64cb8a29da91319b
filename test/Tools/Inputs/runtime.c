#define _POSIX_C_SOURCE 200809L
#include "scaling/Runtime/Runtime.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { maxCount = 1000 };
static _Atomic int done[maxCount];
static int calls;

static void body(int64_t begin, int64_t end, void *context) {
  (void)context;
  for (int64_t i = begin; i < end; ++i)
    ++done[i];
}

static void nested(int64_t begin, int64_t end, void *context) {
  for (int64_t i = begin; i < end; ++i)
    scaling_parallel_for(10, body, context);
}

static void reversed(int64_t count, scaling_body_fn fn, void *context) {
  ++calls;
  for (int64_t i = count; i-- > 0;)
    fn(i, i + 1, context);
}

static void check(int64_t count, int times, const char *what) {
  for (int64_t i = 0; i < maxCount; ++i)
    if (done[i] != (i < count ? times : 0))
      printf("WRONG %s: item %d of %d was done %d times\n", what, (int)i,
             (int)count, done[i]);
  for (int64_t i = 0; i < maxCount; ++i)
    done[i] = 0;
}

/* Sums of neighbours, again and again: every loop needs all of the last. */
enum { numValues = 257, numRounds = 2000 };
typedef struct {
  const uint32_t *from;
  uint32_t *to;
} Round;

static void addNeighbours(int64_t begin, int64_t end, void *context) {
  const Round *round = context;
  for (int64_t i = begin; i < end; ++i)
    round->to[i] =
        round->from[i] + 3 * round->from[(i + 1) % numValues] + (uint32_t)i;
}

static uint32_t runRounds(void) {
  uint32_t values[2][numValues];
  for (int i = 0; i < numValues; ++i)
    values[0][i] = (uint32_t)i;
  scaling_team *team = scaling_team_begin();
  for (int i = 0; i < numRounds; ++i) {
    Round round = {values[i % 2], values[1 - i % 2]};
    scaling_team_for(team, numValues, addNeighbours, &round);
  }
  scaling_team_end(team);
  uint32_t sum = 0;
  for (int i = 0; i < numValues; ++i)
    sum = 31 * sum + values[numRounds % 2][i];
  return sum;
}

/* The last item that a loop came to. */
static void noteEnd(int64_t begin, int64_t end, void *context) {
  (void)begin;
  *(int64_t *)context = end - 1;
}

static void checkDirections(void) {
  int64_t ends[4];
  for (int i = 0; i < 4; ++i)
    scaling_team_for(NULL, maxCount, noteEnd, &ends[i]);
  for (int i = 0; i < 3; ++i)
    if ((ends[i] == maxCount - 1) == (ends[i + 1] == maxCount - 1))
      printf("WRONG: two loops in one direction\n");
}

static uint32_t expected;

static void *runAsHost(void *argument) {
  for (int i = 0; i < 20; ++i) {
    unsigned char *memory = scaling_workspace_acquire(10000 + 1000 * i);
    memset(memory, i, 10000 + 1000 * i);
    if (runRounds() != expected)
      printf("WRONG rounds beside others\n");
    for (int k = 0; k < 10000 + 1000 * i; ++k)
      if (memory[k] != i)
        printf("WRONG memory beside others\n");
    scaling_workspace_release(memory);
  }
  return argument;
}

static void checkMemory(void) {
  scaling_workspace_trim();
  char *a = scaling_workspace_acquire(100);
  char *b = scaling_workspace_acquire(100);
  if (a == b || (uintptr_t)a % 64 != 0 || (uintptr_t)b % 64 != 0)
    printf("WRONG memory\n");
  scaling_workspace_release(a);
  if (scaling_workspace_acquire(90) != a)
    printf("WRONG: memory is not used again\n");
  scaling_workspace_release(b);
  scaling_workspace_release(a);
  scaling_workspace_release(NULL);
  printf("idle: %d\n", (int)scaling_workspace_idle_bytes());
  /* A block is outgrown: the larger one takes its place. */
  char *large = scaling_workspace_acquire(8 << 20);
  printf("idle: %d\n", (int)scaling_workspace_idle_bytes());
  large[(8 << 20) - 1] = 1;
  scaling_workspace_release(large);
  /* A small request leaves it to large ones. */
  char *small = scaling_workspace_acquire(1);
  char *again = scaling_workspace_acquire(7 << 20);
  if (again != large)
    printf("WRONG: a large block is not used again\n");
  scaling_workspace_release(small);
  scaling_workspace_release(again);
  scaling_workspace_trim();
  printf("idle: %d\n", (int)scaling_workspace_idle_bytes());
  for (int i = 1; i <= 100; ++i) {
    void *blocks[100];
    for (int k = 0; k < i; ++k)
      blocks[k] = scaling_workspace_acquire(64);
    for (int k = 0; k < i; ++k)
      scaling_workspace_release(blocks[k]);
  }
  printf("idle: %d\n", (int)scaling_workspace_idle_bytes());
}

int main(void) {
  const int64_t counts[] = {-1, 0, 1, 2, 3, 5, 64, 999, 1000};
  for (int32_t threads = 0; threads <= 7; ++threads) {
    scaling_set_num_threads(threads);
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); ++i) {
      scaling_parallel_for(counts[i], body, NULL);
      check(counts[i], 1, "default");
    }
  }
  scaling_set_num_threads(3);
  printf("threads: %d\n", (int)scaling_get_num_threads());
  scaling_parallel_for(1, nested, NULL);
  check(10, 1, "nested");
  scaling_parallel_for(7, nested, NULL);
  check(10, 7, "nested");

  scaling_set_num_threads(1);
  expected = runRounds();
  for (int32_t threads = 2; threads <= 8; ++threads) {
    scaling_set_num_threads(threads);
    if (runRounds() != expected)
      printf("WRONG rounds with %d threads\n", (int)threads);
  }
  pthread_t hosts[4];
  for (int i = 0; i < 4; ++i)
    pthread_create(&hosts[i], NULL, runAsHost, NULL);
  for (int i = 0; i < 4; ++i)
    pthread_join(hosts[i], NULL);
  /* The pool's threads are not in a fork. */
  fflush(stdout);
  pid_t child = fork();
  if (child == 0)
    _exit(runRounds() == expected ? 0 : 1);
  int status = 1;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
    printf("WRONG rounds in a fork\n");
  checkMemory();
  checkDirections();

  scaling_set_parallel_for(reversed);
  scaling_parallel_for(0, body, NULL);
  scaling_parallel_for(1, body, NULL);
  check(1, 1, "host, one item");
  scaling_parallel_for(100, body, NULL);
  check(100, 1, "host");
  printf("host calls: %d\n", calls);
  if (runRounds() != expected)
    printf("WRONG rounds on the host's threads\n");
  printf("host calls: %d\n", calls);
  scaling_set_parallel_for(NULL);
  scaling_parallel_for(100, body, NULL);
  check(100, 1, "default again");
  printf("host calls: %d\n", calls);
  return 0;
}
