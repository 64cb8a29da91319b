// RUN: scaling-opt %s --scaling-differentiate=mode=envelope --split-input-file --verify-diagnostics

func.func @potentials(%x: tensor<4x4xf32>) -> tensor<4xf32> {
  // expected-note @below {{this iteration}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%x : tensor<4x4xf32>) form(#scaling.form<cost>) stop(#scaling.stop<fixed 4>)
  // expected-error @below {{has no envelope derivative: it depends on the factors of an iteration otherwise than by 'scaling.apply dual'}}
  return %f : tensor<4xf32>
}

// -----

func.func @plan(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-error @below {{has no envelope derivative: what it computes is no dual value}}
  %p, %k, %r, %s = scaling.project logits(%x : tensor<4x4xf32>) form(#scaling.form<logits>) stop(#scaling.stop<fixed 4>)
  return %p : tensor<4x4xf32>
}

// -----

func.func @damped(%X: tensor<6x5xf32>, %a: tensor<6xf32>, %b: tensor<5xf32>) -> tensor<f32> {
  // expected-error @below {{has no envelope derivative: with the rule #scaling.rule<sum, tau = 5.0e-01> the sums of the plan are not the marginals}}
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<6x5xf32>) row_target(%a : tensor<6xf32>) col_target(%b : tensor<5xf32>)
      rows(#scaling.rule<sum>) cols(#scaling.rule<sum, tau = 0.5>) order(rows_first)
      stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  %zero = arith.constant dense<0.0> : tensor<f32>
  %d = scaling.apply dual domain(log) matrix(%X : tensor<6x5xf32>) row(%F : tensor<6xf32>) col(%G : tensor<5xf32>)
      row_weight(%a : tensor<6xf32>) col_weight(%b : tensor<5xf32>) outs(%zero : tensor<f32>) -> tensor<f32>
  return %d : tensor<f32>
}

// -----

func.func @matrix(%X: tensor<6x5xf32>, %Y: tensor<6x5xf32>, %a: tensor<6xf32>, %b: tensor<5xf32>) -> tensor<f32> {
  // expected-note @below {{this iteration}}
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<6x5xf32>) row_target(%a : tensor<6xf32>) col_target(%b : tensor<5xf32>)
      rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first)
      stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  %zero = arith.constant dense<0.0> : tensor<f32>
  // expected-error @below {{it is not the dual value of the iteration that made its factors, whose matrix is another one}}
  %d = scaling.apply dual domain(log) matrix(%Y : tensor<6x5xf32>) row(%F : tensor<6xf32>) col(%G : tensor<5xf32>)
      row_weight(%a : tensor<6xf32>) col_weight(%b : tensor<5xf32>) outs(%zero : tensor<f32>) -> tensor<f32>
  return %d : tensor<f32>
}

// -----

func.func @marginals(%X: tensor<6x5xf32>, %a: tensor<6xf32>, %b: tensor<5xf32>, %c: tensor<5xf32>) -> tensor<f32> {
  // expected-note @below {{this iteration}}
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<6x5xf32>) row_target(%a : tensor<6xf32>) col_target(%b : tensor<5xf32>)
      rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first)
      stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  %zero = arith.constant dense<0.0> : tensor<f32>
  // expected-error @below {{it is not the dual value of the iteration that made its factors, whose marginals are others}}
  %d = scaling.apply dual domain(log) matrix(%X : tensor<6x5xf32>) row(%F : tensor<6xf32>) col(%G : tensor<5xf32>)
      row_weight(%a : tensor<6xf32>) col_weight(%c : tensor<5xf32>) outs(%zero : tensor<f32>) -> tensor<f32>
  return %d : tensor<f32>
}
