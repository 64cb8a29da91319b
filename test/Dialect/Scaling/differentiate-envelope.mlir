// RUN: scaling-opt %s --scaling-differentiate=mode=envelope --split-input-file | FileCheck %s

// The factors are what they are: nothing goes back through the iteration.

// CHECK-LABEL: func.func @dual_vjp(
// CHECK-SAME: -> (tensor<6x5xf32>, tensor<6xf32>, tensor<5xf32>)
// CHECK: scaling.iterate
// CHECK-NOT: scf.for
// CHECK-NOT: scaling.reduce
// CHECK: return
func.func @dual(%X: tensor<6x5xf32>, %a: tensor<6xf32>, %b: tensor<5xf32>) -> tensor<f32> {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<6x5xf32>) row_target(%a : tensor<6xf32>) col_target(%b : tensor<5xf32>)
      rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first)
      stop(#scaling.stop<until 1.0e-5, limit = 1000>) numerics(#scaling.numerics<log>)
  %zero = arith.constant dense<0.0> : tensor<f32>
  %d = scaling.apply dual domain(log) matrix(%X : tensor<6x5xf32>) row(%F : tensor<6xf32>) col(%G : tensor<5xf32>)
      row_weight(%a : tensor<6xf32>) col_weight(%b : tensor<5xf32>) outs(%zero : tensor<f32>) -> tensor<f32>
  return %d : tensor<f32>
}

// -----

// Of points: nothing has the costs' size but what the iteration reads. The dual
// value is a sum over tiles of rows; factors have no adjoint.

// CHECK-LABEL: func.func @points_vjp(
// CHECK-SAME: -> (tensor<200x3xf64>, tensor<150x3xf64>, tensor<200xf64>, tensor<150xf64>)
// CHECK: scaling.iterate matrix({{.*}} : tensor<200x150xf64>)
// CHECK-NOT: 200x150
// CHECK: scf.for {{.*}} -> (tensor<200xf64>, tensor<150xf64>, tensor<200x3xf64>, tensor<150x3xf64>)
// CHECK: tensor.empty() : tensor<64x150xf64>
// CHECK-NOT: scaling.apply
// CHECK-NOT: 200x150
// CHECK: tensor.empty() : tensor<8x150xf64>
// CHECK-NOT: 200x150
// CHECK: return
#entry = affine_map<(i, j) -> (i, j)>
func.func @points(%x: tensor<200x3xf64>, %y: tensor<150x3xf64>, %a: tensor<200xf64>, %b: tensor<150xf64>) -> tensor<f64> {
  %e = tensor.empty() : tensor<200x150xf64>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<200x3xf64>, tensor<150x3xf64>) outs(%e : tensor<200x150xf64>) -> tensor<200x150xf64>
  %X = linalg.generic {indexing_maps = [#entry, #entry], iterator_types = ["parallel", "parallel"]}
      ins(%C : tensor<200x150xf64>) outs(%e : tensor<200x150xf64>) {
  ^bb0(%c: f64, %o: f64):
    %t = arith.negf %c : f64
    linalg.yield %t : f64
  } -> tensor<200x150xf64>
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<200x150xf64>) row_target(%a : tensor<200xf64>) col_target(%b : tensor<150xf64>)
      rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first)
      stop(#scaling.stop<fixed 300>) numerics(#scaling.numerics<log>)
  %zero = arith.constant dense<0.0> : tensor<f64>
  %d = scaling.apply dual domain(log) matrix(%X : tensor<200x150xf64>) row(%F : tensor<200xf64>) col(%G : tensor<150xf64>)
      row_weight(%a : tensor<200xf64>) col_weight(%b : tensor<150xf64>) outs(%zero : tensor<f64>) -> tensor<f64>
  return %d : tensor<f64>
}

// -----

// Given factors have one; what is there twice, of the rows and of the columns,
// one for each.

// CHECK-LABEL: func.func @given_vjp(
// CHECK-SAME: -> (tensor<?x3xf32>, tensor<?xf32>, tensor<?xf32>)
// CHECK: scf.for {{.*}} -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?x3xf32>, tensor<?x3xf32>)
// CHECK: return
func.func @given(%x: tensor<?x3xf32>, %F: tensor<?xf32>, %a: tensor<?xf32>) -> tensor<f32> {
  %zero = arith.constant 0 : index
  %n = tensor.dim %x, %zero : tensor<?x3xf32>
  %e = tensor.empty(%n, %n) : tensor<?x?xf32>
  %X = scaling.pairwise dot points(%x, %x : tensor<?x3xf32>, tensor<?x3xf32>) outs(%e : tensor<?x?xf32>) -> tensor<?x?xf32>
  %none = arith.constant dense<0.0> : tensor<f32>
  %d = scaling.apply dual domain(log) matrix(%X : tensor<?x?xf32>) row(%F : tensor<?xf32>) col(%F : tensor<?xf32>)
      row_weight(%a : tensor<?xf32>) col_weight(%a : tensor<?xf32>) outs(%none : tensor<f32>) -> tensor<f32>
  return %d : tensor<f32>
}
