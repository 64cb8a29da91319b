func.func @lazy(%x: tensor<37x3xf32>, %y: tensor<53x3xf32>, %f: tensor<37xf32>, %g: tensor<53xf32>) -> (tensor<37xf32>, tensor<53xf32>, tensor<53xf32>) {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant -3.40282347E+38 : f32
  %e = tensor.empty() : tensor<37x53xf32>
  %C = scaling.pairwise dot points(%x, %y : tensor<37x3xf32>, tensor<53x3xf32>) outs(%e : tensor<37x53xf32>) -> tensor<37x53xf32>
  %en = tensor.empty() : tensor<37xf32>
  %ln = linalg.fill ins(%low : f32) outs(%en : tensor<37xf32>) -> tensor<37xf32>
  %zn = linalg.fill ins(%zero : f32) outs(%en : tensor<37xf32>) -> tensor<37xf32>
  %rs:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<37x53xf32>) factor(%g : tensor<53xf32>) outs(%ln, %zn : tensor<37xf32>, tensor<37xf32>) -> tensor<37xf32>, tensor<37xf32>
  %f1 = scaling.update rule(#scaling.rule<sum>) domain(log) states(%rs#0, %rs#1 : tensor<37xf32>, tensor<37xf32>) own(%f : tensor<37xf32>) outs(%f : tensor<37xf32>) -> tensor<37xf32>
  %em = tensor.empty() : tensor<53xf32>
  %lm = linalg.fill ins(%low : f32) outs(%em : tensor<53xf32>) -> tensor<53xf32>
  %zm = linalg.fill ins(%zero : f32) outs(%em : tensor<53xf32>) -> tensor<53xf32>
  %cs:2 = scaling.reduce along(cols) stat(#scaling.lse) matrix(%C : tensor<37x53xf32>) factor(%f1 : tensor<37xf32>) outs(%lm, %zm : tensor<53xf32>, tensor<53xf32>) -> tensor<53xf32>, tensor<53xf32>
  return %f1, %cs#0, %cs#1 : tensor<37xf32>, tensor<53xf32>, tensor<53xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.reduce"]} attributes{axis = 1 : i32} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2 = transform.scaling.tile_sweep %0 block(8) recompute : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
