// RUN: scaling-opt %s --scaling-expand-memrefs | FileCheck %s

// CHECK-DAG: #[[$MAP:.*]] = affine_map<()[s0] -> (s0 * 24)>

// CHECK-LABEL: func.func @contiguous
// CHECK: memref.copy
func.func @contiguous(%a: memref<?x4xf32>, %b: memref<?x4xf32>) {
  memref.copy %a, %b : memref<?x4xf32> to memref<?x4xf32>
  return
}

// CHECK-LABEL: func.func @strided
// CHECK-NOT: memref.copy
// CHECK: linalg.generic
func.func @strided(%a: memref<?x4xf32, strided<[8, 1], offset: ?>>, %b: memref<?x4xf32>) {
  memref.copy %a, %b : memref<?x4xf32, strided<[8, 1], offset: ?>> to memref<?x4xf32>
  return
}

// CHECK-LABEL: func.func @unknown_sizes
// CHECK-SAME: %[[A:.*]]: memref<?x3x8xf32>, %[[M:.*]]: index, %[[N:.*]]: index
// CHECK: %[[BASE:[a-z_0-9]+]], {{.*}} = memref.extract_strided_metadata %[[A]]
// CHECK: %[[STRIDE:.*]] = affine.apply #[[$MAP]]()[%[[N]]]
// CHECK: memref.reinterpret_cast %[[BASE]] to offset: [0], sizes: [%[[M]], %[[N]], 3, 8], strides: [%[[STRIDE]], 24, 8, 1]
func.func @unknown_sizes(%a: memref<?x3x8xf32>, %m: index, %n: index) -> memref<?x?x3x8xf32> {
  %e = memref.expand_shape %a [[0, 1], [2], [3]] output_shape [%m, %n, 3, 8] : memref<?x3x8xf32> into memref<?x?x3x8xf32>
  return %e : memref<?x?x3x8xf32>
}

// CHECK-LABEL: func.func @one_unknown_size
// CHECK: memref.expand_shape
func.func @one_unknown_size(%a: memref<?xf32>, %m: index) -> memref<?x4xf32> {
  %e = memref.expand_shape %a [[0, 1]] output_shape [%m, 4] : memref<?xf32> into memref<?x4xf32>
  return %e : memref<?x4xf32>
}
