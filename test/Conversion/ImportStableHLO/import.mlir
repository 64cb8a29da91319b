// RUN: scaling-opt %s --allow-unregistered-dialect --scaling-import-stablehlo --split-input-file --verify-diagnostics | FileCheck %s

// As jaxlib prints it: the rest of the program stays, and so do its attributes.

// CHECK-LABEL: module @jit_f attributes {mhlo.num_replicas = 1 : i32}
// CHECK: func.func public @main(%[[X:.+]]: tensor<2x3x5x6xf32>) -> (tensor<2x3x5x6xf32> {jax.result_info = "result"})
// CHECK: %[[Y:.+]] = "stablehlo.tanh"(%[[X]])
// CHECK: %[[FLAT:.+]] = tensor.collapse_shape %[[Y]] {{\[}}[0, 1], [2], [3]] : tensor<2x3x5x6xf32> into tensor<6x5x6xf32>
// CHECK: %[[OPEN:.+]] = tensor.cast %[[FLAT]] : tensor<6x5x6xf32> to tensor<?x5x6xf32>
// CHECK: %[[E:.+]] = tensor.collapse_shape %{{.+}} [] : tensor<1x1xf32> into tensor<f32>
// CHECK: %[[P:.+]], %{{.+}}, %{{.+}}, %{{.+}} = scaling.project logits(%[[OPEN]] : tensor<?x5x6xf32>) epsilon(%[[E]] : tensor<f32>) form(#scaling.form<logits>)
// CHECK: %[[Q:.+]] = tensor.cast %[[P]] : tensor<?x5x6xf32> to tensor<6x5x6xf32>
// CHECK: tensor.expand_shape %[[Q]] {{\[}}[0, 1], [2], [3]] output_shape [2, 3, 5, 6]
// CHECK: "stablehlo.multiply"
"builtin.module"() <{sym_name = "jit_f"}> ({
  "func.func"() <{function_type = (tensor<2x3x5x6xf32>) -> tensor<2x3x5x6xf32>, res_attrs = [{jax.result_info = "result"}], sym_name = "main", sym_visibility = "public"}> ({
  ^bb0(%arg0: tensor<2x3x5x6xf32>):
    %0 = "stablehlo.tanh"(%arg0) : (tensor<2x3x5x6xf32>) -> tensor<2x3x5x6xf32>
    %1 = "stablehlo.constant"() <{value = dense<0.5> : tensor<1x1xf32>}> : () -> tensor<1x1xf32>
    %2:4 = "stablehlo.custom_call"(%0, %1) <{api_version = 1 : i32, backend_config = "", call_target_name = "scaling_call", called_computations = [], has_side_effect = false}> {mhlo.backend_config = {batch_dims = 2 : i64, batched = dense<[1, 0, 1, 1, 1, 1]> : tensor<6xi64>, function = "project", passes = "", program = "func.func @project(%matrix: tensor<?x5x6xf32>, %epsilon: tensor<f32>) -> (tensor<?x5x6xf32>, tensor<?xi32>, tensor<?xf32>, tensor<?xi32>) {\0A  %r:4 = scaling.project logits(%matrix : tensor<?x5x6xf32>) epsilon(%epsilon : tensor<f32>) form(#scaling.form<logits>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first) stop(#scaling.stop<fixed 4>) numerics(#scaling.numerics<absorb>)\0A  return %r#0, %r#1, %r#2, %r#3 : tensor<?x5x6xf32>, tensor<?xi32>, tensor<?xf32>, tensor<?xi32>\0A}\0A"}} : (tensor<2x3x5x6xf32>, tensor<1x1xf32>) -> (tensor<2x3x5x6xf32>, tensor<2x3xi32>, tensor<2x3xf32>, tensor<2x3xi32>)
    %3 = "stablehlo.multiply"(%2#0, %2#0) : (tensor<2x3x5x6xf32>, tensor<2x3x5x6xf32>) -> tensor<2x3x5x6xf32>
    "func.return"(%3) : (tensor<2x3x5x6xf32>) -> ()
  }) : () -> ()
}) {mhlo.num_replicas = 1 : i32} : () -> ()

// -----

// Nothing of StableHLO is left: attributes of strangers and the decomposition
// go, with what only it calls.

// CHECK-LABEL: module @whole {
// CHECK-NEXT: func.func public @main(%[[X:.+]]: tensor<?x4x4xf32>, %[[B:.+]]: tensor<1x4xf32>) -> tensor<?x4x4xf32> {
// CHECK-NEXT: %[[C:.+]] = tensor.collapse_shape %[[B]] {{\[}}[0, 1]] : tensor<1x4xf32> into tensor<4xf32>
// CHECK-NEXT: %[[P:.+]], %{{.+}}, %{{.+}}, %{{.+}} = scaling.project logits(%[[X]] : tensor<?x4x4xf32>) col_marginal(%[[C]] : tensor<4xf32>) preset(mhc)
// CHECK-NEXT: return %[[P]]
// CHECK-NEXT: }
// CHECK-NEXT: }
module @whole attributes {mhlo.num_replicas = 1 : i32} {
  func.func public @main(%x: tensor<?x4x4xf32> {mhlo.sharding = ""}, %b: tensor<1x4xf32>) -> (tensor<?x4x4xf32> {jax.result_info = "result"}) {
    %0 = "stablehlo.composite"(%x, %b) <{composite_attributes = {attributes = "preset(mhc)", batch_dims = 1 : i64, operands = "logits col_marginal"}, decomposition = @plain, name = "scaling.project", version = 1 : i32}> : (tensor<?x4x4xf32>, tensor<1x4xf32>) -> tensor<?x4x4xf32>
    return %0 : tensor<?x4x4xf32>
  }
  func.func private @plain(%x: tensor<?x4x4xf32>, %b: tensor<1x4xf32>) -> tensor<?x4x4xf32> {
    %0 = call @body(%x) : (tensor<?x4x4xf32>) -> tensor<?x4x4xf32>
    return %0 : tensor<?x4x4xf32>
  }
  func.func private @body(%x: tensor<?x4x4xf32>) -> tensor<?x4x4xf32> {
    %0 = "stablehlo.tanh"(%x) : (tensor<?x4x4xf32>) -> tensor<?x4x4xf32>
    return %0 : tensor<?x4x4xf32>
  }
}

// -----

// Several dimensions of unknown sizes as a batch, masks, and results that only
// the op has.

// CHECK-LABEL: module @batches {
// CHECK: %[[M:.+]] = tensor.collapse_shape %{{.+}} : tensor<1x1x5xi1> into tensor<5xi1>
// CHECK: scaling.project logits(%{{.+}} : tensor<?x?x4x5xf32>) col_mask(%[[M]] : tensor<5xi1>)
// CHECK-SAME: stop(#scaling.stop<until
// CHECK-NOT: stablehlo
module @batches {
  func.func public @main(%x: tensor<?x?x4x5xf32>, %m: tensor<1x1x5xi1>) -> tensor<?x?x4x5xf32> {
    %0:2 = "stablehlo.composite"(%x, %m) <{composite_attributes = {attributes = "form(#scaling.form<logits>) rows(#scaling.rule<sum>) cols(#scaling.rule<sum>) order(rows_first) stop(#scaling.stop<until 1.0e-3, what = marginal, axis = rows, norm = l1, every = 2, start = 2, limit = 100>) numerics(#scaling.numerics<log>)", operands = "logits col_mask"}, decomposition = @plain, name = "scaling.project", version = 1 : i32}> : (tensor<?x?x4x5xf32>, tensor<1x1x5xi1>) -> (tensor<?x?x4x5xf32>, tensor<?x?xi32>)
    return %0#0 : tensor<?x?x4x5xf32>
  }
  func.func private @plain(%x: tensor<?x?x4x5xf32>, %m: tensor<1x1x5xi1>) -> (tensor<?x?x4x5xf32>, tensor<?x?xi32>) {
    %0:2 = "stablehlo.tanh"(%x) : (tensor<?x?x4x5xf32>) -> (tensor<?x?x4x5xf32>, tensor<?x?xi32>)
    return %0#0, %0#1 : tensor<?x?x4x5xf32>, tensor<?x?xi32>
  }
}

// -----

// A decomposition that something else uses stays.

// CHECK-LABEL: module @used
// CHECK: scaling.attention query(
// CHECK: func.func private @plain
module @used {
  func.func @main(%q: tensor<5x3xf32>) -> (tensor<5x3xf32>, tensor<5x3xf32>) {
    %0 = "stablehlo.composite"(%q, %q, %q) <{composite_attributes = {attributes = "preset(sinkformer)", batch_dims = 0 : i64, operands = "query key value"}, decomposition = @plain, name = "scaling.attention"}> : (tensor<5x3xf32>, tensor<5x3xf32>, tensor<5x3xf32>) -> tensor<5x3xf32>
    %1 = call @plain(%q, %q, %q) : (tensor<5x3xf32>, tensor<5x3xf32>, tensor<5x3xf32>) -> tensor<5x3xf32>
    return %0, %1 : tensor<5x3xf32>, tensor<5x3xf32>
  }
  func.func private @plain(%x: tensor<5x3xf32>, %y: tensor<5x3xf32>, %z: tensor<5x3xf32>) -> tensor<5x3xf32> {
    return %x : tensor<5x3xf32>
  }
}

// -----

// What is not understood stays, and the reason is said.

// CHECK-LABEL: module @strangers
// CHECK-NOT: scaling.project logits
// CHECK-COUNT-6: "stablehlo.composite"
// CHECK-COUNT-4: "stablehlo.custom_call"
module @strangers {
  func.func @main(%x: tensor<4x4xf32>, %b: tensor<4xf32>) {
    // expected-remark @below {{'scaling.nothing' stays as it is: there is no op 'nothing' that can be imported}}
    %0 = "stablehlo.composite"(%x) <{composite_attributes = {attributes = "preset(mhc)", batch_dims = 0 : i64, operands = "logits"}, decomposition = @f, name = "scaling.nothing"}> : (tensor<4x4xf32>) -> tensor<4x4xf32>
    // expected-remark @below {{'scaling.project' stays as it is: 'composite_attributes' lacks one of 'operands' and 'attributes'}}
    %1 = "stablehlo.composite"(%x) <{composite_attributes = {iters = 20 : i64}, decomposition = @f, name = "scaling.project"}> : (tensor<4x4xf32>) -> tensor<4x4xf32>
    // expected-remark @below {{'scaling.project' stays as it is: 'logits' must have rank at least 2}}
    %2 = "stablehlo.composite"(%b) <{composite_attributes = {attributes = "preset(mhc)", operands = "logits"}, decomposition = @f, name = "scaling.project"}> : (tensor<4xf32>) -> tensor<4x4xf32>
    // expected-remark @below {{'scaling.project' stays as it is: 'operands' names 2 operands, there are 1}}
    %3 = "stablehlo.composite"(%x) <{composite_attributes = {attributes = "preset(mhc)", batch_dims = 0 : i64, operands = "logits epsilon"}, decomposition = @f, name = "scaling.project"}> : (tensor<4x4xf32>) -> tensor<4x4xf32>
    // expected-remark @below {{'scaling.project' stays as it is: }}
    %4 = "stablehlo.composite"(%x) <{composite_attributes = {attributes = "preset(mhc)", batch_dims = 0 : i64, operands = "logits"}, decomposition = @f, name = "scaling.project"}> : (tensor<4x4xf32>) -> tensor<4x5xf32>
    // Somebody else's.
    %5 = "stablehlo.composite"(%x) <{composite_attributes = {}, decomposition = @f, name = "chlo.erf"}> : (tensor<4x4xf32>) -> tensor<4x4xf32>
    "stablehlo.custom_call"() <{call_target_name = "Sharding"}> : () -> ()
    // expected-remark @below {{'scaling_other' stays as it is: the target is not 'scaling_call'}}
    "stablehlo.custom_call"() <{call_target_name = "scaling_other"}> : () -> ()
    // expected-remark @below {{'scaling_call' stays as it is: its configuration lacks one of 'program', 'function', 'batch_dims' and 'batched'}}
    "stablehlo.custom_call"() <{call_target_name = "scaling_call"}> : () -> ()
    // expected-remark @below {{'scaling_call' stays as it is: its program is one for the passes 'scaling-differentiate'}}
    "stablehlo.custom_call"() <{call_target_name = "scaling_call"}> {mhlo.backend_config = {program = "func.func private @f()", function = "f_vjp", passes = "scaling-differentiate", batch_dims = 0 : i64, batched = dense<[]> : tensor<0xi64>}} : () -> ()
    return
  }
}
