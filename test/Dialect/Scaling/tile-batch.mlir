// RUN: scaling-opt %s --scaling-select-schedule --scaling-tile-batch --canonicalize | FileCheck %s

// Side by side, one matrix a tile.

// CHECK-LABEL: func.func @side_by_side
// CHECK: scf.forall (%{{.*}}, %{{.*}}) in (%{{.*}}, 8)
// CHECK:   tensor.extract_slice {{.*}} : tensor<?x8x197x197xf32> to tensor<1x1x197x197xf32>
// CHECK:   scaling.project logits(%{{.*}} : tensor<1x1x197x197xf32>)
// CHECK:   scf.forall.in_parallel
func.func @side_by_side(%z: tensor<?x8x197x197xf32>) -> tensor<?x8x197x197xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x8x197x197xf32>) preset(sinkformer)
  return %P : tensor<?x8x197x197xf32>
}

// One after the other, a matrix takes all threads. A shared cost is not sliced.

// CHECK-LABEL: func.func @one_by_one
// CHECK-NOT: scf.forall
// CHECK: scf.for
// CHECK:   tensor.extract_slice {{.*}} : tensor<3x2048xf32> to tensor<1x2048xf32>
// CHECK:   scaling.sinkhorn cost(%{{.*}} : tensor<2048x2048xf32>) row_marginal(%{{.*}} : tensor<1x2048xf32>)
func.func @one_by_one(%C: tensor<2048x2048xf32>, %a: tensor<3x2048xf32>) -> tensor<3x2048xf32> {
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<2048x2048xf32>) row_marginal(%a : tensor<3x2048xf32>) preset(ott)
  return %f : tensor<3x2048xf32>
}

// Nobody reads what it makes.

// CHECK-LABEL: func.func @dead
// CHECK-NEXT: return
func.func @dead(%z: tensor<100x6x6xf32>) {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<100x6x6xf32>) preset(mhc)
  return
}

// Matrices without entries have no slices.

// CHECK-LABEL: func.func @nothing
// CHECK-NOT: scf.for
// CHECK: return
func.func @nothing(%z: tensor<8x0x100xf32>) -> tensor<8x0x100xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<8x0x100xf32>) preset(sinkformer)
  return %P : tensor<8x0x100xf32>
}
