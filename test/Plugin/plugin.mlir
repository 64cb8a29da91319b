// REQUIRES: plugin

// The distribution's own tool, with our dialect, interface implementations and
// passes loaded into it.
// RUN: mlir-opt %s --load-dialect-plugin=%scaling_plugin | FileCheck %s
// RUN: mlir-opt %s --load-dialect-plugin=%scaling_plugin --load-pass-plugin=%scaling_plugin \
// RUN:   --pass-pipeline='builtin.module(scaling-generalize)' | FileCheck %s --check-prefix=CORE
// RUN: mlir-opt %s --load-dialect-plugin=%scaling_plugin --pass-pipeline='builtin.module(scaling-to-linalg)' \
// RUN:   | FileCheck %s --check-prefix=LINALG

// Upstream's bufferization works on our ops through our external models.
// RUN: mlir-opt %s --load-dialect-plugin=%scaling_plugin \
// RUN:   --pass-pipeline='builtin.module(scaling-generalize,scaling-decompose,canonicalize,one-shot-bufferize{bufferize-function-boundaries})' \
// RUN:   | FileCheck %s --check-prefix=BUFFERS

// Without the plugin the text is refused.
// RUN: not mlir-opt %s 2>&1 | FileCheck %s --check-prefix=WITHOUT

// One MLIR: the tool's. Nothing of it is inside the plugin.
// RUN: ldd %scaling_plugin | FileCheck %s --check-prefix=LDD
// RUN: %python -c "import os; n = os.path.getsize(r'%scaling_plugin'); assert n < 16 << 20, n"
// RUN: llvm-nm -D --defined-only %scaling_plugin | FileCheck %s --check-prefix=SYMBOLS

// CHECK: scaling.project logits(%{{.*}} : tensor<4x4xf32>) preset(mhc)
// CORE: scaling.iterate matrix(
// LINALG-NOT: scaling.
// LINALG: linalg.generic
// BUFFERS: scaling.reduce {{.*}}memref<4x4xf32>
// WITHOUT: error: {{.*}}scaling
// LDD: libMLIR.so
// SYMBOLS-NOT: T {{.*}}mlir11MLIRContextC
// SYMBOLS: mlirGetDialectPluginInfo
// SYMBOLS: mlirGetPassPluginInfo
// SYMBOLS-NOT: T {{.*}}mlir11MLIRContextC

func.func @f(%z: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %P, %k, %r, %s = scaling.project logits(%z : tensor<4x4xf32>) preset(mhc)
  return %P : tensor<4x4xf32>
}
