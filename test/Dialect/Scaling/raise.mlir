// RUN: cat %S/Inputs/half-steps.mlir %s | scaling-opt --inline --symbol-dce --scaling-raise=domain=log 2>/dev/null | FileCheck %s
// RUN: cat %S/Inputs/half-steps.mlir %s | scaling-opt --inline --symbol-dce --scaling-raise 2>&1 >/dev/null | grep -o 'remark:.*' | FileCheck %s --check-prefix=REMARK
// RUN: cat %S/Inputs/half-steps.mlir %s | scaling-opt --inline --symbol-dce --scaling-raise 2>/dev/null | FileCheck %s --check-prefix=ABSORB

// REMARK: raised to 'scaling.project': 3 half-steps{{$}}

// What is there is a kernel.
// CHECK-LABEL: @kernel(
// CHECK-SAME: %[[K:.*]]: tensor<4x6xf32>
// CHECK-NEXT: %[[P:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.project kernel(%[[K]] : tensor<4x6xf32>)
// CHECK-SAME: rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first) stop(#scaling.stop<fixed 3>) numerics(#scaling.numerics<kernel>)
// CHECK-NEXT: return %[[P]]
func.func @kernel(%k: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %a = call @divide_rows(%k) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %b = call @divide_cols(%a) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %c = call @divide_rows(%b) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return %c : tensor<4x6xf32>
}

// Softmax first, the sums guarded; logits less their maxima are logits.
// REMARK: raised to 'scaling.project': 2 half-steps{{$}}
// CHECK-LABEL: @softmax(
// CHECK-SAME: %[[Z:.*]]: tensor<4x6xf32>
// CHECK-NEXT: scaling.project logits(%[[Z]] : tensor<4x6xf32>)
// CHECK-SAME: form(#scaling.form<logits, map = softmax_rows, entry_eps = 1.0e-06>)
// CHECK-SAME: rows(#scaling.rule<sum, guard = add_plan(1.0e-06)>)
// CHECK-SAME: order(cols_first) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<kernel>)
func.func @softmax(%z: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %eps = arith.constant dense<1.0e-6> : tensor<4x6xf32>
  %m = call @max_rows(%z) : (tensor<4x6xf32>) -> tensor<4xf32>
  %mb = call @spread_rows(%m) : (tensor<4xf32>) -> tensor<4x6xf32>
  %d = arith.subf %z, %mb : tensor<4x6xf32>
  %x = math.exp %d : tensor<4x6xf32>
  %s = call @divide_rows(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %k = arith.addf %s, %eps : tensor<4x6xf32>
  %a = call @guard_cols(%k) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %b = call @guard_rows(%a) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return %b : tensor<4x6xf32>
}

// A temperature, logarithms, exp behind, and a number that is no convention's.
// REMARK: raised to 'scaling.project': 2 half-steps{{$}}
// CHECK-LABEL: @logarithms(
// CHECK-SAME: %[[Z:.*]]: tensor<4x6xf32>
// CHECK-NEXT: %[[P:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.project logits(%[[Z]] : tensor<4x6xf32>)
// CHECK-SAME: form(#scaling.form<logits, epsilon = 5.0e-02>)
// CHECK-SAME: order(cols_first) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<log>)
// CHECK: linalg.generic {{.*}} ins(%[[P]]
// CHECK: arith.constant 3.0
// CHECK: arith.mulf
// ABSORB-LABEL: @logarithms(
// ABSORB: numerics(#scaling.numerics<absorb>)
func.func @logarithms(%z: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %t = arith.constant dense<0.05> : tensor<4x6xf32>
  %three = arith.constant dense<3.0> : tensor<4x6xf32>
  %x = arith.divf %z, %t : tensor<4x6xf32>
  %a = call @subtract_cols(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %b = call @subtract_rows(%a) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %p = math.exp %b : tensor<4x6xf32>
  %r = arith.mulf %p, %three : tensor<4x6xf32>
  return %r : tensor<4x6xf32>
}

// The same formula: potentials that are kept, and marginals.
// REMARK: raised to 'scaling.project': 3 half-steps{{$}}
// CHECK-LABEL: @potentials(
// CHECK-SAME: %[[C:.*]]: tensor<4x6xf32>, %[[A:.*]]: tensor<4xf32>, %[[LB:.*]]: tensor<6xf32>
// CHECK: %[[B:.*]] = linalg.generic {{.*}} ins(%[[LB]]
// CHECK: math.exp
// CHECK: scaling.project cost(%[[C]] : tensor<4x6xf32>) row_marginal(%[[A]] : tensor<4xf32>) col_marginal(%[[B]] : tensor<6xf32>)
// CHECK-SAME: form(#scaling.form<cost, epsilon = 5.0e-01, output = log_plan>)
// CHECK-SAME: order(rows_first) stop(#scaling.stop<fixed 3>) numerics(#scaling.numerics<log>)
func.func @potentials(%c: tensor<4x6xf32>, %a: tensor<4xf32>, %lb: tensor<6xf32>) -> tensor<4x6xf32> {
  %minus_two = arith.constant dense<-2.0> : tensor<4x6xf32>
  %x = arith.mulf %c, %minus_two : tensor<4x6xf32>
  %la = math.log %a : tensor<4xf32>
  %l0 = call @lse_rows(%x) : (tensor<4x6xf32>) -> tensor<4xf32>
  %u0 = arith.subf %la, %l0 : tensor<4xf32>
  %ub0 = call @spread_rows(%u0) : (tensor<4xf32>) -> tensor<4x6xf32>
  %y0 = arith.addf %x, %ub0 : tensor<4x6xf32>
  %l1 = call @lse_cols(%y0) : (tensor<4x6xf32>) -> tensor<6xf32>
  %v1 = arith.subf %lb, %l1 : tensor<6xf32>
  %vb1 = call @spread_cols(%v1) : (tensor<6xf32>) -> tensor<4x6xf32>
  %y1 = arith.addf %y0, %vb1 : tensor<4x6xf32>
  // Added to what the potential was, as Sinkformer does it.
  %l2 = call @lse_rows(%y1) : (tensor<4x6xf32>) -> tensor<4xf32>
  %d2 = arith.subf %la, %l2 : tensor<4xf32>
  %u2 = arith.addf %u0, %d2 : tensor<4xf32>
  %ub2 = call @spread_rows(%u2) : (tensor<4xf32>) -> tensor<4x6xf32>
  %w = arith.addf %x, %vb1 : tensor<4x6xf32>
  %p = arith.addf %ub2, %w : tensor<4x6xf32>
  return %p : tensor<4x6xf32>
}

// Scaling vectors: u = a/(K v), v = b/(Kᵀ u), u K v.
// REMARK: raised to 'scaling.project': 2 half-steps{{$}}
// CHECK-LABEL: @vectors(
// CHECK-SAME: %[[K:.*]]: tensor<4x6xf32>, %[[A:.*]]: tensor<4xf32>, %[[B:.*]]: tensor<6xf32>
// CHECK-NEXT: scaling.project kernel(%[[K]] : tensor<4x6xf32>) row_marginal(%[[A]] : tensor<4xf32>) col_marginal(%[[B]] : tensor<6xf32>)
// CHECK-SAME: order(rows_first) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<kernel>)
func.func @vectors(%k: tensor<4x6xf32>, %a: tensor<4xf32>, %b: tensor<6xf32>) -> tensor<4x6xf32> {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant dense<1.0> : tensor<6xf32>
  %e4 = tensor.empty() : tensor<4xf32>
  %z4 = linalg.fill ins(%zero : f32) outs(%e4 : tensor<4xf32>) -> tensor<4xf32>
  %e6 = tensor.empty() : tensor<6xf32>
  %z6 = linalg.fill ins(%zero : f32) outs(%e6 : tensor<6xf32>) -> tensor<6xf32>
  %kv = linalg.matvec ins(%k, %one : tensor<4x6xf32>, tensor<6xf32>)
      outs(%z4 : tensor<4xf32>) -> tensor<4xf32>
  %u = arith.divf %a, %kv : tensor<4xf32>
  %ku = linalg.vecmat ins(%u, %k : tensor<4xf32>, tensor<4x6xf32>)
      outs(%z6 : tensor<6xf32>) -> tensor<6xf32>
  %v = arith.divf %b, %ku : tensor<6xf32>
  %ub = call @spread_rows(%u) : (tensor<4xf32>) -> tensor<4x6xf32>
  %vb = call @spread_cols(%v) : (tensor<6xf32>) -> tensor<4x6xf32>
  %uk = arith.mulf %ub, %k : tensor<4x6xf32>
  %p = arith.mulf %uk, %vb : tensor<4x6xf32>
  return %p : tensor<4x6xf32>
}

// Loops whose trip count is known; here google's gumbel_sinkhorn, which is the
// same as mhc_log.
// REMARK: raised to 'scaling.project': 40 half-steps, preset mhc_log
// CHECK-LABEL: @for(
// CHECK-NEXT: %[[P:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.project logits(%{{.*}} : tensor<4x6xf32>) preset(mhc_log)
// CHECK-NEXT: return %[[P]]
func.func @for(%z: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c20 = arith.constant 20 : index
  %r = scf.for %i = %c0 to %c20 step %c1 iter_args(%x = %z) -> (tensor<4x6xf32>) {
    %a = func.call @subtract_rows(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32>
    %b = func.call @subtract_cols(%a) : (tensor<4x6xf32>) -> tensor<4x6xf32>
    scf.yield %b : tensor<4x6xf32>
  }
  %p = math.exp %r : tensor<4x6xf32>
  return %p : tensor<4x6xf32>
}

// As StableHLO's while comes out: the count is a tensor.
// REMARK: raised to 'scaling.project': 10 half-steps{{$}}
// CHECK-LABEL: @while(
// CHECK-NOT: scf.while
// CHECK: scaling.project kernel(%{{.*}} : tensor<4x6xf32>)
// CHECK-SAME: stop(#scaling.stop<fixed 10>)
func.func @while(%k: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %zero = arith.constant dense<0> : tensor<i32>
  %one = arith.constant dense<1> : tensor<i32>
  %five = arith.constant dense<5> : tensor<i32>
  %r:2 = scf.while (%i = %zero, %x = %k)
      : (tensor<i32>, tensor<4x6xf32>) -> (tensor<i32>, tensor<4x6xf32>) {
    %less = arith.cmpi slt, %i, %five : tensor<i32>
    %goes_on = tensor.extract %less[] : tensor<i1>
    scf.condition(%goes_on) %i, %x : tensor<i32>, tensor<4x6xf32>
  } do {
  ^bb0(%i: tensor<i32>, %x: tensor<4x6xf32>):
    %next = arith.addi %i, %one : tensor<i32>
    %a = func.call @divide_cols(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32>
    %b = func.call @divide_rows(%a) : (tensor<4x6xf32>) -> tensor<4x6xf32>
    scf.yield %next, %b : tensor<i32>, tensor<4x6xf32>
  }
  return %r#1 : tensor<4x6xf32>
}

// An iteration inside of a loop that is something else.
// REMARK: raised to 'scaling.project': 2 half-steps{{$}}
// CHECK-LABEL: @inside(
// CHECK: scf.for
// CHECK: scaling.project kernel(
// CHECK: math.tanh
func.func @inside(%k: tensor<4x6xf32>, %n: index) -> tensor<4x6xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%x = %k) -> (tensor<4x6xf32>) {
    %a = func.call @divide_rows(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32>
    %b = func.call @divide_cols(%a) : (tensor<4x6xf32>) -> tensor<4x6xf32>
    %y = math.tanh %b : tensor<4x6xf32>
    scf.yield %y : tensor<4x6xf32>
  }
  return %r : tensor<4x6xf32>
}

// The matrix in between has its axes the other way round.
// REMARK: raised to 'scaling.project': 2 half-steps{{$}}
// CHECK-LABEL: @transposed(
// CHECK-SAME: %[[K:.*]]: tensor<6x4xf32>
// CHECK-NEXT: %[[P:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.project kernel(%[[K]] : tensor<6x4xf32>)
// CHECK-SAME: order(cols_first)
// CHECK-NEXT: return %[[P]]
func.func @transposed(%k: tensor<6x4xf32>) -> tensor<6x4xf32> {
  %e = tensor.empty() : tensor<4x6xf32>
  %t = linalg.transpose ins(%k : tensor<6x4xf32>) outs(%e : tensor<4x6xf32>) permutation = [1, 0]
  %a = func.call @divide_rows(%t) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %b = func.call @divide_cols(%a) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %f = tensor.empty() : tensor<6x4xf32>
  %r = linalg.transpose ins(%b : tensor<4x6xf32>) outs(%f : tensor<6x4xf32>) permutation = [1, 0]
  return %r : tensor<6x4xf32>
}

// Normalizing along the same axis twice changes nothing.
// REMARK: raised to 'scaling.project': 2 half-steps{{$}}
// CHECK-LABEL: @idempotent(
// CHECK-NEXT: scaling.project
// CHECK-SAME: stop(#scaling.stop<fixed 2>)
func.func @idempotent(%k: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %a = call @divide_rows(%k) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %b = call @divide_rows(%a) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %c = call @divide_cols(%b) : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return %c : tensor<4x6xf32>
}

// 2-norms of a matrix of any sign: its factors, and what they make of it.
// REMARK: raised to 'scaling.balance': 2 half-steps{{$}}
// CHECK-LABEL: @balance(
// CHECK-SAME: %[[X:.*]]: tensor<4x6xf32>
// CHECK-NEXT: %[[U:.*]], %[[V:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.balance matrix(%[[X]] : tensor<4x6xf32>)
// CHECK-SAME: rows(#scaling.rule<l2, guard = add_plan(1.0e-06)>)
// CHECK-SAME: order(rows_first) stop(#scaling.stop<fixed 2>)
// CHECK: scaling.plan domain(kernel) matrix(%[[X]] : tensor<4x6xf32>) row(%[[U]] : tensor<4xf32>) col(%[[V]] : tensor<6xf32>)
func.func @balance(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %eps4 = arith.constant dense<1.0e-6> : tensor<4xf32>
  %eps6 = arith.constant dense<1.0e-6> : tensor<6xf32>
  %q = arith.mulf %x, %x : tensor<4x6xf32>
  %s = call @sum_rows(%q) : (tensor<4x6xf32>) -> tensor<4xf32>
  %n = math.sqrt %s : tensor<4xf32>
  %g = arith.addf %n, %eps4 : tensor<4xf32>
  %b = call @spread_rows(%g) : (tensor<4xf32>) -> tensor<4x6xf32>
  %y = arith.divf %x, %b : tensor<4x6xf32>
  %r = arith.mulf %y, %y : tensor<4x6xf32>
  %t = call @sum_cols(%r) : (tensor<4x6xf32>) -> tensor<6xf32>
  %o = math.sqrt %t : tensor<6xf32>
  %h = arith.addf %o, %eps6 : tensor<6xf32>
  %c = call @spread_cols(%h) : (tensor<6xf32>) -> tensor<4x6xf32>
  %z = arith.divf %y, %c : tensor<4x6xf32>
  return %z : tensor<4x6xf32>
}

// Potentials come out, of a loop and behind other values: no plan is made.
// REMARK: raised to 'scaling.sinkhorn': 10 half-steps{{$}}
// CHECK-LABEL: @only_potentials(
// CHECK-SAME: %[[C:.*]]: tensor<4x6xf32>, %[[A:.*]]: tensor<4xf32>
// CHECK-NEXT: %[[F:.*]], %[[G:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.sinkhorn cost(%[[C]] : tensor<4x6xf32>) row_marginal(%[[A]] : tensor<4xf32>)
// CHECK-SAME: form(#scaling.form<cost, epsilon = 5.0e-01>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum, target = uniform>)
// CHECK-SAME: order(rows_first) stop(#scaling.stop<fixed 10>) numerics(#scaling.numerics<log>)
// CHECK-NEXT: return %[[G]], %[[F]]
// ABSORB-LABEL: @only_potentials(
// ABSORB: numerics(#scaling.numerics<absorb>)
func.func @only_potentials(%c: tensor<4x6xf32>, %a: tensor<4xf32>) -> (tensor<6xf32>, tensor<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c5 = arith.constant 5 : index
  %half4 = arith.constant dense<0.5> : tensor<4xf32>
  %half6 = arith.constant dense<0.5> : tensor<6xf32>
  %half = arith.constant dense<0.5> : tensor<4x6xf32>
  %f0 = arith.constant dense<0.0> : tensor<4xf32>
  %g0 = arith.constant dense<0.0> : tensor<6xf32>
  // −log 6.
  %lb = arith.constant dense<-1.791759469228055> : tensor<6xf32>
  %la = math.log %a : tensor<4xf32>
  %r:2 = scf.for %i = %c0 to %c5 step %c1 iter_args(%f = %f0, %g = %g0) -> (tensor<4xf32>, tensor<6xf32>) {
    %gb = func.call @spread_cols(%g) : (tensor<6xf32>) -> tensor<4x6xf32>
    %x0 = arith.subf %gb, %c : tensor<4x6xf32>
    %y0 = arith.divf %x0, %half : tensor<4x6xf32>
    %l0 = func.call @lse_rows(%y0) : (tensor<4x6xf32>) -> tensor<4xf32>
    %d0 = arith.subf %la, %l0 : tensor<4xf32>
    %f1 = arith.mulf %d0, %half4 : tensor<4xf32>
    %fb = func.call @spread_rows(%f1) : (tensor<4xf32>) -> tensor<4x6xf32>
    %x1 = arith.subf %fb, %c : tensor<4x6xf32>
    %y1 = arith.divf %x1, %half : tensor<4x6xf32>
    %l1 = func.call @lse_cols(%y1) : (tensor<4x6xf32>) -> tensor<6xf32>
    %d1 = arith.subf %lb, %l1 : tensor<6xf32>
    %g1 = arith.mulf %d1, %half6 : tensor<6xf32>
    scf.yield %f1, %g1 : tensor<4xf32>, tensor<6xf32>
  }
  return %r#1, %r#0 : tensor<6xf32>, tensor<4xf32>
}

// A potential with dimensions of size 1, which is no multiple of ε: logits.
// REMARK: raised to 'scaling.sinkhorn': 2 half-steps{{$}}
// CHECK-LABEL: @one_potential(
// CHECK: scaling.sinkhorn logits(%{{.*}} : tensor<4x6xf32>)
// CHECK-SAME: order(cols_first) stop(#scaling.stop<fixed 2>)
// CHECK: arith.constant -3.0
func.func @one_potential(%z: tensor<4x6xf32>) -> tensor<4x1xf32> {
  %l0 = call @lse_cols(%z) : (tensor<4x6xf32>) -> tensor<6xf32>
  %b0 = call @spread_cols(%l0) : (tensor<6xf32>) -> tensor<4x6xf32>
  %y0 = arith.subf %z, %b0 : tensor<4x6xf32>
  %l1 = call @lse_rows(%y0) : (tensor<4x6xf32>) -> tensor<4xf32>
  %minus_three = arith.constant dense<-3.0> : tensor<4xf32>
  %f = arith.subf %minus_three, %l1 : tensor<4xf32>
  %w = tensor.expand_shape %f [[0, 1]] output_shape [4, 1] : tensor<4xf32> into tensor<4x1xf32>
  return %w : tensor<4x1xf32>
}

// Unbiased standard deviations, clamped, of logarithmic factors.
// REMARK: raised to 'scaling.balance': 2 half-steps{{$}}
// CHECK-LABEL: @deviations(
// CHECK-SAME: %[[X:.*]]: tensor<4x6xf32>
// CHECK-NEXT: %[[U:.*]], %[[V:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.balance matrix(%[[X]] : tensor<4x6xf32>)
// CHECK-SAME: rows(#scaling.rule<std, limit = [1.0e-03, 1.0e+03]>) cols(#scaling.rule<std, limit = [1.0e-03, 1.0e+03]>)
// CHECK-SAME: order(rows_first) stop(#scaling.stop<fixed 2>)
// CHECK: scaling.plan domain(kernel) matrix(%[[X]] : tensor<4x6xf32>) row(%[[U]] : tensor<4xf32>) col(%[[V]] : tensor<6xf32>)
func.func @deviations(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %s = call @deviation_rows(%x) : (tensor<4x6xf32>) -> tensor<4xf32>
  %l = math.log %s : tensor<4xf32>
  %m = math.exp %l : tensor<4xf32>
  %b = call @spread_rows(%m) : (tensor<4xf32>) -> tensor<4x6xf32>
  %y = arith.divf %x, %b : tensor<4x6xf32>
  %t = call @deviation_cols(%y) : (tensor<4x6xf32>) -> tensor<6xf32>
  %c = call @spread_cols(%t) : (tensor<6xf32>) -> tensor<4x6xf32>
  %z = arith.divf %y, %c : tensor<4x6xf32>
  return %z : tensor<4x6xf32>
}

// Until the rows' error is small, which every round looks at behind its pair.
// REMARK: raised to 'scaling.sinkhorn': at most 100 half-steps
// CHECK-LABEL: @until(
// CHECK-SAME: %[[Z:.*]]: tensor<4x6xf32>
// CHECK-NEXT: %[[F:.*]], %[[G:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.sinkhorn logits(%[[Z]] : tensor<4x6xf32>)
// CHECK-SAME: order(rows_first) stop(#scaling.stop<until 1.0e-03, what = marginal, axis = rows, norm = l1, every = 2, start = 2, limit = 100, relax = none>) numerics(#scaling.numerics<log>)
// CHECK-NEXT: return %[[F]], %[[G]]
// ABSORB-LABEL: @until(
// ABSORB: numerics(#scaling.numerics<absorb>)
func.func @until(%z: tensor<4x6xf32>) -> (tensor<4xf32>, tensor<6xf32>) {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c50 = arith.constant 50 : i32
  %tol = arith.constant 1.0e-3 : f32
  %inf = arith.constant 0x7F800000 : f32
  %f0 = arith.constant dense<0.0> : tensor<4xf32>
  %g0 = arith.constant dense<0.0> : tensor<6xf32>
  %r:4 = scf.while (%f = %f0, %g = %g0, %e = %inf, %i = %c0)
      : (tensor<4xf32>, tensor<6xf32>, f32, i32) -> (tensor<4xf32>, tensor<6xf32>, f32, i32) {
    %large = arith.cmpf ogt, %e, %tol : f32
    %few = arith.cmpi slt, %i, %c50 : i32
    %go = arith.andi %large, %few : i1
    scf.condition(%go) %f, %g, %e, %i : tensor<4xf32>, tensor<6xf32>, f32, i32
  } do {
  ^bb0(%f: tensor<4xf32>, %g: tensor<6xf32>, %e: f32, %i: i32):
    %p:2 = func.call @pair(%z, %g) : (tensor<4x6xf32>, tensor<6xf32>) -> (tensor<4xf32>, tensor<6xf32>)
    %q = func.call @plan(%z, %p#0, %p#1) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4x6xf32>
    %d = func.call @error_rows(%q) : (tensor<4x6xf32>) -> f32
    %j = arith.addi %i, %c1 : i32
    scf.yield %p#0, %p#1, %d, %j : tensor<4xf32>, tensor<6xf32>, f32, i32
  }
  return %r#0, %r#1 : tensor<4xf32>, tensor<6xf32>
}

// The same of a matrix, looked at before the first pair too; columns first.
// REMARK: raised to 'scaling.project': at most 80 half-steps
// CHECK-LABEL: @until_matrix(
// CHECK: scaling.project kernel(%{{.*}} : tensor<4x6xf32>)
// CHECK-SAME: order(cols_first) stop(#scaling.stop<until 1.0e-03, what = marginal, axis = cols, norm = linf, every = 4, start = 0, limit = 80, relax = none>)
func.func @until_matrix(%k: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c40 = arith.constant 40 : index
  %tol = arith.constant 1.0e-3 : f32
  %r:2 = scf.while (%x = %k, %i = %c0) : (tensor<4x6xf32>, index) -> (tensor<4x6xf32>, index) {
    %e = func.call @error_cols(%x) : (tensor<4x6xf32>) -> f32
    %few = arith.cmpi ugt, %c40, %i : index
    %large = arith.cmpf olt, %tol, %e : f32
    %go = arith.andi %few, %large : i1
    scf.condition(%go) %x, %i : tensor<4x6xf32>, index
  } do {
  ^bb0(%x: tensor<4x6xf32>, %i: index):
    %y = scf.for %s = %c0 to %c2 step %c1 iter_args(%w = %x) -> (tensor<4x6xf32>) {
      %a = func.call @divide_cols(%w) : (tensor<4x6xf32>) -> tensor<4x6xf32>
      %b = func.call @divide_rows(%a) : (tensor<4x6xf32>) -> tensor<4x6xf32>
      scf.yield %b : tensor<4x6xf32>
    }
    %j = arith.addi %i, %c2 : index
    scf.yield %y, %j : tensor<4x6xf32>, index
  }
  return %r#0 : tensor<4x6xf32>
}

// The potentials are looked at before every pair, the first one too.
// REMARK: raised to 'scaling.sinkhorn': at most 100 half-steps
// CHECK-LABEL: @until_start(
// CHECK: scaling.sinkhorn logits(%{{.*}} : tensor<4x6xf32>)
// CHECK-SAME: order(rows_first) stop(#scaling.stop<until 1.0e-03, what = marginal, axis = rows, norm = l1, every = 2, start = 0, limit = 100, relax = none>)
func.func @until_start(%z: tensor<4x6xf32>) -> tensor<6xf32> {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c50 = arith.constant 50 : i32
  %tol = arith.constant 1.0e-3 : f32
  %f0 = arith.constant dense<0.0> : tensor<4xf32>
  %g0 = arith.constant dense<0.0> : tensor<6xf32>
  %r:3 = scf.while (%f = %f0, %g = %g0, %i = %c0)
      : (tensor<4xf32>, tensor<6xf32>, i32) -> (tensor<4xf32>, tensor<6xf32>, i32) {
    %q = func.call @plan(%z, %f, %g) : (tensor<4x6xf32>, tensor<4xf32>, tensor<6xf32>) -> tensor<4x6xf32>
    %e = func.call @error_rows(%q) : (tensor<4x6xf32>) -> f32
    %large = arith.cmpf ogt, %e, %tol : f32
    %few = arith.cmpi slt, %i, %c50 : i32
    %go = arith.andi %large, %few : i1
    scf.condition(%go) %f, %g, %i : tensor<4xf32>, tensor<6xf32>, i32
  } do {
  ^bb0(%f: tensor<4xf32>, %g: tensor<6xf32>, %i: i32):
    %p:2 = func.call @pair(%z, %g) : (tensor<4x6xf32>, tensor<6xf32>) -> (tensor<4xf32>, tensor<6xf32>)
    %j = arith.addi %i, %c1 : i32
    scf.yield %p#0, %p#1, %j : tensor<4xf32>, tensor<6xf32>, i32
  }
  return %r#1 : tensor<6xf32>
}

// Factors that are in bounds each time; the first is in those of both.
// REMARK: raised to 'scaling.balance': 3 half-steps{{$}}
// CHECK-LABEL: @bounded(
// CHECK: scaling.balance matrix(%{{.*}} : tensor<4x6xf32>)
// CHECK-SAME: rows(#scaling.rule<std, limit = [1.0e-03, 1.0e+03], clamp = [1.25e-01, 2.0e+00]>)
// CHECK-SAME: order(rows_first) stop(#scaling.stop<fixed 3>)
func.func @bounded(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %low4 = arith.constant dense<0.5> : tensor<4xf32>
  %high4 = arith.constant dense<8.0> : tensor<4xf32>
  %low6 = arith.constant dense<0.5> : tensor<6xf32>
  %high6 = arith.constant dense<8.0> : tensor<6xf32>
  %s = call @deviation_rows(%x) : (tensor<4x6xf32>) -> tensor<4xf32>
  %sl = arith.maximumf %s, %low4 : tensor<4xf32>
  %m = arith.minimumf %sl, %high4 : tensor<4xf32>
  %b = call @spread_rows(%m) : (tensor<4xf32>) -> tensor<4x6xf32>
  %y = arith.divf %x, %b : tensor<4x6xf32>
  %t = call @deviation_cols(%y) : (tensor<4x6xf32>) -> tensor<6xf32>
  %tl = arith.maximumf %t, %low6 : tensor<6xf32>
  %n = arith.minimumf %tl, %high6 : tensor<6xf32>
  %c = call @spread_cols(%n) : (tensor<6xf32>) -> tensor<4x6xf32>
  %z = arith.divf %y, %c : tensor<4x6xf32>
  %u = call @deviation_rows(%z) : (tensor<4x6xf32>) -> tensor<4xf32>
  %v = arith.mulf %u, %m : tensor<4xf32>
  %vl = arith.maximumf %v, %low4 : tensor<4xf32>
  %w = arith.minimumf %vl, %high4 : tensor<4xf32>
  %d = call @spread_rows(%w) : (tensor<4xf32>) -> tensor<4x6xf32>
  %p = arith.divf %x, %d : tensor<4x6xf32>
  %q = arith.divf %p, %c : tensor<4x6xf32>
  return %q : tensor<4x6xf32>
}
