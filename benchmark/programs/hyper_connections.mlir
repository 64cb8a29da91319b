// W3: a batch of small matrices, DeepSeek's convention of manifold-constrained
// hyper-connections, 20 iterations.

func.func @hyper_connections(%S: tensor<65536x4x4xf32>) -> tensor<65536x4x4xf32> {
  %P, %half_steps, %residual, %status = scaling.project
      logits(%S : tensor<65536x4x4xf32>) preset(mhc)
  return %P : tensor<65536x4x4xf32>
}
