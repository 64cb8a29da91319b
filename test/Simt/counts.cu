// What the report counts, on kernels whose numbers are known.

// RUN: %clang_gpu %s -o %t.ll
// RUN: %python %S/Inputs/make.py %t.npy f4 4096

#include "Inputs/gpu.h"

// One warp reads 32 floats each time: 4 sectors in a row, 32 with a stride of
// eight floats, 5 when shifted by one, 1 when all read the same.
// RUN: scaling-simt %t.ll --entry stride --input %t.npy --scalar 1:i32 --scalar 0:i32 --output %t.o.npy:f32:32 --report - | FileCheck %s --check-prefixes=READ,ROW
// RUN: scaling-simt %t.ll --entry stride --input %t.npy --scalar 8:i32 --scalar 0:i32 --output %t.o.npy:f32:32 --report - | FileCheck %s --check-prefixes=READ,STRIDE
// RUN: scaling-simt %t.ll --entry stride --input %t.npy --scalar 1:i32 --scalar 1:i32 --output %t.o.npy:f32:32 --report - | FileCheck %s --check-prefixes=READ,SHIFT
// RUN: scaling-simt %t.ll --entry stride --input %t.npy --scalar 0:i32 --scalar 0:i32 --output %t.o.npy:f32:32 --report - | FileCheck %s --check-prefixes=READ,SAME
// READ: "name": "argument 0"
// READ-NEXT: "read_bytes": 128,
// READ-NEXT: "read_requests": 1,
// ROW-NEXT: "read_sectors": 4,
// ROW-NEXT: "read_sectors_ideal": 4,
// STRIDE-NEXT: "read_sectors": 32,
// STRIDE-NEXT: "read_sectors_ideal": 4,
// SHIFT-NEXT: "read_sectors": 5,
// SHIFT-NEXT: "read_sectors_ideal": 4,
// SAME-NEXT: "read_sectors": 1,
// SAME-NEXT: "read_sectors_ideal": 1,
KERNEL stride(const float *a, int step, int shift, float *o) {
  o[thread()] = a[thread() * step + shift];
}

// A column of a 32 by 32 tile is in one bank, with a padded row in all.
// RUN: scaling-simt %t.ll --entry banks --scalar 32:i32 --output %t.o.npy:f32:32 --report - | FileCheck %s --check-prefix=CONFLICTS
// RUN: scaling-simt %t.ll --entry banks --scalar 33:i32 --output %t.o.npy:f32:32 --report - | FileCheck %s --check-prefix=PADDED
// CONFLICTS: "bank_conflicts": 62,
// PADDED: "bank_conflicts": 0,
KERNEL banks(int pitch, float *o) {
  SHARED float s[32 * 33];
  volatile float *cell = &s[thread() * pitch];
  *cell = 1;
  o[thread()] = *cell;
}

// Sixteen bytes per lane: a quarter of a warp at a time, without conflicts.
// RUN: scaling-simt %t.ll --entry wide --input %t.npy --output %t.o.npy:f32:128 --report - | FileCheck %s --check-prefix=WIDE
// WIDE: "name": "argument 0"
// WIDE-NEXT: "read_bytes": 512,
// WIDE-NEXT: "read_requests": 1,
// WIDE-NEXT: "read_sectors": 16,
// WIDE: "bank_conflicts": 0,
// WIDE: "read_requests": 1,
KERNEL wide(const float4 *a, float4 *o) {
  SHARED float4 s[32];
  s[thread()] = a[thread()];
  barrier();
  o[thread()] = s[31 - thread()];
}

// RUN: scaling-simt %t.ll --entry arithmetic --block 64 --input %t.npy --output %t.o.npy:f32:64 --scalar 5:i32 --report - | FileCheck %s --check-prefix=ARITHMETIC
// Five FMA, one exponential and one logarithm for each of 64 threads.
// ARITHMETIC: "exponentials": 64,
// ARITHMETIC: "flops": 640,
// ARITHMETIC: "logarithms": 64,
KERNEL arithmetic(const float *a, float *o, int n) {
  float x = a[thread()];
#pragma unroll 1
  for (int i = 0; i < n; ++i)
    x = __builtin_fmaf(x, 0.5f, 0.25f);
  o[thread()] = __nvvm_lg2_approx_f(__nvvm_ex2_approx_f(x));
}

// The same conflicts in a loop of four iterations are of the loop, not of what
// is around it. 32 threads: the loop begins 128 times.
// RUN: scaling-simt %t.ll --entry loop --scalar 32:i32 --scalar 4:i32 --output %t.o.npy:f32:32 --report - | FileCheck %s --check-prefix=LOOP
// LOOP: "loops": [
// LOOP-NEXT: {
// LOOP-NEXT: "bank_conflicts": 248,
// LOOP-NEXT: "depth": 1,
// LOOP: "iterations": 128,
// LOOP: "position": "loop, block %
// LOOP-NEXT: "shared_bytes": 1024,
// LOOP-NEXT: "shared_requests": 8
// LOOP: "bank_conflicts": 0,
// LOOP-NEXT: "depth": 0,
// LOOP: "global_bytes": 128,
// LOOP-NEXT: "global_requests": 1,
KERNEL loop(int pitch, int count, float *o) {
  SHARED float s[32 * 33];
  volatile float *cell = &s[thread() * pitch];
  float sum = 0;
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    *cell = i;
    sum += *cell;
  }
  o[thread()] = sum;
}
