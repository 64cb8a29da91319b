// RUN: scaling-opt %s --scaling-differentiate=mode=implicit --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-differentiate="mode=implicit residual=0.25 max-solver-steps=7" --split-input-file | FileCheck %s --check-prefix=OPTIONS

// Behind the gradients: which they are. What is carried are vectors.

// CHECK-LABEL: func.func @potentials_vjp(
// CHECK-SAME: -> (tensor<6x5xf32>, tensor<6xf32>, tensor<i32>)
// CHECK: %[[ROW:.*]], %[[COL:.*]], %{{.*}}, %{{.*}}, %[[STATUS:.*]] = scaling.iterate
// Row and column sums of the plan, and whether they are what they are to be.
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]{{.*}} ins(%[[X:.*]], %[[ROW]], %[[COL]] :
// CHECK: linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]{{.*}} ins(%[[X]], %[[ROW]], %[[COL]] :
// CHECK: arith.constant 9.99999974E-5 : f32
// CHECK: arith.cmpf ole
// Conjugate gradients on the rows: two sums over the matrix.
// CHECK: scf.while {{.*}} : (tensor<6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<f32>, index)
// CHECK: %[[MOST:.*]] = arith.constant 200 : index
// CHECK: arith.cmpi slt, %{{.*}}, %[[MOST]]
// CHECK: scf.condition
// CHECK: linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]
// CHECK-NOT: tensor.empty() : tensor<6x5xf32>
// CHECK: scf.yield
// The half-steps, of those that have no solution.
// CHECK: scf.for
// CHECK: scaling.reduce along(rows)
// CHECK: return %{{.*}}, %{{.*}}, %{{.*}} : tensor<6x5xf32>, tensor<6xf32>, tensor<i32>

// OPTIONS-LABEL: func.func @potentials_vjp(
// OPTIONS: arith.constant 2.500000e-01 : f32
// OPTIONS: arith.constant 7 : index
func.func @potentials(%C: tensor<6x5xf32>, %a: tensor<6xf32>) -> (tensor<6xf32>, tensor<5xf32>) {
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<6x5xf32>) row_marginal(%a : tensor<6xf32>) form(#scaling.form<cost>)
      stop(#scaling.stop<fixed 20>) numerics(#scaling.numerics<log>)
  return %f, %g : tensor<6xf32>, tensor<5xf32>
}

// -----

// One per element of the batch; none of what has no iteration.

// CHECK-LABEL: func.func @batch_vjp(
// CHECK-SAME: -> (tensor<?x4x4xf32>, tensor<?xi32>)
func.func @batch(%x: tensor<?x4x4xf32>) -> tensor<?x4x4xf32> {
  %p, %k, %r, %s = scaling.project logits(%x : tensor<?x4x4xf32>) form(#scaling.form<logits>)
      stop(#scaling.stop<until 1.0e-4, limit = 100>)
  return %p : tensor<?x4x4xf32>
}

// -----

// CHECK-LABEL: func.func @rows_vjp(
// CHECK-SAME: -> tensor<4x4xf32>
func.func @rows(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %p = scaling.normalize along(rows) logits(%x : tensor<4x4xf32>) form(#scaling.form<logits>)
  return %p : tensor<4x4xf32>
}

// -----

// Of points: nothing has the costs' size but what the iteration reads.

// CHECK-LABEL: func.func @points_vjp(
// CHECK: scaling.iterate matrix({{.*}} : tensor<200x150xf64>)
// CHECK-NOT: 200x150
// CHECK: return
func.func @points(%x: tensor<200x3xf64>, %y: tensor<150x3xf64>) -> (tensor<200xf64>, tensor<150xf64>) {
  %ce = tensor.empty() : tensor<200x150xf64>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<200x3xf64>, tensor<150x3xf64>) outs(%ce : tensor<200x150xf64>) -> tensor<200x150xf64>
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<200x150xf64>) form(#scaling.form<cost, epsilon = 0.2>)
      stop(#scaling.stop<fixed 300>) numerics(#scaling.numerics<log>)
  return %f, %g : tensor<200xf64>, tensor<150xf64>
}
