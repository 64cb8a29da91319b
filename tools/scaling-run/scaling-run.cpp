//===- scaling-run.cpp - Run programs on NumPy arrays ---------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Runtime/Runtime.h"
#include "scaling/Support/Npy.h"
#include "scaling/Target/CPU/JIT.h"
#include "scaling/Target/Driver/Driver.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <cstring>

using namespace mlir;
using namespace mlir::scaling;
namespace cl = llvm::cl;

static cl::OptionCategory category("scaling-run options");

static cl::opt<std::string> inputPath(cl::Positional, cl::Required,
                                      cl::desc("FILE.mlir"), cl::cat(category));
static cl::opt<std::string>
    entryName("entry", cl::value_desc("name"),
              cl::desc("The function to run (default: the only public one)"),
              cl::cat(category));
static cl::list<std::string> inputs(
    "input", cl::value_desc("a.npy"),
    cl::desc("One per argument, in order: a .npy file, or a number for a "
             "scalar. bf16 arrays travel as two-byte elements"),
    cl::cat(category));
static cl::list<std::string>
    outputs("output", cl::value_desc("p.npy"),
            cl::desc("Where the results go, in order; results without a file "
                     "are printed if short. bf16 is written as uint16"),
            cl::cat(category));
static cl::opt<unsigned>
    repeat("repeat", cl::init(1), cl::value_desc("N"),
           cl::desc("Run N times and print the best and the median time"),
           cl::cat(category));
static cl::opt<std::string>
    cpu("cpu", cl::init("host"), cl::value_desc("name"),
        cl::desc("The CPU to compile for (default: the one this runs on)"),
        cl::cat(category));
static cl::opt<Route>
    route("pipeline", cl::init(Route::CPU), cl::desc("How to compile:"),
          cl::values(clEnumValN(Route::CPU, "cpu",
                                "tiled, vectorized, on threads (default)"),
                     clEnumValN(Route::Linalg, "linalg", "plain loops")),
          cl::cat(category));
static cl::opt<bool> noThreads("no-threads",
                               cl::desc("Sequential code, without the runtime"),
                               cl::cat(category));
static cl::opt<int>
    numThreads("num-threads", cl::init(0), cl::value_desc("N"),
               cl::desc("How many (default: OMP_NUM_THREADS, else all)"),
               cl::cat(category));

/// Results longer than this are not printed.
static constexpr int64_t kMaxPrinted = 8;

static LogicalResult fail(const Twine &message) {
  printError(message);
  return failure();
}

static LogicalResult report(llvm::Error error) {
  return error ? fail(llvm::toString(std::move(error))) : success();
}

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

/// How arrays of the type are written.
static StringRef getNpyDescr(Type elementType) {
  if (elementType.isF64())
    return "<f8";
  if (elementType.isF32())
    return "<f4";
  if (elementType.isF16())
    return "<f2";
  // Plain NumPy has no bfloat16, and can shift integers.
  if (elementType.isBF16())
    return "<u2";
  if (elementType.isIndex())
    return "<i8";
  switch (elementType.getIntOrFloatBitWidth()) {
  case 1:
    return "|b1";
  case 8:
    return "|i1";
  case 16:
    return "<i2";
  case 32:
    return "<i4";
  default:
    return "<i8";
  }
}

/// Whether arrays of the type may be read from files with this element type.
static bool isNpyDescrOf(StringRef descr, Type elementType) {
  if (elementType.isBF16())
    return llvm::is_contained({"<V2", "|V2", "<u2", "<i2"}, descr);
  if (descr == getNpyDescr(elementType))
    return true;
  // The dialect's integers have no sign of their own.
  return elementType.isInteger() && !elementType.isInteger(1) &&
         descr.size() == 3 && descr[1] == 'u' &&
         getNpyElementSize(descr) * 8 == elementType.getIntOrFloatBitWidth();
}

static std::string toString(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

static std::string toString(ArrayRef<int64_t> shape) {
  std::string text = "[";
  llvm::raw_string_ostream os(text);
  llvm::interleaveComma(shape, os, [&](int64_t size) {
    if (ShapedType::isDynamic(size))
      os << '?';
    else
      os << size;
  });
  return text + "]";
}

static Type getElementType(const EntryValue &value) {
  return getElementTypeOrSelf(value.type);
}

static ArrayRef<int64_t> getShape(const EntryValue &value) {
  auto shaped = dyn_cast<ShapedType>(value.type);
  return shaped ? shaped.getShape() : ArrayRef<int64_t>();
}

/// Stores a number given on the command line as a scalar of the type; false
/// when the text is not such a number.
static bool parseScalar(StringRef text, Type type, char *data) {
  if (auto floatType = dyn_cast<FloatType>(type)) {
    llvm::APFloat value(floatType.getFloatSemantics());
    auto status =
        value.convertFromString(text, llvm::APFloat::rmNearestTiesToEven);
    if (!status) {
      llvm::consumeError(status.takeError());
      return false;
    }
    uint64_t bits = value.bitcastToAPInt().getZExtValue();
    std::memcpy(data, &bits, floatType.getWidth() / 8);
    return true;
  }
  int64_t value;
  if (text.getAsInteger(10, value))
    return false;
  unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  if (width == 1 ? (value != 0 && value != 1) : !llvm::isIntN(width, value))
    return false;
  std::memcpy(data, &value, std::max(width / 8, 1u));
  return true;
}

/// Reads an argument and checks it against the signature.
static FailureOr<Array> readInput(StringRef path, const EntryPoint &entry,
                                  unsigned index) {
  const EntryValue &value = entry.inputs[index];
  Type elementType = getElementType(value);
  std::string what = ("argument " + Twine(index) + " (" + value.name +
                      ") of '" + entry.name + "'")
                         .str();
  if (getShape(value).empty() && !llvm::sys::fs::exists(path)) {
    Array scalar;
    scalar.descr = getNpyDescr(elementType).str();
    scalar.numBytes = getNpyElementSize(scalar.descr);
    if (failed(report(scalar.allocate())))
      return failure();
    if (parseScalar(path, elementType, scalar.data()))
      return scalar;
    return fail(what + ": '" + path +
                "' is neither a file nor a value of type " +
                toString(elementType));
  }
  llvm::Expected<Array> array = readNpy(path);
  if (!array)
    return fail(what + ": " + llvm::toString(array.takeError()));
  if (!isNpyDescrOf(array->descr, elementType))
    return fail(what + ": '" + path + "' has elements of type '" +
                array->descr + "', expected '" + getNpyDescr(elementType) +
                "' for " + toString(elementType));
  ArrayRef<int64_t> expected = getShape(value);
  bool fits = expected.size() == array->shape.size();
  for (unsigned dim = 0; fits && dim < expected.size(); ++dim)
    fits = ShapedType::isDynamic(expected[dim]) ||
           expected[dim] == array->shape[dim];
  if (!fits)
    return fail(what + ": '" + path + "' has shape " + toString(array->shape) +
                ", expected " + toString(expected));
  return std::move(*array);
}

/// Sizes that the program only relates to each other.
static LogicalResult checkRelations(const EntryPoint &entry,
                                    ArrayRef<Array> arguments) {
  for (const SizeRelation &relation : entry.relations) {
    int64_t size = arguments[relation.argument].shape[relation.dim];
    int64_t wanted = relation.difference;
    std::string because;
    if (relation.otherArgument) {
      wanted += arguments[*relation.otherArgument].shape[relation.otherDim];
      because =
          (" to go with dimension " + Twine(relation.otherDim) +
           " of argument '" + entry.inputs[*relation.otherArgument].name + "'")
              .str();
    }
    if (size != wanted)
      return fail("argument '" + entry.inputs[relation.argument].name +
                  "': dimension " + Twine(relation.dim) + " is " + Twine(size) +
                  ", expected " + Twine(wanted) + because);
  }
  return success();
}

static Buffer asBuffer(const Array &array) {
  return {array.data(), SmallVector<int64_t>(array.shape)};
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

static double readFloat(const char *data, FloatType type) {
  uint64_t bits = 0;
  std::memcpy(&bits, data, type.getWidth() / 8);
  llvm::APFloat value(type.getFloatSemantics(),
                      llvm::APInt(type.getWidth(), bits));
  bool inexact;
  value.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven,
                &inexact);
  return value.convertToDouble();
}

static int64_t readInteger(const char *data, unsigned width) {
  uint64_t bits = 0;
  std::memcpy(&bits, data, std::max(width / 8, 1u));
  return width == 1 ? static_cast<int64_t>(bits)
                    : llvm::SignExtend64(bits, width);
}

static void printElement(const Array &array, int64_t index, Type type,
                         StringRef role) {
  const char *data = array.data() + index * getNpyElementSize(array.descr);
  if (auto floatType = dyn_cast<FloatType>(type)) {
    llvm::outs() << llvm::format("%.9g", readFloat(data, floatType));
    return;
  }
  int64_t value =
      readInteger(data, type.isIndex() ? 64 : type.getIntOrFloatBitWidth());
  static constexpr StringRef statusNames[] = {"fixed", "converged", "limit",
                                              "diverged"};
  if (role == "status" && value >= 0 &&
      value < static_cast<int64_t>(std::size(statusNames)))
    llvm::outs() << statusNames[value];
  else
    llvm::outs() << value;
}

/// Prints a short result; of a longer report, its range.
static void printResult(const EntryValue &value, const Array &array) {
  Type type = getElementType(value);
  int64_t count = array.numBytes / getNpyElementSize(array.descr);
  if (count > kMaxPrinted && value.role.empty())
    return;
  llvm::outs() << (value.role.empty() ? value.name : value.role) << ":";
  if (count <= kMaxPrinted) {
    for (int64_t i = 0; i < count; ++i) {
      llvm::outs() << ' ';
      printElement(array, i, type, value.role);
    }
    llvm::outs() << '\n';
    return;
  }
  auto key = [&](int64_t index) -> double {
    const char *data = array.data() + index * getNpyElementSize(array.descr);
    if (auto floatType = dyn_cast<FloatType>(type))
      return readFloat(data, floatType);
    return readInteger(data,
                       type.isIndex() ? 64 : type.getIntOrFloatBitWidth());
  };
  int64_t least = 0, largest = 0;
  for (int64_t i = 1; i < count; ++i) {
    if (key(i) < key(least))
      least = i;
    // A NaN counts as the largest: it is what one wants to see.
    if (!(key(i) <= key(largest)))
      largest = i;
  }
  llvm::outs() << ' ';
  printElement(array, least, type, value.role);
  llvm::outs() << " ... ";
  printElement(array, largest, type, value.role);
  llvm::outs() << " (" << count << " problems)\n";
}

//===----------------------------------------------------------------------===//
// The run
//===----------------------------------------------------------------------===//

static FailureOr<EntryPoint> findEntry(ArrayRef<EntryPoint> entries) {
  if (entryName.empty()) {
    if (entries.size() == 1)
      return entries.front();
    return fail(entries.empty()
                    ? "the program has no public function"
                    : "the program has several public functions: say --entry");
  }
  for (const EntryPoint &entry : entries)
    if (entry.name == entryName)
      return entry;
  std::string names;
  for (const EntryPoint &entry : entries)
    names += (names.empty() ? "" : ", ") + entry.name;
  return fail("there is no public function '" + entryName + "'" +
              (names.empty() ? "" : "; there is " + names));
}

static LogicalResult run() {
  using Clock = std::chrono::steady_clock;
  if (repeat == 0)
    return fail("--repeat must be at least 1");
  Program program;
  if (failed(program.load(inputPath, cpu)))
    return failure();
  FailureOr<EntryPoint> found = findEntry(program.getEntries());
  if (failed(found))
    return failure();
  const EntryPoint &entry = *found;
  if (inputs.size() != entry.inputs.size())
    return fail("'" + entry.name + "' has " + Twine(entry.inputs.size()) +
                " arguments, " + Twine(inputs.size()) + " were given");
  if (outputs.size() > entry.results.size())
    return fail("'" + entry.name + "' has " + Twine(entry.results.size()) +
                " results, " + Twine(outputs.size()) + " files were given");
  for (unsigned i = 0; i < outputs.size(); ++i)
    if (llvm::is_contained(ArrayRef(&outputs[0], i), outputs[i]))
      return fail("two results cannot go to '" + outputs[i] + "'");

  // Everything that can be wrong with the files is found before compiling.
  SmallVector<Array> arguments;
  for (unsigned i = 0; i < inputs.size(); ++i) {
    FailureOr<Array> array = readInput(inputs[i], entry, i);
    if (failed(array))
      return failure();
    arguments.push_back(std::move(*array));
  }
  if (failed(checkRelations(entry, arguments)))
    return failure();

  if (failed(program.lower(route, /*threads=*/!noThreads)))
    return failure();
  auto compiled =
      CompiledModule::create(program.getModule(), program.getTarget());
  if (!compiled)
    return report(compiled.takeError());
  if (numThreads > 0)
    scaling_set_num_threads(numThreads);

  SmallVector<Buffer> inputBuffers, outputBuffers;
  for (const Array &array : arguments)
    inputBuffers.push_back(asBuffer(array));
  auto dims = (*compiled)->resultDims(entry, inputBuffers);
  if (!dims)
    return report(dims.takeError());
  SmallVector<Array> results;
  ArrayRef<int64_t> nextDim = *dims;
  for (const EntryValue &value : entry.results) {
    Array array;
    array.descr = getNpyDescr(getElementType(value)).str();
    for (int64_t size : getShape(value)) {
      if (ShapedType::isDynamic(size)) {
        size = nextDim.front();
        nextDim = nextDim.drop_front();
      }
      if (size < 0)
        return fail("the shape of " + value.name +
                    " is negative for these "
                    "arguments");
      array.shape.push_back(size);
    }
    llvm::Expected<int64_t> numBytes =
        getNumBytes(array.shape, getNpyElementSize(array.descr));
    if (!numBytes)
      return report(numBytes.takeError());
    array.numBytes = *numBytes;
    if (failed(report(array.allocate())))
      return failure();
    outputBuffers.push_back(asBuffer(array));
    results.push_back(std::move(array));
  }

  auto call = (*compiled)->prepare(entry, inputBuffers, outputBuffers);
  if (!call)
    return report(call.takeError());
  // Donated arguments are overwritten: every run gets them fresh.
  SmallVector<std::pair<unsigned, std::string>> donated;
  if (repeat > 1)
    for (auto [index, value] : llvm::enumerate(entry.inputs))
      if (value.donated)
        donated.emplace_back(index, std::string(arguments[index].data(),
                                                arguments[index].numBytes));
  SmallVector<double> seconds;
  for (unsigned i = 0; i < repeat; ++i) {
    for (auto &[index, contents] : donated)
      std::memcpy(arguments[index].data(), contents.data(), contents.size());
    Clock::time_point start = Clock::now();
    (*call)();
    seconds.push_back(
        std::chrono::duration<double>(Clock::now() - start).count());
  }

  if (failed(report(writeNpyFiles(outputs, results))))
    return failure();
  for (auto [index, value] : llvm::enumerate(entry.results))
    if (index >= outputs.size() || !value.role.empty() ||
        getShape(value).empty())
      printResult(value, results[index]);
  if (repeat > 1) {
    llvm::sort(seconds);
    llvm::outs() << llvm::format(
        "time: best %.6g ms, median %.6g ms, %u runs\n", seconds.front() * 1e3,
        seconds[seconds.size() / 2] * 1e3, repeat.getValue());
  }
  return success();
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv,
      "Compiles an MLIR program in memory and runs one of its functions on "
      "NumPy arrays.\n\n"
      "  scaling-run mhc.mlir --entry mhc --input logits.npy --output p.npy\n");
  return failed(run());
}
