// RUN: scaling-opt %s --scaling-lower-to-vector --split-input-file --verify-diagnostics

func.func @tensors(%A: tensor<4x4xf32>, %o: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{is on tensors: vector code is made from memrefs, after bufferization}}
  %r = scaling.reduce along(rows) stat(#scaling.sum) matrix(%A : tensor<4x4xf32>)
      outs(%o : tensor<4xf32>) -> tensor<4xf32>
  return %r : tensor<4xf32>
}
