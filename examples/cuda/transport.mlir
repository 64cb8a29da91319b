// A transport plan between two histograms, on the GPU: entries of the plan sum
// to `row_marginal` along rows and to `col_marginal` along columns.
func.func @transport(%cost: tensor<?x?xf32>, %row_marginal: tensor<?xf32>,
                     %col_marginal: tensor<?xf32>) -> tensor<?x?xf32> {
  %plan, %half_steps, %residual, %status = scaling.project
    cost(%cost : tensor<?x?xf32>)
    row_marginal(%row_marginal : tensor<?xf32>)
    col_marginal(%col_marginal : tensor<?xf32>)
    form(#scaling.form<cost, epsilon = 0.1>)
    stop(#scaling.stop<fixed 100>) numerics(#scaling.numerics<kernel>)
  return %plan : tensor<?x?xf32>
}
