// RUN: scaling-opt %s --scaling-fuse-elementwise --split-input-file | FileCheck %s

// One pass over memory: what is read once, or costs nothing, goes into its
// reader, and the product stays one.

// CHECK-LABEL: func.func @linear_layer
// CHECK: linalg.matmul
// CHECK: linalg.generic
// CHECK: arith.addf
// CHECK: math.exp
// CHECK-NOT: linalg.generic
// CHECK: return
#row = affine_map<(i, j) -> (j)>
#all = affine_map<(i, j) -> (i, j)>
func.func @linear_layer(%x: tensor<?x32xf32>, %w: tensor<32x64xf32>, %bias: tensor<64xf32>, %out: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = linalg.matmul ins(%x, %w : tensor<?x32xf32>, tensor<32x64xf32>) outs(%out : tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = linalg.broadcast ins(%bias : tensor<64xf32>) outs(%out : tensor<?x64xf32>) dimensions = [0]
  %2 = linalg.generic {indexing_maps = [#all, #all, #all], iterator_types = ["parallel", "parallel"]}
      ins(%0, %1 : tensor<?x64xf32>, tensor<?x64xf32>) outs(%out : tensor<?x64xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<?x64xf32>
  %3 = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
      ins(%2 : tensor<?x64xf32>) outs(%out : tensor<?x64xf32>) {
  ^bb0(%a: f32, %c: f32):
    %s = math.exp %a : f32
    linalg.yield %s : f32
  } -> tensor<?x64xf32>
  return %3 : tensor<?x64xf32>
}

// -----

// A root per row is not one per entry, and an exponential with two readers is
// computed once.

// CHECK-LABEL: func.func @stays
// CHECK-COUNT-4: linalg.generic
#row = affine_map<(i, j) -> (i)>
#all = affine_map<(i, j) -> (i, j)>
func.func @stays(%x: tensor<?x32xf32>, %v: tensor<?xf32>, %out: tensor<?x32xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %0 = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%v : tensor<?xf32>) outs(%v : tensor<?xf32>) {
  ^bb0(%a: f32, %c: f32):
    %s = math.sqrt %a : f32
    linalg.yield %s : f32
  } -> tensor<?xf32>
  %1 = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<?x32xf32>) outs(%out : tensor<?x32xf32>) {
  ^bb0(%a: f32, %c: f32):
    %s = math.exp %a : f32
    linalg.yield %s : f32
  } -> tensor<?x32xf32>
  %2:2 = scf.execute_region -> (tensor<?x32xf32>, tensor<?x32xf32>) {
    %3 = linalg.generic {indexing_maps = [#all, #row, #all], iterator_types = ["parallel", "parallel"]}
        ins(%1, %0 : tensor<?x32xf32>, tensor<?xf32>) outs(%out : tensor<?x32xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %s = arith.divf %a, %b : f32
      linalg.yield %s : f32
    } -> tensor<?x32xf32>
    %4 = linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
        ins(%1 : tensor<?x32xf32>) outs(%out : tensor<?x32xf32>) {
    ^bb0(%a: f32, %c: f32):
      %s = math.log %a : f32
      linalg.yield %s : f32
    } -> tensor<?x32xf32>
    scf.yield %3, %4 : tensor<?x32xf32>, tensor<?x32xf32>
  }
  return %2#0, %2#1 : tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

// Weights are as they are read.

// CHECK-LABEL: func.func @weights
// CHECK-DAG: %[[T:.*]] = arith.constant dense<{{\[\[}}1, 4], [2, 5], [3, 6]]>
// CHECK-DAG: %[[S:.*]] = arith.constant dense<{{\[\[}}2, 3], [5, 6]]>
// CHECK-DAG: %[[R:.*]] = arith.constant dense_resource<{{.*}}> : tensor<2x1xf32>
// CHECK: return %[[T]], %[[S]], %[[R]]
func.func @weights() -> (tensor<3x2xi32>, tensor<2x2xi32>, tensor<2x1xf32>) {
  %w = arith.constant dense<[[1, 2, 3], [4, 5, 6]]> : tensor<2x3xi32>
  %r = arith.constant dense_resource<row> : tensor<1x2xf32>
  %e = tensor.empty() : tensor<3x2xi32>
  %0 = linalg.transpose ins(%w : tensor<2x3xi32>) outs(%e : tensor<3x2xi32>) permutation = [1, 0]
  %1 = tensor.extract_slice %w[0, 1] [2, 2] [1, 1] : tensor<2x3xi32> to tensor<2x2xi32>
  %f = tensor.empty() : tensor<2x1xf32>
  %2 = linalg.transpose ins(%r : tensor<1x2xf32>) outs(%f : tensor<2x1xf32>) permutation = [1, 0]
  return %0, %1, %2 : tensor<3x2xi32>, tensor<2x2xi32>, tensor<2x1xf32>
}

{-#
  dialect_resources: {
    builtin: {
      row: "0x040000000000803F00000040"
    }
  }
#-}

// -----

// A picture that is cut into patches is not copied for it.

// CHECK-LABEL: func.func @patches
// CHECK: tensor.expand_shape %{{.*}} {{\[\[}}0], [1], [2, 3], [4, 5]] output_shape [%{{.*}}, 3, 2, 4, 2, 4]
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction", "reduction", "parallel"]
// CHECK: linalg.transpose
// CHECK: arith.addf
// CHECK-NOT: linalg.conv
func.func @patches(%x: tensor<?x3x8x8xf32>, %w: tensor<32x3x4x4xf32>, %out: tensor<?x32x2x2xf32>) -> tensor<?x32x2x2xf32> {
  %0 = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<4> : vector<2xi64>}
      ins(%x, %w : tensor<?x3x8x8xf32>, tensor<32x3x4x4xf32>) outs(%out : tensor<?x32x2x2xf32>) -> tensor<?x32x2x2xf32>
  return %0 : tensor<?x32x2x2xf32>
}

// -----

// CHECK-LABEL: func.func @overlapping
// CHECK: linalg.conv_2d_nchw_fchw
func.func @overlapping(%x: tensor<?x3x8x8xf32>, %w: tensor<32x3x3x3xf32>, %out: tensor<?x32x6x6xf32>) -> tensor<?x32x6x6xf32> {
  %0 = linalg.conv_2d_nchw_fchw {dilations = dense<1> : vector<2xi64>, strides = dense<1> : vector<2xi64>}
      ins(%x, %w : tensor<?x3x8x8xf32>, tensor<32x3x3x3xf32>) outs(%out : tensor<?x32x6x6xf32>) -> tensor<?x32x6x6xf32>
  return %0 : tensor<?x32x6x6xf32>
}

// -----

// What adds to its state does so once, not for every entry that reads it.

// CHECK-LABEL: func.func @accumulated
// CHECK: linalg.generic
// CHECK: arith.addf
// CHECK: linalg.generic
// CHECK: arith.mulf
func.func @accumulated(%w: tensor<f64>, %s: tensor<6xf64>, %p: tensor<6x5xf64>) -> tensor<6x5xf64> {
  %a = linalg.generic {indexing_maps = [affine_map<(i) -> ()>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%w : tensor<f64>) outs(%s : tensor<6xf64>) {
  ^bb0(%x: f64, %o: f64):
    %y = arith.addf %o, %x : f64
    linalg.yield %y : f64
  } -> tensor<6xf64>
  %e = tensor.empty() : tensor<6x5xf64>
  %b = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%p, %a : tensor<6x5xf64>, tensor<6xf64>) outs(%e : tensor<6x5xf64>) {
  ^bb0(%x: f64, %q: f64, %o: f64):
    %y = arith.mulf %q, %x : f64
    linalg.yield %y : f64
  } -> tensor<6x5xf64>
  return %b : tensor<6x5xf64>
}
