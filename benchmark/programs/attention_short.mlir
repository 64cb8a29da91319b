// W5: doubly stochastic attention of 8 heads, 5 row-and-column iterations.

func.func @attention(%q: tensor<8x256x64xf32>, %k: tensor<8x256x64xf32>,
                     %v: tensor<8x256x64xf32>) -> tensor<8x256x64xf32> {
  %O, %half_steps, %residual, %status = scaling.attention
      query(%q : tensor<8x256x64xf32>) key(%k : tensor<8x256x64xf32>)
      value(%v : tensor<8x256x64xf32>) preset(sinkformer)
      stop(#scaling.stop<fixed 10>) numerics(#scaling.numerics<absorb>)
  return %O : tensor<8x256x64xf32>
}
