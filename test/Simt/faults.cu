// Every kernel is wrong in one way, and right with -DMENDED.

// RUN: %clang_gpu %s -o %t.wrong.ll
// RUN: %clang_gpu -DMENDED %s -o %t.right.ll
// RUN: %python %S/Inputs/make.py %t.npy f4 64

#include "Inputs/gpu.h"

// RUN: not scaling-simt %t.wrong.ll --entry bounds --block 64 --input %t.npy --output %t.o.npy:f32:64 2>&1 | FileCheck %s --check-prefix=BOUNDS
// BOUNDS: fault: out-of-bounds: thread (63,0,0) of CTA (0,0,0) reads 4 bytes 0 bytes past the end of argument 0 of 256 bytes: bounds, block %{{.*}}: {{.*}}load float
// RUN: scaling-simt %t.right.ll --entry bounds --block 64 --input %t.npy --output %t.o.npy:f32:64
KERNEL bounds(const float *a, float *o) {
  unsigned i = thread();
#ifdef MENDED
  o[i] = i + 1 < 64 ? a[i + 1] : 0;
#else
  o[i] = a[i + 1];
#endif
}

// RUN: not scaling-simt %t.wrong.ll --entry shared_bounds --block 64 --output %t.o.npy:f32:64 2>&1 | FileCheck %s --check-prefix=SHARED-BOUNDS
// SHARED-BOUNDS: fault: out-of-bounds: thread (63,0,0) of CTA (0,0,0) writes 4 bytes 0 bytes past the end of shared memory of 256 bytes: shared_bounds
// RUN: scaling-simt %t.right.ll --entry shared_bounds --block 64 --output %t.o.npy:f32:64
KERNEL shared_bounds(float *o) {
  SHARED float s[64];
  unsigned i = thread();
#ifdef MENDED
  unsigned j = i;
#else
  unsigned j = i + 1;
#endif
  *(volatile float *)&s[j] = 1;
  o[i] = *(volatile float *)&s[j];
}

// RUN: not scaling-simt %t.wrong.ll --entry alignment --block 4 --input %t.npy --output %t.o.npy:f32:16 2>&1 | FileCheck %s --check-prefix=ALIGNMENT
// ALIGNMENT: fault: misaligned: thread ({{[0-3]}},0,0) of CTA (0,0,0) reads 16 bytes at an address that is no multiple of 16: alignment
// RUN: scaling-simt %t.right.ll --entry alignment --block 4 --input %t.npy --output %t.o.npy:f32:16
KERNEL alignment(const float *a, float *o) {
#ifdef MENDED
  const float *from = a + 4;
#else
  const float *from = a + 1;
#endif
  ((float4 *)o)[thread()] = ((const float4 *)from)[thread()];
}

// RUN: not scaling-simt %t.wrong.ll --entry uninitialised --block 64 --output %t.o.npy:f32:64 2>&1 | FileCheck %s --check-prefix=UNINITIALISED
// UNINITIALISED: fault: uninitialised: shared memory at byte {{[0-9]+}}: read by thread ({{[0-9]+}},0,0) of CTA (0,0,0) at uninitialised
// UNINITIALISED-NEXT: before anything was written there
// RUN: scaling-simt %t.right.ll --entry uninitialised --block 64 --output %t.o.npy:f32:64
KERNEL uninitialised(float *o) {
  SHARED float s[128];
  unsigned i = thread();
  s[i] = i;
#ifdef MENDED
  s[64 + i] = i;
#endif
  barrier();
  o[i] = s[127 - i];
}

// RUN: not scaling-simt %t.wrong.ll --entry shared_race --block 64 --output %t.o.npy:f32:64 2>&1 | FileCheck %s --check-prefix=SHARED-RACE
// RUN: not scaling-simt %t.wrong.ll --entry shared_race --block 64 --output %t.o.npy:f32:64 --seed 1 2>&1 | FileCheck %s --check-prefix=SHARED-RACE
// RUN: not scaling-simt %t.wrong.ll --entry shared_race --block 64 --output %t.o.npy:f32:64 --seed 2 2>&1 | FileCheck %s --check-prefix=SHARED-RACE
// SHARED-RACE: fault: race: shared memory at byte {{[0-9]+}}: {{read|written}} by thread ({{[0-9]+}},0,0) of CTA (0,0,0) at shared_race
// SHARED-RACE-NEXT: {{read|written}} by thread ({{[0-9]+}},0,0) of CTA (0,0,0) at shared_race
// SHARED-RACE-NEXT: and nothing orders the two
// RUN: scaling-simt %t.right.ll --entry shared_race --block 64 --output %t.o.npy:f32:64
KERNEL shared_race(float *o) {
  SHARED float s[64];
  unsigned i = thread();
  s[i] = i;
#ifdef MENDED
  barrier();
#else
  __asm__ volatile("" ::: "memory");
#endif
  o[i] = s[63 - i];
}

// The second barrier of a loop: nobody writes before all have read.
// RUN: not scaling-simt %t.wrong.ll --entry overwrite --block 64 --output %t.o.npy:f32:64 2>&1 | FileCheck %s --check-prefix=OVERWRITE
// OVERWRITE: fault: race: shared memory
// RUN: scaling-simt %t.right.ll --entry overwrite --block 64 --output %t.o.npy:f32:64
KERNEL overwrite(float *o) {
  SHARED float s[64];
  unsigned i = thread();
  float sum = 0;
  for (int step = 0; step < 4; ++step) {
    s[i] = i + step;
    barrier();
    sum += s[63 - i];
#ifdef MENDED
    barrier();
#endif
  }
  o[i] = sum;
}

// Lanes of a warp do not run in step.
// RUN: not scaling-simt %t.wrong.ll --entry warp_race --block 32 --output %t.o.npy:f32:32 2>&1 | FileCheck %s --check-prefix=WARP-RACE
// WARP-RACE: fault: race: shared memory
// RUN: scaling-simt %t.right.ll --entry warp_race --block 32 --output %t.o.npy:f32:32
KERNEL warp_race(float *o) {
  SHARED float s[32];
  unsigned i = thread();
  s[i] = i;
#ifdef MENDED
  warpBarrier();
#else
  __asm__ volatile("" ::: "memory");
#endif
  o[i] = s[31 - i];
}

// RUN: not scaling-simt %t.wrong.ll --entry global_race --grid 4 --block 32 --scratch f32:128 --output %t.o.npy:f32:128 --zeros i32:1 2>&1 | FileCheck %s --check-prefix=GLOBAL-RACE
// RUN: not scaling-simt %t.wrong.ll --entry global_race --grid 4 --block 32 --scratch f32:128 --output %t.o.npy:f32:128 --zeros i32:1 --seed 1 2>&1 | FileCheck %s --check-prefix=GLOBAL-RACE
// RUN: not scaling-simt %t.wrong.ll --entry global_race --grid 4 --block 32 --scratch f32:128 --output %t.o.npy:f32:128 --zeros i32:1 --seed 2 2>&1 | FileCheck %s --check-prefix=GLOBAL-RACE
// GLOBAL-RACE: fault: race: argument 0 at byte
// RUN: scaling-simt %t.right.ll --entry global_race --grid 4 --block 32 --scratch f32:128 --output %t.o.npy:f32:128 --zeros i32:1
// RUN: scaling-simt %t.right.ll --entry global_race --grid 4 --block 32 --scratch f32:128 --output %t.o.npy:f32:128 --zeros i32:1 --seed 1
// Without the fence, the barrier of the grid orders nothing.
KERNEL global_race(float *scratch, float *o, int *count) {
  unsigned i = cta() * 32 + thread();
  scratch[i] = i;
  barrier();
  if (thread() == 0) {
#ifdef MENDED
    fenceGpu();
#endif
    addAtomic(count, 1);
    while (loadAcquire(count) < 4)
      ;
  }
  barrier();
  o[i] = scratch[127 - i];
}

// RUN: not scaling-simt %t.wrong.ll --entry acquire --grid 4 --block 32 --scratch f32:128 --output %t.o.npy:f32:128 --zeros i32:1 2>&1 | FileCheck %s --check-prefix=ACQUIRE
// ACQUIRE: fault: race: argument 0 at byte
// RUN: scaling-simt %t.right.ll --entry acquire --grid 4 --block 32 --scratch f32:128 --output %t.o.npy:f32:128 --zeros i32:1
// The other half: a relaxed spin must be followed by a fence.
KERNEL acquire(float *scratch, float *o, int *count) {
  unsigned i = cta() * 32 + thread();
  scratch[i] = i;
  barrier();
  if (thread() == 0) {
    fenceGpu();
    addAtomic(count, 1);
    while (loadAtomic(count) < 4)
      ;
#ifdef MENDED
    fenceGpu();
#endif
  }
  barrier();
  o[i] = scratch[127 - i];
}

// RUN: not scaling-simt %t.wrong.ll --entry scope --grid 2 --block 1 --scratch f32:1 --output %t.o.npy:f32:1 --zeros i32:1 2>&1 | FileCheck %s --check-prefix=SCOPE
// SCOPE: fault: race: argument 0 at byte 0: read by thread (0,0,0) of CTA (1,0,0) at scope
// SCOPE-NEXT: written by thread (0,0,0) of CTA (0,0,0) at scope
// RUN: scaling-simt %t.right.ll --entry scope --grid 2 --block 1 --scratch f32:1 --output %t.o.npy:f32:1 --zeros i32:1
KERNEL scope(float *message, float *o, int *flag) {
  if (cta() == 0) {
    *message = 42;
#ifdef MENDED
    fenceGpu();
#else
    fenceCta();
#endif
    addAtomic(flag, 1);
  } else {
    while (loadAcquire(flag) == 0)
      ;
    *o = *message;
  }
}

// RUN: not scaling-simt %t.wrong.ll --entry deadlock --block 64 --output %t.o.npy:f32:64 2>&1 | FileCheck %s --check-prefix=DEADLOCK
// DEADLOCK: fault: deadlock: threads wait for each other
// DEADLOCK-DAG: CTA (0,0,0): 32 threads, 0-31: wait at barrier 1 at deadlock, block %{{.*}}: {{.*}}barrier.cta.sync
// DEADLOCK-DAG: CTA (0,0,0): 32 threads, 32-63: wait at barrier 2 at deadlock
// RUN: scaling-simt %t.right.ll --entry deadlock --block 64 --output %t.o.npy:f32:64
KERNEL deadlock(float *o) {
#ifdef MENDED
  int id = 1;
#else
  int id = 1 + thread() / 32;
#endif
  __nvvm_barrier_sync(id);
  o[thread()] = id;
}

// RUN: not scaling-simt %t.wrong.ll --entry spin --grid 2 --block 32 --zeros i32:1 2>&1 | FileCheck %s --check-prefix=SPIN
// SPIN: fault: deadlock: threads wait for a value that nobody writes
// SPIN-DAG: CTA (0,0,0): 1 thread, 0: spin at spin, block %{{.*}}: {{.*}}load atomic
// SPIN-DAG: CTA (0,0,0): 31 threads, 1-31: wait at barrier 0 at spin
// RUN: scaling-simt %t.right.ll --entry spin --grid 2 --block 32 --zeros i32:1
// A barrier of the grid needs all CTAs at the same time.
// RUN: not scaling-simt %t.right.ll --entry spin --grid 2 --block 32 --zeros i32:1 --resident 1 2>&1 | FileCheck %s --check-prefix=RESIDENT
// RESIDENT: fault: deadlock: threads wait for a value that nobody writes
// RESIDENT: 1 CTAs have not started: only 1 run at the same time
KERNEL spin(int *count) {
#ifdef MENDED
  int expected = 2;
#else
  int expected = 3;
#endif
  if (thread() == 0) {
    addAtomic(count, 1);
    while (loadAcquire(count) < expected)
      ;
  }
  barrier();
}

// RUN: not scaling-simt %t.wrong.ll --entry divergence --block 32 --output %t.o.npy:f32:32 2>&1 | FileCheck %s --check-prefix=DIVERGENCE
// DIVERGENCE: fault: divergence: thread ({{[0-9]+}},0,0) of CTA (0,0,0) is at the barrier at divergence
// DIVERGENCE-NEXT: of the same warp at another one: divergence
// RUN: scaling-simt %t.right.ll --entry divergence --block 32 --output %t.o.npy:f32:32
KERNEL divergence(float *o) {
  float x;
#ifdef MENDED
  barrier();
  x = thread() < 16;
#else
  if (thread() < 16) {
    barrier();
    x = 1;
  } else {
    barrier();
    x = 0;
  }
#endif
  o[thread()] = x;
}

// RUN: not scaling-simt %t.wrong.ll --entry mask --block 32 --output %t.o.npy:f32:32 2>&1 | FileCheck %s --check-prefix=MASK
// MASK: fault: mask: thread ({{[0-9]+}},0,0) of CTA (0,0,0) reads lane {{[0-9]+}}, which has exited or is not in the mask ffffffff: mask
// RUN: scaling-simt %t.right.ll --entry mask --block 32 --output %t.o.npy:f32:32
KERNEL mask(float *o) {
#ifndef MENDED
  if (thread() >= 16)
    return;
#endif
  o[thread()] = butterfly(thread(), 16);
}

// RUN: not scaling-simt %t.wrong.ll --entry trap --block 32 --output %t.o.npy:f32:32 2>&1 | FileCheck %s --check-prefix=TRAP
// TRAP: fault: trap: thread (5,0,0) of CTA (0,0,0) is at a trap at trap
// RUN: scaling-simt %t.right.ll --entry trap --block 32 --output %t.o.npy:f32:32
KERNEL trap(float *o) {
#ifndef MENDED
  if (thread() == 5)
    __builtin_trap();
#endif
  o[thread()] = 1;
}
