// RUN: scaling-opt %s --scaling-select-schedule --split-input-file | FileCheck %s

// A batch of tiny matrices goes into lanes, as many as the target's vectors have;
// of the smaller ones two vectors at once, of the smallest four, but that
// exponentials take two.

// CHECK-LABEL: func.func @tiny
// CHECK: scaling.schedule = #scaling.schedule<tiny_batched, lanes = 64>
// CHECK: scaling.schedule = #scaling.schedule<tiny_batched, lanes = 32>
// CHECK: scaling.schedule = #scaling.schedule<tiny_batched, lanes = 32>
// CHECK: scaling.schedule = #scaling.schedule<tiny_batched, lanes = 16>
module attributes {dlti.target_system_spec = #dlti.target_system_spec<"CPU" = #dlti.target_device_spec<"max_vector_op_width" = 512 : i64, "L2_cache_size_in_bytes" = 1048576 : i64>>} {
  func.func @tiny(%z: tensor<?x4x4xf32>, %x: tensor<?x8x8xf32>, %y: tensor<?x16x16xf32>) -> (tensor<?x4x4xf32>, tensor<?x4x4xf32>, tensor<?x8x8xf32>, tensor<?x16x16xf32>) {
    %P, %k, %r, %s = scaling.project logits(%z : tensor<?x4x4xf32>) preset(mhc)
    %L, %k1, %r1, %s1 = scaling.project logits(%z : tensor<?x4x4xf32>) preset(mhc_log)
    %R, %k2, %r2, %s2 = scaling.project logits(%x : tensor<?x8x8xf32>) preset(mhc)
    %Q, %k3, %r3, %s3 = scaling.project logits(%y : tensor<?x16x16xf32>) preset(mhc)
    return %P, %L, %R, %Q : tensor<?x4x4xf32>, tensor<?x4x4xf32>, tensor<?x8x8xf32>, tensor<?x16x16xf32>
  }
}

// -----

// Side by side as long as the tile is about as large as L1.

// CHECK-LABEL: func.func @about_l1
// CHECK: scaling.schedule = #scaling.schedule<tiny_batched, lanes = 16>
// CHECK: scaling.schedule = #scaling.schedule<resident>
module attributes {dlti.target_system_spec = #dlti.target_system_spec<"CPU" = #dlti.target_device_spec<"max_vector_op_width" = 512 : i64, "L1_cache_size_in_bytes" = 49152 : i64>>} {
  func.func @about_l1(%z: tensor<?x28x28xf32>, %y: tensor<?x32x32xf32>) -> (tensor<?x28x28xf32>, tensor<?x32x32xf32>) {
    %P, %k, %r, %s = scaling.project logits(%z : tensor<?x28x28xf32>) preset(mhc)
    %Q, %k1, %r1, %s1 = scaling.project logits(%y : tensor<?x32x32xf32>) preset(mhc)
    return %P, %Q : tensor<?x28x28xf32>, tensor<?x32x32xf32>
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

// Costs between points: few coordinates are cheaper than a read from memory,
// many are not, unless storing takes too much; the cache decides how few.
// Where the axes take turns, what is stored serves both.

// CHECK-LABEL: func.func @clouds
// CHECK: scaling.sinkhorn {{.*}}scaling.schedule = #scaling.schedule<cloud, row_block = 4, matrix = recomputed>
// CHECK: scaling.sinkhorn {{.*}}scaling.schedule = #scaling.schedule<streaming, row_block = 4>
// CHECK: scaling.sinkhorn {{.*}}scaling.schedule = #scaling.schedule<cloud, row_block = 4, matrix = recomputed>
// CHECK: scaling.sinkhorn {{.*}}scaling.schedule = #scaling.schedule<streaming, row_block = 8>
// CHECK: scaling.sinkhorn {{.*}}scaling.schedule = #scaling.schedule<streaming, row_block = 4>
// CHECK: scaling.sinkhorn {{.*}}scaling.schedule = #scaling.schedule<streaming, row_block = 4>
// CHECK: scaling.sinkhorn {{.*}}scaling.schedule = #scaling.schedule<cloud, row_block = 4, matrix = recomputed>
func.func @clouds(%x3: tensor<4096x3xf32>, %x64: tensor<4096x64xf32>, %z: tensor<32768x64xf32>, %w: tensor<1000x8xf32>) {
  %e = tensor.empty() : tensor<4096x4096xf32>
  %0 = scaling.pairwise sqeuclidean points(%x3, %x3 : tensor<4096x3xf32>, tensor<4096x3xf32>) outs(%e : tensor<4096x4096xf32>) -> tensor<4096x4096xf32>
  %r0:5 = scaling.sinkhorn cost(%0 : tensor<4096x4096xf32>) preset(geomloss)
  %1 = scaling.pairwise sqeuclidean points(%x64, %x64 : tensor<4096x64xf32>, tensor<4096x64xf32>) outs(%e : tensor<4096x4096xf32>) -> tensor<4096x4096xf32>
  %r1:5 = scaling.sinkhorn cost(%1 : tensor<4096x4096xf32>) preset(geomloss)
  %e2 = tensor.empty() : tensor<32768x32768xf32>
  %2 = scaling.pairwise sqeuclidean points(%z, %z : tensor<32768x64xf32>, tensor<32768x64xf32>) outs(%e2 : tensor<32768x32768xf32>) -> tensor<32768x32768xf32>
  %r2:5 = scaling.sinkhorn cost(%2 : tensor<32768x32768xf32>) preset(geomloss)
  %e3 = tensor.empty() : tensor<1000x1000xf32>
  %3 = scaling.pairwise sqeuclidean points(%w, %w : tensor<1000x8xf32>, tensor<1000x8xf32>) outs(%e3 : tensor<1000x1000xf32>) -> tensor<1000x1000xf32>
  %r3:5 = scaling.sinkhorn cost(%3 : tensor<1000x1000xf32>) preset(geomloss)
  %r4:5 = scaling.sinkhorn cost(%0 : tensor<4096x4096xf32>) stop(#scaling.stop<fixed 20>)
  %k = scaling.pairwise dot points(%x3, %x3 : tensor<4096x3xf32>, tensor<4096x3xf32>) outs(%e : tensor<4096x4096xf32>) -> tensor<4096x4096xf32>
  %r5:5 = scaling.sinkhorn kernel(%k : tensor<4096x4096xf32>) order(jacobi) stop(#scaling.stop<fixed 20>)
  %r6:5 = scaling.sinkhorn cost(%0 : tensor<4096x4096xf32>) stop(#scaling.stop<fixed 20>) {scaling.never_stored}
  return
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
