// RUN: scaling-opt %s --scaling-entry-abi --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-entry-abi --scaling-entry-abi --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @static(
// CHECK-SAME: %[[X:.*]]: tensor<4xf32> {bufferization.writable = false}, %[[A:.*]]: f32, %[[D:.*]]: tensor<4xf32> {bufferization.writable = true}, %[[O:.*]]: memref<4xf32>, %[[S:.*]]: memref<f32>)
// CHECK-SAME: attributes {llvm.emit_c_interface}
// CHECK: bufferization.materialize_in_destination %[[X]] in restrict writable %[[O]]
// CHECK: memref.store %[[A]], %[[S]][]
// CHECK: return{{$}}
func.func @static(%x: tensor<4xf32> {scaling.name = "x"}, %a: f32, %d: tensor<4xf32> {bufferization.writable = true})
    -> (tensor<4xf32>, f32 {scaling.result = "residual"}) {
  return %x, %a : tensor<4xf32>, f32
}

// Private functions keep their tensors.
// CHECK-LABEL: func.func private @private(
// CHECK-SAME: tensor<4xf32>) -> tensor<4xf32>
func.func private @private(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// The companion knows the result's size without computing the result.

// CHECK-LABEL: func.func @dynamic(
// CHECK-SAME: memref<?x8xf64>)
// CHECK: math.exp
// CHECK-LABEL: func.func @dynamic_result_dims(
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf64> {bufferization.writable = false}, %[[O:.*]]: memref<1xi64>)
// CHECK-NOT: math.exp
// CHECK: %[[D:.*]] = tensor.dim %[[X]]
// CHECK: %[[C:.*]] = arith.index_cast %[[D]] : index to i64
// CHECK: %[[T:.*]] = tensor.from_elements %[[C]]
// CHECK: materialize_in_destination %[[T]] in restrict writable %[[O]]
func.func @dynamic(%x: tensor<?x8xf64>) -> tensor<?x8xf64> {
  %r = math.exp %x : tensor<?x8xf64>
  return %r : tensor<?x8xf64>
}

// -----

// Neither does it run loops.

// CHECK-LABEL: func.func @loop_result_dims(
// CHECK-NOT: scf.
// CHECK: tensor.dim
// CHECK-NOT: scf.
// CHECK: return
func.func @loop(%x: tensor<?xf64>, %n: i32) -> tensor<?xf64> {
  %z = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %r:2 = scf.while (%k = %z, %t = %x) : (i32, tensor<?xf64>) -> (tensor<?xf64>, i32) {
    %go = arith.cmpi slt, %k, %n : i32
    scf.condition(%go) %t, %k : tensor<?xf64>, i32
  } do {
  ^bb0(%t: tensor<?xf64>, %k: i32):
    %y = linalg.map { math.exp } ins(%x : tensor<?xf64>) outs(%t : tensor<?xf64>)
    %k1 = arith.addi %k, %one : i32
    scf.yield %k1, %y : i32, tensor<?xf64>
  }
  return %r#0 : tensor<?xf64>
}

// -----

// Callers inside the module keep the tensor form.

// CHECK-LABEL: func.func private @callee_0(
// CHECK-SAME: tensor<4xf32>) -> tensor<4xf32>
// CHECK-LABEL: func.func @callee(
// CHECK-SAME: memref<4xf32>)
// CHECK-LABEL: func.func @caller(
// CHECK: call @callee_0
func.func @callee(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
func.func @caller(%x: tensor<4xf32>) -> tensor<4xf32> {
  %r = call @callee(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %r : tensor<4xf32>
}
