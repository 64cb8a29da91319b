// The object calls nothing, and exp2 is a handful of instructions.

// RUN: scaling-opt %s --scaling-expand-math --convert-vector-to-llvm \
// RUN:     --convert-math-to-llvm --convert-to-llvm \
// RUN:     --reconcile-unrealized-casts \
// RUN:   | mlir-translate --mlir-to-llvmir -o %t.ll
// RUN: llc %t.ll -O2 -mtriple=x86_64-linux-gnu -mattr=+avx2,+fma,+f16c -o - \
// RUN:   | FileCheck %s --implicit-check-not=call
// RUN: llc %t.ll -O2 -mtriple=x86_64-linux-gnu \
// RUN:     -mattr=+avx512f,+avx512vl,+avx512dq,+avx512bw,+fma,+f16c -o - \
// RUN:   | FileCheck %s --check-prefix=AVX512 --implicit-check-not=call \
// RUN:       --implicit-check-not=jmp

// CHECK-LABEL: exp2_f32:
// CHECK: retq
// AVX512-LABEL: exp2_f32:
// AVX512: vminps
// AVX512: vmaxps
// AVX512-NOT: vcmp
// AVX512-COUNT-5: vfmadd
// AVX512-NEXT: vmulps
// AVX512-NEXT: vfmadd
// AVX512-NEXT: vmulps
// AVX512-NEXT: retq
func.func @exp2_f32(%x: vector<16xf32>) -> vector<16xf32> {
  %0 = math.exp2 %x : vector<16xf32>
  return %0 : vector<16xf32>
}

// CHECK-LABEL: vectors:
// AVX512-LABEL: vectors:
func.func @vectors(%x: vector<8xf32>, %y: vector<8xf32>) -> vector<8xf32> {
  %0 = math.exp %x : vector<8xf32>
  %1 = math.log %0 : vector<8xf32>
  %2 = math.log2 %1 : vector<8xf32>
  %3 = math.powf %2, %y : vector<8xf32>
  return %3 : vector<8xf32>
}

// CHECK-LABEL: vectors_f64:
// AVX512-LABEL: vectors_f64:
func.func @vectors_f64(%x: vector<8xf64>, %y: vector<8xf64>) -> vector<8xf64> {
  %0 = math.exp %x : vector<8xf64>
  %1 = math.log %0 : vector<8xf64>
  %2 = math.log2 %1 : vector<8xf64>
  %3 = math.exp2 %2 : vector<8xf64>
  %4 = math.powf %3, %y : vector<8xf64>
  return %4 : vector<8xf64>
}

// CHECK-LABEL: scalars:
// AVX512-LABEL: scalars:
func.func @scalars(%x: f32, %y: f64) -> f64 {
  %0 = math.exp %x : f32
  %1 = math.log2 %0 : f32
  %2 = arith.extf %1 : f32 to f64
  %3 = math.powf %2, %y : f64
  %4 = math.log %3 : f64
  %5 = math.exp2 %4 : f64
  return %5 : f64
}

// CHECK-LABEL: conversions:
// AVX512-LABEL: conversions:
func.func @conversions(%x: vector<8xf64>, %y: vector<8xf32>)
    -> (vector<8xbf16>, vector<8xf16>, vector<8xbf16>, vector<8xf16>,
        vector<8xf64>) {
  %0 = arith.truncf %x : vector<8xf64> to vector<8xbf16>
  %1 = arith.truncf %x : vector<8xf64> to vector<8xf16>
  %2 = arith.truncf %y : vector<8xf32> to vector<8xbf16>
  %3 = arith.truncf %y : vector<8xf32> to vector<8xf16>
  %4 = arith.extf %0 : vector<8xbf16> to vector<8xf64>
  return %0, %1, %2, %3, %4
      : vector<8xbf16>, vector<8xf16>, vector<8xbf16>, vector<8xf16>,
        vector<8xf64>
}

// CHECK-LABEL: halves:
// AVX512-LABEL: halves:
func.func @halves(%x: vector<8xf16>, %y: vector<8xbf16>)
    -> (vector<8xf16>, vector<8xbf16>, vector<8xf64>) {
  %0 = math.exp2 %x : vector<8xf16>
  %1 = math.powf %y, %y : vector<8xbf16>
  %2 = arith.extf %x : vector<8xf16> to vector<8xf64>
  return %0, %1, %2 : vector<8xf16>, vector<8xbf16>, vector<8xf64>
}
