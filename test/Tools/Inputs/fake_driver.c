/*===- fake_driver.c - A CUDA driver without a GPU ----------------*- C -*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
|*===----------------------------------------------------------------------===*|
|*                                                                            *|
|* What lib/Runtime/CUDA asks of libcuda.so.1. Device memory is the host's;   *|
|* calls are counted and recorded, can be told to fail, and a launch goes to  *|
|* whoever has asked for it.                                                  *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kSuccess = 0, kErrorInvalidContext = 201, kProcessors = 3, kBlocks = 2 };

typedef void (*Launch)(const char *kernel, unsigned grid, unsigned block,
                       unsigned shared, int is_cooperative, void *stream,
                       void **params);

static char record[1 << 16];
static char failing[64];
static int failingValue;
static Launch onLaunch;
static int hasContext;
static long liveAllocations;
static char kernelName[256];

/* For the test: the calls since the last question, separated by spaces. */
const char *fake_take_record(void) {
  static char taken[sizeof record];
  strcpy(taken, record);
  record[0] = 0;
  return taken;
}
/* Calls of `name` give `value` from now on; an empty name: none. */
void fake_fail(const char *name, int value) {
  snprintf(failing, sizeof failing, "%s", name);
  failingValue = value;
}
void fake_on_launch(Launch launch) { onLaunch = launch; }
long fake_live_allocations(void) { return liveAllocations; }

static int called(const char *name) {
  const char *wanted = getenv("FAKE_DRIVER_FAIL");
  if (wanted && !failing[0])
    sscanf(wanted, "%63[^:]:%d", failing, &failingValue);
  size_t used = strlen(record);
  snprintf(record + used, sizeof record - used, "%s%s", used ? " " : "", name);
  if (getenv("FAKE_DRIVER_TRACE"))
    fprintf(stderr, "%s\n", name);
  return strcmp(name, failing) == 0 ? failingValue : kSuccess;
}

int cuInit(unsigned flags) {
  (void)flags;
  return called("cuInit");
}
int cuGetErrorName(int error, const char **name) {
  *name = error == 2     ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == 100 ? "CUDA_ERROR_NO_DEVICE"
          : error == 209 ? "CUDA_ERROR_NO_BINARY_FOR_GPU"
          : error == 719 ? "CUDA_ERROR_LAUNCH_FAILED"
                         : "CUDA_ERROR_UNKNOWN";
  return kSuccess;
}
int cuGetErrorString(int error, const char **text) {
  (void)error;
  *text = "as the test wanted";
  return kSuccess;
}
int cuDeviceGetCount(int *count) {
  *count = 1;
  return called("cuDeviceGetCount");
}
int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return called("cuDeviceGet");
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  (void)device;
  *value = attribute == 16 ? kProcessors : 0;
  return called("cuDeviceGetAttribute");
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
  (void)device;
  *context = &hasContext;
  return called("cuDevicePrimaryCtxRetain");
}
int cuCtxGetCurrent(void **context) {
  *context = hasContext ? &hasContext : NULL;
  return kSuccess;
}
int cuCtxSetCurrent(void *context) {
  hasContext = context != NULL;
  return called("cuCtxSetCurrent");
}
int cuCtxGetDevice(int *device) {
  *device = 0;
  return called("cuCtxGetDevice");
}
int cuModuleLoadData(void **module, const void *image) {
  int result = called("cuModuleLoadData");
  /* A cubin is an ELF file, the rest is text: `NoCubin` fails the first. */
  int isCubin = memcmp(image, "\177ELF", 4) == 0;
  if (isCubin && strcmp(failing, "NoCubin") == 0)
    result = failingValue;
  *module = result ? NULL : (void *)image;
  return result;
}
int cuModuleUnload(void *module) {
  (void)module;
  return called("cuModuleUnload");
}
int cuModuleGetFunction(void **function, void *module, const char *name) {
  (void)module;
  snprintf(kernelName, sizeof kernelName, "%s", name);
  *function = kernelName;
  return called("cuModuleGetFunction");
}
int cuFuncSetAttribute(void *function, int attribute, int value) {
  (void)function, (void)attribute, (void)value;
  return called("cuFuncSetAttribute");
}
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *function,
                                                int threads, size_t shared) {
  (void)function, (void)threads, (void)shared;
  *blocks = kBlocks;
  return called("cuOccupancyMaxActiveBlocksPerMultiprocessor");
}

static int launch(const char *name, void *function, unsigned gx, unsigned gy,
                  unsigned gz, unsigned bx, unsigned by, unsigned bz,
                  unsigned shared, void *stream, void **params) {
  int result = called(name);
  if (result == kSuccess && (gy != 1 || gz != 1 || by != 1 || bz != 1))
    result = kErrorInvalidContext;
  if (result == kSuccess && onLaunch)
    onLaunch(function, gx, bx, shared,
             strcmp(name, "cuLaunchCooperativeKernel") == 0, stream, params);
  return result;
}
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz,
                   unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void *stream, void **params, void **extra) {
  (void)extra;
  return launch("cuLaunchKernel", function, gx, gy, gz, bx, by, bz, shared,
                stream, params);
}
int cuLaunchCooperativeKernel(void *function, unsigned gx, unsigned gy,
                              unsigned gz, unsigned bx, unsigned by,
                              unsigned bz, unsigned shared, void *stream,
                              void **params) {
  return launch("cuLaunchCooperativeKernel", function, gx, gy, gz, bx, by, bz,
                shared, stream, params);
}

int cuStreamCreate(void **stream, unsigned flags) {
  (void)flags;
  *stream = record;
  return called("cuStreamCreate");
}
int cuStreamDestroy_v2(void *stream) {
  (void)stream;
  return called("cuStreamDestroy");
}
int cuStreamSynchronize(void *stream) {
  (void)stream;
  return called("cuStreamSynchronize");
}
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
  (void)stream, (void)event, (void)flags;
  return called("cuStreamWaitEvent");
}
int cuEventCreate(void **event, unsigned flags) {
  (void)flags;
  *event = failing;
  return called("cuEventCreate");
}
int cuEventDestroy_v2(void *event) {
  (void)event;
  return called("cuEventDestroy");
}
int cuEventSynchronize(void *event) {
  (void)event;
  return called("cuEventSynchronize");
}
int cuEventRecord(void *event, void *stream) {
  (void)event, (void)stream;
  return called("cuEventRecord");
}

int cuMemAllocAsync(uint64_t *memory, size_t size, void *stream) {
  (void)stream;
  int result = called("cuMemAllocAsync");
  *memory = 0;
  if (result == kSuccess) {
    *memory = (uintptr_t)aligned_alloc(256, (size + 255) / 256 * 256);
    ++liveAllocations;
  }
  return result;
}
int cuMemFreeAsync(uint64_t memory, void *stream) {
  (void)stream;
  free((void *)(uintptr_t)memory);
  --liveAllocations;
  return called("cuMemFreeAsync");
}
int cuMemcpyAsync(uint64_t to, uint64_t from, size_t size, void *stream) {
  (void)stream;
  int result = called("cuMemcpyAsync");
  if (result == kSuccess)
    memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, size);
  return result;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream) {
  (void)stream;
  int result = called("cuMemcpyDtoHAsync");
  if (result == kSuccess)
    memcpy(to, (const void *)(uintptr_t)from, size);
  return result;
}
int cuMemsetD32Async(uint64_t memory, unsigned value, size_t count,
                     void *stream) {
  (void)stream;
  for (size_t i = 0; i < count; ++i)
    ((unsigned *)(uintptr_t)memory)[i] = value;
  return called("cuMemsetD32Async");
}
int cuMemsetD16Async(uint64_t memory, unsigned short value, size_t count,
                     void *stream) {
  (void)stream;
  for (size_t i = 0; i < count; ++i)
    ((unsigned short *)(uintptr_t)memory)[i] = value;
  return called("cuMemsetD16Async");
}
