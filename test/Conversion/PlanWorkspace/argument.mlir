// RUN: scaling-opt %s --allow-unregistered-dialect --scaling-plan-workspace=argument --canonicalize --split-input-file --verify-diagnostics | FileCheck %s

// The caller brings the memory; a companion tells how much.

// CHECK-LABEL: func.func @f(
// CHECK-SAME: %[[X:[^:]*]]: memref<?xf32>, %[[W:[^:]*]]: memref<?xi8>)
// CHECK-NOT: memref.alloc
// CHECK: scf.for
// CHECK: "test.use"
// CHECK-NOT: memref.alloc
// CHECK: return

// CHECK-LABEL: func.func @f_workspace_size(
// CHECK-SAME: %[[X:[^:]*]]: memref<?xf32>, %[[BYTES:[^:]*]]: memref<1xi64>)
// CHECK-SAME: llvm.emit_c_interface
// CHECK: %[[N:.*]] = memref.dim %[[X]]
// CHECK: %[[N8:.*]] = arith.muli %[[N]], %c8
// CHECK: %[[MORE:.*]] = arith.addi %[[N8]], %c63
// CHECK: %[[LINES:.*]] = arith.andi %[[MORE]], %c-64
// CHECK: %[[SUM:.*]] = arith.addi %[[LINES]], %c64
// CHECK: %[[RESULT:.*]] = arith.index_cast %[[SUM]]
// CHECK: memref.store %[[RESULT]], %[[BYTES]]
func.func @f(%x: memref<?xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %x, %c0 : memref<?xf32>
  %a = memref.alloc(%n) : memref<?xf64>
  scf.for %i = %c0 to %n step %c1 {
    %b = memref.alloc() : memref<4xi1>
    "test.use"(%a, %b) : (memref<?xf64>, memref<4xi1>) -> ()
  }
  return
}

// -----

// None is needed.

// CHECK-LABEL: func.func @none(%{{.*}}: memref<?xi8>)
// CHECK-LABEL: func.func @none_workspace_size(
// CHECK: memref.store %c0_i64
func.func @none() attributes {llvm.emit_c_interface} {
  return
}

// -----

func.func private @g_workspace_size()
// expected-error @below {{the name 'g_workspace_size' is needed for the companion of public function 'g'}}
func.func @g() attributes {llvm.emit_c_interface} {
  return
}

// -----

// The last tile of a loop is smaller: a place of the largest one's size.

// CHECK-LABEL: func.func @tiles(
// CHECK-SAME: %{{[^:]*}}: memref<?xf32>, %[[W:[^:]*]]: memref<?xi8>)
// CHECK: scf.for
// CHECK: %[[SIZE:.*]] = affine.min
// CHECK: memref.view %[[W]][%{{.*}}][%[[SIZE]]] : memref<?xi8> to memref<?xf32>
// CHECK-LABEL: func.func @tiles_workspace_size(
// CHECK: arith.constant 64 : i64
func.func @tiles(%x: memref<?xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %n = memref.dim %x, %c0 : memref<?xf32>
  scf.for %i = %c0 to %n step %c16 {
    %size = affine.min affine_map<(i)[n] -> (16, n - i)>(%i)[%n]
    %a = memref.alloc(%size) : memref<?xf32>
    "test.use"(%a) : (memref<?xf32>) -> ()
  }
  return
}
