// RUN: scaling-opt %s --scaling-select-schedule --split-input-file | FileCheck %s

// A batch of tiny matrices goes into lanes, as many as the target's vectors have;
// of the smallest, two vectors at once.

// CHECK-LABEL: func.func @tiny
// CHECK: scaling.schedule = #scaling.schedule<tiny_batched, lanes = 32>
// CHECK: scaling.schedule = #scaling.schedule<tiny_batched, lanes = 16>
module attributes {dlti.target_system_spec = #dlti.target_system_spec<"CPU" = #dlti.target_device_spec<"max_vector_op_width" = 512 : i64, "L2_cache_size_in_bytes" = 1048576 : i64>>} {
  func.func @tiny(%z: tensor<?x4x4xf32>, %y: tensor<?x16x16xf32>) -> (tensor<?x4x4xf32>, tensor<?x16x16xf32>) {
    %P, %k, %r, %s = scaling.project logits(%z : tensor<?x4x4xf32>) preset(mhc)
    %Q, %k1, %r1, %s1 = scaling.project logits(%y : tensor<?x16x16xf32>) preset(mhc)
    return %P, %Q : tensor<?x4x4xf32>, tensor<?x16x16xf32>
  }
}

// -----

// Matrices that fit half of L2, or of unknown size, one a core.

// CHECK-LABEL: func.func @resident
// CHECK-COUNT-2: scaling.schedule = #scaling.schedule<resident>
func.func @resident(%z: tensor<8x197x197xf32>, %y: tensor<?x?x?xf32>) -> (tensor<8x197x197xf32>, tensor<?x?x?xf32>) {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<8x197x197xf32>) preset(sinkformer)
  %Q, %k1, %r1, %s1 = scaling.project logits(%y : tensor<?x?x?xf32>) preset(sinkformer)
  return %P, %Q : tensor<8x197x197xf32>, tensor<?x?x?xf32>
}

// -----

// A single matrix, and a batch of large ones; fewer rows at once when long.

// CHECK-LABEL: func.func @streaming
// CHECK: scaling.schedule = #scaling.schedule<streaming, row_block = 8>
// CHECK: scaling.schedule = #scaling.schedule<streaming, row_block = 4>
func.func @streaming(%z: tensor<512x512xf32>, %y: tensor<2x4096x4096xf32>) -> (tensor<512x512xf32>, tensor<2x4096x4096xf32>) {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<512x512xf32>) preset(mhc_log)
  %Q, %k1, %r1, %s1 = scaling.project logits(%y : tensor<2x4096x4096xf32>) preset(mhc_log)
  return %P, %Q : tensor<512x512xf32>, tensor<2x4096x4096xf32>
}

// -----

// What is written stays.

// CHECK-LABEL: func.func @given
// CHECK: scaling.iterate
// CHECK-SAME: schedule(#scaling.schedule<resident, row_block = 2>)
func.func @given(%K: tensor<512x512xf32>) -> tensor<512xf32> {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<512x512xf32>) stop(#scaling.stop<fixed 4>)
    numerics(#scaling.numerics<kernel>) schedule(#scaling.schedule<resident, row_block = 2>)
  return %u : tensor<512xf32>
}
