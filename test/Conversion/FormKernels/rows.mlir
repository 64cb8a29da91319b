// RUN: scaling-opt %s --scaling-form-kernels --split-input-file | FileCheck %s

// Rows that sums of rows and of columns are made of: copied to shared memory
// ahead, read from there once, and kept in registers. Sums of columns are
// carried through the loop and stored after it, with nothing to be added to.
// The exponentials are made by the first of the sweeps, which is apart.

// CHECK: gpu.func @sweeps(%[[LOGITS:.*]]: memref<64x2048xf32>, %[[K:.*]]: memref<64x2048xf32>,
// CHECK-NOT: math.exp
// CHECK: nvvm.cp.async.shared.global
// CHECK: %[[FIRST:.*]]:8 = scf.for
// CHECK: math.exp
// CHECK: memref.store %{{.*}} : memref<4x2048xf32, strided<[2048, 1], offset: ?>>
// CHECK: gpu.shuffle
// CHECK: gpu.barrier
// CHECK-NOT: memref.load %{{.*}} : memref<4x2048xf32
// CHECK: scf.yield
// CHECK: memref.store %[[FIRST]]#0
// CHECK-NOT: math.exp
// CHECK: scf.for %{{.*}} = %c1{{.*}} to %c3
// CHECK: nvvm.cp.async.shared.global
// CHECK: %[[SUMS:.*]]:8 = scf.for
// CHECK-COUNT-32: memref.load %{{.*}} : memref<4x2048xf32, strided<[2048, 1], offset: ?>, #gpu.address_space<workgroup>>
// CHECK-NOT: memref.load %{{.*}} : memref<4x2048xf32
// CHECK: gpu.shuffle
// CHECK: gpu.barrier
// CHECK-NOT: memref.load %{{.*}} : memref<4x2048xf32
// CHECK: scf.yield
// CHECK: memref.store %[[SUMS]]#0
// CHECK-NOT: math.exp
// CHECK: gpu.return

// What is added for the columns, and what follows from it, a thread does column
// by column: the sum is not made zero first, and nobody waits in between.

#all = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
#col = affine_map<(i, j) -> (j)>
#one = affine_map<(i) -> (i)>
func.func @sweeps(%logits: memref<64x2048xf32>, %k: memref<64x2048xf32>, %u: memref<64xf32>,
                  %v: memref<2048xf32>, %partial: memref<2x2048xf32>, %sum: memref<2048xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %c4 = arith.constant 4 : index
  %c32 = arith.constant 32 : index
  %zero = arith.constant 0.0 : f32
  %unit = arith.constant 1.0 : f32
  scf.forall (%i) = (0) to (64) step (32) {
    %x = memref.subview %logits[%i, 0] [32, 2048] [1, 1] : memref<64x2048xf32> to memref<32x2048xf32, strided<[2048, 1], offset: ?>>
    %y = memref.subview %k[%i, 0] [32, 2048] [1, 1] : memref<64x2048xf32> to memref<32x2048xf32, strided<[2048, 1], offset: ?>>
    linalg.generic {indexing_maps = [#all, #all], iterator_types = ["parallel", "parallel"]}
        ins(%x : memref<32x2048xf32, strided<[2048, 1], offset: ?>>) outs(%y : memref<32x2048xf32, strided<[2048, 1], offset: ?>>) {
    ^bb0(%a: f32, %b: f32):
      %e = math.exp %a : f32
      linalg.yield %e : f32
    }
  }
  linalg.fill ins(%unit : f32) outs(%v : memref<2048xf32>)
  scf.for %step = %c0 to %c3 step %c1 {
    linalg.fill ins(%zero : f32) outs(%sum : memref<2048xf32>)
    scf.forall (%i) = (0) to (64) step (32) {
      %group = affine.apply affine_map<(i) -> (i floordiv 32)>(%i)
      %y = memref.subview %k[%i, 0] [32, 2048] [1, 1] : memref<64x2048xf32> to memref<32x2048xf32, strided<[2048, 1], offset: ?>>
      %us = memref.subview %u[%i] [32] [1] : memref<64xf32> to memref<32xf32, strided<[1], offset: ?>>
      %p = memref.subview %partial[%group, 0] [1, 2048] [1, 1] : memref<2x2048xf32> to memref<2048xf32, strided<[1], offset: ?>>
      linalg.fill ins(%zero : f32) outs(%p : memref<2048xf32, strided<[1], offset: ?>>)
      scf.for %j = %c0 to %c32 step %c4 {
        %few = memref.subview %y[%j, 0] [4, 2048] [1, 1] : memref<32x2048xf32, strided<[2048, 1], offset: ?>> to memref<4x2048xf32, strided<[2048, 1], offset: ?>>
        %own = memref.subview %us[%j] [4] [1] : memref<32xf32, strided<[1], offset: ?>> to memref<4xf32, strided<[1], offset: ?>>
        linalg.fill ins(%zero : f32) outs(%own : memref<4xf32, strided<[1], offset: ?>>)
        linalg.generic {indexing_maps = [#all, #col, #row], iterator_types = ["parallel", "reduction"]}
            ins(%few, %v : memref<4x2048xf32, strided<[2048, 1], offset: ?>>, memref<2048xf32>) outs(%own : memref<4xf32, strided<[1], offset: ?>>) {
        ^bb0(%a: f32, %b: f32, %c: f32):
          %m = arith.mulf %a, %b : f32
          %s = arith.addf %c, %m : f32
          linalg.yield %s : f32
        }
        linalg.generic {indexing_maps = [#all, #row, #col], iterator_types = ["reduction", "parallel"]}
            ins(%few, %own : memref<4x2048xf32, strided<[2048, 1], offset: ?>>, memref<4xf32, strided<[1], offset: ?>>) outs(%p : memref<2048xf32, strided<[1], offset: ?>>) {
        ^bb0(%a: f32, %b: f32, %c: f32):
          %m = arith.divf %a, %b : f32
          %s = arith.addf %c, %m : f32
          linalg.yield %s : f32
        }
      }
    }
    linalg.generic {indexing_maps = [#all, #col], iterator_types = ["reduction", "parallel"]}
        ins(%partial : memref<2x2048xf32>) outs(%sum : memref<2048xf32>) {
    ^bb0(%a: f32, %c: f32):
      %s = arith.addf %c, %a : f32
      linalg.yield %s : f32
    }
    linalg.generic {indexing_maps = [#one, #one], iterator_types = ["parallel"]}
        ins(%sum : memref<2048xf32>) outs(%v : memref<2048xf32>) {
    ^bb0(%a: f32, %c: f32):
      %q = arith.divf %unit, %a : f32
      linalg.yield %q : f32
    }
  }
  return
}

// -----

// Rows of 197 entries begin anywhere in a sector, and lanes of a warp are in two
// of them: what the columns have is followed by its beginning, so that lanes
// read from all banks.

// CHECK: gpu.func @wrapped
// CHECK: memref.store %{{.*}} : memref<228xf32, #gpu.address_space<workgroup>>
// CHECK: gpu.barrier
// CHECK: %[[FURTHER:.*]] = arith.addi %[[COLUMN:.*]], %c197
// CHECK: %[[AT:.*]] = arith.select %{{.*}}, %[[FURTHER]], %[[COLUMN]]
// CHECK: memref.load %{{.*}}[%[[AT]]] : memref<228xf32, #gpu.address_space<workgroup>>
// CHECK: gpu.return
func.func @wrapped(%in: memref<?x197x197xf32>, %v: memref<?x197xf32>) {
  %c0 = arith.constant 0 : index
  %n = memref.dim %in, %c0 : memref<?x197x197xf32>
  scf.forall (%i) in (%n) {
    %x = memref.subview %in[%i, 0, 0] [1, 197, 197] [1, 1, 1] : memref<?x197x197xf32> to memref<1x197x197xf32, strided<[38809, 197, 1], offset: ?>>
    %y = memref.subview %v[%i, 0] [1, 197] [1, 1] : memref<?x197xf32> to memref<1x197xf32, strided<[197, 1], offset: ?>>
    linalg.generic {indexing_maps = [affine_map<(b, i, j) -> (b, j)>, affine_map<(b, i, j) -> (b, i, j)>], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%y : memref<1x197xf32, strided<[197, 1], offset: ?>>) outs(%x : memref<1x197x197xf32, strided<[38809, 197, 1], offset: ?>>) {
    ^bb0(%a: f32, %b: f32):
      %e = arith.mulf %a, %b : f32
      linalg.yield %e : f32
    }
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}
