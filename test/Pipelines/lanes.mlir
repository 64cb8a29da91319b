// RUN: scaling-opt %s --scaling-to-cpu="vector-bits=512" | FileCheck %s

// Tiny matrices: the body that threads run has no call, no allocation and no
// scalar arithmetic; vectors are shuffled on the way in and on the way out.

// CHECK-LABEL: llvm.func @mhc_team
// CHECK-NOT: llvm.call
// CHECK-NOT: llvm.f{{add|sub|mul|div}} {{.*}} : f32
// CHECK-COUNT-64: llvm.shufflevector
// CHECK-NOT: llvm.shufflevector {{.*}} [0, 16,
// CHECK-NOT: llvm.call
// CHECK-NOT: llvm.f{{add|sub|mul|div}} {{.*}} : f32
// CHECK: llvm.fdiv {{.*}} : vector<16xf32>
// CHECK-NOT: llvm.call
// CHECK-NOT: llvm.f{{add|sub|mul|div}} {{.*}} : f32
// CHECK-COUNT-64: llvm.shufflevector
// CHECK-NOT: llvm.call
// CHECK: llvm.return
func.func @mhc(%z: tensor<65536x4x4xf32>) -> tensor<65536x4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<65536x4x4xf32>) preset(mhc)
    {scaling.schedule = #scaling.schedule<tiny_batched, lanes = 16>}
  return %P : tensor<65536x4x4xf32>
}
