// RUN: scaling-opt %s --scaling-arrange-loops | FileCheck %s

// Rows, the sum, columns.
// CHECK-DAG: #[[$A:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-DAG: #[[$B:.*]] = affine_map<(d0, d1, d2) -> (d1, d2)>
// CHECK-DAG: #[[$C:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-DAG: #[[$X:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d2, d4)>
// CHECK-DAG: #[[$F:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d1, d2, d3)>
// CHECK-DAG: #[[$Y:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d4)>

// CHECK-LABEL: func @matmul
// CHECK: linalg.generic {indexing_maps = [#[[$A]], #[[$B]], #[[$C]]], iterator_types = ["parallel", "reduction", "parallel"]}
func.func @matmul(%a: memref<8x16xf32>, %b: memref<16x32xf32>, %c: memref<8x32xf32>) {
  linalg.matmul ins(%a, %b : memref<8x16xf32>, memref<16x32xf32>) outs(%c : memref<8x32xf32>)
  return
}

// CHECK-LABEL: func @convolution_of_size_one
// CHECK: linalg.generic {indexing_maps = [#[[$X]], #[[$F]], #[[$Y]]], iterator_types = ["parallel", "parallel", "reduction", "reduction", "parallel"]}
func.func @convolution_of_size_one(%x: memref<2x3x64xf32>, %f: memref<5x3x1xf32>, %y: memref<2x5x64xf32>) {
  linalg.conv_1d_ncw_fcw ins(%x, %f : memref<2x3x64xf32>, memref<5x3x1xf32>) outs(%y : memref<2x5x64xf32>)
  return
}

// The second operand runs across memory; a window of three entries is one; sums
// along rows have no other loop. They stay.
// CHECK-LABEL: func @others
// CHECK: linalg.matmul indexing_maps
// CHECK: linalg.conv_1d_ncw_fcw
// CHECK: iterator_types = ["parallel", "reduction"]
func.func @others(%a: memref<8x16xf32>, %b: memref<32x16xf32>, %c: memref<8x32xf32>,
                  %x: memref<2x3x66xf32>, %f: memref<5x3x3xf32>, %y: memref<2x5x64xf32>, %s: memref<8xf32>) {
  linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%a, %b : memref<8x16xf32>, memref<32x16xf32>) outs(%c : memref<8x32xf32>)
  linalg.conv_1d_ncw_fcw ins(%x, %f : memref<2x3x66xf32>, memref<5x3x3xf32>) outs(%y : memref<2x5x64xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
                  iterator_types = ["parallel", "reduction"]}
      ins(%a : memref<8x16xf32>) outs(%s : memref<8xf32>) {
    ^bb0(%in: f32, %out: f32):
      %0 = arith.addf %in, %out : f32
      linalg.yield %0 : f32
  }
  return
}
