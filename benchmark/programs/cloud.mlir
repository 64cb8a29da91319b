// W4: the potentials between two clouds of uniform weights, GeomLoss's schedule:
// cost |x - y|²/2, blur 0.05, scaling 0.9, diameter 1. The cost here is not
// halved, so every ε is doubled, and so are the potentials.

func.func @cloud(%x: tensor<4096x3xf32>, %y: tensor<4096x3xf32>)
    -> (tensor<4096xf32>, tensor<4096xf32>) {
  %empty = tensor.empty() : tensor<4096x4096xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<4096x3xf32>, tensor<4096x3xf32>)
      outs(%empty : tensor<4096x4096xf32>) -> tensor<4096x4096xf32>
  %f, %g, %half_steps, %residual, %status = scaling.sinkhorn
      cost(%C : tensor<4096x4096xf32>)
      form(#scaling.form<cost, start = targets, anneal = [2.0, 2.0, 2.0, 1.62, 1.3122, 1.062882, 0.8609344200000001, 0.6973568802000001, 0.5648590729620001, 0.4575358490992202, 0.3706040377703683, 0.3001892705939983, 0.24315330918113862, 0.19695418043672236, 0.15953288615374508, 0.12922163778453352, 0.10466952660547219, 0.08478231655043247, 0.06867367640585029, 0.055625677888738734, 0.04505679908987837, 0.03649600726280148, 0.029561765882869195, 0.02394503036512407, 0.019395474595750493, 0.015710334422557898, 0.012725370882271898, 0.010307550414640236, 0.00834911583585859, 0.006762783827045458, 0.005477854899906825, 0.005000000000000001], extrapolate>)
      rows(#scaling.rule<sum, target = uniform, reference = product, omega = 0.5>)
      cols(#scaling.rule<sum, target = uniform, reference = product, omega = 0.5>)
      order(jacobi) stop(#scaling.stop<fixed 66>) numerics(#scaling.numerics<log>)
  return %f, %g : tensor<4096xf32>, tensor<4096xf32>
}
