// RUN: scaling-opt %s --transform-interpreter --canonicalize --cse --split-input-file | FileCheck %s

// The driver makes the destinations; a target without batch dimensions serves
// every tile.

// CHECK-LABEL: func.func @iterate
// CHECK-SAME: (%[[K:[a-z0-9_]+]]: tensor<?x5x7xf32>, %[[A:[a-z0-9_]+]]: tensor<5xf32>)
// CHECK: %[[D:[a-z0-9_]+]] = tensor.dim %[[K]]
// CHECK: tensor.empty(%[[D]]) : tensor<?x5xf32>
// CHECK: scf.forall (%[[I:[a-z0-9_]+]]) in
// CHECK: %[[KT:[a-z0-9_]+]] = tensor.extract_slice %[[K]][%{{.*}}, 0, 0] [%[[S:[a-z0-9_]+]], 5, 7] [1, 1, 1]
// CHECK: %[[R:[a-z0-9_]+]], %{{.*}}, %[[H:[a-z0-9_]+]], %{{.*}}, %{{.*}} = scaling.iterate matrix(%[[KT]] : tensor<?x5x7xf32>) row_target(%[[A]] : tensor<5xf32>)
// CHECK: tensor.parallel_insert_slice %[[R]] into %{{.*}}[%{{.*}}, 0] [%[[S]], 5] [1, 1]
// CHECK: tensor.parallel_insert_slice %[[H]] into %{{.*}}[%{{.*}}] [%[[S]]] [1]
func.func @iterate(%K: tensor<?x5x7xf32>, %a: tensor<5xf32>) -> (tensor<?x5xf32>, tensor<?xi32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<?x5x7xf32>) row_target(%a : tensor<5xf32>)
    rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(cols_first)
    stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<kernel>)
  return %u, %k : tensor<?x5xf32>, tensor<?xi32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.iterate"]} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2 = transform.structured.tile_using_forall %0 tile_sizes [16] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A problem is fused into what reads its result batch element by batch element,
// and operands with fewer batch dimensions are sliced along those they have.

// CHECK-LABEL: func.func @fuse
// CHECK-SAME: (%[[Z:[a-z0-9_]+]]: tensor<6x8x4x4xf32>, %[[E:[a-z0-9_]+]]: tensor<8xf32>,
// CHECK: scf.for %[[I:[a-z0-9_]+]] =
// CHECK: scf.for %[[J:[a-z0-9_]+]] =
// CHECK: %[[ZT:[a-z0-9_]+]] = tensor.extract_slice %[[Z]][%[[I]], %[[J]], 0, 0] [2, 4, 4, 4]
// CHECK: %[[ET:[a-z0-9_]+]] = tensor.extract_slice %[[E]][%[[J]]] [4] [1]
// CHECK: scaling.project logits(%[[ZT]] : tensor<2x4x4x4xf32>) epsilon(%[[ET]] : tensor<4xf32>)
// CHECK: scaling.plan
func.func @fuse(%z: tensor<6x8x4x4xf32>, %e: tensor<8xf32>, %o: tensor<6x8x4x4xf32>) -> tensor<6x8x4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<6x8x4x4xf32>) epsilon(%e : tensor<8xf32>) preset(mhc)
  %q = scaling.plan domain(kernel) matrix(%P : tensor<6x8x4x4xf32>) outs(%o : tensor<6x8x4x4xf32>) -> tensor<6x8x4x4xf32>
  return %q : tensor<6x8x4x4xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.plan"]} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2:2 = transform.structured.fuse %0 tile_sizes [2, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A reader of rows does not make the whole problem run once per tile.

// CHECK-LABEL: func.func @not_by_rows
// CHECK: scaling.project
// CHECK: scf.for
// CHECK-NOT: scaling.project
// CHECK: return
func.func @not_by_rows(%z: tensor<8x4xf32>, %o: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<8x4xf32>) preset(mhc)
  %q = scaling.plan domain(kernel) matrix(%P : tensor<8x4xf32>) outs(%o : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %q : tensor<8x4xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.plan"]} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2 = transform.structured.fuse %0 tile_sizes [2, 0] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
