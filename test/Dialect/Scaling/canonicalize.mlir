// RUN: scaling-opt %s --canonicalize --cse --split-input-file | FileCheck %s

//===----------------------------------------------------------------------===//
// Casts
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func.func @casts_named
// CHECK-SAME: %[[Z:.*]]: tensor<2x4x4xf32>
// CHECK: %[[P:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.project logits(%[[Z]] : tensor<2x4x4xf32>) preset(mhc)
// CHECK: %[[C:.*]] = tensor.cast %[[P]] : tensor<2x4x4xf32> to tensor<?x4x4xf32>
// CHECK: return %[[C]]
func.func @casts_named(%z: tensor<2x4x4xf32>) -> tensor<?x4x4xf32> {
  %0 = tensor.cast %z : tensor<2x4x4xf32> to tensor<?x4x4xf32>
  %P, %k, %r, %s = scaling.project logits(%0 : tensor<?x4x4xf32>) preset(mhc)
  return %P : tensor<?x4x4xf32>
}

// What only one operand knows, all results know.
// CHECK-LABEL: func.func @casts_sinkhorn
// CHECK-SAME: %[[C:.*]]: tensor<?x?xf32>, %[[A:.*]]: tensor<8xf32>
// CHECK: %[[F:.*]], %[[G:.*]], %{{.*}}, %{{.*}}, %{{.*}} = scaling.sinkhorn cost(%[[C]] : tensor<?x?xf32>) row_marginal(%[[A]] : tensor<8xf32>) preset(ott)
// CHECK: %[[R:.*]] = tensor.cast %[[F]] : tensor<8xf32> to tensor<?xf32>
// CHECK: return %[[R]], %[[G]]
func.func @casts_sinkhorn(%C: tensor<?x?xf32>, %a: tensor<8xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
  %0 = tensor.cast %a : tensor<8xf32> to tensor<?xf32>
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<?x?xf32>) row_marginal(%0 : tensor<?xf32>) preset(ott)
  return %f, %g : tensor<?xf32>, tensor<?xf32>
}

// CHECK-LABEL: func.func @casts_iterate
// CHECK: scaling.iterate matrix(%{{.*}} : tensor<8x4xf32>)
// CHECK-SAME: {note = "kept"}
// CHECK: tensor.cast %{{.*}} : tensor<8xf32> to tensor<?xf32>
func.func @casts_iterate(%K: tensor<8x4xf32>) -> tensor<?xf32> {
  %0 = tensor.cast %K : tensor<8x4xf32> to tensor<?x?xf32>
  %u, %v, %k, %r, %s = scaling.iterate matrix(%0 : tensor<?x?xf32>) stop(#scaling.stop<fixed 2>) {note = "kept"}
  return %u : tensor<?xf32>
}

// A cast that forgets nothing the op could use, or that claims more, stays.
// CHECK-LABEL: func.func @casts_that_stay
// CHECK: tensor.cast
// CHECK: scaling.iterate matrix(%{{.*}} : tensor<8x4xf32>)
func.func @casts_that_stay(%K: tensor<?x?xf32>) -> tensor<8xf32> {
  %0 = tensor.cast %K : tensor<?x?xf32> to tensor<8x4xf32>
  %u, %v, %k, %r, %s = scaling.iterate matrix(%0 : tensor<8x4xf32>) stop(#scaling.stop<fixed 2>)
  return %u : tensor<8xf32>
}

// Sizes that contradict each other are left to fail at run time.
// CHECK-LABEL: func.func @casts_that_contradict
// CHECK: scaling.iterate matrix(%{{.*}} : tensor<?x4xf32>) row_start(%{{.*}} : tensor<?xf32>)
func.func @casts_that_contradict(%K: tensor<8x4xf32>, %u0: tensor<7xf32>) -> tensor<?xf32> {
  %0 = tensor.cast %K : tensor<8x4xf32> to tensor<?x4xf32>
  %1 = tensor.cast %u0 : tensor<7xf32> to tensor<?xf32>
  %u, %v, %k, %r, %s = scaling.iterate matrix(%0 : tensor<?x4xf32>) row_start(%1 : tensor<?xf32>) stop(#scaling.stop<fixed 2>)
  return %u : tensor<?xf32>
}

// CHECK-LABEL: func.func @casts_core
// CHECK: scaling.reduce along(rows) stat(#scaling.sum) matrix(%{{.*}} : tensor<8x4xf32>) factor(%{{.*}} : tensor<4xf32>) outs(%{{.*}} : tensor<8xf32>) -> tensor<8xf32>
// CHECK: scaling.plan domain(kernel) matrix(%{{.*}} : tensor<8x4xf32>) row(%{{.*}} : tensor<8xf32>) outs(%{{.*}} : tensor<8x4xf32>) -> tensor<8x4xf32>
func.func @casts_core(%K: tensor<8x4xf32>, %v: tensor<4xf32>, %o: tensor<8xf32>, %e: tensor<8x4xf32>) -> tensor<?x?xf32> {
  %0 = tensor.cast %K : tensor<8x4xf32> to tensor<?x?xf32>
  %1 = tensor.cast %v : tensor<4xf32> to tensor<?xf32>
  %2 = tensor.cast %o : tensor<8xf32> to tensor<?xf32>
  %3 = tensor.cast %e : tensor<8x4xf32> to tensor<?x?xf32>
  %4 = scaling.reduce along(rows) stat(#scaling.sum) matrix(%0 : tensor<?x?xf32>) factor(%1 : tensor<?xf32>) outs(%2 : tensor<?xf32>) -> tensor<?xf32>
  %5 = scaling.plan domain(kernel) matrix(%0 : tensor<?x?xf32>) row(%4 : tensor<?xf32>) outs(%3 : tensor<?x?xf32>) -> tensor<?x?xf32>
  return %5 : tensor<?x?xf32>
}

//===----------------------------------------------------------------------===//
// Operands that say nothing
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func.func @masks_of_all
// CHECK: scaling.project
// CHECK-NOT: mask
// CHECK: scaling.normalize
// CHECK-NOT: mask
// CHECK: scaling.iterate
// CHECK-NOT: mask
// CHECK: return
func.func @masks_of_all(%z: tensor<8x4xf32>) -> (tensor<8x4xf32>, tensor<8x4xf32>, tensor<8xf32>) {
  %r = arith.constant dense<true> : tensor<8xi1>
  %true = arith.constant true
  %e = tensor.empty() : tensor<4xi1>
  %c = linalg.fill ins(%true : i1) outs(%e : tensor<4xi1>) -> tensor<4xi1>
  %P, %k, %x, %s = scaling.project logits(%z : tensor<8x4xf32>) row_mask(%r : tensor<8xi1>) col_mask(%c : tensor<4xi1>) preset(mhc)
  %N = scaling.normalize along(rows) logits(%z : tensor<8x4xf32>) mask(%c : tensor<4xi1>)
  %u, %v, %k1, %x1, %s1 = scaling.iterate matrix(%z : tensor<8x4xf32>) row_mask(%r : tensor<8xi1>) stop(#scaling.stop<fixed 2>)
  return %P, %N, %u : tensor<8x4xf32>, tensor<8x4xf32>, tensor<8xf32>
}

// A mask that is the only one to know the batch stays, as does one with a hole.
// CHECK-LABEL: func.func @masks_that_stay
// CHECK: scaling.project {{.*}} row_mask
// CHECK: scaling.project {{.*}} col_mask
func.func @masks_that_stay(%z: tensor<8x4xf32>) -> (tensor<2x8x4xf32>, tensor<8x4xf32>) {
  %r = arith.constant dense<true> : tensor<2x8xi1>
  %c = arith.constant dense<[true, true, false, true]> : tensor<4xi1>
  %P, %k, %x, %s = scaling.project logits(%z : tensor<8x4xf32>) row_mask(%r : tensor<2x8xi1>) preset(mhc)
  %P1, %k1, %x1, %s1 = scaling.project logits(%z : tensor<8x4xf32>) col_mask(%c : tensor<4xi1>) preset(mhc)
  return %P, %P1 : tensor<2x8x4xf32>, tensor<8x4xf32>
}

// CHECK-LABEL: func.func @neutral_vectors
// CHECK: scaling.iterate matrix(%{{.*}} : tensor<8x4xf32>) rows(
// CHECK: scaling.iterate matrix(%{{.*}} : tensor<8x4xf32>) row_start({{.*}} col_target({{.*}} rows(
// CHECK: scaling.balance matrix(%{{.*}} : tensor<8x4xf32>) preset(ruiz)
func.func @neutral_vectors(%K: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %zero = arith.constant dense<0.0> : tensor<8xf32>
  %one = arith.constant dense<1.0> : tensor<8xf32>
  %b = arith.constant dense<1.0> : tensor<4xf32>
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) row_start(%zero : tensor<8xf32>) row_target(%one : tensor<8xf32>)
    col_target(%b : tensor<4xf32>) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<log>)
  // A factor of one is not neutral in the log domain, a target of one not uniform.
  %u1, %v1, %k1, %r1, %s1 = scaling.iterate matrix(%K : tensor<8x4xf32>) row_start(%one : tensor<8xf32>)
    col_target(%b : tensor<4xf32>) cols(#scaling.rule<sum, target = uniform>) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<log>)
  %u2, %v2, %k2, %r2, %s2 = scaling.balance matrix(%K : tensor<8x4xf32>) row_init(%one : tensor<8xf32>) row_target(%one : tensor<8xf32>) preset(ruiz)
  return %u, %u1, %u2 : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}

// CHECK-LABEL: func.func @constant_epsilon
// CHECK: scaling.sinkhorn cost(%{{.*}} : tensor<8x4xf64>) form(#scaling.form<cost, epsilon = 5.0e-02>)
// CHECK: scaling.normalize logits(%{{.*}} : tensor<8x4xf64>) along(rows) form(#scaling.form<logits>)
// CHECK: scaling.sinkhorn cost(%{{.*}} : tensor<8x4xf64>) epsilon(%{{.*}} : tensor<2xf64>) preset(ott)
func.func @constant_epsilon(%C: tensor<8x4xf64>) -> (tensor<8xf64>, tensor<8x4xf64>, tensor<2x8xf64>) {
  %e = arith.constant dense<0.05> : tensor<f64>
  %one = arith.constant dense<1.0> : tensor<f64>
  %batch = arith.constant dense<0.05> : tensor<2xf64>
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf64>) epsilon(%e : tensor<f64>) preset(ott)
  %N = scaling.normalize along(rows) logits(%C : tensor<8x4xf64>) epsilon(%one : tensor<f64>)
  %f1, %g1, %k1, %r1, %s1 = scaling.sinkhorn cost(%C : tensor<8x4xf64>) epsilon(%batch : tensor<2xf64>) preset(ott)
  return %f, %N, %f1 : tensor<8xf64>, tensor<8x4xf64>, tensor<2x8xf64>
}

// CHECK-LABEL: func.func @core_neutral
// CHECK: scaling.plan domain(kernel) matrix(%{{[^ ]*}} : tensor<8x4xf32>) outs(
// CHECK: scaling.plan domain(log) matrix(%{{[^ ]*}} : tensor<8x4xf32>) row(%{{[^ ]*}} : tensor<8xf32>) outs(
// CHECK: scaling.apply mass domain(kernel) matrix(%{{[^ ]*}} : tensor<8x4xf32>) outs(
// CHECK: scaling.reduce along(rows) stat(#scaling.sum) matrix(%{{[^ ]*}} : tensor<8x4xf32>) outs(
// CHECK: scaling.reduce along(rows) stat(#scaling.lse) matrix(%{{[^ ]*}} : tensor<8x4xf32>) outs(
// CHECK: scaling.reduce along(rows) stat(#scaling.lse) matrix(%{{[^ ]*}} : tensor<8x4xf32>) factor(
// CHECK: scaling.update rule(<sum>) domain(kernel) states(%{{[^ ]*}} : tensor<8xf32>) own(%{{[^ ]*}} : tensor<8xf32>) outs(
// CHECK: scaling.update rule(<sum, target = uniform>) domain(kernel) states({{.*}}) own({{.*}}) target(
func.func @core_neutral(%K: tensor<8x4xf32>, %e: tensor<8x4xf32>, %o: tensor<8xf32>, %t: tensor<f32>)
    -> (tensor<8x4xf32>, tensor<8x4xf32>, tensor<f32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  %u = arith.constant dense<1.0> : tensor<8xf32>
  %one = arith.constant 1.0 : f32
  %empty = tensor.empty() : tensor<4xf32>
  %v = linalg.fill ins(%one : f32) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
  %zero = arith.constant dense<0.0> : tensor<4xf32>
  %all = arith.constant dense<true> : tensor<4xi1>
  %rows = arith.constant dense<true> : tensor<8xi1>
  %0 = scaling.plan domain(kernel) matrix(%K : tensor<8x4xf32>) row(%u : tensor<8xf32>) col(%v : tensor<4xf32>)
    row_weight(%u : tensor<8xf32>) col_weight(%v : tensor<4xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  %1 = scaling.plan domain(log) matrix(%K : tensor<8x4xf32>) row(%u : tensor<8xf32>) col(%zero : tensor<4xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  %2 = scaling.apply mass domain(kernel) matrix(%K : tensor<8x4xf32>) row(%u : tensor<8xf32>) col_weight(%v : tensor<4xf32>) outs(%t : tensor<f32>) -> tensor<f32>
  %3 = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<8x4xf32>) factor(%v : tensor<4xf32>) mask(%all : tensor<4xi1>)
    scale(%one : f32) outs(%o : tensor<8xf32>) -> tensor<8xf32>
  %4:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%K : tensor<8x4xf32>) factor(%zero : tensor<4xf32>)
    outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  %5:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%K : tensor<8x4xf32>) factor(%v : tensor<4xf32>)
    outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  %6 = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%3 : tensor<8xf32>) own(%o : tensor<8xf32>) target(%u : tensor<8xf32>)
    mask(%rows : tensor<8xi1>) outs(%o : tensor<8xf32>) -> tensor<8xf32>
  %7 = scaling.update rule(#scaling.rule<sum, target = uniform>) domain(kernel) states(%3 : tensor<8xf32>) own(%o : tensor<8xf32>) target(%u : tensor<8xf32>)
    outs(%o : tensor<8xf32>) -> tensor<8xf32>
  return %0, %1, %2, %3, %4#0, %5#0, %6, %7 : tensor<8x4xf32>, tensor<8x4xf32>, tensor<f32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
}

//===----------------------------------------------------------------------===//
// Plans
//===----------------------------------------------------------------------===//

// Two plans of the same potentials are one.
// CHECK-LABEL: func.func @same_plans
// CHECK-COUNT-1: scaling.plan
// CHECK-NOT: scaling.plan
func.func @same_plans(%K: tensor<8x4xf32>, %u: tensor<8xf32>, %v: tensor<4xf32>) -> (tensor<8x4xf32>, tensor<8x4xf32>) {
  %e = tensor.empty() : tensor<8x4xf32>
  %0 = scaling.plan domain(kernel) matrix(%K : tensor<8x4xf32>) row(%u : tensor<8xf32>) col(%v : tensor<4xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  %1 = scaling.plan domain(kernel) matrix(%K : tensor<8x4xf32>) row(%u : tensor<8xf32>) col(%v : tensor<4xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %0, %1 : tensor<8x4xf32>, tensor<8x4xf32>
}

// CHECK-LABEL: func.func @plan_of_plan
// CHECK-SAME: %[[K:[a-z0-9]*]]: tensor<8x4xf32>, %[[U:[a-z0-9]*]]: tensor<8xf32>, %[[V:[a-z0-9]*]]: tensor<4xf32>
// CHECK: scaling.plan domain(kernel) matrix(%[[K]] : tensor<8x4xf32>) row(%[[U]] : tensor<8xf32>) col(%[[V]] : tensor<4xf32>) outs
// CHECK: scaling.plan domain(log) matrix(%[[K]] : tensor<8x4xf32>) row(%[[U]] : tensor<8xf32>) col(%[[V]] : tensor<4xf32>) outs
// CHECK-NOT: scaling.plan
func.func @plan_of_plan(%K: tensor<8x4xf32>, %u: tensor<8xf32>, %v: tensor<4xf32>) -> (tensor<8x4xf32>, tensor<8x4xf32>) {
  %e = tensor.empty() : tensor<8x4xf32>
  %0 = scaling.plan domain(kernel) matrix(%K : tensor<8x4xf32>) row(%u : tensor<8xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  %1 = scaling.plan domain(kernel) matrix(%0 : tensor<8x4xf32>) col(%v : tensor<4xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  %2 = scaling.plan domain(log) logarithm matrix(%K : tensor<8x4xf32>) col(%v : tensor<4xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  %3 = scaling.plan domain(log) matrix(%2 : tensor<8x4xf32>) row(%u : tensor<8xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %1, %3 : tensor<8x4xf32>, tensor<8x4xf32>
}

// Two factors of one axis, a rounding in between, an exponential in between.
// CHECK-LABEL: func.func @plans_that_stay
// CHECK-COUNT-6: scaling.plan
func.func @plans_that_stay(%K: tensor<8x4xf32>, %u: tensor<8xf32>, %v: tensor<4xf32>) -> (tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>) {
  %e = tensor.empty() : tensor<8x4xf32>
  %h = tensor.empty() : tensor<8x4xbf16>
  %0 = scaling.plan domain(kernel) matrix(%K : tensor<8x4xf32>) row(%u : tensor<8xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  %1 = scaling.plan domain(kernel) matrix(%0 : tensor<8x4xf32>) row(%u : tensor<8xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  %2 = scaling.plan domain(kernel) matrix(%K : tensor<8x4xf32>) row(%u : tensor<8xf32>) outs(%h : tensor<8x4xbf16>) -> tensor<8x4xbf16>
  %3 = scaling.plan domain(kernel) matrix(%2 : tensor<8x4xbf16>) col(%v : tensor<4xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  %4 = scaling.plan domain(log) matrix(%K : tensor<8x4xf32>) row(%u : tensor<8xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  %5 = scaling.plan domain(log) matrix(%4 : tensor<8x4xf32>) col(%v : tensor<4xf32>) outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %1, %3, %5 : tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>
}

//===----------------------------------------------------------------------===//
// Counts of zero and one
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func.func @no_half_steps
// CHECK-SAME: %{{.*}}: tensor<2x8x4xf32>, %[[U:.*]]: tensor<2x8xf32>
// CHECK-DAG: %[[ONES:.*]] = arith.constant dense<1.000000e+00> : tensor<2x4xf32>
// CHECK-DAG: %[[ZEROS:.*]] = arith.constant dense<0.000000e+00> : tensor<2x8xf32>
// CHECK-DAG: %[[R:.*]] = arith.constant dense<-1.000000e+00> : tensor<2xf32>
// CHECK-DAG: %[[K:.*]] = arith.constant dense<0> : tensor<2xi32>
// CHECK-NOT: scaling.iterate
// CHECK: return %[[U]], %[[ONES]], %[[ZEROS]], %[[K]], %[[R]], %[[K]]
func.func @no_half_steps(%K: tensor<2x8x4xf32>, %u0: tensor<2x8xf32>)
    -> (tensor<2x8xf32>, tensor<2x4xf32>, tensor<2x8xf32>, tensor<2xi32>, tensor<2xf32>, tensor<2xi32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<2x8x4xf32>) row_start(%u0 : tensor<2x8xf32>) stop(#scaling.stop<fixed 0>)
  %u1, %v1, %k1, %r1, %s1 = scaling.iterate matrix(%K : tensor<2x8x4xf32>) stop(#scaling.stop<fixed 0>) numerics(#scaling.numerics<log>)
  return %u, %v, %u1, %k1, %r1, %s1 : tensor<2x8xf32>, tensor<2x4xf32>, tensor<2x8xf32>, tensor<2xi32>, tensor<2xf32>, tensor<2xi32>
}

// A start may not be finite, which the status says; a mask makes zeros.
// CHECK-LABEL: func.func @no_half_steps_that_stay
// CHECK-COUNT-3: scaling.iterate
func.func @no_half_steps_that_stay(%K: tensor<8x4xf32>, %u0: tensor<8xf32>, %m: tensor<8xi1>) -> (tensor<i32>, tensor<8xf32>, tensor<f32>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) row_start(%u0 : tensor<8xf32>) stop(#scaling.stop<fixed 0>)
  %u1, %v1, %k1, %r1, %s1 = scaling.iterate matrix(%K : tensor<8x4xf32>) row_mask(%m : tensor<8xi1>) stop(#scaling.stop<fixed 0>)
  %u2, %v2, %k2, %r2, %s2 = scaling.iterate matrix(%K : tensor<8x4xf32>) stop(#scaling.stop<fixed 0, measure = last>)
  return %s, %u1, %r2 : tensor<i32>, tensor<8xf32>, tensor<f32>
}

// CHECK-LABEL: func.func @one_half_step
// CHECK-DAG: %[[ONE:.*]] = arith.constant dense<1> : tensor<i32>
// CHECK: %[[P:.*]] = scaling.normalize logits(%{{.*}} : tensor<8x4xf32>) mask(%{{.*}} : tensor<4xi1>) along(rows) form(#scaling.form<logits>) rule(#scaling.rule<sum, target = uniform>) numerics(#scaling.numerics<log>)
// CHECK: %[[Q:.*]] = scaling.normalize kernel(%{{.*}} : tensor<8x4xf32>) target(%{{.*}} : tensor<4xf32>) along(cols) form(#scaling.form<kernel>) rule(#scaling.rule<l2>) numerics(#scaling.numerics<kernel>)
// CHECK-NOT: scaling.project
// CHECK: return %[[P]], %[[ONE]], %[[Q]]
func.func @one_half_step(%S: tensor<8x4xf32>, %m: tensor<4xi1>, %b: tensor<4xf32>) -> (tensor<8x4xf32>, tensor<i32>, tensor<8x4xf32>) {
  %P, %k, %r, %s = scaling.project logits(%S : tensor<8x4xf32>) col_mask(%m : tensor<4xi1>) rows(#scaling.rule<sum, target = uniform>)
    stop(#scaling.stop<fixed 1>) numerics(#scaling.numerics<log>)
  %Q, %k1, %r1, %s1 = scaling.project kernel(%S : tensor<8x4xf32>) col_marginal(%b : tensor<4xf32>) order(cols_first) cols(#scaling.rule<l2>)
    stop(#scaling.stop<fixed 1>)
  return %P, %k, %Q : tensor<8x4xf32>, tensor<i32>, tensor<8x4xf32>
}

// The status is looked at; the other axis' marginal may hold zeros; a start.
// CHECK-LABEL: func.func @one_half_step_that_stays
// CHECK-COUNT-4: scaling.project
func.func @one_half_step_that_stays(%S: tensor<8x4xf32>, %b: tensor<4xf32>, %m: tensor<8xi1>)
    -> (tensor<i32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>) {
  %P, %k, %r, %s = scaling.project logits(%S : tensor<8x4xf32>) stop(#scaling.stop<fixed 1>)
  %P1, %k1, %r1, %s1 = scaling.project logits(%S : tensor<8x4xf32>) col_marginal(%b : tensor<4xf32>) stop(#scaling.stop<fixed 1>)
  %P2, %k2, %r2, %s2 = scaling.project logits(%S : tensor<8x4xf32>) row_mask(%m : tensor<8xi1>) stop(#scaling.stop<fixed 1>)
  %P3, %k3, %r3, %s3 = scaling.project logits(%S : tensor<8x4xf32>) form(#scaling.form<logits, start = uniform>) stop(#scaling.stop<fixed 1>)
  return %s, %P1, %P2, %P3 : tensor<i32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>
}

// One half-step of doubly stochastic attention is softmax attention, however it
// is written.
// CHECK-LABEL: func.func @softmax_attention
// CHECK-COUNT-1: scaling.attention query({{.*}} form(#scaling.form<logits>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first) stop(#scaling.stop<fixed 1>) numerics(#scaling.numerics<log>)
// CHECK-NOT: scaling.attention
func.func @softmax_attention(%q: tensor<2x8x16xf32>, %key: tensor<2x4x16xf32>, %v: tensor<2x4x32xf32>) -> (tensor<2x8x32xf32>, tensor<2x8x32xf32>) {
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%key : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>)
    form(#scaling.form<logits, scale = rows>) rows(#scaling.rule<sum, target = uniform>) cols(#scaling.rule<sum, target = uniform, tau = 0.5>)
    stop(#scaling.stop<fixed 1>)
  %O1, %k1, %r1, %s1 = scaling.attention query(%q : tensor<2x8x16xf32>) key(%key : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>)
    stop(#scaling.stop<fixed 1>) numerics(#scaling.numerics<log>)
  return %O, %O1 : tensor<2x8x32xf32>, tensor<2x8x32xf32>
}

// Two half-steps are not.
// CHECK-LABEL: func.func @attention_that_stays
// CHECK: scaling.attention {{.*}} form(#scaling.form<logits, scale = rows>) rows(#scaling.rule<sum, target = uniform>)
// CHECK-SAME: numerics(#scaling.numerics<absorb>)
func.func @attention_that_stays(%q: tensor<2x8x16xf32>, %key: tensor<2x4x16xf32>, %v: tensor<2x4x32xf32>) -> tensor<2x8x32xf32> {
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%key : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>)
    form(#scaling.form<logits, scale = rows>) rows(#scaling.rule<sum, target = uniform>) stop(#scaling.stop<fixed 2>)
  return %O : tensor<2x8x32xf32>
}
