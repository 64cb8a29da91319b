// RUN: scaling-opt %s --scaling-form-workgroups --split-input-file --verify-diagnostics | FileCheck %s

// All the function does is one loop: its items are divided.

// CHECK-LABEL: func.func @batch(
// CHECK-SAME: %[[X:[^:]*]]: memref<?x4xf32>, %[[GROUP:[^:]*]]: index, %[[GROUPS:[^:]*]]: index)
// CHECK: %[[ITEMS:.*]] = arith.maxsi
// CHECK-DAG: %[[NEXT:.*]] = arith.addi %[[GROUP]]
// CHECK: %[[B:.*]] = arith.muli %[[GROUP]], %[[ITEMS]]
// CHECK: %[[BEGIN:.*]] = arith.divui %[[B]], %[[GROUPS]]
// CHECK: %[[E:.*]] = arith.muli %[[NEXT]], %[[ITEMS]]
// CHECK: %[[END:.*]] = arith.divui %[[E]], %[[GROUPS]]
// CHECK: scf.for %[[ITEM:.*]] = %[[BEGIN]] to %[[END]]
// CHECK: %[[I:.*]] = arith.muli %[[ITEM]]
// CHECK-NOT: scf.forall
// CHECK: scf.for
// CHECK: memref.store %{{.*}}, %[[X]][%[[I]], %{{.*}}]

// CHECK-LABEL: func.func @batch_workgroups(
// CHECK-SAME: %[[X:[^:]*]]: memref<?x4xf32>, %[[OUT:[^:]*]]: memref<1xi64>)
// CHECK: memref.dim %[[X]]
// CHECK: arith.ceildivsi
// CHECK: %[[N:.*]] = arith.index_cast
// CHECK: memref.store %[[N]], %[[OUT]]
func.func @batch(%x: memref<?x4xf32>) attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = memref.dim %x, %c0 : memref<?x4xf32>
  scf.forall (%i) = (0) to (%n) step (8) {
    scf.forall (%j) in (4) {
      memref.store %zero, %x[%i, %j] : memref<?x4xf32>
    }
  }
  return
}

// -----

// The second loop needs what the first made: one workgroup does both.

// CHECK-LABEL: func.func @twice(
// CHECK-SAME: %{{[^:]*}}: memref<4xf32>, %{{[^:]*}}: index, %{{[^:]*}}: index)
// CHECK-NOT: scf.forall
// CHECK-COUNT-2: scf.for

// CHECK-LABEL: func.func @twice_workgroups(
// CHECK: %[[ONE:.*]] = arith.constant 1 : index
// CHECK: arith.index_cast %[[ONE]]
func.func @twice(%x: memref<4xf32>) attributes {llvm.emit_c_interface} {
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) in (4) {
    memref.store %zero, %x[%i] : memref<4xf32>
  }
  scf.forall (%i) in (4) {
    %v = memref.load %x[%i] : memref<4xf32>
    memref.store %v, %x[%i] : memref<4xf32>
  }
  return
}

// -----

// The number of items is data: one workgroup.

// CHECK-LABEL: func.func @counted(
// CHECK-LABEL: func.func @counted_workgroups(
// CHECK-NOT: memref.load
// CHECK: arith.constant 1 : index
func.func @counted(%x: memref<?xf32>, %n: index) attributes {llvm.emit_c_interface} {
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) in (%n) {
    memref.store %zero, %x[%i] : memref<?xf32>
  }
  return
}

// -----

// Private functions are called, not dispatched.

// CHECK-LABEL: func.func private @inner(
// CHECK-SAME: %{{[^:]*}}: memref<4xf32>) {
// CHECK: scf.for
// CHECK-NOT: _workgroups
func.func private @inner(%x: memref<4xf32>) {
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) in (4) {
    memref.store %zero, %x[%i] : memref<4xf32>
  }
  return
}

// -----

// expected-error @below {{the name 'f_workgroups' is needed for the companion of public function 'f'}}
func.func @f() attributes {llvm.emit_c_interface} {
  return
}
func.func private @f_workgroups()
