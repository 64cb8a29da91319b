// RUN: scaling-opt %s --scaling-lower-to-linalg | FileCheck %s

// A matrix of costs, then the rows' sums and the columns'.

// CHECK-LABEL: func.func @points
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]
// CHECK:   math.exp
// CHECK: linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]
// CHECK:   math.exp
func.func @points(%x: tensor<8x3xf32>, %y: tensor<3x4xf32>, %r: tensor<8xf32>, %s: tensor<4xf32>) -> (tensor<8xf32>, tensor<4xf32>) {
  %0:2 = scaling.marginals points l1(%x, %y : tensor<8x3xf32>, tensor<3x4xf32>) outs(%r, %s : tensor<8xf32>, tensor<4xf32>) -> tensor<8xf32>, tensor<4xf32>
  return %0#0, %0#1 : tensor<8xf32>, tensor<4xf32>
}

// CHECK-LABEL: func.func @largest
// CHECK-NOT: math.exp
// CHECK: arith.maximumf
// CHECK: arith.maximumf
func.func @largest(%c: tensor<?x?xf32>, %r: tensor<?xf32>, %s: tensor<?xf32>) -> tensor<?xf32> {
  %0:2 = scaling.marginals largest matrix(%c : tensor<?x?xf32>) outs(%r, %s : tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>, tensor<?xf32>
  return %0#1 : tensor<?xf32>
}
