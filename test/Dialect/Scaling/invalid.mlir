// RUN: scaling-opt %s --split-input-file --verify-diagnostics
//
// One case per constraint, with the number the documentation gives it.

//===----------------------------------------------------------------------===//
// #scaling.rule
//===----------------------------------------------------------------------===//

// unknown statistic
// expected-error @below {{#scaling.rule: unknown statistic 'median'}}
func.func private @f() attributes {a = #scaling.rule<median>}

// -----

// unknown field
// expected-error @below {{#scaling.rule: unknown field 'damping'}}
func.func private @f() attributes {a = #scaling.rule<sum, damping = 0.5>}

// -----

// a field twice
// expected-error @below {{#scaling.rule: field 'tau' is given twice}}
func.func private @f() attributes {a = #scaling.rule<sum, tau = 0.5, tau = 0.5>}

// -----

// unknown keyword
// expected-error @below {{unknown keyword 'two'}}
func.func private @f() attributes {a = #scaling.rule<sum, target = two>}

// -----

// C1
// expected-error @below {{#scaling.rule: the guard's ε must be positive and finite (C1)}}
func.func private @f() attributes {a = #scaling.rule<sum, guard = add_plan(0.0)>}

// -----

// C1
// expected-error @below {{#scaling.rule: the guard's ε must be positive and finite (C1)}}
func.func private @f() attributes {a = #scaling.rule<sum, guard = clamp_plan(inf)>}

// -----

// C1
// expected-error @below {{#scaling.rule: exponent must be positive and finite (C1)}}
func.func private @f() attributes {a = #scaling.rule<sum, exponent = -0.5>}

// -----

// C1
// expected-error @below {{#scaling.rule: tau must lie in (0, 1] (C1)}}
func.func private @f() attributes {a = #scaling.rule<sum, tau = 1.5>}

// -----

// C1
// expected-error @below {{#scaling.rule: tau must lie in (0, 1] (C1)}}
func.func private @f() attributes {a = #scaling.rule<sum, tau = 0>}

// -----

// C1
// expected-error @below {{#scaling.rule: omega must lie in (0, 2) (C1)}}
func.func private @f() attributes {a = #scaling.rule<sum, omega = 2.0>}

// -----

// C1
// expected-error @below {{#scaling.rule: limit takes two bounds, or two bounds and the value below}}
func.func private @f() attributes {a = #scaling.rule<linf, limit = [1.0]>}

// -----

// C1
// expected-error @below {{#scaling.rule: step takes two bounds}}
func.func private @f() attributes {a = #scaling.rule<linf, step = [0.5, 1.0, 2.0]>}

// -----

// C1
// expected-error @below {{#scaling.rule: clamp must not be negative or NaN (C1)}}
func.func private @f() attributes {a = #scaling.rule<linf, clamp = [-1.0, 1.0]>}

// -----

// C1
// expected-error @below {{#scaling.rule: limit: the lower bound is above the upper (C1)}}
func.func private @f() attributes {a = #scaling.rule<linf, limit = [2.0, 1.0]>}

// -----

// C2
// expected-error @below {{#scaling.rule: add_kernel needs exponent 1, a statistic of degree 1, and neither limit nor rounding (C2)}}
func.func private @f() attributes {a = #scaling.rule<sum, guard = add_kernel(1.0e-6), exponent = 0.5>}

// -----

// C2
// expected-error @below {{#scaling.rule: add_kernel needs exponent 1, a statistic of degree 1, and neither limit nor rounding (C2)}}
func.func private @f() attributes {a = #scaling.rule<mean_square, guard = add_kernel(1.0e-6)>}

// -----

// C2
// expected-error @below {{#scaling.rule: add_kernel needs exponent 1, a statistic of degree 1, and neither limit nor rounding (C2)}}
func.func private @f() attributes {a = #scaling.rule<sum, guard = add_kernel(1.0e-6), limit = [0.0, 1.0]>}

// -----

// C2
// expected-error @below {{#scaling.rule: add_kernel needs exponent 1, a statistic of degree 1, and neither limit nor rounding (C2)}}
func.func private @f() attributes {a = #scaling.rule<sum, guard = add_kernel(1.0e-6), round = pow2>}

// -----

// C3
// expected-error @below {{#scaling.rule: target = min_stat needs a limit (C3)}}
func.func private @f() attributes {a = #scaling.rule<std, target = min_stat>}

// -----

//===----------------------------------------------------------------------===//
// #scaling.stop
//===----------------------------------------------------------------------===//

// unknown mode
// expected-error @below {{unknown keyword 'forever'}}
func.func private @f() attributes {a = #scaling.stop<forever>}

// -----

// C1
// expected-error @below {{#scaling.stop: the number of half-steps must be between 0 and 2147483647 (C1)}}
func.func private @f() attributes {a = #scaling.stop<fixed -1>}

// -----

// C1
// expected-error @below {{#scaling.stop: the number of half-steps must be between 0 and 2147483647 (C1)}}
func.func private @f() attributes {a = #scaling.stop<fixed 2147483648>}

// -----

// C1
// expected-error @below {{#scaling.stop: the number of half-steps must be between 0 and 2147483647 (C1)}}
func.func private @f() attributes {a = #scaling.stop<until 1.0e-3, limit = -2>}

// -----

// C1
// expected-error @below {{#scaling.stop: every must be at least 1, start not negative, and both at most 2147483647 (C1)}}
func.func private @f() attributes {a = #scaling.stop<until 1.0e-3, every = 0, limit = 10>}

// -----

// C1
// expected-error @below {{#scaling.stop: every must be at least 1, start not negative, and both at most 2147483647 (C1)}}
func.func private @f() attributes {a = #scaling.stop<until 1.0e-3, start = -1, limit = 10>}

// -----

// C2
// expected-error @below {{#scaling.stop: until needs a limit (C2)}}
func.func private @f() attributes {a = #scaling.stop<until 1.0e-3>}

// -----

// C2
// expected-error @below {{#scaling.stop: the tolerance of until must be finite and not negative (C2)}}
func.func private @f() attributes {a = #scaling.stop<until -1.0e-3, limit = 10>}

// -----

// C2
// expected-error @below {{#scaling.stop: the tolerance of until must be finite and not negative (C2)}}
func.func private @f() attributes {a = #scaling.stop<until inf, limit = 10>}

// -----

// C3
// expected-error @below {{#scaling.stop: until looks at marginal, change, ratio or relative_change (C3)}}
func.func private @f() attributes {a = #scaling.stop<until 1.0e-3, what = imbalance, limit = 10>}

// -----

// C3
// expected-error @below {{#scaling.stop: best looks at imbalance or imbalance_sum (C3)}}
func.func private @f() attributes {a = #scaling.stop<best 10, what = marginal>}

// -----

// C4
// expected-error @below {{#scaling.stop: 'measure' goes with fixed (C4)}}
func.func private @f() attributes {a = #scaling.stop<until 1.0e-3, limit = 10, measure = last>}

// -----

// C4
// expected-error @below {{#scaling.stop: 'what' goes with until and best (C4)}}
func.func private @f() attributes {a = #scaling.stop<fixed 10, what = change>}

// -----

// C4
// expected-error @below {{#scaling.stop: 'norm' goes with fixed and until (C4)}}
func.func private @f() attributes {a = #scaling.stop<best 10, norm = l2>}

// -----

// C4
// expected-error @below {{#scaling.stop: 'relax' goes with until (C4)}}
func.func private @f() attributes {a = #scaling.stop<fixed 10, relax = none>}

// -----

// C5
// expected-error @below {{#scaling.stop: relax goes with until and marginal (C5)}}
func.func private @f() attributes {a = #scaling.stop<until 1.0e-3, what = change, limit = 10, relax = auto>}

// -----

// C4
// expected-error @below {{#scaling.stop: 'every' goes with until (C4)}}
func.func private @f() attributes {a = #scaling.stop<fixed 10, every = 2>}

// -----

// C4
// expected-error @below {{#scaling.stop: 'patience' goes with best (C4)}}
func.func private @f() attributes {a = #scaling.stop<fixed 10, patience = first>}

// -----

// C4
// expected-error @below {{#scaling.stop: 'last' goes with best (C4)}}
func.func private @f() attributes {a = #scaling.stop<fixed 10, last = false>}

// -----

//===----------------------------------------------------------------------===//
// #scaling.numerics, #scaling.schedule
//===----------------------------------------------------------------------===//

// unknown domain
// expected-error @below {{unknown keyword 'linear'}}
func.func private @f() attributes {a = #scaling.numerics<linear>}

// -----

// C1
// expected-error @below {{#scaling.numerics: accumulate is f32 or f64, not 'bf16' (C1)}}
func.func private @f() attributes {a = #scaling.numerics<log, accumulate = bf16>}

// -----

// C2
// expected-error @below {{#scaling.numerics: strict goes with products of f32, not tf32 (C2)}}
func.func private @f() attributes {a = #scaling.numerics<log, strict, products = tf32>}

// -----

// unknown field
// expected-error @below {{#scaling.numerics: unknown field 'fast'}}
func.func private @f() attributes {a = #scaling.numerics<log, fast>}

// -----

// C1
// expected-error @below {{#scaling.schedule: lanes and row_block must be positive (C1)}}
func.func private @f() attributes {a = #scaling.schedule<tiny_batched, lanes = -4>}

// -----

// C1
// expected-error @below {{#scaling.schedule: lanes and row_block must be positive (C1)}}
func.func private @f() attributes {a = #scaling.schedule<streaming, row_block = 0>}

// -----

//===----------------------------------------------------------------------===//
// #scaling.form
//===----------------------------------------------------------------------===//

// C1
// expected-error @below {{#scaling.form: epsilon must be positive and finite (C1)}}
func.func private @f() attributes {a = #scaling.form<cost, epsilon = 0.0>}

// -----

// C1
// expected-error @below {{#scaling.form: epsilon must be positive and finite (C1)}}
func.func private @f() attributes {a = #scaling.form<cost, epsilon = -1.0>}

// -----

// C1
// expected-error @below {{#scaling.form: entry_eps must be finite and not negative (C1)}}
func.func private @f() attributes {a = #scaling.form<logits, entry_eps = -1.0e-6>}

// -----

// C1
// expected-error @below {{#scaling.form: normalize_total takes one number, finite and not negative (C1)}}
func.func private @f() attributes {a = #scaling.form<logits, normalize_total = -1.0>}

// -----

// C1
// expected-error @below {{#scaling.form: every annealed ε must be positive and finite (C1)}}
func.func private @f() attributes {a = #scaling.form<cost, anneal = [1.0, 0.0]>}

// -----

// C2
// expected-error @below {{#scaling.form: map = identity and a kernel input go together (C2)}}
func.func private @f() attributes {a = #scaling.form<kernel, map = exp>}

// -----

// C2
// expected-error @below {{#scaling.form: map = identity and a kernel input go together (C2)}}
func.func private @f() attributes {a = #scaling.form<cost, map = identity>}

// -----

// C3
// expected-error @below {{#scaling.form: shift goes with map = exp (C3)}}
func.func private @f() attributes {a = #scaling.form<logits, map = sigmoid, shift = row_max>}

// -----

// C3
// expected-error @below {{#scaling.form: standardize goes with a cost (C3)}}
func.func private @f() attributes {a = #scaling.form<logits, standardize>}

// -----

// C4
// expected-error @below {{#scaling.form: extrapolate needs anneal (C4)}}
func.func private @f() attributes {a = #scaling.form<cost, extrapolate>}

// -----

//===----------------------------------------------------------------------===//
// Assembly of the named ops
//===----------------------------------------------------------------------===//

// missing stop
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{needs 'stop(…)' or 'preset(…)'}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>)
  return
}

// -----

// no matrix
func.func @f(%a: tensor<8xf32>) {
  // expected-error @below {{needs an operand 'cost', 'logits' or 'kernel'}}
  %f, %g, %k, %r, %s = scaling.sinkhorn row_marginal(%a : tensor<8xf32>) preset(ott)
  return
}

// -----

// no keyword of an operand
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{needs an operand 'cost', 'logits' or 'kernel'}}
  %f, %g, %k, %r, %s = scaling.sinkhorn %C stop(#scaling.stop<fixed 2>) : tensor<8x4xf32>
  return
}

// -----

// unknown preset
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{unknown preset 'nobody'}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) preset(nobody)
  return
}

// -----

// the preset of another op
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{preset 'mhc' does not belong to scaling.sinkhorn}}
  %f, %g, %k, %r, %s = scaling.sinkhorn logits(%C : tensor<8x4xf32>) preset(mhc)
  return
}

// -----

// the preset of another op
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{preset 'ott' does not belong to scaling.balance}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%C : tensor<8x4xf32>) preset(ott)
  return
}

// -----

// a second preset
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{a second preset}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) preset(ott) preset(pot)
  return
}

// -----

// the preset takes another input
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{the preset takes 'cost', but 'logits' is given}}
  %f, %g, %k, %r, %s = scaling.sinkhorn logits(%C : tensor<8x4xf32>) preset(ott)
  return
}

// -----

// the form takes another input
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{the form takes 'cost', but 'logits' is given}}
  %f, %g, %k, %r, %s = scaling.sinkhorn logits(%C : tensor<8x4xf32>) form(#scaling.form<cost>) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// an operand twice
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{operand 'cost' is given twice}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) cost(%C : tensor<8x4xf32>) preset(ott)
  return
}

// -----

// an attribute twice
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{attribute 'order' is given twice}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) order(rows_first) order(rows_first) preset(ott)
  return
}

// -----

// an attribute of another kind
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{'stop' takes a #scaling.stop}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) stop(#scaling.rule<sum>)
  return
}

// -----

// unknown order
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{unknown keyword 'diagonal': there are 'rows_first', 'cols_first', 'jacobi', 'symmetric'}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) order(diagonal) preset(ott)
  return
}

// -----

// no axis
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{needs 'along(rows)' or 'along(cols)'}}
  %P = scaling.normalize logits(%C : tensor<8x4xf32>)
  return
}

// -----

// no key
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{needs an operand 'key'}}
  %O, %k, %r, %s = scaling.attention query(%C : tensor<8x4xf32>) value(%C : tensor<8x4xf32>) preset(sinkformer)
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.sinkhorn, scaling.project
//===----------------------------------------------------------------------===//

// C1: rank
func.func @f(%C: tensor<8xf32>) {
  // expected-error @below {{'matrix' must have rank at least 2 (C1)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8xf32>) preset(ott)
  return
}

// -----

// C1: element type
func.func @f(%C: tensor<8x4xi32>) {
  // expected-error @below {{'scaling.sinkhorn' op operand #0 must be ranked tensor of f16, bf16, f32 or f64 values, but got 'tensor<8x4xi32>'}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xi32>) preset(ott)
  return
}

// -----

// C1: element type
func.func @f(%C: tensor<8x4xindex>) {
  // expected-error @below {{'scaling.project' op operand #0 must be ranked tensor of f16, bf16, f32 or f64 values, but got 'tensor<8x4xindex>'}}
  %P, %k, %r, %s = scaling.project logits(%C : tensor<8x4xindex>) preset(mhc)
  return
}

// -----

// C1: not a tensor
func.func @f(%C: memref<8x4xf32>) {
  // expected-error @below {{'matrix' must have rank at least 2 (C1)}}
  %P, %k, %r, %s = scaling.project logits(%C : memref<8x4xf32>) preset(mhc)
  return
}

// -----

// C1: unranked
func.func @f(%C: tensor<*xf32>) {
  // expected-error @below {{'matrix' must have rank at least 2 (C1)}}
  %P, %k, %r, %s = scaling.project logits(%C : tensor<*xf32>) preset(mhc)
  return
}

// -----

// C2: marginal of another length
func.func @f(%C: tensor<8x4xf32>, %a: tensor<4xf32>) {
  // expected-error @below {{'row_marginal' has 4 entries where there are 8 rows (C2)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) row_marginal(%a : tensor<4xf32>) preset(ott)
  return
}

// -----

// C2: marginal of another length
func.func @f(%C: tensor<8x4xf32>, %b: tensor<8xf32>) {
  // expected-error @below {{'col_marginal' has 8 entries where there are 4 columns (C2)}}
  %P, %k, %r, %s = scaling.project cost(%C : tensor<8x4xf32>) col_marginal(%b : tensor<8xf32>) preset(ott)
  return
}

// -----

// C2: mask of another length
func.func @f(%C: tensor<8x4xf32>, %b: tensor<5xi1>) {
  // expected-error @below {{'row_mask' has 5 entries where there are 8 rows (C2)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) row_mask(%b : tensor<5xi1>) preset(ott)
  return
}

// -----

// C2: a mask of floats
func.func @f(%C: tensor<8x4xf32>, %b: tensor<4xf32>) {
  // expected-error @below {{'scaling.sinkhorn' op operand #1 must be ranked tensor of 1-bit signless integer values, but got 'tensor<4xf32>'}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) col_mask(%b : tensor<4xf32>) preset(ott)
  return
}

// -----

// C2: starts
func.func @f(%C: tensor<8x4xf32>, %b: tensor<5xf32>) {
  // expected-error @below {{'col_init' has 5 entries where there are 4 columns (C2)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) col_init(%b : tensor<5xf32>) preset(ott)
  return
}

// -----

// C2: batch
func.func @f(%C: tensor<3x8x4xf32>, %a: tensor<2x8xf32>) {
  // expected-error @below {{'row_marginal' has batch size 2 where others have 3 (C2)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<3x8x4xf32>) row_marginal(%a : tensor<2x8xf32>) preset(ott)
  return
}

// -----

// C2: batch of ε
func.func @f(%C: tensor<3x8x4xf32>, %a: tensor<2xf32>) {
  // expected-error @below {{'epsilon' has batch size 2 where others have 3 (C2)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<3x8x4xf32>) epsilon(%a : tensor<2xf32>) preset(ott)
  return
}

// -----

// C2: marginals with slack
func.func @f(%C: tensor<8x4xf32>, %a: tensor<8xf32>, %z: tensor<f32>) {
  // expected-error @below {{'row_marginal' has 8 entries where there are 9 rows (C2)}}
  %P, %k, %r, %s = scaling.project logits(%C : tensor<8x4xf32>) row_marginal(%a : tensor<8xf32>) slack(%z : tensor<f32>) preset(superglue)
  return
}

// -----

// C2: a scalar marginal
func.func @f(%C: tensor<8x4xf32>, %a: tensor<f32>) {
  // expected-error @below {{'row_marginal' must have rank at least 1 (C2)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) row_marginal(%a : tensor<f32>) preset(ott)
  return
}

// -----

// C3: a constant ε of zero
func.func @f(%C: tensor<8x4xf32>) {
  %e = arith.constant dense<0.0> : tensor<f32>
  // expected-error @below {{'epsilon' must be positive and finite (C3)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) epsilon(%e : tensor<f32>) preset(ott)
  return
}

// -----

// C3: a constant ε below zero
func.func @f(%C: tensor<2x8x4xf32>) {
  %e = arith.constant dense<[0.1, -0.1]> : tensor<2xf32>
  // expected-error @below {{'epsilon' must be positive and finite (C3)}}
  %P, %k, %r, %s = scaling.project cost(%C : tensor<2x8x4xf32>) epsilon(%e : tensor<2xf32>) preset(pot)
  return
}

// -----

// C3: a constant ε that is no number
func.func @f(%C: tensor<8x4xf32>) {
  %e = arith.constant dense<0x7FC00000> : tensor<f32>
  // expected-error @below {{'epsilon' must be positive and finite (C3)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) epsilon(%e : tensor<f32>) preset(ott)
  return
}

// -----

// C4: a kernel in the log domain
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{a kernel, a sigmoid or an entry guard in 'form' needs the kernel domain of 'numerics' (C4)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn kernel(%C : tensor<8x4xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  return
}

// -----

// C4: a sigmoid in the log domain
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{a kernel, a sigmoid or an entry guard in 'form' needs the kernel domain of 'numerics' (C4)}}
  %P, %k, %r, %s = scaling.project logits(%C : tensor<8x4xf32>) preset(mhc_sigmoid) numerics(#scaling.numerics<log>)
  return
}

// -----

// C4: an entry guard in the absorb domain
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{a kernel, a sigmoid or an entry guard in 'form' needs the kernel domain of 'numerics' (C4)}}
  %P, %k, %r, %s = scaling.project logits(%C : tensor<8x4xf32>) preset(mhc) numerics(#scaling.numerics<absorb>)
  return
}

// -----

// C4: a statistic the log domain has not
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{in the log and absorb domains of 'numerics' every rule's statistic is 'sum' (C4)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) preset(ott) cols(#scaling.rule<l2>)
  return
}

// -----

// C4: rounding in the log domain
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{a rule that rounds to powers of two needs the kernel domain of 'numerics' (C4)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) preset(ott) cols(#scaling.rule<sum, round = pow2>)
  return
}

// -----

// C4: odd counts with jacobi
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{with order(jacobi) the counts, cadences and limits of 'stop' are even (C4)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) order(jacobi) stop(#scaling.stop<fixed 3>)
  return
}

// -----

// C4: odd cadence with jacobi
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{with order(jacobi) the counts, cadences and limits of 'stop' are even (C4)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) order(jacobi) stop(#scaling.stop<until 1.0e-3, every = 1, start = 2, limit = 10>)
  return
}

// -----

// C4: best with an odd limit
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{'stop' of the mode best needs an even limit (C4)}}
  %P, %k, %r, %s = scaling.project cost(%C : tensor<8x4xf32>) stop(#scaling.stop<best 3>)
  return
}

// -----

// C4: best of two degrees
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{an imbalance needs statistics of one degree in 'rows' and 'cols' (C4)}}
  %P, %k, %r, %s = scaling.project kernel(%C : tensor<8x4xf32>) rows(#scaling.rule<mean_square>) stop(#scaling.stop<best 4>)
  return
}

// -----

// C4: narrow accumulation
func.func @f(%C: tensor<8x4xf64>) {
  // expected-error @below {{'numerics' accumulates in a type narrower than the matrix' elements (C4)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf64>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log, accumulate = f32>)
  return
}

// -----

// C4: anneal in the kernel domain
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{anneal in 'form' needs the log or absorb domain of 'numerics' (C4)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) form(#scaling.form<cost, anneal = [1.0, 0.5]>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<kernel>)
  return
}

// -----

// C4: anneal and another count
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{anneal in 'form' goes with until, or with a fixed count of 4 half-steps in 'stop', two per ε (C4)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) form(#scaling.form<cost, anneal = [1.0, 0.5]>) stop(#scaling.stop<fixed 6>)
  return
}

// -----

// C4: anneal and best
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{anneal in 'form' goes with until, or with a fixed count of 4 half-steps in 'stop', two per ε (C4)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) form(#scaling.form<cost, anneal = [1.0, 0.5]>) stop(#scaling.stop<best 4>)
  return
}

// -----

// C4: anneal with damping
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{anneal in 'form' needs rules with tau = 1 (C4)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) form(#scaling.form<cost, anneal = [1.0, 0.5]>) rows(#scaling.rule<sum, tau = 0.5>) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C5: potentials of a sigmoid
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{has no potentials where 'form' has an entry guard, a sigmoid, a softmax start or a standardized cost: use scaling.project (C5)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn logits(%C : tensor<8x4xf32>) form(#scaling.form<logits, map = sigmoid>) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C5: potentials of a softmax start
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{has no potentials where 'form' has an entry guard, a sigmoid, a softmax start or a standardized cost: use scaling.project (C5)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn logits(%C : tensor<8x4xf32>) form(#scaling.form<logits, map = softmax_rows>) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C5: potentials of an entry guard
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{has no potentials where 'form' has an entry guard, a sigmoid, a softmax start or a standardized cost: use scaling.project (C5)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn logits(%C : tensor<8x4xf32>) form(#scaling.form<logits, entry_eps = 1.0e-6>) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C5: potentials of a standardized cost
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{has no potentials where 'form' has an entry guard, a sigmoid, a softmax start or a standardized cost: use scaling.project (C5)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) form(#scaling.form<cost, standardize>) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C5: an output of potentials
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{output and scale in 'form' belong to scaling.project (C5)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) form(#scaling.form<cost, output = log_plan>) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C5: a scale of potentials
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{output and scale in 'form' belong to scaling.project (C5)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) form(#scaling.form<cost, scale = rows>) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C6: a slack target without slack
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{the row target 'slack' needs the operand 'slack' (C6)}}
  %P, %k, %r, %s = scaling.project logits(%C : tensor<8x4xf32>) preset(superglue)
  return
}

// -----

// C6: min_stat
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{the column target 'min_stat' goes with scaling.balance (C6)}}
  %P, %k, %r, %s = scaling.project kernel(%C : tensor<8x4xf32>) cols(#scaling.rule<linf, target = min_stat, limit = [0.1, 1.0]>) rows(#scaling.rule<linf>) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C7: a negative marginal
func.func @f(%C: tensor<8x4xf32>) {
  %b = arith.constant dense<[0.5, -0.5, 0.5, 0.5]> : tensor<4xf32>
  // expected-error @below {{'col_marginal' has an entry that is negative or not finite (C7)}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf32>) col_marginal(%b : tensor<4xf32>) preset(ott)
  return
}

// -----

// C7: a marginal that is no number
func.func @f(%C: tensor<8x4xf32>) {
  %b = arith.constant dense<0x7FC00000> : tensor<8xf32>
  // expected-error @below {{'row_marginal' has an entry that is negative or not finite (C7)}}
  %P, %k, %r, %s = scaling.project cost(%C : tensor<8x4xf32>) row_marginal(%b : tensor<8xf32>) preset(ott)
  return
}

// -----

// results that the operands do not give
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{'scaling.project' op inferred type(s) 'tensor<8x4xf32>', 'tensor<i32>', 'tensor<f32>', 'tensor<i32>' are incompatible with return type(s) of operation 'tensor<8x5xf32>', 'tensor<i32>', 'tensor<f32>', 'tensor<i32>'}}
  // expected-error @below {{'scaling.project' op failed to infer returned types}}
  %P:4 = "scaling.project"(%C) <{form = #scaling.form<logits>, rows = #scaling.rule<sum>, cols = #scaling.rule<sum>, order = 0 : i32, stop = #scaling.stop<fixed 2>, numerics = #scaling.numerics<log>, operandSegmentSizes = array<i32: 1, 0, 0, 0, 0, 0, 0, 0, 0>}> : (tensor<8x4xf32>) -> (tensor<8x5xf32>, tensor<i32>, tensor<f32>, tensor<i32>)
  return
}

// -----

// an attribute is missing
func.func @f(%C: tensor<8x4xf32>) {
  // expected-error @below {{'scaling.project' op requires attribute 'stop'}}
  %P:4 = "scaling.project"(%C) <{form = #scaling.form<logits>, rows = #scaling.rule<sum>, cols = #scaling.rule<sum>, order = 0 : i32, numerics = #scaling.numerics<log>, operandSegmentSizes = array<i32: 1, 0, 0, 0, 0, 0, 0, 0, 0>}> : (tensor<8x4xf32>) -> (tensor<8x4xf32>, tensor<i32>, tensor<f32>, tensor<i32>)
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.balance
//===----------------------------------------------------------------------===//

// C1: rank
func.func @f(%A: tensor<8xf32>) {
  // expected-error @below {{'matrix' must have rank at least 2 (C1)}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<8xf32>) preset(ruiz)
  return
}

// -----

// C1: element type
func.func @f(%A: tensor<8x4xi8>) {
  // expected-error @below {{'scaling.balance' op operand #0 must be ranked tensor of f16, bf16, f32 or f64 values, but got 'tensor<8x4xi8>'}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<8x4xi8>) preset(ruiz)
  return
}

// -----

// C2
func.func @f(%A: tensor<8x4xf32>, %t: tensor<8xf32>) {
  // expected-error @below {{'col_target' has 8 entries where there are 4 columns (C2)}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<8x4xf32>) col_target(%t : tensor<8xf32>) preset(ruiz)
  return
}

// -----

// C2
func.func @f(%A: tensor<8x4xf32>, %t: tensor<3xf32>) {
  // expected-error @below {{'row_init' has 3 entries where there are 8 rows (C2)}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<8x4xf32>) row_init(%t : tensor<3xf32>) preset(ruiz)
  return
}

// -----

// C3
func.func @f(%A: tensor<8x4xf32>) {
  // expected-error @below {{'numerics' must be in the kernel domain (C3)}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<8x4xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  return
}

// -----

// C4
func.func @f(%A: tensor<8x4xf32>) {
  // expected-error @below {{target = min_stat is for both of 'rows' and 'cols' or neither (C4)}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<8x4xf32>) rows(#scaling.rule<std, target = min_stat, limit = [0.1, 1.0]>) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C4
func.func @f(%A: tensor<8x4xf32>) {
  // expected-error @below {{target = slack in 'rows' or 'cols' does not belong to a balance (C4)}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<8x4xf32>) rows(#scaling.rule<l2, target = slack>) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C4
func.func @f(%A: tensor<8x4xf32>) {
  %t = arith.constant dense<-1.0> : tensor<4xf32>
  // expected-error @below {{'col_target' has an entry that is negative or not finite (C4)}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<8x4xf32>) col_target(%t : tensor<4xf32>) preset(ruiz)
  return
}

// -----

// C5
func.func @f(%A: tensor<8x4xf32>) {
  // expected-error @below {{with order(jacobi) the counts, cadences and limits of 'stop' are even (C5)}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<8x4xf32>) order(jacobi) stop(#scaling.stop<fixed 5>)
  return
}

// -----

// C5
func.func @f(%A: tensor<8x4xf32>) {
  // expected-error @below {{an imbalance needs statistics of one degree in 'rows' and 'cols' (C5)}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%A : tensor<8x4xf32>) rows(#scaling.rule<l2>) cols(#scaling.rule<mean_square>) stop(#scaling.stop<best 4>)
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.normalize
//===----------------------------------------------------------------------===//

// C1: rank
func.func @f(%A: tensor<8xf32>) {
  // expected-error @below {{'matrix' must have rank at least 2 (C1)}}
  %P = scaling.normalize along(rows) logits(%A : tensor<8xf32>)
  return
}

// -----

// C1: element type
func.func @f(%A: tensor<8x4xi64>) {
  // expected-error @below {{'scaling.normalize' op operand #0 must be ranked tensor of f16, bf16, f32 or f64 values, but got 'tensor<8x4xi64>'}}
  %P = scaling.normalize along(rows) logits(%A : tensor<8x4xi64>)
  return
}

// -----

// C2
func.func @f(%A: tensor<8x4xf32>, %t: tensor<4xf32>) {
  // expected-error @below {{'target' has 4 entries where there are 8 rows (C2)}}
  %P = scaling.normalize along(rows) logits(%A : tensor<8x4xf32>) target(%t : tensor<4xf32>)
  return
}

// -----

// C2
func.func @f(%A: tensor<8x4xf32>, %t: tensor<8xi1>) {
  // expected-error @below {{'mask' has 8 entries where there are 4 columns (C2)}}
  %P = scaling.normalize along(rows) logits(%A : tensor<8x4xf32>) mask(%t : tensor<8xi1>)
  return
}

// -----

// C3
func.func @f(%A: tensor<8x4xf32>) {
  %e = arith.constant dense<-1.0> : tensor<f32>
  // expected-error @below {{'epsilon' must be positive and finite (C3)}}
  %P = scaling.normalize along(rows) logits(%A : tensor<8x4xf32>) epsilon(%e : tensor<f32>)
  return
}

// -----

// C3
func.func @f(%A: tensor<8x4xf32>) {
  // expected-error @below {{in the log and absorb domains of 'numerics' every rule's statistic is 'sum' (C3)}}
  %P = scaling.normalize along(rows) logits(%A : tensor<8x4xf32>) rule(#scaling.rule<linf>)
  return
}

// -----

// C3
func.func @f(%A: tensor<8x4xf32>) {
  // expected-error @below {{a kernel, a sigmoid or an entry guard in 'form' needs the kernel domain of 'numerics' (C3)}}
  %P = scaling.normalize along(rows) kernel(%A : tensor<8x4xf32>) numerics(#scaling.numerics<log>)
  return
}

// -----

// C3
func.func @f(%A: tensor<8x4xf32>) {
  // expected-error @below {{one half-step has neither a start nor an anneal in 'form' (C3)}}
  %P = scaling.normalize along(rows) logits(%A : tensor<8x4xf32>) form(#scaling.form<logits, start = uniform>)
  return
}

// -----

// C4
func.func @f(%A: tensor<8x4xf32>) {
  // expected-error @below {{the rule's target 'slack' does not belong to one half-step: it is one, uniform or the operand 'target' (C4)}}
  %P = scaling.normalize along(cols) logits(%A : tensor<8x4xf32>) rule(#scaling.rule<sum, target = slack>)
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.attention
//===----------------------------------------------------------------------===//

// C1
func.func @f(%q: tensor<2x8x16xf32>, %k0: tensor<2x4x16xf64>, %v: tensor<2x4x32xf32>) {
  // expected-error @below {{'key' must hold 'f32', as 'query' does (C1)}}
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%k0 : tensor<2x4x16xf64>) value(%v : tensor<2x4x32xf32>) preset(sinkformer)
  return
}

// -----

// C1
func.func @f(%q: tensor<16xf32>, %k0: tensor<2x4x16xf32>, %v: tensor<2x4x32xf32>) {
  // expected-error @below {{'query' must have rank at least 2 (C1)}}
  %O, %k, %r, %s = scaling.attention query(%q : tensor<16xf32>) key(%k0 : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>) preset(sinkformer)
  return
}

// -----

// C2
func.func @f(%q: tensor<2x8x16xf32>, %k0: tensor<2x4x8xf32>, %v: tensor<2x4x32xf32>) {
  // expected-error @below {{'key' has 8 entries where there are 16 coordinates (C2)}}
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%k0 : tensor<2x4x8xf32>) value(%v : tensor<2x4x32xf32>) preset(sinkformer)
  return
}

// -----

// C2
func.func @f(%q: tensor<2x8x16xf32>, %k0: tensor<2x4x16xf32>, %v: tensor<2x5x32xf32>) {
  // expected-error @below {{'value' has 5 entries where there are 4 columns (C2)}}
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%k0 : tensor<2x4x16xf32>) value(%v : tensor<2x5x32xf32>) preset(sinkformer)
  return
}

// -----

// C2
func.func @f(%q: tensor<2x8x16xf32>, %k0: tensor<2x4x16xf32>, %v: tensor<2x4x32xf32>, %b: tensor<4x8xf32>) {
  // expected-error @below {{'bias' has 4 entries where there are 8 rows (C2)}}
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%k0 : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>) bias(%b : tensor<4x8xf32>) preset(sinkformer)
  return
}

// -----

// C2
func.func @f(%q: tensor<2x8x16xf32>, %k0: tensor<2x4x16xf32>, %v: tensor<2x4x32xf32>, %b: tensor<3x8xi1>) {
  // expected-error @below {{'row_mask' has batch size 3 where others have 2 (C2)}}
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%k0 : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>) row_mask(%b : tensor<3x8xi1>) preset(sinkformer)
  return
}

// -----

// C3
func.func @f(%q: tensor<2x8x16xf32>, %k0: tensor<2x4x16xf32>, %v: tensor<2x4x32xf32>) {
  %e = arith.constant dense<0.0> : tensor<f32>
  // expected-error @below {{'epsilon' must be positive and finite (C3)}}
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%k0 : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>) epsilon(%e : tensor<f32>) preset(sinkformer)
  return
}

// -----

// C3
func.func @f(%q: tensor<2x8x16xf32>, %k0: tensor<2x4x16xf32>, %v: tensor<2x4x32xf32>) {
  // expected-error @below {{'form' must take logits (C3)}}
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%k0 : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>) form(#scaling.form<cost>) stop(#scaling.stop<fixed 2>)
  return
}

// -----

// C3
func.func @f(%q: tensor<2x8x16xf32>, %k0: tensor<2x4x16xf32>, %v: tensor<2x4x32xf32>) {
  // expected-error @below {{'form' must give the plan, not its logarithm (C3)}}
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%k0 : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>) form(#scaling.form<logits, output = log_plan>) stop(#scaling.stop<fixed 2>)
  return
}

// -----

// C4
func.func @f(%q: tensor<2x8x16xf32>, %k0: tensor<2x4x16xf32>, %v: tensor<2x4x32xf32>) {
  // expected-error @below {{in the log and absorb domains of 'numerics' every rule's statistic is 'sum' (C4)}}
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%k0 : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>) rows(#scaling.rule<l1>) stop(#scaling.stop<fixed 2>)
  return
}

// -----

// C4
func.func @f(%q: tensor<2x8x16xf32>, %k0: tensor<2x4x16xf32>, %v: tensor<2x4x32xf32>) {
  // expected-error @below {{target 'slack' does not belong to attention (C4)}}
  %O, %k, %r, %s = scaling.attention query(%q : tensor<2x8x16xf32>) key(%k0 : tensor<2x4x16xf32>) value(%v : tensor<2x4x32xf32>) rows(#scaling.rule<sum, target = slack>) stop(#scaling.stop<fixed 2>)
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.similarity_balance
//===----------------------------------------------------------------------===//

// C1: rank
func.func @f(%A: tensor<8xf64>) {
  // expected-error @below {{'matrix' must have rank at least 2 (C1)}}
  %B, %d, %k, %s = scaling.similarity_balance matrix(%A : tensor<8xf64>)
  return
}

// -----

// C1: element type
func.func @f(%A: tensor<8x8xbf16>) {
  // expected-error @below {{'scaling.similarity_balance' op operand #0 must be ranked tensor of 32-bit float or 64-bit float values, but got 'tensor<8x8xbf16>'}}
  %B, %d, %k, %s = scaling.similarity_balance matrix(%A : tensor<8x8xbf16>)
  return
}

// -----

// C2
func.func @f(%A: tensor<8x4xf64>) {
  // expected-error @below {{'matrix' has 4 entries where there are 8 rows (C2)}}
  %B, %d, %k, %s = scaling.similarity_balance matrix(%A : tensor<8x4xf64>)
  return
}

// -----

// C3
func.func @f(%A: tensor<8x8xf64>) {
  // expected-error @below {{'limit' must be between 1 and 2147483647 (C3)}}
  %B, %d, %k, %s = scaling.similarity_balance matrix(%A : tensor<8x8xf64>) limit(0)
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.iterate
//===----------------------------------------------------------------------===//

// missing stop
func.func @f(%K: tensor<8x4xf32>) {
  // expected-error @below {{needs 'stop(…)' or 'preset(…)'}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>)
  return
}

// -----

// C1
func.func @f(%K: tensor<4xf32>) {
  // expected-error @below {{'matrix' must have rank at least 2 (C1)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<4xf32>) stop(#scaling.stop<fixed 2>)
  return
}

// -----

// C1: element type
func.func @f(%K: tensor<8x4xi1>) {
  // expected-error @below {{'scaling.iterate' op operand #0 must be ranked tensor of f16, bf16, f32 or f64 values, but got 'tensor<8x4xi1>'}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xi1>) stop(#scaling.stop<fixed 2>)
  return
}

// -----

// C2
func.func @f(%K: tensor<8x4xf32>, %u0: tensor<4xf32>) {
  // expected-error @below {{'row_start' has 4 entries where there are 8 rows (C2)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) row_start(%u0 : tensor<4xf32>) stop(#scaling.stop<fixed 2>)
  return
}

// -----

// C2
func.func @f(%K: tensor<8x4xf32>, %u0: tensor<2x8xi1>, %v0: tensor<3x4xi1>) {
  // expected-error @below {{'col_mask' has batch size 3 where others have 2 (C2)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) row_mask(%u0 : tensor<2x8xi1>) col_mask(%v0 : tensor<3x4xi1>) stop(#scaling.stop<fixed 2>)
  return
}

// -----

// C3
func.func @f(%K: tensor<8x4xf32>) {
  // expected-error @below {{in the log and absorb domains of 'numerics' every rule's statistic is 'sum' (C3)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) rows(#scaling.rule<geomean>) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<log>)
  return
}

// -----

// C3
func.func @f(%K: tensor<8x4xf32>) {
  // expected-error @below {{a rule that rounds to powers of two needs the kernel domain of 'numerics' (C3)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) rows(#scaling.rule<sum, round = pow2>) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<absorb>)
  return
}

// -----

// C4
func.func @f(%K: tensor<8x4xf32>) {
  // expected-error @below {{with order(jacobi) the counts, cadences and limits of 'stop' are even (C4)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) order(jacobi) stop(#scaling.stop<until 1.0e-3, limit = 9>)
  return
}

// -----

// C9: a rule that is more than a sum
func.func @f(%K: tensor<8x4xf32>) {
  // expected-error @below {{'relax = auto' of 'stop' needs rules that are 'sum' and at most a target, and an order that is rows_first or cols_first (C9)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) rows(#scaling.rule<sum, guard = add_plan(1.0e-6)>) stop(#scaling.stop<until 1.0e-3, limit = 9, relax = auto>)
  return
}

// -----

// C9: jacobi
func.func @f(%K: tensor<8x4xf32>) {
  // expected-error @below {{'relax = auto' of 'stop' needs rules that are 'sum' and at most a target, and an order that is rows_first or cols_first (C9)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) order(jacobi) stop(#scaling.stop<until 1.0e-3, limit = 8, relax = auto>)
  return
}

// -----

// C9: symmetric
func.func @f(%K: tensor<4x4xf32>) {
  // expected-error @below {{'relax = auto' of 'stop' needs rules that are 'sum' and at most a target, and an order that is rows_first or cols_first (C9)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<4x4xf32>) order(symmetric) stop(#scaling.stop<until 1.0e-3, limit = 8, relax = auto>)
  return
}

// -----

// C9: anderson
func.func @f(%K: tensor<8x4xf32>) {
  // expected-error @below {{'relax = anderson' of 'stop' needs rules that are 'sum' and at most a target, and an order that is rows_first or cols_first (C9)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) order(jacobi) stop(#scaling.stop<until 1.0e-3, limit = 8, relax = anderson>)
  return
}

// -----

// C5: no steps
// expected-error @below {{#scaling.stop: anderson looks at 1 to 8 steps (C5)}}
func.func private @f() attributes {a = #scaling.stop<until 1.0e-3, limit = 8, relax = anderson(0)>}

// -----

// C5: too many steps
// expected-error @below {{#scaling.stop: anderson looks at 1 to 8 steps (C5)}}
func.func private @f() attributes {a = #scaling.stop<until 1.0e-3, limit = 8, relax = anderson(9)>}

// -----

// C5: not marginal
// expected-error @below {{#scaling.stop: relax goes with until and marginal (C5)}}
func.func private @f() attributes {a = #scaling.stop<until 1.0e-3, what = change, limit = 8, relax = anderson>}

// -----

// C1: does not fall
// expected-error @below {{#scaling.form: geometric(first, factor) needs a finite first, a factor between 0 and 1, and at most 1000 ε down to epsilon (C1)}}
func.func private @f() attributes {a = #scaling.form<cost, anneal = geometric(1.0, 1.0), epsilon = 0.1>}

// -----

// C1: falls slowly
// expected-error @below {{#scaling.form: geometric(first, factor) needs a finite first, a factor between 0 and 1, and at most 1000 ε down to epsilon (C1)}}
func.func private @f() attributes {a = #scaling.form<cost, anneal = geometric(1.0, 0.999), epsilon = 0.1>}

// -----

// C4: extrapolation of what is judged
func.func @f(%C: tensor<4x4xf32>) {
  // expected-error @below {{extrapolate in 'form' goes with a fixed count in 'stop' (C4)}}
  %P, %k, %r, %s = scaling.project cost(%C : tensor<4x4xf32>) form(#scaling.form<cost, anneal = [1.0, 0.5], extrapolate>) stop(#scaling.stop<until 1.0e-3, limit = 8>) numerics(#scaling.numerics<log>)
  return
}

// -----

// C10: not square
func.func @f(%K: tensor<8x4xf32>) {
  // expected-error @below {{with order(symmetric) the matrix must be square, not 8 by 4 (C10)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) order(symmetric) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C10: two rules
func.func @f(%K: tensor<4x4xf32>) {
  // expected-error @below {{with order(symmetric) 'rows' and 'cols' must be the same rule (C10)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<4x4xf32>) rows(#scaling.rule<sum, omega = 1.5>) order(symmetric) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C10: an operand of the columns
func.func @f(%K: tensor<4x4xf32>, %b: tensor<4xf32>) {
  // expected-error @below {{with order(symmetric) 'col_target' must not be given: it is the operand of the rows (C10)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<4x4xf32>) row_target(%b : tensor<4xf32>) col_target(%b : tensor<4xf32>) order(symmetric) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C10: best
func.func @f(%K: tensor<4x4xf32>) {
  // expected-error @below {{with order(symmetric) 'stop' must not be of the mode best (C10)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<4x4xf32>) order(symmetric) stop(#scaling.stop<best 4>)
  return
}

// -----

// C10: anneal
func.func @f(%K: tensor<4x4xf32>, %b: tensor<2xf32>) {
  // expected-error @below {{with order(symmetric) 'anneal' must not be given (C10)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<4x4xf32>) anneal(%b : tensor<2xf32>) order(symmetric) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  return
}

// -----

// C4: a shift makes a symmetric matrix another
func.func @f(%C: tensor<4x4xf32>) {
  // expected-error @below {{with order(symmetric) 'form' has no softmax, no shift and no anneal (C4)}}
  %P, %k, %r, %s = scaling.project cost(%C : tensor<4x4xf32>) form(#scaling.form<cost, shift = row_max>) order(symmetric) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C4: attention
func.func @f(%Q: tensor<4x2xf32>) {
  // expected-error @below {{order(symmetric) does not belong to attention (C4)}}
  %O, %k, %r, %s = scaling.attention query(%Q : tensor<4x2xf32>) key(%Q : tensor<4x2xf32>) value(%Q : tensor<4x2xf32>) order(symmetric) stop(#scaling.stop<fixed 4>)
  return
}

// -----

// C5
func.func @f(%K: tensor<8x4xf32>, %b: tensor<2xf32>) {
  // expected-error @below {{'anneal' is one number per pair of half-steps, for a fixed count in the log or absorb domain (C5)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) anneal(%b : tensor<2xf32>) stop(#scaling.stop<until 1.0e-3, limit = 4>) numerics(#scaling.numerics<log>)
  return
}

// -----

// C5
func.func @f(%K: tensor<8x4xf32>, %b: tensor<2xf32>) {
  // expected-error @below {{'anneal' is one number per pair of half-steps, for a fixed count in the log or absorb domain (C5)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) anneal(%b : tensor<2xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<kernel>)
  return
}

// -----

// C5
func.func @f(%K: tensor<8x4xf32>, %b: tensor<2x1xf32>) {
  // expected-error @below {{'anneal' is one number per pair of half-steps, for a fixed count in the log or absorb domain (C5)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) anneal(%b : tensor<2x1xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  return
}

// -----

// C5
func.func @f(%K: tensor<8x4xf32>, %b: tensor<3xf32>) {
  // expected-error @below {{'anneal' has 3 entries for 4 half-steps (C5)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) anneal(%b : tensor<3xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  return
}

// -----

// C6
func.func @f(%K: tensor<8x4xf32>, %u0: tensor<8xf64>) {
  // expected-error @below {{'row_start' must hold 'f32' (C6)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) row_start(%u0 : tensor<8xf64>) stop(#scaling.stop<fixed 2>)
  return
}

// -----

// C6
func.func @f(%K: tensor<8x4xf32>, %b: tensor<4xf32>) {
  // expected-error @below {{'col_target' must hold 'f64' (C6)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) col_target(%b : tensor<4xf32>) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<kernel, accumulate = f64>)
  return
}

// -----

// C6
func.func @f(%K: tensor<8x4xf64>) {
  // expected-error @below {{'numerics' accumulates in a type narrower than the matrix' elements (C6)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf64>) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<kernel, accumulate = f32>)
  return
}

// -----

// C7
func.func @f(%K: tensor<8x4xf32>) {
  // expected-error @below {{the column rule's target 'uniform' must be given by an operand (C7)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) cols(#scaling.rule<sum, target = uniform>) stop(#scaling.stop<fixed 2>)
  return
}

// -----

// C8
func.func @f(%K: tensor<8x4xf32>) {
  // expected-error @below {{an imbalance needs statistics of one degree in 'rows' and 'cols' (C8)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) rows(#scaling.rule<mean_square>) stop(#scaling.stop<best 4>)
  return
}

// -----

// C8
func.func @f(%K: tensor<8x4xf32>) {
  // expected-error @below {{'stop' of the mode best needs an even limit (C8)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) stop(#scaling.stop<best 5>)
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.reduce
//===----------------------------------------------------------------------===//

// C1
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{statistic 'sum' has 1 states, but 'outs' has 2 (C1)}}
  %x:2 = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<2x8x4xf32>) outs(%o, %o : tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>, tensor<2x8xf32>
  return
}

// -----

// C1
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{statistic 'lse' has 2 states, but 'outs' has 1 (C1)}}
  %x = scaling.reduce along(rows) stat(#scaling.lse) matrix(%K : tensor<2x8x4xf32>) outs(%o : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C1
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>, %p: tensor<2x8xf64>) {
  // expected-error @below {{'outs' must have equal element types (C1)}}
  %x:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%K : tensor<2x8x4xf32>) outs(%o, %p : tensor<2x8xf32>, tensor<2x8xf64>) -> tensor<2x8xf32>, tensor<2x8xf64>
  return
}

// -----

// C2: the other axis' states
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{'outs' has size 8 where 'matrix' has 4 (C2)}}
  %x = scaling.reduce along(cols) stat(#scaling.sum) matrix(%K : tensor<2x8x4xf32>) outs(%o : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C2: the own axis' factor
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{'factor' has size 8 where 'matrix' has 4 (C2)}}
  %x = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<2x8x4xf32>) factor(%o : tensor<2x8xf32>) outs(%o : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C2: a mask of another length
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>, %w: tensor<3xi1>) {
  // expected-error @below {{'mask' has size 3 where 'matrix' has 4 (C2)}}
  %x = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<2x8x4xf32>) mask(%w : tensor<3xi1>) outs(%o : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C2: rank
func.func @f(%K: tensor<4xf32>, %o: tensor<f32>) {
  // expected-error @below {{'matrix' must have rank at least 2 (C2)}}
  %x = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<4xf32>) outs(%o : tensor<f32>) -> tensor<f32>
  return
}

// -----

// C2: a matrix of larger rank
func.func @f(%K: tensor<5x2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{'matrix' has rank 4, expected at most 3 (C2)}}
  %x = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<5x2x8x4xf32>) outs(%o : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C2: dims
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{'dims' must name two different dimensions of the matrix (C2)}}
  %x = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<2x8x4xf32>) outs(%o : tensor<2x8xf32>) {dims = array<i64: 1, 1>} -> tensor<2x8xf32>
  return
}

// -----

// C2: dims
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{'dims' must name two different dimensions of the matrix (C2)}}
  %x = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<2x8x4xf32>) outs(%o : tensor<2x8xf32>) {dims = array<i64: 1, 3>} -> tensor<2x8xf32>
  return
}

// -----

// C2: dims
func.func @f(%K: tensor<8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{with 'dims' the matrix must have full rank 3 (C2)}}
  %x = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<8x4xf32>) outs(%o : tensor<2x8xf32>) {dims = array<i64: 1, 2>} -> tensor<2x8xf32>
  return
}

// -----

// C3: mixed
func.func @f(%K: memref<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{'matrix' is a memref where others are tensors (C3)}}
  %x = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : memref<2x8x4xf32>) outs(%o : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C3: mixed
func.func @f(%K: tensor<2x8x4xf32>, %o: memref<2x8xf32>) {
  // expected-error @below {{'matrix' is a tensor where others are memrefs (C3)}}
  scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<2x8x4xf32>) outs(%o : memref<2x8xf32>)
  return
}

// -----

// C3: results
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{expected the number of tensor results (0) to be equal to the number of output tensors (1)}}
  scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<2x8x4xf32>) outs(%o : tensor<2x8xf32>)
  return
}

// -----

// C3: results
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{expected type of operand #1 ('tensor<2x8xf32>') to match type of corresponding result ('tensor<2x?xf32>')}}
  %x = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<2x8x4xf32>) outs(%o : tensor<2x8xf32>) -> tensor<2x?xf32>
  return
}

// -----

// integers
func.func @f(%K: tensor<8x4xi32>, %o: tensor<8xf32>) {
  // expected-error @below {{'scaling.reduce' op operand #0 must be tensor or memref of floats, but got 'tensor<8x4xi32>'}}
  %x = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<8x4xi32>) outs(%o : tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

// no statistic
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{invalid kind of attribute specified}}
  %x = scaling.reduce along(rows) stat(#scaling.rule<sum>) matrix(%K : tensor<2x8x4xf32>) outs(%o : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.update
//===----------------------------------------------------------------------===//

// C1
func.func @f(%s: tensor<2x8xf32>, %h: tensor<2x8xf32>) {
  // expected-error @below {{statistic 'lse' has 2 states, but 'states' has 1 (C1)}}
  %x = scaling.update rule(#scaling.rule<sum>) domain(log) states(%s : tensor<2x8xf32>) own(%h : tensor<2x8xf32>) outs(%h : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C1
func.func @f(%s: tensor<2x8xf32>, %h: tensor<2x8xf32>) {
  // expected-error @below {{statistic 'l2' does not exist in the log domain (C1)}}
  %x = scaling.update rule(#scaling.rule<l2>) domain(log) states(%s : tensor<2x8xf32>) own(%h : tensor<2x8xf32>) outs(%h : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C1
func.func @f(%s: tensor<2x8xf32>, %h: tensor<2x8xf32>) {
  // expected-error @below {{a rule that rounds to powers of two needs the kernel domain (C1)}}
  %x = scaling.update rule(#scaling.rule<sum, round = pow2>) domain(absorb) states(%s, %s : tensor<2x8xf32>, tensor<2x8xf32>) own(%h : tensor<2x8xf32>) outs(%h : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C2: rank
func.func @f(%s: tensor<f32>, %h: tensor<f32>) {
  // expected-error @below {{'own' must have rank at least 1 (C2)}}
  %x = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<f32>) own(%h : tensor<f32>) outs(%h : tensor<f32>) -> tensor<f32>
  return
}

// -----

// C2: dim
func.func @f(%s: tensor<2x8xf32>, %h: tensor<2x8xf32>) {
  // expected-error @below {{'dim' must be a dimension of 'own' (C2)}}
  %x = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<2x8xf32>) own(%h : tensor<2x8xf32>) outs(%h : tensor<2x8xf32>) {dim = 2 : i64} -> tensor<2x8xf32>
  return
}

// -----

// C2: dim
func.func @f(%s: tensor<2x8xf32>, %h: tensor<2x8xf32>) {
  // expected-error @below {{'dim' must be a dimension of 'own' (C2)}}
  %x = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<2x8xf32>) own(%h : tensor<2x8xf32>) outs(%h : tensor<2x8xf32>) {dim = -1 : i64} -> tensor<2x8xf32>
  return
}

// -----

// C2: omega
func.func @f(%s: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error @below {{'omega' has size 8 where}}
  %x = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<2x8xf32>) own(%s : tensor<2x8xf32>) omega(%w : tensor<8xf32>) outs(%s : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C2: omega
func.func @f(%s: tensor<2x8xf32>, %w: tensor<2xf64>) {
  // expected-error @below {{'omega' must have the element type of 'own' (C2)}}
  %x = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<2x8xf32>) own(%s : tensor<2x8xf32>) omega(%w : tensor<2xf64>) outs(%s : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C2: states
func.func @f(%s: tensor<8xf32>, %h: tensor<2x8xf32>) {
  // expected-error @below {{'states' must have the rank of 'own' (C2)}}
  %x = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<8xf32>) own(%h : tensor<2x8xf32>) outs(%h : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C2: element types
func.func @f(%s: tensor<2x8xf64>, %h: tensor<2x8xf32>) {
  // expected-error @below {{'states', 'own' and 'outs' must have one element type (C2)}}
  %x = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<2x8xf64>) own(%h : tensor<2x8xf32>) outs(%h : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C2: target
func.func @f(%s: tensor<2x8xf32>, %h: tensor<2x8xf32>, %t: tensor<4xf32>) {
  // expected-error @below {{'target' has size 4 where 'states' has 8 (C2)}}
  %x = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<2x8xf32>) own(%h : tensor<2x8xf32>) target(%t : tensor<4xf32>) outs(%h : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C2: mask
func.func @f(%s: tensor<2x8xf32>, %h: tensor<2x8xf32>, %t: tensor<1x2x8xi1>) {
  // expected-error @below {{'mask' has rank 3, expected at most 2 (C2)}}
  %x = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<2x8xf32>) own(%h : tensor<2x8xf32>) mask(%t : tensor<1x2x8xi1>) outs(%h : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C3
func.func @f(%s: tensor<2x8xf32>, %h: tensor<2x8xf32>) {
  // expected-error @below {{'outs' takes the new factor and, when asked for, the plan statistic (C3)}}
  %x:3 = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<2x8xf32>) own(%h : tensor<2x8xf32>) outs(%h, %h, %h : tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>, tensor<2x8xf32>, tensor<2x8xf32>
  return
}

// -----

// C4
func.func @f(%s: tensor<2x8xf32>, %h: memref<2x8xf32>) {
  // expected-error @below {{'states' is a tensor where others are memrefs (C4)}}
  scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : tensor<2x8xf32>) own(%h : memref<2x8xf32>) outs(%h : memref<2x8xf32>)
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.plan
//===----------------------------------------------------------------------===//

// C1: row
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8x4xf32>, %u: tensor<4xf32>) {
  // expected-error @below {{'row' has size 4 where 'matrix' has 8 (C1)}}
  %x = scaling.plan domain(kernel) matrix(%K : tensor<2x8x4xf32>) row(%u : tensor<4xf32>) outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  return
}

// -----

// C1: col
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8x4xf32>, %u: tensor<3x4xf32>) {
  // expected-error @below {{'col' has size 3 where 'matrix' has 2 (C1)}}
  %x = scaling.plan domain(kernel) matrix(%K : tensor<2x8x4xf32>) col(%u : tensor<3x4xf32>) outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  return
}

// -----

// C1: row weight
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8x4xf32>, %u: tensor<9xf32>) {
  // expected-error @below {{'row_weight' has size 9 where 'matrix' has 8 (C1)}}
  %x = scaling.plan domain(kernel) matrix(%K : tensor<2x8x4xf32>) row_weight(%u : tensor<9xf32>) outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  return
}

// -----

// C1: col weight
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8x4xf32>, %u: tensor<1x2x4xf32>) {
  // expected-error @below {{'col_weight' has rank 3, expected at most 2 (C1)}}
  %x = scaling.plan domain(kernel) matrix(%K : tensor<2x8x4xf32>) col_weight(%u : tensor<1x2x4xf32>) outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  return
}

// -----

// C1: outs
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8x5xf32>) {
  // expected-error @below {{'outs' has size 5 where 'matrix' has 4 (C1)}}
  %x = scaling.plan domain(kernel) matrix(%K : tensor<2x8x4xf32>)  outs(%o : tensor<2x8x5xf32>) -> tensor<2x8x5xf32>
  return
}

// -----

// C1: rank
func.func @f(%K: tensor<4xf32>, %o: tensor<8x4xf32>) {
  // expected-error @below {{'matrix' must have rank at least 2 (C1)}}
  %x = scaling.plan domain(kernel) matrix(%K : tensor<4xf32>)  outs(%o : tensor<8x4xf32>) -> tensor<8x4xf32>
  return
}

// -----

// C1: dims
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8x4xf32>) {
  // expected-error @below {{'dims' must name two different dimensions of the matrix (C1)}}
  %x = scaling.plan domain(kernel) matrix(%K : tensor<2x8x4xf32>) outs(%o : tensor<2x8x4xf32>) {dims = array<i64: 0>} -> tensor<2x8x4xf32>
  return
}

// -----

// C2
func.func @f(%K: tensor<2x8x4xf32>, %o: memref<2x8x4xf32>) {
  // expected-error @below {{'matrix' is a tensor where others are memrefs (C2)}}
  scaling.plan domain(kernel) matrix(%K : tensor<2x8x4xf32>) outs(%o : memref<2x8x4xf32>)
  return
}

// -----

// C3
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8x4xf32>, %u: tensor<8xf32>) {
  // expected-error @below {{weights do not go with 'logarithm' (C3)}}
  %x = scaling.plan domain(log) logarithm matrix(%K : tensor<2x8x4xf32>) row_weight(%u : tensor<8xf32>) outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  return
}

// -----

// integers
func.func @f(%K: tensor<2x8x4xi8>, %o: tensor<2x8x4xf32>) {
  // expected-error @below {{'scaling.plan' op operand #0 must be tensor or memref of floats, but got 'tensor<2x8x4xi8>'}}
  %x = scaling.plan domain(kernel) matrix(%K : tensor<2x8x4xi8>)  outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.apply
//===----------------------------------------------------------------------===//

// C1: no operand
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8x16xf32>) {
  // expected-error @below {{kind 'product' needs 'operand' (C1)}}
  %x = scaling.apply product domain(kernel) matrix(%K : tensor<2x8x4xf32>) outs(%o : tensor<2x8x16xf32>) -> tensor<2x8x16xf32>
  return
}

// -----

// C1: an operand
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2xf32>) {
  // expected-error @below {{kind 'mass' takes no 'operand' (C1)}}
  %x = scaling.apply mass domain(kernel) matrix(%K : tensor<2x8x4xf32>) operand(%K : tensor<2x8x4xf32>) outs(%o : tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

// C1: transposed
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2xf32>) {
  // expected-error @below {{'transposed' goes with 'product' (C1)}}
  %x = scaling.apply value transposed domain(kernel) matrix(%K : tensor<2x8x4xf32>) operand(%K : tensor<2x8x4xf32>) outs(%o : tensor<2xf32>) -> tensor<2xf32>
  return
}

// -----

// C1: offset
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8x16xf32>, %v: tensor<4x16xf32>, %i: index) {
  // expected-error @below {{'offset' goes with 'argmax' and 'dual' (C1)}}
  %x = scaling.apply product domain(kernel) matrix(%K : tensor<2x8x4xf32>) operand(%v : tensor<4x16xf32>) offset(%i) outs(%o : tensor<2x8x16xf32>) -> tensor<2x8x16xf32>
  return
}

// -----

// C2: outs
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{expected 2 'outs' (C2)}}
  %x = scaling.apply argmax domain(kernel) matrix(%K : tensor<2x8x4xf32>) outs(%o : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// C2: indices
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8xf32>) {
  // expected-error @below {{'outs' number 1 must hold i64 (C2)}}
  %x:2 = scaling.apply argmax domain(kernel) matrix(%K : tensor<2x8x4xf32>) outs(%o, %o : tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>, tensor<2x8xf32>
  return
}

// -----

// C2: indices
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2xi64>) {
  // expected-error @below {{'outs' number 0 must hold floats (C2)}}
  %x = scaling.apply mass domain(kernel) matrix(%K : tensor<2x8x4xf32>) outs(%o : tensor<2xi64>) -> tensor<2xi64>
  return
}

// -----

// C2: operand
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8x16xf32>, %v: tensor<8x16xf32>) {
  // expected-error @below {{'operand' has size 8 where 'matrix' has 4 (C2)}}
  %x = scaling.apply product domain(kernel) matrix(%K : tensor<2x8x4xf32>) operand(%v : tensor<8x16xf32>) outs(%o : tensor<2x8x16xf32>) -> tensor<2x8x16xf32>
  return
}

// -----

// C2: operand
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x4x16xf32>, %v: tensor<4x16xf32>) {
  // expected-error @below {{'operand' has size 4 where 'matrix' has 8 (C2)}}
  %x = scaling.apply product transposed domain(kernel) matrix(%K : tensor<2x8x4xf32>) operand(%v : tensor<4x16xf32>) outs(%o : tensor<2x4x16xf32>) -> tensor<2x4x16xf32>
  return
}

// -----

// C2: outs
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<2x8x15xf32>, %v: tensor<4x16xf32>) {
  // expected-error @below {{'outs' has size 15 where 'operand' has 16 (C2)}}
  %x = scaling.apply product domain(kernel) matrix(%K : tensor<2x8x4xf32>) operand(%v : tensor<4x16xf32>) outs(%o : tensor<2x8x15xf32>) -> tensor<2x8x15xf32>
  return
}

// -----

// C2: rank
func.func @f(%K: tensor<2x8x4xf32>, %o: tensor<16xf32>, %v: tensor<4x16xf32>) {
  // expected-error @below {{'outs' has too small a rank (C2)}}
  %x = scaling.apply product domain(kernel) matrix(%K : tensor<2x8x4xf32>) operand(%v : tensor<4x16xf32>) outs(%o : tensor<16xf32>) -> tensor<16xf32>
  return
}

// -----

// C3
func.func @f(%K: tensor<2x8x4xf32>, %o: memref<2xf32>) {
  // expected-error @below {{'matrix' is a tensor where others are memrefs (C3)}}
  scaling.apply mass domain(kernel) matrix(%K : tensor<2x8x4xf32>) outs(%o : memref<2xf32>)
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.marginals
//===----------------------------------------------------------------------===//

// C1: a matrix or points
func.func @f(%r: tensor<8xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{expected either 'matrix' or points (C1)}}
  %z:2 = scaling.marginals outs(%r, %s : tensor<8xf32>, tensor<4xf32>) -> tensor<8xf32>, tensor<4xf32>
  return
}

// -----

// C1: metric
func.func @f(%x: tensor<8x3xf32>, %y: tensor<3x4xf32>, %r: tensor<8xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{metric 'cosine' is the metric 'dot' of normalized points here (C1)}}
  %z:2 = scaling.marginals points cosine(%x, %y : tensor<8x3xf32>, tensor<3x4xf32>) outs(%r, %s : tensor<8xf32>, tensor<4xf32>) -> tensor<8xf32>, tensor<4xf32>
  return
}

// -----

// C2: outs
func.func @f(%c: tensor<8x4xf32>, %r: tensor<8xf32>) {
  // expected-error @below {{expected 2 'outs' (C2)}}
  %z = scaling.marginals matrix(%c : tensor<8x4xf32>) outs(%r : tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

// C2: element types
func.func @f(%c: tensor<8x4xf32>, %r: tensor<8xf32>, %s: tensor<4xf64>) {
  // expected-error @below {{'outs' must have equal element types (C2)}}
  %z:2 = scaling.marginals matrix(%c : tensor<8x4xf32>) outs(%r, %s : tensor<8xf32>, tensor<4xf64>) -> tensor<8xf32>, tensor<4xf64>
  return
}

// -----

// C2: ranks
func.func @f(%c: tensor<8xf32>, %r: tensor<8xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{'matrix' must have rank at least 2 (C2)}}
  %z:2 = scaling.marginals matrix(%c : tensor<8xf32>) outs(%r, %s : tensor<8xf32>, tensor<4xf32>) -> tensor<8xf32>, tensor<4xf32>
  return
}

// -----

// C2: ranks of points
func.func @f(%x: tensor<3xf32>, %y: tensor<3x4xf32>, %r: tensor<8xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{points must have rank at least 2 (C2)}}
  %z:2 = scaling.marginals points l1(%x, %y : tensor<3xf32>, tensor<3x4xf32>) outs(%r, %s : tensor<8xf32>, tensor<4xf32>) -> tensor<8xf32>, tensor<4xf32>
  return
}

// -----

// C2: ranks of outs
func.func @f(%c: tensor<8x4xf32>, %r: tensor<f32>, %s: tensor<f32>) {
  // expected-error @below {{'outs' must have rank at least 1 (C2)}}
  %z:2 = scaling.marginals matrix(%c : tensor<8x4xf32>) outs(%r, %s : tensor<f32>, tensor<f32>) -> tensor<f32>, tensor<f32>
  return
}

// -----

// C2: coordinates
func.func @f(%x: tensor<8x3xf32>, %y: tensor<2x4xf32>, %r: tensor<8xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{points have 3 and 2 coordinates (C2)}}
  %z:2 = scaling.marginals points l1(%x, %y : tensor<8x3xf32>, tensor<2x4xf32>) outs(%r, %s : tensor<8xf32>, tensor<4xf32>) -> tensor<8xf32>, tensor<4xf32>
  return
}

// -----

// C2: sizes
func.func @f(%c: tensor<8x5xf32>, %r: tensor<8xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{'outs' has size 4 where 'matrix' has 5 (C2)}}
  %z:2 = scaling.marginals matrix(%c : tensor<8x5xf32>) outs(%r, %s : tensor<8xf32>, tensor<4xf32>) -> tensor<8xf32>, tensor<4xf32>
  return
}

// -----

// C3
func.func @f(%c: memref<8x4xf32>, %r: tensor<8xf32>, %s: tensor<4xf32>) {
  // expected-error @below {{'matrix' is a memref where others are tensors (C3)}}
  %z:2 = scaling.marginals matrix(%c : memref<8x4xf32>) outs(%r, %s : tensor<8xf32>, tensor<4xf32>) -> tensor<8xf32>, tensor<4xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.pairwise
//===----------------------------------------------------------------------===//

// C1: rank
func.func @f(%x: tensor<3xf32>, %y: tensor<4x3xf32>, %o: tensor<8x4xf32>) {
  // expected-error @below {{points and 'outs' must have rank at least 2 (C1)}}
  %z = scaling.pairwise dot points(%x, %y : tensor<3xf32>, tensor<4x3xf32>) outs(%o : tensor<8x4xf32>) -> tensor<8x4xf32>
  return
}

// -----

// C1: coordinates
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x2xf32>, %o: tensor<8x4xf32>) {
  // expected-error @below {{points have 3 and 2 coordinates (C1)}}
  %z = scaling.pairwise dot points(%x, %y : tensor<8x3xf32>, tensor<4x2xf32>) outs(%o : tensor<8x4xf32>) -> tensor<8x4xf32>
  return
}

// -----

// C1: outs
func.func @f(%x: tensor<4x3xf32>, %y: tensor<8x3xf32>, %o: tensor<8x4xf32>) {
  // expected-error @below {{'outs' has size 8 where 'x' has 4 (C1)}}
  %z = scaling.pairwise dot points(%x, %y : tensor<4x3xf32>, tensor<8x3xf32>) outs(%o : tensor<8x4xf32>) -> tensor<8x4xf32>
  return
}

// -----

// C1: batch
func.func @f(%x: tensor<2x8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<3x8x4xf32>) {
  // expected-error @below {{'outs' has size 3 where 'x' has 2 (C1)}}
  %z = scaling.pairwise dot points(%x, %y : tensor<2x8x3xf32>, tensor<4x3xf32>) outs(%o : tensor<3x8x4xf32>) -> tensor<3x8x4xf32>
  return
}

// -----

// C2
func.func @f(%x: tensor<8x3xf32>, %y: memref<4x3xf32>, %o: tensor<8x4xf32>) {
  // expected-error @below {{'y' is a memref where others are tensors (C2)}}
  %z = scaling.pairwise dot points(%x, %y : tensor<8x3xf32>, memref<4x3xf32>) outs(%o : tensor<8x4xf32>) -> tensor<8x4xf32>
  return
}

// -----

// integers
func.func @f(%x: tensor<8x3xi32>, %y: tensor<4x3xf32>, %o: tensor<8x4xf32>) {
  // expected-error @below {{'scaling.pairwise' op operand #0 must be tensor or memref of floats, but got 'tensor<8x3xi32>'}}
  %z = scaling.pairwise dot points(%x, %y : tensor<8x3xi32>, tensor<4x3xf32>) outs(%o : tensor<8x4xf32>) -> tensor<8x4xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// scaling.reduce_points, scaling.sum_points, scaling.argmax_points,
// scaling.apply_points
//===----------------------------------------------------------------------===//

// C1
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %P: tensor<8x5xf32>, %V: tensor<4x5xf32>, %g: tensor<5xf32>, %h: tensor<4x3xf16>, %w: tensor<4x2xf32>, %m: memref<4x3xf32>, %z: tensor<3xf32>) {
  // expected-error @below {{'scaling.reduce_points' op takes no 'cosine': normalize the points and use 'dot' (C1)}}
  %r:2 = scaling.reduce_points cosine points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C2: points of narrow products
func.func @f(%x: tensor<8x3xbf16>, %y: tensor<4x3xbf16>, %o: tensor<8xf32>) {
  // expected-error @below {{'scaling.reduce_points' op products of bf16 want points of an even number of coordinates (C2)}}
  %r:2 = scaling.reduce_points dot points(%x, %y : tensor<8x3xbf16>, tensor<4x3xbf16>) products(bf16) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C2, C4: columns of blocks of rows
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>) {
  // expected-error @below {{'scaling.reduce_points' op expected 4 'outs', got 2 (C2)}}
  %r:2 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) block(8) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>) {
  // expected-error @below {{'scaling.reduce_points' op has a 'row_factor', but no 'block' (C4)}}
  %r:2 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) row_factor(%o : tensor<8xf32>) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %p: tensor<2x4xf32>) {
  // expected-error @below {{'scaling.reduce_points' op 8 rows are 3 blocks of 3, not 2 (C2)}}
  %r:4 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) block(3) outs(%o, %o, %p, %p : tensor<8xf32>, tensor<8xf32>, tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<8xf32>, tensor<8xf32>, tensor<2x4xf32>, tensor<2x4xf32>
  return
}

// -----

func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %p: tensor<2x4xf32>) {
  // expected-error @below {{'scaling.reduce_points' op expected a positive 'block', got 0 (C2)}}
  %r:4 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) block(0) outs(%o, %o, %p, %p : tensor<8xf32>, tensor<8xf32>, tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<8xf32>, tensor<8xf32>, tensor<2x4xf32>, tensor<2x4xf32>
  return
}

// -----

// C2: the sums of rows
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>) {
  // expected-error @below {{'scaling.sum_points' op expected 2 'outs', got 1 (C2)}}
  %r = scaling.sum_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) outs(%o : tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

// C2: a number and a column of rows
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>) {
  // expected-error @below {{'scaling.argmax_points' op expected 2 'outs', got 1 (C2)}}
  %r = scaling.argmax_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) outs(%o : tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>) {
  // expected-error @below {{'scaling.argmax_points' op expected columns of type 'i64', got 'tensor<8xf32>' (C2)}}
  %r:2 = scaling.argmax_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xi64>) {
  // expected-error @below {{'scaling.argmax_points' op expected 'outs' of type 'f32' or 'f64', got 'i64' (C2)}}
  %r:2 = scaling.argmax_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) outs(%o, %o : tensor<8xi64>, tensor<8xi64>) -> tensor<8xi64>, tensor<8xi64>
  return
}

// -----

// C2: an operand that is points as well
func.func @f(%x: tensor<8x4xf16>, %y: tensor<4x4xf16>, %o: tensor<8x4xf32>) {
  // expected-error @below {{'scaling.apply_points' op expected elements of type 'f32', got 'tensor<4x4xf16>' (C2)}}
  %r = scaling.apply_points dot points(%x, %y : tensor<8x4xf16>, tensor<4x4xf16>) products(f16) operand(%y : tensor<4x4xf16>) outs(%o : tensor<8x4xf32>) -> tensor<8x4xf32>
  return
}

// -----

// C2: an operand that is no pairs
func.func @f(%x: tensor<8x4xbf16>, %y: tensor<4x4xbf16>, %V: tensor<4x3xbf16>, %o: tensor<8x3xf32>) {
  // expected-error @below {{'scaling.apply_points' op an 'operand' of bf16 wants an even number of columns (C2)}}
  %r = scaling.apply_points dot points(%x, %y : tensor<8x4xbf16>, tensor<4x4xbf16>) products(bf16) operand(%V : tensor<4x3xbf16>) outs(%o : tensor<8x3xf32>) -> tensor<8x3xf32>
  return
}

// -----

// C2: elements of narrow products
func.func @f(%x: tensor<8x4xbf16>, %y: tensor<4x4xf32>, %o: tensor<8xf32>) {
  // expected-error @below {{'scaling.reduce_points' op expected elements of type 'bf16', got 'tensor<4x4xf32>' (C2)}}
  %r:2 = scaling.reduce_points dot points(%x, %y : tensor<8x4xbf16>, tensor<4x4xf32>) products(bf16) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C1: products
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>) {
  // expected-error @below {{'scaling.reduce_points' op has products of tf32, which are of the metric 'dot' and of f32 alone (C1)}}
  %r:2 = scaling.reduce_points l1 points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) products(tf32) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C2: states
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %P: tensor<8x5xf32>, %V: tensor<4x5xf32>, %g: tensor<5xf32>, %h: tensor<4x3xf16>, %w: tensor<4x2xf32>, %m: memref<4x3xf32>, %z: tensor<3xf32>) {
  // expected-error @below {{'scaling.reduce_points' op expected 2 'outs', got 1 (C2)}}
  %r = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) outs(%o : tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

// C2: elements
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %P: tensor<8x5xf32>, %V: tensor<4x5xf32>, %g: tensor<5xf32>, %h: tensor<4x3xf16>, %w: tensor<4x2xf32>, %m: memref<4x3xf32>, %z: tensor<3xf32>) {
  // expected-error @below {{'scaling.reduce_points' op expected elements of type 'f32', got 'tensor<4x3xf16>' (C2)}}
  %r:2 = scaling.reduce_points dot points(%x, %h : tensor<8x3xf32>, tensor<4x3xf16>) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C2: coordinates
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %P: tensor<8x5xf32>, %V: tensor<4x5xf32>, %g: tensor<5xf32>, %h: tensor<4x3xf16>, %w: tensor<4x2xf32>, %m: memref<4x3xf32>, %z: tensor<3xf32>) {
  // expected-error @below {{'scaling.reduce_points' op points have 3 and 2 coordinates (C2)}}
  %r:2 = scaling.reduce_points dot points(%x, %w : tensor<8x3xf32>, tensor<4x2xf32>) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C2: rank
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %P: tensor<8x5xf32>, %V: tensor<4x5xf32>, %g: tensor<5xf32>, %h: tensor<4x3xf16>, %w: tensor<4x2xf32>, %m: memref<4x3xf32>, %z: tensor<3xf32>) {
  // expected-error @below {{'scaling.reduce_points' op points must have rank at least 2 (C2)}}
  %r:2 = scaling.reduce_points dot points(%z, %y : tensor<3xf32>, tensor<4x3xf32>) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C2: factor
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %P: tensor<8x5xf32>, %V: tensor<4x5xf32>, %g: tensor<5xf32>, %h: tensor<4x3xf16>, %w: tensor<4x2xf32>, %m: memref<4x3xf32>, %z: tensor<3xf32>) {
  // expected-error @below {{'scaling.reduce_points' op 'factor' has size 5 where 'y' has 4 (C2)}}
  %r:2 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) factor(%g : tensor<5xf32>) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C2: the bias
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %B: tensor<8x4xf32>, %D: tensor<8x4xf64>, %g: tensor<4xf32>, %s: f32) {
  // expected-error @below {{'scaling.reduce_points' op 'bias' has size 8 where 'y' has 4 (C2)}}
  %r:2 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) bias(%B : tensor<8x4xf32>) transposed outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C2: a wider bias
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %B: tensor<8x4xf32>, %D: tensor<8x4xf64>, %g: tensor<4xf32>, %s: f32) {
  // expected-error @below {{'scaling.reduce_points' op expected elements of type 'f32', got 'tensor<8x4xf64>' (C2)}}
  %r:2 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) bias(%D : tensor<8x4xf64>) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C2: a bias of columns alone
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %B: tensor<8x4xf32>, %D: tensor<8x4xf64>, %g: tensor<4xf32>, %s: f32) {
  // expected-error @below {{'scaling.reduce_points' op 'bias' must have rank at least 2 (C2)}}
  %r:2 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) bias(%g : tensor<4xf32>) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C4
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %B: tensor<8x4xf32>, %D: tensor<8x4xf64>, %g: tensor<4xf32>, %s: f32) {
  // expected-error @below {{'scaling.reduce_points' op has a 'bias_scale' or 'transposed', but no 'bias' (C4)}}
  %r:2 = scaling.reduce_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) bias_scale(%s : f32) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C3
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %P: tensor<8x5xf32>, %V: tensor<4x5xf32>, %g: tensor<5xf32>, %h: tensor<4x3xf16>, %w: tensor<4x2xf32>, %m: memref<4x3xf32>, %z: tensor<3xf32>) {
  // expected-error @below {{'scaling.reduce_points' op 'y' is a memref where others are tensors (C3)}}
  %r:2 = scaling.reduce_points dot points(%x, %m : tensor<8x3xf32>, memref<4x3xf32>) outs(%o, %o : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

// C1
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %P: tensor<8x5xf32>, %V: tensor<4x5xf32>, %g: tensor<5xf32>, %h: tensor<4x3xf16>, %w: tensor<4x2xf32>, %m: memref<4x3xf32>, %z: tensor<3xf32>) {
  // expected-error @below {{'scaling.apply_points' op takes no 'cosine': normalize the points and use 'dot' (C1)}}
  %r = scaling.apply_points cosine points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) operand(%V : tensor<4x5xf32>) outs(%P : tensor<8x5xf32>) -> tensor<8x5xf32>
  return
}

// -----

// C2: operand
func.func @f(%x: tensor<8x3xf32>, %y: tensor<4x3xf32>, %o: tensor<8xf32>, %P: tensor<8x5xf32>, %V: tensor<4x5xf32>, %g: tensor<5xf32>, %h: tensor<4x3xf16>, %w: tensor<4x2xf32>, %m: memref<4x3xf32>, %z: tensor<3xf32>) {
  // expected-error @below {{'scaling.apply_points' op 'operand' has size 8 where 'y' has 4 (C2)}}
  %r = scaling.apply_points dot points(%x, %y : tensor<8x3xf32>, tensor<4x3xf32>) operand(%P : tensor<8x5xf32>) outs(%P : tensor<8x5xf32>) -> tensor<8x5xf32>
  return
}

// -----

// apply C1: where the rows begin matters to the dual value only
func.func @f(%K: tensor<8x4xf32>, %x: tensor<f32>, %i: index) {
  // expected-error @below {{'row_offset' goes with 'dual' (C1)}}
  %0 = scaling.apply mass domain(log) matrix(%K : tensor<8x4xf32>) row_offset(%i) outs(%x : tensor<f32>) -> tensor<f32>
  return
}

// -----

// apply C1: the dual value needs both factors and both marginals
func.func @f(%K: tensor<8x4xf32>, %u: tensor<8xf32>, %v: tensor<4xf32>, %x: tensor<f32>) {
  // expected-error @below {{kind 'dual' needs 'row', 'col', 'row_weight' and 'col_weight' (C1)}}
  %0 = scaling.apply dual domain(log) matrix(%K : tensor<8x4xf32>) row(%u : tensor<8xf32>) col(%v : tensor<4xf32>) outs(%x : tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @f(%K: tensor<?x4x4xf32>, %i: index, %t: tensor<4x5x16xf32>) {
  // expected-error @below {{'scaling.to_lanes' op has a batch of 'tensor<?x4x4xf32>' but lanes of 'tensor<4x5x16xf32>': sizes behind the batch must be those before the lanes (C1)}}
  %0 = scaling.to_lanes %K[%i] outs(%t : tensor<4x5x16xf32>) : tensor<?x4x4xf32> -> tensor<4x5x16xf32>
  return
}

// -----

func.func @f(%K: tensor<?x4x4xf64>, %i: index, %t: tensor<4x4x16xf32>) {
  // expected-error @below {{'scaling.from_lanes' op source and 'outs' must have equal element types (C1)}}
  %0 = scaling.from_lanes %t[%i] outs(%K : tensor<?x4x4xf64>) : tensor<4x4x16xf32> -> tensor<?x4x4xf64>
  return
}

// -----

func.func @f(%K: tensor<?x4xf32>, %i: index, %t: tensor<4x?xf32>) {
  // expected-error @below {{'scaling.to_lanes' op lanes must have a static shape (C1)}}
  %0 = scaling.to_lanes %K[%i] outs(%t : tensor<4x?xf32>) : tensor<?x4xf32> -> tensor<4x?xf32>
  return
}

// -----

func.func @f(%K: tensor<?x4xf32>, %i: index, %t: tensor<4x0xf32>) {
  // expected-error @below {{'scaling.to_lanes' op needs at least one lane (C1)}}
  %0 = scaling.to_lanes %K[%i] outs(%t : tensor<4x0xf32>) : tensor<?x4xf32> -> tensor<4x0xf32>
  return
}

// -----

func.func @f(%K: memref<?x4xf32>, %i: index, %t: tensor<4x16xf32>) {
  // expected-error @below {{'scaling.to_lanes' op must be on tensors, with a result, or on memrefs, without (C2)}}
  %0 = scaling.to_lanes %K[%i] outs(%t : tensor<4x16xf32>) : memref<?x4xf32> -> tensor<4x16xf32>
  return
}

// -----

// C1: a matrix twice
func.func @f(%x: tensor<4x4xf32>) {
  // expected-error @below {{'scaling.plan' op has more than one operand of a kind (C1)}}
  %0 = "scaling.plan"(%x, %x, %x) <{domain = 1 : i32, operandSegmentSizes = array<i32: 2, 0, 0, 0, 0, 1>}> : (tensor<4x4xf32>, tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return
}
