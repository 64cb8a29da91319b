// A hand-written streaming Sinkhorn: one read of the matrix per iteration, the
// columns' partial sums in a fixed order, a barrier of the grid between.

// RUN: %clang_gpu %s -o %t.ll
// RUN: %clang_gpu -DNO_FENCE %s -o %t.broken.ll
// RUN: %python %S/Inputs/make.py %t.npy f4 64x512 random
// RUN: %python %S/Inputs/make.py %t.v.npy f4 512
// DEFINE: %{seed} = 0
// DEFINE: %{file} = %t.ll
// DEFINE: %{run} = scaling-simt %{file} --grid 8 --block 128 --seed %{seed} --input %t.npy --scratch f32:64 --update %t.v.npy=%t.%{seed}.npy --scratch f32:8x512 --output %t.p%{seed}.npy:f32:64x512 --scalar 6:i32 --zeros i32:1 --report %t.json
// RUN: %{run}
// REDEFINE: %{seed} = 1
// RUN: %{run}
// REDEFINE: %{seed} = 2
// RUN: %{run}
// RUN: cmp %t.p0.npy %t.p1.npy
// RUN: cmp %t.p0.npy %t.p2.npy
// RUN: %python %S/Inputs/columns.py %t.p0.npy 64 512

// Seven reads: six iterations, and one for the plan.
// RUN: FileCheck %s --input-file %t.json
// CHECK: "barriers": {{[0-9]+}},
// CHECK: "name": "argument 0",
// CHECK-NEXT: "read_bytes": 917504,
// CHECK: "sectors_per_request": 16,
// CHECK: "bank_conflicts": 0,

// REDEFINE: %{file} = %t.broken.ll
// RUN: not %{run} 2>&1 | FileCheck %s --check-prefix=BROKEN
// REDEFINE: %{seed} = 3
// RUN: not %{run} 2>&1 | FileCheck %s --check-prefix=BROKEN
// BROKEN: fault: race: argument {{[0-9]}} at byte

#include "Inputs/gpu.h"

enum { columns = 512, vectors = columns / 4, rowsPerCta = 8, warps = 4 };

DEVICE void gridBarrier(int *count, int phase) {
  barrier();
  if (thread() == 0) {
#ifndef NO_FENCE
    fenceGpu();
#endif
    addAtomic(count, 1);
    while (loadAcquire(count) < (int)numCtas() * phase)
      ;
  }
  barrier();
}

DEVICE float sum(float4 x) { return x[0] + x[1] + x[2] + x[3]; }

KERNEL sinkhorn(const float4 *matrix, float *u, float4 *v, float4 *partials,
                float4 *plan, int iterations, int *count) {
  SHARED float perWarp[warps];
  int first = cta() * rowsPerCta;
  int phase = 0;
#pragma unroll 1
  for (int iteration = 0; iteration < iterations; ++iteration) {
    float4 partial = {};
#pragma unroll 1
    for (int row = first; row < first + rowsPerCta; ++row) {
      float4 entries = matrix[row * vectors + thread()];
      float s = sum(entries * v[thread()]);
      for (int distance = 16; distance > 0; distance /= 2)
        s += butterfly(s, distance);
      if (thread() % 32 == 0)
        perWarp[thread() / 32] = s;
      barrier();
      s = perWarp[0] + perWarp[1] + perWarp[2] + perWarp[3];
      barrier();
      if (thread() == 0)
        u[row] = 1 / s;
      partial += entries * (1 / s);
    }
    partials[cta() * vectors + thread()] = partial;
    gridBarrier(count, ++phase);
    if (cta() == 0) {
      float4 s = {};
      for (unsigned i = 0; i < numCtas(); ++i)
        s += partials[i * vectors + thread()];
      v[thread()] = 1 / s;
    }
    gridBarrier(count, ++phase);
  }
  for (int row = first; row < first + rowsPerCta; ++row)
    plan[row * vectors + thread()] =
        matrix[row * vectors + thread()] * v[thread()] * u[row];
}
