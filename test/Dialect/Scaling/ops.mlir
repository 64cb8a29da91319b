// RUN: scaling-opt %s | scaling-opt | FileCheck %s
// RUN: scaling-opt %s --mlir-print-op-generic | scaling-opt | FileCheck %s
// RUN: scaling-opt %s --emit-bytecode | scaling-opt | FileCheck %s

// CHECK-LABEL: func.func @project
// CHECK: scaling.project logits(%{{.*}} : tensor<?x4x4xf32>) preset(mhc)
func.func @project(%z: tensor<?x4x4xf32>) -> tensor<?x4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x4x4xf32>) preset(mhc)
  return %P : tensor<?x4x4xf32>
}

// CHECK-LABEL: func.func @explicit
// CHECK: scaling.sinkhorn cost(%{{.*}} : tensor<8x4xf64>) row_marginal(%{{.*}} : tensor<3x8xf64>) epsilon(%{{.*}} : tensor<f64>)
// CHECK-SAME: form(#scaling.form<cost>)
// CHECK-SAME: rows(#scaling.rule<sum, target = uniform, tau = 5.0e-01>)
// CHECK-SAME: cols(#scaling.rule<sum, guard = add_plan(1.0e-06), omega = 1.5e+00>)
// CHECK-SAME: order(cols_first)
// CHECK-SAME: stop(#scaling.stop<until 1.0e-06, what = marginal, axis = cols, norm = l1, every = 2, start = 2, limit = 100>)
// CHECK-SAME: numerics(#scaling.numerics<absorb>)
func.func @explicit(%C: tensor<8x4xf64>, %a: tensor<3x8xf64>, %e: tensor<f64>) -> (tensor<3x8xf64>, tensor<3xi32>) {
  %f, %g, %k, %r, %s = scaling.sinkhorn cost(%C : tensor<8x4xf64>) row_marginal(%a : tensor<3x8xf64>)
    epsilon(%e : tensor<f64>) rows(#scaling.rule<sum, target = uniform, tau = 0.5>)
    cols(#scaling.rule<sum, guard = add_plan(1.0e-6), omega = 1.5>) order(cols_first)
    stop(#scaling.stop<until 1.0e-6, axis = cols, every = 2, limit = 100>)
  return %f, %k : tensor<3x8xf64>, tensor<3xi32>
}
