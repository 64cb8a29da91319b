/*===- CUDA.h - Launching compiled kernels ------------------------*- C -*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
|*===----------------------------------------------------------------------===*|
|*                                                                            *|
|* The GPU's side of the runtime, in libscaling_cuda_runtime: the entry       *|
|* points of MLIR's GPU runtime (mgpu...) over the CUDA driver, which is      *|
|* loaded when it is first wanted. Nothing of CUDA is needed to build or link *|
|* this.                                                                      *|
|*                                                                            *|
|* MLIR's entry points return no error. Each thread has a status: the first   *|
|* error since it was cleared. While there is one, what follows does nothing  *|
|* but release memory, modules, streams and events.                           *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef SCALING_RUNTIME_CUDA_H
#define SCALING_RUNTIME_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The status of a thread: 0, a CUresult of the driver, or one of these. The
 * names of the driver's values that are to be expected are listed, too. */
enum {
  SCALING_CUDA_SUCCESS = 0,
  SCALING_CUDA_ERROR_OUT_OF_MEMORY = 2,
  SCALING_CUDA_ERROR_NO_DEVICE = 100,
  SCALING_CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
  SCALING_CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701,
  SCALING_CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE = 720,
  /* There is no driver, or one too old to have what is used here. */
  SCALING_CUDA_ERROR_NO_DRIVER = -1
};

/* The status of this thread. */
int32_t scaling_cuda_status(void);

/* What it means, for example "cuMemAllocAsync of 4096 bytes:
 * CUDA_ERROR_OUT_OF_MEMORY (out of memory)"; empty without an error. Valid
 * until the next call of this library by the thread. */
const char *scaling_cuda_message(void);

/* Forgets the error. */
void scaling_cuda_clear(void);

/* Whether there is a driver and a device; clears the status. */
bool scaling_cuda_available(void);

/* A kernel of an embedded image: `cubin` if the device takes it, else `ptx`,
 * which the driver compiles. Either may be NULL. Loaded once per context.
 * `shared_bytes` is the dynamic shared memory that launches ask for. */
void *scaling_cuda_get_function(const void *cubin, size_t cubin_size,
                                const void *ptx, size_t ptx_size,
                                const char *name, int32_t shared_bytes);

/* Unloads what scaling_cuda_get_function loaded of an image, in all contexts.
 */
void scaling_cuda_unload(const void *cubin, const void *ptx);

/* Blocks that are resident at a time, 1,024 at most. */
intptr_t scaling_cuda_grid_size(void *function, int32_t block_threads,
                                int32_t shared_bytes);

/* mgpuLaunchKernel, for kernels whose blocks meet at barriers of the grid. */
void scaling_cuda_launch_cooperative(void *function, intptr_t grid_x,
                                     intptr_t grid_y, intptr_t grid_z,
                                     intptr_t block_x, intptr_t block_y,
                                     intptr_t block_z, int32_t shared_bytes,
                                     void *stream, void **params);

/* Kernels that return where their blocks would meet: launches until the first
 * word of `state`, one of the kernel's parameters in the device's memory, is
 * -1. Launches go in small groups, and this waits for the end of each: it
 * cannot be captured in a graph. */
void scaling_cuda_launch_until_done(void *function, intptr_t grid_x,
                                    intptr_t grid_y, intptr_t grid_z,
                                    intptr_t block_x, intptr_t block_y,
                                    intptr_t block_z, int32_t shared_bytes,
                                    void *stream, void **params,
                                    const void *state);

/* What follows is as in MLIR. Allocations are ordered by their stream; NULL is
 * the default stream. */
void *mgpuModuleLoad(void *data, size_t size);
void *mgpuModuleLoadJIT(void *data, int opt_level, size_t size);
void mgpuModuleUnload(void *module);
void *mgpuModuleGetFunction(void *module, const char *name);
void mgpuLaunchKernel(void *function, intptr_t grid_x, intptr_t grid_y,
                      intptr_t grid_z, intptr_t block_x, intptr_t block_y,
                      intptr_t block_z, int32_t shared_bytes, void *stream,
                      void **params, void **extra, size_t params_count);
void *mgpuStreamCreate(void);
void mgpuStreamDestroy(void *stream);
void mgpuStreamSynchronize(void *stream);
void mgpuStreamWaitEvent(void *stream, void *event);
void *mgpuEventCreate(void);
void mgpuEventDestroy(void *event);
void mgpuEventSynchronize(void *event);
void mgpuEventRecord(void *event, void *stream);
void *mgpuMemAlloc(uint64_t size, void *stream, bool is_host_shared);
void mgpuMemFree(void *memory, void *stream);
void mgpuMemcpy(void *to, void *from, size_t size, void *stream);
void mgpuMemset32(void *memory, unsigned value, size_t count, void *stream);
void mgpuMemset16(void *memory, unsigned short value, size_t count,
                  void *stream);
void mgpuSetDefaultDevice(int32_t device);

#ifdef __cplusplus
}
#endif

#endif /* SCALING_RUNTIME_CUDA_H */
