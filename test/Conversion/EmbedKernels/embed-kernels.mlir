// RUN: scaling-opt %s --split-input-file --scaling-embed-kernels --verify-diagnostics | FileCheck %s

// CHECK-NOT: gpu.binary
// CHECK-DAG: llvm.mlir.global internal constant @scaling.cubin("code\00") {{.*}}alignment = 64
// CHECK-DAG: llvm.mlir.global internal constant @scaling.cubin.size(4 : i64)
// CHECK-DAG: llvm.mlir.global internal constant @scaling.ptx("text\00")
// CHECK-DAG: llvm.mlir.global internal constant @scaling.ptx.size(4 : i64)
// CHECK: llvm.func internal @scaling.unload()
// CHECK: llvm.call @scaling_cuda_unload
// CHECK: llvm.mlir.global_dtors dtors = [@scaling.unload]
module {
  llvm.mlir.global external constant @scaling.cubin() : !llvm.array<0 x i8>
  gpu.binary @kernels [#gpu.object<#nvvm.target, bin = "code">, #gpu.object<#nvvm.target, assembly = "text">]
}

// -----

// Without ptxas there is PTX alone.
// CHECK-DAG: llvm.mlir.global internal constant @scaling.cubin.size(0 : i64)
// CHECK: llvm.mlir.zero
module {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "text">]
}

// -----

module {
  // expected-error @below {{has an object that is neither a cubin nor PTX}}
  gpu.binary @kernels [#gpu.object<#nvvm.target, offload = "ir">]
}

// -----

module {
  gpu.binary @kernels [#gpu.object<#nvvm.target, assembly = "text">]
  // expected-error @below {{is the second binary}}
  gpu.binary @more [#gpu.object<#nvvm.target, assembly = "text">]
}
