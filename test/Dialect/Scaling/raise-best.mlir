// RUN: cat %S/Inputs/half-steps.mlir %s | scaling-opt --inline --symbol-dce --scaling-raise=explain=true 2>/dev/null | FileCheck %s
// RUN: cat %S/Inputs/half-steps.mlir %s | scaling-opt --inline --symbol-dce --scaling-raise=explain=true 2>&1 >/dev/null | grep -o 'remark:.*' | FileCheck %s --check-prefix=REMARK

// The best of several pairs of half-steps, as SINQ and KVarN choose it.

// REMARK: raised to 'scaling.balance': the best of 8 half-steps
// CHECK-LABEL: @best(
// CHECK-SAME: %[[X:.*]]: tensor<4x6xf32>
// CHECK: %[[U:.*]], %[[V:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.balance matrix(%[[X]] : tensor<4x6xf32>)
// CHECK-SAME: rows(#scaling.rule<std, limit = [1.0e-03, 1.0e+03], clamp = [4.5399929762484854e-05, 1.3498588075760032e+00]>)
// CHECK-SAME: order(jacobi) stop(#scaling.stop<best 8, what = imbalance, last = false>)
// CHECK: %[[Y:.*]] = scaling.plan domain(kernel) matrix(%[[X]] : tensor<4x6xf32>) row(%[[U]] : tensor<4xf32>) col(%[[V]] : tensor<6xf32>)
// CHECK: return %[[Y]]
func.func @best(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %r0 = arith.constant dense<0.0> : tensor<4xf32>
  %k0 = arith.constant dense<0.0> : tensor<6xf32>
  %m0 = func.call @imbalance(%x) : (tensor<4x6xf32>) -> f32
  %l:5 = scf.for %i = %c0 to %c3 step %c1
      iter_args(%lr = %r0, %lc = %k0, %br = %r0, %bc = %k0, %b = %m0)
      -> (tensor<4xf32>, tensor<6xf32>, tensor<4xf32>, tensor<6xf32>, f32) {
    %n:2 = func.call @round(%x, %lr, %lc) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> (tensor<4xf32>, tensor<6xf32>)
    %y = func.call @divided(%x, %n#0, %n#1) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4x6xf32>
    %m = func.call @imbalance(%y) : (tensor<4x6xf32>) -> f32
    %better = arith.cmpf ole, %m, %b : f32
    %cr = arith.select %better, %n#0, %br : tensor<4xf32>
    %cc = arith.select %better, %n#1, %bc : tensor<6xf32>
    %least = arith.minimumf %m, %b : f32
    scf.yield %n#0, %n#1, %cr, %cc, %least : tensor<4xf32>, tensor<6xf32>, tensor<4xf32>, tensor<6xf32>, f32
  }
  %z = func.call @divided(%x, %l#2, %l#3) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  return %z : tensor<4x6xf32>
}
