func.func @sweep(%K: tensor<37x53xf32> {bufferization.writable = false}, %a: tensor<37xf32> {bufferization.writable = false},
                 %b: tensor<53xf32> {bufferization.writable = false}) -> (tensor<37xf32>, tensor<53xf32>) {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c10 = arith.constant 10 : index
  %en = tensor.empty() : tensor<37xf32>
  %em = tensor.empty() : tensor<53xf32>
  %un = tensor.empty() : tensor<37xf32>
  %vm = tensor.empty() : tensor<53xf32>
  %u0 = linalg.fill ins(%one : f32) outs(%un : tensor<37xf32>) -> tensor<37xf32>
  %v0 = linalg.fill ins(%one : f32) outs(%vm : tensor<53xf32>) -> tensor<53xf32>
  %r:2 = scf.for %i = %c0 to %c10 step %c1 iter_args(%u = %u0, %v = %v0) -> (tensor<37xf32>, tensor<53xf32>) {
    %zn = linalg.fill ins(%zero : f32) outs(%en : tensor<37xf32>) -> tensor<37xf32>
    %rs = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<37x53xf32>) factor(%v : tensor<53xf32>) outs(%zn : tensor<37xf32>) -> tensor<37xf32>
    %u1 = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%rs : tensor<37xf32>) own(%u : tensor<37xf32>) target(%a : tensor<37xf32>) outs(%u : tensor<37xf32>) -> tensor<37xf32>
    %zm = linalg.fill ins(%zero : f32) outs(%em : tensor<53xf32>) -> tensor<53xf32>
    %cs = scaling.reduce along(cols) stat(#scaling.sum) matrix(%K : tensor<37x53xf32>) factor(%u1 : tensor<37xf32>) outs(%zm : tensor<53xf32>) -> tensor<53xf32>
    %v1 = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%cs : tensor<53xf32>) own(%v : tensor<53xf32>) target(%b : tensor<53xf32>) outs(%v : tensor<53xf32>) -> tensor<53xf32>
    scf.yield %u1, %v1 : tensor<37xf32>, tensor<53xf32>
  }
  return %r#0, %r#1 : tensor<37xf32>, tensor<53xf32>
}

