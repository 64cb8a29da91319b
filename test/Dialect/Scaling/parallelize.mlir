// RUN: scaling-opt %s --scaling-parallelize --canonicalize --split-input-file | FileCheck %s

// Rows in items of 16384 entries; what is left of the last item is smaller.

// CHECK-LABEL: func.func @rows
// CHECK: scf.forall (%[[I:.*]]) = (0) to (512) step (32)
// CHECK:   linalg.exp ins(%{{.*}} : memref<32x512xf32, {{.*}}>) outs(%{{.*}} : memref<32x512xf32,
// CHECK: scf.forall (%{{.*}}) = (0) to (512) step (32)
// CHECK:   scaling.plan {{.*}} matrix(%{{.*}} : memref<32x512xf32
func.func @rows(%z: memref<512x512xf32>, %u: memref<512xf32>, %p: memref<512x512xf32>) {
  linalg.exp ins(%z : memref<512x512xf32>) outs(%p : memref<512x512xf32>)
  scaling.plan domain(kernel) matrix(%p : memref<512x512xf32>) row(%u : memref<512xf32>)
      outs(%p : memref<512x512xf32>)
  return
}

// -----

// Unknown sizes are taken for large ones.

// CHECK-LABEL: func.func @dynamic
// CHECK: scf.forall (%{{.*}}) = (0) to (%{{.*}}) step (16)
func.func @dynamic(%z: memref<?x?xf32>, %p: memref<?x?xf32>) {
  linalg.exp ins(%z : memref<?x?xf32>) outs(%p : memref<?x?xf32>)
  return
}

// -----

// Where the first dimension is summed over, the second is cut; so is a
// statistic of the columns.

// CHECK-LABEL: func.func @columns
// CHECK: scf.forall (%{{.*}}) = (0) to (4096) step (256)
// CHECK:   linalg.generic
// CHECK: scf.forall (%{{.*}}) = (0) to (4096) step (256)
// CHECK:   scaling.reduce along(cols) {{.*}} matrix(%{{.*}} : memref<64x256xf32
func.func @columns(%x: memref<64x4096xf32>, %s: memref<4096xf32>) {
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>],
                  iterator_types = ["reduction", "parallel"]}
      ins(%x : memref<64x4096xf32>) outs(%s : memref<4096xf32>) {
  ^bb0(%in: f32, %out: f32):
    %r = arith.addf %in, %out : f32
    linalg.yield %r : f32
  }
  scaling.reduce along(cols) stat(#scaling.sum) matrix(%x : memref<64x4096xf32>) outs(%s : memref<4096xf32>)
  return
}

// -----

// Small work, vectors, and what is in a parallel loop stay.

// CHECK-LABEL: func.func @stays
// CHECK-NOT: scf.forall
// CHECK: linalg.exp
// CHECK: linalg.exp
// CHECK: scf.forall
// CHECK-NOT: scf.forall
func.func @stays(%small: memref<100x100xf32>, %vector: memref<100000xf32>, %z: memref<8x512x512xf32>) {
  linalg.exp ins(%small : memref<100x100xf32>) outs(%small : memref<100x100xf32>)
  linalg.exp ins(%vector : memref<100000xf32>) outs(%vector : memref<100000xf32>)
  scf.forall (%b) in (8) {
    %s = memref.subview %z[%b, 0, 0] [1, 512, 512] [1, 1, 1]
        : memref<8x512x512xf32> to memref<512x512xf32, strided<[512, 1], offset: ?>>
    linalg.exp ins(%s : memref<512x512xf32, strided<[512, 1], offset: ?>>)
        outs(%s : memref<512x512xf32, strided<[512, 1], offset: ?>>)
  }
  return
}

// -----

// Rows of a product share what they read of the value matrix; fewer rows make
// smaller items.

// CHECK-LABEL: func.func @products
// CHECK: scf.forall (%{{.*}}) = (0) to (1024) step (64)
// CHECK:   scaling.apply product
// CHECK: scf.forall (%{{.*}}) = (0) to (256) step (32)
// CHECK:   scaling.apply product
func.func @products(%k: memref<1024x1024xf32>, %short: memref<256x1024xf32>, %v: memref<1024x64xf32>,
                    %o: memref<1024x64xf32>, %p: memref<256x64xf32>) {
  scaling.apply product domain(kernel) matrix(%k : memref<1024x1024xf32>)
      operand(%v : memref<1024x64xf32>) outs(%o : memref<1024x64xf32>)
  scaling.apply product domain(kernel) matrix(%short : memref<256x1024xf32>)
      operand(%v : memref<1024x64xf32>) outs(%p : memref<256x64xf32>)
  return
}

// -----

// A product: one matrix of the batch and 64 of its rows, as they share columns;
// fewer rows where there are not enough for eight items; and whole rows of a
// picture where there are more dimensions of rows.

// CHECK-LABEL: func.func @products
// CHECK: scf.forall (%{{.*}}, %{{.*}}) = (0, 0) to (%{{.*}}, 512) step (1, 64)
// CHECK:   linalg.batch_matmul
// CHECK: scf.forall (%{{.*}}) = (0) to (64) step (8)
// CHECK:   linalg.matmul
// CHECK: scf.forall (%{{.*}}, %{{.*}}) = (0, 0) to (128, 14) step (1, 5)
// CHECK:   linalg.generic
func.func @products(%a: memref<?x512x96xf32>, %b: memref<?x96x512xf32>, %c: memref<?x512x512xf32>,
                    %d: memref<64x96xf32>, %e: memref<96x512xf32>, %f: memref<64x512xf32>,
                    %g: memref<128x14x14x96xf32>, %h: memref<128x14x14x512xf32>) {
  linalg.batch_matmul ins(%a, %b : memref<?x512x96xf32>, memref<?x96x512xf32>) outs(%c : memref<?x512x512xf32>)
  linalg.matmul ins(%d, %e : memref<64x96xf32>, memref<96x512xf32>) outs(%f : memref<64x512xf32>)
  linalg.generic {indexing_maps = [affine_map<(n, y, x, f, k) -> (n, y, x, k)>, affine_map<(n, y, x, f, k) -> (k, f)>, affine_map<(n, y, x, f, k) -> (n, y, x, f)>],
                  iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
      ins(%g, %e : memref<128x14x14x96xf32>, memref<96x512xf32>) outs(%h : memref<128x14x14x512xf32>) {
  ^bb0(%x: f32, %y: f32, %sum: f32):
    %0 = arith.mulf %x, %y : f32
    %1 = arith.addf %sum, %0 : f32
    linalg.yield %1 : f32
  }
  return
}
