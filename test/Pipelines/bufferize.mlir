// RUN: scaling-opt %S/../Tools/Inputs/sinkhorn-loop.mlir --scaling-bufferize | FileCheck %s

// The loop of a Sinkhorn written in linalg works in the output arrays: nothing
// is allocated or copied in it, and the inputs are only read.

// CHECK-LABEL: func.func @sinkhorn(
// CHECK-SAME: %[[K:[^:]*]]: memref<?x?xf32>, %[[A:[^:]*]]: memref<?xf32>, %[[B:[^:]*]]: memref<?xf32>,
// CHECK-SAME: %[[U:[^:]*]]: memref<?xf32>, %[[V:[^:]*]]: memref<?xf32>, %{{[^:]*}}: memref<i32>, %{{[^:]*}}: memref<f32>, %{{[^:]*}}: memref<i32>)
// CHECK-SAME: llvm.emit_c_interface
// CHECK: scf.while
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: ins(%[[K]], %[[V]]
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: outs(%[[U]]
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: outs(%[[V]]
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: scf.yield
// CHECK-NOT: memref.copy
// CHECK: memref.dealloc
// CHECK: return

// CHECK-LABEL: func.func @sinkhorn_result_dims(
// CHECK-NOT: scf.while
