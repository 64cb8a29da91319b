// RUN: scaling-opt %s --scaling-lower-to-vector --canonicalize --cse \
// RUN:   --split-input-file | FileCheck %s

// Coordinates of 32 points of y are turned on the stack; sums of eight points
// of x are in registers from first to last.

// CHECK-LABEL: func @few_coordinates
// CHECK-SAME: (%[[X:.*]]: memref<64x3xf32>, %[[Y:.*]]: memref<64x3xf32>, %[[C:.*]]: memref<64x64xf32>)
// CHECK:         %[[T:.*]] = memref.alloca() {{.*}} : memref<3x32xf32>
// CHECK-NOT:     memref.alloca
// CHECK:         scf.for
// CHECK:           memref.store {{.*}} %[[T]]
// CHECK:           scf.for
// CHECK:             scf.for {{.*}} -> (vector<16xf32>,
// CHECK-COUNT-2:       vector.load %[[T]]
// CHECK-COUNT-8:       memref.load %[[X]]
// CHECK:               scf.yield
// CHECK-COUNT-16:    vector.store {{.*}} %[[C]]
func.func @few_coordinates(%x: memref<64x3xf32>, %y: memref<64x3xf32>, %C: memref<64x64xf32>) {
  scaling.pairwise sqeuclidean points(%x, %y : memref<64x3xf32>, memref<64x3xf32>)
      outs(%C : memref<64x64xf32>)
  return
}

// -----

// CHECK-LABEL: func @many_coordinates
// CHECK-DAG:     memref.alloca() {{.*}} : memref<64x16xf64>
// CHECK-DAG:     memref.alloca() {{.*}} : memref<64x16xf64>
// CHECK:         math.sqrt
func.func @many_coordinates(%x: memref<?x?xbf16>, %y: memref<?x?xbf16>, %C: memref<?x?xf64>) {
  scaling.pairwise cosine points(%x, %y : memref<?x?xbf16>, memref<?x?xbf16>)
      outs(%C : memref<?x?xf64>)
  return
}
