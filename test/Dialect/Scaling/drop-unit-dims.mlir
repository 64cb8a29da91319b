// RUN: scaling-opt %s --scaling-drop-unit-dims --canonicalize --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @project
// CHECK-SAME: %[[Z:.*]]: tensor<1x4x4xf32>
// CHECK: %[[I:.*]] = tensor.collapse_shape %[[Z]] {{\[\[}}0, 1], [2]] : tensor<1x4x4xf32> into tensor<4x4xf32>
// CHECK: %[[P:.*]], %[[K:.*]], %{{.*}}, %{{.*}} = scaling.project logits(%[[I]] : tensor<4x4xf32>) preset(mhc)
// CHECK-DAG: tensor.expand_shape %[[P]] {{\[\[}}0, 1], [2]] output_shape [1, 4, 4] : tensor<4x4xf32> into tensor<1x4x4xf32>
// CHECK-DAG: tensor.expand_shape %[[K]] [] output_shape [1] : tensor<i32> into tensor<1xi32>
func.func @project(%z: tensor<1x4x4xf32>) -> (tensor<1x4x4xf32>, tensor<1xi32>) {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<1x4x4xf32>) preset(mhc)
  return %P, %k : tensor<1x4x4xf32>, tensor<1xi32>
}

// A dimension in the middle, operands of smaller rank, sizes known elsewhere.
// CHECK-LABEL: func.func @sinkhorn
// CHECK: scaling.sinkhorn cost(%{{.*}} : tensor<?x?x4xf64>) row_marginal(%{{.*}} : tensor<?xf64>) col_marginal(%{{.*}} : tensor<7x4xf64>) epsilon(%{{.*}} : tensor<f64>) preset(ott)
// CHECK: tensor.expand_shape %{{.*}} {{\[\[}}0], [1, 2]] output_shape [7, 1, %{{.*}}] : tensor<7x?xf64> into tensor<7x1x?xf64>
func.func @sinkhorn(%C: tensor<?x?x?x4xf64>, %a: tensor<1x?xf64>, %b: tensor<7x1x4xf64>, %e: tensor<1xf64>) -> tensor<7x1x?xf64> {
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<?x?x?x4xf64>) row_marginal(%a : tensor<1x?xf64>) col_marginal(%b : tensor<7x1x4xf64>)
    epsilon(%e : tensor<1xf64>) preset(ott)
  return %f : tensor<7x1x?xf64>
}

// CHECK-LABEL: func.func @attributes_stay
// CHECK: scaling.iterate matrix(%{{.*}} : tensor<8x4xf32>) anneal(%{{.*}} : tensor<1xf32>)
// CHECK-SAME: schedule(#scaling.schedule<resident>)
// CHECK-SAME: {note = 1 : i64}
func.func @attributes_stay(%K: tensor<1x1x8x4xf32>, %b: tensor<1xf32>) -> tensor<1x1x8xf32> {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<1x1x8x4xf32>) anneal(%b : tensor<1xf32>) stop(#scaling.stop<fixed 2>)
    numerics(#scaling.numerics<log>) schedule(#scaling.schedule<resident>) {note = 1}
  return %u : tensor<1x1x8xf32>
}

// CHECK-LABEL: func.func @nothing_to_do
// CHECK-NOT: tensor.
// CHECK: scaling.balance matrix(%{{.*}} : tensor<2x1x4xf32>)
func.func @nothing_to_do(%A: tensor<2x1x4xf32>) -> tensor<2x1xf32> {
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<2x1x4xf32>) preset(ruiz)
  return %u : tensor<2x1xf32>
}
