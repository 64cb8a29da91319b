// RUN: scaling-opt %s --scaling-differentiate=mode=implicit --split-input-file --verify-diagnostics
// RUN: not scaling-opt %s --scaling-differentiate="residual=-1.0" 2>&1 | FileCheck %s
// CHECK: 'residual' and 'max-solver-steps' must not be negative

func.func @statistic(%x: tensor<4x4xf32>) -> tensor<4xf32> {
  // expected-error @below {{has no implicit derivative: the rule of the rows is of 'linf', not of 'sum', 'l1' or 'l2'}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%x : tensor<4x4xf32>) rows(#scaling.rule<linf>) cols(#scaling.rule<linf>)
      stop(#scaling.stop<fixed 8>)
  return %u : tensor<4xf32>
}

// -----

func.func @both(%x: tensor<4x4xf32>) -> tensor<4xf32> {
  // expected-error @below {{has no implicit derivative: the rule of the rows is of 'l1', the other one of 'sum'}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%x : tensor<4x4xf32>) rows(#scaling.rule<l1>) cols(#scaling.rule<sum>)
      stop(#scaling.stop<fixed 8>)
  return %u : tensor<4xf32>
}

// -----

func.func @rounded(%x: tensor<4x4xf32>) -> tensor<4xf32> {
  // expected-error @below {{has no implicit derivative: the rule of the columns rounds to powers of two}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%x : tensor<4x4xf32>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum, round = pow2>)
      order(rows_first) stop(#scaling.stop<fixed 8>) numerics(#scaling.numerics<kernel>)
  return %u : tensor<4xf32>
}

// -----

func.func @best(%x: tensor<4x4xf32>) -> tensor<4xf32> {
  // expected-error @below {{that stops with 'best' has no derivative: which factors are the best is a choice}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%x : tensor<4x4xf32>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum>)
      order(rows_first) stop(#scaling.stop<best 8, what = imbalance>) numerics(#scaling.numerics<kernel>)
  return %u : tensor<4xf32>
}

// -----

func.func @deviation(%x: tensor<4x4xf32>) -> tensor<4xf32> {
  // expected-error @below {{has no implicit derivative: the rule of the rows is of 'std', not of 'sum', 'l1' or 'l2'}}
  %u, %v, %k, %r, %s = scaling.balance matrix(%x : tensor<4x4xf32>) rows(#scaling.rule<std>) cols(#scaling.rule<std>)
      stop(#scaling.stop<fixed 8>)
  return %u : tensor<4xf32>
}

// -----

func.func @damped_and_guarded(%x: tensor<4x4xf32>) -> tensor<4xf32> {
  // expected-error @below {{has no implicit derivative: the rule of the rows has both 'tau' and 'add_kernel'}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%x : tensor<4x4xf32>) rows(#scaling.rule<sum, tau = 0.5, guard = add_kernel(1.0e-3)>)
      cols(#scaling.rule<sum>) order(rows_first) stop(#scaling.stop<fixed 8>) numerics(#scaling.numerics<kernel>)
  return %u : tensor<4xf32>
}

// -----

func.func @annealed(%x: tensor<4x4xf32>) -> tensor<4xf32> {
  // expected-error @below {{'scaling.iterate' op with 'anneal' has no implicit derivative}}
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%x : tensor<4x4xf32>) form(#scaling.form<cost, anneal = [2.0, 1.0]>)
      stop(#scaling.stop<fixed 4>)
  return %f : tensor<4xf32>
}
