// RUN: scaling-opt %s --scaling-outline --split-input-file --verify-diagnostics | FileCheck %s

// Costs, potentials and the plan are one function; what another compiler does
// stays. Destinations and numbers are made in the function.

// CHECK-LABEL: func.func @main(
// CHECK-SAME: %[[X:[^:]*]]: tensor<?x3xf32>, %[[Y:[^:]*]]: tensor<9x3xf32>
// CHECK-NOT: scaling.
// CHECK: %[[R:.*]]:2 = call @scaling.main_sinkhorn(%[[X]], %[[Y]]) : (tensor<?x3xf32>, tensor<9x3xf32>) -> (tensor<?xf32>, tensor<?x9xf32>)
// CHECK: %[[L:.*]] = linalg.exp ins(%[[R]]#0
// CHECK: return %[[L]], %[[R]]#1

// CHECK-LABEL: module @scaling
// CHECK: func.func @main_sinkhorn(%[[X:.*]]: tensor<?x3xf32>, %[[Y:.*]]: tensor<9x3xf32>) -> (tensor<?xf32>, tensor<?x9xf32>) {
// CHECK: tensor.dim %[[X]]
// CHECK: tensor.empty
// CHECK: scaling.pairwise
// CHECK: %[[F:[^,]*]], {{.*}} = scaling.sinkhorn
// CHECK: %[[P:.*]] = scaling.plan
// CHECK: return %[[F]], %[[P]]
// CHECK: func.func private @scaling.main_sinkhorn(tensor<?x3xf32>, tensor<9x3xf32>) -> (tensor<?xf32>, tensor<?x9xf32>)
func.func @main(%x: tensor<?x3xf32>, %y: tensor<9x3xf32>)
    -> (tensor<?xf32>, tensor<?x9xf32>) {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x3xf32>
  %empty = tensor.empty(%n) : tensor<?x9xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<?x3xf32>, tensor<9x3xf32>)
      outs(%empty : tensor<?x9xf32>) -> tensor<?x9xf32>
  %f, %g, %half_steps, %residual, %status = scaling.sinkhorn
      cost(%C : tensor<?x9xf32>)
      form(#scaling.form<cost, epsilon = 0.1>)
      rows(#scaling.rule<sum, target = uniform>)
      cols(#scaling.rule<sum, target = uniform>)
      order(rows_first) stop(#scaling.stop<fixed 30>) numerics(#scaling.numerics<log>)
  %P = scaling.plan domain(log) matrix(%C : tensor<?x9xf32>)
      row(%f : tensor<?xf32>) col(%g : tensor<9xf32>)
      outs(%empty : tensor<?x9xf32>) -> tensor<?x9xf32>
  %e = tensor.empty(%n) : tensor<?xf32>
  %l = linalg.exp ins(%f : tensor<?xf32>) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  return %l, %P : tensor<?xf32>, tensor<?x9xf32>
}

// -----

// What waits for the first op comes before the second: two functions. The
// names of both differ.

// CHECK-LABEL: func.func @chain(
// CHECK: %[[A:.*]] = call @scaling.chain_project(
// CHECK: %[[E:.*]] = linalg.exp ins(%[[A]]
// CHECK: %[[B:.*]] = call @scaling.chain_project_0(%[[E]])
// CHECK: return %[[B]]
func.func @chain(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%x : tensor<4x4xf32>) preset(mhc)
  %e = tensor.empty() : tensor<4x4xf32>
  %l = linalg.exp ins(%P : tensor<4x4xf32>) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
  %Q, %k2, %r2, %s2 = scaling.project logits(%l : tensor<4x4xf32>) preset(mhc)
  return %Q : tensor<4x4xf32>
}

// -----

// Nothing to do.

// CHECK-LABEL: func.func @none
// CHECK-NOT: module @scaling
func.func @none(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error @below {{the name 'scaling' is needed for the module of the functions that are outlined}}
func.func private @scaling()
func.func @f(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%x : tensor<4x4xf32>) preset(mhc)
  return %P : tensor<4x4xf32>
}
