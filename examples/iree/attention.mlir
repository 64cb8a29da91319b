// Scores of queries and keys, made doubly stochastic, and the mean of values
// they weigh: matmuls for IREE, the scaling for our kernel.

func.func @attend(%q: tensor<?x256x64xf32>, %k: tensor<?x64x256xf32>,
                  %v: tensor<?x256x64xf32>) -> tensor<?x256x64xf32> {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %q, %c0 : tensor<?x256x64xf32>
  %s = tensor.empty(%n) : tensor<?x256x256xf32>
  %s0 = linalg.fill ins(%zero : f32) outs(%s : tensor<?x256x256xf32>) -> tensor<?x256x256xf32>
  %scores = linalg.batch_matmul
      ins(%q, %k : tensor<?x256x64xf32>, tensor<?x64x256xf32>)
      outs(%s0 : tensor<?x256x256xf32>) -> tensor<?x256x256xf32>
  %P, %half_steps, %residual, %status = scaling.project
      logits(%scores : tensor<?x256x256xf32>) preset(sinkformer)
      stop(#scaling.stop<fixed 20>) numerics(#scaling.numerics<absorb>)
  %o = tensor.empty(%n) : tensor<?x256x64xf32>
  %o0 = linalg.fill ins(%zero : f32) outs(%o : tensor<?x256x64xf32>) -> tensor<?x256x64xf32>
  %out = linalg.batch_matmul
      ins(%P, %v : tensor<?x256x256xf32>, tensor<?x256x64xf32>)
      outs(%o0 : tensor<?x256x64xf32>) -> tensor<?x256x64xf32>
  return %out : tensor<?x256x64xf32>
}
