// RUN: scaling-opt %s --split-input-file --scaling-split-launches --verify-diagnostics | FileCheck %s

// A loop whose counter is the same for all threads is kept once for a block;
// what each thread has read, once for each, beside them. Addresses are made
// again.
module attributes {gpu.container_module} {
  // CHECK: llvm.mlir.global internal constant @loop.state_bytes(1152 : i64)
  llvm.mlir.global internal constant @loop.state_bytes(0 : i64) : i64
  // CHECK-LABEL: gpu.module @kernels
  // CHECK-NOT: scaling_launch_ends
  gpu.module @kernels {
    llvm.func @scaling_launch_ends()
    // CHECK: llvm.func @loop(%[[DATA:.*]]: !llvm.ptr, %{{.*}}: !llvm.ptr, %[[STATE:.*]]: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64, %{{.*}}: i64)
    // CHECK-SAME: scaling.state_bytes = 1152 : i64
    // CHECK-NOT: scaling.relaunched
    // CHECK: %[[TID:.*]] = nvvm.read.ptx.sreg.tid.x
    // CHECK: %[[OWN:.*]] = llvm.getelementptr %[[DATA]]
    // CHECK: %[[BLOCK:.*]] = nvvm.read.ptx.sreg.ctaid.x
    // CHECK: %[[INDEX:.*]] = llvm.zext %[[BLOCK]]
    // CHECK: %[[BYTES:.*]] = llvm.mlir.constant(1152 : i64)
    // CHECK: %[[FIRST:.*]] = llvm.mul %[[INDEX]], %[[BYTES]]
    // CHECK: %[[MINE:.*]] = llvm.getelementptr %[[STATE]][%[[FIRST]]]
    // CHECK: %[[VALUE:.*]] = llvm.alloca {{.*}} x f32
    // CHECK: %[[COUNTER:.*]] = llvm.alloca {{.*}} x i64
    // CHECK: %[[LABEL:.*]] = llvm.load %[[MINE]] : !llvm.ptr -> i32
    // CHECK: llvm.switch %[[LABEL]] : i32, ^[[DONE:.*]] [
    // CHECK-NEXT: 0: ^[[BEGIN:.*]],
    // CHECK-NEXT: 1: ^[[AGAIN:.*]]
    // CHECK-NEXT: ]
    // CHECK: ^[[BEGIN]]:
    // CHECK-NEXT: nvvm.barrier0
    // CHECK: %[[READ:.*]] = llvm.load %[[OWN]]
    // CHECK-NEXT: llvm.store %[[READ]], %[[VALUE]]
    // The end of a launch is a barrier already.
    // CHECK: "inside"
    // CHECK-NOT: nvvm.barrier0
    // CHECK: %[[SAVED:.*]] = llvm.load %[[VALUE]]
    // CHECK: %[[THREADS:.*]] = llvm.getelementptr %[[MINE]][128]
    // CHECK: %[[PLACE:.*]] = llvm.getelementptr %[[THREADS]][%{{.*}}] : (!llvm.ptr, i32) -> !llvm.ptr, f32
    // CHECK: llvm.store %[[SAVED]], %[[PLACE]]
    // CHECK: %[[COUNT:.*]] = llvm.load %[[COUNTER]]
    // CHECK: llvm.cond_br %{{.*}}, ^[[FIRSTTHREAD:.*]], ^{{.*}}
    // CHECK: ^[[AGAIN]]:
    // CHECK: llvm.load %{{.*}} : !llvm.ptr -> f32
    // CHECK: llvm.load %{{.*}} : !llvm.ptr -> i64
    // CHECK-NEXT: nvvm.barrier0
    // CHECK: llvm.add
    // CHECK: ^[[DONE]]:
    // CHECK-NEXT: llvm.return
    // CHECK: ^[[FIRSTTHREAD]]:
    // CHECK: llvm.store %[[COUNT]]
    // CHECK: %[[ONE:.*]] = llvm.mlir.constant(1 : i32)
    // CHECK: llvm.store %[[ONE]], %[[MINE]]
    // CHECK: %[[LAST:.*]] = llvm.mlir.constant(-1 : i32)
    // CHECK: llvm.store %[[LAST]], %[[MINE]]
    llvm.func @loop(%data: !llvm.ptr, %state: !llvm.ptr, %aligned: !llvm.ptr, %offset: i64, %size: i64, %stride: i64) attributes {gpu.kernel, nvvm.kernel, nvvm.maxntid = array<i32: 256, 1, 1>, scaling.relaunched} {
      %zero = llvm.mlir.constant(0 : i64) : i64
      %one = llvm.mlir.constant(1 : i64) : i64
      %most = llvm.mlir.constant(10 : i64) : i64
      %tid = nvvm.read.ptx.sreg.tid.x : i32
      %own = llvm.getelementptr %data[%tid] : (!llvm.ptr, i32) -> !llvm.ptr, f32
      %value = llvm.load %own : !llvm.ptr -> f32
      llvm.br ^header(%zero : i64)
    ^header(%i: i64):
      %more = llvm.icmp "slt" %i, %most : i64
      llvm.cond_br %more, ^body, ^exit
    ^body:
      llvm.inline_asm has_side_effects "inside", "" : () -> ()
      nvvm.barrier0
      llvm.call @scaling_launch_ends() {scaling.grid_barrier} : () -> ()
      nvvm.barrier0
      %next = llvm.add %i, %one : i64
      llvm.store %value, %own : f32, !llvm.ptr
      llvm.br ^header(%next : i64)
    ^exit:
      llvm.return
    }
    // Others stay as they are.
    // CHECK-LABEL: llvm.func @other(
    // CHECK-NEXT: llvm.return
    llvm.func @other(%data: !llvm.ptr) attributes {gpu.kernel, nvvm.kernel} {
      llvm.return
    }
  }
}

// -----

// Of numbers that the compiler must not see the origin of there are no bytes;
// nor of values that nobody needs after the same end. A number that threads
// come to in different ways is each one's own.
module attributes {gpu.container_module} {
  gpu.module @kernels {
    llvm.func @scaling_launch_ends()
    // CHECK-LABEL: llvm.func @places(
    // CHECK-SAME: scaling.state_bytes = 256 : i64
    // CHECK: llvm.switch
    // CHECK-NEXT: 0: ^{{.*}},
    // CHECK-NEXT: 1: ^[[FIRST:.*]],
    // CHECK-NEXT: 2: ^[[SECOND:.*]]
    // CHECK: ^[[FIRST]]:
    // CHECK: llvm.load %{{.*}} : !llvm.ptr -> f32
    // CHECK: nvvm.barrier0
    // CHECK: llvm.inline_asm has_side_effects "mov.b32 $0, $1;"
    // CHECK: ^[[SECOND]]:
    // CHECK: llvm.load %{{.*}} : !llvm.ptr -> f32
    llvm.func @places(%data: !llvm.ptr, %state: !llvm.ptr, %aligned: !llvm.ptr, %offset: i64, %size: i64, %stride: i64) attributes {gpu.kernel, nvvm.kernel, nvvm.maxntid = array<i32: 32, 1, 1>, scaling.relaunched} {
      %zero = llvm.mlir.constant(0 : i32) : i32
      %tid = nvvm.read.ptx.sreg.tid.x : i32
      %same = llvm.inline_asm has_side_effects "mov.b32 $0, $1;", "=r,r" %tid : (i32) -> i32
      %own = llvm.getelementptr %data[%same] : (!llvm.ptr, i32) -> !llvm.ptr, f32
      %first = llvm.load %own : !llvm.ptr -> f32
      llvm.call @scaling_launch_ends() {scaling.grid_barrier} : () -> ()
      llvm.store %first, %own : f32, !llvm.ptr
      %is = llvm.icmp "eq" %tid, %zero : i32
      %a = llvm.load %data : !llvm.ptr -> f32
      llvm.cond_br %is, ^one, ^join(%a : f32)
    ^one:
      %b = llvm.fadd %a, %a : f32
      llvm.br ^join(%b : f32)
    ^join(%c: f32):
      llvm.call @scaling_launch_ends() {scaling.grid_barrier} : () -> ()
      llvm.store %c, %data : f32, !llvm.ptr
      llvm.return
    }
  }
}

// -----

// Memory of a thread is kept where it is used on both sides.
module attributes {gpu.container_module} {
  gpu.module @kernels {
    llvm.func @scaling_launch_ends()
    // CHECK-LABEL: llvm.func @memory(
    // CHECK-SAME: scaling.state_bytes = 384 : i64
    // CHECK: llvm.store %{{.*}}, %{{.*}} : !llvm.array<2 x f32>, !llvm.ptr
    llvm.func @memory(%data: !llvm.ptr, %state: !llvm.ptr, %aligned: !llvm.ptr, %offset: i64, %size: i64, %stride: i64) attributes {gpu.kernel, nvvm.kernel, nvvm.maxntid = array<i32: 32, 1, 1>, scaling.relaunched} {
      %two = llvm.mlir.constant(2 : i64) : i64
      %kept = llvm.alloca %two x f32 : (i64) -> !llvm.ptr
      %scratch = llvm.alloca %two x f32 : (i64) -> !llvm.ptr
      %first = llvm.load %data : !llvm.ptr -> f32
      llvm.store %first, %kept : f32, !llvm.ptr
      llvm.call @scaling_launch_ends() {scaling.grid_barrier} : () -> ()
      %then = llvm.load %kept : !llvm.ptr -> f32
      llvm.store %then, %scratch : f32, !llvm.ptr
      %last = llvm.load %scratch : !llvm.ptr -> f32
      llvm.store %last, %data : f32, !llvm.ptr
      llvm.return
    }
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.module @kernels {
    llvm.func @scaling_launch_ends()
    // expected-error @below {{has no number of threads, or its last argument is no memref of rank 1 for the state between launches}}
    llvm.func @bare(%data: !llvm.ptr) attributes {gpu.kernel, nvvm.kernel, scaling.relaunched} {
      llvm.call @scaling_launch_ends() {scaling.grid_barrier} : () -> ()
      llvm.return
    }
  }
}

// -----

module attributes {gpu.container_module} {
  gpu.module @kernels {
    llvm.func @scaling_launch_ends()
    llvm.func @dynamic(%data: !llvm.ptr, %state: !llvm.ptr, %aligned: !llvm.ptr, %offset: i64, %size: i64, %stride: i64) attributes {gpu.kernel, nvvm.kernel, nvvm.maxntid = array<i32: 32, 1, 1>, scaling.relaunched} {
      // expected-error @below {{has no constant size: it cannot be kept between launches}}
      %kept = llvm.alloca %size x f32 : (i64) -> !llvm.ptr
      llvm.call @scaling_launch_ends() {scaling.grid_barrier} : () -> ()
      llvm.return
    }
  }
}
