//===- jax.cpp - Programs as custom calls of XLA --------------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One handler of XLA's foreign function interface for every program. The custom
// call has the program as text. Python is asked for its code once; from then on
// a call is a look-up and a jump into the code, on XLA's buffers and without
// the interpreter's lock.
//
// XLA could keep the code itself, as the state of an executable. Types of state
// must be registered before handlers, which JAX does not do for those that were
// registered before its first use.
//
//===----------------------------------------------------------------------===//

#include "xla/ffi/api/ffi.h"

#include <nanobind/nanobind.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nb = nanobind;
namespace ffi = xla::ffi;
using namespace nb::literals;

namespace {

/// A function of a program.
struct Function {
  Function(nb::object owner, void (*run)(void **), bool isImplicit)
      : owner(std::move(owner)), run(run), isImplicit(isImplicit) {}
  Function(const Function &) = delete;
  Function &operator=(const Function &) = delete;
  ~Function() {
    nb::gil_scoped_acquire acquire;
    owner.reset();
  }

  /// Keeps the code where it is.
  nb::object owner;
  void (*run)(void **);
  /// Whether it is for implicit gradients.
  bool isImplicit;
};

/// The functions that were called, by program, name and passes. They stay for
/// the process: XLA's threads may outlive the interpreter.
struct Functions {
  static constexpr size_t limit = 4096;

  static Functions &get() {
    static Functions *functions = new Functions;
    return *functions;
  }

  std::shared_mutex mutex;
  std::unordered_map<std::string, std::shared_ptr<Function>> map;
  /// Python's `find(program, function, passes)`, and its
  /// `warn(function, report)`.
  nb::object find, warn;
};

/// An argument or result as programs take it: a pointer to a descriptor of two
/// pointers, an offset, sizes and strides.
class Descriptor {
public:
  /// The leading `batchDims` dimensions become one, or none, where they must be
  /// of size 1.
  bool set(const ffi::AnyBuffer &buffer, int64_t batchDims, bool isBatched) {
    ffi::AnyBuffer::Dimensions dims = buffer.dimensions();
    if (batchDims < 0 || batchDims > int64_t(dims.size()))
      return false;
    const int64_t *tail = dims.begin() + batchDims;
    int64_t batch = std::accumulate(dims.begin(), tail, int64_t(1),
                                    std::multiplies<int64_t>());
    if (!isBatched && batch != 1)
      return false;
    size_t rank = dims.end() - tail + isBatched;
    words.resize(3 + 2 * rank);
    words[0] = words[1] = reinterpret_cast<int64_t>(buffer.untyped_data());
    std::copy(tail, dims.end(), words.begin() + 3 + isBatched);
    if (isBatched)
      words[3] = batch;
    int64_t stride = 1;
    for (size_t dim = rank; dim-- > 0;) {
      words[3 + rank + dim] = stride;
      stride *= words[3 + dim];
    }
    pointer = words.data();
    return true;
  }

  void *getArgument() { return &pointer; }

private:
  std::vector<int64_t> words;
  int64_t *pointer = nullptr;
};

} // namespace

static std::shared_ptr<Function> getFunction(std::string_view program,
                                             std::string_view name,
                                             std::string_view passes,
                                             std::string &message) {
  Functions &functions = Functions::get();
  std::string key;
  key.reserve(program.size() + name.size() + passes.size() + 2);
  for (std::string_view text : {program, name, passes})
    key.append(text).push_back('\0');
  {
    std::shared_lock<std::shared_mutex> lock(functions.mutex);
    auto found = functions.map.find(key);
    if (found != functions.map.end())
      return found->second;
  }
  auto toPython = [](std::string_view text) {
    return nb::str(text.data(), text.size());
  };
  // What goes must not go under the lock: it waits for the interpreter, and who
  // has the interpreter may wait for the lock.
  decltype(functions.map) old;
  nb::gil_scoped_acquire acquire;
  try {
    nb::object owner =
        functions.find(toPython(program), toPython(name), toPython(passes));
    auto address = nb::cast<uintptr_t>(owner.attr("address"));
    auto function = std::make_shared<Function>(
        std::move(owner), reinterpret_cast<void (*)(void **)>(address),
        passes.find("mode=implicit") != std::string_view::npos);
    std::unique_lock<std::shared_mutex> lock(functions.mutex);
    if (functions.map.size() >= Functions::limit)
      functions.map.swap(old);
    return functions.map.try_emplace(key, function).first->second;
  } catch (nb::python_error &error) {
    message = nb::str(error.value()).c_str();
  } catch (std::exception &error) {
    message = error.what();
  }
  return nullptr;
}

/// Passes on how implicit gradients were found, which is the last result where
/// it has integers, if any was found otherwise.
static ffi::Error warnOfFallback(std::string_view name,
                                 const ffi::AnyBuffer &report) {
  // Gradients alone, of what does not iterate.
  if (report.element_type() != ffi::DataType::S32)
    return ffi::Error::Success();
  constexpr int32_t implicit = 1;
  auto *codes = static_cast<const int32_t *>(report.untyped_data());
  size_t count = report.element_count();
  if (std::all_of(codes, codes + count,
                  [](int32_t code) { return code == implicit; }))
    return ffi::Error::Success();
  nb::gil_scoped_acquire acquire;
  try {
    Functions::get().warn(nb::str(name.data(), name.size()),
                          nb::bytes(codes, count * sizeof(int32_t)));
  } catch (nb::python_error &error) {
    // Where warnings are errors.
    return ffi::Error(ffi::ErrorCode::kFailedPrecondition,
                      nb::str(error.value()).c_str());
  }
  return ffi::Error::Success();
}

/// Operands and results have `batchDims` dimensions in front that the program
/// knows as one where `batched` is set, which is for operands, then results.
static ffi::Error call(ffi::RemainingArgs args, ffi::RemainingRets rets,
                       std::string_view program, std::string_view name,
                       std::string_view passes, int64_t batchDims,
                       ffi::Span<const int64_t> batched) {
  size_t numArgs = args.size(), count = numArgs + rets.size();
  if (batched.size() != count)
    return ffi::Error::InvalidArgument(
        "scaling: `batched` has " + std::to_string(batched.size()) +
        " elements for " + std::to_string(count) + " operands and results");
  std::vector<Descriptor> descriptors(count);
  std::vector<void *> arguments(count);
  for (size_t i = 0; i < count; ++i) {
    bool fits = false;
    if (i < numArgs) {
      ffi::ErrorOr<ffi::AnyBuffer> buffer = args.get<ffi::AnyBuffer>(i);
      fits = buffer && descriptors[i].set(*buffer, batchDims, batched[i]);
    } else {
      auto buffer = rets.get<ffi::AnyBuffer>(i - numArgs);
      fits = buffer && descriptors[i].set(**buffer, batchDims, batched[i]);
    }
    if (!fits)
      return ffi::Error::InvalidArgument(
          "scaling: operand or result " + std::to_string(i) +
          " does not have the batch that `batch_dims` and `batched` say");
    arguments[i] = descriptors[i].getArgument();
  }
  std::string message;
  std::shared_ptr<Function> function =
      getFunction(program, name, passes, message);
  if (!function)
    return ffi::Error::InvalidArgument("scaling: no code for @" +
                                       std::string(name) + ": " + message);
  function->run(arguments.data());
  if (function->isImplicit)
    return warnOfFallback(name, **rets.get<ffi::AnyBuffer>(rets.size() - 1));
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER(handler, call,
                       ffi::Ffi::Bind()
                           .RemainingArgs()
                           .RemainingRets()
                           .Attr<std::string_view>("program")
                           .Attr<std::string_view>("function")
                           .Attr<std::string_view>("passes")
                           .Attr<int64_t>("batch_dims")
                           .Attr<ffi::Span<const int64_t>>("batched"));

NB_MODULE(_jax, m) {
  m.doc() = "Programs as custom calls of XLA";
  // The function that finds programs is kept for as long as the process lives.
  nb::set_leak_warnings(false);
  m.def(
      "handler",
      [](nb::object find, nb::object warn) {
        Functions::get().find = std::move(find);
        Functions::get().warn = std::move(warn);
        return nb::capsule(reinterpret_cast<void *>(handler));
      },
      "find"_a, "warn"_a,
      "The handler that JAX registers. `find(program, function, passes)` gives "
      "functions of programs. `warn(function, report)` is called with the "
      "bytes "
      "of the i32 that say how implicit gradients were found, where some were "
      "not.");
}
