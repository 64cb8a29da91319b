// Potentials between two clouds in 64 dimensions, whose distances tensor cores
// make: what the GPU gates watch.

func.func @cloud_tf32(%x: tensor<16384x64xf32>, %y: tensor<16384x64xf32>)
    -> (tensor<16384xf32>, tensor<16384xf32>) {
  %empty = tensor.empty() : tensor<16384x16384xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<16384x64xf32>, tensor<16384x64xf32>)
      outs(%empty : tensor<16384x16384xf32>) -> tensor<16384x16384xf32>
  %f, %g, %half_steps, %residual, %status = scaling.sinkhorn
      cost(%C : tensor<16384x16384xf32>)
      form(#scaling.form<cost, epsilon = 8.0>)
      rows(#scaling.rule<sum, target = uniform>)
      cols(#scaling.rule<sum, target = uniform>)
      stop(#scaling.stop<fixed 10>)
      numerics(#scaling.numerics<log, products = tf32>)
  return %f, %g : tensor<16384xf32>, tensor<16384xf32>
}
