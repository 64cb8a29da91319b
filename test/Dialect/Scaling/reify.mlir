// RUN: scaling-opt %s --resolve-ranked-shaped-type-result-dims --canonicalize --cse | FileCheck %s

// CHECK-LABEL: func.func @structured
// CHECK-SAME: (%[[K:[a-z0-9_]+]]: tensor<?x?xf32>, %[[O:[a-z0-9_]+]]: tensor<?xf32>)
// CHECK: %[[D:[a-z0-9_]+]] = tensor.dim %[[O]]
// CHECK: return %[[D]]
func.func @structured(%K: tensor<?x?xf32>, %o: tensor<?xf32>) -> index {
  %c0 = arith.constant 0 : index
  %r = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<?x?xf32>) outs(%o : tensor<?xf32>) -> tensor<?xf32>
  %d = tensor.dim %r, %c0 : tensor<?xf32>
  return %d : index
}

// The batch may come from a start, the slack column is one more.

// CHECK-LABEL: func.func @batched
// CHECK-SAME: (%[[S:[a-z0-9_]+]]: tensor<?x?xf32>, %[[A:[a-z0-9_]+]]: tensor<?x?xf32>, %[[Z:[a-z0-9_]+]]: tensor<f32>)
// CHECK-DAG: %[[B:[a-z0-9_]+]] = tensor.dim %[[A]], %c0
// CHECK-DAG: %[[M:[a-z0-9_]+]] = tensor.dim %[[S]], %c1
// CHECK-DAG: %[[M1:[a-z0-9_]+]] = arith.addi %[[M]], %c1
// CHECK: return %[[B]], %[[B]], %[[M1]]
func.func @batched(%S: tensor<?x?xf32>, %a: tensor<?x?xf32>, %z: tensor<f32>) -> (index, index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%S : tensor<?x?xf32>) row_marginal(%a : tensor<?x?xf32>) slack(%z : tensor<f32>) preset(ott)
  %0 = tensor.dim %k, %c0 : tensor<?xi32>
  %1 = tensor.dim %g, %c0 : tensor<?x?xf32>
  %2 = tensor.dim %g, %c1 : tensor<?x?xf32>
  return %0, %1, %2 : index, index, index
}
