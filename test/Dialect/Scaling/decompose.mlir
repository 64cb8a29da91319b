// RUN: scaling-opt %s --scaling-decompose --split-input-file | FileCheck %s

// The loop stays rolled: the IR of 20 and of 20,000 half-steps differs in one
// number, and so is of one size.
// RUN: sed -e '/@anneal/,$d' -e 's/fixed 40/fixed 20/' %s | scaling-opt --scaling-decompose --split-input-file | wc -l > %t.20
// RUN: sed -e '/@anneal/,$d' -e 's/fixed 40/fixed 20000/' %s | scaling-opt --scaling-decompose --split-input-file | wc -l > %t.20000
// RUN: cmp %t.20 %t.20000

// No copies of the factors: each half-step writes where its factor was.
// CHECK-LABEL: func.func @fixed
// CHECK-SAME: %[[K:.*]]: tensor<8x4xf32>
// CHECK-NOT: scaling.iterate
// CHECK: %[[C20:.*]] = arith.constant 20 : index
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[C20]] step %{{.*}} iter_args(%[[U:.*]] = %{{.*}}, %[[V:.*]] = %{{.*}}) -> (tensor<8xf32>, tensor<4xf32>) {
// CHECK: %[[R:.*]] = scaling.reduce along(rows) stat(#scaling.sum) matrix(%[[K]] : tensor<8x4xf32>) factor(%[[V]] : tensor<4xf32>)
// CHECK: %[[U1:.*]] = scaling.update rule(<sum>) domain(kernel) states(%[[R]] : tensor<8xf32>) own(%[[U]] : tensor<8xf32>) outs(%[[U]] : tensor<8xf32>)
// CHECK: %[[C:.*]] = scaling.reduce along(cols) stat(#scaling.sum) matrix(%[[K]] : tensor<8x4xf32>) factor(%[[U1]] : tensor<8xf32>)
// CHECK: %[[V1:.*]] = scaling.update rule(<sum>) domain(kernel) states(%[[C]] : tensor<4xf32>) own(%[[V]] : tensor<4xf32>) outs(%[[V]] : tensor<4xf32>)
// CHECK: scf.yield %[[U1]], %[[V1]]
// CHECK-NOT: scaling.reduce
// CHECK-NOT: scaling.iterate
func.func @fixed(%K: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<4xf32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) stop(#scaling.stop<fixed 40>)
  return %u, %v : tensor<8xf32>, tensor<4xf32>
}

// -----

// Columns first, an odd count: a half-step before the loop, which is rows, then
// columns all the same.
// CHECK-LABEL: func.func @columns_first
// CHECK-NOT: scaling.iterate
// CHECK: scaling.reduce along(cols)
// CHECK: scf.for
// CHECK: scaling.reduce along(rows)
// CHECK: scaling.reduce along(cols)
// CHECK: scf.yield
// CHECK-NOT: scaling.reduce
// CHECK: return
func.func @columns_first(%K: tensor<?x4x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<?x4x4xf32>) order(cols_first) stop(#scaling.stop<fixed 39>)
  return %u, %v : tensor<?x4xf32>, tensor<?x4xf32>
}

// -----

// Two updates from the same pair of factors.
// CHECK-LABEL: func.func @jacobi
// CHECK: scf.for {{.*}} iter_args(%[[U:.*]] = %{{.*}}, %[[V:.*]] = %{{.*}}) ->
// CHECK: scaling.reduce along(rows) {{.*}} factor(%[[V]] : tensor<4xf32>)
// CHECK: scaling.reduce along(cols) {{.*}} factor(%[[U]] : tensor<8xf32>)
// CHECK: scf.yield
// CHECK-NOT: scaling.iterate
func.func @jacobi(%K: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<4xf32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) rows(#scaling.rule<linf, exponent = 0.5>) cols(#scaling.rule<linf, exponent = 0.5>)
    order(jacobi) stop(#scaling.stop<fixed 40>)
  return %u, %v : tensor<8xf32>, tensor<4xf32>
}

// -----

// One factor for both axes, one read of the matrix per update.
// CHECK-LABEL: func.func @symmetric(
// CHECK: %[[LOOP:.*]] = scf.for {{.*}} iter_args(%[[U:.*]] = %{{.*}}) -> (tensor<4xf32>)
// CHECK: %[[S:.*]] = scaling.reduce along(rows) {{.*}} factor(%[[U]] : tensor<4xf32>)
// CHECK: %[[HALF:.*]] = linalg.fill ins(%{{.*}} : f32) outs(%{{.*}} : tensor<f32>)
// CHECK: scaling.update {{.*}} states(%[[S]] : tensor<4xf32>) own(%[[U]] : tensor<4xf32>) target(%{{.*}} : tensor<4xf32>) omega(%[[HALF]] : tensor<f32>)
// CHECK-NOT: scaling.reduce
// CHECK: scf.yield
// CHECK-NOT: scaling.reduce
// CHECK: return
func.func @symmetric(%K: tensor<4x4xf32>, %a: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<4x4xf32>) row_target(%a : tensor<4xf32>) order(symmetric) stop(#scaling.stop<fixed 40>)
  return %u, %v : tensor<4xf32>, tensor<4xf32>
}

// -----

// The check costs no read of its own but the last, at the limit.
// CHECK-LABEL: func.func @symmetric_until
// CHECK: scf.while
// CHECK: do
// CHECK-COUNT-2: scaling.reduce along(rows)
// CHECK-NOT: scaling.reduce
// CHECK: scf.yield
func.func @symmetric_until(%K: tensor<4x4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<4x4xf32>) order(symmetric) stop(#scaling.stop<until 1.0e-3, limit = 40>)
  return %u, %v : tensor<4xf32>, tensor<4xf32>
}

// -----

// The log domain: a log-sum-exp, in two passes of one op.
// CHECK-LABEL: func.func @log
// CHECK: scf.for
// CHECK: %[[S:.*]]:2 = scaling.reduce along(rows) stat(#scaling.lse)
// CHECK: scaling.update rule(<sum>) domain(log) states(%[[S]]#0, %[[S]]#1
// CHECK: scf.yield
// CHECK-NOT: scaling.iterate
func.func @log(%X: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<4xf32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%X : tensor<8x4xf32>) stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<log>)
  return %u, %v : tensor<8xf32>, tensor<4xf32>
}

// -----

// The check reads no more than the half-step it precedes: one reduction per
// axis in the loop.
// CHECK-LABEL: func.func @until
// CHECK-NOT: scaling.iterate
// CHECK: scf.while
// CHECK: scf.condition
// CHECK: scaling.reduce along(rows)
// CHECK-NOT: scaling.reduce along(rows)
// CHECK: scaling.reduce along(cols)
// CHECK-NOT: scaling.reduce
// CHECK: scf.yield
// CHECK-NOT: scaling.iterate
func.func @until(%K: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<4xf32>, tensor<i32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) stop(#scaling.stop<until 1.0e-6, axis = rows, limit = 100, relax = none>)
  return %u, %v, %s : tensor<8xf32>, tensor<4xf32>, tensor<i32>
}

// -----

// Over-relaxation adds no read, and its ω is there before the sweep.
// CHECK-LABEL: func.func @relaxed
// CHECK: scf.while
// CHECK: scf.condition
// CHECK: ^bb0(%{{.*}}: index, %{{[a-z0-9]+}}: tensor<8xf32>, %{{[a-z0-9]+}}: tensor<4xf32>, %{{.*}}: tensor<i32>, %{{.*}}: tensor<f32>, %{{.*}}: tensor<i32>, %{{.*}}: tensor<i1>, %[[OMEGA:arg[0-9]+]]: tensor<f32>,
// CHECK: scaling.reduce along(rows)
// CHECK-NOT: scaling.reduce
// CHECK: scaling.update {{.*}} omega(%[[OMEGA]] : tensor<f32>)
// CHECK-NOT: scaling.reduce along(rows)
// CHECK: scaling.reduce along(cols)
// CHECK-NOT: scaling.reduce
// CHECK: scaling.update {{.*}} omega(
// CHECK-NOT: scaling.reduce
// CHECK: scf.yield
func.func @relaxed(%K: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<4xf32>, tensor<i32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) stop(#scaling.stop<until 1.0e-6, axis = rows, limit = 100>)
  return %u, %v, %s : tensor<8xf32>, tensor<4xf32>, tensor<i32>
}

// -----

// Neither do checks of both axes: what the other one was left with is known.
// CHECK-LABEL: func.func @both_relaxed
// CHECK: scf.while
// CHECK: scf.condition
// CHECK: scaling.reduce along(rows)
// CHECK-NOT: scaling.reduce
// CHECK: scaling.update
// CHECK-NOT: scaling.reduce along(rows)
// CHECK: scaling.reduce along(cols)
// CHECK-NOT: scaling.reduce
// CHECK: scf.yield
func.func @both_relaxed(%K: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<4xf32>, tensor<i32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) stop(#scaling.stop<until 1.0e-6, limit = 100>)
  return %u, %v, %s : tensor<8xf32>, tensor<4xf32>, tensor<i32>
}

// -----

// Where it is not defined and nobody asks for it, nothing is over-relaxed.
// CHECK-LABEL: func.func @not_relaxed
// CHECK-NOT: omega(
// CHECK: return
func.func @not_relaxed(%K: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<4xf32>, tensor<i32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) rows(#scaling.rule<sum, tau = 0.9>) stop(#scaling.stop<until 1.0e-6, axis = rows, limit = 100>)
  return %u, %v, %s : tensor<8xf32>, tensor<4xf32>, tensor<i32>
}

// -----

// Anderson's steps are on vectors: along the columns one read suffices.
// CHECK-LABEL: func.func @accelerated
// CHECK: scf.while
// CHECK: scf.condition
// CHECK: scaling.reduce along(rows)
// CHECK: scaling.update
// CHECK-NOT: math.sqrt
// CHECK: %[[COLS:.*]] = scaling.reduce along(cols)
// CHECK: %[[MADE:.*]] = scaling.update {{.*}} states(%[[COLS]] : tensor<4xf32>)
// CHECK: linalg.copy ins(%[[MADE]] : tensor<4xf32>)
// CHECK-NOT: scaling.reduce
// CHECK: scf.yield
func.func @accelerated(%K: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<4xf32>, tensor<i32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) stop(#scaling.stop<until 1.0e-6, axis = cols, limit = 100, relax = anderson(2)>)
  return %u, %v, %s : tensor<8xf32>, tensor<4xf32>, tensor<i32>
}

// -----

// A kept copy of the best factors.
// CHECK-LABEL: func.func @best
// CHECK: scf.for {{.*}} -> (tensor<8xf32>, tensor<4xf32>, tensor<8xf32>, tensor<4xf32>
// CHECK: scf.yield
// CHECK-NOT: scaling.iterate
func.func @best(%K: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<4xf32>, tensor<i32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) order(jacobi) stop(#scaling.stop<best 32>)
  return %u, %v, %s : tensor<8xf32>, tensor<4xf32>, tensor<i32>
}

// -----

// One ε per pair of half-steps, read in the loop.
// CHECK-LABEL: func.func @anneal
// CHECK: scf.for
// CHECK: tensor.extract
// CHECK: scaling.reduce along(rows) {{.*}} scale(
// CHECK: scf.yield
// CHECK-NOT: scaling.iterate
func.func @anneal(%X: tensor<8x4xf32>, %b: tensor<20xf32>) -> (tensor<8xf32>, tensor<4xf32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%X : tensor<8x4xf32>) anneal(%b : tensor<20xf32>) stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<log>)
  return %u, %v : tensor<8xf32>, tensor<4xf32>
}
