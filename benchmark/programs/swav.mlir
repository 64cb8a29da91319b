// W9: SwAV's assignment of samples to prototypes, 3 iterations.

func.func @swav(%S: tensor<4096x3000xf32>) -> tensor<4096x3000xf32> {
  %P, %half_steps, %residual, %status = scaling.project
      logits(%S : tensor<4096x3000xf32>) preset(swav)
  return %P : tensor<4096x3000xf32>
}
