; ldmatrix and stmatrix: matrices of eight by eight halves, and their transposes.

; RUN: scaling-simt %s --entry load --output %t.npy:i32:4x32 --report %t.json
; RUN: %python %S/Inputs/show.py %t.npy | FileCheck %s
; Element (row, column) of the first matrix is 8 * row + column; lane 4 * row +
; column / 2 has two of them, the first in the lower half.
; CHECK: [65536, 196610, 327684, 458758, 589832, 720906,
; The second one begins at 64.
; CHECK-NEXT: [4259904, 4390978,
; Transposed: lane 0 has (0, 0) and (1, 0).
; CHECK-NEXT: [524288, 1572880, 2621472, 3670064, 589825,
; Stored and loaded again.
; CHECK-NEXT: [65536, 196610, 327684, 458758, 589832, 720906,
; RUN: FileCheck %s --check-prefix=REPORT --input-file %t.json
; REPORT: "matrix_moves": 3,
; Only the four stores that fill the matrices have one each.
; REPORT: "bank_conflicts": 4,

; RUN: not scaling-simt %s --entry load --block 16 --output %t.npy:i32:4x32 2>&1 | FileCheck %s --check-prefix=HALF
; HALF: fault: mask: thread ({{[0-9]+}},0,0) of CTA (0,0,0) needs all 32 lanes of its warp

target triple = "nvptx64-nvidia-cuda"

@m = internal addrspace(3) global [128 x i16] poison, align 16
@n = internal addrspace(3) global [64 x i16] poison, align 16

declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare void @llvm.nvvm.bar.warp.sync(i32)
declare {i32, i32} @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x2.b16.p3(ptr addrspace(3))
declare i32 @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x1.trans.b16.p3(ptr addrspace(3))
declare void @llvm.nvvm.stmatrix.sync.aligned.m8n8.x1.b16.p3(ptr addrspace(3), i32)

define ptx_kernel void @load(ptr %o) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %t2 = mul i32 %t, 4
  br label %fill
fill:
  %i = phi i32 [ 0, %0 ], [ %next, %fill ]
  %e = add i32 %t2, %i
  %h = trunc i32 %e to i16
  %p = getelementptr i16, ptr addrspace(3) @m, i32 %e
  store i16 %h, ptr addrspace(3) %p
  %next = add i32 %i, 1
  %more = icmp ult i32 %next, 4
  br i1 %more, label %fill, label %filled
filled:
  call void @llvm.nvvm.bar.warp.sync(i32 -1)
  %row16 = and i32 %t, 15
  %row = getelementptr [8 x i16], ptr addrspace(3) @m, i32 %row16
  %two = call {i32, i32} @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x2.b16.p3(ptr addrspace(3) %row)
  %a = extractvalue {i32, i32} %two, 0
  %b = extractvalue {i32, i32} %two, 1
  %c = call i32 @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x1.trans.b16.p3(ptr addrspace(3) %row)
  %row8 = and i32 %t, 7
  %to = getelementptr [8 x i16], ptr addrspace(3) @n, i32 %row8
  call void @llvm.nvvm.stmatrix.sync.aligned.m8n8.x1.b16.p3(ptr addrspace(3) %to, i32 %a)
  call void @llvm.nvvm.bar.warp.sync(i32 -1)
  %back = getelementptr i32, ptr addrspace(3) @n, i32 %t
  %d = load i32, ptr addrspace(3) %back
  %q0 = getelementptr i32, ptr %o, i32 %t
  store i32 %a, ptr %q0
  %q1 = getelementptr i32, ptr %q0, i32 32
  store i32 %b, ptr %q1
  %q2 = getelementptr i32, ptr %q0, i32 64
  store i32 %c, ptr %q2
  %q3 = getelementptr i32, ptr %q0, i32 96
  store i32 %d, ptr %q3
  ret void
}
