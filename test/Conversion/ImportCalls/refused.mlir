// RUN: scaling-opt %s --scaling-import-calls --verify-diagnostics | FileCheck %s

// What cannot be imported stays as it is.

// CHECK: call @unknown
// CHECK: call @wrong_type
func.func @main(%z: tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<3x5xf32>) {
  %p:4 = call @unknown(%z) : (tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<i32>, tensor<f32>, tensor<i32>)
  %q:4 = call @wrong_type(%z) : (tensor<3x4xf32>) -> (tensor<3x5xf32>, tensor<i32>, tensor<f32>, tensor<i32>)
  return %p#0, %q#0 : tensor<3x4xf32>, tensor<3x5xf32>
}
// CHECK: func private @unknown
// expected-warning@+1 {{'unknown' is not made a scaling op: there is no op 'solve' that can be imported}}
func.func private @unknown(tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<i32>, tensor<f32>, tensor<i32>)
    attributes {scaling.op = "solve", scaling.operands = ["matrix"], scaling.attributes = ""}
// expected-warning@+1 {{'wrong_type' is not made a scaling op: result 0 is tensor<3x4xf32>, expected was tensor<3x5xf32>}}
func.func private @wrong_type(tensor<3x4xf32>) -> (tensor<3x5xf32>, tensor<i32>, tensor<f32>, tensor<i32>)
    attributes {scaling.op = "project", scaling.operands = ["matrix"], scaling.attributes = "preset(mhc)"}
// expected-warning@+1 {{'names' is not made a scaling op: 'scaling.operands' must be an array of one name per argument}}
func.func private @names(tensor<3x4xf32>) -> tensor<3x4xf32>
    attributes {scaling.op = "project", scaling.attributes = "preset(mhc)"}
// expected-warning@+1 {{'text' is not made a scaling op: 'scaling.attributes' must be a string}}
func.func private @text(tensor<3x4xf32>) -> tensor<3x4xf32>
    attributes {scaling.op = "project", scaling.operands = ["matrix"]}
// expected-warning@+1 {{'number' is not made a scaling op: all arguments and results must be ranked tensors}}
func.func private @number(f32) -> tensor<3x4xf32>
    attributes {scaling.op = "project", scaling.operands = ["matrix"], scaling.attributes = ""}
// expected-warning@+1 {{'preset' is not made a scaling op: custom op 'scaling.project' unknown preset 'nobody'}}
func.func private @preset(tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<i32>, tensor<f32>, tensor<i32>)
    attributes {scaling.op = "project", scaling.operands = ["matrix"], scaling.attributes = "preset(nobody)"}
// expected-warning@+1 {{'more' is not made a scaling op: the attributes are not those of one op}}
func.func private @more(tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<i32>, tensor<f32>, tensor<i32>)
    attributes {scaling.op = "project", scaling.operands = ["matrix"],
                scaling.attributes = "preset(mhc) %c = arith.constant 1 : i32"}
// expected-warning@+1 {{'integers' is not made a scaling op: 'matrix' holds i32, which does not go with the matrices of the op}}
func.func private @integers(tensor<3x4xi32>) -> (tensor<3x4xf32>, tensor<i32>, tensor<f32>, tensor<i32>)
    attributes {scaling.op = "project", scaling.operands = ["matrix"], scaling.attributes = "preset(mhc)"}
// expected-warning@+1 {{'rank' is not made a scaling op: 'matrix' must have rank at least 2}}
func.func private @rank(tensor<3xf32>) -> (tensor<3xf32>, tensor<i32>, tensor<f32>, tensor<i32>)
    attributes {scaling.op = "project", scaling.operands = ["matrix"], scaling.attributes = "preset(mhc)"}
