// RUN: scaling-opt %s --scaling-annotate-kernels | FileCheck %s

// CHECK: llvm.mlir.global external @shared() {addr_space = 3 : i32
llvm.mlir.global internal @shared() {addr_space = 3 : i32, alignment = 16 : i64} : !llvm.array<0 x i8>

// CHECK: llvm.mlir.global internal @other()
llvm.mlir.global internal @other() {addr_space = 3 : i32} : !llvm.array<4 x i8>

// The second pointer of each memref; a single one is none.

// CHECK: llvm.func @kernel(%{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: !llvm.ptr {llvm.align = 16 : i64, llvm.noalias}, %{{[^:]*}}: i64, %{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: !llvm.ptr {llvm.align = 16 : i64, llvm.noalias}, %{{[^:]*}}: i64, %{{[^:]*}}: !llvm.ptr) attributes {nvvm.kernel, nvvm.minctasm = 1 : i32}
llvm.func @kernel(%a: !llvm.ptr, %b: !llvm.ptr, %c: i64, %d: !llvm.ptr, %e: !llvm.ptr, %f: i64, %g: !llvm.ptr) attributes {nvvm.kernel} {
  llvm.return
}

// CHECK: llvm.func @helper(%{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: !llvm.ptr)
llvm.func @helper(%a: !llvm.ptr, %b: !llvm.ptr) {
  llvm.return
}
