// RUN: scaling-opt %s --scaling-entry-abi --scaling-to-linalg --scaling-bufferize | FileCheck %s

// Asking for the size of the result does not solve the problem.

// CHECK-LABEL: func.func @mhc(
// CHECK-SAME: memref<?x4x4xf32>, %{{[^:]*}}: memref<?x4x4xf32>, %{{[^:]*}}: memref<?xi32>)
// CHECK: scf.for
// CHECK-LABEL: func.func @mhc_result_dims(
// CHECK-NOT: scf.for
// CHECK: memref.dim
// CHECK-NOT: scf.for
// CHECK: return
func.func @mhc(%z: tensor<?x4x4xf32>) -> (tensor<?x4x4xf32>, tensor<?xi32> {scaling.result = "half_steps"}) {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x4x4xf32>) preset(mhc)
  return %P, %k : tensor<?x4x4xf32>, tensor<?xi32>
}
