// RUN: scaling-opt %s --scaling-lower-to-linalg --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-lower-to-linalg --split-input-file \
// RUN:     --mlir-print-op-generic | mlir-opt --split-input-file -o /dev/null

// The plan is made once, without the batch it does not depend on, and then
// contracted.

// CHECK-DAG: #[[$PLAN:.*]] = affine_map<(d0, d1, d2, d3) -> (d1, d2)>
// CHECK-DAG: #[[$V:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>
// CHECK-DAG: #[[$OUT:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>
// CHECK-LABEL: func.func @product(
// CHECK-SAME: %[[X:.*]]: tensor<8x4xf32>, %[[F:.*]]: tensor<8xf32>, %[[G:.*]]: tensor<4xf32>, %[[VS:.*]]: tensor<3x4x5xbf16>, %[[O:.*]]: tensor<3x8x5xf32>)
// CHECK: %[[E:.*]] = tensor.empty() : tensor<8x4xf32>
// CHECK: %[[P:.*]] = linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "parallel"]
// CHECK-SAME: ins(%[[X]], %[[F]], %[[G]] :
// CHECK-SAME: outs(%[[E]] :
// CHECK: math.exp
// CHECK: %[[R:.*]] = linalg.generic
// CHECK-SAME: indexing_maps = [#[[$PLAN]], #[[$V]], #[[$OUT]]]
// CHECK-SAME: iterator_types = ["parallel", "parallel", "reduction", "parallel"]
// CHECK-SAME: ins(%[[P]], %[[VS]] :
// CHECK-SAME: outs(%[[O]] :
// CHECK-NEXT: ^bb0(%[[PE:.*]]: f32, %[[VE:.*]]: bf16, %[[OE:.*]]: f32):
// CHECK-NEXT: %[[W:.*]] = arith.extf %[[VE]] : bf16 to f32
// CHECK-NEXT: %[[M:.*]] = arith.mulf %[[PE]], %[[W]] : f32
// CHECK-NEXT: arith.addf %[[OE]], %[[M]] : f32
// CHECK: return %[[R]]
func.func @product(%X: tensor<8x4xf32>, %f: tensor<8xf32>, %g: tensor<4xf32>, %V: tensor<3x4x5xbf16>, %o: tensor<3x8x5xf32>) -> tensor<3x8x5xf32> {
  %r = scaling.apply product domain(log) matrix(%X : tensor<8x4xf32>) row(%f : tensor<8xf32>) col(%g : tensor<4xf32>)
    operand(%V : tensor<3x4x5xbf16>) outs(%o : tensor<3x8x5xf32>) -> tensor<3x8x5xf32>
  return %r : tensor<3x8x5xf32>
}

// -----

// Transposed: the rows are summed over. A bf16 result is accumulated in f32.
// Dynamic sizes of the plan come from whoever has them.

// CHECK-LABEL: func.func @transposed(
// CHECK-SAME: %[[K:.*]]: tensor<?x?xbf16>, %[[U:.*]]: tensor<?x?xf32>
// CHECK-DAG: %[[B:.*]] = tensor.dim %[[U]], %c0{{.*}} : tensor<?x?xf32>
// CHECK-DAG: %[[N:.*]] = tensor.dim %[[K]], %c0{{.*}} : tensor<?x?xbf16>
// CHECK-DAG: %[[M:.*]] = tensor.dim %[[K]], %c1{{.*}} : tensor<?x?xbf16>
// CHECK: tensor.empty(%[[B]], %[[N]], %[[M]]) : tensor<?x?x?xf32>
// CHECK: linalg.generic
// CHECK: linalg.generic
// CHECK-SAME: outs(%{{.*}} : tensor<?x?x5xf32>)
// CHECK-NEXT: ^bb0(%[[IN:.*]]: bf16, %{{.*}}: f32):
// CHECK-NEXT: arith.extf %[[IN]] : bf16 to f32
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction", "parallel", "parallel"]
// CHECK-SAME: outs(%{{.*}} : tensor<?x?x5xf32>)
// CHECK: linalg.generic
// CHECK: arith.truncf {{.*}} : f32 to bf16
func.func @transposed(%K: tensor<?x?xbf16>, %u: tensor<?x?xf32>, %V: tensor<?x?x5xbf16>, %o: tensor<?x?x5xbf16>) -> tensor<?x?x5xbf16> {
  %r = scaling.apply product transposed domain(kernel) matrix(%K : tensor<?x?xbf16>) row(%u : tensor<?x?xf32>)
    operand(%V : tensor<?x?x5xbf16>) outs(%o : tensor<?x?x5xbf16>) -> tensor<?x?x5xbf16>
  return %r : tensor<?x?x5xbf16>
}

// -----

// Rows are summed first, then added up; where the plan is zero, so is the term.

// CHECK-LABEL: func.func @value(
// CHECK-SAME: %[[O:[a-z0-9]*]]: tensor<3xf32>)
// CHECK: tensor.empty() : tensor<3x8xf32>
// CHECK: %[[Z:.*]] = linalg.fill
// CHECK: %[[ROWS:.*]] = linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "parallel", "reduction"]
// CHECK-SAME: outs(%[[Z]] :
// CHECK: arith.cmpf oeq
// CHECK: arith.mulf
// CHECK: arith.select
// CHECK: arith.addf
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK-SAME: ins(%[[ROWS]] :
// CHECK-SAME: outs(%[[O]] :
func.func @value(%K: tensor<3x8x4xf32>, %C: tensor<8x4xf32>, %o: tensor<3xf32>) -> tensor<3xf32> {
  %r = scaling.apply value domain(kernel) matrix(%K : tensor<3x8x4xf32>) operand(%C : tensor<8x4xf32>)
    outs(%o : tensor<3xf32>) -> tensor<3xf32>
  return %r : tensor<3xf32>
}

// -----

// CHECK-LABEL: func.func @mass(
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["reduction"]
// CHECK-SAME: outs(%{{.*}} : tensor<f64>)
func.func @mass(%K: tensor<?x?xf64>, %u: tensor<?xf64>, %o: tensor<f64>) -> tensor<f64> {
  %r = scaling.apply mass domain(kernel) matrix(%K : tensor<?x?xf64>) row(%u : tensor<?xf64>)
    outs(%o : tensor<f64>) -> tensor<f64>
  return %r : tensor<f64>
}

// -----

// The column counts from `offset`; only a larger entry replaces.

// CHECK-LABEL: func.func @argmax(
// CHECK-SAME: %[[OFFSET:[a-z0-9]*]]: index
// CHECK: %[[R:.*]]:2 = linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK-NEXT: ^bb0(%[[E:.*]]: f32, %[[BEST:.*]]: f32, %[[AT:.*]]: i64):
// CHECK: %[[J:.*]] = linalg.index 1 : index
// CHECK: %[[COL:.*]] = arith.addi %[[J]], %[[OFFSET]] : index
// CHECK: %[[I:.*]] = arith.index_cast %[[COL]] : index to i64
// CHECK: %[[L:.*]] = arith.cmpf ogt, %[[E]], %[[BEST]] : f32
// CHECK: arith.select %[[L]], %[[E]], %[[BEST]] : f32
// CHECK: arith.select %[[L]], %[[I]], %[[AT]] : i64
// CHECK: return %[[R]]#0, %[[R]]#1
func.func @argmax(%K: tensor<8x4xf32>, %offset: index, %o: tensor<8xf32>, %i: tensor<8xi64>) -> (tensor<8xf32>, tensor<8xi64>) {
  %r:2 = scaling.apply argmax domain(kernel) matrix(%K : tensor<8x4xf32>) offset(%offset)
    outs(%o, %i : tensor<8xf32>, tensor<8xi64>) -> tensor<8xf32>, tensor<8xi64>
  return %r#0, %r#1 : tensor<8xf32>, tensor<8xi64>
}

// -----

// Entries first, then the terms of rows and of columns, where the tile begins
// with them; what is known costs no comparison.

// CHECK-LABEL: func.func @dual(
// CHECK-SAME: %[[OFFSET:[a-z0-9]*]]: index
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK: arith.mulf
// CHECK: math.exp
// CHECK: arith.subf
// CHECK: arith.addf
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["reduction"]
// CHECK: %[[FIRST:.*]] = arith.cmpi eq, %[[OFFSET]], %{{.*}} : index
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["reduction"]
// CHECK-SAME: ins(%{{.*}}, %{{.*}} : tensor<8xf32>, tensor<8xf32>)
// CHECK: math.log
// CHECK: arith.select %[[FIRST]]
// CHECK-NOT: arith.cmpi
// CHECK: linalg.generic
// CHECK-SAME: ins(%{{.*}}, %{{.*}} : tensor<4xf32>, tensor<4xf32>)
func.func @dual(%X: tensor<8x4xf32>, %F: tensor<8xf32>, %G: tensor<4xf32>, %a: tensor<8xf32>, %b: tensor<4xf32>, %offset: index, %o: tensor<f32>) -> tensor<f32> {
  %d = scaling.apply dual domain(log) matrix(%X : tensor<8x4xf32>) row(%F : tensor<8xf32>) col(%G : tensor<4xf32>)
    row_weight(%a : tensor<8xf32>) col_weight(%b : tensor<4xf32>) offset(%offset) outs(%o : tensor<f32>) -> tensor<f32>
  return %d : tensor<f32>
}
