// RUN: scaling-opt %s --scaling-differentiate --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-differentiate=wrt=1 --split-input-file | FileCheck %s --check-prefix=ONE
// RUN: scaling-opt %s --scaling-differentiate=checkpoints=4 --split-input-file | FileCheck %s --check-prefix=FOUR

// What there was stays; beside it: the arguments and a cotangent for every
// float result (the count has none), the gradients of all float tensors.

// CHECK-LABEL: func.func @f(
// CHECK: scaling.sinkhorn
// CHECK-LABEL: func.func @f_vjp(
// CHECK-SAME: %[[C:.*]]: tensor<6x5xf32>, %{{.*}}: tensor<6xf32>, %{{.*}}: tensor<6xf32>, %{{.*}}: tensor<5xf32>)
// CHECK-SAME: -> (tensor<6x5xf32>, tensor<6xf32>)
// Forward, in the iteration's place: so short a one is kept whole, factors and
// states, a vector of each per pair of half-steps.
// CHECK-NOT: scaling.iterate
// CHECK: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<11x6xf32>, tensor<11x5xf32>, tensor<10x6xf32>, tensor<10x6xf32>, tensor<10x5xf32>, tensor<10x5xf32>)
// CHECK: scaling.reduce along(rows)
// CHECK: scaling.reduce along(cols)
// CHECK: scf.yield
// Backward: one matrix, the gradient, that is added to; no half-step is done
// again.
// CHECK: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<6xf32>, tensor<6x5xf32>)
// CHECK-NOT: scaling.reduce
// CHECK-NOT: tensor.empty() : tensor<6x5xf32>
// CHECK: scf.yield

// ONE-LABEL: func.func @f_vjp(
// ONE-SAME: -> tensor<6xf32>
// No gradient of the matrix is carried.
// ONE: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<11x6xf32>
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
// What 8 segments of 7 pairs start from, but no more pairs than were taken.
// CHECK: scf.for {{.*}} -> (tensor<3x4xf32>, tensor<3x4xf32>, tensor<3x8x4xf32>, tensor<3x8x4xf32>)
// CHECK: scf.for
// CHECK: linalg.generic {{.*}} ins({{.*}}%[[TAKEN]]
// CHECK: arith.cmpi slt
func.func @until(%x: tensor<3x4x4xf32>, %y: tensor<2xf32>) -> tensor<3x4x4xf32> {
  %p, %k, %r, %s = scaling.project logits(%x : tensor<3x4x4xf32>) form(#scaling.form<logits>)
      stop(#scaling.stop<until 1.0e-4, limit = 100>)
  return %p : tensor<3x4x4xf32>
}


// -----

// Half-steps beyond 64: 10 segments of 10 pairs; what each starts from is kept,
// and a segment is done once more on the way back.

// CHECK-LABEL: func.func @long_vjp(
// CHECK-NOT: scaling.iterate
// CHECK: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<10x6xf32>, tensor<10x5xf32>)
// CHECK: tensor.insert_slice
// CHECK: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>)
// CHECK: scaling.reduce along(rows)
// CHECK: scaling.reduce along(cols)
// CHECK: scf.yield
// CHECK: scf.yield
// CHECK: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<6x5xf32>)
// CHECK: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<11x6xf32>, tensor<11x5xf32>, tensor<10x6xf32>, tensor<10x5xf32>)
// CHECK: scaling.reduce along(rows)
// CHECK: scaling.reduce along(cols)
// CHECK: scf.yield
// CHECK: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<6x5xf32>)
// CHECK-NOT: scaling.reduce
// CHECK: return

// With `checkpoints` segments instead.

// FOUR-LABEL: func.func @long_vjp(
// FOUR: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<4x6xf32>, tensor<4x5xf32>)
// FOUR: scf.for {{.*}} -> (tensor<6xf32>, tensor<5xf32>, tensor<26x6xf32>, tensor<26x5xf32>, tensor<25x6xf32>, tensor<25x5xf32>)

func.func @long(%x: tensor<6x5xf32>, %y: tensor<2xf32>) -> tensor<6xf32> {
  %u, %v, %k, %r, %s = scaling.balance matrix(%x : tensor<6x5xf32>) rows(#scaling.rule<l1>) cols(#scaling.rule<l1>)
      stop(#scaling.stop<fixed 200>)
  return %u : tensor<6xf32>
}

// -----

// With respect to points: 64 rows of the costs at a time, then the rest.

// CHECK-LABEL: func.func @points_vjp(
// CHECK-NOT: tensor<200x150x
// CHECK: scf.for
// CHECK: scaling.pairwise sqeuclidean points({{.*}} : tensor<64x3xf32>, tensor<150x3xf32>)
// CHECK-NOT: tensor<200x150x
// CHECK: scaling.pairwise sqeuclidean points({{.*}} : tensor<8x3xf32>, tensor<150x3xf32>)
// CHECK-NOT: tensor<200x150x
// CHECK: return {{.*}} : tensor<200x3xf32>, tensor<150x3xf32>
func.func @points(%x: tensor<200x3xf32>, %y: tensor<150x3xf32>) -> tensor<200xf32> {
  %e = tensor.empty() : tensor<200x150xf32>
  %c = scaling.pairwise sqeuclidean points(%x, %y : tensor<200x3xf32>, tensor<150x3xf32>) outs(%e : tensor<200x150xf32>) -> tensor<200x150xf32>
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%c : tensor<200x150xf32>) form(#scaling.form<cost>)
      stop(#scaling.stop<fixed 20>) numerics(#scaling.numerics<log>)
  return %f : tensor<200xf32>
}
