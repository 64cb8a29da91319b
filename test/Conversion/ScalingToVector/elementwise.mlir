// RUN: scaling-opt %s --scaling-lower-to-vector --canonicalize --cse \
// RUN:   --split-input-file | FileCheck %s

// CHECK-LABEL: func @update
// CHECK-SAME: (%[[S:.*]]: memref<?xf32>, %[[H:.*]]: memref<?xf32>, %[[T:.*]]: memref<?xf32>)
// CHECK:         scf.for {{.*}} step %c16
// CHECK-DAG:       vector.load %[[H]]{{.*}} vector<16xf32>
// CHECK-DAG:       vector.load %[[T]]
// CHECK-DAG:       vector.load %[[S]]
// CHECK:           %[[NEW:.*]] = arith.divf
// CHECK:           vector.store {{.*}} %[[H]]
// CHECK:         scf.if
// CHECK:           vector.maskedload
// CHECK:           vector.maskedstore %[[H]]
func.func @update(%s: memref<?xf32>, %h: memref<?xf32>, %t: memref<?xf32>) {
  scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : memref<?xf32>)
      own(%h : memref<?xf32>) target(%t : memref<?xf32>) outs(%h : memref<?xf32>)
  return
}

// -----

// A sum of the plan that is guarded is a product and a sum that may be fused,
// and one division where the target is one; a factor of zero stays zero.

// CHECK-LABEL: func @guarded
// CHECK-SAME: (%[[S:.*]]: memref<16xf32>, %[[H:.*]]: memref<16xf32>)
// CHECK-DAG:     %[[OWN:.*]] = vector.load %[[H]]
// CHECK-DAG:     %[[SUM:.*]] = vector.load %[[S]]
// CHECK-DAG:     %[[PRODUCT:.*]] = arith.mulf %[[OWN]], %[[SUM]] fastmath<contract>
// CHECK-DAG:     %[[PLAN:.*]] = arith.addf %[[PRODUCT]], %{{.*}} fastmath<contract>
// CHECK-DAG:     %[[NEW:.*]] = arith.divf %[[OWN]], %[[PLAN]]
// CHECK-DAG:     %[[ZERO:.*]] = arith.cmpf oeq, %[[OWN]]
// CHECK:         arith.select %[[ZERO]], %{{.*}}, %[[NEW]]
// CHECK-NOT:     arith.divf
func.func @guarded(%s: memref<16xf32>, %h: memref<16xf32>) {
  scaling.update rule(#scaling.rule<sum, guard = add_plan(1.0e-6)>) domain(kernel)
      states(%s : memref<16xf32>) own(%h : memref<16xf32>) outs(%h : memref<16xf32>)
  return
}

// -----

// An ω of one needs no logarithms: what a half-step between two reads does.

// CHECK-LABEL: func @relaxed
// CHECK-SAME: %[[OMEGA:[^:]*]]: memref<f32>
// CHECK:         %[[W:.*]] = memref.load %[[OMEGA]][]
// CHECK:         %[[PLAIN:.*]] = arith.cmpf oeq, %[[W]], %cst
// CHECK:         scf.if %[[PLAIN]] {
// CHECK:           arith.divf
// CHECK-NOT:       math.
// CHECK:         } else {
// CHECK:           math.log
// CHECK:           math.exp
// CHECK:         }
func.func @relaxed(%s: memref<8xf32>, %h: memref<8xf32>, %t: memref<8xf32>, %omega: memref<f32>) {
  scaling.update rule(#scaling.rule<sum>) domain(kernel) states(%s : memref<8xf32>)
      own(%h : memref<8xf32>) target(%t : memref<8xf32>) omega(%omega : memref<f32>)
      outs(%h : memref<8xf32>)
  return
}

// -----

// What belongs to the row is loaded once for it.

// CHECK-LABEL: func @plan
// CHECK-SAME: (%[[X:.*]]: memref<?x8x64xf32>, %[[F:.*]]: memref<8xf32>, %[[G:.*]]: memref<?x64xf32>, %[[P:.*]]: memref<?x8x64xbf16>)
// CHECK:         scf.for %[[B:.*]] =
// CHECK:           scf.for %[[I:.*]] =
// CHECK:             memref.load %[[F]][%[[I]]]
// CHECK:             scf.for %[[J:.*]] =
// CHECK-DAG:           vector.load %[[X]][%[[B]], %[[I]], %[[J]]]
// CHECK-DAG:           vector.load %[[G]][%[[B]], %[[J]]]
// CHECK:               math.exp {{.*}} vector<16xf32>
// CHECK:               %[[OUT:.*]] = arith.truncf {{.*}} to vector<16xbf16>
// CHECK:               vector.store {{.*}}, %[[P]][%[[B]], %[[I]], %[[J]]]
func.func @plan(%X: memref<?x8x64xf32>, %F: memref<8xf32>, %G: memref<?x64xf32>, %P: memref<?x8x64xbf16>) {
  scaling.plan domain(log) matrix(%X : memref<?x8x64xf32>) row(%F : memref<8xf32>)
      col(%G : memref<?x64xf32>) outs(%P : memref<?x8x64xbf16>)
  return
}
