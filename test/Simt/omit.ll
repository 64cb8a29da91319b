; Which barriers and fences a launch needs.

; RUN: scaling-simt %s --entry barriers --block 64 --scalar 1:i32 --output %t.o.npy:i32:64 --omit-each --report %t.json 2>&1 | FileCheck %s
; CHECK-NOT: {{.}}
; CHECK: not missed: barriers, block %rare: call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0), where no thread came
; CHECK-NEXT: not missed: barriers, block %end: call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
; CHECK-NOT: {{.}}

; RUN: FileCheck %s --check-prefix=REPORT --input-file %t.json
; REPORT: "faults": [],
; REPORT: "orders": [
; REPORT-NEXT: {
; REPORT-NEXT: "fault": "uninitialised",
; REPORT-NEXT: "position": "barriers, block %0: call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)",
; REPORT-NEXT: "times": 64
; REPORT-NEXT: },
; REPORT-NEXT: {
; REPORT-NEXT: "fault": null,
; REPORT-NEXT: "position": "barriers, block %rare:
; REPORT-NEXT: "times": 0
; REPORT-NEXT: },
; REPORT-NEXT: {
; REPORT-NEXT: "fault": null,
; REPORT-NEXT: "position": "barriers, block %end:
; REPORT-NEXT: "times": 64
; REPORT-NEXT: }
; REPORT-NEXT: ]

; The result is that of the launch with all of them.
; RUN: %python -c "import struct; print(struct.unpack('<4i', open(r'%t.o.npy', 'rb').read()[-256:-240]))" | FileCheck %s --check-prefix=RESULT
; RESULT: (32, 33, 34, 35)

; Every launch begins with the same variables and buffers.
; RUN: scaling-simt %s --entry blocks --grid 2 --block 1 --zeros i32:2 --output %t.o.npy:i32:1 --omit-each --report %t.json 2>&1 | count 0
; RUN: grep -c '"fault": "race"' %t.json | FileCheck %s --check-prefix=FENCES
; FENCES: 2

; A kernel that has a fault as it is: only that is reported.
; RUN: not scaling-simt %s --entry barriers --block 64 --scalar 1:i32 --output %t.o.npy:i32:63 --omit-each --report %t.json 2>&1 | FileCheck %s --check-prefix=FAULT
; FAULT: fault: out-of-bounds: thread (63,0,0)
; FAULT-NOT: not missed
; RUN: grep '"orders": \[\]' %t.json

target datalayout = "e-p3:32:32-p4:32:32-p5:32:32-p6:32:32-p7:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64"
target triple = "nvptx64-nvidia-cuda"

@shared = internal addrspace(3) global [64 x i32] poison, align 4
@arrived = internal addrspace(1) global i32 0

declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32)

define ptx_kernel void @barriers(i32 %n, ptr %out) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %own = getelementptr i32, ptr addrspace(3) @shared, i32 %t
  store i32 %t, ptr addrspace(3) %own
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  %u = xor i32 %t, 32
  %other = getelementptr i32, ptr addrspace(3) @shared, i32 %u
  %v = load i32, ptr addrspace(3) %other
  %many = icmp sgt i32 %n, 1
  br i1 %many, label %rare, label %end

rare:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  br label %end

end:
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  %to = getelementptr i32, ptr %out, i32 %t
  store i32 %v, ptr %to
  ret void
}

; The block that comes last adds what both have written.
define ptx_kernel void @blocks(ptr %values, ptr %out) {
  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %own = getelementptr i32, ptr %values, i32 %b
  store i32 %b, ptr %own
  fence syncscope("device") acq_rel
  %before = atomicrmw add ptr addrspace(1) @arrived, i32 1 syncscope("device") monotonic
  %isLast = icmp eq i32 %before, 1
  br i1 %isLast, label %last, label %end

last:
  fence syncscope("device") acq_rel
  %first = load i32, ptr %values
  %at = getelementptr i32, ptr %values, i32 1
  %second = load i32, ptr %at
  %sum = add i32 %first, %second
  store i32 %sum, ptr %out
  br label %end

end:
  ret void
}
