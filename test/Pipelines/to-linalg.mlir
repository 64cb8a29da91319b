// RUN: scaling-opt %s --scaling-to-linalg | FileCheck %s
// RUN: scaling-opt %s --scaling-to-linalg --scaling-bufferize | FileCheck %s --check-prefix=LOOP

// Nothing of the dialect is left; the loop is rolled.

// CHECK-LABEL: func.func @project
// CHECK-NOT: scaling.
// CHECK: %[[C20:.*]] = arith.constant 20 : index
// CHECK: scf.for %{{.*}} to %[[C20]]
// CHECK-COUNT-4: linalg.generic
// CHECK: scf.yield

// Bufferized: no allocation and no copy in the loop.

// LOOP-LABEL: func.func @project
// LOOP: scf.for
// LOOP-NOT: memref.alloc
// LOOP-NOT: memref.copy
// LOOP-NOT: linalg.copy
// LOOP: math.exp
func.func @project(%z: tensor<64x32xf32>) -> tensor<64x32xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<64x32xf32>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<log>)
  return %P : tensor<64x32xf32>
}
