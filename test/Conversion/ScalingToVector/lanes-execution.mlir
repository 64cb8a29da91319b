// RUN: scaling-run %s --pipeline linalg | FileCheck %s
// RUN: scaling-run %s --pipeline cpu | FileCheck %s

// The last two of three elements in four lanes, and back over what is there.

func.func @main() -> (tensor<2x4xf32>, tensor<3x2xf32>) {
  %K = arith.constant dense<[[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]]> : tensor<3x2xf32>
  %i = arith.constant 1 : index
  %e = tensor.empty() : tensor<2x4xf32>
  %t = scaling.to_lanes %K[%i] outs(%e : tensor<2x4xf32>) : tensor<3x2xf32> -> tensor<2x4xf32>
  %none = arith.constant dense<-1.0> : tensor<3x2xf32>
  %b = scaling.from_lanes %t[%i] outs(%none : tensor<3x2xf32>) : tensor<2x4xf32> -> tensor<3x2xf32>
  return %t, %b : tensor<2x4xf32>, tensor<3x2xf32>
}

// CHECK: result0: 10 20 20 20 11 21 21 21
// CHECK: result1: -1 -1 10 11 20 21
