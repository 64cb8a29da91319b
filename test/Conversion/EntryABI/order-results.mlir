// RUN: scaling-opt %s --scaling-order-results | FileCheck %s

// The start of both results is where the first is made; the second one stays
// there, and has to be copied before.

// CHECK-LABEL: @shared_start
//       CHECK:   %[[X:.*]] = linalg.generic
//       CHECK:   %[[Y:.*]] = linalg.generic
//       CHECK:   materialize_in_destination %[[Y]] in restrict writable %{{.*}}
//  CHECK-NEXT:   materialize_in_destination %[[X]] in writable %{{.*}}
//  CHECK-NEXT:   return
#scalar = affine_map<(i) -> ()>
#entry = affine_map<(i) -> (i)>
func.func @shared_start(%v: tensor<?xf32>, %x: memref<f32>, %y: memref<f32>) {
  %zero = arith.constant 0.0 : f32
  %place = bufferization.to_tensor %x restrict writable : memref<f32> to tensor<f32>
  %start = linalg.fill ins(%zero : f32) outs(%place : tensor<f32>) -> tensor<f32>
  %0 = linalg.generic {indexing_maps = [#entry, #scalar], iterator_types = ["reduction"]}
      ins(%v : tensor<?xf32>) outs(%start : tensor<f32>) {
  ^bb0(%e: f32, %s: f32):
    %t = arith.addf %e, %s : f32
    linalg.yield %t : f32
  } -> tensor<f32>
  %1 = linalg.generic {indexing_maps = [#entry, #scalar], iterator_types = ["reduction"]}
      ins(%v : tensor<?xf32>) outs(%start : tensor<f32>) {
  ^bb0(%e: f32, %s: f32):
    %t = arith.maximumf %e, %s : f32
    linalg.yield %t : f32
  } -> tensor<f32>
  bufferization.materialize_in_destination %0 in writable %x : (tensor<f32>, memref<f32>) -> ()
  bufferization.materialize_in_destination %1 in restrict writable %y : (tensor<f32>, memref<f32>) -> ()
  return
}
