// RUN: scaling-opt %s --scaling-lower-to-linalg --split-input-file --verify-diagnostics

func.func @named(%z: tensor<?x4x4xf32>) -> tensor<?x4x4xf32> {
  // expected-error @below {{'scaling.project' op must be generalized first (--scaling-generalize)}}
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x4x4xf32>) preset(mhc)
  return %P : tensor<?x4x4xf32>
}

// -----

// One error, for the first of them.
func.func @iterate(%K: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  // expected-error @below {{'scaling.iterate' op must be decomposed first (--scaling-decompose)}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<8x4xf32>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum>)
    order(rows_first) stop(#scaling.stop<fixed 20>) numerics(#scaling.numerics<kernel>)
  %u1, %v1, %k1, %r1, %s1 = scaling.iterate matrix(%K : tensor<8x4xf32>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum>)
    order(rows_first) stop(#scaling.stop<fixed 10>) numerics(#scaling.numerics<kernel>)
  return %u, %u1 : tensor<8xf32>, tensor<8xf32>
}

// -----

func.func @bufferized(%K: memref<8x4xf32>, %s: memref<8xf32>) {
  // expected-error @below {{'scaling.reduce' op is on memrefs: linalg is made from tensors, before bufferization}}
  scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : memref<8x4xf32>) outs(%s : memref<8xf32>)
  return
}
