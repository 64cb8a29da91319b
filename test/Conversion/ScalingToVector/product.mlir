// RUN: scaling-opt %s --scaling-lower-to-vector --canonicalize --cse \
// RUN:   --split-input-file | FileCheck %s

// Eight rows and two vectors of columns are in registers; a block of the inner
// dimension of these columns is on the stack.

// CHECK-LABEL: func @product
// CHECK-SAME: (%[[A:[^:]*]]: memref<64x1000xf32>, %[[B:[^:]*]]: memref<1000x512xf32>, %[[C:.*]]: memref<64x512xf32>)
// CHECK:      %[[PANEL:.*]] = memref.alloca() {alignment = 64 : i64, scaling.panel} : memref<256x32xf32>
// CHECK:      scf.for {{.*}} step %c256
// CHECK:        scf.for {{.*}} step %c32
// CHECK:          scf.for
// CHECK-COUNT-2:    vector.store %{{.*}}, %[[PANEL]]
// CHECK:          scf.for {{.*}} step %c8
// CHECK-COUNT-16:   vector.load %[[C]]
// CHECK:            scf.for
// CHECK-COUNT-2:      vector.load %[[PANEL]]
// CHECK-COUNT-16:     math.fma
// CHECK-NOT:          math.fma
// CHECK-COUNT-16:   vector.store %{{.*}}, %[[C]]
func.func @product(%a: memref<64x1000xf32>, %b: memref<1000x512xf32>, %c: memref<64x512xf32>) {
  linalg.matmul ins(%a, %b : memref<64x1000xf32>, memref<1000x512xf32>) outs(%c : memref<64x512xf32>)
  return
}

// -----

// Columns that fit the first cache are read where they are, and so are those
// that few rows read.

// CHECK-LABEL: func @small
// CHECK-NOT: memref.alloca
// CHECK: math.fma
// CHECK: return
func.func @small(%a: memref<64x32xf32>, %b: memref<32x32xf32>, %c: memref<64x32xf32>,
                 %d: memref<4x1000xf32>, %e: memref<1000x512xf32>, %f: memref<4x512xf32>) {
  linalg.matmul ins(%a, %b : memref<64x32xf32>, memref<32x32xf32>) outs(%c : memref<64x32xf32>)
  linalg.matmul ins(%d, %e : memref<4x1000xf32>, memref<1000x512xf32>) outs(%f : memref<4x512xf32>)
  return
}

// -----

// Columns that do not lie side by side do on the stack. All products of a
// function use the same.

// CHECK-LABEL: func @transposed
// CHECK-COUNT-1: memref.alloca
// CHECK-NOT: memref.alloca
// CHECK: memref.store
// CHECK: math.fma
func.func @transposed(%a: memref<?x?xf32>, %b: memref<?x?xf32>, %c: memref<?x?xf32>) {
  linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%a, %b : memref<?x?xf32>, memref<?x?xf32>) outs(%c : memref<?x?xf32>)
  linalg.matmul ins(%a, %b : memref<?x?xf32>, memref<?x?xf32>) outs(%c : memref<?x?xf32>)
  return
}

// -----

// Sums that keep their dimension, of open sizes, and with the state second, as
// torch-mlir writes them, are vectors.

// CHECK-LABEL: func @sums
// CHECK: vector.maskedload
// CHECK: arith.addf {{.*}} : vector<16xf32>
// CHECK: memref.store %{{.*}}, %{{.*}}[%{{.*}}, %c0]
func.func @sums(%x: memref<?x?xf32>, %s: memref<?x1xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, 0)>],
                  iterator_types = ["parallel", "reduction"]}
      ins(%x : memref<?x?xf32>) outs(%s : memref<?x1xf32>) {
  ^bb0(%in: f32, %out: f32):
    %0 = arith.addf %in, %out : f32
    linalg.yield %0 : f32
  }
  return
}
