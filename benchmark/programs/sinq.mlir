// W7: SINQ's scaling by standard deviations, 16 iterations, and the scaled
// matrix.

func.func @sinq(%W: tensor<4096x4096xf32>)
    -> (tensor<4096x4096xf32>, tensor<4096xf32>, tensor<4096xf32>) {
  %u, %v, %half_steps, %residual, %status = scaling.balance
      matrix(%W : tensor<4096x4096xf32>) preset(sinq)
  %empty = tensor.empty() : tensor<4096x4096xf32>
  %scaled = scaling.plan domain(kernel) matrix(%W : tensor<4096x4096xf32>)
      row(%u : tensor<4096xf32>) col(%v : tensor<4096xf32>)
      outs(%empty : tensor<4096x4096xf32>) -> tensor<4096x4096xf32>
  return %scaled, %u, %v : tensor<4096x4096xf32>, tensor<4096xf32>, tensor<4096xf32>
}
