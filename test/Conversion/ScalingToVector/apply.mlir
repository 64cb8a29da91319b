// RUN: scaling-opt %s --scaling-lower-to-vector --canonicalize --cse \
// RUN:   --split-input-file | FileCheck %s

// Eight rows of the plan are made on the stack, then multiplied with two
// vectors of the value matrix at a time, sixteen sums in registers from the
// first column to the last.

// CHECK-LABEL: func @product
// CHECK-SAME: (%[[X:.*]]: memref<64x128xf32>, %[[V:.*]]: memref<128x32xf32>, %[[O:.*]]: memref<64x32xf32>)
// CHECK:         %[[BLOCK:.*]] = memref.alloca() {alignment = 64 : i64} : memref<8x128xf32>
// CHECK:         scf.for
// CHECK:           math.exp
// CHECK:           vector.store {{.*}} %[[BLOCK]]
// CHECK-COUNT-16:  vector.load %[[O]]
// CHECK:           scf.for
// CHECK-COUNT-2:     vector.load %[[V]]
// CHECK-COUNT-8:     memref.load %[[BLOCK]]
// CHECK-NOT:         load
// CHECK:             scf.yield
// CHECK-COUNT-16:  vector.store {{.*}} %[[O]]
func.func @product(%X: memref<64x128xf32>, %V: memref<128x32xf32>, %O: memref<64x32xf32>) {
  scaling.apply product domain(log) matrix(%X : memref<64x128xf32>)
      operand(%V : memref<128x32xf32>) outs(%O : memref<64x32xf32>)
  return
}

// -----

// Rows of unknown length, and those that are too long for the stack, come in
// parts.

// CHECK-LABEL: func @parts
// CHECK-COUNT-2: memref.alloca() {{.*}} : memref<8x256xf32>
func.func @parts(%X: memref<64x?xf32>, %Y: memref<64x4096xf32>, %V: memref<?x32xf32>,
                 %W: memref<4096x32xf32>, %O: memref<64x32xf32>) {
  scaling.apply product domain(kernel) matrix(%X : memref<64x?xf32>)
      operand(%V : memref<?x32xf32>) outs(%O : memref<64x32xf32>)
  scaling.apply product domain(kernel) matrix(%Y : memref<64x4096xf32>)
      operand(%W : memref<4096x32xf32>) outs(%O : memref<64x32xf32>)
  return
}

// -----

// Sums of a narrow type are rounded once: they are on the stack meanwhile.

// CHECK-LABEL: func @narrow
// CHECK-DAG:     memref.alloca() {{.*}} : memref<64x64xf32>
// CHECK-DAG:     memref.alloca() {{.*}} : memref<64x128xf32>
// CHECK:         arith.extf
// CHECK:         arith.truncf
func.func @narrow(%K: memref<?x?xbf16>, %V: memref<?x?xbf16>, %O: memref<?x?xbf16>) {
  scaling.apply product transposed domain(kernel) matrix(%K : memref<?x?xbf16>)
      operand(%V : memref<?x?xbf16>) outs(%O : memref<?x?xbf16>)
  return
}

// -----

// CHECK-LABEL: func @argmax
// CHECK:         scf.for
// CHECK:           scf.for {{.*}} -> (vector<16xf32>, vector<16xi64>)
// CHECK:             arith.cmpf ogt
// CHECK:           vector.shuffle {{.*}} vector<16xi64>
// CHECK:           memref.store {{.*}} memref<8xi64>
func.func @argmax(%K: memref<8x64xf32>, %b: memref<8xf32>, %i: memref<8xi64>) {
  scaling.apply argmax domain(kernel) matrix(%K : memref<8x64xf32>)
      outs(%b, %i : memref<8xf32>, memref<8xi64>)
  return
}

// -----

// CHECK-LABEL: func @mass
// CHECK:         scf.for {{.*}} -> (vector<16xf32>)
// CHECK:           scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK:         memref.store
func.func @mass(%K: memref<8x256xf32>, %o: memref<f32>) {
  scaling.apply mass domain(kernel) matrix(%K : memref<8x256xf32>) outs(%o : memref<f32>)
  return
}

// -----

// The entries, the terms of the rows, those of the columns of the first tile.

// CHECK-LABEL: func @dual
// CHECK-SAME:    %[[OFFSET:[a-z0-9]*]]: index
// CHECK:         scf.for {{.*}} -> (vector<16xf32>)
// CHECK:           math.exp {{.*}} : vector<16xf32>
// CHECK:         vector.load {{.*}} vector<16xf32>
// CHECK:         math.log {{.*}} : vector<16xf32>
// CHECK:         %[[FIRST:.*]] = arith.cmpi eq, %[[OFFSET]]
// CHECK:         scf.if %[[FIRST]]
// CHECK:           math.log {{.*}} : vector<16xf32>
// CHECK:         memref.store
func.func @dual(%X: memref<16x64xf32>, %F: memref<16xf32>, %G: memref<64xf32>, %a: memref<16xf32>, %b: memref<64xf32>, %offset: index, %o: memref<f32>) {
  scaling.apply dual domain(log) matrix(%X : memref<16x64xf32>) row(%F : memref<16xf32>) col(%G : memref<64xf32>)
    row_weight(%a : memref<16xf32>) col_weight(%b : memref<64xf32>) row_offset(%offset) outs(%o : memref<f32>)
  return
}
