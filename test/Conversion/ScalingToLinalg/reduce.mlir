// RUN: scaling-opt %s --scaling-lower-to-linalg --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-lower-to-linalg --split-input-file \
// RUN:     --mlir-print-op-generic | mlir-opt --split-input-file -o /dev/null

// One reduction, in the states' type; the matrix is extended entry by entry.

// CHECK-DAG: #[[$NM:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[$N:.*]] = affine_map<(d0, d1) -> (d0)>
// CHECK-DAG: #[[$M:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK-LABEL: func.func @sum_rows(
// CHECK-SAME: %[[K:.*]]: tensor<8x4xbf16>, %[[V:.*]]: tensor<4xf32>, %[[S:.*]]: tensor<8xf32>)
// CHECK: %[[R:.*]] = linalg.generic
// CHECK-SAME: indexing_maps = [#[[$NM]], #[[$M]], #[[$N]]]
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK-SAME: ins(%[[K]], %[[V]] : tensor<8x4xbf16>, tensor<4xf32>)
// CHECK-SAME: outs(%[[S]] : tensor<8xf32>)
// CHECK-NEXT: ^bb0(%[[KE:.*]]: bf16, %[[VE:.*]]: f32, %[[SE:.*]]: f32):
// CHECK-NEXT: %[[X:.*]] = arith.extf %[[KE]] : bf16 to f32
// CHECK-NEXT: %[[Y:.*]] = arith.mulf %[[X]], %[[VE]] : f32
// CHECK-NEXT: %[[A:.*]] = arith.addf %[[SE]], %[[Y]] : f32
// CHECK-NEXT: linalg.yield %[[A]] : f32
// CHECK: return %[[R]]
func.func @sum_rows(%K: tensor<8x4xbf16>, %v: tensor<4xf32>, %s: tensor<8xf32>) -> tensor<8xf32> {
  %r = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<8x4xbf16>)
    factor(%v : tensor<4xf32>) outs(%s : tensor<8xf32>) -> tensor<8xf32>
  return %r : tensor<8xf32>
}

// -----

// Columns: the other dimension is reduced. A masked entry adds nothing.

// CHECK-DAG: #[[$NM:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[$N:.*]] = affine_map<(d0, d1) -> (d0)>
// CHECK-DAG: #[[$M:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK-LABEL: func.func @sum_cols(
// CHECK-SAME: %{{.*}}: tensor<?x?xf64>, %{{.*}}: tensor<?xi1>, %[[SCALE:.*]]: f64
// CHECK: linalg.generic
// CHECK-SAME: indexing_maps = [#[[$NM]], #[[$N]], #[[$M]]]
// CHECK-SAME: iterator_types = ["reduction", "parallel"]
// CHECK-NEXT: ^bb0(%[[KE:.*]]: f64, %[[TAKES:.*]]: i1, %[[SE:.*]]: f64):
// CHECK: %[[Y:.*]] = arith.mulf %[[KE]], %[[SCALE]] : f64
// CHECK: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f64
// CHECK: %[[T:.*]] = arith.select %[[TAKES]], %[[Y]], %[[ZERO]] : f64
// CHECK: arith.addf %[[SE]], %[[T]] : f64
func.func @sum_cols(%K: tensor<?x?xf64>, %m: tensor<?xi1>, %scale: f64, %s: tensor<?xf64>) -> tensor<?xf64> {
  %r = scaling.reduce along(cols) stat(#scaling.sum) matrix(%K : tensor<?x?xf64>)
    mask(%m : tensor<?xi1>) scale(%scale : f64) outs(%s : tensor<?xf64>) -> tensor<?xf64>
  return %r : tensor<?xf64>
}

// -----

// Two passes, the second seen from the first's result: the sum that came in is
// moved to the new maximum before. The maximum keeps NaN.

// CHECK-LABEL: func.func @lse(
// CHECK-SAME: %[[X:.*]]: tensor<?x?xf32>, %[[G:.*]]: tensor<?xf32>, %[[O0:.*]]: tensor<?xf32>, %[[O1:.*]]: tensor<?xf32>)
// CHECK: %[[MAX:.*]] = linalg.generic
// CHECK-SAME: outs(%[[O0]] : tensor<?xf32>)
// CHECK: arith.addf
// CHECK: arith.maximumf
// CHECK: %[[MOVED:.*]] = linalg.generic
// CHECK-SAME: iterator_types = ["parallel"]
// CHECK-SAME: ins(%[[O1]], %[[O0]], %[[MAX]]
// CHECK: arith.subf
// CHECK: math.exp
// CHECK: arith.mulf
// CHECK: %[[SUM:.*]] = linalg.generic
// CHECK-SAME: ins(%[[X]], %[[G]], %[[MAX]]
// CHECK-SAME: outs(%[[MOVED]] : tensor<?xf32>)
// CHECK: arith.subf
// CHECK: math.exp
// CHECK: arith.addf
// CHECK: return %[[MAX]], %[[SUM]]
func.func @lse(%X: tensor<?x?xf32>, %g: tensor<?xf32>, %o0: tensor<?xf32>, %o1: tensor<?xf32>)
    -> (tensor<?xf32>, tensor<?xf32>) {
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%X : tensor<?x?xf32>) factor(%g : tensor<?xf32>)
    outs(%o0, %o1 : tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>, tensor<?xf32>
  return %r#0, %r#1 : tensor<?xf32>, tensor<?xf32>
}

// -----

// From the neutral states there is nothing to move.

// CHECK-LABEL: func.func @lse_fresh(
// CHECK: linalg.fill
// CHECK: linalg.fill
// CHECK-COUNT-2: linalg.generic
// CHECK-NOT: linalg.generic
func.func @lse_fresh(%X: tensor<8x4xf32>, %e: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %low = arith.constant 0xFF7FFFFF : f32
  %zero = arith.constant 0.0 : f32
  %o0 = linalg.fill ins(%low : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  %o1 = linalg.fill ins(%zero : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%X : tensor<8x4xf32>)
    outs(%o0, %o1 : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return %r#0, %r#1 : tensor<8xf32>, tensor<8xf32>
}

// -----

// Other values are no neutral states.

// CHECK-LABEL: func.func @lse_from_zero(
// CHECK-COUNT-3: linalg.generic
func.func @lse_from_zero(%X: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %zeros = arith.constant dense<0.0> : tensor<8xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%X : tensor<8x4xf32>)
    outs(%zeros, %zeros : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return %r#0, %r#1 : tensor<8xf32>, tensor<8xf32>
}

// -----

// A count does not look at the factor; the matrix stays for its sizes.

// CHECK-LABEL: func.func @std(
// CHECK-SAME: %[[K:.*]]: tensor<8x4xf32>, %[[V:.*]]: tensor<4xf32>
// CHECK: %[[COUNT:.*]] = linalg.generic
// CHECK-SAME: ins(%[[K]] : tensor<8x4xf32>)
// CHECK: %[[SUM:.*]] = linalg.generic
// CHECK-SAME: ins(%[[K]], %[[V]] : tensor<8x4xf32>, tensor<4xf32>)
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel"]
// CHECK: linalg.generic
// CHECK-SAME: ins(%[[K]], %[[V]], %[[COUNT]], %[[SUM]] :
func.func @std(%K: tensor<8x4xf32>, %v: tensor<4xf32>, %a: tensor<8xf32>, %b: tensor<8xf32>, %c: tensor<8xf32>)
    -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %r:3 = scaling.reduce along(rows) stat(#scaling.std) matrix(%K : tensor<8x4xf32>) factor(%v : tensor<4xf32>)
    outs(%a, %b, %c : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
  return %r#0, %r#1, %r#2 : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}

// -----

// Missing batch dimensions broadcast through the maps; a masked entry gives a
// maximum its identity.

// CHECK-DAG: #[[$NM:.*]] = affine_map<(d0, d1, d2) -> (d1, d2)>
// CHECK-DAG: #[[$M:.*]] = affine_map<(d0, d1, d2) -> (d2)>
// CHECK-DAG: #[[$BM:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-DAG: #[[$BN:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>
// CHECK-LABEL: func.func @broadcast(
// CHECK: linalg.generic
// CHECK-SAME: indexing_maps = [#[[$NM]], #[[$BM]], #[[$M]], #[[$BN]]]
// CHECK-SAME: iterator_types = ["parallel", "parallel", "reduction"]
// CHECK: math.absf
// CHECK: arith.select
// CHECK: arith.maximumf
func.func @broadcast(%K: tensor<8x4xf32>, %v: tensor<3x4xf32>, %m: tensor<4xi1>, %s: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %r = scaling.reduce along(rows) stat(#scaling.linf) matrix(%K : tensor<8x4xf32>) factor(%v : tensor<3x4xf32>)
    mask(%m : tensor<4xi1>) outs(%s : tensor<3x8xf32>) -> tensor<3x8xf32>
  return %r : tensor<3x8xf32>
}

// -----

// Any layout: rows and columns in front of the batch.

// CHECK-DAG: #[[$ALL:.*]] = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
// CHECK-DAG: #[[$COL:.*]] = affine_map<(d0, d1, d2) -> (d1, d2)>
// CHECK-DAG: #[[$ROW:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-LABEL: func.func @batch_last(
// CHECK: linalg.generic
// CHECK-SAME: indexing_maps = [#[[$ALL]], #[[$COL]], #[[$ROW]]]
// CHECK-SAME: iterator_types = ["parallel", "reduction", "parallel"]
func.func @batch_last(%K: tensor<4x4x16xf32>, %v: tensor<4x16xf32>, %s: tensor<4x16xf32>) -> tensor<4x16xf32> {
  %r = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<4x4x16xf32>) factor(%v : tensor<4x16xf32>)
    outs(%s : tensor<4x16xf32>) {dims = array<i64: 0, 1>} -> tensor<4x16xf32>
  return %r : tensor<4x16xf32>
}

// -----

// States in a storage type are extended, accumulated in f32, and truncated.

// CHECK-LABEL: func.func @narrow_states(
// CHECK: arith.extf
// CHECK: linalg.generic
// CHECK-SAME: outs(%{{.*}} : tensor<8xf32>)
// CHECK: arith.truncf {{.*}} : f32 to bf16
func.func @narrow_states(%K: tensor<8x4xbf16>, %s: tensor<8xbf16>) -> tensor<8xbf16> {
  %r = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<8x4xbf16>)
    outs(%s : tensor<8xbf16>) -> tensor<8xbf16>
  return %r : tensor<8xbf16>
}
