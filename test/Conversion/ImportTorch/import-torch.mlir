// RUN: scaling-opt %s --allow-unregistered-dialect --scaling-import-torch \
// RUN:   --split-input-file --verify-diagnostics | FileCheck %s

// As torch-mlir's importer writes it, in generic form: PyTorch's ops
// around one of scaling.torch.

// CHECK-LABEL: func @main
// CHECK: %[[V:.*]] = "torch.aten.view"
// CHECK: %[[A:.*]] = "torch_c.to_builtin_tensor"(%[[V]]) : (!torch.vtensor<[?,4,4],f32>) -> tensor<?x4x4xf32>
// CHECK: %[[P:.*]], %{{.*}}, %{{.*}}, %[[ST:.*]] = scaling.project logits(%[[A]] : tensor<?x4x4xf32>) preset(mhc)
// CHECK: %[[R:.*]] = "torch_c.from_builtin_tensor"(%[[P]]) : (tensor<?x4x4xf32>) -> !torch.vtensor<[?,4,4],f32>
// CHECK: %[[S:.*]] = "torch_c.from_builtin_tensor"(%[[ST]]) : (tensor<?xi32>) -> !torch.vtensor<[?],si32>
// CHECK: %[[O:.*]] = "torch.aten.add.Scalar"(%[[R]]
// CHECK: return %[[O]], %[[S]]
func.func @main(%x: !torch.vtensor<[?,16],f32>) -> (!torch.vtensor<[?,4,4],f32>, !torch.vtensor<[?],si32>) {
  %i0 = "torch.constant.int"() <{value = 0 : i64}> : () -> !torch.int
  %i1 = "torch.constant.int"() <{value = 1 : i64}> : () -> !torch.int
  %i4 = "torch.constant.int"() <{value = 4 : i64}> : () -> !torch.int
  %n = "torch.aten.size.int"(%x, %i0) : (!torch.vtensor<[?,16],f32>, !torch.int) -> !torch.int
  %s = "torch.prim.ListConstruct"(%n, %i4, %i4) : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
  %v = "torch.aten.view"(%x, %s) : (!torch.vtensor<[?,16],f32>, !torch.list<int>) -> !torch.vtensor<[?,4,4],f32>
  %none = "torch.constant.none"() : () -> !torch.none
  %text = "torch.constant.str"() <{value = "preset(mhc)"}> : () -> !torch.str
  %p:4 = "torch.operator"(%v, %none, %none, %none, %none, %none, %none, %none, %none, %text)
      <{name = "torch.scaling.project"}> : (!torch.vtensor<[?,4,4],f32>, !torch.none, !torch.none,
      !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.str)
      -> (!torch.vtensor<[?,4,4],f32>, !torch.vtensor<[?],si32>, !torch.vtensor<[?],f32>, !torch.vtensor<[?],si32>)
  %o = "torch.aten.add.Scalar"(%p#0, %i1, %i1) : (!torch.vtensor<[?,4,4],f32>, !torch.int, !torch.int) -> !torch.vtensor<[?,4,4],f32>
  return %o, %p#3 : !torch.vtensor<[?,4,4],f32>, !torch.vtensor<[?],si32>
}

// -----

// The name as a plain attribute, as older versions have it; operands that are
// given in the middle keep their places.

// CHECK-LABEL: func @attention
// CHECK: scaling.attention query(%{{.*}} : tensor<2x5x8xbf16>) key(
// CHECK-SAME: col_mask(%{{.*}} : tensor<2x6xi1>) preset(sinkformer) logit_scale(5.000000e-01 : f64)
func.func @attention(%q: !torch.vtensor<[2,5,8],bf16>, %k: !torch.vtensor<[2,6,8],bf16>,
                     %m: !torch.vtensor<[2,6],i1>) -> !torch.vtensor<[2,5,8],bf16> {
  %none = "torch.constant.none"() : () -> !torch.none
  %text = "torch.constant.str"() {value = "preset(sinkformer) logit_scale(0.5 : f64)"} : () -> !torch.str
  %o:4 = "torch.operator"(%q, %k, %k, %none, %none, %m, %none, %text) {name = "torch.scaling.attention"}
    : (!torch.vtensor<[2,5,8],bf16>, !torch.vtensor<[2,6,8],bf16>, !torch.vtensor<[2,6,8],bf16>,
       !torch.none, !torch.none, !torch.vtensor<[2,6],i1>, !torch.none, !torch.str)
    -> (!torch.vtensor<[2,5,8],bf16>, !torch.vtensor<[2],si32>, !torch.vtensor<[2],f32>, !torch.vtensor<[2],si32>)
  return %o#0 : !torch.vtensor<[2,5,8],bf16>
}

// -----

// What the gradient would be of is not part of the op.

// CHECK-LABEL: func @gradient
// CHECK: scaling.project logits(%{{.*}} : tensor<3x4xf32>) preset(mhc)
// CHECK: "torch.operator"
func.func @gradient(%x: !torch.vtensor<[3,4],f32>) {
  %none = "torch.constant.none"() : () -> !torch.none
  %implicit = "torch.constant.str"() <{value = "preset(mhc) gradient implicit"}> : () -> !torch.str
  %other = "torch.constant.str"() <{value = "preset(mhc) gradient adjoint"}> : () -> !torch.str
  %0:4 = "torch.operator"(%x, %none, %none, %none, %none, %none, %none, %none, %none, %implicit) <{name = "torch.scaling.project"}>
      : (!torch.vtensor<[3,4],f32>, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.str)
      -> (!torch.vtensor<[3,4],f32>, !torch.vtensor<[],si32>, !torch.vtensor<[],f32>, !torch.vtensor<[],si32>)
  // expected-warning@+1 {{its gradient is 'adjoint', where 'implicit' or nothing is known}}
  %1:4 = "torch.operator"(%x, %none, %none, %none, %none, %none, %none, %none, %none, %other) <{name = "torch.scaling.project"}>
      : (!torch.vtensor<[3,4],f32>, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.str)
      -> (!torch.vtensor<[3,4],f32>, !torch.vtensor<[],si32>, !torch.vtensor<[],f32>, !torch.vtensor<[],si32>)
  return
}

// -----

// What is not known stays as it is. Ops of others are nobody's business.

// CHECK-LABEL: func @refused
// CHECK-COUNT-5: "torch.operator"
func.func @refused(%x: !torch.vtensor<[3,4],f32>, %u: !torch.vtensor<*,f32>, %text: !torch.str) {
  %none = "torch.constant.none"() : () -> !torch.none
  %str = "torch.constant.str"() <{value = "preset(mhc)"}> : () -> !torch.str
  %0 = "torch.operator"(%x) <{name = "torch.other.project"}> : (!torch.vtensor<[3,4],f32>) -> !torch.vtensor<[3,4],f32>
  // expected-warning@+1 {{'torch.scaling.solve' is not made a scaling op: there is no op 'solve' that can be imported}}
  %1 = "torch.operator"(%x) <{name = "torch.scaling.solve"}> : (!torch.vtensor<[3,4],f32>) -> !torch.vtensor<[3,4],f32>
  // expected-warning@+1 {{'torch.scaling.project' is not made a scaling op: it has 1 operands where 10 are needed}}
  %2 = "torch.operator"(%x) <{name = "torch.scaling.project"}> : (!torch.vtensor<[3,4],f32>) -> !torch.vtensor<[3,4],f32>
  // expected-warning@+1 {{its last operand must be a torch.constant.str}}
  %3:4 = "torch.operator"(%x, %none, %none, %none, %none, %none, %none, %none, %none, %text) <{name = "torch.scaling.project"}>
      : (!torch.vtensor<[3,4],f32>, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.str)
      -> (!torch.vtensor<[3,4],f32>, !torch.vtensor<[],si32>, !torch.vtensor<[],f32>, !torch.vtensor<[],si32>)
  // expected-warning@+1 {{'matrix' is !torch.vtensor<*,f32>, which is no tensor of known rank and elements}}
  %4:4 = "torch.operator"(%u, %none, %none, %none, %none, %none, %none, %none, %none, %str) <{name = "torch.scaling.project"}>
      : (!torch.vtensor<*,f32>, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.none, !torch.str)
      -> (!torch.vtensor<[3,4],f32>, !torch.vtensor<[],si32>, !torch.vtensor<[],f32>, !torch.vtensor<[],si32>)
  return
}
