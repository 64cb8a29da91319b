// RUN: scaling-opt %s --scaling-differentiate=mode=envelope --split-input-file | FileCheck %s

// The factors are what they are: nothing goes back through the iteration.

// CHECK-LABEL: func.func @dual_vjp(
// CHECK-SAME: -> (tensor<6x5xf32>, tensor<6xf32>, tensor<5xf32>)
// CHECK: scaling.iterate
// CHECK-NOT: scf.for
// CHECK-NOT: scaling.reduce
// CHECK: return
func.func @dual(%X: tensor<6x5xf32>, %a: tensor<6xf32>, %b: tensor<5xf32>) -> tensor<f32> {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<6x5xf32>) row_target(%a : tensor<6xf32>) col_target(%b : tensor<5xf32>)
      rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first)
      stop(#scaling.stop<until 1.0e-5, limit = 1000>) numerics(#scaling.numerics<log>)
  %zero = arith.constant dense<0.0> : tensor<f32>
  %d = scaling.apply dual domain(log) matrix(%X : tensor<6x5xf32>) row(%F : tensor<6xf32>) col(%G : tensor<5xf32>)
      row_weight(%a : tensor<6xf32>) col_weight(%b : tensor<5xf32>) outs(%zero : tensor<f32>) -> tensor<f32>
  return %d : tensor<f32>
}
