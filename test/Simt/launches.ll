; Kernels that are launched until the first word of their state is -1.

; What another block has written in an earlier launch is no race, nor stale.
; RUN: scaling-simt %s --entry two --grid 2 --block 32 --state i32:32 --scratch i32:64 --output %t.npy:i32:64 --report %t.json
; RUN: FileCheck %s --check-prefix=TWO --input-file %t.json
; RUN: %python -c "import struct; print(set(struct.unpack('<64i', open(r'%t.npy', 'rb').read()[-256:])))" | FileCheck %s --check-prefix=RESULT
; TWO: "barriers": 4,
; TWO: "launches": 2,
; RESULT: {8}
define ptx_kernel void @two(ptr %state, ptr %scratch, ptr %out) {
  %tid = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %block = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %at = mul i32 %block, 16
  %label = getelementptr i32, ptr %state, i32 %at
  %launch = load i32, ptr %label
  %first = mul i32 %block, 32
  %mine = add i32 %first, %tid
  %other = sub i32 63, %mine
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  %is.again = icmp eq i32 %launch, 1
  br i1 %is.again, label %again, label %begin
begin:
  %own = getelementptr i32, ptr %scratch, i32 %mine
  store i32 7, ptr %own
  br label %end
again:
  %theirs = getelementptr i32, ptr %scratch, i32 %other
  %seen = load i32, ptr %theirs, !invariant.load !0
  %more = add i32 %seen, 1
  %place = getelementptr i32, ptr %out, i32 %mine
  store i32 %more, ptr %place
  br label %end
end:
  %next = phi i32 [ 1, %begin ], [ -1, %again ]
  %is.first = icmp eq i32 %tid, 0
  br i1 %is.first, label %tell, label %leave
tell:
  store i32 %next, ptr %label
  br label %leave
leave:
  ret void
}

; Shared memory does not outlive a launch.
; RUN: not scaling-simt %s --entry shared --block 1 --shared 4 --state i32:1 2>&1 | FileCheck %s --check-prefix=SHARED
; SHARED: fault: uninitialised: shared memory at byte 0: read by thread (0,0,0)
@memory = external addrspace(3) global [0 x i32]
define ptx_kernel void @shared(ptr %state) {
  %launch = load i32, ptr %state
  %is.again = icmp eq i32 %launch, 1
  br i1 %is.again, label %again, label %begin
begin:
  store i32 -1, ptr addrspace(3) @memory
  store i32 1, ptr %state
  ret void
again:
  %seen = load i32, ptr addrspace(3) @memory
  store i32 %seen, ptr %state
  ret void
}

; RUN: not scaling-simt %s --entry endless --block 1 --state i32:1 2>&1 | FileCheck %s --check-prefix=ENDLESS
; ENDLESS: fault: deadlock: the kernel is not done after 65536 launches
define ptx_kernel void @endless(ptr %state) {
  store i32 1, ptr %state
  ret void
}

; RUN: not scaling-simt %s --entry endless --block 1 --state i8:3 2>&1 | FileCheck %s --check-prefix=SMALL
; SMALL: error: argument 0: a state has a word at least: 'i8:3' is smaller

!0 = !{}
