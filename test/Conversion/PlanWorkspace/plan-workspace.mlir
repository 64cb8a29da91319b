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

// Unknown sizes are computed where the function begins, also for what is
// allocated in a loop; a size that cannot be computed there keeps its own
// allocation.

// CHECK-LABEL: func.func @dynamic
// CHECK: %[[W:.*]] = memref.alloc(%{{.*}}) {alignment = 64 : i64} : memref<?xi8>
// CHECK: memref.view %[[W]][%{{.*}}][%{{.*}}] : memref<?xi8> to memref<?xf64>
// CHECK: memref.view %[[W]][%{{.*}}][%{{.*}}] : memref<?xi8> to memref<4x?xbf16>
// CHECK: memref.view %[[W]][%{{.*}}][] : memref<?xi8> to memref<8xf32>
// CHECK: %[[LATE:.*]] = "test.size"
// CHECK: memref.alloc(%[[LATE]]) : memref<?xf32>
// CHECK: scf.for
// CHECK-NOT: memref.alloc
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

// A buffer that the next iteration sees stays an allocation of each.

// CHECK-LABEL: func.func @carried
// CHECK: scf.for
// CHECK:   memref.alloc() : memref<8xf32>
func.func @carried(%n: index, %init: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%last = %init) -> memref<8xf32> {
    %d = memref.alloc() : memref<8xf32>
    "test.use"(%d, %last) : (memref<8xf32>, memref<8xf32>) -> ()
    scf.yield %d : memref<8xf32>
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

// -----

// The kernel is built where the plan goes, and needs no scratch.

// CHECK-LABEL: func.func @destination
// CHECK-SAME: %[[Z:[^:]*]]: memref<?x?xf32>, %[[U:[^:]*]]: memref<?xf32>, %[[P:[^:]*]]: memref<?x?xf32>
// CHECK-NOT: memref.alloc
// CHECK: linalg.exp ins(%[[Z]] : memref<?x?xf32>) outs(%[[P]] : memref<?x?xf32>)
// CHECK: scaling.reduce {{.*}} matrix(%[[P]] :
// CHECK: scaling.plan {{.*}} matrix(%[[P]] : {{.*}} outs(%[[P]] :
func.func @destination(%z: memref<?x?xf32>, %u: memref<?xf32>, %p: memref<?x?xf32>)
    attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %z, %c0 : memref<?x?xf32>
  %m = memref.dim %z, %c1 : memref<?x?xf32>
  %k = memref.alloc(%n, %m) : memref<?x?xf32>
  linalg.exp ins(%z : memref<?x?xf32>) outs(%k : memref<?x?xf32>)
  scaling.reduce along(rows) stat(#scaling.sum) matrix(%k : memref<?x?xf32>) outs(%u : memref<?xf32>)
  scaling.plan domain(kernel) matrix(%k : memref<?x?xf32>) row(%u : memref<?xf32>) outs(%p : memref<?x?xf32>)
  return
}

// -----

// Not where the output is used before, where the scratch is used behind, where
// positions change, or where the function is not public.

// CHECK-LABEL: func.func @output_before
// CHECK: memref.alloc
func.func @output_before(%p: memref<8x8xf32>, %z: memref<8x8xf32>)
    attributes {llvm.emit_c_interface} {
  %k = memref.alloc() : memref<8x8xf32>
  "test.use"(%p) : (memref<8x8xf32>) -> ()
  linalg.exp ins(%z : memref<8x8xf32>) outs(%k : memref<8x8xf32>)
  memref.copy %k, %p : memref<8x8xf32> to memref<8x8xf32>
  return
}

// CHECK-LABEL: func.func @scratch_behind
// CHECK: memref.alloc
func.func @scratch_behind(%p: memref<8x8xf32>, %z: memref<8x8xf32>)
    attributes {llvm.emit_c_interface} {
  %k = memref.alloc() : memref<8x8xf32>
  linalg.exp ins(%z : memref<8x8xf32>) outs(%k : memref<8x8xf32>)
  memref.copy %k, %p : memref<8x8xf32> to memref<8x8xf32>
  "test.use"(%k) : (memref<8x8xf32>) -> ()
  return
}

// CHECK-LABEL: func.func @transposed
// CHECK: memref.alloc
func.func @transposed(%p: memref<8x8xf32>, %z: memref<8x8xf32>)
    attributes {llvm.emit_c_interface} {
  %k = memref.alloc() : memref<8x8xf32>
  linalg.exp ins(%z : memref<8x8xf32>) outs(%k : memref<8x8xf32>)
  linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>],
                  iterator_types = ["parallel", "parallel"]}
      ins(%k : memref<8x8xf32>) outs(%p : memref<8x8xf32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  }
  return
}

// CHECK-LABEL: func.func @not_public
// CHECK: memref.alloc
func.func @not_public(%p: memref<8x8xf32>, %z: memref<8x8xf32>) {
  %k = memref.alloc() : memref<8x8xf32>
  linalg.exp ins(%z : memref<8x8xf32>) outs(%k : memref<8x8xf32>)
  memref.copy %k, %p : memref<8x8xf32> to memref<8x8xf32>
  return
}

// A copy disappears.

// CHECK-LABEL: func.func @copied
// CHECK-NEXT: linalg.exp ins(%{{.*}} : memref<8x8xf32>) outs(%arg0 : memref<8x8xf32>)
// CHECK-NEXT: return
func.func @copied(%p: memref<8x8xf32>, %z: memref<8x8xf32>)
    attributes {llvm.emit_c_interface} {
  %k = memref.alloc() : memref<8x8xf32>
  linalg.exp ins(%z : memref<8x8xf32>) outs(%k : memref<8x8xf32>)
  memref.copy %k, %p : memref<8x8xf32> to memref<8x8xf32>
  return
}
