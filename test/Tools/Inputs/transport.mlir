func.func @transport(%C: tensor<?x?xf64>, %a: tensor<?xf64>, %b: tensor<?xf64>) -> (tensor<?x?xf64>, tensor<i32>, tensor<f64>, tensor<i32>) {
  %P, %k, %r, %s = scaling.project cost(%C : tensor<?x?xf64>) row_marginal(%a : tensor<?xf64>) col_marginal(%b : tensor<?xf64>) preset(pot)
  return %P, %k, %r, %s : tensor<?x?xf64>, tensor<i32>, tensor<f64>, tensor<i32>
}
