/* Calls compiled code through the header that scaling-compile generates:
 *
 *   scaling-compile rowsum.mlir --emit=obj    --pipeline=linalg -o rowsum.o
 *   scaling-compile rowsum.mlir --emit=header -o rowsum.h
 *   cc rowsum.c rowsum.o -lscaling_runtime -lm -o rowsum
 *
 * The size of the result is not known when compiling, so the companion
 * `rowsum_result_dims` is asked first. */

#include "rowsum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
  enum { rows = 3, columns = 5 };
  float values[rows * columns];
  for (int i = 0; i < rows * columns; ++i)
    values[i] = 0.1f * (float)i;

  scaling_memref_2d_f32 matrix =
      make_scaling_memref_2d_f32(values, rows, columns);
  int64_t numSums = 0;
  scaling_memref_1d_i64 dims = make_scaling_memref_1d_i64(&numSums, 1);
  _mlir_ciface_rowsum_result_dims(&matrix, &dims);
  if (numSums != rows)
    return 1;

  float *result = malloc(numSums * sizeof(float));
  int32_t halfSteps = 0, status = 0;
  float residual = 0;
  scaling_memref_1d_f32 sums = make_scaling_memref_1d_f32(result, numSums);
  scaling_memref_0d_i32 halfStepsRef = make_scaling_memref_0d_i32(&halfSteps);
  scaling_memref_0d_f32 residualRef = make_scaling_memref_0d_f32(&residual);
  scaling_memref_0d_i32 statusRef = make_scaling_memref_0d_i32(&status);
  _mlir_ciface_rowsum(&matrix, &sums, &halfStepsRef, &residualRef, &statusRef);

  int correct = halfSteps == 7 && residual == 0.25f && status == 2;
  for (int i = 0; i < rows; ++i) {
    double expected = 0;
    for (int j = 0; j < columns; ++j)
      expected += exp(values[i * columns + j]);
    correct &= fabs(result[i] - expected) <= 1e-6 * expected;
    printf("sum %d: %.4f\n", i, result[i]);
  }
  printf("%s\n", correct ? "correct" : "WRONG");
  free(result);
  return !correct;
}
