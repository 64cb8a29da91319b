// RUN: scaling-opt %s --scaling-expand-other-math | FileCheck %s

// CHECK-LABEL: func @powers
// CHECK-SAME: %[[X:.*]]: vector<8xf32>, %[[N:.*]]: vector<8xi64>
// CHECK-DAG: %[[ONE:.*]] = arith.constant dense<1.000000e+00>
// CHECK-DAG: %[[X2:.*]] = arith.mulf %[[X]], %[[X]]
// CHECK-DAG: %[[X3:.*]] = arith.mulf %[[X]], %{{.*}}
// CHECK-DAG: %[[R:.*]] = arith.divf %[[ONE]], %{{.*}}
// CHECK-DAG: %[[E:.*]] = arith.sitofp %[[N]] : vector<8xi64> to vector<8xf32>
// CHECK-DAG: %[[P:.*]] = math.powf %[[X]], %[[E]]
// CHECK: return %[[ONE]], %[[X]], %[[X2]], %{{.*}}, %[[R]], %[[P]]
func.func @powers(%x: vector<8xf32>, %n: vector<8xi64>)
    -> (vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>) {
  %c0 = arith.constant dense<0> : vector<8xi64>
  %c1 = arith.constant dense<1> : vector<8xi64>
  %c2 = arith.constant dense<2> : vector<8xi64>
  %c3 = arith.constant dense<3> : vector<8xi64>
  %m2 = arith.constant dense<-2> : vector<8xi64>
  %0 = math.fpowi %x, %c0 : vector<8xf32>, vector<8xi64>
  %1 = math.fpowi %x, %c1 : vector<8xf32>, vector<8xi64>
  %2 = math.fpowi %x, %c2 : vector<8xf32>, vector<8xi64>
  %3 = math.fpowi %x, %c3 : vector<8xf32>, vector<8xi64>
  %4 = math.fpowi %x, %m2 : vector<8xf32>, vector<8xi64>
  %5 = math.fpowi %x, %n : vector<8xf32>, vector<8xi64>
  return %0, %1, %2, %3, %4, %5 : vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>, vector<8xf32>
}

// CHECK-LABEL: func @real_powers
// CHECK: arith.mulf
// CHECK: math.sqrt
// CHECK: math.powf
func.func @real_powers(%x: vector<8xf32>) -> (vector<8xf32>, vector<8xf32>, vector<8xf32>) {
  %two = arith.constant dense<2.0> : vector<8xf32>
  %half = arith.constant dense<0.5> : vector<8xf32>
  %other = arith.constant dense<1.7> : vector<8xf32>
  %0 = math.powf %x, %two : vector<8xf32>
  %1 = math.powf %x, %half : vector<8xf32>
  %2 = math.powf %x, %other : vector<8xf32>
  return %0, %1, %2 : vector<8xf32>, vector<8xf32>, vector<8xf32>
}

// CHECK-LABEL: func @error_function
// CHECK-NOT: math.erf
// CHECK-NOT: call
// CHECK: return
func.func @error_function(%x: vector<8xf32>, %y: bf16) -> (vector<8xf32>, bf16) {
  %0 = math.erf %x : vector<8xf32>
  %1 = math.erf %y : bf16
  return %0, %1 : vector<8xf32>, bf16
}

// CHECK-LABEL: func @others
// CHECK-COUNT-2: call @erf(%{{.*}}) : (f64) -> f64
// CHECK: call @cbrtf(
// CHECK: math.sqrt
// CHECK: math.fma
func.func @others(%x: vector<2xf64>, %y: f32) -> (vector<2xf64>, f32) {
  %0 = math.erf %x : vector<2xf64>
  %1 = math.cbrt %y : f32
  %2 = math.sqrt %1 : f32
  %3 = math.fma %2, %2, %y : f32
  return %0, %3 : vector<2xf64>, f32
}
