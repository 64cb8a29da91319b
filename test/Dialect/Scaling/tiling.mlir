// RUN: scaling-opt %s --transform-interpreter --canonicalize --cse --split-input-file | FileCheck %s

// Missing leading dimensions stay missing; what is read whole is not sliced.

// CHECK-LABEL: func.func @reduce
// CHECK-SAME: (%[[K:[a-z0-9_]+]]: tensor<37x53xf32>, %[[V:[a-z0-9_]+]]: tensor<3x53xf32>, %[[O:[a-z0-9_]+]]: tensor<3x37xf32>)
// CHECK: scf.for %[[B:[a-z0-9_]+]] =
// CHECK: scf.for %[[I:[a-z0-9_]+]] =
// CHECK: %[[N:[a-z0-9_]+]] = affine.min
// CHECK: %[[KT:[a-z0-9_]+]] = tensor.extract_slice %[[K]][%[[I]], 0] [%[[N]], 53] [1, 1]
// CHECK: %[[VT:[a-z0-9_]+]] = tensor.extract_slice %[[V]][%[[B]], 0] [1, 53] [1, 1]
// CHECK: %[[OT:[a-z0-9_]+]] = tensor.extract_slice %{{.*}}[%[[B]], %[[I]]] [1, %[[N]]] [1, 1]
// CHECK: scaling.reduce along(rows) stat(#scaling.sum) matrix(%[[KT]] : tensor<?x53xf32>) factor(%[[VT]] : tensor<1x53xf32>) outs(%[[OT]] : tensor<1x?xf32>)
func.func @reduce(%K: tensor<37x53xf32>, %v: tensor<3x53xf32>, %o: tensor<3x37xf32>) -> tensor<3x37xf32> {
  %r = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<37x53xf32>)
    factor(%v : tensor<3x53xf32>) outs(%o : tensor<3x37xf32>) -> tensor<3x37xf32>
  return %r : tensor<3x37xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.reduce"]} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2:2 = transform.structured.tile_using_for %0 tile_sizes [1, 8] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A mask of smaller rank runs along the last dimension.

// CHECK-LABEL: func.func @update
// CHECK-SAME: %[[F:[a-z0-9]*]]: tensor<16xi1>
// CHECK: scf.for %[[I:[a-z0-9_]+]] =
// CHECK: scf.for %[[L:[a-z0-9_]+]] =
// CHECK: %[[FT:[a-z0-9_]+]] = tensor.extract_slice %[[F]][%[[L]]] [8] [1]
// CHECK: scaling.update {{.*}} mask(%[[FT]] : tensor<8xi1>) outs(%{{.*}} : tensor<2x8xf32>) {dim = 0 : i64}
func.func @update(%s: tensor<4x16xf32>, %h: tensor<4x16xf32>, %f: tensor<16xi1>, %o: tensor<4x16xf32>) -> tensor<4x16xf32> {
  %r = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<4x16xf32>) own(%h : tensor<4x16xf32>)
    mask(%f : tensor<16xi1>) outs(%o : tensor<4x16xf32>) {dim = 0 : i64} -> tensor<4x16xf32>
  return %r : tensor<4x16xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.update"]} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2:2 = transform.structured.tile_using_for %0 tile_sizes [2, 8] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Column tiles know where they begin.

// CHECK-LABEL: func.func @argmax
// CHECK-SAME: %[[OFF:[a-z0-9]*]]: index
// CHECK: scf.for %[[J:[a-z0-9_]+]] =
// CHECK: %[[COL:[a-z0-9_]+]] = affine.apply #{{.*}}()[%[[OFF]], %[[J]]]
// CHECK: scaling.apply argmax {{.*}} matrix(%{{.*}} : tensor<12x4xf32>) offset(%[[COL]])

// CHECK-LABEL: func.func @argmax_first
// CHECK: scf.for %[[J:[a-z0-9_]+]] =
// CHECK: scaling.apply argmax {{.*}} offset(%[[J]])
func.func @argmax(%K: tensor<12x8xf32>, %a: tensor<12xf32>, %b: tensor<12xi64>, %off: index) -> (tensor<12xf32>, tensor<12xi64>) {
  %r:2 = scaling.apply argmax domain(kernel) matrix(%K : tensor<12x8xf32>) offset(%off)
    outs(%a, %b : tensor<12xf32>, tensor<12xi64>) -> tensor<12xf32>, tensor<12xi64>
  return %r#0, %r#1 : tensor<12xf32>, tensor<12xi64>
}
func.func @argmax_first(%K: tensor<12x8xf32>, %a: tensor<12xf32>, %b: tensor<12xi64>) -> (tensor<12xf32>, tensor<12xi64>) {
  %r:2 = scaling.apply argmax domain(kernel) matrix(%K : tensor<12x8xf32>)
    outs(%a, %b : tensor<12xf32>, tensor<12xi64>) -> tensor<12xf32>, tensor<12xi64>
  return %r#0, %r#1 : tensor<12xf32>, tensor<12xi64>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.apply"]} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2 = transform.structured.tile_using_for %0 tile_sizes [0, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Coordinates are never tiled. The producer is made tile by tile.

// CHECK-LABEL: func.func @fuse
// CHECK-SAME: (%[[X:[a-z0-9_]+]]: tensor<12x3xf32>, %[[Y:[a-z0-9_]+]]: tensor<?x3xf32>,
// CHECK: scf.for %[[I:[a-z0-9_]+]] =
// CHECK-NOT: scf.for
// CHECK: %[[XT:[a-z0-9_]+]] = tensor.extract_slice %[[X]][%[[I]], 0] [4, 3] [1, 1]
// CHECK: %[[C:[a-z0-9_]+]] = scaling.pairwise sqeuclidean points(%[[XT]], %[[Y]] : tensor<4x3xf32>, tensor<?x3xf32>)
// CHECK: scaling.plan domain(log) matrix(%[[C]] : tensor<4x?xf32>)
func.func @fuse(%x: tensor<12x3xf32>, %y: tensor<?x3xf32>, %o: tensor<12x?xf32>) -> tensor<12x?xf32> {
  %c = scaling.pairwise sqeuclidean points(%x, %y : tensor<12x3xf32>, tensor<?x3xf32>) outs(%o : tensor<12x?xf32>) -> tensor<12x?xf32>
  %p = scaling.plan domain(log) matrix(%c : tensor<12x?xf32>) outs(%o : tensor<12x?xf32>) -> tensor<12x?xf32>
  return %p : tensor<12x?xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.plan"]} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2 = transform.structured.fuse %0 tile_sizes [4, 0] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// Tiles of a dual value know where they begin in both directions.

// CHECK-LABEL: func.func @dual
// CHECK-SAME: %[[OFF:[a-z0-9]*]]: index
// CHECK: scf.for %[[I:[a-z0-9_]+]] =
// CHECK: scf.for %[[J:[a-z0-9_]+]] =
// CHECK: %[[ROW:[a-z0-9_]+]] = affine.apply #{{.*}}()[%[[OFF]], %[[I]]]
// CHECK: scaling.apply dual {{.*}} matrix(%{{.*}} : tensor<4x4xf32>) row(%{{.*}} : tensor<4xf32>) col(%{{.*}} : tensor<4xf32>) row_weight(%{{.*}} : tensor<4xf32>) col_weight(%{{.*}} : tensor<4xf32>) offset(%[[J]]) row_offset(%[[ROW]])
func.func @dual(%K: tensor<12x8xf32>, %u: tensor<12xf32>, %v: tensor<8xf32>, %o: tensor<f32>, %off: index) -> tensor<f32> {
  %r = scaling.apply dual domain(kernel) matrix(%K : tensor<12x8xf32>) row(%u : tensor<12xf32>) col(%v : tensor<8xf32>)
    row_weight(%u : tensor<12xf32>) col_weight(%v : tensor<8xf32>) row_offset(%off) outs(%o : tensor<f32>) -> tensor<f32>
  return %r : tensor<f32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.apply"]} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2:2 = transform.structured.tile_using_for %0 tile_sizes [4, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}
