// W9: SinkGD's normalization of a gradient, 5 iterations, and the scaled matrix.

func.func @sinkgd(%G: tensor<4096x11008xf32>) -> tensor<4096x11008xf32> {
  %u, %v, %half_steps, %residual, %status = scaling.balance
      matrix(%G : tensor<4096x11008xf32>) preset(sinkgd)
  %empty = tensor.empty() : tensor<4096x11008xf32>
  %scaled = scaling.plan domain(kernel) matrix(%G : tensor<4096x11008xf32>)
      row(%u : tensor<4096xf32>) col(%v : tensor<11008xf32>)
      outs(%empty : tensor<4096x11008xf32>) -> tensor<4096x11008xf32>
  return %scaled : tensor<4096x11008xf32>
}
