//===- scaling-compile.cpp - Ahead-of-time compiler -----------------------===//
//
// Part of the scaling project, under the Apache License v2.0 with LLVM
// Exceptions. SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "scaling/Dialect/Scaling/IR/Scaling.h"
#include "scaling/Target/CPU/Emit.h"
#include "scaling/Target/Driver/Driver.h"
#include "scaling/Target/GPU/EmitGPU.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::scaling;
namespace cl = llvm::cl;

namespace {
enum class Emit { MLIR, LLVM, Object, Shared, Header, PTX, Cubin, IREE };
enum class Platform { CPU, NVPTX };
} // namespace

static cl::OptionCategory category("scaling-compile options");

static cl::opt<std::string> inputPath(cl::Positional, cl::Required,
                                      cl::desc("FILE.mlir"), cl::cat(category));
static cl::opt<std::string>
    outputPath("o", cl::Required, cl::value_desc("file"),
               cl::desc("Where the output goes; - is standard output"),
               cl::cat(category));
static cl::opt<Emit> emit(
    "emit", cl::Required, cl::desc("What to make of the program:"),
    cl::values(clEnumValN(Emit::MLIR, "mlir", "the LLVM dialect"),
               clEnumValN(Emit::LLVM, "llvm", "optimised LLVM IR"),
               clEnumValN(Emit::Object, "obj",
                          "a position-independent object; of --target=nvptx, "
                          "functions that launch the kernels embedded in it"),
               clEnumValN(Emit::Shared, "shared",
                          "a shared library of such an object"),
               clEnumValN(Emit::Header, "header",
                          "a C header that declares the public functions"),
               clEnumValN(Emit::PTX, "ptx", "PTX, of --target=nvptx"),
               clEnumValN(Emit::Cubin, "cubin",
                          "machine code of the GPU, made by ptxas"),
               clEnumValN(Emit::IREE, "iree",
                          "a module of MLIR that iree-link finds as "
                          "'scaling', and beside it the object that it "
                          "dispatches")),
    cl::cat(category));
static cl::opt<Platform>
    target("target", cl::init(Platform::CPU), cl::desc("What to compile for:"),
           cl::values(clEnumValN(Platform::CPU, "cpu", "a CPU (default)"),
                      clEnumValN(Platform::NVPTX, "nvptx",
                                 "a GPU: a kernel of every public function")),
           cl::cat(category));
static cl::opt<std::string> chipName("chip", cl::init("sm_90"),
                                     cl::value_desc("name"),
                                     cl::desc("The GPU to compile for: sm_80, "
                                              "sm_90 (default) or sm_100"),
                                     cl::cat(category));
static cl::opt<std::string>
    features("features", cl::init("auto"), cl::value_desc("+ptxNN"),
             cl::desc("The version of PTX (default: the oldest that the chip "
                      "is in)"),
             cl::cat(category));
static cl::opt<std::string>
    cpu("cpu", cl::init("host"), cl::value_desc("name"),
        cl::desc("The CPU to compile for, as LLVM calls it (default: the one "
                 "this runs on)"),
        cl::cat(category));
static cl::opt<Route>
    route("pipeline", cl::init(Route::CPU), cl::desc("How to compile:"),
          cl::values(clEnumValN(Route::CPU, "cpu",
                                "tiled, vectorized, on threads (default)"),
                     clEnumValN(Route::Linalg, "linalg", "plain loops")),
          cl::cat(category));
static cl::opt<IREEFunctions> ireeFunctions(
    "iree-functions", cl::init(IREEFunctions::Util),
    cl::desc("How programs declare the functions that --emit=iree makes:"),
    cl::values(clEnumValN(IREEFunctions::Util, "util", "util.func (default)"),
               clEnumValN(IREEFunctions::Func, "func", "func.func")),
    cl::cat(category));
static cl::opt<bool> noThreads("no-threads",
                               cl::desc("Sequential code, without the runtime"),
                               cl::cat(category));
static cl::opt<bool>
    strict("strict",
           cl::desc("Exact division, powers and logarithms, no contraction, in "
                    "every op, as if its numerics were strict"),
           cl::cat(category));
static cl::opt<Products> products(
    "products",
    cl::desc("What coordinates of points are rounded to in every op that is "
             "not strict, whatever its numerics say:"),
    cl::values(clEnumValN(Products::f32, "f32", "not at all"),
               clEnumValN(Products::tf32, "tf32",
                          "11 bits, for tensor cores, where these multiply"),
               clEnumValN(Products::bf16, "bf16", "8 bits, likewise"),
               clEnumValN(Products::f16, "f16",
                          "11 bits of numbers up to 65504, likewise")),
    cl::cat(category));
static cl::opt<bool> plainLaunches(
    "plain-launches",
    cl::desc("GPU kernels do not wait for other blocks: they return where "
             "blocks would meet, and are launched until they are done"),
    cl::cat(category));
static cl::opt<bool> workspaceArgument(
    "workspace-argument",
    cl::desc("Functions take their scratch memory from the caller, as their "
             "last argument; the header tells its size"),
    cl::cat(category));
static cl::opt<std::string> runtimeDir(
    "runtime-dir", cl::value_desc("directory"),
    cl::desc("Where the runtime libraries are, for --emit=shared (default: "
             "../lib of this program)"),
    cl::cat(category));

static LogicalResult report(llvm::Error error) {
  if (!error)
    return success();
  printError(llvm::toString(std::move(error)));
  return failure();
}

static bool isCIdentifier(StringRef name) {
  return !name.empty() && !llvm::isDigit(name.front()) &&
         llvm::all_of(name,
                      [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

static LogicalResult checkNames(ArrayRef<EntryPoint> entries) {
  for (const EntryPoint &entry : entries) {
    if (isCIdentifier(entry.name))
      continue;
    printError("'" + entry.name + "' is not a name in C");
    return failure();
  }
  return success();
}

static LogicalResult writeHeader(Program &source,
                                 const CHeaderOptions &options) {
  if (failed(checkNames(source.getEntries())))
    return failure();
  std::string text;
  llvm::raw_string_ostream os(text);
  printCHeader(source.getEntries(), llvm::sys::path::filename(inputPath),
               options, os);
  return report(writeFile(outputPath, text));
}

static LogicalResult loadInput(Program &source) {
  if (failed(source.load(inputPath, cpu)))
    return failure();
  if (strict)
    source.setStrict();
  if (products.getNumOccurrences() > 0)
    source.setProducts(products);
  return success();
}

/// LLVM IR, an object or a shared library of a program in the LLVM dialect.
static LogicalResult writeHostCode(Program &source, StringRef program,
                                   StringRef runtime) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module =
      translateToLLVMIR(source.getModule(), source.getTarget(), context);
  if (!module || failed(report(optimize(*module, source.getTarget()))))
    return failure();
  if (emit == Emit::LLVM) {
    std::string text;
    llvm::raw_string_ostream os(text);
    module->print(os, /*AAW=*/nullptr);
    return report(writeFile(outputPath, text));
  }
  SmallVector<char, 0> object;
  if (failed(report(emitObject(*module, source.getTarget(), object))))
    return failure();
  if (emit == Emit::Object)
    return report(
        writeFile(outputPath, StringRef(object.data(), object.size())));

  SmallString<128> libraryDir(runtimeDir);
  if (libraryDir.empty()) {
    libraryDir = llvm::sys::path::parent_path(program);
    llvm::sys::path::append(libraryDir, "..", "lib");
    llvm::sys::path::remove_dots(libraryDir, /*remove_dot_dot=*/true);
  }
  return report(linkSharedLibrary(object, outputPath, libraryDir, runtime));
}

/// The module for iree-link, and beside it the object or PTX that it names.
static LogicalResult writeIREELibrary() {
  bool isGPU = target == Platform::NVPTX;
  SmallString<128> objectPath(outputPath);
  llvm::sys::path::replace_extension(objectPath, isGPU ? "ptx" : "o");
  StringRef objectName = llvm::sys::path::filename(objectPath);
  Program source;
  if (failed(loadInput(source)))
    return failure();
  std::string text;
  llvm::raw_string_ostream os(text);
  SmallVector<char, 0> object;
  if (isGPU) {
    llvm::Expected<GPUChip> chip = getGPUChip(chipName, features);
    if (!chip)
      return report(chip.takeError());
    if (failed(source.emitIREELibrary(*chip, objectName, ireeFunctions, os,
                                      object)))
      return failure();
  } else if (failed(source.emitIREELibrary(objectName, ireeFunctions, os,
                                           object))) {
    return failure();
  }
  if (failed(report(
          writeFile(objectPath, StringRef(object.data(), object.size())))))
    return failure();
  return report(writeFile(outputPath, text));
}

static LogicalResult compileKernels(StringRef program) {
  if (workspaceArgument || noThreads) {
    printError("--workspace-argument and --no-threads are for CPUs");
    return failure();
  }
  llvm::Expected<GPUChip> chip = getGPUChip(chipName, features);
  if (!chip)
    return report(chip.takeError());
  Program source;
  if (failed(loadInput(source)))
    return failure();
  if (emit == Emit::Header) {
    CHeaderOptions options;
    options.launches = true;
    return writeHeader(source, options);
  }
  if (emit == Emit::Object || emit == Emit::Shared) {
    if (failed(source.lowerToLaunches(*chip, plainLaunches)))
      return failure();
    return writeHostCode(source, program, kCUDARuntimeName);
  }
  if (failed(source.lowerToKernels(*chip, plainLaunches)))
    return failure();
  std::string text;
  llvm::raw_string_ostream os(text);
  if (emit == Emit::MLIR) {
    source.getModule().print(os);
    return report(writeFile(outputPath, text));
  }
  auto kernels = source.getModule().getOps<gpu::GPUModuleOp>();
  if (kernels.empty()) {
    printError("there is no public function to make a kernel of");
    return failure();
  }
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module =
      translateKernels(*kernels.begin(), *chip, context);
  if (!module || failed(report(optimizeKernels(*module, *chip))))
    return failure();
  if (emit == Emit::LLVM) {
    module->print(os, /*AAW=*/nullptr);
    return report(writeFile(outputPath, text));
  }
  SmallVector<char, 0> ptx, cubin;
  if (failed(report(emitPTX(*module, *chip, ptx))))
    return failure();
  StringRef result(ptx.data(), ptx.size());
  if (emit == Emit::Cubin) {
    if (failed(report(assemblePTX(result, *chip, cubin))))
      return failure();
    result = StringRef(cubin.data(), cubin.size());
  }
  return report(writeFile(outputPath, result));
}

static LogicalResult compile(StringRef program) {
  if ((emit == Emit::Shared || emit == Emit::IREE) && outputPath == "-") {
    printError(
        emit == Emit::Shared
            ? "a shared library cannot go to standard output"
            : "a module for IREE cannot go to standard output: it has an "
              "object file beside it");
    return failure();
  }
  if (emit == Emit::IREE)
    return writeIREELibrary();
  if (target == Platform::NVPTX)
    return compileKernels(program);
  if (emit == Emit::PTX || emit == Emit::Cubin) {
    printError("ptx and cubin are made with --target=nvptx");
    return failure();
  }
  Program source;
  if (failed(loadInput(source)))
    return failure();
  if (emit == Emit::Header) {
    CHeaderOptions options;
    options.workspaceArgument = workspaceArgument;
    return writeHeader(source, options);
  }
  if (failed(source.lower(route, /*threads=*/!noThreads, workspaceArgument)))
    return failure();
  if (emit == Emit::MLIR) {
    std::string text;
    llvm::raw_string_ostream os(text);
    source.getModule().print(os);
    return report(writeFile(outputPath, text));
  }
  return writeHostCode(source, program, kRuntimeName);
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv,
      "Compiles an MLIR program to code that C can call.\n\n"
      "  scaling-compile mhc.mlir --emit=obj -o mhc.o\n"
      "  scaling-compile mhc.mlir --emit=header -o mhc.h\n"
      "  scaling-compile mhc.mlir --target=nvptx --chip=sm_90 --emit=cubin "
      "-o mhc.cubin\n");
  std::string program = llvm::sys::fs::getMainExecutable(
      argv[0], reinterpret_cast<void *>(&main));
  return failed(compile(program));
}
