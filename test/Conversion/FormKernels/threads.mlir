// RUN: scaling-opt %s --scaling-form-kernels --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-form-kernels="approximate=false" --split-input-file | FileCheck %s --check-prefix=EXACT
// RUN: scaling-opt %s --scaling-form-kernels="shared-bytes=36000" --split-input-file | FileCheck %s --check-prefix=FEWER

#all = affine_map<(b, i, j) -> (b, i, j)>
#rows = affine_map<(b, i, j) -> (b, i)>
#cols = affine_map<(b, i, j) -> (b, j)>
#same = affine_map<(b, i) -> (b, i)>

// A loop of half-steps without the checks for sums of zero, then whether a
// factor is zero or no number, then the loop with the checks.

// CHECK-LABEL: gpu.func @sums
// CHECK: scf.for
// CHECK-NOT: arith.select
// CHECK: nvvm.rcp.approx.ftz.f
// CHECK-NOT: arith.select
// CHECK: nvvm.rcp.approx.ftz.f
// CHECK-NOT: arith.select
// CHECK: arith.cmpf uge
// CHECK: scf.if
// CHECK: scf.for
// CHECK: arith.divf
// CHECK: arith.select
// EXACT-LABEL: gpu.func @sums
// EXACT-NOT: nvvm.rcp
// EXACT: arith.divf
func.func @sums(%in: memref<?x2x3xf32>, %f: memref<?x2xf32>, %g: memref<?x3xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %n = memref.dim %in, %c0 : memref<?x2x3xf32>
  scf.forall (%i) in (%n) {
    %k = memref.subview %in[%i, 0, 0] [1, 2, 3] [1, 1, 1] : memref<?x2x3xf32> to memref<1x2x3xf32, strided<[6, 3, 1], offset: ?>>
    %u = memref.alloc() : memref<1x2xf32>
    %v = memref.alloc() : memref<1x3xf32>
    %s = memref.alloc() : memref<1x2xf32>
    %t = memref.alloc() : memref<1x3xf32>
    linalg.fill ins(%one : f32) outs(%u : memref<1x2xf32>)
    linalg.fill ins(%one : f32) outs(%v : memref<1x3xf32>)
    scf.for %step = %c0 to %c9 step %c1 {
      linalg.fill ins(%zero : f32) outs(%s : memref<1x2xf32>)
      linalg.generic {indexing_maps = [#all, #cols, #rows], iterator_types = ["parallel", "parallel", "reduction"]}
          ins(%k, %v : memref<1x2x3xf32, strided<[6, 3, 1], offset: ?>>, memref<1x3xf32>) outs(%s : memref<1x2xf32>) {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %p = arith.mulf %a, %b : f32
        %q = arith.addf %o, %p : f32
        linalg.yield %q : f32
      }
      linalg.generic {indexing_maps = [#same, #same, #same], iterator_types = ["parallel", "parallel"]}
          ins(%u, %s : memref<1x2xf32>, memref<1x2xf32>) outs(%u : memref<1x2xf32>) {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %p = arith.divf %one, %b : f32
        %q = arith.cmpf oeq, %b, %zero : f32
        %r = arith.select %q, %a, %p : f32
        linalg.yield %r : f32
      }
      linalg.fill ins(%zero : f32) outs(%t : memref<1x3xf32>)
      linalg.generic {indexing_maps = [#all, #rows, #cols], iterator_types = ["parallel", "reduction", "parallel"]}
          ins(%k, %u : memref<1x2x3xf32, strided<[6, 3, 1], offset: ?>>, memref<1x2xf32>) outs(%t : memref<1x3xf32>) {
      ^bb0(%a: f32, %b: f32, %o: f32):
        %p = arith.mulf %a, %b : f32
        %q = arith.addf %o, %p : f32
        linalg.yield %q : f32
      }
      linalg.generic {indexing_maps = [#same, #same], iterator_types = ["parallel", "parallel"]}
          ins(%t : memref<1x3xf32>) outs(%v : memref<1x3xf32>) {
      ^bb0(%b: f32, %o: f32):
        %p = arith.divf %one, %b : f32
        %q = arith.cmpf oeq, %b, %zero : f32
        %r = arith.select %q, %o, %p : f32
        linalg.yield %r : f32
      }
    }
    %x = memref.subview %f[%i, 0] [1, 2] [1, 1] : memref<?x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
    %y = memref.subview %g[%i, 0] [1, 3] [1, 1] : memref<?x3xf32> to memref<1x3xf32, strided<[3, 1], offset: ?>>
    memref.copy %u, %x : memref<1x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
    memref.copy %v, %y : memref<1x3xf32> to memref<1x3xf32, strided<[3, 1], offset: ?>>
  } {mapping = [#gpu.thread<linear_dim_0>]}
  return
}

// -----

#same = affine_map<(b, i) -> (b, i)>

// A loop whose sums are no sums of the other factors keeps its checks.

// CHECK-LABEL: gpu.func @one_axis
// CHECK-NOT: nvvm.rcp
// CHECK: gpu.return
func.func @one_axis(%in: memref<?x2xf32>, %f: memref<?x2xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c9 = arith.constant 9 : index
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %n = memref.dim %in, %c0 : memref<?x2xf32>
  scf.forall (%i) in (%n) {
    %s = memref.subview %in[%i, 0] [1, 2] [1, 1] : memref<?x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
    %u = memref.alloc() : memref<1x2xf32>
    linalg.fill ins(%one : f32) outs(%u : memref<1x2xf32>)
    scf.for %step = %c0 to %c9 step %c1 {
      linalg.generic {indexing_maps = [#same, #same], iterator_types = ["parallel", "parallel"]}
          ins(%s : memref<1x2xf32, strided<[2, 1], offset: ?>>) outs(%u : memref<1x2xf32>) {
      ^bb0(%b: f32, %o: f32):
        %p = arith.divf %one, %b : f32
        %q = arith.cmpf oeq, %b, %zero : f32
        %r = arith.select %q, %o, %p : f32
        linalg.yield %r : f32
      }
    }
    %x = memref.subview %f[%i, 0] [1, 2] [1, 1] : memref<?x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
    memref.copy %u, %x : memref<1x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
  } {mapping = [#gpu.thread<linear_dim_0>]}
  return
}

// -----

// Of a thread's scratch memory, what a loop indexes is in shared memory, a
// thread's entries 128 apart, and the rest are variables. A block has fewer
// threads where it does not fit.

// CHECK-LABEL: gpu.func @history
// CHECK-SAME: scaling.shared_bytes = 8192 : i64
// CHECK: memref.alloca() : memref<1x2xf32>
// CHECK: memref.reinterpret_cast %{{.*}} to offset: [%{{.*}}], sizes: [1, 5, 2], strides: [1280, 256, 128]
// CHECK: memref.subview %{{.*}} : memref<1x5x2xf32, strided<[1280, 256, 128], offset: ?>{{.*}}> to memref<1x2xf32, strided<[{{.*}}, 128], offset: ?>
// FEWER-LABEL: gpu.func @history
// FEWER-SAME: known_block_size = array<i32: 64, 1, 1>
// FEWER: memref.reinterpret_cast %{{.*}} to offset: [%{{.*}}], sizes: [1, 5, 2], strides: [640, 128, 64]
func.func @history(%in: memref<?x2xf32>, %out: memref<?x2xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c5 = arith.constant 5 : index
  %c64 = arith.constant 64 : index
  %n = memref.dim %in, %c0 : memref<?x2xf32>
  scf.forall (%i) in (%n) {
    %arena = memref.alloc() : memref<128xi8>
    %x = memref.view %arena[%c0][] : memref<128xi8> to memref<1x2xf32>
    %h = memref.view %arena[%c64][] : memref<128xi8> to memref<1x5x2xf32>
    %s = memref.subview %in[%i, 0] [1, 2] [1, 1] : memref<?x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
    %y = memref.subview %out[%i, 0] [1, 2] [1, 1] : memref<?x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
    memref.copy %s, %x : memref<1x2xf32, strided<[2, 1], offset: ?>> to memref<1x2xf32>
    scf.for %step = %c0 to %c5 step %c1 {
      %p = memref.subview %h[0, %step, 0] [1, 1, 2] [1, 1, 1] : memref<1x5x2xf32> to memref<1x2xf32, strided<[10, 1], offset: ?>>
      linalg.generic {indexing_maps = [affine_map<(b, i) -> (b, i)>, affine_map<(b, i) -> (b, i)>], iterator_types = ["parallel", "parallel"]}
          ins(%x : memref<1x2xf32>) outs(%p : memref<1x2xf32, strided<[10, 1], offset: ?>>) {
      ^bb0(%a: f32, %o: f32):
        %e = math.exp %a : f32
        linalg.yield %e : f32
      }
      memref.copy %p, %x : memref<1x2xf32, strided<[10, 1], offset: ?>> to memref<1x2xf32>
    }
    scf.for %step = %c0 to %c5 step %c1 {
      %at = arith.subi %c4, %step : index
      %p = memref.subview %h[0, %at, 0] [1, 1, 2] [1, 1, 1] : memref<1x5x2xf32> to memref<1x2xf32, strided<[10, 1], offset: ?>>
      linalg.generic {indexing_maps = [affine_map<(b, i) -> (b, i)>, affine_map<(b, i) -> (b, i)>], iterator_types = ["parallel", "parallel"]}
          ins(%p : memref<1x2xf32, strided<[10, 1], offset: ?>>) outs(%x : memref<1x2xf32>) {
      ^bb0(%a: f32, %o: f32):
        %e = arith.divf %a, %o : f32
        linalg.yield %e : f32
      }
    }
    memref.copy %x, %y : memref<1x2xf32> to memref<1x2xf32, strided<[2, 1], offset: ?>>
  } {mapping = [#gpu.thread<linear_dim_0>]}
  return
}
