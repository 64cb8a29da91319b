// RUN: scaling-opt %s --scaling-form-kernels | FileCheck %s

// 128 rows for a block of 256 threads, of which each has sums of 8 by 16: four
// loads of 16 bytes for 64 products. Columns come asynchronously.
// CHECK-LABEL: gpu.func @reduce
// CHECK-SAME: known_block_size = array<i32: 256, 1, 1>
// CHECK: nvvm.cp.async.shared.global {{.*}}, 16, cache =  cg
// CHECK: nvvm.cp.async.commit.group
// CHECK: nvvm.cp.async.wait.group 0
// CHECK: gpu.barrier
// CHECK: scf.for
// CHECK: math.fma
// CHECK: gpu.barrier
// CHECK: llvm.intr.maxnum
// CHECK: math.exp2
// CHECK: gpu.shuffle xor
// CHECK-NOT: scaling.reduce_points
func.func @reduce(%x: memref<300x64xf32>, %y: memref<500x64xf32>, %g: memref<500xf32>, %m: memref<300xf32>, %s: memref<300xf32>) {
  scaling.reduce_points dot points(%x, %y : memref<300x64xf32>, memref<500x64xf32>) factor(%g : memref<500xf32>) outs(%m, %s : memref<300xf32>, memref<300xf32>)
  return
}

// Rows of unknown length may begin anywhere.
// CHECK-LABEL: gpu.func @unknown
// CHECK: nvvm.cp.async.shared.global {{.*}}, 4, cache =  ca
// CHECK-NOT: nvvm.cp.async.shared.global {{.*}}, 16
func.func @unknown(%x: memref<?x?xf32>, %y: memref<?x?xf32>, %m: memref<?xf32>, %s: memref<?xf32>) {
  scaling.reduce_points dot points(%x, %y : memref<?x?xf32>, memref<?x?xf32>) outs(%m, %s : memref<?xf32>, memref<?xf32>)
  return
}

// The plan's tile goes through shared memory.
// CHECK-LABEL: gpu.func @apply
// CHECK: math.exp2
// CHECK: llvm.store
// CHECK: gpu.barrier
// CHECK: math.fma
// CHECK-NOT: scaling.apply_points
func.func @apply(%x: memref<300x64xf32>, %y: memref<500x64xf32>, %V: memref<500x64xf32>, %o: memref<300x64xf32>) {
  scaling.apply_points dot points(%x, %y : memref<300x64xf32>, memref<500x64xf32>) operand(%V : memref<500x64xf32>) outs(%o : memref<300x64xf32>)
  return
}

// Tensor cores: 32 rows of a warp, whose coordinates are loaded with ldmatrix
// as those of 128 columns are, without a loop. What two warps find of a row
// meets in shared memory.
// CHECK-LABEL: gpu.func @tensor
// CHECK: nvvm.cp.async.shared.global {{.*}}, 16, cache =  cg
// CHECK-COUNT-10: nvvm.ldmatrix
// CHECK: nvvm.mma.sync {{.*}} multiplicandAPtxType = #nvvm.mma_type<tf32>{{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 8>
// CHECK: gpu.barrier
// CHECK: llvm.intr.maxnum
// CHECK: math.exp2
// CHECK-COUNT-2: gpu.shuffle xor
// CHECK: gpu.barrier
// CHECK: vector<2xf32>
// CHECK-NOT: scaling.reduce_points
func.func @tensor(%x: memref<300x64xf32>, %y: memref<500x64xf32>, %g: memref<500xf32>, %m: memref<300xf32>, %s: memref<300xf32>) {
  scaling.reduce_points dot points(%x, %y : memref<300x64xf32>, memref<500x64xf32>) factor(%g : memref<500xf32>) products(tf32) outs(%m, %s : memref<300xf32>, memref<300xf32>)
  return
}

// Two numbers of f64 are 16 bytes; of either word of one, a shuffle. The bias
// is read where it is, and is not another tile.
// CHECK-LABEL: gpu.func @wide
// CHECK: nvvm.cp.async.shared.global {{.*}}, 16, cache =  cg
// CHECK: llvm.load {{.*}} : !llvm.ptr<3> -> vector<2xf64>
// CHECK: llvm.load {{.*}} : !llvm.ptr<1> -> f16
// CHECK: arith.extf {{.*}} : f16 to f64
// CHECK: llvm.bitcast {{.*}} : f64 to vector<2xi32>
// CHECK: gpu.shuffle xor {{.*}} : i32
func.func @wide(%x: memref<300x64xf64>, %y: memref<500x64xf64>, %B: memref<500x300xf16>, %m: memref<300xf64>, %s: memref<300xf64>) {
  scaling.reduce_points dot points(%x, %y : memref<300x64xf64>, memref<500x64xf64>) bias(%B : memref<500x300xf16>) transposed outs(%m, %s : memref<300xf64>, memref<300xf64>)
  return
}

// Pairs of bf16: half as many of both.
// CHECK-LABEL: gpu.func @narrow
// CHECK: nvvm.cp.async.shared.global {{.*}}, 16, cache =  cg
// CHECK: nvvm.ldmatrix
// CHECK: nvvm.mma.sync {{.*}} multiplicandAPtxType = #nvvm.mma_type<bf16>{{.*}}shape = #nvvm.shape<m = 16, n = 8, k = 16>
func.func @narrow(%x: memref<300x64xbf16>, %y: memref<500x64xbf16>, %g: memref<500xf32>, %m: memref<300xf32>, %s: memref<300xf32>) {
  scaling.reduce_points dot points(%x, %y : memref<300x64xbf16>, memref<500x64xbf16>) factor(%g : memref<500xf32>) products(bf16) outs(%m, %s : memref<300xf32>, memref<300xf32>)
  return
}

// Rows and columns from the same products. Of a column, two rows of threads are
// in a warp; warps meet in shared memory.
// CHECK-LABEL: gpu.func @both
// CHECK: math.fma
// CHECK: gpu.barrier
// CHECK: llvm.intr.maxnum
// CHECK: math.exp2
// CHECK: gpu.shuffle xor
// CHECK: llvm.intr.maxnum
// CHECK: math.exp2
// CHECK: gpu.barrier
// CHECK: memref.store {{.*}} memref<3x500xf32>
// CHECK-NOT: scaling.reduce_points
func.func @both(%x: memref<300x64xf32>, %y: memref<500x64xf32>, %f: memref<300xf32>, %m: memref<300xf32>, %s: memref<300xf32>, %p: memref<3x500xf32>, %q: memref<3x500xf32>) {
  scaling.reduce_points dot points(%x, %y : memref<300x64xf32>, memref<500x64xf32>) row_factor(%f : memref<300xf32>) block(128) outs(%m, %s, %p, %q : memref<300xf32>, memref<300xf32>, memref<3x500xf32>, memref<3x500xf32>)
  return
}

// CHECK-LABEL: gpu.func @sums
// CHECK: math.exp2
// CHECK: arith.select
// CHECK: gpu.shuffle xor
// CHECK: gpu.barrier
// CHECK: memref.store
// CHECK-NOT: scaling.sum_points
func.func @sums(%x: memref<300x64xf32>, %y: memref<500x64xf32>, %r: memref<300xf32>, %v: memref<300xf32>) {
  scaling.sum_points dot points(%x, %y : memref<300x64xf32>, memref<500x64xf32>) outs(%r, %v : memref<300xf32>, memref<300xf32>)
  return
}

// CHECK-LABEL: gpu.func @largest
// CHECK: arith.cmpf ogt
// CHECK: arith.select
// CHECK: gpu.shuffle xor
// CHECK: gpu.barrier
// CHECK: memref.store {{.*}} memref<300xi64>
// CHECK-NOT: scaling.argmax_points
func.func @largest(%x: memref<300x64xf32>, %y: memref<500x64xf32>, %r: memref<300xf32>, %j: memref<300xi64>) {
  scaling.argmax_points dot points(%x, %y : memref<300x64xf32>, memref<500x64xf32>) outs(%r, %j : memref<300xf32>, memref<300xi64>)
  return
}
