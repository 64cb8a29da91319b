// RUN: scaling-opt %s --scaling-plan-workspace="argument shared-bytes=1024" --split-input-file | FileCheck %s

// Of unknown size: a place for every block in the function's workspace. What is
// small and of known size stays.

// CHECK-LABEL: func.func @dynamic
// CHECK-SAME: %[[N:[^:]*]]: index, %[[SIZE:[^:]*]]: memref<?xf32>, %[[WORKSPACE:[^:]*]]: memref<?xi8>
// CHECK: %[[BLOCKS:.*]] = arith.minui
// CHECK: %[[ALL:.*]] = memref.view %[[WORKSPACE]]
// CHECK: scf.forall
// CHECK: %[[BLOCK:.*]] = gpu.block_id x
// CHECK: %[[OWN:.*]] = arith.muli %[[BLOCK]]
// CHECK: memref.alloc() : memref<8xf32>
// CHECK: %[[AT:.*]] = arith.addi %[[OWN]]
// CHECK: memref.view %[[ALL]][%[[AT]]]
func.func @dynamic(%n: index, %x: memref<?xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %m = memref.dim %x, %c0 : memref<?xf32>
  scf.forall (%i) in (%n) {
    %s = memref.alloc() : memref<8xf32>
    %d = memref.alloc(%m) : memref<?xf32>
    memref.copy %x, %d : memref<?xf32> to memref<?xf32>
    memref.copy %d, %x : memref<?xf32> to memref<?xf32>
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}

// -----

// More than shared memory holds.

// CHECK-LABEL: func.func @large
// CHECK: scf.forall
// CHECK-NOT: memref.alloc
// CHECK: return
func.func @large(%x: memref<512xf32>) attributes {llvm.emit_c_interface} {
  scf.forall (%i) in (4) {
    %d = memref.alloc() : memref<512xf32>
    memref.copy %x, %d : memref<512xf32> to memref<512xf32>
    memref.copy %d, %x : memref<512xf32> to memref<512xf32>
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}

// -----

// A thread's memory stays its own.

// CHECK-LABEL: func.func @thread
// CHECK: scf.forall
// CHECK: memref.alloc
func.func @thread(%x: memref<512xf32>) attributes {llvm.emit_c_interface} {
  scf.forall (%i) in (4) {
    %d = memref.alloc() : memref<512xf32>
    memref.copy %x, %d : memref<512xf32> to memref<512xf32>
    memref.copy %d, %x : memref<512xf32> to memref<512xf32>
  } {mapping = [#gpu.thread<linear_dim_0>]}
  return
}
