// RUN: scaling-opt %s --split-input-file --scaling-describe-gpu=chip=sm_90 --scaling-select-schedule --verify-diagnostics

func.func @large(%z: tensor<8x4096x4096xf32>) -> tensor<8x4096x4096xf32> {
  // expected-error@+1 {{'scaling.project' op has the schedule 'tiny_batched', a matrix, its factors, marginals and masks in a thread's registers, up to 792 bytes, which 4096x4096 entries of 4 bytes do not fit; 'resident' is for matrices of up to 207872 bytes, 'streaming' for any}}
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

func.func @fits(%z: tensor<8x12x12xf32>) -> tensor<8x12x12xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<8x12x12xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<kernel>)
    {scaling.schedule = #scaling.schedule<tiny_batched>}
  return %P : tensor<8x12x12xf32>
}

// -----

// Exponentials of f64 take registers themselves.
func.func @logarithms(%z: tensor<8x4x6xf64>) -> tensor<8x4x6xf64> {
  // expected-error@+1 {{up to 312 bytes, which 4x6 entries of 8 bytes do not fit}}
  %P, %k, %r, %s = scaling.project logits(%z : tensor<8x4x6xf64>) stop(#scaling.stop<until 1.0e-3, axis = rows, limit = 9>) numerics(#scaling.numerics<log>)
    {scaling.schedule = #scaling.schedule<tiny_batched>}
  return %P : tensor<8x4x6xf64>
}

// -----

func.func @block(%z: tensor<8x400x400xf32>) -> tensor<8x400x400xf32> {
  // expected-error@+1 {{'scaling.project' op has the schedule 'resident', a matrix in the shared memory of a block, up to 207872 bytes, which 400x400 entries of 4 bytes do not fit; 'streaming' is for any}}
  %P, %k, %r, %s = scaling.project logits(%z : tensor<8x400x400xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<kernel>)
    {scaling.schedule = #scaling.schedule<resident>}
  return %P : tensor<8x400x400xf32>
}

// -----

func.func @no_points(%z: tensor<400x400xf32>) -> tensor<400x400xf32> {
  // expected-error@+1 {{'scaling.project' op has the schedule 'cloud', of costs or logits that sweeps make from points, which its matrix is not; 'streaming' is for any}}
  %P, %k, %r, %s = scaling.project logits(%z : tensor<400x400xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
    {scaling.schedule = #scaling.schedule<cloud>}
  return %P : tensor<400x400xf32>
}
