//===- DescribeGPU.td - The chip on the module -------------*- tablegen -*-===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef SCALING_CONVERSION_DESCRIBEGPU_DESCRIBEGPU
#define SCALING_CONVERSION_DESCRIBEGPU_DESCRIBEGPU

include "mlir/Pass/PassBase.td"

def ScalingDescribeGPUPass : Pass<"scaling-describe-gpu", "::mlir::ModuleOp"> {
  let summary = "Write on the module which GPU it is compiled for";
  let description = [{
    `dlti.target_system_spec` gets a device "GPU" with the entries "chip"
    (string), "features" (string) and "max_shared_memory_per_block" (bytes,
    i64), beside what is there. Whatever chooses schedules reads them; where
    there is no such device, it chooses for a CPU.

    Chips: `sm_80`, `sm_90`, `sm_100`. `features` is what LLVM calls a version
    of PTX, for example `+ptx80`; `auto` is the oldest that the chip is known
    to. Anything else is an error that names what there is.

    A function with an op of `strict` numerics gets the attribute
    `scaling.strict`, which its kernel has as well; one whose ops all have
    numerics of other products than f32 gets `scaling.products`, the name of the
    most exact ones.
  }];
  let options = [
    Option<"chip", "chip", "std::string", /*default=*/"\"sm_90\"",
           "sm_80, sm_90 or sm_100">,
    Option<"features", "features", "std::string", /*default=*/"\"auto\"",
           "Version of PTX, for example +ptx80">
  ];
  let dependentDialects = ["::mlir::DLTIDialect"];
}

#endif // SCALING_CONVERSION_DESCRIBEGPU_DESCRIBEGPU
