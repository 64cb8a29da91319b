func.func @project(%S: tensor<?x4x4xf32>) -> (tensor<?x4x4xf32>, tensor<?xi32>) {
  %P, %half_steps, %residual, %status = scaling.project
      logits(%S : tensor<?x4x4xf32>) preset(mhc)
  return %P, %status : tensor<?x4x4xf32>, tensor<?xi32>
}
func.func @scale(%A: tensor<?x?xf64>, %s: f64) -> tensor<?xf64> {
  %u, %v, %half_steps, %residual, %status = scaling.balance
      matrix(%A : tensor<?x?xf64>) preset(ruiz)
  return %u : tensor<?xf64>
}
