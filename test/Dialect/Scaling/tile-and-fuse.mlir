// RUN: scaling-opt %s --scaling-decompose --canonicalize --scaling-tile-and-fuse --canonicalize | FileCheck %s

// One read of the matrix per iteration: rows, their update and the columns'
// reduction on one slice of it; partial results merged in order.

// CHECK-LABEL: func.func @sweep
// CHECK: scf.for
// CHECK:   scf.forall
// CHECK:     scf.for
// CHECK:       %[[SLICE:.*]] = tensor.extract_slice %{{.*}} : tensor<64x512xf32> to tensor<8x512xf32>
// CHECK:       scaling.reduce along(rows) {{.*}} matrix(%[[SLICE]] :
// CHECK:       scaling.update
// CHECK:       scaling.reduce along(cols) {{.*}} matrix(%[[SLICE]] :
// CHECK:   linalg.{{generic|reduce}}
// CHECK-NOT: scaling.reduce
// CHECK:   scaling.update
// CHECK:   scf.yield
func.func @sweep(%K: tensor<512x512xf32>) -> tensor<512xf32> {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<512x512xf32>) stop(#scaling.stop<fixed 40>)
    numerics(#scaling.numerics<kernel>) schedule(#scaling.schedule<streaming, row_block = 8>)
  return %u : tensor<512xf32>
}

// Other regimes are left as they are.

// CHECK-LABEL: func.func @resident
// CHECK-NOT: scf.forall
func.func @resident(%K: tensor<64x64xf32>) -> tensor<64xf32> {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<64x64xf32>) stop(#scaling.stop<fixed 40>)
    numerics(#scaling.numerics<kernel>) schedule(#scaling.schedule<resident>)
  return %u : tensor<64xf32>
}

// Simultaneous updates read both statistics of a block of rows at once.

// CHECK-LABEL: func.func @simultaneous
// CHECK: scf.for
// CHECK:   scf.forall
// CHECK:     scf.for
// CHECK:       %[[SLICE:.*]] = tensor.extract_slice %{{.*}} : tensor<64x512xf32> to tensor<8x512xf32>
// CHECK-NOT:   tensor<8x512xf32>
// CHECK:       scaling.reduce along(rows) {{.*}} matrix(%[[SLICE]] :
// CHECK:       scaling.reduce along(cols) {{.*}} matrix(%[[SLICE]] :
// CHECK:   linalg.{{generic|reduce}}
// CHECK-NOT: scaling.reduce
// CHECK:   scaling.update
// CHECK:   scaling.update
func.func @simultaneous(%K: tensor<512x512xf32>) -> tensor<512xf32> {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<512x512xf32>)
    rows(#scaling.rule<linf, exponent = 0.5>) cols(#scaling.rule<linf, exponent = 0.5>)
    order(jacobi) stop(#scaling.stop<fixed 20>)
    numerics(#scaling.numerics<kernel>) schedule(#scaling.schedule<streaming, row_block = 8>)
  return %u : tensor<512xf32>
}

// The measure of the least imbalance costs no read of its own.

// CHECK-LABEL: func.func @least_imbalance
// CHECK: scf.for
// CHECK:   scf.forall
// CHECK:     scf.for
// CHECK:       scaling.reduce along(rows) stat(#scaling.std)
// CHECK:       scaling.reduce along(cols) stat(#scaling.std)
// CHECK-NOT: scaling.reduce
func.func @least_imbalance(%K: tensor<512x512xf32>) -> tensor<512xf32> {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<512x512xf32>)
    rows(#scaling.rule<std>) cols(#scaling.rule<std>)
    order(jacobi) stop(#scaling.stop<best 20, what = imbalance, last = false>)
    numerics(#scaling.numerics<kernel>) schedule(#scaling.schedule<streaming, row_block = 8>)
  return %u : tensor<512xf32>
}

// A read of one axis alone is shared among threads too.

// CHECK-LABEL: func.func @alone
// CHECK: scf.forall
// CHECK:   scaling.reduce along(rows) {{.*}} tensor<64x512xf32>
// CHECK-NOT: scf.for %
func.func @alone(%K: tensor<512x512xf32>) -> tensor<512xf32> {
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<512x512xf32>) stop(#scaling.stop<fixed 1>)
    numerics(#scaling.numerics<kernel>) schedule(#scaling.schedule<streaming, row_block = 8>)
  return %u : tensor<512xf32>
}

// What makes a matrix entry by entry is shared among threads, and the plan
// takes the place of the kernel.

// CHECK-LABEL: func.func @elementwise
// CHECK: %[[KERNEL:.*]] = scf.forall
// CHECK:   math.exp
// CHECK: scf.for
// CHECK: scf.forall (%{{.*}}) = (0) to (512) step (64) shared_outs(%[[ALL:.*]] = %[[KERNEL]])
// CHECK:   %[[PART:.*]] = tensor.extract_slice %[[ALL]]
// CHECK:   scaling.plan {{.*}} matrix(%[[PART]] : {{.*}} outs(%[[PART]] :
func.func @elementwise(%z: tensor<512x512xf32>, %a: tensor<512xf32>, %b: tensor<512xf32>) -> tensor<512x512xf32> {
  %empty = tensor.empty() : tensor<512x512xf32>
  %K = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%z : tensor<512x512xf32>) outs(%empty : tensor<512x512xf32>) {
  ^bb0(%in: f32, %out: f32):
    %e = math.exp %in : f32
    linalg.yield %e : f32
  } -> tensor<512x512xf32>
  %u, %v, %k, %r, %s = scaling.iterate matrix(%K : tensor<512x512xf32>) stop(#scaling.stop<fixed 40>)
    numerics(#scaling.numerics<kernel>) schedule(#scaling.schedule<streaming, row_block = 8>)
  %out = tensor.empty() : tensor<512x512xf32>
  %P = scaling.plan domain(kernel) matrix(%K : tensor<512x512xf32>) row(%u : tensor<512xf32>) col(%v : tensor<512xf32>)
    outs(%out : tensor<512x512xf32>) -> tensor<512x512xf32>
  return %P : tensor<512x512xf32>
}

// Both axes updated from one pair of factors: one look at every entry, made
// from points, without the matrix. Where sums leave the range, it is repeated.

// CHECK-LABEL: func.func @cloud
// CHECK-NOT: tensor<512x512xf32>
// CHECK: linalg.generic {{.*}} ins({{.*}} : tensor<512x3xf32>) outs({{.*}} : tensor<3x512xf32>)
// CHECK: scf.for
// CHECK:   scf.forall {{.*}} in (8)
// CHECK:     scaling.marginals points {{ ?}}sqeuclidean(%{{.*}}, %{{.*}} : tensor<64x3xf32>, tensor<3x512xf32>)
// CHECK-NOT: exp
// CHECK:   scaling.reduce along(cols) {{.*}} : tensor<8x512xf32>
// CHECK:   scf.if
// CHECK:     scaling.marginals largest
// CHECK:   } else {
// CHECK-NOT: scaling.marginals
// CHECK:   }
// CHECK:   scaling.update
// CHECK:   scaling.update
// CHECK-NOT: tensor<512x512xf32>
// CHECK: return
func.func @cloud(%x: tensor<512x3xf32>, %y: tensor<512x3xf32>) -> tensor<512xf32> {
  %e = tensor.empty() : tensor<512x512xf32>
  %C = scaling.pairwise sqeuclidean points(%x, %y : tensor<512x3xf32>, tensor<512x3xf32>) outs(%e : tensor<512x512xf32>) -> tensor<512x512xf32>
  %F, %G, %k, %r, %s = scaling.iterate matrix(%C : tensor<512x512xf32>) order(jacobi) stop(#scaling.stop<fixed 40>)
    numerics(#scaling.numerics<log>) schedule(#scaling.schedule<cloud, matrix = recomputed>)
  return %F : tensor<512xf32>
}

// What makes a whole matrix is shared by rows, with what it is made from.

// CHECK-LABEL: func.func @whole
// CHECK: scf.forall {{.*}} = (0) to (512) step (32)
// CHECK:   scaling.pairwise dot {{.*}} -> tensor<32x512xf32>
// CHECK:   linalg.generic
// CHECK:   scaling.plan
// CHECK:   tensor.parallel_insert_slice
// CHECK-NOT: scaling.pairwise
func.func @whole(%x: tensor<512x8xf32>, %F: tensor<512xf32>) -> tensor<512x512xf32> {
  %e = tensor.empty() : tensor<512x512xf32>
  %C = scaling.pairwise dot points(%x, %x : tensor<512x8xf32>, tensor<512x8xf32>) outs(%e : tensor<512x512xf32>) -> tensor<512x512xf32>
  %X = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
      ins(%C : tensor<512x512xf32>) outs(%e : tensor<512x512xf32>) {
  ^bb0(%c: f32, %o: f32):
    %n = arith.negf %c : f32
    linalg.yield %n : f32
  } -> tensor<512x512xf32>
  %P = scaling.plan domain(log) matrix(%X : tensor<512x512xf32>) row(%F : tensor<512xf32>) outs(%e : tensor<512x512xf32>) -> tensor<512x512xf32>
  return %P : tensor<512x512xf32>
}

// A read of one axis alone makes its rows anew, too.

// CHECK-LABEL: func.func @lazy_alone
// CHECK-NOT: tensor<512x512xf32>
// CHECK: scf.forall
// CHECK:   scaling.pairwise {{.*}} -> tensor<8x512xf32>
// CHECK:   scaling.reduce along(rows)
// CHECK-NOT: tensor<512x512xf32>
// CHECK: return
func.func @lazy_alone(%x: tensor<512x8xf32>) -> tensor<512xf32> {
  %e = tensor.empty() : tensor<512x512xf32>
  %C = scaling.pairwise dot points(%x, %x : tensor<512x8xf32>, tensor<512x8xf32>) outs(%e : tensor<512x512xf32>) -> tensor<512x512xf32>
  %F, %G, %k, %r, %s = scaling.iterate matrix(%C : tensor<512x512xf32>) stop(#scaling.stop<fixed 1>)
    numerics(#scaling.numerics<log>) schedule(#scaling.schedule<cloud, row_block = 8, matrix = recomputed>)
  return %F : tensor<512xf32>
}
