// RUN: scaling-opt %s --scaling-lower-to-vector="vector-bits=512" --canonicalize --cse \
// RUN:   --split-input-file | FileCheck %s

// Sixteen matrices are sixteen vectors, transposed in registers; the last of
// the batch stands in for those that are not there.

// CHECK-LABEL: func @to_lanes
// CHECK-SAME: (%[[K:.*]]: memref<?x4x4xf32>, %[[I:.*]]: index, %[[T:.*]]: memref<4x4x16xf32>)
// CHECK-DAG: %[[B:.*]] = memref.dim %[[K]]
// CHECK-DAG: %[[LAST:.*]] = arith.subi %[[B]], %c1
// CHECK-DAG: memref.collapse_shape %[[K]] {{.*}} into memref<?x16xf32>
// CHECK: memref.prefetch
// CHECK: arith.minsi %{{.*}}, %[[LAST]]
// CHECK-COUNT-16: vector.load {{.*}} vector<16xf32>
// CHECK-NOT: vector.load
// CHECK-COUNT-64: vector.shuffle
// CHECK-NOT: vector.shuffle
// CHECK-COUNT-16: vector.store
// CHECK-NOT: scf.for
func.func @to_lanes(%K: memref<?x4x4xf32>, %i: index, %t: memref<4x4x16xf32>) {
  scaling.to_lanes %K[%i] outs(%t : memref<4x4x16xf32>) : memref<?x4x4xf32>
  return
}

// -----

// The way back, from the last lane down: what has no place of its own is
// written over. What is left of a row of entries is masked.

// CHECK-LABEL: func @from_lanes
// CHECK-COUNT-9: vector.load {{.*}} vector<16xf32>
// CHECK-NOT: vector.store
// CHECK-COUNT-16: vector.maskedstore
// CHECK: return
func.func @from_lanes(%t: memref<3x3x16xf32>, %i: index, %P: memref<?x3x3xf32>) {
  scaling.from_lanes %t[%i] outs(%P : memref<?x3x3xf32>) : memref<3x3x16xf32>
  return
}

// -----

// Large matrices are transposed in a loop; flags are bytes.

// CHECK-LABEL: func @large
// CHECK: scf.for
// CHECK-COUNT-64: vector.shuffle
// CHECK: }
// CHECK: vector.maskedload {{.*}} memref<?x5xi8>, {{.*}} into vector<16xi8>
func.func @large(%K: memref<?x32x32xf32>, %i: index, %t: memref<32x32x16xf32>,
                 %m: memref<?x5xi1>, %s: memref<5x16xi1>) {
  scaling.to_lanes %K[%i] outs(%t : memref<32x32x16xf32>) : memref<?x32x32xf32>
  scaling.to_lanes %m[%i] outs(%s : memref<5x16xi1>) : memref<?x5xi1>
  return
}

// -----

// One number per matrix is a vector already.

// CHECK-LABEL: func @scalars
// CHECK: vector.maskedload
// CHECK: vector.maskedstore
// CHECK-NOT: vector.shuffle
func.func @scalars(%e: memref<?xf32>, %i: index, %t: memref<16xf32>, %k: memref<?xi32>, %s: memref<16xi32>) {
  scaling.to_lanes %e[%i] outs(%t : memref<16xf32>) : memref<?xf32>
  scaling.from_lanes %s[%i] outs(%k : memref<?xi32>) : memref<16xi32>
  return
}

// -----

// What is computed on a tile: vectors, whatever the element, and one flag of
// all lanes.

// CHECK-LABEL: func @elementwise
// CHECK-NOT: scf.for
// CHECK-COUNT-4: math.absf {{.*}} vector<16xf32>
// CHECK: arith.ori {{.*}} vector<16xi1>
// CHECK: arith.extui {{.*}} vector<16xi1> to vector<16xi8>
// CHECK: vector.reduction <or>
// CHECK: return
#vector = affine_map<(i, l) -> (i, l)>
#scalar = affine_map<(i, l) -> (l)>
#own = affine_map<(l) -> (l)>
#all = affine_map<(l) -> ()>
func.func @elementwise(%h: memref<4x16xf32>, %f: memref<16xi1>, %any: memref<i1>, %inf: f32) {
  linalg.generic {indexing_maps = [#vector, #scalar], iterator_types = ["reduction", "parallel"]}
      ins(%h : memref<4x16xf32>) outs(%f : memref<16xi1>) {
  ^bb0(%in: f32, %out: i1):
    %a = math.absf %in : f32
    %b = arith.cmpf uge, %a, %inf : f32
    %c = arith.ori %out, %b : i1
    linalg.yield %c : i1
  }
  linalg.generic {indexing_maps = [#own, #all], iterator_types = ["reduction"]}
      ins(%f : memref<16xi1>) outs(%any : memref<i1>) {
  ^bb0(%in: i1, %out: i1):
    %c = arith.ori %out, %in : i1
    linalg.yield %c : i1
  }
  return
}

// A maximum along vectors: a vector of maxima, whose lanes are folded once at
// the end. Those beyond the end are below everything.

// CHECK-LABEL: func @maximum
// CHECK-DAG: %[[LOWEST:.*]] = arith.constant dense<0xFF800000> : vector<8xf32>
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[LOWEST]]) -> (vector<8xf32>)
// CHECK: arith.select {{.*}} vector<8xf32>
// CHECK: arith.maximumf {{.*}} vector<8xf32>
// CHECK: }
// CHECK: %[[INSIDE:.*]] = vector.constant_mask [6] : vector<8xi1>
// CHECK: %[[ENTRY:.*]] = arith.select %[[INSIDE]], %{{.*}}, %[[LOWEST]]
// CHECK: arith.maximumf %{{.*}}, %[[ENTRY]] : vector<8xf32>
// CHECK: vector.shuffle
// CHECK: arith.maximumf {{.*}} : f32
// CHECK: memref.store
func.func @maximum(%s: memref<1x70xf32>, %g: memref<1x70xf64>, %out: memref<1xf32>, %none: f64) {
  linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
      iterator_types = ["parallel", "reduction"]}
      ins(%s, %g : memref<1x70xf32>, memref<1x70xf64>) outs(%out : memref<1xf32>) {
  ^bb0(%x: f32, %y: f64, %most: f32):
    %one = arith.constant 1.0 : f32
    %is = arith.cmpf oeq, %y, %none : f64
    %entry = arith.select %is, %one, %x : f32
    %max = arith.maximumf %most, %entry : f32
    linalg.yield %max : f32
  }
  return
}

// A sum along vectors: in lanes as well, those beyond the end zero before they
// are added; the tree of the lanes is the type's, whatever the length.

// CHECK-LABEL: func @sum
// CHECK-DAG: %[[ZEROS:.*]] = arith.constant dense<0.000000e+00> : vector<16xf32>
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[ZEROS]]) -> (vector<16xf32>)
// CHECK: math.exp {{.*}} vector<16xf32>
// CHECK: arith.addf {{.*}} vector<16xf32>
// CHECK: }
// CHECK: %[[INSIDE:.*]] = vector.constant_mask [2] : vector<16xi1>
// CHECK: %[[ENTRY:.*]] = arith.select %[[INSIDE]], %{{.*}}, %[[ZEROS]]
// CHECK: arith.addf %{{.*}}, %[[ENTRY]] : vector<16xf32>
// CHECK-NOT: scf.for
// CHECK: memref.store
func.func @sum(%s: memref<50xf32>, %out: memref<f32>) {
  linalg.generic {
      indexing_maps = [affine_map<(j) -> (j)>, affine_map<(j) -> ()>],
      iterator_types = ["reduction"]}
      ins(%s : memref<50xf32>) outs(%out : memref<f32>) {
  ^bb0(%x: f32, %sum: f32):
    %e = math.exp %x : f32
    %next = arith.addf %sum, %e : f32
    linalg.yield %next : f32
  }
  return
}

// -----

// Any number of lanes: squares are of a power of two that divides it.

// CHECK-LABEL: func.func @three_lanes
// CHECK-NOT: vector.shuffle
// CHECK-NOT: scaling.
// CHECK: return
func.func @three_lanes(%t: memref<8x1x3xf64>, %i: index, %P: memref<?x8x1xf64>) {
  scaling.from_lanes %t[%i] outs(%P : memref<?x8x1xf64>) : memref<8x1x3xf64>
  return
}

// -----

// The sign of a sum that is zero does not matter: it starts from its first term.

// CHECK-LABEL: func.func @sums
// CHECK-COUNT-16: math.fma {{.*}} fastmath<nsz>
// CHECK: return
func.func @sums(%K: memref<4x4x16xf32>, %v: memref<4x16xf32>, %s: memref<4x16xf32>) {
  scaling.reduce along(rows) stat(#scaling.sum) matrix(%K : memref<4x4x16xf32>)
      factor(%v : memref<4x16xf32>) outs(%s : memref<4x16xf32>) {dims = array<i64: 0, 1>}
  return
}
