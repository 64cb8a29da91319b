// RUN: scaling-opt %s --scaling-form-team --canonicalize --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-form-team=threads=false --canonicalize --split-input-file | FileCheck %s --check-prefix=SEQ

// Two dimensions become one; memrefs, indices and floats travel in the context,
// constants do not.

// CHECK: func.func private @scaling_parallel_for(i64, !llvm.ptr, !llvm.ptr)
// CHECK-LABEL: func.func @two_dims(
// CHECK-SAME: %[[X:[^:]*]]: memref<?x?xf32>, %[[N:[^:]*]]: index, %[[M:[^:]*]]: index, %[[A:[^:]*]]: f32
// CHECK: %[[F:.*]] = constant @two_dims_team : (i64, i64, !llvm.ptr) -> ()
// CHECK: %[[CTX:.*]] = llvm.alloca %{{.*}} x !llvm.struct<(f32, struct<(ptr, ptr, i64, array<2 x i64>, array<2 x i64>)>, i64)>
// CHECK-DAG: %[[DESC:.*]] = builtin.unrealized_conversion_cast %[[X]]
// CHECK-DAG: llvm.store %[[DESC]]
// CHECK-DAG: llvm.store %[[A]]
// CHECK: %[[COUNT:.*]] = arith.muli
// CHECK: %[[COUNT64:.*]] = arith.index_cast %[[COUNT]] : index to i64
// CHECK: %[[P:.*]] = builtin.unrealized_conversion_cast %[[F]] :
// CHECK: call @scaling_parallel_for(%[[COUNT64]], %[[P]], %[[CTX]])
// CHECK-NOT: scf.forall

// CHECK-LABEL: func.func private @two_dims_team(
// CHECK-SAME: %[[BEGIN:[^:]*]]: i64, %[[END:[^:]*]]: i64, %[[C:[^:]*]]: !llvm.ptr
// CHECK-DAG: %[[LB:.*]] = arith.index_cast %[[BEGIN]]
// CHECK-DAG: %[[UB:.*]] = arith.index_cast %[[END]]
// CHECK: scf.for %[[IV:.*]] = %[[LB]] to %[[UB]]
// CHECK-DAG: %[[J:.*]] = arith.remui %[[IV]], %[[SIZE:.*]]
// CHECK-DAG: %[[I:.*]] = arith.divui %[[IV]], %[[SIZE]]
// CHECK: memref.store %{{.*}}, %{{.*}}[%[[I]], %[[J]]]

// SEQ-LABEL: func.func @two_dims
// SEQ-NOT: call
// SEQ: scf.for
// SEQ: scf.for
func.func @two_dims(%x: memref<?x?xf32>, %n: index, %m: index, %a: f32) {
  %c2 = arith.constant 2.0 : f32
  scf.forall (%i, %j) in (%n, %m) {
    %v = arith.mulf %a, %c2 : f32
    memref.store %v, %x[%i, %j] : memref<?x?xf32>
  }
  return
}

// -----

// Bounds and steps; the loop inside is sequential.

// CHECK-LABEL: func.func @nested
// CHECK: call @scaling_parallel_for
// CHECK-LABEL: func.func private @nested_team
// CHECK: scf.for
// CHECK: arith.muli %{{.*}}, %c4
// CHECK: arith.addi %{{.*}}, %c8
// CHECK: scf.for
// CHECK-NOT: scf.forall
func.func @nested(%x: memref<64x64xf32>, %a: f32) {
  scf.forall (%i) = (8) to (64) step (4) {
    scf.forall (%j) in (64) {
      memref.store %a, %x[%i, %j] : memref<64x64xf32>
    }
  }
  return
}

// -----

// One item: no call. The loop inside is then the outermost one.

// CHECK-LABEL: func.func @one(
// CHECK-NOT: scaling_parallel_for
// CHECK: memref.store
// CHECK: return
func.func @one(%x: memref<64xf32>, %a: f32) {
  scf.forall (%i) = (8) to (12) step (4) {
    memref.store %a, %x[%i] : memref<64xf32>
  }
  return
}

// CHECK-LABEL: func.func @one_outer(
// CHECK: call @scaling_parallel_for
func.func @one_outer(%x: memref<1x64xf32>, %a: f32) {
  scf.forall (%i) in (1) {
    scf.forall (%j) in (64) {
      memref.store %a, %x[%i, %j] : memref<1x64xf32>
    }
  }
  return
}

// -----

// Scratch: of static size once per call, else on the heap, once per call too.
// The context is not allocated in the loop.

// CHECK-LABEL: func.func @scratch(
// CHECK: llvm.alloca
// CHECK: scf.for
// CHECK-NOT: llvm.alloca
// CHECK: call @scaling_team_for
// CHECK-LABEL: func.func private @scratch_team
// CHECK: memref.alloca() : memref<16xf32>
// CHECK: memref.alloc(
// CHECK: scf.for
// CHECK-NOT: memref.alloc
// CHECK: }
// CHECK: memref.dealloc

// SEQ-LABEL: func.func @scratch(
// SEQ: memref.alloca() : memref<16xf32>
// SEQ: scf.for
// SEQ: memref.alloc(
// SEQ: scf.for
// SEQ-NOT: memref.alloc
// SEQ: }
// SEQ: memref.dealloc
func.func private @use(memref<16xf32>, memref<?xf32>)
func.func @scratch(%n: index, %m: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %t = %c0 to %m step %c1 {
    scf.forall (%i) in (%n) {
      %s = memref.alloca() : memref<16xf32>
      %d = memref.alloca(%m) : memref<?xf32>
      func.call @use(%s, %d) : (memref<16xf32>, memref<?xf32>) -> ()
    }
  }
  return
}

// -----

// A global is named again, not captured.

memref.global "private" constant @table : memref<4xf32> = dense<1.0>

// CHECK-LABEL: func.func private @global_team
// CHECK: memref.get_global @table
func.func @global(%x: memref<4xf32>) {
  %g = memref.get_global @table : memref<4xf32>
  scf.forall (%i) in (4) {
    %v = memref.load %g[%i] : memref<4xf32>
    memref.store %v, %x[%i] : memref<4xf32>
  }
  return
}

// -----

// One team for all loops, around the sequential one: the threads come once. What
// does not change in the loop is stored before it; the decision to go on is the
// caller's.

// CHECK-LABEL: func.func @sweeps(
// CHECK-SAME: %[[X:[^:]*]]: memref<?xf32>
// CHECK-NOT: scf.while
// CHECK: %[[TEAM:.*]] = call @scaling_team_begin() : () -> !llvm.ptr
// CHECK: call @scaling_team_for(%[[TEAM]],
// CHECK: llvm.store {{.*}} !llvm.struct
// CHECK: scf.while
// CHECK: do {
// CHECK-NOT: llvm.store
// CHECK: llvm.store %{{.*}} : f32
// CHECK-NOT: llvm.store
// CHECK: call @scaling_team_for(%[[TEAM]],
// CHECK: memref.load
// CHECK: scf.yield
// CHECK-NEXT: }
// CHECK-NEXT: call @scaling_team_end(%[[TEAM]]) : (!llvm.ptr) -> ()
// CHECK-NEXT: return
// CHECK-COUNT-2: func.func private @sweeps_team

// SEQ-LABEL: func.func @sweeps(
// SEQ-NOT: call
// SEQ: return
func.func @sweeps(%x: memref<?xf32>, %a: f32, %n: index) {
  %c0 = arith.constant 0 : index
  scf.forall (%i) in (%n) {
    memref.store %a, %x[%i] : memref<?xf32>
  }
  %r = scf.while (%t = %a) : (f32) -> f32 {
    %more = arith.cmpf olt, %t, %a : f32
    scf.condition(%more) %t : f32
  } do {
  ^bb0(%t: f32):
    scf.forall (%i) in (%n) {
      memref.store %t, %x[%i] : memref<?xf32>
    }
    %v = memref.load %x[%c0] : memref<?xf32>
    scf.yield %v : f32
  }
  return
}
