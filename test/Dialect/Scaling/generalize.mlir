// RUN: scaling-opt %s --scaling-generalize --canonicalize --split-input-file | FileCheck %s

// The start of mHC: a softmax over rows, plus 1e-6; then the iteration; then
// the plan.
// CHECK-LABEL: func.func @mhc
// CHECK-SAME: %[[Z:.*]]: tensor<?x4x4xf32>
// CHECK: scaling.reduce along(rows) stat(#scaling.lse) matrix({{.*}} : tensor<?x4x4xf32>)
// CHECK: %[[K:.*]] = linalg.generic {{.*}} ins(%{{.*}}, %{{.*}} : tensor<?x4x4xf32>, tensor<?x4xf32>)
// CHECK: arith.subf
// CHECK: math.exp
// CHECK: arith.addf %{{.*}}, %cst
// CHECK: } -> tensor<?x4x4xf32>
// CHECK: %[[U:.*]], %[[V:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.iterate matrix(%[[K]] : tensor<?x4x4xf32>)
// CHECK-SAME: rows(#scaling.rule<sum, guard = add_plan(1.0e-06)>) cols(#scaling.rule<sum, guard = add_plan(1.0e-06)>)
// CHECK-SAME: order(cols_first) stop(#scaling.stop<fixed 39>) numerics(#scaling.numerics<kernel>)
// CHECK: %[[P:.*]] = scaling.plan domain(kernel) matrix(%[[K]] : tensor<?x4x4xf32>) row(%[[U]] : tensor<?x4xf32>) col(%[[V]] : tensor<?x4xf32>)
// CHECK: return %[[P]]
func.func @mhc(%z: tensor<?x4x4xf32>) -> tensor<?x4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x4x4xf32>) preset(mhc)
  return %P : tensor<?x4x4xf32>
}

// -----

// Where a matrix is at hand, a softmax takes each exponential once.
// CHECK-LABEL: func.func @softmax_of_tiny
// CHECK-NOT: stat(#scaling.lse)
// CHECK: %[[TOP:.*]] = scaling.reduce along(rows) stat(#scaling.max)
// CHECK: math.exp
// CHECK: scaling.reduce along(rows) stat(#scaling.sum)
// CHECK-NOT: math.
// CHECK: scaling.iterate
func.func @softmax_of_tiny(%z: tensor<?x4x4xf32>) -> tensor<?x4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x4x4xf32>) preset(mhc)
    {scaling.schedule = #scaling.schedule<tiny_batched, lanes = 16>}
  return %P : tensor<?x4x4xf32>
}

// -----

// SwAV's total is a factor of the whole matrix, which the first half-step takes
// up: no pass over the matrix is spent on it.
// CHECK-LABEL: func.func @total_is_forgotten
// CHECK-NOT: scaling.reduce
// CHECK: math.exp
// CHECK-NEXT: linalg.yield
// CHECK-NOT: scaling.reduce
// CHECK: scaling.iterate
func.func @total_is_forgotten(%z: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<8x4xf32>) preset(swav)
  return %P : tensor<8x4xf32>
}

// -----

// A guard compares with it.
// CHECK-LABEL: func.func @total_is_seen
// CHECK: scaling.reduce along(rows) stat(#scaling.sum)
// CHECK: arith.divf
// CHECK: scaling.iterate
func.func @total_is_seen(%z: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<8x4xf32>) preset(swav)
      cols(#scaling.rule<sum, guard = add_plan(1.0e-8), target = uniform>)
  return %P : tensor<8x4xf32>
}

// -----

// Logits that need nothing are read as they are stored: no copy of the matrix.
// CHECK-LABEL: func.func @logits_as_they_are
// CHECK-SAME: %[[S:.*]]: tensor<8x4xbf16>
// CHECK-NOT: tensor<8x4xf32>
// CHECK: scaling.iterate matrix(%[[S]] : tensor<8x4xbf16>)
// CHECK-SAME: numerics(#scaling.numerics<log>)
// CHECK: scaling.plan domain(log) matrix(%[[S]] : tensor<8x4xbf16>) {{.*}} -> tensor<8x4xbf16>
func.func @logits_as_they_are(%S: tensor<8x4xbf16>) -> tensor<8x4xbf16> {
  %P, %k, %r, %s = scaling.project logits(%S : tensor<8x4xbf16>) preset(mhc_log)
  return %P : tensor<8x4xbf16>
}

// -----

// A cost is negated and divided by ε, the potentials are times ε; marginals are
// operands of the iteration, uniform ones where none are given. What is wrong at
// run time, a temperature that is not positive or a negative marginal, becomes
// NaN, which diverges.
// CHECK-LABEL: func.func @cost
// CHECK-SAME: %[[C:.*]]: tensor<8x4xf64>, %[[A:.*]]: tensor<8xf64>, %[[E:.*]]: tensor<f64>
// CHECK: %[[X:.*]] = linalg.generic {{.*}} ins(%[[C]], %[[E]] : tensor<8x4xf64>, tensor<f64>)
// CHECK: arith.negf
// CHECK: arith.cmpf ogt
// CHECK: arith.divf
// CHECK: %[[T0:.*]] = linalg.generic {{.*}} ins(%[[A]] : tensor<8xf64>)
// CHECK: arith.cmpf olt
// CHECK: %[[F:.*]], %[[G:.*]], %[[N:.*]], %{{.*}}, %[[T:.*]] = scaling.iterate matrix(%[[X]] : tensor<8x4xf64>)
// CHECK-SAME: row_target(%[[T0]] : tensor<8xf64>) col_target(%{{.*}} : tensor<4xf64>)
// CHECK: linalg.generic {{.*}} ins(%[[F]], %[[E]] : tensor<8xf64>, tensor<f64>)
// CHECK: arith.mulf
// CHECK: linalg.generic {{.*}} ins(%[[G]], %[[E]] : tensor<4xf64>, tensor<f64>)
// CHECK: return %{{.*}}, %{{.*}}, %[[T]]
func.func @cost(%C: tensor<8x4xf64>, %a: tensor<8xf64>, %e: tensor<f64>) -> (tensor<8xf64>, tensor<4xf64>, tensor<i32>) {
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf64>) row_marginal(%a : tensor<8xf64>) epsilon(%e : tensor<f64>) preset(ott)
  return %f, %g, %s : tensor<8xf64>, tensor<4xf64>, tensor<i32>
}

// -----

// The slack row and column.
// CHECK-LABEL: func.func @slack
// CHECK: linalg.generic
// CHECK: } -> tensor<2x9x5xf32>
// CHECK: scaling.iterate matrix(%{{.*}} : tensor<2x9x5xf32>) row_target(%{{.*}} : tensor<9xf32>) col_target(%{{.*}} : tensor<5xf32>)
// CHECK: scaling.plan domain(log) logarithm
func.func @slack(%S: tensor<2x8x4xf32>, %z: tensor<f32>) -> tensor<2x9x5xf32> {
  %P, %k, %r, %s = scaling.project logits(%S : tensor<2x8x4xf32>) slack(%z : tensor<f32>) preset(superglue)
  return %P : tensor<2x9x5xf32>
}

// -----

// Attention: the products of queries and keys times 1/√d, the iteration, and
// the plan applied to the values, which is never made.
// CHECK-LABEL: func.func @attention
// CHECK-SAME: %[[Q:.*]]: tensor<2x8x16xf32>, %[[K:.*]]: tensor<2x4x16xf32>, %[[V:.*]]: tensor<2x4x32xf32>
// CHECK: %[[D:.*]] = linalg.generic {{.*}} ins(%[[Q]] : tensor<2x8x16xf32>)
// CHECK: %[[S:.*]] = scaling.pairwise dot points(%[[D]], %[[K]] : tensor<2x8x16xf32>, tensor<2x4x16xf32>)
// CHECK-NOT: linalg.generic {{.*}} ins(%[[S]]
// CHECK: scaling.iterate matrix(%[[S]] : tensor<2x8x4xf32>)
// CHECK-NOT: scaling.plan
// CHECK: scaling.apply product domain(log) matrix(%[[S]] : tensor<2x8x4xf32>) row({{.*}}) col({{.*}}) operand(%[[V]] : tensor<2x4x32xf32>)
func.func @attention(%q: tensor<2x8x16xf32>, %key: tensor<2x4x16xf32>, %v: tensor<2x4x32xf32>) -> tensor<2x8x32xf32> {
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%key : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>) preset(sinkformer)
  return %O : tensor<2x8x32xf32>
}

// -----

// One half-step: no iteration.
// CHECK-LABEL: func.func @normalize
// CHECK-NOT: scaling.iterate
// CHECK: %[[S:.*]]:2 = scaling.reduce along(rows) stat(#scaling.lse)
// CHECK: %[[F:.*]] = scaling.update rule(<sum>) domain(log) states(%[[S]]#0, %[[S]]#1 : tensor<8xf32>, tensor<8xf32>)
// CHECK: scaling.plan domain(log) matrix(%{{.*}} : tensor<8x4xf32>) row(%[[F]] : tensor<8xf32>) outs
func.func @normalize(%S: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %P = scaling.normalize along(rows) logits(%S : tensor<8x4xf32>) rule(#scaling.rule<sum>) numerics(#scaling.numerics<log>)
  return %P : tensor<8x4xf32>
}

// -----

// Statistics of any kind; the smallest of all as everybody's target.
// CHECK-LABEL: func.func @balance
// CHECK: scaling.reduce along(rows) stat(#scaling.std)
// CHECK: scaling.reduce along(cols) stat(#scaling.std)
// CHECK: scaling.iterate matrix(%{{.*}} : tensor<8x4xf32>) row_target(%{{.*}} : tensor<8xf32>) col_target(%{{.*}} : tensor<4xf32>)
// CHECK-SAME: order(jacobi) stop(#scaling.stop<best 32
func.func @balance(%A: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<4xf32>) {
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<8x4xf32>) preset(sinq)
  return %u, %v : tensor<8xf32>, tensor<4xf32>
}

// -----

// An own loop, on powers of two.
// Both norms are of contiguous entries: the row's of the matrix, the column's
// of its transpose.

// CHECK-LABEL: func.func @similarity
// CHECK: linalg.transpose
// CHECK: scf.while
// CHECK: scaling.reduce along(rows) stat(#scaling.l2) matrix(%{{.*}} : tensor<1x8xf64>)
// CHECK: scaling.reduce along(rows) stat(#scaling.l2) matrix(%{{.*}} : tensor<1x8xf64>)
// CHECK-NOT: scaling.
func.func @similarity(%A: tensor<8x8xf64>) -> (tensor<8x8xf64>, tensor<8xf64>) {
  %B, %d, %k, %s = scaling.similarity_balance matrix(%A : tensor<8x8xf64>)
  return %B, %d : tensor<8x8xf64>, tensor<8xf64>
}

// Only the values have a batch: the counts of the one problem are those of all.

// CHECK-LABEL: func.func @attention_of_batched_values
// CHECK: %[[STEPS:[a-z_]+]], %{{[a-z]+}}, %{{[a-z]+}} = scaling.iterate matrix(%{{.*}} : tensor<5x7xf32>)
// CHECK: scaling.apply product {{.*}} outs(%{{.*}} : tensor<3x5x2xf32>)
// CHECK: %[[K:.*]] = linalg.generic {{.*}} ins(%[[STEPS]] : tensor<i32>) outs(%{{.*}} : tensor<3xi32>)
// CHECK: return %{{.*}}, %[[K]]
func.func @attention_of_batched_values(%q: tensor<5x4xf32>, %k: tensor<7x4xf32>, %v: tensor<3x7x2xf32>) -> (tensor<3x5x2xf32>, tensor<3xi32>) {
  %O, %n, %r, %s = scaling.attention query(%q : tensor<5x4xf32>) key(%k : tensor<7x4xf32>) value(%v : tensor<3x7x2xf32>) preset(sinkformer)
  return %O, %n : tensor<3x5x2xf32>, tensor<3xi32>
}

// An until at the last ε, after a pair of half-steps for each other one.

// CHECK-LABEL: func.func @annealed_until
// CHECK: scaling.iterate {{.*}} anneal(%{{.*}} : tensor<1xf32>) {{.*}} stop(#scaling.stop<fixed 2>)
// CHECK: scaling.iterate {{.*}} anneal(%{{.*}} : tensor<2xf32>) {{.*}} stop(#scaling.stop<fixed 4>)
// CHECK: scaling.iterate {{.*}} row_start({{.*}} stop(#scaling.stop<until 1.0e-03
// CHECK: arith.addi
func.func @annealed_until(%C: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<i32>) {
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) form(#scaling.form<cost, epsilon = 0.125, anneal = geometric(1.0, 0.5)>)
    stop(#scaling.stop<until 1.0e-3, limit = 10>) numerics(#scaling.numerics<log>)
  return %f, %k : tensor<8xf32>, tensor<i32>
}
