#include "scaling/Runtime/Runtime.h"

#include <stdio.h>
#include <string.h>

enum { maxCount = 1000 };
static int done[maxCount];
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

static void check(int64_t count, const char *what) {
  for (int64_t i = 0; i < maxCount; ++i)
    if (done[i] != (i < count))
      printf("WRONG %s: item %d of %d was done %d times\n", what, (int)i,
             (int)count, done[i]);
  memset(done, 0, sizeof(done));
}

int main(void) {
  const int64_t counts[] = {-1, 0, 1, 2, 3, 5, 64, 999, 1000};
  for (int32_t threads = 0; threads <= 7; ++threads) {
    scaling_set_num_threads(threads);
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); ++i) {
      scaling_parallel_for(counts[i], body, NULL);
      check(counts[i], "default");
    }
  }
  scaling_set_num_threads(3);
  printf("threads: %d\n", (int)scaling_get_num_threads());
  scaling_parallel_for(1, nested, NULL);
  check(10, "nested");

  scaling_set_parallel_for(reversed);
  scaling_parallel_for(0, body, NULL);
  scaling_parallel_for(1, body, NULL);
  check(1, "host, one item");
  scaling_parallel_for(100, body, NULL);
  check(100, "host");
  printf("host calls: %d\n", calls);
  scaling_set_parallel_for(NULL);
  scaling_parallel_for(100, body, NULL);
  check(100, "default again");
  printf("host calls: %d\n", calls);
  return 0;
}
