#include "scaling/Runtime/Runtime.h"

#include <stdio.h>

int main(void) {
  printf("%d\n", (int)scaling_get_num_threads());
  return 0;
}
