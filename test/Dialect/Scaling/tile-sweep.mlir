// RUN: split-file %s %t
// RUN: cat %t/loop.mlir %t/block.mlir > %t/one.mlir
// RUN: cat %t/loop.mlir %t/group.mlir > %t/two.mlir
// RUN: scaling-opt %t/one.mlir --transform-interpreter | FileCheck %s --check-prefix=BLOCK
// RUN: scaling-opt %t/two.mlir --transform-interpreter | FileCheck %s --check-prefix=GROUP
// RUN: scaling-opt %t/lazy.mlir --transform-interpreter | FileCheck %s --check-prefix=LAZY
// RUN: scaling-opt %t/one.mlir --transform-interpreter --one-shot-bufferize="bufferize-function-boundaries=1 function-boundary-type-conversion=identity-layout-map" --canonicalize --cse --canonicalize | FileCheck %s --check-prefix=MEM
// RUN: scaling-opt %t/two.mlir --transform-interpreter --one-shot-bufferize="bufferize-function-boundaries=1 function-boundary-type-conversion=identity-layout-map" --canonicalize --cse --canonicalize | FileCheck %s --check-prefix=MEM

// One slice of the matrix serves both reductions; nothing is left outside.

// BLOCK-LABEL: func.func @sweep
// BLOCK-SAME: (%[[K:[a-z0-9]*]]: tensor<37x53xf32>
// BLOCK: scf.for
// BLOCK-NOT: scaling.
// BLOCK: scf.forall (%[[I:[a-z0-9_]+]]) = (0) to (37) step (8) shared_outs(%[[PART:[a-z0-9_]+]] = %{{.*}}, %[[U:[a-z0-9_]+]] = %{{.*}}) -> (tensor<5x53xf32>, tensor<37xf32>)
// BLOCK: %[[KT:[a-z0-9_]+]] = tensor.extract_slice %[[K]][%[[I]], 0] [%[[N:[a-z0-9_]+]], 53] [1, 1]
// BLOCK-NOT: tensor.extract_slice %[[K]]
// BLOCK: %[[RS:[a-z0-9_]+]] = scaling.reduce along(rows) stat(#scaling.sum) matrix(%[[KT]] : tensor<?x53xf32>)
// BLOCK: %[[UT:[a-z0-9_]+]] = tensor.extract_slice %[[U]][%[[I]]] [%[[N]]] [1]
// BLOCK: %[[U1:[a-z0-9_]+]] = scaling.update {{.*}} states(%[[RS]] : tensor<?xf32>) own(%[[UT]] : tensor<?xf32>){{.*}} outs(%[[UT]] : tensor<?xf32>)
// BLOCK: %[[ZERO:[a-z0-9_]+]] = linalg.fill
// BLOCK: %[[CS:[a-z0-9_]+]] = scaling.reduce along(cols) stat(#scaling.sum) matrix(%[[KT]] : tensor<?x53xf32>) factor(%[[U1]] : tensor<?xf32>) outs(%[[ZERO]] : tensor<53xf32>)
// BLOCK: tensor.parallel_insert_slice %[[CS]] into %[[PART]]
// BLOCK: tensor.parallel_insert_slice %[[U1]] into %[[U]]
// BLOCK: linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]
// BLOCK: scaling.update
// BLOCK: scf.yield
// BLOCK: return

// GROUP-LABEL: func.func @sweep
// GROUP: scf.forall {{.*}} = (0) to (37) step (16)
// GROUP: linalg.fill {{.*}} -> tensor<53xf32>
// GROUP: scf.for
// GROUP: scaling.reduce along(rows)
// GROUP: scaling.update
// GROUP: scaling.reduce along(cols)
// GROUP: scf.yield
// GROUP-NOT: scaling.reduce
// GROUP: scf.forall.in_parallel

// LAZY-LABEL: func.func @lazy
// LAZY-NOT: scaling.pairwise
// LAZY: scf.forall
// LAZY: %[[C:[a-z0-9_]+]] = scaling.pairwise {{.*}} -> tensor<?x53xf32>
// LAZY-NOT: scaling.pairwise
// LAZY: scaling.reduce along(rows) stat(#scaling.lse) matrix(%[[C]]
// LAZY-NOT: scaling.pairwise
// LAZY: scaling.reduce along(cols) stat(#scaling.lse) matrix(%[[C]]
// LAZY-NOT: scaling.pairwise
// LAZY: return

// MEM-LABEL: func.func @sweep
// MEM-NOT: memref.copy
// MEM: scf.forall
// MEM-NOT: memref.copy
// MEM: memref.alloc() {{.*}} : memref<{{8|4}}xf32>
// MEM-NOT: memref.alloc
// MEM-NOT: memref.copy
// MEM: return

//--- loop.mlir
func.func @sweep(%K: tensor<37x53xf32> {bufferization.writable = false}, %a: tensor<37xf32> {bufferization.writable = false},
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

//--- block.mlir
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.reduce"]} attributes{axis = 1 : i32} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2 = transform.scaling.tile_sweep %0 block(8) : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

//--- group.mlir
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.reduce"]} attributes{axis = 1 : i32} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2 = transform.scaling.tile_sweep %0 block(4) group(16) : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

//--- lazy.mlir
func.func @lazy(%x: tensor<37x3xf32>, %y: tensor<53x3xf32>, %f: tensor<37xf32>, %g: tensor<53xf32>) -> (tensor<37xf32>, tensor<53xf32>, tensor<53xf32>) {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant -3.40282347E+38 : f32
  %e = tensor.empty() : tensor<37x53xf32>
  %C = scaling.pairwise dot points(%x, %y : tensor<37x3xf32>, tensor<53x3xf32>) outs(%e : tensor<37x53xf32>) -> tensor<37x53xf32>
  %en = tensor.empty() : tensor<37xf32>
  %ln = linalg.fill ins(%low : f32) outs(%en : tensor<37xf32>) -> tensor<37xf32>
  %zn = linalg.fill ins(%zero : f32) outs(%en : tensor<37xf32>) -> tensor<37xf32>
  %rs:2 = scaling.reduce along(rows) stat(#scaling.lse) matrix(%C : tensor<37x53xf32>) factor(%g : tensor<53xf32>) outs(%ln, %zn : tensor<37xf32>, tensor<37xf32>) -> tensor<37xf32>, tensor<37xf32>
  %f1 = scaling.update rule(#scaling.rule<sum>) domain(log) states(%rs#0, %rs#1 : tensor<37xf32>, tensor<37xf32>) own(%f : tensor<37xf32>) outs(%f : tensor<37xf32>) -> tensor<37xf32>
  %em = tensor.empty() : tensor<53xf32>
  %lm = linalg.fill ins(%low : f32) outs(%em : tensor<53xf32>) -> tensor<53xf32>
  %zm = linalg.fill ins(%zero : f32) outs(%em : tensor<53xf32>) -> tensor<53xf32>
  %cs:2 = scaling.reduce along(cols) stat(#scaling.lse) matrix(%C : tensor<37x53xf32>) factor(%f1 : tensor<37xf32>) outs(%lm, %zm : tensor<53xf32>, tensor<53xf32>) -> tensor<53xf32>, tensor<53xf32>
  return %f1, %cs#0, %cs#1 : tensor<37xf32>, tensor<53xf32>, tensor<53xf32>
}
module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%m: !transform.any_op {transform.readonly}) {
    %0 = transform.structured.match ops{["scaling.reduce"]} attributes{axis = 1 : i32} in %m : (!transform.any_op) -> !transform.any_op
    %1, %2 = transform.scaling.tile_sweep %0 block(8) recompute : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
