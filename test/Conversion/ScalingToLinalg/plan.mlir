// RUN: scaling-opt %s --scaling-lower-to-linalg --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-lower-to-linalg --split-input-file \
// RUN:     --mlir-print-op-generic | mlir-opt --split-input-file -o /dev/null

// One elementwise op; the widest type computes, the destination's comes out.

// CHECK-DAG: #[[$NM:.*]] = affine_map<(d0, d1, d2) -> (d1, d2)>
// CHECK-DAG: #[[$BN:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-DAG: #[[$M:.*]] = affine_map<(d0, d1, d2) -> (d2)>
// CHECK-DAG: #[[$ALL:.*]] = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
// CHECK-LABEL: func.func @log(
// CHECK-SAME: %[[X:.*]]: tensor<8x4xbf16>, %[[F:.*]]: tensor<3x8xf32>, %[[G:.*]]: tensor<4xf32>, %[[E:.*]]: tensor<3x8x4xbf16>)
// CHECK: %[[P:.*]] = linalg.generic
// CHECK-SAME: indexing_maps = [#[[$NM]], #[[$BN]], #[[$M]], #[[$ALL]]]
// CHECK-SAME: ins(%[[X]], %[[F]], %[[G]] :
// CHECK-SAME: outs(%[[E]] : tensor<3x8x4xbf16>)
// CHECK: math.exp {{.*}} : f32
// CHECK: arith.select
// CHECK: %[[R:.*]] = arith.truncf {{.*}} : f32 to bf16
// CHECK-NEXT: linalg.yield %[[R]]
// CHECK: return %[[P]]
func.func @log(%X: tensor<8x4xbf16>, %f: tensor<3x8xf32>, %g: tensor<4xf32>, %e: tensor<3x8x4xbf16>) -> tensor<3x8x4xbf16> {
  %p = scaling.plan domain(log) matrix(%X : tensor<8x4xbf16>) row(%f : tensor<3x8xf32>) col(%g : tensor<4xf32>)
    outs(%e : tensor<3x8x4xbf16>) -> tensor<3x8x4xbf16>
  return %p : tensor<3x8x4xbf16>
}

// -----

// The logarithm in the kernel domain; without factors there is nothing to mask.

// CHECK-LABEL: func.func @logarithm(
// CHECK: linalg.generic
// CHECK-NEXT: ^bb0
// CHECK-NEXT: math.log
// CHECK-NEXT: linalg.yield
func.func @logarithm(%K: tensor<?x?xf64>, %e: tensor<?x?xf64>) -> tensor<?x?xf64> {
  %p = scaling.plan domain(kernel) logarithm matrix(%K : tensor<?x?xf64>) outs(%e : tensor<?x?xf64>) -> tensor<?x?xf64>
  return %p : tensor<?x?xf64>
}

// -----

// Weights, and another layout: columns in front of rows.

// CHECK-DAG: #[[$ALL:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[$ROW:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK-DAG: #[[$COL:.*]] = affine_map<(d0, d1) -> (d0)>
// CHECK-LABEL: func.func @turned(
// CHECK: linalg.generic
// CHECK-SAME: indexing_maps = [#[[$ALL]], #[[$COL]], #[[$ROW]], #[[$ALL]]]
// CHECK-COUNT-2: arith.mulf
func.func @turned(%K: tensor<4x8xf32>, %v: tensor<4xf32>, %w: tensor<8xf32>, %e: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %p = scaling.plan domain(kernel) matrix(%K : tensor<4x8xf32>) col(%v : tensor<4xf32>) row_weight(%w : tensor<8xf32>)
    outs(%e : tensor<4x8xf32>) {dims = array<i64: 1, 0>} -> tensor<4x8xf32>
  return %p : tensor<4x8xf32>
}
