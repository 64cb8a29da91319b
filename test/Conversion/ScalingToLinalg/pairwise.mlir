// RUN: scaling-opt %s --scaling-lower-to-linalg --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-lower-to-linalg --split-input-file \
// RUN:     --mlir-print-op-generic | mlir-opt --split-input-file -o /dev/null

// CHECK-DAG: #[[$X:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-DAG: #[[$Y:.*]] = affine_map<(d0, d1, d2) -> (d1, d2)>
// CHECK-DAG: #[[$C:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-LABEL: func.func @sqeuclidean(
// CHECK-SAME: %[[XS:.*]]: tensor<8x3xf32>, %[[YS:.*]]: tensor<4x3xf32>, %[[E:.*]]: tensor<8x4xf32>)
// CHECK: %[[Z:.*]] = linalg.fill {{.*}} outs(%[[E]] :
// CHECK: %[[R:.*]] = linalg.generic
// CHECK-SAME: indexing_maps = [#[[$X]], #[[$Y]], #[[$C]]]
// CHECK-SAME: iterator_types = ["parallel", "parallel", "reduction"]
// CHECK-SAME: ins(%[[XS]], %[[YS]] :
// CHECK-SAME: outs(%[[Z]] :
// CHECK: %[[D:.*]] = arith.subf
// CHECK: %[[Q:.*]] = arith.mulf %[[D]], %[[D]]
// CHECK: arith.addf
// CHECK: return %[[R]]
func.func @sqeuclidean(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %e: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %c = scaling.pairwise sqeuclidean points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %c : tensor<8x4xf32>
}

// -----

// CHECK-LABEL: func.func @euclidean(
// CHECK: linalg.generic
// CHECK: linalg.generic
// CHECK-NOT: reduction
// CHECK: math.sqrt
func.func @euclidean(%x: tensor<?x?xf64>, %y: tensor<?x?xf64>, %e: tensor<?x?xf64>) -> tensor<?x?xf64> {
  %c = scaling.pairwise euclidean points(%x, %y : tensor<?x?xf64>, tensor<?x?xf64>) outs(%e : tensor<?x?xf64>) -> tensor<?x?xf64>
  return %c : tensor<?x?xf64>
}

// -----

// A bf16 cost is accumulated in f32. One set of points is shared by the batch.

// CHECK-DAG: #[[$Y:.*]] = affine_map<(d0, d1, d2, d3) -> (d2, d3)>
// CHECK-LABEL: func.func @l1(
// CHECK: tensor.empty(%{{.*}}) : tensor<?x8x4xf32>
// CHECK: linalg.fill
// CHECK: linalg.generic
// CHECK-SAME: #[[$Y]]
// CHECK: math.absf
// CHECK: linalg.generic
// CHECK: arith.truncf {{.*}} : f32 to bf16
func.func @l1(%x: tensor<?x8x3xbf16>, %y: tensor<4x3xbf16>, %e: tensor<?x8x4xbf16>) -> tensor<?x8x4xbf16> {
  %c = scaling.pairwise l1 points(%x, %y : tensor<?x8x3xbf16>, tensor<4x3xbf16>) outs(%e : tensor<?x8x4xbf16>) -> tensor<?x8x4xbf16>
  return %c : tensor<?x8x4xbf16>
}

// -----

// Norms by reductions of each set; where one is zero the cost is 1.

// CHECK-LABEL: func.func @cosine(
// CHECK: %[[DOT:.*]] = linalg.generic
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK: %[[XN:.*]] = linalg.generic
// CHECK: math.sqrt
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK: %[[YN:.*]] = linalg.generic
// CHECK: math.sqrt
// CHECK: linalg.generic
// CHECK-SAME: ins(%[[DOT]], %[[XN]], %[[YN]] :
// CHECK-COUNT-2: arith.divf
// CHECK-COUNT-2: arith.select
func.func @cosine(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %e: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %c = scaling.pairwise cosine points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %c : tensor<8x4xf32>
}
