// What lanes do together. Every lane writes one number per operation.

// RUN: %clang_gpu %s -o %t.ll
// RUN: scaling-simt %t.ll --entry shuffles --output %t.npy:i32:7x32 --seed 3 --report %t.json
// RUN: %python %S/Inputs/show.py %t.npy | FileCheck %s --check-prefix=SHUFFLES
// RUN: FileCheck %s --check-prefix=COUNT --input-file %t.json
// COUNT: "shuffles": 7,
// SHUFFLES: [0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28]
// SHUFFLES-NEXT: [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 29, 30, 31]
// SHUFFLES-NEXT: [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16, 23, 22, 21, 20, 27, 26, 25, 24, 31, 30, 29, 28]
// SHUFFLES-NEXT: [5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]
// Segments of eight lanes.
// SHUFFLES-NEXT: [5, 5, 5, 5, 5, 5, 5, 5, 13, 13, 13, 13, 13, 13, 13, 13, 21, 21, 21, 21, 21, 21, 21, 21, 29, 29, 29, 29, 29, 29, 29, 29]
// SHUFFLES-NEXT: [0, 1, 2, 0, 1, 2, 3, 4, 8, 9, 10, 8, 9, 10, 11, 12, 16, 17, 18, 16, 17, 18, 19, 20, 24, 25, 26, 24, 25, 26, 27, 28]
// SHUFFLES-NEXT: [3, 4, 5, 6, 7, 5, 6, 7, 11, 12, 13, 14, 15, 13, 14, 15, 19, 20, 21, 22, 23, 21, 22, 23, 27, 28, 29, 30, 31, 29, 30, 31]

// RUN: scaling-simt %t.ll --entry votes --output %t.npy:i32:6x32 --seed 3
// RUN: %python %S/Inputs/show.py %t.npy | FileCheck %s --check-prefix=VOTES
// VOTES: [0, 0,
// VOTES-NEXT: [1, 1,
// VOTES-NEXT: [255, 255,
// The lanes with the same value modulo three.
// VOTES-NEXT: [1227133513, -1840700270, 613566756, 1227133513,
// VOTES-NEXT: [0, 0,
// VOTES-NEXT: [-1, -1,

// RUN: scaling-simt %t.ll --entry reductions --output %t.npy:i32:6x32 --seed 3
// RUN: %python %S/Inputs/show.py %t.npy | FileCheck %s --check-prefix=REDUCTIONS
// REDUCTIONS: [176, 176,
// REDUCTIONS-NEXT: [-10, -10,
// REDUCTIONS-NEXT: [21, 21,
// REDUCTIONS-NEXT: [-1, -1,
// REDUCTIONS-NEXT: [0, 0,
// REDUCTIONS-NEXT: [31, 31,

// Half of a warp is on its own.
// RUN: scaling-simt %t.ll --entry halves --output %t.npy:i32:1x32 --seed 3
// RUN: %python %S/Inputs/show.py %t.npy | FileCheck %s --check-prefix=HALVES
// HALVES: [16, 16, {{.*}} 256, 256]

// Lanes that have exited are not waited for, even where the mask names them.
// RUN: scaling-simt %t.ll --entry exited --output %t.npy:i32:1x32 --seed 3
// RUN: %python %S/Inputs/show.py %t.npy | FileCheck %s --check-prefix=EXITED
// EXITED: [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14, -1,

#include "Inputs/gpu.h"

KERNEL shuffles(int *o) {
  int i = thread();
  o[i] = __nvvm_shfl_sync_up_i32(ALL, i, 3, 0);
  o[32 + i] = __nvvm_shfl_sync_down_i32(ALL, i, 3, 31);
  o[64 + i] = __nvvm_shfl_sync_bfly_i32(ALL, i, 3, 31);
  o[96 + i] = __nvvm_shfl_sync_idx_i32(ALL, i, 5, 31);
  int segments = 24 << 8;
  o[128 + i] = __nvvm_shfl_sync_idx_i32(ALL, i, 5, segments | 31);
  o[160 + i] = __nvvm_shfl_sync_up_i32(ALL, i, 3, segments);
  o[192 + i] = __nvvm_shfl_sync_down_i32(ALL, i, 3, segments | 31);
}

KERNEL votes(int *o) {
  int i = thread();
  o[i] = __nvvm_vote_all_sync(ALL, i < 8);
  o[32 + i] = __nvvm_vote_any_sync(ALL, i < 8);
  o[64 + i] = __nvvm_vote_ballot_sync(ALL, i < 8);
  o[96 + i] = __nvvm_match_any_sync_i32(ALL, i % 3);
  int all;
  o[128 + i] = __nvvm_match_all_sync_i32p(ALL, i % 3, &all);
  o[160 + i] = __nvvm_match_all_sync_i32p(ALL, 7, &all);
}

KERNEL reductions(int *o) {
  int i = thread();
  o[i] = __nvvm_redux_sync_add(i - 10, ALL);
  o[32 + i] = __nvvm_redux_sync_min(i - 10, ALL);
  o[64 + i] = __nvvm_redux_sync_max(i - 10, ALL);
  o[96 + i] = __nvvm_redux_sync_umax(i - 10, ALL);
  o[128 + i] = __nvvm_redux_sync_and(i, ALL);
  o[160 + i] = __nvvm_redux_sync_or(i, ALL);
}

KERNEL halves(int *o) {
  int i = thread();
  int sum;
  if (i < 16) {
    sum = __nvvm_redux_sync_add(1, 0xffff);
  } else {
    sum = __nvvm_redux_sync_add(16, 0xffff0000);
  }
  o[i] = sum;
}

KERNEL exited(int *o) {
  int i = thread();
  if (i >= 16)
    return;
  warpBarrier();
  o[i] = __nvvm_shfl_sync_bfly_i32(ALL, i, 1, 31);
}
