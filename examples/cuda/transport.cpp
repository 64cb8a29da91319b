//===- transport.cpp - A compiled program on the GPU ----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The plan that takes one histogram to another at the least cost, with
// entropy. Needs neither nvcc nor CUDA's headers:
//
//   scaling-compile transport.mlir --target=nvptx --emit=header -o transport.h
//   scaling-compile transport.mlir --target=nvptx --emit=shared -o
//   libtransport.so clang++ -Iinclude transport.cpp -L. -ltransport -Lbuild/lib
//     -lscaling_cuda_runtime
//
// To run it takes a GPU and its driver.
//
//===----------------------------------------------------------------------===//

#include "transport.h"

#include "scaling/Runtime/CUDA.h"

#include <cmath>
#include <cstdio>
#include <vector>

namespace {
/// Memory of the device, released at the end.
class DeviceArray {
public:
  explicit DeviceArray(size_t size)
      : size(size), data(static_cast<float *>(
                        mgpuMemAlloc(size * sizeof(float), nullptr, false))) {}
  explicit DeviceArray(std::vector<float> &values)
      : DeviceArray(values.size()) {
    if (data)
      mgpuMemcpy(data, values.data(), size * sizeof(float), nullptr);
  }
  DeviceArray(const DeviceArray &) = delete;
  DeviceArray &operator=(const DeviceArray &) = delete;
  ~DeviceArray() { mgpuMemFree(data, nullptr); }

  std::vector<float> read() const {
    std::vector<float> values(size);
    mgpuMemcpy(values.data(), data, size * sizeof(float), nullptr);
    mgpuStreamSynchronize(nullptr);
    return values;
  }

  const size_t size;
  float *const data;
};
} // namespace

static int fail() {
  std::fprintf(stderr, "error %d: %s\n", scaling_cuda_status(),
               scaling_cuda_message());
  return 1;
}

int main() {
  constexpr int64_t n = 300, m = 200;
  std::vector<float> cost(n * m), rows(n, 1.0f / n), cols(m, 1.0f / m);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) {
      float distance = float(i) / n - float(j) / m;
      cost[i * m + j] = distance * distance;
    }
  DeviceArray deviceCost(cost), deviceRows(rows), deviceCols(cols), plan(n * m);
  if (scaling_cuda_status() != SCALING_CUDA_SUCCESS)
    return fail();

  auto costArgument = make_scaling_memref_2d_f32(deviceCost.data, n, m);
  auto rowsArgument = make_scaling_memref_1d_f32(deviceRows.data, n);
  auto colsArgument = make_scaling_memref_1d_f32(deviceCols.data, m);
  auto planArgument = make_scaling_memref_2d_f32(plan.data, n, m);
  if (_mlir_ciface_transport(&costArgument, &rowsArgument, &colsArgument,
                             &planArgument, /*stream=*/nullptr) != 0)
    return fail();
  std::vector<float> result = plan.read();
  if (scaling_cuda_status() != SCALING_CUDA_SUCCESS)
    return fail();

  double total = 0, spent = 0;
  for (int64_t i = 0; i < n * m; ++i) {
    total += result[i];
    spent += double(result[i]) * cost[i];
  }
  std::printf("mass %.4f, cost %.4f\n", total, spent);
  return std::abs(total - 1) < 1e-3 ? 0 : 1;
}
