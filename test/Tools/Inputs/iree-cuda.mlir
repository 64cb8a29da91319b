func.func @project(%S: tensor<?x4x4xf32>) -> (tensor<?x4x4xf32>, tensor<?xi32>) {
  %P, %half_steps, %residual, %status = scaling.project
      logits(%S : tensor<?x4x4xf32>) preset(mhc)
  return %P, %status : tensor<?x4x4xf32>, tensor<?xi32>
}
func.func @large(%S: tensor<512x512xf32>) -> tensor<512x512xf32> {
  %P, %half_steps, %residual, %status = scaling.project
      logits(%S : tensor<512x512xf32>) preset(mhc)
  return %P : tensor<512x512xf32>
}
