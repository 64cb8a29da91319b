// RUN: scaling-opt %s --scaling-lower-to-vector --scaling-memref-to-llvm | FileCheck %s

// Nothing is left over, nothing is called, nothing is added in sequence.
// CHECK-NOT: unrealized_conversion_cast
// CHECK-NOT: llvm.call
// CHECK-NOT: vector.reduce
// CHECK-NOT: vector.
// CHECK-LABEL: llvm.func @rows
// CHECK: llvm.intr.fma
// CHECK-LABEL: llvm.func @columns
// CHECK-LABEL: llvm.func @product
func.func @rows(%A: memref<?x?xf32>, %v: memref<?xf32>, %m: memref<?xi1>, %o: memref<?xf32>) {
  scaling.reduce along(rows) stat(#scaling.sum) matrix(%A : memref<?x?xf32>) factor(%v : memref<?xf32>)
      mask(%m : memref<?xi1>) outs(%o : memref<?xf32>)
  return
}
func.func @columns(%A: memref<?x?xbf16>, %m: memref<?xi1>, %o: memref<?xf32>, %p: memref<?xf32>) {
  scaling.reduce along(cols) stat(#scaling.lse) matrix(%A : memref<?x?xbf16>)
      mask(%m : memref<?xi1>) outs(%o, %p : memref<?xf32>, memref<?xf32>)
  return
}
func.func @product(%A: memref<?x?xf32>, %V: memref<?x?xf32>, %o: memref<?x?xf32>) {
  scaling.apply product domain(kernel) matrix(%A : memref<?x?xf32>) operand(%V : memref<?x?xf32>) outs(%o : memref<?x?xf32>)
  return
}
