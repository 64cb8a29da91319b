// RUN: scaling-opt %s --scaling-lower-to-vector --canonicalize --cse \
// RUN:   --split-input-file | FileCheck %s

// Eight rows walk along the columns: entries are made in registers, once for
// both sums, and no matrix is anywhere.

// CHECK-LABEL: func @cloud
// CHECK-SAME: (%[[X:.*]]: memref<64x3xf32>, %[[Y:.*]]: memref<3x64xf32>, {{.*}}, %[[R:.*]]: memref<64xf32>, %[[S:.*]]: memref<64xf32>)
// CHECK-NOT:     memref.alloc
// CHECK:         scf.for
// CHECK:           scf.for {{.*}} -> (vector<16xf32>,
// CHECK-COUNT-3:     vector.load %[[Y]]
// CHECK-COUNT-8:     math.exp2 {{.*}} : vector<16xf32>
// CHECK-NOT:         math.exp2
// CHECK:             vector.store {{.*}} %[[S]]
// CHECK:             scf.yield
// CHECK:           vector.store {{.*}} %[[R]]
// CHECK-NOT:     call
func.func @cloud(%x: memref<64x3xf32>, %y: memref<3x64xf32>, %F: memref<64xf32>, %G: memref<64xf32>, %r: memref<64xf32>, %s: memref<64xf32>) {
  scaling.marginals points sqeuclidean(%x, %y : memref<64x3xf32>, memref<3x64xf32>)
      row(%F : memref<64xf32>) col(%G : memref<64xf32>)
      outs(%r, %s : memref<64xf32>, memref<64xf32>)
  return
}

// -----

// Many coordinates: sums of eight rows and two vectors in registers.

// CHECK-LABEL: func @deep
// CHECK-COUNT-3: scf.for
// CHECK-COUNT-2: vector.load
// CHECK-COUNT-16: math.fma
// CHECK-NOT:     math.fma
// CHECK:         scf.yield
func.func @deep(%x: memref<64x64xf32>, %y: memref<64x64xf32>, %r: memref<64xf32>, %s: memref<64xf32>) {
  scaling.marginals points sqeuclidean(%x, %y : memref<64x64xf32>, memref<64x64xf32>)
      outs(%r, %s : memref<64xf32>, memref<64xf32>)
  return
}

// -----

// Maxima need no exponential.

// CHECK-LABEL: func @largest
// CHECK-NOT:     math.exp
// CHECK:         arith.maximumf
func.func @largest(%C: memref<?x?xbf16>, %r: memref<?xf32>, %s: memref<?xf32>) {
  scaling.marginals largest matrix(%C : memref<?x?xbf16>) outs(%r, %s : memref<?xf32>, memref<?xf32>)
  return
}
