// RUN: cat %S/Inputs/half-steps.mlir %s | scaling-opt --inline --symbol-dce --scaling-raise=explain=true 2>/dev/null | FileCheck %s
// RUN: cat %S/Inputs/half-steps.mlir %s | scaling-opt --inline --symbol-dce --scaling-raise=explain=true 2>&1 >/dev/null | grep -o 'remark:.*' | FileCheck %s --check-prefix=REMARK

// Scaling vectors that come out: u = a/(K v), v = b/(Kᵀ u).

func.func private @row_factor(%k: tensor<4x6xf32>, %a: tensor<4xf32>, %v: tensor<6xf32>) -> tensor<4xf32> {
  %zero = arith.constant dense<0.0> : tensor<4xf32>
  %kv = linalg.matvec ins(%k, %v : tensor<4x6xf32>, tensor<6xf32>)
      outs(%zero : tensor<4xf32>) -> tensor<4xf32>
  %u = arith.divf %a, %kv : tensor<4xf32>
  return %u : tensor<4xf32>
}
func.func private @col_factor(%k: tensor<4x6xf32>, %b: tensor<6xf32>, %u: tensor<4xf32>) -> tensor<6xf32> {
  %zero = arith.constant dense<0.0> : tensor<6xf32>
  %ku = linalg.vecmat ins(%u, %k : tensor<4xf32>, tensor<4x6xf32>)
      outs(%zero : tensor<6xf32>) -> tensor<6xf32>
  %v = arith.divf %b, %ku : tensor<6xf32>
  return %v : tensor<6xf32>
}
func.func private @scaled(%k: tensor<4x6xf32>, %u: tensor<4xf32>, %v: tensor<6xf32>) -> tensor<4x6xf32> {
  %ub = call @spread_rows(%u) : (tensor<4xf32>) -> tensor<4x6xf32>
  %vb = call @spread_cols(%v) : (tensor<6xf32>) -> tensor<4x6xf32>
  %x = arith.mulf %k, %ub : tensor<4x6xf32>
  %p = arith.mulf %x, %vb : tensor<4x6xf32>
  return %p : tensor<4x6xf32>
}

// v starts as 1/6, and so u comes out six times as large as from 1.
// REMARK: raised to 'scaling.balance': 20 half-steps{{$}}
// CHECK-LABEL: @factors(
// CHECK-SAME: %[[K:.*]]: tensor<4x6xf32>, %[[A:.*]]: tensor<4xf32>, %[[B:.*]]: tensor<6xf32>
// CHECK: %[[U:.*]], %[[V:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.balance matrix(%[[K]] : tensor<4x6xf32>) row_target(%[[A]] : tensor<4xf32>) col_target(%[[B]] : tensor<6xf32>)
// CHECK-SAME: rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first) stop(#scaling.stop<fixed 20>) numerics(#scaling.numerics<kernel>)
// CHECK: linalg.generic {{.*}} ins(%[[V]]
// CHECK: arith.constant 0.16666
// CHECK: linalg.generic {{.*}} ins(%[[U]]
// CHECK: arith.constant 6.0
func.func @factors(%k: tensor<4x6xf32>, %a: tensor<4xf32>, %b: tensor<6xf32>) -> (tensor<4xf32>, tensor<6xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c10 = arith.constant 10 : index
  %u0 = arith.constant dense<0.25> : tensor<4xf32>
  %v0 = arith.constant dense<0.16666666666666666> : tensor<6xf32>
  %r:2 = scf.for %i = %c0 to %c10 step %c1 iter_args(%u = %u0, %v = %v0) -> (tensor<4xf32>, tensor<6xf32>) {
    %un = func.call @row_factor(%k, %a, %v) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4xf32>
    %vn = func.call @col_factor(%k, %b, %un) : (tensor<4x6xf32>, tensor<6xf32>, tensor<4xf32>) -> tensor<6xf32>
    scf.yield %un, %vn : tensor<4xf32>, tensor<6xf32>
  }
  return %r#0, %r#1 : tensor<4xf32>, tensor<6xf32>
}

// One of them, to sums of 1/4 and 1/6.
// REMARK: raised to 'scaling.balance': 3 half-steps{{$}}
// CHECK-LABEL: @one_factor(
// CHECK: %[[U:.*]], %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} = scaling.balance
// CHECK-SAME: rows(#scaling.rule<sum, target = uniform>) cols(#scaling.rule<sum, target = uniform>) order(rows_first) stop(#scaling.stop<fixed 3>)
// CHECK-NEXT: return %[[U]]
func.func @one_factor(%k: tensor<4x6xf32>) -> tensor<4xf32> {
  %a = arith.constant dense<0.25> : tensor<4xf32>
  %b = arith.constant dense<0.16666666666666666> : tensor<6xf32>
  %one = arith.constant dense<1.0> : tensor<6xf32>
  %u0 = call @row_factor(%k, %a, %one) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4xf32>
  %v0 = call @col_factor(%k, %b, %u0) : (tensor<4x6xf32>, tensor<6xf32>, tensor<4xf32>) -> tensor<6xf32>
  %u1 = call @row_factor(%k, %a, %v0) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4xf32>
  return %u1 : tensor<4xf32>
}

// Until the rows' error, which is looked at behind every pair, is small.
// REMARK: raised to 'scaling.balance': at most 100 half-steps{{$}}
// CHECK-LABEL: @until(
// CHECK: %[[U:.*]], %[[V:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.balance
// CHECK-SAME: order(rows_first) stop(#scaling.stop<until 1.0e-03, what = marginal, axis = rows, norm = l1, every = 2, start = 2, limit = 100, relax = none>)
// CHECK-NEXT: return %[[U]], %[[V]]
func.func @until(%k: tensor<4x6xf32>, %b: tensor<6xf32>) -> (tensor<4xf32>, tensor<6xf32>) {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c50 = arith.constant 50 : i32
  %tol = arith.constant 1.0e-3 : f32
  %inf = arith.constant 0x7F800000 : f32
  %a = arith.constant dense<1.0> : tensor<4xf32>
  %u0 = arith.constant dense<0.25> : tensor<4xf32>
  %v0 = arith.constant dense<1.0> : tensor<6xf32>
  %r:4 = scf.while (%u = %u0, %v = %v0, %e = %inf, %i = %c0)
      : (tensor<4xf32>, tensor<6xf32>, f32, i32) -> (tensor<4xf32>, tensor<6xf32>, f32, i32) {
    %large = arith.cmpf ogt, %e, %tol : f32
    %few = arith.cmpi slt, %i, %c50 : i32
    %go = arith.andi %large, %few : i1
    scf.condition(%go) %u, %v, %e, %i : tensor<4xf32>, tensor<6xf32>, f32, i32
  } do {
  ^bb0(%u: tensor<4xf32>, %v: tensor<6xf32>, %e: f32, %i: i32):
    %un = func.call @row_factor(%k, %a, %v) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4xf32>
    %vn = func.call @col_factor(%k, %b, %un) : (tensor<4x6xf32>, tensor<6xf32>, tensor<4xf32>) -> tensor<6xf32>
    %p = func.call @scaled(%k, %un, %vn) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4x6xf32>
    %d = func.call @error_rows(%p) : (tensor<4x6xf32>) -> f32
    %j = arith.addi %i, %c1 : i32
    scf.yield %un, %vn, %d, %j : tensor<4xf32>, tensor<6xf32>, f32, i32
  }
  return %r#0, %r#1 : tensor<4xf32>, tensor<6xf32>
}

// v starts as 1/2, and stops when little changes it: twice as little from 1.
// REMARK: raised to 'scaling.balance': at most 100 half-steps{{$}}
// CHECK-LABEL: @until_change(
// CHECK: %{{.*}}, %[[V:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.balance
// CHECK-SAME: stop(#scaling.stop<until 2.0e-03, what = change, axis = cols, norm = linf, every = 2, start = 2, limit = 100>)
// CHECK: linalg.generic {{.*}} ins(%[[V]]
// CHECK: arith.constant 5.0
func.func @until_change(%k: tensor<4x6xf32>, %b: tensor<6xf32>) -> tensor<6xf32> {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c50 = arith.constant 50 : i32
  %tol = arith.constant 1.0e-3 : f32
  %inf = arith.constant 0x7F800000 : f32
  %lowest = arith.constant dense<0xFF800000> : tensor<f32>
  %a = arith.constant dense<1.0> : tensor<4xf32>
  %v0 = arith.constant dense<0.5> : tensor<6xf32>
  %r:3 = scf.while (%v = %v0, %e = %inf, %i = %c0)
      : (tensor<6xf32>, f32, i32) -> (tensor<6xf32>, f32, i32) {
    %large = arith.cmpf ogt, %e, %tol : f32
    %few = arith.cmpi slt, %i, %c50 : i32
    %go = arith.andi %large, %few : i1
    scf.condition(%go) %v, %e, %i : tensor<6xf32>, f32, i32
  } do {
  ^bb0(%v: tensor<6xf32>, %e: f32, %i: i32):
    %un = func.call @row_factor(%k, %a, %v) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4xf32>
    %vn = func.call @col_factor(%k, %b, %un) : (tensor<4x6xf32>, tensor<6xf32>, tensor<4xf32>) -> tensor<6xf32>
    %c = arith.subf %vn, %v : tensor<6xf32>
    %m = math.absf %c : tensor<6xf32>
    %x = linalg.reduce { arith.maximumf } ins(%m : tensor<6xf32>) outs(%lowest : tensor<f32>) dimensions = [0]
    %d = tensor.extract %x[] : tensor<f32>
    %j = arith.addi %i, %c1 : i32
    scf.yield %vn, %d, %j : tensor<6xf32>, f32, i32
  }
  return %r#0 : tensor<6xf32>
}

// The factors of two half-steps that are not the last two.
// REMARK: not raised: 3 half-steps were found, but a part of them is used elsewhere
// CHECK-LABEL: @older(
// CHECK-NOT: scaling.
func.func @older(%k: tensor<4x6xf32>, %a: tensor<4xf32>, %b: tensor<6xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %one = arith.constant dense<1.0> : tensor<6xf32>
  %u0 = call @row_factor(%k, %a, %one) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4xf32>
  %v0 = call @col_factor(%k, %b, %u0) : (tensor<4x6xf32>, tensor<6xf32>, tensor<4xf32>) -> tensor<6xf32>
  %u1 = call @row_factor(%k, %a, %v0) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4xf32>
  return %u0, %u1 : tensor<4xf32>, tensor<4xf32>
}

// The rows have one target in the first half-step and another one in the last.
// REMARK: not raised: 3 half-steps were found, but the half-steps, or what they start from, are not those of one iteration
// CHECK-LABEL: @two_targets(
// CHECK-NOT: scaling.
func.func @two_targets(%k: tensor<4x6xf32>, %a: tensor<4xf32>, %b: tensor<6xf32>, %c: tensor<4xf32>) -> tensor<4xf32> {
  %one = arith.constant dense<1.0> : tensor<6xf32>
  %u0 = call @row_factor(%k, %a, %one) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4xf32>
  %v0 = call @col_factor(%k, %b, %u0) : (tensor<4x6xf32>, tensor<6xf32>, tensor<4xf32>) -> tensor<6xf32>
  %u1 = call @row_factor(%k, %c, %v0) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4xf32>
  return %u1 : tensor<4xf32>
}

// Another kernel in the second half-step.
// CHECK-LABEL: @two_kernels(
// CHECK-NOT: scaling.
func.func @two_kernels(%k: tensor<4x6xf32>, %l: tensor<4x6xf32>, %a: tensor<4xf32>, %b: tensor<6xf32>) -> tensor<4xf32> {
  %one = arith.constant dense<1.0> : tensor<6xf32>
  %u0 = call @row_factor(%k, %a, %one) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4xf32>
  %v0 = call @col_factor(%l, %b, %u0) : (tensor<4x6xf32>, tensor<6xf32>, tensor<4xf32>) -> tensor<6xf32>
  %u1 = call @row_factor(%k, %a, %v0) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4xf32>
  return %u1 : tensor<4xf32>
}
