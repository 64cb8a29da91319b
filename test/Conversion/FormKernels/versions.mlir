// RUN: scaling-opt %s --scaling-form-kernels --split-input-file | FileCheck %s

// Of rows as long as it turns out there are two versions: where they are whole
// vectors, four neighbours are loaded at a time, else each one on its own.

// CHECK: gpu.func @rows(%[[IN:[^:]*]]: memref<?x?xf32>
// CHECK: %[[C1:.*]] = arith.constant 1 : index
// CHECK: %[[M:.*]] = memref.dim %[[IN]], %[[C1]]
// CHECK: %[[VECTORS:.*]] = arith.divui %[[M]], %[[C4:.*]] : index
// CHECK: %[[WHOLE:.*]] = arith.muli %[[VECTORS]], %{{.*}} : index
// CHECK: %[[ARE:.*]] = arith.cmpi eq, %[[WHOLE]], %[[M]]
// CHECK: %[[WIDE:.*]] = memref.reinterpret_cast %[[IN]] to offset: [0], sizes: [%{{.*}}, %[[WHOLE]]], strides: [%[[WHOLE]], 1]
// CHECK: scf.if %[[ARE]] {
// CHECK: scf.for {{.*}} iter_args
// CHECK-COUNT-4: memref.load %[[WIDE]]
// CHECK: scf.yield
// CHECK: } else {
// CHECK: scf.for {{.*}} iter_args
// CHECK: memref.load %[[IN]]
// CHECK-NOT: memref.load %[[IN]]
// CHECK: gpu.return
func.func @rows(%in: memref<?x?xf32>, %sum: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
      ins(%in : memref<?x?xf32>) outs(%sum : memref<?xf32>) {
  ^bb0(%a: f32, %b: f32):
    %e = arith.addf %b, %a : f32
    linalg.yield %e : f32
  }
  return
}

// -----

// The workspace has a matrix whose rows are as long as another is high; in 16
// bytes there are eight entries.

// CHECK: gpu.func @transposed(%[[IN:[^:]*]]: memref<?x16xf32>
// CHECK: arith.divui
// CHECK: arith.cmpi eq
// CHECK: memref.reinterpret_cast %[[IN]] to offset: [0], sizes: [%{{.*}}, 16], strides: [16, 1]
// CHECK: scf.if
// CHECK-COUNT-8: memref.store %{{.*}} : memref<16x?xf16>
// CHECK-NOT: memref.store
// CHECK: } else {
// CHECK: memref.store
// CHECK-NOT: memref.store
// CHECK: gpu.return
func.func @transposed(%in: memref<?x16xf32>, %ws: memref<?xi8>) {
  %c0 = arith.constant 0 : index
  %n = memref.dim %in, %c0 : memref<?x16xf32>
  %out = memref.view %ws[%c0][%n] : memref<?xi8> to memref<16x?xf16>
  linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      outs(%out : memref<16x?xf16>) {
  ^bb0(%a: f16):
    %e = arith.addf %a, %a : f16
    linalg.yield %e : f16
  }
  return
}

// -----

// Rows of known length are what they are.

// CHECK: gpu.func @known
// CHECK-NOT: scf.if
// CHECK: gpu.return
func.func @known(%in: memref<?x64xf32>) {
  linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>], iterator_types = ["parallel", "parallel"]}
      outs(%in : memref<?x64xf32>) {
  ^bb0(%a: f32):
    %e = arith.addf %a, %a : f32
    linalg.yield %e : f32
  }
  return
}

// -----

// Where rows are short enough for shared memory, blocks of four of them are
// copied there before their iteration comes, each to where a row of any length
// has room; the last ones of a block, if they
// are fewer, are read where they are. Of longer rows no block is copied.

// CHECK: gpu.func @blocks(%{{.*}}: memref<?x?xf32>
// CHECK-SAME: scaling.shared_bytes
// CHECK: scf.if
// CHECK: scf.if
// CHECK: nvvm.cp.async.shared.global {{.*}}, 16, cache = cg
// CHECK: nvvm.cp.async.wait.group
// CHECK: memref.subview %{{.*}} : memref<2x4x5728xf32, #gpu.address_space<workgroup>> to memref<4x?xf32, strided<[5728, 1], offset: ?>, #gpu.address_space<workgroup>>
// CHECK: } else {
// CHECK-NOT: nvvm.cp.async
// CHECK: gpu.return
func.func @blocks(%in: memref<?x?xf32>, %sum: memref<?xf32>, %max: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %n = memref.dim %in, %c0 : memref<?x?xf32>
  %m = memref.dim %in, %c1 : memref<?x?xf32>
  scf.forall (%i) = (0) to (%n) step (32) {
    %rows = affine.min affine_map<(i)[n] -> (n - i, 32)>(%i)[%n]
    %block = memref.subview %in[%i, 0] [%rows, %m] [1, 1] : memref<?x?xf32> to memref<?x?xf32, strided<[?, 1], offset: ?>>
    scf.for %j = %c0 to %rows step %c4 {
      %few = affine.min affine_map<(i)[n] -> (n - i, 4)>(%j)[%rows]
      %first = arith.addi %i, %j : index
      %x = memref.subview %block[%j, 0] [%few, %m] [1, 1] : memref<?x?xf32, strided<[?, 1], offset: ?>> to memref<?x?xf32, strided<[?, 1], offset: ?>>
      %y = memref.subview %sum[%first] [%few] [1] : memref<?xf32> to memref<?xf32, strided<[1], offset: ?>>
      %z = memref.subview %max[%first] [%few] [1] : memref<?xf32> to memref<?xf32, strided<[1], offset: ?>>
      linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
          ins(%x : memref<?x?xf32, strided<[?, 1], offset: ?>>) outs(%y : memref<?xf32, strided<[1], offset: ?>>) {
      ^bb0(%a: f32, %b: f32):
        %e = arith.addf %b, %a : f32
        linalg.yield %e : f32
      }
      linalg.generic {indexing_maps = [affine_map<(a, b) -> (a, b)>, affine_map<(a, b) -> (a)>], iterator_types = ["parallel", "reduction"]}
          ins(%x : memref<?x?xf32, strided<[?, 1], offset: ?>>) outs(%z : memref<?xf32, strided<[1], offset: ?>>) {
      ^bb0(%a: f32, %b: f32):
        %e = arith.maximumf %b, %a : f32
        linalg.yield %e : f32
      }
    }
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}
