// RUN: scaling-opt %s | scaling-opt | FileCheck %s
// RUN: scaling-opt %s --mlir-print-op-generic | scaling-opt | FileCheck %s
// RUN: scaling-opt %s --emit-bytecode | scaling-opt | FileCheck %s

//===----------------------------------------------------------------------===//
// Attributes: every field, and what is printed of the defaults
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func.func private @statistics
// CHECK-SAME: a0 = #scaling.sum,
// CHECK-SAME: a1 = #scaling.lse,
// CHECK-SAME: a2 = #scaling.l1,
// CHECK-SAME: a3 = #scaling.l2,
// CHECK-SAME: a4 = #scaling.linf,
// CHECK-SAME: a5 = #scaling.mean_square,
// CHECK-SAME: a6 = #scaling.std,
// CHECK-SAME: a7 = #scaling.geomean}
func.func private @statistics() attributes {
  a0 = #scaling.sum,
  a1 = #scaling.lse,
  a2 = #scaling.l1,
  a3 = #scaling.l2,
  a4 = #scaling.linf,
  a5 = #scaling.mean_square,
  a6 = #scaling.std,
  a7 = #scaling.geomean}

// CHECK-LABEL: func.func private @rules
// CHECK-SAME: a0 = #scaling.rule<sum>,
// CHECK-SAME: a1 = #scaling.rule<sum>,
// CHECK-SAME: a2 = #scaling.rule<l1, guard = add_plan(1.0e-06), target = uniform>,
// CHECK-SAME: a3 = #scaling.rule<l2, guard = clamp_plan(1.0e-12), target = slack>,
// CHECK-SAME: a4 = #scaling.rule<linf, guard = add_kernel(5.0e-01)>,
// CHECK-SAME: a5 = #scaling.rule<std, target = min_stat, limit = [1.0e-03, 1.0e+03]>,
// CHECK-SAME: a6 = #scaling.rule<mean_square, exponent = 5.0e-01, limit = [1.0e-04, inf, 1.0e+00]>,
// CHECK-SAME: a7 = #scaling.rule<geomean, tau = 7.5e-01, reference = product, omega = 1.5e+00>,
// CHECK-SAME: a8 = #scaling.rule<l1, step = [5.0e-01, 2.0e+00], clamp = [0.0e+00, 4.5e+10], round = pow2>,
// CHECK-SAME: a9 = #scaling.rule<#scaling.lse>}
func.func private @rules() attributes {
  a0 = #scaling.rule<sum>,
  a1 = #scaling.rule<sum, exponent = 1, tau = 1.0, reference = kernel, omega = 1.0, target = one, guard = none>,
  a2 = #scaling.rule<l1, guard = add_plan(1.0e-6), target = uniform>,
  a3 = #scaling.rule<l2, guard = clamp_plan(1.0e-12), target = slack>,
  a4 = #scaling.rule<linf, guard = add_kernel(0.5)>,
  a5 = #scaling.rule<std, target = min_stat, limit = [1.0e-3, 1.0e3]>,
  a6 = #scaling.rule<mean_square, exponent = 0.5, limit = [1.0e-4, inf, 1.0]>,
  a7 = #scaling.rule<geomean, tau = 0.75, reference = product, omega = 1.5>,
  a8 = #scaling.rule<l1, step = [0.5, 2], clamp = [0, 4.5e10], round = pow2>,
  a9 = #scaling.rule<#scaling.lse>}

// CHECK-LABEL: func.func private @stops
// CHECK-SAME: a0 = #scaling.stop<fixed 0>,
// CHECK-SAME: a1 = #scaling.stop<fixed 20>,
// CHECK-SAME: a2 = #scaling.stop<fixed 20, measure = last, axis = rows, norm = mean>,
// CHECK-SAME: a3 = #scaling.stop<until 1.0e-06, what = marginal, axis = both, norm = l1, every = 2, start = 2, limit = 100>,
// CHECK-SAME: a4 = #scaling.stop<until 0.0e+00, what = change, axis = cols, norm = l2, every = 1, start = 3, limit = 9>,
// CHECK-SAME: a5 = #scaling.stop<until 1.0e-03, what = ratio, axis = rows, norm = linf, every = 10, start = 10, limit = 100>,
// CHECK-SAME: a6 = #scaling.stop<until 1.0e-03, what = relative_change, axis = both, norm = l1, every = 2, start = 2, limit = 100>,
// CHECK-SAME: a7 = #scaling.stop<best 32, what = imbalance>,
// CHECK-SAME: a8 = #scaling.stop<best 32, what = imbalance_sum, patience = first, last = false>,
// CHECK-SAME: a9 = #scaling.stop<until 1.0e-06, what = marginal, axis = both, norm = l1, every = 2, start = 2, limit = 100, relax = auto>,
// CHECK-SAME: aa = #scaling.stop<until 1.0e-06, what = marginal, axis = both, norm = l1, every = 2, start = 2, limit = 100, relax = none>,
// CHECK-SAME: ab = #scaling.stop<until 1.0e-06, what = marginal, axis = both, norm = l1, every = 2, start = 2, limit = 100>,
// CHECK-SAME: ac = #scaling.stop<until 1.0e-06, what = marginal, axis = both, norm = l1, every = 2, start = 2, limit = 100, relax = anderson>,
// CHECK-SAME: ad = #scaling.stop<until 1.0e-06, what = marginal, axis = both, norm = l1, every = 2, start = 2, limit = 100, relax = anderson(8)>,
// CHECK-SAME: ae = #scaling.form<cost, epsilon = 1.0e-01, anneal = [1.0e+00, 5.0e-01, 2.5e-01, 1.25e-01, 1.0e-01]>,
// CHECK-SAME: af = #scaling.form<cost, epsilon = 2.0e+00, anneal = [2.0e+00]>}
func.func private @stops() attributes {
  a0 = #scaling.stop<fixed 0>,
  a1 = #scaling.stop<fixed 20, measure = none>,
  a2 = #scaling.stop<fixed 20, measure = last, axis = rows, norm = mean>,
  a3 = #scaling.stop<until 1.0e-6, limit = 100>,
  a4 = #scaling.stop<until 0, what = change, axis = cols, norm = l2, every = 1, start = 3, limit = 9>,
  a5 = #scaling.stop<until 1.0e-3, what = ratio, axis = rows, norm = linf, every = 10, limit = 100>,
  a6 = #scaling.stop<until 1.0e-3, what = relative_change, limit = 100>,
  a7 = #scaling.stop<best 32>,
  a8 = #scaling.stop<best 32, what = imbalance_sum, patience = first, last = false>,
  a9 = #scaling.stop<until 1.0e-6, limit = 100, relax = auto>,
  aa = #scaling.stop<until 1.0e-6, relax = none, limit = 100>,
  ab = #scaling.stop<until 1.0e-6, relax = where_possible, limit = 100>,
  ac = #scaling.stop<until 1.0e-6, relax = anderson(5), limit = 100>,
  ad = #scaling.stop<until 1.0e-6, relax = anderson(8), limit = 100>,
  ae = #scaling.form<cost, anneal = geometric(1.0, 0.5), epsilon = 0.1>,
  af = #scaling.form<cost, anneal = geometric(1.0, 0.5), epsilon = 2.0>}

// CHECK-LABEL: func.func private @numerics
// CHECK-SAME: a0 = #scaling.numerics<kernel>,
// CHECK-SAME: a1 = #scaling.numerics<log, accumulate = f64>,
// CHECK-SAME: a2 = #scaling.numerics<absorb, accumulate = f32, strict>,
// CHECK-SAME: a3 = #scaling.numerics<log, products = tf32>,
// CHECK-SAME: a4 = #scaling.numerics<log, strict>}
func.func private @numerics() attributes {
  a0 = #scaling.numerics<kernel>,
  a1 = #scaling.numerics<log, accumulate = f64>,
  a2 = #scaling.numerics<absorb, accumulate = f32, strict>,
  a3 = #scaling.numerics<log, products = tf32>,
  a4 = #scaling.numerics<log, products = f32, strict>}

// CHECK-LABEL: func.func private @forms
// CHECK-SAME: a0 = #scaling.form<cost>,
// CHECK-SAME: a1 = #scaling.form<logits>,
// CHECK-SAME: a2 = #scaling.form<kernel>,
// CHECK-SAME: a3 = #scaling.form<logits, map = softmax_rows, entry_eps = 1.0e-06>,
// CHECK-SAME: a4 = #scaling.form<logits, map = sigmoid>,
// CHECK-SAME: a5 = #scaling.form<cost, shift = row_max, epsilon = 5.0e-02, standardize, normalize_total = 0.0e+00, start = uniform>,
// CHECK-SAME: a6 = #scaling.form<logits, shift = col_max, start = targets, output = log_plan, scale = rows_plus_cols>,
// CHECK-SAME: a7 = #scaling.form<cost, scale = rows, anneal = [1.0e+00, 5.0e-01], extrapolate>,
// CHECK-SAME: a8 = #scaling.form<cost, scale = cols>}
func.func private @forms() attributes {
  a0 = #scaling.form<cost>,
  a1 = #scaling.form<logits, map = exp, shift = none, epsilon = 1, start = neutral, output = plan, scale = one>,
  a2 = #scaling.form<kernel>,
  a3 = #scaling.form<logits, map = softmax_rows, entry_eps = 1.0e-6>,
  a4 = #scaling.form<logits, map = sigmoid>,
  a5 = #scaling.form<cost, shift = row_max, epsilon = 0.05, standardize, normalize_total = 0, start = uniform>,
  a6 = #scaling.form<logits, shift = col_max, start = targets, output = log_plan, scale = rows_plus_cols>,
  a7 = #scaling.form<cost, scale = rows, anneal = [1, 0.5], extrapolate>,
  a8 = #scaling.form<cost, scale = cols>}

// CHECK-LABEL: func.func private @schedules
// CHECK-SAME: a0 = #scaling.schedule<resident>,
// CHECK-SAME: a1 = #scaling.schedule<tiny_batched, lanes = 16>,
// CHECK-SAME: a2 = #scaling.schedule<streaming, row_block = 8, matrix = recomputed>,
// CHECK-SAME: a3 = #scaling.schedule<cloud>}
func.func private @schedules() attributes {
  a0 = #scaling.schedule<resident>,
  a1 = #scaling.schedule<tiny_batched, lanes = 16>,
  a2 = #scaling.schedule<streaming, row_block = 8, matrix = recomputed>,
  a3 = #scaling.schedule<cloud, matrix = stored>}

//===----------------------------------------------------------------------===//
// Named ops
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func.func @project
// CHECK: scaling.project logits(%{{[a-z0-9_]+}} : tensor<?x4x4xf32>) preset(mhc){{$}}
func.func @project(%z: tensor<?x4x4xf32>) -> tensor<?x4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x4x4xf32>) preset(mhc)
  return %P : tensor<?x4x4xf32>
}

// A preset with something else in one place is no preset any more.
// CHECK-LABEL: func.func @changed_preset
// CHECK: scaling.project logits(%{{[a-z0-9_]+}} : tensor<4x4xf32>)
// CHECK-NOT: preset
// CHECK-SAME: form(#scaling.form<logits, map = softmax_rows, entry_eps = 1.0e-06>)
// CHECK-SAME: stop(#scaling.stop<fixed 19>)
func.func @changed_preset(%z: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<4x4xf32>) preset(mhc) stop(#scaling.stop<fixed 19>)
  return %P : tensor<4x4xf32>
}

// The attributes of a preset, written out.
// CHECK-LABEL: func.func @found_preset
// CHECK: scaling.project logits(%{{[a-z0-9_]+}} : tensor<4x4xf32>) preset(mhc_log){{$}}
func.func @found_preset(%z: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<4x4xf32>) stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<log>)
  return %P : tensor<4x4xf32>
}

// CHECK-LABEL: func.func @defaults
// CHECK: scaling.sinkhorn cost(%{{[a-z0-9_]+}} : tensor<8x4xbf16>)
// CHECK-SAME: form(#scaling.form<cost>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum>)
// CHECK-SAME: order(rows_first) stop(#scaling.stop<fixed 3>) numerics(#scaling.numerics<absorb>)
// CHECK: scaling.sinkhorn kernel(%{{[a-z0-9_]+}} : tensor<8x4xbf16>)
// CHECK-SAME: form(#scaling.form<kernel>)
// CHECK-SAME: numerics(#scaling.numerics<kernel>)
func.func @defaults(%C: tensor<8x4xbf16>) -> (tensor<8xf32>, tensor<4xf32>) {
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xbf16>) stop(#scaling.stop<fixed 3>)
  %f1, %g1, %k1, %r1, %s1 = scaling.sinkhorn kernel(%C : tensor<8x4xbf16>) stop(#scaling.stop<fixed 3>)
  return %f, %g1 : tensor<8xf32>, tensor<4xf32>
}

// CHECK-LABEL: func.func @explicit
// CHECK: scaling.sinkhorn cost(%{{[a-z0-9_]+}} : tensor<8x4xf64>) row_marginal(%{{[a-z0-9_]+}} : tensor<3x8xf64>) epsilon(%{{[a-z0-9_]+}} : tensor<f64>)
// CHECK-SAME: form(#scaling.form<cost>)
// CHECK-SAME: rows(#scaling.rule<sum, target = uniform, tau = 5.0e-01>)
// CHECK-SAME: cols(#scaling.rule<sum, guard = add_plan(1.0e-06), omega = 1.5e+00>)
// CHECK-SAME: order(cols_first)
// CHECK-SAME: stop(#scaling.stop<until 1.0e-06, what = marginal, axis = cols, norm = l1, every = 2, start = 2, limit = 100>)
// CHECK-SAME: numerics(#scaling.numerics<absorb>)
func.func @explicit(%C: tensor<8x4xf64>, %a: tensor<3x8xf64>, %e: tensor<f64>) -> (tensor<3x8xf64>, tensor<3xi32>) {
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf64>) row_marginal(%a : tensor<3x8xf64>)
    epsilon(%e : tensor<f64>) rows(#scaling.rule<sum, target = uniform, tau = 0.5>)
    cols(#scaling.rule<sum, guard = add_plan(1.0e-6), omega = 1.5>) order(cols_first)
    stop(#scaling.stop<until 1.0e-6, axis = cols, every = 2, limit = 100>)
  return %f, %k : tensor<3x8xf64>, tensor<3xi32>
}

// Every operand; sizes that only one operand knows; batches that broadcast.
// CHECK-LABEL: func.func @all_operands
// CHECK: %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{.*}} = scaling.sinkhorn logits(%{{[a-z0-9_]+}} : tensor<?x?x?xf16>)
// CHECK-SAME: row_marginal(%{{[a-z0-9_]+}} : tensor<9xf32>) col_marginal(%{{[a-z0-9_]+}} : tensor<2x?xf32>)
// CHECK-SAME: row_init(%{{[a-z0-9_]+}} : tensor<?xf32>) col_init(%{{[a-z0-9_]+}} : tensor<5xf32>)
// CHECK-SAME: row_mask(%{{[a-z0-9_]+}} : tensor<9xi1>) col_mask(%{{[a-z0-9_]+}} : tensor<2x5xi1>)
// CHECK-SAME: slack(%{{[a-z0-9_]+}} : tensor<f32>) epsilon(%{{[a-z0-9_]+}} : tensor<7x2xf32>)
// CHECK-SAME: order(jacobi)
// CHECK-SAME: {note = "kept"}
// CHECK: return {{.*}} : tensor<7x2x9xf32>, tensor<7x2x5xf32>, tensor<7x2xi32>
func.func @all_operands(%S: tensor<?x?x?xf16>, %a: tensor<9xf32>, %b: tensor<2x?xf32>, %fi: tensor<?xf32>, %gi: tensor<5xf32>,
                        %rm: tensor<9xi1>, %cm: tensor<2x5xi1>, %z: tensor<f32>, %e: tensor<7x2xf32>)
    -> (tensor<7x2x9xf32>, tensor<7x2x5xf32>, tensor<7x2xi32>) {
  %f, %g, %k, %r, %s = scaling.sinkhorn epsilon(%e : tensor<7x2xf32>) slack(%z : tensor<f32>)
    logits(%S : tensor<?x?x?xf16>) row_marginal(%a : tensor<9xf32>) col_marginal(%b : tensor<2x?xf32>)
    row_init(%fi : tensor<?xf32>) col_init(%gi : tensor<5xf32>) row_mask(%rm : tensor<9xi1>) col_mask(%cm : tensor<2x5xi1>)
    order(jacobi) stop(#scaling.stop<fixed 4>) {note = "kept"}
  return %f, %g, %k : tensor<7x2x9xf32>, tensor<7x2x5xf32>, tensor<7x2xi32>
}

// Slack adds a row and a column to the plan.
// CHECK-LABEL: func.func @slack
// CHECK: scaling.project logits(%{{[a-z0-9_]+}} : tensor<3x8x4xf32>) slack(%{{[a-z0-9_]+}} : tensor<3xf32>) preset(superglue)
// CHECK: return %{{[a-z0-9_]+}} : tensor<3x9x5xf32>
func.func @slack(%S: tensor<3x8x4xf32>, %z: tensor<3xf32>) -> tensor<3x9x5xf32> {
  %P, %k, %r, %s = scaling.project logits(%S : tensor<3x8x4xf32>) slack(%z : tensor<3xf32>) preset(superglue)
  return %P : tensor<3x9x5xf32>
}

// Two ops that begin with the same keyword, one after the other.
// CHECK-LABEL: func.func @balance
// CHECK: scaling.balance matrix(%{{[a-z0-9_]+}} : tensor<2x8x4xbf16>) preset(ruiz){{$}}
// CHECK: scaling.balance matrix(%{{[a-z0-9_]+}} : tensor<2x8x4xbf16>) row_target(%{{[a-z0-9_]+}} : tensor<8xf64>) col_target(%{{[a-z0-9_]+}} : tensor<4xf64>)
// CHECK-SAME: row_init(%{{[a-z0-9_]+}} : tensor<2x8xf64>) col_init(%{{[a-z0-9_]+}} : tensor<2x4xf64>) row_mask(%{{[a-z0-9_]+}} : tensor<8xi1>) col_mask(%{{[a-z0-9_]+}} : tensor<4xi1>)
// CHECK-SAME: rows(#scaling.rule<linf, exponent = 5.0e-01>) cols(#scaling.rule<sum>) order(rows_first) stop(#scaling.stop<best 4, what = imbalance>) numerics(#scaling.numerics<kernel, accumulate = f64>)
func.func @balance(%A: tensor<2x8x4xbf16>, %rt: tensor<8xf64>, %ct: tensor<4xf64>, %ri: tensor<2x8xf64>, %ci: tensor<2x4xf64>,
                   %rm: tensor<8xi1>, %cm: tensor<4xi1>) -> (tensor<2x8xf32>, tensor<2x4xf64>) {
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<2x8x4xbf16>) preset(ruiz)
  %u1, %v1, %k1, %r1, %s1 = scaling.balance matrix(%A : tensor<2x8x4xbf16>) row_target(%rt : tensor<8xf64>) col_target(%ct : tensor<4xf64>)
    row_init(%ri : tensor<2x8xf64>) col_init(%ci : tensor<2x4xf64>) row_mask(%rm : tensor<8xi1>) col_mask(%cm : tensor<4xi1>)
    rows(#scaling.rule<linf, exponent = 0.5>) stop(#scaling.stop<best 4>) numerics(#scaling.numerics<kernel, accumulate = f64>)
  return %u, %v1 : tensor<2x8xf32>, tensor<2x4xf64>
}

// CHECK-LABEL: func.func @normalize
// CHECK: scaling.normalize logits(%{{[a-z0-9_]+}} : tensor<8x4xf32>) along(rows) form(#scaling.form<logits>) rule(#scaling.rule<sum>) numerics(#scaling.numerics<log>)
// CHECK: scaling.normalize kernel(%{{[a-z0-9_]+}} : tensor<8x4xf32>) target(%{{[a-z0-9_]+}} : tensor<2x4xf32>) mask(%{{[a-z0-9_]+}} : tensor<8xi1>) epsilon(%{{[a-z0-9_]+}} : tensor<2xf32>)
// CHECK-SAME: along(cols) form(#scaling.form<kernel>) rule(#scaling.rule<l2>) numerics(#scaling.numerics<kernel>)
// CHECK: return {{.*}} : tensor<8x4xf32>, tensor<2x8x4xf32>
func.func @normalize(%S: tensor<8x4xf32>, %t: tensor<2x4xf32>, %m: tensor<8xi1>, %e: tensor<2xf32>) -> (tensor<8x4xf32>, tensor<2x8x4xf32>) {
  %P = scaling.normalize along(rows) logits(%S : tensor<8x4xf32>) rule(#scaling.rule<sum>) numerics(#scaling.numerics<log>)
  %Q = scaling.normalize along(cols) kernel(%S : tensor<8x4xf32>) target(%t : tensor<2x4xf32>) mask(%m : tensor<8xi1>)
    epsilon(%e : tensor<2xf32>) rule(#scaling.rule<l2>)
  return %P, %Q : tensor<8x4xf32>, tensor<2x8x4xf32>
}

// CHECK-LABEL: func.func @attention
// CHECK: scaling.attention query(%{{[a-z0-9_]+}} : tensor<2x8x16xf16>) key(%{{[a-z0-9_]+}} : tensor<4x16xf16>) value(%{{[a-z0-9_]+}} : tensor<2x4x?xf16>) preset(sinkformer){{$}}
// CHECK: scaling.attention query(%{{[a-z0-9_]+}} : tensor<2x8x16xf16>) key(%{{[a-z0-9_]+}} : tensor<4x16xf16>) value(%{{[a-z0-9_]+}} : tensor<2x4x?xf16>)
// CHECK-SAME: bias(%{{[a-z0-9_]+}} : tensor<8x4xf16>) row_mask(%{{[a-z0-9_]+}} : tensor<2x8xi1>) col_mask(%{{[a-z0-9_]+}} : tensor<4xi1>) epsilon(%{{[a-z0-9_]+}} : tensor<f32>) preset(sinkformer) logit_scale(2.500000e-01 : f64)
// CHECK: return {{.*}} : tensor<2x8x?xf16>, tensor<2xf32>
func.func @attention(%q: tensor<2x8x16xf16>, %key: tensor<4x16xf16>, %v: tensor<2x4x?xf16>, %b: tensor<8x4xf16>,
                     %rm: tensor<2x8xi1>, %cm: tensor<4xi1>, %e: tensor<f32>) -> (tensor<2x8x?xf16>, tensor<2xf32>) {
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf16>) key(%key : tensor<4x16xf16>) value(%v : tensor<2x4x?xf16>) preset(sinkformer)
  %O1, %k1, %r1, %s1 = scaling.attention query(%q : tensor<2x8x16xf16>) key(%key : tensor<4x16xf16>) value(%v : tensor<2x4x?xf16>)
    bias(%b : tensor<8x4xf16>) row_mask(%rm : tensor<2x8xi1>) col_mask(%cm : tensor<4xi1>) epsilon(%e : tensor<f32>)
    preset(sinkformer) logit_scale(0.25 : f64)
  return %O, %r1 : tensor<2x8x?xf16>, tensor<2xf32>
}

// CHECK-LABEL: func.func @similarity
// CHECK: scaling.similarity_balance matrix(%{{[a-z0-9_]+}} : tensor<3x?x?xf64>)
// CHECK-SAME: limit(100 : i64)
// CHECK: scaling.similarity_balance matrix(%{{[a-z0-9_]+}} : tensor<3x?x?xf64>) limit(7 : i64)
func.func @similarity(%A: tensor<3x?x?xf64>) -> (tensor<3x?x?xf64>, tensor<3x?xf64>, tensor<3xi32>) {
  %B, %d, %k, %s = scaling.similarity_balance matrix(%A : tensor<3x?x?xf64>)
  %B1, %d1, %k1, %s1 = scaling.similarity_balance matrix(%A : tensor<3x?x?xf64>) limit(7)
  return %B, %d1, %k1 : tensor<3x?x?xf64>, tensor<3x?xf64>, tensor<3xi32>
}

//===----------------------------------------------------------------------===//
// Core ops, on tensors and on memrefs
//===----------------------------------------------------------------------===//

// CHECK-LABEL: func.func @iterate
// CHECK: scaling.iterate matrix(%{{[a-z0-9_]+}} : tensor<?x4x4xf32>) rows(#scaling.rule<sum, guard = add_plan(1.0e-06)>) cols(#scaling.rule<sum>) order(cols_first)
// CHECK-SAME: stop(#scaling.stop<fixed 39>) numerics(#scaling.numerics<kernel>){{$}}
// CHECK: scaling.iterate matrix(%{{[a-z0-9_]+}} : tensor<?x4x4xf32>) row_start(%{{[a-z0-9_]+}} : tensor<4xf64>) col_start(%{{[a-z0-9_]+}} : tensor<4xf64>)
// CHECK-SAME: row_target(%{{[a-z0-9_]+}} : tensor<4xf64>) col_target(%{{[a-z0-9_]+}} : tensor<?x4xf64>) row_mask(%{{[a-z0-9_]+}} : tensor<4xi1>) col_mask(%{{[a-z0-9_]+}} : tensor<4xi1>) anneal(%{{[a-z0-9_]+}} : tensor<2xf64>)
// CHECK-SAME: rows(#scaling.rule<sum, target = uniform>) cols(#scaling.rule<sum>) order(rows_first) stop(#scaling.stop<fixed 4>)
// CHECK-SAME: numerics(#scaling.numerics<log, accumulate = f64>) schedule(#scaling.schedule<tiny_batched, lanes = 16>)
func.func @iterate(%K: tensor<?x4x4xf32>, %x: tensor<4xf64>, %b: tensor<?x4xf64>, %m: tensor<4xi1>, %n: tensor<2xf64>) -> (tensor<?x4xf32>, tensor<?x4xf64>) {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<?x4x4xf32>) rows(#scaling.rule<sum, guard = add_plan(1.0e-6)>)
    order(cols_first) stop(#scaling.stop<fixed 39>)
  %u1, %v1, %k1, %r1, %s1 = scaling.iterate matrix(%K : tensor<?x4x4xf32>) row_start(%x : tensor<4xf64>) col_start(%x : tensor<4xf64>)
    row_target(%x : tensor<4xf64>) col_target(%b : tensor<?x4xf64>) row_mask(%m : tensor<4xi1>) col_mask(%m : tensor<4xi1>) anneal(%n : tensor<2xf64>)
    rows(#scaling.rule<sum, target = uniform>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log, accumulate = f64>)
    schedule(#scaling.schedule<tiny_batched, lanes = 16>)
  return %u, %v1 : tensor<?x4xf32>, tensor<?x4xf64>
}

// CHECK-LABEL: func.func @reduce
// CHECK: scaling.reduce along(rows) stat(#scaling.sum) matrix(%{{[a-z0-9_]+}} : tensor<8x4xbf16>) factor(%{{[a-z0-9_]+}} : tensor<4xf32>) mask(%{{[a-z0-9_]+}} : tensor<4xi1>) scale(%{{[a-z0-9_]+}} : f32) outs(%{{[a-z0-9_]+}} : tensor<2x8xf32>) -> tensor<2x8xf32>
// CHECK: scaling.reduce along(cols) stat(#scaling.std) matrix(%{{[a-z0-9_]+}} : tensor<8x4xbf16>) outs(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
// CHECK: scaling.reduce along(rows) stat(#scaling.lse) matrix(%{{[a-z0-9_]+}} : tensor<4x4x?xf32>) outs(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<4x?xf32>, tensor<4x?xf32>) {dims = array<i64: 0, 1>} -> tensor<4x?xf32>, tensor<4x?xf32>
// CHECK: scaling.reduce along(cols) stat(#scaling.linf) matrix(%{{[a-z0-9_]+}} : memref<8x?xf64, strided<[?, 1]>>) factor(%{{[a-z0-9_]+}} : memref<8xf64>) mask(%{{[a-z0-9_]+}} : memref<8xi1>) outs(%{{[a-z0-9_]+}} : memref<?xf64>){{$}}
func.func @reduce(%K: tensor<8x4xbf16>, %v: tensor<4xf32>, %m: tensor<4xi1>, %x: f32, %o: tensor<2x8xf32>, %p: tensor<4xf32>,
                  %L: tensor<4x4x?xf32>, %q: tensor<4x?xf32>,
                  %M: memref<8x?xf64, strided<[?, 1]>>, %w: memref<8xf64>, %n: memref<8xi1>, %out: memref<?xf64>) {
  %0 = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<8x4xbf16>) factor(%v : tensor<4xf32>) mask(%m : tensor<4xi1>)
    scale(%x : f32) outs(%o : tensor<2x8xf32>) -> tensor<2x8xf32>
  %1:3 = scaling.reduce along(cols) stat(#scaling.std) matrix(%K : tensor<8x4xbf16>)
    outs(%p, %p, %p : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
  %2:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%L : tensor<4x4x?xf32>)
    outs(%q, %q : tensor<4x?xf32>, tensor<4x?xf32>) {dims = array<i64: 0, 1>} -> tensor<4x?xf32>, tensor<4x?xf32>
  scaling.reduce along(cols) stat(#scaling.linf) matrix(%M : memref<8x?xf64, strided<[?, 1]>>) factor(%w : memref<8xf64>)
    mask(%n : memref<8xi1>) outs(%out : memref<?xf64>)
  return
}

// CHECK-LABEL: func.func @update
// CHECK: scaling.update rule(<sum>) domain(kernel) states(%{{[a-z0-9_]+}} : tensor<2x8xf32>) own(%{{[a-z0-9_]+}} : tensor<2x8xf32>) target(%{{[a-z0-9_]+}} : tensor<8xbf16>) mask(%{{[a-z0-9_]+}} : tensor<8xi1>) outs(%{{[a-z0-9_]+}} : tensor<2x8xf32>) -> tensor<2x8xf32>
// CHECK: scaling.update rule(<sum>) domain(log) states(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<2x8xf32>, tensor<2x8xf32>) own(%{{[a-z0-9_]+}} : tensor<2x8xf32>) outs(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<2x8xf32>, tensor<2x8xf32>) {dim = 0 : i64} -> tensor<2x8xf32>, tensor<2x8xf32>
// CHECK: scaling.update rule(<sum>) domain(kernel) states(%{{[a-z0-9_]+}} : tensor<2x8xf32>) own(%{{[a-z0-9_]+}} : tensor<2x8xf32>) omega(%{{[a-z0-9_]+}} : tensor<2xf32>) outs(%{{[a-z0-9_]+}} : tensor<2x8xf32>) -> tensor<2x8xf32>
// CHECK: scaling.update rule(<l2>) domain(kernel) states(%{{[a-z0-9_]+}} : memref<8xf32>) own(%{{[a-z0-9_]+}} : memref<8xf32>) outs(%{{[a-z0-9_]+}} : memref<8xf32>){{$}}
func.func @update(%s: tensor<2x8xf32>, %t: tensor<8xbf16>, %m: tensor<8xi1>, %w: memref<8xf32>, %o: tensor<2xf32>) {
  %0 = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<2x8xf32>) own(%s : tensor<2x8xf32>)
    target(%t : tensor<8xbf16>) mask(%m : tensor<8xi1>) outs(%s : tensor<2x8xf32>) -> tensor<2x8xf32>
  %1:2 = scaling.update rule(#scaling.rule<sum>) domain(log) states(%s, %s : tensor<2x8xf32>, tensor<2x8xf32>)
    own(%s : tensor<2x8xf32>) outs(%s, %s : tensor<2x8xf32>, tensor<2x8xf32>) {dim = 0 : i64} -> tensor<2x8xf32>, tensor<2x8xf32>
  %2 = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<2x8xf32>) own(%s : tensor<2x8xf32>)
    omega(%o : tensor<2xf32>) outs(%s : tensor<2x8xf32>) -> tensor<2x8xf32>
  scaling.update rule(#scaling.rule<l2>) domain(kernel) states(%w : memref<8xf32>) own(%w : memref<8xf32>) outs(%w : memref<8xf32>)
  return
}

// CHECK-LABEL: func.func @plan
// CHECK: scaling.plan domain(kernel) matrix(%{{[a-z0-9_]+}} : tensor<8x4xf32>) row(%{{[a-z0-9_]+}} : tensor<2x8xf32>) col(%{{[a-z0-9_]+}} : tensor<4xf32>) row_weight(%{{[a-z0-9_]+}} : tensor<8xf32>) col_weight(%{{[a-z0-9_]+}} : tensor<4xf32>) outs(%{{[a-z0-9_]+}} : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
// CHECK: scaling.plan domain(log) logarithm matrix(%{{[a-z0-9_]+}} : tensor<4x4x?xf32>) outs(%{{[a-z0-9_]+}} : tensor<4x4x?xf32>) {dims = array<i64: 0, 1>} -> tensor<4x4x?xf32>
// CHECK: scaling.plan domain(absorb) matrix(%{{[a-z0-9_]+}} : memref<8x4xf16>) row(%{{[a-z0-9_]+}} : memref<8xf32>) outs(%{{[a-z0-9_]+}} : memref<8x4xf16>){{$}}
func.func @plan(%K: tensor<8x4xf32>, %u: tensor<2x8xf32>, %v: tensor<4xf32>, %a: tensor<8xf32>, %e: tensor<2x8x4xf32>, %L: tensor<4x4x?xf32>,
                %M: memref<8x4xf16>, %w: memref<8xf32>) {
  %0 = scaling.plan domain(kernel) matrix(%K : tensor<8x4xf32>) row(%u : tensor<2x8xf32>) col(%v : tensor<4xf32>)
    row_weight(%a : tensor<8xf32>) col_weight(%v : tensor<4xf32>) outs(%e : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  %1 = scaling.plan domain(log) logarithm matrix(%L : tensor<4x4x?xf32>) outs(%L : tensor<4x4x?xf32>) {dims = array<i64: 0, 1>} -> tensor<4x4x?xf32>
  scaling.plan domain(absorb) matrix(%M : memref<8x4xf16>) row(%w : memref<8xf32>) outs(%M : memref<8x4xf16>)
  return
}

// CHECK-LABEL: func.func @apply
// CHECK: scaling.apply product domain(log) matrix(%{{[a-z0-9_]+}} : tensor<8x4xf32>) row(%{{[a-z0-9_]+}} : tensor<8xf32>) col(%{{[a-z0-9_]+}} : tensor<4xf32>) row_weight(%{{[a-z0-9_]+}} : tensor<8xf32>) col_weight(%{{[a-z0-9_]+}} : tensor<4xf32>) operand(%{{[a-z0-9_]+}} : tensor<4x16xf32>) outs(%{{[a-z0-9_]+}} : tensor<2x8x16xf32>) -> tensor<2x8x16xf32>
// CHECK: scaling.apply product transposed domain(kernel) matrix(%{{[a-z0-9_]+}} : tensor<8x4xf32>) operand(%{{[a-z0-9_]+}} : tensor<2x8x16xf32>) outs(%{{[a-z0-9_]+}} : tensor<2x4x16xf32>) -> tensor<2x4x16xf32>
// CHECK: scaling.apply value domain(kernel) matrix(%{{[a-z0-9_]+}} : tensor<8x4xf32>) operand(%{{[a-z0-9_]+}} : tensor<8x4xf32>) outs(%{{[a-z0-9_]+}} : tensor<f32>) -> tensor<f32>
// CHECK: scaling.apply mass domain(kernel) matrix(%{{[a-z0-9_]+}} : tensor<8x4xf32>) outs(%{{[a-z0-9_]+}} : tensor<f32>) -> tensor<f32>
// CHECK: scaling.apply argmax domain(kernel) matrix(%{{[a-z0-9_]+}} : tensor<8x4xf32>) offset(%{{[a-z0-9_]+}}) outs(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<8xf32>, tensor<8xi64>) -> tensor<8xf32>, tensor<8xi64>
// CHECK: scaling.apply dual domain(log) matrix(%{{[a-z0-9_]+}} : tensor<8x4xf32>) row(%{{[a-z0-9_]+}} : tensor<8xf32>) col(%{{[a-z0-9_]+}} : tensor<4xf32>) row_weight(%{{[a-z0-9_]+}} : tensor<8xf32>) col_weight(%{{[a-z0-9_]+}} : tensor<4xf32>) outs(%{{[a-z0-9_]+}} : tensor<f32>) -> tensor<f32>
// CHECK: scaling.apply dual domain(kernel) matrix(%{{[a-z0-9_]+}} : memref<8x4xbf16>) row({{.*}}) col({{.*}}) row_weight({{.*}}) col_weight({{.*}}) offset(%[[I:[a-z0-9_]+]]) row_offset(%[[I]]) outs(%{{[a-z0-9_]+}} : memref<f32>){{$}}
// CHECK: scaling.apply mass domain(absorb) matrix(%{{[a-z0-9_]+}} : memref<8x4xbf16>) outs(%{{[a-z0-9_]+}} : memref<f32>){{$}}
func.func @apply(%K: tensor<8x4xf32>, %a: tensor<8xf32>, %v: tensor<4xf32>, %V: tensor<4x16xf32>, %O: tensor<2x8x16xf32>, %Q: tensor<2x4x16xf32>,
                 %x: tensor<f32>, %n: tensor<8xi64>, %i: index, %M: memref<8x4xbf16>, %w: memref<f32>, %mr: memref<8xf32>, %mc: memref<4xf32>) {
  %0 = scaling.apply product domain(log) matrix(%K : tensor<8x4xf32>) row(%a : tensor<8xf32>) col(%v : tensor<4xf32>)
    row_weight(%a : tensor<8xf32>) col_weight(%v : tensor<4xf32>) operand(%V : tensor<4x16xf32>) outs(%O : tensor<2x8x16xf32>) -> tensor<2x8x16xf32>
  %1 = scaling.apply product transposed domain(kernel) matrix(%K : tensor<8x4xf32>) operand(%O : tensor<2x8x16xf32>) outs(%Q : tensor<2x4x16xf32>) -> tensor<2x4x16xf32>
  %2 = scaling.apply value domain(kernel) matrix(%K : tensor<8x4xf32>) operand(%K : tensor<8x4xf32>) outs(%x : tensor<f32>) -> tensor<f32>
  %3 = scaling.apply mass domain(kernel) matrix(%K : tensor<8x4xf32>) outs(%x : tensor<f32>) -> tensor<f32>
  %4:2 = scaling.apply argmax domain(kernel) matrix(%K : tensor<8x4xf32>) offset(%i) outs(%a, %n : tensor<8xf32>, tensor<8xi64>) -> tensor<8xf32>, tensor<8xi64>
  %5 = scaling.apply dual domain(log) matrix(%K : tensor<8x4xf32>) row(%a : tensor<8xf32>) col(%v : tensor<4xf32>)
    row_weight(%a : tensor<8xf32>) col_weight(%v : tensor<4xf32>) outs(%x : tensor<f32>) -> tensor<f32>
  scaling.apply dual domain(kernel) matrix(%M : memref<8x4xbf16>) row(%mr : memref<8xf32>) col(%mc : memref<4xf32>)
    row_weight(%mr : memref<8xf32>) col_weight(%mc : memref<4xf32>) offset(%i) row_offset(%i) outs(%w : memref<f32>)
  scaling.apply mass domain(absorb) matrix(%M : memref<8x4xbf16>) outs(%w : memref<f32>)
  return
}

// CHECK-LABEL: func.func @pairwise
// CHECK: scaling.pairwise sqeuclidean points(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<8x3xf32>, tensor<2x4x3xf32>) outs(%{{[a-z0-9_]+}} : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
// CHECK: scaling.pairwise euclidean
// CHECK: scaling.pairwise l1
// CHECK: scaling.pairwise dot
// CHECK: scaling.pairwise cosine points(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : memref<8x?xf16>, memref<4x?xf16>) outs(%{{[a-z0-9_]+}} : memref<8x4xf32>){{$}}
func.func @pairwise(%x: tensor<8x3xf32>, %y: tensor<2x4x3xf32>, %e: tensor<2x8x4xf32>, %p: memref<8x?xf16>, %q: memref<4x?xf16>, %o: memref<8x4xf32>) {
  %0 = scaling.pairwise sqeuclidean points(%x, %y : tensor<8x3xf32>, tensor<2x4x3xf32>) outs(%e : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  %1 = scaling.pairwise euclidean points(%x, %y : tensor<8x3xf32>, tensor<2x4x3xf32>) outs(%e : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  %2 = scaling.pairwise l1 points(%x, %y : tensor<8x3xf32>, tensor<2x4x3xf32>) outs(%e : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  %3 = scaling.pairwise dot points(%x, %y : tensor<8x3xf32>, tensor<2x4x3xf32>) outs(%e : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  scaling.pairwise cosine points(%p, %q : memref<8x?xf16>, memref<4x?xf16>) outs(%o : memref<8x4xf32>)
  return
}

// CHECK-LABEL: func.func @marginals
// CHECK: scaling.marginals matrix(%{{[a-z0-9_]+}} : tensor<8x4xf32>) outs(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<2x8xf32>, tensor<2x4xf32>) -> tensor<2x8xf32>, tensor<2x4xf32>
// CHECK: scaling.marginals largest points {{ ?}}sqeuclidean(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<8x3xf32>, tensor<3x4xf32>)
// CHECK-SAME: row(%{{[a-z0-9_]+}} : tensor<8xf32>) col(%{{[a-z0-9_]+}} : tensor<4xf32>) row_mask(%{{[a-z0-9_]+}} : tensor<8xi1>) col_mask(%{{[a-z0-9_]+}} : tensor<4xi1>) scale(%{{[a-z0-9_]+}} : f32)
// CHECK: scaling.marginals points {{ ?}}l1(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : memref<8x?xf16>, memref<?x4xf16>) outs(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : memref<8xf32>, memref<4xf32>){{$}}
func.func @marginals(%c: tensor<8x4xf32>, %r: tensor<2x8xf32>, %s: tensor<2x4xf32>, %x: tensor<8x3xf32>, %y: tensor<3x4xf32>, %F: tensor<8xf32>, %G: tensor<4xf32>, %rm: tensor<8xi1>, %cm: tensor<4xi1>, %t: f32, %p: memref<8x?xf16>, %q: memref<?x4xf16>, %u: memref<8xf32>, %v: memref<4xf32>) {
  %0:2 = scaling.marginals matrix(%c : tensor<8x4xf32>) outs(%r, %s : tensor<2x8xf32>, tensor<2x4xf32>) -> tensor<2x8xf32>, tensor<2x4xf32>
  %1:2 = scaling.marginals largest points sqeuclidean(%x, %y : tensor<8x3xf32>, tensor<3x4xf32>) row(%F : tensor<8xf32>) col(%G : tensor<4xf32>)
    row_mask(%rm : tensor<8xi1>) col_mask(%cm : tensor<4xi1>) scale(%t : f32) outs(%F, %G : tensor<8xf32>, tensor<4xf32>) -> tensor<8xf32>, tensor<4xf32>
  scaling.marginals points l1(%p, %q : memref<8x?xf16>, memref<?x4xf16>) outs(%u, %v : memref<8xf32>, memref<4xf32>)
  return
}

// CHECK-LABEL: func.func @points
// CHECK: scaling.reduce_points sqeuclidean points(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<8x3xf32>, tensor<2x4x3xf32>) factor(%{{[a-z0-9_]+}} : tensor<4xf32>) scale(%{{[a-z0-9_]+}} : f32) outs(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>, tensor<2x8xf32>
// CHECK: scaling.reduce_points l1 points(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : memref<8x?xf32>, memref<4x?xf32>) outs(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : memref<8xf32>, memref<8xf32>){{$}}
// CHECK: scaling.apply_points dot points(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<8x3xf32>, tensor<2x4x3xf32>) row(%{{[a-z0-9_]+}} : tensor<8xf32>) col(%{{[a-z0-9_]+}} : tensor<4xf32>) scale(%{{[a-z0-9_]+}} : f32) operand(%{{[a-z0-9_]+}} : tensor<4x5xf32>) outs(%{{[a-z0-9_]+}} : tensor<2x8x5xf32>) -> tensor<2x8x5xf32>
// CHECK: scaling.reduce_points dot {{.*}} factor({{.*}}) products(tf32) outs(
// CHECK: scaling.reduce_points dot {{.*}} row_factor({{.*}} : tensor<8xf32>) block(4) outs({{.*}} : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x2x4xf32>, tensor<2x2x4xf32>)
// CHECK: scaling.sum_points l1 points({{.*}}) row(%{{[a-z0-9_]+}} : tensor<8xf32>) col(%{{[a-z0-9_]+}} : tensor<4xf32>) x_cost(%{{[a-z0-9_]+}} : tensor<8xf32>) y_cost(%{{[a-z0-9_]+}} : tensor<4xf32>) scale(%{{[a-z0-9_]+}} : f32) outs(
// CHECK: scaling.argmax_points l1 points({{.*}}) factor(%{{[a-z0-9_]+}} : tensor<4xf32>) scale(%{{[a-z0-9_]+}} : f32) outs({{.*}} : tensor<2x8xf32>, tensor<2x8xi64>) -> tensor<2x8xf32>, tensor<2x8xi64>
// CHECK: scaling.apply_points dot {{.*}}f32>) products(tf32) operand(
func.func @points(%x: tensor<8x3xf32>, %y: tensor<2x4x3xf32>, %F: tensor<8xf32>, %G: tensor<4xf32>, %t: f32, %e: tensor<2x8xf32>, %V: tensor<4x5xf32>, %o: tensor<2x8x5xf32>, %p: memref<8x?xf32>, %q: memref<4x?xf32>, %u: memref<8xf32>, %v: memref<8xf32>) {
  %0:2 = scaling.reduce_points sqeuclidean points(%x, %y : tensor<8x3xf32>, tensor<2x4x3xf32>) factor(%G : tensor<4xf32>) scale(%t : f32) outs(%e, %e : tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>, tensor<2x8xf32>
  scaling.reduce_points l1 points(%p, %q : memref<8x?xf32>, memref<4x?xf32>) outs(%u, %v : memref<8xf32>, memref<8xf32>)
  %1 = scaling.apply_points dot points(%x, %y : tensor<8x3xf32>, tensor<2x4x3xf32>) row(%F : tensor<8xf32>) col(%G : tensor<4xf32>) scale(%t : f32) operand(%V : tensor<4x5xf32>) outs(%o : tensor<2x8x5xf32>) -> tensor<2x8x5xf32>
  %2:2 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<2x4x3xf32>) factor(%G : tensor<4xf32>) products(tf32) outs(%e, %e : tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>, tensor<2x8xf32>
  %b = tensor.empty() : tensor<2x2x4xf32>
  %4:4 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<2x4x3xf32>) row_factor(%F : tensor<8xf32>) block(4) outs(%e, %e, %b, %b : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x2x4xf32>, tensor<2x2x4xf32>) -> tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x2x4xf32>, tensor<2x2x4xf32>
  %5:2 = scaling.sum_points l1 points(%x, %y : tensor<8x3xf32>, tensor<2x4x3xf32>) row(%F : tensor<8xf32>) col(%G : tensor<4xf32>) x_cost(%F : tensor<8xf32>) y_cost(%G : tensor<4xf32>) scale(%t : f32) outs(%e, %e : tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>, tensor<2x8xf32>
  %i = tensor.empty() : tensor<2x8xi64>
  %6:2 = scaling.argmax_points l1 points(%x, %y : tensor<8x3xf32>, tensor<2x4x3xf32>) factor(%G : tensor<4xf32>) scale(%t : f32) outs(%e, %i : tensor<2x8xf32>, tensor<2x8xi64>) -> tensor<2x8xf32>, tensor<2x8xi64>
  %3 = scaling.apply_points dot points(%x, %y : tensor<8x3xf32>, tensor<2x4x3xf32>) products(tf32) operand(%V : tensor<4x5xf32>) outs(%o : tensor<2x8x5xf32>) -> tensor<2x8x5xf32>
  return
}

// CHECK-LABEL: func.func @points_of_pairs
// CHECK: scaling.apply_points dot {{.*}}bf16>) products(bf16) operand(%{{[a-z0-9_]+}} : tensor<4x6xbf16>)
// CHECK: scaling.apply_points dot {{.*}}f16>) products(f16) operand(%{{[a-z0-9_]+}} : tensor<4x6xf32>)
func.func @points_of_pairs(%x: tensor<8x4xbf16>, %y: tensor<4x4xbf16>, %V: tensor<4x6xbf16>, %h: tensor<8x4xf16>, %k: tensor<4x4xf16>, %W: tensor<4x6xf32>, %o: tensor<8x6xf32>) {
  %0 = scaling.apply_points dot points(%x, %y : tensor<8x4xbf16>, tensor<4x4xbf16>) products(bf16) operand(%V : tensor<4x6xbf16>) outs(%o : tensor<8x6xf32>) -> tensor<8x6xf32>
  %1 = scaling.apply_points dot points(%h, %k : tensor<8x4xf16>, tensor<4x4xf16>) products(f16) operand(%W : tensor<4x6xf32>) outs(%o : tensor<8x6xf32>) -> tensor<8x6xf32>
  return
}

// CHECK-LABEL: func.func @points_bias
// CHECK: scaling.reduce_points dot points(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<8x3xf64>, tensor<4x3xf64>) bias(%{{[a-z0-9_]+}} : tensor<4x8xf16>) transposed bias_scale(%{{[a-z0-9_]+}} : f64) outs(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<8xf64>, tensor<8xf64>) -> tensor<8xf64>, tensor<8xf64>
// CHECK: scaling.apply_points l1 points(%{{[a-z0-9_]+}}, %{{[a-z0-9_]+}} : tensor<8x3xf64>, tensor<4x3xf64>) bias(%{{[a-z0-9_]+}} : tensor<8x4xf64>) operand(%{{[a-z0-9_]+}} : tensor<4x5xf64>) outs(%{{[a-z0-9_]+}} : tensor<8x5xf64>) -> tensor<8x5xf64>
func.func @points_bias(%x: tensor<8x3xf64>, %y: tensor<4x3xf64>, %T: tensor<4x8xf16>, %B: tensor<8x4xf64>, %t: f64, %e: tensor<8xf64>, %V: tensor<4x5xf64>, %o: tensor<8x5xf64>) {
  %0:2 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf64>, tensor<4x3xf64>) bias(%T : tensor<4x8xf16>) transposed bias_scale(%t : f64) outs(%e, %e : tensor<8xf64>, tensor<8xf64>) -> tensor<8xf64>, tensor<8xf64>
  %1 = scaling.apply_points l1 points(%x, %y : tensor<8x3xf64>, tensor<4x3xf64>) bias(%B : tensor<8x4xf64>) operand(%V : tensor<4x5xf64>) outs(%o : tensor<8x5xf64>) -> tensor<8x5xf64>
  return
}
