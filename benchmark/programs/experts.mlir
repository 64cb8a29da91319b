// W9: Megatron's assignment of tokens to experts, until the columns are right to
// 1e-4 in the 1-norm; the rows are exact then.

func.func @experts(%S: tensor<32768x256xf32>) -> (tensor<32768x256xf32>, tensor<i32>) {
  %P, %half_steps, %residual, %status = scaling.project
      logits(%S : tensor<32768x256xf32>)
      rows(#scaling.rule<sum, target = uniform>)
      cols(#scaling.rule<sum, target = uniform>) order(cols_first)
      stop(#scaling.stop<until 1.0e-4, axis = cols, norm = l1, every = 2, start = 2, limit = 20000>)
      numerics(#scaling.numerics<absorb>)
  return %P, %half_steps : tensor<32768x256xf32>, tensor<i32>
}
