// W1: logits to a doubly stochastic matrix, 20 iterations, as safe as in the
// log domain.

func.func @projection(%S: tensor<512x512xf32>) -> tensor<512x512xf32> {
  %P, %half_steps, %residual, %status = scaling.project
      logits(%S : tensor<512x512xf32>)
      rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first)
      stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<absorb>)
  return %P : tensor<512x512xf32>
}
