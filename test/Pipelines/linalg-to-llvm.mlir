// RUN: scaling-opt %s --scaling-linalg-to-llvm | FileCheck %s
// RUN: scaling-opt %s --scaling-linalg-to-llvm=threads=false | FileCheck %s --check-prefix=SEQ

// Nothing is left but the LLVM dialect, and nothing calls a library.

// CHECK-NOT: memrefCopy
// CHECK-NOT: @exp
// CHECK-NOT: unrealized_conversion_cast
// CHECK-DAG: llvm.func @scaling_parallel_for(i64, !llvm.ptr, !llvm.ptr)
// CHECK-DAG: llvm.func @exp_transposed(
// CHECK-DAG: llvm.func @_mlir_ciface_exp_transposed(
// CHECK-DAG: llvm.func @exp_transposed_team(%{{.*}}: i64, %{{.*}}: i64, %{{.*}}: !llvm.ptr) attributes {sym_visibility = "private"}
// CHECK-DAG: llvm.call @scaling_parallel_for

// SEQ-NOT: scaling_parallel_for
// SEQ-NOT: _team
func.func @exp_transposed(%x: tensor<64x32xbf16>) -> tensor<32x64xbf16> {
  %e = tensor.empty() : tensor<32x64xbf16>
  %r = scf.forall (%i) = (0) to (32) step (4) shared_outs(%o = %e) -> tensor<32x64xbf16> {
    %s = tensor.extract_slice %x[0, %i] [64, 4] [1, 1] : tensor<64x32xbf16> to tensor<64x4xbf16>
    %d = tensor.extract_slice %o[%i, 0] [4, 64] [1, 1] : tensor<32x64xbf16> to tensor<4x64xbf16>
    %t = linalg.transpose ins(%s : tensor<64x4xbf16>) outs(%d : tensor<4x64xbf16>) permutation = [1, 0]
    %m = math.exp %t : tensor<4x64xbf16>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %m into %o[%i, 0] [4, 64] [1, 1] : tensor<4x64xbf16> into tensor<32x64xbf16>
    }
  }
  return %r : tensor<32x64xbf16>
}
