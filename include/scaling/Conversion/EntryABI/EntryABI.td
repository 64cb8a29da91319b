//===- EntryABI.td - What callers of compiled code see -----*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_ENTRYABI_ENTRYABI
#define SCALING_CONVERSION_ENTRYABI_ENTRYABI

include "mlir/Pass/PassBase.td"

def ScalingEntryABIPass : Pass<"scaling-entry-abi", "::mlir::ModuleOp"> {
  let summary = "Give public functions the calling convention of compiled code";
  let description = [{
    Every result of a public function becomes an output argument, after the
    inputs, in the order of the results: a tensor becomes a memref of its
    shape, a scalar a memref of rank 0. The caller allocates; nothing that
    compiled code allocates outlives the call. The function returns nothing
    and gets `llvm.emit_c_interface`, so that C sees

    ```c
    void _mlir_ciface_NAME(Desc *input, ..., float scalar, ..., Desc *output, ...);
    ```

    Input tensors are marked `bufferization.writable = false`, unless the
    function says otherwise: the caller's arrays are never overwritten.
    Outputs must not overlap inputs or each other.

    A public function with results of dynamic shape gets a companion
    `NAME_result_dims` with the same inputs and one output, `tensor<Kxi64>`:
    the K dynamic result dimensions, in order. It computes no more than that
    where the operations can tell the shapes of their results, on tensors.

    Running the pass again, after a lowering, only simplifies the companions.

    Example:

    ```mlir
    func.func @scale(%x: tensor<?xf32>) -> tensor<?xf32>
    // becomes
    func.func @scale(%x: tensor<?xf32> {bufferization.writable = false},
                     %out: memref<?xf32>) attributes {llvm.emit_c_interface}
    func.func @scale_result_dims(%x: tensor<?xf32> {...}, %out: memref<1xi64>)
        attributes {llvm.emit_c_interface}
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::bufferization::BufferizationDialect",
    "::mlir::func::FuncDialect", "::mlir::memref::MemRefDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

def ScalingOrderResultsPass : Pass<"scaling-order-results", "::mlir::func::FuncOp"> {
  let summary = "Write results of functions last to first";
  let description = [{
    Moves what `--scaling-entry-abi` writes results with to the end of the
    function, the last result first. For between `--eliminate-empty-tensors`
    and `--one-shot-bufferize`: the first makes a result in its place, an
    output; where several operations start from the same tensor, it may be a
    later result that bufferization leaves there. That one is copied to its own
    output before the earlier one is written.

    Example:

    ```mlir
    bufferization.materialize_in_destination %0 in writable %a
    bufferization.materialize_in_destination %1 in restrict writable %b
    // becomes
    bufferization.materialize_in_destination %1 in restrict writable %b
    bufferization.materialize_in_destination %0 in writable %a
    ```
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect"];
}

#endif // SCALING_CONVERSION_ENTRYABI_ENTRYABI
