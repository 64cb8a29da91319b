// RUN: scaling-opt %s --scaling-eliminate-barriers --split-input-file | FileCheck %s

#shared = #gpu.address_space<workgroup>

gpu.module @kernels {
  // Every thread reads what it wrote itself; then what a neighbour wrote.

  // CHECK-LABEL: gpu.func @own
  // CHECK-NOT: gpu.barrier
  // CHECK: %[[NEXT:.*]] = arith.addi
  // CHECK: gpu.barrier
  // CHECK: memref.load %{{.*}}[%[[NEXT]]]
  // CHECK-NOT: gpu.barrier
  // CHECK: gpu.return
  gpu.func @own(%a: memref<128xf32>, %b: memref<128xf32>) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c1 = arith.constant 1 : index
    %c64 = arith.constant 64 : index
    %c127 = arith.constant 127 : index
    %c128 = arith.constant 128 : index
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    scf.for %i = %t to %c128 step %c64 {
      memref.store %one, %a[%i] : memref<128xf32>
    }
    gpu.barrier
    scf.for %i = %t to %c128 step %c64 {
      %x = memref.load %a[%i] : memref<128xf32>
      memref.store %x, %b[%i] : memref<128xf32>
    }
    gpu.barrier
    %next = arith.addi %t, %c1 : index
    gpu.barrier
    %y = memref.load %b[%next] : memref<128xf32>
    memref.store %y, %a[%t] : memref<128xf32>
    gpu.return
  }

  // Rows of warps, entries of lanes; the first warp alone has a row.

  // CHECK-LABEL: gpu.func @warps
  // CHECK-NOT: gpu.barrier
  // CHECK: gpu.return
  gpu.func @warps(%a: memref<1x41xf32>) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c9 = arith.constant 9 : index
    %c32 = arith.constant 32 : index
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    %warp = arith.divui %t, %c32 : index
    %lane = arith.remui %t, %c32 : index
    %has = arith.cmpi ult, %lane, %c9 : index
    %far = arith.addi %lane, %c32 : index
    scf.for %i = %warp to %c1 step %c2 {
      memref.store %one, %a[%i, %lane] : memref<1x41xf32>
      scf.if %has {
        memref.store %one, %a[%i, %far] : memref<1x41xf32>
      }
    }
    gpu.barrier
    scf.for %i = %warp to %c1 step %c2 {
      %x = memref.load %a[%i, %lane] : memref<1x41xf32>
      memref.store %x, %a[%i, %lane] : memref<1x41xf32>
      scf.if %has {
        memref.store %x, %a[%i, %far] : memref<1x41xf32>
      }
    }
    gpu.return
  }

  // Round the loop: the second barrier orders this iteration's reads and the
  // next one's writes.

  // CHECK-LABEL: gpu.func @again
  // CHECK: scf.for
  // CHECK: memref.store
  // CHECK-NEXT: gpu.barrier
  // CHECK: memref.load
  // CHECK-NEXT: memref.store
  // CHECK-NEXT: gpu.barrier
  // CHECK: gpu.return
  gpu.func @again(%n: index, %b: memref<?x64xf32>) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c63 = arith.constant 63 : index
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    %other = arith.subi %c63, %t : index
    %s = gpu.dynamic_shared_memory : memref<?xi8, #shared>
    %a = memref.view %s[%c0][] : memref<?xi8, #shared> to memref<64xf32, #shared>
    scf.for %i = %c0 to %n step %c1 {
      memref.store %one, %a[%t] : memref<64xf32, #shared>
      gpu.barrier
      %x = memref.load %a[%other] : memref<64xf32, #shared>
      memref.store %x, %b[%i, %t] : memref<?x64xf32>
      gpu.barrier
    }
    gpu.return
  }

  // The bytes of views in shared memory that overlap.

  // CHECK-LABEL: gpu.func @views
  // CHECK: memref.store
  // CHECK-NOT: gpu.barrier
  // CHECK: memref.store
  // CHECK: gpu.barrier
  // CHECK: memref.store
  gpu.func @views() kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c0 = arith.constant 0 : index
    %c128 = arith.constant 128 : index
    %c256 = arith.constant 256 : index
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    %s = gpu.dynamic_shared_memory : memref<?xi8, #shared>
    %a = memref.view %s[%c0][] : memref<?xi8, #shared> to memref<64xf32, #shared>
    %b = memref.view %s[%c256][] : memref<?xi8, #shared> to memref<64xf32, #shared>
    %c = memref.view %s[%c128][] : memref<?xi8, #shared> to memref<64xf32, #shared>
    memref.store %one, %a[%t] : memref<64xf32, #shared>
    gpu.barrier
    memref.store %one, %b[%t] : memref<64xf32, #shared>
    gpu.barrier
    memref.store %one, %c[%t] : memref<64xf32, #shared>
    gpu.return
  }

  // An entry of a matrix of unknown size is one thread's.

  // CHECK-LABEL: gpu.func @unknown
  // CHECK-NOT: gpu.barrier
  // CHECK: gpu.return
  gpu.func @unknown(%a: memref<?x?xf32>, %entries: index, %columns: index) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c64 = arith.constant 64 : index
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    scf.for %e = %t to %entries step %c64 {
      %i = arith.divui %e, %columns : index
      %j = arith.remui %e, %columns : index
      memref.store %one, %a[%i, %j] : memref<?x?xf32>
    }
    gpu.barrier
    scf.for %e = %t to %entries step %c64 {
      %i = arith.divui %e, %columns : index
      %j = arith.remui %e, %columns : index
      %x = memref.load %a[%i, %j] : memref<?x?xf32>
      memref.store %x, %a[%i, %j] : memref<?x?xf32>
    }
    gpu.return
  }

  // What is not known touches everything; of blocks of unknown size nothing is
  // known.

  // CHECK-LABEL: gpu.func @effects
  // CHECK: gpu.barrier
  gpu.func @effects(%a: memref<64xf32>, %p: !llvm.ptr) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    memref.store %one, %a[%t] : memref<64xf32>
    gpu.barrier
    llvm.store %one, %p : f32, !llvm.ptr
    gpu.return
  }

  // CHECK-LABEL: gpu.func @size
  // CHECK: gpu.barrier
  gpu.func @size(%a: memref<64xf32>) kernel {
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    memref.store %one, %a[%t] : memref<64xf32>
    gpu.barrier
    gpu.return
  }

  // A copy has written where it is waited for.

  // CHECK-LABEL: gpu.func @copies
  // CHECK: nvvm.cp.async.commit.group
  // CHECK-NOT: gpu.barrier
  // CHECK: nvvm.cp.async.wait.group 0
  // CHECK-NEXT: gpu.barrier
  gpu.func @copies(%a: memref<64xf32>, %b: memref<64xf32>) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c0 = arith.constant 0 : index
    %c4 = arith.constant 4 : index
    %c63 = arith.constant 63 : index
    %t = gpu.thread_id x
    %s = gpu.dynamic_shared_memory : memref<?xi8, #shared>
    %v = memref.view %s[%c0][] : memref<?xi8, #shared> to memref<64xf32, #shared>
    %offset = arith.muli %t, %c4 : index
    %ai = memref.extract_aligned_pointer_as_index %a : memref<64xf32> -> index
    %af = arith.addi %ai, %offset : index
    %aw = arith.index_cast %af : index to i64
    %from = llvm.inttoptr %aw : i64 to !llvm.ptr<1>
    %vi = memref.extract_aligned_pointer_as_index %v : memref<64xf32, #shared> -> index
    %vf = arith.addi %vi, %offset : index
    %vw = arith.index_cast %vf : index to i64
    %to = llvm.inttoptr %vw : i64 to !llvm.ptr<3>
    nvvm.cp.async.shared.global %to, %from, 4, cache = ca : !llvm.ptr<3>, !llvm.ptr<1>
    nvvm.cp.async.commit.group
    gpu.barrier
    nvvm.cp.async.wait.group 0
    gpu.barrier
    %other = arith.subi %c63, %t : index
    %x = memref.load %v[%other] : memref<64xf32, #shared>
    memref.store %x, %b[%t] : memref<64xf32>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // The blocks meet once: what the first meeting would order, the second does.

  // CHECK-LABEL: gpu.func @blocks
  // CHECK: memref.store
  // CHECK-NOT: gpu.barrier
  // CHECK: memref.store
  // CHECK: gpu.barrier
  // CHECK: scf.if
  // CHECK: gpu.barrier
  // CHECK: memref.load
  // CHECK-NOT: gpu.barrier
  // CHECK: gpu.return
  gpu.func @blocks(%a: memref<?xf32>, %b: memref<?xf32>, %n: index) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c0 = arith.constant 0 : index
    %c2 = arith.constant 2 : index
    %c64 = arith.constant 64 : index
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    %block = gpu.block_id x
    %blocks = gpu.grid_dim x
    %isFirst = arith.cmpi eq, %t, %c0 : index
    %begin = arith.muli %block, %c64 : index
    %first = arith.addi %begin, %t : index
    %step = arith.muli %blocks, %c64 : index
    scf.for %i = %first to %n step %step {
      memref.store %one, %a[%i] : memref<?xf32>
    }
    gpu.barrier
    scf.if %isFirst {
      llvm.fence syncscope("device") acq_rel
    } {scaling.grid_barrier}
    gpu.barrier
    scf.for %i = %first to %n step %step {
      %x = memref.load %a[%i] : memref<?xf32>
      memref.store %x, %a[%i] : memref<?xf32>
    }
    gpu.barrier
    scf.if %isFirst {
      llvm.fence syncscope("device") acq_rel
    } {scaling.grid_barrier}
    gpu.barrier
    scf.for %i = %first to %n step %step {
      %next = arith.addi %i, %c2 : index
      %x = memref.load %a[%next] : memref<?xf32>
      memref.store %x, %b[%i] : memref<?xf32>
    }
    gpu.return
  }

  // Of a part of a buffer whose rows lie one after the other, every element has
  // an address of its own; rows that overlap do not.

  // CHECK-LABEL: gpu.func @parts
  // CHECK-NOT: gpu.barrier
  // CHECK: gpu.return
  gpu.func @parts(%a: memref<?xf32>, %n: index, %m: index) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c64 = arith.constant 64 : index
    %c0 = arith.constant 0 : index
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    %part = memref.reinterpret_cast %a to offset: [0], sizes: [%n, %m],
        strides: [%m, 1] : memref<?xf32> to memref<?x?xf32, strided<[?, 1]>>
    scf.for %i = %t to %n step %c64 {
      memref.store %one, %part[%i, %c0]
          : memref<?x?xf32, strided<[?, 1]>>
    }
    gpu.barrier
    scf.for %i = %t to %n step %c64 {
      %x = memref.load %part[%i, %c0]
          : memref<?x?xf32, strided<[?, 1]>>
      memref.store %x, %part[%i, %c0]
          : memref<?x?xf32, strided<[?, 1]>>
    }
    gpu.return
  }

  // CHECK-LABEL: gpu.func @overlap
  // CHECK: gpu.barrier
  // CHECK: gpu.return
  gpu.func @overlap(%a: memref<?xf32>, %n: index, %m: index, %k: index) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    %part = memref.reinterpret_cast %a to offset: [0], sizes: [%n, %m],
        strides: [%k, 1] : memref<?xf32> to memref<?x?xf32, strided<[?, 1]>>
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    memref.store %one, %part[%t, %c0] : memref<?x?xf32, strided<[?, 1]>>
    gpu.barrier
    %x = memref.load %part[%t, %c1] : memref<?x?xf32, strided<[?, 1]>>
    memref.store %x, %part[%t, %c1] : memref<?x?xf32, strided<[?, 1]>>
    gpu.return
  }

  // Iterations take parts of other sizes: what is equal in one is not in the
  // next.

  // CHECK-LABEL: gpu.func @sizes
  // CHECK: gpu.barrier
  // CHECK: gpu.return
  gpu.func @sizes(%a: memref<?xf32>, %n: index) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c1 = arith.constant 1 : index
    %c8 = arith.constant 8 : index
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    scf.for %m = %c1 to %c8 step %c1 {
      %part = memref.reinterpret_cast %a to offset: [0], sizes: [%n, %m],
          strides: [%m, 1] : memref<?xf32> to memref<?x?xf32, strided<[?, 1]>>
      %c0 = arith.constant 0 : index
      memref.store %one, %part[%t, %c0] : memref<?x?xf32, strided<[?, 1]>>
      gpu.barrier
    }
    gpu.return
  }

  // The end of a tile is the smallest of two numbers, and the thread's number
  // is copied.

  // CHECK-LABEL: gpu.func @tiles
  // CHECK-NOT: gpu.barrier
  // CHECK: memref.store
  // CHECK-NOT: gpu.barrier
  // CHECK: memref.load
  // CHECK: gpu.barrier
  // CHECK: memref.load
  // CHECK-NOT: gpu.barrier
  // CHECK: gpu.return
  gpu.func @tiles(%a: memref<?xf32>, %b: memref<?xf32>, %n: index, %k: index)
      kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c64 = arith.constant 64 : index
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    %word = arith.index_castui %t : index to i32
    %copy = llvm.inline_asm has_side_effects "mov.b32 $0, $1;", "=r,r" %word
        : (i32) -> i32
    %thread = arith.index_castui %copy : i32 to index
    %end = affine.min affine_map<()[s0] -> (s0, 128)>()[%n]
    scf.for %i = %t to %end step %c64 {
      memref.store %one, %a[%i] : memref<?xf32>
    }
    gpu.barrier
    scf.for %i = %thread to %end step %c64 {
      %x = memref.load %a[%i] : memref<?xf32>
      memref.store %x, %b[%i] : memref<?xf32>
    }
    gpu.barrier
    %beyond = arith.addi %thread, %c64 : index
    %is = arith.cmpi ult, %beyond, %end : index
    scf.if %is {
      %x = memref.load %b[%thread] : memref<?xf32>
      %y = memref.load %b[%beyond] : memref<?xf32>
      memref.store %y, %a[%thread] : memref<?xf32>
    }
    %last = arith.addi %t, %k : index
    gpu.barrier
    %z = memref.load %a[%last] : memref<?xf32>
    memref.store %z, %b[%last] : memref<?xf32>
    gpu.return
  }

  // Elements that differ by numbers are looked at together, from the first to
  // the last; threads that have all of four do not meet, those that have every
  // second one do.

  // CHECK-LABEL: gpu.func @together
  // CHECK-NOT: gpu.barrier
  // CHECK: memref.load %{{.*}}[%{{.*}}] : memref<256xf32>
  // CHECK: gpu.barrier
  // CHECK: gpu.return
  gpu.func @together(%a: memref<256xf32>, %b: memref<256xf32>) kernel
      attributes {known_block_size = array<i32: 64, 1, 1>} {
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c3 = arith.constant 3 : index
    %c4 = arith.constant 4 : index
    %one = arith.constant 1.0 : f32
    %t = gpu.thread_id x
    %i = arith.muli %t, %c4 : index
    %i1 = arith.addi %i, %c1 : index
    %i3 = arith.addi %i, %c3 : index
    memref.store %one, %a[%i] : memref<256xf32>
    memref.store %one, %a[%i1] : memref<256xf32>
    memref.store %one, %a[%i3] : memref<256xf32>
    gpu.barrier
    %i2 = arith.addi %i, %c2 : index
    %x = memref.load %a[%i] : memref<256xf32>
    %y = memref.load %a[%i2] : memref<256xf32>
    %sum = arith.addf %x, %y : f32
    memref.store %sum, %b[%i] : memref<256xf32>
    gpu.barrier
    %z = memref.load %b[%t] : memref<256xf32>
    memref.store %z, %a[%t] : memref<256xf32>
    gpu.return
  }
}
