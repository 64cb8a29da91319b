// RUN: scaling-opt %s --scaling-allocate-from-arena --split-input-file --verify-diagnostics | FileCheck %s

// CHECK-DAG: llvm.func @scaling_workspace_acquire(i64) -> (!llvm.ptr {llvm.noalias})
// CHECK-DAG: llvm.func @scaling_workspace_release(!llvm.ptr)
// CHECK-LABEL: llvm.func @f
// CHECK: %[[P:.*]] = llvm.call @scaling_workspace_acquire
// CHECK: llvm.call @scaling_workspace_release(%[[P]])
llvm.func @malloc(i64) -> !llvm.ptr
llvm.func @free(!llvm.ptr)
llvm.func @f(%n: i64) {
  %p = llvm.call @malloc(%n) : (i64) -> !llvm.ptr
  llvm.call @free(%p) : (!llvm.ptr) -> ()
  llvm.return
}

// -----

// A program's own function of that name is not touched.

// CHECK-LABEL: llvm.func internal @free
// CHECK: llvm.call @free
llvm.func internal @free(%x: i64) {
  llvm.return
}
llvm.func @g(%x: i64) {
  llvm.call @free(%x) : (i64) -> ()
  llvm.return
}

// -----

llvm.func @scaling_workspace_release(!llvm.ptr)
// expected-error @below {{the name 'scaling_workspace_release' is taken}}
llvm.func @free(!llvm.ptr)
