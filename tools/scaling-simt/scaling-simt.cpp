//===- scaling-simt.cpp - Run GPU kernels on the host ---------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Simt/Simt.h"
#include "scaling/Support/Npy.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>
#include <map>

using namespace llvm;
using namespace scaling::simt;
using mlir::scaling::Array;

static cl::OptionCategory category("scaling-simt options");

static cl::opt<std::string> inputPath(cl::Positional, cl::Required,
                                      cl::desc("KERNEL.ll"), cl::cat(category));
static cl::opt<std::string>
    entryName("entry", cl::value_desc("name"),
              cl::desc("The kernel to run (default: the only one)"),
              cl::cat(category));
static cl::opt<std::string> grid("grid", cl::init("1"), cl::value_desc("x,y,z"),
                                 cl::desc("CTAs (default: 1)"),
                                 cl::cat(category));
static cl::opt<std::string>
    block("block", cl::value_desc("x,y,z"),
          cl::desc("Threads per CTA (default: what the kernel requires or "
                   "allows, else 32)"),
          cl::cat(category));
static cl::opt<uint64_t>
    shared("shared", cl::value_desc("bytes"),
           cl::desc("Dynamic shared memory (default: what the kernel asks for "
                    "in its attribute scaling.shared-bytes, else 0)"),
           cl::cat(category));

// The order of these on the command line is the order of the parameters.
static cl::list<std::string>
    inputs("input", cl::value_desc("a.npy"),
           cl::desc("A parameter: a buffer with the contents of the file"),
           cl::cat(category));
static cl::list<std::string> updates(
    "update", cl::value_desc("a.npy=b.npy"),
    cl::desc("A parameter: a buffer with the contents of the first file; what "
             "the kernel leaves there goes to the second"),
    cl::cat(category));
static cl::list<std::string> outputs(
    "output", cl::value_desc("p.npy:f32:4x4"),
    cl::desc("A parameter: a buffer that is not initialised; what the kernel "
             "leaves there goes to the file. bf16 is written as uint16"),
    cl::cat(category));
static cl::list<std::string> scratch(
    "scratch", cl::value_desc("f32:1024"),
    cl::desc("A parameter: a buffer that is not initialised and not kept"),
    cl::cat(category));
static cl::list<std::string>
    zeros("zeros", cl::value_desc("i32:1"),
          cl::desc("A parameter: a buffer of zeros that is not kept"),
          cl::cat(category));
static cl::list<std::string> states(
    "state", cl::value_desc("i8:4096"),
    cl::desc("A parameter: a buffer of zeros that is not kept; the kernel is "
             "launched again until its first word is -1"),
    cl::cat(category));
static cl::list<std::string>
    scalars("scalar", cl::value_desc("5:i32"),
            cl::desc("A parameter: a number, and its type"), cl::cat(category));
static cl::opt<bool> descriptors(
    "memref",
    cl::desc("Buffers are passed as MLIR passes memrefs: two pointers, an "
             "offset, the sizes and the strides"),
    cl::cat(category));

static cl::opt<uint64_t> seed("seed", cl::init(0), cl::value_desc("N"),
                              cl::desc("Of the order in which warps run"),
                              cl::cat(category));
static cl::opt<unsigned> resident(
    "resident", cl::init(0), cl::value_desc("N"),
    cl::desc("CTAs that run at the same time (default: 65536 threads)"),
    cl::cat(category));
static cl::opt<bool> noRaces("no-races", cl::desc("Do not report data races"),
                             cl::cat(category));
static cl::opt<bool> omitEach(
    "omit-each",
    cl::desc("Launch again without each barrier and each fence, one at a time, "
             "and report which of them are not missed"),
    cl::cat(category));
static cl::opt<unsigned>
    maxFaults("max-faults", cl::init(10), cl::value_desc("N"),
              cl::desc("Stop after so many faults (default: 10)"),
              cl::cat(category));
static cl::opt<std::string>
    reportPath("report", cl::value_desc("r.json"),
               cl::desc("Where the counts go; - is the standard output"),
               cl::cat(category));

namespace {
/// An element type as it is spelled on the command line.
struct ElementType {
  StringRef descr;
  unsigned width = 0;
  const fltSemantics *semantics = nullptr;
};

/// A parameter, where its contents come from and where they go.
struct Parameter {
  KernelArgument argument;
  Array array;
  std::string result;
};
} // namespace

static std::optional<ElementType> parseType(StringRef name) {
  return StringSwitch<std::optional<ElementType>>(name)
      .Case("f64", ElementType{"<f8", 64, &APFloat::IEEEdouble()})
      .Case("f32", ElementType{"<f4", 32, &APFloat::IEEEsingle()})
      .Case("f16", ElementType{"<f2", 16, &APFloat::IEEEhalf()})
      .Case("bf16", ElementType{"<u2", 16, &APFloat::BFloat()})
      .Case("i64", ElementType{"<i8", 64, nullptr})
      .Case("i32", ElementType{"<i4", 32, nullptr})
      .Case("i16", ElementType{"<i2", 16, nullptr})
      .Case("i8", ElementType{"|i1", 8, nullptr})
      .Case("i1", ElementType{"|b1", 1, nullptr})
      .Default(std::nullopt);
}

static Error parseDims(StringRef option, StringRef text, Dim3 &dims) {
  SmallVector<StringRef, 3> sizes;
  text.split(sizes, ',');
  bool isValid = sizes.size() <= 3;
  for (unsigned i = 0; isValid && i < sizes.size(); ++i)
    isValid = !sizes[i].getAsInteger(10, dims[i]) && dims[i] != 0;
  if (isValid)
    return Error::success();
  return createStringError("--" + option + "=" + text +
                           " is not one to three positive numbers");
}

/// Makes the array of `f32:4x4`.
static Error makeArray(StringRef spec, Array &array) {
  auto [typeName, sizes] = spec.split(':');
  std::optional<ElementType> type = parseType(typeName);
  if (!type)
    return createStringError("'" + typeName +
                             "' is no element type: f64, f32, f16, bf16, i64, "
                             "i32, i16, i8 and i1 are");
  array.descr = type->descr.str();
  while (!sizes.empty()) {
    int64_t size;
    StringRef first;
    std::tie(first, sizes) = sizes.split('x');
    if (first.getAsInteger(10, size) || size < 0)
      return createStringError("'" + first + "' in '" + spec + "' is no size");
    array.shape.push_back(size);
  }
  auto numBytes = mlir::scaling::getNumBytes(
      array.shape, mlir::scaling::getNpyElementSize(array.descr));
  if (!numBytes)
    return numBytes.takeError();
  array.numBytes = *numBytes;
  return array.allocate();
}

static Error parseScalar(StringRef text, Parameter &parameter) {
  auto [number, typeName] = text.split(':');
  std::optional<ElementType> type = parseType(typeName);
  Error error = createStringError(
      "'" + text + "' is no number and its type: 5:i32 or 0.5:f32 are");
  if (!type)
    return error;
  KernelArgument &argument = parameter.argument;
  argument.width = type->width;
  argument.isFloat = type->semantics != nullptr;
  if (type->semantics) {
    APFloat value(*type->semantics);
    auto status = value.convertFromString(number, APFloat::rmNearestTiesToEven);
    if (!status) {
      consumeError(status.takeError());
      return error;
    }
    argument.bits = value.bitcastToAPInt().getZExtValue();
  } else {
    int64_t value;
    if (number.getAsInteger(0, value) ||
        !(isIntN(type->width, value) || isUIntN(type->width, value)))
      return error;
    argument.bits = static_cast<uint64_t>(value);
  }
  consumeError(std::move(error));
  return Error::success();
}

static Error readParameter(StringRef option, StringRef text,
                           Parameter &parameter) {
  KernelArgument &argument = parameter.argument;
  if (option == "scalar")
    return parseScalar(text, parameter);
  argument.isBuffer = true;
  if (option == "input" || option == "update") {
    StringRef path = text;
    if (option == "update") {
      StringRef result;
      std::tie(path, result) = text.split('=');
      parameter.result = result.str();
      if (result.empty())
        return createStringError("--update=" + text +
                                 " does not say where the result goes");
    }
    auto array = mlir::scaling::readNpy(path);
    if (!array)
      return array.takeError();
    parameter.array = std::move(*array);
    argument.initialized = true;
  } else {
    StringRef spec = text;
    if (option == "output") {
      // The path may have colons of its own.
      auto [rest, sizes] = text.rsplit(':');
      auto [path, type] = rest.rsplit(':');
      if (type.empty())
        return createStringError("--output=" + text +
                                 " is not a file, a type and a shape: "
                                 "p.npy:f32:4x4");
      parameter.result = path.str();
      spec = text.drop_front(path.size() + 1);
    }
    if (Error error = makeArray(spec, parameter.array))
      return error;
    argument.isState = option == "state";
    argument.initialized = argument.isState || option == "zeros";
    if (argument.isState && parameter.array.numBytes < 4)
      return createStringError("a state has a word at least: '" + text +
                               "' is smaller");
  }
  argument.data = parameter.array.data();
  argument.numBytes = parameter.array.numBytes;
  return Error::success();
}

/// All parameters, in the order of the command line.
static Error readParameters(std::vector<Parameter> &parameters) {
  std::map<unsigned, std::pair<StringRef, StringRef>> inOrder;
  auto collect = [&](const cl::list<std::string> &list) {
    for (unsigned i = 0; i < list.size(); ++i)
      inOrder[list.getPosition(i)] = {list.ArgStr, list[i]};
  };
  collect(inputs);
  collect(updates);
  collect(outputs);
  collect(scratch);
  collect(zeros);
  collect(states);
  collect(scalars);
  for (auto &[position, spec] : inOrder) {
    auto [option, text] = spec;
    Parameter &parameter = parameters.emplace_back();
    parameter.argument.name =
        ("argument " + Twine(parameters.size() - 1)).str();
    if (Error error = readParameter(option, text, parameter))
      return createStringError(parameter.argument.name + ": " +
                               toString(std::move(error)));
    if (!parameter.result.empty())
      for (const Parameter &other : ArrayRef(parameters).drop_back())
        if (other.result == parameter.result)
          return createStringError("two results cannot go to '" + other.result +
                                   "'");
  }
  return Error::success();
}

/// One memref is several parameters.
static std::vector<KernelArgument>
makeArguments(ArrayRef<Parameter> parameters) {
  std::vector<KernelArgument> arguments;
  for (const Parameter &parameter : parameters) {
    arguments.push_back(parameter.argument);
    if (!descriptors || !parameter.argument.isBuffer)
      continue;
    KernelArgument aligned = parameter.argument;
    aligned.isAlias = true;
    arguments.push_back(aligned);
    auto addIndex = [&](int64_t value) {
      KernelArgument index;
      index.name = parameter.argument.name;
      index.bits = value;
      index.width = 64;
      arguments.push_back(index);
    };
    addIndex(0);
    ArrayRef<int64_t> shape = parameter.array.shape;
    for (int64_t size : shape)
      addIndex(size);
    for (size_t i = 0; i < shape.size(); ++i) {
      int64_t stride = 1;
      for (int64_t size : shape.drop_front(i + 1))
        stride *= size;
      addIndex(stride);
    }
  }
  return arguments;
}

static Error writeReport(json::Object report) {
  std::string text = formatv("{0:2}\n", json::Value(std::move(report))).str();
  if (reportPath == "-") {
    outs() << text;
    return Error::success();
  }
  std::error_code code;
  raw_fd_ostream os(reportPath, code, sys::fs::OF_Text);
  if (!code) {
    os << text;
    os.close();
    code = os.error();
    os.clear_error();
  }
  if (code)
    return createStringError("cannot write '" + reportPath +
                             "': " + code.message());
  return Error::success();
}

/// Whether the kernel had faults; an error if it could not be executed.
static Expected<bool> run() {
  Launch launch;
  if (Error error = parseDims("grid", grid, launch.grid))
    return std::move(error);
  if (!block.empty()) {
    launch.block = {1, 1, 1};
    if (Error error = parseDims("block", block, launch.block))
      return std::move(error);
  }
  launch.entry = entryName;
  if (shared.getNumOccurrences())
    launch.dynamicShared = shared;
  launch.seed = seed;
  launch.resident = resident;
  launch.maxFaults = std::max(1u, maxFaults.getValue());
  launch.checkRaces = !noRaces;
  launch.omitEach = omitEach;
  std::vector<Parameter> parameters;
  if (Error error = readParameters(parameters))
    return std::move(error);

  auto context = std::make_unique<LLVMContext>();
  SMDiagnostic diagnostic;
  std::unique_ptr<Module> module = parseIRFile(inputPath, diagnostic, *context);
  if (!module) {
    std::string text;
    raw_string_ostream os(text);
    diagnostic.print(nullptr, os, /*ShowColors=*/false,
                     /*ShowKindLabel=*/false);
    return createStringError(StringRef(text).trim());
  }
  std::vector<KernelArgument> arguments = makeArguments(parameters);
  Expected<Result> result =
      execute(std::move(module), std::move(context), launch, arguments);
  if (!result)
    return result.takeError();
  for (const Fault &fault : result->faults)
    errs() << "fault: " << fault.kind << ": " << fault.message << '\n';
  bool isFaulty = !result->faults.empty();
  for (const Order &order : result->orders)
    if (!order.fault)
      errs() << "not missed: " << order.position
             << (order.times ? "\n" : ", where no thread came\n");
  if (!reportPath.empty())
    if (Error error = writeReport(std::move(result->report)))
      return std::move(error);

  std::vector<std::string> paths;
  std::vector<Array> results;
  for (Parameter &parameter : parameters)
    if (!parameter.result.empty()) {
      paths.push_back(parameter.result);
      results.push_back(std::move(parameter.array));
    }
  if (Error error = mlir::scaling::writeNpyFiles(paths, results))
    return std::move(error);
  return isFaulty;
}

int main(int argc, char **argv) {
  InitLLVM init(argc, argv);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv,
      "Executes a GPU kernel, given as the LLVM IR that goes to the NVPTX back "
      "end, and\nreports deadlocks, data races, wrong accesses to memory and "
      "what the launch cost.\n\n"
      "  scaling-simt sum.ll --entry sum --grid 4 --block 128 --input a.npy\n"
      "      --scalar 512:i32 --output s.npy:f32:4 --report -\n\n"
      "The exit status is 0, 1 for an error, 2 when the kernel has a fault.\n");
  Expected<bool> isFaulty = run();
  if (!isFaulty) {
    errs() << "error: " << toString(isFaulty.takeError()) << '\n';
    return 1;
  }
  return *isFaulty ? 2 : 0;
}
