// RUN: scaling-opt %s --scaling-form-team --split-input-file --verify-diagnostics

func.func @outputs(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{has outputs: loops are given to threads after bufferization}}
  %r = scf.forall (%i) in (4) shared_outs(%o = %x) -> tensor<4xf32> {
    scf.forall.in_parallel {
    }
  }
  return %r : tensor<4xf32>
}

// -----

func.func @capture(%x: tensor<4xf32>, %m: memref<4xf32>) {
  // expected-error @below {{uses a value of type 'tensor<4xf32>' that cannot be handed to a thread}}
  scf.forall (%i) in (4) {
    %v = tensor.extract %x[%i] : tensor<4xf32>
    memref.store %v, %m[%i] : memref<4xf32>
  }
  return
}
