// The version of the dialect is written into bytecode; a newer minor version is
// read, another major one refused.

// RUN: scaling-opt %s --emit-bytecode -o %t.bc
// RUN: %python %S/Inputs/patch-version.py %t.bc %t.minor.bc 1 9
// RUN: scaling-opt %t.minor.bc | FileCheck %s
// RUN: %python %S/Inputs/patch-version.py %t.bc %t.major.bc 2 0
// RUN: not scaling-opt %t.major.bc 2>&1 | FileCheck %s --check-prefix=REFUSED
// RUN: %python %S/Inputs/patch-version.py %t.bc %t.zero.bc 0 3
// RUN: not scaling-opt %t.zero.bc 2>&1 | FileCheck %s --check-prefix=OLD

// CHECK: scaling.project logits(%{{.*}} : tensor<4x4xf32>) preset(mhc)
// REFUSED: error: scaling dialect version 2.0 cannot be read: this is version 1.0
// OLD: error: scaling dialect version 0.3 cannot be read: this is version 1.0

func.func @f(%z: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<4x4xf32>) preset(mhc)
  return %P : tensor<4x4xf32>
}
