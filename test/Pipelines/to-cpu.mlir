// RUN: scaling-opt %s --scaling-select-schedule --scaling-tile-batch --scaling-generalize \
// RUN:   --scaling-decompose --canonicalize --scaling-tile-and-fuse --canonicalize --scaling-bufferize --split-input-file | FileCheck %s
// RUN: scaling-opt %s --scaling-to-cpu=vector-bits=512 --split-input-file | FileCheck %s --check-prefix=LLVM

// The sweep on memrefs: in place, without an allocation or a copy in the loop,
// for sizes that are not known either.

// CHECK-LABEL: func.func @dynamic
// CHECK: scf.for %{{.*}} to %c20
// CHECK-NOT: memref.alloc()
// CHECK-NOT: memref.alloc(
// CHECK-NOT: memref.copy
// CHECK: scf.forall
// CHECK: scf.for
// CHECK: scaling.reduce along(rows)
// CHECK: scaling.update {{.*}} own(%[[U:.*]] :{{.*}}) outs(%[[U]] :
// CHECK: scaling.reduce along(cols)
// CHECK-NOT: memref.copy
// CHECK: scaling.update {{.*}} own(%[[V:.*]] :{{.*}}) outs(%[[V]] :
// CHECK: }

// LLVM-LABEL: llvm.func @dynamic
// LLVM: llvm.intr.fma({{.*}}) : {{.*}}vector<16xf32>
// LLVM-NOT: @expf
func.func @dynamic(%z: tensor<?x?xf32>) -> tensor<?x?xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x?xf32>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<kernel>)
  return %P : tensor<?x?xf32>
}

// -----

// A statistic of several states, swept with unknown sizes: the states of a
// block may have different static knowledge of their size.

// LLVM-LABEL: llvm.func @dynamic_log
// LLVM-NOT: scaling.
func.func @dynamic_log(%z: tensor<?x?xf64>) -> tensor<?x?xf64> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<?x?xf64>)
    stop(#scaling.stop<fixed 40>) numerics(#scaling.numerics<log>)
  return %P : tensor<?x?xf64>
}
