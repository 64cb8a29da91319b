// RUN: scaling-opt %s --transform-interpreter --canonicalize --cse --split-input-file --verify-diagnostics | FileCheck %s

// Partial column states are [blocks, columns]; the maxima are merged first, then
// the sums, moved to the merged maxima.

// CHECK-LABEL: func.func @lse
// CHECK: tensor.empty() : tensor<5x53xf32>
// CHECK: scf.forall (%[[I:[a-z0-9_]+]]) = (0) to (37) step (8)
// CHECK: %[[B:[a-z0-9_]+]] = affine.apply
// CHECK: tensor.extract_slice %{{.*}}[%[[B]], 0] [1, 53] [1, 1] : tensor<5x53xf32> to tensor<53xf32>
// CHECK: %[[T:[a-z0-9_]+]]:2 = scaling.reduce along(cols) stat(#scaling.lse)
// CHECK: tensor.parallel_insert_slice %[[T]]#0 into %{{.*}}[%[[B]], 0] [1, 53] [1, 1]
// CHECK: %[[M:[a-z0-9_]+]] = linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]{{.*}} outs(%[[M0:[a-z0-9_]+]] : tensor<53xf32>)
// CHECK: arith.maximumf
// CHECK: %[[MOVED:[a-z0-9_]+]] = linalg.generic {{.*}} iterator_types = ["parallel"]} ins(%[[M0]], %[[M]]
// CHECK: math.exp
// CHECK: linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]{{.*}} outs(%[[MOVED]] : tensor<53xf32>)
// CHECK: math.exp
// CHECK: arith.addf
func.func @lse(%X: tensor<37x53xf32>, %m: tensor<53xf32>, %s: tensor<53xf32>) -> (tensor<53xf32>, tensor<53xf32>) {
  %r:2 = scaling.reduce along(cols) stat(#scaling.lse) matrix(%X : tensor<37x53xf32>)
    outs(%m, %s : tensor<53xf32>, tensor<53xf32>) -> tensor<53xf32>, tensor<53xf32>
  return %r#0, %r#1 : tensor<53xf32>, tensor<53xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.reduce"]} in %m : (!transform.any_op) -> !transform.any_op
    %1:7 = transform.structured.tile_reduction_using_forall %0 by tile_sizes = [8, 0] : (!transform.any_op)
      -> (!transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A neutral start needs no moving. Lanes side by side add elementwise.

// CHECK-LABEL: func.func @rows
// CHECK: tensor.empty() : tensor<37x16xf32>
// CHECK: scf.for
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]
// CHECK-NOT: iterator_types = ["parallel"]
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]
// CHECK: return
func.func @rows(%X: tensor<37x48xf32>) -> (tensor<37xf32>, tensor<37xf32>) {
  %low = arith.constant -3.40282347E+38 : f32
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<37xf32>
  %m = linalg.fill ins(%low : f32) outs(%e : tensor<37xf32>) -> tensor<37xf32>
  %s = linalg.fill ins(%zero : f32) outs(%e : tensor<37xf32>) -> tensor<37xf32>
  %r:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%X : tensor<37x48xf32>)
    outs(%m, %s : tensor<37xf32>, tensor<37xf32>) -> tensor<37xf32>, tensor<37xf32>
  return %r#0, %r#1 : tensor<37xf32>, tensor<37xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.reduce"]} in %m : (!transform.any_op) -> !transform.any_op
    %1:6 = transform.structured.tile_reduction_using_for %0 by tile_sizes = [0, 16] : (!transform.any_op)
      -> (!transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

func.func @argmax(%K: tensor<12x8xf32>, %a: tensor<12xf32>, %b: tensor<12xi64>) -> tensor<12xi64> {
  // expected-error @below {{'argmax' has no partial results to merge}}
  %r:2 = scaling.apply argmax domain(kernel) matrix(%K : tensor<12x8xf32>)
    outs(%a, %b : tensor<12xf32>, tensor<12xi64>) -> tensor<12xf32>, tensor<12xi64>
  return %r#1 : tensor<12xi64>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.apply"]} in %m : (!transform.any_op) -> !transform.any_op
    // expected-error @below {{}}
    %1:4 = transform.structured.tile_reduction_using_for %0 by tile_sizes = [0, 4] : (!transform.any_op)
      -> (!transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// The first row and column of a dual value add more than other entries.

func.func @dual(%K: tensor<12x8xf32>, %u: tensor<12xf32>, %v: tensor<8xf32>, %o: tensor<f32>) -> tensor<f32> {
  // expected-error @below {{'dual' has no partial results entry by entry}}
  // expected-error @below {{tile operation}}
  // expected-error @below {{failed to generate tiling loops}}
  %r = scaling.apply dual domain(kernel) matrix(%K : tensor<12x8xf32>) row(%u : tensor<12xf32>) col(%v : tensor<8xf32>)
    row_weight(%u : tensor<12xf32>) col_weight(%v : tensor<8xf32>) outs(%o : tensor<f32>) -> tensor<f32>
  return %r : tensor<f32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.apply"]} in %m : (!transform.any_op) -> !transform.any_op
    // expected-error @below {{}}
    %1:4 = transform.structured.tile_reduction_using_for %0 by tile_sizes = [0, 4] : (!transform.any_op)
      -> (!transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}
