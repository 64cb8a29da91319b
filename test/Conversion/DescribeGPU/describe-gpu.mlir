// RUN: scaling-opt %s --scaling-describe-gpu=chip=sm_80 | FileCheck %s
// RUN: scaling-opt %s --scaling-describe-gpu="chip=sm_100 features=+ptx87" | FileCheck %s --check-prefix=NEW
// RUN: scaling-opt %s --scaling-describe-gpu=chip=sm_80 --scaling-describe-gpu=chip=sm_90 | FileCheck %s --check-prefix=TWICE
// RUN: not scaling-opt %s --scaling-describe-gpu=chip=sm_42 2>&1 | FileCheck %s --check-prefix=CHIP
// RUN: not scaling-opt %s --scaling-describe-gpu="chip=sm_100 features=+ptx80" 2>&1 | FileCheck %s --check-prefix=OLD
// RUN: not scaling-opt %s --scaling-describe-gpu=features=fast 2>&1 | FileCheck %s --check-prefix=WORD

// CHECK: dlti.target_system_spec = #dlti.target_system_spec<"CPU" =
// CHECK-SAME: "GPU" = #dlti.target_device_spec<"chip" = "sm_80", "features" = "+ptx80", "max_shared_memory_per_block" = 166912 : i64>
// NEW: "chip" = "sm_100", "features" = "+ptx87", "max_shared_memory_per_block" = 232448 : i64
// TWICE-NOT: sm_80
// TWICE: "chip" = "sm_90", "features" = "+ptx80"
// CHIP: error: unknown chip 'sm_42': there are sm_80, sm_90, sm_100
// OLD: error: unknown features '+ptx80' for sm_100: 'auto', or one version of PTX from '+ptx86' to '+ptx88'
// WORD: error: unknown features 'fast' for sm_90
module attributes {dlti.target_system_spec = #dlti.target_system_spec<
    "CPU" = #dlti.target_device_spec<"max_vector_op_width" = 256 : i64>>} {
  // The most exact products of a function's ops.
  // CHECK-LABEL: @rounded(
  // CHECK-SAME: attributes {scaling.products = "tf32"}
  func.func @rounded(%z: tensor<8x4xf32>) -> tensor<8x4xf32> {
    %r:4 = scaling.project logits(%z : tensor<8x4xf32>) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<log, products = tf32>)
    return %r#0 : tensor<8x4xf32>
  }
  // CHECK-LABEL: @both(
  // CHECK-NOT: scaling.products
  func.func @both(%z: tensor<8x4xf32>) -> tensor<8x4xf32> {
    %r:4 = scaling.project logits(%z : tensor<8x4xf32>) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<log, products = tf32>)
    %s:4 = scaling.project logits(%r#0 : tensor<8x4xf32>) stop(#scaling.stop<fixed 2>) numerics(#scaling.numerics<log>)
    return %s#0 : tensor<8x4xf32>
  }
}
