// RUN: scaling-opt %s --scaling-tile-batch | FileCheck %s --check-prefix=ALONE
// RUN: scaling-opt %s --scaling-tile-batch=side-by-side | FileCheck %s

// A large matrix takes all threads, unless every workgroup has only one.

// ALONE: scf.for
// ALONE-NOT: scf.forall
// CHECK: scf.forall (%{{.*}}) in (8)
func.func @f(%x: tensor<8x4096x4096xf32>) -> tensor<8x4096x4096xf32> {
  %P, %k, %r, %s = scaling.project logits(%x : tensor<8x4096x4096xf32>)
      preset(mhc) {scaling.schedule = #scaling.schedule<streaming>}
  return %P : tensor<8x4096x4096xf32>
}
