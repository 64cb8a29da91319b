// RUN: scaling-opt %s --scaling-expand-gpu-math | FileCheck %s
// RUN: scaling-opt %s --scaling-expand-gpu-math=approximate=false | FileCheck %s --check-prefix=EXACT

// No function of a library is left, whatever the type.

// CHECK-NOT: math.{{exp|log|pow|abs|sqrt|floor|ceil|round}}
// EXACT-NOT: math.{{exp|log|pow|abs|sqrt|floor|ceil|round}}

// CHECK-LABEL: func.func @of_other_programs
// CHECK-NOT: math.{{erf|tanh|rsqrt|fpowi}}
// CHECK: return
func.func @of_other_programs(%x: f32, %y: f64, %n: i32) -> (f32, f64, f32) {
  %0 = math.erf %x : f32
  %1 = math.tanh %0 : f32
  %2 = math.rsqrt %y : f64
  %3 = math.fpowi %1, %n : f32, i32
  return %1, %2, %3 : f32, f64, f32
}

// CHECK-LABEL: func.func @exp2
// CHECK: llvm.call_intrinsic "llvm.nvvm.ex2.approx.ftz.f"(%{{.*}}) : (f32) -> f32
// EXACT-LABEL: func.func @exp2
// EXACT-NOT: llvm.nvvm
func.func @exp2(%x: f32) -> f32 {
  %r = math.exp2 %x : f32
  return %r : f32
}

// CHECK-LABEL: func.func @strict
// CHECK-NOT: llvm.nvvm
// CHECK: arith.divf
func.func @strict(%x: f32) -> f32 attributes {scaling.strict} {
  %e = math.exp2 %x : f32
  %r = arith.divf %e, %x : f32
  return %r : f32
}

// What the product with log2(e) loses is put back.

// CHECK-LABEL: func.func @exp(
// CHECK: %[[Y:.*]] = arith.mulf %{{.*}}, %{{.*}} : f32
// CHECK: math.fma
// CHECK: math.fma
// CHECK: "llvm.nvvm.ex2.approx.ftz.f"(%[[Y]])
// CHECK: arith.select
func.func @exp(%x: f32) -> f32 {
  %r = math.exp %x : f32
  return %r : f32
}

// CHECK-LABEL: func.func @logs
// CHECK: "llvm.nvvm.lg2.approx.f"
// CHECK: "llvm.nvvm.lg2.approx.f"
// CHECK: arith.mulf
func.func @logs(%x: f32) -> (f32, f32) {
  %r = math.log2 %x : f32
  %s = math.log %x : f32
  return %r, %s : f32, f32
}

// CHECK-LABEL: func.func @divide
// CHECK: "llvm.nvvm.div.full"
// CHECK: arith.divf {{.*}} : f64
// EXACT-LABEL: func.func @divide
// EXACT: arith.divf {{.*}} : f32
func.func @divide(%x: f32, %y: f64) -> (f32, f64) {
  %r = arith.divf %x, %x : f32
  %s = arith.divf %y, %y : f64
  return %r, %s : f32, f64
}

// CHECK-LABEL: func.func @wide
// CHECK-NOT: llvm.nvvm
func.func @wide(%x: f64) -> (f64, f64, f64) {
  %r = math.exp %x : f64
  %s = math.log2 %x : f64
  %t = math.powf %x, %x : f64
  return %r, %s, %t : f64, f64, f64
}

// CHECK-LABEL: func.func @plain
// CHECK: "llvm.fabs"
// CHECK: "llvm.sqrt"
// CHECK: "llvm.floor"
// CHECK: "llvm.ceil"
// CHECK: "llvm.roundeven"
func.func @plain(%x: f32) -> (f32, f32, f32, f32, f32) {
  %a = math.absf %x : f32
  %b = math.sqrt %x : f32
  %c = math.floor %x : f32
  %d = math.ceil %x : f32
  %e = math.roundeven %x : f32
  return %a, %b, %c, %d, %e : f32, f32, f32, f32, f32
}

// A product that is only added is not rounded by itself; where it is wanted for
// something else, or the function is strict, it is.

// CHECK-LABEL: func.func @contract
// CHECK: math.fma %arg0, %arg1, %arg2 : f32
// CHECK: math.fma %arg3, %arg3, %{{.*}} : f64
// CHECK-NOT: math.fma
// CHECK: arith.addf {{.*}} : f32
// CHECK-LABEL: func.func @strict_sum
// CHECK: arith.mulf
// CHECK: arith.addf
// EXACT-LABEL: func.func @contract
// EXACT-NOT: math.fma
// EXACT: return
func.func @contract(%x: f32, %y: f32, %z: f32, %w: f64) -> (f32, f64, f32, f32) {
  %p = arith.mulf %x, %y : f32
  %r = arith.addf %p, %z : f32
  %q = arith.mulf %w, %w : f64
  %s = arith.addf %w, %q : f64
  %t = arith.mulf %y, %z : f32
  %u = arith.addf %t, %x : f32
  return %r, %s, %t, %u : f32, f64, f32, f32
}

func.func @strict_sum(%x: f32, %y: f32, %z: f32) -> f32 attributes {scaling.strict} {
  %p = arith.mulf %x, %y : f32
  %r = arith.addf %p, %z : f32
  return %r : f32
}

// The back end has an instruction for a reciprocal that need not be exact.

// CHECK-LABEL: func.func @reciprocal
// CHECK: arith.divf %{{.*}}, %arg0 fastmath<afn> : f32
// CHECK: arith.divf %{{.*}}, %arg1 : f64
// EXACT-LABEL: func.func @reciprocal
// EXACT-NOT: fastmath
// EXACT: return
func.func @reciprocal(%x: f32, %y: f64) -> (f32, f64) {
  %c = arith.constant 1.0 : f32
  %d = arith.constant 1.0 : f64
  %r = arith.divf %c, %x : f32
  %s = arith.divf %d, %y : f64
  return %r, %s : f32, f64
}
