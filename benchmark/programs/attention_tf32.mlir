// Doubly stochastic attention of 8 heads, both of whose products tensor cores
// make: what the GPU gates watch.

func.func @attention_tf32(%q: tensor<8x1024x64xf32>, %k: tensor<8x1024x64xf32>,
                          %v: tensor<8x1024x64xf32>) -> tensor<8x1024x64xf32> {
  %O, %half_steps, %residual, %status = scaling.attention
      query(%q : tensor<8x1024x64xf32>) key(%k : tensor<8x1024x64xf32>)
      value(%v : tensor<8x1024x64xf32>) preset(sinkformer)
      stop(#scaling.stop<fixed 6>)
      numerics(#scaling.numerics<log, products = tf32>)
  return %O : tensor<8x1024x64xf32>
}
