// RUN: scaling-opt %s --allow-unregistered-dialect --scaling-plan-workspace --canonicalize --split-input-file | FileCheck %s

// Known sizes: one buffer, views on cache lines of their own.

// CHECK-LABEL: func.func @static
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[C64:.*]] = arith.constant 64 : index
// CHECK: %[[W:.*]] = memref.alloc() {alignment = 64 : i64} : memref<192xi8>
// CHECK-NOT: memref.alloc
// CHECK: memref.view %[[W]][%[[C0]]][] : memref<192xi8> to memref<10xf32>
// CHECK: memref.view %[[W]][%[[C64]]][] : memref<192xi8> to memref<32xf32>
func.func @static() {
  %a = memref.alloc() : memref<10xf32>
  %b = memref.alloc() : memref<32xf32>
  "test.use"(%a, %b) : (memref<10xf32>, memref<32xf32>) -> ()
  return
}

// -----

// Unknown sizes are added up where the first buffer is made; a size that is
// only known later keeps its own allocation. So does one alone in a loop.

// CHECK-LABEL: func.func @dynamic
// CHECK: %[[W:.*]] = memref.alloc(%{{.*}}) {alignment = 64 : i64} : memref<?xi8>
// CHECK: memref.view %[[W]][%{{.*}}][%{{.*}}] : memref<?xi8> to memref<?xf64>
// CHECK: memref.view %[[W]][%{{.*}}][%{{.*}}] : memref<?xi8> to memref<4x?xbf16>
// CHECK: %[[LATE:.*]] = "test.size"
// CHECK: memref.alloc(%[[LATE]]) : memref<?xf32>
// CHECK: scf.for
// CHECK:   memref.alloc() : memref<8xf32>
func.func @dynamic(%n: index, %m: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %a = memref.alloc(%n) : memref<?xf64>
  %b = memref.alloc(%m) : memref<4x?xbf16>
  %late = "test.size"() : () -> index
  %c = memref.alloc(%late) : memref<?xf32>
  "test.use"(%a, %b, %c) : (memref<?xf64>, memref<4x?xbf16>, memref<?xf32>) -> ()
  scf.for %i = %c0 to %n step %c1 {
    %d = memref.alloc() : memref<8xf32>
    "test.use"(%d) : (memref<8xf32>) -> ()
  }
  return
}

// -----

// Every iteration of a parallel loop has a workspace of its own.

// CHECK-LABEL: func.func @parallel
// CHECK: scf.forall
// CHECK:   memref.alloc() {alignment = 64 : i64} : memref<8192xi8>
// CHECK-COUNT-2: memref.view
func.func @parallel(%n: index) {
  scf.forall (%i) in (%n) {
    %a = memref.alloc() : memref<1024xf32>
    %b = memref.alloc() : memref<1024xf32>
    "test.use"(%a, %b) : (memref<1024xf32>, memref<1024xf32>) -> ()
  }
  return
}
