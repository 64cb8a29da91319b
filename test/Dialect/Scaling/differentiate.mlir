// RUN: scaling-opt %s --scaling-differentiate --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-differentiate=wrt=1 --split-input-file | FileCheck %s --check-prefix=ONE

// What there was stays; beside it: the arguments and a cotangent for every
// float result (the count has none), the gradients of all float tensors.

// CHECK-LABEL: func.func @f(
// CHECK: scaling.sinkhorn
// CHECK-LABEL: func.func @f_vjp(
// CHECK-SAME: %[[C:.*]]: tensor<6x5xf32>, %{{.*}}: tensor<6xf32>, %{{.*}}: tensor<6xf32>, %{{.*}}: tensor<5xf32>)
// CHECK-SAME: -> (tensor<6x5xf32>, tensor<6xf32>)
// Forward: factors are kept, a vector per pair of half-steps.
// CHECK: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<10x6xf32>, tensor<10x5xf32>)
// CHECK: scaling.reduce along(rows)
// CHECK: scaling.reduce along(cols)
// CHECK: scf.yield
// Backward: one matrix, the gradient, that is added to.
// CHECK: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<6xf32>, tensor<6x5xf32>)
// CHECK-NOT: tensor.empty() : tensor<6x5xf32>
// CHECK: scf.yield

// ONE-LABEL: func.func @f_vjp(
// ONE-SAME: -> tensor<6xf32>
// No gradient of the matrix is carried.
// ONE: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<10x6xf32>, tensor<10x5xf32>)
// ONE: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<6xf32>)
func.func @f(%C: tensor<6x5xf32>, %a: tensor<6xf32>) -> (tensor<6xf32>, tensor<5xf32>, tensor<i32>) {
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<6x5xf32>) row_marginal(%a : tensor<6xf32>) form(#scaling.form<cost>)
      stop(#scaling.stop<fixed 20>) numerics(#scaling.numerics<log>)
  return %f, %g, %k : tensor<6xf32>, tensor<5xf32>, tensor<i32>
}

// -----

// The half-steps that were taken: each element of the batch as many as it took.

// CHECK-LABEL: func.func @until_vjp(
// CHECK: %[[ROW:.*]], %[[COL:.*]], %[[COUNT:.*]], %{{.*}}, %[[STATUS:.*]] = scaling.iterate {{.*}}relax = none
// None of those that diverged.
// CHECK: %[[TAKEN:.*]] = linalg.generic {{.*}} ins(%[[COUNT]], %[[STATUS]]
// CHECK: arith.constant 3 : i32
// CHECK: scf.for
// CHECK: linalg.generic {{.*}} ins({{.*}}%[[TAKEN]]
// CHECK: arith.cmpi slt
func.func @until(%x: tensor<3x4x4xf32>, %y: tensor<2xf32>) -> tensor<3x4x4xf32> {
  %p, %k, %r, %s = scaling.project logits(%x : tensor<3x4x4xf32>) form(#scaling.form<logits>)
      stop(#scaling.stop<until 1.0e-4, limit = 100>)
  return %p : tensor<3x4x4xf32>
}

