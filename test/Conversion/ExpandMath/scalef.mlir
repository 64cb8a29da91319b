// RUN: scaling-opt %s --scaling-expand-math=use-scalef | FileCheck %s
// RUN: scaling-opt %s --scaling-expand-math=use-scalef \
// RUN:     --convert-vector-to-llvm --convert-math-to-llvm --convert-to-llvm \
// RUN:     --reconcile-unrealized-casts \
// RUN:   | mlir-translate --mlir-to-llvmir \
// RUN:   | llc -O2 -mtriple=x86_64-linux-gnu -mattr=+avx512f,+avx512vl,+fma -o - \
// RUN:   | FileCheck %s --check-prefix=ASM --implicit-check-not=call

// Rounding, the difference, the polynomial and the power of two: no clamping.

// CHECK-LABEL: func @exp2(
// CHECK-SAME: %[[X:.*]]: vector<16xf32>)
// CHECK: %[[N:.*]] = math.roundeven %[[X]]
// CHECK: %[[F:.*]] = arith.subf %[[X]], %[[N]]
// CHECK-COUNT-6: math.fma %{{.*}}, %[[F]]
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"(%{{.*}}, %[[N]],
// CHECK-NEXT: return
// ASM-LABEL: exp2:
// ASM: vrndscaleps
// ASM: vsubps
// ASM-COUNT-6: vfmadd
// ASM-NOT: vmulps
// ASM: vscalefps
// ASM-NEXT: retq
func.func @exp2(%x: vector<16xf32>) -> vector<16xf32> {
  %0 = math.exp2 %x : vector<16xf32>
  return %0 : vector<16xf32>
}

// Vectors larger than a register, in pieces.

// CHECK-LABEL: func @pieces(
// CHECK-COUNT-3: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.pd.256"
// CHECK-NOT: llvm.call_intrinsic
// CHECK: return
// ASM-LABEL: pieces:
// ASM-COUNT-3: vscalefpd {{.*}}%ymm
func.func @pieces(%x: vector<12xf64>) -> vector<12xf64> {
  %0 = math.exp %x : vector<12xf64>
  return %0 : vector<12xf64>
}

// CHECK-LABEL: func @small(
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.128"
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.pd.128"
// ASM-LABEL: small:
// ASM: vscalefps {{.*}}%xmm
// ASM: vscalefpd {{.*}}%xmm
func.func @small(%x: vector<4xf16>, %y: vector<2xf64>)
    -> (vector<4xf16>, vector<2xf64>) {
  %0 = math.exp2 %x : vector<4xf16>
  %1 = math.powf %y, %y : vector<2xf64>
  return %0, %1 : vector<4xf16>, vector<2xf64>
}

// Everything else, as without the option.

// CHECK-LABEL: func @others(
// CHECK-NOT: llvm.call_intrinsic
// CHECK: return
// ASM-LABEL: others:
func.func @others(%a: f32, %b: vector<3xf32>, %c: vector<2x8xf32>,
                  %d: vector<f64>)
    -> (f32, vector<3xf32>, vector<2x8xf32>, vector<f64>) {
  %0 = math.exp2 %a : f32
  %1 = math.exp %b : vector<3xf32>
  %2 = math.exp2 %c : vector<2x8xf32>
  %3 = math.exp %d : vector<f64>
  return %0, %1, %2, %3 : f32, vector<3xf32>, vector<2x8xf32>, vector<f64>
}
