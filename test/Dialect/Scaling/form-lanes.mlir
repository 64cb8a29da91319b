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

// -----

// Code around reductions goes into lanes as a whole, loops and what they keep
// included; what sums over the batch stays behind.

// CHECK-LABEL: func.func @code
// CHECK: scf.forall (%{{.*}}) = (0) to (100)
// CHECK: scaling.to_lanes %{{.*}} -> tensor<4x4x8xf32>
// CHECK: scf.for {{.*}} -> (tensor<4x8xf32>, tensor<7x4x8xf32>)
// CHECK: tensor.insert_slice %{{.*}} into %{{.*}}[%{{.*}}, 0, 0] [1, 4, 8] [1, 1, 1] : tensor<4x8xf32> into tensor<7x4x8xf32>
// CHECK: scaling.reduce along(rows) {{.*}} {dims = array<i64: 0, 1>
// CHECK: tensor.extract_slice %{{.*}}[3, 0, 0] [1, 4, 8] [1, 1, 1] : tensor<7x4x8xf32> to tensor<4x8xf32>
// CHECK: scaling.from_lanes
// CHECK: scf.forall.in_parallel
// CHECK: linalg.generic {{.*}}iterator_types = ["reduction", "parallel"]} ins({{.*}} : tensor<100x4xf32>)
func.func @code(%k: tensor<100x4x4xf32>, %w: tensor<100x4xf32>) -> (tensor<100x4xf32>, tensor<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c7 = arith.constant 7 : index
  %zero = arith.constant 0.0 : f32
  %kept = tensor.empty() : tensor<100x7x4xf32>
  %end:2 = scf.for %i = %c0 to %c7 step %c1 iter_args(%v = %w, %all = %kept) -> (tensor<100x4xf32>, tensor<100x7x4xf32>) {
    %more = tensor.insert_slice %v into %all[0, %i, 0] [100, 1, 4] [1, 1, 1] : tensor<100x4xf32> into tensor<100x7x4xf32>
    %e = tensor.empty() : tensor<100x4xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<100x4xf32>) -> tensor<100x4xf32>
    %s = scaling.reduce along(rows) stat(#scaling.sum) matrix(%k : tensor<100x4x4xf32>) factor(%v : tensor<100x4xf32>) outs(%z : tensor<100x4xf32>) -> tensor<100x4xf32>
    scf.yield %s, %more : tensor<100x4xf32>, tensor<100x7x4xf32>
  }
  %third = tensor.extract_slice %end#1[0, 3, 0] [100, 1, 4] [1, 1, 1] : tensor<100x7x4xf32> to tensor<100x4xf32>
  %e = tensor.empty() : tensor<4xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  %sum = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>], iterator_types = ["reduction", "parallel"]}
      ins(%third : tensor<100x4xf32>) outs(%z : tensor<4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %t = arith.addf %in, %out : f32
    linalg.yield %t : f32
  } -> tensor<4xf32>
  return %third, %sum : tensor<100x4xf32>, tensor<4xf32>
}

// -----

// So does code on a batch whose size is not known.

// CHECK-LABEL: func.func @unknown_batch
// CHECK: %[[SIZE:.*]] = tensor.dim %{{.*}}, %{{.*}} : tensor<?x4x4xf32>
// CHECK: scf.forall (%{{.*}}) = (0) to (%[[SIZE]])
// CHECK: scaling.to_lanes %{{.*}} -> tensor<4x4x8xf32>
// CHECK: scf.for
// CHECK: scaling.reduce along(rows) {{.*}} {dims = array<i64: 0, 1>
// CHECK: scaling.from_lanes
// CHECK: scf.forall.in_parallel
func.func @unknown_batch(%k: tensor<?x4x4xf32>, %w: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c7 = arith.constant 7 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %k, %c0 : tensor<?x4x4xf32>
  %end = scf.for %i = %c0 to %c7 step %c1 iter_args(%v = %w) -> (tensor<?x4xf32>) {
    %e = tensor.empty(%n) : tensor<?x4xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
    %s = scaling.reduce along(rows) stat(#scaling.sum) matrix(%k : tensor<?x4x4xf32>) factor(%v : tensor<?x4xf32>) outs(%z : tensor<?x4xf32>) -> tensor<?x4xf32>
    scf.yield %s : tensor<?x4xf32>
  }
  return %end : tensor<?x4xf32>
}
