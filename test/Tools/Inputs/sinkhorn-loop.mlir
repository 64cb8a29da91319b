#id = affine_map<(i, j) -> (i, j)>
#r = affine_map<(i, j) -> (i)>
#c = affine_map<(i, j) -> (j)>
#i = affine_map<(i) -> (i)>
// u, v scaling of a kernel until the column violation is small.
func.func @sinkhorn(%K: tensor<?x?xf32>, %a: tensor<?xf32>, %b: tensor<?xf32>, %tol: f32, %limit: i32)
    -> (tensor<?xf32>, tensor<?xf32>, i32 {scaling.result = "half_steps"}, f32 {scaling.result = "residual"}, i32 {scaling.result = "status"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %i0 = arith.constant 0 : i32
  %c1_i32 = arith.constant 1 : i32
  %i2 = arith.constant 2 : i32
  %z = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %inf = arith.constant 0x7F800000 : f32
  %n = tensor.dim %K, %c0 : tensor<?x?xf32>
  %m = tensor.dim %K, %c1 : tensor<?x?xf32>
  %en = tensor.empty(%n) : tensor<?xf32>
  %em = tensor.empty(%m) : tensor<?xf32>
  %u0 = linalg.fill ins(%one : f32) outs(%en : tensor<?xf32>) -> tensor<?xf32>
  %v0 = linalg.fill ins(%one : f32) outs(%em : tensor<?xf32>) -> tensor<?xf32>
  %u, %v, %k, %res = scf.while (%uu = %u0, %vv = %v0, %kk = %i0, %rr = %inf) : (tensor<?xf32>, tensor<?xf32>, i32, f32) -> (tensor<?xf32>, tensor<?xf32>, i32, f32) {
    %more = arith.cmpi slt, %kk, %limit : i32
    %bad = arith.cmpf ugt, %rr, %tol : f32
    %go = arith.andi %more, %bad : i1
    scf.condition(%go) %uu, %vv, %kk, %rr : tensor<?xf32>, tensor<?xf32>, i32, f32
  } do {
  ^bb0(%uu: tensor<?xf32>, %vv: tensor<?xf32>, %kk: i32, %rr: f32):
    %s0e = tensor.empty(%n) : tensor<?xf32>
    %s0 = linalg.fill ins(%z : f32) outs(%s0e : tensor<?xf32>) -> tensor<?xf32>
    %s = linalg.generic {indexing_maps = [#id, #c, #r], iterator_types = ["parallel", "reduction"]} ins(%K, %vv : tensor<?x?xf32>, tensor<?xf32>) outs(%s0 : tensor<?xf32>) {
    ^bb0(%x: f32, %y: f32, %o: f32):
      %p = arith.mulf %x, %y : f32
      %q = arith.addf %o, %p : f32
      linalg.yield %q : f32
    } -> tensor<?xf32>
    %u1 = linalg.generic {indexing_maps = [#i, #i, #i], iterator_types = ["parallel"]} ins(%a, %s : tensor<?xf32>, tensor<?xf32>) outs(%uu : tensor<?xf32>) {
    ^bb0(%x: f32, %y: f32, %o: f32):
      %p = arith.divf %x, %y : f32
      linalg.yield %p : f32
    } -> tensor<?xf32>
    %t0e = tensor.empty(%m) : tensor<?xf32>
    %t0 = linalg.fill ins(%z : f32) outs(%t0e : tensor<?xf32>) -> tensor<?xf32>
    %t = linalg.generic {indexing_maps = [#id, #r, #c], iterator_types = ["reduction", "parallel"]} ins(%K, %u1 : tensor<?x?xf32>, tensor<?xf32>) outs(%t0 : tensor<?xf32>) {
    ^bb0(%x: f32, %y: f32, %o: f32):
      %p = arith.mulf %x, %y : f32
      %q = arith.addf %o, %p : f32
      linalg.yield %q : f32
    } -> tensor<?xf32>
    %e0 = tensor.empty() : tensor<f32>
    %e1 = linalg.fill ins(%z : f32) outs(%e0 : tensor<f32>) -> tensor<f32>
    %e2 = linalg.generic {indexing_maps = [#i, #i, #i, affine_map<(i) -> ()>], iterator_types = ["reduction"]} ins(%t, %vv, %b : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) outs(%e1 : tensor<f32>) {
    ^bb0(%x: f32, %y: f32, %w: f32, %o: f32):
      %p = arith.mulf %x, %y : f32
      %d = arith.subf %p, %w : f32
      %ab = math.absf %d : f32
      %q = arith.addf %o, %ab : f32
      linalg.yield %q : f32
    } -> tensor<f32>
    %r1 = tensor.extract %e2[] : tensor<f32>
    %v1 = linalg.generic {indexing_maps = [#i, #i, #i], iterator_types = ["parallel"]} ins(%b, %t : tensor<?xf32>, tensor<?xf32>) outs(%vv : tensor<?xf32>) {
    ^bb0(%x: f32, %y: f32, %o: f32):
      %p = arith.divf %x, %y : f32
      linalg.yield %p : f32
    } -> tensor<?xf32>
    %k1 = arith.addi %kk, %i2 : i32
    scf.yield %u1, %v1, %k1, %r1 : tensor<?xf32>, tensor<?xf32>, i32, f32
  }
  %ok = arith.cmpf ole, %res, %tol : f32
  %st = arith.select %ok, %c1_i32, %i2 : i32
  return %u, %v, %k, %res, %st : tensor<?xf32>, tensor<?xf32>, i32, f32, i32
}
