; Memory as MLIR and others write it: memrefs, address spaces, variables of the
; module, masks, copies, narrow types.

; RUN: %python %S/Inputs/make.py %t.npy f4 4x8
; RUN: scaling-simt %s --entry memref --memref --block 8 --input %t.npy --output %t.o.npy:f32:4x8
; RUN: cmp %t.npy %t.o.npy

; RUN: scaling-simt %s --entry variables --block 4 --output %t.o.npy:i32:4 --report %t.json
; RUN: %python -c "import struct; print(struct.unpack('<4i', open(r'%t.o.npy', 'rb').read()[-16:]))" | FileCheck %s --check-prefix=VARIABLES
; VARIABLES: (17, 18, 19, 20)
; RUN: FileCheck %s --check-prefix=VARIABLES-REPORT --input-file %t.json
; VARIABLES-REPORT: "bytes": 16,
; VARIABLES-REPORT-NEXT: "name": "variable 'table'",

; RUN: scaling-simt %s --entry masked --block 4 --input %t.npy --output %t.o.npy:f32:16
; RUN: not scaling-simt %s --entry masked --block 5 --input %t.npy --output %t.o.npy:f32:16 2>&1 | FileCheck %s --check-prefix=MASKED
; MASKED: fault: out-of-bounds: thread (4,0,0) of CTA (0,0,0) writes 4 bytes 0 bytes past the end of argument 1

; The back end's pass reads over a gap: what is in it need not be there.
; RUN: scaling-simt %s --entry gap --block 1 --output %t.o.npy:f32:8
; RUN: %python -c "import struct; print(struct.unpack('<4f', open(r'%t.o.npy', 'rb').read()[-16:]))" | FileCheck %s --check-prefix=GAP
; GAP: (2.0, 2.0, 2.0, 2.0)

; RUN: scaling-simt %s --entry copies --block 1 --shared 64 --input %t.npy --output %t.o.npy:f32:16
; RUN: not scaling-simt %s --entry copies --block 1 --shared 32 --input %t.npy --output %t.o.npy:f32:16 2>&1 | FileCheck %s --check-prefix=COPIES
; COPIES: fault: out-of-bounds: thread (0,0,0) of CTA (0,0,0) writes 16 bytes 0 bytes past the end of shared memory of 32 bytes: copies, block %0: call void @llvm.memcpy

; RUN: scaling-simt %s --entry narrow --block 8 --scalar 1.5:f16 --scalar 2.0:bf16 --output %t.o.npy:bf16:8
; RUN: %python -c "import struct; print(['%%x' %% x for x in struct.unpack('<8H', open(r'%t.o.npy', 'rb').read()[-16:])])" | FileCheck %s --check-prefix=NARROW
; 1.5 + 2 + lane, in the upper half of an f32.
; NARROW: ['4060', '4090', '40b0', '40d0', '40f0', '4108', '4118', '4128']

; Neighbours in one word do not race.
; RUN: not scaling-simt %s --entry narrow --block 9 --scalar 1.5:f16 --scalar 2.0:bf16 --output %t.o.npy:bf16:8 2>&1 | FileCheck %s --check-prefix=NARROW-BOUNDS
; NARROW-BOUNDS: fault: out-of-bounds
; NARROW-BOUNDS-NOT: fault

; RUN: scaling-simt %s --entry atomics --grid 3 --block 64 --zeros f32:2 --output %t.o.npy:f32:1
; RUN: %python -c "import struct; print(struct.unpack('<f', open(r'%t.o.npy', 'rb').read()[-4:]))" | FileCheck %s --check-prefix=ATOMICS
; ATOMICS: (192.0,)

; RUN: scaling-simt %s --entry address --block 32 --output %t.o.npy:i32:32
; RUN: %python -c "import struct; print(sum(struct.unpack('<32i', open(r'%t.o.npy', 'rb').read()[-128:])))" | FileCheck %s --check-prefix=ADDRESS
; ADDRESS: 496

; A load that promises that nobody writes.
; RUN: not scaling-simt %s --entry invariant --block 1 --zeros i32:1 --output %t.o.npy:i32:1 2>&1 | FileCheck %s --check-prefix=STALE
; STALE: fault: stale: argument 0 at byte 0: read as memory that never changes by thread (0,0,0)
; STALE-NEXT: written by thread (0,0,0) of CTA (0,0,0) at invariant, block %0: store i32 1, ptr %p

target datalayout = "e-p3:32:32-p4:32:32-p5:32:32-p6:32:32-p7:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64"
target triple = "nvptx64-nvidia-cuda"

@table = internal addrspace(4) constant [4 x i32] [i32 10, i32 11, i32 12, i32 13]
@seven = internal addrspace(1) global i32 7
@dynamic = external addrspace(3) global [0 x float], align 16
@static = internal addrspace(3) global [32 x i32] poison, align 4

declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()

define ptx_kernel void @memref(ptr %a, ptr %aa, i64 %ao, i64 %a0, i64 %a1, i64 %as0, i64 %as1,
                               ptr %b, ptr %ba, i64 %bo, i64 %b0, i64 %b1, i64 %bs0, i64 %bs1) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %column = zext i32 %t to i64
  br label %loop
loop:
  %row = phi i64 [ 0, %entry ], [ %next, %loop ]
  %i = mul i64 %row, %as0
  %j = mul i64 %column, %as1
  %k = add i64 %i, %j
  %from = getelementptr float, ptr %aa, i64 %k
  %x = load float, ptr %from
  %to = getelementptr float, ptr %ba, i64 %k
  store float %x, ptr %to
  %next = add i64 %row, 1
  %done = icmp eq i64 %next, %b0
  br i1 %done, label %exit, label %loop
exit:
  ret void
}

define ptx_kernel void @variables(ptr addrspace(1) %o) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %p = getelementptr [4 x i32], ptr addrspace(4) @table, i32 0, i32 %t
  %x = load i32, ptr addrspace(4) %p
  %y = load i32, ptr addrspacecast (ptr addrspace(1) @seven to ptr)
  %z = add i32 %x, %y
  %q = getelementptr i32, ptr addrspace(1) %o, i32 %t
  store i32 %z, ptr addrspace(1) %q
  ret void
}

declare <4 x float> @llvm.masked.load.v4f32.p0(ptr, <4 x i1>, <4 x float>)
declare void @llvm.masked.store.v4f32.p0(<4 x float>, ptr, <4 x i1>)
define ptx_kernel void @masked(ptr %a, ptr %o) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %odd = trunc i32 %t to i1
  %m = insertelement <4 x i1> <i1 true, i1 true, i1 true, i1 true>, i1 %odd, i32 3
  %p = getelementptr <4 x float>, ptr %a, i32 %t
  %x = call <4 x float> @llvm.masked.load.v4f32.p0(ptr align 16 %p, <4 x i1> %m, <4 x float> zeroinitializer)
  %q = getelementptr <4 x float>, ptr %o, i32 %t
  call void @llvm.masked.store.v4f32.p0(<4 x float> %x, ptr align 16 %q, <4 x i1> %m)
  ret void
}

define ptx_kernel void @gap(ptr align 16 %o) {
  %o2 = getelementptr float, ptr %o, i64 2
  %o3 = getelementptr float, ptr %o, i64 3
  store volatile float 2.0, ptr %o, align 16
  store volatile float 2.0, ptr %o2, align 8
  store volatile float 2.0, ptr %o3, align 4
  %a = load float, ptr %o, align 16
  %c = load float, ptr %o2, align 8
  %d = load float, ptr %o3, align 4
  %x = insertelement <4 x float> poison, float %a, i32 0
  %y = insertelement <4 x float> %x, float %c, i32 1
  %z = insertelement <4 x float> %y, float %d, i32 2
  %w = insertelement <4 x float> %z, float %d, i32 3
  %q = getelementptr float, ptr %o, i64 4
  store <4 x float> %w, ptr %q, align 16
  ret void
}

declare void @llvm.memcpy.p3.p0.i64(ptr addrspace(3), ptr, i64, i1)
declare void @llvm.memcpy.p0.p3.i64(ptr, ptr addrspace(3), i64, i1)
define ptx_kernel void @copies(ptr %a, ptr %o) {
  call void @llvm.memcpy.p3.p0.i64(ptr addrspace(3) align 16 @dynamic, ptr align 16 %a, i64 64, i1 false)
  call void @llvm.memcpy.p0.p3.i64(ptr align 16 %o, ptr addrspace(3) align 16 @dynamic, i64 64, i1 false)
  ret void
}

define ptx_kernel void @narrow(half %a, bfloat %b, ptr %o) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %x = fpext half %a to float
  %y = fpext bfloat %b to float
  %z = uitofp i32 %t to float
  %xy = fadd float %x, %y
  %xyz = fadd float %xy, %z
  %r = fptrunc float %xyz to bfloat
  %p = getelementptr bfloat, ptr %o, i32 %t
  store bfloat %r, ptr %p
  ret void
}

; The last one to come writes the sum.
define ptx_kernel void @atomics(ptr %sum, ptr %o) {
  %1 = atomicrmw fadd ptr %sum, float 1.0 syncscope("device") monotonic
  %2 = fadd float %1, 1.0
  %last = fcmp oeq float %2, 192.0
  br i1 %last, label %then, label %exit
then:
  store float %2, ptr %o
  br label %exit
exit:
  ret void
}

; Shared addresses have 32 bits.
define ptx_kernel void @address(ptr %o) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %base = ptrtoint ptr addrspace(3) @static to i32
  %bytes = shl i32 %t, 2
  %at = add i32 %base, %bytes
  %p = inttoptr i32 %at to ptr addrspace(3)
  store i32 %t, ptr addrspace(3) %p
  %x = load i32, ptr addrspace(3) %p
  %q = getelementptr i32, ptr %o, i32 %t
  store i32 %x, ptr %q
  ret void
}

define ptx_kernel void @invariant(ptr %p, ptr %o) {
  store i32 1, ptr %p
  %x = load i32, ptr %p, !invariant.load !0
  store i32 %x, ptr %o
  ret void
}

!0 = !{}
