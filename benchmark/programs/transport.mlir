// W2: entropic transport with a dense cost and uniform marginals; the rows are
// exact when the columns are judged.

func.func @transport(%C: tensor<512x512xf32>, %epsilon: tensor<f64>)
    -> (tensor<512x512xf32>, tensor<i32>) {
  %P, %half_steps, %residual, %status = scaling.project
      cost(%C : tensor<512x512xf32>) epsilon(%epsilon : tensor<f64>)
      rows(#scaling.rule<sum, target = uniform>)
      cols(#scaling.rule<sum, target = uniform>) order(cols_first)
      stop(#scaling.stop<until 1.0e-5, axis = cols, norm = l1, every = 2, start = 2, limit = 20000>)
      numerics(#scaling.numerics<absorb>)
  return %P, %half_steps : tensor<512x512xf32>, tensor<i32>
}
