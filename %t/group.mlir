module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.reduce"]} attributes{axis = 1 : i32} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2 = transform.scaling.tile_sweep %0 block(4) group(16) : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

