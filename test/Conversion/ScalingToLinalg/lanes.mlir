// RUN: scaling-opt %s --scaling-to-linalg --canonicalize | FileCheck %s

// Beyond the end the last element stands in.

// CHECK-LABEL: func.func @to_lanes
// CHECK-SAME: %[[K:.*]]: tensor<?x4x5xf32>, %[[I:.*]]: index, %[[T:.*]]: tensor<4x5x16xf32>
// CHECK: %[[LAST:.*]] = arith.subi
// CHECK: linalg.generic {{.*}} outs(%[[T]] : tensor<4x5x16xf32>)
// CHECK:   %[[LANE:.*]] = linalg.index 2
// CHECK:   %[[AT:.*]] = arith.addi %[[I]], %[[LANE]]
// CHECK:   %[[ELEMENT:.*]] = arith.minsi %[[AT]], %[[LAST]]
// CHECK:   tensor.extract %[[K]][%[[ELEMENT]], %{{.*}}, %{{.*}}]
func.func @to_lanes(%K: tensor<?x4x5xf32>, %i: index, %t: tensor<4x5x16xf32>) -> tensor<4x5x16xf32> {
  %0 = scaling.to_lanes %K[%i] outs(%t : tensor<4x5x16xf32>) : tensor<?x4x5xf32> -> tensor<4x5x16xf32>
  return %0 : tensor<4x5x16xf32>
}

// CHECK-LABEL: func.func @from_lanes
// CHECK-SAME: %[[T:.*]]: tensor<4x16xf32>, %[[I:.*]]: index, %[[D:.*]]: tensor<?x4xf32>
// CHECK: linalg.generic {{.*}} outs(%[[D]] : tensor<?x4xf32>)
// CHECK:   %[[LANE:.*]] = arith.subi %{{.*}}, %[[I]]
// CHECK:   %[[HELD:.*]] = arith.cmpi ult, %[[LANE]]
// CHECK:   %[[ENTRY:.*]] = tensor.extract %[[T]]
// CHECK:   arith.select %[[HELD]], %[[ENTRY]]
func.func @from_lanes(%t: tensor<4x16xf32>, %i: index, %d: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = scaling.from_lanes %t[%i] outs(%d : tensor<?x4xf32>) : tensor<4x16xf32> -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
