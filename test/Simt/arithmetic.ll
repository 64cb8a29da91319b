; Arithmetic of the device: roundings, subnormals, conversions that saturate,
; assembly of the closed list.

; RUN: scaling-simt %s --entry floats --block 1 --scalar 1.0:f32 --scalar 3.0:f32 --scalar 1.0e-40:f32 --output %t.o.npy:i32:8 --report %t.json
; RUN: %python -c "import struct; print([hex(x) for x in struct.unpack('<8I', open(r'%t.o.npy', 'rb').read()[-32:])])" | FileCheck %s
; A third, down and up; a subnormal kept and flushed; 2 to the power of 3 by the
; intrinsic and by assembly; 3 saturated; 3e9 as a signed integer.
; CHECK: ['0x3eaaaaaa', '0x3eaaaaab', '0x116c2', '0x0', '0x41000000', '0x41000000', '0x3f800000', '0x7fffffff']

; RUN: FileCheck %s --check-prefix=REPORT --input-file %t.json
; REPORT: "exponentials": 2,
; REPORT: "flops": 4,

target triple = "nvptx64-nvidia-cuda"

declare float @llvm.nvvm.div.rm.f(float, float)
declare float @llvm.nvvm.div.rp.f(float, float)
declare float @llvm.nvvm.mul.rn.f(float, float)
declare float @llvm.nvvm.mul.rn.ftz.f(float, float)
declare float @llvm.nvvm.ex2.approx.ftz.f32(float)
declare float @llvm.nvvm.saturate.f(float)
declare i32 @llvm.nvvm.f2i.rn(float)

define ptx_kernel void @floats(float %one, float %three, float %tiny, ptr %o) {
  %down = call float @llvm.nvvm.div.rm.f(float %one, float %three)
  %up = call float @llvm.nvvm.div.rp.f(float %one, float %three)
  %kept = call float @llvm.nvvm.mul.rn.f(float %tiny, float %one)
  %flushed = call float @llvm.nvvm.mul.rn.ftz.f(float %tiny, float %one)
  %eight = call float @llvm.nvvm.ex2.approx.ftz.f32(float %three)
  %again = call float asm "ex2.approx.ftz.f32 $0, $1;", "=f,f"(float %three)
  %saturated = call float @llvm.nvvm.saturate.f(float %three)
  %large = call i32 @llvm.nvvm.f2i.rn(float 3.0e9)
  store float %down, ptr %o
  %p1 = getelementptr float, ptr %o, i32 1
  store float %up, ptr %p1
  %p2 = getelementptr float, ptr %o, i32 2
  store float %kept, ptr %p2
  %p3 = getelementptr float, ptr %o, i32 3
  store float %flushed, ptr %p3
  %p4 = getelementptr float, ptr %o, i32 4
  store float %eight, ptr %p4
  %p5 = getelementptr float, ptr %o, i32 5
  store float %again, ptr %p5
  %p6 = getelementptr float, ptr %o, i32 6
  store float %saturated, ptr %p6
  %p7 = getelementptr i32, ptr %o, i32 7
  store i32 %large, ptr %p7
  ret void
}

; Conversions to two halves, the first in the upper one, and to tf32, by the
; intrinsic and by assembly.
; RUN: scaling-simt %s --entry halves --block 1 --scalar 1.0:f32 --scalar -3.0:f32 --output %t.h.npy:i32:6
; RUN: %python -c "import struct; print([hex(x) for x in struct.unpack('<6I', open(r'%t.h.npy', 'rb').read()[-24:])])" | FileCheck %s --check-prefix=HALVES
; HALVES: ['0x3f80c040', '0x3f80c040', '0x3c00c200', '0x3c00c200', '0x40400000', '0x40400000']

declare <2 x bfloat> @llvm.nvvm.ff2bf16x2.rn(float, float)
declare <2 x half> @llvm.nvvm.ff2f16x2.rn(float, float)
declare i32 @llvm.nvvm.f2tf32.rna(float)

define ptx_kernel void @halves(float %x, float %y, ptr %o) {
  %b = call <2 x bfloat> @llvm.nvvm.ff2bf16x2.rn(float %x, float %y)
  %b2 = call i32 asm "cvt.rn.bf16x2.f32 $0, $1, $2;", "=r,f,f"(float %x, float %y)
  %h = call <2 x half> @llvm.nvvm.ff2f16x2.rn(float %x, float %y)
  %h2 = call i32 asm "cvt.rn.f16x2.f32 $0, $1, $2;", "=r,f,f"(float %x, float %y)
  %three = fsub float 0.0, %y
  %above = fadd float %three, 0x3EB0000000000000
  %t = call i32 @llvm.nvvm.f2tf32.rna(float %above)
  %t2 = call i32 asm "cvt.rna.tf32.f32 $0, $1;", "=r,f"(float %above)
  store <2 x bfloat> %b, ptr %o
  %p1 = getelementptr i32, ptr %o, i32 1
  store i32 %b2, ptr %p1
  %p2 = getelementptr i32, ptr %o, i32 2
  store <2 x half> %h, ptr %p2
  %p3 = getelementptr i32, ptr %o, i32 3
  store i32 %h2, ptr %p3
  %p4 = getelementptr i32, ptr %o, i32 4
  store i32 %t, ptr %p4
  %p5 = getelementptr i32, ptr %o, i32 5
  store i32 %t2, ptr %p5
  ret void
}
