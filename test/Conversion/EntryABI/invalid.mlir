// RUN: scaling-opt %s --scaling-entry-abi --split-input-file --verify-diagnostics

// expected-error @below {{public function 'f': argument 0 of type 'tensor<*xf32>' cannot be passed to compiled code}}
func.func @f(%x: tensor<*xf32>) {
  return
}

// -----

// expected-error @below {{public function 'f': result 0 of type 'tensor<4xi7>' cannot be passed to compiled code}}
func.func @f() -> tensor<4xi7> {
  %x = arith.constant dense<1> : tensor<4xi7>
  return %x : tensor<4xi7>
}

// -----

// expected-error @below {{the name 'f_result_dims' is needed for the companion of public function 'f'}}
func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}
func.func private @f_result_dims()
