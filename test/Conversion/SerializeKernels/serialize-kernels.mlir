// RUN: scaling-opt %s --scaling-describe-gpu=chip=sm_80 --scaling-serialize-kernels | FileCheck %s
// RUN: scaling-opt %s --scaling-describe-gpu --scaling-serialize-kernels=format=llvm | FileCheck %s --check-prefix=LLVM
// RUN: not scaling-opt %s --scaling-serialize-kernels 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: not scaling-opt %s --scaling-describe-gpu --scaling-serialize-kernels=format=elf 2>&1 | FileCheck %s --check-prefix=FORMAT

// CHECK: gpu.binary @kernels [#gpu.object<#nvvm.target<O = 3, chip = "sm_80", features = "+ptx80">, assembly =
// CHECK-SAME: .visible .entry fill(
// LLVM: define ptx_kernel void @fill(
// NONE: error: has no description of a GPU: run 'scaling-describe-gpu' first
// FORMAT: error: unknown format 'elf': there are llvm, isa, bin
gpu.module @kernels {
  llvm.func @fill(%p: !llvm.ptr) attributes {nvvm.kernel} {
    %c = llvm.mlir.constant(1.0 : f32) : f32
    llvm.store %c, %p : f32, !llvm.ptr
    llvm.return
  }
}
