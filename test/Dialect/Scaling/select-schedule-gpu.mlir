// RUN: scaling-opt %s --scaling-describe-gpu=chip=sm_90 --scaling-select-schedule | FileCheck %s
// RUN: scaling-opt %s --scaling-describe-gpu=chip=sm_80 --scaling-select-schedule | FileCheck %s --check-prefix=SM80
// RUN: scaling-opt %s --scaling-describe-gpu=chip=sm_90 --scaling-select-schedule --scaling-tile-batch | FileCheck %s --check-prefix=TILE

// CHECK-LABEL: func.func @registers
// CHECK: #scaling.schedule<tiny_batched>
// TILE-LABEL: func.func @registers
// TILE: {mapping = [#gpu.thread<linear_dim_0>]}
func.func @registers(%z: tensor<?x8x8xf32>) -> tensor<?x8x8xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x8x8xf32>) preset(mhc)
  return %P : tensor<?x8x8xf32>
}

// CHECK-LABEL: func.func @shared
// CHECK: #scaling.schedule<resident>
// SM80-LABEL: func.func @shared
// SM80: #scaling.schedule<streaming
// TILE-LABEL: func.func @shared
// TILE: {mapping = [#gpu.block<linear_dim_0>, #gpu.block<linear_dim_1>]}
func.func @shared(%z: tensor<2x3x200x200xf32>) -> tensor<2x3x200x200xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<2x3x200x200xf32>) preset(mhc)
  return %P : tensor<2x3x200x200xf32>
}

// CHECK-LABEL: func.func @grid
// CHECK: #scaling.schedule<streaming, row_block = 8>
func.func @grid(%z: tensor<64x64xf32>) -> tensor<64x64xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<64x64xf32>) preset(mhc)
  return %P : tensor<64x64xf32>
}

// Costs between points are made in the sweeps; in kernel arithmetic they are
// stored.
// CHECK-LABEL: func.func @points
// CHECK: scaling.project {{.*}}#scaling.schedule<cloud, row_block = 8>
// CHECK: scaling.project {{.*}}#scaling.schedule<streaming, row_block = 8>
func.func @points(%x: tensor<64x5xf32>) -> (tensor<64x64xf32>, tensor<64x64xf32>) {
  %e = tensor.empty() : tensor<64x64xf32>
  %z = scaling.pairwise dot points(%x, %x : tensor<64x5xf32>, tensor<64x5xf32>) outs(%e : tensor<64x64xf32>) -> tensor<64x64xf32>
  %P, %k, %r, %s = scaling.project logits(%z : tensor<64x64xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  %Q, %l, %t, %u = scaling.project logits(%z : tensor<64x64xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<kernel>)
  return %P, %Q : tensor<64x64xf32>, tensor<64x64xf32>
}

// Heads that do not fit a block, all at once.
// CHECK-LABEL: func.func @heads
// CHECK: scaling.attention {{.*}}#scaling.schedule<cloud, row_block = 8>
// TILE-LABEL: func.func @heads
// TILE-NOT: scf.for
// TILE: scaling.attention
func.func @heads(%q: tensor<2x300x16xf32>, %k: tensor<2x300x16xf32>, %v: tensor<2x300x16xf32>) -> tensor<2x300x16xf32> {
  %o, %h, %r, %s = scaling.attention query(%q : tensor<2x300x16xf32>) key(%k : tensor<2x300x16xf32>)
      value(%v : tensor<2x300x16xf32>) preset(sinkformer) stop(#scaling.stop<fixed 3>)
  return %o : tensor<2x300x16xf32>
}

// Points of narrower types are cast; costs of these would be rounded.
// CHECK-LABEL: func.func @narrow
// CHECK: scaling.project {{.*}}#scaling.schedule<cloud, row_block = 8>
// CHECK: scaling.project {{.*}}#scaling.schedule<streaming, row_block = 8>
func.func @narrow(%x: tensor<64x5xbf16>) -> (tensor<64x64xf32>, tensor<64x64xf16>) {
  %e = tensor.empty() : tensor<64x64xf32>
  %z = scaling.pairwise cosine points(%x, %x : tensor<64x5xbf16>, tensor<64x5xbf16>) outs(%e : tensor<64x64xf32>) -> tensor<64x64xf32>
  %P, %k, %r, %s = scaling.project logits(%z : tensor<64x64xf32>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  %h = tensor.empty() : tensor<64x64xf16>
  %c = scaling.pairwise dot points(%x, %x : tensor<64x5xbf16>, tensor<64x5xbf16>) outs(%h : tensor<64x64xf16>) -> tensor<64x64xf16>
  %Q, %l, %t, %u = scaling.project logits(%c : tensor<64x64xf16>) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<log>)
  return %P, %Q : tensor<64x64xf32>, tensor<64x64xf16>
}

// Code around reductions, as derivatives are: all that keeps the batch's
// elements apart is one loop, whose iterations are threads or blocks.

// TILE-LABEL: func.func @code_in_threads
// TILE: scf.forall
// TILE: scf.for
// TILE: scaling.reduce {{.*}} matrix(%{{.*}} : tensor<1x4x4xf32>) factor(%{{.*}} : tensor<1x4xf32>)
// TILE: tensor.parallel_insert_slice {{.*}} : tensor<1x4xf32> into tensor<?x4xf32>
// TILE: {mapping = [#gpu.thread<linear_dim_0>]}
func.func @code_in_threads(%k: tensor<?x4x4xf32>, %g: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %k, %c0 : tensor<?x4x4xf32>
  %r = scf.for %i = %c0 to %c3 step %c1 iter_args(%v = %g) -> (tensor<?x4xf32>) {
    %e = tensor.empty(%n) : tensor<?x4xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
    %s = scaling.reduce along(rows) stat(#scaling.sum) matrix(%k : tensor<?x4x4xf32>) factor(%v : tensor<?x4xf32>) outs(%z : tensor<?x4xf32>) -> tensor<?x4xf32>
    scf.yield %s : tensor<?x4xf32>
  }
  return %r : tensor<?x4xf32>
}

// TILE-LABEL: func.func @code_in_blocks
// TILE: scf.forall
// TILE: scaling.reduce {{.*}} matrix(%{{.*}} : tensor<1x40x40xf32>)
// TILE: {mapping = [#gpu.block<linear_dim_0>]}
func.func @code_in_blocks(%k: tensor<9x40x40xf32>, %g: tensor<9x40xf32>) -> tensor<9x40xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %zero = arith.constant 0.0 : f32
  %r = scf.for %i = %c0 to %c3 step %c1 iter_args(%v = %g) -> (tensor<9x40xf32>) {
    %e = tensor.empty() : tensor<9x40xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<9x40xf32>) -> tensor<9x40xf32>
    %s = scaling.reduce along(rows) stat(#scaling.sum) matrix(%k : tensor<9x40x40xf32>) factor(%v : tensor<9x40xf32>) outs(%z : tensor<9x40xf32>) -> tensor<9x40xf32>
    scf.yield %s : tensor<9x40xf32>
  }
  return %r : tensor<9x40xf32>
}
