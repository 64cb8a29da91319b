// RUN: scaling-opt %s --split-input-file --scaling-to-nvvm="chip=sm_90 format=isa" | sed "s,\\\\0A,\n,g" | FileCheck %s
// RUN: scaling-opt %s --split-input-file --scaling-to-nvvm=chip=sm_80 | FileCheck %s --check-prefix=NVVM
// RUN: not scaling-opt %s --split-input-file --scaling-to-nvvm=chip=sm_20 2>&1 | FileCheck %s --check-prefix=CHIP

// CHIP: error: unknown chip 'sm_20'

// A matrix of the batch is in the registers of a thread: 16 bytes are moved at a
// time, neighbours by neighbours, through shared memory; all iterations are one
// loop, and nothing is called.

// CHECK-LABEL: .entry mhc(
// CHECK-NOT: .local
// CHECK-NOT: __nv_
// CHECK-NOT: call
// CHECK: ld.global.nc.v4.b32
// CHECK-NOT: ld.global
// CHECK: st.shared.v4.b32
// CHECK: bar.sync
// CHECK-COUNT-4: ld.shared.v4.b32
// CHECK-NOT: ld.shared
// CHECK: ex2.approx.ftz.f32
// CHECK: rcp.approx.f32
// CHECK-COUNT-4: st.shared.v4.b32
// CHECK: bar.sync
// CHECK: st.global.v4.b32
// CHECK-NOT: st.global
// CHECK: ret

// NVVM: llvm.func @mhc({{.*}}) attributes {{{.*}}gpu.kernel
// NVVM: "llvm.nvvm.ex2.approx.ftz.f"
func.func @mhc(%z: tensor<?x4x4xf32>) -> tensor<?x4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x4x4xf32>) preset(mhc)
  return %P : tensor<?x4x4xf32>
}

// -----

// A matrix per block, in shared memory: global memory is read before the
// iterations and written after them.

// CHECK-LABEL: .entry heads(
// CHECK-NOT: .local
// CHECK-NOT: st.global
// CHECK: ld.global.nc.b32
// CHECK-NOT: st.global
// CHECK: bar.sync
// CHECK-NOT: ld.global
// CHECK-NOT: st.global
// CHECK: shfl.sync.bfly.b32
// CHECK-NOT: ld.global
// CHECK: st.global.b32
// CHECK-NOT: ld.global
// CHECK: ret
func.func @heads(%z: tensor<?x197x197xf32>) -> tensor<?x197x197xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x197x197xf32>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<kernel>)
  return %P : tensor<?x197x197xf32>
}

// -----

// One matrix on the whole grid, whose blocks meet at barriers.

// CHECK-LABEL: .entry large(
// CHECK-NOT: .local
// CHECK: fence.acq_rel.gpu
// CHECK-NEXT: atom.global.add.u64
// CHECK: ld.relaxed.gpu.global.b64
// CHECK: fence.acq_rel.gpu
// CHECK: bar.sync
// CHECK: ret
func.func @large(%z: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x?xf32>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<kernel>)
  return %P : tensor<?x?xf32>
}
