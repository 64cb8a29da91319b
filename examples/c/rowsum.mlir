// The sums of the rows of exp(x), and a made-up report.
#map = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
func.func @rowsum(%x: tensor<?x?xf32> {scaling.name = "matrix"})
    -> (tensor<?xf32> {scaling.name = "sums"}, i32 {scaling.result = "half_steps"},
        f32 {scaling.result = "residual"}, i32 {scaling.result = "status"}) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x?xf32>
  %z = arith.constant 0.0 : f32
  %e = tensor.empty(%n) : tensor<?xf32>
  %f = linalg.fill ins(%z : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %r = linalg.generic {indexing_maps = [#map, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<?x?xf32>) outs(%f : tensor<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %e1 = math.exp %a : f32
    %s = arith.addf %b, %e1 : f32
    linalg.yield %s : f32
  } -> tensor<?xf32>
  %steps = arith.constant 7 : i32
  %residual = arith.constant 0.25 : f32
  %status = arith.constant 2 : i32
  return %r, %steps, %residual, %status : tensor<?xf32>, i32, f32, i32
}

// On threads.
func.func @scale(%x: tensor<8x16xf32>, %a: f32) -> tensor<8x16xf32> {
  %e = tensor.empty() : tensor<8x16xf32>
  %r = scf.forall (%i, %j) = (0, 0) to (8, 16) step (2, 4) shared_outs(%o = %e) -> tensor<8x16xf32> {
    %s = tensor.extract_slice %x[%i, %j] [2, 4] [1, 1] : tensor<8x16xf32> to tensor<2x4xf32>
    %d = tensor.extract_slice %o[%i, %j] [2, 4] [1, 1] : tensor<8x16xf32> to tensor<2x4xf32>
    %g = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel", "parallel"]}
        ins(%s : tensor<2x4xf32>) outs(%d : tensor<2x4xf32>) {
    ^bb0(%v: f32, %b: f32):
      %q = arith.mulf %v, %a : f32
      linalg.yield %q : f32
    } -> tensor<2x4xf32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %g into %o[%i, %j] [2, 4] [1, 1] : tensor<2x4xf32> into tensor<8x16xf32>
    }
  }
  return %r : tensor<8x16xf32>
}
