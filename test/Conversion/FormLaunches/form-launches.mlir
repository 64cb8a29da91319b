// RUN: scaling-opt %s --split-input-file --scaling-form-launches --verify-diagnostics | FileCheck %s

// The image is there from --scaling-embed-kernels on.
// CHECK-DAG: llvm.mlir.global external constant @scaling.cubin()
// CHECK-DAG: llvm.mlir.global external constant @scaling.ptx.size() {{.*}}: i64
// CHECK-DAG: llvm.mlir.global internal constant @meet.name("meet\00")

// The workspace is allocated, with the counter of the grid's barrier behind it,
// and given back.
// CHECK-LABEL: func.func @meet(
// CHECK-SAME: %[[IN:.*]]: memref<?x4xf32>, %[[SCALE:.*]]: f32, %[[STREAM:.*]]: !llvm.ptr) -> i32 attributes {llvm.emit_c_interface}
// CHECK: llvm.call @scaling_cuda_clear()
// CHECK: %[[FUNCTION:.*]] = llvm.call @scaling_cuda_get_function
// CHECK: call @meet_workspace_size(%[[IN]], %[[SCALE]], %[[BYTES:[^)]*]])
// CHECK: %[[WORKSPACE:.*]] = llvm.call @mgpuMemAlloc(%{{.*}}, %[[STREAM]], %{{.*}})
// CHECK: %[[COUNTER:.*]] = llvm.getelementptr %[[WORKSPACE]]
// CHECK: llvm.call @mgpuMemset32(%[[COUNTER]]
// CHECK: %[[GRID:.*]] = llvm.call @scaling_cuda_grid_size(%[[FUNCTION]]
// 7 fields of a memref of rank 2, a number, 5 of the workspace and of the
// counter.
// CHECK: %[[COUNT:.*]] = llvm.mlir.constant(18 : i64)
// CHECK: llvm.alloca %[[COUNT]] x !llvm.ptr
// CHECK: llvm.store %[[SCALE]], %{{.*}} : f32
// CHECK: llvm.call @scaling_cuda_launch_cooperative(%[[FUNCTION]], %[[GRID]],
// CHECK: llvm.call @mgpuMemFree(%[[WORKSPACE]], %[[STREAM]])
// CHECK: %[[STATUS:.*]] = llvm.call @scaling_cuda_status
// CHECK: return %[[STATUS]]
module attributes {gpu.container_module} {
  func.func private @meet_workspace_size(memref<?x4xf32>, f32, memref<1xi64>)
  gpu.module @kernels {
    gpu.func @meet(%in: memref<?x4xf32>, %scale: f32, %w: memref<?xi8>, %counter: memref<1xi64>) kernel
        attributes {known_block_size = array<i32: 256, 1, 1>, scaling.cooperative, scaling.shared_bytes = 1024 : i64} {
      gpu.return
    }
  }
}

// -----

// A kernel that is launched until it is done has a state of its own for every
// block, zero at first.
// CHECK: llvm.mlir.global internal constant @again.state_bytes(0 : i64)
// CHECK-LABEL: func.func @again(
// CHECK: %[[BYTES:.*]] = llvm.mul %[[GRID:.*]], %{{.*}} : i64
// CHECK: %[[STATE:.*]] = llvm.call @mgpuMemAlloc(%[[BYTES]],
// CHECK: llvm.call @mgpuMemset32(%[[STATE]]
// CHECK: llvm.call @scaling_cuda_launch_until_done(%{{.*}}, %[[GRID]], {{.*}}, %[[STATE]])
// CHECK: llvm.call @mgpuMemFree(%[[STATE]]
// CHECK: llvm.call @mgpuMemFree
module attributes {gpu.container_module} {
  func.func private @again_workspace_size(memref<4xf32>, memref<1xi64>)
  gpu.module @kernels {
    gpu.func @again(%in: memref<4xf32>, %w: memref<?xi8>, %state: memref<?xi8>) kernel
        attributes {known_block_size = array<i32: 128, 1, 1>, scaling.relaunched} {
      gpu.return
    }
  }
}

// -----

// CHECK-LABEL: func.func @alone(
// CHECK-NOT: mgpuMemset32
// CHECK: llvm.call @mgpuLaunchKernel
module attributes {gpu.container_module} {
  func.func private @alone_workspace_size(memref<4xf32>, memref<1xi64>)
  gpu.module @kernels {
    gpu.func @alone(%in: memref<4xf32>, %w: memref<?xi8>) kernel
        attributes {known_block_size = array<i32: 128, 1, 1>} {
      gpu.return
    }
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.module @kernels {
    // expected-error @below {{has no workspace that a host function could allocate}}
    gpu.func @bare(%in: memref<4xf32>) kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
      gpu.return
    }
  }
}
