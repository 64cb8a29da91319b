// W8: SuperGlue's matching with dustbins, 100 iterations: the logarithm of the
// plan.

func.func @superglue(%S: tensor<1024x1024xf32>, %alpha: tensor<f32>) -> tensor<1025x1025xf32> {
  %Z, %half_steps, %residual, %status = scaling.project
      logits(%S : tensor<1024x1024xf32>) slack(%alpha : tensor<f32>) preset(superglue)
      numerics(#scaling.numerics<absorb>)
  return %Z : tensor<1025x1025xf32>
}
