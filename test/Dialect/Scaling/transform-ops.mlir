// RUN: scaling-opt %s --transform-interpreter --split-input-file --verify-diagnostics | FileCheck %s

// The loop replaces five results.

// CHECK-LABEL: func.func @decompose
// CHECK-NOT: scaling.iterate
// CHECK: scf.for
// CHECK-SAME: {{.*}}
// CHECK: scaling.reduce
// CHECK: scaling.update
func.func @decompose(%K: tensor<4x4xf32>) -> (tensor<4xf32>, tensor<i32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<4x4xf32>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum>)
    order(cols_first) stop(#scaling.stop<fixed 20>) numerics(#scaling.numerics<kernel>)
  return %u, %k : tensor<4xf32>, tensor<i32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.iterate"]} in %m : (!transform.any_op) -> !transform.any_op
    %1 = transform.scaling.decompose %0 : (!transform.any_op) -> !transform.any_op
    transform.yield
  }
}

// -----

// CHECK-LABEL: func.func @generalize
// CHECK-NOT: scaling.project
// CHECK: scaling.iterate
// CHECK: scaling.plan
func.func @generalize(%z: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<4x4xf32>) preset(mhc)
  return %P : tensor<4x4xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.project"]} in %m : (!transform.any_op) -> !transform.any_op
    transform.scaling.decompose %0 : (!transform.any_op) -> ()
    transform.yield
  }
}

// -----

func.func @closed(%K: tensor<4x4xf32>, %o: tensor<4xf32>) -> tensor<4xf32> {
  // expected-note @below {{when applied to this op}}
  %r = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<4x4xf32>) outs(%o : tensor<4xf32>) -> tensor<4xf32>
  return %r : tensor<4xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.reduce"]} in %m : (!transform.any_op) -> !transform.any_op
    // expected-error @below {{'scaling.reduce' has no decomposition}}
    transform.scaling.decompose %0 : (!transform.any_op) -> ()
    transform.yield
  }
}

// -----

func.func @not_a_reduce(%K: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-note @below {{when applied to this op}}
  %P = scaling.plan domain(kernel) matrix(%K : tensor<4x4xf32>) outs(%K : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %P : tensor<4x4xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.plan"]} in %m : (!transform.any_op) -> !transform.any_op
    // expected-error @below {{expected a 'scaling.reduce'}}
    %1, %2 = transform.scaling.tile_sweep %0 block(8) : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// CHECK-LABEL: func.func @schedule
// CHECK: scaling.iterate {{.*}} schedule(#scaling.schedule<tiny_batched, lanes = {{[0-9]+}}>)
func.func @schedule(%K: tensor<512x4x4xf32>) -> tensor<512x4xf32> {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<512x4x4xf32>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum>)
    order(cols_first) stop(#scaling.stop<fixed 20>) numerics(#scaling.numerics<kernel>)
  return %u : tensor<512x4xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.iterate"]} in %m : (!transform.any_op) -> !transform.any_op
    transform.scaling.select_schedule %0 : !transform.any_op
    transform.yield
  }
}
