// RUN: scaling-opt %s --scaling-expand-math | FileCheck %s
// RUN: scaling-opt %s --scaling-expand-math=expand-bf16=false | FileCheck %s --check-prefix=KEEP

// CHECK-LABEL: func @f32_to_bf16(
// CHECK-NOT: arith.truncf
// CHECK: arith.bitcast %{{.*}} : vector<4xf32> to vector<4xi32>
// CHECK: arith.bitcast %{{.*}} : vector<4xi16> to vector<4xbf16>
// KEEP-LABEL: func @f32_to_bf16(
// KEEP-NEXT: arith.truncf
func.func @f32_to_bf16(%x: vector<4xf32>) -> vector<4xbf16> {
  %0 = arith.truncf %x : vector<4xf32> to vector<4xbf16>
  return %0 : vector<4xbf16>
}

// CHECK-LABEL: func @bf16_to_f32(
// CHECK-NOT: arith.extf
// CHECK: arith.shli
// CHECK: return
// KEEP-LABEL: func @bf16_to_f32(
// KEEP-NEXT: arith.extf
func.func @bf16_to_f32(%x: bf16) -> f32 {
  %0 = arith.extf %x : bf16 to f32
  return %0 : f32
}

// To odd first: nearest, and one step back where that is inexact and even.

// CHECK-LABEL: func @f64_to_bf16(
// CHECK-SAME: %[[X:.*]]: f64)
// CHECK: %[[NEAREST:.*]] = arith.truncf %[[X]] : f64 to f32
// CHECK: %[[BACK:.*]] = arith.extf %[[NEAREST]] : f32 to f64
// CHECK: arith.cmpf one, %[[BACK]], %[[X]]
// CHECK: arith.select {{.*}} : i32
// CHECK-NOT: arith.truncf
// CHECK: arith.bitcast %{{.*}} : i16 to bf16
// KEEP-LABEL: func @f64_to_bf16(
// KEEP: arith.truncf %{{.*}} : f32 to bf16
func.func @f64_to_bf16(%x: f64) -> bf16 {
  %0 = arith.truncf %x : f64 to bf16
  return %0 : bf16
}

// CHECK-LABEL: func @f64_to_f16(
// CHECK: arith.truncf %{{.*}} : vector<8xf64> to vector<8xf32>
// CHECK: arith.truncf %{{.*}} : vector<8xf32> to vector<8xf16>
func.func @f64_to_f16(%x: vector<8xf64>) -> vector<8xf16> {
  %0 = arith.truncf %x : vector<8xf64> to vector<8xf16>
  return %0 : vector<8xf16>
}

// CHECK-LABEL: func @bf16_to_f64(
// CHECK: arith.extf %{{.*}} : vector<8xf32> to vector<8xf64>
func.func @bf16_to_f64(%x: vector<8xbf16>) -> vector<8xf64> {
  %0 = arith.extf %x : vector<8xbf16> to vector<8xf64>
  return %0 : vector<8xf64>
}

// One instruction each, or with a rounding mode of their own.

// CHECK-LABEL: func @untouched(
// CHECK-NEXT: arith.truncf %{{.*}} : f32 to f16
// CHECK-NEXT: arith.extf %{{.*}} : f16 to f32
// CHECK-NEXT: arith.truncf %{{.*}} : f64 to f32
// CHECK-NEXT: arith.truncf %{{.*}} toward_zero : f64 to bf16
// CHECK-NEXT: arith.truncf %{{.*}} toward_zero : f32 to bf16
func.func @untouched(%a: f32, %b: f16, %c: f64)
    -> (f16, f32, f32, bf16, bf16) {
  %0 = arith.truncf %a : f32 to f16
  %1 = arith.extf %b : f16 to f32
  %2 = arith.truncf %c : f64 to f32
  %3 = arith.truncf %c toward_zero : f64 to bf16
  %4 = arith.truncf %a toward_zero : f32 to bf16
  return %0, %1, %2, %3, %4 : f16, f32, f32, bf16, bf16
}
