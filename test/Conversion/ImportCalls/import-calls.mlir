// RUN: scaling-opt %s --scaling-import-calls | FileCheck %s

// CHECK-LABEL: func @project
// CHECK: %[[P:.*]], %[[K:.*]], %{{.*}}, %{{.*}} = scaling.project logits(%{{.*}} : tensor<?x4x4xf32>) preset(mhc)
// CHECK: return %[[P]], %[[K]]
func.func @project(%z: tensor<?x4x4xf32>) -> (tensor<?x4x4xf32>, tensor<?xi32>) {
  %p:4 = call @scaling.project.0(%z) : (tensor<?x4x4xf32>)
      -> (tensor<?x4x4xf32>, tensor<?xi32>, tensor<?xf32>, tensor<?xi32>)
  return %p#0, %p#1 : tensor<?x4x4xf32>, tensor<?xi32>
}
// CHECK-NOT: @scaling.project.0
func.func private @scaling.project.0(tensor<?x4x4xf32>)
    -> (tensor<?x4x4xf32>, tensor<?xi32>, tensor<?xf32>, tensor<?xi32>)
    attributes {scaling.op = "project", scaling.operands = ["matrix"],
                scaling.attributes = "preset(mhc)"}

// The matrices get one element type, and what is shared along leading
// dimensions stays so; a size of 1 in between is copied, as the op has no
// broadcasting of its own.
// CHECK-LABEL: func @attention
// CHECK-SAME: %[[Q:[a-z0-9]+]]: tensor<?x2x5x8xf32>, %[[K:[a-z0-9]+]]: tensor<?x2x6x8xf16>
// CHECK-SAME: %[[B:[a-z0-9]+]]: tensor<1x1x5x6xf32>, %[[M:[a-z0-9]+]]: tensor<?x1x6xi1>
// CHECK-DAG: %[[K32:.*]] = arith.extf %[[K]] : tensor<?x2x6x8xf16> to tensor<?x2x6x8xf32>
// CHECK-DAG: %[[B2:.*]] = tensor.collapse_shape %[[B]] {{.*}} : tensor<1x1x5x6xf32> into tensor<5x6xf32>
// CHECK: %[[DIM:.*]] = tensor.dim %[[M]]
// CHECK: %[[EMPTY:.*]] = tensor.empty(%[[DIM]]) : tensor<?x2x6xi1>
// CHECK: %[[M2:.*]] = linalg.generic {{.*}} ins(%[[M]] : tensor<?x1x6xi1>) outs(%[[EMPTY]] : tensor<?x2x6xi1>)
// CHECK: scaling.attention query(%[[Q]] : tensor<?x2x5x8xf32>) key(%[[K32]] :
// CHECK-SAME: bias(%[[B2]] : tensor<5x6xf32>) col_mask(%[[M2]] : tensor<?x2x6xi1>) preset(sinkformer)
func.func @attention(%q: tensor<?x2x5x8xf32>, %k: tensor<?x2x6x8xf16>,
                     %v: tensor<?x2x6x8xf32>, %b: tensor<1x1x5x6xf32>,
                     %m: tensor<?x1x6xi1>) -> tensor<?x2x5x8xf32> {
  %o:4 = call @attention.0(%q, %k, %v, %b, %m) : (tensor<?x2x5x8xf32>,
      tensor<?x2x6x8xf16>, tensor<?x2x6x8xf32>, tensor<1x1x5x6xf32>, tensor<?x1x6xi1>)
      -> (tensor<?x2x5x8xf32>, tensor<?x2xi32>, tensor<?x2xf32>, tensor<?x2xi32>)
  return %o#0 : tensor<?x2x5x8xf32>
}
func.func private @attention.0(tensor<?x2x5x8xf32>, tensor<?x2x6x8xf16>,
      tensor<?x2x6x8xf32>, tensor<1x1x5x6xf32>, tensor<?x1x6xi1>)
    -> (tensor<?x2x5x8xf32>, tensor<?x2xi32>, tensor<?x2xf32>, tensor<?x2xi32>)
    attributes {scaling.op = "attention",
                scaling.operands = ["query", "key", "value", "bias", "col_mask"],
                scaling.attributes = "preset(sinkformer)"}
