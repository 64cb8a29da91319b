// RUN: scaling-opt %s --scaling-differentiate --split-input-file --verify-diagnostics

func.func @best(%x: tensor<4x4xf32>) -> tensor<4xf32> {
  // expected-error @below {{'scaling.iterate' op that stops with 'best' has no derivative: which factors are the best is a choice}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%x : tensor<4x4xf32>) rows(#scaling.rule<l2>) cols(#scaling.rule<l2>)
      stop(#scaling.stop<best 8, what = imbalance>)
  return %u : tensor<4xf32>
}

// -----

func.func @annealed(%x: tensor<4x4xf32>, %betas: tensor<2xf32>) -> tensor<4xf32> {
  // expected-error @below {{'scaling.iterate' op has no derivative with respect to 'anneal'}}
  %f, %g, %k, %r, %s = scaling.iterate matrix(%x : tensor<4x4xf32>) anneal(%betas : tensor<2xf32>)
      rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first)
      stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  return %f : tensor<4xf32>
}

// -----

func.func @rounded(%x: tensor<4x4xf32>) -> tensor<4xf32> {
  // expected-error @below {{which has no derivative here}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%x : tensor<4x4xf32>) rows(#scaling.rule<l2, round = pow2>) cols(#scaling.rule<l2>)
      stop(#scaling.stop<fixed 8>)
  return %u : tensor<4xf32>
}

// -----

func.func @similarity(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-error @below {{has no derivative here}}
  %b, %d, %k, %s = scaling.similarity_balance preset(gebal) matrix(%x : tensor<4x4xf32>)
  return %b : tensor<4x4xf32>
}

// -----

// expected-error @below {{'branches' has control flow of its own: only straight-line functions are differentiated}}
func.func @branches(%x: tensor<4xf32>, %c: i1) -> tensor<4xf32> {
  cf.cond_br %c, ^a, ^b
^a:
  return %x : tensor<4xf32>
^b:
  return %x : tensor<4xf32>
}

// -----

func.func @largest(%x: tensor<4x4xf32>, %r: tensor<4xf32>, %i: tensor<4xi64>) -> (tensor<4xf32>, tensor<4xi64>) {
  // expected-error @below {{'scaling.apply' op of 'argmax' has no derivative: which entry is the largest is a choice}}
  %m, %j = scaling.apply argmax domain(kernel) matrix(%x : tensor<4x4xf32>) outs(%r, %i : tensor<4xf32>, tensor<4xi64>) -> tensor<4xf32>, tensor<4xi64>
  return %m, %j : tensor<4xf32>, tensor<4xi64>
}
