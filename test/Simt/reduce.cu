// A reduction over a CTA with shuffles and shared memory, in several orders of
// the warps.

// RUN: %clang_gpu %s -o %t.ll
// RUN: %python %S/Inputs/make.py %t.npy f4 4x256
// RUN: scaling-simt %t.ll --grid 4 --block 128 --input %t.npy --output %t.0.npy:f32:4 --report %t.json
// RUN: scaling-simt %t.ll --grid 4 --block 128 --input %t.npy --output %t.1.npy:f32:4 --seed 1
// RUN: scaling-simt %t.ll --grid 4 --block 128 --input %t.npy --output %t.2.npy:f32:4 --seed 2 --resident 1
// RUN: cmp %t.0.npy %t.1.npy
// RUN: cmp %t.0.npy %t.2.npy
// RUN: %python -c "import struct; print(*struct.unpack('<4f', open(r'%t.0.npy', 'rb').read()[-16:]))" | FileCheck %s
// CHECK: 32896.0 98432.0 163968.0 229504.0

// RUN: FileCheck %s --check-prefix=REPORT --input-file %t.json
// Per CTA one barrier, five shuffles in each of four warps, and two in the last.
// REPORT: "barriers": 4,
// REPORT: "name": "argument 0"
// REPORT: "read_bytes": 4096,
// REPORT: "read_requests": 16,
// REPORT: "read_sectors": 128,
// REPORT: "sectors_per_request": 8,
// REPORT: "name": "argument 1"
// REPORT: "write_requests": 4,
// REPORT: "write_sectors": 4,
// REPORT: "written_bytes": 16
// REPORT: "faults": [],
// REPORT: "bank_conflicts": 0,
// REPORT: "static_bytes": 16,
// REPORT: "shuffles": 88,

#include "Inputs/gpu.h"

typedef float float2 __attribute__((vector_size(8)));

KERNEL sum(const float2 *in, float *out) {
  SHARED float partial[4];
  float2 two = in[cta() * 128 + thread()];
  float x = two[0] + two[1];
  for (int distance = 16; distance > 0; distance /= 2)
    x += butterfly(x, distance);
  if (thread() % 32 == 0)
    partial[thread() / 32] = x;
  barrier();
  if (thread() >= 32)
    return;
  x = thread() < 4 ? partial[thread()] : 0;
  x += butterfly(x, 1);
  x += butterfly(x, 2);
  if (thread() == 0)
    out[cta()] = x;
}
