util.func private @scaling.project(tensor<?x4x4xf32>) -> (tensor<?x4x4xf32>, tensor<?xi32>)
func.func @main(%S: tensor<?x4x4xf32>) -> (tensor<?x4x4xf32>, tensor<?xi32>) {
  %P, %status = util.call @scaling.project(%S)
      : (tensor<?x4x4xf32>) -> (tensor<?x4x4xf32>, tensor<?xi32>)
  return %P, %status : tensor<?x4x4xf32>, tensor<?xi32>
}
