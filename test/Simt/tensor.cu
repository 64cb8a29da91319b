// Products of matrices as they are written by hand: asynchronous copies into
// rows that are padded against bank conflicts, ldmatrix, mma.sync, all of it
// inline assembly. In units of 16 bytes, the layouts are the same for all types.

// DEFINE: %{kind} = tf32
// DEFINE: %{define} = -DSIZE=4 -DMMA='"m16n8k8.row.col.f32.tf32.tf32.f32"'
// DEFINE: %{run} = %clang_gpu %{define} %s -o %t.ll && \
// DEFINE:   %python %S/Inputs/tensor.py write %t %{kind} && \
// DEFINE:   scaling-simt %t.ll --grid 4,8 --block 32 --input %t.a.npy --input %t.b.npy --output %t.c.npy:f32:64x64 --report %t.json && \
// DEFINE:   %python %S/Inputs/tensor.py check %t %{kind} && \
// DEFINE:   FileCheck %s --input-file %t.json

// RUN: %{run}
// REDEFINE: %{kind} = bf16
// REDEFINE: %{define} = -DSIZE=2 -DMMA='"m16n8k16.row.col.f32.bf16.bf16.f32"'
// RUN: %{run}
// REDEFINE: %{kind} = f16
// REDEFINE: %{define} = -DSIZE=2 -DMMA='"m16n8k16.row.col.f32.f16.f16.f32"'
// RUN: %{run}

// RUN: %clang_gpu %{define} -DNO_WAIT %s -o %t.ll
// RUN: not scaling-simt %t.ll --grid 4,8 --block 32 --input %t.a.npy --input %t.b.npy --output %t.c.npy:f32:64x64 2>&1 | FileCheck %s --check-prefix=WAIT
// WAIT: fault: race: shared memory

// CHECK: "async_copies": {{[1-9]}}
// CHECK: "matrix_moves": {{256|128}},
// CHECK-NEXT: "matrix_multiplies": {{128|64}},
// CHECK: "bank_conflicts": 0,

// RUN: %clang_gpu %{define} -DOTHER %s -o %t.ll
// RUN: not scaling-simt %t.ll --grid 4,8 --block 32 --input %t.a.npy --input %t.b.npy --output %t.c.npy:f32:64x64 2>&1 | FileCheck %s --check-prefix=OTHER
// OTHER: inline assembly '@p cp.async.wait_all;' in 'products' is not supported by the emulator

#include "Inputs/gpu.h"

// Bytes of 32 entries, and of a row of shared memory.
enum { depth = 32 * SIZE, pitch = depth + 16 };

DEVICE unsigned sharedAddress(const void *p) {
  return (unsigned)(unsigned long)(__attribute__((address_space(3))) void *)p;
}

DEVICE void stage(char *to, const char *from, int rows) {
  for (int chunk = thread(); chunk < rows * depth / 16; chunk += 32) {
    int row = chunk / (depth / 16), at = chunk % (depth / 16) * 16;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                 :: "r"(sharedAddress(to + row * pitch + at)),
                    "l"(from + row * depth + at) : "memory");
  }
}

// c[i][j] = sum over k of a[i][k] b[j][k], 16 by 8 entries for each warp.
KERNEL products(const char *a, const char *b, float *c) {
  SHARED char tileA[16 * pitch] __attribute__((aligned(16)));
  SHARED char tileB[8 * pitch] __attribute__((aligned(16)));
  int row = __nvvm_read_ptx_sreg_ctaid_x() * 16;
  int column = __nvvm_read_ptx_sreg_ctaid_y() * 8;
  stage(tileA, a + row * depth, 16);
  stage(tileB, b + column * depth, 8);
  asm volatile("cp.async.commit_group;" ::: "memory");
#ifdef OTHER
  asm volatile("@p cp.async.wait_all;" ::: "memory");
#endif
#ifndef NO_WAIT
  asm volatile("cp.async.wait_group 0;" ::: "memory");
#endif
  asm volatile("bar.sync 0;" ::: "memory");
  int lane = thread(), group = lane / 8, line = lane % 8;
  float d[4] = {0, 0, 0, 0};
  for (int k = 0; k < depth; k += 32) {
    unsigned x[4], y[2];
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
        : "r"(sharedAddress(tileA + (line + group % 2 * 8) * pitch + k +
                            group / 2 * 16)));
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared::cta.b16 {%0, %1}, [%2];"
                 : "=r"(y[0]), "=r"(y[1])
                 : "r"(sharedAddress(tileB + line * pitch + k + group % 2 * 16)));
    asm volatile("mma.sync.aligned." MMA
                 " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]),
                   "r"(y[1]));
  }
  for (int i = 0; i < 4; ++i)
    c[(row + lane / 4 + i / 2 * 8) * 64 + column + lane % 4 * 2 + i % 2] = d[i];
}
