// RUN: scaling-opt %s --scaling-tile-batch --scaling-generalize --scaling-decompose --scaling-form-lanes \
// RUN:   --canonicalize --split-input-file | FileCheck %s

// Chunks on threads, tiles of as many matrices as there are lanes inside; the
// layout changes where a tile is read and where it is written, and nowhere
// else.

// CHECK-LABEL: func.func @mhc
// CHECK: scf.forall (%{{.*}}) = (0) to (1000) step (48)
// CHECK: scf.for %[[AT:[a-z0-9_]+]] =
// CHECK: %[[TILE:.*]] = scaling.to_lanes %{{.*}}[%[[AT]]] {{.*}} -> tensor<4x4x16xf32>
// CHECK-NOT: linalg.transpose
// CHECK: scaling.reduce along(rows) stat(#scaling.max) matrix(%[[TILE]] : tensor<4x4x16xf32>) outs({{.*}}) {dims = array<i64: 0, 1>
// CHECK-NOT: linalg.transpose
// CHECK: scf.for
// CHECK: scaling.reduce along(rows) {{.*}} -> tensor<4x16xf32>
// CHECK: scaling.update {{.*}} {dim = 0 : i64} -> tensor<4x16xf32>
// CHECK-NOT: linalg.transpose
// CHECK: %[[PLAN:.*]] = scaling.plan {{.*}} -> tensor<4x4x16xf32>
// CHECK: scaling.from_lanes %[[PLAN]][%[[AT]]]
// CHECK-NOT: scaling.from_lanes
// CHECK: scf.forall.in_parallel
func.func @mhc(%z: tensor<1000x4x4xf32>) -> tensor<1000x4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<1000x4x4xf32>) preset(mhc)
    {scaling.schedule = #scaling.schedule<tiny_batched, lanes = 16>}
  return %P : tensor<1000x4x4xf32>
}

// -----

// Batch dimensions are taken as one; what has fewer is repeated along the
// others, what has none is put into every lane.

// CHECK-LABEL: func.func @shared
// CHECK-SAME: (%[[C:.*]]: tensor<6x?x5x7xf32>, %{{.*}}: tensor<5xf32>, %[[B:.*]]: tensor<?x7xf32>)
// CHECK-DAG: linalg.broadcast ins(%[[B]] : tensor<?x7xf32>) outs({{.*}} : tensor<6x?x7xf32>) dimensions = [0]
// CHECK-DAG: tensor.collapse_shape {{.*}} {{\[}}[0, 1], [2], [3]] : tensor<6x?x5x7xf32> into tensor<?x5x7xf32>
// CHECK: scf.forall
// CHECK: linalg.broadcast ins({{.*}} : tensor<5xf32>) outs({{.*}} : tensor<5x16xf32>) dimensions = [1]
// CHECK: scf.while
// CHECK: linalg.generic {{.*}}iterator_types = ["reduction"]} ins({{.*}} : tensor<16xi1>) outs({{.*}} : tensor<i1>)
// CHECK: scaling.reduce {{.*}}dims = array<i64: 0, 1>
// CHECK: tensor.expand_shape {{.*}} : tensor<?x5xf32> into tensor<6x?x5xf32>
func.func @shared(%c: tensor<6x?x5x7xf32>, %a: tensor<5xf32>, %b: tensor<?x7xf32>) -> (tensor<6x?x5xf32>, tensor<6x?xi32>) {
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%c : tensor<6x?x5x7xf32>)
    row_marginal(%a : tensor<5xf32>) col_marginal(%b : tensor<?x7xf32>)
    stop(#scaling.stop<until 1.0e-3, limit = 100>) numerics(#scaling.numerics<kernel>)
    {scaling.schedule = #scaling.schedule<tiny_batched, lanes = 16>}
  return %f, %k : tensor<6x?x5xf32>, tensor<6x?xi32>
}
