// RUN: scaling-opt %s --scaling-expand-gpu-math --split-input-file --verify-diagnostics

func.func @sine(%x: f32) -> f32 {
  // expected-error @below {{'math.sin' op on 'f32' has no form on the GPU without a device library}}
  %r = math.sin %x : f32
  return %r : f32
}

// -----

func.func @error_function_of_doubles(%x: f64) -> f64 {
  // expected-error @below {{'math.erf' op on 'f64' has no form on the GPU without a device library}}
  %r = math.erf %x : f64
  return %r : f64
}
