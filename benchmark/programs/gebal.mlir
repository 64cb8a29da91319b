// W6: LAPACK's gebal, job S: the balanced matrix and the powers of two.

func.func @gebal(%A: tensor<1024x1024xf64>) -> (tensor<1024x1024xf64>, tensor<1024xf64>) {
  %B, %d, %sweeps, %status = scaling.similarity_balance
      matrix(%A : tensor<1024x1024xf64>)
  return %B, %d : tensor<1024x1024xf64>, tensor<1024xf64>
}
