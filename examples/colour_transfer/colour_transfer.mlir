// Colour transfer by entropic optimal transport.
//
// A colour is a row of three numbers, in any space; the cost of moving one to
// another is the squared distance. All sizes come with the arguments.

// The potentials of the plan between two samples of colours, all of one weight:
// alternate row and column half-steps until the rows' sums are right to 1e-5 in
// the 1-norm (the columns' sums are right by then).
func.func @solve(%x: tensor<?x3xf32> {scaling.name = "source"},
                 %y: tensor<?x3xf32> {scaling.name = "target"}, %epsilon: f64)
    -> (tensor<?xf64> {scaling.name = "f"}, tensor<?xf64> {scaling.name = "g"},
        tensor<i32> {scaling.result = "half_steps"},
        tensor<f64> {scaling.result = "residual"},
        tensor<i32> {scaling.result = "status"}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x3xf32>
  %m = tensor.dim %y, %c0 : tensor<?x3xf32>
  %empty = tensor.empty(%n, %m) : tensor<?x?xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<?x3xf32>, tensor<?x3xf32>)
      outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  %e = tensor.from_elements %epsilon : tensor<f64>
  %f, %g, %half_steps, %residual, %status = scaling.sinkhorn
      cost(%C : tensor<?x?xf32>) epsilon(%e : tensor<f64>)
      rows(#scaling.rule<sum, target = uniform>)
      cols(#scaling.rule<sum, target = uniform>) order(rows_first)
      stop(#scaling.stop<until 1.0e-5, axis = rows, norm = l1, every = 10, start = 10, limit = 4000>)
      numerics(#scaling.numerics<absorb, accumulate = f64>)
  return %f, %g, %half_steps, %residual, %status
      : tensor<?xf64>, tensor<?xf64>, tensor<i32>, tensor<f64>, tensor<i32>
}

// Ten half-steps of the same iteration from given potentials, and the residual
// after them: called again and again, it shows how the iteration converges.
func.func @resume(%x: tensor<?x3xf32> {scaling.name = "source"},
                   %y: tensor<?x3xf32> {scaling.name = "target"}, %epsilon: f64,
                   %f0: tensor<?xf64> {scaling.name = "f_start"},
                   %g0: tensor<?xf64> {scaling.name = "g_start"})
    -> (tensor<?xf64> {scaling.name = "f"}, tensor<?xf64> {scaling.name = "g"},
        tensor<f64> {scaling.result = "residual"}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x3xf32>
  %m = tensor.dim %y, %c0 : tensor<?x3xf32>
  %empty = tensor.empty(%n, %m) : tensor<?x?xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<?x3xf32>, tensor<?x3xf32>)
      outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  %e = tensor.from_elements %epsilon : tensor<f64>
  %f, %g, %half_steps, %residual, %status = scaling.sinkhorn
      cost(%C : tensor<?x?xf32>) row_init(%f0 : tensor<?xf64>) col_init(%g0 : tensor<?xf64>)
      epsilon(%e : tensor<f64>)
      rows(#scaling.rule<sum, target = uniform>)
      cols(#scaling.rule<sum, target = uniform>) order(rows_first)
      stop(#scaling.stop<fixed 10, measure = last, axis = rows, norm = l1>)
      numerics(#scaling.numerics<absorb, accumulate = f64>)
  return %f, %g, %residual : tensor<?xf64>, tensor<?xf64>, tensor<f64>
}

#matrix = affine_map<(i, j) -> (i, j)>
#columns = affine_map<(j) -> (j)>

// Where the plan sends any colour, of the sample or not: one row half-step
// against the target's potential gives the colour its own potential, and the
// plan's row is the weights of a mean of the target's colours. (It is softmax
// attention: queries are pixels, keys and values the target's colours.)
func.func @map(%pixels: tensor<?x3xf32> {scaling.name = "pixels"},
               %y: tensor<?x3xf32> {scaling.name = "target"},
               %g: tensor<?xf64> {scaling.name = "g"}, %epsilon: f64)
    -> (tensor<?x3xf32> {scaling.name = "mapped"}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f64
  %n = tensor.dim %pixels, %c0 : tensor<?x3xf32>
  %m = tensor.dim %y, %c0 : tensor<?x3xf32>
  %inverse = arith.divf %one, %epsilon : f64
  %scale = arith.truncf %inverse : f64 to f32

  // X = -|x_i - y_j|²/ε and G = g/ε: the iteration itself knows no ε.
  %empty = tensor.empty(%n, %m) : tensor<?x?xf32>
  %C = scaling.pairwise sqeuclidean points(%pixels, %y : tensor<?x3xf32>, tensor<?x3xf32>)
      outs(%empty : tensor<?x?xf32>) -> tensor<?x?xf32>
  %X = linalg.generic {indexing_maps = [#matrix], iterator_types = ["parallel", "parallel"]}
      outs(%C : tensor<?x?xf32>) {
  ^bb0(%c: f32):
    %scaled = arith.mulf %c, %scale : f32
    %x = arith.negf %scaled : f32
    linalg.yield %x : f32
  } -> tensor<?x?xf32>
  %empty_g = tensor.empty(%m) : tensor<?xf32>
  %G = linalg.generic {indexing_maps = [#columns, #columns], iterator_types = ["parallel"]}
      ins(%g : tensor<?xf64>) outs(%empty_g : tensor<?xf32>) {
  ^bb0(%gj: f64, %out: f32):
    %scaled = arith.mulf %gj, %inverse : f64
    %narrow = arith.truncf %scaled : f64 to f32
    linalg.yield %narrow : f32
  } -> tensor<?xf32>

  %F, %same, %half_steps, %residual, %status = scaling.iterate
      matrix(%X : tensor<?x?xf32>) col_start(%G : tensor<?xf32>)
      rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first)
      stop(#scaling.stop<fixed 1>) numerics(#scaling.numerics<log>)
  %empty_colours = tensor.empty(%n) : tensor<?x3xf32>
  %black = linalg.fill ins(%zero : f32) outs(%empty_colours : tensor<?x3xf32>) -> tensor<?x3xf32>
  %mapped = scaling.apply product domain(log) matrix(%X : tensor<?x?xf32>)
      row(%F : tensor<?xf32>) col(%same : tensor<?xf32>) operand(%y : tensor<?x3xf32>)
      outs(%black : tensor<?x3xf32>) -> tensor<?x3xf32>
  return %mapped : tensor<?x3xf32>
}
