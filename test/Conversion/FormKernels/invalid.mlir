// RUN: scaling-opt %s --scaling-form-kernels=shared-bytes=1024 --split-input-file --verify-diagnostics

func.func @big() {
  scf.forall (%i) in (8) {
    // expected-error@+1 {{a block's scratch of 4096 bytes and more does not fit the 1024 bytes of shared memory that it has}}
    %s = memref.alloc() : memref<1024xf32>
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}

// -----

func.func @unknown(%n: index) {
  scf.forall (%i) in (8) {
    // expected-error@+1 {{scratch memory of type 'memref<?xf32>' has no place on the GPU}}
    %s = memref.alloc(%n) : memref<?xf32>
  } {mapping = [#gpu.block<linear_dim_0>]}
  return
}

// -----

func.func private @other()
func.func @calls() {
  // expected-error@+1 {{a call inside of a kernel: inline it first}}
  call @other() : () -> ()
  return
}

// -----

func.func @block(%x: memref<300x64xf32>, %y: memref<500x64xf32>, %m: memref<300xf32>, %s: memref<300xf32>, %p: memref<5x500xf32>) {
  // expected-error@+1 {{'scaling.reduce_points' op has blocks of 64 rows, where a block of threads takes 128}}
  scaling.reduce_points dot points(%x, %y : memref<300x64xf32>, memref<500x64xf32>) block(64) outs(%m, %s, %p, %p : memref<300xf32>, memref<300xf32>, memref<5x500xf32>, memref<5x500xf32>)
  return
}
