// A doubly stochastic attention block (Sander et al., Sinkformers): every head
// attends with a matrix whose rows and columns are balanced, the heads are
// merged and added to the tokens. 16 tokens of 4 numbers, 4 heads of width 8.

#tokens = affine_map<(b, h, t, d, c) -> (b, t, c)>
#in     = affine_map<(b, h, t, d, c) -> (h, c, d)>
#heads  = affine_map<(b, h, t, d, c) -> (b, h, t, d)>
#out    = affine_map<(b, h, t, d, c) -> (h, d, c)>

func.func @block(%x: tensor<?x16x4xf32> {scaling.name = "tokens"},
                 %wq: tensor<4x4x8xf32> {scaling.name = "w_query"},
                 %wk: tensor<4x4x8xf32> {scaling.name = "w_key"},
                 %wv: tensor<4x4x8xf32> {scaling.name = "w_value"},
                 %wo: tensor<4x8x4xf32> {scaling.name = "w_out"})
    -> (tensor<?x16x4xf32> {scaling.name = "y"},
        tensor<?x4xf32> {scaling.result = "residual"}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %b = tensor.dim %x, %c0 : tensor<?x16x4xf32>
  %empty = tensor.empty(%b) : tensor<?x4x16x8xf32>
  %none = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x4x16x8xf32>) -> tensor<?x4x16x8xf32>
  %q = linalg.contract indexing_maps = [#tokens, #in, #heads]
      ins(%x, %wq : tensor<?x16x4xf32>, tensor<4x4x8xf32>)
      outs(%none : tensor<?x4x16x8xf32>) -> tensor<?x4x16x8xf32>
  %k = linalg.contract indexing_maps = [#tokens, #in, #heads]
      ins(%x, %wk : tensor<?x16x4xf32>, tensor<4x4x8xf32>)
      outs(%none : tensor<?x4x16x8xf32>) -> tensor<?x4x16x8xf32>
  %v = linalg.contract indexing_maps = [#tokens, #in, #heads]
      ins(%x, %wv : tensor<?x16x4xf32>, tensor<4x4x8xf32>)
      outs(%none : tensor<?x4x16x8xf32>) -> tensor<?x4x16x8xf32>

  // Three half-steps, the preset's; the error of the column sums is measured.
  %o, %half_steps, %residual, %status = scaling.attention
      query(%q : tensor<?x4x16x8xf32>) key(%k : tensor<?x4x16x8xf32>)
      value(%v : tensor<?x4x16x8xf32>) preset(sinkformer)
      stop(#scaling.stop<fixed 3, measure = last, axis = cols, norm = l1>)

  %y = linalg.contract indexing_maps = [#heads, #out, #tokens]
      ins(%o, %wo : tensor<?x4x16x8xf32>, tensor<4x8x4xf32>)
      outs(%x : tensor<?x16x4xf32>) -> tensor<?x16x4xf32>
  return %y, %residual : tensor<?x16x4xf32>, tensor<?x4xf32>
}
