// RUN: scaling-opt %s --scaling-eliminate-barriers | FileCheck %s

// The end of a launch is judged as a meeting of the blocks: it goes, with the
// barriers beside it, where every thread reads what it wrote itself, and stays
// before the first that reads what another block may have written.

gpu.module @kernels {
  llvm.func @scaling_launch_ends()

  // CHECK-LABEL: gpu.func @launches
  // CHECK-NOT: gpu.barrier
  // CHECK-NOT: scaling_launch_ends
  // CHECK: %[[NEXT:.*]] = arith.addi %{{.*}}, %c2
  // CHECK-NOT: memref.store
  // CHECK: llvm.call @scaling_launch_ends() {scaling.grid_barrier}
  // CHECK: memref.load %{{.*}}[%[[NEXT]]]
  // CHECK-NOT: scaling_launch_ends
  // CHECK: gpu.return
  gpu.func @launches(%a: memref<?xf32>, %b: memref<?xf32>, %state: memref<?xi8>) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>, scaling.relaunched} {
    %c2 = arith.constant 2 : index
    %c64 = arith.constant 64 : index
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    %block = gpu.block_id x
    %begin = arith.muli %block, %c64 : index
    %own = arith.addi %begin, %t : index
    memref.store %one, %a[%own] : memref<?xf32>
    gpu.barrier
    llvm.call @scaling_launch_ends() {scaling.grid_barrier} : () -> ()
    gpu.barrier
    %x = memref.load %a[%own] : memref<?xf32>
    memref.store %x, %a[%own] : memref<?xf32>
    %next = arith.addi %own, %c2 : index
    gpu.barrier
    llvm.call @scaling_launch_ends() {scaling.grid_barrier} : () -> ()
    gpu.barrier
    %y = memref.load %a[%next] : memref<?xf32>
    memref.store %y, %b[%own] : memref<?xf32>
    gpu.return
  }
}
