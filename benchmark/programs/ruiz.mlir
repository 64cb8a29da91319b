// W6: the factors of Ruiz equilibration, 10 iterations.

func.func @ruiz(%A: tensor<1024x1024xf32>) -> (tensor<1024xf32>, tensor<1024xf32>) {
  %u, %v, %half_steps, %residual, %status = scaling.balance
      matrix(%A : tensor<1024x1024xf32>) preset(ruiz)
  return %u, %v : tensor<1024xf32>, tensor<1024xf32>
}
