// RUN: scaling-opt %s --split-input-file --scaling-describe-gpu=chip=sm_90 --scaling-select-schedule --verify-diagnostics

func.func @large(%z: tensor<8x4096x4096xf32>) -> tensor<8x4096x4096xf32> {
  // expected-error@+1 {{'scaling.project' op has the schedule 'tiny_batched', a matrix in the 1020 bytes of a thread's registers, which 4096x4096 entries of 4 bytes do not fit; 'resident' is for up to 207872 bytes, 'streaming' for any matrix}}
  %P, %k, %r, %s = scaling.project logits(%z : tensor<8x4096x4096xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<kernel>)
    {scaling.schedule = #scaling.schedule<tiny_batched>}
  return %P : tensor<8x4096x4096xf32>
}

// -----

func.func @unknown(%z: tensor<8x?x4xf64>) -> tensor<8x?x4xf64> {
  // expected-error@+1 {{which ?x4 entries of 8 bytes do not fit}}
  %P, %k, %r, %s = scaling.project logits(%z : tensor<8x?x4xf64>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<kernel>)
    {scaling.schedule = #scaling.schedule<tiny_batched>}
  return %P : tensor<8x?x4xf64>
}

// -----

func.func @fits(%z: tensor<8x15x17xf32>) -> tensor<8x15x17xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<8x15x17xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<kernel>)
    {scaling.schedule = #scaling.schedule<tiny_batched>}
  return %P : tensor<8x15x17xf32>
}
