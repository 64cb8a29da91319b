// RUN: scaling-opt %s --scaling-decompose --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-decompose=absorb=false --split-input-file | FileCheck %s --check-prefix=LOG
// RUN: scaling-opt %s --scaling-select-schedule --scaling-decompose --canonicalize --scaling-tile-and-fuse --canonicalize --split-input-file | FileCheck %s --check-prefix=TILED

// A kernel with the row maxima in its gauge, which is in f64; half-steps on
// that kernel alone. Logarithms, and a new kernel in the place of the old one,
// only where a sum is out of bounds. The plan is made from the kernel, in its
// memory.

// CHECK-LABEL: func.func @fixed
// CHECK-SAME: %[[X:[a-z0-9]*]]: tensor<512x512xf32>
// CHECK: scaling.reduce along(rows) stat(#scaling.max) matrix(%[[X]] :
// CHECK: %[[K:.*]] = scaling.plan domain(absorb) matrix(%[[X]] : tensor<512x512xf32>) row(%{{.*}} : tensor<512xf64>) col(%{{.*}} : tensor<512xf64>)
// CHECK: %[[LOOP:.*]]:5 = scf.for {{.*}} %[[KIN:[a-z0-9]*]] = %[[K]])
// CHECK:   scaling.reduce along(rows) stat(#scaling.sum) matrix(%[[KIN]] :
// CHECK:   scaling.update rule(<sum>) domain(kernel)
// CHECK:   scaling.reduce along(cols) stat(#scaling.sum) matrix(%[[KIN]] :
// CHECK:   scaling.update rule(<sum>) domain(kernel)
// CHECK:   scf.if
// CHECK:     scf.if
// CHECK:       scaling.reduce along(rows) stat(#scaling.lse) matrix(%[[X]] :
// CHECK:       scaling.reduce along(cols) stat(#scaling.lse) matrix(%[[X]] :
// CHECK:     scaling.plan domain(absorb) matrix(%[[X]] : {{.*}} outs(%[[KIN]] :
// CHECK:   } else {
// CHECK-NOT: scaling.{{reduce|plan}}
// CHECK:   scf.yield
// CHECK: %[[P:.*]]:3 = scf.if
// CHECK: scaling.plan domain(kernel) matrix(%[[P]]#0 : {{.*}} outs(%[[P]]#0 :

// LOG-LABEL: func.func @fixed
// LOG-NOT: stat(#scaling.sum)
// LOG: scaling.plan domain(absorb)

// One read of the kernel per iteration.

// TILED-LABEL: func.func @fixed
// TILED: scf.for %
// TILED-NOT: scaling.reduce
// TILED:   scf.forall
// TILED:     scf.for %
// TILED:       %[[BLOCK:.*]] = tensor.extract_slice %{{.*}} to tensor<8x512xf32>
// TILED:       scaling.reduce along(rows) stat(#scaling.sum) matrix(%[[BLOCK]] :
// TILED:       scaling.reduce along(cols) stat(#scaling.sum) matrix(%[[BLOCK]] :
// TILED-NOT: stat(#scaling.sum)
// TILED:   scf.if
func.func @fixed(%X: tensor<512x512xf32>) -> tensor<512x512xf32> {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<512x512xf32>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<absorb>)
  %e = tensor.empty() : tensor<512x512xf32>
  %P = scaling.plan domain(absorb) matrix(%X : tensor<512x512xf32>)
    row(%F : tensor<512xf32>) col(%G : tensor<512xf32>)
    outs(%e : tensor<512x512xf32>) -> tensor<512x512xf32>
  return %P : tensor<512x512xf32>
}

// -----

// The logarithm of the plan needs no kernel, but all digits of the factors.

// CHECK-LABEL: func.func @logarithm
// CHECK-SAME: %[[X:[a-z0-9]*]]: tensor<8x4xf32>
// CHECK: scaling.plan domain(absorb) logarithm matrix(%[[X]] : tensor<8x4xf32>) row(%{{.*}} : tensor<8xf64>) col(%{{.*}} : tensor<4xf64>)
func.func @logarithm(%X: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<8x4xf32>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<absorb>)
  %e = tensor.empty() : tensor<8x4xf32>
  %P = scaling.plan domain(absorb) logarithm matrix(%X : tensor<8x4xf32>)
    row(%F : tensor<8xf32>) col(%G : tensor<4xf32>)
    outs(%e : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %P : tensor<8x4xf32>
}

// -----

// The check reads no more than the half-step it precedes.

// CHECK-LABEL: func.func @until
// CHECK: scf.while
// CHECK: scf.condition
// CHECK: scaling.reduce along(rows) stat(#scaling.sum)
// CHECK: scaling.reduce along(cols) stat(#scaling.sum)
// CHECK-NOT: scaling.reduce
// CHECK: scf.if
func.func @until(%X: tensor<8x4xf32>) -> (tensor<8xf32>, tensor<i32>) {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<8x4xf32>)
    stop(#scaling.stop<until 1.0e-3, what = marginal, axis = rows, norm = l1, every = 2, start = 2, limit = 100>)
    numerics(#scaling.numerics<absorb>)
  return %F, %k : tensor<8xf32>, tensor<i32>
}

// -----

// A batch: all half-steps on the kernel of the start, the sums noted in a flag
// per element; the checked loop only where a flag is set, for its elements.

// CHECK-LABEL: func.func @batch
// CHECK-SAME: %[[X:[a-z0-9]*]]: tensor<3x8x4xf32>
// CHECK: %[[K:.*]] = scaling.plan domain(absorb) matrix(%[[X]] :
// CHECK: %[[FAST:.*]]:3 = scf.for {{.*}} -> (tensor<3x8xf32>, tensor<3x4xf32>, tensor<3xi1>)
// CHECK:   scaling.reduce along(rows) stat(#scaling.sum) matrix(%[[K]] :
// CHECK:   linalg.generic
// CHECK:   arith.cmpi ugt
// CHECK:   scaling.update rule(<sum>) domain(kernel)
// CHECK:   scaling.reduce along(cols) stat(#scaling.sum) matrix(%[[K]] :
// CHECK:   linalg.generic
// CHECK:   arith.cmpi ugt
// CHECK:   scaling.update rule(<sum>) domain(kernel)
// CHECK-NOT: scaling
// CHECK-NOT: scf.if
// CHECK:   scf.yield
// CHECK: linalg.generic {{.*}} ins(%[[FAST]]#2 : tensor<3xi1>) outs({{.*}} : tensor<i1>)
// CHECK: scf.if
// CHECK:   scf.for
// CHECK:     scaling.reduce along(rows) stat(#scaling.sum)
// CHECK:     scf.if
// CHECK:       scf.if
// CHECK:         scaling.reduce along(rows) stat(#scaling.lse) matrix(%[[X]] :
// CHECK:       scaling.plan domain(absorb)
// CHECK:   linalg.generic {{.*}} ins(%[[FAST]]#2, {{.*}} outs(%[[FAST]]#0 :
// CHECK:   linalg.generic {{.*}} ins(%[[FAST]]#2, {{.*}} outs(%[[FAST]]#1 :
func.func @batch(%X: tensor<3x8x4xf32>) -> tensor<3x8xf32> {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<3x8x4xf32>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<absorb>)
  return %F : tensor<3x8xf32>
}

// -----

// Elements are judged by themselves; the loop goes on while one of them runs.

// CHECK-LABEL: func.func @batch_until
// CHECK: scf.while
// CHECK: linalg.generic {{.*}}iterator_types = ["reduction"]} ins({{.*}} : tensor<3xi1>)
// CHECK: scf.condition
// CHECK: scaling.reduce along(rows) stat(#scaling.sum)
// CHECK: scaling.reduce along(cols) stat(#scaling.sum)
// CHECK-NOT: scaling.reduce
// CHECK: scf.if
func.func @batch_until(%X: tensor<3x8x4xf32>) -> (tensor<3x8xf32>, tensor<3xi32>) {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<3x8x4xf32>)
    stop(#scaling.stop<until 1.0e-3, what = marginal, axis = rows, norm = l1, every = 2, start = 2, limit = 100>)
    numerics(#scaling.numerics<absorb>)
  return %F, %k : tensor<3x8xf32>, tensor<3xi32>
}

// -----

// What stays in the log domain: simultaneous updates, comparisons of successive
// factors, a matrix that is made anew in every sweep.

// CHECK-LABEL: func.func @jacobi
// CHECK-NOT: stat(#scaling.sum)
// CHECK-LABEL: func.func @change
// CHECK-NOT: stat(#scaling.sum)
// CHECK-LABEL: func.func @recomputed
// CHECK-NOT: stat(#scaling.sum)
// CHECK: return
func.func @jacobi(%X: tensor<8x4xf32>) -> tensor<8xf32> {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<8x4xf32>) order(jacobi)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<absorb>)
  return %F : tensor<8xf32>
}
func.func @change(%X: tensor<8x4xf32>) -> tensor<8xf32> {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<8x4xf32>)
    stop(#scaling.stop<until 1.0e-3, what = change, axis = rows, norm = l1, every = 2, start = 2, limit = 100>)
    numerics(#scaling.numerics<absorb>)
  return %F : tensor<8xf32>
}
func.func @recomputed(%X: tensor<8x4xf32>) -> tensor<8xf32> {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<8x4xf32>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<absorb>)
    schedule(#scaling.schedule<streaming, row_block = 8, matrix = recomputed>)
  return %F : tensor<8xf32>
}

// -----

// Long rows of a kernel that is read from beyond the caches next to a core
// begin on a cache line each, and not all at the same place of L1.

// CHECK-LABEL: func.func @padded
// CHECK: %[[PLACE:.*]] = tensor.empty() : tensor<1025x1040xf32>
// CHECK: %[[ROWS:.*]] = tensor.extract_slice %[[PLACE]][0, 0] [1025, 1025] [1, 1]
// CHECK: scaling.plan domain(absorb) {{.*}} outs(%[[ROWS]] : tensor<1025x1025xf32>)
// CHECK-LABEL: func.func @ways
// CHECK: tensor.empty() : tensor<1024x1040xf32>
// CHECK-LABEL: func.func @aligned
// CHECK-NOT: tensor.extract_slice
// CHECK: return
func.func @padded(%X: tensor<1025x1025xf32>) -> tensor<1025xf32> {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<1025x1025xf32>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<absorb>)
    schedule(#scaling.schedule<streaming, row_block = 8>)
  return %F : tensor<1025xf32>
}
func.func @ways(%X: tensor<1024x1024xf32>) -> tensor<1024xf32> {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<1024x1024xf32>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<absorb>)
    schedule(#scaling.schedule<streaming, row_block = 8>)
  return %F : tensor<1024xf32>
}
func.func @aligned(%X: tensor<1040x1040xf32>) -> tensor<1040xf32> {
  %F, %G, %k, %r, %s = scaling.iterate matrix(%X : tensor<1040x1040xf32>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<absorb>)
    schedule(#scaling.schedule<streaming, row_block = 8>)
  return %F : tensor<1040xf32>
}
