/*===- CUDARuntime.c - MLIR's GPU runtime on the CUDA driver ------*- C -*-===*\
|*                                                                            *|
|* Part of the scaling project, under the Apache License v2.0 with LLVM       *|
|* Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception        *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#include "scaling/Runtime/CUDA.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is used of the driver's interface: handles are pointers, memory of the
 * device is an integer, a result of 0 is success. */
typedef int Result;
typedef uint64_t DevicePointer;

enum {
  kErrorNoDevice = 100,
  kErrorNoBinary = 209,
  kErrorOutOfResources = 701,
  kErrorNotSupported = 801,
  kAttributeMultiprocessors = 16,
  kFunctionMaxDynamicShared = 8,
  /* What kernels are made for. */
  kMaxBlocks = 1024,
  /* Launches between two questions whether a kernel is done: one that is has
   * nothing to do, and a question waits for the device. */
  kLaunchesAtOnce = 8
};

#define DRIVER(X)                                                              \
  X(cuInit, (unsigned))                                                        \
  X(cuGetErrorName, (Result, const char **))                                   \
  X(cuGetErrorString, (Result, const char **))                                 \
  X(cuDeviceGetCount, (int *))                                                 \
  X(cuDeviceGet, (int *, int))                                                 \
  X(cuDeviceGetAttribute, (int *, int, int))                                   \
  X(cuDevicePrimaryCtxRetain, (void **, int))                                  \
  X(cuCtxGetCurrent, (void **))                                                \
  X(cuCtxSetCurrent, (void *))                                                 \
  X(cuCtxGetDevice, (int *))                                                   \
  X(cuModuleLoadData, (void **, const void *))                                 \
  X(cuModuleUnload, (void *))                                                  \
  X(cuModuleGetFunction, (void **, void *, const char *))                      \
  X(cuFuncSetAttribute, (void *, int, int))                                    \
  X(cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *, void *, int, size_t)) \
  X(cuLaunchKernel, (void *, unsigned, unsigned, unsigned, unsigned, unsigned, \
                     unsigned, unsigned, void *, void **, void **))            \
  X(cuLaunchCooperativeKernel,                                                 \
    (void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,       \
     unsigned, void *, void **))                                               \
  X(cuStreamCreate, (void **, unsigned))                                       \
  X(cuStreamDestroy_v2, (void *))                                              \
  X(cuStreamSynchronize, (void *))                                             \
  X(cuStreamWaitEvent, (void *, void *, unsigned))                             \
  X(cuEventCreate, (void **, unsigned))                                        \
  X(cuEventDestroy_v2, (void *))                                               \
  X(cuEventSynchronize, (void *))                                              \
  X(cuEventRecord, (void *, void *))                                           \
  X(cuMemAllocAsync, (DevicePointer *, size_t, void *))                        \
  X(cuMemFreeAsync, (DevicePointer, void *))                                   \
  X(cuMemcpyDtoHAsync_v2, (void *, DevicePointer, size_t, void *))             \
  X(cuMemcpyAsync, (DevicePointer, DevicePointer, size_t, void *))             \
  X(cuMemsetD32Async, (DevicePointer, unsigned, size_t, void *))               \
  X(cuMemsetD16Async, (DevicePointer, unsigned short, size_t, void *))

#define DECLARE(name, parameters) Result(*name) parameters;
static struct {
  DRIVER(DECLARE)
} driver;
#undef DECLARE

/* Why there is no driver; empty if there is one. */
static char driverMissing[256];
/* What its initialisation gave: without a device, an error. */
static Result initResult;
static pthread_once_t loadOnce = PTHREAD_ONCE_INIT;

static _Thread_local int32_t status;
static _Thread_local char message[512];
static _Thread_local int defaultDevice;

/* A module of an image in a context. */
typedef struct Loaded {
  struct Loaded *next;
  void *context, *module;
  const void *cubin, *ptx;
} Loaded;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Loaded *loadedModules;

static void loadDriver(void) {
  const char *path = getenv("SCALING_CUDA_DRIVER");
  if (!path || !*path)
    path = "libcuda.so.1";
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(driverMissing, sizeof driverMissing, "no CUDA driver: %s",
             dlerror());
    return;
  }
#define FIND(name, parameters)                                                 \
  if (!(driver.name = (Result(*) parameters)dlsym(library, #name))) {          \
    snprintf(driverMissing, sizeof driverMissing,                              \
             "the CUDA driver '%s' is too old: it has no " #name, path);       \
    return;                                                                    \
  }
  DRIVER(FIND)
#undef FIND
  initResult = driver.cuInit(0);
}

static void fail(int32_t value, const char *what) {
  if (status)
    return;
  status = value;
  const char *name = NULL, *text = NULL;
  if (value > 0 && driver.cuGetErrorName && driver.cuGetErrorString) {
    driver.cuGetErrorName(value, &name);
    driver.cuGetErrorString(value, &text);
  }
  if (value < 0)
    snprintf(message, sizeof message, "%s", what);
  else
    snprintf(message, sizeof message, "%s: %s (%s)", what,
             name ? name : "unknown error", text ? text : "no description");
}

/* Whether the call went well; records it where not. */
static bool check(Result result, const char *what) {
  if (result != 0)
    fail(result, what);
  return result == 0;
}

/* Whether there is a driver. */
static bool hasDriver(void) {
  pthread_once(&loadOnce, loadDriver);
  if (!driverMissing[0])
    return check(initResult, "cuInit");
  fail(SCALING_CUDA_ERROR_NO_DRIVER, driverMissing);
  return false;
}

/* Whether there is a context to work in: the thread's own, or the primary one
 * of the default device. */
static bool hasContext(void) {
  if (!hasDriver())
    return false;
  void *context = NULL;
  if (!check(driver.cuCtxGetCurrent(&context), "cuCtxGetCurrent"))
    return false;
  if (context)
    return true;
  int count = 0, device;
  if (!check(driver.cuDeviceGetCount(&count), "cuDeviceGetCount"))
    return false;
  if (count == 0) {
    fail(kErrorNoDevice, "cuDeviceGetCount");
    return false;
  }
  return check(driver.cuDeviceGet(&device, defaultDevice), "cuDeviceGet") &&
         check(driver.cuDevicePrimaryCtxRetain(&context, device),
               "cuDevicePrimaryCtxRetain") &&
         check(driver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
}

/* Whether to go on. */
static bool ready(void) { return status == 0 && hasContext(); }

int32_t scaling_cuda_status(void) { return status; }

const char *scaling_cuda_message(void) { return status ? message : ""; }

void scaling_cuda_clear(void) { status = 0; }

bool scaling_cuda_available(void) {
  status = 0;
  bool available = hasContext();
  status = 0;
  return available;
}

/*===----------------------------------------------------------------------===*\
|* Modules and launches                                                       *|
\*===----------------------------------------------------------------------===*/

/* The module of a cubin, or of PTX that ends with a zero. */
static void *loadModule(const void *data) {
  void *module = NULL;
  if (ready())
    check(driver.cuModuleLoadData(&module, data), "cuModuleLoadData");
  return module;
}

void *mgpuModuleLoad(void *data, size_t size) {
  (void)size;
  return loadModule(data);
}

void *mgpuModuleLoadJIT(void *data, int opt_level, size_t size) {
  (void)opt_level;
  return mgpuModuleLoad(data, size);
}

void mgpuModuleUnload(void *module) {
  if (module && hasContext())
    check(driver.cuModuleUnload(module), "cuModuleUnload");
}

void *mgpuModuleGetFunction(void *module, const char *name) {
  void *function = NULL;
  if (ready())
    check(driver.cuModuleGetFunction(&function, module, name),
          "cuModuleGetFunction");
  return function;
}

/* The module of an image in the current context; the mutex is held. */
static void *getModule(const void *cubin, const void *ptx) {
  void *context = NULL;
  if (!check(driver.cuCtxGetCurrent(&context), "cuCtxGetCurrent"))
    return NULL;
  for (Loaded *loaded = loadedModules; loaded; loaded = loaded->next)
    if (loaded->context == context && loaded->cubin == cubin &&
        loaded->ptx == ptx)
      return loaded->module;
  void *module = NULL;
  if (cubin)
    module = loadModule(cubin);
  if (!module && ptx && (!cubin || status == kErrorNoBinary)) {
    if (cubin)
      status = 0;
    module = loadModule(ptx);
  }
  if (!module)
    return NULL;
  Loaded *loaded = malloc(sizeof *loaded);
  if (!loaded) {
    fail(SCALING_CUDA_ERROR_OUT_OF_MEMORY, "memory of the host");
    mgpuModuleUnload(module);
    return NULL;
  }
  *loaded = (Loaded){loadedModules, context, module, cubin, ptx};
  loadedModules = loaded;
  return module;
}

void *scaling_cuda_get_function(const void *cubin, size_t cubin_size,
                                const void *ptx, size_t ptx_size,
                                const char *name, int32_t shared_bytes) {
  (void)cubin_size;
  (void)ptx_size;
  if (!ready())
    return NULL;
  pthread_mutex_lock(&mutex);
  void *module = getModule(cubin, ptx);
  pthread_mutex_unlock(&mutex);
  void *function = module ? mgpuModuleGetFunction(module, name) : NULL;
  if (function && shared_bytes > 0 &&
      !check(driver.cuFuncSetAttribute(function, kFunctionMaxDynamicShared,
                                       shared_bytes),
             "cuFuncSetAttribute of the shared memory"))
    return NULL;
  return function;
}

void scaling_cuda_unload(const void *cubin, const void *ptx) {
  pthread_mutex_lock(&mutex);
  for (Loaded **link = &loadedModules; *link;) {
    Loaded *loaded = *link;
    if (loaded->cubin != cubin || loaded->ptx != ptx) {
      link = &loaded->next;
      continue;
    }
    /* At exit the driver may be gone: what it says is no news. */
    void *before = NULL;
    if (driver.cuCtxGetCurrent(&before) == 0 &&
        driver.cuCtxSetCurrent(loaded->context) == 0) {
      (void)driver.cuModuleUnload(loaded->module);
      (void)driver.cuCtxSetCurrent(before);
    }
    *link = loaded->next;
    free(loaded);
  }
  pthread_mutex_unlock(&mutex);
}

intptr_t scaling_cuda_grid_size(void *function, int32_t block_threads,
                                int32_t shared_bytes) {
  int device = 0, processors = 0, blocks = 0;
  if (!ready() || !check(driver.cuCtxGetDevice(&device), "cuCtxGetDevice") ||
      !check(driver.cuDeviceGetAttribute(&processors, kAttributeMultiprocessors,
                                         device),
             "cuDeviceGetAttribute") ||
      !check(driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(
                 &blocks, function, block_threads, shared_bytes),
             "cuOccupancyMaxActiveBlocksPerMultiprocessor"))
    return 0;
  if (blocks == 0) {
    fail(kErrorOutOfResources, "a block does not fit a multiprocessor");
    return 0;
  }
  intptr_t grid = (intptr_t)processors * blocks;
  return grid < kMaxBlocks ? grid : kMaxBlocks;
}

void mgpuLaunchKernel(void *function, intptr_t grid_x, intptr_t grid_y,
                      intptr_t grid_z, intptr_t block_x, intptr_t block_y,
                      intptr_t block_z, int32_t shared_bytes, void *stream,
                      void **params, void **extra, size_t params_count) {
  (void)params_count;
  if (ready())
    check(driver.cuLaunchKernel(function, grid_x, grid_y, grid_z, block_x,
                                block_y, block_z, shared_bytes, stream, params,
                                extra),
          "cuLaunchKernel");
}

void scaling_cuda_launch_cooperative(void *function, intptr_t grid_x,
                                     intptr_t grid_y, intptr_t grid_z,
                                     intptr_t block_x, intptr_t block_y,
                                     intptr_t block_z, int32_t shared_bytes,
                                     void *stream, void **params) {
  if (ready())
    check(driver.cuLaunchCooperativeKernel(function, grid_x, grid_y, grid_z,
                                           block_x, block_y, block_z,
                                           shared_bytes, stream, params),
          "cuLaunchCooperativeKernel");
}

void scaling_cuda_launch_until_done(void *function, intptr_t grid_x,
                                    intptr_t grid_y, intptr_t grid_z,
                                    intptr_t block_x, intptr_t block_y,
                                    intptr_t block_z, int32_t shared_bytes,
                                    void *stream, void **params,
                                    const void *state) {
  int32_t label = 0;
  while (label >= 0 && ready()) {
    for (int i = 0; i < kLaunchesAtOnce; ++i)
      mgpuLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y,
                       block_z, shared_bytes, stream, params, NULL, 0);
    if (ready() && check(driver.cuMemcpyDtoHAsync_v2(&label, (uintptr_t)state,
                                                     sizeof label, stream),
                         "cuMemcpyDtoHAsync"))
      check(driver.cuStreamSynchronize(stream), "cuStreamSynchronize");
  }
}

/*===----------------------------------------------------------------------===*\
|* Streams and events                                                         *|
\*===----------------------------------------------------------------------===*/

void *mgpuStreamCreate(void) {
  enum { kNonBlocking = 1 };
  void *stream = NULL;
  if (ready())
    check(driver.cuStreamCreate(&stream, kNonBlocking), "cuStreamCreate");
  return stream;
}

void mgpuStreamDestroy(void *stream) {
  if (stream && hasContext())
    check(driver.cuStreamDestroy_v2(stream), "cuStreamDestroy");
}

void mgpuStreamSynchronize(void *stream) {
  if (ready())
    check(driver.cuStreamSynchronize(stream), "cuStreamSynchronize");
}

void mgpuStreamWaitEvent(void *stream, void *event) {
  if (ready())
    check(driver.cuStreamWaitEvent(stream, event, 0), "cuStreamWaitEvent");
}

void *mgpuEventCreate(void) {
  enum { kDisableTiming = 2 };
  void *event = NULL;
  if (ready())
    check(driver.cuEventCreate(&event, kDisableTiming), "cuEventCreate");
  return event;
}

void mgpuEventDestroy(void *event) {
  if (event && hasContext())
    check(driver.cuEventDestroy_v2(event), "cuEventDestroy");
}

void mgpuEventSynchronize(void *event) {
  if (ready())
    check(driver.cuEventSynchronize(event), "cuEventSynchronize");
}

void mgpuEventRecord(void *event, void *stream) {
  if (ready())
    check(driver.cuEventRecord(event, stream), "cuEventRecord");
}

/*===----------------------------------------------------------------------===*\
|* Memory                                                                     *|
\*===----------------------------------------------------------------------===*/

void *mgpuMemAlloc(uint64_t size, void *stream, bool is_host_shared) {
  DevicePointer memory = 0;
  if (size == 0 || !ready())
    return NULL;
  if (is_host_shared) {
    fail(kErrorNotSupported, "memory shared with the host");
    return NULL;
  }
  char what[64];
  snprintf(what, sizeof what, "cuMemAllocAsync of %llu bytes",
           (unsigned long long)size);
  check(driver.cuMemAllocAsync(&memory, size, stream), what);
  return (void *)(uintptr_t)memory;
}

void mgpuMemFree(void *memory, void *stream) {
  if (memory && hasContext())
    check(driver.cuMemFreeAsync((uintptr_t)memory, stream), "cuMemFreeAsync");
}

void mgpuMemcpy(void *to, void *from, size_t size, void *stream) {
  if (size && ready())
    check(driver.cuMemcpyAsync((uintptr_t)to, (uintptr_t)from, size, stream),
          "cuMemcpyAsync");
}

void mgpuMemset32(void *memory, unsigned value, size_t count, void *stream) {
  if (count && ready())
    check(driver.cuMemsetD32Async((uintptr_t)memory, value, count, stream),
          "cuMemsetD32Async");
}

void mgpuMemset16(void *memory, unsigned short value, size_t count,
                  void *stream) {
  if (count && ready())
    check(driver.cuMemsetD16Async((uintptr_t)memory, value, count, stream),
          "cuMemsetD16Async");
}

void mgpuSetDefaultDevice(int32_t device) { defaultDevice = device; }
