// RUN: scaling-opt %s --scaling-lower-to-linalg --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-lower-to-linalg --split-input-file \
// RUN:     --mlir-print-op-generic | mlir-opt --split-input-file -o /dev/null

// CHECK-LABEL: func.func @plain(
// CHECK-SAME: %[[S:.*]]: tensor<8xf32>, %[[H:.*]]: tensor<8xf32>, %[[T:.*]]: tensor<8xf32>, %[[E:.*]]: tensor<8xf32>)
// CHECK: %[[R:.*]] = linalg.generic
// CHECK-SAME: iterator_types = ["parallel"]
// CHECK-SAME: ins(%[[H]], %[[T]], %[[S]] :
// CHECK-SAME: outs(%[[E]] : tensor<8xf32>)
// CHECK: arith.divf
// CHECK: linalg.yield %{{.*}} : f32
// CHECK: return %[[R]]
func.func @plain(%s: tensor<8xf32>, %h: tensor<8xf32>, %t: tensor<8xf32>, %e: tensor<8xf32>) -> tensor<8xf32> {
  %r = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<8xf32>)
    own(%h : tensor<8xf32>) target(%t : tensor<8xf32>) outs(%e : tensor<8xf32>) -> tensor<8xf32>
  return %r : tensor<8xf32>
}

// -----

// Two results; a target in a storage type is extended.

// CHECK-DAG: #[[$ALL:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[$AXIS:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK-LABEL: func.func @both(
// CHECK: %[[R:.*]]:2 = linalg.generic
// CHECK-SAME: indexing_maps = [#[[$ALL]], #[[$AXIS]], #[[$AXIS]], #[[$ALL]], #[[$ALL]], #[[$ALL]], #[[$ALL]]]
// CHECK-NEXT: ^bb0(%{{.*}}: f32, %[[T:.*]]: bf16, %{{.*}}: i1, %{{[^:]*}}: f32,
// CHECK: arith.extf %[[T]] : bf16 to f32
// CHECK: linalg.yield %{{.*}}, %{{.*}} : f32, f32
// CHECK: return %[[R]]#0, %[[R]]#1
func.func @both(%s0: tensor<3x8xf32>, %s1: tensor<3x8xf32>, %h: tensor<3x8xf32>, %t: tensor<8xbf16>,
                %m: tensor<8xi1>, %e0: tensor<3x8xf32>, %e1: tensor<3x8xf32>)
    -> (tensor<3x8xf32>, tensor<3x8xf32>) {
  %r:2 = scaling.update rule(#scaling.rule<sum>) domain(log)
    states(%s0, %s1 : tensor<3x8xf32>, tensor<3x8xf32>) own(%h : tensor<3x8xf32>)
    target(%t : tensor<8xbf16>) mask(%m : tensor<8xi1>)
    outs(%e0, %e1 : tensor<3x8xf32>, tensor<3x8xf32>) -> tensor<3x8xf32>, tensor<3x8xf32>
  return %r#0, %r#1 : tensor<3x8xf32>, tensor<3x8xf32>
}

// -----

// The axis in front, the batch behind it.

// CHECK-DAG: #[[$ALL:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-LABEL: func.func @axis_first(
// CHECK: linalg.generic
// CHECK-SAME: indexing_maps = [#[[$ALL]], #[[$ALL]], #[[$ALL]]]
func.func @axis_first(%s: tensor<8x?xf64>, %h: tensor<8x?xf64>, %e: tensor<8x?xf64>) -> tensor<8x?xf64> {
  %r = scaling.update rule(#scaling.rule<l1>) domain(kernel) states(%s : tensor<8x?xf64>) own(%h : tensor<8x?xf64>)
    outs(%e : tensor<8x?xf64>) {dim = 0 : i64} -> tensor<8x?xf64>
  return %r : tensor<8x?xf64>
}
