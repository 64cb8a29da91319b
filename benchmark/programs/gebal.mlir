// W6: LAPACK's gebal, job S: the balanced matrix, the powers of two and
// the number of sweeps.

func.func @gebal(%A: tensor<1024x1024xf64>)
    -> (tensor<1024x1024xf64>, tensor<1024xf64>, tensor<i32>) {
  %B, %d, %sweeps, %status = scaling.similarity_balance
      matrix(%A : tensor<1024x1024xf64>)
  return %B, %d, %sweeps : tensor<1024x1024xf64>, tensor<1024xf64>, tensor<i32>
}
