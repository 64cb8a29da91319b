// RUN: cat %S/Inputs/half-steps.mlir %s | scaling-opt --inline --symbol-dce --scaling-raise=explain=true 2>/dev/null | FileCheck %s
// RUN: cat %S/Inputs/half-steps.mlir %s | scaling-opt --inline --symbol-dce --scaling-raise=explain=true 2>&1 >/dev/null | grep -o 'remark:.*' | FileCheck %s --check-prefix=REMARK

// The best of several pairs of half-steps, as SINQ and KVarN choose it.

// The largest of all deviations over the smallest one.
func.func private @imbalance(%x: tensor<4x6xf32>) -> f32 {
  %floor = arith.constant 1.0e-12 : f32
  %large = arith.constant dense<0xFF800000> : tensor<f32>
  %small = arith.constant dense<0x7F800000> : tensor<f32>
  %r = call @plain_deviation_rows(%x) : (tensor<4x6xf32>) -> tensor<4xf32>
  %c = call @plain_deviation_cols(%x) : (tensor<4x6xf32>) -> tensor<6xf32>
  %r0 = linalg.reduce { arith.minimumf } ins(%r : tensor<4xf32>) outs(%small : tensor<f32>) dimensions = [0]
  %c0 = linalg.reduce { arith.minimumf } ins(%c : tensor<6xf32>) outs(%small : tensor<f32>) dimensions = [0]
  %r1 = linalg.reduce { arith.maximumf } ins(%r : tensor<4xf32>) outs(%large : tensor<f32>) dimensions = [0]
  %c1 = linalg.reduce { arith.maximumf } ins(%c : tensor<6xf32>) outs(%large : tensor<f32>) dimensions = [0]
  %rl = tensor.extract %r0[] : tensor<f32>
  %cl = tensor.extract %c0[] : tensor<f32>
  %rm = tensor.extract %r1[] : tensor<f32>
  %cm = tensor.extract %c1[] : tensor<f32>
  %least = arith.minimumf %rl, %cl : f32
  %safe = arith.maximumf %least, %floor : f32
  %most = arith.maximumf %rm, %cm : f32
  %ratio = arith.divf %most, %safe : f32
  return %ratio : f32
}

// A round of both axes at once: the logarithms of what they are divided by.
func.func private @round(%x: tensor<4x6xf32>, %lr: tensor<4xf32>, %lc: tensor<6xf32>) -> (tensor<4xf32>, tensor<6xf32>) {
  %lo4 = arith.constant dense<-0.3> : tensor<4xf32>
  %hi4 = arith.constant dense<10.0> : tensor<4xf32>
  %lo6 = arith.constant dense<-0.3> : tensor<6xf32>
  %hi6 = arith.constant dense<10.0> : tensor<6xf32>
  %y = call @divided(%x, %lr, %lc) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  %dr = call @deviation_rows(%y) : (tensor<4x6xf32>) -> tensor<4xf32>
  %dc = call @deviation_cols(%y) : (tensor<4x6xf32>) -> tensor<6xf32>
  %sr = math.log %dr : tensor<4xf32>
  %sc = math.log %dc : tensor<6xf32>
  %nr = arith.addf %lr, %sr : tensor<4xf32>
  %nc = arith.addf %lc, %sc : tensor<6xf32>
  %mr = arith.maximumf %nr, %lo4 : tensor<4xf32>
  %mc = arith.maximumf %nc, %lo6 : tensor<6xf32>
  %cr = arith.minimumf %mr, %hi4 : tensor<4xf32>
  %cc = arith.minimumf %mc, %hi6 : tensor<6xf32>
  return %cr, %cc : tensor<4xf32>, tensor<6xf32>
}

func.func private @divided(%x: tensor<4x6xf32>, %lr: tensor<4xf32>, %lc: tensor<6xf32>) -> tensor<4x6xf32> {
  %r = math.exp %lr : tensor<4xf32>
  %c = math.exp %lc : tensor<6xf32>
  %rb = call @spread_rows(%r) : (tensor<4xf32>) -> tensor<4x6xf32>
  %cb = call @spread_cols(%c) : (tensor<6xf32>) -> tensor<4x6xf32>
  %y = arith.divf %x, %rb : tensor<4x6xf32>
  %z = arith.divf %y, %cb : tensor<4x6xf32>
  return %z : tensor<4x6xf32>
}

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
