// RUN: scaling-opt %s --scaling-expand-math --split-input-file | FileCheck %s

// Everything is straight-line arithmetic: clamp, round by adding a large
// number, polynomial of degree 6, power of two in two factors.

// CHECK-LABEL: func @exp2(
// CHECK-SAME: %[[X:.*]]: vector<16xf32>)
// CHECK-DAG: %[[MAGIC:.*]] = arith.constant dense<0x4B4000FE> : vector<16xf32>
// CHECK: arith.cmpf olt
// CHECK: arith.select
// CHECK: arith.cmpf ogt
// CHECK: %[[CLAMPED:.*]] = arith.select
// CHECK: %[[SHIFTED:.*]] = arith.addf %[[CLAMPED]], %[[MAGIC]]
// CHECK: %[[N:.*]] = arith.subf %[[SHIFTED]], %[[MAGIC]]
// CHECK: %[[F:.*]] = arith.subf %[[CLAMPED]], %[[N]]
// CHECK: %[[BITS:.*]] = arith.bitcast %[[SHIFTED]] : vector<16xf32> to vector<16xi32>
// CHECK: %[[HALF:.*]] = arith.shrui %[[BITS]]
// CHECK: %[[FIRST_BITS:.*]] = arith.shli %[[HALF]]
// CHECK: %[[SECOND_BITS:.*]] = arith.subi %{{.*}}, %[[FIRST_BITS]]
// CHECK: %[[FIRST:.*]] = arith.bitcast %[[FIRST_BITS]]
// CHECK-COUNT-5: math.fma %{{.*}}, %[[F]]
// CHECK: %[[SCALED:.*]] = arith.mulf %[[F]], %[[FIRST]]
// CHECK: %[[P:.*]] = math.fma %[[SCALED]], %{{.*}}, %[[FIRST]]
// CHECK: %[[SECOND:.*]] = arith.bitcast %[[SECOND_BITS]]
// CHECK: %[[R:.*]] = arith.mulf %[[P]], %[[SECOND]]
// CHECK-NEXT: return %[[R]] : vector<16xf32>
func.func @exp2(%x: vector<16xf32>) -> vector<16xf32> {
  %0 = math.exp2 %x : vector<16xf32>
  return %0 : vector<16xf32>
}

// -----

// CHECK-LABEL: func @exp(
// CHECK: %[[SHIFTED:.*]] = math.fma
// CHECK: %[[N:.*]] = arith.subf %[[SHIFTED]]
// CHECK: %[[MINUS_N:.*]] = arith.negf %[[N]]
// CHECK: %[[HI:.*]] = math.fma %{{.*}}, %{{.*}}, %[[MINUS_N]]
// CHECK: math.fma %{{.*}}, %{{.*}}, %[[HI]]
// CHECK-COUNT-11: math.fma
// CHECK-NOT: math.
// CHECK: return
func.func @exp(%x: f64) -> f64 {
  %0 = math.exp %x fastmath<fast> : f64
  return %0 : f64
}

// -----

// Fast-math flags of the op would allow to undo the exact differences.

// CHECK-LABEL: func @fastmath(
// CHECK-NOT: fastmath
// CHECK: return
func.func @fastmath(%x: f32, %y: f32) -> (f32, f32, f32, f32, f32) {
  %0 = math.exp %x fastmath<fast> : f32
  %1 = math.exp2 %x fastmath<fast> : f32
  %2 = math.log %x fastmath<fast> : f32
  %3 = math.log2 %x fastmath<fast> : f32
  %4 = math.powf %x, %y fastmath<fast> : f32
  return %0, %1, %2, %3, %4 : f32, f32, f32, f32, f32
}

// -----

// CHECK-LABEL: func @log2_2d(
// CHECK-NOT: math.log
// CHECK-NOT: arith.divf
// CHECK: arith.bitcast %{{.*}} : vector<2x8xf32> to vector<2x8xi32>
// CHECK: return %{{.*}} : vector<2x8xf32>
func.func @log2_2d(%x: vector<2x8xf32>) -> vector<2x8xf32> {
  %0 = math.log2 %x : vector<2x8xf32>
  return %0 : vector<2x8xf32>
}

// -----

// CHECK-LABEL: func @log_scalable(
// CHECK-NOT: math.log
// CHECK: arith.divf {{.*}} : vector<[2]xf64>
// CHECK: return %{{.*}} : vector<[2]xf64>
func.func @log_scalable(%x: vector<[2]xf64>) -> vector<[2]xf64> {
  %0 = math.log %x : vector<[2]xf64>
  return %0 : vector<[2]xf64>
}

// -----

// CHECK-LABEL: func @rank_0(
// CHECK-NOT: math.exp2
// CHECK: return %{{.*}} : vector<f32>
func.func @rank_0(%x: vector<f32>) -> vector<f32> {
  %0 = math.exp2 %x : vector<f32>
  return %0 : vector<f32>
}

// -----

// Powers in f32 are computed in f64.

// CHECK-LABEL: func @pow(
// CHECK-SAME: %[[X:.*]]: vector<8xf32>, %[[Y:.*]]: vector<8xf32>)
// CHECK-DAG: arith.extf %[[X]] : vector<8xf32> to vector<8xf64>
// CHECK-DAG: arith.extf %[[Y]] : vector<8xf32> to vector<8xf64>
// CHECK-NOT: math.powf
// CHECK-NOT: math.exp
// CHECK-NOT: math.log
// CHECK: %[[R:.*]] = arith.truncf %{{.*}} : vector<8xf64> to vector<8xf32>
// CHECK: return %[[R]]
func.func @pow(%x: vector<8xf32>, %y: vector<8xf32>) -> vector<8xf32> {
  %0 = math.powf %x, %y : vector<8xf32>
  return %0 : vector<8xf32>
}

// -----

// CHECK-LABEL: func @half(
// CHECK-SAME: %[[X:.*]]: f16)
// CHECK: arith.extf %[[X]] : f16 to f32
// CHECK-NOT: math.exp2
// CHECK: %[[R:.*]] = arith.truncf %{{.*}} : f32 to f16
// CHECK: return %[[R]]
func.func @half(%x: f16) -> f16 {
  %0 = math.exp2 %x : f16
  return %0 : f16
}

// -----

// bf16 uses neither arith.extf nor arith.truncf.

// CHECK-LABEL: func @bfloat(
// CHECK-NOT: arith.extf
// CHECK-NOT: math.exp{{ }}
// CHECK-NOT: arith.truncf
// CHECK: %[[R:.*]] = arith.bitcast %{{.*}} : vector<4xi16> to vector<4xbf16>
// CHECK: return %[[R]]
func.func @bfloat(%x: vector<4xbf16>) -> vector<4xbf16> {
  %0 = math.exp %x : vector<4xbf16>
  return %0 : vector<4xbf16>
}

// -----

// What is not ours stays: one instruction, other types, tensors.

// CHECK-LABEL: func @untouched(
// CHECK-NEXT: math.sqrt
// CHECK-NEXT: math.exp %{{.*}} : f80
// CHECK-NEXT: math.powf %{{.*}} : f128
// CHECK-NEXT: math.log2 %{{.*}} : tensor<4xf32>
// CHECK-NEXT: return
func.func @untouched(%a: f32, %b: f80, %c: f128, %d: tensor<4xf32>)
    -> (f32, f80, f128, tensor<4xf32>) {
  %0 = math.sqrt %a : f32
  %1 = math.exp %b : f80
  %2 = math.powf %c, %c : f128
  %3 = math.log2 %d : tensor<4xf32>
  return %0, %1, %2, %3 : f32, f80, f128, tensor<4xf32>
}
