// RUN: scaling-opt %s --one-shot-bufferize="bufferize-function-boundaries=1 function-boundary-type-conversion=identity-layout-map" --canonicalize --split-input-file --verify-diagnostics | FileCheck %s

// A loop of half-steps works in place: four vectors outside, nothing inside.

// CHECK-LABEL: func.func @loop
// CHECK-COUNT-4: memref.alloc
// CHECK: scf.for
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: scaling.reduce along(rows)
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: scaling.update {{.*}} own(%[[U:[a-z0-9_]+]] : memref<37xf32>) target(%{{.*}} : memref<37xf32>) outs(%[[U]] : memref<37xf32>)
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: return
func.func @loop(%K: tensor<37x53xf32> {bufferization.writable = false}, %a: tensor<37xf32> {bufferization.writable = false},
                %b: tensor<53xf32> {bufferization.writable = false}) -> (tensor<37xf32>, tensor<53xf32>) {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c10 = arith.constant 10 : index
  %en = tensor.empty() : tensor<37xf32>
  %em = tensor.empty() : tensor<53xf32>
  %un = tensor.empty() : tensor<37xf32>
  %vm = tensor.empty() : tensor<53xf32>
  %u0 = linalg.fill ins(%one : f32) outs(%un : tensor<37xf32>) -> tensor<37xf32>
  %v0 = linalg.fill ins(%one : f32) outs(%vm : tensor<53xf32>) -> tensor<53xf32>
  %r:2 = scf.for %i = %c0 to %c10 step %c1 iter_args(%u = %u0, %v = %v0) -> (tensor<37xf32>, tensor<53xf32>) {
    %zn = linalg.fill ins(%zero : f32) outs(%en : tensor<37xf32>) -> tensor<37xf32>
    %rs = scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : tensor<37x53xf32>) factor(%v : tensor<53xf32>) outs(%zn : tensor<37xf32>) -> tensor<37xf32>
    %u1 = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%rs : tensor<37xf32>) own(%u : tensor<37xf32>) target(%a : tensor<37xf32>) outs(%u : tensor<37xf32>) -> tensor<37xf32>
    %zm = linalg.fill ins(%zero : f32) outs(%em : tensor<53xf32>) -> tensor<53xf32>
    %cs = scaling.reduce along(cols) stat(#scaling.sum) matrix(%K : tensor<37x53xf32>) factor(%u1 : tensor<37xf32>) outs(%zm : tensor<53xf32>) -> tensor<53xf32>
    %v1 = scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%cs : tensor<53xf32>) own(%v : tensor<53xf32>) target(%b : tensor<53xf32>) outs(%v : tensor<53xf32>) -> tensor<53xf32>
    scf.yield %u1, %v1 : tensor<37xf32>, tensor<53xf32>
  }
  return %r#0, %r#1 : tensor<37xf32>, tensor<53xf32>
}

// -----

// A plan in its matrix' place; what `outs` held does not matter.

// CHECK-LABEL: func.func @plan
// CHECK-SAME: (%[[K:[a-z0-9_]+]]: memref<8x4xf32>, %[[U:[a-z0-9_]+]]: memref<8xf32>)
// CHECK-NEXT: scaling.plan domain(kernel) matrix(%[[K]] : memref<8x4xf32>) row(%[[U]] : memref<8xf32>) outs(%[[K]] : memref<8x4xf32>)
// CHECK-NEXT: return %[[K]]
func.func @plan(%K: tensor<8x4xf32>, %u: tensor<8xf32>) -> tensor<8x4xf32> {
  %P = scaling.plan domain(kernel) matrix(%K : tensor<8x4xf32>) row(%u : tensor<8xf32>) outs(%K : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %P : tensor<8x4xf32>
}

// -----

// The factor is read for every column: it cannot be where the plan's row is
// written.

// CHECK-LABEL: func.func @square
// CHECK: memref.alloc
// CHECK: scaling.pairwise
func.func @square(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %C = scaling.pairwise l1 points(%x, %x : tensor<8x8xf32>, tensor<8x8xf32>) outs(%x : tensor<8x8xf32>) -> tensor<8x8xf32>
  return %C : tensor<8x8xf32>
}

// -----

func.func @named(%z: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-error @below {{must be generalized and decomposed before bufferization}}
  %P, %k, %r, %s = scaling.project logits(%z : tensor<4x4xf32>) preset(mhc)
  return %P : tensor<4x4xf32>
}

// -----

func.func @iterate(%K: tensor<4x4xf32>) -> tensor<4xf32> {
  // expected-error @below {{must be decomposed before bufferization}}
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<4x4xf32>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum>)
    order(cols_first) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<kernel>)
  return %u : tensor<4xf32>
}

// -----

// A dual value is added to its start in place.

// CHECK-LABEL: func.func @dual
// CHECK-SAME: %[[O:[a-z0-9_]+]]: memref<f32>)
// CHECK-NEXT: scaling.apply dual domain(log) {{.*}} outs(%[[O]] : memref<f32>)
// CHECK-NEXT: return %[[O]]
func.func @dual(%X: tensor<8x4xf32>, %F: tensor<8xf32>, %G: tensor<4xf32>, %a: tensor<8xf32>, %b: tensor<4xf32>, %o: tensor<f32>) -> tensor<f32> {
  %d = scaling.apply dual domain(log) matrix(%X : tensor<8x4xf32>) row(%F : tensor<8xf32>) col(%G : tensor<4xf32>)
    row_weight(%a : tensor<8xf32>) col_weight(%b : tensor<4xf32>) outs(%o : tensor<f32>) -> tensor<f32>
  return %d : tensor<f32>
}
