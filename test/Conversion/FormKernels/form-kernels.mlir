// RUN: scaling-opt %s --scaling-form-kernels --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-form-kernels=plain-launches=true --split-input-file | FileCheck %s --check-prefix=PLAIN

// An item per thread: a block's items at a time go through shared memory, where
// they are an odd number of elements apart; the work is straight code.

// CHECK: gpu.module @kernels
// CHECK: gpu.func @thread(%[[IN:.*]]: memref<?x2xf32>, %[[OUT:.*]]: memref<?x2xf32>) kernel
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>
// CHECK: memref.alloca() : memref<1x2xf32>
// CHECK: %[[IN1:.*]] = memref.collapse_shape %[[IN]]
// CHECK: %[[OUT1:.*]] = memref.collapse_shape %[[OUT]]
// CHECK: scf.for
// CHECK: scf.for
// CHECK: memref.load %[[IN1]]
// CHECK: gpu.barrier
// CHECK: scf.if
// CHECK-NOT: scf.for
// CHECK-COUNT-2: math.exp
// CHECK-NOT: math.exp
// CHECK: gpu.barrier
// CHECK: scf.for
// CHECK: memref.store %{{.*}}, %[[OUT1]]
// CHECK-NOT: gpu.barrier
// CHECK: gpu.return
// CHECK-NOT: func.func @thread
func.func @thread(%in: memref<?x2xf32>, %out: memref<?x2xf32>) {
  %c0 = arith.constant 0 : index
  %n = memref.dim %in, %c0 : memref<?x2xf32>
  scf.forall (%i) in (%n) {
    %x = memref.subview %in[%i, 0] [1, 2] [1, 1] : memref<?x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
    %y = memref.subview %out[%i, 0] [1, 2] [1, 1] : memref<?x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
    %t = memref.alloc() : memref<1x2xf32>
    linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
        ins(%x : memref<1x2xf32, strided<[2, 1], offset: ?>>) outs(%t : memref<1x2xf32>) {
    ^bb0(%a: f32, %b: f32):
      %e = math.exp %a : f32
      linalg.yield %e : f32
    }
    memref.copy %t, %y : memref<1x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
  } {mapping = [#gpu.thread<linear_dim_0>]}
  return
}

// -----

// An item per block of as many threads as it keeps busy: scratch in shared
// memory; lanes side by side along a row where memory runs along the reduced
// dimension, here 16 with four entries each, and every lane with four rows, of
// which it keeps one; a barrier before the sums are read, another before the
// next item.

// CHECK: gpu.func @block
// CHECK-SAME: known_block_size = array<i32: 128, 1, 1>, scaling.shared_bytes = 192 : i64
// CHECK: gpu.dynamic_shared_memory
// CHECK: scf.for
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK: gpu.barrier
// CHECK: math.log
// CHECK: gpu.barrier
// CHECK-NOT: gpu.barrier
// CHECK: gpu.return
func.func @block(%in: memref<8x40x64xf32>, %out: memref<8x40xf32>) {
  scf.forall (%i) in (8) {
    %x = memref.subview %in[%i, 0, 0] [1, 40, 64] [1, 1, 1] : memref<8x40x64xf32> to memref<40x64xf32, strided<[64, 1], offset: ?>>
    %y = memref.subview %out[%i, 0] [1, 40] [1, 1] : memref<8x40xf32> to memref<40xf32, strided<[1], offset: ?>>
    %s = memref.alloc() : memref<40xf32>
    linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
        ins(%x : memref<40x64xf32, strided<[64, 1], offset: ?>>) outs(%s : memref<40xf32>) {
    ^bb0(%a: f32, %b: f32):
      %e = arith.addf %b, %a : f32
      linalg.yield %e : f32
    }
    linalg.generic {indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> (a)>], iterator_types = ["parallel"]}
        ins(%s : memref<40xf32>) outs(%y : memref<40xf32, strided<[1], offset: ?>>) {
    ^bb0(%a: f32, %b: f32):
      %e = math.log %a : f32
      linalg.yield %e : f32
    }
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}

// -----

// Outside of parallel loops: all threads of the grid, which meet where one op
// reads what another wrote, and nowhere else.

// CHECK: gpu.func @grid(%{{.*}}: memref<?x41xf32>, %{{.*}}: memref<?xf32>, %{{.*}}: memref<?xf32>, %{{.*}}: memref<1xi64>) kernel
// CHECK-SAME: scaling.cooperative
// CHECK-NOT: gpu.barrier
// CHECK: arith.addf
// CHECK: arith.addf
// CHECK: gpu.barrier
// CHECK: llvm.fence syncscope("device") acq_rel
// CHECK: llvm.atomicrmw add %{{.*}}, %{{.*}} syncscope("device") monotonic
// CHECK: scf.while
// CHECK: llvm.load %{{.*}} atomic syncscope("device") monotonic
// CHECK: llvm.fence syncscope("device") acq_rel
// CHECK: gpu.barrier
// CHECK-NOT: gpu.barrier
// CHECK: gpu.return

// Where blocks cannot wait for each other, a launch ends there, and threads go
// on in the next one.

// PLAIN: llvm.func @scaling_launch_ends()
// PLAIN: gpu.func @grid({{.*}}, %{{.*}}: memref<?xi8>) kernel
// PLAIN-SAME: scaling.relaunched
// PLAIN-NOT: atomic
// PLAIN: gpu.barrier
// PLAIN-NEXT: llvm.call @scaling_launch_ends() {scaling.grid_barrier} : () -> ()
// PLAIN-NEXT: gpu.barrier
// PLAIN-NOT: scaling_launch_ends
// PLAIN: gpu.return
func.func @grid(%in: memref<?x41xf32>, %rows: memref<?xf32>, %cols: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
      ins(%in : memref<?x41xf32>) outs(%rows : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %e = arith.addf %b, %a : f32
    linalg.yield %e : f32
  }
  linalg.generic {indexing_maps = [affine_map<(a, b) -> (b, a)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
      ins(%in : memref<?x41xf32>) outs(%cols : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %e = arith.addf %b, %a : f32
    linalg.yield %e : f32
  }
  linalg.generic {indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> (a)>], iterator_types = ["parallel"]}
      ins(%cols : memref<?xf32>) outs(%rows : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %e = arith.mulf %b, %a : f32
    linalg.yield %e : f32
  }
  return
}

// -----

// What is read twice is read from global memory once; each of the 32 threads
// has two neighbours at a time.

// CHECK: gpu.func @stage(%[[IN:[^:]*]]: memref<8x64xf32>
// CHECK: %[[X:.*]] = memref.subview %[[IN]]
// CHECK-COUNT-2: memref.load %[[X]]
// CHECK-NOT: memref.load %[[X]]
// CHECK: gpu.barrier
// CHECK: arith.addf
// CHECK: arith.maximumf
// CHECK: gpu.return
func.func @stage(%in: memref<8x64xf32>, %sum: memref<8xf32>, %max: memref<8xf32>) {
  scf.forall (%i) in (8) {
    %x = memref.subview %in[%i, 0] [1, 64] [1, 1] : memref<8x64xf32> to memref<64xf32, strided<[1], offset: ?>>
    %s = memref.subview %sum[%i] [1] [1] : memref<8xf32> to memref<f32, strided<[], offset: ?>>
    %m = memref.subview %max[%i] [1] [1] : memref<8xf32> to memref<f32, strided<[], offset: ?>>
    linalg.generic {indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> ()>], iterator_types = ["reduction"]}
        ins(%x : memref<64xf32, strided<[1], offset: ?>>) outs(%s : memref<f32, strided<[], offset: ?>>) {
    ^bb0(%a: f32, %b: f32):
      %e = arith.addf %b, %a : f32
      linalg.yield %e : f32
    }
    linalg.generic {indexing_maps = [affine_map<(a) -> (a)>, affine_map<(a) -> ()>], iterator_types = ["reduction"]}
        ins(%x : memref<64xf32, strided<[1], offset: ?>>) outs(%m : memref<f32, strided<[], offset: ?>>) {
    ^bb0(%a: f32, %b: f32):
      %e = arith.maximumf %b, %a : f32
      linalg.yield %e : f32
    }
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}

// -----

// Sums that keep the dimension they are along: what is stored after the loop
// over it does not depend on where the loop was.

// CHECK: gpu.func @keep_dimension(%{{[^:]*}}: memref<8x64xf32>, %[[OUT:[^:]*]]: memref<8x1xf32>
// CHECK: gpu.shuffle
// CHECK: memref.store %{{.*}}, %[[OUT]][%{{.*}}, %{{.*}}]
func.func @keep_dimension(%in: memref<8x64xf32>, %out: memref<8x1xf32>) {
  linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, 0)>], iterator_types = ["parallel", "reduction"]}
      ins(%in : memref<8x64xf32>) outs(%out : memref<8x1xf32>) {
  ^bb0(%a: f32, %b: f32):
    %e = arith.addf %a, %b : f32
    linalg.yield %e : f32
  }
  return
}

// -----

// A small matrix is a warp's: rows side by side, and the rows of a column in
// different lanes.

// CHECK: gpu.func @warp
// CHECK-SAME: known_block_size = array<i32: 32, 1, 1>
// CHECK: arith.addf
// CHECK-COUNT-2: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK: scf.if
// CHECK: arith.maximumf
// CHECK-COUNT-4: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK: scf.if
// CHECK: gpu.return
func.func @warp(%in: memref<8x16x16xf32>, %rows: memref<8x16xf32>, %cols: memref<8x16xf32>) {
  scf.forall (%i) in (8) {
    %x = memref.subview %in[%i, 0, 0] [1, 16, 16] [1, 1, 1] : memref<8x16x16xf32> to memref<16x16xf32, strided<[16, 1], offset: ?>>
    %r = memref.subview %rows[%i, 0] [1, 16] [1, 1] : memref<8x16xf32> to memref<16xf32, strided<[1], offset: ?>>
    %c = memref.subview %cols[%i, 0] [1, 16] [1, 1] : memref<8x16xf32> to memref<16xf32, strided<[1], offset: ?>>
    linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
        ins(%x : memref<16x16xf32, strided<[16, 1], offset: ?>>) outs(%r : memref<16xf32, strided<[1], offset: ?>>) {
    ^bb0(%a: f32, %b: f32):
      %e = arith.addf %b, %a : f32
      linalg.yield %e : f32
    }
    linalg.generic {indexing_maps = [affine_map<(a, b) -> (b, a)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
        ins(%x : memref<16x16xf32, strided<[16, 1], offset: ?>>) outs(%c : memref<16xf32, strided<[1], offset: ?>>) {
    ^bb0(%a: f32, %b: f32):
      %e = arith.maximumf %b, %a : f32
      linalg.yield %e : f32
    }
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}

// -----

// A matrix without gaps whose rows begin anywhere: from sector to sector.

// CHECK: gpu.func @sectors(%[[IN:[^:]*]]: memref<3x37x41xf32>, %[[OUT:[^:]*]]: memref<3x37x41xf32>)
// CHECK: %[[X:.*]] = memref.collapse_shape
// CHECK: %[[Y:.*]] = memref.collapse_shape
// CHECK: memref.extract_strided_metadata
// CHECK: scf.if
// CHECK: memref.load %[[X]]
// CHECK: memref.store %{{.*}}, %[[Y]]
// CHECK: scf.for
// CHECK-COUNT-8: memref.load %[[X]]
// CHECK-COUNT-8: memref.store %{{.*}}, %[[Y]]
// CHECK: gpu.return
func.func @sectors(%in: memref<3x37x41xf32>, %out: memref<3x37x41xf32>) {
  scf.forall (%i) in (3) {
    %x = memref.subview %in[%i, 0, 0] [1, 37, 41] [1, 1, 1] : memref<3x37x41xf32> to memref<37x41xf32, strided<[41, 1], offset: ?>>
    %y = memref.subview %out[%i, 0, 0] [1, 37, 41] [1, 1, 1] : memref<3x37x41xf32> to memref<37x41xf32, strided<[41, 1], offset: ?>>
    linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
        ins(%x : memref<37x41xf32, strided<[41, 1], offset: ?>>) outs(%y : memref<37x41xf32, strided<[41, 1], offset: ?>>) {
    ^bb0(%a: f32, %b: f32):
      %e = math.exp %a : f32
      linalg.yield %e : f32
    }
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}

// -----

// What a loop reads part by part, twice each, is copied ahead of it: three
// parts are asked for before it, one more in each of its iterations.

// CHECK: gpu.func @ahead
// CHECK-COUNT-3: nvvm.cp.async.commit.group
// CHECK: nvvm.cp.async.wait.group 2
// CHECK: gpu.barrier
// CHECK: scf.for
// CHECK: nvvm.cp.async.shared.global %{{.*}}, %{{.*}}, 16, cache = cg
// CHECK: nvvm.cp.async.commit.group
// CHECK: arith.addf
// CHECK: arith.maximumf
// CHECK: nvvm.cp.async.wait.group 2
// CHECK: gpu.barrier
// CHECK: gpu.return
func.func @ahead(%in: memref<256x512xf32>, %sum: memref<256xf32>, %max: memref<4x512xf32>) {
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  %c64 = arith.constant 64 : index
  scf.forall (%i) = (0) to (256) step (64) {
    %part = affine.apply affine_map<(d0) -> (d0 floordiv 64)>(%i)
    %x = memref.subview %in[%i, 0] [64, 512] [1, 1] : memref<256x512xf32> to memref<64x512xf32, strided<[512, 1], offset: ?>>
    %m = memref.subview %max[%part, 0] [1, 512] [1, 1] : memref<4x512xf32> to memref<512xf32, strided<[1], offset: ?>>
    scf.for %j = %c0 to %c64 step %c8 {
      %y = memref.subview %x[%j, 0] [8, 512] [1, 1] : memref<64x512xf32, strided<[512, 1], offset: ?>> to memref<8x512xf32, strided<[512, 1], offset: ?>>
      %row = arith.addi %i, %j : index
      %s = memref.subview %sum[%row] [8] [1] : memref<256xf32> to memref<8xf32, strided<[1], offset: ?>>
      linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
          ins(%y : memref<8x512xf32, strided<[512, 1], offset: ?>>) outs(%s : memref<8xf32, strided<[1], offset: ?>>) {
      ^bb0(%a: f32, %b: f32):
        %e = arith.addf %b, %a : f32
        linalg.yield %e : f32
      }
      linalg.generic {indexing_maps = [affine_map<(a, b) -> (b, a)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
          ins(%y : memref<8x512xf32, strided<[512, 1], offset: ?>>) outs(%m : memref<512xf32, strided<[1], offset: ?>>) {
      ^bb0(%a: f32, %b: f32):
        %e = arith.maximumf %b, %a : f32
        linalg.yield %e : f32
      }
    }
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}

// -----

// Fewer rows than a block has warps: four warps share a row, and what they have
// is joined in order after a barrier.

// CHECK: gpu.func @share(%[[IN:[^:]*]]: memref<6x1024xf32>
// CHECK-SAME: scaling.shared_bytes = 64 : i64
// CHECK: scf.if
// CHECK-COUNT-5: gpu.shuffle xor
// CHECK-NOT: gpu.shuffle
// CHECK: memref.store %{{.*}}, %[[SHARED:.*]][%{{.*}}] : memref<8xf32, #gpu.address_space<workgroup>>
// CHECK: gpu.barrier
// CHECK: scf.if
// CHECK-COUNT-4: memref.load %[[SHARED]]
// CHECK-NOT: memref.load %[[SHARED]]
// CHECK: memref.store
// CHECK: gpu.return
func.func @share(%in: memref<6x1024xf32>, %out: memref<6xf32>, %wide: memref<3x8192xf32>) {
  scf.forall (%i) = (0) to (6) step (2) {
    %x = memref.subview %in[%i, 0] [2, 1024] [1, 1] : memref<6x1024xf32> to memref<2x1024xf32, strided<[1024, 1], offset: ?>>
    %y = memref.subview %out[%i] [2] [1] : memref<6xf32> to memref<2xf32, strided<[1], offset: ?>>
    linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
        ins(%x : memref<2x1024xf32, strided<[1024, 1], offset: ?>>) outs(%y : memref<2xf32, strided<[1], offset: ?>>) {
    ^bb0(%a: f32, %b: f32):
      %e = arith.addf %b, %a : f32
      linalg.yield %e : f32
    }
    %k = affine.apply affine_map<(d0) -> (d0 floordiv 2)>(%i)
    %w = memref.subview %wide[%k, 0] [1, 8192] [1, 1] : memref<3x8192xf32> to memref<8192xf32, strided<[1], offset: ?>>
    %zero = arith.constant 0.0 : f32
    linalg.fill ins(%zero : f32) outs(%w : memref<8192xf32, strided<[1], offset: ?>>)
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}
