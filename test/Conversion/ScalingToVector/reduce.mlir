// RUN: scaling-opt %s --scaling-lower-to-vector --canonicalize --cse \
// RUN:   --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-lower-to-vector="vector-bits=256 contract=false" \
// RUN:   --canonicalize --cse --split-input-file | FileCheck %s --check-prefix=AVX2

// Every entry is loaded once, the factor once for a block of eight rows; two
// chains per row are joined and folded by a tree of shuffles.

// CHECK-LABEL: func @rows
// CHECK-SAME: (%[[A:.*]]: memref<8x64xf32>, %[[V:.*]]: memref<64xf32>, %[[S:.*]]: memref<8xf32>)
// CHECK:         %[[OLD:.*]] = vector.load %[[S]]{{.*}} vector<8xf32>
// CHECK:         %[[SUMS:.*]]:16 = scf.for
// CHECK:           vector.load %[[V]]{{.*}} vector<16xf32>
// CHECK-COUNT-8:   vector.load %[[A]]{{.*}} vector<16xf32>
// CHECK:           vector.load %[[V]]
// CHECK-COUNT-8:   vector.load %[[A]]
// CHECK-NOT:       vector.load
// CHECK-NOT:       arith.mulf
// CHECK:           scf.yield
// CHECK-COUNT-8: arith.addf {{.*}} vector<16xf32>
// CHECK:         vector.shuffle
// CHECK:         %[[ADDED:.*]] = arith.addf {{.*}} vector<8xf32>
// CHECK:         %[[NEW:.*]] = arith.addf %[[OLD]], %[[ADDED]] : vector<8xf32>
// CHECK:         vector.store %[[NEW]], %[[S]]
// CHECK-NOT:     vector.reduction
// AVX2-LABEL: func @rows
// AVX2-COUNT-2: scf.for
// AVX2:         vector.load {{.*}} vector<8xf32>
// AVX2-COUNT-8: arith.mulf
// AVX2:         scf.yield
// AVX2-NOT:     math.fma
func.func @rows(%A: memref<8x64xf32>, %v: memref<64xf32>, %s: memref<8xf32>) {
  scaling.reduce along(rows) stat(#scaling.sum) matrix(%A : memref<8x64xf32>)
      factor(%v : memref<64xf32>) outs(%s : memref<8xf32>)
  return
}

// -----

// Eight rows are added to a vector of column states: one load and one store of
// the state, two chains, the factors loaded before the loop.

// CHECK-LABEL: func @cols
// CHECK-SAME: (%[[A:.*]]: memref<8x64xf32>, %[[U:.*]]: memref<8xf32>, %[[S:.*]]: memref<64xf32>)
// CHECK-COUNT-8: memref.load %[[U]]
// CHECK:         scf.for
// CHECK-COUNT-8:   vector.load %[[A]]{{.*}} vector<16xf32>
// CHECK-COUNT-6:   math.fma
// CHECK:           %[[TREE:.*]] = arith.addf
// CHECK:           %[[STATE:.*]] = vector.load %[[S]]
// CHECK:           %[[NEW:.*]] = arith.addf %[[STATE]], %[[TREE]]
// CHECK-NOT:       vector.load
// CHECK:           vector.store %[[NEW]], %[[S]]
func.func @cols(%A: memref<8x64xf32>, %u: memref<8xf32>, %s: memref<64xf32>) {
  scaling.reduce along(cols) stat(#scaling.sum) matrix(%A : memref<8x64xf32>)
      factor(%u : memref<8xf32>) outs(%s : memref<64xf32>)
  return
}

// -----

// A known rest is done under a constant mask; a vector is no longer than the
// dimension. Lanes beyond the end are excluded from what is added.

// CHECK-LABEL: func @known_rest
// CHECK-SAME: (%[[A:.*]]: memref<1x20xf32>,
// CHECK:       %[[MASK:.*]] = vector.constant_mask [4] : vector<16xi1>
// CHECK:       vector.load %[[A]]{{.*}} vector<16xf32>
// CHECK:       vector.maskedload %[[A]]{{.*}} %[[MASK]]
// CHECK-NOT:   scf.if
// CHECK-LABEL: func @short
// CHECK:       vector.load {{.*}} vector<4xf32>
// CHECK-NOT:   mask
// CHECK-NOT:   scf.for
func.func @known_rest(%A: memref<1x20xf32>, %s: memref<1xf32>) {
  scaling.reduce along(rows) stat(#scaling.l1) matrix(%A : memref<1x20xf32>) outs(%s : memref<1xf32>)
  return
}
func.func @short(%A: memref<4x4xf32>, %s: memref<4xf32>) {
  scaling.reduce along(rows) stat(#scaling.l1) matrix(%A : memref<4x4xf32>) outs(%s : memref<4xf32>)
  return
}

// -----

// An unknown rest is skipped where there is none.

// CHECK-LABEL: func @unknown_rest
// CHECK:         scf.for
// CHECK:           scf.for {{.*}} step %c32
// CHECK:           scf.if
// CHECK:             vector.create_mask
// CHECK:             vector.maskedload
// The rows behind the last block, one by one.
// CHECK:         scf.for {{.*}} step %c1
func.func @unknown_rest(%A: memref<?x?xf32>, %s: memref<?xf32>) {
  scaling.reduce along(rows) stat(#scaling.sum) matrix(%A : memref<?x?xf32>) outs(%s : memref<?xf32>)
  return
}

// -----

// Log-sum-exp along rows: two sweeps over a block of rows, the state that came
// in moved to the new maximum. Along columns: a block stays in registers, and
// every entry is loaded once.

// CHECK-LABEL: func @lse_rows
// CHECK:         scf.for
// CHECK:           scf.for
// CHECK:             %[[LARGER:.*]] = arith.cmpf ogt, %[[ENTRY:.*]], %[[LARGEST:.*]] : vector<16xf32>
// CHECK-NEXT:        arith.select %[[LARGER]], %[[ENTRY]], %[[LARGEST]]
// CHECK:           scf.for
// CHECK:             math.exp {{.*}} vector<16xf32>
// CHECK:           math.exp {{.*}} vector<8xf32>
// CHECK-LABEL: func @lse_cols
// CHECK-SAME: (%[[A:.*]]: memref<64x64xf32>
// CHECK:         scf.for
// CHECK:           scf.for
// CHECK-COUNT-8:     vector.load %[[A]]
// CHECK-NOT:         vector.load %[[A]]
// CHECK-COUNT-9:     math.exp
// CHECK-NOT:         math.exp
// CHECK:         return
func.func @lse_rows(%A: memref<64x64xf32>, %m: memref<64xf32>, %s: memref<64xf32>) {
  scaling.reduce along(rows) stat(#scaling.lse) matrix(%A : memref<64x64xf32>)
      outs(%m, %s : memref<64xf32>, memref<64xf32>)
  return
}
func.func @lse_cols(%A: memref<64x64xf32>, %m: memref<64xf32>, %s: memref<64xf32>) {
  scaling.reduce along(cols) stat(#scaling.lse) matrix(%A : memref<64x64xf32>)
      outs(%m, %s : memref<64xf32>, memref<64xf32>)
  return
}

// -----

// Count and sum share a sweep; the squares need another.

// CHECK-LABEL: func @std
// CHECK:         scf.for
// CHECK-COUNT-2:   scf.for
// CHECK-NOT:       scf.for
// CHECK:         return
func.func @std(%A: memref<64x64xf32>, %n: memref<64xf32>, %s: memref<64xf32>, %q: memref<64xf32>) {
  scaling.reduce along(rows) stat(#scaling.std) matrix(%A : memref<64x64xf32>)
      outs(%n, %s, %q : memref<64xf32>, memref<64xf32>, memref<64xf32>)
  return
}

// -----

// Matrices side by side: both reductions are vertical, nothing is shuffled. Few
// entries are written out, so that they can stay in registers; of more, a block
// of rows shares each load of the factor.

// CHECK-LABEL: func @lanes
// CHECK-NOT:     scf.for
// CHECK-NOT:     vector.shuffle
// CHECK-COUNT-32: math.fma
// CHECK-NOT:     math.fma
// CHECK:         return
// CHECK-LABEL: func @more_lanes
// CHECK-SAME: (%[[A:[^:]*]]: memref<16x16x16xf32>, %[[V:[^:]*]]: memref<16x16xf32>
// CHECK:         scf.for
// CHECK:         scf.for
// CHECK:           vector.load %[[V]]
// CHECK-COUNT-4:   vector.load %[[A]]
// CHECK-NOT:       vector.load %[[V]]
// CHECK:           scf.yield
// CHECK:         return
func.func @lanes(%A: memref<4x4x16xf32>, %v: memref<4x16xf32>, %r: memref<4x16xf32>, %c: memref<4x16xf32>) {
  scaling.reduce along(rows) stat(#scaling.sum) matrix(%A : memref<4x4x16xf32>)
      factor(%v : memref<4x16xf32>) outs(%r : memref<4x16xf32>) {dims = array<i64: 0, 1>}
  scaling.reduce along(cols) stat(#scaling.sum) matrix(%A : memref<4x4x16xf32>)
      factor(%v : memref<4x16xf32>) outs(%c : memref<4x16xf32>) {dims = array<i64: 0, 1>}
  return
}
func.func @more_lanes(%A: memref<16x16x16xf32>, %v: memref<16x16xf32>, %r: memref<16x16xf32>) {
  scaling.reduce along(rows) stat(#scaling.sum) matrix(%A : memref<16x16x16xf32>)
      factor(%v : memref<16x16xf32>) outs(%r : memref<16x16xf32>) {dims = array<i64: 0, 1>}
  return
}

// -----

// A mask is a byte per entry in memory. Narrow entries are extended.

// CHECK-LABEL: func @mask
// CHECK-SAME: %[[A:.*]]: memref<8x16xbf16>, %[[M:.*]]: memref<16xi1>
// CHECK:       %[[BYTES:.*]] = builtin.unrealized_conversion_cast %[[M]] : memref<16xi1> to memref<16xi8>
// CHECK:       %[[LOADED:.*]] = vector.load %[[BYTES]]{{.*}} vector<16xi8>
// CHECK:       %[[PART:.*]] = arith.cmpi ne, %[[LOADED]]
// CHECK:       %[[ENTRY:.*]] = vector.load %[[A]]{{.*}} vector<16xbf16>
// CHECK:       arith.extf %[[ENTRY]] : vector<16xbf16> to vector<16xf32>
// CHECK:       arith.select %[[PART]]
func.func @mask(%A: memref<8x16xbf16>, %m: memref<16xi1>, %s: memref<8xf32>) {
  scaling.reduce along(rows) stat(#scaling.sum) matrix(%A : memref<8x16xbf16>)
      mask(%m : memref<16xi1>) outs(%s : memref<8xf32>)
  return
}

// -----

// Entries that are no neighbours in memory: one lane.

// CHECK-LABEL: func @strided
// CHECK:       memref.load
// CHECK-NOT:   vector.load
// CHECK:       return
func.func @strided(%A: memref<8x16xf32, strided<[?, 2], offset: ?>>, %t: memref<16xf32>) {
  scaling.reduce along(cols) stat(#scaling.sum) matrix(%A : memref<8x16xf32, strided<[?, 2], offset: ?>>)
      outs(%t : memref<16xf32>)
  return
}

// -----

// A block of a matrix that is read in order: the block behind it is asked for.

// CHECK-LABEL: func @ahead
// CHECK-SAME: (%[[K:[^:]*]]: memref<8x64xf32, strided<[64, 1], offset: ?>>
// CHECK:         scf.for %[[J:.*]] =
// CHECK-COUNT-8:   memref.prefetch %[[K]][%c{{[0-9]+}}, %[[J]]], read, locality<3>, data
// CHECK-NOT:       memref.prefetch
// CHECK:           vector.load %[[K]]
func.func @ahead(%K: memref<8x64xf32, strided<[64, 1], offset: ?>>, %u: memref<8xf32>, %c: memref<64xf32>) {
  scaling.reduce along(cols) stat(#scaling.sum)
      matrix(%K : memref<8x64xf32, strided<[64, 1], offset: ?>>) factor(%u : memref<8xf32>)
      outs(%c : memref<64xf32>) {scaling.schedule = #scaling.schedule<streaming, row_block = 8>}
  return
}

// One that stays in the first level of cache is not.

// CHECK-LABEL: func @near
// CHECK-NOT: memref.prefetch
func.func @near(%K: memref<8x64xf32>, %u: memref<8xf32>, %c: memref<64xf32>) {
  scaling.reduce along(cols) stat(#scaling.sum) matrix(%K : memref<8x64xf32>)
      factor(%u : memref<8xf32>) outs(%c : memref<64xf32>)
      {scaling.schedule = #scaling.schedule<resident>}
  return
}
